"""Searchers that go through prepared lists of rows: draws of the transfer prior, or one portfolio."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Int, UInt32

from mohb_jax.searchers.base import Searcher, State, ignore
from mohb_jax.searchers.random import Candidates, RandomState, permuted, round_keys_of
from mohb_jax.searchers.random import init as init_random
from mohb_jax.searchers.seen_rows import filled_up, first_unseen, marked
from mohb_jax.types import RUN_GROUPS, Array, Key

LIST_LENGTH = 256
"""Rows of a list: more than three brackets of R=81 propose. A lane that has tried them all goes on at
random."""


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["candidates", "rows"], meta_fields=["num_rows"]
)
@dataclasses.dataclass(frozen=True)
class Lists:
    """What lanes propose from.

    Attributes:
        candidates: of each task, for what the lists do not hold.
        rows: the bank: rows in the order of each list, -1 where a list has ended.
        num_rows: of the table.
    """

    candidates: Candidates
    rows: Int[Array, "tasks draws length"]
    num_rows: int


class ListState(NamedTuple):
    """Where a lane is: which lists it has used, and which rows it has seen."""

    random: RandomState
    list_keys: UInt32[Array, " rounds"]
    group: Int[Array, ""]
    """Which of the lists are the lane's, see ``next_list``."""
    num_used: Int[Array, ""]
    seen: UInt32[Array, " words"]
    """One bit per row of the table."""


def list_searcher(prepare: Any, one_by_one: bool) -> Searcher:
    """A searcher that goes through the lists that ``prepare`` makes."""

    if one_by_one:
        return Searcher(
            prepare, _init, _propose_one_by_one, ignore, suggest_up_to=_one_by_one_up_to, numbered=True
        )
    return Searcher(
        prepare, _init, _propose, ignore, suggest_up_to=_propose_up_to, tags=("lists",), numbered=True
    )


def lists_of_a_run(draws: int) -> int:
    """Lists of a bank that each run has, of a task: runs have none in common unless their numbers are equal
    modulo ``RUN_GROUPS``, or there are fewer lists than groups."""
    return max(1, draws // RUN_GROUPS)


def list_order(key: Key, draws: int) -> UInt32[Array, " rounds"]:
    """Keys of the order in which a run goes through its lists."""
    return round_keys_of(key, lists_of_a_run(draws))


def next_list(
    list_keys: UInt32[Array, " rounds"], group: Int[Array, ""], num_used: Int[Array, ""], draws: int
) -> Int[Array, ""]:
    """Number of a run's next list: in random order, and again in that order when all were used.

    Args:
        list_keys: see ``list_order``.
        group: the number of the run, modulo ``RUN_GROUPS``.
        num_used: lists that the run has used.
        draws: lists of the bank; static.
    """
    own = lists_of_a_run(draws)
    return group % min(draws, RUN_GROUPS) * own + permuted(list_keys, num_used % own, own, own)


def _init(context: Lists, task: Int[Array, ""], key: Key, run: Int[Array, ""] | int = 0) -> ListState:
    # The same permutation as random search takes: methods are paired as far as that goes.
    random = init_random(context.candidates, task, key)
    list_keys = list_order(jax.random.fold_in(key, 1), context.rows.shape[1])
    words = -(-context.num_rows // 32)
    group = jnp.asarray(run % RUN_GROUPS, jnp.int32)
    return ListState(random, list_keys, group, jnp.int32(0), jnp.zeros(words, jnp.uint32))


def _propose(
    context: Lists, task: Int[Array, ""], state: ListState, num_suggestions: int
) -> tuple[ListState, Array, Array]:
    return _propose_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))


def _propose_up_to(
    context: Lists, task: Int[Array, ""], state: ListState, room: int, num_suggestions: Int[Array, ""]
) -> tuple[ListState, Array, Array]:
    """The first unseen rows of the lane's next list, and random ones after its end."""
    number = next_list(state.list_keys, state.group, state.num_used, context.rows.shape[1])
    row, place = first_unseen(context.rows[task, number], state.seen, room)
    found = (place < context.rows.shape[2]) & (jnp.arange(room) < num_suggestions)
    row = jnp.where(found, row, -1)
    state = state._replace(num_used=state.num_used + 1, seen=marked(state.seen, row))
    num_found = jnp.sum(found, dtype=jnp.int32)
    return filled_up(context.candidates, task, state, row, num_found, num_suggestions)


def _propose_one_by_one(
    context: Lists, task: Int[Array, ""], state: ListState, num_suggestions: int
) -> tuple[ListState, Array, Array]:
    return _one_by_one_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))


def _one_by_one_up_to(
    context: Lists, task: Int[Array, ""], state: ListState, room: int, num_suggestions: Int[Array, ""]
) -> tuple[ListState, Array, Array]:
    """Each suggestion from a list of its own."""

    def single(state: ListState) -> tuple[ListState, Array, Array]:
        return _propose(context, task, state, 1)

    return one_at_a_time(single, state, room, num_suggestions)


def one_at_a_time(
    single: Callable[[State], tuple[State, Array, Array]],
    state: State,
    room: int,
    num_suggestions: Int[Array, ""],
) -> tuple[State, Array, Array]:
    """Suggestions that are made one after the other, in the first of ``room`` places.

    Args:
        single: the next one: state, row of shape [1] and whether it is valid.
        state: of the lane.
        room: places; static.
        num_suggestions: how many of them.
    """

    def step(number: Array, carry: tuple) -> tuple:
        state, rows, valid = carry
        state, row, is_valid = single(state)
        return state, rows.at[number].set(row[0]), valid.at[number].set(is_valid[0])

    nothing = (jnp.zeros(room, jnp.int32), jnp.zeros(room, bool))
    return jax.lax.fori_loop(0, num_suggestions, step, (state, *nothing))
