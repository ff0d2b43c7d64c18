"""Fronts of a rung, kept up to date while results arrive.

A newcomer enters the front behind the last one that dominates it, and whom it dominates there moves to the
next front, where the same begins anew. Most of this would never matter: only fronts above the cut do, and
only while somebody asks. So numbers of fronts are lower bounds, results that were moved wait until their
front is looked at, and the fronts that are looked at are exact.

Why that is right: numbers grow only as far as chains of domination do, so no number is above the index of its
front. Whoever moves takes along all that it dominates, so a number can be too low only where a result of the
same number waits and dominates it. Fronts down to which nobody waits are those of non-dominated sorting.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.few_lanes import one_by_one
from mohb_jax.types import Array

NO_FRONT = 1 << 30
"""Number of results that failed, are of another rung or not there."""


class Fronts(NamedTuple):
    """The fronts of results; those of several rungs may stand side by side."""

    number: Int[Array, " n"]
    """From 0; at most the index of a result's front, and just that down to where none waits."""
    waits: Bool[Array, " n"]
    """Results that were moved, and may dominate some of the front where they are."""


def no_fronts(size: int) -> Fronts:
    """Of no results yet."""
    return Fronts(jnp.full(size, NO_FRONT, jnp.int32), jnp.zeros(size, bool))


@jax.jit
def of_rung(fronts: Fronts, valid: Bool[Array, " n"]) -> Fronts:
    """Those of one rung alone."""
    return Fronts(jnp.where(valid, fronts.number, NO_FRONT), fronts.waits & valid)


@jax.jit
def with_newcomer(
    costs: Float[Array, "m n"], valid: Bool[Array, " n"], newcomer: Int[Array, ""], fronts: Fronts
) -> Fronts:
    """Fronts with those of a result that arrives.

    Args:
        costs: of all results; infinite where one failed.
        valid: results of the newcomer's rung, itself included.
        newcomer: its index; n, where there is none, changes nothing.
        fronts: of all before.
    """
    n = valid.shape[0]
    own = of_rung(fronts, valid).number
    point = costs[:, jnp.minimum(newcomer, n - 1)][:, None]
    no_worse, no_better = jnp.all(costs <= point, axis=0), jnp.all(costs >= point, axis=0)
    above = (own < NO_FRONT) & no_worse & ~no_better
    number = jnp.max(jnp.where(above, own + 1, 0))
    counts = (newcomer < n) & jnp.all(jnp.isfinite(point))
    moves = counts & no_better & ~no_worse & (own <= number)
    arrives = counts & (jnp.arange(n) == newcomer)
    moved = jnp.where(moves, number + 1, jnp.where(arrives, number, fronts.number))
    return Fronts(moved, fronts.waits | moves)


@jax.jit
def first_of(mask: Bool[Array, " n"], number: Int[Array, " n"]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The least masked number, and the first index that has it; ``NO_FRONT`` and n if none is masked."""
    n = mask.shape[0]
    key = (number.astype(jnp.int64) << 32) | jnp.arange(n)
    least = jnp.min(jnp.where(mask, key, (NO_FRONT << 32) | n))
    return (least >> 32).astype(jnp.int32), (least & 0xFFFFFFFF).astype(jnp.int32)


@jax.jit
def settled(
    costs: Float[Array, "m n"],
    fronts: Fronts,
    wanted: Bool[Array, " n"] | None,
    num_keep: Int[Array, ""],
) -> Fronts:
    """Fronts that are exact down to the first one with a wanted result, or to the cut.

    Args:
        costs: of all results.
        fronts: of one rung, see ``of_rung``.
        wanted: results that somebody asks for; None for all down to the last.
        num_keep: the cut: how many results are good enough.
    """
    mover = _next_to_move(fronts, wanted, num_keep)
    return one_by_one(mover.needed, _settle, (costs, fronts, mover, wanted, num_keep), fronts)


class _Mover(NamedTuple):
    number: Int[Array, ""]
    result: Int[Array, ""]
    needed: Bool[Array, ""]


def _next_to_move(fronts: Fronts, wanted: Bool[Array, " n"] | None, num_keep: Int[Array, ""]) -> _Mover:
    """The waiting result of the least number, and whether somebody needs to know whom it moves."""
    number, index = first_of(fronts.waits, fronts.number)
    first = NO_FRONT - 1 if wanted is None else first_of(wanted, fronts.number)[0]
    above = jnp.sum(fronts.number < number, dtype=jnp.int32)
    return _Mover(number, index, (number <= first) & (number < NO_FRONT) & (above < num_keep))


def _settle(
    costs: Float[Array, "m n"],
    fronts: Fronts,
    mover: _Mover,
    wanted: Bool[Array, " n"] | None,
    num_keep: Int[Array, ""],
) -> Fronts:
    def move(carry: tuple[Fronts, _Mover]) -> tuple[Fronts, _Mover]:
        fronts, mover = carry
        point = costs[:, mover.result][:, None]
        dominated = jnp.all(costs >= point, axis=0) & jnp.any(costs > point, axis=0)
        moves = dominated & (fronts.number <= mover.number)
        number = jnp.where(moves, mover.number + 1, fronts.number)
        left = (fronts.waits | moves) & (jnp.arange(moves.shape[0]) != mover.result)
        fronts = Fronts(number, left)
        return fronts, _next_to_move(fronts, wanted, num_keep)

    return jax.lax.while_loop(lambda carry: carry[1].needed, move, (fronts, mover))[0]
