"""A run whose first calls are known from a record: they are answered in a few programs, not one by one.

The steps are those of ``ask`` and ``tell``, in the same order and on arrays of the same lengths; only the
loop around them is compiled, too.
"""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.drivers.verdicts import Launch, LiveRun, Verdict
from mohb_jax.types import Array

CHUNK = 1024
"""Calls of one program."""
FEWEST = 1000
"""Calls for which it is worth compiling."""

State = TypeVar("State")
Answer = Launch | Verdict | None


class Call(NamedTuple):
    """An ``ask`` or a ``tell`` as recorded."""

    asks: bool
    job: int
    """The one that is told; of an ``ask`` the ended one whose trial goes on, -1 if none does."""
    seconds: float
    """Since the run began."""
    costs: tuple[float, ...]
    """What is told; of an ``ask`` infinite."""
    launch: Launch | None
    """The job that is told, or was handed out, if one was."""

    @property
    def going_on(self) -> int | None:
        """As ``LiveRun.ask`` is told."""
        return self.job if self.asks and self.job >= 0 else None


@runtime_checkable
class Repeats(LiveRun, Protocol):
    """A run that can answer many calls at once."""

    goes_on: bool
    """Whether trials go on with the worker that told them."""

    def repeat(self, calls: Sequence[Call]) -> list[Answer]:
        """What ``ask`` and ``tell`` would have answered, one after the other.

        Args:
            calls: the next ones. Where what was recorded is not what this run decides, answers are right up
                to the first job that differs.
        """


def are_many(calls: Sequence[Call]) -> bool:
    """Whether it is worth compiling a program for them."""
    return len(calls) >= FEWEST


class UnforeseenError(Exception):
    """A call other than the one that was answered ahead."""


class Repeated:
    """A run that has answered its first calls; see ``LiveRun``. It is of no use after ``UnforeseenError``."""

    def __init__(self, run: Repeats, calls: Sequence[Call]) -> None:
        self.most_out, self.left = run.most_out, run.left
        self._run, self._ahead = run, collections.deque(zip(calls, run.repeat(calls), strict=True))

    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``."""
        if not self._ahead:
            return self._run.ask(worker, seconds, going_on)
        call, answer = self._ahead.popleft()
        if not call.asks or (call.seconds, call.going_on) != (seconds, going_on):
            raise UnforeseenError
        assert not isinstance(answer, Verdict)
        return answer

    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        if not self._ahead:
            return self._run.tell(number, costs)
        call, answer = self._ahead.popleft()
        if (call.job, call.costs) != (number, tuple(costs.tolist())):
            raise UnforeseenError
        assert isinstance(answer, Verdict)
        return answer


def one_by_one(run: LiveRun, calls: Sequence[Call]) -> list[Answer]:
    """Answers to so few calls that no program is compiled for them."""
    return [
        run.ask(0, call.seconds, call.going_on)
        if call.asks
        else run.tell(call.job, np.array(call.costs, np.float64))
        for call in calls
    ]


def in_chunks(
    program: Callable[..., tuple[State, Array]], state: State, parts: Sequence[np.ndarray]
) -> tuple[State, Int[np.ndarray, "calls answer"]]:
    """The state after calls, and their answers.

    Args:
        program: of a state, the parts of ``CHUNK`` calls, and how many of them there are.
        state: before them.
        parts: one row per call.
    """
    answers = []
    for first in range(0, len(parts[0]), CHUNK):
        own = [part[first : first + CHUNK] for part in parts]
        count = len(own[0])
        padded = [np.pad(part, [(0, CHUNK - count)] + [(0, 0)] * (part.ndim - 1)) for part in own]
        state, found = program(state, padded, np.int32(count))
        answers.append(np.asarray(found)[:count])
    return state, np.concatenate(answers)


def in_turn(
    step: Callable[[State, list[Array]], tuple[State, Int[Array, " answer"]]],
    width: int,
    state: State,
    parts: Sequence[Array],
    count: Array,
) -> tuple[State, Int[Array, "calls answer"]]:
    """A step for each call, in a program.

    Args:
        step: of the state and the parts of one call; gives the state and the answer.
        width: of an answer.
        state: before the first.
        parts: of ``CHUNK`` calls.
        count: how many of them there are.
    """

    def body(number: Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        state, answers = carry
        state, answer = step(state, [jnp.asarray(part)[number] for part in parts])
        return state, answers.at[number].set(answer)

    return jax.lax.fori_loop(0, count, body, (state, jnp.zeros((CHUNK, width), jnp.int32)))
