"""PriMO's second part: expected improvement of a weighted cost, drawn to where good rows are believed to be.

What a person would believe about each objective comes from the other tasks of the table: the row that is best
there on average is the centre of a density over configurations.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.kriging_believer import (
    LANES_PER_BATCH,
    Acquisition,
    Judged,
    Knowledge,
    ModelState,
    Problem,
    improvement_of_cost,
    knowledge_of,
    new_model,
    observed_range,
    propose,
)
from mohb_jax.searchers.result_memory import Launches, with_result
from mohb_jax.searchers.seen_rows import is_marked, marked
from mohb_jax.transfer import Prior, require_other_tasks
from mohb_jax.types import Array, Key

BELIEFS = ("good", "bad", "none")
"""Where the centre of a belief lies: at the best row of the other tasks, at the worst, or nowhere."""
SPREAD = 0.25
"""Standard deviation of a belief about a number, in ranges of its column; and the probability with which a
category is any, and not the one believed in."""
EPSILON = 0.25
"""Share of the proposals that no belief has a part in."""
LEAST_WEIGHT = 1e-4
"""A belief of less weight is dropped."""


class BeliefKnowledge(NamedTuple):
    """What lanes know before they start."""

    model: Knowledge
    log_density: Float[Array, "tasks m rows"] | None
    """Of each row, under the belief about each objective; None without beliefs."""


class BeliefState(NamedTuple):
    """A lane; what it has observed is at the highest fidelity."""

    model: ModelState
    weights: Float[Array, " m"]
    """Of the objectives in the cost; they never change."""


@functools.cache
def primo(problem: Problem, level: int, num_columns: int, beliefs: str) -> Policy:
    """Expected improvement of a weighted cost, times a belief that fades: PriMO after its halving.

    The cost is the weighted sum of the objectives, scaled to their observed ranges; the weights are uniform
    numbers divided by their sum, drawn once per lane. One Gaussian process models it. Each proposal takes up
    the belief about one objective, chosen uniformly, with probability 1 - ``EPSILON``: the logarithm of its
    density, times ``weight_of_belief``, is added to the logarithm of the improvement. Only results at the
    highest fidelity count. A row that halving has evaluated at any fidelity is not proposed.

    Args:
        problem: what the table asks for; it has no initial rows, since halving has provided results. Without
            two of them, rows are random.
        level: highest level of the run's ladder.
        num_columns: of the table's configurations.
        beliefs: one of ``BELIEFS``.

    References:
        PriMO, arXiv 2511.08371, 2025; the weight of a belief is that of Hvarfner et al., "piBO: augmenting
        acquisition functions with user beliefs for Bayesian optimization", 2022. Departures from the
        published code: there, the weight is added to the logarithm of the density, which changes no choice,
        so that beliefs never fade; objectives are not scaled; the improvement is the noisy one; people say
        what they believe; rows that halving has stopped may be proposed. As published, the weights of the
        objectives are not uniform on the simplex: they avoid its corners.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> BeliefKnowledge:
        del seed, prior
        density = None if beliefs == "none" else jnp.asarray(log_densities(table, tasks, beliefs))
        return BeliefKnowledge(knowledge_of(problem, table, tasks), density)

    def init(context: BeliefKnowledge, task: Int[Array, ""], key: Key) -> BeliefState:
        weights = jax.random.uniform(jax.random.fold_in(key, 4), (problem.num_objectives,))
        return BeliefState(new_model(problem, 1, context.model, task, key), weights / jnp.sum(weights))

    policy = functools.partial(_propose, problem, level, num_columns)
    observe = functools.partial(_observe, level)
    return Policy(prepare, init, policy, observe, lanes_per_batch=LANES_PER_BATCH)


def weight_of_belief(num_chosen: Int[Array, "*n"], num_columns: int) -> Float[Array, "*n"]:
    """The power to which a belief is taken, after so many proposals of the model; 0 where it is dropped."""
    weight = jnp.exp(-jnp.square(num_chosen.astype(jnp.result_type(float))) / num_columns)
    return jnp.where(weight < LEAST_WEIGHT, 0, weight)


def log_densities(table: AnyTable, tasks: tuple[int, ...], beliefs: str) -> Float[np.ndarray, "tasks m rows"]:
    """Logarithm of each row's density under the beliefs that the other tasks suggest."""
    require_other_tasks(table)
    ranks = {task: _ranks(table, task) for task in range(table.num_tasks)}
    centres = [centre_rows([own for other, own in ranks.items() if other != task], beliefs) for task in tasks]
    density = {row: log_density(table, row) for row in set(np.concatenate(centres).tolist())}
    return np.stack([[density[row] for row in own.tolist()] for own in centres])


