"""Every definition of "reduction", side by side: docs/reproduction.md says in words what is computed here."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.benchmarks.columns import ALL_TASKS
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.papers.bootstrap import (
    Bounds,
    Measure,
    error_differences,
    geometric_mean,
    ratio,
    sample_counts,
    summarise,
    unknown,
)
from mohb_jax.papers.runs import Key, Roles, Runs, roles

TOLERANCES = (1, 2, 5)
"""Percent by which an error may exceed the best."""
STATISTICS = ("means", "medians")

Row = dict[str, Any]


class Definition(NamedTuple):
    """One meaning of "reduction"."""

    kind: str
    """``tuning`` (what a run takes) or ``selected`` (what its chosen configuration takes)."""
    tolerance: int | None
    """Percent above the table's best (tuning) or the run's best (selected); None: at equal final error."""

    @property
    def name(self) -> str:
        return f"{self.kind}-equal-error" if self.tolerance is None else f"{self.kind}-{self.tolerance}"

    @property
    def words(self) -> str:
        if self.tolerance is None:
            return "Equal error, " + {"tuning": "tuning", "selected": "selected configuration"}[self.kind]
        start = {
            "tuning": "Tuning, within {} % of table's best",
            "selected": "Selected, within {} % of run's best",
        }
        return start[self.kind].format(self.tolerance)


DEFINITIONS = tuple(
    Definition(kind, tolerance)
    for kinds, tolerances in (
        (("tuning",), TOLERANCES),
        (("selected",), TOLERANCES),
        (("selected", "tuning"), (None,)),
    )
    for kind in kinds
    for tolerance in tolerances
)
QUANTITIES = ("runtime", "cost")


class TaskTable(NamedTuple):
    """What a definition needs of the table on one task, at the highest fidelity, available rows alone."""

    error: Float[np.ndarray, " rows"]
    runtime: Float[np.ndarray, " rows"]
    cost: Float[np.ndarray, " rows"]


class Compared(NamedTuple):
    """A method against a baseline on one task under one definition."""

    reached: list[float] | None
    """Shares of the method's and of the baseline's runs; None where the definition names nothing, as without
    a common final error."""
    target: float | None
    """The error to be reached, where it is the same for all runs."""
    ratios: dict[str, Bounds]
    """By statistic."""
    summaries: dict[str, tuple[Bounds, Bounds]]
    """Method's and baseline's, by statistic."""
    errors: tuple[np.ndarray, np.ndarray] | None
    """What ``error_differences`` gives."""


_Key = tuple[str, Definition, str, tuple[str, str] | None]


def relaxed(error: Any, percent: float | int) -> Any:
    """The error that may exceed ``error`` by a percentage of its size."""
    return error + np.abs(error) * (percent / 100)


def task_table(table: ResultTable, task: str) -> TaskTable:
    """The table's errors, runtimes and costs on a task; zeros for what it does not have."""
    index = table.task_index(task)
    costs = table.final_costs(index)[table.final_available(index)]
    columns = [np.zeros(len(costs)) if role is None else costs[:, role] for role in roles(table)]
    return TaskTable(costs[:, 0], *columns)


def tuning(runs: Runs, target: float | int, quantity: str) -> Measure:
    """Simulated seconds, or cost spent, until each run has a result with error at most ``target``.

    Args:
        runs: of one method on one task.
        target: error to reach.
        quantity: ``runtime`` (seconds) or ``cost``.

    Returns:
        Runs that never get there count with their horizon, or with all that they spent. The error is the
        least of the run at its end.
    """
    hit: np.ndarray = runs.error <= target
    reached, first = np.any(hit, axis=1), hit.argmax(axis=1)[:, None]
    at_hit, at_end = (runs.end, runs.horizon) if quantity == "runtime" else (runs.spent, runs.total)
    value = np.where(reached, np.take_along_axis(at_hit, first, axis=1)[:, 0], at_end)
    return Measure(value, reached, runs.best)


def selected(runs: Runs, limit: Any, quantity: str, worst: float | int) -> Measure:
    """The least runtime or cost among each run's results with error at most ``limit``.

    Args:
        runs: of one method on one task.
        limit: one error for all, or one per run.
        quantity: ``runtime`` or ``cost``.
        worst: what a run without such a result counts with.

    Returns:
        The error is that of the chosen configuration: of equal ones, the least.
    """
    value: np.ndarray = getattr(runs, quantity)
    fits: np.ndarray = np.isfinite(runs.error) & (runs.error <= np.reshape(limit, (-1, 1)))
    least = np.where(fits, value, np.inf).min(axis=1)
    chosen = fits & (value == least[:, None])
    reached = np.any(fits, axis=1)
    error = np.where(chosen, runs.error, np.inf).min(axis=1)
    return Measure(np.where(reached, least, float(worst)), reached, error)


