"""Study: a file, or options of the command line -> methods x benchmarks x tasks x seeds -> work units."""

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pydantic
import yaml

from mohb_jax import benchmarks, store
from mohb_jax.benchmarks.columns import require_choice, whole
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.prices import read_prices, with_prices
from mohb_jax.calibration import FILE as CALIBRATION
from mohb_jax.calibration import read_calibration
from mohb_jax.drivers.asynchronous import AshaPlan
from mohb_jax.drivers.steady import SteadyPlan
from mohb_jax.drivers.synchronous import Plan
from mohb_jax.errors import InputError
from mohb_jax.methods import (
    AnyPlan,
    Method,
    Settings,
    horizons,
    make_plan,
    make_settings,
    method_named,
    simulate,
)
from mohb_jax.programs import Compilation, release_programs
from mohb_jax.searchers.gcp import process_calibration
from mohb_jax.transfer import calibration, learn_prior
from mohb_jax.types import RunLog

_LOG = logging.getLogger(__name__)

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


Sweep = dict[str, list[Any]] | list[dict[str, Any]]
"""Settings that vary: every combination of the values of each name, or a list of combinations."""


class BenchmarkEntry(_Entry):
    """A benchmark of a study: a known name or the path of an .npz table, and what is used of it.

    ``prices`` is a file of USD per hour by instance type, under which decisions are made; ``label`` names the
    benchmark in results, so that one may stand there at several prices.
    """

    name: str
    label: str | None = None
    tasks: list[str] | None = None
    objectives: list[str] | None = None
    prices: str | None = None


class MethodEntry(_Entry):
    """A method of a study, with settings of its own and a name to show; ``benchmarks`` names those that it
    runs on, by name or label, and None is all."""

    method: str
    name: str | None = None
    benchmarks: list[str] | None = None
    settings: dict[str, Any] = {}
    sweep: Sweep = {}

    @property
    def label(self) -> str:
        return self.name or self.method

    def runs_on(self, table: AnyTable) -> bool:
        return self.benchmarks is None or table.name in self.benchmarks


class EngineEntry(_Entry):
    """Where a study runs, and what each work unit may use there.

    ``name`` is ``local`` (this process, on all its devices) or ``ray``; the rest is for Ray: the address of a
    cluster (``auto``, ``ray://HOST:10001``; None starts one on this machine), processors and accelerators per
    unit, and how often a unit is tried again when its worker dies.
    """

    name: Literal["local", "ray"] = "local"
    address: str | None = None
    cpus: float = pydantic.Field(default=1, gt=0)
    gpus: float = pydantic.Field(default=0, ge=0)
    retries: int = pydantic.Field(default=3, ge=0)


class Study(_Entry):
    """What a study file says; ``settings`` and ``sweep`` hold for all methods, a method's own go first.

    ``memory`` bounds the GiB that a work unit may take; smaller units, more of them.
    """

    name: str = "study"
    benchmarks: list[BenchmarkEntry] = pydantic.Field(min_length=1)
    methods: list[MethodEntry] = pydantic.Field(min_length=1)
    seeds: int = pydantic.Field(100, ge=1, le=MAX_SEEDS)
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    evaluations: int | None = pydantic.Field(None, ge=1)
    seconds: float | dict[str, float] | None = None
    settings: dict[str, Any] = {}
    sweep: Sweep = {}
    memory: float = pydantic.Field(1.0, gt=0)
    engine: EngineEntry = pydantic.Field(default_factory=EngineEntry)
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

    @pydantic.field_validator("engine", mode="before")
    @classmethod
    def _engine_name(cls, entry: Any) -> Any:
        return {"name": entry} if isinstance(entry, str) else entry


def _named(entries: Any, field: str) -> Any:
    """A list in which a plain name stands for a mapping with that name."""
    if not isinstance(entries, list):
        return entries
    return [{field: entry} if isinstance(entry, str) else entry for entry in entries]


