"""Evolutionary methods: NSGA-II, SH-EMOA and multi-objective regularised evolution."""

import dataclasses
from fractions import Fraction

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady, Synchronous
from mohb_jax.methods.needs import at_most_objectives
from mohb_jax.methods.schedules import RangeSettings, TrialSettings, one_full
from mohb_jax.promotions import NetSettings
from mohb_jax.schedule import Bracket, full_fidelity, halved_stages
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.mo_rea import mo_rea
from mohb_jax.searchers.nsga2 import nsga2
from mohb_jax.searchers.sh_emoa import sh_emoa
from mohb_jax.settings import Settings, count, setting

MAX_POPULATION = 1000
STAGE_ETA = 2
"""Factor between the fidelities of SH-EMOA's stages, as published."""
STAGE_RANGE = 5
"""SH-EMOA's stages stay above R over this, as published, unless the smallest fidelity is given."""


@dataclasses.dataclass(frozen=True)
class PopulationSettings(Settings):
    """Of NSGA-II.

    Attributes:
        population: members of the population, and configurations of a generation.
    """

    population: int = setting(20, "members of the population", check=count(MAX_POPULATION))


@dataclasses.dataclass(frozen=True)
class StagesSettings(PopulationSettings, TrialSettings, RangeSettings):
    """Of SH-EMOA."""


@dataclasses.dataclass(frozen=True)
class AgeingSettings(PopulationSettings, TrialSettings, NetSettings):
    """Of regularised evolution, which ranks its members by an epsilon-net."""


def _generations(
    table: AnyTable, settings: PopulationSettings, conditions: Conditions
) -> tuple[Bracket, ...]:
    """One generation at a time."""
    del conditions
    return full_fidelity(table.fidelities, settings.population)


def _stages(table: AnyTable, settings: StagesSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    del conditions
    smallest = settings.smallest(table)
    if smallest is None:
        smallest = Fraction(str(table.fidelities[-1])) / STAGE_RANGE
    levels = halved_stages(table.fidelities, STAGE_ETA, smallest)
    return (Bracket((1,) * len(levels), levels),)


def _sh_emoa(table: AnyTable, settings: StagesSettings, conditions: Conditions) -> Policy:
    num_stages = len(_stages(table, settings, conditions)[0].levels)
    return sh_emoa(table.num_objectives, num_stages, settings.population)


def _mo_rea(table: AnyTable, settings: AgeingSettings, conditions: Conditions) -> Policy:
    del conditions
    return mo_rea(table.num_objectives, settings.population, settings.scale, settings.seed_objective)


METHODS = (
    Synchronous(
        "nsga2",
        "NSGA-II: generations at full fidelity, by front, then crowding distance (Deb et al. 2002)",
        settings=PopulationSettings,
        schedule=_generations,
        searcher=lambda own: nsga2(own.population),
        microseconds=0.8,
    ),
    Steady(
        "sh-emoa",
        "steady-state evolution by hypervolume, fidelity rising in stages (Guerrero-Viu et al. 2021)",
        settings=StagesSettings,
        levels=_stages,
        policy=_sh_emoa,
        requires=(at_most_objectives(4),),
        microseconds=16,
    ),
    Steady(
        "mo-rea",
        "multi-objective regularised evolution: the oldest member leaves (Real et al. 2019)",
        settings=AgeingSettings,
        levels=one_full,
        policy=_mo_rea,
        microseconds=4,
    ),
)
