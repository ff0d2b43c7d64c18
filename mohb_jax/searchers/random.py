"""Random search without replacement, at a cost that does not grow with the table."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.searchers.base import Searcher, ignore
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

MOST_CANDIDATES = 20_000
"""Tables with more rows than this draw a fresh random subset of ``SUBSET`` rows for each choice."""
SUBSET = 2000


def num_rounds(num_rows: int) -> int:
    """Rounds of mixing: a small grid needs more until pairs of suggestions are as independent as in a fair
    shuffle (tests/test_random.py measures it)."""
    return 10 if num_rows >= 64 else 24


@functools.partial(jax.jit, static_argnames="num_rows")
def round_keys_of(key: Key, num_rows: int) -> UInt32[Array, " rounds"]:
    """Keys of a permutation of so many rows.

    Drawn are multiples of eight: compilers unroll loops of ten, and took four times as long.
    """
    rounds = num_rounds(num_rows)
    return jax.random.bits(key, (-(-rounds // 8) * 8,), jnp.uint32)[:rounds]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows", "num_shuffled", "num_rows"],
    meta_fields=["most"],
)
@dataclasses.dataclass(frozen=True)
class Candidates:
    """The rows that a lane may be given, task by task.

    Attributes:
        rows: listed rows of each task, or None where all rows of the table are candidates.
        num_shuffled: how many of a task's rows, from the first, come in random order; the others follow in
            the order in which they are listed.
        num_rows: how many rows a task has.
        most: the largest ``num_rows``.
    """

    rows: Int[Array, "tasks most"] | None
    num_shuffled: Int[Array, " tasks"]
    num_rows: Int[Array, " tasks"]
    most: int


class RandomState(NamedTuple):
    """A keyed permutation of the candidates, and how many of them were taken."""

    round_keys: UInt32[Array, " rounds"]
    num_taken: Int[Array, ""]


def random_search() -> Searcher:
    """Suggests rows uniformly at random without replacement.

    The t-th suggestion of a lane is element t of a pseudo-random permutation of the task's candidates,
    computed by itself: no mask of seen rows, no draw for each row of the table. Suggestions therefore do not
    depend on how they are batched, and all methods that use this searcher see the same rows in the same order
    under the same key.
    """
    return Searcher(all_candidates, init, suggest, ignore, suggest_up_to=suggest_up_to)


def all_candidates(
    table: AnyTable, tasks: tuple[int, ...], seed: int = 0, prior: Prior | None = None
) -> Candidates:
    """All rows that were measured in each task."""
    del seed, prior
    masks = np.stack([table.measured(task) for task in tasks])
    if masks.all():
        count = jnp.full(len(tasks), table.num_rows, jnp.int32)
        return Candidates(None, count, count, table.num_rows)
    return listed([np.flatnonzero(mask) for mask in masks])


def listed(rows: Sequence[np.ndarray], num_shuffled: Sequence[int] | None = None) -> Candidates:
    """Candidates from one list of rows per task; all are shuffled unless ``num_shuffled`` says how many."""
    count = np.array([len(own) for own in rows], np.int32)
    padded = np.zeros((len(rows), max(count)), np.int32)
    for own, line in zip(rows, padded, strict=True):
        line[: len(own)] = own
    shuffled = count if num_shuffled is None else np.array(num_shuffled, np.int32)
    lists, num_first, num_rows = jax.device_put((padded, shuffled, count))
    return Candidates(lists, num_first, num_rows, int(max(count)))


def init(context: Candidates, task: Int[Array, ""], key: Key) -> RandomState:
    """See ``InitFn``."""
    del task
    return RandomState(round_keys_of(key, context.most), jnp.int32(0))


@functools.partial(jax.jit, static_argnames="num_suggestions")
def suggest(
    context: Candidates, task: Int[Array, ""], state: RandomState, num_suggestions: int
) -> tuple[RandomState, Array, Array]:
    """See ``SuggestFn``."""
    return suggest_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))


@functools.partial(jax.jit, static_argnames="room")
def suggest_up_to(
    context: Candidates, task: Int[Array, ""], state: RandomState, room: int, num_suggestions: Int[Array, ""]
) -> tuple[RandomState, Array, Array]:
    """See ``SuggestUpToFn``."""
    place = jnp.arange(room, dtype=jnp.int32)
    position = state.num_taken + place
    valid = (position < context.num_rows[task]) & (place < num_suggestions)
    row = candidate_rows(context, task, state.round_keys, jnp.where(valid, position, 0))
    return state._replace(num_taken=state.num_taken + num_suggestions), row, valid


@jax.jit
def candidate_rows(
    context: Candidates,
    task: Int[Array, ""],
    round_keys: UInt32[Array, " rounds"],
    position: Int[Array, " n"],
) -> Int[Array, " n"]:
    """Rows at some positions of a task's shuffled candidates."""
    num_shuffled = context.num_shuffled[task]
    shuffled = permuted(round_keys, jnp.minimum(position, num_shuffled - 1), num_shuffled, context.most)
    place = jnp.where(position < num_shuffled, shuffled, position)
    return place if context.rows is None else context.rows[task, place]


def permuted(
    round_keys: UInt32[Array, " rounds"],
    position: Int[Array, "*n"],
    num_rows: int | Int[Array, ""],
    most: int,
) -> Int[Array, "*n"]:
    """Elements of a keyed pseudo-random permutation of ``range(num_rows)``.

    An alternating Feistel network on the mixed radix numbers ``left * width + right``, the smallest
    near-square grid that holds ``most`` rows; a value that falls outside the rows is sent through again
    ("cycle walking").

    Args:
        round_keys: one key per round, uniformly random.
        position: positions in ``[0, num_rows)``.
        num_rows: may differ from lane to lane.
        most: the largest it can be; static.

    References:
        Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (generalised Feistel, cycle walking).
    """
    height = math.isqrt(most - 1) + 1
    width = -(-most // height)

    bound = jnp.asarray(num_rows, jnp.uint32)

    def encrypt(value: jax.Array) -> jax.Array:
        left, right = value // width, value % width
        for number in range(0, round_keys.shape[0], 2):
            left = (left + _mix(right, round_keys[number]) % height) % height
            right = (right + _mix(left, round_keys[number + 1]) % width) % width
        return left * width + right

    def walk(value: jax.Array) -> jax.Array:
        return jnp.where(value < bound, value, encrypt(value))

    value = encrypt(jnp.asarray(position, jnp.uint32))
    return jax.lax.while_loop(lambda v: jnp.any(v >= bound), walk, value).astype(jnp.int32)


def _mix(value: jax.Array, key: jax.Array) -> jax.Array:
    """A hash of 32 bits: two multiplications between shifts spread each bit over all others (murmur3's
    finaliser)."""
    value = (value ^ key) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)


def random_subset(key: Key, num_rows: Int[Array, ""], most: int) -> Int[Array, " subset"] | None:
    """Random places among many candidates, the first ``num_rows`` distinct; None where there are few
    enough to take them all."""
    if most <= MOST_CANDIDATES:
        return None
    return random_places(key, num_rows, most, SUBSET)


def random_places(key: Key, num_rows: Int[Array, ""], most: int, count: int) -> Int[Array, " count"]:
    """So many random places among ``num_rows`` candidates, ``most`` at most; the first ``num_rows`` are
    distinct."""
    position = jnp.minimum(jnp.arange(count, dtype=jnp.int32), num_rows - 1)
    return permuted(round_keys_of(key, most), position, num_rows, most)
