"""How far the results of runs are from a true front: in NumPy, many runs at once."""

import numpy as np
from jaxtyping import Float, Int

_CELLS = 1 << 14
"""Pairs of a point, of the front or found, and a run that are looked at together: they stay in the cache."""


def distances(
    group: Int[np.ndarray, " points"],
    costs: Float[np.ndarray, "points m"],
    front: Float[np.ndarray, "k m"],
) -> tuple[Int[np.ndarray, " groups"], Float[np.ndarray, " groups"], Float[np.ndarray, " groups"]]:
    """IGD+ and additive epsilon of each group of points; what ``kernels.indicators`` says of one group.

    Args:
        group: ascending ids, not necessarily dense.
        costs: finite; minimised.
        front: what the points are compared with; the same for all groups.

    Returns:
        The ids, and IGD+ and epsilon of each.

    Example:
        >>> group, points = np.array([0, 0, 7]), np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> [part.tolist() for part in distances(group, points, np.array([[0.0, 0.0]]))]
        [[0, 7], [1.0, 1.4142135623730951], [1.0, 1.0]]

    References:
        Ishibuchi et al. 2015 (IGD+); Zitzler et al. 2003 (additive epsilon).
    """
    names, start, counts = np.unique(group, return_index=True, return_counts=True)
    apart, epsilon = np.empty(names.size), np.empty(names.size)
    columns = np.append(costs.T, np.full((costs.shape[1], 1), np.inf), axis=1)
    order = np.argsort(counts, kind="stable")
    step = max(1, _CELLS // max(len(front), counts.max(initial=1)))
    for some in (order[first : first + step] for first in range(0, order.size, step)):
        slot = np.arange(counts[some].max())[:, None]
        index = np.where(slot < counts[some], start[some] + slot, group.size)
        apart[some], epsilon[some] = _of_sets(np.take(columns, index, axis=1), front)
    return names, apart, epsilon


def _of_sets(
    points: Float[np.ndarray, "m n sets"], front: Float[np.ndarray, "k m"]
) -> tuple[Float[np.ndarray, " sets"], Float[np.ndarray, " sets"]]:
    """IGD+ and epsilon of sets that are filled up with infinite points."""
    shape = len(front), points.shape[2]
    nearest, least = np.full(shape, np.inf), np.full(shape, np.inf)
    for number in range(points.shape[1]):
        worse = points[:, number, None] - front.T[:, :, None]  # [objective, point of the front, set]
        np.minimum(least, worse.max(axis=0), out=least)
        np.maximum(worse, 0.0, out=worse)
        np.square(worse, out=worse)
        np.minimum(nearest, worse.sum(axis=0), out=nearest)
    return np.sqrt(nearest).mean(axis=0), least.max(axis=0)
