"""TrimTuner: information on the best row under a limit, per unit of cost, from sub-sampled trainings."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.expected_improvement import log_expected_improvement
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import Acquisition, Judged, Knowledge, Problem
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.searchers.row_levels import PairKnowledge, pair_policy
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.surrogates.factor import inverse_factor, product
from mohb_jax.types import Array, Key

KEPT = 0.1
"""Share of the pairs at hand of which the acquisition is worked out."""
NUM_REPRESENTERS = 32
"""Rows at the highest level for one of which to be the best is a question."""
NUM_DRAWS = 128
"""Joint draws of the representers' errors."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
"""Of a standard normal variable: the outcome of a training."""
LEAST_ERROR = 1e-4
"""Errors below are as good as this."""
LEAST_INFORMATION = 1e-6
"""In nats; what chance leaves of none."""
LEAST = -1e30
"""Logarithm of what a pair that was filtered out is worth."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is asked for.

    Attributes:
        error: index of the objective that is minimised.
        unit: one of its units as a share of all examples.
        price: index of the objective that is limited, and paid.
        limit: most of it at the highest fidelity; None for no limit.
    """

    error: int
    unit: float
    price: int
    limit: float | None


@functools.cache
def trimtuner(problem: Problem, goal: Goal, levels: tuple[int, ...], resumable: bool) -> Policy:
    """Proposes the row and the fidelity from whose training most is learnt per unit of its price.

    One Gaussian process learns the logarithm of the error, one that of the price, from results of every
    level; the level is an input. What is looked for is the row of least error, at the highest level, among
    those whose price there is within the limit. A row at a level is worth: the information that its result
    is expected to give on which row has the least error at the highest level (entropy search), times the
    probability that the price of the incumbent would be within the limit, over the price that is expected of
    the training itself. The incumbent is the row, among those that were tried and this one, of greatest
    constrained expected accuracy (CEA): expected accuracy times the probability that the limit holds, at the
    highest level, after that result.

    Of the pairs at hand the tenth of greatest CEA, each at its own level, are judged that way. A run begins
    with one random row at all levels but the highest.

    Departures from the paper and its code: the processes are the house's, with one lengthscale for the level,
    where theirs has a kernel for it and averages over hyperparameters (or trees); the least error is drawn
    for at 32 rows, in proportion to their expected improvement among the pairs at hand, where they take 50
    and an approximation of the distribution; the limit holds for the price itself, whose logarithm is
    normal, and not for a normal variable of the same deviation; the models are not fitted anew with each
    imagined result, which is what they expect; a tenth is that of at most 512 pairs; workers do not wait.

    Args:
        problem: what the table asks for, with trust as the last objective: it keeps results of high levels
            in memory, and nothing else.
        goal: what is asked for.
        levels: fidelities of the table to choose among.
        resumable: whether a row that goes on from a level pays the rest; the model of the price does not.

    References:
        Mendes, Casimiro, Romano, Garlan, "TrimTuner: efficient optimization of machine learning jobs in the
        cloud via sub-sampling", 2020; Klein, Falkner, Bartels, Hennig, Hutter, "Fast Bayesian optimization of
        machine learning hyperparameters on large datasets", 2017 (FABOLAS).
    """

    def acquire(context: PairKnowledge) -> Acquisition:
        number = context.share.shape[0]
        gain = functools.partial(information_per_price, goal, number)
        return Acquisition(lambda launches, key: logarithms(goal, launches), gain)

    return pair_policy(problem, 2, levels, resumable, _one_row_first, acquire)


