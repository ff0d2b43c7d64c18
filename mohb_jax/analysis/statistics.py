"""Numbers over runs: means, medians, bootstrap intervals, ranks and paired differences."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy  # its parts load when they are first used: `scipy.stats` takes half a second
from jaxtyping import Float, Int

from mohb_jax.analysis.curves import Cell
from mohb_jax.benchmarks.columns import ALL_TASKS
from mohb_jax.types import RUN_GROUPS

NUM_RESAMPLES = 2000
"""Bootstrap samples behind every interval."""
CONFIDENCE = 0.95
SPREAD = ("hypervolume", "front_found", "igd_plus", "additive_epsilon", "anytime")
"""Indicators that a row gives with mean, median and interval."""
MEANS = ("evaluations", "full_evaluations", "simulated_seconds", "spent_usd")
"""Indicators that a row gives as a mean over runs."""

Row = dict[str, Any]


@functools.lru_cache(maxsize=4)
def resample_counts(
    num_runs: int, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Float[np.ndarray, "resamples runs"]:
    """How often each run is drawn in each bootstrap sample.

    Runs that may share draws of a prior, see ``RUN_GROUPS``, are drawn together: a block bootstrap. Blocks of
    one size are drawn among themselves, so that each sample has as many runs. Equal arguments give equal
    samples, so that all numbers of a report are resampled together and differences stay paired.

    Args:
        num_runs: runs to draw from, numbered from 0; as many are drawn, with replacement.
        num_resamples: bootstrap samples.
        seed: of the draws.

    References:
        Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    """
    generator = np.random.default_rng(seed)
    block = np.arange(num_runs) % RUN_GROUPS
    size = np.bincount(block)
    blocks = np.zeros((num_resamples, size.size))
    for own in (np.flatnonzero(size == runs) for runs in np.unique(size)):
        blocks[:, own] = _drawn(generator, own.size, num_resamples)
    return blocks[:, block]


def _drawn(
    generator: np.random.Generator, num: int, num_resamples: int
) -> Float[np.ndarray, "resamples num"]:
    drawn = generator.integers(num, size=(num_resamples, num))
    flat = (np.arange(num_resamples)[:, None] * num + drawn).reshape(-1)
    counts = np.bincount(flat, minlength=num_resamples * num).astype(np.float64)
    return counts.reshape(num_resamples, num)


def tail(num_runs: int) -> float:
    """Share of the bootstrap's means that lies beyond each end of a 95 % interval over so many runs.

    A plain percentile interval is too short for few runs: by the factor ``sqrt((n - 1) / n)``, and for taking
    the normal's quantiles in place of Student's. Over twenty runs it covers 93 % in place of 95 %. Quantiles
    farther out make up for both. Beyond ``RUN_GROUPS`` runs, n is the number of blocks.

    Args:
        num_runs: at least one.

    References:
        Hesterberg, "What Teachers Should Know About the Bootstrap", 2015: the expanded percentile interval.
    """
    plain = (1 - CONFIDENCE) / 2
    n = min(num_runs, RUN_GROUPS)
    if n < 2:
        return plain
    return float(scipy.stats.norm.sf(math.sqrt(n / (n - 1)) * scipy.stats.t.isf(plain, n - 1)))


def intervals(
    values: Float[np.ndarray, "columns runs"],
) -> Float[np.ndarray, "columns 2"]:
    """95 % percentile bootstrap intervals of the means over runs, one per column, see ``tail``.

    Args:
        values: at least one run.

    Returns:
        Low and high ends; both are the value itself for constant values or a single run.

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    first = values[:, :1]  # taken off so that constant values come out exactly, free of rounding
    num_runs = values.shape[1]
    means = (values - first) @ resample_counts(num_runs).T / num_runs
    beyond = tail(num_runs)
    return first + np.quantile(means, [beyond, 1 - beyond], axis=1).T


def summarise(values: Float[np.ndarray, "columns runs"]) -> list[Row]:
    """Mean, median and 95 % interval of the mean over runs; the interval of a single run is None."""
    ends: list[Any] = [None] * len(values) if values.shape[1] < 2 else intervals(values).tolist()
    means, medians = values.mean(axis=1).tolist(), np.median(values, axis=1).tolist()
    return [
        {"mean": mean, "median": median, "ci95": ci95}
        for mean, median, ci95 in zip(means, medians, ends, strict=True)
    ]


RANK = (
    "On each task methods are placed by their mean final hypervolume over seeds (1 is best, ties share the "
    "average of their places); a rank is the mean of the places over tasks."
)
"""The one definition of rank, as page, tables and docstrings mean it."""


def average_ranks(means: Float[np.ndarray, "methods tasks"]) -> Float[np.ndarray, " methods"]:
    """Mean over tasks of each method's place by descending value, see ``RANK``.

    Args:
        means: larger is better; differences below 1e-12 count as ties.
    """
    return scipy.stats.rankdata(-np.round(means, 12), axis=0).mean(axis=1)


