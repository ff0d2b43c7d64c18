"""Tables from the user's own data: a frame, a CSV or a Parquet file, with a specification of its columns."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from mohb_jax.benchmarks.columns import SECONDS, Column, Level, Objective, require_choice, whole
from mohb_jax.benchmarks.spec import ColumnSpec, Spec, load_spec, read_spec
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
EMPTY = ("", "NA", "null")
"""Text that stands for a missing number in a CSV file; ``nan`` does not: it is a number gone wrong."""


class _Cells(NamedTuple):
    """Where each row of a frame belongs in the table."""

    task: Int[np.ndarray, " records"]
    row: Int[np.ndarray, " records"]
    fidelity: Int[np.ndarray, " records"]


class _Axes(NamedTuple):
    """The axes of the table, found in the frame."""

    columns: tuple[Column, ...]
    configs: Float[np.ndarray, "rows columns"]
    tasks: tuple[str, ...]
    fidelities: tuple[float | int, ...]


def from_frame(frame: Any, spec: Mapping[str, Any] | Spec) -> Table:
    """A table from a frame with one row per configuration, task and fidelity.

    Rows may come in any order: configurations, tasks and fidelities are sorted. A cell without a row, or with
    a null objective, is unavailable (in pandas NaN is null; elsewhere NaN is an error). A maximised fraction
    becomes ``1 - value``, a percentage ``100 - value``, any other maximised objective is negated. Runtime is
    converted to seconds; without one an evaluation takes as many seconds as its fidelity.

    Args:
        frame: polars, pandas or pyarrow table, or a mapping of column names to values.
        spec: the fields of ``mohb_jax.benchmarks.spec.Spec``.

    Raises:
        InputError: one line naming the row (from 1) and column at fault and what is accepted.
    """
    checked = read_spec(spec)
    return _build(_as_polars(frame), checked, checked.name)


def import_file(file: str | os.PathLike[str], spec_path: str | os.PathLike[str]) -> Table:
    """A table from a CSV or Parquet file and a specification in YAML; see ``from_frame``.

    The delimiter of a CSV file (comma, semicolon, tab or bar) and a byte-order mark are detected.

    Raises:
        InputError: if either file cannot be read or is wrong.
    """
    spec = load_spec(spec_path)
    frame, lines = _read_file(Path(file))
    return _build(frame, spec, os.fspath(file), lines)


def _build(frame: pl.DataFrame, spec: Spec, source: str, lines: Sequence[int] = ()) -> Table:
    """``lines``: where each record starts in its text file, from 1; empty if it comes from elsewhere."""
    _check_present(frame, spec, source)
    axes, cells = _axes(frame, spec, source)
    objectives = tuple(Objective(name, o.sense, o.unit) for name, o in spec.objectives.items())
    costs = np.stack([_costs(frame, objective, source) for objective in objectives], axis=-1)
    runtime = _runtime(frame, spec, source, needed=np.isfinite(costs).all(axis=-1))
    _check_records(cells, runtime, spec, source, lines)
    grid_costs = _scatter(costs, cells, axes)
    return Table(
        name=spec.name,
        columns=axes.columns,
        configs=axes.configs,
        tasks=axes.tasks,
        fidelities=axes.fidelities,
        fidelity_name=spec.fidelity.column if spec.fidelity else "evaluation",
        fidelity_unit=spec.fidelity.unit if spec.fidelity else "1",
        objectives=objectives,
        costs=grid_costs,
        runtime=_scatter(runtime[:, None], cells, axes)[..., 0],
        available=np.isfinite(grid_costs).all(axis=-1),
        resumable=spec.resumable,
        provenance=f"Imported from {source}.",
    )


def _as_polars(frame: Any) -> pl.DataFrame:
    try:
        if type(frame).__module__.partition(".")[0] == "pandas":
            return pl.from_pandas(
                frame
            )  # unlike the constructor it takes NaN, pandas' missing value, as null
        return frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        accepted = "polars, pandas or pyarrow tables, or a mapping of columns"
        raise InputError(f"a {type(frame).__name__} is no frame; accepted: {accepted}") from error


def _read_file(path: Path) -> tuple[pl.DataFrame, list[int]]:
    """The frame and the line of each record; no lines for a Parquet file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file {os.fspath(path)!r}: {error.strerror}") from error
    try:
        if content[:4] == b"PAR1":
            return pl.read_parquet(io.BytesIO(content)), []
        return _read_csv(content, path)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, csv.Error, OSError) as error:
        wanted = "a CSV file in UTF-8 or a Parquet file"
        raise InputError(f"{os.fspath(path)!r} is damaged or in another format; expected {wanted}") from error


