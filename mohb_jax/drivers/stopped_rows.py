"""Runs that use a table up: when no row is left that a run has not seen, rows that were stopped go on.

The method's own run comes first. When its last job has been launched and no unseen row is left, whoever is
free takes a row that was stopped one level higher: the one at the highest level, for it is the nearest to a
full training, and of several the one that was launched there first; failed ones come last. A run ends when
every row has been evaluated at the highest level.

That is the same for all drivers, knows only what simulated time has produced, and happens on the host: few
runs are on a table so small, and all others go through the drivers as if it did not exist.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Plan
from mohb_jax.drivers.lanes import blanked, with_slots
from mohb_jax.types import RunLog


def may_use_up(table: AnyTable, tasks: Sequence[int], plan: Plan, horizon: Sequence[float]) -> bool:
    """Whether a run may have seen every row of its task before it ends, and leave some below the highest
    fidelity; where it is False, that is certain.

    Args:
        table: what is run on.
        tasks: indices of the tasks that are run.
        plan: the runs, in terms of the table's fidelities.
        horizon: simulated seconds of a run on each task.
    """
    levels = plan.levels()
    limits = [limit for limit in (plan.budget, plan.num_trials) if limit is not None]
    fewest = min(int(table.measured(task).sum()) for task in tasks)
    if len(set(levels)) == 1 or (limits and min(limits) <= fewest):
        return False
    pairs = zip(tasks, horizon, strict=True)
    return any(
        _seconds_of_all(table, task, levels[0], plan.num_workers) <= seconds for task, seconds in pairs
    )


def _seconds_of_all(table: AnyTable, task: int, level: int, num_workers: int) -> float:
    """Seconds before which the workers cannot have launched all rows, each at a level or above."""
    seconds = table.runtime_of(task, np.arange(table.num_rows), level)
    total = float(seconds[table.measured(task)].sum())
    return total / num_workers - float(seconds.max(initial=0))


class _Ladder(NamedTuple):
    """A task as seen from the levels that a method uses, ascending."""

    fidelity: Int[np.ndarray, " levels"]
    """Index of each level into the table's fidelities."""
    offered: Bool[np.ndarray, " rows"]
    """The rows that can be proposed."""
    costs: Float[np.ndarray, "rows levels objectives"]
    seconds: Float[np.ndarray, "rows levels"]


class _Job(NamedTuple):
    """An evaluation."""

    row: int
    level: int
    start: float
    end: float
    worker: int


def with_stopped_rows(
    log: RunLog, table: AnyTable, plan: Plan, horizon: Float[np.ndarray, " lanes"], resumable: bool
) -> RunLog:
    """The whole log of runs whose own part is given.

    Args:
        log: also with jobs that were launched and end after the horizon, or beyond the budget; tasks and
            fidelities are those of the table.
        table: what it ran on.
        plan: the runs, in terms of the table's fidelities.
        horizon: seconds of each lane.
        resumable: True if going on pays only the difference in runtime.

    Returns:
        A log as any other. Lanes that have not seen every row are as they were.
    """
    log = jax.tree.map(np.array, log)
    most = np.inf if plan.budget is None else plan.budget
    for task in np.unique(log.task).tolist():
        ladder, own = _ladder(table, task, plan), np.flatnonzero(log.task == task)
        if plan.num_trials is not None and plan.num_trials <= ladder.offered.sum():
            continue  # the run has ended as it was told to
        for lane in own[_have_seen_all(log, own, ladder.offered)].tolist():
            past = _closed_up(log, lane, ladder)
            jobs = _resumed(past, ladder, plan.num_workers, horizon[lane], most, resumable)
            log = _written(log, lane, len(past), jobs, ladder)
    return _cut(log, plan.budget, horizon)


def _ladder(table: AnyTable, task: int, plan: Plan) -> _Ladder:
    levels = np.unique(plan.levels())
    costs, seconds = table.look_up(task, np.arange(table.num_rows)[:, None], levels)
    return _Ladder(levels, np.asarray(table.measured(task)), costs, seconds)


