"""Lanes of asynchronous runs: what they hold, how they begin and grow, and how a job is launched."""

import functools
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.drivers.lanes import Cells, Lanes, blanked
from mohb_jax.kernels.arrival import ArrivalRule
from mohb_jax.kernels.fronts import Fronts, no_fronts
from mohb_jax.searchers.base import Context, Searcher, State
from mohb_jax.types import Array, Key

FEWEST_LEVELS = 8
"""That programs are compiled for."""
UNLIMITED = np.iinfo(np.int32).max
NONE = UNLIMITED
"""Index of a result where there is none: beyond all of them, however many there may be."""


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


def repeated(levels: tuple[int, ...]) -> tuple[int, ...]:
    """Levels with the last one repeated up to a power of two, at least 8: few programs serve all."""
    most = max(FEWEST_LEVELS, 1 << (len(levels) - 1).bit_length())
    return levels + levels[-1:] * (most - len(levels))


class Jobs(NamedTuple):
    """In launch order."""

    number: Int[jax.Array, "jobs 3"]
    """Trial, rung and worker."""
    time: Float[jax.Array, "jobs 2"]
    """Start and end."""


class Results(NamedTuple):
    """Of rungs that decide, in the order of arrival."""

    costs: Float[jax.Array, "m jobs"]
    rung: Int[jax.Array, " jobs"]
    """Counted over all brackets; -1 where there is none yet."""
    fronts: Fronts | None
    """For rules that look at them."""


class Queue(NamedTuple):
    """What waits to be promoted."""

    trial: Int[jax.Array, " jobs"]
    """Of each result."""
    promoted: Bool[jax.Array, " jobs"]
    first: Int[jax.Array, " rungs"]
    """The result of each rung that is promoted next; ``NONE`` where none is good enough."""
    stale: Int[jax.Array, ""]
    """The rung that last gave a trial away: who comes next is not found yet."""


class Lane(NamedTuple):
    """A lane between two events."""

    searcher: State
    bracket_key: Key | None
    """None where there is only one bracket."""
    trials: Int[jax.Array, "jobs 2"]
    """Row and bracket of each."""
    num_offered: Int[jax.Array, ""]
    """Trials that the searcher has rows for."""
    num_started: Int[jax.Array, ""]
    num_launched: Int[jax.Array, ""]
    num_results: Int[jax.Array, ""]
    free: Float[jax.Array, " workers"]
    """When each worker ends its job; infinite for one that has none."""
    job: Int[jax.Array, " workers"]
    asker: Int[jax.Array, ""]
    """The idle worker that asks next for a job, at the time of the last event; -1 if none."""
    time: Float[jax.Array, ""]
    jobs: Jobs
    results: Results
    bounds: Float[jax.Array, "rungs 2 m"]
    """Least value of each objective, and of its negative, in each rung; failures left out."""
    queue: Queue | None
    """Who may be promoted, in that variant."""

    @property
    def capacity(self) -> int:
        """Jobs that there is room for."""
        return self.trials.shape[-2]


@functools.partial(jax.jit, static_argnums=0)
def start(program: Program, numbers: Numbers, cells: Cells, context: Context, lanes: Lanes) -> Lane:
    """Lanes without room for any job, whose first worker asks for one."""
    num_objectives = len(cells.sources) - 1
    num_rungs, none = numbers.levels.size, jnp.zeros(0, jnp.int32)

    def lane(task: Array, key: Key) -> Lane:
        return Lane(
            searcher=program.searcher.init(context, task, jax.random.fold_in(key, 0)),
            bracket_key=jax.random.fold_in(key, 1) if len(numbers.levels) > 1 else None,
            trials=jnp.zeros((0, 2), jnp.int32),
            num_offered=jnp.int32(0),
            num_started=jnp.int32(0),
            num_launched=jnp.int32(0),
            num_results=jnp.int32(0),
            free=jnp.full(program.num_workers, jnp.inf),
            job=jnp.zeros(program.num_workers, jnp.int32),
            asker=jnp.int32(0),
            time=jnp.zeros(()),
            jobs=Jobs(jnp.zeros((0, 3), jnp.int32), jnp.zeros((0, 2))),
            results=Results(
                jnp.zeros((num_objectives, 0)), none, no_fronts(0) if program.arrival.settle else None
            ),
            bounds=jnp.full((num_rungs, 2, num_objectives), jnp.inf),
            queue=Queue(none, none == 0, jnp.full(num_rungs, NONE), jnp.int32(0))
            if program.promotes
            else None,
        )

    return jax.vmap(lane)(lanes.task, lanes.key)


