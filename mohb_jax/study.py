"""Study: a file, or options of the command line -> methods x benchmarks x tasks x seeds -> work units."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydantic
import yaml

import benchmarks
from benchmarks.columns import require_choice, whole
from benchmarks.errors import InputError
from benchmarks.interface import AnyTable
from mohb_jax import store
from mohb_jax.calibration import FILE as CALIBRATION
from mohb_jax.calibration import read_calibration
from mohb_jax.methods import Settings, horizons, make_plan, make_settings, method_named, simulate
from mohb_jax.programs import release_programs
from mohb_jax.searchers.bayesian import process_calibration
from mohb_jax.transfer import calibration, learn_prior
from mohb_jax.types import RunLog

EMBEDDED = Path(__file__).with_name("embedded.yaml")
LANES_PER_UNIT = 4096
"""Runs that advance together: large enough to fill a device, small enough for a unit to finish in seconds."""
MAX_SEEDS = 10_000_000
"""Far beyond any use; a slip of the pen must not fill the memory with work units."""


# Settings come from files and options, so their types are checked before any of them is used.
_SETTINGS = pydantic.create_model(
    "Settings",
    __config__=pydantic.ConfigDict(strict=True, extra="allow", allow_inf_nan=False),
    **{field.name: (field.type, field.default) for field in dataclasses.fields(Settings)},  # type: ignore[call-overload]
)


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class BenchmarkEntry(_Entry):
    """A benchmark of a study: a known name or the path of an .npz table, and what is used of it."""

    name: str
    tasks: list[str] | None = None
    objectives: list[str] | None = None


class MethodEntry(_Entry):
    """A method of a study, with settings of its own and a name to show."""

    method: str
    name: str | None = None
    settings: dict[str, Any] = {}

    @property
    def label(self) -> str:
        return self.name or self.method


class Study(_Entry):
    """What a study file says; ``settings`` holds for all methods, a method's own go first."""

    name: str = "study"
    benchmarks: list[BenchmarkEntry] = pydantic.Field(min_length=1)
    methods: list[MethodEntry] = pydantic.Field(min_length=1)
    seeds: int = pydantic.Field(100, ge=1, le=MAX_SEEDS)
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    evaluations: int | None = pydantic.Field(None, ge=1)
    seconds: float | dict[str, float] | None = None
    settings: dict[str, Any] = {}
    reference: str | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.strip(". ") or {"/", "\\", "\0"} & set(name):
            raise ValueError("it names the study's folder: a name without slashes is accepted")
        return name

    @pydantic.field_validator("benchmarks", mode="before")
    @classmethod
    def _benchmark_names(cls, entries: Any) -> Any:
        return _named(entries, "name")

    @pydantic.field_validator("methods", mode="before")
    @classmethod
    def _method_names(cls, entries: Any) -> Any:
        return _named(entries, "method")


def _named(entries: Any, field: str) -> Any:
    """A list in which a plain name stands for a mapping with that name."""
    if not isinstance(entries, list):
        return entries
    return [{field: entry} if isinstance(entry, str) else entry for entry in entries]


def load_study(path: Path) -> Study:
    """Reads a study file; ``InputError`` names the file, the field and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"study file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"study file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the latter two: a date, deep nesting
        reason = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise InputError(f"study file {path} is not YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"study file {path} is not a mapping: it needs at least benchmarks and methods")
    return make_study(content, f"study file {path}")


def make_study(content: Mapping[str, Any], source: str) -> Study:
    """A checked study; errors begin with ``source``."""
    try:
        study = Study.model_validate(dict(content))
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_first_error(error)}") from error
    labels = [entry.label for entry in study.methods]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated:
        raise InputError(f"{source}: method {repeated!r} stands there twice: give each a name of its own")
    for entry in study.methods:
        method_named(entry.method)
    if study.reference is not None and study.reference not in labels:
        raise InputError(
            f"{source}: reference {study.reference!r} is no method: accepted are {', '.join(labels)}"
        )
    return study


def _first_error(error: pydantic.ValidationError) -> str:
    """One line: the field, its value where that is short, and what is accepted."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part not in ("float", "int")]  # branches of a union
    field = ".".join(path)
    if first["type"] in ("extra_forbidden", "invalid_key"):
        entries: dict[str, type[_Entry]] = {"benchmarks": BenchmarkEntry, "methods": MethodEntry}
        accepted = entries.get(path[0], Study).model_fields
        return f"unknown key {field!r}: accepted are {', '.join(accepted)}"
    value = f" is {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    message = first["msg"].removeprefix("Value error, ").replace("tuple", "list")
    return f"{field}{value}: {message[0].lower()}{message[1:]}"


