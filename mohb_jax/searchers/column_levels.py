"""A table as a space of levels: every column has a few, whatever its kind."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.searchers.nearest_rows import STEPS, Rows, prepare_rows
from mohb_jax.types import Array

MOST_LEVELS = 8
"""Numeric and ordinal columns with more distinct values than this are cut into so many bins. A category is a
level of its own, however many there are: neighbours in a list of names have nothing in common."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows", "levels", "centres", "defaults"],
    meta_fields=["num_levels", "num_objectives"],
)
@dataclasses.dataclass(frozen=True)
class LevelSpace:
    """A table's rows, and the levels of their columns.

    Attributes:
        rows: the same rows as coordinates.
        levels: column by column, the level of every row.
        centres: a coordinate of each level, as in ``Rows.point``: the lower median of its rows.
        defaults: the commonest level of each column among the rows, ties to the lowest.
        num_levels: of each column, at least 1.
        num_objectives: of the table.
    """

    rows: Rows
    levels: Int32[Array, "columns rows"]
    centres: Float[Array, "columns most"]
    defaults: Int32[Array, " columns"]
    num_levels: tuple[int, ...]
    num_objectives: int

    @property
    def most(self) -> int:
        """The most levels that a column has."""
        return max(self.num_levels)

    @property
    def is_level(self) -> Bool[np.ndarray, "columns most"]:
        """True where a column has that level."""
        return np.arange(self.most) < np.array(self.num_levels)[:, None]


def prepare_levels(table: AnyTable, tasks: tuple[int, ...]) -> LevelSpace:
    """See ``PrepareFn``; only configurations are read."""
    rows = prepare_rows(table, tasks)
    codes = np.asarray(rows.codes)
    levels = np.stack(
        [_binned(own, is_categorical) for own, is_categorical in zip(codes, rows.is_categorical, strict=True)]
    )
    num_levels = tuple(int(own.max()) + 1 for own in levels)
    centres = np.zeros((len(levels), max(num_levels)))
    for column, own in enumerate(levels):
        unit = 1 if rows.is_categorical[column] else STEPS
        for level in range(num_levels[column]):
            members = codes[column, own == level]
            centres[column, level] = np.percentile(members, 50, method="lower") / unit
    return LevelSpace(
        rows=rows,
        levels=jnp.asarray(levels),
        centres=jnp.asarray(centres),
        defaults=jnp.asarray([np.bincount(own).argmax() for own in levels], jnp.int32),
        num_levels=num_levels,
        num_objectives=table.num_objectives,
    )


def _binned(codes: Int32[np.ndarray, " rows"], is_categorical: bool) -> Int32[np.ndarray, " rows"]:
    """Levels from 0: the values in order, or bins of equal count in which equal values stay together."""
    values, level = np.unique(codes, return_inverse=True)
    if len(values) > MOST_LEVELS and not is_categorical:
        num_less = np.searchsorted(np.sort(codes), codes)
        level = np.unique(num_less * MOST_LEVELS // len(codes), return_inverse=True)[1]
    return level.astype(np.int32)


def shares_levels(
    space: LevelSpace, wanted: Int[Array, " columns"], depth: Int[Array, ""]
) -> Bool[Array, " rows"]:
    """Rows that have the wanted levels in the first ``depth`` columns."""
    shared = jnp.ones(space.rows.num_rows, bool)
    for column in range(space.rows.num_columns):
        shared &= (space.levels[column] == wanted[column]) | (column >= depth)
    return shared
