"""Synchronous driver: plain Python walks the brackets, jitted steps advance all lanes together.

In synchronous Hyperband time never changes a decision: a rung is cut when all its results are in, however
long they took. So each rung is one step (look up, order, promote) and the clock runs once over all slots of a
pass.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.arrivals import Clock, Jobs, concatenated, in_one, learnt, started, trimmed
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.devices import in_turns, spread
from mohb_jax.drivers.lanes import Cells, Lanes, blanked, with_slots
from mohb_jax.drivers.rungs import SMALL_RUNG, Rung, closed_rung, first_rung, joined, rule_of
from mohb_jax.kernels.clock import Layout, Timeline, list_schedule, overlap_schedule
from mohb_jax.kernels.promotion import Cut, PromotionRule, RungRule
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, Searcher, Seen, State, first_state
from mohb_jax.threads import num_processors
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key, RunLog

CACHED_PAIRS = 1 << 22
"""Pairs of rows that a rung step compares at a time: beyond the cache of the processor one costs three times
as much."""
LEAST_TOGETHER = 256
"""Lanes of a searcher that learns: with fewer, calls cost as much as what they compute."""


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
    num_trials: ClassVar[None] = None

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
        self,
        cells: Cells,
        context: tuple[Context, int],
        lanes: Lanes,
        devices: Sequence[jax.Device],
        with_unfinished: bool = False,
    ) -> RunLog:
        """See ``Plan``. Lanes of a searcher that learns take turns, all others advance together."""
        known, most_rows = context
        if self.searcher.learns:
            return simulate_learners(self, cells, known, most_rows, lanes, devices, with_unfinished)
        num_lanes = len(lanes.task)
        if len(devices) > 1:
            lanes, (cells, known) = spread(lanes, (cells, known), devices)
        log = simulate_lanes(self, cells, known, most_rows, lanes, with_unfinished)
        return RunLog.of(*(field[:num_lanes] for field in log[:9]))

    @property
    def rooms(self) -> dict[int, int]:
        """Places that the arrays of a rung of each size have: small rungs share programs, where the rule can
        tell room from rows."""
        brackets = self.opening + self.brackets
        sizes = {n for own in brackets for n in (*own.sizes, *own.new, *own.kept) if n}
        small = {size for size in sizes if size <= SMALL_RUNG}
        shared = isinstance(self.promotion, RungRule) and len(small) > 1
        return {size: SMALL_RUNG if shared and size in small else size for size in sizes} | {0: 0}

    @property
    def waits(self) -> bool:
        """Whether every rung waits for the one before it.

        Without overlap that is so, except in a row of single-rung brackets whose searcher does not learn:
        there nothing depends on anything.
        """
        depends = self.searcher.learns or any(len(bracket.sizes) > 1 for bracket in self.brackets)
        return depends and not self.overlap

    @property
    def widest(self) -> int:
        """The most places that the first rung of any bracket has."""
        return max(self.rooms[bracket.sizes[0]] for bracket in self.opening + self.brackets)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Workers, and evaluations and rungs that a bracket has at most."""
        brackets = self.opening + self.brackets
        most = max(bracket.num_evaluations for bracket in brackets)
        return self.num_workers, most, max(len(bracket.sizes) for bracket in brackets)

    @property
    def slots_per_pass(self) -> int:
        return sum(bracket.num_evaluations for bracket in self.brackets)

    @property
    def rows_per_pass(self) -> int:
        return sum(sum(bracket.new) for bracket in self.brackets)

    def brackets_of(self, number: int) -> tuple[tuple[Bracket, ...], int]:
        """Brackets of a pass, and the number of the first of them in the run; the opening is pass -1."""
        if number < 0:
            return self.opening, 1
        return self.brackets, 1 + len(self.opening) + number * len(self.brackets)


