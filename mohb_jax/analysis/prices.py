"""A finished study at other prices: tables and logged costs follow them, decisions stay as they were."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from mohb_jax.analysis.columns import framed
from mohb_jax.analysis.credit import check_rows
from mohb_jax.analysis.results import FinishedStudy, PriceChange, Repricing
from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.prices import Pricing, price_ratios, priced, pricing, with_prices
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit, changed
from mohb_jax.types import RunLog

DECISIONS = "decisions were made under the old prices"
"""What every file of a re-priced report says."""


def reprice(study: FinishedStudy, prices: Mapping[str, float], source: str) -> FinishedStudy:
    """The study as if its results had cost other prices; nothing is run again.

    Tables are re-priced (and with them fronts, normalisation and all indicators), and so is what each run
    logged, at any fidelity, by new price / old price of its row's type; old prices are those that the highest
    fidelity shows. Benchmarks without
    prices of their own, or with none of the types given, stay as they are.

    Args:
        study: as its folder holds it.
        prices: USD per hour by type; those left out keep theirs.
        source: name of the price file.

    Raises:
        InputError: if no benchmark follows prices, a type is unknown to all that do, or its old price cannot
            be told although a run was charged for it.
    """
    finals = {name: table.at_maximum() for name, table in study.stored.items()}
    found, kept = _pricings(finals, prices)
    if not found:
        reasons = "; ".join(dict.fromkeys(kept.values()))
        raise InputError(f"{source}: no benchmark of this study can be re-priced: {reasons}")
    own = {name: _own_prices(found[name], prices) for name in found}
    _check_names(found, kept, prices, source)
    for name in [name for name, few in own.items() if not few]:
        kept[name] = f"table {name!r} has none of the types in {source}"
    chosen = {name: few for name, few in own.items() if few}
    stored = {
        name: with_prices(table, chosen[name], finals[name]) if name in chosen else table
        for name, table in study.stored.items()
    }
    repricing = Repricing(
        source=source,
        changes={name: _changes(found[name], few) for name, few in chosen.items()},
        kept={name: kept[name] for name in study.stored if name in kept},
    )
    units = _units(study, finals, found, chosen)
    return dataclasses.replace(study, stored=stored, units=units, prices=repricing)


def _pricings(
    tables: Mapping[str, AnyTable], prices: Mapping[str, float]
) -> tuple[dict[str, Pricing], dict[str, str]]:
    """What can be re-priced in each benchmark, and why nothing can in the others."""
    found: dict[str, Pricing] = {}
    kept: dict[str, str] = {}
    for name, table in tables.items():
        try:
            found[name] = pricing(table, prices)
        except InputError as error:
            kept[name] = str(error)
    return found, kept


def _check_names(
    found: Mapping[str, Pricing], kept: Mapping[str, str], prices: Mapping[str, float], source: str
) -> None:
    accepted = dict.fromkeys(str(level) for own in found.values() for level in own.column.levels)
    more = f"; not re-priced: {'; '.join(kept.values())}" if kept else ""
    for name in prices:
        require_choice(f"instance type in {source}:", name, accepted, more)


def _own_prices(found: Pricing, prices: Mapping[str, float]) -> dict[str, float]:
    """The prices of one benchmark's types, in the order of its levels."""
    return {str(level): prices[str(level)] for level in found.column.levels if str(level) in prices}


def _changes(found: Pricing, prices: Mapping[str, float]) -> tuple[PriceChange, ...]:
    """Types whose price is another one now, by the first objective in USD; free of what reading back adds."""
    old = found.prices[0]
    new = priced(found.column, old, prices)
    return tuple(
        PriceChange(str(level), None if math.isnan(before) else float(f"{before:.10g}"), float(after))
        for level, before, after in zip(found.column.levels, old, new, strict=True)
        if str(level) in prices and not math.isclose(before, after)
    )


def _units(
    study: FinishedStudy,
    tables: Mapping[str, AnyTable],
    found: Mapping[str, Pricing],
    prices: Mapping[str, Mapping[str, float]],
) -> tuple[AnyUnit, ...]:
    """The work units with their logged costs re-priced, each when it is read."""
    changes = {
        name: functools.partial(
            _log, table=tables[name], found=found[name], ratios=price_ratios(tables[name], few)
        )
        for name, few in prices.items()
    }
    return tuple(
        changed(unit, changes[unit.spec["benchmark"]]) if unit.spec["benchmark"] in changes else unit
        for unit in study.units
    )


def _log(
    log: RunLog, table: AnyTable, found: Pricing, ratios: Float[np.ndarray, "rows objectives"]
) -> RunLog:
    row = np.where(log.valid, log.row, 0)
    check_rows(table.name, table.num_rows, row)
    paid = log.valid[..., None] & np.isfinite(log.costs)  # all else is infinite or padding, and stays so
    ratio = np.where(paid, ratios[row], 1.0)
    unknown = np.isnan(ratio).any(axis=-1)
    if unknown.any():
        raise InputError(_unknown_price(table, found, int(row[unknown][0])))
    return log._replace(costs=np.where(paid, log.costs * ratio, log.costs))


def _unknown_price(table: AnyTable, found: Pricing, row: int) -> str:
    name = str(found.column.levels[found.level[row]])
    return (
        f"table {table.name!r} holds no full training on {name!r}, so the price that runs paid for it is "
        "unknown: leave it out of the prices"
    )


def changed_types(repricing: Repricing) -> list[dict[str, Any]]:
    """One row per benchmark and type whose price changed, with the old price (or None) and the new one."""
    return [
        {
            "benchmark": name,
            "instance_type": change.name,
            "old_usd_per_hour": change.old,
            "new_usd_per_hour": change.new,
        }
        for name, changes in repricing.changes.items()
        for change in changes
    ]


def price_frame(repricing: Repricing | None) -> pl.DataFrame:
    """``changed_types`` as a table."""
    return framed("prices", [] if repricing is None else changed_types(repricing))


def prices_json(repricing: Repricing | None) -> dict[str, Any] | None:
    """What ``summary.json`` says about prices; None where results are shown at those of the runs."""
    if repricing is None:
        return None
    return {
        "file": repricing.source,
        "decisions": DECISIONS,
        "repriced": list(repricing.changes),
        "not_repriced": repricing.kept,
        "changed": changed_types(repricing),
    }


def marked(frame: pl.DataFrame, repricing: Repricing | None) -> pl.DataFrame:
    """A report's table; after re-pricing with a last column that says at which prices each row is shown."""
    if repricing is None:
        return frame
    text = f"{repricing.source}; {DECISIONS}"
    if "benchmark" not in frame.columns:  # a table across benchmarks
        return frame.with_columns(pl.lit(text).alias("prices"))
    says = dict.fromkeys(repricing.changes, text)
    return frame.with_columns(
        pl.col("benchmark").replace_strict(says, default="as in the runs").alias("prices")
    )
