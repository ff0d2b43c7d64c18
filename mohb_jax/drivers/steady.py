"""Steady-state driver: a worker that becomes free gets its next job at once, and a policy says which.

A step of a lane is a result, if one is in, and a question to the policy on behalf of a worker that is free.
In a run in which no worker ever waits, step k launches job k in every lane, so that what a policy computes
for k results is computed for all lanes together.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.asynchronous import simulate_asynchronous
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns
from mohb_jax.drivers.lanes import Cells, Lanes, Record, blanked, in_launch_order, next_asker, wide
from mohb_jax.drivers.opening import Opening, Past, past_of
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Job, Moment, Policy, Result, State, first_state
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

STEPS = 16
"""Steps of one compiled call; after each, lanes that have ended are looked for."""


@dataclasses.dataclass(frozen=True)
class SteadyPlan:
    """All that is static in such a run; see ``drivers.base.Plan``.

    Attributes:
        brackets: one, whose levels are those that the policy's jobs may have: ascending, and maybe equal
            where a table has too few; sizes mean nothing.
        policy: chooses the jobs.
        num_workers: of the simulated machine.
        budget: jobs that are launched at most, or None.
        num_trials: rows that are started at most, or None.
        opening: how a run begins, before the policy takes over; None where the policy begins.
    """

    brackets: tuple[Bracket, ...]
    policy: Policy
    num_workers: int
    budget: int | None
    num_trials: int | None = None
    opening: Opening | None = None
    microseconds: ClassVar[float] = 4.0

    @property
    def most_evaluations(self) -> int | None:
        """See ``Plan``; without a budget, a row of every trial at every level."""
        if self.budget is not None or self.num_trials is None:
            return self.budget
        return self.num_trials * len(self.brackets[0].levels)

    def prepare(
        self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None
    ) -> tuple[Context, Context]:
        """What the policy prepares, and the searcher of the opening, if there is one."""
        opening = None if self.opening is None else self.opening.plan.prepare(table, tasks, seed, None)
        return self.policy.prepare(table, tasks, seed, prior), opening

    def levels(self) -> tuple[int, ...]:
        """See ``Plan``."""
        return levels_of(self.brackets)

    def in_levels(self, used: Sequence[int]) -> "SteadyPlan":
        """See ``Plan``."""
        opening = self.opening
        if opening is not None:
            opening = dataclasses.replace(opening, plan=opening.plan.in_levels(used))
        return dataclasses.replace(self, brackets=brackets_in_levels(self.brackets, used), opening=opening)

    def jobs_per_rung(self, bracket: Bracket) -> tuple[float, ...]:
        """Each level as often as the others."""
        return tuple(map(float, bracket.sizes))

    def run(
        self,
        cells: Cells,
        context: tuple[Context, Context],
        lanes: Lanes,
        devices: Sequence[jax.Device],
        with_unfinished: bool = False,
    ) -> RunLog:
        """See ``Plan``."""
        known, of_opening = context
        past = None
        if self.opening is not None:
            first = simulate_asynchronous(
                self.opening.plan, cells, of_opening, lanes, devices, with_unfinished=True
            )
            past = past_of(self.opening, first)
        return simulate_steady(self, cells, known, lanes, devices, past, with_unfinished)

    @property
    def limits(self) -> "Limits":
        """What is compared with what lanes have done: arrays, so that no program depends on it."""
        budget, num_trials = (
            np.asarray(np.inf if limit is None else limit, float) for limit in (self.budget, self.num_trials)
        )
        return Limits(budget, num_trials, np.array(self.brackets[0].levels, np.int32))

    def most_results(self, num_steps: int) -> int:
        """The size that serves lanes after so many steps."""
        sizes = self.policy.sizes
        return next((size for size in sizes if size >= num_steps), sizes[-1]) if sizes else 0


class Limits(NamedTuple):
    """How far lanes go."""

    budget: Float[Array, ""]
    """Jobs that are launched at most; infinite where the horizon ends a lane."""
    num_trials: Float[Array, ""]
    """Rows that are started at most, or infinite."""
    ladder: Int[Array, " levels"]
    """The levels of jobs."""


class Counts(NamedTuple):
    """What a lane has launched."""

    num_launched: Int[Array, ""]
    num_trials: Int[Array, ""]
    """Rows that were started."""


class _Lane(NamedTuple):
    """A lane between two steps."""

    policy: State
    free: Float[jax.Array, " workers"]
    """When each worker ends its job; infinite for one that has none."""
    row: Int[jax.Array, " workers"]
    level: Int[jax.Array, " workers"]
    number: Int[jax.Array, " workers"]
    """The worker's job in launch order."""
    costs: Float[jax.Array, "workers m"]
    num_launched: Int[jax.Array, ""]
    num_trials: Int[jax.Array, ""]
    """Rows that were started."""
    asker: Int[jax.Array, ""]
    """The idle worker that asks next, at the time of the last result; -1 if none."""
    time: Float[jax.Array, ""]


