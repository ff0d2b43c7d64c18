"""Random search in the box around what was best on the other tasks: transfer without a model."""

import functools

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.searchers.base import Searcher, ignore
from mohb_jax.searchers.random import Candidates, init, listed, suggest
from mohb_jax.transfer import Prior, require_other_tasks


@functools.cache
def bounding_box() -> Searcher:
    """Random search inside the box that holds the Pareto fronts of the other tasks.

    Numeric columns are restricted to the range of the fronts' values, categorical ones to the levels that
    occur. When the box is used up, the rows nearest to it follow.

    References:
        Perrone, Shen, Seeger, Archambeau, Jenatton, "Learning search spaces for Bayesian optimization", 2019;
        fronts in place of single optima are ours.
    """
    return Searcher(_boxes, init, suggest, ignore)


def _boxes(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Candidates:
    del seed, prior
    require_other_tasks(table)
    rows, num_inside = [], []
    for task in tasks:
        others = [other for other in range(table.num_tasks) if other != task]
        best = np.unique(np.concatenate([true_front(table, other) for other in others]))
        measured = np.flatnonzero(table.measured(task))
        distance = box_distance(table, best)[measured]
        rows.append(measured[np.argsort(distance, kind="stable")])
        num_inside.append(max(1, int((distance == 0).sum())))
    return listed(rows, num_inside)


def box_distance(table: AnyTable, best: Int[np.ndarray, " k"]) -> Float[np.ndarray, " rows"]:
    """How far each row lies outside the box around some rows: 0 inside.

    A numeric column counts with what it exceeds the box by, as a share of the column's range (after the
    logarithm in a ``log`` column); a categorical one counts 1 if no row in the box has its level.
    """
    squared = np.zeros(table.num_rows)
    for column, values in zip(table.columns, table.configs.T, strict=True):
        if column.kind == "categorical":
            squared += ~np.isin(values, values[best])
            continue
        values = np.log(values) if column.kind == "log" else values
        low, high = values[best].min(), values[best].max()
        outside = np.maximum(low - values, 0) + np.maximum(values - high, 0)
        squared += (outside / (np.ptp(values) or 1.0)) ** 2
    return np.sqrt(squared)