@dataclasses.dataclass(frozen=True)
class WorkUnit:
    """Lanes that run together: one method on one benchmark, all its tasks, a range of seeds."""

    spec: dict[str, Any]
    table: AnyTable
    """With all its tasks: methods that transfer learn from those that the study does not run, too."""
    label: str
    method: str
    settings: Settings
    seconds: dict[str, float] | None

    @property
    def num_lanes(self) -> int:
        return len(self.spec["tasks"]) * self.spec["num_seeds"]

    def run(self) -> RunLog:
        """Simulates the unit; tasks of the log are places in ``spec["tasks"]``."""
        log = simulate(
            self.table,
            self.method,
            tasks=self.spec["tasks"],
            num_seeds=self.spec["num_seeds"],
            first_run=self.spec["first_run"],
            seed=self.spec["seed"],
            evaluations=self.spec["evaluations"],
            seconds=self.seconds,
            **dataclasses.asdict(self.settings),
        )
        place = np.zeros(self.table.num_tasks, np.int32)
        place[[self.table.task_index(task) for task in self.spec["tasks"]]] = np.arange(
            len(self.spec["tasks"])
        )
        return log._replace(task=place[log.task])


class StudyTable(NamedTuple):
    """A benchmark of a study."""

    whole: AnyTable
    """Reduced to the objectives that the study uses, with all tasks."""
    table: AnyTable
    """Reduced to its tasks, too."""


def load_tables(study: Study, data: str | None = None) -> list[StudyTable]:
    """The study's benchmarks."""
    tables = []
    for entry in study.benchmarks:
        whole = benchmarks.load(entry.name, data=data)
        whole = whole if entry.objectives is None else whole.select(objectives=entry.objectives)
        tables.append(StudyTable(whole, whole if entry.tasks is None else whole.select(tasks=entry.tasks)))
    names = [table.name for _, table in tables]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise InputError(f"benchmark {repeated!r} stands in the study twice")
    return tables


def work_units(study: Study, tables: list[StudyTable]) -> list[WorkUnit]:
    """All units of a study, every method and setting checked before any of them runs."""
    if isinstance(study.seconds, dict):
        tasks = [task for _, table in tables for task in table.tasks]
        for name in study.seconds:
            require_choice("task of seconds:", name, tasks)
    return [unit for both in tables for entry in study.methods for unit in _units(study, *both, entry)]


def _units(study: Study, whole: AnyTable, table: AnyTable, entry: MethodEntry) -> Iterator[WorkUnit]:
    method = method_named(entry.method)
    settings = _settings(study.settings | entry.settings)
    make_plan(whole, method, settings, study.evaluations)
    horizon = horizons(table, table.tasks, settings.workers, study.evaluations, study.seconds)
    ends = None if study.evaluations and not study.seconds else dict(zip(table.tasks, horizon, strict=True))
    versions = store.versions()
    for first_run, num_seeds in _seed_ranges(study.seeds, table.num_tasks):
        spec = {
            "benchmark": table.name,
            "fingerprint": table.fingerprint,
            "learnt_from": whole.fingerprint if method.transfers else None,
            "tasks": list(table.tasks),
            "objectives": [objective.name for objective in table.objectives],
            "highest_fidelity": table.num_fidelities - 1,
            "method": entry.label,
            "method_name": method.name,
            "settings": dataclasses.asdict(settings),
            "seed": study.seed,
            "first_run": first_run,
            "num_seeds": num_seeds,
            "evaluations": study.evaluations,
            "horizon": ends or dict.fromkeys(table.tasks),
            "version": versions["mohb-jax"],
            "dtype": versions["dtype"],
        }
        yield WorkUnit(spec, whole, entry.label, method.name, settings, ends)


