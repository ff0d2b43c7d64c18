"""MOTPE: densities of good and of bad configurations, asked by every worker that becomes free."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import at_most_objectives
from mohb_jax.methods.schedules import TrialSettings, one_full
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.motpe import motpe
from mohb_jax.searchers.motpe_transfer import motpe_transfer
from mohb_jax.settings import count, setting

MOST_KNOWN = 1000
"""Results of each other task: all of them are in every density."""


@dataclasses.dataclass(frozen=True)
class ParzenSettings(TrialSettings):
    """Of densities that chance opens.

    Attributes:
        initial: results of random configurations before the densities choose.
    """

    initial: int = setting(10, "results of random configurations before the densities choose", check=count())


@dataclasses.dataclass(frozen=True)
class WarmParzenSettings(TrialSettings):
    """Of densities that other tasks open.

    Attributes:
        warm: results of each other task that are in the densities, drawn at random.
    """

    warm: int = setting(100, "results of each other task in the densities", check=count(MOST_KNOWN))


def _motpe(table: AnyTable, settings: ParzenSettings, conditions: Conditions) -> Policy:
    del conditions
    return motpe(table.num_objectives, settings.initial)


def _motpe_transfer(table: AnyTable, settings: WarmParzenSettings, conditions: Conditions) -> Policy:
    del conditions
    return motpe_transfer(table.num_objectives, settings.warm)


METHODS = (
    Steady(
        "motpe",
        "multi-objective densities column by column, at full fidelity (Ozaki et al. 2020, 2022)",
        settings=ParzenSettings,
        levels=one_full,
        policy=_motpe,
        requires=(at_most_objectives(4),),
        microseconds=380,
    ),
    Steady(
        "motpe+transfer",
        "motpe with densities that other tasks warm as far as they are alike (Watanabe et al. 2023)",
        settings=WarmParzenSettings,
        levels=one_full,
        policy=_motpe_transfer,
        requires=(at_most_objectives(4),),
        transfers=True,
        microseconds=400,
    ),
)
