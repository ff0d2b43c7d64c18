"""BOHB: Hyperband with densities of good and of bad configurations."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.methods.needs import at_most_objectives
from mohb_jax.methods.schedules import BracketSettings, waiting_brackets
from mohb_jax.promotions import PromotionSettings
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.searchers.bohb import bohb
from mohb_jax.searchers.mo_bohb import NUM_INITIAL, mo_bohb


@dataclasses.dataclass(frozen=True)
class BohbSettings(PromotionSettings, BracketSettings):
    """Of Hyperband whose searcher learns: it waits for the end of every rung."""


def _random_opening(table: AnyTable, settings: BohbSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    """What MO-BOHB evaluates before its first bracket."""
    del settings, conditions
    return full_fidelity(table.fidelities, NUM_INITIAL)


METHODS = (
    Synchronous(
        "bohb",
        "Hyperband with densities of good and bad configurations, first objective (Falkner et al. 2018)",
        settings=BohbSettings,
        schedule=waiting_brackets,
        searcher=lambda own: bohb(),
        microseconds=34,
    ),
    Synchronous(
        "mo-bohb",
        "Hyperband with multi-objective densities, column by column (Guerrero-Viu et al. 2021)",
        settings=BohbSettings,
        schedule=waiting_brackets,
        searcher=lambda own: mo_bohb(),
        promotion="hvc",
        opening=_random_opening,
        requires=(at_most_objectives(4),),  # its densities split by hypervolume, whatever promotes
        microseconds=50,
    ),
)
