"""Gathering the tuning runs of one benchmark from finished work units."""

import weakref
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.credit import Results, blocks_of, have_used_up, is_result
from mohb_jax.analysis.thinning import not_yet_beaten
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import normalisation
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit
from mohb_jax.threads import map_in_threads
from mohb_jax.types import RunLog


class Lanes(NamedTuple):
    """Tuning runs of one benchmark, and their results that count as flat arrays."""

    method: Int[np.ndarray, " lanes"]
    task: Int[np.ndarray, " lanes"]
    run: Int[np.ndarray, " lanes"]
    evaluations: Int[np.ndarray, " lanes"]
    seconds: Float[np.ndarray, " lanes"]
    spent: Float[np.ndarray, " lanes"]
    full: Int[np.ndarray, " lanes"]
    """Evaluations at the highest fidelity that did not fail."""
    used_up: Bool[np.ndarray, " lanes"]
    """Whether all rows were evaluated at the highest fidelity."""
    lane: Int[np.ndarray, " events"]
    """Which lane an event belongs to; events are sorted by lane and then by ``end``. Most that an earlier one
    of the same lane dominates are left out."""
    row: Int[np.ndarray, " events"]
    """Row of what counts, see ``benchmarks.credit``."""
    end: Float[np.ndarray, " events"]
    costs: Float[np.ndarray, "events objectives"]
    """Normalised."""


_MOST_KEPT = 1 << 24
"""Numbers of a table whose normalised costs are kept: 128 MB."""
_KEPT: "weakref.WeakKeyDictionary[ResultTable, np.ndarray]" = weakref.WeakKeyDictionary()
_OF_LANES = Lanes._fields[: Lanes._fields.index("lane")]


