"""Elimination of candidates: racing by ranks within blocks, or halving by means.

A block is a task and some paired runs: what candidates reach in it is comparable. References: Birattari et
al., "A racing algorithm for configuring metaheuristics", 2002 (F-race); Conover, "Practical nonparametric
statistics", 1999; Lopez-Ibanez et al., "The irace package", 2016.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

from mohb_jax.errors import InputError


@dataclass(frozen=True)
class Race:
    """How candidates are raced.

    Attributes:
        alpha: level of each test; that there are many is ignored: this eliminates, and proves nothing.
        first: blocks before the first test.
        least: candidates that are kept in any case.
    """

    alpha: float = 0.05
    first: int = 5
    least: int = 4


class Verdict(NamedTuple):
    """What a test said."""

    alive: Bool[np.ndarray, " k"]
    best: int
    ranks: Float[np.ndarray, " k"]
    """Sum of ranks of each candidate that was tested; infinite of others."""
    statistic: float
    p: float
    test: str
    """``none``, ``friedman``, ``wilcoxon`` or ``obvious``."""


def step(scores: Float[np.ndarray, "blocks k"], alive: Bool[np.ndarray, " k"], race: Race) -> Verdict:
    """Who stays after some blocks.

    Args:
        scores: minimised; of those that are not alive they mean nothing.
        alive: who is still there.
        race: how strictly.

    Raises:
        InputError: naming a block whose score is not a number.

    Examples:
        >>> step(np.array([[0.1, 0.5]] * 5), np.array([True, True]), Race(least=1)).alive.tolist()
        [True, False]
    """
    own = np.flatnonzero(alive)
    table = scores[:, own]
    if np.isnan(table).any():
        raise InputError(f"block {int(np.isnan(table).any(axis=1).argmax())} of the race holds no number")
    ranks = scipy.stats.rankdata(table, axis=1).sum(axis=0)
    best = int(np.lexsort((table.mean(axis=0), ranks))[0])
    sums = np.full(len(alive), np.inf)
    sums[own] = ranks
    if len(table) < race.first or len(own) < 2:
        return Verdict(alive.copy(), int(own[best]), sums, np.nan, np.nan, "none")
    kept, statistic, p, test = _pair(table, best, race) if len(own) == 2 else _many(table, ranks, race)
    order = np.lexsort((table.mean(axis=0), ranks))
    stays = np.zeros(len(own), bool)
    stays[order[: max(kept, race.least)]] = True
    now = np.zeros(len(alive), bool)
    now[own[stays]] = True
    return Verdict(now, int(own[best]), sums, statistic, p, test)


def _many(
    table: Float[np.ndarray, "n k"], sums: Float[np.ndarray, " k"], race: Race
) -> tuple[int, float, float, str]:
    """Friedman's test, then Conover's comparison with the best: how many stay, in order of ranks."""
    n, k = table.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistic, p = scipy.stats.friedmanchisquare(*table.T)
    if not p < race.alpha:
        return k, float(statistic), float(p), "friedman"
    squares = (scipy.stats.rankdata(table, axis=1) ** 2).sum()
    freedom = (n - 1) * (k - 1)
    spread = max(2 * (n * squares - (sums**2).sum()) / freedom, 0)
    far = scipy.stats.t.ppf(1 - race.alpha / 2, freedom) * np.sqrt(spread)
    ordered = np.sort(sums)
    # In order until the first that is not too far away, from behind.
    return int((ordered - ordered[0] <= far).sum()), float(statistic), float(p), "friedman"


def _pair(table: Float[np.ndarray, "n 2"], best: int, race: Race) -> tuple[int, float, float, str]:
    difference = table[:, best] - table[:, 1 - best]
    if (difference <= 0).all() and (difference < 0).any():
        return 1, np.nan, 0.0, "obvious"
    if not difference.any():
        return 2, np.nan, np.nan, "none"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statistic, p = scipy.stats.wilcoxon(difference, zero_method="pratt")
    return 1 if p < race.alpha else 2, float(statistic), float(p), "wilcoxon"


def halve(scores: Float[np.ndarray, "blocks k"], alive: Bool[np.ndarray, " k"], least: int) -> Verdict:
    """The better half by mean, and ``least`` at the fewest."""
    own = np.flatnonzero(alive)
    means = scores[:, own].mean(axis=0)
    order = np.argsort(means, kind="stable")
    now = np.zeros(len(alive), bool)
    now[own[order[: max(-(-len(own) // 2), least)]]] = True
    return Verdict(now, int(own[order[0]]), np.full(len(alive), np.inf), np.nan, np.nan, "none")
