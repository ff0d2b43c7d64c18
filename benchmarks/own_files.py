"""Files as people have them, told apart by what they hold and not by their names."""

import dataclasses
import gzip
import io
import os
import zlib
from collections.abc import Collection
from pathlib import Path

import polars as pl
import pyarrow.parquet
from mohb_jax.benchmarks.csv_files import ACCEPTED, decoded, read_csv
from mohb_jax.benchmarks.json_files import expanded, read_json
from mohb_jax.benchmarks.optuna_storage import is_journal, read_journal, read_sqlite
from mohb_jax.benchmarks.ray_results import read_folder
from mohb_jax.benchmarks.records import Records, as_series

from mohb_jax.errors import InputError

SQLITE = b"SQLite format 3\0"
REFUSED = {
    b"\x80": "a pickle, which may run code when it is read; save its content as CSV, with "
    "pandas.DataFrame(...).to_csv('results.csv', index=False)",
    b"PK\x03\x04": "an archive, such as a workbook of Excel; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel; save the sheet as CSV",
    b"\x89HDF": "an HDF5 file; save the table as CSV or Parquet",
}
"""Files that are not read, by their first bytes."""


def read_file(
    file: str | os.PathLike[str], wanted: Collection[str] | None = None, study: str | None = None
) -> Records:
    """The records of a file.

    Args:
        file: CSV of any dialect, Parquet, Arrow, JSON (columns, records, or one record a line) or a journal
            of Optuna, any of them compressed by gzip; an SQLite storage of Optuna; the folder of an
            experiment of Ray Tune.
        wanted: the columns that are needed; None for all. Others are not looked at.
        study: which one of an Optuna storage with several.

    Raises:
        InputError: if it cannot be read, or is something else.
    """
    path, source = Path(file), os.fspath(file)
    if path.is_dir():
        return read_folder(path, wanted)
    try:
        with path.open("rb") as opened:
            if opened.read(len(SQLITE)) == SQLITE:
                return read_sqlite(path, wanted, study)
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"cannot read the file {source!r}: {getattr(error, 'strerror', None) or error}"
        ) from error
    for mark, what in REFUSED.items():
        if content.startswith(mark):
            raise InputError(f"{source!r} is {what}; accepted: {ACCEPTED}")
    if content[:4] == b"PAR1" or content[:6] == b"ARROW1":
        return _read_binary(content, source, wanted)
    return _read_text(content, source, wanted, study)


def _read_text(content: bytes, source: str, wanted: Collection[str] | None, study: str | None) -> Records:
    text, notes = decoded(content, source)
    if text.lstrip()[:1] in ("{", "["):
        is_log = is_journal(text)
        return read_journal(text, source, wanted, study) if is_log else read_json(text, source, wanted)
    needed = None if wanted is None else {*wanted, *(name.partition("/")[0] for name in wanted)}
    records = expanded(read_csv(text, source, needed), wanted)
    return dataclasses.replace(records, notes=notes)


def _read_binary(content: bytes, source: str, wanted: Collection[str] | None) -> Records:
    try:
        if content[:4] == b"PAR1":
            return _read_parquet(content, source, wanted)
        frame = pl.read_ipc(io.BytesIO(content))
        return Records(source, tuple(frame.columns), frame)
    except (pl.exceptions.PolarsError, ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{source!r} is damaged or in another format; expected {ACCEPTED}") from error


def _read_parquet(content: bytes, source: str, wanted: Collection[str] | None) -> Records:
    """The columns that are needed; polars has all types, and pyarrow bears two columns of one name."""
    try:
        names = tuple(pl.read_parquet_schema(io.BytesIO(content)))
        needed = [name for name in names if wanted is None or name in wanted]
        return Records(source, names, pl.read_parquet(io.BytesIO(content), columns=needed))
    except pl.exceptions.DuplicateError:
        names = tuple(pyarrow.parquet.read_schema(io.BytesIO(content)).names)
    needed = [name for name in names if (wanted is None or name in wanted) and names.count(name) == 1]
    table = pyarrow.parquet.read_table(io.BytesIO(content), columns=needed)
    return Records(source, names, pl.DataFrame([as_series(name, table.column(name)) for name in needed]))