def simulate_steady(
    plan: SteadyPlan,
    cells: Cells,
    context: Context,
    lanes: Lanes,
    devices: Sequence[jax.Device],
    past: Past | None = None,
    with_unfinished: bool = False,
) -> RunLog:
    """Runs every lane to its end; see ``simulate_lanes``, whose log this one has the form of.

    Args:
        plan: what is static.
        cells: the table.
        context: what the plan's policy prepared.
        lanes: the runs.
        devices: batches of lanes take turns on them.
        past: what the opening of each lane did, where the plan has one.
        with_unfinished: keeps jobs that end after the horizon.
    """

    def run(shared: tuple[Cells, Context], own: tuple[Lanes, Past | None]) -> Record:
        return _run_batch(plan, *shared, *own)

    size = min(plan.policy.lanes_per_batch, len(lanes.task))
    records = in_turns(run, (cells, context), (lanes, past), size, devices)
    until = np.full(len(lanes.task), np.inf) if with_unfinished else np.asarray(lanes.horizon)
    return _as_log(plan, lanes, until, records)


def _run_batch(plan: SteadyPlan, cells: Cells, context: Context, lanes: Lanes, past: Past | None) -> Record:
    """What every step of some lanes launched: arrays over lanes and steps, in launch order."""
    state = _start(plan.policy, plan.num_workers, cells, context, lanes)
    parts: list[Record] = []
    num_steps = 0
    if past is not None:
        state = _continued(plan.policy, context, lanes, past, state)
        parts.append(past.record)
        num_steps = past.record.row.shape[1]
    goes_on = True
    while goes_on:
        num_steps += STEPS
        most = plan.most_results(num_steps)
        state, record, any_left = _steps(plan.policy, most, plan.limits, cells, context, lanes, state)
        parts.append(record)
        goes_on = bool(any_left)
    joined = jax.tree.map(lambda *fields: np.concatenate(fields, axis=1), *jax.device_get(parts))
    return in_launch_order(joined)


def _as_log(
    plan: SteadyPlan, lanes: Lanes, until: Float[np.ndarray, " lanes"], records: list[Record]
) -> RunLog:
    slots = plan.budget or max(record.launched.shape[1] for record in records)

    def joined(*fields: np.ndarray) -> np.ndarray:
        return np.concatenate(fields)[: len(lanes.task)]

    record = jax.tree.map(joined, *(wide(record, slots) for record in records))
    valid = record.launched & (record.end <= until[:, None])
    log = blanked(valid, record.row, record.level, record.costs, record.start, record.end, record.worker)
    return RunLog.of(np.asarray(lanes.task), np.asarray(lanes.run), *log)


@functools.partial(jax.jit, static_argnums=0)
def _continued(policy: Policy, context: Context, lanes: Lanes, past: Past, state: _Lane) -> _Lane:
    """Lanes at the end of their past: results are with the policy, jobs that still run with the workers."""

    def lane(task: Array, past: Past, state: _Lane) -> _Lane:
        record, time = past
        slots = jnp.arange(record.row.shape[0], dtype=jnp.int32)
        by_end = jnp.argsort(jnp.where(record.launched, record.end, jnp.inf), stable=True)

        def tell(told: State, slot: Array) -> tuple[State, None]:
            runs = record.end[slot] > time
            # Of a job that still runs the policy learns, for now, only that its row is taken.
            level = jnp.where(runs, 0, record.level[slot])
            costs = jnp.where(runs, jnp.inf, record.costs[slot])
            result = Result(record.row[slot], level, costs, slot, record.launched[slot])
            return policy.observe(context, task, told, result), None

        told = jax.lax.scan(tell, state.policy, by_end)[0]
        worker = jnp.where(record.launched & (record.end > time), record.worker, state.free.shape[0])
        free = state.free.at[worker].set(record.end, mode="drop")
        return state._replace(
            policy=told,
            free=free,
            row=state.row.at[worker].set(record.row, mode="drop"),
            level=state.level.at[worker].set(record.level, mode="drop"),
            number=state.number.at[worker].set(slots, mode="drop"),
            costs=state.costs.at[worker].set(record.costs, mode="drop"),
            num_launched=jnp.sum(record.launched, dtype=jnp.int32),
            num_trials=jnp.sum(record.launched & (record.level == 0), dtype=jnp.int32),
            asker=next_asker(free, jnp.isfinite(time)),
            time=jnp.asarray(time),
        )

    return jax.vmap(lane)(lanes.task, past, state)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _start(policy: Policy, num_workers: int, cells: Cells, context: Context, lanes: Lanes) -> _Lane:
    def lane(task: Array, key: Key, run: Array) -> _Lane:
        none = jnp.zeros(num_workers, jnp.int32)
        costs = cells.look_up(task, none, jnp.int32(0))[0]
        return _Lane(
            policy=first_state(policy, context, task, key, run),
            free=jnp.full(num_workers, jnp.inf),
            row=none,
            level=none,
            number=none,
            costs=jnp.full_like(costs, jnp.inf),
            num_launched=jnp.int32(0),
            num_trials=jnp.int32(0),
            asker=jnp.int32(0),
            time=jnp.zeros(()),
        )

    return jax.vmap(lane)(lanes.task, lanes.key, lanes.run)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _steps(
    policy: Policy,
    most_results: int,
    limits: Limits,
    cells: Cells,
    context: Context,
    lanes: Lanes,
    state: _Lane,
) -> tuple[_Lane, Record, Array]:
    """Some steps of every lane, and whether any lane goes on after them."""

    def step(state: _Lane, _: None) -> tuple[_Lane, Record]:
        own = functools.partial(_step, policy, most_results, limits, cells, context)
        return jax.vmap(own)(lanes.task, lanes.horizon, state)

    state, record = jax.lax.scan(step, state, None, length=STEPS)
    record = jax.tree.map(lambda field: jnp.moveaxis(field, 0, 1), record)
    return state, record, jnp.any(jax.vmap(functools.partial(_goes_on, limits))(lanes.horizon, state))


