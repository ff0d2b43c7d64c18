"""Rows among which a model chooses: all of a small table; of a larger one fresh rows at random, and those
that were the best for the last proposals."""

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.kernels.selection import largest
from mohb_jax.searchers.random import Candidates, random_places
from mohb_jax.searchers.seen_rows import is_marked
from mohb_jax.types import Array, Key

NUM_KEPT = 16
"""Rows of a proposal that are kept: the best after those that it takes."""
NUM_TURNS = 4
"""Proposals for which they are kept."""


def none_kept(candidates: Candidates, num_fresh: int) -> Int[Array, " kept"]:
    """What is kept before the first proposal: -1 for each place, and no place where a table is looked at
    whole because it has no more rows than a proposal looks at."""
    most = NUM_KEPT * NUM_TURNS
    return jnp.full(most if candidates.most > num_fresh + most else 0, -1, jnp.int32)


def promising(
    candidates: Candidates,
    task: Int[Array, ""],
    seen: UInt32[Array, " words"],
    kept: Int[Array, " kept"],
    num_fresh: int,
    key: Key,
) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """Rows among which a lane chooses, and which of them it may choose, each of them once.

    Args:
        candidates: of all tasks.
        task: a position in them.
        seen: rows that may not be chosen, as bits.
        kept: what ``best_of`` or ``none_kept`` gave last.
        num_fresh: rows at random; static.
        key: for these; consumed.
    """
    num_rows, most = candidates.num_rows[task], candidates.most
    place = jnp.arange(num_fresh if kept.shape[0] else most, dtype=jnp.int32)
    valid = place < num_rows
    if kept.shape[0]:
        place = jnp.asarray(random_places(key, num_rows, most, num_fresh))
    row = place if candidates.rows is None else candidates.rows[task, place]
    if kept.shape[0]:
        row, valid = jnp.concatenate([kept, row]), jnp.concatenate([kept >= 0, valid])
        valid &= ~jnp.any(jnp.tril(row[:, None] == kept[None, :], -1), axis=1)
    row = jnp.maximum(row, 0)
    return row, valid & ~is_marked(seen, row)


def best_of(
    row: Int[Array, " n"], gain: Float[Array, " n"], num_taken: int, kept: Int[Array, " kept"]
) -> tuple[Int[Array, " taken"], Int[Array, " kept"]]:
    """The best rows, the best first; and what is kept then: the next best, and those of the proposals before.

    Args:
        row: among which a lane chooses.
        gain: how good they are; minus infinity where they may not be chosen.
        num_taken: how many to take; static. Where there are fewer, the last are arbitrary.
        kept: so far.
    """
    if not kept.shape[0]:
        return row[largest(gain, num_taken)], kept
    best = row[largest(gain, num_taken + NUM_KEPT)]
    exists = jnp.arange(num_taken + NUM_KEPT) < jnp.sum(gain > -jnp.inf)
    newest = jnp.where(exists, best, -1)[num_taken:]
    return best[:num_taken], jnp.concatenate([newest, kept[:-NUM_KEPT]])
