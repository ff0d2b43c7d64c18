"""Asynchronous halving without a table: results are judged as they are told."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

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
from mohb_jax.drivers.verdicts import Launch, Verdict
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.base import Context
from mohb_jax.types import Array, Key

NOTHING = Choice(np.array(0, np.int32), np.array(0, np.int32), np.array(False))
"""The choice of a worker whose trial does not go on."""


class LiveHalving:
    """A run of an ``AsynchronousPlan``; see ``LiveRun``."""

    def __init__(self, plan: AsynchronousPlan, context: Context, lanes: Lanes, num_objectives: int) -> None:
        self.most_out: int | None = None
        self.left: set[int] = set()
        self._plan, self._context, self._lanes = plan, jax.device_put(context), lanes
        self._program, self._capacity = plan.program, 0
        self._numbers = plan.numbers(FIRST_CAPACITY)
        self._state = _begun(self._program, num_objectives, self._numbers, self._context, lanes)
        self._is_last: list[bool] = []
        self._choices: dict[int, Choice] = {}

    @in_64_bits
    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """See ``LiveRun``; time decides nothing."""
        del seconds
        self._make_room()
        own = NOTHING if going_on is None else self._choices.pop(going_on)
        self._state, handed = _asked(
            self._program, self._numbers, self._known, self._lanes, self._state, own, np.int32(worker)
        )
        there, is_last, *launch = np.asarray(handed)[0].tolist()
        if not there:
            return None
        self._is_last.append(bool(is_last))
        return Launch(*launch)

    @in_64_bits
    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """See ``LiveRun``."""
        self._state, choice = _told(
            self._program, self._numbers, self._known, self._lanes, self._state, np.int32(number), costs
        )
        if self._is_last[number]:
            return Verdict.STOP
        if self._plan.promotes:
            return Verdict.PAUSE
        trial, rung, goes_on = np.asarray(choice)[0]
        if not goes_on:
            return Verdict.STOP
        self._choices[number] = Choice(trial, rung, np.array(True))
        return Verdict.GO_ON

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
    """Lanes that were all told of the same result, and the ``Choice`` that follows, in one array."""

    def lane(task: Array, key: Key, state: Halving) -> tuple[Halving, Array]:
        state, choice = told(program, numbers, context, task, key, state, number, costs, jnp.bool_(True))
        return state, jnp.stack([*(jnp.asarray(part, jnp.int32) for part in choice)])

    return jax.vmap(lane)(lanes.task, lanes.key, state)


@functools.partial(jax.jit, static_argnums=0)
def _asked(
    program: Program,
    numbers: Numbers,
    context: Context,
    lanes: Lanes,
    state: Halving,
    own: Choice,
    worker: Array,
) -> tuple[Halving, Array]:
    """Lanes in which a worker has begun its next job; whether there is one, whether its rung is the last of
    its bracket, and its ``Launch``: in one array, since each takes time to fetch."""

    def lane(task: Array, key: Key, state: Halving) -> tuple[Halving, Array]:
        state = refreshed(program, numbers, key, state)
        state, choice, there = chosen(program, numbers, context, task, state, own, jnp.bool_(True))
        rungs = jnp.stack([choice.rung, jnp.maximum(choice.rung - 1, 0)])
        row, (level, below) = row_and_level(numbers, state, choice.trial, rungs)
        before = jnp.where(choice.rung > 0, below, -1)
        bracket = state.trials[choice.trial, 1]
        is_last = choice.rung + 1 == jnp.asarray(numbers.num_rungs)[bracket]
        handed = [there, is_last, choice.trial, row, level, before]
        return taken(state, choice, worker, there), jnp.stack([part.astype(jnp.int32) for part in handed])

    return jax.vmap(lane)(lanes.task, lanes.key, state)