def load_study(path: Path) -> Study:
    """Reads a study file; ``InputError`` names the file, the line, the field and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        content, node = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise InputError(f"study file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"study file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # the latter two: a date, deep nesting
        reason = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise InputError(f"study file {path} is not YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"study file {path} is not a mapping: it needs at least benchmarks and methods")
    return make_study(content, f"study file {path}", lambda place: f", line {_line(node, place)}")


Place = tuple[str | int, ...]
"""Keys and positions that lead to a part of a study file."""


def _line(node: Any, place: Place) -> int:
    """Line of the part of a YAML file at a place, or of the nearest thing around it."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in place:
        pairs: list[tuple[Any, Any]] = []
        if isinstance(node, yaml.MappingNode):
            pairs = [(key.start_mark.line, value) for key, value in node.value if key.value == str(step)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            pairs = [(node.value[step].start_mark.line, node.value[step])]
        if not pairs:
            break
        line, node = pairs[0][0] + 1, pairs[0][1]
    return line


def make_study(
    content: Mapping[str, Any], source: str, where: Callable[[Place], str] = lambda place: ""
) -> Study:
    """A checked study, its sweeps spelt out; errors begin with ``source`` and where in it the fault is."""
    try:
        study = Study.model_validate(dict(content))
    except pydantic.ValidationError as error:
        raise InputError(f"{source}{where(error.errors()[0]['loc'])}: {_first_error(error)}") from error
    methods = []
    for number, entry in enumerate(study.methods):
        try:
            method_named(entry.method)
            methods += _swept(study, entry)
        except InputError as error:
            raise InputError(f"{source}{where(('methods', number))}: {error}") from error
    study = study.model_copy(update={"methods": methods, "sweep": {}})
    labels = [entry.label for entry in methods]
    repeated = next((label for label in labels if labels.count(label) > 1), None)
    if repeated:
        place = where(("methods",))
        raise InputError(f"{source}{place}: method {repeated!r} stands there twice: give each a name")
    if study.reference is not None and study.reference not in labels:
        raise InputError(
            f"{source}{where(('reference',))}: reference {study.reference!r} is no method: "
            f"accepted are {', '.join(labels)}"
        )
    return study


def _swept(study: Study, entry: MethodEntry) -> list[MethodEntry]:
    """One entry for each combination of swept settings, named after it; each is checked."""
    entries = []
    for values in _combinations(entry.sweep or study.sweep):
        name = " ".join([entry.label, *(f"{key}={_shown(value)}" for key, value in values.items())])
        one = entry.model_copy(update={"name": name, "settings": entry.settings | values, "sweep": {}})
        _settings(study.settings | one.settings)
        entries.append(one if values else entry)
    return entries


def _combinations(sweep: Sweep) -> list[dict[str, Any]]:
    if isinstance(sweep, list):
        return sweep or [{}]
    empty = next((name for name, values in sweep.items() if not values), None)
    if empty is not None:
        raise InputError(f"sweep: {empty} has no values")
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def _shown(value: Any) -> str:
    """A value in a method's name."""
    return "/".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value).lower()


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


class LaneSize(NamedTuple):
    """What a lane takes, roughly: it sizes work units and the estimates of ``--dry-run``."""

    evaluations: int
    bytes: int
    seconds: float


MICROSECONDS = {Plan: 0.4, AshaPlan: 3.0, SteadyPlan: 4.0}
"""Of an evaluation of a lane among thousands, on two processors (docs/performance.md), where its method does
not say more."""
SECONDS_PER_PROGRAM = 6.0
"""Compilation of one method on tables of one shape, where no earlier run left it in the cache."""
WORKING_COPIES = 6
"""Copies of a log that a driver holds while it runs."""


def lane_size(table: AnyTable, method: Method, plan: AnyPlan, horizon: float | None) -> LaneSize:
    """Evaluations of a lane from its budget, or from its horizon and the average job of a bracket."""
    if plan.budget is not None:
        evaluations = plan.budget
    else:
        evaluations = int(plan.num_workers * (horizon or 0) / _average_job(table, plan)) + plan.num_workers
    if isinstance(plan, SteadyPlan) and plan.num_trials is not None:
        evaluations = min(evaluations, plan.num_trials * len(plan.brackets[0].levels))
    each = method.microseconds or MICROSECONDS[type(plan)]
    slot = 32 + 8 * table.num_objectives
    return LaneSize(evaluations, WORKING_COPIES * slot * evaluations, 1e-6 * each * evaluations)


