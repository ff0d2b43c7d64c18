"""Starts from tasks that look alike in a run's own first results: landmarks in place of descriptors."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.descriptors import stated
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.meta_knn import Start
from mohb_jax.searchers.random import Candidates, all_candidates
from mohb_jax.searchers.seen_rows import Pool, filled_up, first_unseen, marked, new_pool
from mohb_jax.searchers.similar_tasks import POWERS, best_rows, differences, offered
from mohb_jax.transfer import Prior, require_another_task
from mohb_jax.types import Array, Key

NUM_PROBES = 4
"""Rows that every run of a task begins with, at the lowest fidelity."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["candidates", "probes", "costs", "other", "known", "bank"],
    meta_fields=["num_rows"],
)
@dataclasses.dataclass(frozen=True)
class Landmarks:
    """What lanes know before they start; T tasks of the table, L probes, m objectives.

    Attributes:
        candidates: of each task.
        probes: rows to begin with; -1 where a task has fewer.
        costs: of the probes in all tasks, at the lowest fidelity; infinite where one failed.
        other: True for the tasks that may be learnt from.
        known: what descriptors add to the distance of each task.
        bank: the best rows of each task, as the lane's own task offers them; -1 where there are no more.
        num_rows: of the table.
    """

    candidates: Candidates
    probes: Int[Array, "chosen L"]
    costs: Float[Array, "T L m"]
    other: Bool[Array, "chosen T"]
    known: Float[Array, "chosen T"]
    bank: Int[Array, "chosen T best"]
    num_rows: int


class LandmarkState(NamedTuple):
    """What a lane has seen."""

    pool: Pool
    costs: Float[Array, "L m"]
    """Of the probes; infinite before they are in."""
    arrived: Bool[Array, " L"]
    num_listed: Int[Array, ""]
    """Rows proposed from the list."""


@functools.cache
def landmarks(start: Start, described: bool) -> Policy:
    """Evaluates four probes at the lowest fidelity, then the best rows of tasks in which these did alike,
    then random rows.

    A probe tells, for each objective, the share of the other tasks in which it did better; so does each of
    these tasks, and distances are taken between such shares, scaled as descriptors are. Probes are spread
    over the space of configurations, the same in all runs of a table (each task takes the nearest row that it
    offers); they are jobs like any other, and no row among them is proposed again. A worker that is free
    before they are all in waits.

    Args:
        start: how the list is made.
        described: whether descriptors of the tasks count, too.
    """
    propose = functools.partial(_propose, start)
    return Policy(functools.partial(_prepare, start, described), _init, propose, _observe)


def _prepare(
    start: Start, described: bool, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None
) -> Landmarks:
    del prior
    require_another_task(table)
    every = range(table.num_tasks)
    probes = np.stack([spread_rows(table, task, seed) for task in every])
    best = np.stack([best_rows(table, task, start.best) for task in every])
    known = np.zeros((len(tasks), table.num_tasks))
    if described:
        features = np.stack(list(stated(table).values()), axis=1)
        known = np.stack([differences(features, task, start.distance) for task in tasks])
    bank = [[offered(table, task, best[one]) for one in every] for task in tasks]
    return Landmarks(
        candidates=all_candidates(table, tasks),
        probes=jnp.asarray(probes[list(tasks)], jnp.int32),
        costs=jnp.asarray(np.stack([_probed(table, task, probes[task]) for task in every])),
        other=jnp.asarray(~np.eye(table.num_tasks, dtype=bool)[list(tasks)]),
        known=jnp.asarray(known),
        bank=jnp.asarray(np.array(bank), jnp.int32),
        num_rows=table.num_rows,
    )


def spread_rows(table: AnyTable, task: int, seed: int) -> Int[np.ndarray, " L"]:
    """Rows of a task near the points of a scrambled Sobol sequence, each once; -1 where there are fewer."""
    there = np.flatnonzero(table.measured(task))
    features = unit_features(table)
    points = scipy.stats.qmc.Sobol(features.shape[1], seed=seed).random(NUM_PROBES)
    rows = np.full(NUM_PROBES, -1)
    for place, point in enumerate(points[: there.size]):
        apart = ((features[there] - point) ** 2).sum(axis=1)
        rows[place] = there[np.argmin(np.where(np.isin(there, rows), np.inf, apart))]
    return rows


