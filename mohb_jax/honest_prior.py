"""A transfer prior that knows how far off it may be.

The tasks are dealt into groups. A network learns from all tasks but those of one group or of two, so the
networks that never saw the group of a task are an ensemble for that task, and what one of them says about the
second group that it left out is a test, among the other tasks alone, of how well it transfers.
"""

import dataclasses
import itertools
import threading
import weakref
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.precision import in_64_bits
from mohb_jax.surrogates.prior_network import Training, fit_networks
from mohb_jax.transfer import (
    PRIOR_STREAM,
    PUBLISHED,
    Prior,
    informative,
    predict_networks,
    require_another_task,
    training_rows,
)
from mohb_jax.types import Array

MOST_GROUPS = 8
"""Groups of tasks: so many tasks at most are left out one by one."""
HONEST_STREAM = PRIOR_STREAM + 2

_LEARNING = threading.Lock()
_PRIORS: weakref.WeakKeyDictionary[AnyTable, dict[Any, Prior]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Honesty:
    """The parts of honest uncertainty; each can be switched off.

    Attributes:
        ensemble: networks that learnt from different tasks are pooled; else the one that learnt from most.
    """

    ensemble: bool = True


class Members(NamedTuple):
    """What networks that learnt from different tasks say about all rows of a table."""

    learns_from: Bool[np.ndarray, "networks tasks"]
    mu: Float[np.ndarray, "networks objectives rows"]
    sigma: Float[np.ndarray, "networks objectives rows"]


@in_64_bits
def learn_transfer_prior(
    table: AnyTable, seed: int = 0, parts: Honesty = Honesty(), training: Training = PUBLISHED
) -> Prior:
    """What the other tasks say about each row of each task, and how far that may be off.

    Args:
        table: at least two tasks. An objective that is constant in a task is not learnt from there; one that
            says nothing in any other task is predicted as standard normal.
        seed: root seed.
        parts: what makes the uncertainty honest.
        training: of the networks.

    Returns:
        The prior; kept for as long as the table is.

    Raises:
        InputError: if the table has one task alone.
    """
    with _LEARNING:
        kept = _PRIORS.setdefault(table, {})
        if (seed, parts, training) not in kept:
            kept[seed, parts, training] = _learn(table, seed, parts, training)
        return kept[seed, parts, training]


def _learn(table: AnyTable, seed: int, parts: Honesty, training: Training) -> Prior:
    require_another_task(table)
    members = learn_members(table, seed, who_learns_from_whom(table.num_tasks), training)
    useful = members.learns_from @ informative(table)
    shape = (table.num_tasks, *members.mu.shape[1:])
    mu, sigma = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for task, m in itertools.product(range(table.num_tasks), range(table.num_objectives)):
        mine = ~members.learns_from[:, task] & useful[:, m]
        if not parts.ensemble:
            mine &= np.cumsum(mine) == 1
        if mine.any():
            mu[task, m], sigma[task, m] = pool(members.mu[mine, m], members.sigma[mine, m])
    return Prior(table.name, table.tasks, table.columns, table.objectives, mu, sigma)


def who_learns_from_whom(num_tasks: int) -> Bool[np.ndarray, "networks tasks"]:
    """All tasks but a group, for each group, and then all but two, for each pair; tasks dealt in turn."""
    num_groups = min(num_tasks, MOST_GROUPS)
    group = np.arange(num_tasks) % num_groups
    left_out = [(g, g) for g in range(num_groups)] + list(itertools.combinations(range(num_groups), 2))
    learns_from = np.array([~np.isin(group, pair) for pair in left_out])
    return learns_from[learns_from.any(axis=1)]


def learn_members(
    table: AnyTable,
    seed: int,
    learns_from: Bool[np.ndarray, "networks tasks"],
    training: Training = PUBLISHED,
) -> Members:
    """Fits one network per set of tasks and objective, all together, and predicts all rows.

    Args:
        table: what is learnt from.
        seed: root seed.
        learns_from: the tasks that each network sees.
        training: of the networks.

    Returns:
        Their predictions. A network without anything to learn from predicts as it was initialised.
    """
    values, task, row = training_rows(table, seed)
    values = np.where(informative(table).T[:, task], values, np.nan)
    features = unit_features(table)
    targets, valid = _masked(values, task, learns_from)
    key = jax.random.fold_in(jax.random.key(seed), HONEST_STREAM)
    fitted = fit_networks(key, features[row], targets, valid, training)
    shape = (learns_from.shape[0], table.num_objectives, table.num_rows)
    mu, sigma = (np.asarray(part).reshape(shape) for part in predict_networks(fitted, features))
    return Members(learns_from, mu, sigma)


@jax.jit
def _masked(values: Array, task: Array, learns_from: Array) -> tuple[Array, Array]:
    """Targets and masks of one network per set of tasks and objective, objectives within sets."""
    valid = learns_from[:, task][:, None, :] & jnp.isfinite(values)[None]
    lanes = jnp.where(valid, values[None], 0)
    return lanes.reshape(-1, values.shape[1]), valid.reshape(-1, values.shape[1])


def pool(
    mu: Float[np.ndarray, "members rows"], sigma: Float[np.ndarray, "members rows"]
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Mean and deviation of the equal mixture; the members' disagreement adds to it."""
    mean = mu.mean(axis=0)
    return mean, np.sqrt((sigma**2 + (mu - mean) ** 2).mean(axis=0))
