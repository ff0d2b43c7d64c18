"""Gaussian processes that learn from every fidelity, and choose one for each job."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import FIDELITIES, at_most_objectives
from mohb_jax.methods.schedules import ReductionSettings
from mohb_jax.schedule import Bracket, asha_rungs
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.momf import trusted_hypervolume


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


METHODS = (
    Steady(
        "momf",
        "expected hypervolume improvement with trust as an objective, over cost (Irshad et al. 2024)",
        settings=ReductionSettings,
        levels=_ladder,
        policy=_momf,
        requires=(FIDELITIES, at_most_objectives(3)),
        microseconds=1000,
    ),
)