def _average_job(table: AnyTable, plan: AnyPlan) -> float:
    """Seconds, if runtime were proportional to fidelity and asynchronous rungs shrank by eta."""
    full = float(np.mean([table.final_runtime(task).mean() for task in range(table.num_tasks)]))
    share = np.array(table.fidelities, float) / table.fidelities[-1]
    jobs, seconds = 0.0, 0.0
    for bracket in plan.brackets:
        eta = float(plan.eta) if isinstance(plan, AshaPlan) else 1.0
        sizes = np.array([size / eta**rung for rung, size in enumerate(bracket.sizes)])
        jobs += sizes.sum()
        seconds += (sizes * np.diff(share[list(bracket.levels)], prepend=0)).sum() * full
    return max(seconds / jobs, full * 1e-4)


@dataclasses.dataclass(frozen=True)
class WorkUnit:
    """Lanes that run together: one method on one benchmark, all its tasks, a range of seeds."""

    spec: dict[str, Any]
    table: AnyTable | None
    """With all its tasks: methods that transfer learn from those that the study does not run, too. None while
    the unit travels to another process apart from it."""
    label: str
    method: str
    settings: Settings
    seconds: dict[str, float] | None
    size: LaneSize

    @property
    def num_lanes(self) -> int:
        return len(self.spec["tasks"]) * self.spec["num_seeds"]

    def run(self) -> RunLog:
        """Simulates the unit; tasks of the log are places in ``spec["tasks"]``."""
        assert self.table is not None
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
        if entry.prices is not None:
            whole = with_prices(whole, read_prices(entry.prices))
        if entry.label is not None:
            whole = dataclasses.replace(whole, name=entry.label)  # type: ignore[type-var]
        whole = whole if entry.objectives is None else whole.select(objectives=entry.objectives)
        tables.append(StudyTable(whole, whole if entry.tasks is None else whole.select(tasks=entry.tasks)))
    names = [table.name for _, table in tables]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise InputError(f"benchmark {repeated!r} stands in the study twice: give each a label")
    return tables


def work_units(study: Study, tables: list[StudyTable]) -> list[WorkUnit]:
    """All units of a study, every method and setting checked before any of them runs."""
    if isinstance(study.seconds, dict):
        tasks = [task for _, table in tables for task in table.tasks]
        for name in study.seconds:
            require_choice("task of seconds:", name, tasks)
    names = [table.name for _, table in tables]
    for entry in study.methods:
        for name in entry.benchmarks or ():
            require_choice(f"benchmark of method {entry.label!r}:", name, names)
    return [
        unit
        for both in tables
        for entry in study.methods
        if entry.runs_on(both.table)
        for unit in _units(study, *both, entry)
    ]


