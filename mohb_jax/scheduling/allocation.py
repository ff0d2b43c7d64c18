"""One round of scheduling: which jobs get a GPU, and how much of processors, memory and storage with it.

Three ways (Mohan et al., OSDI 2022, section 4), one job after the other in the order of the policy, each on
the lowest server where what is asked for is free:

    fair    each job gets the share of its GPU and runs at speed 1
    greedy  each job gets what it demands, or has to wait; GPUs may stay idle
    tune    a job that does not find what it demands takes its fair share; where not even that is free, jobs
            of the server with the fewest free GPUs that have more than their share give it back

Nothing is given back to a job that was cut, even where processors stay free: ``tune`` is a heuristic.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

MODES = ("fair", "greedy", "tune")
FAIR, GREEDY, TUNE = range(len(MODES))


class Placement(NamedTuple):
    """What runs on the servers in a round: S servers of G GPUs, one job on each GPU.

    Attributes:
        free: what is left of each server, in the order of ``profiles.RESOURCES``.
        job: number of the job on each GPU, those of a server in the order in which they were placed; -1 for
            none.
        share: what each has.
        speed: relative to that at the fair share.
    """

    free: Float[Array, "S 4"]
    job: Int[Array, "S G"]
    share: Float[Array, "S G 4"]
    speed: Float[Array, "S G"]


def empty(num_servers: int, capacity: tuple[float, ...]) -> Placement:
    """Servers on which nothing runs."""
    num_gpus = int(capacity[0])
    shape = (num_servers, num_gpus)
    free = jnp.tile(jnp.asarray(capacity), (num_servers, 1))
    return Placement(free, jnp.full(shape, -1), jnp.zeros((*shape, 4)), jnp.zeros(shape))


def allocate(
    order: Int[Array, " jobs"],
    num_wanted: Int[Array, ""],
    demand: Float[Array, "jobs 4"],
    speedup: Float[Array, " jobs"],
    mode: Int[Array, ""],
    num_servers: int,
    capacity: tuple[float, ...],
) -> Placement:
    """Places the jobs of a round; pure and unjitted.

    Args:
        order: jobs, the most urgent first.
        num_wanted: so many of them are considered.
        demand: of each job, at most a server's capacity; one GPU.
        speedup: of each job that gets its demand.
        mode: index into ``MODES``.
        num_servers: all alike; static.
        capacity: of each, in the order of ``profiles.RESOURCES``; static.
    """
    placed = empty(num_servers, capacity)

    def place(number: Array, placed: Placement) -> Placement:
        job = order[number]
        wanted = (number < num_wanted) & (placed.free[:, 0] >= 1).any()
        return place_one(placed, job, wanted, demand, speedup, mode, capacity)

    return jax.lax.fori_loop(0, order.shape[0], place, placed)


def place_one(
    placed: Placement,
    job: Int[Array, ""],
    wanted: Bool[Array, ""],
    demand: Float[Array, "jobs 4"],
    speedup: Float[Array, " jobs"],
    mode: Int[Array, ""],
    capacity: tuple[float, ...],
) -> Placement:
    """The servers with one more job, if it is wanted and its mode finds it a place."""
    fair = jnp.asarray(capacity) / capacity[0]
    asked = jnp.where(mode == FAIR, fair, demand[job])
    is_demanding = (demand[job] > fair).any()
    less = jnp.where(is_demanding, fair, demand[job])
    (full, is_full), (cut, is_cut) = _first(placed.free, asked), _first(placed.free, less)
    gives_back = wanted & (mode == TUNE) & ~is_full & ~is_cut
    fullest = jnp.argmin(jnp.where(placed.free[:, 0] >= 1, placed.free[:, 0], jnp.inf))
    placed = _give_back(placed, fullest, gives_back, less, fair, demand)
    server = jnp.where(is_full, full, jnp.where(is_cut, cut, fullest))
    share = jnp.where(is_full, asked, less)
    speed = jnp.where((mode == FAIR) | (~is_full & is_demanding), 1.0, speedup[job])
    slot = (capacity[0] - placed.free[server, 0]).astype(jnp.int32)
    at = jnp.where(wanted & (is_full | (mode == TUNE)), server, placed.free.shape[0])  # beyond: not placed
    return Placement(
        placed.free.at[at].add(-share, mode="drop"),
        placed.job.at[at, slot].set(job, mode="drop"),
        placed.share.at[at, slot].set(share, mode="drop"),
        placed.speed.at[at, slot].set(speed, mode="drop"),
    )


def _first(free: Float[Array, "S 4"], share: Float[Array, " 4"]) -> tuple[Array, Array]:
    """The lowest server that has so much free, and whether there is one."""
    fits = (free >= share[None]).all(axis=1)
    return jnp.argmax(fits), fits.any()


def _give_back(
    placed: Placement,
    server: Int[Array, ""],
    wanted: Bool[Array, ""],
    share: Float[Array, " 4"],
    fair: Float[Array, " 4"],
    demand: Float[Array, "jobs 4"],
) -> Placement:
    """The servers after jobs of one of them gave back what they have beyond their fair share, those with the
    most processors first, until so much is free as somebody asks for."""
    job, own = placed.job[server], placed.share[server]
    slot = jnp.arange(job.shape[0])
    order = jnp.lexsort((slot, -own[:, 2], -own[:, 1], job < 0))
    excess = jnp.where(job[:, None] >= 0, jnp.maximum(own - fair, 0), 0)[order]
    before = jnp.cumsum(excess, axis=0) - excess
    lacking = jnp.maximum(share - placed.free[server], 0)
    taken = jnp.zeros(job.shape, bool).at[order].set((lacking[None] > before).any(axis=1))
    taken &= wanted & (job >= 0)
    is_demanding = (demand[job] > fair).any(axis=1)
    left = jnp.where(taken[:, None], jnp.where(is_demanding[:, None], fair, demand[job]), own)
    slower = jnp.where(taken & is_demanding, 1.0, placed.speed[server])
    return placed._replace(
        free=placed.free.at[server].add((own - left).sum(axis=0)),
        share=placed.share.at[server].set(left),
        speed=placed.speed.at[server].set(slower),
    )
