"""Asynchronous driver: one compiled event loop per batch of lanes.

An event is the end of a job. The worker that ends first, by simulated time and then by number, hands in its
result and gets its next job at once. In the stopping variant that is the next rung of its own trial, if the
rung finds the result good enough; in the promotion variant it is the best trial of the highest rung that has
one which deserves it. Otherwise it is a new trial. Clocks are float64 sums of start and duration, so the same
additions in plain Python give the same bits.
"""

import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns
from mohb_jax.drivers.lanes import Cells, Lanes, blanked, with_slots
from mohb_jax.kernels.arrival import ArrivalRule, Rung, with_newcomer
from mohb_jax.kernels.bits import WORD
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Searcher, State
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

LANES_PER_BATCH = 32
"""Lanes of one event loop: each waits for the longest sort among them, and their arrays stay in the cache."""
FIRST_CAPACITY = 96
"""Jobs of the first segment of a loop; every later one has room for half as many more."""
FEWEST_LEVELS = 8
"""That programs are compiled for."""
UNLIMITED = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class AsynchronousPlan:
    """An asynchronous run; see ``drivers.base.Plan``.

    Attributes:
        brackets: rungs of each bracket; levels ascend and end in the highest, sizes mean nothing.
        searcher: must not learn within a run.
        arrival: finds the results that are good enough to go on.
        promotes: True if idle workers promote any trial that deserves it, False if a trial that is not good
            enough on arrival ends.
        eta: reduction factor.
        num_workers: of the simulated machine.
        budget: jobs that are launched at most, or None.
        num_trials: configurations that are started at most, or None.
    """

    brackets: tuple[Bracket, ...]
    searcher: Searcher
    arrival: ArrivalRule
    promotes: bool
    eta: float | int
    num_workers: int
    budget: int | None
    num_trials: int | None
    microseconds: ClassVar[float] = 3.0

    @property
    def most_evaluations(self) -> int | None:
        """See ``Plan``."""
        return self.budget

    def prepare(self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Context:
        """What the searcher prepares."""
        return self.searcher.prepare(table, tasks, seed, prior)

    def levels(self) -> tuple[int, ...]:
        """See ``Plan``; as many for every eta, or each would need programs of its own."""
        return repeated(levels_of(self.brackets))

    def in_levels(self, used: Sequence[int]) -> "AsynchronousPlan":
        """See ``Plan``."""
        return dataclasses.replace(self, brackets=brackets_in_levels(self.brackets, used))

    def jobs_per_rung(self, bracket: Bracket) -> tuple[float, ...]:
        """A rung as a share of the one before it: one in eta goes on."""
        return tuple(1 / float(self.eta) ** rung for rung in range(len(bracket.levels)))

    def run(self, cells: Cells, context: Context, lanes: Lanes, devices: Sequence[jax.Device]) -> RunLog:
        """See ``Plan``."""
        return simulate_asynchronous(self, cells, context, lanes, devices)

    def _program(self) -> "_Program":
        return _Program(self.searcher, self.arrival, self.promotes, self.num_workers)

    def _numbers(self, capacity: int) -> "_Numbers":
        return _Numbers(
            levels=np.array([repeated(bracket.levels) for bracket in self.brackets], np.int32),
            num_rungs=np.array([len(bracket.levels) for bracket in self.brackets], np.int32),
            num_keep=_num_keep(self.eta, 0 if self.promotes else 1, capacity),
            eta=np.float64(self.eta),
            budget=np.int32(UNLIMITED if self.budget is None else self.budget),
            num_trials=np.int32(UNLIMITED if self.num_trials is None else self.num_trials),
        )


class _Program(NamedTuple):
    """What programs are compiled for."""

    searcher: Searcher
    arrival: ArrivalRule
    promotes: bool
    num_workers: int


class _Numbers(NamedTuple):
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
def _num_keep(eta: float | int, least: int, most: int) -> np.ndarray:
    """How many of n results are good enough, for n up to ``most``: exact, as no float division is."""
    factor = Fraction(str(eta))
    return np.array([max(least, n // factor) for n in range(most + 1)], np.int32)


class _Queue(NamedTuple):
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


class _Lane(NamedTuple):
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
    queue: _Queue | None
    """Who may be promoted, in that variant."""


def simulate_asynchronous(
    plan: AsynchronousPlan,
    cells: Cells,
    context: Context,
    lanes: Lanes,
    devices: Sequence[jax.Device],
    with_unfinished: bool = False,
) -> RunLog:
    """Runs every lane to its end; see ``simulate_lanes``, whose log this one has the form of.

    ``with_unfinished`` keeps jobs that were launched within the horizon and end after it.

    Batches of lanes take turns on the devices, in as many threads as there are processors. A batch grows in
    segments: it ends when its last lane has, and arrays are as long as its longest lane needs, to the next
    segment.
    """

    def run(shared: tuple[Cells, Context], own: Lanes) -> tuple[np.ndarray, ...]:
        return _run_batch(plan, *shared, own, with_unfinished)

    num_lanes = len(lanes.task)
    size = min(LANES_PER_BATCH, num_lanes)
    parts = in_turns(run, (cells, context), lanes, size, devices)
    slots = max(_num_slots(plan, part[-1]) for part in parts)
    fields = [
        np.concatenate([with_slots(part, slots) for part in column])[:num_lanes]
        for column in zip(*parts, strict=True)
    ]
    return RunLog(np.asarray(lanes.task), np.asarray(lanes.run), *fields)


def _num_slots(plan: AsynchronousPlan, valid: np.ndarray) -> int:
    """Slots of a log: the budget, or those up to the last that counts in any lane."""
    return plan.budget or int(np.flatnonzero(np.any(valid, axis=0)).max(initial=-1)) + 1


def _run_batch(
    plan: AsynchronousPlan, cells: Cells, context: Context, lanes: Lanes, with_unfinished: bool
) -> tuple[np.ndarray, ...]:
    """Row, level, costs, start, end, worker and valid of every slot."""
    program = plan._program()
    capacity = _whole_words(max(FIRST_CAPACITY, plan.num_workers))
    state = _start(program, capacity, plan._numbers(capacity), cells, context, lanes)
    while True:
        state, goes_on = _segment(program, plan._numbers(capacity), cells, lanes, state)
        if not goes_on:
            break
        capacity = _whole_words(capacity + capacity // 2)
        state = _grown(program, capacity, plan._numbers(capacity), context, lanes, state)
    until = jnp.full_like(lanes.horizon, jnp.inf) if with_unfinished else lanes.horizon
    return tuple(jax.device_get(_slots(until, state)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _start(
    program: _Program, capacity: int, numbers: _Numbers, cells: Cells, context: Context, lanes: Lanes
) -> _Lane:
    def lane(task: Array, key: Key, horizon: Array) -> _Lane:
        workers, num_rungs = program.num_workers, numbers.levels.size
        num_objectives = cells.look_up(task, jnp.zeros(1, jnp.int32), jnp.int32(0))[0].shape[1]
        blank = jnp.zeros(capacity, jnp.int32)
        results = jnp.full((capacity, num_objectives), jnp.inf)
        state = _Lane(
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

        def first(worker: Array, state: _Lane) -> _Lane:
            trial, there = _next_trial(state)
            return _launch(
                numbers, cells, task, horizon, state, worker, jnp.zeros(()), trial, jnp.int32(0), there
            )

        return jax.lax.fori_loop(0, workers, first, state)

    return jax.vmap(lane)(lanes.task, lanes.key, lanes.horizon)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _grown(
    program: _Program, capacity: int, numbers: _Numbers, context: Context, lanes: Lanes, state: _Lane
) -> _Lane:
    """The same lanes with room for more jobs."""

    def lane(task: Array, state: _Lane) -> _Lane:
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


def _empty_queue(num_rungs: int, capacity: int) -> _Queue:
    return _Queue(
        result_trial=jnp.zeros(capacity, jnp.int32),
        promoted=jnp.zeros(capacity, bool),
        first=jnp.full(num_rungs, capacity, jnp.int32),
        stale=jnp.int32(0),
        asker=jnp.int32(-1),
        time=jnp.zeros(()),
    )


def _longer(queue: _Queue, more: int) -> _Queue:
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


def _whole_words(capacity: int) -> int:
    """The next multiple of the bits of a word."""
    return -(-capacity // WORD) * WORD


def _words(program: _Program, capacity: int) -> int:
    return capacity // WORD if program.arrival.has_fronts else 0


def _offered(
    program: _Program, capacity: int, numbers: _Numbers, context: Context, task: Array, state: _Lane
) -> _Lane:
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


def _next_trial(state: _Lane) -> tuple[Array, Array]:
    """The next configuration, and whether there is one."""
    trial = jnp.minimum(state.num_started, state.trial_row.shape[0] - 1)
    return trial, state.num_started < state.num_offered


def _launch(
    numbers: _Numbers,
    cells: Cells,
    task: Array,
    horizon: Array,
    state: _Lane,
    worker: Array,
    time: Array,
    trial: Array,
    rung: Array,
    wanted: Array,
) -> _Lane:
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


@functools.partial(jax.jit, static_argnums=0)
def _segment(
    program: _Program, numbers: _Numbers, cells: Cells, lanes: Lanes, state: _Lane
) -> tuple[_Lane, Array]:
    """Events until all lanes have ended, or one has no room for another job."""
    capacity = state.row.shape[1]

    def unfinished(state: _Lane) -> Array:
        busy = jnp.any(jnp.isfinite(state.free), axis=1)
        return jnp.any(busy) & jnp.all(state.num_launched < capacity)

    def events(state: _Lane) -> _Lane:
        step = functools.partial(_event, program, numbers, cells)
        return jax.vmap(step)(lanes.task, lanes.key, lanes.horizon, state)

    state = jax.lax.while_loop(unfinished, events, state)
    return state, jnp.any(jnp.isfinite(state.free))


def _event(
    program: _Program,
    numbers: _Numbers,
    cells: Cells,
    task: Array,
    key: Key,
    horizon: Array,
    state: _Lane,
) -> _Lane:
    """The next result of a lane, or the next idle worker that asks, and the job that follows; nothing where
    no worker has a job."""
    queue, capacity = state.queue, state.row.shape[0]
    asks = jnp.bool_(False) if queue is None else queue.asker >= 0
    worker = jnp.argmin(state.free).astype(jnp.int32)
    time = state.free[worker]
    arrives = ~asks & jnp.isfinite(time)
    trial, rung = state.job_trial[worker], state.job_rung[worker]
    bracket = state.trial_bracket[trial]
    decides = arrives & (rung < jnp.asarray(numbers.num_rungs)[bracket] - 1)
    own = bracket * numbers.levels.shape[1] + rung
    place = jnp.where(decides, state.num_results, capacity)
    state = _registered(program, numbers, state, worker, own, place)
    key = jax.random.fold_in(key, 2)
    if queue is None:
        found = _good_enough(program, numbers, key, state, own, jnp.arange(capacity) == place)
        goes_on, rung = found < capacity, rung + 1
    else:
        queue = queue._replace(result_trial=queue.result_trial.at[place].set(trial, mode="drop"))
        queue, result = _promoted(program, numbers, key, state, queue, own, place)
        goes_on, trial, rung = result < capacity, queue.result_trial[result], state.result_rung[result] + 1
        worker, time = jnp.where(asks, queue.asker, worker), jnp.where(asks, queue.time, time)
    fresh, there = _next_trial(state)
    trial, rung = jnp.where(goes_on, trial, fresh), jnp.where(goes_on, rung, 0)
    wanted = (arrives | asks) & (goes_on | there)
    after = _launch(numbers, cells, task, horizon, state, worker, time, trial, rung, wanted)
    if queue is None:
        return after
    return after._replace(queue=_asked(queue, after.free, after.num_launched > state.num_launched, time))


def _registered(
    program: _Program, numbers: _Numbers, state: _Lane, worker: Array, own: Array, place: Array
) -> _Lane:
    """The worker's result in its rung, as number ``place`` of all results; nothing beyond their end."""
    decides = place < state.row.shape[0]
    costs = state.costs[state.job[worker]]
    counts = decides & jnp.all(jnp.isfinite(costs))
    state = state._replace(
        num_results=state.num_results + decides,
        low=state.low.at[own].min(jnp.where(counts, costs, jnp.inf)),
        high=state.high.at[own].max(jnp.where(counts, costs, -jnp.inf)),
        result_costs=state.result_costs.at[place].set(costs, mode="drop"),
        result_rung=state.result_rung.at[place].set(own, mode="drop"),
    )
    if not program.arrival.has_fronts:
        return state
    rung = _rung_of(numbers, state, own)
    return state._replace(dominators=jnp.asarray(with_newcomer(rung, place, state.dominators)))


def _rung_of(numbers: _Numbers, state: _Lane, rung: Array) -> Rung:
    inside = state.result_rung == rung
    keep = jnp.asarray(numbers.num_keep)[jnp.sum(inside, dtype=jnp.int32)]
    low, high = state.low[rung][None], state.high[rung][None]
    return Rung(state.result_costs, inside, low, high, keep, jnp.asarray(numbers.eta))


def _good_enough(
    program: _Program, numbers: _Numbers, key: Key, state: _Lane, rung: Array, wanted: Array
) -> Array:
    """The first wanted result of a rung that may go on; the number of slots if there is none."""
    results = _rung_of(numbers, state, rung)
    return jnp.asarray(program.arrival.first(key, results, wanted & results.valid, state.dominators))


def _promoted(
    program: _Program,
    numbers: _Numbers,
    key: Key,
    state: _Lane,
    queue: _Queue,
    own: Array,
    place: Array,
) -> tuple[_Queue, Array]:
    """The result that is promoted, the best of the highest rung that has one; the number of slots if none is.

    Who comes next in a rung changes only when a result arrives there or the one who was next is promoted.
    """
    capacity = state.row.shape[0]
    changed = jnp.stack([jnp.where(place < capacity, own, queue.stale), queue.stale])
    next_in = jax.vmap(lambda rung: _good_enough(program, numbers, key, state, rung, ~queue.promoted))
    first = queue.first.at[changed].set(next_in(changed))
    number = jnp.arange(first.shape[0], dtype=jnp.int32)
    rung = jnp.max(jnp.where(first < capacity, number, -1))
    result = jnp.where(rung >= 0, first[rung], capacity)
    promoted = queue.promoted.at[result].set(True, mode="drop")
    return queue._replace(promoted=promoted, first=first, stale=jnp.maximum(rung, 0)), result


def _asked(queue: _Queue, free: Array, launched: Array, time: Array) -> _Queue:
    """After a launch the first idle worker asks, too; where one got nothing, others would not either."""
    idle = ~jnp.isfinite(free)
    asker = jnp.where(launched & jnp.any(idle), jnp.argmax(idle), -1).astype(jnp.int32)
    return queue._replace(asker=asker, time=jnp.asarray(time))


@jax.jit
def _slots(until: Array, state: _Lane) -> tuple[Array, ...]:
    """The log's arrays in launch order; what ended later is left out."""
    slot = jnp.arange(state.row.shape[1])
    start, end = state.times[..., 0], state.times[..., 1]
    valid = (slot < state.num_launched[:, None]) & (end <= until[:, None])
    return blanked(valid, state.row, state.level, state.costs, start, end, state.worker)
