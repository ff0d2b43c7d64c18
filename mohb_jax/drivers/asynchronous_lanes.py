"""Lanes of simulated asynchronous runs: halving with a clock, and how a job is launched on it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.drivers.halving import (
    Choice,
    Halving,
    Numbers,
    Program,
    begun,
    enlarged,
    longer,
    row_and_level,
    taken,
)
from mohb_jax.drivers.lanes import Cells, Lanes, blanked
from mohb_jax.searchers.base import Context
from mohb_jax.types import Array, Key


class Lane(NamedTuple):
    """A lane between two events."""

    halving: Halving
    free: Float[jax.Array, " workers"]
    """When each worker ends its job; infinite for one that has none."""
    job: Int[jax.Array, " workers"]
    """In launch order."""
    asker: Int[jax.Array, ""]
    """The idle worker that asks next for a job, at the time of the last event; -1 if none."""
    time: Float[jax.Array, ""]
    times: Float[jax.Array, "jobs 2"]
    """Start and end of jobs in launch order."""


@functools.partial(jax.jit, static_argnums=0)
def start(program: Program, numbers: Numbers, cells: Cells, context: Context, lanes: Lanes) -> Lane:
    """Lanes without room for any job, whose first worker asks for one."""
    num_objectives = len(cells.sources) - 1

    def lane(task: Array, key: Key, run: Array) -> Lane:
        return Lane(
            halving=begun(program, numbers, num_objectives, context, task, key, run),
            free=jnp.full(program.num_workers, jnp.inf),
            job=jnp.zeros(program.num_workers, jnp.int32),
            asker=jnp.int32(0),
            time=jnp.zeros(()),
            times=jnp.zeros((0, 2)),
        )

    return jax.vmap(lane)(lanes.task, lanes.key, lanes.run)


@functools.partial(jax.jit, static_argnums=(0, 1))
def grown(
    program: Program, capacity: int, numbers: Numbers, context: Context, lanes: Lanes, state: Lane
) -> Lane:
    """The same lanes with room for more jobs."""
    more = capacity - state.halving.capacity

    def lane(task: Array, state: Lane) -> Lane:
        halving = enlarged(program, more, numbers, context, task, state.halving)
        return state._replace(halving=halving, times=longer(state.times, more, jnp.inf))

    return jax.vmap(lane)(lanes.task, state)


def launch(
    numbers: Numbers,
    cells: Cells,
    task: Array,
    horizon: Array,
    state: Lane,
    worker: Array,
    time: Array,
    choice: Choice,
    wanted: Array,
) -> Lane:
    """A job on a worker; the worker is idle if none is wanted, time is over or the budget is spent."""
    halving = state.halving
    may = wanted & (time < horizon) & (halving.num_launched < numbers.budget)
    rungs = jnp.stack([choice.rung, jnp.maximum(choice.rung - 1, 0)])
    row, level = row_and_level(numbers, halving, choice.trial, rungs)
    _, (runtime, paid) = cells.look_up(task, jnp.tile(row, 2), level)
    end = time + (runtime - jnp.where((choice.rung > 0) & cells.resumable, paid, 0))
    slot = jnp.where(may, halving.num_launched, halving.capacity)  # writes beyond the end are dropped
    own = jnp.arange(state.job.shape[0]) == worker
    return state._replace(
        halving=taken(halving, choice, worker, may),
        free=jnp.where(own, jnp.where(may, end, jnp.inf), state.free),
        job=jnp.where(own, halving.num_launched, state.job),
        times=state.times.at[slot].set(jnp.stack([time, end]), mode="drop"),
    )


@jax.jit
def slots_of(numbers: Numbers, cells: Cells, lanes: Lanes, until: Array, state: Lane) -> tuple[Array, ...]:
    """The log's arrays in launch order; what ended later is left out."""
    halving = state.halving
    trial, rung, worker = jnp.moveaxis(halving.jobs, -1, 0)
    row, bracket = jnp.moveaxis(jnp.take_along_axis(halving.trials, trial[..., None], axis=1), -1, 0)
    level = jnp.asarray(numbers.levels)[bracket, rung]
    costs, _ = jax.vmap(cells.look_up)(lanes.task, row, level)
    begin, end = jnp.moveaxis(state.times, -1, 0)
    valid = jnp.arange(halving.capacity) < halving.num_launched[:, None]
    return blanked(valid & (end <= until[:, None]), row, level, costs, begin, end, worker)
