"""Parquet in and out: one file per finished work unit, named by a hash of what produced it.

A study folder holds ``study.json`` (what was asked for, and which units answer it), ``tables/NAME.npz`` (each
benchmark, for all that is measured against it), ``units/HASH.parquet`` and ``cells/CREDIT/NAME.parquet``
(what ``analysis.kept_cells`` need not compute again). Every file is written beside its place and moved there
whole, so an interrupted run leaves only whole files; files are data, and nothing in them is executed.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import filelock
import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.types import Outside, RunLog

FORMAT = "mohb-unit-1"
PARTIAL = ".part"
"""Suffix of files that are being written; left behind only by a killed process."""
MAX_NAME = 150
"""Characters of a benchmark's name that its file takes over: file systems allow 255 bytes in all."""


LOCK = ".lock"
LOG = "study.log"
COMPILATION = "compilation.json"
MANIFEST = "manifest.json"


Read = TypeVar("Read")
"""What a reader of a unit's file returns."""


class Unit(NamedTuple):
    """A finished work unit: what was asked for, and what came out."""

    spec: dict[str, Any]
    log: RunLog

    @property
    def outside(self) -> Outside | None:
        """What stands in the log of an optimiser from outside."""
        return self.log.outside


class StoredUnit:
    """A finished work unit whose log stays on disk: those of a large study do not fit in memory together."""

    def __init__(
        self, spec: dict[str, Any], read: Callable[[], RunLog], outside: Outside | None = None
    ) -> None:
        self.spec, self.outside = spec, outside
        self._read = read

    @property
    def log(self) -> RunLog:
        """Read anew each time."""
        return self._read()


AnyUnit = Unit | StoredUnit


def changed(unit: AnyUnit, change: Callable[[RunLog], RunLog]) -> StoredUnit:
    """The unit with its log passed through a function, whenever it is read."""
    return StoredUnit(unit.spec, lambda: change(unit.log), unit.outside)


@in_64_bits
def versions() -> dict[str, str]:
    """Versions of what computed a result."""
    return {
        "mohb-jax": _own_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "backend": jax.default_backend(),
        "dtype": str(jax.numpy.result_type(float)),
    }


@functools.cache
def _own_version() -> str:
    """Found in files of the installation: once is enough."""
    return importlib.metadata.version("mohb-jax")


def content_hash(spec: Mapping[str, Any]) -> str:
    """Name of a unit: equal specifications give equal results, so they share one file."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


FOR_PEOPLE = "settings"
"""The part of a specification that its name leaves out where ``own`` says which settings are no defaults."""


def unit_name(spec: Mapping[str, Any]) -> str:
    """Name of a unit, by what its results depend on."""
    return content_hash({k: v for k, v in spec.items() if k != FOR_PEOPLE or "own" not in spec})


def unit_path(directory: Path, spec: Mapping[str, Any]) -> Path:
    """Where the unit of that specification is kept."""
    return directory / "units" / f"{unit_name(spec)}.parquet"


def table_path(directory: Path, benchmark: str) -> Path:
    """Where a benchmark's table is kept, whatever characters its name has, and however many."""
    name = quote(benchmark, safe=" ")
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}-{hashlib.sha256(benchmark.encode()).hexdigest()[:20]}"
    return directory / "tables" / f"{name}.npz"


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls ``write`` with a path beside ``path`` and moves the result into place; a failure leaves
    nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keeps other processes out of a study folder; the operating system lets go when this one dies."""
    try:
        with filelock.FileLock(directory / LOCK, timeout=0):
            yield
    except filelock.Timeout:
        raise InputError(
            f"{directory} is in use by another mohb: wait for it, or give another folder with --out"
        ) from None


@contextlib.contextmanager
def log_to(directory: Path) -> Iterator[None]:
    """What this package logs goes to the study's own file, too."""
    handler = logging.FileHandler(directory / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("mohb_jax")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def add_compilation(directory: Path, count: int, seconds: float) -> None:
    """Adds programs and the seconds that they took to what earlier calls on this folder noted."""
    before = read_compilation(directory)
    added = {"programs": before["programs"] + count, "seconds": round(before["seconds"] + seconds, 1)}
    write_json(directory / COMPILATION, added)


def read_compilation(directory: Path) -> dict[str, Any]:
    """``programs`` and ``seconds`` of all calls that ended; zeros where nothing is noted."""
    path = directory / COMPILATION
    content = read_json(path) if path.is_file() else {}
    known = content if isinstance(content, dict) else {}
    return {"programs": int(known.get("programs", 0)), "seconds": float(known.get("seconds", 0))}


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one step."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """What ``write_json`` wrote; ``InputError`` if that is not what the file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def write_unit(directory: Path, unit: Unit) -> Path:
    """Writes a unit; only slots that hold an evaluation become rows."""
    path = unit_path(directory, unit.spec)
    about = {"format": FORMAT, "spec": unit.spec, "versions": versions(), "slots": unit.log.valid.shape[1]}
    if unit.outside is not None:
        about["outside"] = {name: part.tolist() for name, part in unit.outside._asdict().items()}
    metadata = {b"mohb": json.dumps(about, sort_keys=True).encode()}
    table = _to_arrow(unit.log).replace_schema_metadata(metadata)
    write_atomically(path, lambda partial: pq.write_table(table, partial, compression="zstd"))
    return path


def read_unit(path: Path) -> Unit:
    """Reads a unit back; ``InputError`` where the file is damaged or was not written by ``write_unit``."""
    return _read(path, _unit)


def _unit(path: Path) -> Unit:
    about = _about(path)
    log = _from_arrow(pq.read_table(path), about["spec"], about["slots"])
    return Unit(about["spec"], log._replace(outside=_outside(about)))


def _head(path: Path) -> tuple[dict[str, Any], Outside | None]:
    """What of a unit is read at once."""
    about = _about(path)
    return about["spec"], _outside(about)


def _outside(about: Mapping[str, Any]) -> Outside | None:
    told = about.get("outside")
    return None if told is None else Outside(*(np.asarray(told[name]) for name in Outside._fields))


def _about(path: Path) -> dict[str, Any]:
    """What stands in the file beside the log."""
    about = json.loads((pq.read_schema(path).metadata or {}).get(b"mohb", b"{}"))
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{path}: not a work unit of this program (format {FORMAT})")
    return about


def _read(path: Path, reader: Callable[[Path], Read]) -> Read:
    """What ``reader`` makes of a unit's file; one line that says what to do where it is damaged."""
    try:
        return reader(path)
    except InputError:
        raise
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{path}: damaged ({reason}); remove it and run the study again to redo this unit"
        ) from error


