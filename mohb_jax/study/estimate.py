"""What a study takes before it runs: evaluations, memory and a guess of the seconds."""

import json
import statistics
from importlib import resources
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


COMPILE_SECONDS: dict[str, float] = json.loads(
    resources.files("mohb_jax.study").joinpath("compile_seconds.json").read_text("utf-8")
)
"""Compilation of each method from an empty cache, as the bench found it (scripts/performance.py)."""
OTHER_METHODS = statistics.median(COMPILE_SECONDS.values())
"""Likewise, of a method that the bench does not know."""
SECONDS_PER_UNIT = 0.5
"""Tracing what a unit runs, which no cache saves, and writing its results."""
SHARE_OF_A_VARIANT = 0.2
"""What other settings or another number of runs compile anew: in ``studies/ablation.yaml``, 171 s are 0.2 of
what its 192 variants would take one by one."""
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


def compile_seconds(method: str, num_variants: int, is_first: bool) -> float:
    """Compilation of so many variants of a method on one table, if no earlier run left their programs.

    Args:
        method: its name.
        num_variants: different settings, or numbers of runs that advance together.
        is_first: False if the study compiles the method for this table already.
    """
    shares = SHARE_OF_A_VARIANT * num_variants + (1 - SHARE_OF_A_VARIANT) * (is_first and num_variants > 0)
    return shares * COMPILE_SECONDS.get(method, OTHER_METHODS)


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
