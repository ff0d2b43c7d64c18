"""Slow, plain definitions against which the kernels are tested. Written for clarity, never for speed.

Everything minimises. Inputs are NumPy arrays without padding unless a docstring says otherwise.
"""

import itertools
import math

import numpy as np


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    """True where ``a`` is nowhere worse than ``b`` and somewhere better."""
    return bool(np.all(a <= b) and np.any(a < b))


def pareto_rank(costs: np.ndarray) -> np.ndarray:
    """Front index of each row: peel off the rows that nothing left dominates, again and again."""
    rank = np.full(len(costs), -1)
    front = 0
    while np.any(rank < 0):
        left = np.flatnonzero(rank < 0)
        peeled = [i for i in left if not any(dominates(costs[j], costs[i]) for j in left)]
        rank[peeled] = front
        front += 1
    return rank


def epsilon_net_order(costs: np.ndarray, seed_objective: int = 0) -> np.ndarray:
    """Rows sorted by front, each front as a greedy net on the costs as given; ties to the lowest index.

    Returns the order (which row comes t-th), not each row's position.
    """
    rank = pareto_rank(costs)
    order: list[int] = []
    for front in range(rank.max(initial=-1) + 1):
        left = [int(i) for i in np.flatnonzero(rank == front)]
        net = [min(left, key=lambda i: (costs[i, seed_objective], i))]
        left.remove(net[0])
        while left:
            gaps = {i: min(float(np.sum((costs[i] - costs[j]) ** 2)) for j in net) for i in left}
            net.append(max(left, key=lambda i: (gaps[i], -i)))
            left.remove(net[-1])
        order += net
    return np.array(order, int)


def crowding_distance(costs: np.ndarray) -> np.ndarray:
    """NSGA-II's crowding distance of each row within its front.

    A front's constant objective adds nothing, to its end points either; a front of one row is infinitely far.
    """
    rank = pareto_rank(costs)
    distance = np.zeros(len(costs))
    for front in range(rank.max(initial=-1) + 1):
        rows = np.flatnonzero(rank == front)
        if len(rows) == 1:
            distance[rows] = math.inf
        for objective in range(costs.shape[1]):
            ordered = sorted(rows, key=lambda i: (costs[i, objective], i))
            span = costs[ordered[-1], objective] - costs[ordered[0], objective]
            if span == 0:
                continue
            distance[[ordered[0], ordered[-1]]] = math.inf
            for before, row, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
                distance[row] += (costs[after, objective] - costs[before, objective]) / span
    return distance


def crowding_order(costs: np.ndarray) -> np.ndarray:
    """Rows by ascending front, then descending crowding distance, then index."""
    rank, distance = pareto_rank(costs), crowding_distance(costs)
    return np.array(sorted(range(len(costs)), key=lambda i: (rank[i], -distance[i], i)), int)


def hypervolume(costs: np.ndarray, reference: np.ndarray) -> float:
    """Volume that the rows dominate below the reference: slabs along the last objective, recursively."""
    inside = [tuple(map(float, row)) for row in costs if np.all(row < reference)]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0]) - min(row[0] for row in inside)
    edges = [*sorted({row[-1] for row in inside}), float(reference[-1])]
    slabs = []
    for low, high in itertools.pairwise(edges):
        below = np.array([row[:-1] for row in inside if row[-1] <= low])
        slabs.append((high - low) * hypervolume(below, reference[:-1]))
    return math.fsum(slabs)


def hypervolume_contributions(costs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What the hypervolume loses when a row is taken out, for each row."""
    whole = hypervolume(costs, reference)
    without = [hypervolume(np.delete(costs, i, axis=0), reference) for i in range(len(costs))]
    return whole - np.array(without)


def hypervolume_progress(costs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Hypervolume of the first i + 1 rows, for each i."""
    return np.array([hypervolume(costs[: i + 1], reference) for i in range(len(costs))])


def greedy_hypervolume_subset(costs: np.ndarray, reference: np.ndarray, num_select: int) -> np.ndarray:
    """Repeatedly takes the row that adds the most hypervolume to those taken; ties to the lowest index."""
    taken: list[int] = []
    for _ in range(num_select):
        left = [i for i in range(len(costs)) if i not in taken]
        total = {i: hypervolume(costs[[*taken, i]], reference) for i in left}
        taken.append(max(left, key=lambda i: (total[i], -i)))
    return np.array(taken, int)


def igd_plus(costs: np.ndarray, front: np.ndarray) -> float:
    """Mean over the front of the distance, counting only what is worse, to the nearest row."""
    return float(np.mean([min(np.linalg.norm(np.maximum(row - z, 0)) for row in costs) for z in front]))


def additive_epsilon(costs: np.ndarray, front: np.ndarray) -> float:
    """The least amount by which every row must improve to weakly dominate the whole front."""
    return float(max(min(np.max(row - z) for row in costs) for z in front))


def list_schedule(durations: np.ndarray, num_workers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and worker of jobs that go, in order, to the worker free first; ties to the lowest."""
    free = [0.0] * num_workers
    jobs = []
    for duration in durations:
        worker = min(range(num_workers), key=lambda w: (free[w], w))
        jobs.append((free[worker], free[worker] + float(duration), worker))
        free[worker] = jobs[-1][1]
    start, end, workers = zip(*jobs, strict=True) if jobs else ((), (), ())
    return np.array(start, float), np.array(end, float), np.array(workers, int)
