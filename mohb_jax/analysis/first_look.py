"""What the first runs of a method ended with, while others still run."""

import jax
import numpy as np

from mohb_jax.analysis.curves import benchmark_cells
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.store import AnyUnit, changed
from mohb_jax.types import RunLog

MOST_RUNS = 100
"""Of each task: enough for two digits, and never work that anybody waits for."""


def first_look(table: ResultTable, unit: AnyUnit) -> tuple[float, int]:
    """How far the first runs of a unit came.

    Args:
        table: what of the unit's benchmark may count.
        unit: finished.

    Returns:
        Mean hypervolume at the end relative to the true front's, each task weighing the same; and of how many
        runs. Where runs end by their number of evaluations, the end is that of the last of these runs.

    Raises:
        InputError: the unit is damaged, or is none of this table.
    """
    cells = benchmark_cells(table.name, table, [changed(unit, _first_runs)], [unit.spec["method"]])
    reached = np.mean([cell.final["hypervolume"].mean() for cell in cells])
    return float(reached), sum(cell.runs.size for cell in cells)


def _first_runs(log: RunLog) -> RunLog:
    few = np.flatnonzero(log.run < np.min(log.run) + MOST_RUNS)
    return jax.tree.map(lambda column: column[few], log._replace(outside=None))
