"""What came out of a live run so far: a tidy table, its front, a log and a benchmark."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.table import Table
from mohb_jax.errors import InputError
from mohb_jax.tuner.ledger import Entry
from mohb_jax.tuner.record import Record
from mohb_jax.tuner.setup import Setup
from mohb_jax.tuner.space import Space
from mohb_jax.types import RunLog

CREDITS = ("full", "logged")
"""What of a live run may count: only what is told is known."""


def results(record: Record, entries: Sequence[Entry]) -> pl.DataFrame:
    """All jobs, one row each: job, configuration, fidelity, objectives as published, times and states."""
    rows = [_result(record, entry) for entry in entries]
    return pl.DataFrame(rows, schema=_schema(record.setup), strict=False)


def _schema(setup: Setup) -> dict[str, Any]:
    """Names and types of the columns of ``results``, in the order of ``_result``."""
    return {
        **dict.fromkeys(("job", "trial", "row"), pl.Int64),
        **{f"config:{name}": kind for name, kind in _kinds(setup.space).items()},
        "fidelity": pl.Float64,
        **dict.fromkeys((f"objective:{objective.name}" for objective in setup.objectives), pl.Float64),
        **dict.fromkeys(("start", "end", "seconds"), pl.Float64),
        "worker": pl.String,
        "attempt": pl.Int64,
        **dict.fromkeys(("state", "verdict", "checkpoint", "note"), pl.String),
    }


def _kinds(space: Space) -> dict[str, Any]:
    """The type of each column of a space."""
    found: dict[str, Any] = {}
    for column, values in zip(space.columns, space.configs.T, strict=True):
        held = np.array(column.levels, object) if column.has_levels else values
        is_text = any(isinstance(level, str) for level in column.levels)
        is_whole = not is_text and all(float(value).is_integer() for value in held)
        found[column.name] = pl.String if is_text else pl.Int64 if is_whole else pl.Float64
    return found


def _result(record: Record, entry: Entry) -> dict[str, Any]:
    setup, began = record.setup, record.began
    values: list[float | None] = [None] * len(setup.objectives)
    if entry.state == "ended" and not entry.has_failed:
        values = [o.to_value(cost) for o, cost in zip(setup.objectives, entry.costs, strict=True)]
    ended = entry.state == "ended"
    return {
        "job": entry.number,
        "trial": entry.launch.trial,
        "row": entry.launch.row,
        **{f"config:{name}": value for name, value in setup.space.config(entry.launch.row).items()},
        "fidelity": float(record.fidelities[entry.launch.level]),
        **{f"objective:{o.name}": value for o, value in zip(setup.objectives, values, strict=True)},
        "start": entry.asked - began,
        "end": entry.told - began if ended else None,
        "seconds": _seconds(entry) if ended else None,
        "worker": entry.worker if entry.worker is not None else str(entry.place),
        "attempt": entry.attempt,
        "state": "failed" if entry.has_failed else "done" if ended else entry.state,
        "verdict": None if entry.verdict is None else str(entry.verdict),
        "checkpoint": entry.checkpoint,
        "note": entry.note,
    }


def _seconds(entry: Entry) -> float | int:
    """That a training took: as told, or since it was handed out."""
    return entry.told - entry.asked if entry.seconds is None else entry.seconds


def done(entries: Iterable[Entry]) -> list[Entry]:
    """Jobs with a result."""
    return [entry for entry in entries if entry.state == "ended" and not entry.has_failed]


def front(record: Record, entries: Sequence[Entry], credit: str) -> pl.DataFrame:
    """``results`` of jobs that no other dominates, by the first objective: of those at the highest fidelity,
    or of all."""
    require_choice("credit", credit, CREDITS)
    top = record.setup.fidelities[-1]
    some = [e for e in done(entries) if credit == "logged" or record.fidelities[e.launch.level] == top]
    costs = np.array([entry.costs for entry in some]).reshape(len(some), len(record.setup.objectives))
    best = [some[index] for index in np.flatnonzero(non_dominated(costs))]
    return results(record, sorted(best, key=lambda entry: entry.costs))


def non_dominated(costs: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """Which points no other point is as good as in all objectives and better in one."""
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    return np.asarray(~(no_worse & better).any(axis=0))


def log(record: Record, entries: Sequence[Entry]) -> RunLog:
    """One lane; jobs that are out do not count."""
    setup, used, began = record.setup, record.used, record.began
    ended = np.array([entry.state == "ended" for entry in entries], bool)
    m = len(setup.objectives)

    def filled(values: list[Any], filler: Any, dtype: Any) -> np.ndarray:
        array = np.array(values, dtype).reshape(len(entries), -1)
        return np.where(ended[:, None], array, np.array(filler, dtype)).reshape(1, len(entries), -1)

    def column(values: list[Any], filler: Any, dtype: Any) -> np.ndarray:
        return filled(values, filler, dtype)[..., 0] if values else np.zeros((1, 0), dtype)

    costs = [entry.costs or (math.inf,) * m for entry in entries]
    return RunLog(
        task=np.zeros(1, np.int32),
        run=np.array([setup.run], np.int32),
        row=column([entry.launch.row for entry in entries], -1, np.int32),
        fidelity=column([used[entry.launch.level] for entry in entries], -1, np.int32),
        costs=filled(costs, math.inf, float) if entries else np.zeros((1, 0, m)),
        start=column([entry.asked - began for entry in entries], math.inf, float),
        end=column([entry.told - began for entry in entries], math.inf, float),
        worker=column([entry.place for entry in entries], -1, np.int32),
        valid=ended[None],
    )


def table(record: Record, entries: Sequence[Entry], name: str) -> Table:
    """A benchmark of one task: fidelities at which there is a result, and cells that were measured."""
    setup, used = record.setup, record.used
    found = done(entries)
    if not found:
        raise InputError("there is no result yet, and so no table")
    levels = sorted({used[entry.launch.level] for entry in found})
    shape = (1, len(setup.space), len(levels))
    costs, runtime = np.full((*shape, len(setup.objectives)), np.inf), np.full(shape, np.nan)
    paid: dict[int, float | int] = {}
    for entry in entries:
        if entry.state == "ended":
            paid[entry.launch.trial] = paid.get(entry.launch.trial, 0.0) + max(_seconds(entry), 0.0)
        if entry.state == "ended" and not entry.has_failed:
            cell = 0, entry.launch.row, levels.index(used[entry.launch.level])
            costs[cell], runtime[cell] = entry.costs, paid[entry.launch.trial]
    return Table(
        name=name,
        columns=setup.space.columns,
        configs=setup.space.configs,
        tasks=(setup.task,),
        fidelities=tuple(setup.fidelities[level] for level in levels),
        fidelity_name=setup.fidelity,
        fidelity_unit=setup.fidelity,
        objectives=setup.objectives,
        costs=costs,
        runtime=runtime,
        available=np.isfinite(runtime),
        provenance=f"measured by a live run of {setup.method}",
    )
