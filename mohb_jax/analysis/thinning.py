"""Which results of a run change nothing, for another one of the run covers them: is at least as good in every
objective. Most are found by a few comparisons each, the rest exactly."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_HEAVY = (3.0, 10.0, 30.0)
"""Weights of one objective among others of weight 1."""
_CELLS = 1 << 21
"""Pairs of points that are compared together: a few megabytes."""


def not_yet_beaten(
    group: Int[np.ndarray, " points"],
    end: Float[np.ndarray, " points"] | Int[np.ndarray, " points"],
    costs: Float[np.ndarray, "points m"],
) -> Int[np.ndarray, " kept"]:
    """Indices of all points that no earlier one of their group dominates, and of few others.

    Each point is compared with the one before it in its group whose weighted sum is the least, for some
    weights: what is good in one such sum dominates most of what comes later.

    Args:
        group: ascending ids.
        end: when each point is there: none is beaten by a later one. Roughly ascending within a group.
        costs: finite; minimised.
    """
    kept = np.arange(group.size)
    if not kept.size:
        return kept
    unit = np.stack([_within_unit(column) for column in costs.T])
    for weights in _weights(costs.shape[1]):
        alive = np.flatnonzero(~_beaten(group, end, unit, weights))  # read thrice as fast as a mask
        kept, group, end, unit = kept[alive], group[alive], end[alive], np.take(unit, alive, axis=1)
    return kept


def _within_unit(column: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """The same order within [0, 1]; as it is where it lies there."""
    low, high = column.min(), column.max()
    return column if low >= 0 and high <= 1 else (column - low) / (high - low if high > low else 1.0)


def _weights(num_objectives: int) -> Float[np.ndarray, "some m"]:
    """All objectives alike, then each of them more than the others."""
    each = np.eye(num_objectives)
    return np.concatenate([np.ones((1, num_objectives)), *(1 + (heavy - 1) * each for heavy in _HEAVY)])


def _beaten(
    group: Int[np.ndarray, " points"],
    end: np.ndarray,
    unit: Float[np.ndarray, "m points"],
    weights: Float[np.ndarray, " m"],
) -> Bool[np.ndarray, " points"]:
    """True for points that the one with the least sum before them dominates.

    Args:
        group: ascending ids.
        end: when each point is there.
        unit: the objectives, in [0, 1].
        weights: of the sum.
    """
    # Later groups lie lower altogether, so the running minimum begins anew with each group.
    total = weights @ unit - (weights.sum() + 1) * group
    record = np.ones(group.size, bool)
    record[1:] = total[1:] < np.minimum.accumulate(total)[:-1]
    best = np.flatnonzero(record)
    length = np.diff(best, append=group.size)
    # What is at least as good in every objective, and has a lesser sum, dominates.
    beaten = (np.repeat(total[best], length) < total) & (np.repeat(end[best], length) <= end)
    for column in unit:
        beaten &= np.repeat(column[best], length) <= column
    return beaten


def covered_by(
    group: Int[np.ndarray, " points"], costs: Float[np.ndarray, "points m"]
) -> Int[np.ndarray, " points"]:
    """For each point the first one of its group that covers it; the number of points where none does.

    A point covers those to which it is at least equal in every objective; of equal ones, only the first
    covers the others.

    Args:
        group: ascending ids, of which each should have few points: the work grows with their square.
        costs: minimised.
    """
    _, start, counts = np.unique(group, return_index=True, return_counts=True)
    order, place = np.lexsort((*costs.T[::-1], group)), np.empty(group.size)
    place[order] = np.arange(group.size)  # only what comes before a point here may cover it
    columns, found = [place, *costs.T[1:]], np.full(group.size, group.size)
    for some in alike(counts, _CELLS):
        first, slot = start[some][:, None], np.arange(counts[some].max())
        index = np.where(slot < counts[some][:, None], first + slot, group.size)
        own = [np.append(column, np.nan)[index] for column in columns]
        for low in range(0, slot.size, step := max(1, _CELLS // index.size)):
            by = _first_cover(own, slice(low, low + step))
            known = by < slot.size
            found[index[:, low : low + step][known]] = (first + by)[known]
    return found


def _first_cover(columns: list[Float[np.ndarray, "groups n"]], here: slice) -> Int[np.ndarray, "groups some"]:
    """Place in its group of the first point that covers each of some; n where none does.

    Args:
        columns: the place in an order by all objectives, equal points in order of time, and all objectives
            but the first, which that order implies; not a number where there is no point.
        here: which points of each group.
    """
    covers = columns[0][:, None, :] < columns[0][:, here, None]  # [group, covered, covering]
    for column in columns[1:]:
        covers &= column[:, None, :] <= column[:, here, None]
    return np.where(covers.any(axis=-1), covers.argmax(axis=-1), columns[0].shape[1])


class Improving(NamedTuple):
    """The points that no earlier point of their group equals or beats in all objectives."""

    point: Int[np.ndarray, " kept"]
    """Their indices."""
    covered: Int[np.ndarray, " kept"]
    """Which of them, later, is the first to cover each; their number where none does."""


def improving(group: Int[np.ndarray, " points"], costs: Float[np.ndarray, "points m"]) -> Improving:
    """What changes a group's front when it comes, and until when it stays in it.

    Args:
        group: ascending ids, of few points each; within a group the order of time.
        costs: finite; minimised.
    """
    covered = covered_by(group, costs)
    new = covered >= np.arange(group.size)
    # What covers a point first is itself new: what covers that one would have covered the point before.
    return Improving(np.flatnonzero(new), np.append(np.cumsum(new) - 1, new.sum())[covered[new]])


def alike(counts: Int[np.ndarray, " groups"], cells: int) -> Iterator[Int[np.ndarray, " some"]]:
    """Groups of about one size together, the largest first: as many as have ``cells`` pairs, or one."""
    order = np.argsort(-counts, kind="stable")
    first = 0
    while first < order.size and counts[order[first]] > 0:
        last = first + max(1, cells // int(counts[order[first]]) ** 2)
        yield order[first:last]
        first = last