def read_study(directory: Path) -> dict[str, Any]:
    """``study.json`` of a study folder."""
    path = directory / "study.json"
    if not path.is_file():
        raise InputError(
            f"{directory}: not a study folder: it has no study.json (mohb run --out DIR makes one)"
        )
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    units = study.get("units") if isinstance(study, dict) else None
    if not isinstance(units, list) or not all(isinstance(name, str) for name in units):
        raise InputError(f"{path}: not a study: it lists no units")
    return study


def read_units(directory: Path) -> list[StoredUnit]:
    """The finished units of the study in a folder, in the study's order; units of other studies are left
    alone. Their logs are read when they are asked for."""
    paths = [directory / "units" / f"{name}.parquet" for name in read_study(directory)["units"]]
    found = [_stored(path) for path in paths if path.is_file()]
    if not found:
        raise InputError(f"{directory}: no finished unit yet; mohb run continues the study")
    return found


def _stored(path: Path) -> StoredUnit:
    spec, outside = _read(path, _head)
    return StoredUnit(spec, lambda: read_unit(path).log, outside)


def take_unit(directory: Path, sources: Sequence[Path], spec: Mapping[str, Any]) -> Path | None:
    """Copies the unit of that specification from the first of some study folders that holds it whole; None
    if none does."""
    path = unit_path(directory, spec)
    source = next((there for folder in sources if is_whole(there := unit_path(folder, spec))), None)
    if source is None:
        return None
    write_atomically(path, lambda partial: shutil.copyfile(source, partial))
    return path


def is_whole(path: Path) -> bool:
    """True if a unit's file exists and all of it can be read."""
    try:
        return path.is_file() and bool(read_unit(path))
    except InputError:
        return False


class Manifest:
    """Size and time of change of files that were found whole: while both stay, a unit is not read again and a
    table is not written again.

    A manifest that is lost or wrong costs a reading of all units and a writing of all tables, no more.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / MANIFEST
        try:
            content = read_json(self._path) if self._path.is_file() else {}
        except InputError:
            content = {}
        self._known: dict[str, Any] = content if isinstance(content, dict) else {}

    def has(self, path: Path) -> bool:
        """True if the unit's file is there and whole."""
        if not path.is_file():
            return False
        if self._known.get(path.stem) == _mark(path):
            return True
        if not is_whole(path):
            return False
        self.add(path)
        return True

    def add(self, path: Path) -> None:
        """Notes a file that is whole."""
        self._known[path.stem] = _mark(path)

    def keep(self, path: Path, content: str, save: Callable[[Path], None]) -> None:
        """Writes a file unless it lies there already.

        Args:
            path: of the file.
            content: hash of what it holds.
            save: writes it.
        """
        if path.is_file() and self._known.get(path.name) == [*_mark(path), content]:
            return
        write_atomically(path, save)
        self._known[path.name] = [*_mark(path), content]

    def write(self) -> None:
        write_json(self._path, self._known)


def _mark(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _to_arrow(log: RunLog) -> pa.Table:
    lane, slot = np.nonzero(log.valid)
    columns: dict[str, Any] = {"lane": lane.astype(np.int32), "slot": slot.astype(np.int32)}
    for name in ("row", "fidelity", "worker", "start", "end"):
        columns[name] = np.asarray(getattr(log, name))[lane, slot]
    columns |= {f"cost_{m}": log.costs[lane, slot, m] for m in range(log.costs.shape[2])}
    return pa.table(columns)


def _from_arrow(table: pa.Table, spec: Mapping[str, Any], num_slots: int) -> RunLog:
    num_runs, num_tasks = spec["num_seeds"], len(spec["tasks"])
    shape = (num_tasks * num_runs, num_slots)
    where = table["lane"].to_numpy(), table["slot"].to_numpy()

    def filled(name: str, filler: float | int, dtype: type) -> np.ndarray:
        array = np.full(shape, filler, dtype)
        array[where] = table[name].to_numpy()
        return array

    valid = np.zeros(shape, bool)
    valid[where] = True
    return RunLog(
        task=np.repeat(np.arange(num_tasks, dtype=np.int32), num_runs),
        run=np.tile(np.arange(spec["first_run"], spec["first_run"] + num_runs, dtype=np.int32), num_tasks),
        row=filled("row", -1, np.int32),
        fidelity=filled("fidelity", -1, np.int32),
        costs=np.stack(
            [filled(f"cost_{m}", np.inf, np.float64) for m in range(len(spec["objectives"]))], axis=-1
        ),
        start=filled("start", np.inf, np.float64),
        end=filled("end", np.inf, np.float64),
        worker=filled("worker", -1, np.int32),
        valid=valid,
    )
