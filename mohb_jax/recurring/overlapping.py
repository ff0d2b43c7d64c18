"""Recurrences that begin before earlier ones have ended, under Zeus.

While a job is in flight, others take the batch size of the cheapest one so far: only a job that is alone
tries something out. Rules of the published simulator of a cluster's trace (github.com/ml-energy/zeus,
Apache-2.0), whose trace is not at hand: starts and durations are the caller's.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.recurring.policy import (
    ROUNDS,
    SPARE_STEPS,
    ZEUS,
    Executions,
    Facts,
    Policy,
    State,
    chosen,
    execution,
    facts_of,
    initial_state,
    missed_by_default,
    observed,
    tried_out,
)
from mohb_jax.recurring.training import Training
from mohb_jax.types import Array as AnyArray


class Occasions(NamedTuple):
    """When a training recurs.

    Attributes:
        start: seconds, ascending.
        duration: seconds from start to result, whatever is executed; of a second try as of the first.
        ratio: what energy and time of its executions are multiplied by in the results.
    """

    start: Float[AnyArray, " recurrences"]
    duration: Float[AnyArray, " recurrences"]
    ratio: Float[AnyArray, " recurrences"]


class Lane(NamedTuple):
    """A lane between two events."""

    state: State
    next: Int[Array, ""]
    """Recurrences that have begun."""
    best: Int[Array, ""]
    """Batch size of the cheapest execution that reached the target; the default at first."""
    waits: Bool[Array, ""]
    """Whether a batch size that is being tried out is in flight."""
    start: Float[Array, " recurrences"]
    end: Float[Array, " recurrences"]
    """Infinite where nothing of the recurrence is in flight."""
    job: Executions
    """What is in flight: arrays of [recurrences]."""


@in_64_bits
def run_overlapping(
    training: Training, occasions: Occasions, num_lanes: int, seed: int = 0, policy: Policy = ZEUS
) -> Executions:
    """Recurs a training at given times under Zeus, in lanes that differ in which measured run each execution
    is.

    A job that begins while another is in flight takes the batch size of the cheapest execution so far; one
    that is alone does as ``run_policy``. What a job will cost is settled when it begins, and learnt when it
    ends. One that misses the target is tried again at its end, for as long. Batch sizes that are tried out
    one by one wait for their own result; other results enter the history alone.

    Args:
        training: on a GPU.
        occasions: when it recurs.
        num_lanes: lane i depends on the seed and i alone.
        seed: root seed.
        policy: settings.

    Returns:
        Executions in the order in which they end; of equal ends the earlier recurrence is first.

    Raises:
        InputError: no or contradictory occasions, a default that never reaches the target, or a lane that
            does not come to its end.
    """
    number = _require(training, occasions, num_lanes)
    facts = facts_of(training, policy.weight, np.ones(number))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(num_lanes))
    own = jnp.asarray(policy.weight), jnp.asarray(policy.beta)
    times = Occasions(*(jnp.asarray(part, float) for part in occasions))
    steps = 2 * number + SPARE_STEPS
    lane, found = _run(facts, keys, times, *own, steps, policy.window or steps)
    if (np.asarray(lane.next) < number).any() or np.isfinite(np.asarray(lane.end)).any():
        raise InputError(
            f"{training.name} on {training.gpu}: {number} recurrences do not end in {steps} events: too many "
            "executions miss the target"
        )
    return Executions(*(np.asarray(part) for part in found))


def _require(training: Training, occasions: Occasions, num_lanes: int) -> int:
    lengths = {len(part) for part in occasions}
    if len(lengths) > 1 or lengths == {0} or num_lanes < 1:
        raise InputError(
            f"{num_lanes} lanes of {sorted(lengths)} occasions: one number of at least 1 is needed"
        )
    if (np.diff(occasions.start) < 0).any():
        raise InputError("occasions: starts are not in ascending order")
    if not (np.asarray(occasions.duration) > 0).all() or not (np.asarray(occasions.ratio) > 0).all():
        raise InputError("occasions: durations and ratios are positive numbers")
    if not (training.epochs[training.default] <= training.max_epochs).any():
        raise InputError(f"{training.name} on {training.gpu}: {missed_by_default(training)}")
    return lengths.pop()


@functools.partial(jax.jit, static_argnames=("steps", "history"))
def _run(
    facts: Facts, keys: Array, times: Occasions, weight: Array, beta: Array, steps: int, history: int
) -> tuple[Lane, Executions]:
    def lane(key: Array) -> tuple[Lane, Executions]:
        run_key, draw_key = jax.random.split(key)
        chance = jax.random.uniform(run_key, (steps,))
        normal = jax.random.normal(draw_key, (steps, facts.epochs.shape[0]))
        body = functools.partial(event, facts=facts, times=times, weight=weight, beta=beta)
        start = first_lane(facts, history)
        return jax.lax.scan(lambda lane, drawn: body(lane, *drawn), start, (chance, normal))

    return jax.vmap(lane)(keys)


def first_lane(facts: Facts, history: int) -> Lane:
    """A lane in which nothing has begun."""
    number = facts.drift.shape[0]
    whole, real, no = jnp.zeros(number, jnp.int32), jnp.zeros(number), jnp.zeros(number, bool)
    return Lane(
        state=initial_state(facts.epochs.shape[0], facts.default, history),
        next=jnp.int32(0),
        best=facts.default.astype(jnp.int32),
        waits=jnp.asarray(False),
        start=real,
        end=real + jnp.inf,
        job=Executions(whole, whole, whole, real, real, real, no, no, whole),
    )


def event(
    lane: Lane,
    chance: Float[Array, ""],
    normal: Float[Array, " B"],
    facts: Facts,
    times: Occasions,
    weight: Float[Array, ""],
    beta: Float[Array, ""],
) -> tuple[Lane, Executions]:
    """The next end of a job, or the next beginning if that is earlier; what ended, if anything did."""
    number = facts.drift.shape[0]
    ending, following = jnp.argmin(lane.end), jnp.minimum(lane.next, number - 1)
    begins = jnp.where(lane.next < number, jnp.asarray(times.start)[following], jnp.inf)
    ends = jnp.isfinite(lane.end[ending]) & (lane.end[ending] <= begins)
    job = jax.tree.map(lambda part: part[ending], lane.job)
    after = _ended(lane, ending, job)
    after = jax.tree.map(lambda old, new: jnp.where(ends, new, old), lane, after)
    again = ends & ~job.reached
    launches = (again | (~ends & (lane.next < number))) & after.state.alive.any()
    slot = jnp.where(again, ending, following).astype(jnp.int32)
    length = jnp.where(again, lane.end[ending] - lane.start[ending], jnp.asarray(times.duration)[slot])
    start = jnp.where(again, lane.end[ending], begins)
    launched = _launched(after, slot, chance, normal, facts, weight, beta)
    launched = launched._replace(
        next=after.next + (~again).astype(jnp.int32),
        start=after.start.at[slot].set(start),
        end=after.end.at[slot].set(start + length),
    )
    lane = jax.tree.map(lambda old, new: jnp.where(launches, new, old), after, launched)
    ratio, is_over = jnp.asarray(times.ratio)[ending], ends & job.ran
    shown = job._replace(
        batch=jnp.where(ends, job.batch, -1),
        joules=jnp.where(ends, job.joules * ratio, 0.0),
        seconds=jnp.where(ends, job.seconds * ratio, 0.0),
        cost=jnp.where(ends, job.cost, 0.0),
        reached=ends & job.reached,
        ran=is_over,
    )
    return lane, shown


def _ended(lane: Lane, slot: Int[Array, ""], job: Executions) -> Lane:
    """The lane after a job of a recurrence ended."""
    batch = jnp.asarray(job.batch)
    state = observed(lane.state, batch, jnp.asarray(job.cost))
    awaited = lane.waits & (batch == lane.state.cursor)
    tried = tried_out(state, batch, job)
    state = jax.tree.map(lambda old, new: jnp.where(awaited, new, old), state, tried)
    cheaper = job.reached & (job.cost < lane.state.least)
    return lane._replace(
        state=state._replace(least=jnp.where(cheaper, job.cost, lane.state.least)),
        best=jnp.where(cheaper, batch, lane.best),
        waits=lane.waits & ~awaited,
        end=lane.end.at[slot].set(jnp.inf),
    )


def _launched(
    lane: Lane, slot: Array, chance: Array, normal: Array, facts: Facts, weight: Array, beta: Array
) -> Lane:
    """The lane after a job of a recurrence began: the policy's choice if alone, else the best so far."""
    alone = ~jnp.isfinite(lane.end).any()
    batch = jnp.where(alone, chosen(lane.state, normal), lane.best)
    run = jnp.floor(chance * facts.num_runs[batch]).astype(jnp.int32)
    done = execution(lane.state._replace(recurrence=slot), batch, run, facts, weight, beta)
    job = jax.tree.map(lambda part, own: part.at[slot].set(own), lane.job, done)
    # Power limits are profiled when a batch size begins: another job with it need not do so.
    state = lane.state._replace(seen=lane.state.seen.at[batch].set(True))
    return lane._replace(state=state, job=job, waits=lane.waits | (alone & (lane.state.round < ROUNDS)))
