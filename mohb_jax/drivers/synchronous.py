"""Synchronous driver: plain Python walks the brackets, jitted steps advance all lanes together.

In synchronous Hyperband time never changes a decision: a rung is cut when all its results are in, however
long they took. So each rung is one step (look up, order, promote) and the clock runs once over all slots of a
pass.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns, spread
from mohb_jax.drivers.lanes import Cells, Lanes, blanked, with_slots
from mohb_jax.kernels.clock import Layout, Timeline, list_schedule, overlap_schedule
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Searcher, Seen, State
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

CACHED_PAIRS = 1 << 22
"""Pairs of rows that a rung step compares at a time: beyond the cache of the processor one costs three times
as much."""


@dataclasses.dataclass(frozen=True)
class SynchronousPlan:
    """All that is static in a run: what decides shapes and programs; see ``drivers.base.Plan``.

    ``budget`` is the number of evaluations of a lane, or None where its simulated seconds end it.
    ``opening`` are brackets that come once, before the first pass.
    """

    brackets: tuple[Bracket, ...]
    searcher: Searcher
    promotion: PromotionRule
    num_workers: int
    overlap: bool
    budget: int | None
    opening: tuple[Bracket, ...] = ()
    microseconds: ClassVar[float] = 0.4

    @property
    def most_evaluations(self) -> int | None:
        """See ``Plan``."""
        return self.budget

    def prepare(
        self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None
    ) -> tuple[Context, int]:
        """What the searcher prepares, and the most rows that any task offers: no run goes on for longer."""
        most_rows = max(int(table.measured(task).sum()) for task in tasks)
        return self.searcher.prepare(table, tasks, seed, prior), most_rows

    def levels(self) -> tuple[int, ...]:
        """See ``Plan``."""
        return levels_of(self.opening + self.brackets)

    def in_levels(self, used: Sequence[int]) -> "SynchronousPlan":
        """See ``Plan``."""
        return dataclasses.replace(
            self,
            brackets=brackets_in_levels(self.brackets, used),
            opening=brackets_in_levels(self.opening, used),
        )

    def jobs_per_rung(self, bracket: Bracket) -> tuple[float, ...]:
        """As many as the bracket says."""
        return tuple(map(float, bracket.sizes))

    def run(
        self, cells: Cells, context: tuple[Context, int], lanes: Lanes, devices: Sequence[jax.Device]
    ) -> RunLog:
        """See ``Plan``. Lanes of a searcher that learns take turns, all others advance together."""
        known, most_rows = context
        if self.searcher.learns:
            return simulate_learners(self, cells, known, most_rows, lanes, devices)
        num_lanes = len(lanes.task)
        if len(devices) > 1:
            lanes, (cells, known) = spread(lanes, (cells, known), devices)
        log = simulate_lanes(self, cells, known, most_rows, lanes)
        return RunLog(*(field[:num_lanes] for field in log))

    @property
    def slots_per_pass(self) -> int:
        return sum(bracket.num_evaluations for bracket in self.brackets)

    @property
    def rows_per_pass(self) -> int:
        return sum(bracket.sizes[0] for bracket in self.brackets)

    def brackets_of(self, number: int) -> tuple[tuple[Bracket, ...], int]:
        """Brackets of a pass, and the number of the first of them in the run; the opening is pass -1."""
        if number < 0:
            return self.opening, 1
        return self.brackets, 1 + len(self.opening) + number * len(self.brackets)


class _Rung(NamedTuple):
    """Candidates of a rung, and the seconds that were already paid for each."""

    row: Int[Array, " n"]
    valid: Bool[Array, " n"]
    paid: Float[Array, " n"]


class _Slots(NamedTuple):
    """Launched evaluations before they have a place in time."""

    row: Int[Array, " n"]
    level: Int[Array, " n"]
    costs: Float[Array, "n m"]
    duration: Float[Array, " n"]
    valid: Bool[Array, " n"]


def simulate_lanes(
    plan: SynchronousPlan, cells: Cells, context: Context, most_rows: int, lanes: Lanes
) -> RunLog:
    """Runs every lane to its end; the fidelities of the log are levels of ``cells``.

    Args:
        plan: what is static.
        cells: the table.
        context: what the plan's searcher prepared for the tasks of ``cells``.
        most_rows: the most rows that any task offers: no run goes on for longer.
        lanes: the runs.

    Nothing is read back while brackets and rungs are walked. Where simulated seconds end the run, one boolean
    per pass says whether any lane has time left; it is read after the next pass was dispatched.
    """
    state = _init(plan.searcher, context, lanes.task, lanes.key)
    free = jnp.zeros((len(lanes.task), plan.num_workers), cells.values.dtype)
    slots: list[_Slots] = []
    timelines: list[Timeline] = []
    may_go_on: list[Array] = []
    for number in range(-bool(plan.opening), max_passes(plan, most_rows)):
        if plan.budget is None and len(may_go_on) > 1 and not may_go_on[-2]:
            break
        state, launched = _pass(plan, cells, context, lanes, state, number)
        marks = _clock_marks(plan, plan.brackets_of(number)[0])
        free, timeline, time_left = _clock(launched, free, lanes.horizon, *marks)
        slots.append(launched)
        timelines.append(timeline)
        may_go_on.append(time_left)
    all_slots, timeline = _join(slots), _join(timelines)
    if plan.overlap:
        walked = plan.opening + plan.brackets * (len(slots) - bool(plan.opening))
        timeline = _overlap(all_slots, _layout(walked), plan.num_workers)
    log = _finish(lanes, all_slots, timeline, plan.budget, plan.overlap)
    return RunLog(*jax.device_get((lanes.task, lanes.run, *log)))


def simulate_learners(
    plan: SynchronousPlan,
    cells: Cells,
    context: Context,
    most_rows: int,
    lanes: Lanes,
    devices: Sequence[jax.Device],
) -> RunLog:
    """``simulate_lanes`` for searchers that learn: batches of lanes take turns on the devices, in as many
    threads as there are processors.

    What such a searcher does takes so long that its arrays should stay in the cache, and that a lane should
    not go on because one among thousands has time left. A batch ends with its last lane.
    """

    def run(shared: tuple[Cells, Context], own: Lanes) -> RunLog:
        return simulate_lanes(plan, *shared, most_rows, own)

    size = min(plan.searcher.lanes_per_batch, len(lanes.task))
    return _joined_logs(in_turns(run, (cells, context), lanes, size, devices), len(lanes.task))


def _joined_logs(logs: list[RunLog], num_lanes: int) -> RunLog:
    slots = max(log.valid.shape[1] for log in logs)
    columns = zip(*(log[2:] for log in logs), strict=True)
    fields = [np.concatenate([with_slots(part, slots) for part in parts])[:num_lanes] for parts in columns]
    task, run = (np.concatenate(parts)[:num_lanes] for parts in zip(*(log[:2] for log in logs), strict=True))
    return RunLog(task, run, *fields)


def max_passes(plan: SynchronousPlan, num_rows: int) -> int:
    """Passes after which the table is used up, or the budget of evaluations is surely spent."""
    until_empty = -(-num_rows // plan.rows_per_pass)
    if plan.budget is None:
        return until_empty
    # With overlap, later brackets may start before earlier ones end; but never before their first rungs did.
    per_pass = plan.rows_per_pass if plan.overlap else plan.slots_per_pass
    return min(until_empty, -(-plan.budget // per_pass))


@functools.partial(jax.jit, static_argnames="searcher")
def _init(searcher: Searcher, context: Context, task: Array, keys: Key) -> State:
    return jax.vmap(lambda task, key: searcher.init(context, task, jax.random.fold_in(key, 0)))(task, keys)


def _pass(
    plan: SynchronousPlan, cells: Cells, context: Context, lanes: Lanes, state: State, number: int
) -> tuple[State, _Slots]:
    """One pass over all brackets: Python walks them, each rung is one compiled step."""
    slots = []
    brackets, first = plan.brackets_of(number)
    for index, bracket in enumerate(brackets):
        bracket_number = np.int32(first + index)
        state, rung = _open_bracket(plan.searcher, bracket.sizes[0], context, lanes.task, state)
        for level, num_keep in zip(bracket.levels, (*bracket.sizes[1:], 0), strict=True):
            state, launched, rung = _rung_step(
                plan.searcher, plan.promotion, num_keep, cells,
                lanes.task, lanes.key, state, rung, np.int32(level), bracket_number,
            )  # fmt: skip
            slots.append(launched)
    return state, _join(slots)


@functools.partial(jax.jit, static_argnames=("searcher", "size"))
def _open_bracket(
    searcher: Searcher, size: int, context: Context, task: Array, state: State
) -> tuple[State, _Rung]:
    def lane(task: Array, state: State) -> tuple[State, _Rung]:
        state, row, valid = searcher.suggest(context, task, state, size)
        return state, _Rung(row, valid, jnp.zeros(size, jnp.result_type(float)))

    return jax.vmap(lane)(task, state)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _rung_step(
    searcher: Searcher,
    promotion: PromotionRule,
    num_keep: int,
    cells: Cells,
    task: Array,
    keys: Key,
    state: State,
    rung: _Rung,
    level: Array,
    bracket_number: Array,
) -> tuple[State, _Slots, _Rung]:
    """Looks a rung up, tells the searcher, and promotes: one step of all lanes."""

    def lane(task: Array, key: Key, state: State, rung: _Rung) -> tuple[State, _Slots, _Rung]:
        costs, runtime = cells.look_up(task, rung.row, level)
        duration = runtime - jnp.where(cells.resumable, rung.paid, 0)
        slots = _Slots(rung.row, jnp.full_like(rung.row, level), costs, duration, rung.valid)
        state = searcher.observe(
            state, Seen(rung.row, level, costs, rung.valid, level == cells.num_levels - 1)
        )
        if num_keep == 0:
            return state, slots, rung
        order = promotion(jax.random.fold_in(key, bracket_number), costs, rung.valid, num_keep)
        survives = jnp.arange(num_keep) < jnp.sum(rung.valid)
        return state, slots, _Rung(rung.row[order], survives, runtime[order])

    batch = max(1, CACHED_PAIRS // rung.row.shape[1] ** 2)
    if num_keep == 0 or batch >= len(task):
        return jax.vmap(lane)(task, keys, state, rung)
    return jax.lax.map(lambda lanes: lane(*lanes), (task, keys, state, rung), batch_size=batch)


@jax.jit
def _join(slots: list) -> Any:
    """One array per field for parts that follow one another in launch order."""
    return jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), *slots)


@jax.jit
def _clock(
    slots: _Slots, free: Array, horizon: Array, waits: Array, counts: Array
) -> tuple[Array, Timeline, Array]:
    """Times of a pass for the slots that count, and whether any lane may still launch in the next pass."""
    schedule = jax.vmap(list_schedule, in_axes=(0, 0, None, 0))
    free, timeline = schedule(slots.duration, slots.valid & counts[None], waits, free)
    return free, timeline, jnp.any(jnp.min(free, axis=1) < horizon)


def _clock_marks(plan: SynchronousPlan, brackets: tuple[Bracket, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which slots of a pass wait for idle workers, and which count, in the clock that runs along with the
    passes.

    Without overlap every rung waits for the one before it, except in a row of single-rung brackets whose
    searcher does not learn: there nothing depends on anything. With overlap the final times are found at the
    end (``overlap_schedule``); along the way only first rungs count, for the next pass cannot start before
    theirs are launched: that ends the run in time.
    """
    waits, counts = [], []
    depends = plan.searcher.learns or any(len(bracket.sizes) > 1 for bracket in plan.brackets)
    for bracket in brackets:
        for rung, size in enumerate(bracket.sizes):
            waits += [depends and not plan.overlap] + [False] * (size - 1)
            counts += [rung == 0 or not plan.overlap] * size
    return np.array(waits), np.array(counts)