def final_error(first: Runs, second: Runs) -> float:
    """The greater of the two median final errors; infinite where half of the runs have no result."""
    with np.errstate(invalid="ignore"):
        return float(max(np.median(first.best), np.median(second.best)))


class Comparison:
    """All definitions on one task of one benchmark; what concerns one method alone is computed once."""

    def __init__(
        self,
        table: TaskTable,
        runs: Mapping[str, Runs],
        pairs: Sequence[tuple[str, str]],
        quantities: Sequence[str],
    ) -> None:
        self.table = table
        self.runs = runs
        self.num_runs = next(iter(runs.values())).run.size
        self._final_errors = {pair: final_error(runs[pair[0]], runs[pair[1]]) for pair in pairs}
        self._measures: dict[_Key, Measure] = {}
        self._pairs: dict[tuple[_Key, _Key], None] = {}
        for pair in pairs:
            for definition in DEFINITIONS:
                for quantity in quantities:
                    self._add(pair, definition, quantity)
        # All at once, because one product of matrices is much faster than many with vectors.
        self._summaries = dict(zip(self._measures, summarise(list(self._measures.values())), strict=True))
        measures = [(self._measures[ours], self._measures[theirs]) for ours, theirs in self._pairs]
        self._errors = dict(zip(self._pairs, error_differences(measures), strict=True))

    def compare(self, pair: tuple[str, str], definition: Definition, quantity: str) -> Compared:
        """A method against a baseline."""
        target = self._target(pair, definition)
        if target == math.inf:
            nothing = unknown(len(sample_counts(self.num_runs)))
            return Compared(None, None, dict.fromkeys(STATISTICS, nothing), {}, None)
        ours, theirs = (self._key(pair, side, definition, quantity) for side in (0, 1))
        summaries = {
            name: (self._summaries[ours][name], self._summaries[theirs][name]) for name in STATISTICS
        }
        ratios = {name: ratio(theirs, ours) for name, (ours, theirs) in summaries.items()}
        shares = [float(self._measures[key].reached.mean()) for key in (ours, theirs)]
        return Compared(shares, target, ratios, summaries, self._errors[ours, theirs])

    def _add(self, pair: tuple[str, str], definition: Definition, quantity: str) -> None:
        target = self._target(pair, definition)
        if target == math.inf:
            return
        keys = tuple(self._key(pair, side, definition, quantity) for side in (0, 1))
        for method, key in zip(pair, keys, strict=True):
            if key not in self._measures:
                self._measures[key] = self._measure(method, definition, quantity, target)
        self._pairs[keys[0], keys[1]] = None

    def _key(self, pair: tuple[str, str], side: int, definition: Definition, quantity: str) -> "_Key":
        """Only at equal final error does a method's number depend on the other method."""
        return pair[side], definition, quantity, pair if definition.tolerance is None else None

    def _target(self, pair: tuple[str, str], definition: Definition) -> float | None:
        if definition.tolerance is None:
            return self._final_errors[pair]
        if definition.kind == "tuning":
            return float(relaxed(self.table.error.min(), definition.tolerance))
        return None

    def _measure(self, method: str, definition: Definition, quantity: str, target: float | None) -> Measure:
        runs = self.runs[method]
        if definition.kind == "tuning":
            assert target is not None  # only a choice among a run's own results has none
            return tuning(runs, target, quantity)
        possible: np.ndarray = getattr(self.table, quantity)
        if target is not None:
            within = possible[self.table.error <= target]
            return selected(runs, target, quantity, within.max(initial=0.0))
        assert definition.tolerance is not None
        return selected(runs, relaxed(runs.best, definition.tolerance), quantity, possible.max())


# --- rows ------------------------------------------------------------------------------------------------