def _probed(table: AnyTable, task: int, rows: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L m"]:
    """Results at the lowest fidelity; infinite where there is no probe."""
    costs = table.look_up(task, np.maximum(rows, 0), 0)[0]
    return np.where((rows >= 0)[:, None], costs, np.inf)


def _init(context: Landmarks, task: Int[Array, ""], key: Key) -> LandmarkState:
    pool = new_pool(context.candidates, task, key, context.num_rows)
    costs = jnp.full(context.costs.shape[1:], jnp.inf)
    return LandmarkState(pool, costs, context.probes[task] < 0, jnp.int32(0))


def _observe(context: Landmarks, task: Int[Array, ""], state: LandmarkState, result: Result) -> LandmarkState:
    del context, task
    place = jnp.where(result.valid, result.number, state.arrived.shape[0])
    return state._replace(
        costs=jnp.asarray(state.costs).at[place].set(result.costs, mode="drop"),
        arrived=jnp.asarray(state.arrived).at[place].set(True, mode="drop"),
    )


def _propose(
    start: Start, context: Landmarks, task: Int[Array, ""], state: LandmarkState, moment: Moment
) -> tuple[LandmarkState, Job]:
    probes = context.probes[task]
    probes_now = moment.num_launched < jnp.sum(probes >= 0)
    waits = ~probes_now & ~jnp.all(state.arrived)
    listed = first_unseen(start_rows(start, context, task, state.costs), state.pool.seen, 1)[0]
    listed = jnp.where(state.num_listed < start.length, listed, -1)
    row = jnp.where(probes_now, probes[jnp.minimum(moment.num_launched, NUM_PROBES - 1)], listed)
    pool = state.pool._replace(seen=marked(state.pool.seen, row))
    found = jnp.sum(row >= 0, dtype=jnp.int32)
    pool, row, valid = filled_up(context.candidates, task, pool, row, found)
    after = state._replace(pool=pool, num_listed=state.num_listed + ~probes_now)
    level = jnp.where(probes_now, 0, 1).astype(jnp.int32)
    return tree_where(waits, state, after), Job(row[0], level, jnp.int32(-1), valid[0] & ~waits)


def start_rows(
    start: Start, context: Landmarks, task: Int[Array, ""], costs: Float[Array, "L m"]
) -> Int[Array, " list"]:
    """Best rows of the other tasks, level by level, those of tasks in which the probes did alike first."""
    other = context.other[task]
    apart = context.known[task] + likeness(context.costs, costs, other, POWERS[start.distance])
    order = jnp.argsort(jnp.where(other, apart, jnp.inf), stable=True)
    rows = jnp.where(other[:, None], context.bank[task], -1)
    return rows[order].T.reshape(-1)


def likeness(
    costs: Float[Array, "T L m"], own: Float[Array, "L m"], other: Bool[Array, " T"], power: int
) -> Float[Array, " T"]:
    """How far each task is from a run by their probes: less is more alike.

    Args:
        costs: of the probes in all tasks.
        own: of the probes in the run.
        other: tasks that may be learnt from; what ``costs`` has of others does not matter.
        power: to which differences are raised.
    """

    def share(values: Float[Array, "L m"]) -> Float[Array, "L m"]:
        better = (costs < values) + 0.5 * (costs == values)
        return jnp.sum(jnp.where(other[:, None, None], better, 0), axis=0) / jnp.sum(other)

    shares, mine = jax.vmap(share)(costs), share(own)
    low = jnp.min(jnp.where(other[:, None, None], shares, jnp.inf), axis=0)
    width = jnp.max(jnp.where(other[:, None, None], shares, -jnp.inf), axis=0) - low
    apart = jnp.where(width > 0, jnp.abs(shares - mine) / jnp.where(width > 0, width, 1), 0)
    return jnp.sum(apart**power, axis=(1, 2))
