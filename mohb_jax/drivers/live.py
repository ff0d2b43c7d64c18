"""Runs of plans without a table and without a clock: whoever trains asks for jobs and tells results.

The decisions are those of the simulators, which call the same steps and look results and times up. A run is
one lane; what it decides depends on its plan, its key, and the order in which it is asked and told.
"""

from mohb_jax.drivers.asynchronous import AsynchronousPlan
from mohb_jax.drivers.base import Plan
from mohb_jax.drivers.lanes import Lanes
from mohb_jax.drivers.live_halving import LiveHalving
from mohb_jax.drivers.live_policy import LiveOpening, LivePolicy
from mohb_jax.drivers.live_rungs import LiveRungs
from mohb_jax.drivers.steady import SteadyPlan
from mohb_jax.drivers.synchronous import SynchronousPlan
from mohb_jax.drivers.verdicts import LiveRun
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Context


@in_64_bits
def begin(plan: Plan, context: Context, lanes: Lanes, num_objectives: int, num_levels: int) -> LiveRun:
    """A run that has launched nothing.

    Args:
        plan: in terms of the fidelities that it uses (``Plan.in_levels``).
        context: what it prepared.
        lanes: one lane.
        num_objectives: of a result.
        num_levels: fidelities that the plan uses.

    Raises:
        InputError: the plan has no live form.
    """
    if isinstance(plan, SynchronousPlan):
        return LiveRungs(plan, context, lanes, num_objectives, num_levels)
    if isinstance(plan, AsynchronousPlan):
        return LiveHalving(plan, context, lanes, num_objectives)
    if not isinstance(plan, SteadyPlan):
        raise InputError("a method of another library cannot be asked and told live: use that library itself")
    if plan.opening is None:
        return LivePolicy(plan, context[0], lanes)
    return LiveOpening(plan, context, lanes, num_objectives)
