"""Promotion rules as plain definitions, for processes that must not start JAX.

A training process that prunes itself needs one decision at a time, and its accelerator's memory for the
training. So this module imports NumPy alone. The kernels of ``mohb_jax.kernels`` give the same survivors, and
are tested against it: distances and volumes are taken on their grids, on which sums are exact.

A rung is an array of costs of shape [n, m], all minimised. A row that is not finite in every objective is a
failed evaluation, and comes after all others.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

NAMES = ("single", "net", "crowding", "hvc", "scalar", "random")
"""The rules, as ``mohb_jax.promotions.PROMOTIONS`` names them."""
SCALES = ("minmax", "rank", "none")
"""What may be done to costs before an epsilon-net measures distances."""
GRID_BITS = 25
"""Squared distances between costs on this grid are exact."""
VOLUME_BITS = 50
"""The same of volumes: each of m objectives has ``50 // m`` of them."""
REFERENCE = 1.1
"""Reference point of the hypervolume cut, in costs scaled to [0, 1] over the rung."""
MOST_OBJECTIVES_OF_VOLUMES = 4

Sort = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""``sort(costs, members, room)``: the first ``room`` of the rows ``members``, best first. Members ascend, and
``costs`` are those of the whole rung, which set scales."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """An order of the rows of a rung.

    Attributes:
        sort: of the rows of one front, or of all rows that did not fail.
        by_front: whether better fronts come first, whatever ``sort`` says.
    """

    sort: Sort
    by_front: bool


def order(rule: Rule, costs: np.ndarray, keep: int) -> np.ndarray:
    """The first ``keep`` rows of a rung in the order in which they survive, of shape [min(keep, n)].

    Args:
        rule: made by one of the functions below.
        costs: objective values [n, m], minimised.
        keep: how many survive.

    Example:
        >>> order(crowding(), np.array([[2.0, 2.0], [1.0, 1.0], [0.0, 5.0]]), 2)
        array([1, 2])
    """
    survivors = [np.zeros(0, np.intp)]
    for members, sort in _groups(rule, costs):
        survivors.append(sort(costs, members, min(keep, len(members))))
        keep -= len(survivors[-1])
    return np.concatenate(survivors)


def is_kept(rule: Rule, costs: np.ndarray, row: int, keep: int) -> bool:
    """Whether one row is among the first ``keep`` of ``order``: only the front that is cut is sorted.

    Example:
        >>> is_kept(net(), np.array([[2.0, 2.0], [1.0, 1.0], [3.0, 3.0]]), 2, keep=1)
        False
    """
    for members, sort in _groups(rule, costs):
        if keep <= 0:
            return False
        if row in members:
            return len(members) <= keep or row in sort(costs, members, keep)
        keep -= len(members)
    return False


def net(scale: str = "minmax", seed_objective: int = 0) -> Rule:
    """Non-dominated sorting, each front as a greedy epsilon-net (Salinas et al. 2021).

    A front opens with its best row in ``seed_objective``; next is always the row farthest from those taken.
    """

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        columns = [np.ascontiguousarray(column) for column in scaled(costs, scale)[members].T]
        nearest = np.full(len(members), np.inf)
        places = np.empty(room, np.intp)
        for place in range(room):
            pick = nearest.argmax() if place else columns[seed_objective].argmin()
            gaps = sum((column - column[pick]) ** 2 for column in columns)
            np.minimum(nearest, gaps, out=nearest)
            nearest[pick] = -1
            places[place] = pick
        return members[places]

    return Rule(sort, by_front=True)


def crowding() -> Rule:
    """Non-dominated sorting, each front by descending crowding distance (NSGA-II; Deb et al. 2002)."""

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        if len(members) == 1:
            return members[:room]
        distance = sum(_gap_shares(column) for column in costs[members].T)
        return members[np.argsort(-distance, kind="stable")[:room]]

    return Rule(sort, by_front=True)


def _gap_shares(column: np.ndarray) -> np.ndarray:
    """Gap between the neighbours of each row in one objective, as a share of the front's range."""
    ascending = np.argsort(column, kind="stable")
    values = column[ascending]
    shares = np.zeros(len(column))
    if values[-1] > values[0]:
        shares[ascending[1:-1]] = (values[2:] - values[:-2]) / (values[-1] - values[0])
        shares[ascending[[0, -1]]] = np.inf
    return shares


