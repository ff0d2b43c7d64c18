"""Tables from the user's own data: a frame or a file, with a specification of its columns."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from mohb_jax.benchmarks.cell_values import SAME_VALUE, Reading, merged
from mohb_jax.benchmarks.columns import SECONDS, Column, Objective, whole
from mohb_jax.benchmarks.contract import SAME_FIDELITY
from mohb_jax.benchmarks.descriptors import by_task
from mohb_jax.benchmarks.own_files import read_file
from mohb_jax.benchmarks.records import Records, records_of
from mohb_jax.benchmarks.spec import ColumnSpec, Spec, load_spec, read_spec
from mohb_jax.benchmarks.summary import summary
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError


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
    return table_of(records_of(frame, checked.named_columns, checked.name), checked)


def import_file(
    file: str | os.PathLike[str], spec_path: str | os.PathLike[str], study: str | None = None
) -> Table:
    """A table from a file, or a folder of Ray Tune, and a specification in YAML; see ``from_frame``.

    Args:
        file: see ``read_file``.
        spec_path: the specification.
        study: which one of an Optuna storage with several.

    Raises:
        InputError: if either file cannot be read or is wrong.
    """
    return imported(file, spec_path, study).table


class Imported(NamedTuple):
    """What came of a file."""

    table: Table
    seen: list[str]
    """Lines for people."""


def imported(
    file: str | os.PathLike[str], spec_path: str | os.PathLike[str], study: str | None = None
) -> Imported:
    """The table of ``import_file``, and what became of the file's columns in words."""
    spec = load_spec(spec_path)
    records = read_file(file, spec.named_columns, study)
    table = table_of(records, spec)
    return Imported(table, summary(table, records, spec))


def table_of(records: Records, spec: Spec) -> Table:
    """The table that a specification makes of records."""
    records.require_columns(spec.named_columns)
    reading = Reading(records, spec.missing, spec.decimal)
    axes, cells = _axes(reading, spec)
    objectives = tuple(Objective(name, o.sense, o.unit) for name, o in spec.objectives.items())
    costs = np.stack([_costs(reading, objective) for objective in objectives], axis=-1)
    runtime = _runtime(reading, spec, needed=np.isfinite(costs).all(axis=-1))
    _check_records(cells, runtime, spec, records)
    grid_costs = _scatter(costs, cells, axes)
    available = np.isfinite(grid_costs).all(axis=-1)
    held = available.any(axis=(0, 1))  # at the other fidelities there are failures alone
    return Table(
        name=spec.name,
        columns=axes.columns,
        configs=axes.configs,
        tasks=axes.tasks,
        fidelities=tuple(value for value, some in zip(axes.fidelities, held, strict=True) if some),
        fidelity_name=spec.fidelity.column if spec.fidelity else "evaluation",
        fidelity_unit=spec.fidelity.unit if spec.fidelity else "1",
        objectives=objectives,
        costs=grid_costs[:, :, held],
        runtime=_scatter(runtime[:, None], cells, axes)[:, :, held, 0],
        available=available[:, :, held],
        resumable=spec.resumable,
        descriptors=by_task(spec.name, axes.tasks, spec.descriptors),
        provenance=_provenance(records, spec),
    )


def _provenance(records: Records, spec: Spec) -> str:
    runtime = f" Runtime: column {spec.runtime.column!r}." if spec.runtime else ""
    return f"Imported from {records.source}.{runtime}"


def _axes(reading: Reading, spec: Spec) -> tuple[_Axes, _Cells]:
    """The axes of the table and the place of each record on them."""
    encoded = [_encode(reading, name, column, spec) for name, column in spec.columns.items()]
    values = np.stack([value for _, value in encoded], axis=1)
    configs, row = np.unique(values, axis=0, return_inverse=True)
    tasks, task = reading.levels(spec.task) if spec.task else ((spec.name,), _zeros(reading))
    fidelities, fidelity = _fidelities(reading, spec)
    columns = tuple(column for column, _ in encoded)
    axes = _Axes(columns, configs, tuple(str(name) for name in tasks), fidelities)
    return axes, _Cells(task, row.reshape(-1), fidelity)


def _zeros(reading: Reading) -> Int[np.ndarray, " records"]:
    return np.zeros(reading.records.height, np.int64)


def _fidelities(reading: Reading, spec: Spec) -> tuple[tuple[float | int, ...], Int[np.ndarray, " records"]]:
    if spec.fidelity is None:
        return (1,), _zeros(reading)
    values = reading.known_numbers(spec.fidelity.column, spec.fidelity.unit)
    series = reading.records.frame[spec.fidelity.column]
    reading.records.require(values > 0, series, "a fidelity must be above 0")
    found, index = merged(values, SAME_FIDELITY)
    return tuple(whole(value) for value in found.tolist()), index


def _encode(
    reading: Reading, name: str, column: ColumnSpec, spec: Spec
) -> tuple[Column, Float[np.ndarray, " records"]]:
    """The column's description and its values, or indices into its levels."""
    inactive = spec.inactive_of(column)
    if column.kind in ("continuous", "log"):
        values = reading.known_numbers(name, default=column.default, may_default=True)
        series = reading.records.frame[name]
        reading.records.require((values > 0) | (column.kind != "log"), series, "a log column must be above 0")
        found, index = merged(values, SAME_VALUE)
        return Column(name, column.kind, column.role), found[index]
    is_ordinal = column.kind == "ordinal"
    levels, index = reading.levels(
        name, column.levels, is_ordinal, inactive, column.default, may_default=True
    )
    return Column(name, column.kind, column.role, levels), index.astype(np.float64)


def _costs(reading: Reading, objective: Objective) -> Float[np.ndarray, " records"]:
    """An objective as minimised, NaN where missing."""
    costs = objective.to_cost(reading.numbers(objective.name, objective.unit))
    if np.isnan(costs).all():
        raise InputError(f"{reading.records.source}: column {objective.name!r} holds no number")
    if objective.sense == "max" and objective.unit in ("fraction", "%"):
        wanted = f"a maximised {objective.unit} ends at {objective.to_value(0.0):g}"
        reading.records.require(~(costs < 0), reading.records.frame[objective.name], wanted)
    return costs


def _runtime(reading: Reading, spec: Spec, needed: np.ndarray) -> Float[np.ndarray, " records"]:
    """Seconds, NaN where missing; the fidelity itself where the specification names no runtime."""
    if spec.runtime is None:
        return reading.known_numbers(spec.fidelity.column) if spec.fidelity else _zeros(reading) + 1.0
    series = reading.records.frame[spec.runtime.column]
    seconds = reading.numbers(spec.runtime.column, spec.runtime.unit) * SECONDS[spec.runtime.unit]
    reading.records.require(~(seconds < 0), series, "a runtime must be at least 0")
    missing = np.isnan(seconds) & needed
    reading.records.require(~missing, series, "the runtime is missing, but not the objectives")
    return seconds


def _check_records(
    cells: _Cells, runtime: Float[np.ndarray, " records"], spec: Spec, records: Records
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
        place = _pair(first, second, records.lines)
        raise InputError(
            f"{records.source}: {place} are one configuration, task and fidelity; {_repeats_hint(spec)}"
        )
    falls = np.flatnonzero(same & (runtime[after] < runtime[here]))
    if falls.size and spec.resumable:
        place = _pair(int(here[falls[0]]), int(after[falls[0]]), records.lines)
        meaning = "runtime falls as fidelity rises; 'resumable: false' accepts this"
        raise InputError(f"{records.source}: {place} are one configuration whose {meaning}")


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
