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
from jaxtyping import Bool, Float, Int, Int32, UInt32

from benchmarks.columns import Column
from benchmarks.interface import AnyTable
from mohb_jax.searchers.random import Candidates, all_candidates
from mohb_jax.searchers.unseen import marked
from mohb_jax.types import Array

STEPS = 1 << 12
"""Steps of a numeric column; a categorical mismatch counts as much as its whole range. Squared, 127 columns
fit into 32 bits."""
_FAR = np.iinfo(np.int32).max


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["candidates", "codes", "measured"],
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
        measured: rows of each task that can be proposed.
        is_categorical: of each column.
        num_levels: of each column; 0 where it holds real numbers.
        num_types: levels of the last column, where the table is a crossing of all else with it, row by row
            (``benchmarks.crossing`` makes such tables of instance types); 1 where it is not.
    """

    candidates: Candidates
    codes: Int32[Array, "columns rows"]
    measured: Bool[Array, "tasks rows"]
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
    codes = np.stack([_codes(column, table.configs[:, index]) for index, column in enumerate(table.columns)])
    return Rows(
        candidates=all_candidates(table, tasks),
        codes=jnp.asarray(codes),
        measured=jnp.asarray(np.stack([table.measured(task) for task in tasks])),
        is_categorical=tuple(column.kind == "categorical" for column in table.columns),
        num_levels=tuple(len(column.levels) for column in table.columns),
        num_types=_num_types(table.columns[-1], codes),
    )


def _num_types(last: Column, codes: Int32[np.ndarray, "columns rows"]) -> int:
    num_types = len(last.levels) if last.kind == "categorical" and len(codes) > 1 else 1
    if codes.shape[1] % num_types:
        return 1
    blocks = codes.reshape(len(codes), -1, num_types)
    crossed = (blocks[:-1] == blocks[:-1, :, :1]).all() and (blocks[-1] == np.arange(num_types)).all()
    return num_types if crossed else 1


def _codes(column: Column, values: Float[np.ndarray, " rows"]) -> Int32[np.ndarray, " rows"]:
    if column.kind == "categorical":
        return values.astype(np.int32)
    if column.kind == "ordinal":
        return np.round(values * STEPS / max(len(column.levels) - 1, 1)).astype(np.int32)
    values = np.log(values) if column.kind == "log" else values
    low, high = values.min(), values.max()
    return np.round((values - low) * STEPS / (high - low if high > low else 1.0)).astype(np.int32)


def may_be_proposed(rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"]) -> Bool[Array, " rows"]:
    """The rows that a task offers and a run has not seen."""
    bits = (jnp.asarray(seen)[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return jnp.asarray(rows.measured)[task] & (bits.reshape(-1)[: rows.num_rows] == 0)


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
    free = may_be_proposed(rows, task, seen)
    free = free if allowed is None else free & allowed
    return _nearest(rows, free.reshape(-1, rows.num_types), point)


def nearest_unseen_each(
    rows: Rows, task: Int[Array, ""], seen: UInt32[Array, " words"], points: Float[Array, "k columns"]
) -> tuple[Array, Array, Array]:
    """``nearest_unseen`` of points one after another, each seen from then on: bits, rows, which are valid."""

    def answer(free: Any, point: Any) -> tuple[Any, tuple[Array, Array]]:
        row, found = _nearest(rows, free, point)
        return free.at[row // rows.num_types, row % rows.num_types].set(False), (row, found)

    free = may_be_proposed(rows, task, seen).reshape(-1, rows.num_types)
    row, found = jax.lax.scan(answer, free, points)[1]
    return marked(seen, jnp.where(found, row, -1)), row, found


def _nearest(
    rows: Rows, free: Bool[Array, "bases types"], point: Float[Array, " columns"]
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """The free row nearest to a point, and whether there is any.

    In a crossing, the distance without the last column is that of a whole block of rows; the wanted type is
    the nearest of a block, or else its first free one.

    Two passes, for the least distance and for the first block that has it, are twice as fast as ``argmin``,
    which XLA's CPU compiler does not vectorise.
    """
    crossed = rows.num_types > 1
    own = _squared_distances(rows, point, rows.num_columns - crossed)
    wanted = jnp.clip(jnp.round(point[-1]).astype(jnp.int32), 0, rows.num_types - 1) if crossed else 0
    has_wanted = jnp.asarray(free)[:, wanted]
    other = jnp.where(jnp.any(free, axis=1), own + STEPS**2, _FAR).astype(jnp.int32)
    distance = jnp.where(has_wanted, own, other if crossed else _FAR).astype(jnp.int32)
    least = jnp.min(distance)
    number = jnp.arange(distance.shape[0], dtype=jnp.int32)
    block = jnp.min(jnp.where(distance == least, number, distance.shape[0] - 1))
    kind = jnp.where(has_wanted[block], wanted, jnp.argmax(free[block]).astype(jnp.int32))
    return (block * rows.num_types + kind).astype(jnp.int32), least < _FAR


def _squared_distances(
    rows: Rows, point: Float[Array, " columns"], num_columns: int
) -> Int32[Array, " bases"]:
    """Squared distance of the first row of every block from a point in some columns, in squared steps."""
    total: Array = jnp.zeros(rows.num_rows // rows.num_types, jnp.int32)
    for column, is_categorical in enumerate(rows.is_categorical[:num_columns]):
        codes = rows.codes[column, :: rows.num_types]
        if is_categorical:
            apart = jnp.where(codes == jnp.round(point[column]).astype(jnp.int32), 0, STEPS**2)
        else:
            there = jnp.round(jnp.clip(point[column], 0, 1) * STEPS).astype(jnp.int32)
            apart = jnp.asarray((codes - there) ** 2)
        total = total + apart
    return total
