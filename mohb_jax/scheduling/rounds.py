"""A cluster round by round: every five minutes all jobs are ordered and placed anew."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.scheduling.allocation import FAIR, MODES, TUNE, Placement, empty, place_one
from mohb_jax.scheduling.jobs import Jobs
from mohb_jax.scheduling.profiles import RESOURCES, SERVER

POLICIES = ("fifo", "srtf", "las", "ftf")
"""First in, first out; shortest remaining time first; least attained service; least finish-time fairness: the
time from arrival to the expected end, over that on a cluster of one's own."""
FIFO, SRTF, LAS, FTF = range(len(POLICIES))
ROUND = 300.0
"""Seconds."""
MOST_ROUNDS = 100_000


class Outcome(NamedTuple):
    """What became of the jobs of some lanes.

    Attributes:
        finish: end of the round in which each job ended, seconds.
        rounds: in which something was placed.
        used: share of GPUs, CPUs, memory and storage that jobs had, mean over these rounds.
        above_fair: share of busy GPUs and rounds with more of something than the fair share.
    """

    finish: Float[np.ndarray, "lanes jobs"]
    rounds: Int[np.ndarray, " lanes"]
    used: Float[np.ndarray, "lanes 4"]
    above_fair: Float[np.ndarray, " lanes"]


class _Lane(NamedTuple):
    """A cluster at the beginning of a round."""

    now: Float[Array, ""]
    done: Float[Array, " jobs"]
    """Iterations."""
    attained: Float[Array, " jobs"]
    """Seconds on GPUs, added up over them."""
    finish: Float[Array, " jobs"]
    """Infinite until then."""
    speed: Float[Array, " jobs"]
    """That by which remaining time is told: of the last round, or the full one where a job did not run."""
    position: Int[Array, " jobs"]
    """In the order of the last round; behind all others, by number, for jobs that were not there."""
    rounds: Int[Array, ""]
    used: Float[Array, " 4"]
    num_placed: Int[Array, ""]
    num_above: Int[Array, ""]


@in_64_bits
def simulate_rounds(
    jobs: Jobs,
    policy: Sequence[str],
    mode: Sequence[str],
    num_servers: int,
    first_round: float | int | None = None,
) -> Outcome:
    """Runs lists of jobs to their end, one lane per list.

    A round orders the jobs that have arrived and are not finished, places them one by one on empty servers
    (``allocate``), and lets each placed one do ``floor(300 s / seconds of an iteration)`` iterations. A job
    ends with the round that completes it. Moving a job costs nothing.

    Args:
        jobs: lists of equal length, lanes in front.
        policy: of each lane, one of ``POLICIES``. ``las`` looks at the first jobs alone, as many as there are
            GPUs for, under ``tune`` those on most GPUs first; the others go on down the list where a job
            finds no place.
        mode: of each lane, one of ``allocation.MODES``.
        num_servers: of ``profiles.SERVER``'s size.
        first_round: seconds at which the first round begins; by default the least arrival, rounded up to a
            round.

    Raises:
        InputError: an unknown policy or mode, no server, a job that demands more than there is.

    References:
        Mohan et al., OSDI 2022; rules as its published simulator applies them.
    """
    _require(jobs, policy, mode, num_servers)
    start = np.ceil(np.asarray(jobs.arrival).min(axis=1) / ROUND) * ROUND
    start = start if first_round is None else np.full_like(start, first_round)
    codes = [POLICIES.index(name) for name in policy], [MODES.index(name) for name in mode]
    how = [jnp.asarray(own, jnp.int32) for own in codes]
    most_gpus = int(np.asarray(jobs.demand)[..., 0].max())
    lane = _run(Jobs(*map(jnp.asarray, jobs)), jnp.asarray(start), *how, num_servers, most_gpus)
    rounds = np.asarray(lane.rounds)
    whole = np.asarray(SERVER) * num_servers
    return Outcome(
        finish=np.asarray(lane.finish),
        rounds=rounds,
        used=np.asarray(lane.used) / np.maximum(rounds, 1)[:, None] / whole,
        above_fair=np.asarray(lane.num_above) / np.maximum(lane.num_placed, 1),
    )