def simulate_lanes(
    plan: SynchronousPlan,
    cells: Cells,
    context: Context,
    most_rows: int,
    lanes: Lanes,
    with_unfinished: bool = False,
) -> RunLog:
    """Runs every lane to its end; the fidelities of the log are levels of ``cells``.

    Args:
        plan: what is static.
        cells: the table.
        context: what the plan's searcher prepared for the tasks of ``cells``.
        most_rows: the most rows that any task offers: no run goes on for longer.
        lanes: the runs.
        with_unfinished: keeps slots that end after the horizon, and all of the last pass.

    Nothing is read back while brackets and rungs are walked. Where simulated seconds end the run, one boolean
    per pass says whether any lane has time left; it is read after the next pass was dispatched.
    """
    state, free = begun(plan.searcher, plan.num_workers, context, lanes)
    until = jnp.full_like(lanes.horizon, jnp.inf) if with_unfinished else lanes.horizon
    passes: list[Any] = []
    may_go_on: list[Array] = []
    clock: Clock | None = None
    for number in range(-bool(plan.opening), max_passes(plan, most_rows)):
        if plan.budget is None and len(may_go_on) > 1 and not may_go_on[-2]:
            break
        state, clock, rungs = _pass(plan, cells, context, lanes, state, clock, number)
        brackets = plan.brackets_of(number)[0]
        sizes = tuple(size for bracket in brackets for size in bracket.sizes)
        free, part, time_left = _timed(
            sizes, plan.overlap, rungs, free, lanes.horizon, until, *_clock_marks(plan, brackets)
        )
        passes.append(part)
        may_go_on.append(time_left)
    num_slots = _num_slots(plan, len(passes))
    parts = [_overlapped(plan, num_slots, until, passes)] if plan.overlap else passes
    task, run, parts = jax.device_get((lanes.task, lanes.run, parts))
    width = num_slots if plan.budget is None or with_unfinished else min(num_slots, plan.budget)
    return RunLog.of(task, run, *(field[:, :width] for field in _joined(parts)))


def _num_slots(plan: SynchronousPlan, num_passes: int) -> int:
    """Slots of so many passes, the opening among them."""
    opening = sum(bracket.num_evaluations for bracket in plan.opening)
    return opening + plan.slots_per_pass * (num_passes - bool(plan.opening))


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """One array per field for parts that follow one another in launch order: here, so that no program depends
    on how many there are."""
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(fields, axis=1) for fields in zip(*parts, strict=True))


def simulate_learners(
    plan: SynchronousPlan,
    cells: Cells,
    context: Context,
    most_rows: int,
    lanes: Lanes,
    devices: Sequence[jax.Device],
    with_unfinished: bool = False,
) -> RunLog:
    """``simulate_lanes`` for searchers that learn: batches of lanes take turns on the devices, in as many
    threads as there are processors.

    What such a searcher does takes so long that its arrays should stay in the cache, and that a lane should
    not go on because one among thousands has time left. A batch ends with its last lane.
    """

    def run(shared: tuple[Cells, Context], own: Lanes) -> RunLog:
        return simulate_lanes(plan, *shared, most_rows, own, with_unfinished)

    size = _lanes_together(plan.searcher.lanes_per_batch, len(lanes.task))
    return _joined_logs(in_turns(run, (cells, context), lanes, size, devices), len(lanes.task))


