"""Asynchronous halving without a table: results are judged as they are told."""

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
    refreshed,
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
WIDTH = 6
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

    @in_64_bits
    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; time and workers decide nothing."""
        del worker, seconds
        self._make_room()
        own = np.int32(NOTHING if going_on is None else going_on)
        self._state, handed = _asked(self._program, self._numbers, self._known, self._lanes, self._state, own)
        return self._handed(np.asarray(handed).tolist())

    def _handed(self, answer: list[int]) -> Launch | None:
        there, is_last, *launch = answer
        if not there:
            return None
        self._is_last.append(bool(is_last))
        return Launch(*launch)

    @in_64_bits
    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        self._state, goes_on = _told(
            self._program, self._numbers, self._known, self._lanes, self._state, np.int32(number), costs
        )
        return self._verdict(number, bool(goes_on))

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
            self._make_room()
            rest = calls[len(answers) :]
            own = rest[: _num_fitting(rest, self._capacity - len(self._is_last))]
            answers += self._at_once(own) if are_many(own) else one_by_one(self, own)
        return answers

    def _at_once(self, calls: Sequence[Call]) -> list[Answer]:
        """Answers to calls for which there is room."""
        program = functools.partial(_repeated, self._program, self._numbers, self._known, self._lanes)
        parts = [
            np.array([call.asks for call in calls]),
            np.array([call.job for call in calls], np.int32),
            np.array([call.costs for call in calls]),
        ]
        self._state, found = in_chunks(program, self._state, parts)
        return [
            self._handed(answer) if call.asks else self._verdict(call.job, bool(answer[0]))
            for call, answer in zip(calls, found.tolist(), strict=True)
        ]

    @property
    def _known(self) -> Context:
        """What steps between two enlargements need of the context: whoever does not learn has proposed."""
        return self._context if self._program.searcher.learns else None

    def _make_room(self) -> None:
        if len(self._is_last) < self._capacity:
            return
        more = max(FIRST_CAPACITY, GROWTH * self._capacity) - self._capacity
        self._capacity += more
        self._numbers = self._plan.numbers(self._capacity)
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


def _num_fitting(calls: Sequence[Call], room: int) -> int:
    """Calls before the first that asks when the room is full."""
    for number, call in enumerate(calls):
        if call.asks and not room:
            return number
        room -= call.asks and call.launch is not None
    return len(calls)


class _Run(NamedTuple):
    """What the steps of a run share; the first part is static."""

    program: Program
    numbers: Numbers
    context: Context
    lanes: Lanes


def _of_tell(run: _Run, state: Halving, number: Array, costs: Array) -> tuple[Halving, Int[Array, " answer"]]:
    """A run's one lane that was told of a result; and whether its trial goes on."""

    def lane(task: Array, key: Key, state: Halving) -> tuple[Halving, Array]:
        program, numbers, context, _ = run
        state, choice = told(program, numbers, context, task, key, state, number, costs, jnp.bool_(True))
        return state, choice.goes_on

    state, goes_on = jax.vmap(lane)(run.lanes.task, run.lanes.key, state)
    return state, jnp.zeros(WIDTH, jnp.int32).at[0].set(goes_on[0])


def _of_ask(run: _Run, state: Halving, going_on: Array) -> tuple[Halving, Int[Array, " answer"]]:
    """A run's one lane in which a worker has begun its next job; whether there is one, whether its rung is
    the last of its bracket, and its ``Launch``."""

    def lane(task: Array, key: Key, state: Halving) -> tuple[Halving, Array]:
        program, numbers, context, _ = run
        state = refreshed(program, numbers, key, state)
        trial, rung = state.jobs[jnp.maximum(going_on, 0), :2]
        own = Choice(trial, rung + 1, going_on >= 0)
        state, choice, there = chosen(program, numbers, context, task, state, own, jnp.bool_(True))
        rungs = jnp.stack([choice.rung, jnp.maximum(choice.rung - 1, 0)])
        row, (level, below) = row_and_level(numbers, state, choice.trial, rungs)
        before = jnp.where(choice.rung > 0, below, -1)
        is_last = choice.rung + 1 == jnp.asarray(numbers.num_rungs)[state.trials[choice.trial, 1]]
        handed = [there, is_last, choice.trial, row, level, before]
        nobody = jnp.int32(0)  # workers decide nothing
        return taken(state, choice, nobody, there), jnp.stack([part.astype(jnp.int32) for part in handed])

    state, answer = jax.vmap(lane)(run.lanes.task, run.lanes.key, state)
    return state, answer[0]


@functools.partial(jax.jit, static_argnums=0)
def _told(
    program: Program,
    numbers: Numbers,
    context: Context,
    lanes: Lanes,
    state: Halving,
    number: Array,
    costs: Array,
) -> tuple[Halving, Array]:
    state, answer = _of_tell(_Run(program, numbers, context, lanes), state, number, costs)
    return state, answer[0]


@functools.partial(jax.jit, static_argnums=0)
def _asked(
    program: Program, numbers: Numbers, context: Context, lanes: Lanes, state: Halving, going_on: Array
) -> tuple[Halving, Array]:
    """All answers are in one array, since each takes time to fetch."""
    return _of_ask(_Run(program, numbers, context, lanes), state, going_on)


@functools.partial(jax.jit, static_argnums=0)
def _repeated(
    program: Program,
    numbers: Numbers,
    context: Context,
    lanes: Lanes,
    state: Halving,
    parts: list[Array],
    count: Array,
) -> tuple[Halving, Array]:
    """The state after many calls, and their answers."""
    run = _Run(program, numbers, context, lanes)

    def step(state: Halving, parts: list[Array]) -> tuple[Halving, Array]:
        asks, job, costs = parts

        def ask(state: Halving) -> tuple[Halving, Array]:
            return _of_ask(run, state, job)

        def tell(state: Halving) -> tuple[Halving, Array]:
            return _of_tell(run, state, job, costs)

        return jax.lax.cond(asks, ask, tell, state)

    return in_turn(step, WIDTH, state, parts, count)
