"""A table's columns as a ConfigSpace, and the way back: from any configuration to the nearest row."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable

from mohb_jax.errors import InputError

STEP = 1e-12
"""Bounds lie on multiples of this: ConfigSpace rounds them to 13 decimals, inwards too."""


def config_space(table: AnyTable, seed: int | None = None) -> Any:
    """The box around a table's rows as a ``ConfigSpace.ConfigurationSpace``, one hyperparameter per column.

    Continuous and log columns span the values that occur, give or take ``STEP`` (a constant where there is
    one only), ordinal and categorical ones offer all their levels. A sampled configuration is mostly no row:
    see ``nearest_rows``.

    Args:
        table: any.
        seed: of the space's own sampling.

    Raises:
        InputError: if ConfigSpace is not installed, or a log column holds values below ``STEP``.
    """
    library = _library()
    space = library.ConfigurationSpace(name=table.name, seed=seed)
    space.add(
        [
            _hyperparameter(library, column, values)
            for column, values in zip(table.columns, table.configs.T, strict=True)
        ]
    )
    return space


def _library() -> Any:
    try:
        return importlib.import_module("ConfigSpace")
    except ImportError:
        raise InputError(
            "config_space needs ConfigSpace; install it with: pip install 'mohb-jax[configspace]'"
        ) from None


def _hyperparameter(library: Any, column: Column, values: Float[np.ndarray, " rows"]) -> Any:
    if column.kind == "categorical":
        return library.CategoricalHyperparameter(column.name, column.levels)
    if column.kind == "ordinal":
        return library.OrdinalHyperparameter(column.name, column.levels)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return library.Constant(column.name, low)
    if column.kind == "log" and low < STEP:
        raise InputError(
            f"column {column.name!r} holds {low:g}: a ConfigSpace holds log values from {STEP:g} on"
        )
    outer = min(low, float(np.floor(low / STEP) * STEP)), max(high, float(np.ceil(high / STEP) * STEP))
    return library.UniformFloatHyperparameter(column.name, *outer, log=column.kind == "log")


def nearest_rows(
    table: AnyTable, configs: Sequence[Mapping[str, Any]], task: str | None = None
) -> Int[np.ndarray, " configs"]:
    """The row nearest to each configuration; of several the first.

    The distance is Gower's, the sum over the columns of a number from 0 to 1: in a continuous column the
    difference divided by the range of the rows, in a log column that of the logarithms, in an ordinal one the
    number of levels between divided by the most there can be, in a categorical one 0 if equal and 1 if not.
    All columns weigh the same. Values outside the range of the rows are farther than 1.

    Args:
        table: any.
        configs: a value or level for every column, such as samples of ``config_space``.
        task: leave out rows that were never measured in this task; None takes all rows.

    Raises:
        InputError: naming the configuration and the column at fault, or an unknown task.

    References:
        Gower, "A general coefficient of similarity and some of its properties", Biometrics, 1971.
    """
    kept = (
        np.arange(table.num_rows) if task is None else np.flatnonzero(table.measured(table.task_index(task)))
    )
    return kept[nearest(table.columns, table.configs, configs, kept)]


def nearest(
    columns: Sequence[Column],
    rows: Float[np.ndarray, "rows columns"],
    configs: Sequence[Mapping[str, Any]],
    kept: Int[np.ndarray, " kept"],
) -> Int[np.ndarray, " configs"]:
    """Which of some rows is nearest to each configuration, as an index into ``kept``; see ``nearest_rows``.

    Args:
        columns: meaning of the columns of ``rows``.
        rows: their ranges say what a difference weighs.
        configs: a value or level for every column.
        kept: rows that may be nearest.

    Raises:
        InputError: naming the configuration and the column at fault.
    """
    scaled, scale = _scaled(columns, rows), _scales(columns, rows)
    unordered = np.array([column.kind == "categorical" for column in columns])
    wanted = _scaled(columns, encoded(columns, configs))
    found = [int(_distances(scaled[kept], config, scale, unordered).argmin()) for config in wanted]
    return np.array(found, np.int64)


def _distances(
    rows: Float[np.ndarray, "rows columns"],
    config: Float[np.ndarray, " columns"],
    scale: Float[np.ndarray, " columns"],
    unordered: Bool[np.ndarray, " columns"],
) -> Float[np.ndarray, " rows"]:
    gap = np.abs(rows - config)
    return np.where(unordered, gap > 0, gap / scale).sum(axis=1)


def encoded(
    columns: Sequence[Column], configs: Sequence[Mapping[str, Any]]
) -> Float[np.ndarray, "configs columns"]:
    """Configurations as a table holds them: values, or indices of levels.

    Raises:
        InputError: naming the configuration and the column at fault.
    """
    rows = [[_number(config, column, place) for column in columns] for place, config in enumerate(configs)]
    return np.array(rows, np.float64).reshape(len(configs), len(columns))


def _number(config: Mapping[str, Any], column: Column, place: int) -> float:
    """A value, or the index of a level."""
    where = f"configuration {place}, column {column.name!r}"
    if column.name not in config:
        raise InputError(f"{where}: a value is missing")
    value = config[column.name]
    if column.has_levels:
        if not isinstance(value, (str, int, float, np.generic)) or value not in column.levels:
            raise InputError(
                f"{where}: {value!r} is no level; accepted: {', '.join(map(str, column.levels))}"
            )
        return float(column.levels.index(value))
    number = float(value) if isinstance(value, (int, float, np.number)) else np.nan
    if not np.isfinite(number) or (column.kind == "log" and number <= 0):
        raise InputError(f"{where}: {value!r} is not a number{' above 0' if column.kind == 'log' else ''}")
    return number


def _scaled(
    columns: Sequence[Column], values: Float[np.ndarray, "n columns"]
) -> Float[np.ndarray, "n columns"]:
    """Log columns as logarithms."""
    log = np.array([column.kind == "log" for column in columns])
    return np.where(log, np.log(np.where(log, values, 1.0)), values)


def _scales(
    columns: Sequence[Column], rows: Float[np.ndarray, "rows columns"]
) -> Float[np.ndarray, " columns"]:
    """What a difference is divided by: the range of all rows or levels; 1 where there is none."""
    span = np.ptp(_scaled(columns, rows), axis=0)
    levels = np.array([len(column.levels) - 1 for column in columns])
    span = np.where([column.has_levels for column in columns], levels, span)
    return np.where(span > 0, span, 1.0)
