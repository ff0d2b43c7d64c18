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
from mohb_jax.drivers.asynchronous_lanes import Lane, grown, launch, slots_of, start
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns
from mohb_jax.drivers.halving import (
    UNLIMITED,
    Numbers,
    Program,
    chosen,
    next_trial,
    num_keep,
    repeated,
    row_and_level,
    told,
)
from mohb_jax.drivers.lanes import Cells, Lanes, next_asker, with_slots
from mohb_jax.kernels.arrival import ArrivalRule
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Searcher
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

LANES_PER_BATCH = 32
"""Lanes of one event loop: each waits for the longest sort among them, and their arrays stay in the cache."""
FIRST_CAPACITY = 128
"""Jobs of the first segment of a loop."""
GROWTH = 3
"""Every later one has room for so many times as many: each is compiled on its own."""


@dataclasses.dataclass(frozen=True)
class AsynchronousPlan:
    """An asynchronous run; see ``drivers.base.Plan``.

    Attributes:
        brackets: rungs of each bracket; levels ascend and end in the highest, sizes mean nothing.
        searcher: learns within a run by ``learn`` alone.
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

    def run(
        self,
        cells: Cells,
        context: Context,
        lanes: Lanes,
        devices: Sequence[jax.Device],
        with_unfinished: bool = False,
    ) -> RunLog:
        """See ``Plan``."""
        return simulate_asynchronous(self, cells, context, lanes, devices, with_unfinished)

    @property
    def program(self) -> Program:
        """What programs are compiled for."""
        return Program(self.searcher, self.arrival, self.promotes, self.num_workers)

    def numbers(self, capacity: int) -> Numbers:
        """What lanes with room for so many jobs compare."""
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
    return RunLog.of(np.asarray(lanes.task), np.asarray(lanes.run), *fields)


def _num_slots(plan: AsynchronousPlan, valid: np.ndarray) -> int:
    """Slots of a log: the budget, or those up to the last that counts in any lane."""
    return plan.budget or int(np.flatnonzero(np.any(valid, axis=0)).max(initial=-1)) + 1


def _run_batch(
    plan: AsynchronousPlan, cells: Cells, context: Context, lanes: Lanes, with_unfinished: bool
) -> tuple[np.ndarray, ...]:
    """Row, level, costs, start, end, worker and valid of every slot."""
    program, capacity = plan.program, FIRST_CAPACITY
    numbers = plan.numbers(capacity)
    state = start(program, numbers, cells, context, lanes)
    while True:
        state = grown(program, capacity, numbers, context, lanes, state)
        # Whoever does not learn has proposed already, and programs are the same without what it knows.
        known = context if program.searcher.learns else None
        state, goes_on = _segment(program, numbers, cells, known, lanes, state)
        if not goes_on:
            break
        capacity = GROWTH * capacity
        numbers = plan.numbers(capacity)
    until = jnp.asarray(lanes.horizon)
    if with_unfinished:  # put there, since even filling an array is a program to compile
        until = jax.device_put(np.full(until.shape, np.inf), until.sharding)
    return tuple(jax.device_get(slots_of(numbers, cells, lanes, until, state)))


@functools.partial(jax.jit, static_argnums=0)
def _segment(
    program: Program, numbers: Numbers, cells: Cells, context: Context, lanes: Lanes, state: Lane
) -> tuple[Lane, Array]:
    """Events until all lanes have ended, or one has no room for another job."""
    capacity = state.halving.capacity

    def unfinished(state: Lane) -> Array:
        return jnp.any(_goes_on(state)) & jnp.all(state.halving.num_launched < capacity)

    def events(state: Lane) -> Lane:
        step = functools.partial(_event, program, numbers, cells, context)
        return jax.vmap(step)(lanes.task, lanes.key, lanes.horizon, state)

    state = jax.lax.while_loop(unfinished, events, state)
    return state, jnp.any(_goes_on(state))


def _goes_on(state: Lane) -> Array:
    return (state.asker >= 0) | jnp.any(jnp.isfinite(state.free), axis=1)


def _event(
    program: Program,
    numbers: Numbers,
    cells: Cells,
    context: Context,
    task: Array,
    key: Key,
    horizon: Array,
    state: Lane,
) -> Lane:
    """The next result of a lane, or the next idle worker that asks, and the job that follows; nothing where
    no worker has a job."""
    asks, first_free = state.asker >= 0, jnp.argmin(state.free)
    worker = jnp.where(asks, state.asker, first_free.astype(jnp.int32))
    time = jnp.where(asks, state.time, state.free[worker])
    arrives = ~asks & jnp.isfinite(time)
    number, halving = state.job[worker], state.halving
    trial, rung = halving.jobs[number, :2]
    row, level = row_and_level(numbers, halving, trial, rung)
    costs = cells.look_up(task, row[None], level)[0][0]
    halving, own = told(program, numbers, context, task, key, halving, number, costs, arrives)
    halving, choice, wanted = chosen(program, numbers, context, task, halving, own, arrives | asks)
    before = state._replace(halving=halving)
    after = launch(numbers, cells, task, horizon, before, worker, time, choice, wanted)
    return _asked(program, after, after.halving.num_launched > halving.num_launched, time)


def _asked(program: Program, state: Lane, launched: Array, time: Array) -> Lane:
    """After a launch the first idle worker asks, too; where one got nothing, others would not either.

    Where trials stop rather than wait, it asks only for a new one, of which a searcher that learns does not
    know yet whether there is any.
    """
    may_be = state.halving.queue is not None or program.searcher.learns
    asks = launched if may_be else launched & next_trial(state.halving)[1]
    return state._replace(asker=next_asker(state.free, asks), time=jnp.asarray(time))
