"""Other prices for the same table: what a finished training costs, not how long it takes."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from benchmarks.columns import Column, require_choice
from benchmarks.errors import InputError

if TYPE_CHECKING:
    from benchmarks.table import Table

_SAME_PRICE = 1e-6


def priced(
    column: Column, old: Float[np.ndarray, " types"], prices: Mapping[str, float | int]
) -> Float[np.ndarray, " types"]:
    """USD per hour of each level of a column, with some of them changed.

    Args:
        column: whose levels are the types of machine.
        old: their prices so far.
        prices: new ones by name.

    Raises:
        InputError: if a name is not a level, or a price is no number above 0.
    """
    new = old.copy()
    for name, price in prices.items():
        require_choice(f"{column.name} in prices:", name, column.levels)
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 < price < math.inf:
            raise InputError(f"price of {name!r} is {price!r}: a number of USD per hour above 0 is needed")
        new[column.levels.index(name)] = price
    return new


def repriced(
    table: "Table", prices: Mapping[str, float | int]
) -> Float[np.ndarray, "tasks rows f objectives"]:
    """A table's costs at other prices.

    The price that an objective in USD was made with is read back from it, cost / runtime; each level of the
    priced column must show one and the same price wherever it is available.

    Args:
        table: with one categorical hardware column whose levels are what is priced.
        prices: USD per hour by level.

    Raises:
        InputError: see ``priced``; or no column has these levels, no objective is in USD, or one is not
            runtime times a price.
    """
    index, column = _priced_column(table, prices)
    money = [m for m, objective in enumerate(table.objectives) if objective.unit == "USD"]
    if not money:
        raise InputError(f"table {table.name!r} has no objective in USD: prices change nothing")
    level = table.configs[:, index].astype(np.int64)
    costs = table.costs.copy()
    for m in money:
        old = _read_back(table, column, level, m)
        costs[..., m] *= (priced(column, old, prices) / old)[level][:, None]
    return costs


def _priced_column(table: "Table", prices: Mapping[str, float | int]) -> tuple[int, Column]:
    """The categorical hardware column that knows any of the names; else the first one, for its error."""
    found = [
        (index, column)
        for index, column in enumerate(table.columns)
        if column.kind == "categorical" and column.role == "hardware"
    ]
    if not found:
        raise InputError(
            f"table {table.name!r} has no categorical hardware column that prices could belong to"
        )
    return next((item for item in found if set(item[1].levels) & set(prices)), found[0])


def _read_back(
    table: "Table", column: Column, level: np.ndarray, objective: int
) -> Float[np.ndarray, " types"]:
    """USD per hour of each level, from cost and runtime."""
    known = table.mask & (table.runtime > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        hourly = np.where(known, table.costs[..., objective] / table.runtime * 3600, np.nan)
    old = np.ones(len(column.levels))
    for index, name in enumerate(column.levels):
        seen = hourly[:, level == index]
        seen = seen[np.isfinite(seen)]
        if seen.size == 0:
            continue
        old[index] = np.median(seen)
        if not np.allclose(seen, old[index], rtol=_SAME_PRICE) or old[index] <= 0:
            raise InputError(
                f"table {table.name!r}: {table.objectives[objective].name!r} is not runtime x one price for "
                f"{column.name} {name!r}, so other prices cannot be applied"
            )
    return old
