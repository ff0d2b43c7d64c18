"""BULK & CUT: models grow while they gain, then shrink while they are trained for less."""

from mohb_jax.benchmarks.before_training import known_objectives
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import SIZE
from mohb_jax.methods.schedules import TrialSettings
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.bulk_and_cut import bulk_and_cut, sizes_of

CUT_SHARE = 3
"""What was cut is trained for R over this, as published."""


def _cut_and_full(table: AnyTable, settings: TrialSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    """The fidelity closest to a third of the highest, and the highest; the same one twice if there is no
    other."""
    del settings, conditions
    fidelities = table.fidelities
    wanted = fidelities[-1] / CUT_SHARE
    lower = range(max(len(fidelities) - 1, 1))
    short = min(lower, key=lambda level: abs(fidelities[level] - wanted))
    return (Bracket((1, 1), (short, len(fidelities) - 1)),)


def _policy(table: AnyTable, settings: TrialSettings, conditions: Conditions) -> Policy:
    del settings, conditions
    return bulk_and_cut(table.num_objectives, sizes_of(table, known_objectives(table)))


METHODS = (
    Steady(
        "bulk-and-cut",
        "BULK & CUT policy: models grow, then shrink at a third of R (Guerrero-Viu et al. 2021)",
        settings=TrialSettings,
        levels=_cut_and_full,
        policy=_policy,
        requires=(SIZE,),
        microseconds=55,
    ),
)
