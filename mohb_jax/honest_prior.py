"""A transfer prior that knows how far off it may be.

The tasks are dealt into groups. A network learns from all tasks but those of one group, or of two. For a
task, the networks that never saw its group are an ensemble; and what one of them says about the second group
that it left out is a test, among the other tasks alone, of how well such a network transfers.
"""

import dataclasses
import itertools
import threading
import weakref
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.networks import fitted_networks
from mohb_jax.precision import in_64_bits
from mohb_jax.surrogates.prior_network import Training
from mohb_jax.surrogates.rescaling import (
    UNCHANGED,
    Scale,
    doubted,
    fit_scale,
    mixed,
    residual_correlation,
)
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
"""Groups that tasks are dealt into: 36 networks per objective at most, whatever the number of tasks."""
HONEST_STREAM = PRIOR_STREAM + 2
TESTED_ROWS = 1024
"""Rows of a task on which predictions are tested, at most."""
IMAGINARY_TASKS = 1.0
"""So many tasks in which the prior knows nothing count as if they had been tested, too."""

LEAST_DOUBT = 1e-3
"""Of correlations, so that objectives that were off by the same throughout still have a Cholesky factor."""

_LEARNING = threading.Lock()
_LEARNT: weakref.WeakKeyDictionary[AnyTable, dict[Any, Any]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Honesty:
    """The parts of honest uncertainty; each can be switched off.

    Attributes:
        ensemble: networks that learnt from different tasks are mixed; else the one that learnt from most.
        rescaled: means and deviations are put right by how networks did on tasks that they left out.
        doubt: the standard normal is mixed in, the more the fewer tasks there were to test on.
        correlated: objectives are drawn with the correlation of what networks were off by.
    """

    ensemble: bool = True
    rescaled: bool = True
    doubt: bool = True
    correlated: bool = True


NONE = Honesty(ensemble=False, rescaled=False, doubt=False, correlated=False)
"""What a single network says of itself."""


class Examples(NamedTuple):
    """Everything that networks learn from."""

    values: Float[np.ndarray, "objectives n"]
    """In z-space; NaN where an objective is constant in its task."""
    task: Int[np.ndarray, " n"]
    row: Int[np.ndarray, " n"]


class Members(NamedTuple):
    """What networks that learnt from different tasks say about all rows of a table."""

    learns_from: Bool[np.ndarray, "networks tasks"]
    mu: Float[np.ndarray, "networks objectives rows"]
    sigma: Float[np.ndarray, "networks objectives rows"]


class HeldOut(NamedTuple):
    """Predictions for tasks that their networks left out, and what these tasks hold."""

    values: Float[np.ndarray, "objectives n"]
    mu: Float[np.ndarray, "objectives n"]
    sigma: Float[np.ndarray, "objectives n"]
    weight: Float[np.ndarray, "objectives n"]
    """0 where there is no value or no prediction; else a task's sum to 1."""


@in_64_bits
def learn_transfer_prior(
    table: AnyTable, seed: int = 0, parts: Honesty = Honesty(), training: Training = PUBLISHED
) -> Prior:
    """What the other tasks say about each row of each task, and how far that may be off.

    A task's own values are read by nothing that its prediction depends on.

    Args:
        table: at least two tasks. An objective that is constant in a task is not learnt from there; one that
            says nothing in any other task is predicted as standard normal, and so is everything where there
            is one other task: what transfers from it was never tested.
        seed: root seed.
        parts: what makes the uncertainty honest; all share the same networks.
        training: of the networks.

    Returns:
        The prior; kept for as long as the table is, as are the networks' predictions.

    Raises:
        InputError: if the table has one task alone.

    References:
        The networks are those of Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter
        transfer learning", 2020; ensembles after Lakshminarayanan et al. 2017; the rest is ours
        (docs/transfer.md).
    """
    require_another_task(table)
    with _LEARNING:
        kept = _LEARNT.setdefault(table, {})
        if (seed, training) not in kept:
            told = training_examples(table, seed)
            networks = who_learns_from_whom(table.num_tasks)
            kept[seed, training] = (told, _fit(table, seed, told, networks, training))
        if (seed, training, parts) not in kept:
            examples, members = kept[seed, training]
            kept[seed, training, parts] = honest_prior(table, examples, members, parts)
        return kept[seed, training, parts]


@in_64_bits
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
    return _fit(table, seed, training_examples(table, seed), learns_from, training)


def training_examples(table: AnyTable, seed: int) -> Examples:
    """Everything that networks may learn from; of large tables some rows only."""
    values, task, row = training_rows(table, seed)
    return Examples(np.where(informative(table).T[:, task], values, np.nan), task, row)


def _fit(table: AnyTable, seed: int, examples: Examples, learns_from: Array, training: Training) -> Members:
    features = unit_features(table)
    targets, valid = _masked(examples.values, examples.task, learns_from)
    key = jax.random.fold_in(jax.random.key(seed), HONEST_STREAM)
    fitted = fitted_networks(key, features[examples.row], targets, valid, training)
    shape = (learns_from.shape[0], table.num_objectives, table.num_rows)
    mu, sigma = (np.asarray(part).reshape(shape) for part in predict_networks(fitted, features))
    return Members(np.asarray(learns_from), mu, sigma)


@jax.jit
def _masked(values: Array, task: Array, learns_from: Array) -> tuple[Array, Array]:
    """Targets and masks of one network per set of tasks and objective, objectives within sets."""
    valid = learns_from[:, task][:, None, :] & jnp.isfinite(values)[None]
    lanes = jnp.where(valid, values[None], 0)
    return lanes.reshape(-1, values.shape[1]), valid.reshape(-1, values.shape[1])


def groups(num_tasks: int) -> Int[np.ndarray, " tasks"]:
    """The group of each task, dealt in turn."""
    return np.arange(num_tasks) % MOST_GROUPS


def who_learns_from_whom(num_tasks: int) -> Bool[np.ndarray, "networks tasks"]:
    """All tasks but a group, for each group, and then all but two, for each pair of groups."""
    group = groups(num_tasks)
    names = range(group.max() + 1)
    left_out = [(g, g) for g in names] + list(itertools.combinations(names, 2))
    learns_from = np.array([~np.isin(group, pair) for pair in left_out])
    return learns_from[learns_from.any(axis=1)]


def honest_prior(table: AnyTable, examples: Examples, members: Members, parts: Honesty) -> Prior:
    """What members say, mixed, rescaled and doubted as far as the parts are on; see ``Honesty``."""
    varied, group = informative(table), groups(table.num_tasks)
    shape = (table.num_tasks, table.num_objectives, table.num_rows)
    mu, sigma = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    correlation = np.tile(np.eye(table.num_objectives), (table.num_tasks, 1, 1))
    for own in range(group.max() + 1):
        held_out = _held_out(examples, members, varied, own)
        scales = [_scale(held_out, m, parts) for m in range(table.num_objectives)]
        for task in np.flatnonzero(group == own).tolist():
            doubts = _doubts(varied, task, parts)
            for m, (scale, doubt) in enumerate(zip(scales, doubts, strict=True)):
                told = _told(members, varied, task, m, parts)
                if told is not None:
                    mean, deviation = mixed(*scale(*told), tested=scale is not UNCHANGED)
                    mu[task, m], sigma[task, m] = doubted(mean, deviation, doubt)
            if parts.correlated:
                correlation[task] = _correlation(held_out, scales, doubts)
    return Prior(table.name, table.tasks, table.columns, table.objectives, mu, sigma, correlation)


def _held_out(
    examples: Examples, members: Members, varied: Bool[np.ndarray, "tasks objectives"], own: int
) -> HeldOut:
    """What networks that did not see one group say of each other group that they did not see either."""
    group = groups(len(varied))
    nothing = np.zeros((varied.shape[1], 0))
    parts = [HeldOut(nothing, nothing, nothing, nothing)]
    for task in np.flatnonzero(group != own).tolist():
        unseen = np.isin(group, (own, group[task]))
        for network in np.flatnonzero((members.learns_from == ~unseen).all(axis=1)):  # one, or none
            place = _evenly(examples.task, task)
            values, row = examples.values[:, place], examples.row[place]
            learnt = (members.learns_from[network] @ varied)[:, None]
            weight = np.where(np.isfinite(values) & learnt, 1 / max(place.size, 1), 0)
            mu, sigma = (part[network][:, row].astype(np.float64) for part in members[1:])
            parts.append(HeldOut(np.nan_to_num(values), mu, sigma, weight))
    return HeldOut(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))


