"""JSON as trackers and libraries write it: columns, records, pandas' own forms, or one record a line."""

import ast
import contextlib
import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl
from mohb_jax.benchmarks.records import Records, as_series, records_of

from mohb_jax.errors import InputError

WANTED = "a list of records, a mapping of columns to lists, or one record a line"


def read_json(text: str, source: str, wanted: Collection[str] | None) -> Records:
    """The records of a JSON text; what is nested becomes columns such as ``config/lr``.

    Args:
        text: of the file.
        source: what messages call it.
        wanted: the columns that are needed; None for all of them.

    Raises:
        InputError: if it is no JSON, or holds something else.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = _lines(text, source)
    columns = _columns(content)
    if columns is None:
        raise InputError(f"{source!r} is JSON of another form; accepted: {WANTED}")
    return records_of(columns, set(columns) if wanted is None else wanted, source)


def _lines(text: str, source: str) -> list[Any]:
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            records += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source!r} is not JSON: line {number}: {error}") from error
    return records


def _columns(content: Any) -> dict[str, list[Any]] | None:
    """Columns of equal length by name; None where the content is no table."""
    if isinstance(content, list) and content and all(isinstance(record, dict) for record in content):
        return columns_of(content)
    if not isinstance(content, dict) or not content:
        return None
    if isinstance(content.get("data"), list) and isinstance(content.get("columns"), list):  # pandas' split
        return _columns(
            [dict(zip(map(str, content["columns"]), row, strict=False)) for row in content["data"]]
        )
    if isinstance(content.get("data"), list) and "schema" in content:  # pandas' table
        return _columns(content["data"])
    values = list(content.values())
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return {name: list(value.values()) for name, value in content.items()}  # pandas' own: by index
    lists = {name: value for name, value in content.items() if isinstance(value, list)}
    lengths = {len(value) for value in lists.values()}
    return lists if len(lengths) == 1 and len(lists) == len(content) else None


def expanded(records: Records, wanted: Collection[str] | None) -> Records:
    """Records whose cells may hold mappings as text, as W&B exports ``config`` and ``summary``: written out.

    Args:
        records: with the columns before the first slash of those that are wanted.
        wanted: the columns that are needed, such as ``config/lr``; None for all.
    """
    frame, names = records.frame, list(records.names)
    for name in records.frame.columns if wanted is None else set(records.frame.columns) - set(wanted):
        is_text = frame[name].dtype == pl.String and frame[name].str.contains(r"^\s*\{").any()
        cells = [_mapping(cell) for cell in frame[name].to_list()] if is_text else [None]
        if not all(cell is not None for cell in cells):
            continue
        columns = columns_of([{name: cell} if cell else {} for cell in cells])
        new = {key: values for key, values in columns.items() if key not in names}
        kept = [as_series(key, values) for key, values in new.items() if wanted is None or key in wanted]
        frame, names = frame.drop(name).with_columns(kept), [*names, *new]
    return dataclasses.replace(records, frame=frame, names=tuple(names))


def _mapping(cell: str | None) -> dict[str, Any] | None:
    """A cell that holds a mapping in JSON or in Python's writing; empty for an empty one; else None."""
    text = (cell or "").strip()
    if not text.startswith("{"):
        return None if text else {}
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = read(text)
            return value if isinstance(value, dict) else None
    return None


def columns_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Columns of records that may lack some of them; nested mappings are written out."""
    flat = [flattened(record) for record in records]
    names = dict.fromkeys(name for record in flat for name in record)
    return {name: [record.get(name) for record in flat] for name in names}


def flattened(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """``{"config": {"lr": 1}}`` as ``{"config/lr": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{before}{name}/")
        else:
            flat[f"{before}{name}"] = value
    return flat
