"""The clock of runs whose brackets overlap and whose searcher learns: results are told as they arrive.

When a bracket begins is decided by those before it: a worker is idle and none of them has a job that may run.
Jobs of later brackets delay theirs only afterwards. So the clock goes on to that moment, bracket by bracket,
and each bracket is proposed knowing just what is in by then.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.searchers.base import Context, ObserveResultFn, Result, State
from mohb_jax.types import Array

_NONE = np.iinfo(np.int32).max


class Jobs(NamedTuple):
    """The jobs of a bracket, rung by rung; places of a clock have them in front."""

    row: Int[Array, "*places slots"]
    level: Int[Array, "*places slots"]
    costs: Float[Array, "*places slots m"]
    duration: Float[Array, "*places slots"]
    valid: Bool[Array, "*places slots"]


class Clock(NamedTuple):
    """A lane at the moment when its next bracket begins.

    There are as many places for brackets as workers: while a worker is idle, each bracket that is not over
    has a job with one of the others.
    """

    free: Float[Array, " workers"]
    slot: Int[Array, " workers"]
    """Place and slot, as one number, of a job whose result is not told; -1 for none."""
    number: Int[Array, " workers"]
    """That job in launch order."""
    num_launched: Int[Array, ""]
    jobs: Jobs
    bracket: Int[Array, " places"]
    """Which one is there."""
    size: Int[Array, "places rungs"]
    """Jobs of its rungs."""
    rung: Int[Array, " places"]
    in_rung: Int[Array, " places"]
    """Jobs launched of the current rung."""
    ready: Float[Array, " places"]
    """When the current rung may run; infinite when no job is left."""
    rung_end: Float[Array, " places"]


def new_clock(num_workers: int, num_slots: int, num_rungs: int, jobs: Jobs) -> Clock:
    """A lane at time zero.

    Args:
        num_workers: simulated.
        num_slots: jobs that a bracket has at most.
        num_rungs: rungs that a bracket has at most.
        jobs: of any bracket, for the types.
    """
    none = jnp.zeros(num_workers, jnp.int32)
    places = jax.tree.map(lambda part: jnp.zeros((num_workers, num_slots, *part.shape[1:]), part.dtype), jobs)
    time = jnp.zeros(num_workers, jobs.duration.dtype)
    return Clock(
        free=time,
        slot=none - 1,
        number=none,
        num_launched=jnp.int32(0),
        jobs=places,
        bracket=none + _NONE,
        size=jnp.zeros((num_workers, num_rungs), jnp.int32),
        rung=none,
        in_rung=none,
        ready=time + jnp.inf,
        rung_end=time,
    )


def entered(clock: Clock, bracket: Array, size: Int[Array, " rungs"], jobs: Jobs) -> Clock:
    """The clock with one more bracket, in a place whose bracket is over."""
    num_slots = clock.jobs.row.shape[1]
    running = jnp.where(clock.slot >= 0, clock.slot // num_slots, -1)
    over = jnp.isinf(clock.ready) & ~jnp.any(running[None] == jnp.arange(len(running))[:, None], axis=1)
    place = jnp.argmax(over)

    def put(part: Array, own: Array) -> Array:
        padded = jnp.pad(own, [(0, part.shape[1] - own.shape[0])] + [(0, 0)] * (own.ndim - 1))
        return part.at[place].set(padded)

    return clock._replace(
        jobs=jax.tree.map(put, clock.jobs, jobs),
        bracket=clock.bracket.at[place].set(bracket),
        size=clock.size.at[place].set(size),
        rung=clock.rung.at[place].set(0),
        in_rung=clock.in_rung.at[place].set(0),
        ready=clock.ready.at[place].set(0),
        rung_end=clock.rung_end.at[place].set(0),
    )


def advanced(
    learn: ObserveResultFn, context: Context, task: Array, state: State, clock: Clock
) -> tuple[State, Clock]:
    """All lanes at the moments when their next brackets begin, and searchers that were told of what arrived.

    Args:
        learn: of a searcher.
        context: what it prepared.
        task: of each lane.
        state: of each lane's searcher.
        clock: of each lane.
    """

    def unfinished(carry: tuple) -> Array:
        return jnp.any(jax.vmap(_may_go_on)(carry[1]))

    def step(carry: tuple) -> tuple:
        return jax.vmap(functools.partial(_step, learn, context))(task, *carry)

    return jax.lax.while_loop(unfinished, step, (state, clock))


def told(learn: ObserveResultFn, context: Context, task: Array, state: State, jobs: Jobs) -> State:
    """A lane's searcher that was told of all jobs of a bracket, in order."""

    def tell(state: State, job: tuple[Jobs, Array]) -> tuple[State, None]:
        own, number = job
        return learn(context, task, state, Result(own.row, own.level, own.costs, number, own.valid)), None

    return jax.lax.scan(tell, state, (jobs, jnp.arange(jobs.row.shape[0], dtype=jnp.int32)))[0]


def _may_go_on(clock: Clock) -> Array:
    """Whether the worker that is free first has a job, or a result that was not told."""
    first = jnp.argmin(clock.free)
    return (clock.slot[first] >= 0) | jnp.any(clock.ready <= clock.free[first])


def _step(
    learn: ObserveResultFn, context: Context, task: Array, state: State, clock: Clock
) -> tuple[State, Clock]:
    """The worker that is free first hands its result in, and takes the next job, if there is one."""
    worker = jnp.argmin(clock.free)
    told = clock.slot[worker]
    jobs = jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[jnp.maximum(told, 0)], clock.jobs)
    result = Result(jobs.row, jobs.level, jobs.costs, clock.number[worker], told >= 0)
    return learn(context, task, state, result), _launched(clock, worker)


def _launched(clock: Clock, worker: Array) -> Clock:
    """As ``overlap_schedule``: the first bracket, in order, of which a rung may run."""
    now, here = clock.free[worker], jnp.arange(clock.free.shape[0]) == worker
    may_run = clock.ready <= now
    launches = jnp.any(may_run)
    place = jnp.argmin(jnp.where(may_run, clock.bracket, _NONE))
    size, rung = clock.size[place], clock.rung[place]
    first = jnp.sum(jnp.where(jnp.arange(size.shape[0]) < rung, size, 0))
    slot = first + clock.in_rung[place]
    duration, valid = clock.jobs.duration[place, slot], clock.jobs.valid[place, slot] & launches
    end = now + jnp.where(valid, duration, 0)
    rung_end = jnp.maximum(clock.rung_end[place], end)
    done = clock.in_rung[place] + 1 == size[rung]
    following = jnp.minimum(rung + 1, size.shape[0] - 1)
    more = (rung + 1 < size.shape[0]) & (size[following] > 0)
    own = (jnp.arange(clock.ready.shape[0]) == place) & launches
    slot = jnp.where(valid, place * clock.jobs.row.shape[1] + slot, -1).astype(jnp.int32)
    return clock._replace(
        free=jnp.where(here & valid, end, clock.free),
        slot=jnp.where(here, slot, clock.slot),
        number=jnp.where(here, clock.num_launched, clock.number),
        num_launched=clock.num_launched + valid,
        rung=jnp.where(own & done, following, clock.rung),
        in_rung=jnp.where(own, jnp.where(done, 0, clock.in_rung + 1), clock.in_rung),
        ready=jnp.where(own & done, jnp.where(more, rung_end, jnp.inf), clock.ready),
        rung_end=jnp.where(own, rung_end, clock.rung_end),
    )