def _require(jobs: Jobs, policy: Sequence[str], mode: Sequence[str], num_servers: int) -> None:
    num_lanes = len(jobs.arrival)
    for what, names, accepted in (("policy", policy, POLICIES), ("mode", mode, MODES)):
        for name in names:
            require_choice(what, name, accepted)
        if len(names) != num_lanes:
            raise InputError(f"{len(names)} of {what} for {num_lanes} lists of jobs: each list needs one")
    if num_servers < 1:
        raise InputError(f"num_servers is {num_servers}: at least one is needed")
    demand = np.asarray(jobs.demand)
    gpus = demand[..., :1]
    if gpus.min() < 1 or (gpus % 1).any():
        raise InputError(f"a job has {gpus.min():g} GPUs: a whole number from 1 is accepted")
    fitting = num_servers * np.floor(np.asarray(SERVER) * gpus / np.maximum(demand, 1e-9)).min(axis=-1)
    if (fitting < gpus[..., 0]).any():
        worst = np.unravel_index(np.argmin(fitting - gpus[..., 0]), fitting.shape)
        raise InputError(
            f"job {worst[-1]} demands {_amounts(demand[worst])}: more than {num_servers} server(s) of "
            f"{_amounts(SERVER)} have"
        )


def _amounts(resources: Sequence[float] | Float[np.ndarray, " resources"]) -> str:
    return ", ".join(f"{amount:g} {name}" for amount, name in zip(resources, RESOURCES, strict=True))


@functools.partial(jax.jit, static_argnames=("num_servers", "most_gpus"))
def _run(
    jobs: Jobs,
    start: Float[Array, " lanes"],
    policy: Array,
    mode: Array,
    num_servers: int,
    most_gpus: int,
) -> _Lane:
    """All lanes together; loops have no lane of their own, so that their bodies choose nothing twice."""
    num_lanes, num_jobs = jobs.arrival.shape
    zeros, none = jnp.zeros((num_lanes, num_jobs)), jnp.zeros(num_lanes, jnp.int32)
    behind = jnp.broadcast_to(num_jobs + jnp.arange(num_jobs), zeros.shape)
    speed, used = jnp.asarray(jobs.speedup), jnp.zeros((num_lanes, 4))
    lane = _Lane(start, zeros, zeros, zeros + jnp.inf, speed, behind, none, used, none, none)
    turn = jax.vmap(lambda arrival: jnp.searchsorted(jnp.sort(arrival), arrival))(jobs.arrival)
    demand = jnp.asarray(jobs.demand)
    place_all = jax.vmap(functools.partial(place_one, capacity=SERVER, most_gpus=most_gpus))
    nothing = jax.tree.map(lambda x: jnp.broadcast_to(x, (num_lanes, *x.shape)), empty(num_servers, SERVER))

    def step(lane: _Lane) -> _Lane:
        order, num_active, position = jax.vmap(_ordered)(jobs, turn, lane, policy, mode)
        in_reach = functools.partial(_in_reach, num_gpus=num_servers * int(SERVER[0]), most_gpus=most_gpus)
        order, wanted = jax.vmap(in_reach)(demand[:, :, 0], order, num_active, policy, mode)

        def unfinished(carry: tuple[Array, Placement]) -> Array:
            number, placed = carry
            return _waiting(number, wanted, placed).any()

        def place(carry: tuple[Array, Placement]) -> tuple[Array, Placement]:
            number, placed = carry
            job, waits = order[:, jnp.minimum(number, num_jobs - 1)], _waiting(number, wanted, placed)
            return number + 1, place_all(placed, job, waits, demand, speed, mode)

        placed = jax.lax.while_loop(unfinished, place, (jnp.int32(0), nothing))[1]
        return jax.vmap(_after)(jobs, lane, placed, position)

    def goes_on(lane: _Lane) -> Array:
        return jnp.isinf(lane.finish).any() & (lane.rounds < MOST_ROUNDS).all()

    return jax.lax.while_loop(goes_on, step, lane)


