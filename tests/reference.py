"""Slow, plain definitions against which the kernels are tested. Written for clarity, never for speed.

Everything minimises. Inputs are NumPy arrays without padding unless a docstring says otherwise.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """True where ``a`` is nowhere worse than ``b`` and somewhere better."""
    pairs = list(zip(a, b, strict=True))
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def pareto_rank(costs: np.ndarray) -> np.ndarray:
    """Front index of each row: peel off the rows that nothing left dominates, again and again."""
    rank = np.full(len(costs), -1)
    rows = np.asarray(costs).tolist()
    front = 0
    while np.any(rank < 0):
        left = np.flatnonzero(rank < 0)
        peeled = [i for i in left if not any(dominates(rows[j], rows[i]) for j in left)]
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


def crowding_distance(costs: np.ndarray, rank: np.ndarray | None = None) -> np.ndarray:
    """NSGA-II's crowding distance of each row within its front, or among the rows of the same given rank.

    A front's constant objective adds nothing, to its end points either; a front of one row is infinitely far.
    """
    rank = pareto_rank(costs) if rank is None else rank
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


def min_max_scaled(costs: np.ndarray) -> np.ndarray:
    """Each objective over [0, 1], a constant one at 0, in whole multiples of 2**-25 as in the kernels."""
    low, high = costs.min(axis=0), costs.max(axis=0)
    return np.round((costs - low) / np.where(high > low, high - low, 1) * 2.0**25) / 2.0**25


def hypervolume_cut(costs: np.ndarray, num_keep: int) -> np.ndarray:
    """Whole fronts in index order; of the last front that is touched, the greedy hypervolume subset.

    Scaled costs and the reference, 1.1, are rounded so that volumes are exact and ties are ties.
    """
    step = 2.0 ** -(50 // costs.shape[1])
    scaled = np.round(min_max_scaled(costs) / step) * step
    corner = np.full(costs.shape[1], round(1.1 / step) * step)
    rank = pareto_rank(costs)
    order: list[int] = []
    for front in range(rank.max(initial=-1) + 1):
        rows, room = np.flatnonzero(rank == front), num_keep - len(order)
        if room <= len(rows) or front == rank.max():
            greedy = greedy_hypervolume_subset(scaled[rows], corner, min(room, len(rows)))
            return np.array([*order, *rows[greedy]], int)
        order += rows.tolist()
    return np.array(order, int)


def failures_last(ordering: Callable, costs: np.ndarray, valid: np.ndarray, num_keep: int) -> np.ndarray:
    """Survivors of a rung: ``ordering(costs, num_keep)`` of finite rows, then the failed ones by index."""
    finite = valid & np.isfinite(costs).all(axis=1)
    good, failed = np.flatnonzero(finite), np.flatnonzero(valid & ~finite)
    order = good[ordering(costs[good], num_keep)] if len(good) else good
    return np.concatenate([order, failed])[:num_keep]


def permutation(round_keys: list[int], num_rows: int) -> list[int]:
    """The keyed permutation of random search in Python's own integers.

    Rows are numbers ``left * width + right`` on the smallest near-square grid; rounds add a hash of one digit
    and a key to the other digit; a number that falls beyond the rows is sent through once more.
    """
    height = next(side for side in range(1, num_rows + 1) if side * side >= num_rows)
    width = math.ceil(num_rows / height)

    def once(value: int) -> int:
        left, right = divmod(value, width)
        for number, key in enumerate(round_keys):
            if number % 2 == 0:
                left = (left + _murmur(right ^ key) % height) % height
            else:
                right = (right + _murmur(left ^ key) % width) % width
        return left * width + right

    def walked(value: int) -> int:
        value = once(value)
        while value >= num_rows:
            value = once(value)
        return value

    return [walked(position) for position in range(num_rows)]


def _murmur(value: int) -> int:
    """The last steps of the hash murmur3, on 32 bits."""
    value = value * 0x85EBCA6B % 2**32
    value = (value ^ value >> 13) * 0xC2B2AE35 % 2**32
    return value ^ value >> 16


def list_schedule(
    durations: np.ndarray, waits: np.ndarray, free: list[float]
) -> tuple[list[float], list[tuple[float, float, int]]]:
    """Start, end and worker of jobs that go, in order, to the worker free first; ties to the lowest.

    ``waits`` marks the jobs before which all workers must be idle. Also returns when each worker is free.
    """
    free = list(free)
    jobs = []
    for duration, wait in zip(durations, waits, strict=True):
        if wait:
            free = [max(free)] * len(free)
        worker = min(range(len(free)), key=lambda w: (free[w], w))
        jobs.append((free[worker], free[worker] + float(duration), worker))
        free[worker] = jobs[-1][1]
    return free, jobs


def overlap_schedule(brackets: list[list[list[int]]], num_workers: int) -> list[tuple[int, int, int]]:
    """Start, end and worker of every job, in bracket, rung and launch order, found second by second.

    ``brackets[b][r]`` holds the durations of a rung, whole seconds. In each second the workers that are idle,
    the longest idle one first, take the next job of the first bracket that has one that may run.
    """
    free = [0] * num_workers
    launched: list[list[list[tuple[int, int, int]]]] = [[[] for _ in bracket] for bracket in brackets]

    def next_rung(now: int) -> tuple[int, int] | None:
        for b, bracket in enumerate(brackets):
            for r, rung in enumerate(bracket):
                if len(launched[b][r]) < len(rung):
                    before = [job for earlier in launched[b][:r] for job in earlier]
                    if all(end <= now for _, end, _ in before):
                        return b, r
                    break
        return None

    now, num_jobs = 0, sum(len(rung) for bracket in brackets for rung in bracket)
    while num_jobs:
        worker = min(range(num_workers), key=lambda w: (free[w], w))
        rung = next_rung(now)
        if free[worker] > now or rung is None:
            now += 1
            continue
        b, r = rung
        free[worker] = now + brackets[b][r][len(launched[b][r])]
        launched[b][r].append((now, free[worker], worker))
        num_jobs -= 1
    return [job for bracket in launched for rung in bracket for job in rung]
