"""Synchronous rungs: how a bracket begins, and who goes on when all results of a rung are in."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.promotion import Cut, RungRule
from mohb_jax.searchers.base import Context, Searcher, State
from mohb_jax.types import Array, Key

SMALL_RUNG = 16
"""Rungs of at most so many rows are steps of one program. They cost little, and a program takes as long to
compile as one of a large rung."""


class Rung(NamedTuple):
    """Candidates of a rung, and the seconds that were already paid for each."""

    row: Int[Array, " n"]
    valid: Bool[Array, " n"]
    paid: Float[Array, " n"]


def first_rung(
    searcher: Searcher, size: int, room: int, widest: int, context: Context, task: Array, state: State
) -> tuple[State, Rung]:
    """What a bracket begins with. A searcher that learns has one program for all brackets.

    Args:
        searcher: proposes.
        size: of the rung.
        room: places of the rung.
        widest: the most places that the first rung of any bracket has.
        context: what the searcher prepared.
        task: of each lane.
        state: of the searcher of each lane.
    """
    if searcher.suggest_up_to is None:
        return _open_bracket(searcher, size, room, context, task, state, np.int32(size))
    most = widest if searcher.learns else room
    state, rung = _open_bracket(searcher, None, most, context, task, state, np.int32(size))
    return state, rung if most == room else _shortened(rung, room)


@functools.partial(jax.jit, static_argnames=("searcher", "size", "room"))
def _open_bracket(
    searcher: Searcher,
    size: int | None,
    room: int,
    context: Context,
    task: Array,
    state: State,
    num_suggestions: Array,
) -> tuple[State, Rung]:
    """So many suggestions, in the first of ``room`` places; the program is for one ``size``, or for all if
    that is None."""

    def lane(task: Array, state: State) -> tuple[State, Rung]:
        if size is None:
            assert searcher.suggest_up_to is not None
            state, row, valid = searcher.suggest_up_to(context, task, state, room, num_suggestions)
        else:
            state, row, valid = searcher.suggest(context, task, state, size)
            row, valid = (jnp.pad(part, (0, room - size)) for part in (row, valid))
        return state, Rung(row, valid, jnp.zeros(room, jnp.result_type(float)))

    return jax.vmap(lane)(task, state)


@functools.partial(jax.jit, static_argnames="room")
def _shortened(rung: Rung, room: int) -> Rung:
    return jax.tree.map(lambda part: part[:, :room], rung)


def ordered(promotion: Any, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    """Who goes on; a rule that knows of no room is given none."""
    if isinstance(promotion, RungRule):
        return promotion.within(key, costs, valid, room, cut)
    return jnp.asarray(promotion(key, costs, valid, room))
