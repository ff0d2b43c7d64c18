"""Synchronous rungs: how a bracket begins, and who goes on when all results of a rung are in."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.promotion import Cut, PromotionRule, RungRule
from mohb_jax.searchers.base import Context, Searcher, Seen, State
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


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def joined(kept: int, new: int, room: int, survivors: Rung, newcomers: Rung) -> Rung:
    """A rung of so many survivors and then newcomers, lanes in front, in the first of ``room`` places."""

    def both(old: Array, more: Array) -> Array:
        return jnp.pad(
            jnp.concatenate([old[:, :kept], more[:, :new]], axis=1), ((0, 0), (0, room - kept - new))
        )

    return jax.tree.map(both, survivors, newcomers)


@functools.partial(jax.jit, static_argnames="room")
def _shortened(rung: Rung, room: int) -> Rung:
    return jax.tree.map(lambda part: part[:, :room], rung)


def closed_rung(
    observe: Callable[[State, Seen], State] | None,
    promotion: Any,
    room: int,
    cut: Cut,
    key: Key,
    state: State,
    seen: Seen,
    bracket_number: Array,
) -> tuple[State, Array, Array]:
    """What follows when all results of a rung are in, of one lane.

    Args:
        observe: of a searcher that learns rung by rung; None of any other, and there is no state.
        promotion: the rule, as ``rule_of`` has it; None for the last rung of a bracket.
        room: places of the next rung.
        cut: the size of this rung, whose arrays may have more places, and how many go on.
        key: of the lane.
        state: of the searcher.
        seen: the results.
        bracket_number: in the run.

    Returns:
        The searcher's state; the places of this rung that go on, [room], and which of them are valid.
    """
    if observe is not None:
        state = observe(state, seen)
    if promotion is None:
        return state, jnp.zeros(0, jnp.int32), jnp.zeros(0, bool)
    order = _ordered(promotion, jax.random.fold_in(key, bracket_number), seen.costs, seen.valid, room, cut)
    return state, order, jnp.arange(room) < jnp.minimum(jnp.sum(seen.valid), cut.num_keep)


def rule_of(promotion: PromotionRule) -> Any:
    """A promotion rule as a tree, for compiled steps."""
    return promotion if isinstance(promotion, RungRule) else Partial(promotion)


def _ordered(promotion: Any, key: Key, costs: Array, valid: Array, room: int, cut: Cut) -> Array:
    """Who goes on; a rule that knows of no room is given none."""
    if isinstance(promotion, RungRule):
        return promotion.within(key, costs, valid, room, cut)
    return jnp.asarray(promotion(key, costs, valid, room))
