"""Schedulers of Syne Tune (Salinas et al., "Syne Tune", AutoML 2022), asked and told without its backends.

Failed evaluations are told as errors. MO-ASHA draws from NumPy's global state, which a run seeds.
"""

import datetime
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from syne_tune import config_space as cs
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

logging.getLogger("syne_tune").setLevel(logging.ERROR)
RESOURCE = "resource"


class Scheduler:
    """One run; a subclass says which scheduler."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        np.random.seed(seed)  # noqa: NPY002 - the library's own
        self._columns, self._objectives = problem.columns, list(problem.objectives)
        self.fidelities = problem.fidelities
        self._trials: list[Trial] = []
        space = {column.name: _domain(column) for column in problem.columns}
        self.scheduler = self.make(space, self._objectives, seed, **settings)

    def make(self, space: dict[str, Any], objectives: list[str], seed: int) -> Any:
        """The scheduler; keyword arguments are the method's settings."""
        raise NotImplementedError

    def new_trial(self) -> Trial:
        """A configuration that the scheduler suggests."""
        suggested = self.scheduler.suggest()
        trial = Trial(len(self._trials), suggested.config, datetime.datetime.min)
        self._trials.append(trial)
        self.scheduler.on_trial_add(trial)
        return trial

    def config(self, trial: Trial) -> dict[str, Any]:
        """Its configuration, in terms of the table."""
        return {column.name: _value(column, trial.config[column.name]) for column in self._columns}

    def trial(self, number: int) -> Trial:
        """A trial by its number."""
        return self._trials[number]

    def result(self, costs: list[float], **more: float) -> dict[str, float]:
        """Costs as the library's reports have them."""
        return dict(zip(self._objectives, costs, strict=True)) | more


class Morea(Scheduler):
    """Regularised evolution whose parents are chosen by non-dominated sorting, at the highest fidelity."""

    def make(self, space: dict[str, Any], objectives: list[str], seed: int, population: int = 20) -> Any:
        searcher = MultiObjectiveRegularizedEvolution(space, population_size=population, random_seed=seed)
        return SingleFidelityScheduler(space, objectives, searcher=searcher, random_seed=seed)

    def ask(self) -> dict[str, Any] | None:
        """A new trial."""
        trial = self.new_trial()
        return {"config": self.config(trial), "handle": trial.trial_id}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """Its result."""
        trial = self.trial(handle)
        if costs is None:
            self.scheduler.on_trial_error(trial)
        else:
            self.scheduler.on_trial_complete(trial, self.result(costs))


class Moasha(Scheduler):
    """MO-ASHA: a trial reports at each rung, and stops or goes on; one that goes on is asked for next."""

    def make(self, space: dict[str, Any], objectives: list[str], seed: int) -> Any:
        self._going_on: list[tuple[Trial, int]] = []
        scheduler = MOASHA(
            space,
            objectives,
            time_attr=RESOURCE,
            max_t=self.fidelities[-1],
            grace_period=self.fidelities[0],
            random_seed=seed,
        )
        steps = sorted(milestone for milestone, _ in scheduler.brackets[0].rungs)
        stored = (next(f for f in self.fidelities if _reaches(f, step)) for step in steps)
        self._rungs = sorted({*stored, self.fidelities[-1]})
        return scheduler

    def ask(self) -> dict[str, Any] | None:
        """The next rung of a trial that goes on, else a new trial at the lowest."""
        trial, rung = self._going_on.pop(0) if self._going_on else (self.new_trial(), 0)
        earlier = (trial.trial_id, rung - 1) if rung else None
        config = None if rung else self.config(trial)
        handle = (trial.trial_id, rung)
        return {"config": config, "fidelity": self._rungs[rung], "handle": handle, "resumes": earlier}

    def tell(self, handle: tuple[int, int], costs: list[float] | None, seconds: float) -> None:
        """A report."""
        trial, rung = self.trial(handle[0]), handle[1]
        if costs is None:
            self.scheduler.on_trial_error(trial)
            return
        report = self.result(costs, **{RESOURCE: self._rungs[rung]})
        goes_on = self.scheduler.on_trial_result(trial, report) == SchedulerDecision.CONTINUE
        if goes_on and rung + 1 < len(self._rungs):
            self._going_on.append((trial, rung + 1))


def _reaches(fidelity: float, milestone: float) -> bool:
    return fidelity >= milestone or math.isclose(fidelity, milestone)


def _domain(column: Any) -> Any:
    if column.kind == "categorical":
        return cs.choice(list(column.levels))
    if column.kind == "ordinal":
        return cs.randint(0, len(column.levels) - 1)
    if column.low == column.high:
        return column.low
    return (cs.loguniform if column.kind == "log" else cs.uniform)(column.low, column.high)


def _value(column: Any, value: Any) -> Any:
    if column.kind == "ordinal":
        return column.levels[int(value)]
    if column.kind == "categorical":
        return value
    return min(max(float(value), column.low), column.high)