def reduction_rows(
    table: ResultTable, runs: Mapping[Key, Runs], pairs: Sequence[tuple[str, str]]
) -> list[Row]:
    """Every definition for every pair: one row over all tasks, followed by one per task.

    Args:
        table: the benchmark, at least at the highest fidelity.
        runs: by task and method, as ``read_runs`` gives them.
        pairs: method and baseline; both need runs on every task.

    Returns:
        Rows with ``benchmark``, ``task``, ``method``, ``baseline``, ``definition``, ``quantity``, ``unit``,
        ``num_runs``, and for each of ``means`` and ``medians`` a mapping: ``ratio`` (least and greatest
        possible value), ``ci95`` (both None for a single run; None for an open end). Rows of a task also have
        ``target``, ``reached`` (method, baseline) and ``values`` (method's and baseline's statistic); the row
        over all tasks has ``least`` (the least ratio over tasks) instead. ``error_difference`` is None or has
        ``mean``, ``ci95``, ``percent`` and ``percent_ci95``.
    """
    tasks = [task for task in table.tasks if any(key[0] == task for key in runs)]
    methods = list(dict.fromkeys(name for pair in pairs for name in pair))
    comparisons = {task: _comparison(table, task, methods, runs, pairs) for task in tasks}
    rows: list[Row] = []
    for pair in pairs:
        for quantity, unit in quantities(table).items():
            for definition in DEFINITIONS:
                about: Row = {"benchmark": table.name, "method": pair[0], "baseline": pair[1]}
                about |= {"definition": definition.name, "quantity": quantity, "unit": unit}
                about["num_runs"] = min(comparison.num_runs for comparison in comparisons.values())
                parts = [comparisons[task].compare(pair, definition, quantity) for task in tasks]
                rows.append(about | _over_tasks(parts))
                rows += [about | _task_row(task, part) for task, part in zip(tasks, parts, strict=True)]
    return rows


def quantities(table: ResultTable) -> dict[str, str]:
    """Runtime and cost, those that the table has, with their units."""
    found: Roles = roles(table)
    units = [None if role is None else table.objectives[role].unit for role in found]
    return {name: unit for name, unit in zip(QUANTITIES, units, strict=True) if unit is not None}


def _comparison(
    table: ResultTable,
    task: str,
    methods: Sequence[str],
    runs: Mapping[Key, Runs],
    pairs: Sequence[tuple[str, str]],
) -> Comparison:
    """The runs that all methods have on a task, paired by their index."""
    own = {method: runs[task, method] for method in methods}
    common = functools.reduce(np.intersect1d, [part.run for part in own.values()])
    paired = {method: part.take(np.searchsorted(part.run, common)) for method, part in own.items()}
    return Comparison(task_table(table, task), paired, pairs, list(quantities(table)))


def _task_row(task: str, part: Compared) -> Row:
    row: Row = {"task": task, "target": part.target, "reached": part.reached}
    for name in STATISTICS:
        values = [_finite(summary.point) for summary in part.summaries.get(name, ())]
        row[name] = _described(part.ratios[name]) | {"values": values or None}
    return row | {"error_difference": _error_row([part])}


def _over_tasks(parts: Sequence[Compared]) -> Row:
    shares = [part.reached for part in parts if part.reached is not None]
    whole = len(shares) == len(parts)
    row: Row = {
        "task": ALL_TASKS,
        "target": None,
        "reached": np.mean(shares, axis=0).tolist() if whole else None,
    }
    for name in STATISTICS:
        ratios = [part.ratios[name] for part in parts]
        least = [min(end) for end in zip(*(item.point for item in ratios), strict=True)]
        row[name] = _described(geometric_mean(ratios)) | {"least": _finite(least)}
    return row | {"error_difference": _error_row(parts)}


def _described(bounds: Bounds) -> Row:
    interval = bounds.interval
    return {"ratio": _finite(bounds.point), "ci95": None if interval is None else _finite(interval)}


def _finite(ends: Sequence[float]) -> list[float | None]:
    """Infinite ends as None, since JSON has no infinity."""
    return [end if math.isfinite(end) else None for end in ends]


def _error_row(parts: Sequence[Compared]) -> Row | None:
    """Mean over tasks of the errors' differences, those of tasks without any left out."""
    samples = [part.errors for part in parts if part.errors is not None]
    if not samples:
        return None
    difference, percent = (np.mean(np.stack(column), axis=0) for column in zip(*samples, strict=True))
    row = {"mean": difference[0], "percent": percent[0]}
    row |= {"ci95": _quantiles(difference[1:]), "percent_ci95": _quantiles(percent[1:])}
    return {name: value if isinstance(value, list | None) else _number(value) for name, value in row.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _quantiles(samples: np.ndarray) -> list[float | None] | None:
    if not samples.size or not np.isfinite(samples).all():
        return None
    return [float(end) for end in np.quantile(samples, [0.025, 0.975])]
