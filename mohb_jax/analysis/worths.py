"""How often methods beat each other over tasks, as one number each: worths of Bradley and Terry."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float

from mohb_jax.analysis.comparison import DECIMALS, Comparison
from mohb_jax.analysis.statistics import resample_counts, tail

PSEUDO_WINS = 0.1
"""Wins that each method is given over each other one where some of them could not be compared otherwise."""
TOLERANCE = 1e-12
RESAMPLED_TOLERANCE = 1e-4
"""Of samples, of which no more than two digits are shown."""
NUM_RESAMPLES = 1000
"""Samples of tasks, and of runs, for intervals."""

Ends = tuple[tuple[float, float], ...]
"""Low and high end of an interval for each method."""


@dataclasses.dataclass(frozen=True)
class Worths:
    """Worths of k methods; one of worth a beats one of worth b with probability a / (a + b).

    Attributes:
        methods: names.
        worths: positive, of sum 1.
        ci95: percentile bootstrap over tasks, what other tasks would do; empty with fewer than two tasks.
        runs_ci95: the same over runs, what their noise does on these tasks; empty with fewer than two runs.
        log_likelihood: of the comparisons, at these worths.
        num_tasks: on which methods were compared.
        made_finite: True where a method, or a group, won against all others or lost against them throughout:
            every method was then given ``PSEUDO_WINS``.
    """

    methods: tuple[str, ...]
    worths: tuple[float, ...]
    ci95: Ends
    log_likelihood: float
    num_tasks: int
    made_finite: bool
    runs_ci95: Ends = ()


def worths(methods: Sequence[str], values: Float[np.ndarray, "tasks k"]) -> Worths:
    """Worths of methods from one value of each on every task, larger is better; ties are half a win each.

    Args:
        methods: names.
        values: means over runs: runs of one task say nothing of other tasks, so they are no comparisons of
            their own.

    References:
        Bradley and Terry, "Rank analysis of incomplete block designs", 1952; fit by Hunter, "MM algorithms
        for generalized Bradley-Terry models", 2004.
    """
    won = wins(values)
    whole = won.sum(axis=0)
    finite = is_connected(whole)
    found = fitted(whole)
    return Worths(
        methods=tuple(methods),
        worths=tuple(found.tolist()),
        ci95=_intervals(won),
        log_likelihood=log_likelihood(whole, found),
        num_tasks=len(values),
        made_finite=not finite,
    )


def worths_over_runs(data: Comparison) -> Worths:
    """``worths`` by mean final hypervolume, with the intervals over runs.

    Resampled means are noisier than the means, which draws worths towards each other: an interval may lie
    beside its worth.
    """
    found = worths(data.methods, np.round(data.means, DECIMALS))
    return dataclasses.replace(found, runs_ci95=_run_intervals(data.values))


def wins(values: Float[np.ndarray, "tasks k"]) -> Float[np.ndarray, "tasks k k"]:
    """1 where the method of the row beats that of the column, one half where they tie; for each task."""
    won = (values[:, :, None] > values[:, None]) + 0.5 * (values[:, :, None] == values[:, None])
    return won * (1 - np.eye(values.shape[1]))


def is_connected(won: Float[np.ndarray, "k k"] | Bool[np.ndarray, "k k"]) -> bool:
    """Whether finite worths exist: nobody, and no group, only wins against or only loses to the others."""
    return bool(
        scipy.sparse.csgraph.connected_components(won > 0, directed=True, connection="strong")[0] == 1
    )


def _are_connected(won: Float[np.ndarray, "*sets k k"]) -> Bool[np.ndarray, "*sets"]:
    """``is_connected`` of each set: resamples of few tasks have few patterns of who has beaten whom."""
    patterns, which = np.unique((won > 0).reshape(-1, *won.shape[-2:]), axis=0, return_inverse=True)
    return np.array([is_connected(own) for own in patterns])[which].reshape(won.shape[:-2])


def fitted(won: Float[np.ndarray, "*sets k k"], tolerance: float = TOLERANCE) -> Float[np.ndarray, "*sets k"]:
    """The likeliest worths, of sum 1, of one set of comparisons or of several.

    Args:
        won: how often the method of the row beats that of the column; each is given ``PSEUDO_WINS`` where no
            finite worths exist otherwise.
        tolerance: largest change of a worth at which the iteration ends.
    """
    k = won.shape[-1]
    others = 1 - np.eye(k)
    finite = _are_connected(won)
    won = np.where(finite[..., None, None], won, won + PSEUDO_WINS * others)
    met, found = (won + won.swapaxes(-1, -2)) * others, np.full(won.shape[:-1], 1 / k)
    change = np.inf
    while change > tolerance:
        share = (met / (found[..., :, None] + found[..., None, :])).sum(axis=-1)
        new = won.sum(axis=-1) / share
        new /= new.sum(axis=-1, keepdims=True)
        found, change = new, float(np.abs(new - found).max())
    return np.asarray(found)


def log_likelihood(won: Float[np.ndarray, "k k"], found: Float[np.ndarray, " k"]) -> float:
    """Of comparisons, given worths."""
    met: Bool[np.ndarray, "k k"] = won > 0
    return float((won[met] * np.log(expected(found)[met])).sum())


def expected(found: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k k"]:
    """Probability that the method of the row beats that of the column."""
    return np.asarray(found[:, None] / (found[:, None] + found))


def _intervals(won: Float[np.ndarray, "tasks k k"]) -> Ends:
    num_tasks = len(won)
    if num_tasks < 2:
        return ()
    chance = np.random.default_rng(0)
    drawn = chance.integers(num_tasks, size=(NUM_RESAMPLES, num_tasks))
    counts = np.stack([np.bincount(tasks, minlength=num_tasks) for tasks in drawn])
    return _ends(np.tensordot(counts, won, axes=1), 0.025)


def _run_intervals(values: Float[np.ndarray, "tasks k runs"]) -> Ends:
    """A sample draws the same run indices for all methods and tasks, as for ranks."""
    num_tasks, _, num_runs = values.shape
    if num_tasks == 0 or num_runs < 2:
        return ()
    counts = resample_counts(num_runs, NUM_RESAMPLES)
    won = sum(wins(np.round(counts @ task.T / num_runs, DECIMALS)) for task in values)
    return _ends(np.asarray(won), tail(num_runs))


def _ends(won: Float[np.ndarray, "resamples k k"], beyond: float) -> Ends:
    """Of worths in samples, ``beyond`` of which lie outside of each end."""
    samples = fitted(won, RESAMPLED_TOLERANCE)
    return tuple((low, high) for low, high in np.quantile(samples, [beyond, 1 - beyond], axis=0).T.tolist())