def _lanes_together(most: int, num_lanes: int) -> int:
    """Lanes of a batch: so many that each processor has two batches beside the first, which compiles while
    the others wait; but no less than ``LEAST_TOGETHER``, if there are as many."""
    even = -(-num_lanes // (2 * num_processors() + 1))
    return min(most, num_lanes, max(LEAST_TOGETHER, even))


def _joined_logs(logs: list[RunLog], num_lanes: int) -> RunLog:
    slots = max(log.valid.shape[1] for log in logs)
    columns = zip(*(log.slots for log in logs), strict=True)
    fields = [np.concatenate([with_slots(part, slots) for part in parts])[:num_lanes] for parts in columns]
    task, run = (np.concatenate(parts)[:num_lanes] for parts in zip(*(log[:2] for log in logs), strict=True))
    return RunLog.of(task, run, *fields)


def max_passes(plan: SynchronousPlan, num_rows: int) -> int:
    """Passes after which the table is used up, or the budget of evaluations is surely spent."""
    until_empty = -(-num_rows // plan.rows_per_pass)
    if plan.budget is None:
        return until_empty
    # With overlap, later brackets may start before earlier ones end; but never before their first rungs did.
    first_rungs = sum(bracket.sizes[0] for bracket in plan.brackets)
    per_pass = first_rungs if plan.overlap else plan.slots_per_pass
    return min(until_empty, -(-plan.budget // per_pass))


@functools.partial(jax.jit, static_argnames=("searcher", "num_workers"))
def begun(searcher: Searcher, num_workers: int, context: Context, lanes: Lanes) -> tuple[State, Array]:
    """Searchers of lanes that have seen nothing, and when each worker is free."""
    begin = functools.partial(first_state, searcher, context)
    state = jax.vmap(begin)(lanes.task, lanes.key, lanes.run)
    return state, jnp.zeros((len(lanes.task), num_workers), jnp.result_type(float))


def _pass(
    plan: SynchronousPlan,
    cells: Cells,
    context: Context,
    lanes: Lanes,
    state: State,
    clock: Clock | None,
    number: int,
) -> tuple[State, Clock | None, list[Jobs]]:
    """One pass over all brackets: Python walks them, each rung is one compiled step."""
    rungs = []
    room, widest = plan.rooms, plan.widest
    observes, learn = plan.searcher.observes, plan.searcher.learn
    observe = plan.searcher.observe if observes else None
    promotion = rule_of(plan.promotion)
    brackets, first = plan.brackets_of(number)
    for index, bracket in enumerate(brackets):
        bracket_number = np.int32(first + index)
        width = bracket.sizes[0]
        state, rung = first_rung(plan.searcher, width, room[width], widest, context, lanes.task, state)
        for number_of_rung, (level, cut) in enumerate(
            zip(bracket.levels, zip(bracket.sizes, bracket.kept, strict=True), strict=True)
        ):
            if number_of_rung and bracket.new[number_of_rung]:
                new, kept = bracket.new[number_of_rung], bracket.kept[number_of_rung - 1]
                state, more = first_rung(plan.searcher, new, room[new], widest, context, lanes.task, state)
                rung = joined(kept, new, room[cut[0]], rung, more)
            seen, launched, rung = _rung_step(
                observe, room[cut[1]], promotion if cut[1] else None, Cut(*np.array(cut, np.int32)), cells,
                lanes.task, lanes.key, state if observes else None, rung, np.int32(level), bracket_number,
            )  # fmt: skip
            rungs.append(launched)
            state = seen if observes else state
        if learn is not None:
            jobs, size = in_one(plan.shape, bracket.sizes, rungs[-len(bracket.sizes) :])
            wait = not plan.overlap
            clock = started(plan.shape, jobs) if clock is None and not wait else clock
            state, clock = learnt(learn, wait, context, lanes.task, state, clock, bracket_number, size, jobs)
    return state, clock, rungs


@functools.partial(jax.jit, static_argnums=(0, 1))
def _rung_step(
    observe: Callable[[State, Seen], State] | None,
    room: int,
    promotion: Any,
    cut: Cut,
    cells: Cells,
    task: Array,
    keys: Key,
    state: State,
    rung: Rung,
    level: Array,
    bracket_number: Array,
) -> tuple[State, Jobs, Rung | None]:
    """Looks a rung up, tells the searcher, and promotes: one step of all lanes.

    Args:
        observe: of a searcher that learns; None if it does not, and there is no state.
        room: places of the next rung.
        promotion: the rule, a pytree; None for the last rung of a bracket.
        cut: the size of this rung, whose arrays may have more places, and how many go on.
        cells: the table.
        task: of each lane.
        keys: of each lane.
        state: of the searcher.
        rung: what is evaluated.
        level: at which fidelity.
        bracket_number: in the run.
    """

    def lane(task: Array, key: Key, state: State, rung: Rung) -> tuple[State, Jobs, Rung | None]:
        costs, runtime = cells.look_up(task, rung.row, level)
        duration = runtime - jnp.where(cells.resumable, rung.paid, 0)
        slots = Jobs(rung.row, jnp.full_like(rung.row, level), costs, duration, rung.valid)
        seen = Seen(rung.row, level, costs, rung.valid, level == cells.num_levels - 1)
        state, order, survives = closed_rung(observe, promotion, room, cut, key, state, seen, bracket_number)
        if promotion is None:
            return state, slots, None
        return state, slots, Rung(rung.row[order], survives, runtime[order])

    batch = max(1, CACHED_PAIRS // rung.row.shape[1] ** 2)
    if promotion is None or batch >= len(task):
        return jax.vmap(lane)(task, keys, state, rung)
    return jax.lax.map(lambda lanes: lane(*lanes), (task, keys, state, rung), batch_size=batch)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _timed(
    sizes: tuple[int, ...],
    overlap: bool,
    rungs: list[Jobs],
    free: Array,
    horizon: Array,
    until: Array,
    waits: Array,
    counts: Array,
) -> tuple[Array, Any, Array]:
    """A pass with the times of the slots that count.

    Returns:
        When workers are free again; the pass, as ``Jobs`` if brackets overlap and else as it stands in the
        log; whether any lane may still launch in the next pass.
    """
    slots = concatenated(trimmed(sizes, rungs))
    schedule = jax.vmap(list_schedule, in_axes=(0, 0, None, 0))
    free, timeline = schedule(slots.duration, slots.valid & counts[None], waits, free)
    time_left = jnp.any(jnp.min(free, axis=1) < horizon)
    return free, slots if overlap else _logged(slots, timeline, until), time_left


def _logged(slots: Jobs, timeline: Timeline, until: Array) -> tuple[Array, ...]:
    """The log's arrays, cut at some moment of each lane, as a rule its horizon."""
    valid = slots.valid & (timeline.end <= until[:, None])
    return blanked(valid, slots.row, slots.level, slots.costs, timeline.start, timeline.end, timeline.worker)


def _clock_marks(plan: SynchronousPlan, brackets: tuple[Bracket, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which slots of a pass wait for idle workers, and which count, in the clock that runs along with the
    passes.

    With overlap the final times are found at the end (``overlap_schedule``); along the way only first rungs
    count, for the next pass cannot start before theirs are launched: that ends the run in time.
    """
    waits, counts = [], []
    for bracket in brackets:
        for rung, size in enumerate(bracket.sizes):
            waits += [plan.waits] + [False] * (size - 1)
            counts += [rung == 0 or not plan.overlap] * size
    return np.array(waits), np.array(counts)


def _overlapped(plan: SynchronousPlan, num_slots: int, until: Array, passes: list[Jobs]) -> tuple[Array, ...]:
    """The log's arrays of a run whose brackets overlap: who runs when is known only at its end.

    There is room for a power of two of passes, so that few programs are compiled.
    """
    capacity = 1 << (len(passes) - 1).bit_length()
    brackets = plan.opening + plan.brackets * (len(passes) - bool(plan.opening))
    layout = _layout(brackets, len(plan.opening) + len(plan.brackets) * capacity)
    filled = passes + passes[-1:] * (capacity - len(passes))
    return _overlap(plan.num_workers, filled, layout, np.int32(num_slots), until)


def _layout(brackets: tuple[Bracket, ...], room: int) -> Layout:
    """Where rungs lie in the slots of a run; places after the brackets hold none."""
    num_rungs = max(len(bracket.sizes) for bracket in brackets)
    sizes = [bracket.sizes + (0,) * (num_rungs - len(bracket.sizes)) for bracket in brackets]
    size = np.zeros((room, num_rungs), np.int32)
    size[: len(sizes)] = sizes
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).reshape(size.shape).astype(np.int32)
    return Layout(first, size)


@functools.partial(jax.jit, static_argnums=0)
def _overlap(
    num_workers: int, passes: list[Jobs], layout: Layout, num_slots: Array, until: Array
) -> tuple[Array, ...]:
    """The log's arrays in launch order; only the first slots count."""
    slots = concatenated(passes)
    slots = slots._replace(valid=slots.valid & (jnp.arange(slots.valid.shape[1]) < num_slots))
    schedule = functools.partial(overlap_schedule, layout=layout, num_workers=num_workers, num_jobs=num_slots)
    timeline = jax.vmap(schedule)(slots.duration, slots.valid)
    order = jnp.argsort(jnp.where(slots.valid, timeline.start, jnp.inf), axis=1, stable=True)
    slots, timeline = jax.tree.map(
        lambda field: jax.vmap(jnp.take, (0, 0, None))(field, order, 0), (slots, timeline)
    )
    return _logged(slots, timeline, until)
