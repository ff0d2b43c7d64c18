"""Algorithms of pymoo (Blank and Deb, "pymoo", IEEE Access 2020), asked for a generation at a time.

A generation is evaluated as workers become free and told when all of it is in, as the library wants it.
Variables are mixed: real (log columns after the logarithm), whole (ordinal levels by place) and choices.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination
from pymoo.core.variable import Choice, Integer, Real
from pymoo.problems.static import StaticProblem

FAILED = 1e30
"""All costs of an evaluation that failed."""


class Algorithm:
    """One run of an algorithm; a subclass says which."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        self._columns = problem.columns
        variables = {column.name: _variable(column) for column in problem.columns}
        self._problem = PymooProblem(vars=variables, n_obj=len(problem.objectives))
        self._algorithm = self.make(settings.get("population", 20))
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=seed, verbose=False)
        self._generation: Any = ()
        self._waiting: list[int] = []
        self._costs: dict[int, list[float]] = {}

    def make(self, population: int) -> Any:
        """The algorithm."""
        raise NotImplementedError

    def ask(self) -> dict[str, Any] | None:
        """The next of the generation; a new generation once all of the last was told."""
        if not self._waiting and len(self._costs) < len(self._generation):
            return None
        if not self._waiting:
            self._new_generation()
        place = self._waiting.pop(0)
        wanted = self._generation[place].X
        return {"config": {c.name: _value(c, wanted[c.name]) for c in self._columns}, "handle": place}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """A result of the present generation."""
        self._costs[handle] = [FAILED] * self._problem.n_obj if costs is None else costs

    def _new_generation(self) -> None:
        if self._costs:
            found = np.array([self._costs[place] for place in range(len(self._generation))])
            self._algorithm.evaluator.eval(StaticProblem(self._problem, F=found), self._generation)
            self._algorithm.tell(infills=self._generation)
        self._generation = self._algorithm.ask()
        self._waiting, self._costs = list(range(len(self._generation))), {}


def _mixed(kind: Any, population: int) -> Any:
    """As the library's own ``MixedVariableGA`` puts an algorithm together."""
    duplicates = MixedVariableDuplicateElimination()
    return kind(
        pop_size=population,
        sampling=MixedVariableSampling(),
        mating=MixedVariableMating(eliminate_duplicates=duplicates),
        eliminate_duplicates=duplicates,
    )


class Nsga2(Algorithm):
    """NSGA-II."""

    def make(self, population: int) -> Any:
        return _mixed(NSGA2, population)


class SmsEmoa(Algorithm):
    """SMS-EMOA."""

    def make(self, population: int) -> Any:
        return _mixed(SMSEMOA, population)


def _variable(column: Any) -> Any:
    if column.kind == "categorical":
        return Choice(options=list(column.levels))
    if column.kind == "ordinal":
        return Integer(bounds=(0, len(column.levels) - 1))
    if column.kind == "log":
        return Real(bounds=(np.log(column.low), np.log(column.high)))
    return Real(bounds=(column.low, column.high))


def _value(column: Any, value: Any) -> Any:
    if column.kind == "ordinal":
        return column.levels[int(value)]
    if column.kind == "categorical":
        return value
    return float(np.clip(np.exp(value), column.low, column.high)) if column.kind == "log" else float(value)
