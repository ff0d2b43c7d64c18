"""Gaussian processes that learn from every fidelity, and choose one for each job."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import (
    ERROR_AND_PRICE,
    FIDELITIES,
    SHARES,
    at_most_objectives,
    error_objective,
    price_objective,
)
from mohb_jax.methods.schedules import ReductionSettings
from mohb_jax.schedule import Bracket, asha_rungs
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.momf import trusted_hypervolume
from mohb_jax.searchers.trimtuner import Goal, trimtuner
from mohb_jax.settings import positive, setting


@dataclasses.dataclass(frozen=True)
class LimitedSettings(ReductionSettings):
    """Of a method that looks for the least error within a limit.

    Attributes:
        error: name of the objective that is minimised; None for the first that is a share.
        price: name of the objective that is paid, and limited; None for the first in USD, or in s.
        limit: most of it at the highest fidelity, in its unit; None for no limit.
    """

    error: str | None = setting(None, "objective that is minimised; by default the first that is a share")
    price: str | None = setting(None, "objective that is paid, and limited; by default in USD, or else in s")
    limit: float | int | None = setting(
        None, "most of the price at the highest fidelity; by default no limit", check=positive
    )


def _ladder(table: AnyTable, settings: ReductionSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    """The rungs of asynchronous halving: each a factor above the one before."""
    del conditions
    levels = asha_rungs(table.fidelities, settings.eta, settings.smallest(table))[0]
    return (Bracket((1,) * len(levels), levels),)


def _is_resumed(table: AnyTable, conditions: Conditions) -> bool:
    return table.resumable if conditions.resumable is None else conditions.resumable


def _momf(table: AnyTable, settings: ReductionSettings, conditions: Conditions) -> Policy:
    levels = _ladder(table, settings, conditions)[0].levels
    problem = problem_of(table, conditions.workers)
    trusted = dataclasses.replace(problem, num_objectives=table.num_objectives + 1)
    return trusted_hypervolume(trusted, levels, _is_resumed(table, conditions))


def _trimtuner(table: AnyTable, settings: LimitedSettings, conditions: Conditions) -> Policy:
    levels = _ladder(table, settings, conditions)[0].levels
    error, price = error_objective(table, settings.error), price_objective(table, settings.price)
    assert error is not None, "its need was met"
    assert price is not None, "its need was met"
    limit = None if settings.limit is None else float(settings.limit)
    goal = Goal(error, SHARES[table.objectives[error].unit], price, limit)
    problem = dataclasses.replace(
        problem_of(table, conditions.workers),
        num_objectives=table.num_objectives + 1,
        num_initial=max(len(levels) - 1, 1),
    )
    return trimtuner(problem, goal, levels, _is_resumed(table, conditions))


METHODS = (
    Steady(
        "momf",
        "expected hypervolume improvement with trust as an objective, over cost (Irshad et al. 2024)",
        settings=ReductionSettings,
        levels=_ladder,
        policy=_momf,
        requires=(FIDELITIES, at_most_objectives(3)),
        microseconds=800,
    ),
    Steady(
        "trimtuner-cea",
        "least error within a limit: information per price, from sub-samples (Mendes et al. 2020)",
        settings=LimitedSettings,
        levels=_ladder,
        policy=_trimtuner,
        requires=(FIDELITIES, ERROR_AND_PRICE),
        microseconds=1800,
    ),
)
