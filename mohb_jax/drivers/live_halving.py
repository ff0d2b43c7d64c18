"""Asynchronous halving without a table: results are judged as they are told."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.drivers.asynchronous import FIRST_CAPACITY, GROWTH, AsynchronousPlan
from mohb_jax.drivers.halving import (
    Choice,
    Halving,
    Numbers,
    Program,
    begun,
    chosen,
    enlarged,
    row_and_level,
    taken,
    told,
)
from mohb_jax.drivers.lanes import Lanes
from mohb_jax.drivers.repetition import Answer, Call, are_many, in_chunks, in_turn, one_by_one
from mohb_jax.drivers.verdicts import Launch, Verdict
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Context
from mohb_jax.types import Array, Key

NOTHING = -1
"""In place of the job whose trial goes on, where none does."""
WIDTH = 7
"""Of an answer."""


class LiveHalving:
    """A run of an ``AsynchronousPlan``; see ``LiveRun``."""

    def __init__(self, plan: AsynchronousPlan, context: Context, lanes: Lanes, num_objectives: int) -> None:
        self.most_out: int | None = None
        self.left: set[int] = set()
        self.goes_on = not plan.promotes
        self._plan, self._context, self._lanes = plan, jax.device_put(context), lanes
        self._program, self._capacity = plan.program, 0
        self._numbers = plan.numbers(FIRST_CAPACITY)
        self._state = _begun(self._program, num_objectives, self._numbers, self._context, lanes)
        self._is_last: list[bool] = []
        self._num_objectives = num_objectives

    @in_64_bits
    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; time and workers decide nothing."""
        del worker, seconds
        self._make_room()
        own = NOTHING if going_on is None else going_on
        return self._handed(self._after(_Step(False, 0, (0.0,) * self._num_objectives, True, own)))

    def _handed(self, answer: list[int]) -> Launch | None:
        _, there, is_last, *launch = answer
        if not there:
            return None
        self._is_last.append(bool(is_last))
        return Launch(*launch)

    @in_64_bits
    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        step = _Step(True, number, tuple(costs.tolist()), False, NOTHING)
        return self._verdict(number, bool(self._after(step)[0]))

    def _after(self, step: "_Step") -> list[int]:
        """The answer to a step that is made at once."""
        self._state, answer = _after(self._run, self._state, [part[0] for part in _arrays([step])])
        return np.asarray(answer).tolist()

    def _verdict(self, number: int, goes_on: bool) -> Verdict:
        if self._is_last[number]:
            return Verdict.STOP
        if self._plan.promotes:
            return Verdict.PAUSE
        return Verdict.GO_ON if goes_on else Verdict.STOP

    @in_64_bits
    def repeat(self, calls: Sequence[Call]) -> list[Answer]:
        """See ``Repeats``."""
        answers: list[Answer] = []
        while len(answers) < len(calls):
            rest = calls[len(answers) :]
            # Each length of the arrays takes programs, which cost more than long arrays do.
            self._make_room(_num_launched(rest) if are_many(rest) else 1)
            own = rest[: _num_fitting(rest, self._capacity - len(self._is_last))]
            answers += self._at_once(own) if are_many(own) else one_by_one(self, own)
        return answers

    def _at_once(self, calls: Sequence[Call]) -> list[Answer]:
        """Answers to calls for which there is room."""
        steps, place = _steps_of(calls)
        program = functools.partial(_repeated, self._run)
        self._state, found = in_chunks(program, self._state, _arrays(steps))
        answers = found[place].tolist()
        return [
            self._handed(answer) if call.asks else self._verdict(call.job, bool(answer[0]))
            for call, answer in zip(calls, answers, strict=True)
        ]

    @property
    def _run(self) -> "_Run":
        # Whoever does not learn has proposed already, and needs no more of the context.
        known = self._context if self._program.searcher.learns else None
        return _Run(self._program, self._numbers, known, self._lanes)

    def _make_room(self, jobs: int = 1) -> None:
        """For some more jobs, at least."""
        capacity = self._capacity
        while capacity < len(self._is_last) + jobs:
            capacity = max(FIRST_CAPACITY, GROWTH * capacity)
        if (more := capacity - self._capacity) == 0:
            return
        self._capacity, self._numbers = capacity, self._plan.numbers(capacity)
        self._state = _enlarged(self._program, more, self._numbers, self._context, self._lanes, self._state)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _begun(
    program: Program, num_objectives: int, numbers: Numbers, context: Context, lanes: Lanes
) -> Halving:
    begin = functools.partial(begun, program, numbers, num_objectives, context)
    return jax.vmap(begin)(lanes.task, lanes.key, lanes.run)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _enlarged(
    program: Program, more: int, numbers: Numbers, context: Context, lanes: Lanes, state: Halving
) -> Halving:
    return jax.vmap(functools.partial(enlarged, program, more, numbers, context))(lanes.task, state)


