"""Which of the other tasks are like a task, and the rows that were best in them: starts learnt from others.

On the host, once per table: plain NumPy.
"""

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import non_dominated
from mohb_jax.kernels.epsilon_net import GRID_BITS
from mohb_jax.searchers.nearest_rows import STEPS, codes_of

POWERS = {"l1": 1, "l2": 2}
"""To which differences are raised, by the name of a distance."""


def scaled(features: Float[np.ndarray, "tasks features"], task: int) -> Float[np.ndarray, "tasks known"]:
    """Features of all tasks on a scale on which the others span [0, 1]; the task itself may lie outside.

    Features that are unknown for the task, or for all others, are left out; unknown ones of others are their
    mean. One that is the same for all others is 0 everywhere, whatever the task has: there is no scale.

    References:
        Feurer et al., "Efficient and robust automated machine learning", 2015; the scale is that of their
        published code.
    """
    others = np.arange(len(features)) != task
    known = np.isfinite(features[task]) & np.isfinite(features[others]).any(axis=0)
    values = features[:, known]
    finite = np.isfinite(values)
    counts = (finite & others[:, None]).sum(axis=0)
    mean = np.where(finite & others[:, None], values, 0).sum(axis=0) / np.maximum(counts, 1)
    values = np.where(finite, values, mean)
    low, high = values[others].min(axis=0), values[others].max(axis=0)
    width = high - low
    return np.asarray(np.where(width > 0, (values - low) / np.where(width > 0, width, 1), 0))


def differences(
    features: Float[np.ndarray, "tasks features"], task: int, distance: str = "l1"
) -> Float[np.ndarray, " tasks"]:
    """How far each task is from one of them: the sum of differences, or of their squares for ``l2``, which
    gives the same order as its root."""
    own = scaled(features, task)
    return np.asarray((np.abs(own - own[task]) ** POWERS[distance]).sum(axis=1))


def by_likeness(apart: Float[np.ndarray, " tasks"], task: int) -> Int[np.ndarray, " others"]:
    """The other tasks, the most like first; ties go to the lowest number."""
    order = np.argsort(apart, kind="stable")
    return np.asarray(order[order != task])


def best_rows(table: AnyTable, task: int, count: int) -> Int[np.ndarray, " count"]:
    """The best rows of a task at the highest fidelity; -1 where there are no more.

    With several objectives front by front, each front as a greedy epsilon-net that begins with the least
    first objective, as ``zero-shot`` sorts; ties go to the lowest row.
    """
    rows = np.flatnonzero(table.final_available(task))
    costs = table.costs_of(task, rows)
    chosen = _sorted_fronts(costs, count) if costs.shape[1] > 1 else np.argsort(costs[:, 0], kind="stable")
    found = rows[chosen[:count]]
    return np.pad(found, (0, count - found.size), constant_values=-1)


def _sorted_fronts(costs: Float[np.ndarray, "n m"], count: int) -> Int[np.ndarray, " some"]:
    if not len(costs):
        return np.zeros(0, int)
    low, span = costs.min(axis=0), np.ptp(costs, axis=0)
    grid = 2.0**GRID_BITS
    points = np.round((costs - low) / np.where(span > 0, span, 1) * grid) / grid
    chosen: list[int] = []
    left = np.arange(len(costs))
    while left.size and len(chosen) < count:
        front = left[non_dominated(costs[left])]
        chosen += front[_net(points[front], count - len(chosen))].tolist()
        left = np.setdiff1d(left, front)
    return np.array(chosen, int)


def _net(points: Float[np.ndarray, "n m"], count: int) -> list[int]:
    """The first places of a greedy net."""
    net = [int(np.argmin(points[:, 0]))]
    gap = np.full(len(points), np.inf)
    while len(net) < min(count, len(points)):
        gap = np.minimum(gap, ((points - points[net[-1]]) ** 2).sum(axis=1))
        gap[net] = -1
        net.append(int(np.argmax(gap)))
    return net


def offered(table: AnyTable, task: int, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Each row, or where it was never tried in a task the nearest one that was; -1 stays.

    Distances are those of ``nearest_rows``: a categorical mismatch counts as much as the whole range of a
    number; ties go to the lowest row.
    """
    measured = table.measured(task)
    found = rows.copy()
    missing = (rows >= 0) & ~measured[np.maximum(rows, 0)]
    if missing.any():
        there = np.flatnonzero(measured)
        codes, categorical = _codes(table)
        for place in np.flatnonzero(missing):
            apart = (codes[:, there] - codes[:, rows[place], None]) ** 2
            apart[categorical] = np.where(apart[categorical] == 0, 0, STEPS**2)
            found[place] = there[np.argmin(apart.sum(axis=0))]
    return found


def _codes(table: AnyTable) -> tuple[Int[np.ndarray, "columns rows"], Int[np.ndarray, " categorical"]]:
    codes = [codes_of(column, table.configs[:, index]) for index, column in enumerate(table.columns)]
    kinds = [column.kind == "categorical" for column in table.columns]
    return np.stack(codes).astype(np.int64), np.flatnonzero(kinds)


def level_by_level(rows: Int[np.ndarray, "others best"], length: int) -> list[int]:
    """The best row of each task in order, then the second best of each, and so on; each row once."""
    found = dict.fromkeys(rows.T.reshape(-1).tolist())
    found.pop(-1, None)
    return list(found)[:length]


def start_list(
    table: AnyTable,
    task: int,
    order: Int[np.ndarray, " others"],
    best: Int[np.ndarray, "tasks best"],
    length: int,
) -> list[int]:
    """Rows with which to begin on a task.

    Args:
        table: of the task; of the task itself only which rows were tried is read.
        task: index.
        order: other tasks, the most like first.
        best: of each task its best rows.
        length: rows at most.
    """
    own = np.stack([offered(table, task, best[other]) for other in order])
    return level_by_level(own, length)
