"""Methods on the tasks that all of them finished: the plain numbers behind all statistics across tasks.

A task is one task of one benchmark. Runs with equal index share their random numbers (common random numbers).
Bootstrap intervals resample run indices for all methods and tasks at once, and so use this pairing.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.statistics import Row

LEAST_TASKS = 5
"""Below this many tasks nothing is tested across tasks: no outcome could be significant."""
DECIMALS = 12
"""Differences below this decimal count as ties, as in ``average_ranks``."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What methods reached at the end of their runs, on the tasks that all of them finished.

    Methods that a study runs on some of its benchmarks only are left out, not the other benchmarks.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    """``BENCHMARK/TASK``."""
    values: Float[np.ndarray, "tasks methods runs"]
    """Final relative hypervolume in [0, 1], larger is better; runs that all methods have on all tasks."""
    num_left_out: int
    """Tasks left out because some method has no result there."""
    without: tuple[str, ...] = ()
    """Methods left out because they have no result on some benchmark."""

    @property
    def means(self) -> Float[np.ndarray, "tasks methods"]:
        """Means over runs."""
        return self.values.mean(axis=2)


class Complete(NamedTuple):
    """Cells of the tasks that all methods finished, in the order of the methods."""

    methods: tuple[str, ...]
    groups: list[list[Cell]]
    runs: Int[np.ndarray, " runs"]
    num_left_out: int


def complete(cells: Sequence[Cell], methods: Sequence[str]) -> Complete:
    kept = everywhere(cells, methods)
    groups: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.benchmark, cell.task), {})[cell.method] = cell
    whole = [[group[method] for method in kept] for group in groups.values() if group.keys() >= set(kept)]
    indices = [cell.runs for group in whole for cell in group]
    runs = functools.reduce(np.intersect1d, indices) if indices else np.zeros(0, np.int64)
    if not runs.size:
        whole = []
    return Complete(kept, whole, runs, len(groups) - len(whole))


def everywhere(cells: Sequence[Cell], methods: Sequence[str]) -> tuple[str, ...]:
    """Methods that ran on every benchmark; if that leaves less than two, those that ran at all."""
    ran: dict[str, set[str]] = {}
    for cell in cells:
        ran.setdefault(cell.method, set()).add(cell.benchmark)
    most = set().union(*ran.values())
    whole = tuple(method for method in methods if ran.get(method) == most)
    return whole if len(whole) > 1 else tuple(method for method in methods if method in ran)


def places(cell: Cell, runs: Int[np.ndarray, " runs"]) -> Int[np.ndarray, " runs"]:
    """Where a cell keeps the given runs."""
    return np.searchsorted(cell.runs, runs)


def comparison(cells: Sequence[Cell], methods: Sequence[str]) -> Comparison:
    """The plain numbers behind all tests.

    Args:
        cells: results of a study, see ``study_cells``.
        methods: display names in the order wanted; those without any result are left out.

    Returns:
        Tasks in the order of the cells; none, where no task has a run that all methods finished.
    """
    found = complete(cells, methods)
    tasks = tuple(f"{group[0].benchmark}/{group[0].task}" for group in found.groups)
    values = [
        [cell.final["hypervolume"][places(cell, found.runs)] for cell in group] for group in found.groups
    ]
    shape = (len(tasks), len(found.methods), found.runs.size)
    without = tuple(method for method in methods if method not in found.methods)
    return Comparison(
        found.methods, tasks, np.array(values, np.float64).reshape(shape), found.num_left_out, without
    )


def rows(items: Iterable[Any]) -> list[Row]:
    """Results of this module (``Ranking``, ``Pair``, ``Effect``) as ``json`` writes them, free of NaN."""
    return [dataclasses.asdict(item) for item in items]
