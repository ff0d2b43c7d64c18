"""Synchronous runs without a table: rungs are handed out job by job, and cut when all results are in."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.drivers.arrivals import Jobs, in_one, learnt
from mohb_jax.drivers.lanes import Lanes
from mohb_jax.drivers.rungs import closed_rung, first_rung, rule_of
from mohb_jax.drivers.synchronous import SynchronousPlan, begun, max_passes
from mohb_jax.drivers.verdicts import Launch, Verdict
from mohb_jax.kernels.promotion import Cut
from mohb_jax.precision import in_64_bits
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context, ObserveResultFn, Result, Seen, State
from mohb_jax.types import Array, Key


@dataclasses.dataclass
class _Open:
    """A bracket that was begun: the rung at which it is."""

    bracket: Bracket
    number: int
    row: Int[np.ndarray, " room"]
    valid: Bool[np.ndarray, " room"]
    trial: Int[np.ndarray, " room"]
    costs: Float[np.ndarray, "room m"]
    rung: int = 0
    next_slot: int = 0
    num_out: int = 0
    done: list[Jobs] = dataclasses.field(default_factory=list)
    """Rungs that were cut."""

    @property
    def level(self) -> int:
        return self.bracket.levels[self.rung]

    @property
    def waiting(self) -> int | None:
        """The next place of the rung whose job was not handed out."""
        places = np.flatnonzero(self.valid[self.next_slot :])
        return int(self.next_slot + places[0]) if len(places) else None


class LiveRungs:
    """A run of a ``SynchronousPlan``; see ``LiveRun``."""

    def __init__(
        self,
        plan: SynchronousPlan,
        context: tuple[Context, int],
        lanes: Lanes,
        num_objectives: int,
        num_levels: int,
    ) -> None:
        self.most_out: int | None = None
        self.left: set[int] = set()
        known, most_rows = context
        self._plan, self._context, self._lanes = plan, jax.device_put(known), lanes
        self._num_objectives, self._top = num_objectives, num_levels - 1
        self._state: State = begun(plan.searcher, plan.num_workers, known, lanes)[0]
        self._open: list[_Open] = []
        self._jobs: list[tuple[_Open, int]] = []
        self._coming = _brackets(plan, most_rows)
        self._num_trials = 0

    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; time and workers decide nothing."""
        del worker, seconds, going_on
        while True:
            for bracket in self._open:
                slot = bracket.waiting
                if slot is not None:
                    return self._launched(bracket, slot)
            if (self._plan.waits and self._open) or not self._begun():
                return None

    def _launched(self, bracket: _Open, slot: int) -> Launch:
        bracket.next_slot, bracket.num_out = slot + 1, bracket.num_out + 1
        is_new = bracket.trial[slot] < 0
        if is_new:
            bracket.trial[slot] = self._num_trials
            self._num_trials += 1
        self._jobs.append((bracket, slot))
        before = -1 if is_new else bracket.bracket.levels[bracket.rung - 1]
        return Launch(int(bracket.trial[slot]), int(bracket.row[slot]), bracket.level, before)

    @in_64_bits
    def _begun(self) -> bool:
        """Opens the next bracket, if there is one."""
        coming = next(self._coming, None)
        if coming is None:
            return False
        bracket, number = coming
        plan, size = self._plan, bracket.sizes[0]
        self._state, rung = first_rung(
            plan.searcher, size, plan.rooms[size], plan.widest, self._context, self._lanes.task, self._state
        )
        row, valid = (np.array(part[0]) for part in (rung.row, rung.valid))
        self._open.append(_Open(bracket, number, row, valid, np.full(len(row), -1), self._no_costs(len(row))))
        self._close(self._open[-1])
        return True

    def _no_costs(self, room: int) -> Float[np.ndarray, "room m"]:
        return np.full((room, self._num_objectives), np.inf)

    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        bracket, slot = self._jobs[number]
        is_last = bracket.rung + 1 == len(bracket.bracket.sizes)
        bracket.costs[slot] = costs
        bracket.num_out -= 1
        learn, level = self._plan.searcher.learn, np.int32(bracket.level)
        if learn is not None and not self._plan.waits:
            result = Result(*map(np.asarray, (bracket.row[slot], level, costs, np.int32(number), True)))
            self._state = _learnt(learn, self._context, self._lanes.task, self._state, result)
        self._close(bracket)
        return Verdict.STOP if is_last else Verdict.PAUSE

    def _close(self, bracket: _Open) -> None:
        """Cuts the rung of a bracket when all its results are in, and what follows if that has no job."""
        while bracket.num_out == 0 and bracket.waiting is None:
            self._cut(bracket)
            bracket.rung += 1
            if bracket.rung == len(bracket.bracket.sizes):
                self._end(bracket)
                return
            self._join(bracket)

    @in_64_bits
    def _join(self, bracket: _Open) -> None:
        """The newcomers of a rung behind those who go on."""
        plan, new = self._plan, bracket.bracket.new[bracket.rung]
        if not new:
            return
        kept, room = bracket.bracket.kept[bracket.rung - 1], plan.rooms[bracket.bracket.sizes[bracket.rung]]
        self._state, rung = first_rung(
            plan.searcher, new, plan.rooms[new], plan.widest, self._context, self._lanes.task, self._state
        )
        left = room - kept - new

        def both(old: np.ndarray, more: np.ndarray, filler: int) -> np.ndarray:
            return np.pad(np.concatenate([old[:kept], more[:new]]), (0, left), constant_values=filler)

        bracket.row = both(bracket.row, np.asarray(rung.row[0]), 0)
        bracket.valid = both(bracket.valid, np.asarray(rung.valid[0]), 0)
        bracket.trial = both(bracket.trial, np.full(new, -1), -1)
        bracket.costs = self._no_costs(room)

    @in_64_bits
    def _cut(self, bracket: _Open) -> None:
        plan = self._plan
        sizes = bracket.bracket.sizes[bracket.rung], bracket.bracket.kept[bracket.rung]
        level, observes = np.array(bracket.level, np.int32), plan.searcher.observes
        seen = Seen(bracket.row, level, bracket.costs, bracket.valid, np.asarray(level == self._top))
        state, order, valid = _closed(
            plan.searcher.observe if observes else None,
            plan.rooms[sizes[1]],
            rule_of(plan.promotion) if sizes[1] else None,
            Cut(*np.array(sizes, np.int32)),
            self._lanes.key,
            self._state if observes else None,
            jax.tree.map(lambda part: part[None], seen),
            np.int32(bracket.number),
        )
        self._state = state if observes else self._state
        none = np.zeros(len(bracket.row))
        jobs = Jobs(bracket.row, np.full_like(bracket.row, level), bracket.costs, none, bracket.valid)
        bracket.done.append(jax.tree.map(lambda part: part[None], jobs))
        order, bracket.valid = np.asarray(order[0]), np.array(valid[0])
        kept = bracket.trial[order][bracket.valid]
        self.left |= set(bracket.trial.tolist()) - set(kept.tolist())
        bracket.row, bracket.trial = bracket.row[order], bracket.trial[order]
        bracket.costs, bracket.next_slot = self._no_costs(len(order)), 0

    @in_64_bits
    def _end(self, bracket: _Open) -> None:
        """The bracket is over: a searcher that waits for all of it learns from it."""
        self._open.remove(bracket)
        plan, learn = self._plan, self._plan.searcher.learn
        if learn is None or not plan.waits:
            return
        jobs, size = in_one(plan.shape, bracket.bracket.sizes, bracket.done)
        self._state, _ = learnt(
            learn,
            True,
            self._context,
            self._lanes.task,
            self._state,
            None,
            np.int32(bracket.number),
            size,
            jobs,
        )