def _goes_on(limits: Limits, horizon: Array, state: _Lane) -> Array:
    following = jnp.where(state.asker >= 0, state.time, jnp.min(state.free))
    return (following < horizon) & (state.num_launched < limits.budget)


def _step(
    policy: Policy,
    most_results: int,
    limits: Limits,
    cells: Cells,
    context: Context,
    task: Array,
    horizon: Array,
    state: _Lane,
) -> tuple[_Lane, Record]:
    """The next result, unless an idle worker still asks at the time of the last one; then the next job."""
    asks = state.asker >= 0
    first = jnp.argmin(state.free).astype(jnp.int32)
    worker = jnp.where(asks, state.asker, first)
    time = jnp.where(asks, state.time, state.free[first])
    goes_on = _goes_on(limits, horizon, state)
    arrives = goes_on & ~asks
    result = Result(
        state.row[worker], state.level[worker], state.costs[worker], state.number[worker], arrives
    )
    told = policy.observe(context, task, state.policy, result)
    counts = Counts(state.num_launched, state.num_trials)
    told, job, wanted = proposed(policy, most_results, limits, context, task, told, counts, time, horizon)
    record = _launched(jnp.asarray(limits.ladder), cells, task, worker, time, job, goes_on & wanted)
    return _after(state, told, job, record), record


def proposed(
    policy: Policy,
    most_results: int,
    limits: Limits,
    context: Context,
    task: Array,
    state: State,
    counts: Counts,
    time: Array,
    horizon: Array,
) -> tuple[State, Job, Array]:
    """What a free worker of a lane is to do now, and whether that is anything; without table and clock.

    Args:
        policy: chooses.
        most_results: static, see ``Moment``.
        limits: how far the lane goes.
        context: what the policy prepared.
        task: of the lane.
        state: of the policy.
        counts: what the lane has launched.
        time: seconds since its beginning.
        horizon: seconds at which it ends.
    """
    progress = jnp.clip(jnp.maximum(time / horizon, counts.num_launched / limits.budget), 0, 1)
    moment = Moment(counts.num_launched, progress, most_results)
    state, job = policy.propose(context, task, state, moment)
    return state, job, job.wanted & ((job.from_level >= 0) | (counts.num_trials < limits.num_trials))


def _launched(
    ladder: Array, cells: Cells, task: Array, worker: Array, time: Array, job: Job, launched: Array
) -> Record:
    row = job.row[None]
    costs, runtime = cells.look_up(task, row, ladder[job.level])
    before = cells.look_up(task, row, ladder[jnp.maximum(job.from_level, 0)])[1]
    paid = jnp.where((job.from_level >= 0) & cells.resumable, before[0], 0)
    end = time + (runtime[0] - paid)
    return Record(job.row, ladder[job.level], costs[0], time, end, worker, launched)


def _after(state: _Lane, policy: State, job: Job, record: Record) -> _Lane:
    """The lane with the job on its worker, or with the worker idle."""
    worker, launched = record.worker, record.launched
    free = state.free.at[worker].set(jnp.where(launched, record.end, jnp.inf))
    return _Lane(
        policy=policy,
        free=free,
        row=state.row.at[worker].set(record.row),
        level=state.level.at[worker].set(job.level),
        number=state.number.at[worker].set(state.num_launched),
        costs=state.costs.at[worker].set(record.costs),
        num_launched=state.num_launched + launched,
        num_trials=state.num_trials + (launched & (job.from_level < 0)),
        # Where one worker got nothing, others would not either before the next result.
        asker=next_asker(free, launched),
        time=jnp.asarray(record.start),
    )
