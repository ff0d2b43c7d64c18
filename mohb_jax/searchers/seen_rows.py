"""Which rows a run has seen, and where unseen ones come from when nothing better is known."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int, UInt32

from mohb_jax.kernels.bits import WORD, nth_members
from mohb_jax.searchers.random import Candidates, RandomState, candidate_rows
from mohb_jax.searchers.random import init as init_random
from mohb_jax.types import Array, Key


class Pool(NamedTuple):
    """What a run has seen of a table, and its random order of the rest."""

    random: RandomState
    """The permutation that random search takes: methods are paired as far as that goes."""
    seen: UInt32[Array, " words"]
    """One bit per row of the table."""


def new_pool(candidates: Candidates, task: Int[Array, ""], key: Key, num_rows: int) -> Pool:
    """A run that has seen nothing of a table with so many rows."""
    return Pool(init_random(candidates, task, key), jnp.zeros(-(-num_rows // 32), jnp.uint32))


@functools.partial(jax.jit, static_argnames="num_rows")
def draw(
    candidates: Candidates, task: Int[Array, ""], pool: Pool, num_rows: int
) -> tuple[Pool, Array, Array]:
    """Unseen rows at random, which are then seen: pool, rows, and which of them are valid."""
    nothing = jnp.full(num_rows, -1, jnp.int32)
    return filled_up(candidates, task, pool, nothing, jnp.int32(0))


@functools.partial(jax.jit, static_argnames="num_wanted")
def first_unseen(
    rows: Int[Array, " n"], seen: UInt32[Array, " words"], num_wanted: int
) -> tuple[Int[Array, " k"], Int[Array, " k"]]:
    """The first rows that are not marked, and their places; -1 and n where there are no more."""
    n = rows.shape[0]
    unseen = jnp.pad((rows >= 0) & ~is_marked(seen, rows), (0, -n % WORD))
    place = jnp.minimum(nth_members(unseen, jnp.arange(num_wanted, dtype=jnp.int32)), n)
    return jnp.where(place < n, rows[jnp.minimum(place, n - 1)], -1), place


@jax.jit
def is_marked(seen: UInt32[Array, " words"], row: Int[Array, "*k"]) -> Bool[Array, "*k"]:
    """Whether rows are marked as seen."""
    return seen[row >> 5] >> (row & 31).astype(jnp.uint32) & 1 == 1


@jax.jit
def marked(seen: UInt32[Array, " words"], row: Int[Array, " k"]) -> UInt32[Array, " words"]:
    """The rows marked as seen; they are distinct and were not, so that adding their bits is right."""
    bit = jnp.where(row >= 0, jnp.uint32(1) << (row & 31).astype(jnp.uint32), jnp.uint32(0))
    return jnp.asarray(seen).at[jnp.maximum(row, 0) >> 5].add(bit)


@jax.jit
def filled_up(
    candidates: Candidates,
    task: Int[Array, ""],
    state: Any,
    row: Int[Array, " k"],
    num_found: Int[Array, ""],
    num_wanted: Int[Array, ""] | int | None = None,
) -> tuple[Any, Array, Array]:
    """Puts unseen random candidates where a list had no more rows, for as long as there are any.

    Args:
        candidates: of all tasks.
        task: position among them.
        state: a NamedTuple that has the fields of ``Pool`` among its own.
        row: rows that were found, -1 after them.
        num_found: how many.
        num_wanted: places that are to be filled; all if None.

    Returns:
        The state, rows, and which of them are valid.
    """
    k = row.shape[0]
    wanted = k if num_wanted is None else num_wanted
    index = jnp.arange(k, dtype=jnp.int32)
    num_rows = candidates.num_rows[task]

    def unfinished(carry: tuple) -> jax.Array:
        state, _, num_found = carry
        return (num_found < wanted) & (state.random.num_taken < num_rows)

    def more(carry: tuple) -> tuple:
        state, row, num_found = carry
        position = state.random.num_taken + index
        drawn = candidate_rows(candidates, task, state.random.round_keys, jnp.minimum(position, num_rows - 1))
        drawn, place = first_unseen(jnp.where(position < num_rows, drawn, -1), state.seen, k)
        num_missing = wanted - num_found
        drawn = jnp.where(index < num_missing, drawn, -1)
        # Reading goes on after the last row that was taken, and after all if they were not enough.
        num_read = jnp.minimum(place[num_missing - 1] + 1, k)
        random = state.random._replace(num_taken=state.random.num_taken + num_read)
        row = jnp.where(index < num_found, row, drawn[jnp.maximum(index - num_found, 0)])
        num_found = num_found + jnp.sum(drawn >= 0, dtype=jnp.int32)
        return state._replace(random=random, seen=marked(state.seen, drawn)), row, num_found

    state, row, num_found = jax.lax.while_loop(unfinished, more, (state, row, num_found))
    return state, jnp.maximum(row, 0), index < num_found
