"""Other prices for the same table: what a finished training costs, not how long it takes."""

import dataclasses
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from jaxtyping import Float, Int
from mohb_jax.benchmarks.columns import Column, require_choice
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import CrossedTable
from mohb_jax.benchmarks.csv_files import csv_rows
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError, yaml_reason

_SAME_PRICE = 1e-6
_SAME_RATIO = 1e-9
_SUFFIXES = (".yaml", ".yml", ".csv")


class Pricing(NamedTuple):
    """What a table's amounts of money follow from: one price per hour for each type of machine."""

    column: Column
    """Its levels are the types."""
    level: Int[np.ndarray, " rows"]
    """The type of each row, as an index into them."""
    money: tuple[int, ...]
    """The objectives in USD; at least one."""
    prices: Float[np.ndarray, "money types"]
    """USD per hour; NaN for a type of which no cell shows its price."""


def with_prices(
    table: AnyTable, prices: Mapping[str, float | int], shown_by: AnyTable | None = None
) -> AnyTable:
    """The same table at other prices: amounts of money follow them, all else stays as it is.

    Args:
        table: one whose costs follow from one price per type; see ``pricing``.
        prices: USD per hour of instance types; those left out keep theirs.
        shown_by: the part of the table whose cells show the old prices; all of it if None.

    Returns:
        A table of the same kind: a crossing holds the new prices; in another table, objectives in USD are
        multiplied by new price / old price.

    Raises:
        InputError: if a type is unknown, a price is not above 0, or the table's costs do not follow from one
            price per type.
    """
    if isinstance(table, CrossedTable):
        return dataclasses.replace(table, prices=priced(table.column, table.prices, prices))
    held = _held(table)
    ratios = price_ratios(table if shown_by is None else shown_by, prices)
    return dataclasses.replace(held, costs=held.costs * np.where(np.isnan(ratios), 1.0, ratios)[:, None])


def read_prices(path: str | os.PathLike[str]) -> dict[str, float]:
    """A price list: USD per hour by instance type, in the file's order.

    A file ending in ``.yaml`` or ``.yml`` holds a mapping ``instance type: price``; one ending in ``.csv`` a
    header and two columns, instance type and price, separated by comma, semicolon or tab.

    Raises:
        InputError: naming the file and the instance type or line at fault.
    """
    file = Path(path)
    if file.suffix.lower() not in _SUFFIXES:
        raise InputError(f"price file {file}: its name must end in one of {', '.join(_SUFFIXES)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"price file {file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"price file {file} cannot be read: {error}") from error
    items = _csv_items(text, file) if file.suffix.lower() == ".csv" else _yaml_items(text, file)
    if not items:
        raise InputError(f"price file {file} holds no price")
    prices: dict[str, float] = {}
    for name, value in items:
        if name in prices:
            raise InputError(f"price file {file} has two prices for {name!r}")
        prices[name] = _price(name, value, file)
    return prices


def _yaml_items(text: str, file: Path) -> list[tuple[str, str]]:
    """Names and prices as they are written: neither doubles nor a type named ``on`` may vanish in a dict."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"price file {file} is not YAML: {yaml_reason(error)}") from error
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"price file {file} is not a mapping of instance types to USD per hour")
    for key, value in node.value:
        if not (isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)):
            name = key.value if isinstance(key, yaml.ScalarNode) else f"line {key.start_mark.line + 1}"
            raise InputError(
                f"price file {file}: {name!r} must be an instance type and a number: USD per hour"
            )
    return [(str(key.value), str(value.value)) for key, value in node.value]


def _csv_items(text: str, file: Path) -> list[tuple[str, str]]:
    """Names and prices of a CSV file, without its header."""
    try:
        rows = csv_rows(text, str(file))
    except InputError as error:
        raise InputError(f"price file {file} is not CSV: {error.__cause__}") from error
    for line, record in rows:
        if len(record) != 2:
            raise InputError(
                f"price file {file}, line {line}: {len(record)} columns, but two are needed: instance type "
                "and USD per hour"
            )
    if rows and _is_number(rows[0][1][1]):
        raise InputError(f"price file {file}: its first line must be a header such as instance_type,price")
    return [(name.strip(), price.strip()) for _, (name, price) in rows[1:]]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _price(name: str, text: str, file: Path) -> float:
    if not _is_number(text) or float(text) <= 0:
        raise InputError(
            f"price file {file}: price of {name!r} is {text!r}: a number of USD per hour above 0 is needed"
        )
    return float(text)


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
    names = [str(level) for level in column.levels]
    for name, price in prices.items():
        require_choice(f"{column.name} in prices:", name, names)
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 < price < math.inf:
            raise InputError(f"price of {name!r} is {price!r}: a number of USD per hour above 0 is needed")
        new[names.index(str(name))] = price
    return new


def pricing(table: AnyTable, names: Collection[str] = ()) -> Pricing:
    """What a table's amounts of money follow from.

    A crossing holds its prices. From another table they are read back, cost / runtime; each level of the
    priced column must show one and the same price wherever it is available.

    Args:
        table: with one categorical hardware column whose levels are what is priced.
        names: of types to be priced: of several such columns, the first that knows any is the priced one.

    Raises:
        InputError: if there is no such column, no objective is in USD, or one is not runtime times a price.
    """
    index, column = _priced_column(table, names)
    money = tuple(m for m, objective in enumerate(table.objectives) if objective.unit == "USD")
    if not money:
        raise InputError(f"table {table.name!r} has no objective in USD: prices change nothing")
    level = table.configs[:, index].astype(np.int64)
    if isinstance(table, CrossedTable):
        prices = np.tile(table.prices, (len(money), 1))
    else:
        prices = np.stack([_read_back(_held(table), column, level, m) for m in money])
    return Pricing(column, level, money, prices)


def price_ratios(table: AnyTable, prices: Mapping[str, float | int]) -> Float[np.ndarray, "rows objectives"]:
    """New price / old price: what the costs of each row, at any fidelity, are to be multiplied by.

    Args:
        table: see ``pricing``.
        prices: USD per hour by level; those left out stay as they are.

    Returns:
        1 in objectives that are no money, and exactly 1 where the price stays the same; NaN where a new
        price is given to a type whose old one no cell of the table shows.

    Raises:
        InputError: see ``priced`` and ``pricing``.
    """
    found = pricing(table, prices)
    ratios = np.ones((table.num_rows, table.num_objectives))
    for m, old in zip(found.money, found.prices, strict=True):
        ratio = priced(found.column, old, prices) / old
        named = np.isin([str(level) for level in found.column.levels], list(prices))
        same = np.isclose(ratio, 1.0, rtol=0, atol=_SAME_RATIO) | ~named
        ratios[:, m] = np.where(same, 1.0, ratio)[found.level]
    return ratios


def _held(table: AnyTable) -> Table:
    """The table, whose cells show its prices."""
    if not isinstance(table, Table):
        kind = type(table).__name__
        raise InputError(f"table {table.name!r} is a {kind}: prices change those of a Table or a crossing")
    return table


def _priced_column(table: AnyTable, names: Collection[str]) -> tuple[int, Column]:
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
    wanted = set(names)
    return next((item for item in found if wanted & set(map(str, item[1].levels))), found[0])


def _read_back(
    table: Table, column: Column, level: Int[np.ndarray, " rows"], objective: int
) -> Float[np.ndarray, " types"]:
    """USD per hour of each level, from cost and runtime; NaN where no cell shows it."""
    known = table.mask & (table.runtime > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        hourly = np.where(known, table.costs[..., objective] / table.runtime * 3600, np.nan)
    old = np.full(len(column.levels), np.nan)
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
