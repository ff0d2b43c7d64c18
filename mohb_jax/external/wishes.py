"""Wishes on a table: what an optimiser asks for is no row, and is answered with the nearest one.

The plain twin of ``searchers.nearest_rows``: the same whole numbers, the same ties.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import InputError
from mohb_jax.external.server import Column
from mohb_jax.searchers.nearest_rows import STEPS, codes_of

FAR = np.iinfo(np.int64).max
BEHIND = 1 << 53
"""More than any distance; as many times as there are columns it is still a whole number of 64 bits."""
OUTSIDE = 1e-9
"""Share of a column's range that rounding may carry a number beyond its bounds."""


def columns_of(table: AnyTable) -> tuple[Column, ...]:
    """The table's columns as an optimiser sees them; bounds are those of the rows."""
    return tuple(
        Column(
            column.name,
            column.kind,
            column.role,
            column.levels,
            0.0 if column.has_levels else float(values.min()),
            0.0 if column.has_levels else float(values.max()),
        )
        for column, values in zip(table.columns, table.configs.T, strict=True)
    )


class Wishes:
    """Finds rows for configurations.

    Args:
        table: its rows and columns.
    """

    def __init__(self, table: AnyTable) -> None:
        self.columns = columns_of(table)
        self._codes = np.stack(
            [codes_of(column, table.configs[:, place]) for place, column in enumerate(table.columns)]
        ).astype(np.int64)
        self._unordered = np.array([column.kind == "categorical" for column in self.columns])

    def codes(self, config: Mapping[str, Any]) -> Int[np.ndarray, " columns"]:
        """Coordinates of a configuration, in steps.

        Raises:
            InputError: naming the column that has no value, or one that is outside the space.
        """
        unknown = next((name for name in config if name not in {c.name for c in self.columns}), None)
        if unknown is not None:
            raise InputError(f"proposes column {unknown!r}, which the space does not have")
        return np.array([_code(column, config) for column in self.columns], np.int64)

    def distances(self, wish: Int[np.ndarray, " columns"], exact: bool = False) -> Int[np.ndarray, " rows"]:
        """Squared distance from a wish to each row, in steps; a column at a time, which the cache holds.

        Args:
            wish: coordinates, as ``codes`` gives them.
            exact: puts rows that differ in a category behind all others.
        """
        total = np.zeros(self._codes.shape[1], np.int64)
        other = STEPS**2 + exact * BEHIND
        for codes, at, unordered in zip(self._codes, wish.tolist(), self._unordered, strict=True):
            if unordered:
                total += (codes != at) * other
            else:
                gap = codes - at
                gap *= gap
                total += gap
        return total

    def nearest(
        self,
        wish: Int[np.ndarray, " columns"],
        free: Bool[np.ndarray, " rows"],
        exact: bool = False,
    ) -> tuple[int, int]:
        """The free row nearest to a wish, of several the first, and its squared distance in steps.

        Args:
            wish: see ``distances``.
            free: the rows that may be taken; at least one.
            exact: prefers rows that agree in all categorical columns, if there are any.
        """
        return self.least(self.distances(wish, exact), free)

    @staticmethod
    def least(distances: Int[np.ndarray, " rows"], free: Bool[np.ndarray, " rows"]) -> tuple[int, int]:
        """The first free row of those at the least distance, and that, without what puts rows behind."""
        row = int(np.where(free, distances, FAR).argmin())
        return row, int(distances[row] % BEHIND)

    @staticmethod
    def length(distance: int) -> float:
        """A squared distance in steps as a length: 1 for the whole range of one column."""
        return math.sqrt(distance) / STEPS


def _code(column: Column, config: Mapping[str, Any]) -> int:
    if column.name not in config:
        raise InputError(f"proposes no value for column {column.name!r}")
    value = config[column.name]
    if column.levels:
        return _level_code(column, value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    slack = OUTSIDE * max(abs(column.low), abs(column.high))
    if not is_number or not column.low - slack <= value <= column.high + slack:
        raise InputError(
            f"proposes {value!r} for column {column.name!r}: accepted are numbers from {column.low:g} to "
            f"{column.high:g}"
        )
    value = min(max(value, column.low), column.high)
    low, high, at = (
        (math.log(number) for number in (column.low, column.high, value))
        if column.kind == "log"
        else (column.low, column.high, value)
    )
    return round((at - low) * STEPS / (high - low if high > low else 1.0))


def _level_code(column: Column, value: Any) -> int:
    if value not in column.levels:
        shown = _few(column.levels)
        raise InputError(f"proposes {value!r} for column {column.name!r}: accepted are {shown}")
    place = column.levels.index(value)
    return place if column.kind == "categorical" else round(place * STEPS / max(len(column.levels) - 1, 1))


def _few(levels: Sequence[Any], most: int = 6) -> str:
    more = f" and {len(levels) - most} more" if len(levels) > most else ""
    return ", ".join(map(str, levels[:most])) + more