class Finals(NamedTuple):
    """The final indicators of one method's runs, on one task or averaged over tasks."""

    benchmark: str
    task: str
    method: str
    num_tasks: int
    horizon: float
    runs: Int[np.ndarray, " runs"]
    final: dict[str, np.ndarray]

    def at(self, indicator: str, runs: Int[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
        """Values at the given run indices, which must all be there."""
        return self.final[indicator][np.searchsorted(self.runs, runs)]


def common_runs(finals: Sequence[Finals]) -> Int[np.ndarray, " common"]:
    """Run indices that all have, ascending."""
    return functools.reduce(np.intersect1d, [item.runs for item in finals])


def summary_rows(cells: Sequence[Cell], reference: str) -> list[Row]:
    """One row per benchmark, task and method, and one with task ``all`` per benchmark and method.

    Args:
        cells: results of a study, benchmark by benchmark.
        reference: the method that the others are compared with, run index by run index (equal indices share
            their random numbers).

    Returns:
        Rows as ``summary.json`` holds them. ``hypervolume``, ``front_found``, ``igd_plus``, ``anytime`` and
        ``additive_epsilon`` have mean, median and ci95. ``evaluations`` (any fidelity), ``full_evaluations``,
        ``simulated_seconds`` and ``spent_usd`` are means over runs. ``rank`` (see ``RANK``) is among the
        methods of the task. ``difference`` is to the reference, and None for the reference itself. Rows of
        task ``all`` describe each run's mean over the tasks and come first in their benchmark.
    """
    rows: list[Row] = []
    for benchmark in dict.fromkeys(cell.benchmark for cell in cells):
        own = [_finals(cell) for cell in cells if cell.benchmark == benchmark]
        tasks = [[f for f in own if f.task == task] for task in dict.fromkeys(f.task for f in own)]
        methods = [[f for f in own if f.method == method] for method in dict.fromkeys(f.method for f in own)]
        per_task = [row for group in tasks for row in _rows(group, reference)]
        rows += _mean_ranks(_rows([_over_tasks(group) for group in methods], reference), per_task) + per_task
    return rows


def _finals(cell: Cell) -> Finals:
    return Finals(cell.benchmark, cell.task, cell.method, 1, cell.horizon, cell.runs, cell.final)


def _over_tasks(group: Sequence[Finals]) -> Finals:
    """One method's tasks averaged run by run, over the runs that all tasks have."""
    runs = common_runs(group)
    final = {name: np.mean([item.at(name, runs) for item in group], axis=0) for name in group[0].final}
    horizon = max(item.horizon for item in group)
    return group[0]._replace(task=ALL_TASKS, num_tasks=len(group), horizon=horizon, runs=runs, final=final)


def _rows(group: Sequence[Finals], reference: str) -> list[Row]:
    """Rows of methods that share a task; methods without a run (of all tasks) are left out."""
    group = [item for item in group if item.runs.size]
    base = next((item for item in group if item.method == reference), None)
    ranks = _ranks(group)
    return [
        _row(item) | {"rank": rank, "difference": _difference(item, base)}
        for item, rank in zip(group, ranks, strict=True)
    ]


def _row(item: Finals) -> Row:
    """What concerns one method alone."""
    plain = {"benchmark": item.benchmark, "task": item.task, "method": item.method}
    counts = {"num_tasks": item.num_tasks, "num_seeds": int(item.runs.size), "horizon_seconds": item.horizon}
    summaries = summarise(np.stack([item.final[name] for name in SPREAD]))
    spread = dict(zip(SPREAD, summaries, strict=True))
    means = {name: float(item.final[name].mean()) for name in MEANS if name in item.final}
    return plain | counts | spread | means


def _ranks(group: Sequence[Finals]) -> list[float | None]:
    """Place of each method by mean final hypervolume over the runs that all have."""
    runs = common_runs(group) if group else np.zeros(0)
    if not runs.size:
        return [None] * len(group)
    return average_ranks(np.array([[item.at("hypervolume", runs).mean()] for item in group])).tolist()


def _mean_ranks(over: list[Row], per_task: Sequence[Row]) -> list[Row]:
    """Over tasks, the average of the tasks' ranks rather than the rank of the average."""
    for row in over:
        ranks = [other["rank"] for other in per_task if other["method"] == row["method"]]
        row["rank"] = None if None in ranks else float(np.mean(ranks))
    return over


def _difference(item: Finals, base: Finals | None) -> Row | None:
    """Hypervolume of the method minus that of the reference, run by run."""
    if base is None or item.method == base.method:
        return None
    runs = common_runs([item, base])
    if not runs.size:
        return None
    values = item.at("hypervolume", runs) - base.at("hypervolume", runs)
    summary = summarise(values[None])[0]
    return {"reference": base.method, "mean": summary["mean"], "ci95": summary["ci95"]}