def _one_row_first(
    context: PairKnowledge, key: Key, number: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """See ``FirstFn``: every row at all levels but the highest."""
    del key
    below = max(context.share.shape[0] - 1, 1)
    return number // below, number % below


def logarithms(goal: Goal, launches: Launches) -> Float[Array, "2 capacity"]:
    """Of errors, as a share, and of prices."""
    error = launches.costs[:, goal.error] * goal.unit
    price = launches.costs[:, goal.price]
    tiny = jnp.finfo(jnp.float32).tiny
    return jnp.log(jnp.stack([jnp.maximum(error, LEAST_ERROR), jnp.maximum(price, tiny)]))


def within_limit(goal: Goal, mean: Float[Array, "*n"], deviation: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Probability that a price is within the limit, from its logarithm's mean and deviation."""
    if goal.limit is None:
        return jnp.ones_like(mean)
    return jax.scipy.stats.norm.cdf((math.log(goal.limit) - mean) / deviation)


def expected_accuracy(mean: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """From the mean of the error's logarithm; not below 0."""
    return jnp.maximum(1 - jnp.exp(mean), 0)


def information_per_price(
    goal: Goal, number: int, pairs: Knowledge, judged: Judged, key: Key
) -> Float[Array, " pairs"]:
    """Logarithm of what pairs are worth by the acquisition of TrimTuner; see ``GainFn``.

    Args:
        goal: what is asked for.
        number: of levels.
        pairs: features.
        judged: of which the processes of error and price are known.
        key: consumed.
    """
    process_key, draw_key = jax.random.split(key)
    spread = jnp.maximum(judged.deviation, gp.LEAST_VARIANCE**0.5)
    accuracy = expected_accuracy(judged.mean[0]) * within_limit(goal, judged.mean[1], spread[1])
    is_new = ~jnp.any(judged.launches.row[:, None] == judged.row[None], axis=0)
    kept = jax.lax.top_k(jnp.where(is_new, accuracy, -1), math.ceil(KEPT * judged.row.shape[0]))[1]
    place, valid = representers(number, judged, process_key)
    error, price = (jax.tree.map(lambda leaf, m=m: leaf[m], _known(judged)) for m in (0, 1))
    ends, here = pairs.features[judged.row[place]], pairs.features[judged.row[kept]]
    information = expected_information(
        judged.mean[0, place],
        posterior_covariance(error, ends, ends),
        valid,
        posterior_covariance(error, ends, here),
        jnp.sqrt(spread[0, kept] ** 2 + gp.noise_variance(error)),
        draw_key,
    )
    chance = chance_of_incumbent(goal, number, pairs, judged, error, price, kept)
    tiny = jnp.finfo(judged.mean.dtype).tiny
    worth = jnp.log(jnp.maximum(information, LEAST_INFORMATION)) + jnp.log(jnp.maximum(chance, tiny))
    return jnp.full_like(accuracy, LEAST).at[kept].set(worth - judged.mean[1, kept])


def _known(judged: Judged) -> gp.GaussianProcess:
    assert judged.known is not None, "both objectives have models"
    return judged.known.processes


def representers(number: int, judged: Judged, key: Key) -> tuple[Int[Array, " r"], Bool[Array, " r"]]:
    """Places of pairs of the highest level, drawn in proportion to their expected improvement on the least
    expected error among them, each at most once; and which are that, and not padding."""
    is_full = judged.row % number == number - 1
    mean, deviation = judged.mean[0], jnp.maximum(judged.deviation[0], gp.LEAST_VARIANCE**0.5)
    improvement = log_expected_improvement(mean, deviation, jnp.min(jnp.where(is_full, mean, jnp.inf)))
    chance = jnp.where(is_full, improvement + jax.random.gumbel(key, mean.shape, mean.dtype), -jnp.inf)
    place = jax.lax.top_k(chance, min(NUM_REPRESENTERS, mean.shape[0]))[1]
    return place, is_full[place]


def expected_information(
    mean: Float[Array, " r"],
    covariance: Float[Array, "r r"],
    valid: Bool[Array, " r"],
    cross: Float[Array, "r n"],
    deviation: Float[Array, " n"],
    key: Key,
    num_draws: int = NUM_DRAWS,
) -> Float[Array, " n"]:
    """What one observation is expected to tell of which of some normal variables is the least, in nats.

    That is by how much the distribution of the least is expected to move away from a uniform one, in relative
    entropy. It is counted in draws, which an observation moves as it moves the mean (Matheron's rule): all
    observations share the draws, so that what has no covariance tells exactly nothing.

    Args:
        mean: of the variables.
        covariance: of the variables.
        valid: which variables count.
        cross: covariance of the variables with each quantity that could be observed.
        deviation: of each observation, with its noise.
        key: consumed.
        num_draws: joint draws of the variables.

    References:
        Hennig, Schuler, "Entropy search for information-efficient global optimization", 2012; Wilson et al.,
        "Efficiently sampling functions from Gaussian process posteriors", 2020 (Matheron's rule).
    """
    # What 32 bits leave of a matrix whose rows are nearly the same.
    jitter = 1e-5 * jnp.max(jnp.diagonal(covariance)) + 1e-12
    covariance = covariance + jitter * jnp.eye(mean.shape[0], dtype=mean.dtype)
    whitening = inverse_factor(covariance)
    standard = jax.random.normal(key, (num_draws, mean.shape[0] + 1), mean.dtype)
    draws = mean + product(standard[:, :-1], product(covariance, whitening.T).T)
    shift = cross / deviation
    share = product(whitening, shift)
    left = jnp.sqrt(jnp.maximum(1 - jnp.sum(share**2, axis=0), 0))
    observed = product(standard[:, :-1], share) + standard[:, -1:] * left

    def knowing(node: Float[Array, ""]) -> Float[Array, " n"]:
        moved = draws[:, None, :] + shift.T[None] * (node - observed)[..., None]
        return _relative_entropy(moved, valid)

    weights = jnp.asarray(WEIGHTS / WEIGHTS.sum(), mean.dtype)
    return weights @ jax.lax.map(knowing, jnp.asarray(NODES, mean.dtype)) - _relative_entropy(draws, valid)


def _relative_entropy(draws: Float[Array, "draws *n r"], valid: Bool[Array, " r"]) -> Float[Array, "*n"]:
    """Of where the least is, to the uniform distribution over what counts."""
    least = jnp.argmin(jnp.where(valid, draws, jnp.inf), axis=-1)
    share = jnp.mean(least[..., None] == jnp.arange(valid.shape[0]), axis=0, dtype=draws.dtype)
    return jnp.sum(jax.scipy.special.xlogy(share, share), axis=-1) + jnp.log(
        jnp.sum(valid, dtype=draws.dtype)
    )


def chance_of_incumbent(
    goal: Goal,
    number: int,
    pairs: Knowledge,
    judged: Judged,
    error: gp.GaussianProcess,
    price: gp.GaussianProcess,
    kept: Int[Array, " n"],
) -> Float[Array, " n"]:
    """Probability that the incumbent's price is within the limit, after the expected result of each of some
    pairs.

    The result changes no expectation, since it is what is expected, and lowers the deviation of prices.
    """
    row = jnp.concatenate([jnp.maximum(judged.launches.row, 0), judged.row[kept]]) // number
    ends, here = pairs.features[row * number + number - 1], pairs.features[judged.row[kept]]
    accuracy = expected_accuracy(gp.predict(error, ends)[0])
    mean, variance = gp.predict(price, ends)
    noisy = judged.deviation[1, kept] ** 2 + gp.noise_variance(price)
    variance = variance[:, None] - posterior_covariance(price, ends, here) ** 2 / noisy[None]
    deviation = jnp.sqrt(jnp.maximum(variance, gp.LEAST_VARIANCE))
    chance = within_limit(goal, jnp.broadcast_to(mean[:, None], deviation.shape), deviation)
    tried = jnp.broadcast_to(judged.launches.observed[:, None], (judged.launches.row.shape[0], kept.shape[0]))
    may = jnp.concatenate([tried, jnp.eye(kept.shape[0], dtype=bool)])
    best = jnp.argmax(jnp.where(may, accuracy[:, None] * chance, -1), axis=0)
    return jnp.take_along_axis(chance, best[None], axis=0)[0]


def posterior_covariance(
    process: gp.GaussianProcess, left: Float[Array, "n columns"], right: Float[Array, "m columns"]
) -> Float[Array, "n m"]:
    """Covariance of the noise-free function at some rows and at others, in squared units of the targets; at
    equal rows it is the variance of ``predict``, but for its floor."""
    known = process.hyperparameters, process.features, process.valid
    near = [product(process.whitening, gp.covariance(*known, side)) for side in (left, right)]
    prior = gp.covariance(process.hyperparameters, left, jnp.ones(left.shape[0], bool), right)
    return process.deviation**2 * (prior - product(near[0].T, near[1]))
