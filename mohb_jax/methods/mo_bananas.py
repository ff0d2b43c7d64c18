"""MO-BANANAS: networks choose among mutations of the best configurations, then halving."""

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.promotions import PromotionSettings
from mohb_jax.schedule import Bracket, full_fidelity, third
from mohb_jax.searchers.mo_bananas import mo_bananas


def _ten_full(table: AnyTable, settings: PromotionSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    del settings, conditions
    return full_fidelity(table.fidelities, 10)


def _ten_halved(table: AnyTable, settings: PromotionSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    """Ten configurations at a third of the highest fidelity, of which three go on; or ten at the only one."""
    del settings, conditions
    highest = table.num_fidelities - 1
    lower = third(table.fidelities)
    return (Bracket((10,), (highest,)) if lower == highest else Bracket((10, 3), (lower, highest)),)


METHODS = (
    Synchronous(
        "mo-bananas",
        "MO-BANANAS-SH: networks choose among mutations, then halving (Guerrero-Viu et al. 2021)",
        settings=PromotionSettings,
        schedule=_ten_halved,
        searcher=lambda own: mo_bananas(),
        promotion="crowding",
        opening=_ten_full,
        microseconds=140,
    ),
)
