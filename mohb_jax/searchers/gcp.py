"""Bayesian optimisation at full fidelity: a Gaussian process on what the transfer prior leaves unexplained.

The process costs more than all else that a lane does. Four things keep that affordable: lanes are worked on
one after another, so that each works with matrices of about the size of what it has observed and only where
it has to; hyperparameters are searched for when results have become a fifth more, from the last ones on; of a
large table a proposal looks at fresh random rows and at those that were the best for the last ones; and the
fit itself avoids the library's threads (``mohb_jax.surrogates.gaussian_process``).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.kernels.expected_improvement import INDIFFERENCE, log_expected_improvement
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.prepared_lists import Lists, ListState, list_searcher
from mohb_jax.searchers.promising_rows import best_of, none_kept, promising
from mohb_jax.searchers.random import all_candidates
from mohb_jax.searchers.seen_rows import marked
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.surrogates.transform import normal_scores, quantile_transform
from mohb_jax.transfer import Prior, diagnosis, learn_prior
from mohb_jax.types import Array, Key

NUM_INITIAL = 5
"""Results that a lane must have before the process proposes."""
SIZES = (32, 64, 128)
"""Sizes to which observations are padded; beyond the last, the capacity. Each takes seconds to compile."""
NUM_FRESH = 960
"""Rows at random among which a proposal chooses, where a table has too many to look at all of them."""
CALIBRATION_ROWS = 50
"""Rows of a task on which ``process_calibration`` conditions."""
MOST_PREDICTED = 2000
"""Rows of a task that ``process_calibration`` predicts."""

_EVICT_LAST = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How a process is kept up to date.

    Attributes:
        num_steps: Adam steps of a search for hyperparameters, which begins at the last ones. It takes place
            when results have become a fifth more than at the last one.
        capacity: observations that are kept. Beyond it the oldest gives way, but never the best.
    """

    num_steps: int = 10
    capacity: int = 128

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the matrices that are worked with."""
        return (*(size for size in SIZES if size < self.capacity), self.capacity)


class Knowledge(NamedTuple):
    """What lanes know before they start.

    Attributes:
        lists: where the first proposals come from.
        features: of all rows, the same in every task.
        mu: predicted mean of objective 0, in z-space.
        sigma: predicted deviation, positive.
    """

    lists: Lists
    features: Float[Array, "rows columns"]
    mu: Float[Array, "tasks rows"]
    sigma: Float[Array, "tasks rows"]


class ProcessState(NamedTuple):
    """What a lane has observed; arrays hold ``num_observed`` entries, the oldest first, and then padding."""

    lists: ListState
    key: Key
    row: Int[Array, " capacity"]
    value: Float[Array, " capacity"]
    """Objective 0; infinite where the evaluation failed."""
    num_observed: Int[Array, ""]
    kept: Int[Array, " kept"]
    """The best rows of the last proposals that were not taken, as ``promising_rows`` keeps them."""
    hyperparameters: gp.Hyperparameters
    """Of the last search."""
    num_told: Int[Array, ""]
    """Results so far, those included that were forgotten."""
    num_searched: Int[Array, ""]
    """Results at the last search."""


@functools.cache
def gcp_prior(draws: int, fitting: Fitting = Fitting()) -> Searcher:
    """Expected improvement under a Gaussian process on the residuals of the transfer prior (GCP + prior).

    Until a lane has ``NUM_INITIAL`` results it is given the proposals of copula Thompson sampling. From then
    on each call transforms the results of objective 0 to z-space among themselves, fits a process to
    ``(z - mu(x)) / sigma(x)``, and proposes the unseen rows of greatest expected improvement; ``mu`` and
    ``sigma`` are those of the prior, which never saw the task. It is meant for evaluations at full fidelity:
    results are taken as they come, whatever their fidelity. All configurations of one call come from the one
    or from the other, so that four workers begin with eight draws.

    Args:
        draws: lists per task of copula Thompson sampling.
        fitting: of the process.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020,
        section 4. Fits that go on from the last one, in place of one from scratch per iteration, are ours.
    """
    first = transfer_prior(draws, one_by_one=True, objective=0)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        prior = learn_prior(table, seed) if prior is None else prior
        lists = first.prepare(table, tasks, seed, prior)  # refuses the prior of another space
        chosen = np.array(tasks)
        return _knowledge(table, lists, prior.mu[chosen, 0], prior.sigma[chosen, 0])

    return _process_searcher(prepare, first, fitting)


@functools.cache
def gcp(fitting: Fitting = Fitting()) -> Searcher:
    """``gcp_prior`` without a prior: mean 0 and deviation 1 everywhere, and the first proposals at random.

    Args:
        fitting: of the process.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020,
        section 5 (GCP).
    """
    first = list_searcher(_no_lists, one_by_one=True)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        shape = (len(tasks), table.num_rows)
        lists = first.prepare(table, tasks, seed, prior)
        return _knowledge(table, lists, np.zeros(shape), np.ones(shape))

    return _process_searcher(prepare, first, fitting)


def _no_lists(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Lists:
    """A bank of one list that has ended before it began: every row comes at random."""
    del seed, prior
    empty = jnp.full((len(tasks), 1, 1), -1, jnp.int32)
    return Lists(all_candidates(table, tasks), empty, table.num_rows)


def _knowledge(table: AnyTable, lists: Lists, mu: np.ndarray, sigma: np.ndarray) -> Knowledge:
    dtype = jnp.result_type(float)
    return Knowledge(lists, *(jnp.asarray(part, dtype) for part in (unit_features(table), mu, sigma)))


def _process_searcher(prepare: Callable, first: Searcher, fitting: Fitting) -> Searcher:
    """A searcher that takes its first proposals from another one, over lists, and the rest from a process."""
    begin: Any = first.init  # of a numbered searcher: it takes the run, too

    def init(
        context: Knowledge, task: Int[Array, ""], key: Key, run: Int[Array, ""] | int = 0
    ) -> ProcessState:
        dtype = context.features.dtype
        return ProcessState(
            lists=begin(context.lists, task, key, run),
            key=jax.random.fold_in(key, 2),
            row=jnp.zeros(fitting.capacity, jnp.int32),
            value=jnp.zeros(fitting.capacity, dtype),
            num_observed=jnp.int32(0),
            kept=none_kept(context.lists.candidates, NUM_FRESH),
            hyperparameters=gp.prior_mode(context.features.shape[1], dtype),
            num_told=jnp.int32(0),
            num_searched=jnp.int32(0),
        )

    def suggest(context: Knowledge, task: Array, state: ProcessState, num_suggestions: int) -> tuple:
        propose = functools.partial(_suggest, first, fitting, num_suggestions)
        return _one_after_another(propose, context, task, state)

    observe = functools.partial(_observe, fitting.capacity)
    return Searcher(prepare, init, suggest, observe, numbered=True)


def _one_after_another(function: Callable, *args: Any) -> Any:
    """``function`` of the arguments, such that ``vmap`` runs it on one lane at a time.

    Branches and loops then do for a lane what that lane needs, instead of everything for all lanes, and no
    result depends on how lanes are batched.
    """
    leaves, structure = jax.tree.flatten(args)

    @custom_vmap
    def lane(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(structure, leaves))

    @lane.def_vmap
    def _(axis_size: int, is_batched: Any, *leaves: Any) -> tuple:
        del axis_size
        shared = [None if batched else leaf for leaf, batched in zip(leaves, is_batched, strict=True)]

        def single(own: list) -> Any:
            left = iter(own)
            return lane(*(next(left) if leaf is None else leaf for leaf in shared))

        own = [leaf for leaf, batched in zip(leaves, is_batched, strict=True) if batched]
        result = jax.lax.map(single, own)
        return result, jax.tree.map(lambda _: True, result)

    return lane(*leaves)


def _suggest(
    first: Searcher,
    fitting: Fitting,
    num_suggestions: int,
    context: Knowledge,
    task: Int[Array, ""],
    state: ProcessState,
) -> tuple[ProcessState, Array, Array]:
    """Proposals of the process, if it has something to go by and enough to choose from; else the first's."""
    carried_key, place_key, noise_key = jax.random.split(state.key, 3)
    state = state._replace(key=carried_key)
    row, unseen = promising(
        context.lists.candidates, task, state.lists.seen, state.kept, NUM_FRESH, place_key
    )

    def from_process(state: ProcessState) -> tuple:
        searches = 5 * state.num_told >= 6 * state.num_searched
        num_steps = jnp.where(searches, fitting.num_steps, -1)
        hyperparameters, gain = _log_gain(num_steps, fitting.sizes, context, task, state, row)
        gain = gain + INDIFFERENCE * jax.random.uniform(noise_key, gain.shape, gain.dtype)
        chosen, kept = best_of(row, jnp.where(unseen, gain, -jnp.inf), num_suggestions, state.kept)
        state = state._replace(
            lists=state.lists._replace(seen=marked(state.lists.seen, chosen)),
            kept=kept,
            hyperparameters=hyperparameters,
            num_searched=jnp.where(searches, state.num_told, state.num_searched),
        )
        return state, chosen, jnp.ones(num_suggestions, bool)

    def from_first(state: ProcessState) -> tuple:
        lists, chosen, valid = first.suggest(context.lists, task, state.lists, num_suggestions)
        return state._replace(lists=lists), chosen, valid

    enough = (state.num_observed >= NUM_INITIAL) & (jnp.sum(unseen) >= num_suggestions)
    return jax.lax.cond(enough, from_process, from_first, state)


