"""Simulated time: which worker runs what, from when to when."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.sortable import from_sortable, to_sortable
from mohb_jax.types import Array


class Timeline(NamedTuple):
    """When and where each job ran."""

    start: Float[Array, " n"]
    end: Float[Array, " n"]
    worker: Int[Array, " n"]


@jax.jit
def list_schedule(
    durations: Float[Array, " n"],
    valid: Bool[Array, " n"],
    waits: Bool[Array, " n"],
    free: Float[Array, " workers"],
) -> tuple[Float[Array, " workers"], Timeline]:
    """List scheduling: each job, in launch order, goes to the worker that is free first (ties: lowest index).

    Args:
        durations: seconds per job, in launch order.
        valid: False marks jobs that do not exist; they take no worker and no time.
        waits: True where all workers must be idle before the job may start (the first job of a rung, whose
            rows depend on the whole rung before).
        free: seconds from which each worker is free.

    Returns:
        The workers' new free times, and start, end and worker of each job (where not valid: the time at which
        it would have started, twice, and a worker that did nothing).

    References:
        Graham, "Bounds on multiprocessing timing anomalies", 1969.
    """
    workers = jnp.arange(free.shape[0], dtype=jnp.int32)

    def launch(free: Array, job: tuple[Array, Array, Array]) -> tuple[Array, Timeline]:
        duration, valid, wait = job
        free = jnp.where(wait, jnp.max(free), free)
        first = jnp.min(free)
        worker = jnp.min(jnp.where(free == first, workers, free.shape[0]))
        start = from_sortable(first)
        end = start + jnp.where(valid, duration, 0)
        return jnp.where(workers == worker, to_sortable(end), free), Timeline(start, end, worker)

    bits, timeline = jax.lax.scan(launch, to_sortable(free), (durations, valid, waits))
    return from_sortable(bits), timeline


class Layout(NamedTuple):
    """Where the jobs of each rung lie in a run's launch slots, bracket by bracket; brackets have R rungs at
    most."""

    first: Int[Array, "brackets rungs"]
    """Slot of the rung's first job."""
    size: Int[Array, "brackets rungs"]
    """Number of jobs; 0 for rungs that the bracket does not have."""


class _Progress(NamedTuple):
    """How far each bracket has come."""

    rung: Int[Array, " brackets"]
    num_launched: Int[Array, " brackets"]
    """Jobs launched of the current rung."""
    ready: Float[Array, " brackets"]
    """Time from which the current rung may run; infinite when the bracket has no job left."""
    rung_end: Float[Array, " brackets"]
    """Latest end among the launched jobs of the current rung."""


@functools.partial(jax.jit, static_argnames="num_workers")
def overlap_schedule(
    durations: Float[Array, " n"],
    valid: Bool[Array, " n"],
    layout: Layout,
    num_workers: int,
    num_jobs: Int[Array, ""] | int | None = None,
) -> Timeline:
    """List scheduling in which idle workers go on with later brackets instead of waiting for a rung to end.

    A free worker takes the next job of the first bracket, in order, whose current rung may run; a rung may
    run from the moment when the last result of the rung before it is in. Only when no bracket has such a job
    does it wait.

    Args:
        durations: seconds per job; slots in bracket, rung and launch order.
        valid: False marks jobs that do not exist; they take no time.
        layout: which slots belong to which rung; a bracket without jobs never runs.
        num_workers: static.
        num_jobs: slots that belong to rungs, the first ones; all if None.

    Returns:
        Start, end and worker of each job; zeros in other slots.

    References:
        The order in which hpbandster starts jobs of concurrent brackets (Falkner et al., "BOHB", 2018).
    """
    durations, valid, layout = jax.tree.map(jnp.asarray, (durations, valid, layout))  # indexed by tracers
    num_brackets, num_rungs = layout.size.shape
    workers = jnp.arange(num_workers, dtype=jnp.int32)
    brackets = jnp.arange(num_brackets, dtype=jnp.int32)

    def launch(_: Array, carry: tuple) -> tuple:
        free, progress, timeline = carry
        worker = jnp.argmin(free).astype(jnp.int32)
        may_run = progress.ready <= free[worker]
        bracket = jnp.where(jnp.any(may_run), jnp.argmax(may_run), jnp.argmin(progress.ready)).astype(
            jnp.int32
        )
        rung = progress.rung[bracket]
        slot = layout.first[bracket, rung] + progress.num_launched[bracket]
        start = jnp.maximum(free[worker], progress.ready[bracket])
        end = start + jnp.where(valid[slot], durations[slot], 0)
        free = jnp.where((workers == worker) & valid[slot], end, free)
        progress = _advance(progress, layout, brackets == bracket, rung, end)
        launched = Timeline(start, end, worker)
        timeline = jax.tree.map(lambda field, value: field.at[slot].set(value), timeline, launched)
        return free, progress, timeline

    def _advance(progress: _Progress, layout: Layout, here: Array, rung: Array, end: Array) -> _Progress:
        launched = jnp.where(here, progress.num_launched + 1, progress.num_launched)
        rung_end = jnp.where(here, jnp.maximum(progress.rung_end, end), progress.rung_end)
        done = here & (launched == layout.size[brackets, progress.rung])
        following = jnp.minimum(rung + 1, num_rungs - 1)
        more = (rung + 1 < num_rungs) & (layout.size[brackets, following] > 0)
        return _Progress(
            rung=jnp.where(done, following, progress.rung),
            num_launched=jnp.where(done, 0, launched),
            ready=jnp.where(done, jnp.where(more, rung_end, jnp.inf), progress.ready),
            rung_end=rung_end,
        )

    nothing = jnp.zeros_like(durations)
    start = (
        jnp.zeros(num_workers, durations.dtype),
        _Progress(
            rung=jnp.zeros(num_brackets, jnp.int32),
            num_launched=jnp.zeros(num_brackets, jnp.int32),
            ready=jnp.where(layout.size[:, 0] > 0, 0, jnp.inf).astype(durations.dtype),
            rung_end=jnp.zeros(num_brackets, durations.dtype),
        ),
        Timeline(nothing, nothing, jnp.zeros(durations.shape, jnp.int32)),
    )
    jobs = durations.shape[0] if num_jobs is None else num_jobs
    return jax.lax.fori_loop(0, jobs, launch, start)[2]
