"""One round of scheduling: which jobs get a GPU, and how much of processors, memory and storage with it.

Three ways (Mohan et al., OSDI 2022, section 4), one job after the other in the order of the policy, each on
the lowest server where what is asked for is free:

    fair    each job gets the share of its GPU and runs at speed 1
    greedy  each job gets what it demands, or has to wait; GPUs may stay idle
    tune    a job that does not find what it demands takes its fair share; where not even that is free, jobs
            of the server with the fewest free GPUs that have more than their share give it back

Nothing is given back to a job that was cut, even where processors stay free: ``tune`` is a heuristic.

A job on several GPUs goes on one server, of those that have room the one with the fewest free GPUs; where
none has, its GPUs are spread, each with an equal part of its demand, first where fewest GPUs are free. To be
spread costs it nothing.
"""

from typing import Any, NamedTuple

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
        share: what each GPU has of its server.
        speed: of its job, relative to that at the fair share.
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
    most_gpus: int = 1,
) -> Placement:
    """Places the jobs of a round; pure and unjitted.

    Args:
        order: jobs, the most urgent first.
        num_wanted: so many of them are considered.
        demand: of each job; the part of one GPU is at most a server's capacity.
        speedup: of each job that gets its demand.
        mode: index into ``MODES``.
        num_servers: all alike; static.
        capacity: of each, in the order of ``profiles.RESOURCES``; static.
        most_gpus: that a job has; static.
    """
    placed = empty(num_servers, capacity)

    def place(number: Array, placed: Placement) -> Placement:
        wanted = (number < num_wanted) & (placed.free[:, 0] >= 1).any()
        return place_one(placed, order[number], wanted, demand, speedup, mode, capacity, most_gpus)

    return jax.lax.fori_loop(0, order.shape[0], place, placed)


def place_one(
    placed: Placement,
    job: Int[Array, ""],
    wanted: Bool[Array, ""],
    demand: Float[Array, "jobs 4"],
    speedup: Float[Array, " jobs"],
    mode: Int[Array, ""],
    capacity: tuple[float, ...],
    most_gpus: int = 1,
) -> Placement:
    """The servers with one more job, if it is wanted and its mode finds it a place."""
    fair = jnp.asarray(capacity) / capacity[0]
    num_gpus, own = demand[job, 0].astype(jnp.int32), _per_gpu(demand[job])
    asked = jnp.where(mode == FAIR, fair, own)
    is_demanding = (own > fair).any()
    less = jnp.where(is_demanding, fair, own)
    full, is_full = _spread(placed.free, asked, num_gpus, most_gpus)
    cut, is_cut = _spread(placed.free, less, num_gpus, most_gpus)
    wanted = wanted & (placed.free[:, 0].sum() >= num_gpus)
    fullest = _fullest(placed.free[:, 0], num_gpus, most_gpus)
    lacks = wanted & (mode == TUNE) & ~is_full & ~is_cut
    placed = _give_back(placed, jnp.where(lacks, fullest, 0), less, fair, demand, most_gpus)
    counts = jnp.where(is_full, full, jnp.where(is_cut, cut, fullest))
    counts = jnp.where(wanted & (is_full | (mode == TUNE)), counts, 0)
    share = jnp.where(is_full, asked, less)
    speed = jnp.where((mode == FAIR) | (~is_full & is_demanding), 1.0, speedup[job])
    used = (capacity[0] - placed.free[:, 0]).astype(jnp.int32)
    server, slot = _places(counts, used, most_gpus)
    return Placement(
        placed.free.at[server].add(-share, mode="drop"),
        placed.job.at[server, slot].set(job, mode="drop"),
        placed.share.at[server, slot].set(share, mode="drop"),
        placed.speed.at[server, slot].set(speed, mode="drop"),
    )


def _per_gpu(demand: Float[Array, "*jobs 4"]) -> Float[Array, "*jobs 4"]:
    return demand / demand[..., :1]


def _places(
    counts: Int[Array, " S"], used: Int[Array, " S"], most_gpus: int
) -> tuple[Int[Array, " most"], Int[Array, " most"]]:
    """Server and GPU of each GPU of a job; a server that is none for those that it has not."""
    ends, number = jnp.cumsum(counts), jnp.arange(most_gpus)
    server = jnp.sum(ends <= number[:, None], axis=1)
    return server, (used + counts - ends)[jnp.minimum(server, counts.shape[0] - 1)] + number


def _before(gpus: Float[Array, " S"], counts: Int[Array, " S"]) -> Int[Array, " S"]:
    """How many GPUs servers with fewer free ones offer, ties to the lower server."""
    number = jnp.arange(gpus.shape[0])
    is_before = (gpus[None] < gpus[:, None]) | (
        (gpus[None] == gpus[:, None]) & (number[None] < number[:, None])
    )
    return jnp.sum(jnp.where(is_before, counts[None], 0), axis=1)


