"""The definitions of ``mohb_jax.ensembles`` in plain Python: one library, one step after the other."""

import itertools

import numpy as np


def loss_of(predictions, weights):
    """Mean negative log-likelihood of a weighted mean of probabilities of the correct class."""
    mean = np.asarray(weights, float) @ predictions / np.sum(weights)
    return -np.mean(np.log(mean))


def cost_of(cost, weights):
    return float(np.asarray(cost)[np.asarray(weights) > 0].sum())


def counted(members, number):
    return np.bincount(members, minlength=number)


def caruana(predictions, steps, loss=loss_of, among=None):
    """Members in the order in which they joined, and the losses on the way."""
    number, members, losses = len(predictions), [], []
    for _ in range(steps):
        found = [
            loss(predictions, counted([*members, j], number)) if among is None or j in among else np.inf
            for j in range(number)
        ]
        members.append(int(np.argmin(found)))
        losses.append(min(found))
    return members, losses


def smobf(predictions, cost, budget, nothing, by_ratio=False, most=20):
    members, current = [], nothing
    while len(members) < most:
        gains = {}
        for j in range(len(cost)):
            new = counted([*members, j], len(cost))
            if j not in members and cost_of(cost, new) <= budget:
                gains[j] = current - loss_of(predictions, new)
        gains = {j: gain for j, gain in gains.items() if gain > 0}
        if not gains:
            break
        scores = {j: gain / cost[j] if by_ratio else gain for j, gain in gains.items()}
        chosen = max(scores, key=lambda j: (scores[j], -j))
        members.append(chosen)
        current -= gains[chosen]
    return members


def brute(predictions, cost):
    """The front of all sets with equal weights: (set, loss, cost), the cheapest first."""
    number, every = len(cost), []
    for size in range(1, number + 1):
        for members in itertools.combinations(range(number), size):
            weights = counted(list(members), number)
            every.append((members, loss_of(predictions, weights), cost_of(cost, weights)))
    return [
        one
        for one in sorted(every, key=lambda each: (each[2], each[1]))
        if not any(
            other[1] <= one[1] and other[2] <= one[2] and (other[1] < one[1] or other[2] < one[2])
            for other in every
        )
    ]


def throughput(levels, ensemble, devices, sizes):
    """Examples per second that every member predicts, or minus infinity where the matrix is not feasible."""
    batch = np.asarray(sizes)[np.asarray(levels)]
    rate = np.zeros(batch.shape[1])
    for d in range(batch.shape[0]):
        on = np.flatnonzero(batch[d])
        used = sum(ensemble.memory[j] + ensemble.activation[j] * batch[d, j] for j in on)
        if used > devices.memory[d] + 1e-9:
            return -np.inf
        for j in on:
            seconds = ensemble.overhead[j] + batch[d, j] * ensemble.work[j] / devices.speed[d]
            rate[j] += batch[d, j] / seconds / len(on)
    return rate.min() if (batch > 0).any(axis=0).all() else -np.inf


def best_matrix(ensemble, devices, sizes):
    shape = devices.memory.size, ensemble.memory.size
    every = itertools.product(range(len(sizes)), repeat=shape[0] * shape[1])
    return max(throughput(np.reshape(levels, shape), ensemble, devices, sizes) for levels in every)