def _log_gain(
    num_steps: int | Int[Array, ""],
    sizes: tuple[int, ...],
    context: Knowledge,
    task: Int[Array, ""],
    state: ProcessState,
    row: Int[Array, " n"],
) -> tuple[gp.Hyperparameters, Float[Array, " n"]]:
    """Logarithm of the expected improvement at some rows, and the hyperparameters it was found with."""
    mu, sigma = context.mu[task], context.sigma[task]

    def with_size(size: int) -> Callable:
        def gain() -> tuple:
            seen, valid = state.row[:size], jnp.arange(size) < state.num_observed
            z = quantile_transform(state.value[:size], valid)
            process = gp.fit(
                context.features[seen],
                (z - mu[seen]) / sigma[seen],
                valid,
                num_steps,
                start=state.hyperparameters,
            )
            mean, deviation = posterior(process, context.features[row], mu[row], sigma[row])
            least = jnp.min(jnp.where(valid, z, jnp.inf))
            return process.hyperparameters, log_expected_improvement(mean, deviation, least)

        return gain

    number = jnp.searchsorted(jnp.asarray(sizes), state.num_observed)
    return jax.lax.switch(number, [with_size(size) for size in sizes])


def posterior(
    process: gp.GaussianProcess,
    features: Float[Array, "n columns"],
    mu: Float[Array, " n"],
    sigma: Float[Array, " n"],
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and deviation in z-space: a process on residuals put back onto the prior.

    Args:
        process: on ``(z - mu) / sigma``.
        features: of some rows.
        mu: the prior's mean there.
        sigma: the prior's deviation there.
    """
    mean, variance = gp.predict(process, features)
    return mean * sigma + mu, jnp.sqrt(jnp.maximum(variance, gp.LEAST_VARIANCE)) * sigma


def _observe(capacity: int, state: ProcessState, seen: Seen) -> ProcessState:
    """Appends the results of a rung; beyond the capacity the oldest gives way, but never the best."""
    valid = jnp.concatenate([jnp.arange(capacity) < state.num_observed, seen.valid])
    row = jnp.concatenate([state.row, seen.row.astype(state.row.dtype)])
    value = jnp.concatenate([state.value, seen.costs[:, 0].astype(state.value.dtype)])
    age = jnp.arange(value.shape[0], dtype=jnp.int32)
    best = jnp.argmin(jnp.where(valid, value, jnp.inf))  # the first one, if all failed
    youth = jnp.where(valid, jnp.where(age == best, _EVICT_LAST, age), -1)
    kept = jax.lax.top_k(youth, capacity)[1]
    kept = kept[jnp.argsort(jnp.where(valid[kept], kept, _EVICT_LAST))]
    num_observed = jnp.minimum(jnp.sum(valid, dtype=jnp.int32), capacity)
    num_told = state.num_told + jnp.sum(seen.valid, dtype=jnp.int32)
    return state._replace(row=row[kept], value=value[kept], num_observed=num_observed, num_told=num_told)


@in_64_bits
def process_calibration(table: AnyTable, prior: Prior, seed: int) -> list[dict[str, Any]]:
    """How well the process on residuals predicts rows of a task from ``CALIBRATION_ROWS`` random others.

    As in a run, the observed values are transformed among themselves. What is predicted of any other row is
    the value that the same sample gives it: with q the share of the *sample* that is strictly better, the
    normal quantile of q, winsorised at the sample's ends. So the process answers for what it models, and
    never for the ranks of a task that it has not seen. Predicted deviations include the noise of an
    observation, which the deviation in the expected improvement leaves out.

    Args:
        table: the first objective alone is looked at.
        prior: of this table.
        seed: which rows are given and which predicted.

    Returns:
        One row per task, as ``transfer.calibration`` gives them; at most half of a task's rows are given, and
        ``MOST_PREDICTED`` predicted.
    """
    prior.require_space(table)
    dtype = jnp.result_type(float)
    features = jnp.asarray(unit_features(table), dtype)
    rows = []
    for task, name in enumerate(table.tasks):
        given, others = _split(table.measured(task), np.random.default_rng((seed, task)))
        costs, expected = table.final_costs(task)[:, 0], (prior.mu[task, 0], prior.sigma[task, 0])
        parts = (jnp.asarray(part, dtype) for part in (costs, *expected))
        mu, sigma = (np.asarray(part) for part in _predict_others(features, *parts, given, others))
        target = placed(costs[np.maximum(others, 0)], costs[given[given >= 0]])
        about = {"benchmark": table.name, "task": name, "objective": table.objectives[0].name}
        rows.append(about | {"model": "gaussian process"} | diagnosis(target, mu, sigma, others >= 0))
    return rows


def _split(
    measured: Bool[np.ndarray, " rows"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " given"], Int[np.ndarray, " others"]]:
    """Random rows to condition on and to predict, -1 after their end, in shapes that all tasks share."""
    row = rng.permutation(np.flatnonzero(measured))
    num_given = min(CALIBRATION_ROWS, len(row) // 2)
    sizes = (CALIBRATION_ROWS, min(MOST_PREDICTED, len(measured)))
    given, others = (np.full(size, -1, np.int32) for size in sizes)
    given[:num_given] = row[:num_given]
    rest = row[num_given:][:MOST_PREDICTED]
    others[: len(rest)] = rest
    return given, others


@jax.jit
def _predict_others(
    features: Array, costs: Array, mu: Array, sigma: Array, given: Array, others: Array
) -> tuple[Array, Array]:
    """Mean and deviation in z-space of new observations."""
    valid = given >= 0
    z = quantile_transform(costs[given], valid)
    process = gp.fit(features[given], (z - mu[given]) / sigma[given], valid)
    mean, deviation = posterior(process, features[others], mu[others], sigma[others])
    return mean, jnp.sqrt(deviation**2 + gp.noise_variance(process) * sigma[others] ** 2)


def placed(values: Float[np.ndarray, " n"], sample: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " n"]:
    """z-values of further results among a sample: equal to ``quantile_transform`` on the sample itself.

    Args:
        values: results that need not be in the sample; +inf is a failed one.
        sample: at least two results.
    """
    num_less = np.searchsorted(np.sort(sample), values, side="left").astype(np.float64)
    return np.asarray(normal_scores(num_less, np.array(float(len(sample)))))