def _spread(
    free: Float[Array, "S 4"], share: Float[Array, " 4"], num_gpus: Int[Array, ""], most_gpus: int
) -> tuple[Int[Array, " S"], Bool[Array, ""]]:
    """GPUs of each server for a job that asks for a share with each of them, and whether it finds them.

    One GPU is taken on the lowest server with so much free.
    """
    many = jnp.arange(1, most_gpus + 1)[:, None, None] * share
    offered = jnp.sum((free[None] >= many).all(axis=2), axis=0)
    is_whole, gpus, number = offered >= num_gpus, free[:, 0], jnp.arange(free.shape[0])
    preferred = number if most_gpus == 1 else jnp.where(num_gpus > 1, gpus, number)
    server = jnp.argmin(jnp.where(is_whole, preferred, jnp.inf))
    together = jnp.where(number == server, num_gpus, 0)
    if most_gpus == 1:
        return together, is_whole.any()
    apart = jnp.clip(num_gpus - _before(gpus, offered), 0, offered)
    return jnp.where(is_whole.any(), together, apart), jnp.sum(offered) >= num_gpus


def _fullest(gpus: Float[Array, " S"], num_gpus: Int[Array, ""], most_gpus: int) -> Int[Array, " S"]:
    """GPUs of each server for a job that finds its share nowhere, whatever else is free there: one GPU where
    fewest are free; several on the lowest server that has them, else first where fewest are free."""
    number = jnp.arange(gpus.shape[0])
    fewest = jnp.argmin(jnp.where(gpus >= 1, gpus, jnp.inf))
    if most_gpus == 1:
        return jnp.where(number == fewest, num_gpus, 0)
    whole = gpus >= num_gpus
    one = jnp.where(num_gpus > 1, jnp.argmax(whole), fewest)
    free = gpus.astype(num_gpus.dtype)
    apart = jnp.clip(num_gpus - _before(gpus, free), 0, free)
    return jnp.where(whole.any(), jnp.where(number == one, num_gpus, 0), apart)


def _give_back(
    placed: Placement,
    counts: Int[Array, " S"],
    share: Float[Array, " 4"],
    fair: Float[Array, " 4"],
    demand: Float[Array, "jobs 4"],
    most_gpus: int,
) -> Placement:
    """The servers after jobs gave back what they have beyond their fair share, until so many GPUs of each
    find theirs: first on the server with the fewest free GPUs."""
    gpus = placed.free[:, 0]

    def one_server(_: Array, carry: tuple[Placement, Array]) -> tuple[Placement, Array]:
        placed, counts = carry
        server = jnp.argmin(jnp.where(counts > 0, gpus, jnp.inf))
        placed = _give_back_on(placed, server, counts[server], share, fair, demand, most_gpus)
        return placed, counts.at[server].set(0)

    num_servers = min(most_gpus, gpus.shape[0])
    return jax.lax.fori_loop(0, num_servers, one_server, (placed, counts))[0]


def _give_back_on(
    placed: Placement,
    server: Int[Array, ""],
    count: Int[Array, ""],
    share: Float[Array, " 4"],
    fair: Float[Array, " 4"],
    demand: Float[Array, "jobs 4"],
    most_gpus: int,
) -> Placement:
    """The same on one server: its jobs on fewest servers give back first, then those with the most processors
    per GPU; each on all its servers."""
    job, own = placed.job[server], placed.share[server]
    slot, runs = jnp.arange(job.shape[0]), job >= 0
    excess = jnp.where(runs[:, None], jnp.maximum(own - fair, 0), 0)
    same, on = job[:, None] == job[None], placed.job[:, :, None] == job
    keys = [slot, -own[:, 2], -own[:, 1]]
    if most_gpus > 1:
        first, num_servers = jnp.argmax(same, axis=1), jnp.sum(on.any(axis=1), axis=0)
        keys = [slot, first, *keys[1:], num_servers]
    order = jnp.lexsort((*keys, ~runs))
    position = jnp.zeros_like(slot).at[order].set(slot)
    earlier = (position[None] < position[:, None]) & ~same
    before = jnp.sum(jnp.where(earlier[:, :, None], excess[None], 0), axis=1)
    lacking = jnp.maximum(count * share - placed.free[server], 0)
    taken = (lacking[None] > before).any(axis=1) & runs & (count > 0)
    if most_gpus == 1:  # one row of arrays in place of all: half of the time
        return _cut(placed, server, taken, fair, demand)
    return _cut(placed, slice(None), (on & taken).any(axis=2), fair, demand)


def _cut(
    placed: Placement,
    at: Any,
    taken: Bool[Array, "*S G"],
    fair: Float[Array, " 4"],
    demand: Float[Array, "jobs 4"],
) -> Placement:
    """The servers ``at`` a place after GPUs of them were cut to their fair share."""
    own, wanted = placed.share[at], _per_gpu(demand[placed.job[at]])
    is_demanding = (wanted > fair).any(axis=-1)
    left = jnp.where(is_demanding[..., None], fair, wanted)
    left = jnp.where(taken[..., None], left, own)
    return placed._replace(
        free=placed.free.at[at].add((own - left).sum(axis=-2)),
        share=placed.share.at[at].set(left),
        speed=placed.speed.at[at].set(jnp.where(taken & is_demanding, 1.0, placed.speed[at])),
    )
