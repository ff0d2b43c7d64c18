"""Sets as bits: 32 members to a word."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int, UInt32

from mohb_jax.types import Array

WORD = 32


@jax.jit
def packed(mask: Bool[Array, "*batch n"]) -> UInt32[Array, "*batch words"]:
    """A mask as bits; n must be a multiple of 32."""
    words = mask.reshape(*mask.shape[:-1], mask.shape[-1] // WORD, WORD).astype(jnp.uint32)
    return jnp.sum(words << jnp.arange(WORD, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


@functools.partial(jax.jit, static_argnames="most")
def members(mask: Bool[Array, " n"], most: int) -> Int[Array, " most"]:
    """Indices of the first True values, n after the last of them: by words, as a scatter would be slow.

    n must be a multiple of 32.
    """
    return nth_members(mask, jnp.arange(most, dtype=jnp.int32))


@jax.jit
def nth_members(mask: Bool[Array, " n"], number: Int[Array, " k"]) -> Int[Array, " k"]:
    """Index of the True value of each number, counted from 0; n where there is none."""
    words = packed(mask)
    counts = jax.lax.population_count(words).astype(jnp.int32)
    upto = jnp.cumsum(counts)
    word = jnp.sum(upto[None] <= number[:, None], axis=1, dtype=jnp.int32)
    inside = jnp.minimum(word, words.shape[0] - 1)
    place = _nth_bit(words[inside], number - (upto - counts)[inside])
    return jnp.where(word < words.shape[0], WORD * word + place, mask.shape[0])


def _nth_bit(word: UInt32[Array, " k"], number: Int[Array, " k"]) -> Int[Array, " k"]:
    """Place of the set bit of each number: in the lower half of the word, or else in the upper, and so on."""
    place = jnp.zeros_like(number)
    for width in (16, 8, 4, 2, 1):
        lower = word & jnp.uint32((1 << width) - 1)
        count = jax.lax.population_count(lower).astype(jnp.int32)
        in_upper = number >= count
        number = jnp.where(in_upper, number - count, number)
        word = jnp.where(in_upper, word >> width, lower)
        place = jnp.where(in_upper, place + width, place)
    return place
