"""All finished evaluations of a study as one tidy table, for other programs, and what they passed."""

import csv
import functools
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.columns import REAL, TEXT, WHOLE, described
from mohb_jax.analysis.credit import check_rows, results_of
from mohb_jax.analysis.lanes import log_arrays
from mohb_jax.analysis.results import FinishedStudy, load_study
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import CREDITS, EveryFidelity, counted
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit, write_atomically
from mohb_jax.types import RunLog

SUFFIXES = (".parquet", ".csv")


class Meaning(NamedTuple):
    """What a column of the export holds; a line of ``FILE.columns.csv``."""

    name: str
    benchmark: str
    """Where this applies; empty: in all benchmarks."""
    meaning: str
    unit: str


Events = Int[np.ndarray, " events"]
Values = Callable[["_Part"], pa.Array]
"""A column's entries for one part."""


@dataclass(frozen=True)
class _Part:
    """The evaluations of one work unit, and the fidelities that they went through: places in its log."""

    unit: AnyUnit
    table: AnyTable
    log: RunLog
    lane: Events
    slot: Events
    fidelity: Events
    end: Float[np.ndarray, " events"]
    passed: Bool[np.ndarray, " events"]
    """True where the evaluation went on to a higher fidelity."""

    @functools.cached_property
    def row(self) -> Events:
        """Row of the table."""
        return np.asarray(self.log.row[self.lane, self.slot], np.int64)

    @functools.cached_property
    def costs(self) -> Float[np.ndarray, "events objectives"]:
        """What was logged; of fidelities that were passed, the table's cells."""
        costs = np.asarray(self.log.costs)[self.lane, self.slot]
        names = np.array([self.table.task_index(name) for name in self.unit.spec["tasks"]])
        task, on_the_way = names[self.log.task[self.lane]], self.passed
        found = self.table.look_up(task[on_the_way], self.row[on_the_way], self.fidelity[on_the_way])
        costs[on_the_way] = found[0]
        return costs


@dataclass(frozen=True)
class _Export:
    """The columns of an export, in order."""

    types: dict[str, pa.DataType]
    values: dict[str, Values]
    meanings: list[Meaning]


def export_runs(directory: Path, out: Path, credit: Sequence[str] | str | None = None) -> int:
    """Writes every finished evaluation of a study folder as one table, work unit by work unit.

    Where passed fidelities are to count, each that an evaluation went through is a row before its own, with
    the time at which it was reached. Rows come in the study's order: work unit, tuning run, launch, fidelity.
    Columns are ``study``, ``benchmark``, ``task``, ``method``, ``setting_NAME`` for each setting that differs
    between work units, ``run``, ``slot``, ``hardware`` where a benchmark has such a column, ``config_NAME``,
    ``credit``, ``fidelity_index``, ``fidelity``, ``objective_NAME`` in its published sense and unit,
    ``start``, ``end`` and ``worker``. A name that means different things in two benchmarks (unit, sense, text
    or number) has a column for each, ``NAME@BENCHMARK``. A cell that does not apply is empty, as are all
    objectives of a failed evaluation.
    ``FILE.columns.csv`` beside the table says what each column means, as does the Parquet schema.

    Args:
        directory: study folder; work that is still missing is left out.
        out: ends in ``.parquet`` or ``.csv``; replaced if it exists. Equal folders give equal files.
        credit: ``passed`` among them adds what was passed; the study's own if None.

    Returns:
        The number of rows.

    Raises:
        InputError: the folder is no study, holds no finished work or is damaged, or ``out`` ends otherwise.
    """
    if out.suffix not in SUFFIXES or out.is_dir():
        raise InputError(f"{out} cannot be written: accepted is a file ending in {' or '.join(SUFFIXES)}")
    study = load_study(directory, credit)
    export = _columns(study)
    write_atomically(out.with_suffix(".columns.csv"), functools.partial(_write_meanings, export.meanings))
    counts: list[int] = []
    write_atomically(out, lambda partial: counts.append(_write(partial, out.suffix, study, export)))
    return counts[0]


def _write_meanings(meanings: Iterable[Meaning], path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("column", *Meaning._fields[1:]))
    writer.writerows(meanings)
    path.write_text(text.getvalue(), encoding="utf-8")


