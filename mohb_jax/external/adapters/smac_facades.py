"""Facades of SMAC3 (Lindauer et al., "SMAC3", JMLR 2022), asked and told, with the library's defaults.

Its initial design is sized by the number of trials: the run's budget, or 100 (the library's default) where a
horizon ends it. Failed evaluations are told as crashed, with the worst costs so far. Nothing is written but
into a temporary folder.
"""

import math
import tempfile
from collections.abc import Mapping
from typing import Any

from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Constant, Float, Integer
from smac import HyperparameterOptimizationFacade, MultiFidelityFacade, Scenario
from smac.multi_objective.parego import ParEGO
from smac.runhistory import StatusType, TrialValue

DEFAULT_TRIALS = 100
UNKNOWN = 1e6
"""Cost of a failure before anything else was seen."""


class Facade:
    """One run; a subclass says which facade."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        self._columns, self._fidelities = problem.columns, problem.fidelities
        self._worst = [UNKNOWN] * len(problem.objectives)
        self._infos: list[Any] = []
        self._folder = tempfile.TemporaryDirectory()
        many = len(problem.objectives) > 1
        scenario = Scenario(
            _space(problem.columns),
            output_directory=self._folder.name,
            deterministic=True,
            objectives=list(problem.objectives) if many else problem.objectives[0],
            n_trials=problem.evaluations or DEFAULT_TRIALS,
            seed=seed % 2**31,
            **self.budgets(),
        )
        self._first, self._many = True, many
        self._facade = self.make(scenario)

    def budgets(self) -> dict[str, float]:
        """The lowest and the highest, where there are several."""
        return {}

    def make(self, scenario: Scenario) -> Any:
        """The facade."""
        raise NotImplementedError

    def suggested(self) -> int:
        """Number of the next trial."""
        self._infos.append(self._facade.ask())
        return len(self._infos) - 1

    def config(self, number: int) -> dict[str, Any]:
        """A trial's configuration, in terms of the table."""
        wanted = self._infos[number].config
        return {column.name: _value(column, wanted[str(place)]) for place, column in enumerate(self._columns)}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """The result of a trial."""
        status = StatusType.CRASHED if costs is None else StatusType.SUCCESS
        if costs is not None:
            own = costs if self._first else list(map(max, self._worst, costs))
            self._worst, self._first = list(own), False
        told = self._worst if costs is None else costs
        value = TrialValue(cost=told if self._many else told[0], time=seconds, status=status)
        self._facade.tell(self._infos[handle], value, save=False)


class Parego(Facade):
    """Random forests on a scalarisation with new weights for each proposal, at the highest fidelity."""

    def make(self, scenario: Scenario) -> Any:
        facade = HyperparameterOptimizationFacade
        algorithm = ParEGO(scenario) if isinstance(scenario.objectives, list) else None
        return facade(
            scenario, None, multi_objective_algorithm=algorithm, overwrite=True, logging_level=False
        )

    def ask(self) -> dict[str, Any] | None:
        """A new trial."""
        number = self.suggested()
        return {"config": self.config(number), "handle": number}


class Hyperband(Facade):
    """Random forests in Hyperband; budgets become the lowest stored fidelity that is not below."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        super().__init__(problem, seed, settings)
        self._reached: dict[Any, tuple[int, float, list[float] | None]] = {}
        self._level: dict[int, float] = {}

    def budgets(self) -> dict[str, float]:
        return {"min_budget": self._fidelities[0], "max_budget": self._fidelities[-1]}

    def make(self, scenario: Scenario) -> Any:
        # By default 2.4.1 fails an assertion once two incumbents of several objectives differ in budget.
        rungs = MultiFidelityFacade.get_intensifier(scenario, incumbent_selection="highest_budget")
        return MultiFidelityFacade(scenario, None, intensifier=rungs, overwrite=True, logging_level=False)

    def ask(self) -> dict[str, Any] | None:
        """A new trial, or one that goes on; a budget that adds nothing to a trial has the known result."""
        while True:
            number = self.suggested()
            info = self._infos[number]
            fidelity = next(f for f in self._fidelities if f >= info.budget or math.isclose(f, info.budget))
            before = self._reached.get(info.config)
            if before is None or fidelity > before[1]:
                break
            super().tell(number, before[2], 0.0)
        self._level[number] = fidelity
        proposal = {"config": self.config(number), "fidelity": fidelity, "handle": number}
        return proposal if before is None else proposal | {"resumes": before[0]}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """The result of a trial."""
        self._reached[self._infos[handle].config] = (handle, self._level[handle], costs)
        super().tell(handle, costs, seconds)


def _space(columns: Any) -> ConfigurationSpace:
    """Columns by their places: the library forbids some characters in names. Ordinal levels go by place."""
    space = ConfigurationSpace()
    for place, column in enumerate(columns):
        name = str(place)
        if column.kind == "categorical":
            space.add(CategoricalHyperparameter(name, list(range(len(column.levels)))))
        elif column.kind == "ordinal" and len(column.levels) > 1:
            space.add(Integer(name, (0, len(column.levels) - 1)))
        elif column.low == column.high:
            space.add(Constant(name, 0 if column.levels else column.low))
        else:
            space.add(Float(name, (column.low, column.high), log=column.kind == "log"))
    return space


def _value(column: Any, value: Any) -> Any:
    return column.levels[int(value)] if column.levels else min(max(float(value), column.low), column.high)
