"""The end of every run, a row each: what other programs compare methods with."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mohb_jax.analysis.columns import FINALS, REAL, TEXT
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.errors import InputError
from mohb_jax.store import write_atomically

SUFFIXES = (".parquet", ".csv")


def finals_frame(study: FinishedStudy, cells: Sequence[Cell]) -> pl.DataFrame:
    """Final indicators of every run, with the base method and the settings that differ between methods.

    Args:
        study: whose methods these are.
        cells: results under the study's credit.
    """
    specs = {unit.spec["method"]: unit.spec for unit in study.units}
    settings = _settings({name: spec.get("settings", {}) for name, spec in specs.items()})
    parts = []
    for cell in cells:
        same = {"benchmark": cell.benchmark, "task": cell.task, "method": cell.method, "credit": study.credit}
        same["base_method"] = str(specs[cell.method].get("method_name", cell.method))
        columns = [pl.lit(value, TEXT).alias(name) for name, value in same.items()]
        for name, (kind, values) in settings.items():
            columns.append(pl.lit(values[cell.method], kind).alias(f"setting_{name}"))
        parts.append(pl.DataFrame({"run": cell.runs, **cell.final}).select(*columns, pl.all()))
    return pl.concat(parts, how="diagonal").select(_present(parts, settings))


def _present(parts: Sequence[pl.DataFrame], settings: Iterable[str]) -> list[pl.Expr]:
    """The documented columns in their order."""
    found = {name for part in parts for name in part.columns}
    expressions = []
    for column in FINALS:
        if column.name == "setting_NAME":
            expressions += [pl.col(f"setting_{name}") for name in settings]
        elif column.name in found:
            expressions.append(pl.col(column.name).cast(column.kind))
    return expressions


def _settings(stated: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Type and value by method of each setting that differs; numbers where all are, else text."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for name in dict.fromkeys(name for own in stated.values() for name in own):
        values = {method: own.get(name) for method, own in stated.items()}
        if len({json.dumps(value) for value in values.values()}) > 1:
            numbers = all(value is None or type(value) in (int, float) for value in values.values())
            texts = {method: _text(value) for method, value in values.items()}
            found[name] = (REAL, values) if numbers else (TEXT, texts)
    return found


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def require_suffix(out: Path) -> None:
    """``InputError`` unless ``write_finals`` can write such a file."""
    if out.suffix not in SUFFIXES or out.is_dir():
        raise InputError(f"{out} cannot be written: accepted is a file ending in {' or '.join(SUFFIXES)}")


def write_finals(frame: pl.DataFrame, out: Path) -> int:
    """Writes the table ``finals``, replacing what was there, and returns its number of rows."""
    write_atomically(out, frame.write_csv if out.suffix == ".csv" else frame.write_parquet)
    return frame.height
