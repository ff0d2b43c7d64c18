"""What a policy is compared with: the default, the best that can be known afterwards, and a grid search."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.errors import InputError
from mohb_jax.recurring.policy import missed_by_default
from mohb_jax.recurring.training import Training


class Choice(NamedTuple):
    """A batch size and a power limit.

    Attributes:
        batch_size: of the training.
        limit: W.
        joules: expected energy to the target.
        seconds: expected time to the target.
    """

    batch_size: int
    limit: float
    joules: float
    seconds: float


def expectations(training: Training) -> tuple[Float[np.ndarray, "B P"], Float[np.ndarray, "B P"]]:
    """Joules and seconds to the target, mean over runs; infinite where a run missed it or nothing was
    measured."""
    mean = np.nanmean(np.where(training.converges[:, None], training.epochs, 0.0), axis=1)
    epochs = np.where(training.converges, mean, np.inf)
    joules, seconds = (
        np.where(np.isfinite(own), epochs[:, None] * own, np.inf)
        for own in (training.joules, training.seconds)
    )
    return joules, seconds


def default(training: Training) -> Choice:
    """The publication's batch size at the GPU's highest limit.

    Raises:
        InputError: a run with it misses the target, so that nothing can be compared with it.
    """
    if not training.converges[training.default]:
        raise InputError(f"{training.name} on {training.gpu}: {missed_by_default(training)}")
    return _choice(training, training.default, 0)


def _choice(training: Training, batch: int, limit: int) -> Choice:
    joules, seconds = expectations(training)
    size, watts = int(training.batch_sizes[batch]), float(training.limits[limit])
    return Choice(size, watts, float(joules[batch, limit]), float(seconds[batch, limit]))


def cheapest(training: Training, weight: float) -> Choice:
    """The pair that costs least on average: what nobody can know beforehand (the oracle).

    Args:
        training: on a GPU.
        weight: of energy in the cost; 1 for energy alone.
    """
    joules, seconds = expectations(training)
    known = np.isfinite(joules)
    cost = np.full(joules.shape, np.inf)
    cost[known] = weight * joules[known] + (1 - weight) * training.max_watts * seconds[known]
    batch, limit = np.unravel_index(cost.argmin(), cost.shape)
    return _choice(training, int(batch), int(limit))


def savings(training: Training) -> dict[str, Choice]:
    """The least energy by a choice of the batch size alone, of the limit alone, and of both."""
    joules = expectations(training)[0]
    batch = int(joules[:, 0].argmin())
    limit = int(joules[training.default].argmin())
    return {
        "batch size": _choice(training, batch, 0),
        "power limit": _choice(training, training.default, limit),
        "both": cheapest(training, 1.0),
    }


class GridSearch(NamedTuple):
    """Costs of each recurrence of some lanes, and their energy and time: arrays of [lanes, recurrences]."""

    joules: Float[np.ndarray, "lanes recurrences"]
    seconds: Float[np.ndarray, "lanes recurrences"]


def grid_search(
    training: Training, num_lanes: int, recurrences: int, weight: float, seed: int = 0
) -> GridSearch:
    """A pair of batch size and limit in each recurrence, then the cheapest one that was seen.

    Ours where the paper is silent: batch sizes from the default outwards (by the logarithm of the ratio),
    limits from high to low. A batch size that misses the target costs all its epochs and is dropped with all
    its limits. Nothing is stopped early.

    Args:
        training: on a GPU.
        num_lanes: that differ in which measured run each execution is.
        recurrences: of each lane.
        weight: of energy in the cost.
        seed: root seed.
    """
    far = np.abs(np.log(training.batch_sizes / training.batch_sizes[training.default]))
    pairs = [
        (batch, limit)
        for batch in np.argsort(far, kind="stable").tolist()
        for limit in range(training.limits.size)
        if np.isfinite(training.seconds[batch, limit])
    ]
    lanes = [
        _grid_lane(training, pairs, recurrences, weight, np.random.default_rng((seed, lane)))
        for lane in range(num_lanes)
    ]
    return GridSearch(*(np.stack(part) for part in zip(*lanes, strict=True)))


def _grid_lane(
    training: Training,
    pairs: list[tuple[int, int]],
    recurrences: int,
    weight: float,
    chance: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    joules, seconds = np.zeros(recurrences), np.zeros(recurrences)
    left, best, least = list(pairs), (training.default, 0), np.inf
    for recurrence in range(recurrences):
        batch, limit = left.pop(0) if left else best
        epochs = training.epochs[batch, chance.integers(training.num_runs[batch])]
        missed = not epochs <= training.max_epochs
        taken = training.max_epochs if missed else epochs
        joules[recurrence] = taken * training.joules[batch, limit]
        seconds[recurrence] = taken * training.seconds[batch, limit]
        cost = weight * joules[recurrence] + (1 - weight) * training.max_watts * seconds[recurrence]
        if missed:
            left = [pair for pair in left if pair[0] != batch]
        elif cost < least:
            best, least = (batch, limit), cost
    return joules, seconds
