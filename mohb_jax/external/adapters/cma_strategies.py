"""CMA-ES (Hansen, "pycma") for several objectives: each generation minimises another scalarisation of them.

The library minimises one value, so the sum over objectives is ours: costs between the best and the worst so
far become 0 and 1, and of a weight drawn for the generation the augmented Tchebycheff sum is taken (Knowles,
"ParEGO", IEEE TEC 2006). Columns are numbers between 0 and 1 (log columns after the logarithm, ordinal levels
by place); a strategy that has converged begins again.
"""

from collections.abc import Mapping
from typing import Any

import cma
import numpy as np

RHO = 0.05
"""Weight of the sum beside the largest part, as in ParEGO."""
STEP = 0.3
"""First standard deviation, of a range of 1: what the library's documents advise."""


class Parego:
    """One run."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        self._columns, self._num_objectives = problem.columns, len(problem.objectives)
        self._random = np.random.default_rng(seed)
        self._told: dict[int, list[float] | None] = {}
        self._history: list[list[float]] = []
        self._waiting: list[int] = []
        self._begin()

    def ask(self) -> dict[str, Any] | None:
        """The next of the generation; a new generation once all of the last was told."""
        if not self._waiting and len(self._told) < len(self._generation):
            return None
        if not self._waiting:
            self._strategy.tell(self._generation, self._values())
            if self._strategy.stop():
                self._begin()
            self._next_generation()
        place = self._waiting.pop(0)
        point = self._generation[place]
        config = {column.name: _value(column, at) for column, at in zip(self._columns, point, strict=True)}
        return {"config": config, "handle": place}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """A result of the present generation."""
        self._told[handle] = costs
        if costs is not None:
            self._history.append(costs)

    def _begin(self) -> None:
        options = {"bounds": [0, 1], "seed": int(self._random.integers(1, 2**31)), "verbose": -9}
        self._strategy = cma.CMAEvolutionStrategy([0.5] * len(self._columns), STEP, options)
        self._next_generation()

    def _next_generation(self) -> None:
        self._generation = self._strategy.ask()
        self._waiting, self._told = list(range(len(self._generation))), {}

    def _values(self) -> list[float]:
        """What the strategy minimises; failures are worse than all that did not fail."""
        weight = self._random.dirichlet(np.ones(self._num_objectives))
        seen = np.array(self._history).reshape(-1, self._num_objectives)
        low = seen.min(axis=0, initial=np.inf)
        span = np.maximum(seen.max(axis=0, initial=-np.inf) - low, 1e-12)
        values = []
        for place in range(len(self._generation)):
            costs = self._told[place]
            part = np.full(self._num_objectives, 2.0) if costs is None else (np.array(costs) - low) / span
            values.append(float((weight * part).max() + RHO * (weight * part).sum()))
        return values


def _value(column: Any, at: float) -> Any:
    if column.levels:
        return column.levels[min(int(at * len(column.levels)), len(column.levels) - 1)]
    low, high = np.log([column.low, column.high]) if column.kind == "log" else (column.low, column.high)
    value = low + at * (high - low)
    return float(np.clip(np.exp(value) if column.kind == "log" else value, column.low, column.high))
