"""Asynchronous halving without table and clock: what a lane knows, and what it decides.

``told`` takes a result in and judges it; ``chosen`` says what whoever asks is to do, and ``taken`` writes
that it was begun. When that happens is the caller's: simulated time, or somebody's real training.
"""

import functools
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.arrival import ArrivalRule, Rung
from mohb_jax.kernels.fronts import Fronts, no_fronts, of_rung, with_newcomer
from mohb_jax.searchers.base import Context, Result, Searcher, State, first_state
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


class Halving(NamedTuple):
    """What a lane has started, launched and heard of."""

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
    jobs: Int[jax.Array, "jobs 3"]
    """Trial, rung and worker, in launch order."""
    results: Results
    bounds: Float[jax.Array, "rungs 2 m"]
    """Least value of each objective, and of its negative, in each rung; failures left out."""
    queue: Queue | None
    """Who may be promoted, in that variant."""

    @property
    def capacity(self) -> int:
        """Jobs that there is room for."""
        return self.trials.shape[-2]


class Choice(NamedTuple):
    """What a worker may do next; all of shape []."""

    trial: Int[Array, ""]
    rung: Int[Array, ""]
    goes_on: Bool[Array, ""]
    """Whether the trial had a result before: if not, it may be no trial yet."""


def begun(
    program: Program,
    numbers: Numbers,
    num_objectives: int,
    context: Context,
    task: Array,
    key: Key,
    run: Array,
) -> Halving:
    """A lane without room for any job."""
    num_rungs, none = numbers.levels.size, jnp.zeros(0, jnp.int32)
    fronts = no_fronts(0) if program.arrival.settle else None
    return Halving(
        searcher=first_state(program.searcher, context, task, key, run),
        bracket_key=jax.random.fold_in(key, 1) if len(numbers.levels) > 1 else None,
        trials=jnp.zeros((0, 2), jnp.int32),
        num_offered=jnp.int32(0),
        num_started=jnp.int32(0),
        num_launched=jnp.int32(0),
        num_results=jnp.int32(0),
        jobs=jnp.zeros((0, 3), jnp.int32),
        results=Results(jnp.zeros((num_objectives, 0)), none, fronts),
        bounds=jnp.full((num_rungs, 2, num_objectives), jnp.inf),
        queue=Queue(none, none == 0, jnp.full(num_rungs, NONE), jnp.int32(0)) if program.promotes else None,
    )


def longer(part: jax.Array, more: int, filler: float | int = 0, axis: int = 0) -> jax.Array:
    """An array with room for more."""
    width = [(0, more if number == axis else 0) for number in range(part.ndim)]
    return jnp.pad(part, width, constant_values=filler)


def enlarged(
    program: Program, more: int, numbers: Numbers, context: Context, task: Array, state: Halving
) -> Halving:
    """The lane with room for more jobs."""
    results, queue = state.results, state.queue
    fronts = results.fronts
    if fronts is not None:
        fronts = jax.tree.map(lambda own, new: jnp.concatenate([own, new]), fronts, no_fronts(more))
    if queue is not None:
        queue = queue._replace(trial=longer(queue.trial, more), promoted=longer(queue.promoted, more))
    costs, rung = longer(results.costs, more, jnp.inf, 1), longer(results.rung, more, -1)
    state = state._replace(jobs=longer(state.jobs, more), results=Results(costs, rung, fronts), queue=queue)
    return _offered(program, more, numbers, context, task, state)


def _offered(
    program: Program, more: int, numbers: Numbers, context: Context, task: Array, state: Halving
) -> Halving:
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


def _brackets(num_rungs: Array, key: Key, number: Array) -> Array:
    """Bracket of each trial: at random, weighted by the exponential of the number of its rungs."""
    weights = jnp.asarray(num_rungs, jnp.float32)
    draw = jax.vmap(lambda n: jax.random.categorical(jax.random.fold_in(key, n), weights))
    return draw(number).astype(jnp.int32)