def _brackets(plan: SynchronousPlan, most_rows: int) -> Iterator[tuple[Bracket, int]]:
    """All brackets of a run, and their numbers."""
    for number in range(-bool(plan.opening), max_passes(plan, most_rows)):
        brackets, first = plan.brackets_of(number)
        yield from zip(brackets, itertools.count(first))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _closed(
    observe: Callable[[State, Seen], State] | None,
    room: int,
    promotion: Any,
    cut: Cut,
    keys: Key,
    state: State,
    seen: Seen,
    bracket_number: Array,
) -> tuple[State, Array, Array]:
    """``closed_rung`` of lanes."""

    def lane(key: Key, state: State, seen: Seen) -> tuple[State, Array, Array]:
        return closed_rung(observe, promotion, room, cut, key, state, seen, bracket_number)

    return jax.vmap(lane)(keys, state, seen)


@in_64_bits
def _learnt(learn: ObserveResultFn, context: Context, task: Array, state: State, result: Result) -> State:
    """The state of a searcher that was told of a result; lanes in front."""
    return _told(learn, context, task, state, jax.tree.map(lambda part: part[None], result))


@functools.partial(jax.jit, static_argnums=0)
def _told(learn: ObserveResultFn, context: Context, task: Array, state: State, result: Result) -> State:
    return jax.vmap(functools.partial(learn, context))(task, state, result)
