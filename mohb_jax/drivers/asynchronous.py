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
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.asynchronous_lanes import (
    UNLIMITED,
    Lane,
    Numbers,
    Program,
    Queue,
    grown,
    launch,
    next_trial,
    num_keep,
    repeated,
    slots_of,
    start,
    whole_words,
)
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns
from mohb_jax.drivers.lanes import Cells, Lanes, with_slots
from mohb_jax.kernels.arrival import ArrivalRule, Rung, with_newcomer
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Searcher
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

LANES_PER_BATCH = 32
"""Lanes of one event loop: each waits for the longest sort among them, and their arrays stay in the cache."""
FIRST_CAPACITY = 96
"""Jobs of the first segment of a loop; every later one has room for half as many more."""


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

    def _program(self) -> Program:
        return Program(self.searcher, self.arrival, self.promotes, self.num_workers)

    def _numbers(self, capacity: int) -> Numbers:
        return Numbers(
            levels=np.array([repeated(bracket.levels) for bracket in self.brackets], np.int32),
            num_rungs=np.array([len(bracket.levels) for bracket in self.brackets], np.int32),
            num_keep=num_keep(self.eta, 0 if self.promotes else 1, capacity),
            eta=np.float64(self.eta),
            budget=np.int32(UNLIMITED if self.budget is None else self.budget),
            num_trials=np.int32(UNLIMITED if self.num_trials is None else self.num_trials),
        )


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
    capacity = whole_words(max(FIRST_CAPACITY, plan.num_workers))
    state = start(program, capacity, plan._numbers(capacity), cells, context, lanes)
    while True:
        state, goes_on = _segment(program, plan._numbers(capacity), cells, lanes, state)
        if not goes_on:
            break
        capacity = whole_words(capacity + capacity // 2)
        state = grown(program, capacity, plan._numbers(capacity), context, lanes, state)
    until = jnp.full_like(lanes.horizon, jnp.inf) if with_unfinished else lanes.horizon
    return tuple(jax.device_get(slots_of(until, state)))


@functools.partial(jax.jit, static_argnums=0)
def _segment(
    program: Program, numbers: Numbers, cells: Cells, lanes: Lanes, state: Lane
) -> tuple[Lane, Array]:
    """Events until all lanes have ended, or one has no room for another job."""
    capacity = state.row.shape[1]

    def unfinished(state: Lane) -> Array:
        busy = jnp.any(jnp.isfinite(state.free), axis=1)
        return jnp.any(busy) & jnp.all(state.num_launched < capacity)

    def events(state: Lane) -> Lane:
        step = functools.partial(_event, program, numbers, cells)
        return jax.vmap(step)(lanes.task, lanes.key, lanes.horizon, state)

    state = jax.lax.while_loop(unfinished, events, state)
    return state, jnp.any(jnp.isfinite(state.free))


def _event(
    program: Program,
    numbers: Numbers,
    cells: Cells,
    task: Array,
    key: Key,
    horizon: Array,
    state: Lane,
) -> Lane:
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
    fresh, there = next_trial(state)
    trial, rung = jnp.where(goes_on, trial, fresh), jnp.where(goes_on, rung, 0)
    wanted = (arrives | asks) & (goes_on | there)
    after = launch(numbers, cells, task, horizon, state, worker, time, trial, rung, wanted)
    if queue is None:
        return after
    return after._replace(queue=_asked(queue, after.free, after.num_launched > state.num_launched, time))


def _registered(
    program: Program, numbers: Numbers, state: Lane, worker: Array, own: Array, place: Array
) -> Lane:
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


def _rung_of(numbers: Numbers, state: Lane, rung: Array) -> Rung:
    inside = state.result_rung == rung
    keep = jnp.asarray(numbers.num_keep)[jnp.sum(inside, dtype=jnp.int32)]
    low, high = state.low[rung][None], state.high[rung][None]
    return Rung(state.result_costs, inside, low, high, keep, jnp.asarray(numbers.eta))


def _good_enough(
    program: Program, numbers: Numbers, key: Key, state: Lane, rung: Array, wanted: Array
) -> Array:
    """The first wanted result of a rung that may go on; the number of slots if there is none."""
    results = _rung_of(numbers, state, rung)
    return jnp.asarray(program.arrival.first(key, results, wanted & results.valid, state.dominators))


def _promoted(
    program: Program,
    numbers: Numbers,
    key: Key,
    state: Lane,
    queue: Queue,
    own: Array,
    place: Array,
) -> tuple[Queue, Array]:
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


def _asked(queue: Queue, free: Array, launched: Array, time: Array) -> Queue:
    """After a launch the first idle worker asks, too; where one got nothing, others would not either."""
    idle = ~jnp.isfinite(free)
    asker = jnp.where(launched & jnp.any(idle), jnp.argmax(idle), -1).astype(jnp.int32)
    return queue._replace(asker=asker, time=jnp.asarray(time))
