"""What a study takes before it runs: evaluations, memory and a guess of the seconds."""

from typing import NamedTuple

import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Plan
from mohb_jax.methods import Method


class LaneSize(NamedTuple):
    """What a lane takes, roughly: it sizes work units and the estimates of ``--dry-run``."""

    evaluations: int
    bytes: int
    seconds: float


SECONDS_PER_PROGRAM = 6.0
"""Compilation of one method on tables of one shape, where no earlier run left it in the cache."""
WORKING_COPIES = 6
"""Copies of a log that a driver holds while it runs."""


def lane_size(table: AnyTable, method: Method, plan: Plan, horizon: float | None) -> LaneSize:
    """Evaluations of a lane from its budget, or from its horizon and the average job of a bracket."""
    if plan.budget is not None:
        evaluations = plan.budget
    else:
        evaluations = int(plan.num_workers * (horizon or 0) / _average_job(table, plan)) + plan.num_workers
    if plan.most_evaluations is not None:
        evaluations = min(evaluations, plan.most_evaluations)
    each = method.microseconds or plan.microseconds
    slot = 32 + 8 * table.num_objectives
    return LaneSize(evaluations, WORKING_COPIES * slot * evaluations, 1e-6 * each * evaluations)


def _average_job(table: AnyTable, plan: Plan) -> float:
    """Seconds, if runtime were proportional to fidelity."""
    full = float(np.mean([table.final_runtime(task).mean() for task in range(table.num_tasks)]))
    share = np.array(table.fidelities, float) / table.fidelities[-1]
    jobs, seconds = 0.0, 0.0
    for bracket in plan.brackets:
        sizes = np.array(plan.jobs_per_rung(bracket), float)
        jobs += sizes.sum()
        seconds += (sizes * np.diff(share[list(bracket.levels)], prepend=0)).sum() * full
    return max(seconds / jobs, full * 1e-4)
