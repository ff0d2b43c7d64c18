"""Optuna's samplers (Akiba et al., "Optuna", KDD 2019), with the library's defaults but for ``population``.

A table has all its columns in every row, so no space is conditional. Failed evaluations are told as FAIL.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Study:
    """One study in memory; a subclass says which sampler."""

    def __init__(self, problem: Any, seed: int, settings: Mapping[str, Any]) -> None:
        self._columns = problem.columns
        self._distributions = {column.name: _distribution(column) for column in problem.columns}
        self._study = optuna.create_study(
            directions=["minimize"] * len(problem.objectives), sampler=self.sampler(seed, **settings)
        )

    def sampler(self, seed: int) -> Any:
        """The sampler; keyword arguments are the method's settings."""
        raise NotImplementedError

    def ask(self) -> dict[str, Any] | None:
        """A new trial, at the highest fidelity: studies of several objectives know no other."""
        trial = self._study.ask(self._distributions)
        config = {column.name: _value(column, trial.params[column.name]) for column in self._columns}
        return {"config": config, "handle": trial.number}

    def tell(self, handle: int, costs: list[float] | None, seconds: float) -> None:
        """Its result."""
        if costs is None:
            self._study.tell(handle, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(handle, costs)


class Random(Study):
    """Independent random points."""

    def sampler(self, seed: int) -> Any:
        return optuna.samplers.RandomSampler(seed=seed)


class Tpe(Study):
    """Tree-structured Parzen estimators, each column by itself, as Optuna does by default."""

    def sampler(self, seed: int) -> Any:
        return optuna.samplers.TPESampler(seed=seed)


class TpeMultivariate(Study):
    """Parzen estimators of all columns together."""

    def sampler(self, seed: int) -> Any:
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)


class Nsga2(Study):
    """NSGA-II."""

    def sampler(self, seed: int, population: int = 20) -> Any:
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)


class Nsga3(Study):
    """NSGA-III."""

    def sampler(self, seed: int, population: int = 20) -> Any:
        return optuna.samplers.NSGAIIISampler(seed=seed, population_size=population)


class Gp(Study):
    """Gaussian processes, which take several objectives and mixed columns."""

    def sampler(self, seed: int) -> Any:
        return optuna.samplers.GPSampler(seed=seed)


def _distribution(column: Any) -> Any:
    """Ordinal levels go by their place, so that the library knows which are neighbours."""
    if column.kind == "categorical":
        return CategoricalDistribution(column.levels)
    if column.kind == "ordinal":
        return IntDistribution(0, len(column.levels) - 1)
    return FloatDistribution(column.low, column.high, log=column.kind == "log")


def _value(column: Any, value: Any) -> Any:
    return column.levels[value] if column.kind == "ordinal" else value
