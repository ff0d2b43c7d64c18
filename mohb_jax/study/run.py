"""Running a study: missing units run, finished ones stay, and the folder says what was asked for."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from mohb_jax import store
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.calibration import FILE as CALIBRATION
from mohb_jax.calibration import read_calibration
from mohb_jax.errors import InputError
from mohb_jax.honest_prior import NONE, Honesty, learn_transfer_prior
from mohb_jax.methods import method_named
from mohb_jax.programs import Compilation
from mohb_jax.searchers.gcp import process_calibration
from mohb_jax.study.entries import MethodEntry, Study
from mohb_jax.study.remarks import remarks
from mohb_jax.study.sweep import chosen
from mohb_jax.study.units import StudyTable, WorkUnit, work_units
from mohb_jax.threads import one_ahead
from mohb_jax.transfer import calibration, learn_prior
from mohb_jax.types import RunLog

_LOG = logging.getLogger(__name__)

Engine = Callable[[Sequence[WorkUnit]], Generator[tuple[WorkUnit, RunLog, float], None, None]]
"""Where units run: gives each with its log and seconds when it is done, in any order; ends when closed."""


def in_this_process(
    units: Sequence[WorkUnit], memory: float = math.inf
) -> Generator[tuple[WorkUnit, RunLog, float], None, None]:
    """One unit after another, each on all local devices; the next is begun, and compiled, while one runs.

    Args:
        units: what to run.
        memory: GiB that two units may take together; those that take more run alone.
    """

    def together(one: WorkUnit, other: WorkUnit) -> bool:
        return sum(unit.num_lanes * unit.size.bytes for unit in (one, other)) <= memory * 2**30

    return one_ahead(_timed, units, together)


def _timed(unit: WorkUnit) -> tuple[WorkUnit, RunLog, float]:
    began = time.perf_counter()
    return unit, unit.run(), time.perf_counter() - began


OnUnit = Callable[[WorkUnit, float, bool], None]
"""Called after each unit with its seconds and whether it had been there before."""


def run_study(
    study: Study,
    tables: list[StudyTable],
    directory: Path,
    command: str,
    on_unit: OnUnit = lambda unit, seconds, done_before: None,
    engine: Engine = in_this_process,
    reuse: Sequence[Path] = (),
) -> int:
    """Runs the units that neither the folder nor one to reuse holds yet, and returns how many it ran.

    A folder may be used again: finished units are found by their hash and kept, those of another study stay,
    and ``study.json`` is replaced by the latest study.

    Args:
        study: what to run.
        tables: its benchmarks, as ``load_tables`` gives them.
        directory: the study folder, made where missing.
        command: what the user typed, for the report.
        on_unit: called after each unit with its seconds and whether it had been there before.
        engine: where units run.
        reuse: study folders from which finished units of equal specification are copied.

    Raises:
        InputError: another process is running a study in this folder; a folder to reuse holds no study.
    """
    units = work_units(study, tables)
    require_studies(reuse)
    require_folder(directory)
    num_run = {table.name: 0 for _, table in tables}
    with store.alone_in(directory), store.log_to(directory), Compilation() as compilation:
        manifest = store.Manifest(directory)
        _prepare(study, tables, units, directory, command, manifest)
        missing = [unit for unit in units if not _found(unit, directory, reuse, manifest, on_unit)]
        _LOG.info("%s: %d of %d units to run", command, len(missing), len(units))
        with contextlib.closing(engine(missing)) as results:
            for unit, log, seconds in results:
                manifest.add(store.write_unit(directory, store.Unit(unit.spec, log)))
                benchmark = unit.spec["benchmark"]
                num_run[benchmark] += 1
                _LOG.info("%s %s: %d runs in %.1f s", benchmark, unit.label, unit.num_lanes, seconds)
                on_unit(unit, seconds, False)
        manifest.write()
        _write_calibration(study, tables, directory, num_run)
        store.add_compilation(directory, compilation.count, compilation.seconds)
        _LOG.info("done: %d programs made ready in %.1f s", compilation.count, compilation.seconds)
    return sum(num_run.values())


def _found(
    unit: WorkUnit, directory: Path, reuse: Sequence[Path], manifest: store.Manifest, on_unit: OnUnit
) -> bool:
    """Whether a unit is finished, here or in a folder to reuse, from which it is copied."""
    began = time.perf_counter()
    if not manifest.has(store.unit_path(directory, unit.spec)):
        copy = store.take_unit(directory, reuse, unit.spec)
        if copy is None:
            return False
        manifest.add(copy)
    on_unit(unit, time.perf_counter() - began, True)
    return True


def _honest_calibration(table: AnyTable, seed: int, parts: Honesty, model: str) -> list[dict[str, Any]]:
    return calibration(table, learn_transfer_prior(table, seed, parts), model)


CALIBRATIONS: dict[str, Callable[[AnyTable, int], list[dict[str, Any]]]] = {
    "prior network": lambda table, seed: calibration(table, learn_prior(table, seed)),
    "single network": lambda table, seed: _honest_calibration(table, seed, NONE, "single network"),
    "transfer prior": lambda table, seed: _honest_calibration(table, seed, Honesty(), "transfer prior"),
    "gaussian process": lambda table, seed: process_calibration(table, learn_prior(table, seed), seed),
}
"""How well each model predicts the tasks of a table that were held out from it."""


def _write_calibration(
    study: Study, tables: list[StudyTable], directory: Path, num_run: dict[str, int]
) -> None:
    """Calibration of the models that the study's methods use; rows of an earlier call are kept where nothing
    was run."""
    path = directory / CALIBRATION
    known = read_calibration(directory, [table.name for _, table in tables])
    rows = []
    used = [(both, model) for both in tables for model in _models(study, both.table)]
    for (everything, table), model in used:
        kept = [row.model_dump() for row in known if (row.benchmark, row.model) == (table.name, model)]
        if num_run[table.name] or {row["task"] for row in kept} != set(table.tasks):
            kept = CALIBRATIONS[model](everything, study.seed)
        rows += [row for row in kept if row["task"] in table.tasks]
    path.unlink(missing_ok=True)
    if rows:
        store.write_json(path, rows)


def _models(study: Study, table: AnyTable) -> list[str]:
    """What the methods that run on a table predict with."""
    methods = [method_named(entry.method, study.folder) for entry in study.methods if entry.runs_on(table)]
    return sorted({model for method in methods for model in method.models})


def _prepare(
    study: Study,
    tables: list[StudyTable],
    units: list[WorkUnit],
    directory: Path,
    command: str,
    manifest: store.Manifest,
) -> None:
    """Writes what the report needs beside the units; clears what a killed run was writing."""
    for partial in directory.glob(f"**/*{store.PARTIAL}"):
        partial.unlink(missing_ok=True)
    # First of all study.json: it is what makes the folder a study that may be continued.
    store.write_json(directory / "study.json", _description(study, tables, units, command))
    for _, table in tables:
        manifest.keep(store.table_path(directory, table.name), table.fingerprint, table.save)


HOW: dict[str, Any] = {"engine": None, "memory": None, "credit": None}
"""Parts of a study that say how it runs and is read, and change no run."""


def replaces_another(study: Study, directory: Path) -> bool:
    """True if the folder holds a study that asked for something else."""
    if not (directory / "study.json").is_file():
        return False
    before = store.read_study(directory).get("settings")
    return not isinstance(before, dict) or {**before, **HOW} != {**study.model_dump(mode="json"), **HOW}


def require_studies(folders: Sequence[Path]) -> None:
    """``InputError`` unless each folder holds a study."""
    for folder in folders:
        store.read_study(folder)


def require_folder(directory: Path) -> None:
    """Makes a study's folder; ``InputError`` if it cannot be made, or holds something else."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file: --out needs a folder")
    foreign = directory.is_dir() and any(
        path.suffix != store.PARTIAL and path.name not in (store.LOCK, store.LOG)
        for path in directory.iterdir()
    )
    if foreign and not (directory / "study.json").is_file():
        raise InputError(
            f"{directory} holds other files and no study: --out needs a new, empty or study folder"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be made: {error.strerror}") from error


def _described(study: Study, entry: MethodEntry) -> dict[str, Any]:
    """What pages say of a method: they never import it."""
    how = chosen(study, entry)
    return {
        "name": entry.label,
        "method": entry.method,
        "summary": how.method.summary,
        "settings": how.shown,
        **how.plugins,
    }


def _description(
    study: Study, tables: list[StudyTable], units: list[WorkUnit], command: str
) -> dict[str, Any]:
    return {
        "name": study.name,
        "command": command,
        "versions": store.versions(),
        "methods": [_described(study, entry) for entry in study.methods],
        "benchmarks": [
            {
                "name": table.name,
                "fingerprint": table.fingerprint,
                "tasks": list(table.tasks),
                "objectives": [objective.name for objective in table.objectives],
                "fidelities": list(table.fidelities),
                "provenance": table.provenance,
            }
            for _, table in tables
        ],
        "reference_method": study.reference,
        "settings": study.model_dump(mode="json"),
        "remarks": remarks(units),
        "units": [store.unit_name(unit.spec) for unit in units],
    }
