"""Means, medians and their ratios over paired bootstrap samples of runs; a median may only be bounded."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.statistics import CONFIDENCE, NUM_RESAMPLES, resample_counts


class Measure(NamedTuple):
    """One number per run."""

    value: Float[np.ndarray, " runs"]
    """What the run took; where it did not get there, what it counts with."""
    reached: Bool[np.ndarray, " runs"]
    """False where the true number is only known to be greater."""
    error: Float[np.ndarray, " runs"]
    """Error that belongs to the number; infinite where there is none."""


class Bounds(NamedTuple):
    """A statistic of the runs at hand (element 0) and of each bootstrap sample (the others).

    The statistic lies between ``low`` and ``high``; they are equal unless a median falls on runs that did not
    get there.
    """

    low: Float[np.ndarray, " samples"]
    high: Float[np.ndarray, " samples"]

    @property
    def point(self) -> tuple[float, float]:
        """Least and greatest possible value for the runs at hand."""
        return float(self.low[0]), float(self.high[0])

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % percentile interval, open ends infinite; None for a single run, which has no spread."""
        if self.low.size < 2:
            return None
        tail = (1 - CONFIDENCE) / 2
        # Of the neighbouring samples the outer one, because nothing lies between a number and infinity.
        low = np.quantile(self.low[1:], tail, method="lower")
        return float(low), float(np.quantile(self.high[1:], 1 - tail, method="higher"))


@functools.lru_cache(maxsize=2)
def sample_counts(num_runs: int) -> Float[np.ndarray, "samples runs"]:
    """How often each run is drawn: once each in row 0, at random in the others, which a single run lacks."""
    once = np.ones((1, num_runs))
    return once if num_runs < 2 else np.concatenate([once, resample_counts(num_runs, NUM_RESAMPLES)])


@functools.lru_cache(maxsize=2)
def _small_counts(num_runs: int) -> np.ndarray:
    """``sample_counts`` turned, in the smallest integers that hold their sums."""
    kind = np.int16 if num_runs < 2**15 else np.int32
    return np.ascontiguousarray(sample_counts(num_runs).T.astype(kind))


def summarise(measures: Sequence[Measure]) -> list[dict[str, Bounds]]:
    """``means`` and ``medians`` of measures of the same runs, in every sample.

    In a median, runs that did not get there come last, and are known from below only.
    """
    averages = weighted_means(np.stack([measure.value for measure in measures]))
    return [
        {"means": Bounds(average, average), "medians": median}
        for average, median in zip(averages, _medians(measures), strict=True)
    ]


def weighted_means(values: Float[np.ndarray, "columns runs"]) -> Float[np.ndarray, "columns samples"]:
    """Mean of each column in every sample; equal values come out exactly, free of rounding."""
    first = values[:, :1]
    return first + (values - first) @ sample_counts(values.shape[1]).T / values.shape[1]


def _medians(measures: Sequence[Measure]) -> Iterator[Bounds]:
    orders = [np.lexsort((measure.value, ~measure.reached)) for measure in measures]
    num_runs = orders[0].size
    # A sample's median is hardly ever more than six standard deviations, each sqrt(num_runs) / 2, away.
    start = max(num_runs // 2 - 3 * math.isqrt(num_runs) - 5, 0)
    stop = num_runs - start
    below = np.zeros((len(orders), num_runs))
    for column, order in zip(below, orders, strict=True):
        column[order[:start]] = 1.0
    drawn_below = below @ sample_counts(num_runs).T
    for measure, order, base in zip(measures, orders, drawn_below, strict=True):
        middle = _middle(order[start:stop], base, num_runs)
        if middle is None:  # a sample went beyond the window
            yield _median(measure, order, _middle(order, np.zeros(base.size), num_runs))
        else:
            yield _median(measure, order[start:stop], middle)


def _middle(
    order: Int[np.ndarray, " window"], drawn_before: Float[np.ndarray, " samples"], num_runs: int
) -> Any:
    """Places in ``order`` of the one or two middle values of every sample, [2, samples]; None where one may
    lie outside."""
    counts = _small_counts(num_runs)
    drawn = np.cumsum(counts[order], axis=0, dtype=counts.dtype)
    drawn += drawn_before.astype(counts.dtype)
    wanted = (num_runs + 1) // 2, num_runs // 2 + 1
    if drawn_before.max() >= wanted[0] or drawn[-1].min() < wanted[1]:
        return None
    return np.stack([(drawn < least).sum(axis=0, dtype=np.int32) for least in wanted])


def _median(measure: Measure, order: Int[np.ndarray, " window"], middle: Any) -> Bounds:
    value, reached = measure.value[order], measure.reached[order]
    low = value[middle].mean(axis=0)
    return Bounds(low, np.where(reached[middle[1]], low, np.inf))


def ratio(baseline: Bounds, method: Bounds) -> Bounds:
    """Baseline / method; what cannot be known lies between 0 and infinity."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _known(Bounds(baseline.low / method.high, baseline.high / method.low))


def unknown(num_samples: int) -> Bounds:
    """A ratio of which nothing is known."""
    return Bounds(np.zeros(num_samples), np.full(num_samples, np.inf))


def _known(bounds: Bounds) -> Bounds:
    low, high = bounds
    return Bounds(np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), np.inf, high))


def geometric_mean(ratios: list[Bounds]) -> Bounds:
    """Geometric mean over tasks, in every sample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = (np.exp(np.mean(np.log(np.stack(ends)), axis=0)) for ends in zip(*ratios, strict=True))
    return _known(Bounds(low, high))


def error_differences(
    pairs: Sequence[tuple[Measure, Measure]],
) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Method's error minus the baseline's, and the same in percent of the baseline's mean.

    Args:
        pairs: method and baseline, all of the same runs.

    Returns:
        Per pair, both of shape [samples], means over the runs where both errors exist (NaN in a sample
        without any); None where no run has both.
    """
    both: np.ndarray = np.stack(
        [np.isfinite(ours.error) & np.isfinite(theirs.error) for ours, theirs in pairs]
    )
    ours, theirs = (
        np.stack([np.where(mask, pair[side].error, 0.0) for mask, pair in zip(both, pairs, strict=True)])
        for side in (0, 1)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = weighted_means(both.astype(np.float64))
        difference, base = weighted_means(ours - theirs) / share, weighted_means(theirs) / share
        percent = 100 * difference / np.abs(base)
    found = zip(np.any(both, axis=1), difference, percent, strict=True)
    return [(error, relative) if any_run else None for any_run, error, relative in found]
