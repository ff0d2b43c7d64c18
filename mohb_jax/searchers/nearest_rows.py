"""Moves in the space of configurations, on a table: every wish is answered with its nearest unseen row.

Coordinates are whole numbers, numeric ones in steps of 1/``STEPS`` of their range, so that distances are
exact and no decision depends on a batch, a compiler or a backend.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt, UInt32

from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.searchers.lane_batches import in_batches
from mohb_jax.searchers.random import Candidates, all_candidates
from mohb_jax.searchers.seen_rows import marked
from mohb_jax.types import Array

STEPS = 1 << 12
"""Steps of a numeric column; a categorical mismatch counts as much as its whole range. Squared, 127 columns
fit into 32 bits."""
MOST_TYPES = 64
"""Types of a crossing that is searched block by block: each block's free rows are the bits of one number."""
_FAR = np.iinfo(np.int32).max


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["candidates", "codes", "block_codes", "measured"],
    meta_fields=["is_categorical", "num_levels", "num_types"],
)
@dataclasses.dataclass(frozen=True)
class Rows:
    """A table's configurations as coordinates.

    Attributes:
        candidates: rows of each task that can be proposed, for random choices.
        codes: column by column, the coordinate of every row: steps from 0 to ``STEPS`` of a numeric or
            ordinal column (a ``log`` column after the logarithm, ordinal levels equally spaced), the level of
            a categorical one.
        block_codes: those of the first row of every ``num_types``, side by side: to pick them out costs more
            than all distances.
        measured: bits of the rows of each task that can be proposed.
        is_categorical: of each column.
        num_levels: of each column; 0 where it holds real numbers.
        num_types: levels of the last column, where the table is a crossing of all else with it, row by row
            (``benchmarks.crossing`` makes such tables of instance types); 1 where it is not, or where there
            are more than ``MOST_TYPES``.
    """

    candidates: Candidates
    codes: Int32[Array, "columns rows"]
    block_codes: Int32[Array, "columns bases"]
    measured: UInt32[Array, "tasks words"]
    is_categorical: tuple[bool, ...]
    num_levels: tuple[int, ...]
    num_types: int = 1

    @property
    def num_rows(self) -> int:
        return self.codes.shape[1]

    @property
    def num_columns(self) -> int:
        return self.codes.shape[0]

    def point(self, row: Int[Array, " *n"]) -> Float[Array, "*n columns"]:
        """Coordinates of rows as a searcher uses them: numbers in [0, 1], and levels of categorical columns
        as whole numbers."""
        scale = np.where(self.is_categorical, 1.0, 1.0 / STEPS)
        return jnp.moveaxis(self.codes[:, row], 0, -1) * scale


def prepare_rows(table: AnyTable, tasks: tuple[int, ...]) -> Rows:
    """The coordinates of a table's rows, and which of them each task offers; see ``PrepareFn``."""
    codes = np.stack(
        [codes_of(column, table.configs[:, index]) for index, column in enumerate(table.columns)]
    )
    num_types = _num_types(table.columns[-1], codes)
    return Rows(
        candidates=all_candidates(table, tasks),
        codes=jax.device_put(codes),
        block_codes=jax.device_put(codes[:, ::num_types]),
        measured=jax.device_put(np.stack([_packed(table.measured(task)) for task in tasks])),
        is_categorical=tuple(column.kind == "categorical" for column in table.columns),
        num_levels=tuple(len(column.levels) for column in table.columns),
        num_types=num_types,
    )


def _num_types(last: Column, codes: Int32[np.ndarray, "columns rows"]) -> int:
    num_types = len(last.levels) if last.kind == "categorical" and len(codes) > 1 else 1
    if codes.shape[1] % num_types or num_types > MOST_TYPES:
        return 1
    blocks = codes.reshape(len(codes), -1, num_types)
    crossed = (blocks[:-1] == blocks[:-1, :, :1]).all() and (blocks[-1] == np.arange(num_types)).all()
    return num_types if crossed else 1


