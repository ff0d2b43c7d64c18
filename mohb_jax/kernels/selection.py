"""The best few of many."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.types import Array


@functools.partial(jax.jit, static_argnames="num_largest")
def largest(score: Float[Array, " n"], num_largest: int) -> Int[Array, " k"]:
    """Places of the largest scores, the largest first, ties to the lowest place.

    The library sorts everything for more than one.

    Args:
        score: free of NaN and +inf.
        num_largest: static. Places from the first score of -inf on are arbitrary.
    """

    def take(score: Any, _: None) -> tuple[Array, Array]:
        place = jnp.argmax(score).astype(jnp.int32)
        return score.at[place].set(-jnp.inf), place

    return jax.lax.scan(take, score, None, length=num_largest)[1]