def _settings(values: dict[str, Any]) -> Settings:
    """Settings of which the types are right; whole numbers are integers, so that 3.0 and 3 are one study."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        _SETTINGS.model_validate(plain)
    except pydantic.ValidationError as error:
        raise InputError(f"settings: {_first_error(error)}") from error
    return make_settings(
        **{n: whole(value) if isinstance(value, float) else value for n, value in plain.items()}
    )


def _seed_ranges(num_seeds: int, num_tasks: int) -> list[tuple[int, int]]:
    """(first run, number of runs) of each unit, as equal as can be, so that units share compiled programs."""
    num_units = -(-num_seeds // max(1, LANES_PER_UNIT // num_tasks))
    size = -(-num_seeds // num_units)
    return [(first, min(size, num_seeds - first)) for first in range(0, num_seeds, size)]


def run_study(
    study: Study,
    tables: list[StudyTable],
    directory: Path,
    command: str,
    on_unit: Callable[[WorkUnit, float, bool], None] = lambda unit, seconds, done_before: None,
) -> int:
    """Runs the units that the folder does not hold yet, and returns how many it ran.

    A folder may be used again: finished units are found by their hash and kept, those of another study stay,
    and ``study.json`` is replaced by the latest study.

    Args:
        study: what to run.
        tables: its benchmarks, as ``load_tables`` gives them.
        directory: the study folder, made where missing.
        command: what the user typed, for the report.
        on_unit: called after each unit with its seconds and whether it had been there before.
    """
    units = work_units(study, tables)
    _prepare(study, tables, units, directory, command)
    num_run = {table.name: 0 for _, table in tables}
    for unit in units:
        began = time.perf_counter()
        found = store.is_whole(store.unit_path(directory, unit.spec))
        if not found:
            store.write_unit(directory, store.Unit(unit.spec, unit.run()))
            num_run[unit.table.name] += 1
            release_programs()
        on_unit(unit, time.perf_counter() - began, found)
    _write_calibration(study, tables, directory, num_run)
    return sum(num_run.values())


CALIBRATIONS: dict[str, Callable[[AnyTable, int], list[dict[str, Any]]]] = {
    "prior network": lambda table, seed: calibration(table, learn_prior(table, seed)),
    "gaussian process": lambda table, seed: process_calibration(table, learn_prior(table, seed), seed),
}
"""How well each model predicts the tasks of a table that were held out from it."""


def _write_calibration(
    study: Study, tables: list[StudyTable], directory: Path, num_run: dict[str, int]
) -> None:
    """Calibration of the models that the study's methods use; rows of an earlier call are kept where nothing
    was run."""
    path = directory / CALIBRATION
    models = {model for entry in study.methods for model in method_named(entry.method).models}
    known = read_calibration(directory, [table.name for _, table in tables])
    rows = []
    for entry, model in itertools.product(tables, sorted(models)):
        table = entry.table
        kept = [row.model_dump() for row in known if (row.benchmark, row.model) == (table.name, model)]
        if num_run[table.name] or {row["task"] for row in kept} != set(table.tasks):
            kept = CALIBRATIONS[model](entry.whole, study.seed)
        rows += [row for row in kept if row["task"] in table.tasks]
    path.unlink(missing_ok=True)
    if rows:
        store.write_json(path, rows)


def _prepare(
    study: Study, tables: list[StudyTable], units: list[WorkUnit], directory: Path, command: str
) -> None:
    """Writes what the report needs beside the units; clears what a killed run was writing."""
    require_folder(directory)
    for partial in directory.glob(f"**/*{store.PARTIAL}"):
        partial.unlink(missing_ok=True)
    # First of all study.json: it is what makes the folder a study that may be continued.
    store.write_json(directory / "study.json", _description(study, tables, units, command))
    for _, table in tables:
        store.write_atomically(store.table_path(directory, table.name), table.at_maximum().save)


def replaces_another(study: Study, directory: Path) -> bool:
    """True if the folder holds a study that asked for something else."""
    if not (directory / "study.json").is_file():
        return False
    return bool(store.read_study(directory).get("settings") != study.model_dump(mode="json"))


def require_folder(directory: Path) -> None:
    """Makes a study's folder; ``InputError`` if it cannot be made, or holds something else."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file: --out needs a folder")
    foreign = directory.is_dir() and any(path.suffix != store.PARTIAL for path in directory.iterdir())
    if foreign and not (directory / "study.json").is_file():
        raise InputError(
            f"{directory} holds other files and no study: --out needs a new, empty or study folder"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be made: {error.strerror}") from error


def _description(
    study: Study, tables: list[StudyTable], units: list[WorkUnit], command: str
) -> dict[str, Any]:
    return {
        "name": study.name,
        "command": command,
        "versions": store.versions(),
        "methods": [
            {"name": entry.label, "method": entry.method, "summary": method_named(entry.method).summary}
            for entry in study.methods
        ],
        "benchmarks": [
            {
                "name": table.name,
                "fingerprint": table.fingerprint,
                "tasks": list(table.tasks),
                "objectives": [objective.name for objective in table.objectives],
                "provenance": table.provenance,
            }
            for _, table in tables
        ],
        "reference_method": study.reference,
        "settings": study.model_dump(mode="json"),
        "units": [store.content_hash(unit.spec) for unit in units],
    }
