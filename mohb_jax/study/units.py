"""Work units: lanes that run together, named by a hash of all that a result depends on."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mohb_jax import benchmarks, store
from mohb_jax.benchmarks.columns import MOST_COMPARED, require_choice
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.prices import read_prices, with_prices
from mohb_jax.drivers.stopped_rows import may_use_up
from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan
from mohb_jax.methods.needs import DESCRIBED_UNLESS_LANDMARKS, DESCRIPTORS
from mohb_jax.simulation import horizons, simulate
from mohb_jax.study.entries import MethodEntry, Study
from mohb_jax.study.estimate import LaneSize, lane_size
from mohb_jax.study.sweep import CONDITIONS, Chosen, chosen
from mohb_jax.types import RunLog

LANES_PER_UNIT = 4096
"""Runs that advance together: large enough to fill a device, small enough for a unit to finish in seconds."""

STOPPED_ROWS = {"stopped_rows": "go on"}
"""Stands in specifications of runs that may use their table up: they ended earlier once, and units from then
are others."""
LISTS = {"lists": "64 groups, two stretches of noise"}
"""The same of how draws of a prior are made and shared out."""


@dataclasses.dataclass(frozen=True)
class WorkUnit:
    """Lanes that run together: one method on one benchmark, all its tasks, a range of seeds."""

    spec: dict[str, Any]
    table: AnyTable | None
    """With all its tasks: methods that transfer learn from those that the study does not run, too. None while
    the unit travels to another process apart from it."""
    label: str
    how: Any
    """``Chosen``, or what stands for it while the unit travels: ``sending.Sent``."""
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
            self.how.method,
            tasks=self.spec["tasks"],
            num_seeds=self.spec["num_seeds"],
            first_run=self.spec["first_run"],
            seed=self.spec["seed"],
            evaluations=self.spec["evaluations"],
            seconds=self.seconds,
            workers=self.how.conditions.workers,
            resumable=self.how.conditions.resumable,
            **dataclasses.asdict(self.how.settings),
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
        whole = benchmarks.load(_beside(study.folder, entry.name), data, study.folder)
        if entry.prices is not None:
            whole = with_prices(whole, read_prices(_beside(study.folder, entry.prices)))
        if entry.label is not None:
            whole = dataclasses.replace(whole, name=entry.label)  # type: ignore[type-var]
        whole = whole if entry.objectives is None else whole.select(objectives=entry.objectives)
        _require_few_objectives(whole)
        tables.append(StudyTable(whole, whole if entry.tasks is None else whole.select(tasks=entry.tasks)))
    names = [table.name for _, table in tables]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise InputError(f"benchmark {repeated!r} stands in the study twice: give each a label")
    return tables


def _require_few_objectives(table: AnyTable) -> None:
    """``InputError`` where results could not be compared once they are there."""
    if table.num_objectives > MOST_COMPARED:
        names = ", ".join(objective.name for objective in table.objectives)
        raise InputError(
            f"benchmark {table.name!r} has {table.num_objectives} objectives ({names}), and reports compare "
            f"{MOST_COMPARED} at most: choose with --objective, or with objectives in a study file"
        )


def _beside(folder: Path | None, name: str) -> str:
    """The path of a file beside the study file, if there is one of that name; else the name."""
    file = None if folder is None else folder / name
    return str(file) if file is not None and file.is_file() else name


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
    how = chosen(study, entry)
    plan = make_plan(whole, how.method, how.settings, how.conditions)
    horizon = horizons(table, table.tasks, how.conditions, study.seconds)
    ends = None if study.evaluations and not study.seconds else dict(zip(table.tasks, horizon, strict=True))
    size = lane_size(table, how.method, plan, None if ends is None else max(horizon))
    most_lanes = min(LANES_PER_UNIT, int(study.memory * 2**30 / size.bytes))
    common = _specification(study, whole, table, entry.label, how, ends)
    tasks = [whole.task_index(task) for task in table.tasks]
    if may_use_up(whole, tasks, plan, horizon):
        common |= STOPPED_ROWS
    if hasattr(how.settings, "draws"):
        common |= LISTS
    for first_run, num_seeds in _seed_ranges(study.seeds, most_lanes // table.num_tasks):
        spec = common | {"first_run": first_run, "num_seeds": num_seeds}
        yield WorkUnit(spec, whole, entry.label, how, ends, size)


def _specification(
    study: Study,
    whole: AnyTable,
    table: AnyTable,
    label: str,
    how: Chosen,
    ends: dict[str, float] | None,
) -> dict[str, Any]:
    """What the results of a method on a table depend on, but for the runs; ``settings`` is for people, and
    ``own`` counts: a setting of which the default changes nothing leaves finished units as they are."""
    versions = store.versions()
    return {
        "benchmark": table.name,
        "fingerprint": table.fingerprint,
        "learnt_from": whole.fingerprint if how.method.transfers else None,
        **_descriptors(whole, how),
        "tasks": list(table.tasks),
        "objectives": [objective.name for objective in table.objectives],
        "highest_fidelity": table.num_fidelities - 1,
        "method": label,
        "method_name": how.method.name,
        "settings": how.shown,
        "own": how.own,
        "conditions": {name: getattr(how.conditions, name) for name in CONDITIONS},
        "seed": study.seed,
        "evaluations": study.evaluations,
        "horizon": ends or dict.fromkeys(table.tasks),
        "version": versions["mohb-jax"],
        "dtype": versions["dtype"],
        **how.plugins,
    }


def _descriptors(whole: AnyTable, how: Chosen) -> dict[str, Any]:
    """Descriptors of tasks, which the fingerprint does not hold, of a method that may learn from them."""
    needs = how.method.needs_with(how.settings)
    if DESCRIPTORS not in needs and DESCRIBED_UNLESS_LANDMARKS not in needs:
        return {}
    return {"descriptors": {name: [repr(value) for value in own] for name, own in whole.descriptors.items()}}


def _seed_ranges(num_seeds: int, most_seeds: int) -> list[tuple[int, int]]:
    """(first run, number of runs) of each unit: all alike where a few more units make that possible, so that
    they share compiled programs."""
    fewest = -(-num_seeds // max(1, most_seeds))
    even = (units for units in range(fewest, min(2 * fewest, num_seeds) + 1) if num_seeds % units == 0)
    size = -(-num_seeds // next(even, fewest))
    return [(first, min(size, num_seeds - first)) for first in range(0, num_seeds, size)]