def _evenly(tasks: Int[np.ndarray, " n"], task: int) -> Int[np.ndarray, " some"]:
    """Places of a task's examples, ``TESTED_ROWS`` of them at most."""
    place = np.flatnonzero(tasks == task)
    return place[np.linspace(0, place.size - 1, min(place.size, TESTED_ROWS)).astype(int)]


def _told(
    members: Members, varied: Array, task: int, m: int, parts: Honesty
) -> tuple[Float[np.ndarray, "members rows"], Float[np.ndarray, "members rows"]] | None:
    """What the networks that never saw a task say of one objective; None if none of them learnt anything."""
    chosen = np.flatnonzero(~members.learns_from[:, task] & (members.learns_from @ varied)[:, m])
    if not chosen.size:
        return None
    chosen = chosen if parts.ensemble else chosen[:1]
    return members.mu[chosen, m].astype(np.float64), members.sigma[chosen, m].astype(np.float64)


def _scale(held_out: HeldOut, m: int, parts: Honesty) -> Scale:
    if not parts.rescaled or not held_out.weight[m].any():
        return UNCHANGED
    return fit_scale(*(part[m] for part in held_out))


def _doubts(
    varied: Bool[np.ndarray, "tasks objectives"], task: int, parts: Honesty
) -> Float[np.ndarray, " m"]:
    """The share of the standard normal in each objective: 1 where there is one other task to learn from."""
    others = varied.sum(axis=0) - varied[task]
    doubt = IMAGINARY_TASKS / (np.maximum(others - 1, 0) + IMAGINARY_TASKS)
    return doubt if parts.doubt else np.zeros_like(doubt)


def _correlation(
    held_out: HeldOut, scales: list[Scale], doubts: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "m m"]:
    """Of what networks were off by, in units of the deviations put right; none as far as there is doubt."""
    right = [scale(mu, sigma) for scale, mu, sigma in zip(scales, held_out.mu, held_out.sigma, strict=True)]
    mean, deviation = (np.stack(part) for part in zip(*right, strict=True))
    found = residual_correlation((held_out.values - mean) / deviation, held_out.weight)
    kept = (1 - np.maximum(doubts, LEAST_DOUBT)) ** 0.5
    return np.where(np.eye(len(doubts)), 1.0, found * kept[:, None] * kept)
