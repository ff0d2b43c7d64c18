"""Policy gradients over the levels of a table's columns: MONAS and NPG."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Synchronous
from mohb_jax.schedule import Bracket, full_fidelity
from mohb_jax.searchers import policy_gradient
from mohb_jax.settings import Settings


@dataclasses.dataclass(frozen=True)
class GradientSettings(Settings):
    """Both have none."""


def _one_step(table: AnyTable, settings: Settings, conditions: Conditions) -> tuple[Bracket, ...]:
    """The configurations of one step of the policy."""
    del settings, conditions
    return full_fidelity(table.fidelities, policy_gradient.BATCH)


METHODS = (
    Synchronous(
        "monas",
        "policy gradient on a weighted reward, a level per column (MONAS, Hsu et al. 2018)",
        settings=GradientSettings,
        schedule=_one_step,
        searcher=lambda own: policy_gradient.monas(),
        microseconds=30,
    ),
    Synchronous(
        "npg",
        "policy gradient on a reward that sweeps the weights (NPG, Chen et al. 2020)",
        settings=GradientSettings,
        schedule=_one_step,
        searcher=lambda own: policy_gradient.npg(),
        microseconds=30,
    ),
)
