"""MOTPE whose densities are warmed by other tasks, as far as these are alike."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.column_densities import best_point, compared, log_density, pooled
from mohb_jax.searchers.density_ratio import Pair
from mohb_jax.searchers.mo_bohb import GOOD_DIVISOR
from mohb_jax.searchers.motpe import (
    Observed,
    densities_of,
    divided,
    new_lane,
    observe,
    proposed,
    uniform_shares,
)
from mohb_jax.searchers.nearest_rows import Rows, prepare_rows
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.transfer import Prior, require_other_tasks
from mohb_jax.types import Array, Key

NUM_COMPARED = 512
"""Rows at which good densities of two tasks are compared, or all of a smaller table."""


class Sources(NamedTuple):
    """What lanes know of the other tasks."""

    rows: Rows
    parts: Pair
    """Densities of every task of the table, along the first axis."""
    others: Int[Array, "tasks sources"]
    """Of each task that is run, the tasks that it learns from."""
    compared: Float[Array, "columns q"]
    """Configurations at which densities are compared."""
    shares: Float[Array, "all_tasks q"]
    """How the good density of each task is spread over these."""


@functools.cache
def motpe_transfer(num_objectives: int, known: int = 100) -> Policy:
    """MOTPE whose densities hold results of other tasks, each with the weight of its task.

    Of every other task ``known`` results at random, those of the study's seed, are divided into good and bad
    as MOTPE divides its own. A result of task s counts ``S_s / T`` and an own one ``1 - sum(S_s) / T``, of T
    tasks; ``S = (1 - d) / (1 + d)``, where d is the total variation distance of the two good densities,
    spread over the same 512 rows of the table. The densities choose from the first proposal on.

    Departures from the published method:

    * Each column is chosen by itself, as in MOTPE; there, one density covers all columns.
    * Densities are compared over all columns; there, over the most important ones.
    * No configuration is evaluated because it was best elsewhere: the densities open the run.
    * Draws come from the weighted density; there, as many from every task's.

    Args:
        num_objectives: of the table, at most four.
        known: results of each other task.

    References:
        Watanabe, Awad, Onishi, Hutter, "Speeding up multi-objective hyperparameter optimization by task
        similarity-based meta-learning for the tree-structured Parzen estimator", 2023, equations 4 to 8.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Sources:
        del prior
        require_other_tasks(table)
        return learnt(table, tasks, seed, known)

    def init(context: Sources, task: Int[Array, ""], key: Key) -> Observed:
        return new_lane(num_objectives, context.rows, task, key)

    def propose(
        context: Sources, task: Int[Array, ""], state: Observed, moment: Moment
    ) -> tuple[Observed, Job]:
        def wish(key: Key, results: Launches) -> Float[Array, " columns"]:
            model = compared(*warmed(context, task, densities_of(context.rows, results)))
            return best_point(context.rows, model, uniform_shares(context.rows, key))

        return proposed(context.rows, task, state, moment, wish, jnp.bool_(True))

    def told(context: Sources, task: Int[Array, ""], state: Observed, result: Result) -> Observed:
        return observe(context.rows, task, state, result)

    return Policy(prepare, init, propose, told)


def learnt(table: AnyTable, tasks: tuple[int, ...], seed: int, known: int) -> Sources:
    """What the tasks of a table are known by; no lane reads that of its own task."""
    rows = prepare_rows(table, tasks)
    drawn = [_known_results(table, task, seed, known) for task in range(table.num_tasks)]
    row, costs, valid = (jnp.asarray(np.stack(part)) for part in zip(*drawn, strict=True))
    sample = np.random.default_rng(seed).permutation(table.num_rows)[:NUM_COMPARED]
    points = rows.point(jnp.asarray(sample, jnp.int32)).T
    parts, shares = _densities(rows, row, costs, valid, points)
    others = [[s for s in range(table.num_tasks) if s != task] for task in tasks]
    return Sources(rows, parts, jnp.asarray(others, jnp.int32), points, shares)


def _known_results(table: AnyTable, task: int, seed: int, known: int) -> tuple[np.ndarray, ...]:
    """Rows of a task that succeeded, drawn without replacement, their results, and which are no padding."""
    costs = table.final_costs(task)
    rows = np.random.default_rng((seed, task)).permutation(table.num_rows)
    rows = rows[np.isfinite(costs[rows]).all(axis=1)][:known]
    valid = np.arange(known) < len(rows)
    rows = np.concatenate([rows, np.zeros(known - len(rows), rows.dtype)]).astype(np.int32)
    return rows, np.where(valid[:, None], costs[rows], np.inf), valid


@jax.jit
def _densities(
    rows: Rows,
    row: Int[Array, "tasks n"],
    costs: Float[Array, "tasks n m"],
    valid: Bool[Array, "tasks n"],
    points: Float[Array, "columns q"],
) -> tuple[Pair, Float[Array, "tasks q"]]:
    """Densities of every task, and how the good one is spread over some configurations."""
    most_good = max(1, row.shape[1] // GOOD_DIVISOR)

    def of_task(own: tuple) -> tuple[Pair, Array]:
        task_row, task_costs, is_valid = own
        parts = divided(rows, task_row, task_costs, is_valid, most_good)
        return parts, jax.nn.softmax(log_density(rows, parts.good, points))

    return jax.lax.map(of_task, (row, costs, valid))


def warmed(context: Sources, task: Int[Array, ""], own: Pair) -> Pair:
    """A lane's own densities with those of the other tasks, each as far as it is alike."""
    others = context.others[task]
    share = jax.nn.softmax(log_density(context.rows, own.good, context.compared))
    trust = trust_in(share, context.shares[others])
    sources = jax.tree.map(lambda leaf: leaf[others], context.parts)
    return Pair(*(pooled(mine, theirs, trust) for mine, theirs in zip(own, sources, strict=True)))


def trust_in(own: Float[Array, " q"], others: Float[Array, "sources q"]) -> Float[Array, " parts"]:
    """What a result of each task counts, the own one first; together 1.

    Args:
        own: how the good density is spread over some configurations.
        others: the same of other tasks.
    """
    distance = jnp.sum(jnp.abs(others - own[None]), axis=1) / 2
    similarity = (1 - distance) / (1 + distance)
    trust = similarity / (others.shape[0] + 1)
    return jnp.concatenate([1 - jnp.sum(trust, keepdims=True), trust])