def collect(table: ResultTable, units: Sequence[AnyUnit], methods: Sequence[str]) -> Lanes:
    """All lanes of the units, sorted by (task, method, run); a run stored twice is taken once.

    Args:
        table: what of the benchmark may count.
        units: finished work units of this benchmark.
        methods: display names; a lane's ``method`` is an index into them.

    Raises:
        InputError: a unit names an unknown method, task or row, or a run has two different results.
    """
    parts = map_in_threads(lambda unit: _unit_lanes(table, unit, methods), units)
    offset = np.cumsum([0] + [part.run.size for part in parts])
    lanes = Lanes(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    lanes = lanes._replace(lane=lanes.lane + np.repeat(offset[:-1], [part.lane.size for part in parts]))
    order = np.lexsort((lanes.run, lanes.method, lanes.task))
    identity = np.stack([lanes.task, lanes.method, lanes.run])[:, order]
    repeated = np.zeros(order.size, bool)
    repeated[1:] = (identity[:, 1:] == identity[:, :-1]).all(axis=0)
    _check_repeats(table, methods, lanes, order, repeated)
    return _reorder(lanes, order[~repeated])


def _check_repeats(
    table: ResultTable,
    methods: Sequence[str],
    lanes: Lanes,
    order: Int[np.ndarray, " lanes"],
    repeated: Bool[np.ndarray, " lanes"],
) -> None:
    """A run may be stored twice, but not with two outcomes: then the folder mixes two studies."""
    second = np.flatnonzero(repeated)
    here, before = order[second], order[second - 1]
    differs = (lanes.evaluations[here] != lanes.evaluations[before]) | (
        lanes.seconds[here] != lanes.seconds[before]
    )
    if differs.any():
        lane = here[differs.argmax()]
        raise InputError(
            f"method {methods[lanes.method[lane]]!r} has two different results for benchmark {table.name!r}, "
            f"task {table.tasks[lanes.task[lane]]!r}, run {lanes.run[lane]}: a folder holds one study"
        )


def _reorder(lanes: Lanes, order: Int[np.ndarray, " kept"]) -> Lanes:
    """The lanes named by ``order`` in that sequence, each with its events."""
    count = np.bincount(lanes.lane, minlength=lanes.run.size)
    start, length = (np.cumsum(count) - count)[order], count[order]
    event = np.repeat(start - np.cumsum(length) + length, length) + np.arange(length.sum())
    per_lane = {name: getattr(lanes, name)[order] for name in _OF_LANES}
    events = {name: getattr(lanes, name)[event] for name in ("row", "end", "costs")}
    return Lanes(**per_lane, lane=np.repeat(np.arange(order.size), length), **events)


def _unit_lanes(table: ResultTable, unit: AnyUnit, methods: Sequence[str]) -> Lanes:
    """One work unit's lanes, with what counts of them in order of lane and time."""
    log, highest = log_arrays(unit), unit.spec["highest_fidelity"]
    task = np.array([_index("task", name, table.tasks) for name in unit.spec["tasks"]], int)[log.task]
    found, costs = _counting(table, log, task, highest)
    return Lanes(
        method=np.full(log.run.size, _index("method", unit.spec["method"], methods)),
        task=task,
        run=np.asarray(log.run, np.int64),
        evaluations=np.asarray(log.valid.sum(axis=1), np.int64),
        seconds=np.where(log.valid, log.end, 0.0).max(axis=1, initial=0.0),
        spent=_spent(table, log, pays_difference(table, unit)),
        full=is_result(log, highest).sum(axis=1),
        used_up=have_used_up(table, log, task, highest),
        lane=found.lane,
        row=found.row,
        end=found.end,
        costs=costs,
    )


def _counting(
    table: ResultTable, log: RunLog, task: Int[np.ndarray, " lanes"], highest: int
) -> tuple[Results, Float[np.ndarray, "events objectives"]]:
    """What counts of a log, and its normalised costs, without most that earlier results of a run dominate.

    Block by block, each of which stays in the processor's cache: what is thrown away never leaves it.
    """
    results, costs = [], []
    for block in blocks_of(table, log, task, highest):
        own = _costs(table, task[block.lane], block.row)
        kept = not_yet_beaten(block.lane, block.end, own)
        results.append(Results(*(column[kept] for column in block)))
        costs.append(own[kept])
    found = Results(*(np.concatenate(column) for column in zip(*results, strict=True)))
    order = np.lexsort((found.end, found.lane))
    return Results(*(column[order] for column in found)), np.concatenate(costs)[order]


def _costs(
    table: ResultTable, task: Int[np.ndarray, " events"], row: Int[np.ndarray, " events"]
) -> Float[np.ndarray, "events objectives"]:
    """Normalised costs of events; objective by objective in memory, as they are compared."""
    whole = _all_costs(table)
    if whole is not None:
        return np.take(whole, task * table.num_rows + row, axis=1).T
    costs, scale = np.empty((row.size, table.num_objectives)), normalisation(table)
    for index in np.unique(task).tolist():
        own = task == index
        costs[own] = scale.apply(table.costs_of(index, row[own]), index)
    return costs


def _all_costs(table: ResultTable) -> Float[np.ndarray, "objectives cells"] | None:
    """Normalised costs of all that may count, task by task; None of a table that is too large."""
    if table.num_rows * len(table.tasks) * table.num_objectives > _MOST_KEPT:
        return None
    if table not in _KEPT:
        scale = normalisation(table)
        tasks = [scale.apply(table.final_costs(task), task) for task in range(len(table.tasks))]
        _KEPT[table] = np.ascontiguousarray(np.concatenate(tasks).T)
    return _KEPT[table]


def log_arrays(unit: AnyUnit) -> RunLog:
    """A unit's log as NumPy arrays, read when it is asked for."""
    return jax.tree.map(np.asarray, unit.log)


def _index(what: str, name: str, accepted: Sequence[str]) -> int:
    if name not in accepted:
        raise InputError(f"a result names the unknown {what} {name!r}; the study has {', '.join(accepted)}")
    return accepted.index(name)


def usd_objective(table: ResultTable) -> int | None:
    """Index of the first objective that is an amount of money."""
    return next((i for i, objective in enumerate(table.objectives) if objective.unit == "USD"), None)


def pays_difference(table: ResultTable, unit: AnyUnit) -> bool:
    """Whether promotion paid the difference: a setting that overrides the table's own answer."""
    stated = unit.spec.get("settings", {}).get("resumable")
    return table.resumable if stated is None else bool(stated)


def _spent(table: ResultTable, log: RunLog, resumable: bool) -> Float[np.ndarray, " lanes"]:
    """Money that each lane spent on all its evaluations at any fidelity; failed ones have no price: 0.

    Where promotion resumes a run, its cost holds that of the lower fidelities already, so only each row's
    dearest evaluation counts.
    """
    money = usd_objective(table)
    if money is None:
        return np.zeros(log.run.size)
    price = np.where(log.valid & np.isfinite(log.costs[..., money]), log.costs[..., money], 0.0)
    if not resumable:
        return price.sum(axis=1)
    order = np.lexsort((price, log.row), axis=1)
    row, price = (np.take_along_axis(np.asarray(part), order, axis=1) for part in (log.row, price))
    dearest = np.ones(row.shape, bool)  # the last one of each row, when sorted by row and price
    dearest[:, :-1] = row[:, :-1] != row[:, 1:]
    return np.where(dearest, price, 0.0).sum(axis=1)


def horizons(table: ResultTable, units: Sequence[AnyUnit], lanes: Lanes) -> dict[int, float]:
    """Seconds at which each task's comparison ends: the longest budget, or without one the latest result."""
    latest = np.zeros(len(table.tasks))
    np.maximum.at(latest, lanes.task, lanes.seconds)
    stated: dict[str, float] = {}
    for unit in units:
        for name, seconds in (unit.spec.get("horizon") or {}).items():
            stated[name] = max(stated.get(name, 0.0), seconds or 0.0)
    return {
        int(task): float(stated.get(table.tasks[task]) or latest[task] or 1.0)
        for task in np.unique(lanes.task)
    }
