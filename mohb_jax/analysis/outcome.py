"""Which method ends best over some benchmarks, by how much, and how sure that is."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.statistics import Row, average_ranks, summarise

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
    ranks: tuple[float, ...]
    """See ``statistics.RANK``."""
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
    found = finals_of(cells)
    if found is None:
        return None
    tasks, methods, finals = found
    scores = over_tasks(finals, [benchmark for benchmark, _ in tasks])
    order = np.argsort(-np.round(scores.mean(axis=1), _PLACES), kind="stable")
    means = np.round(finals.mean(axis=2), _PLACES)
    wins = (means == means.max(axis=1, keepdims=True)).sum(axis=0)
    return Outcome(
        methods=tuple(methods[index] for index in order),
        levels=summarise(scores[order]),
        leads=summarise(scores[order[0]] - scores[order]),
        wins=tuple(int(wins[index]) for index in order),
        ranks=tuple(average_ranks(means.T)[order].tolist()),
        num_benchmarks=len({benchmark for benchmark, _ in tasks}),
        num_tasks=len(tasks),
        num_seeds=finals.shape[-1],
    )


def disagreements(found: Outcome) -> list[tuple[int, int]]:
    """Pairs of methods, by place, of which the first has the higher mean but the lower median or the worse
    rank.

    Those of the highest means come first. What is equal is in no order.
    """
    means, medians = (np.array([level[name] for level in found.levels]) for name in ("mean", "median"))
    others = (medians, -np.array(found.ranks))
    return [
        (one, other)
        for one, other in itertools.combinations(range(means.size), 2)
        if round(means[one] - means[other], _PLACES) > 0
        and any(round(values[one] - values[other], _PLACES) < 0 for values in others)
    ]


class FinalsOf(NamedTuple):
    """Final hypervolume of methods that finished the same tasks."""

    tasks: list[tuple[str, str]]
    """Benchmark and task."""
    methods: list[str]
    values: Float[np.ndarray, "tasks methods runs"]
    """Of the runs that all have."""


def finals_of(cells: Sequence[Cell]) -> FinalsOf | None:
    """None where methods have not finished the same tasks or share no run."""
    tasks = list(dict.fromkeys((cell.benchmark, cell.task) for cell in cells))
    methods = list(dict.fromkeys(cell.method for cell in cells))
    if len(cells) != len(tasks) * len(methods):
        return None
    finals = _finals(cells, tasks, methods)
    return FinalsOf(tasks, methods, finals) if finals.shape[-1] else None


def _finals(
    cells: Sequence[Cell], tasks: Sequence[tuple[str, str]], methods: Sequence[str]
) -> Float[np.ndarray, "tasks methods runs"]:
    """Final hypervolume of the runs that all cells have."""
    found = {(cell.benchmark, cell.task, cell.method): cell for cell in cells}
    runs = functools.reduce(np.intersect1d, [cell.runs for cell in cells])
    own = [[found[*task, method] for method in methods] for task in tasks]
    rows = [[cell.final["hypervolume"][np.searchsorted(cell.runs, runs)] for cell in row] for row in own]
    return np.array(rows, float).reshape(len(tasks), len(methods), runs.size)


def over_tasks(
    finals: Float[np.ndarray, "tasks methods runs"], benchmarks: Sequence[str]
) -> Float[np.ndarray, "methods runs"]:
    """Mean over the tasks of each benchmark, then over benchmarks."""
    names = np.array(benchmarks)
    return np.mean([finals[names == name].mean(axis=0) for name in dict.fromkeys(benchmarks)], axis=0)
