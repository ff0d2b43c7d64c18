"""Choices that leave a benchmark out: would the search have chosen well for tasks that it has not seen?

Nothing is run for it. Only candidates that were drawn before any result count, with the runs that all of them
have: what was tried later was tried because of all benchmarks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mohb_jax.design.choice import smoothed
from mohb_jax.design.judging import interval
from mohb_jax.design.search import Found
from mohb_jax.design.space import PLAIN, Point, label


class Fold(NamedTuple):
    """A choice from all benchmarks but one.

    Attributes:
        benchmark: left out.
        chosen: by prediction from the others.
        mean: its response on the benchmark left out.
        plain: that of the plain method; NaN where it was no candidate.
        low: interval of 95 % of their difference, tasks and blocks of runs resampled.
        high: of it.
        best: the best response of any candidate there, which only hindsight knows.
    """

    benchmark: str
    chosen: Point
    mean: float
    plain: float
    low: float
    high: float
    best: float


def folds(found: Found, tasks: Sequence[str], seed: int = 0) -> list[Fold]:
    """One for each training benchmark, of a pool's task names; none where there is only one.

    Args:
        found: what a search found.
        tasks: of its pool, ``BENCHMARK/TASK``.
        seed: of the smoothing.
    """
    drawn = found.evaluated[: found.num_drawn]
    shared = min(own.blocks.shape[1] for own in drawn)
    blocks = np.stack([own.blocks[:, :shared] for own in drawn])
    names = np.array([task.split("/")[0] for task in tasks])
    benchmarks = list(dict.fromkeys(names.tolist()))
    if len(benchmarks) < 2 or len(drawn) < 2:
        return []
    points = [own.point for own in drawn]
    labels = [label(point) for point in points]
    plain = labels.index(label(PLAIN)) if label(PLAIN) in labels else None
    result = []
    for benchmark in benchmarks:
        own, others = blocks[:, names == benchmark], blocks[:, names != benchmark]
        per_block = others.mean(axis=1)
        variances = per_block.var(axis=1, ddof=1) / shared if shared > 1 else np.full(len(drawn), 1e-4)
        best = int(smoothed(points, per_block.mean(axis=1), variances, seed).argmax())
        gain = own[best] - own[plain] if plain is not None else np.full_like(own[best], np.nan)
        means = own.mean(axis=(1, 2))
        low, high = interval([gain])
        start = float(means[plain]) if plain is not None else float("nan")
        result.append(Fold(benchmark, points[best], float(means[best]), start, low, high, float(means.max())))
    return result
