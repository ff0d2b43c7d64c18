"""Random search at full fidelity."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.settings import Settings

BLOCK = 64
"""Configurations that random search proposes at a time: no result depends on it."""


@dataclasses.dataclass(frozen=True)
class RandomSettings(Settings):
    """Random search has none."""


def full_blocks(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    """Blocks at full fidelity, as many as there is time for."""
    del settings, conditions
    return full_fidelity(table.fidelities, BLOCK)


METHODS = (
    Synchronous("random", "random search at full fidelity", settings=RandomSettings, schedule=full_blocks),
)
