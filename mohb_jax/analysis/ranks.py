"""Average ranks across tasks, at the end and against time, with the tests of Friedman and Nemenyi.

The tests pair by task: each task gives one mean per method.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are first used: `scipy.stats` takes half a second
from jaxtyping import Float, Int

from mohb_jax.analysis.comparison import DECIMALS, LEAST_TASKS, Comparison, complete, places
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.statistics import CONFIDENCE, average_ranks, resample_counts, tail
from mohb_jax.errors import InputError

LEAST_METHODS = 3
"""Friedman and Nemenyi compare at least so many methods; two are compared by Wilcoxon's test."""
NUM_SHARES = 100
"""Shares of the horizon at which average ranks are taken."""


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Average ranks over tasks and what the tests say of them."""

    methods: tuple[str, ...]
    average_ranks: tuple[float, ...]
    """1 is best, ties share their average rank; empty without a task."""
    ci95: tuple[tuple[float, float], ...]
    """Bootstrap intervals of the average ranks over runs; empty with fewer than two runs."""
    num_tasks: int
    num_left_out: int
    friedman: float | None
    """Statistic of Friedman's test, corrected for ties; None where ``reason`` says why."""
    friedman_p: float | None
    critical_difference: float | None
    """Nemenyi's at 5 %: methods whose average ranks differ by as much or more differ significantly."""
    reason: str
    """Why there is no test; empty where there is."""
    without: tuple[str, ...] = ()
    """Methods that are not ranked, for they have no result on some benchmark."""


def ranking(data: Comparison) -> Ranking:
    """Average ranks over tasks by mean final hypervolume, Friedman's test and Nemenyi's critical difference.

    Ranks and tests pair by task and look at means over runs alone. The intervals show what the runs' noise
    does to the ranks on these tasks, not what other tasks would do. Resampled means are noisier than the
    means, which draws ranks towards the middle: an interval may lie beside its average rank.

    Args:
        data: see ``comparison``.

    References:
        Demsar, "Statistical comparisons of classifiers over multiple data sets", 2006, section 3.2.
    """
    reason = _why_untested(len(data.tasks), len(data.methods))
    friedman, p = (None, None) if reason else _friedman(data.means)
    return Ranking(
        methods=data.methods,
        average_ranks=tuple(average_ranks(data.means.T).tolist()) if data.tasks else (),
        ci95=_rank_intervals(data.values),
        num_tasks=len(data.tasks),
        num_left_out=data.num_left_out,
        friedman=friedman,
        friedman_p=p,
        critical_difference=None if reason else critical_difference(len(data.methods), len(data.tasks)),
        reason=reason,
        without=data.without,
    )


def _why_untested(num_tasks: int, num_methods: int) -> str:
    if num_tasks < LEAST_TASKS:
        return f"tests across tasks need {LEAST_TASKS} tasks that all methods finished; there are {num_tasks}"
    if num_methods < LEAST_METHODS:
        return (
            f"Friedman's and Nemenyi's tests compare {LEAST_METHODS} or more methods; there are {num_methods}"
        )
    return ""


def _friedman(means: Float[np.ndarray, "tasks methods"]) -> tuple[float, float]:
    values = np.round(means, DECIMALS)
    if (values == values[:, :1]).all():
        return 0.0, 1.0  # ties everywhere, of which the formula makes 0 / 0
    result = scipy.stats.friedmanchisquare(*values.T)
    return float(result.statistic), float(result.pvalue)


def critical_difference(num_methods: int, num_tasks: int, level: float = 1 - CONFIDENCE) -> float:
    """Nemenyi's critical difference of average ranks, ``q sqrt(k (k + 1) / (6 T))``.

    Args:
        num_methods: k, two or more.
        num_tasks: T, one or more.
        level: of the test, for all pairs together.

    References:
        Demsar 2006, equation 4 of section 3.2.2; q is the studentized range's quantile divided by sqrt 2.
    """
    q = scipy.stats.studentized_range.ppf(1 - level, num_methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(num_methods * (num_methods + 1) / (6 * num_tasks)))


def groups(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Largest groups of methods of which no two differ significantly.

    Args:
        ranks: average ranks, ascending.
        difference: the critical difference; groups span less than it.

    Returns:
        First and last position of each group of two or more that no other one contains, ascending.
    """
    ends = [
        max(j for j in range(i, len(ranks)) if j == i or ranks[j] - ranks[i] < difference)
        for i in range(len(ranks))
    ]
    return [(i, end) for i, end in enumerate(ends) if end > i and (i == 0 or ends[i - 1] < end)]


def _rank_intervals(values: Float[np.ndarray, "tasks methods runs"]) -> tuple[tuple[float, float], ...]:
    """Bootstrap intervals of average ranks; a sample draws the same run indices for all methods and tasks."""
    num_tasks, _, num_runs = values.shape
    if num_tasks == 0 or num_runs < 2:
        return ()
    counts = resample_counts(num_runs)
    total = sum(_ranks((task @ counts.T / num_runs).T, axis=1) for task in values)
    beyond = tail(num_runs)
    low, high = np.quantile(total / num_tasks, [beyond, 1 - beyond], axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def _ranks(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Ranks by descending value, ties averaged."""
    return scipy.stats.rankdata(-np.round(values, DECIMALS), axis=axis)


class RankCurves(NamedTuple):
    """Average ranks while the runs go on."""

    methods: tuple[str, ...]
    shares: Float[np.ndarray, " grid"]
    """Simulated time as a share of each task's horizon, logarithmically spaced up to 1."""
    ranks: Float[np.ndarray, "methods grid"]
    """Average over tasks of the rank by mean hypervolume so far; 1 is best."""


def rank_curves(cells: Sequence[Cell], methods: Sequence[str]) -> RankCurves:
    """Average rank against time over the tasks of ``comparison``, each task on its own horizon.

    Curves are step functions, known at their grid points and 0 before the first; nothing is interpolated.

    Args:
        cells: results of a study.
        methods: display names in the order wanted.

    Raises:
        InputError: no task has a run that all methods finished.
    """
    found = complete(cells, methods)
    if not found.groups:
        raise InputError("no task has a run that all methods finished, so there are no average ranks")
    first = min(group[0].grid[0] / group[0].horizon for group in found.groups)
    shares = np.geomspace(first, 1.0, NUM_SHARES)
    shares[-1] = 1.0
    ranks = [_ranks(_sampled(group, found.runs, shares), axis=0) for group in found.groups]
    return RankCurves(found.methods, shares, np.mean(ranks, axis=0))


def _sampled(
    group: Sequence[Cell], runs: Int[np.ndarray, " runs"], shares: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, "methods grid"]:
    """Mean curves of one task's methods at shares of its horizon."""
    grid, horizon = group[0].grid, group[0].horizon
    slot = np.searchsorted(grid, shares * horizon * (1 + 1e-12), side="right")  # free of rounding
    means = np.stack([cell.hypervolume[places(cell, runs)].mean(axis=0) for cell in group])
    return np.pad(means, ((0, 0), (1, 0)))[:, slot]
