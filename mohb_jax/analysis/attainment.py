"""Attainment surfaces: the trade-offs that a given share of the runs reaches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.analysis.lanes import Lanes
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.errors import InputError

LEVELS = (25, 50, 75)
"""Shares of the runs in %, of the attainment surfaces."""
NO_MOOCORE = "attainment surfaces need the library moocore: pip install 'mohb-jax[report]'"


class Attained(NamedTuple):
    """What the runs of one method found on one task, in two objectives."""

    costs: Float[np.ndarray, "points 2"]
    """Minimised; within a run no point dominates another."""
    run: Int[np.ndarray, " points"]
    """Which run found it, from 0."""
    num_runs: int
    """All runs, also those that found nothing."""


def attained(
    table: ResultTable, lanes: Lanes, methods: Sequence[str], x: int, y: int
) -> dict[tuple[str, str], Attained]:
    """What every run had found at its end of what counts, by task and method.

    Args:
        table: what of the benchmark may count.
        lanes: its runs, see ``collect``.
        methods: display names, as given to ``collect``.
        x: index of the first objective.
        y: index of the second.
    """
    found = {}
    for task, method in sorted(set(zip(lanes.task.tolist(), lanes.method.tolist(), strict=True))):
        picked = np.flatnonzero((lanes.task == task) & (lanes.method == method))
        low, high = np.searchsorted(lanes.lane, [picked[0], picked[-1] + 1])
        costs = table.costs_of(task, lanes.row[low:high])[:, [x, y]]
        run = lanes.lane[low:high] - picked[0]
        found[table.tasks[task], methods[method]] = _thinned(costs, run, picked.size)
    return found


def _thinned(
    costs: Float[np.ndarray, "points 2"], run: Int[np.ndarray, " points"], num_runs: int
) -> Attained:
    """Without points that another one of the same run dominates or equals: they move no surface."""
    order = np.lexsort((costs[:, 1], costs[:, 0], run))
    costs, run = costs[order], run[order]
    height = np.unique(costs[:, 1], return_inverse=True)[1].reshape(-1)
    # Later runs lie lower altogether, so the running minimum begins anew with each run.
    height = height - run * (height.max(initial=0) + 1)
    keep = np.ones(run.size, bool)
    keep[1:] = height[1:] < np.minimum.accumulate(height)[:-1]
    return Attained(costs[keep], run[keep], num_runs)


def attainment_surfaces(
    points: Attained, levels: Sequence[int] = LEVELS
) -> list[Float[np.ndarray, "corners 2"]]:
    """Boundaries of what at least 25, 50 and 75 % of the runs attained (dominated or equalled).

    Args:
        points: what the runs found.
        levels: shares of the runs in %, above 0.

    Returns:
        One staircase per level, its lower left corners in ascending first objective; empty where too few runs
        found anything.

    Raises:
        InputError: the library moocore is not installed.

    References:
        Grunert da Fonseca, Fonseca and Hall, "Inferential performance assessment of stochastic optimisers and
        the attainment function", 2001; algorithm: Fonseca et al. 2011, as in moocore.
    """
    try:
        import moocore
    except ImportError as error:
        raise InputError(NO_MOOCORE) from error
    present = np.unique(points.run).size
    needed = [max(1, -(-level * points.num_runs // 100)) for level in levels]
    possible = sorted({count for count in needed if count <= present})
    # moocore counts the runs that have a point; the levels are shares of all runs.
    shares = [100 * count / present for count in possible]
    found = moocore.eaf(points.costs, points.run, percentiles=shares) if shares else np.zeros((0, 3))
    corners = {count: _corners(found, share) for count, share in zip(possible, shares, strict=True)}
    return [corners.get(count, np.zeros((0, 2))) for count in needed]


def _corners(surfaces: Float[np.ndarray, "corners 3"], share: float) -> Float[np.ndarray, "own 2"]:
    own = surfaces[surfaces[:, 2] == share, :2]
    return own[np.argsort(own[:, 0], kind="stable")]