def row_and_level(numbers: Numbers, state: Halving, trial: Array, rung: Array) -> tuple[Array, Array]:
    """Of a trial, at one rung or at several."""
    row, bracket = state.trials[trial]
    return row, jnp.asarray(numbers.levels)[bracket, rung]


def told(
    program: Program,
    numbers: Numbers,
    context: Context,
    task: Array,
    key: Key,
    state: Halving,
    number: Array,
    costs: Array,
    arrives: Array,
) -> tuple[Halving, Choice]:
    """The lane with the result of a job, and how its trial goes on, if it does.

    Args:
        program: static.
        numbers: what is compared.
        context: of the searcher.
        task: of the lane.
        key: of the lane.
        state: the lane.
        number: of the job, in launch order.
        costs: [m], infinite where it failed.
        arrives: whether there is a result: if not, nothing is registered.
    """
    trial, rung = state.jobs[number, :2]
    row, bracket = state.trials[trial]
    decides = arrives & (rung < jnp.asarray(numbers.num_rungs)[bracket] - 1)
    own = bracket * numbers.levels.shape[1] + rung
    place = jnp.where(decides, state.num_results, NONE)
    state = _registered(state, costs, own, place)
    key = jax.random.fold_in(key, 2)
    if state.queue is None:
        newcomer = jnp.arange(state.capacity) == place
        found, fronts = _good_enough(program, numbers, key, state, own, newcomer)
        state = state._replace(results=state.results._replace(fronts=fronts))
        goes_on = found < NONE
    else:
        state, goes_on = _queued(program, numbers, key, state, trial, own, place), jnp.zeros((), bool)
    if program.searcher.learn is not None:
        level = jnp.asarray(numbers.levels)[bracket, rung]
        result = Result(row, level, costs, number, arrives)
        state = state._replace(searcher=program.searcher.learn(context, task, state.searcher, result))
    return state, Choice(trial, rung + 1, goes_on)


def _registered(state: Halving, costs: Array, own: Array, place: Array) -> Halving:
    """A result in its rung, as number ``place`` of all; nothing beyond their end."""
    decides, results = place < NONE, state.results
    counts = decides & jnp.all(jnp.isfinite(costs))
    all_costs = results.costs.at[:, place].set(costs, mode="drop")
    rung = results.rung.at[place].set(own, mode="drop")
    fronts = results.fronts
    if fronts is not None:
        fronts = with_newcomer(all_costs, rung == own, place, fronts)
    return state._replace(
        num_results=state.num_results + decides,
        bounds=state.bounds.at[own].min(jnp.where(counts, jnp.stack([costs, -costs]), jnp.inf)),
        results=Results(all_costs, rung, fronts),
    )


def _good_enough(
    program: Program, numbers: Numbers, key: Key, state: Halving, rung: Array, wanted: Array
) -> tuple[Array, Fronts | None]:
    """The first wanted result of a rung that may go on, ``NONE`` if there is none; and the fronts of all
    rungs."""
    results, inside = state.results, state.results.rung == rung
    keep = jnp.asarray(numbers.num_keep)[jnp.sum(inside, dtype=jnp.int32)]
    low, negative_high = state.bounds[rung]
    own = Rung(results.costs, inside, low, -negative_high, keep, jnp.asarray(numbers.eta))
    fronts, settle, wanted = results.fronts, program.arrival.settle, wanted & inside
    own_fronts = None
    if fronts is not None and settle is not None:
        own_fronts = settle(own, wanted, of_rung(fronts, inside))
        fronts = jax.tree.map(functools.partial(jnp.where, inside), own_fronts, fronts)
    found = program.arrival.first(key, own, wanted, own_fronts)
    return jnp.where(found < state.capacity, found, NONE), fronts


