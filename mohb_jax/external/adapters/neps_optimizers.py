"""Optimisers of NePS (automl/neps), asked and told without its runtime; mostly in an environment of its own.

Its fidelities become the lowest stored one that is not below; a rung that adds nothing has the known result.
It draws from the global states of Python, NumPy and torch, which a run seeds. Failed evaluations are told
with the worst objectives that were seen.
"""

import math
import random
from collections.abc import Mapping
from typing import Any

import neps
import numpy as np
import torch
from neps.optimizers.algorithms import mo_hyperband

FIDELITY = "fidelity"
UNKNOWN = 1e6
"""Objective of a failure before anything else was seen."""


class Bracket:
    """One run; a subclass says which optimiser."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the library's own
        torch.manual_seed(seed)
        self._columns, self._fidelities = problem.columns, problem.fidelities
        self._worst = [UNKNOWN] * len(problem.objectives)
        self._optimizer = neps.AskAndTell(self.make(_space(problem)))
        self._reached: dict[str, tuple[float, list[float]]] = {}

    def make(self, space: Any) -> Any:
        """The optimiser."""
        raise NotImplementedError

    def ask(self) -> dict[str, Any] | None:
        """A new trial, or a rung of an earlier one."""
        while True:
            trial = self._optimizer.ask()
            asked = trial.config[FIDELITY]
            stored = next(f for f in self._fidelities if f >= asked or math.isclose(f, asked))
            before = trial.metadata.previous_trial_id
            if before is None or stored > self._reached[before][0]:
                break
            self._reached[trial.id] = self._reached[before]
            self._optimizer.tell(trial, {"objective_to_minimize": self._reached[before][1]})
        self._reached[trial.id] = (stored, [])
        config = {c.name: _value(c, trial.config[str(p)]) for p, c in enumerate(self._columns)}
        return {"config": config, "fidelity": stored, "handle": trial.id, "resumes": before}

    def tell(self, handle: str, costs: list[float] | None, seconds: float) -> None:
        """The result of a trial."""
        if costs is not None:
            known = self._worst != [UNKNOWN] * len(costs)
            self._worst = [max(pair) for pair in zip(self._worst, costs, strict=True)] if known else costs
        told = self._worst if costs is None else costs
        self._reached[handle] = (self._reached[handle][0], told)
        self._optimizer.tell(handle, {"objective_to_minimize": told})


class MoHyperband(Bracket):
    """Hyperband that promotes by an epsilon net."""

    def make(self, space: Any) -> Any:
        return mo_hyperband(space)


def _space(problem: Any) -> Any:
    """Columns by their places, ordinal levels by place."""
    own: dict[str, Any] = {str(place): _parameter(column) for place, column in enumerate(problem.columns)}
    low, high = problem.fidelities[0], problem.fidelities[-1]
    whole = all(float(f).is_integer() for f in problem.fidelities)
    kind = neps.HPOInteger if whole else neps.HPOFloat
    own[FIDELITY] = kind(int(low) if whole else low, int(high) if whole else high, is_fidelity=True)
    return neps.SearchSpace(own)


def _parameter(column: Any) -> Any:
    if column.kind == "categorical":
        return neps.HPOCategorical(list(range(len(column.levels))))
    if column.kind == "ordinal":
        return neps.HPOInteger(0, len(column.levels) - 1)
    return neps.HPOFloat(column.low, column.high, log=column.kind == "log")


def _value(column: Any, value: Any) -> Any:
    return column.levels[int(value)] if column.levels else min(max(float(value), column.low), column.high)
