"""How the hypervolume of runs grows, at the moments at which it is looked at: in NumPy, many runs at once."""

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.analysis.thinning import alike

_CELLS = 1 << 18
"""Pairs of points of the sets that are measured together: their arrays stay in the processor's cache."""


def hypervolume_growth(
    group: Int[np.ndarray, " points"],
    moment: Int[np.ndarray, " points"],
    costs: Float[np.ndarray, "points m"],
    covered: Int[np.ndarray, " points"],
    reference: float,
) -> Float[np.ndarray, " points"]:
    """Hypervolume of each group's points up to and at the moment of each one.

    Only fronts are measured: a point belongs to those from its own moment to that of what covers it.

    Args:
        group: ascending ids.
        moment: ascending within a group; points of one moment count together.
        costs: minimised; one to four objectives.
        covered: by which point each is covered, see ``covered_by``: a later one.
        reference: the same coordinate in every objective.
    """
    new = np.ones(group.size, bool)
    new[1:] = (group[1:] != group[:-1]) | (moment[1:] != moment[:-1])
    front = np.cumsum(new) - 1  # each moment of each group has one
    ends = np.searchsorted(group, group, side="right")  # where a front of the next group would begin
    leaves = np.append(front, front[-1:] + 1)[np.minimum(covered, ends)]
    order = np.argsort(-costs[:, -1], kind="stable")
    length = (leaves - front)[order]
    point = np.repeat(order, length)
    number = np.repeat(front[order] - np.cumsum(length) + length, length) + np.arange(point.size)
    point = point[np.argsort(number, kind="stable")]
    return _of_fronts(costs, point, np.bincount(number), reference)[front]


def _of_fronts(
    costs: Float[np.ndarray, "points m"],
    point: Int[np.ndarray, " members"],
    sizes: Int[np.ndarray, " fronts"],
    reference: float,
) -> Float[np.ndarray, " fronts"]:
    """Hypervolume of sets of points that follow each other in ``point``."""
    start, volume = np.cumsum(sizes) - sizes, np.zeros(sizes.size)
    columns = np.ascontiguousarray(costs.T)
    for some in alike(sizes, _CELLS):
        slot = np.arange(sizes[some].max())[:, None]
        real = slot < sizes[some]
        own = columns[:, point[np.where(real, start[some] + slot, 0)]]
        volume[some] = set_volumes(np.where(real, own, reference), reference)
    return volume


def set_volumes(points: Float[np.ndarray, "m n sets"], reference: float) -> Float[np.ndarray, " sets"]:
    """Hypervolume of sets of points; those at or beyond the reference in an objective add nothing.

    Points are taken by their last objective; the volume of those so far in the others lasts to the next one.

    Args:
        points: minimised; one to four objectives. Sets come last, so that each step is one on long arrays.
        reference: the same coordinate in every objective.
    """
    points = np.minimum(points, reference)
    if len(points) == 1:
        return reference - points[0].min(axis=0)
    points = np.take_along_axis(points, np.argsort(points[-1], axis=0)[None], axis=1)
    return np.asarray((_steps(points[-1], reference) * _so_far(points[:-1], reference)).sum(axis=0))


def _steps(ascending: Float[np.ndarray, "n sets"], reference: float) -> Float[np.ndarray, "n sets"]:
    """From each coordinate to the next one, and from the last to the reference."""
    return np.diff(ascending, axis=0, append=np.full((1, ascending.shape[1]), reference))


def _so_far(points: Float[np.ndarray, "m n sets"], reference: float) -> Float[np.ndarray, "n sets"]:
    """Hypervolume of the first i + 1 points of each set.

    In two objectives the first is cut into strips at the points' own values. Each point in turn raises what
    is covered of the strips beyond it.
    """
    m, n, _ = points.shape
    if m == 1:
        return reference - np.minimum.accumulate(points[0], axis=0)
    if m > 2:
        return np.stack([set_volumes(points[:, : last + 1], reference) for last in range(n)])
    strip = np.sort(points[0], axis=0)
    wide, height, area = _steps(strip, reference), np.zeros_like(strip), np.empty_like(strip)
    for index, (first, second) in enumerate(zip(*points, strict=True)):
        np.maximum(height, np.where(strip >= first, reference - second, 0.0), out=height)
        np.einsum("is,is->s", wide, height, out=area[index])
    return area
