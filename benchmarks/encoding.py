"""Configurations as numbers that models can learn from."""

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable


def unit_features(
    table: AnyTable, configs: Float[np.ndarray, "n columns"] | None = None
) -> Float[np.ndarray, "rows features"]:
    """Every row of a table as a point of the unit cube; only its configuration is read, never its results.

    Numbers are scaled to [0, 1] over the rows, those of a ``log`` column after the logarithm; ordinal levels
    are equally spaced; a categorical column becomes one column of 0 and 1 per level. Hardware columns are
    columns like any other.

    Args:
        table: its rows say how numbers are scaled.
        configs: others in the same columns, of which numbers may leave [0, 1]; those of the table if None.
    """
    wanted = table.configs if configs is None else configs
    parts = [
        _encode(column, table.configs[:, index], wanted[:, index])
        for index, column in enumerate(table.columns)
    ]
    return np.concatenate(parts, axis=1)


def _encode(
    column: Column, values: Float[np.ndarray, " rows"], wanted: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n features"]:
    if column.kind == "categorical":
        return (wanted[:, None] == np.arange(len(column.levels))).astype(np.float64)
    values, wanted = (np.log(part) if column.kind == "log" else part for part in (values, wanted))
    low, high = values.min(), values.max()
    return ((wanted - low) / (high - low if high > low else 1.0))[:, None]
