"""Random search without replacement, at a cost that does not grow with the table."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Int, UInt32

from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.types import Array, Key


def num_rounds(num_rows: int) -> int:
    """Rounds of mixing: a small grid needs more until pairs of suggestions are as independent as in a fair
    shuffle (tests/test_random.py measures it)."""
    return 10 if num_rows >= 64 else 24


class RandomState(NamedTuple):
    """A keyed permutation of the table's rows, and how many of them were taken."""

    round_keys: UInt32[Array, " rounds"]
    num_taken: Int[Array, ""]


def random_search() -> Searcher:
    """Suggests rows uniformly at random without replacement.

    The t-th suggestion of a lane is element t of a pseudo-random permutation of the rows, computed by itself:
    no mask of seen rows, no draw for each row of the table. Suggestions therefore do not depend on how they
    are batched, and all methods that use this searcher see the same rows in the same order under the same
    key.
    """
    return Searcher(_init, _suggest, _observe)


def _init(key: Key, num_rows: int) -> RandomState:
    return RandomState(jax.random.bits(key, (num_rounds(num_rows),), jnp.uint32), jnp.int32(0))


def _suggest(state: RandomState, num_rows: int, num_suggestions: int) -> tuple[RandomState, Array, Array]:
    position = state.num_taken + jnp.arange(num_suggestions, dtype=jnp.int32)
    valid = position < num_rows
    row = permuted(state.round_keys, jnp.where(valid, position, 0), num_rows)
    return state._replace(num_taken=state.num_taken + num_suggestions), row, valid


def _observe(state: RandomState, seen: Seen) -> RandomState:
    del seen
    return state


def permuted(
    round_keys: UInt32[Array, " rounds"], position: Int[Array, " n"], num_rows: int
) -> Int[Array, " n"]:
    """Elements of a keyed pseudo-random permutation of ``range(num_rows)``.

    An alternating Feistel network on the mixed radix numbers ``left * width + right``, the smallest
    near-square grid that holds all rows; a value that falls outside the rows is sent through again ("cycle
    walking").

    Args:
        round_keys: one key per round, uniformly random.
        position: positions in ``[0, num_rows)``.
        num_rows: static.

    References:
        Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (generalised Feistel, cycle walking).
    """
    height = math.isqrt(num_rows - 1) + 1
    width = -(-num_rows // height)

    def encrypt(value: jax.Array) -> jax.Array:
        left, right = value // width, value % width
        for number in range(0, round_keys.shape[0], 2):
            left = (left + _mix(right, round_keys[number]) % height) % height
            right = (right + _mix(left, round_keys[number + 1]) % width) % width
        return left * width + right

    def walk(value: jax.Array) -> jax.Array:
        return jnp.where(value < num_rows, value, encrypt(value))

    value = encrypt(jnp.asarray(position, jnp.uint32))
    return jax.lax.while_loop(lambda v: jnp.any(v >= num_rows), walk, value).astype(jnp.int32)


def _mix(value: jax.Array, key: jax.Array) -> jax.Array:
    """A hash of 32 bits: two multiplications between shifts spread each bit over all others (murmur3's
    finaliser)."""
    value = (value ^ key) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