def _queued(
    program: Program, numbers: Numbers, key: Key, state: Halving, trial: Array, own: Array, place: Array
) -> Halving:
    """Who is promoted next in each rung, which changes only when a result arrives there or the one who was
    next is promoted."""
    queue = state.queue
    assert queue is not None
    queue = queue._replace(trial=queue.trial.at[place].set(trial, mode="drop"))
    changed = jnp.stack([jnp.where(place < NONE, own, queue.stale), queue.stale])
    return _looked(program, numbers, key, state._replace(queue=queue), changed)


def _looked(program: Program, numbers: Numbers, key: Key, state: Halving, changed: jax.Array) -> Halving:
    """The lane that knows who is promoted next in some rungs, after they have changed."""
    queue = state.queue
    assert queue is not None
    waits = ~queue.promoted

    def look(results: Results, rung: Array) -> tuple[Results, Array]:
        now = state._replace(results=results)
        found, fronts = _good_enough(program, numbers, key, now, rung, waits)
        return results._replace(fronts=fronts), found

    results, found = jax.lax.scan(look, state.results, changed)
    return state._replace(results=results, queue=queue._replace(first=queue.first.at[changed].set(found)))


def chosen(
    program: Program,
    numbers: Numbers,
    context: Context,
    task: Array,
    state: Halving,
    own: Choice,
    wanted: Array,
) -> tuple[Halving, Choice, Array]:
    """What a worker is to do: go on with its own trial, promote the best of the highest rung that has one, or
    start a new one.

    Args:
        program: static.
        numbers: what is compared.
        context: of the searcher.
        task: of the lane.
        state: the lane, in which everybody was ``told``.
        own: how the worker's own trial goes on, if it does.
        wanted: whether a worker asks.

    Returns:
        The lane, in which a promoted trial has left the queue; the choice; and whether there is one.
    """
    if state.queue is not None:
        state, own = _promoted(state, wanted)
    if program.searcher.learn is not None:
        state = _with_trial(program, numbers, context, task, state, wanted & ~own.goes_on)
    fresh, there = next_trial(state)
    trial, rung = jnp.where(own.goes_on, own.trial, fresh), jnp.where(own.goes_on, own.rung, 0)
    return state, Choice(trial, rung, own.goes_on), wanted & (own.goes_on | there)


def _promoted(state: Halving, wanted: Array) -> tuple[Halving, Choice]:
    """Whether a trial is promoted, if one is wanted: the best of the highest rung that has one; which, and to
    what rung."""
    queue, results = state.queue, state.results
    assert queue is not None
    number = jnp.arange(queue.first.shape[0], dtype=jnp.int32)
    rung = jnp.max(jnp.where(queue.first < NONE, number, -1))
    result = jnp.where(wanted & (rung >= 0), queue.first[rung], NONE)
    promoted = queue.promoted.at[result].set(True, mode="drop")
    queue = queue._replace(promoted=promoted, stale=jnp.where(wanted, jnp.maximum(rung, 0), queue.stale))
    return state._replace(queue=queue), Choice(queue.trial[result], results.rung[result] + 1, result < NONE)


def _with_trial(
    program: Program, numbers: Numbers, context: Context, task: Array, state: Halving, wanted: Array
) -> Halving:
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


def next_trial(state: Halving) -> tuple[Array, Array]:
    """The next configuration, and whether there is one."""
    return jnp.minimum(state.num_started, state.capacity - 1), state.num_started < state.num_offered


def taken(state: Halving, choice: Choice, worker: Array, may: Array) -> Halving:
    """The lane in which a worker has begun what was chosen, if it may."""
    slot = jnp.where(may, state.num_launched, state.capacity)  # writes beyond the end are dropped
    job = jnp.stack([choice.trial, choice.rung, worker]).astype(jnp.int32)
    return state._replace(
        num_started=state.num_started + (may & (choice.rung == 0)),
        num_launched=state.num_launched + may,
        jobs=state.jobs.at[slot].set(job, mode="drop"),
    )
