"""The clock of runs whose brackets overlap and whose searcher learns: results are told as they arrive.

When a bracket begins is decided by those before it: a worker is idle and none of them has a job that may run.
Jobs of later brackets delay theirs only afterwards. So the clock goes on to that moment, bracket by bracket,
and each bracket is proposed knowing just what is in by then.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.searchers.base import Context, ObserveResultFn, Result, State
from mohb_jax.types import Array

_NONE = np.iinfo(np.int32).max


class Jobs(NamedTuple):
    """Launched evaluations before they have a place in time, rung by rung. In a clock its places, in a pass
    the lanes stand in front."""

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

    free: Float[jax.Array, " workers"]
    slot: Int[jax.Array, " workers"]
    """Place and slot, as one number, of a job whose result is not told; -1 for none."""
    number: Int[jax.Array, " workers"]
    """That job in launch order."""
    num_launched: Int[jax.Array, ""]
    jobs: Jobs
    bracket: Int[jax.Array, " places"]
    """Which one is there."""
    size: Int[jax.Array, "places rungs"]
    """Jobs of its rungs."""
    rung: Int[jax.Array, " places"]
    in_rung: Int[jax.Array, " places"]
    """Jobs launched of the current rung."""
    ready: Float[jax.Array, " places"]
    """When the current rung may run; infinite when no job is left."""
    rung_end: Float[jax.Array, " places"]


def trimmed(sizes: tuple[int, ...], rungs: list[Jobs]) -> list[Jobs]:
    """Rungs without the places that none of their jobs has; lanes in front."""
    return [jax.tree.map(lambda part, n=n: part[:, :n], rung) for n, rung in zip(sizes, rungs, strict=True)]


def concatenated(parts: Sequence[Jobs]) -> Jobs:
    """Jobs one after another; lanes in front."""
    return jax.tree.map(lambda *fields: jnp.concatenate(fields, axis=1), *parts)


def in_one(
    shape: tuple[int, int, int], sizes: tuple[int, ...], rungs: list[Jobs]
) -> tuple[Jobs, Int[np.ndarray, " rungs"]]:
    """The jobs of a bracket and the sizes of its rungs, in the shape that all brackets have."""
    _, num_slots, num_rungs = shape
    size = np.zeros(num_rungs, np.int32)
    size[: len(sizes)] = sizes
    return _in_one(num_slots, sizes, rungs), size


@functools.partial(jax.jit, static_argnums=(0, 1))
def _in_one(num_slots: int, sizes: tuple[int, ...], rungs: list[Jobs]) -> Jobs:
    jobs = concatenated(trimmed(sizes, rungs))
    more = num_slots - jobs.row.shape[1]
    return jax.tree.map(lambda part: jnp.pad(part, [(0, 0), (0, more)] + [(0, 0)] * (part.ndim - 2)), jobs)


@functools.partial(jax.jit, static_argnums=0)
def started(shape: tuple[int, int, int], jobs: Jobs) -> Clock:
    """Lanes at time zero.

    Args:
        shape: workers, and jobs and rungs that a bracket has at most.
        jobs: of any bracket of these lanes, for the types.
    """
    num_workers, _, num_rungs = shape

    def lane(jobs: Jobs) -> Clock:
        none, time = jnp.zeros(num_workers, jnp.int32), jnp.zeros(num_workers, jobs.duration.dtype)
        return Clock(
            free=time,
            slot=none - 1,
            number=none,
            num_launched=jnp.int32(0),
            jobs=jax.tree.map(lambda part: jnp.zeros((num_workers, *part.shape), part.dtype), jobs),
            bracket=none + _NONE,
            size=jnp.zeros((num_workers, num_rungs), jnp.int32),
            rung=none,
            in_rung=none,
            ready=time + jnp.inf,
            rung_end=time,
        )

    return jax.vmap(lane)(jobs)


@functools.partial(jax.jit, static_argnums=(0, 1))
def learnt(
    learn: ObserveResultFn,
    wait: bool,
    context: Context,
    task: Array,
    state: State,
    clock: Clock | None,
    bracket: Array,
    size: Int[Array, " rungs"],
    jobs: Jobs,
) -> tuple[State, Clock | None]:
    """Searchers that know what is in when the bracket after this one begins; lanes in front.

    Args:
        learn: of the searcher; static.
        wait: whether all of this bracket is waited for; static. The clock then stands still.
        context: what the searcher prepared.
        task: of each lane.
        state: of each lane's searcher.
        clock: of each lane, at the beginning of this bracket; None where no time passes.
        bracket: its number.
        size: of its rungs.
        jobs: its jobs.
    """
    if wait:
        return jax.vmap(functools.partial(_told, learn, context, jnp.sum(size)))(task, state, jobs), clock
    assert clock is not None
    clock = jax.vmap(_entered, (0, None, None, 0))(clock, bracket, size, jobs)
    return _advanced(learn, context, task, state, clock)


def _entered(clock: Clock, bracket: Array, size: Int[Array, " rungs"], jobs: Jobs) -> Clock:
    """The clock with one more bracket, in a place whose bracket is over."""
    num_slots = clock.jobs.row.shape[1]
    running = jnp.where(clock.slot >= 0, clock.slot // num_slots, -1)
    over = jnp.isinf(clock.ready) & ~jnp.any(running[None] == jnp.arange(len(running))[:, None], axis=1)
    place = jnp.argmax(over)

    def put(part: Array, own: Array) -> Array:
        return jnp.asarray(part).at[place].set(own)

    return clock._replace(
        jobs=jax.tree.map(put, clock.jobs, jobs),
        bracket=clock.bracket.at[place].set(bracket),
        size=clock.size.at[place].set(size),
        rung=clock.rung.at[place].set(0),
        in_rung=clock.in_rung.at[place].set(0),
        ready=clock.ready.at[place].set(0),
        rung_end=clock.rung_end.at[place].set(0),
    )


def _advanced(
    learn: ObserveResultFn, context: Context, task: Array, state: State, clock: Clock
) -> tuple[State, Clock]:
    """All lanes at the moments when their next brackets begin."""

    def unfinished(carry: tuple) -> Array:
        return jnp.any(jax.vmap(_may_go_on)(carry[1]))

    def step(carry: tuple) -> tuple:
        return jax.vmap(functools.partial(_step, learn, context))(task, *carry)

    return jax.lax.while_loop(unfinished, step, (state, clock))


def _told(
    learn: ObserveResultFn, context: Context, num_jobs: Array, task: Array, state: State, jobs: Jobs
) -> State:
    """A lane's searcher that was told of the first jobs of a bracket, in order."""

    def tell(slot: Array, state: State) -> State:
        own = jax.tree.map(lambda part: part[slot], jobs)
        result = Result(own.row, own.level, own.costs, slot.astype(jnp.int32), own.valid)
        return learn(context, task, state, result)

    return jax.lax.fori_loop(0, num_jobs, tell, state)


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