def _num_launched(calls: Sequence[Call]) -> int:
    """Jobs that were handed out, as far as is known."""
    return sum(call.asks and call.launch is not None for call in calls)


def _num_fitting(calls: Sequence[Call], room: int) -> int:
    """Calls before the first that asks when the room is full."""
    for number, call in enumerate(calls):
        if call.asks and not room:
            return number
        room -= call.asks and call.launch is not None
    return len(calls)


class _Step(NamedTuple):
    """What happens at once: a result is told, and a worker asks."""

    tells: bool
    number: int
    """The job that is told."""
    costs: tuple[float, ...]
    asks: bool
    going_on: int
    """The job whose trial goes on, or ``NOTHING``."""


def _steps_of(calls: Sequence[Call]) -> tuple[list[_Step], list[int]]:
    """As few steps as there may be, for a step takes the same time whatever happens in it; and that of each
    call."""
    steps: list[_Step] = []
    place = []
    for call in calls:
        if not call.asks:
            steps.append(_Step(True, call.job, call.costs, False, NOTHING))
        elif steps and not steps[-1].asks:
            steps[-1] = steps[-1]._replace(asks=True, going_on=call.job)
        else:
            steps.append(_Step(False, 0, call.costs, True, call.job))
        place.append(len(steps) - 1)
    return steps, place


def _arrays(steps: Sequence[_Step]) -> list[np.ndarray]:
    """The parts of all steps."""
    kinds = (bool, np.int32, np.float64, bool, np.int32)
    return [np.array(column, kind) for column, kind in zip(zip(*steps, strict=True), kinds, strict=True)]


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["numbers", "context", "lanes"], meta_fields=["program"]
)
@dataclasses.dataclass(frozen=True)
class _Run:
    """What the steps of a run share."""

    program: Program
    numbers: Numbers
    context: Context
    lanes: Lanes


def _step(run: _Run, state: Halving, parts: Sequence[Array]) -> tuple[Halving, Int[Array, " answer"]]:
    """A run's one lane that was told of a result, if it was, and in which a worker has begun its next job, if
    one asked.

    The answer: whether the told trial goes on; whether there is a job, whether its rung is the last of its
    bracket, and its ``Launch``.
    """
    tells, number, costs, asks, going_on = parts
    program, numbers, context = run.program, run.numbers, run.context

    def lane(task: Array, key: Key, state: Halving) -> tuple[Halving, Array]:
        state, next_of_told = told(program, numbers, context, task, key, state, number, costs, tells)
        trial, rung = state.jobs[jnp.maximum(going_on, 0), :2]
        own = Choice(trial, rung + 1, going_on >= 0)
        state, choice, there = chosen(program, numbers, context, task, state, own, asks)
        rungs = jnp.stack([choice.rung, jnp.maximum(choice.rung - 1, 0)])
        row, (level, below) = row_and_level(numbers, state, choice.trial, rungs)
        before = jnp.where(choice.rung > 0, below, -1)
        is_last = choice.rung + 1 == jnp.asarray(numbers.num_rungs)[state.trials[choice.trial, 1]]
        answer = [next_of_told.goes_on, there, is_last, choice.trial, row, level, before]
        nobody = jnp.int32(0)  # workers decide nothing
        return taken(state, choice, nobody, there), jnp.stack([part.astype(jnp.int32) for part in answer])

    state, answer = jax.vmap(lane)(run.lanes.task, run.lanes.key, state)
    return state, answer[0]


@jax.jit
def _after(run: _Run, state: Halving, parts: Sequence[Array]) -> tuple[Halving, Int[Array, " answer"]]:
    """The state after a step, and its answer: in one array, since each takes time to fetch."""
    return _step(run, state, parts)


@jax.jit
def _repeated(
    run: _Run, state: Halving, parts: Sequence[Array], count: Array
) -> tuple[Halving, Int[Array, "steps answer"]]:
    """The state after many steps, and their answers."""
    return in_turn(functools.partial(_step, run), WIDTH, state, parts, count)