def _read_csv(content: bytes, path: Path) -> tuple[pl.DataFrame, list[int]]:
    """All columns as text: what a column means is for the specification to say, not for its first rows."""
    text = content.decode("utf-8-sig")
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows, lines = _split(text, delimiter)
    if not rows:
        raise InputError(f"{os.fspath(path)!r} is empty")
    names, records = [name.strip() for name in rows[0]], rows[1:]
    for number, record in enumerate(records, start=1):
        if len(record) != len(names):
            raise InputError(
                f"{os.fspath(path)!r}, row {number}: {len(record)} values for {len(names)} columns"
            )
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{os.fspath(path)!r}: two columns are named {twice!r}")
    columns = list(zip(*records, strict=True)) if records else [()] * len(names)
    frame = pl.DataFrame(
        {name: list(column) for name, column in zip(names, columns, strict=True)},
        dict.fromkeys(names, pl.String),
    )
    return frame, lines[1:]


def _split(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows of a CSV file, blank ones left out, and each one's first line: quoted text may hold line ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    for row in reader:
        if row:
            rows.append(row)
            lines.append(start)
        start = reader.line_num + 1
    return rows, lines


def _check_present(frame: pl.DataFrame, spec: Spec, source: str) -> None:
    optional = [part.column for part in (spec.fidelity, spec.runtime) if part is not None]
    for name in (*spec.columns, *spec.objectives, *optional, *([spec.task] if spec.task else [])):
        require_choice(f"column in {source}:", name, frame.columns)
    if frame.height == 0:
        raise InputError(f"{source}: there are no rows")


def _axes(frame: pl.DataFrame, spec: Spec, source: str) -> tuple[_Axes, _Cells]:
    """The axes of the table and the place of each record on them."""
    encoded = [_encode(frame[name], column, source) for name, column in spec.columns.items()]
    values = np.stack([value for _, value in encoded], axis=1)
    configs, row = np.unique(values, axis=0, return_inverse=True)
    tasks, task = _levels(frame[spec.task], source) if spec.task else ((spec.name,), _zeros(frame))
    fidelities, fidelity = _fidelities(frame, spec, source)
    columns = tuple(column for column, _ in encoded)
    axes = _Axes(columns, configs, tuple(str(name) for name in tasks), fidelities)
    return axes, _Cells(task, row.reshape(-1), fidelity)


def _zeros(frame: pl.DataFrame) -> Int[np.ndarray, " records"]:
    return np.zeros(frame.height, np.int64)


def _fidelities(
    frame: pl.DataFrame, spec: Spec, source: str
) -> tuple[tuple[float | int, ...], Int[np.ndarray, " records"]]:
    if spec.fidelity is None:
        return (1,), _zeros(frame)
    values = _known_numbers(frame[spec.fidelity.column], source)
    _require(values > 0, frame[spec.fidelity.column], "a fidelity must be above 0", source)
    found, index = np.unique(values, return_inverse=True)
    return tuple(whole(value) for value in found), index.reshape(-1)


def _encode(series: pl.Series, spec: ColumnSpec, source: str) -> tuple[Column, Float[np.ndarray, " records"]]:
    """The column's description and its values, or indices into its levels."""
    if spec.kind in ("continuous", "log"):
        values = _known_numbers(series, source)
        _require((values > 0) | (spec.kind != "log"), series, "a log column must be above 0", source)
        return Column(series.name, spec.kind, spec.role), values
    if spec.levels:
        levels, index = spec.levels, _places(series, spec.levels, source)
    elif spec.kind == "ordinal":
        _known_numbers(series, source)  # for its error: text has no order of its own
        levels, index = _levels(series, source)
    else:
        levels, index = _levels(series, source)
    return Column(series.name, spec.kind, spec.role, levels), index.astype(np.float64)


def _levels(series: pl.Series, source: str) -> tuple[tuple[Level, ...], Int[np.ndarray, " records"]]:
    """Distinct values in order (by size if all are numbers), and the index of each record's value."""
    text = _text(series)
    _require(text.is_not_null().to_numpy(), series, "a value is missing", source)
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.is_not_null().all() and numbers.is_finite().all():
        found, index = np.unique(numbers.to_numpy(), return_inverse=True)
        return tuple(whole(value) for value in found), index.reshape(-1)
    names, index = np.unique(np.array(text.to_list(), dtype=np.str_), return_inverse=True)
    return tuple(str(name) for name in names), index.reshape(-1)


def _places(series: pl.Series, levels: Sequence[Level], source: str) -> Int[np.ndarray, " records"]:
    """Index of each record's value among the given levels."""
    names = [str(level) for level in levels]
    found = _text(series).to_list()
    known = np.array([value in names for value in found])
    _require(known, series, f"accepted: {', '.join(names)}", source)
    return np.array([names.index(value) for value in found])


def _text(series: pl.Series) -> pl.Series:
    """Values as trimmed text; empty text is missing."""
    text = series.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def _known_numbers(series: pl.Series, source: str) -> Float[np.ndarray, " records"]:
    """A column of numbers none of which may be missing."""
    values = _numbers(series, source)
    _require(~np.isnan(values), series, "a value is missing", source)
    return values


def _numbers(series: pl.Series, source: str) -> Float[np.ndarray, " records"]:
    """A column of finite numbers, NaN where one is missing."""
    if series.dtype.is_numeric():
        numbers, missing = series.cast(pl.Float64), series.is_null()
    else:
        text = _text(series)
        missing = text.is_null() | text.is_in(EMPTY)
        numbers = text.cast(pl.Float64, strict=False)
        _require((numbers.is_not_null() | missing).to_numpy(), series, "a number is needed", source)
    values = numbers.fill_null(np.nan).to_numpy()
    _require(
        np.isfinite(values) | missing.to_numpy(), series, "leave the cell empty if there is no value", source
    )
    return np.where(missing.to_numpy(), np.nan, values)


def _require(good: np.ndarray, series: pl.Series, wanted: str, source: str) -> None:
    """Raises an ``InputError`` naming the first row that is not good."""
    bad = np.flatnonzero(~good)
    if bad.size:
        place = f"{source}: row {bad[0] + 1}, column {series.name!r}"
        raise InputError(f"{place} holds {series[int(bad[0])]!r}; {wanted}")


def _costs(frame: pl.DataFrame, objective: Objective, source: str) -> Float[np.ndarray, " records"]:
    """An objective as minimised, NaN where missing."""
    costs = objective.to_cost(_numbers(frame[objective.name], source))
    if objective.sense == "max" and objective.unit in ("fraction", "%"):
        wanted = f"a maximised {objective.unit} ends at {objective.to_value(0.0):g}"
        _require(~(costs < 0), frame[objective.name], wanted, source)
    return costs


def _runtime(
    frame: pl.DataFrame, spec: Spec, source: str, needed: np.ndarray
) -> Float[np.ndarray, " records"]:
    """Seconds, NaN where missing; the fidelity itself where the specification names no runtime."""
    if spec.runtime is None:
        return _known_numbers(frame[spec.fidelity.column], source) if spec.fidelity else np.ones(frame.height)
    series = frame[spec.runtime.column]
    seconds = _numbers(series, source) * SECONDS[spec.runtime.unit]
    _require(~(seconds < 0), series, "a runtime must be at least 0", source)
    _require(~(np.isnan(seconds) & needed), series, "the runtime is missing, but not the objectives", source)
    return seconds


def _check_records(
    cells: _Cells, runtime: Float[np.ndarray, " records"], spec: Spec, source: str, lines: Sequence[int]
) -> None:
    """Unless repeats are averaged: one record per cell, whose runtime does not fall if resumable."""
    if spec.repeats == "mean":
        return
    order = np.lexsort((cells.fidelity, cells.row, cells.task))
    here, after = order[:-1], order[1:]
    same = (cells.task[here] == cells.task[after]) & (cells.row[here] == cells.row[after])
    again = np.flatnonzero(same & (cells.fidelity[here] == cells.fidelity[after]))
    if again.size:
        first, second = sorted((int(here[again[0]]), int(after[again[0]])))
        place = _pair(first, second, lines)
        raise InputError(f"{source}: {place} are one configuration, task and fidelity; {_repeats_hint(spec)}")
    falls = np.flatnonzero(same & (runtime[after] < runtime[here]))
    if falls.size and spec.resumable:
        place = _pair(int(here[falls[0]]), int(after[falls[0]]), lines)
        meaning = "runtime falls as fidelity rises; 'resumable: false' accepts this"
        raise InputError(f"{source}: {place} are one configuration whose {meaning}")


def _pair(first: int, second: int, lines: Sequence[int]) -> str:
    """Two records as people count them, from 1, and where they stand in a text file."""
    where = f" (lines {lines[first]} and {lines[second]} of the file)" if lines else ""
    return f"rows {first + 1} and {second + 1}{where}"


def _repeats_hint(spec: Spec) -> str:
    """How to have repeats averaged, and which section may have been forgotten."""
    absent = [f"no {name!r}" for name in ("fidelity", "task") if getattr(spec, name) is None]
    forgotten = f"; it has {' and '.join(absent)}: is one missing?" if absent else ""
    return f"'repeats: mean' at the top level of the specification averages them{forgotten}"


def _scatter(
    values: Float[np.ndarray, "records k"], cells: _Cells, axes: _Axes
) -> Float[np.ndarray, "tasks rows fidelities k"]:
    """Mean of the complete records of each cell, NaN where there is none."""
    shape = (len(axes.tasks), len(axes.configs), len(axes.fidelities))
    total, count = np.zeros((*shape, values.shape[1])), np.zeros((*shape, 1))
    known = ~np.isnan(values).any(axis=1)
    place = tuple(index[known] for index in cells)
    np.add.at(total, place, values[known])
    np.add.at(count, place, 1.0)
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
