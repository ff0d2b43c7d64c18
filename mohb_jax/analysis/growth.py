"""How the hypervolume of one run grows, at the run's own length: plain NumPy, for runs with many results."""

import numpy as np
from jaxtyping import Float

from mohb_jax.benchmarks.normalise import non_dominated


def hypervolume_growth(costs: Float[np.ndarray, "n m"], reference: float) -> Float[np.ndarray, " n"]:
    """Hypervolume of the first i + 1 points, for every i: ``kernels.hypervolume_progress`` of one group.

    Args:
        costs: minimised, in the order of time; one to four objectives.
        reference: the same coordinate in every objective.
    """
    gains = _clipped_gains if costs.shape[1] > 3 else _gains
    return np.cumsum(gains(costs, reference))


def _gains(costs: Float[np.ndarray, "n m"], reference: float) -> Float[np.ndarray, " n"]:
    """What each point adds to those before it, for up to three objectives.

    The plane of the first two is cut into cells at the points' own values; each cell has a height, the least
    last objective of the points below it. A point lowers the cells above it.
    """
    n, m = costs.shape
    flat = np.concatenate([np.zeros((n, 3 - m)), costs], axis=1)
    corner = np.where(np.arange(3) < 3 - m, 1.0, reference)
    inside = np.flatnonzero((flat < corner).all(axis=1))
    (xs, x), (ys, y) = (np.unique(flat[inside, d], return_inverse=True) for d in range(2))
    wide, deep = np.diff(xs, append=corner[0]), np.diff(ys, append=corner[1])
    height, gain = np.full((xs.size, ys.size), reference), np.zeros(n)
    for point, i, j in zip(inside.tolist(), x.reshape(-1).tolist(), y.reshape(-1).tolist(), strict=True):
        above = height[i:, j:]
        lowered = np.minimum(above, flat[point, 2])
        gain[point] = wide[i:] @ (above - lowered) @ deep[j:]
        height[i:, j:] = lowered
    return gain


def _clipped_gains(costs: Float[np.ndarray, "n 4"], reference: float) -> Float[np.ndarray, " n"]:
    """The same for four objectives: the box of each point without what earlier points cover of it."""
    gain = np.zeros(len(costs))
    for point in np.flatnonzero((costs < reference).all(axis=1)):
        covered = np.maximum(costs[:point], costs[point])
        covered = covered[non_dominated(covered)]
        covered = covered[np.argsort(covered[:, 3], kind="stable")]
        shared = _gains(covered[:, :3], reference) @ np.maximum(reference - covered[:, 3], 0.0)
        gain[point] = (reference - costs[point]).prod() - shared
    return gain
