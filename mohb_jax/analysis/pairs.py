"""Two methods compared: Wilcoxon across tasks, Mann-Whitney within one, and the correction of Holm.

Wilcoxon pairs by task: each task gives one mean per method. Mann-Whitney, within one task, takes the two
methods' runs as independent samples: no pairing is used there.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when they are first used: `scipy.stats` takes half a second
from jaxtyping import Float

from mohb_jax.analysis.comparison import DECIMALS, LEAST_TASKS, Comparison
from mohb_jax.analysis.statistics import ALL_TASKS
from mohb_jax.errors import InputError

LEVEL = 0.05
"""Of the tests: p-values up to it are called significant."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two methods compared by one test."""

    task: str
    """``all``: over the task means; otherwise over the runs of that task."""
    first: str
    second: str
    test: str
    """``wilcoxon`` or ``mann-whitney``, both two-sided."""
    num_values: int
    """Tasks, or runs of each method."""
    difference: float
    """Mean of the first minus mean of the second; above 0 the first is better."""
    effect: str
    """``rank-biserial`` (-1 to 1, 0 is none) or ``vargha-delaney`` (0 to 1, 0.5 is none)."""
    effect_size: float
    p: float
    p_holm: float
    """Corrected for the number of pairs that were tested together."""


def task_pairs(data: Comparison, reference: str | None = None) -> list[Pair]:
    """Wilcoxon's signed-rank test on the means of each task, which pairs methods by task.

    Equal means are left out, as Wilcoxon did. With five tasks the least p-value is 0.0625, with six 0.031.

    Args:
        data: see ``comparison``.
        reference: compare each method with this one; None or a method that is not there: compare all pairs.

    Returns:
        Nothing with fewer than ``LEAST_TASKS`` tasks.

    References:
        Demsar 2006, section 3.1.3; Kerby, "The simple difference formula", 2014 (matched-pairs rank-biserial
        correlation: share of the rank sum in favour minus share against).
    """
    if len(data.tasks) < LEAST_TASKS:
        return []
    means = data.means.T
    return _corrected([_wilcoxon(data, means, i, j) for i, j in _pairs(data.methods, reference)])


def run_pairs(data: Comparison, task: str, reference: str | None = None) -> list[Pair]:
    """Mann-Whitney's test over the runs of one task.

    Runs count as independent samples although equal indices share random numbers: where that makes them
    alike, the test finds less than it could.

    Args:
        data: see ``comparison``.
        task: one of ``data.tasks``; Holm's correction is within it.
        reference: as for ``task_pairs``.

    Raises:
        InputError: the task is not there.

    References:
        Vargha and Delaney, "A critique and improvement of the CL common language effect size", 2000: the
        probability that a run of the first beats one of the second, ties counted half.
    """
    if task not in data.tasks:
        raise InputError(f"unknown task {task!r}; there are {', '.join(data.tasks) or 'none'}")
    values = data.values[data.tasks.index(task)]
    return _corrected([_mann_whitney(data, task, values, i, j) for i, j in _pairs(data.methods, reference)])


def _pairs(methods: Sequence[str], reference: str | None) -> list[tuple[int, int]]:
    if reference is None or reference not in methods:
        return list(itertools.combinations(range(len(methods)), 2))
    base = list(methods).index(reference)
    return [(index, base) for index in range(len(methods)) if index != base]


def _wilcoxon(data: Comparison, means: Float[np.ndarray, "methods tasks"], i: int, j: int) -> Pair:
    difference = np.round(means[i] - means[j], DECIMALS)
    other = difference[difference != 0]
    p, effect = 1.0, 0.0
    if other.size:
        p = float(scipy.stats.wilcoxon(other).pvalue)
        size = scipy.stats.rankdata(np.abs(other))
        effect = float((size * np.sign(other)).sum() / size.sum())
    mean = float((means[i] - means[j]).mean())
    names = (ALL_TASKS, data.methods[i], data.methods[j], "wilcoxon", difference.size)
    return Pair(*names, mean, "rank-biserial", effect, p, p)


def _mann_whitney(
    data: Comparison, task: str, values: Float[np.ndarray, "methods runs"], i: int, j: int
) -> Pair:
    first, second = np.round(values[[i, j]], DECIMALS)
    result = scipy.stats.mannwhitneyu(first, second)
    effect, p = float(result.statistic) / first.size**2, float(result.pvalue)
    mean = float(values[i].mean() - values[j].mean())
    names = (task, data.methods[i], data.methods[j], "mann-whitney", first.size)
    return Pair(*names, mean, "vargha-delaney", effect, p, p)


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    adjusted = holm(np.array([pair.p for pair in pairs]))
    return [dataclasses.replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted.tolist(), strict=True)]


def least_p(num_tasks: int, num_pairs: int) -> float:
    """The least p-value that ``task_pairs`` can find for so many tasks, after Holm's correction.

    One method is better on every task, which of all signs has the probability ``2 ** -tasks``, and so has the
    other one's being better; Holm multiplies the least p-value by the number of pairs.
    """
    return min(1.0, num_pairs * 2.0 ** (1 - num_tasks))


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """P-values corrected for being tested together; compare them with the level as they are.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(grown, 1.0)
    return adjusted
