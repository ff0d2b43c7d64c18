"""The summary in sentences: which method is best, by how much, and how sure that is."""

import functools
import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.report.comparison import everywhere
from mohb_jax.report.curves import Cell
from mohb_jax.report.statistics import Row, summarise
from mohb_jax.report.style import seeds_text

_PLACES = 12
"""Decimals that count when means are compared, as for ranks: what differs only by rounding is a tie."""


class Outcome(NamedTuple):
    """Methods by final hypervolume, the highest mean first."""

    methods: tuple[str, ...]
    levels: list[Row]
    """Mean, median and interval of each method."""
    leads: list[Row]
    """The same of the first method minus each, run by run."""
    wins: tuple[int, ...]
    """Tasks on which each method's mean is the highest; a tie counts for all that share it."""
    num_benchmarks: int
    num_tasks: int
    num_seeds: int


def outcome(cells: Sequence[Cell]) -> Outcome | None:
    """Compares methods over the tasks and benchmarks of the cells; each benchmark weighs the same.

    Args:
        cells: of one or more benchmarks.

    Returns:
        None where methods have not finished the same tasks or share no run: they cannot be compared yet.
    """
    tasks = list(dict.fromkeys((cell.benchmark, cell.task) for cell in cells))
    methods = list(dict.fromkeys(cell.method for cell in cells))
    if len(cells) != len(tasks) * len(methods):
        return None
    finals = _finals(cells, tasks, methods)
    if not finals.shape[-1]:
        return None
    scores = _over_tasks(finals, [benchmark for benchmark, _ in tasks])
    order = np.argsort(-np.round(scores.mean(axis=1), _PLACES), kind="stable")
    means = np.round(finals.mean(axis=2), _PLACES)
    wins = (means == means.max(axis=1, keepdims=True)).sum(axis=0)
    return Outcome(
        methods=tuple(methods[index] for index in order),
        levels=summarise(scores[order]),
        leads=summarise(scores[order[0]] - scores[order]),
        wins=tuple(int(wins[index]) for index in order),
        num_benchmarks=len({benchmark for benchmark, _ in tasks}),
        num_tasks=len(tasks),
        num_seeds=finals.shape[-1],
    )


def _finals(
    cells: Sequence[Cell], tasks: Sequence[tuple[str, str]], methods: Sequence[str]
) -> Float[np.ndarray, "tasks methods runs"]:
    """Final hypervolume of the runs that all cells have."""
    found = {(cell.benchmark, cell.task, cell.method): cell for cell in cells}
    runs = functools.reduce(np.intersect1d, [cell.runs for cell in cells])
    own = [[found[*task, method] for method in methods] for task in tasks]
    rows = [[cell.final["hypervolume"][np.searchsorted(cell.runs, runs)] for cell in row] for row in own]
    return np.array(rows, float).reshape(len(tasks), len(methods), runs.size)


def _over_tasks(
    finals: Float[np.ndarray, "tasks methods runs"], benchmarks: Sequence[str]
) -> Float[np.ndarray, "methods runs"]:
    """Mean over the tasks of each benchmark, then over benchmarks."""
    names = np.array(benchmarks)
    return np.mean([finals[names == name].mean(axis=0) for name in dict.fromkeys(benchmarks)], axis=0)


def verdict(where: str, cells: Sequence[Cell]) -> str:
    """Sentences as HTML: the best method, its lead on the next one, and what the intervals leave open.

    Args:
        where: how the first sentence begins, as HTML: ``On <strong>cnn</strong>``.
        cells: of one or more benchmarks.
    """
    methods = list(dict.fromkeys(cell.method for cell in cells))
    compared = everywhere(cells, methods)
    found = outcome([cell for cell in cells if cell.method in compared])
    if found is None:
        return f"{where}, methods have not finished the same tasks yet, so none is called best."
    others = [_strong(method) for method in methods if method not in compared]
    said = f"{where}, {_first(found)} {_next(found)}".strip()
    return (
        f"{said} Without results on every benchmark, so not compared: {listed(others)}." if others else said
    )


def _first(found: Outcome) -> str:
    """Who has the highest mean, what it is, and on how many tasks."""
    alone = len(found.methods) == 1
    place = "the only method" if alone else "first" if _unclear(found) else "best"
    won = f", and has the highest mean on {found.wins[0]:,} of {found.num_tasks:,} tasks"
    return (
        f"{_strong(found.methods[0])} is {place}: it ends with {_mean(found.levels[0])} of the true front's "
        f"hypervolume, {_over(found)}{won * (found.num_tasks > 1 and not alone)}."
    )


def _over(found: Outcome) -> str:
    benchmarks = f"{found.num_benchmarks} benchmarks" if found.num_benchmarks > 1 else ""
    tasks = f"{found.num_tasks:,} tasks" if found.num_tasks > found.num_benchmarks else ""
    parts = [part for part in (benchmarks, tasks, seeds_text([found.num_seeds])) if part]
    return f"the mean over {listed(parts)}"


def _next(found: Outcome) -> str:
    """The lead on the second method, and every method that the runs do not tell apart from the first."""
    if len(found.methods) == 1:
        return ""
    lead = f"It leads the next, {_strong(found.methods[1])}, by {_mean(found.leads[1])}"
    if found.leads[1]["ci95"] is None:
        return f"{lead}; with one seed, nothing can be said about how sure that is."
    open_ones = [_strong(found.methods[index]) for index in _unclear(found)]
    if not open_ones:
        return f"{lead}; the interval lies above 0, so the lead is clear on these tasks."
    many = len(open_ones) > 1
    holding = "the intervals of the differences hold" if many else "the interval of the difference holds"
    return f"{lead}. These runs do not tell it apart from {listed(open_ones)}: {holding} 0."


def _unclear(found: Outcome) -> list[int]:
    """Places of the methods whose interval does not lie wholly below the first method."""
    return [index for index, lead in enumerate(found.leads) if index and not _clear(lead)]


def _clear(lead: Row) -> bool:
    """Whether the interval of a lead lies above zero."""
    return lead["ci95"] is not None and lead["ci95"][0] > 0


def _strong(name: str) -> str:
    return f"<strong>{html.escape(name)}</strong>"


def _mean(summary: Row) -> str:
    """Mean and interval."""
    if summary["ci95"] is None:
        return f"{summary['mean']:.3f}"
    low, high = summary["ci95"]
    return f'{summary["mean"]:.3f} <span class="interval">[{low:.3f}, {high:.3f}]</span>'


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