def _in_reach(
    gpus: Float[Array, " jobs"],
    order: Int[Array, " jobs"],
    num_active: Int[Array, ""],
    policy: Array,
    mode: Array,
    num_gpus: int,
    most_gpus: int,
) -> tuple[Int[Array, " jobs"], Int[Array, ""]]:
    """The jobs that a policy looks at, in order, and how many they are: ``las`` at those for which there are
    GPUs, passing by what is too large for the rest of them."""
    is_las = policy == LAS
    if most_gpus == 1:
        return order, jnp.where(is_las, jnp.minimum(num_active, num_gpus), num_active)

    def take(left: Array, place: Array) -> tuple[Array, Array]:
        own = gpus[order[place]]
        is_taken = (place < num_active) & ((own <= left) | ~is_las)
        return left - jnp.where(is_taken, own, 0), is_taken

    is_taken = jax.lax.scan(take, jnp.asarray(num_gpus, gpus.dtype), jnp.arange(order.shape[0]))[1]
    size = jnp.where(is_las & (mode == TUNE), -gpus[order], 0)
    again = jnp.lexsort((size, ~is_taken))
    return order[again], jnp.sum(is_taken)


def _waiting(number: Array, wanted: Int[Array, " lanes"], placed: Placement) -> Bool[Array, " lanes"]:
    """Lanes that still have a job to place and a GPU for it."""
    return (number < wanted) & (placed.free[:, :, 0] >= 1).any(axis=1)


def _ordered(
    jobs: Jobs, turn: Int[Array, " jobs"], lane: _Lane, policy: Array, mode: Array
) -> tuple[Array, Array, Array]:
    """The jobs in the order of the policy, those that are there first; how many these are; and the place of
    each, from which equal ones are ordered in the next round. ``turn`` is their order of arrival, equal where
    they came together."""
    num_jobs = jobs.arrival.shape[0]
    active = jnp.isinf(lane.finish) & (jobs.arrival <= lane.now)
    speed = jnp.where(mode == FAIR, 1.0, lane.speed)
    remaining = jobs.seconds * (jobs.iterations - lane.done) / speed
    fairness = (lane.now - jobs.arrival + remaining) / (jobs.seconds * jobs.iterations)
    keys = [jobs.arrival, remaining, lane.attained, fairness]
    first = jnp.select([policy == code for code in (FIFO, SRTF, LAS, FTF)], keys)
    behind = jnp.arange(num_jobs)
    # Two keys in place of four: sorts of many keys take as many times as long.
    tie = jnp.where(policy == FIFO, 0, turn) * (2 * num_jobs) + lane.position
    order = jax.lax.sort((jnp.where(active, first, jnp.inf), tie, behind), num_keys=2)[2]
    position = jnp.zeros(num_jobs, behind.dtype).at[order].set(behind)
    return order, jnp.sum(active), jnp.where(active, position, num_jobs + behind)


def _after(jobs: Jobs, lane: _Lane, placed: Placement, position: Array) -> _Lane:
    """The lane at the end of a round."""
    num_jobs = jobs.arrival.shape[0]
    runs = placed.job >= 0
    job = jnp.where(runs, placed.job, num_jobs).reshape(-1)  # beyond the last: dropped
    speed = placed.speed.reshape(-1)
    progress = jnp.floor(ROUND / (jobs.seconds[jnp.minimum(job, num_jobs - 1)] / speed))
    gained = jnp.zeros(num_jobs).at[job].set(progress, mode="drop")  # the same from each of its GPUs
    done = jnp.minimum(jobs.iterations, lane.done + gained)
    now = lane.now + ROUND
    fair = jnp.asarray(SERVER) / SERVER[0]
    above = runs & (placed.share > fair).any(axis=-1)
    return _Lane(
        now=now,
        done=done,
        attained=lane.attained.at[job].add(ROUND, mode="drop"),
        finish=jnp.where(jnp.isinf(lane.finish) & (done >= jobs.iterations), now, lane.finish),
        speed=jnp.asarray(jobs.speedup).at[job].set(speed, mode="drop"),
        position=position,
        rounds=lane.rounds + runs.any(),
        used=lane.used + placed.share.sum(axis=(0, 1)),
        num_placed=lane.num_placed + runs.sum(dtype=jnp.int32),
        num_above=lane.num_above + above.sum(dtype=jnp.int32),
    )