def _write(path: Path, suffix: str, study: FinishedStudy, export: _Export) -> int:
    """Writes the table and returns its number of rows; one work unit is in memory at a time."""
    schema = _schema(export)
    num_rows = 0
    with path.open("wb") as file, _writer(file, suffix, schema) as writer:
        for part in _parts(study):
            table = _part_table(part, export, schema)
            writer.write_table(table)
            num_rows += table.num_rows
    return num_rows


def _part_table(part: _Part, export: _Export, schema: pa.Schema) -> pa.Table:
    return pa.table([export.values[name](part) for name in schema.names], schema=schema)


def evaluation_frame(study: FinishedStudy) -> pl.DataFrame:
    """Every finished evaluation of a study as one frame, with the columns of ``export_runs``."""
    export = _columns(study)
    schema = _schema(export)
    tables = [_part_table(part, export, schema) for part in _parts(study)]
    whole = pl.from_arrow(pa.concat_tables(tables))
    assert isinstance(whole, pl.DataFrame)
    return whole


def _writer(file: Any, suffix: str, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(file, schema)
    return pq.ParquetWriter(file, schema, compression="zstd")


def _schema(export: _Export) -> pa.Schema:
    """Types, and what each column means; where that depends on the benchmark, all of it."""

    fields = []
    for name, kind in export.types.items():
        own = [meaning for meaning in export.meanings if meaning.name == name]
        about = {"meaning": _united((m.benchmark, m.meaning) for m in own)}
        about["unit"] = _united((m.benchmark, m.unit) for m in own)
        fields.append(pa.field(name, kind, metadata=about))
    return pa.schema(fields)


def _united(texts: Iterable[tuple[str, str]]) -> str:
    """One text where all benchmarks agree, else that of each."""
    own = dict(texts)
    distinct = set(own.values())
    return distinct.pop() if len(distinct) == 1 else "; ".join(f"{b}: {text}" for b, text in own.items())


def _parts(study: FinishedStudy) -> Iterator[_Part]:
    """The evaluations of one unit after the other; a run that stands in two units counts in the first."""
    earlier: list[dict[str, Any]] = []
    for unit in study.units:
        table = study.stored[unit.spec["benchmark"]]
        log = log_arrays(unit)
        log = log._replace(valid=log.valid & ~_repeated(unit.spec, log, earlier)[:, None])
        check_rows(table.name, table.num_rows, np.asarray(log.row)[log.valid])
        _check_unit(unit.spec, table, log)
        yield _part(unit, table, log, "passed" in study.credits)
        earlier.append(unit.spec)


def _part(unit: AnyUnit, table: AnyTable, log: RunLog, with_passed: bool) -> _Part:
    """The evaluations of a unit, each after the fidelities that it went through where these are wanted."""
    lane, slot = np.nonzero(log.valid)
    fidelity, end = np.asarray(log.fidelity)[lane, slot], np.asarray(log.end)[lane, slot]
    columns = [lane, slot, fidelity.astype(np.int64), end, np.zeros(lane.size, bool)]
    view = counted(table, "passed")
    if with_passed and isinstance(view, EveryFidelity) and view.passed:
        task = np.array([table.task_index(name) for name in unit.spec["tasks"]])[log.task]
        found = results_of(view, log, task, unit.spec["highest_fidelity"], every_one=True)
        level = found.row % table.num_fidelities
        before = level < np.asarray(log.fidelity)[found.lane, found.slot]
        more = [found.lane, found.slot, level, found.end, np.ones(level.size, bool)]
        columns = [np.concatenate([own, other[before]]) for own, other in zip(columns, more, strict=True)]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        columns = [column[order] for column in columns]
    return _Part(unit, table, log, *columns)


def _check_unit(spec: Mapping[str, Any], table: AnyTable, log: RunLog) -> None:
    """A result names what its unit and its table have."""
    names = [objective.name for objective in table.objectives]
    if spec["objectives"] != names:
        raise InputError(
            f"a result of benchmark {table.name!r} has the objectives {', '.join(spec['objectives'])}; "
            f"those of the study are {', '.join(names)}"
        )
    fidelity = np.asarray(log.fidelity)[log.valid].max(initial=0)
    if fidelity > spec["highest_fidelity"]:
        raise InputError(
            f"a result names fidelity {fidelity} of benchmark {table.name!r}; its highest is "
            f"{spec['highest_fidelity']}"
        )


def _repeated(
    spec: dict[str, Any], log: RunLog, earlier: Sequence[dict[str, Any]]
) -> Bool[np.ndarray, " lanes"]:
    """True for the lanes whose benchmark, method, task and run stand in an earlier unit."""
    repeated = np.zeros(log.run.size, bool)
    task = np.array(spec["tasks"])[log.task]
    for other in earlier:
        if all(other[name] == spec[name] for name in ("benchmark", "method")):
            run = log.run - other["first_run"]
            repeated |= (run >= 0) & (run < other["num_seeds"]) & np.isin(task, other["tasks"])
    return repeated


# What stands in the columns


def _columns(study: FinishedStudy) -> _Export:
    export = _Export({}, {}, [])
    _add_known(export, "study", lambda part: pa.repeat(study.name, part.lane.size))
    _add_known(export, "benchmark", _stated("benchmark"))
    _add_known(export, "task", _task)
    _add_known(export, "method", _stated("method"))
    _add_settings(export, study)
    _add_known(export, "run", lambda part: pa.array(np.asarray(part.log.run)[part.lane].astype(np.int64)))
    _add_known(export, "slot", lambda part: pa.array(part.slot.astype(np.int64)))
    _add_hardware(export, study)
    _add_configs(export, study)
    _add_known(export, "credit", _credit)
    _add_known(export, "fidelity_index", lambda part: pa.array(part.fidelity))
    _add_fidelity(export, study)
    _add_objectives(export, study)
    _add_known(export, "start", _logged("start", np.float64))
    _add_known(export, "end", lambda part: pa.array(part.end))
    _add_known(export, "worker", _logged("worker", np.int64))
    return export


_ARROW = {TEXT: pa.string(), WHOLE: pa.int64(), REAL: pa.float64()}


def _add_known(export: _Export, name: str, values: Values) -> None:
    """A column as ``columns.EVALUATIONS`` describes it."""
    column = described("evaluations", name)
    export.types[name], export.values[name] = _ARROW[column.kind], values
    export.meanings.append(Meaning(name, "", column.meaning, column.unit))


def _stated(key: str) -> Values:
    return lambda part: pa.repeat(part.unit.spec[key], part.lane.size)


def _task(part: _Part) -> pa.Array:
    return pa.array(part.unit.spec["tasks"], pa.string()).take(pa.array(np.asarray(part.log.task)[part.lane]))


def _logged(name: str, kind: type) -> Values:
    return lambda part: pa.array(np.asarray(getattr(part.log, name))[part.lane, part.slot].astype(kind))


def _credit(part: _Part) -> pa.Array:
    """The strictest credit under which each row counts."""
    below = np.where(part.fidelity == part.unit.spec["highest_fidelity"], 0, 1)
    place = np.where(part.passed, 2, below)
    failed = ~np.isfinite(part.costs).all(axis=1)
    return pa.array(CREDITS, pa.string()).take(pa.array(place, mask=failed))


def _add_settings(export: _Export, study: FinishedStudy) -> None:
    """One column for each setting of which the units hold different values."""
    settings = [unit.spec.get("settings", {}) for unit in study.units]
    for name in dict.fromkeys(name for own in settings for name in own):
        found = [own.get(name) for own in settings]
        if len({json.dumps(value) for value in found}) > 1:
            numbers = all(value is None or type(value) in (int, float) for value in found)
            kind = pa.float64() if numbers else pa.string()
            values = functools.partial(_setting, name=name, kind=kind)
            full = f"setting_{name}"
            export.types[full], export.values[full] = kind, values
            export.meanings.append(Meaning(full, "", f"setting {name}; empty: none", ""))


def _setting(part: _Part, name: str, kind: pa.DataType) -> pa.Array:
    value = part.unit.spec.get("settings", {}).get(name)
    plain = value if value is None or kind == pa.float64() or isinstance(value, str) else json.dumps(value)
    return pa.array([plain], kind).take(pa.array(np.zeros(part.lane.size, np.int64)))


def _add_hardware(export: _Export, study: FinishedStudy) -> None:
    if any(_types(table) for table in study.stored.values()):
        _add_known(export, "hardware", _hardware)


def _types(table: AnyTable) -> list[Column]:
    """The columns that name a type of hardware; counts of machines are no types."""
    return [c for c in table.columns if c.role == "hardware" and c.kind == "categorical"]


def _hardware(part: _Part) -> pa.Array:
    columns = _types(part.table)
    if not columns:
        return pa.nulls(part.lane.size, pa.string())
    names = [_config(part, column.name, pa.string()) for column in columns]
    return functools.reduce(
        lambda left, right: pyarrow.compute.binary_join_element_wise(left, right, " / "), names
    )


def _add_configs(export: _Export, study: FinishedStudy) -> None:
    for full, name, owners in _shared(study, "config", "columns", _is_text):
        kind = pa.string() if _is_text(next(iter(owners.values()))) else pa.float64()
        export.types[full] = kind
        export.values[full] = functools.partial(_config, name=name, kind=kind, owners=tuple(owners))
        export.meanings.extend(
            Meaning(full, b, f"configuration: {c.kind} {c.role}", "") for b, c in owners.items()
        )


def _is_text(column: Column) -> bool:
    return any(isinstance(level, str) for level in column.levels)


def _config(part: _Part, name: str, kind: pa.DataType, owners: Sequence[str] | None = None) -> pa.Array:
    """A column of the configurations, levels in place of their indices; null in benchmarks without it."""
    if owners is not None and part.unit.spec["benchmark"] not in owners:
        return pa.nulls(part.lane.size, kind)
    index = next(i for i, column in enumerate(part.table.columns) if column.name == name)
    column, values = part.table.columns[index], part.table.configs[part.row, index]
    if not column.has_levels:
        return pa.array(values, kind)
    levels = [str(level) if kind == pa.string() else float(level) for level in column.levels]
    return pa.array(levels, kind).take(pa.array(values.astype(np.int64)))


def _shared(
    study: FinishedStudy, prefix: str, field: str, signature: Callable[[Any], Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name in the export, own name, and by benchmark what bears it; benchmarks that disagree are apart."""
    entries = [(b, entry) for b, table in study.stored.items() for entry in getattr(table, field)]
    for name in dict.fromkeys(entry.name for _, entry in entries):
        owners = {benchmark: entry for benchmark, entry in entries if entry.name == name}
        if len({signature(entry) for entry in owners.values()}) == 1:
            yield f"{prefix}_{name}", name, owners
        else:
            yield from ((f"{prefix}_{name}@{b}", name, {b: entry}) for b, entry in owners.items())


def _add_fidelity(export: _Export, study: FinishedStudy) -> None:
    export.types["fidelity"] = pa.float64()
    export.values["fidelity"] = functools.partial(_fidelity, fidelities=study.fidelities)
    for benchmark, table in study.stored.items():
        meaning = f"fidelity: {table.fidelity_name}; empty: not known"
        export.meanings.append(Meaning("fidelity", benchmark, meaning, table.fidelity_unit))


def _fidelity(part: _Part, fidelities: Mapping[str, Sequence[float | int]]) -> pa.Array:
    """The fidelity itself; of folders that do not list them only the highest is known."""
    highest = part.unit.spec["highest_fidelity"]
    known: list[float | int | None] = list(fidelities.get(part.unit.spec["benchmark"], ()))
    if len(known) != highest + 1:
        known = [None] * highest + [part.table.fidelities[-1]]
    return pa.array(known, pa.float64()).take(pa.array(part.fidelity))


def _add_objectives(export: _Export, study: FinishedStudy) -> None:
    for full, name, owners in _shared(study, "objective", "objectives", lambda goal: (goal.sense, goal.unit)):
        export.types[full] = pa.float64()
        export.values[full] = functools.partial(_objective, name=name, owners=tuple(owners))
        for benchmark, goal in owners.items():
            better = "smaller" if goal.sense == "min" else "larger"
            meaning = f"objective, {better} is better; empty: the evaluation failed"
            export.meanings.append(Meaning(full, benchmark, meaning, goal.unit))


def _objective(part: _Part, name: str, owners: Sequence[str]) -> pa.Array:
    if part.unit.spec["benchmark"] not in owners:
        return pa.nulls(part.lane.size, pa.float64())
    index = part.unit.spec["objectives"].index(name)
    costs = part.costs[:, index]
    goal = part.table.objectives[part.table.objective_index(name)]
    return pa.array(goal.to_value(costs), pa.float64(), mask=~np.isfinite(costs))