def _have_seen_all(
    log: RunLog, lanes: Int[np.ndarray, " some"], offered: Bool[np.ndarray, " rows"]
) -> Bool[np.ndarray, " some"]:
    """Which lanes have launched every row that their task offers."""
    place, slot = np.nonzero(log.valid[lanes])
    seen = np.zeros((len(lanes), len(offered)), bool)
    seen[place, log.row[lanes][place, slot]] = True
    return np.all(seen | ~offered, axis=1)


def _closed_up(log: RunLog, lane: int, ladder: _Ladder) -> list[_Job]:
    """The jobs of a lane, whose slots move together in the log: brackets without rows leave gaps."""
    order = np.argsort(~log.valid[lane], kind="stable")
    for field in log.slots:
        field[lane] = field[lane][order]
    level = np.searchsorted(ladder.fidelity, log.fidelity[lane])
    fields = (log.row[lane], level, log.start[lane], log.end[lane], log.worker[lane])
    count = int(log.valid[lane].sum())
    return list(map(_Job, *(field[:count].tolist() for field in fields)))


def _resumed(
    past: Sequence[_Job],
    ladder: _Ladder,
    num_workers: int,
    horizon: float,
    most: float | int,
    resumable: bool,
) -> list[_Job]:
    """What follows the jobs of a run that has seen all rows, until it has launched the most that it may."""
    last_launch = max(job.start for job in past)
    ends = [[job.end for job in past if job.worker == worker] for worker in range(num_workers)]
    free = [(max([last_launch, *own]), worker) for worker, own in enumerate(ends)]
    heapq.heapify(free)
    highest, top = {job.row: max(0, job.level) for job in past}, len(ladder.fidelity) - 1
    for job in past:
        highest[job.row] = max(highest[job.row], job.level)
    launched = enumerate(past)
    running = [(job.end, number, job) for number, job in launched if highest[job.row] == job.level < top]
    heapq.heapify(running)
    failed, seconds = ~np.isfinite(ladder.costs).all(axis=2), ladder.seconds
    stopped: list[tuple[bool, int, int, int]] = []
    jobs: list[_Job] = []
    while len(past) + len(jobs) < most and (running or stopped):
        time, worker = free[0]
        time = time if stopped else max(time, running[0][0])
        while running and running[0][0] <= time:
            _, number, job = heapq.heappop(running)
            heapq.heappush(stopped, (bool(failed[job.row, job.level]), -job.level, number, job.row))
        if time >= horizon:
            break
        _, below, _, row = heapq.heappop(stopped)
        paid = float(seconds[row, -below]) if resumable else 0.0
        end = time + (float(seconds[row, 1 - below]) - paid)
        jobs.append(_Job(row, 1 - below, time, end, worker))
        heapq.heapreplace(free, (end, worker))
        if 1 - below < top:
            heapq.heappush(running, (end, len(past) + len(jobs) - 1, jobs[-1]))
    return jobs


def _written(log: RunLog, lane: int, first: int, jobs: Sequence[_Job], ladder: _Ladder) -> RunLog:
    """The log with the jobs in a lane's slots from ``first`` on, longer if it has to be."""
    own = slice(first, first + len(jobs))
    if own.stop > log.valid.shape[1]:
        longer = max(own.stop, 2 * log.valid.shape[1])
        fields = (with_slots(np.asarray(field), longer) for field in log.slots)
        log = RunLog.of(*log[:2], *fields, outside=log.outside)
    if jobs:
        row, level, start, end, worker = map(np.array, zip(*jobs, strict=True))
        values = (row, ladder.fidelity[level], ladder.costs[row, level], start, end, worker, True)
        for field, value in zip(log.slots, values, strict=True):
            field[lane, own] = value
    return log


def _cut(log: RunLog, budget: int | None, horizon: Float[np.ndarray, " lanes"]) -> RunLog:
    """Without what ended after the horizon or was launched beyond the budget."""
    fields = [field[:, :budget] for field in log.slots]
    *others, valid = fields
    counts = valid & (log.end[:, :budget] <= np.asarray(horizon)[:, None])
    width = (
        valid.shape[1] if budget is not None else int(np.flatnonzero(counts.any(axis=0)).max(initial=-1)) + 1
    )
    kept = blanked(counts[:, :width], *(field[:, :width] for field in others))
    return RunLog.of(*log[:2], *kept, outside=log.outside)