@functools.partial(jax.jit, static_argnums=(0, 1))
def grown(
    program: Program, capacity: int, numbers: Numbers, context: Context, lanes: Lanes, state: Lane
) -> Lane:
    """The same lanes with room for more jobs."""
    more = capacity - state.capacity

    def longer(part: jax.Array, filler: float | int = 0, axis: int = 0) -> jax.Array:
        width = [(0, more if number == axis else 0) for number in range(part.ndim)]
        return jnp.pad(part, width, constant_values=filler)

    def lane(task: Array, state: Lane) -> Lane:
        results, queue = state.results, state.queue
        fronts = results.fronts
        if fronts is not None:
            fronts = jax.tree.map(lambda own, new: jnp.concatenate([own, new]), fronts, no_fronts(more))
        if queue is not None:
            queue = queue._replace(trial=longer(queue.trial), promoted=longer(queue.promoted))
        costs, rung = longer(results.costs, jnp.inf, 1), longer(results.rung, -1)
        state = state._replace(
            jobs=Jobs(longer(state.jobs.number), longer(state.jobs.time, jnp.inf)),
            results=Results(costs, rung, fronts),
            queue=queue,
        )
        return _offered(program, more, numbers, context, task, state)

    return jax.vmap(lane)(lanes.task, state)


def _offered(
    program: Program, more: int, numbers: Numbers, context: Context, task: Array, state: Lane
) -> Lane:
    """Rows and brackets for as many trials as there may be jobs, where no result changes what is proposed;
    else room for them."""
    if program.searcher.learns:
        return state._replace(trials=jnp.pad(state.trials, ((0, more), (0, 0))))
    searcher, row, valid = program.searcher.suggest(context, task, state.searcher, more)
    number = state.capacity + jnp.arange(more, dtype=jnp.int32)
    offered = state.num_offered + jnp.sum(valid, dtype=jnp.int32)
    key = state.bracket_key
    bracket = jnp.zeros_like(row) if key is None else _brackets(numbers.num_rungs, key, number)
    return state._replace(
        searcher=searcher,
        trials=jnp.concatenate([state.trials, jnp.stack([row, bracket], axis=1)]),
        num_offered=jnp.minimum(offered, numbers.num_trials),
    )


def with_trial(
    program: Program, numbers: Numbers, context: Context, task: Array, state: Lane, wanted: Array
) -> Lane:
    """A row for the next trial, if it is wanted and there is none yet, from a searcher that learns."""
    asks = wanted & (state.num_offered == state.num_started) & (state.num_offered < numbers.num_trials)
    suggest = program.searcher.suggest_up_to
    assert suggest is not None
    searcher, row, valid = suggest(context, task, state.searcher, 1, asks.astype(jnp.int32))
    number = state.num_offered[None]
    key = state.bracket_key
    bracket = jnp.zeros_like(row) if key is None else _brackets(numbers.num_rungs, key, number)
    there = asks & valid[0]
    place = jnp.where(there, number, state.capacity)
    return state._replace(
        searcher=searcher,
        trials=state.trials.at[place].set(jnp.stack([row, bracket], axis=1), mode="drop"),
        num_offered=state.num_offered + there,
    )


def _brackets(num_rungs: Array, key: Key, number: Array) -> Array:
    """Bracket of each trial: at random, weighted by the exponential of the number of its rungs."""
    weights = jnp.asarray(num_rungs, jnp.float32)
    draw = jax.vmap(lambda n: jax.random.categorical(jax.random.fold_in(key, n), weights))
    return draw(number).astype(jnp.int32)


def next_trial(state: Lane) -> tuple[Array, Array]:
    """The next configuration, and whether there is one."""
    return jnp.minimum(state.num_started, state.capacity - 1), state.num_started < state.num_offered


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
    rungs = jnp.stack([rung, jnp.maximum(rung - 1, 0)])
    row, bracket = state.trials[trial]
    level = jnp.asarray(numbers.levels)[bracket, rungs]
    _, (runtime, paid) = cells.look_up(task, jnp.tile(row, 2), level)
    end = time + (runtime - jnp.where((rung > 0) & cells.resumable, paid, 0))
    slot = jnp.where(may, state.num_launched, state.capacity)  # writes beyond the end are dropped
    job = jnp.stack([trial, rung, worker]).astype(jnp.int32)
    own = jnp.arange(state.job.shape[0]) == worker
    return state._replace(
        num_started=state.num_started + (may & (rung == 0)),
        num_launched=state.num_launched + may,
        free=jnp.where(own, jnp.where(may, end, jnp.inf), state.free),
        job=jnp.where(own, state.num_launched, state.job),
        jobs=Jobs(
            state.jobs.number.at[slot].set(job, mode="drop"),
            state.jobs.time.at[slot].set(jnp.stack([time, end]), mode="drop"),
        ),
    )


@jax.jit
def slots_of(numbers: Numbers, cells: Cells, lanes: Lanes, until: Array, state: Lane) -> tuple[Array, ...]:
    """The log's arrays in launch order; what ended later is left out."""
    trial, rung, worker = jnp.moveaxis(state.jobs.number, -1, 0)
    row, bracket = jnp.moveaxis(jnp.take_along_axis(state.trials, trial[..., None], axis=1), -1, 0)
    level = jnp.asarray(numbers.levels)[bracket, rung]
    costs, _ = jax.vmap(cells.look_up)(lanes.task, row, level)
    begin, end = jnp.moveaxis(state.jobs.time, -1, 0)
    valid = jnp.arange(state.capacity) < state.num_launched[:, None]
    return blanked(valid & (end <= until[:, None]), row, level, costs, begin, end, worker)
