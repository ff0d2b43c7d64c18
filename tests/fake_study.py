"""Small studies made by hand, for the tests of the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mohb_jax.benchmarks.table import Column, Objective, Table

from mohb_jax import store
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.store import Unit
from mohb_jax.types import RunLog


def make_table(
    name: str = "toy",
    tasks: tuple[str, ...] = ("first", "second"),
    num_rows: int = 60,
    num_objectives: int = 3,
    seed: int = 0,
    levels: tuple[str, ...] = ("small", "big"),
) -> Table:
    """A table at one fidelity: error, runtime and cost that trade off against each other."""
    generator = np.random.default_rng(seed)
    size = generator.uniform(size=(len(tasks), num_rows))
    runtime = 10 ** (1 + 2.5 * size)
    error = 0.05 + 0.3 * (1 - size) ** 2 + 0.2 * generator.uniform(size=size.shape)
    cost = runtime * generator.uniform(0.1, 3, size=size.shape) / 3600
    costs = np.stack([error, cost, runtime], axis=-1)[..., :num_objectives]
    columns = (Column("kind", "categorical", "hardware", levels), Column("learning_rate", "log"))
    configs = np.stack([np.arange(num_rows) % len(levels), generator.uniform(1e-4, 1, num_rows)], axis=1)
    objectives = (
        Objective("error", "min", "fraction"),
        Objective("cost", "min", "USD"),
        Objective("runtime", "min", "s"),
    )
    return Table(
        name=name,
        columns=columns,
        configs=configs.astype(np.float64),
        tasks=tasks,
        fidelities=(9,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=objectives[:num_objectives],
        costs=costs[:, :, None],
        runtime=runtime[:, :, None],
    )


def make_unit(
    table: Table, method: str, skill: float, num_seeds: int = 5, num_slots: int = 20, seed: int = 0
) -> Unit:
    """Runs that draw ``skill`` rows at random and evaluate the one with the lowest error."""
    generator = np.random.default_rng(seed)
    task, run = (part.reshape(-1) for part in np.mgrid[: len(table.tasks), :num_seeds])
    drawn = generator.integers(table.num_rows, size=(task.size, num_slots, int(skill)))
    error = table.costs[task[:, None, None], drawn, 0, 0]
    row = np.take_along_axis(drawn, error.argmin(axis=-1)[..., None], axis=-1)[..., 0]
    fidelity = generator.integers(3, size=row.shape)  # 2 is the highest; only those count
    seconds = table.runtime[task[:, None], row, 0] * (fidelity + 1) / 3
    end = np.cumsum(seconds, axis=1)
    valid = end <= 0.9 * end[:, -1].min()
    costs = np.where(valid[..., None], table.costs[task[:, None], row, 0], np.inf)
    log = RunLog(
        task=task,
        run=run,
        row=np.where(valid, row, -1),
        fidelity=np.where(valid, fidelity, -1),
        costs=costs,
        start=np.where(valid, end - seconds, np.inf),
        end=np.where(valid, end, np.inf),
        worker=np.where(valid, 0, -1),
        valid=valid,
    )
    return Unit(make_spec(table, method, num_seeds), log)


def make_spec(table: Table, method: str, num_seeds: int = 1, horizon: float | None = None) -> dict[str, Any]:
    """The spec of a work unit on all tasks of the table."""
    return {
        "benchmark": table.name,
        "method": method,
        "tasks": list(table.tasks),
        "objectives": [objective.name for objective in table.objectives],
        "first_run": 0,
        "num_seeds": num_seeds,
        "settings": {"eta": 3, "workers": 1, "resumable": None},
        "horizon": dict.fromkeys(table.tasks, horizon),
        "evaluations": None,
        "highest_fidelity": 2,
    }


def one_lane(table: Table, rows: Sequence[int], ends: Sequence[float], fidelity: Sequence[int] = ()) -> Unit:
    """One run of method ``m`` on the first task that evaluates the rows one after another."""
    num_slots = len(rows)
    log = RunLog(
        task=np.zeros(1, int),
        run=np.zeros(1, int),
        row=np.array([rows], int).reshape(1, num_slots),
        fidelity=np.array([fidelity or [2] * num_slots], int).reshape(1, num_slots),
        costs=table.costs[0, np.array(rows, int), 0][None],
        start=np.zeros((1, num_slots)),
        end=np.array([ends], float).reshape(1, num_slots),
        worker=np.zeros((1, num_slots), int),
        valid=np.ones((1, num_slots), bool),
    )
    return Unit(make_spec(table, "m") | {"tasks": [table.tasks[0]]}, log)


def make_study(tables: Sequence[Table], units: Sequence[Unit], **changes: Any) -> FinishedStudy:
    """A study in memory."""
    methods = tuple(dict.fromkeys(unit.spec["method"] for unit in units))
    fields: dict[str, Any] = {
        "name": "trial",
        "command": "mohb run --benchmark toy",
        "versions": {"mohb-jax": "0.1.0"},
        "methods": methods,
        "summaries": {method: f"what {method} is" for method in methods},
        "reference": methods[0] if methods else "",
        "fingerprints": {table.name: table.fingerprint for table in tables},
        "settings": {"seeds": 5, "settings": {"eta": 3}},
        "stored": {table.name: table for table in tables},
        "units": tuple(units),
        "num_units": len(units),
    }
    return FinishedStudy(**(fields | changes))


def write_folder(directory: Path, tables: Sequence[Table], units: Sequence[Unit]) -> None:
    """The folder that a finished study leaves."""
    methods = dict.fromkeys(unit.spec["method"] for unit in units)
    description = {
        "name": "trial",
        "command": "mohb run --benchmark toy --out trial",
        "versions": store.versions(),
        "methods": [{"name": name, "summary": f"what {name} is"} for name in methods],
        "benchmarks": [{"name": table.name, "fingerprint": table.fingerprint} for table in tables],
        "reference_method": None,
        "settings": {"seeds": 5, "methods": [{"method": "mo-hb", "settings": {"eta": 2}}]},
        "units": [store.unit_name(unit.spec) for unit in units],
    }
    store.write_json(directory / "study.json", description)
    (directory / "tables").mkdir()
    for table in tables:
        table.save(store.table_path(directory, table.name))
    for unit in units:
        store.write_unit(directory, unit)
