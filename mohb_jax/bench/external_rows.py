"""Optimisers from outside: what the simulation of an evaluation takes beside the optimiser itself."""

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mohb_jax import benchmarks
from mohb_jax.bench.row import Row
from mohb_jax.external.connections import Direct
from mohb_jax.external.lanes import Rules, TaskCells, run_lane
from mohb_jax.external.server import Problem
from mohb_jax.external.wishes import Wishes

JOBS = 1000
REPEATS = 5
BOUND = 0.2
"""Milliseconds per evaluation that were promised."""


class Uniform:
    """Random points: an optimiser that takes next to nothing."""

    def __init__(self, problem: Problem, seed: int, settings: Mapping[str, Any]) -> None:
        self._random, self._columns = random.Random(seed), problem.columns

    def ask(self) -> dict[str, Any]:
        """A point."""
        return {"config": {column.name: self._value(column) for column in self._columns}}

    def tell(self, handle: Any, costs: list[float] | None, seconds: float) -> None:
        """Forgets it."""

    def _value(self, column: Any) -> Any:
        pick = self._random
        return pick.choice(column.levels) if column.levels else pick.uniform(column.low, column.high)


def external() -> Iterator[Row]:
    """Processor time of a run of 1,000 evaluations on ``embedded`` (9,472 rows, 8 columns), without that of
    the optimiser, per evaluation: the least of five runs."""
    table = benchmarks.load("embedded")
    costs, seconds = table.task_cells(0)
    levels = tuple(map(float, table.fidelities))
    cells = TaskCells(costs, seconds, table.measured(0), levels, table.resumable)
    wishes, names = Wishes(table), tuple(goal.name for goal in table.objectives)
    problem = Problem(wishes.columns, names, levels, 4, JOBS, None)
    times = []
    for _ in range(REPEATS):
        optimizer = Direct(Uniform)
        optimizer.begin(problem, 0, {})
        began = time.process_time()
        run_lane(optimizer, wishes, cells, Rules(4, JOBS, np.inf))
        times.append(time.process_time() - began - optimizer.cpu)
    each = 1e3 * min(times) / JOBS
    yield Row("external-overhead", each, "ms", "none", None, f"<= {BOUND:g} ms", each <= BOUND)
