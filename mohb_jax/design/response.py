"""What a tuning run is worth to a design: the share of the true front's hypervolume, over time.

Volumes are counted by points: a task has ``POINTS`` of them, uniform in what its true front dominates, and a
row covers those that it dominates. A set of rows covers the union, which is one ``or`` of bits, whatever the
number of objectives. All runs of a task are measured by the same points.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt64

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import REFERENCE_POINT, normalisation, true_front
from mohb_jax.types import RunLog

POINTS = 1024
MOMENTS = tuple(2.0**-k for k in (5, 4, 3, 2, 1, 0))
"""Shares of the horizon at which a run is looked at: the area is that under time on a logarithmic scale."""
_BATCH = 4096


class Measure(NamedTuple):
    """Which points each row of a table covers."""

    covered: UInt64[np.ndarray, "tasks rows words"]


def measure(table: AnyTable, seed: int = 0) -> Measure:
    """The points of each task, and what its rows cover of them at the highest fidelity."""
    scale, rng = normalisation(table), np.random.default_rng(seed)
    covered = np.zeros((table.num_tasks, table.num_rows, POINTS // 64), np.uint64)
    for task in range(table.num_tasks):
        front = scale.apply(table.costs_of(task, true_front(table, task)), task)
        points = _dominated(front, rng)
        rows = np.flatnonzero(table.final_available(task))
        costs = scale.apply(table.costs_of(task, rows), task)
        inside = np.ones((len(rows), POINTS), bool)
        for objective in range(table.num_objectives):
            inside &= costs[:, objective, None] <= points[None, :, objective]
        covered[task, rows] = np.packbits(inside, axis=1, bitorder="little").view(np.uint64)
    return Measure(covered)


def _dominated(
    front: Float[np.ndarray, "front m"], rng: np.random.Generator
) -> Float[np.ndarray, "points m"]:
    """Points that some row of a front dominates."""
    low, found, count = front.min(axis=0), [], 0
    while count < POINTS:
        points = rng.uniform(low, REFERENCE_POINT, (_BATCH, front.shape[1]))
        inside = np.all(front[None] <= points[:, None], axis=2)
        points = points[np.any(inside, axis=1)]
        found.append(points)
        count += len(points)
    return np.concatenate(found)[:POINTS]


def shares(
    own: Measure, log: RunLog, highest: int, horizon: Float[np.ndarray, " lanes"]
) -> Float[np.ndarray, "lanes moments"]:
    """What each run had covered at each of ``MOMENTS``, from 0 to 1; results of full trainings count.

    Args:
        own: of the table.
        log: of its runs.
        highest: the highest fidelity, as the log has it.
        horizon: seconds of each lane.
    """
    counts = log.valid & (log.fidelity == highest)
    lane, slot = np.nonzero(counts)
    ends = np.array(MOMENTS)[None] * horizon[:, None] * (1 + 1e-9)
    moment = (log.end[lane, slot][:, None] > ends[lane]).sum(axis=1)
    kept = moment < len(MOMENTS)
    lane, slot, moment = lane[kept], slot[kept], moment[kept]
    bits = np.zeros((len(log.task), len(MOMENTS), own.covered.shape[2]), np.uint64)
    group = lane * len(MOMENTS) + moment
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if len(starts):
        rows = own.covered[log.task[lane[order]], log.row[lane[order], slot[order]]]
        bits.reshape(-1, bits.shape[2])[group[order][starts]] = np.bitwise_or.reduceat(rows, starts, axis=0)
    grown = np.bitwise_or.accumulate(bits, axis=1)
    return np.bitwise_count(grown).sum(axis=2) / POINTS


def response(shares: Float[np.ndarray, "lanes moments"]) -> Float[np.ndarray, " lanes"]:
    """One number per run, larger is better: the mean of the area under the curve and of its end."""
    area = np.trapezoid(shares, axis=1) / (shares.shape[1] - 1)
    return (area + shares[:, -1]) / 2