def _layout(brackets: tuple[Bracket, ...]) -> Layout:
    num_rungs = max(len(bracket.sizes) for bracket in brackets)
    sizes = [bracket.sizes + (0,) * (num_rungs - len(bracket.sizes)) for bracket in brackets]
    size = np.array(sizes, np.int32)
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).reshape(size.shape).astype(np.int32)
    return Layout(first, size)


@functools.partial(jax.jit, static_argnames=("num_workers",))
def _overlap(slots: _Slots, layout: Layout, num_workers: int) -> Timeline:
    return jax.vmap(lambda d, v: overlap_schedule(d, v, layout, num_workers))(slots.duration, slots.valid)


@functools.partial(jax.jit, static_argnames=("budget", "sort"))
def _finish(
    lanes: Lanes, slots: _Slots, timeline: Timeline, budget: int | None, sort: bool
) -> tuple[Array, ...]:
    """The log's arrays: in launch order, cut at the budget and at the horizon."""
    if sort:
        order = jnp.argsort(jnp.where(slots.valid, timeline.start, jnp.inf), axis=1, stable=True)
        slots, timeline = jax.tree.map(
            lambda x: jax.vmap(jnp.take, (0, 0, None))(x, order, 0), (slots, timeline)
        )
    slots, timeline = jax.tree.map(lambda x: x[:, :budget], (slots, timeline))
    valid = slots.valid & (timeline.end <= lanes.horizon[:, None])
    return blanked(valid, slots.row, slots.level, slots.costs, timeline.start, timeline.end, timeline.worker)
