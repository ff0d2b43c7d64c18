"""Configurations as numbers that models can learn from."""

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable


def unit_features(table: AnyTable) -> Float[np.ndarray, "rows features"]:
    """Every row of a table as a point of the unit cube; only its configuration is read, never its results.

    Numbers are scaled to [0, 1] over the rows, those of a ``log`` column after the logarithm; ordinal levels
    are equally spaced; a categorical column becomes one column of 0 and 1 per level. Hardware columns are
    columns like any other.
    """
    parts = [_encode(column, table.configs[:, index]) for index, column in enumerate(table.columns)]
    return np.concatenate(parts, axis=1)


def _encode(column: Column, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "rows features"]:
    if column.kind == "categorical":
        return (values[:, None] == np.arange(len(column.levels))).astype(np.float64)
    values = np.log(values) if column.kind == "log" else values
    low, high = values.min(), values.max()
    return ((values - low) / (high - low if high > low else 1.0))[:, None]
