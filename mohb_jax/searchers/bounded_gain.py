"""The greatest of many gains, without working out all of them: rows go in the order of a bound."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.types import Array

BLOCK = 32
"""Gains that are worked out at a time."""
SLACK = 2e-4
"""By so much a gain may be above its bound by rounding, and chance may prefer a lesser one, in logarithms."""


class BoundedGain(NamedTuple):
    """How good rows are: no more than a bound, which is cheap for all of them."""

    bound: Float[Array, " rows"]
    of: Callable[[Int[Array, " some"]], Float[Array, " some"]]
    """The gains at some places among the rows."""


class _Search(NamedTuple):
    gain: Float[Array, " rows"]
    left: Float[Array, " rows"]
    """The bound of each row that is not worked out; minus infinity elsewhere."""
    best: Float[Array, ""]


def greatest_worked_out(bounded: BoundedGain, wanted: Bool[Array, " rows"]) -> Float[Array, " rows"]:
    """Gains, of which those within ``SLACK`` of the greatest are exact; the bounds of all others.

    Blocks of rows are worked out, those of greatest bound first, until no bound that is left is as high as
    the best gain.

    Args:
        bounded: bounds and gains, as logarithms.
        wanted: rows that may be chosen; of others the bound is returned.
    """
    block = min(BLOCK, wanted.shape[0])

    def is_open(search: _Search) -> Bool[Array, ""]:
        most = jnp.max(search.left)
        return (most > -jnp.inf) & (most >= search.best - SLACK)

    def turn(search: _Search) -> _Search:
        most, place = jax.lax.top_k(search.left, block)
        gain = jnp.where(most > -jnp.inf, bounded.of(place), search.gain[place])
        best = jnp.max(jnp.where(most > -jnp.inf, gain, -jnp.inf))
        return _Search(
            jnp.asarray(search.gain).at[place].set(gain),
            jnp.asarray(search.left).at[place].set(-jnp.inf),
            jnp.maximum(search.best, best),
        )

    nothing = jnp.asarray(-jnp.inf, bounded.bound.dtype)
    begin = _Search(bounded.bound, jnp.where(wanted, bounded.bound, nothing), nothing)
    return jax.lax.while_loop(is_open, turn, begin).gain
