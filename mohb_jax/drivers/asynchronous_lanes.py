"""Lanes of asynchronous runs: what they hold, how they begin and grow, and how a job is launched."""

import functools
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.drivers.lanes import Cells, Lanes, blanked
from mohb_jax.kernels.arrival import ArrivalRule
from mohb_jax.kernels.bits import WORD
from mohb_jax.searchers.base import Context, Searcher, State
from mohb_jax.types import Array, Key

FEWEST_LEVELS = 8
"""That programs are compiled for."""
UNLIMITED = np.iinfo(np.int32).max


class Program(NamedTuple):
    """What programs are compiled for."""

    searcher: Searcher
    arrival: ArrivalRule
    promotes: bool
    num_workers: int


class Numbers(NamedTuple):
    """What is only compared or looked up: other numbers need no other program."""

    levels: Int[np.ndarray, "brackets rungs"]
    """Level of each rung, the last one repeated."""
    num_rungs: Int[np.ndarray, " brackets"]
    num_keep: Int[np.ndarray, " results"]
    """How many of n results are good enough, by n."""
    eta: np.float64
    budget: np.int32
    num_trials: np.int32


@functools.lru_cache(maxsize=64)
def num_keep(eta: float | int, least: int, most: int) -> np.ndarray:
    """How many of n results are good enough, for n up to ``most``: exact, as no float division is."""
    factor = Fraction(str(eta))
    return np.array([max(least, n // factor) for n in range(most + 1)], np.int32)


class Queue(NamedTuple):
    """What waits to be promoted, and who asks for it."""

    result_trial: Int[jax.Array, " jobs"]
    promoted: Bool[jax.Array, " jobs"]
    first: Int[jax.Array, " rungs"]
    """The result of each rung that is promoted next; the number of slots where none is good enough."""
    stale: Int[jax.Array, ""]
    """The rung that last gave a trial away: who comes next is not found yet."""
    asker: Int[jax.Array, ""]
    """The idle worker that asks next for a job, at the time of the last event; -1 if none."""
    time: Float[jax.Array, ""]


class Lane(NamedTuple):
    """A lane between two events; arrays over jobs are in launch order, over results in that of arrival."""

    searcher: State
    bracket_key: Key
    trial_row: Int[jax.Array, " jobs"]
    trial_bracket: Int[jax.Array, " jobs"]
    num_offered: Int[jax.Array, ""]
    """Trials that the searcher has rows for."""
    num_started: Int[jax.Array, ""]
    num_launched: Int[jax.Array, ""]
    num_results: Int[jax.Array, ""]
    free: Float[jax.Array, " workers"]
    """When each worker ends its job; infinite for one that has none."""
    job_trial: Int[jax.Array, " workers"]
    job_rung: Int[jax.Array, " workers"]
    job: Int[jax.Array, " workers"]
    row: Int[jax.Array, " jobs"]
    level: Int[jax.Array, " jobs"]
    worker: Int[jax.Array, " jobs"]
    times: Float[jax.Array, "jobs 2"]
    costs: Float[jax.Array, "jobs m"]
    result_costs: Float[jax.Array, "jobs m"]
    result_rung: Int[jax.Array, " jobs"]
    low: Float[jax.Array, "rungs m"]
    """Least value of each objective among the results of each rung that did not fail."""
    high: Float[jax.Array, "rungs m"]
    dominators: UInt32[jax.Array, "words jobs"]
    """Of each result, as bits over results; no words where the rule has no fronts."""
    queue: Queue | None
    """Who may be promoted, in that variant."""


@functools.partial(jax.jit, static_argnums=(0, 1))
def start(
    program: Program, capacity: int, numbers: Numbers, cells: Cells, context: Context, lanes: Lanes
) -> Lane:
    def lane(task: Array, key: Key, horizon: Array) -> Lane:
        workers, num_rungs = program.num_workers, numbers.levels.size
        num_objectives = cells.look_up(task, jnp.zeros(1, jnp.int32), jnp.int32(0))[0].shape[1]
        blank = jnp.zeros(capacity, jnp.int32)
        results = jnp.full((capacity, num_objectives), jnp.inf)
        state = Lane(
            searcher=program.searcher.init(context, task, jax.random.fold_in(key, 0)),
            bracket_key=jax.random.fold_in(key, 1),
            trial_row=blank[:0],
            trial_bracket=blank[:0],
            num_offered=jnp.int32(0),
            num_started=jnp.int32(0),
            num_launched=jnp.int32(0),
            num_results=jnp.int32(0),
            free=jnp.full(workers, jnp.inf),
            job_trial=jnp.zeros(workers, jnp.int32),
            job_rung=jnp.zeros(workers, jnp.int32),
            job=jnp.zeros(workers, jnp.int32),
            row=blank,
            level=blank,
            worker=blank,
            times=jnp.full((capacity, 2), jnp.inf),
            costs=results,
            result_costs=results,
            result_rung=blank - 1,
            low=jnp.full((num_rungs, num_objectives), jnp.inf),
            high=jnp.full((num_rungs, num_objectives), -jnp.inf),
            dominators=jnp.zeros((_words(program, capacity), capacity), jnp.uint32),
            queue=_empty_queue(num_rungs, capacity) if program.promotes else None,
        )
        state = _offered(program, capacity, numbers, context, task, state)

        def first(worker: Array, state: Lane) -> Lane:
            trial, there = next_trial(state)
            return launch(
                numbers, cells, task, horizon, state, worker, jnp.zeros(()), trial, jnp.int32(0), there
            )

        return jax.lax.fori_loop(0, workers, first, state)

    return jax.vmap(lane)(lanes.task, lanes.key, lanes.horizon)


@functools.partial(jax.jit, static_argnums=(0, 1))
def grown(
    program: Program, capacity: int, numbers: Numbers, context: Context, lanes: Lanes, state: Lane
) -> Lane:
    """The same lanes with room for more jobs."""

    def lane(task: Array, state: Lane) -> Lane:
        more = capacity - state.row.shape[0]
        blank = {"times": jnp.inf, "costs": jnp.inf, "result_costs": jnp.inf, "result_rung": -1}
        wide: dict[str, Any] = {}
        for name in (*blank, "row", "level", "worker"):
            part = getattr(state, name)
            fresh = jnp.full((more, *part.shape[1:]), blank.get(name, 0), part.dtype)
            wide[name] = jnp.concatenate([part, fresh])
        words = _words(program, capacity) - state.dominators.shape[0]
        wide["dominators"] = jnp.pad(state.dominators, ((0, words), (0, more)))
        queue = None if state.queue is None else _longer(state.queue, more)
        return _offered(program, capacity, numbers, context, task, state._replace(**wide, queue=queue))

    return jax.vmap(lane)(lanes.task, state)


def _empty_queue(num_rungs: int, capacity: int) -> Queue:
    return Queue(
        result_trial=jnp.zeros(capacity, jnp.int32),
        promoted=jnp.zeros(capacity, bool),
        first=jnp.full(num_rungs, capacity, jnp.int32),
        stale=jnp.int32(0),
        asker=jnp.int32(-1),
        time=jnp.zeros(()),
    )


def _longer(queue: Queue, more: int) -> Queue:
    capacity = queue.promoted.shape[0]
    return queue._replace(
        result_trial=jnp.pad(queue.result_trial, (0, more)),
        promoted=jnp.pad(queue.promoted, (0, more)),
        first=jnp.where(queue.first == capacity, capacity + more, queue.first),
    )


def repeated(levels: tuple[int, ...]) -> tuple[int, ...]:
    """Levels with the last one repeated up to a power of two, at least 8: few programs serve all."""
    most = max(FEWEST_LEVELS, 1 << (len(levels) - 1).bit_length())
    return levels + levels[-1:] * (most - len(levels))


def whole_words(capacity: int) -> int:
    """The next multiple of the bits of a word."""
    return -(-capacity // WORD) * WORD


def _words(program: Program, capacity: int) -> int:
    return capacity // WORD if program.arrival.has_fronts else 0


def _offered(
    program: Program, capacity: int, numbers: Numbers, context: Context, task: Array, state: Lane
) -> Lane:
    """Rows and brackets for as many trials as there may be jobs: no result changes what is proposed."""
    more = capacity - state.trial_row.shape[0]
    searcher, row, valid = program.searcher.suggest(context, task, state.searcher, more)
    number = jnp.arange(state.trial_row.shape[0], capacity, dtype=jnp.int32)
    offered = state.num_offered + jnp.sum(valid, dtype=jnp.int32)
    return state._replace(
        searcher=searcher,
        trial_row=jnp.concatenate([state.trial_row, row]),
        trial_bracket=jnp.concatenate(
            [state.trial_bracket, _brackets(numbers.num_rungs, state.bracket_key, number)]
        ),
        num_offered=jnp.minimum(offered, numbers.num_trials),
    )


def _brackets(num_rungs: Array, key: Key, number: Array) -> Array:
    """Bracket of each trial: at random, weighted by the exponential of the number of its rungs."""
    if len(num_rungs) == 1:
        return jnp.zeros_like(number)
    weights = jnp.asarray(num_rungs, jnp.float32)
    draw = jax.vmap(lambda n: jax.random.categorical(jax.random.fold_in(key, n), weights))
    return draw(number).astype(jnp.int32)


def next_trial(state: Lane) -> tuple[Array, Array]:
    """The next configuration, and whether there is one."""
    trial = jnp.minimum(state.num_started, state.trial_row.shape[0] - 1)
    return trial, state.num_started < state.num_offered


def launch(
    numbers: Numbers,
    cells: Cells,
    task: Array,
    horizon: Array,
    state: Lane,
    worker: Array,
    time: Array,
    trial: Array,
    rung: Array,
    wanted: Array,
) -> Lane:
    """A job on a worker; the worker is idle if none is wanted, time is over or the budget is spent."""
    may = wanted & (time < horizon) & (state.num_launched < numbers.budget)
    bracket = state.trial_bracket[trial]
    levels = jnp.asarray(numbers.levels)
    row, level = state.trial_row[trial], levels[bracket, rung]
    costs, runtime = cells.look_up(task, row[None], level)
    paid = cells.look_up(task, row[None], levels[bracket, jnp.maximum(rung - 1, 0)])[1][0]
    resumed = jnp.where((rung > 0) & cells.resumable, paid, 0)
    end = time + (runtime[0] - resumed)
    slot = jnp.where(may, state.num_launched, state.row.shape[0])  # writes beyond the end are dropped
    return state._replace(
        num_started=state.num_started + (may & (rung == 0)),
        num_launched=state.num_launched + may,
        free=state.free.at[worker].set(jnp.where(may, end, jnp.inf)),
        job_trial=state.job_trial.at[worker].set(trial),
        job_rung=state.job_rung.at[worker].set(rung),
        job=state.job.at[worker].set(state.num_launched),
        row=state.row.at[slot].set(row, mode="drop"),
        level=state.level.at[slot].set(level, mode="drop"),
        worker=state.worker.at[slot].set(jnp.asarray(worker, jnp.int32), mode="drop"),
        times=state.times.at[slot].set(jnp.stack([time, end]), mode="drop"),
        costs=state.costs.at[slot].set(costs[0], mode="drop"),
    )


@jax.jit
def slots_of(until: Array, state: Lane) -> tuple[Array, ...]:
    """The log's arrays in launch order; what ended later is left out."""
    slot = jnp.arange(state.row.shape[1])
    start, end = state.times[..., 0], state.times[..., 1]
    valid = (slot < state.num_launched[:, None]) & (end <= until[:, None])
    return blanked(valid, state.row, state.level, state.costs, start, end, state.worker)