def codes_of(column: Column, values: Float[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
    if column.kind == "categorical":
        return values.astype(np.int32)
    if column.kind == "ordinal":
        return np.round(values * STEPS / max(len(column.levels) - 1, 1)).astype(np.int32)
    values = np.log(values) if column.kind == "log" else values
    low, high = values.min(), values.max()
    return np.round((values - low) * STEPS / (high - low if high > low else 1.0)).astype(np.int32)


@jax.jit
def may_be_proposed(rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"]) -> Bool[Array, " rows"]:
    """The rows that a task offers and a run has not seen."""
    return _unpacked(rows, _offered(rows, task, seen))


def _offered(rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"]) -> UInt32[Array, " words"]:
    return jnp.asarray(rows.measured)[task] & ~jnp.asarray(seen)


def _unpacked(rows: Rows, bits: Any) -> Bool[Array, " rows"]:
    return ((bits[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1).reshape(-1)[: rows.num_rows] == 1


def _packed(mask: Bool[np.ndarray, " rows"]) -> UInt32[np.ndarray, " words"]:
    """``_words`` on the host, where nothing has to be compiled."""
    bits = np.pad(mask, (0, -len(mask) % 32))
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32)


def _words(mask: Bool[Array, " rows"]) -> UInt32[Array, " words"]:
    """The bits of a mask, as ``seen`` has them."""
    bits = jnp.pad(jnp.asarray(mask), (0, -mask.shape[0] % 32)).reshape(-1, 32)
    return jnp.sum(
        jnp.where(bits, jnp.uint32(1) << jnp.arange(32, dtype=jnp.uint32), 0), axis=1, dtype=jnp.uint32
    )


def _masks(rows: Rows, bits: Any) -> Any:
    """The bits of every block of rows in one whole number: a crossing is searched block by block, and what a
    lane reads at each step has to be small."""
    if rows.num_types == 1:
        return _unpacked(rows, bits).astype(jnp.uint8)
    first = np.arange(rows.block_codes.shape[1]) * rows.num_types
    word, shift = first >> 5, jnp.asarray(first & 31, jnp.uint64)
    low, high, next_ = (
        jnp.append(bits, jnp.zeros(2, bits.dtype)).astype(jnp.uint64)[word + i] for i in range(3)
    )
    rest = jnp.where(shift > 0, next_ << ((64 - shift) & 63), 0)
    return ((low | high << 32) >> shift | rest) & jnp.uint64(2**rows.num_types - 1)


@jax.jit
def nearest_unseen(
    rows: Rows,
    task: Int[Array, ""],
    seen: UInt32[Array, " words"],
    point: Float[Array, " columns"],
    allowed: Bool[Array, " rows"] | None = None,
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """The unseen row nearest to a point, ties to the lowest row, and whether there is any.

    Columns count alike: a number by its share of the column's range, a categorical one 1 where it differs.

    Args:
        rows: of a table.
        task: position in the context.
        seen: bits of rows that were proposed before.
        point: as ``Rows.point`` gives it; numbers outside [0, 1] are clipped.
        allowed: further restricts the choice.
    """
    bits = _offered(rows, task, seen)
    bits = bits if allowed is None else bits & _words(jnp.asarray(allowed))
    distance, wanted = _squared_distances(rows, point), _wanted_type(rows, point)
    block, kind, found = _nearest(_masks(rows, bits), distance, wanted)
    return block * rows.num_types + kind, found


@jax.jit
def nearest_unseen_each(
    rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"], points: Float[Array, "k columns"]
) -> tuple[Array, Array, Array]:
    """``nearest_unseen`` of points one after another, each seen from then on: bits, rows, which are valid."""
    numbers = points.shape[0] * rows.block_codes.shape[1]
    return tuple(in_batches(numbers, _nearest_unseen_each, rows, task, seen, points))


def _nearest_unseen_each(
    rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"], points: Float[Array, "k columns"]
) -> tuple[Array, Array, Array]:
    """Of one lane; the distances of all points from all rows are its largest array."""

    def answer(free: Any, wish: Any) -> tuple[Any, tuple[Array, Array]]:
        block, kind, found = _nearest(free, *wish)
        taken = jnp.ones((), free.dtype) << kind.astype(free.dtype)
        return free.at[block].set(free[block] & ~taken), (block * rows.num_types + kind, found)

    free = _masks(rows, _offered(rows, task, seen))
    wishes = jax.vmap(lambda point: (_squared_distances(rows, point), _wanted_type(rows, point)))(points)
    row, found = jax.lax.scan(answer, free, wishes)[1]
    return marked(seen, jnp.where(found, row, -1)), row, found


def _wanted_type(rows: Rows, point: Float[Array, " columns"]) -> Int[Array, ""]:
    """The level of the last column in a crossing; 0 in other tables."""
    level = jnp.round(point[-1]).astype(jnp.int32) if rows.num_types > 1 else jnp.int32(0)
    return jnp.clip(level, 0, rows.num_types - 1)


def _nearest(
    free: UInt[Array, " bases"], distance: Int32[Array, " bases"], wanted: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""], Bool[Array, ""]]:
    """Block and type of the free row nearest to a point, and whether there is any.

    In a crossing, the distance without the last column is that of a whole block of rows; the wanted type is
    the nearest of a block, or else its first free one.

    Two passes, for the least distance and for the first block that has it, are twice as fast as ``argmin``,
    which XLA's CPU compiler does not vectorise.
    """
    has_wanted = (free >> wanted.astype(free.dtype)) & 1 == 1
    other = jnp.where(free != 0, distance + STEPS**2, _FAR)
    distance = jnp.where(has_wanted, distance, other).astype(jnp.int32)
    least = jnp.min(distance)
    number = jnp.arange(distance.shape[0], dtype=jnp.int32)
    block = jnp.min(jnp.where(distance == least, number, distance.shape[0] - 1))
    trailing_zeros = jax.lax.population_count(~free[block] & (free[block] - 1)).astype(jnp.int32)
    kind = jnp.where(has_wanted[block], wanted, trailing_zeros)
    return block, jnp.where(least < _FAR, kind, 0), least < _FAR


def _squared_distances(rows: Rows, point: Float[Array, " columns"]) -> Int32[Array, " bases"]:
    """Squared distance of every block of rows from a point, in squared steps; in a crossing without the last
    column."""
    total: Array = jnp.zeros(rows.block_codes.shape[1], jnp.int32)
    num_columns = rows.num_columns - (rows.num_types > 1)
    for column, is_categorical in enumerate(rows.is_categorical[:num_columns]):
        codes = rows.block_codes[column]
        if is_categorical:
            apart = jnp.where(codes == jnp.round(point[column]).astype(jnp.int32), 0, STEPS**2)
        else:
            there = jnp.round(jnp.clip(point[column], 0, 1) * STEPS).astype(jnp.int32)
            apart = jnp.asarray((codes - there) ** 2)
        total = total + apart
    return total
