"""Curves and indicators that were computed before, kept in the study folder for as long as it holds the same.

``mohb run`` shows its results, and ``mohb report`` needs the same numbers a little later.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.credit import effective
from mohb_jax.store import content_hash, table_path, unit_path, versions, write_atomically

FORMAT = 1
"""Of these files, and of the numbers in them: another one makes them anew."""
_CURVES = ("hypervolume", "front_found")
_FINAL = "final "
"""Before the names of indicators, among the columns."""


def kept_or_computed(study: FinishedStudy, benchmark: str, compute: Callable[[], list[Cell]]) -> list[Cell]:
    """Cells of one benchmark under the study's credit, as the study folder keeps them.

    Args:
        study: of a folder; one that was made up, or re-priced, keeps nothing.
        benchmark: one of its benchmarks.
        compute: makes the cells where the folder does not have them, or not of these units and this table.
    """
    if study.folder is None or study.prices is not None:
        return compute()
    credit = effective(study.stored[benchmark], study.credit)
    name = table_path(study.folder, benchmark).with_suffix(".parquet").name
    path = study.folder / "cells" / credit / name
    try:
        of = _of(study, study.folder, benchmark, credit)
    except OSError:  # a study joined from several folders: this one has only a part of it
        return compute()
    with contextlib.suppress(pa.ArrowException, OSError, LookupError, ValueError, TypeError):
        return _read(path, of)
    cells = compute()
    with contextlib.suppress(OSError):  # a folder that may only be read keeps nothing
        write_atomically(path, lambda partial: _write(partial, of, cells))
    return cells


def _of(study: FinishedStudy, folder: Path, benchmark: str, credit: str) -> str:
    """What cells depend on; of files, size and time of change say whether they are the same."""
    units = [unit_path(folder, unit.spec) for unit in study.units if unit.spec["benchmark"] == benchmark]
    status = [(path.name, path.stat()) for path in (table_path(folder, benchmark), *units)]
    files = [(name, own.st_size, own.st_mtime_ns) for name, own in status]
    about = {"format": FORMAT, "version": versions()["mohb-jax"], "credit": credit, "files": files}
    return content_hash(about | {"methods": study.methods})


def _write(path: Path, of: str, cells: Sequence[Cell]) -> None:
    """One row for each cell, a row at a time: curves of a large study are large."""
    schema = _row(cells[0]).schema.with_metadata({b"of": of.encode()})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as file:
        for cell in cells:
            file.write_table(_row(cell).cast(schema))


def _row(cell: Cell) -> pa.Table:
    values = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    final = values.pop("final")
    values |= {f"{_FINAL}{name}": column for name, column in final.items()}
    return pa.table({name: _column(value) for name, value in values.items()})


def _column(value: Any) -> pa.Array:
    if not isinstance(value, np.ndarray):
        return pa.array([value])
    flat = pa.array(value.reshape(-1))
    return pa.LargeListArray.from_arrays(pa.array([0, len(flat)], pa.int64()), flat)


def _read(path: Path, of: str) -> list[Cell]:
    """Cells of a file; ``ValueError`` where it holds those of something else."""
    file = pq.ParquetFile(path)
    if (file.schema_arrow.metadata or {}).get(b"of") != of.encode():
        raise ValueError(f"{path} is of other units")
    return list(_cells(file.read()))


def _cells(table: pa.Table) -> Iterator[Cell]:
    for index in range(table.num_rows):
        values = {name: _value(table[name][index]) for name in table.column_names}
        final = {
            name.removeprefix(_FINAL): values.pop(name) for name in list(values) if name.startswith(_FINAL)
        }
        curves = {name: values.pop(name).reshape(values["runs"].size, -1) for name in _CURVES}
        yield Cell(**values, **curves, final=final)


def _value(value: pa.Scalar) -> Any:
    return value.values.to_numpy() if isinstance(value, pa.LargeListScalar) else value.as_py()