def _units(study: Study, whole: AnyTable, table: AnyTable, entry: MethodEntry) -> Iterator[WorkUnit]:
    method = method_named(entry.method)
    settings = _settings(study.settings | entry.settings)
    plan = make_plan(whole, method, settings, study.evaluations)
    horizon = horizons(table, table.tasks, settings.workers, study.evaluations, study.seconds)
    ends = None if study.evaluations and not study.seconds else dict(zip(table.tasks, horizon, strict=True))
    versions = store.versions()
    size = lane_size(table, method, plan, None if ends is None else max(horizon))
    most_lanes = min(LANES_PER_UNIT, int(study.memory * 2**30 / size.bytes))
    for first_run, num_seeds in _seed_ranges(study.seeds, most_lanes // table.num_tasks):
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
        yield WorkUnit(spec, whole, entry.label, method.name, settings, ends, size)


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


def plan_of(
    study: Study, tables: list[StudyTable], directory: Path, reuse: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """What each method takes on each benchmark: units, how many of them are done, here or in a folder to
    reuse, runs, evaluations of a run, MiB of a unit and a guess of the seconds that are left."""
    _require_studies(reuse)
    rows = []
    units = work_units(study, tables)
    for (benchmark, label), group in itertools.groupby(units, lambda u: (u.spec["benchmark"], u.label)):
        own = list(group)
        folders = (directory, *reuse)
        left = [u for u in own if not any(store.unit_path(at, u.spec).is_file() for at in folders)]
        seconds = sum(unit.num_lanes * unit.size.seconds for unit in left)
        rows.append(
            {
                "benchmark": benchmark,
                "method": label,
                "units": len(own),
                "done": len(own) - len(left),
                "runs": sum(unit.num_lanes for unit in own),
                "evaluations": own[0].size.evaluations,
                "MiB": max(unit.num_lanes * unit.size.bytes for unit in own) / 2**20,
                "seconds": seconds + (SECONDS_PER_PROGRAM if left else 0),
            }
        )
    return rows


def _seed_ranges(num_seeds: int, most_seeds: int) -> list[tuple[int, int]]:
    """(first run, number of runs) of each unit: all alike where a few more units make that possible, so that
    they share compiled programs."""
    fewest = -(-num_seeds // max(1, most_seeds))
    even = (units for units in range(fewest, min(2 * fewest, num_seeds) + 1) if num_seeds % units == 0)
    size = -(-num_seeds // next(even, fewest))
    return [(first, min(size, num_seeds - first)) for first in range(0, num_seeds, size)]


Engine = Callable[[Sequence[WorkUnit]], Iterator[tuple[WorkUnit, RunLog, float]]]
"""Where units run: gives each with its log and seconds when it is done, in any order."""


def in_this_process(units: Sequence[WorkUnit]) -> Iterator[tuple[WorkUnit, RunLog, float]]:
    """One unit after another, each on all local devices."""
    for unit in units:
        began = time.perf_counter()
        yield unit, unit.run(), time.perf_counter() - began
        release_programs()


def run_study(
    study: Study,
    tables: list[StudyTable],
    directory: Path,
    command: str,
    on_unit: Callable[[WorkUnit, float, bool], None] = lambda unit, seconds, done_before: None,
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
    _require_studies(reuse)
    require_folder(directory)
    num_run = {table.name: 0 for _, table in tables}
    with store.alone_in(directory), store.log_to(directory), Compilation() as compilation:
        _prepare(study, tables, units, directory, command)
        manifest = store.Manifest(directory)
        missing = []
        for unit in units:
            began = time.perf_counter()
            found = manifest.has(store.unit_path(directory, unit.spec))
            if not found and (copy := store.take_unit(directory, reuse, unit.spec)):
                manifest.add(copy)
                found = True
            if found:
                on_unit(unit, time.perf_counter() - began, True)
            else:
                missing.append(unit)
        _LOG.info("%s: %d of %d units to run", command, len(missing), len(units))
        for unit, log, seconds in engine(missing):
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
    methods = [method_named(entry.method) for entry in study.methods if entry.runs_on(table)]
    return sorted({model for method in methods for model in method.models})


def _prepare(
    study: Study, tables: list[StudyTable], units: list[WorkUnit], directory: Path, command: str
) -> None:
    """Writes what the report needs beside the units; clears what a killed run was writing."""
    for partial in directory.glob(f"**/*{store.PARTIAL}"):
        partial.unlink(missing_ok=True)
    # First of all study.json: it is what makes the folder a study that may be continued.
    store.write_json(directory / "study.json", _description(study, tables, units, command))
    for _, table in tables:
        store.write_atomically(store.table_path(directory, table.name), table.at_maximum().save)


HOW: dict[str, Any] = {"engine": None, "memory": None}
"""Parts of a study that say how it runs, and change no result."""


def replaces_another(study: Study, directory: Path) -> bool:
    """True if the folder holds a study that asked for something else."""
    if not (directory / "study.json").is_file():
        return False
    before = store.read_study(directory).get("settings")
    return not isinstance(before, dict) or {**before, **HOW} != {**study.model_dump(mode="json"), **HOW}


def _require_studies(folders: Sequence[Path]) -> None:
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


def _description(
    study: Study, tables: list[StudyTable], units: list[WorkUnit], command: str
) -> dict[str, Any]:
    return {
        "name": study.name,
        "command": command,
        "versions": store.versions(),
        "methods": [
            {
                "name": entry.label,
                "method": entry.method,
                "summary": method_named(entry.method).summary,
                "settings": study.settings | entry.settings,
            }
            for entry in study.methods
        ],
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
        "units": [store.content_hash(unit.spec) for unit in units],
    }
