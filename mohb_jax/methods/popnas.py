"""Progressive Pareto search: columns are decided one after another, as POPNAS grows cells."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.searchers import popnas
from mohb_jax.settings import Settings


@dataclasses.dataclass(frozen=True)
class ProgressiveSettings(Settings):
    """It has none."""


def _one_stage(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    del settings, conditions
    return full_fidelity(table.fidelities, popnas.num_proposed(table.num_columns))


METHODS = (
    Synchronous(
        "popnas",
        "progressive Pareto search (POPNASv3 style)",
        settings=ProgressiveSettings,
        schedule=_one_stage,
        searcher=lambda own: popnas.popnas(),
        microseconds=33,
    ),
)