def hvc() -> Rule:
    """Non-dominated sorting, each front by the greedy hypervolume subset (Guerrero-Viu et al. 2021).

    For at most ``MOST_OBJECTIVES_OF_VOLUMES`` objectives.
    """

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        step = 2.0 ** -(VOLUME_BITS // costs.shape[1])
        points = np.round(scaled(costs, "minmax")[members] / step) * step
        return members[_greedy_volume(points, np.round(REFERENCE / step) * step, room)]

    return Rule(sort, by_front=True)


def _greedy_volume(points: np.ndarray, corner: float, room: int) -> list[int]:
    """Repeatedly the row that adds the most hypervolume to those taken, ties to the lowest index.

    What a row adds only shrinks, so its last figure is a bound: the row with the largest is measured until
    its figure is up to date (Minoux 1978).
    """
    bounds = np.prod(corner - points, axis=1)
    taken: list[int] = []
    while len(taken) < room:
        row = int(bounds.argmax())
        overlap = _volume(np.maximum(points[taken], points[row]), corner)
        gain = float(np.prod(corner - points[row])) - overlap
        if gain < bounds[row]:
            bounds[row] = gain
        else:
            taken.append(row)
            bounds[row] = -1
    return taken


def _volume(points: np.ndarray, corner: float) -> float:
    """Hypervolume below ``(corner, ..., corner)``: slabs along the last objective."""
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(corner - points.min())
    if points.shape[1] > 2:
        points = points[next(fronts(points, np.arange(len(points))))]
    points = points[np.argsort(points[:, -1], kind="stable")]
    thickness = np.diff(points[:, -1], append=corner)
    if points.shape[1] == 2:
        return float(np.sum((corner - np.minimum.accumulate(points[:, 0])) * thickness))
    slabs = (thick * _volume(points[: i + 1, :-1], corner) for i, thick in enumerate(thickness) if thick)
    return float(sum(slabs))


def scalar(weights: Sequence[int | float]) -> Rule:
    """A weighted sum of the objectives, each scaled to [0, 1] over the rung."""

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        columns = scaled(costs, "minmax")[members].T
        score = sum(weight * column for weight, column in zip(weights, columns, strict=True))
        return members[np.argsort(score, kind="stable")[:room]]

    return Rule(sort, by_front=False)


def single(objective: int = 0) -> Rule:
    """One objective alone."""

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        return members[np.argsort(costs[members, objective], kind="stable")[:room]]

    return Rule(sort, by_front=False)


def random(draws: np.ndarray) -> Rule:
    """By a random number of each row, whatever the results: the control.

    Args:
        draws: of shape [n].
    """

    def sort(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
        del costs
        return members[np.argsort(draws[members], kind="stable")[:room]]

    return Rule(sort, by_front=False)


def fronts(costs: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The non-dominated fronts of some finite rows, best first, each with ascending indices (Deb et al.)."""
    columns = [np.unique(column, return_inverse=True)[1] for column in costs[rows].T]
    total = np.sum(
        columns, axis=0
    )  # of two rows of which one is nowhere worse, that with the smaller total dominates
    dominates = total[:, None] < total
    for column in columns:
        place = column.astype(np.min_scalar_type(len(rows)))  # short numbers are compared faster
        dominates &= place[:, None] <= place
    num_dominators = dominates.sum(axis=0, dtype=np.int32)
    while (front := np.flatnonzero(num_dominators == 0)).size:
        yield rows[front]
        num_dominators[front] = -1
        num_dominators -= dominates[front].sum(axis=0, dtype=np.int32)


def scaled(costs: np.ndarray, scale: str) -> np.ndarray:
    """Costs on comparable scales, rounded to a grid on which squared distances are exact.

    Args:
        costs: of a rung [n, m]; rows that did not fail set the scale, one or more.
        scale: ``minmax`` maps each objective to [0, 1] (a constant one to 0); ``rank`` replaces each value by
            the share of rows below it; ``none`` keeps differences as they are. All start at 0.

    Returns:
        Of the same shape; what stands in failed rows means nothing.
    """
    finite = _finite(costs)
    costs = np.where(finite[:, None], costs, 0.0) / 2  # halves: the difference of two of them is finite
    known = costs[finite]
    if scale == "rank":
        below = [
            np.searchsorted(np.sort(column), values) for column, values in zip(known.T, costs.T, strict=True)
        ]
        costs = np.stack(below, axis=1) / max(len(known) - 1, 1)
        known = costs[finite]
    low = known.min(axis=0)
    span = known.max(axis=0) - low
    if scale == "minmax":
        return _to_grid((costs - low) / np.where(span > 0, span, 1), 1.0)
    return _to_grid(costs - low, span.max())


def _to_grid(costs: np.ndarray, span: float) -> np.ndarray:
    """Rounds to multiples of a power of two."""
    step = np.ldexp(1.0, int(np.frexp(span)[1]) - GRID_BITS)
    return np.round(costs / step) * step


def _groups(rule: Rule, costs: np.ndarray) -> Iterator[tuple[np.ndarray, Sort]]:
    """Rows in groups of which each comes before the next, and how each is sorted; failed rows come last."""
    finite = _finite(costs)
    rows = np.flatnonzero(finite)
    if len(rows):
        for members in fronts(costs, rows) if rule.by_front else [rows]:
            yield members, rule.sort
    yield np.flatnonzero(~finite), _first_come


def _first_come(costs: np.ndarray, members: np.ndarray, room: int) -> np.ndarray:
    del costs
    return members[:room]


def _finite(costs: np.ndarray) -> np.ndarray:
    return np.isfinite(costs).all(axis=1)
