"""How the hypervolume of runs grows, at the moments at which it is looked at: in NumPy, many runs at once."""

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.analysis.thinning import alike

_CELLS = 1 << 17
"""Cells of sets that are measured together: a megabyte, which stays in the processor's cache."""


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
    for some in alike(sizes, _CELLS):
        slot = np.arange(sizes[some].max())
        real = slot < sizes[some][:, None]
        own = costs[point[np.where(real, start[some][:, None] + slot, 0)]]
        volume[some] = set_volumes(np.where(real[..., None], own, reference), reference)
    return volume


def set_volumes(points: Float[np.ndarray, "sets n m"], reference: float) -> Float[np.ndarray, " sets"]:
    """Hypervolume of sets of points; those at or beyond the reference in an objective add nothing.

    Points are taken by their last objective; the volume of those so far in the others lasts to the next one.

    Args:
        points: minimised; one to four objectives.
        reference: the same coordinate in every objective.
    """
    points = np.minimum(points, reference)
    if points.shape[-1] == 1:
        return reference - points[..., 0].min(axis=1)
    points = np.take_along_axis(points, np.argsort(points[..., -1:], axis=1), axis=1)
    depth = np.diff(points[..., -1], axis=1, append=reference)
    return np.asarray((depth * _so_far(points[..., :-1], reference)).sum(axis=1))


def _so_far(points: Float[np.ndarray, "sets n m"], reference: float) -> Float[np.ndarray, "sets n"]:
    """Hypervolume of the first i + 1 points of each set.

    In two objectives the first is cut into strips at the points' own values. A strip's height is the least
    second objective of what lies before it and came so far: a running minimum both ways.
    """
    sets, n, m = points.shape
    if m == 1:
        return reference - np.minimum.accumulate(points[..., 0], axis=1)
    if m > 2:
        return np.stack([set_volumes(points[:, : last + 1], reference) for last in range(n)], axis=1)
    order = np.argsort(points[..., 0], axis=1)
    wide = np.diff(np.take_along_axis(points[..., 0], order, axis=1), axis=1, append=reference)
    heights = np.full((sets, n, n), reference)  # [set, strip, point so far]
    heights[np.arange(sets)[:, None], np.arange(n), order] = np.take_along_axis(points[..., 1], order, axis=1)
    np.minimum.accumulate(heights, axis=1, out=heights)
    np.minimum.accumulate(heights, axis=2, out=heights)
    return np.asarray((wide[:, None] @ (reference - heights))[:, 0])