def _ranks(table: AnyTable, task: int) -> Float[np.ndarray, "m rows"]:
    """Rank of each row in each objective at the highest fidelity, in (0, 1], 1 the worst; NaN where the
    evaluation failed."""
    costs = table.final_costs(task)
    fine = np.isfinite(costs).all(axis=1)
    ranks = np.full(costs.T.shape, np.nan)
    ranks[:, fine] = scipy.stats.rankdata(costs[fine], axis=0).T / max(fine.sum(), 1)
    return ranks


def centre_rows(ranks: list[Float[np.ndarray, "m rows"]], beliefs: str) -> Int[np.ndarray, " m"]:
    """The row of the best average rank in each objective, or of the worst, among those that succeeded in most
    tasks; the first of equals.

    Args:
        ranks: of each task; NaN where the evaluation failed.
        beliefs: ``good`` or ``bad``.
    """
    fine = np.isfinite(ranks)
    count = fine.sum(axis=0)
    mean = np.where(fine, ranks, 0).sum(axis=0) / np.maximum(count, 1)
    badness = mean if beliefs == "good" else -mean
    return np.where(count == count.max(), badness, np.inf).argmin(axis=1)


def log_density(table: AnyTable, centre: int) -> Float[np.ndarray, " rows"]:
    """Logarithm of the density of each row under a belief in one of them: a product over columns."""
    widths = [len(column.levels) if column.kind == "categorical" else 1 for column in table.columns]
    parts = np.split(unit_features(table), np.cumsum(widths)[:-1], axis=1)
    total = np.zeros(table.num_rows)
    for column, part in zip(table.columns, parts, strict=True):
        if column.kind == "categorical":
            total += np.log(category_probability(part @ part[centre] > 0, len(column.levels)))
        else:
            total += number_log_density(part[:, 0], float(part[centre, 0]))
    return total


def number_log_density(values: Float[np.ndarray, " n"], centre: float) -> Float[np.ndarray, " n"]:
    """Log density of numbers within [0, 1] under a normal distribution around the centre, truncated there."""
    low, high = -centre / SPREAD, (1 - centre) / SPREAD
    return scipy.stats.truncnorm.logpdf(values, low, high, loc=centre, scale=SPREAD)


def category_probability(is_centre: Bool[np.ndarray, " n"], num_levels: int) -> Float[np.ndarray, " n"]:
    """Probability of categories: any of them alike with probability ``SPREAD``, else the centre's."""
    return SPREAD / num_levels + (1 - SPREAD) * is_centre


def _observe(
    level: int, context: BeliefKnowledge, task: Int[Array, ""], state: BeliefState, result: Result
) -> BeliefState:
    """The row is taken, whatever its result; a result at the highest fidelity is learnt from.

    A row may be told of several times: at each level of halving, and of a job that runs when halving ends, at
    once and again with its result.
    """
    del context, task
    model = state.model
    row = result.row[None]
    is_new = result.valid & ~is_marked(model.pool.seen, row)
    seen = marked(model.pool.seen, jnp.where(is_new, row, -1))
    costs = result.costs.astype(model.launches.costs.dtype)
    counts = result.valid & (result.level == level)
    launches = with_result(model.launches, result.row, costs, counts)
    return state._replace(model=model._replace(pool=model.pool._replace(seen=seen), launches=launches))


def _propose(
    problem: Problem,
    level: int,
    num_columns: int,
    context: BeliefKnowledge,
    task: Int[Array, ""],
    state: BeliefState,
    moment: Moment,
) -> tuple[BeliefState, Job]:
    weight = weight_of_belief(state.model.num_chosen, num_columns)
    acquisition = Acquisition(
        functools.partial(_weighted_cost, state.weights),
        functools.partial(_believed_gain, context.log_density, weight),
    )
    model, job = propose(problem, acquisition, context.model, task, state.model, moment, level)
    return state._replace(model=model), job


def _believed_gain(
    log_density: Float[Array, "tasks m rows"] | None,
    weight: Float[Array, ""],
    context: Knowledge,
    judged: Judged,
    key: Key,
) -> Float[Array, " judged"]:
    """Logarithm of the expected improvement of the weighted cost, drawn by a belief; see ``GainFn``."""
    del context
    gain = improvement_of_cost(judged)
    if log_density is None:
        return gain
    objective_key, share_key = jax.random.split(key)
    objective = jax.random.randint(objective_key, (), 0, log_density.shape[1])
    believes = jax.random.uniform(share_key) >= EPSILON
    belief = jnp.where(believes, weight, 0) * log_density[judged.task, objective, judged.row]
    return gain + belief.astype(gain.dtype)


def _weighted_cost(weights: Float[Array, " m"], launches: Launches, key: Key) -> Float[Array, "1 capacity"]:
    """Weighted sum of the objectives, scaled to their observed ranges; see ``TargetsFn``."""
    del key
    low, width = observed_range(launches)
    return jnp.sum((launches.costs - low[None]) / width[None] * weights, axis=1)[None]
