"""What the searcher ``transfer`` proposes from: predictors, what they are believed about, and lists."""

import dataclasses
import functools
import weakref
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float, Float16, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.honest_prior import NONE, Honesty, learn_members, learn_transfer_prior
from mohb_jax.searchers.random import Candidates, all_candidates
from mohb_jax.searchers.transfer_prior import Belief, make_lists, shared_noise
from mohb_jax.surrogates.rescaling import doubted, mixed
from mohb_jax.transfer import PRIOR_STREAM, Prior, informative, z_values
from mohb_jax.types import Array

JOINT = Honesty(doubt=False)
"""Of the prior from all other tasks together: runs doubt it themselves, by their results."""
MOST_CLUSTERS = 4
"""Groups of other tasks that are predictors of their own."""
SHARE_ALONE = 0.3
"""Of the prior weight, for groups of tasks."""
BETWEEN_TASKS = 0.5
"""Deviation from task to task that is added to a single task's own."""
LEAST_CORRELATION = 0.3
"""From which on tasks foretell another one."""
UNTESTED, VOUCHED = 0.1, 0.5
"""How likely an objective is foretold where no other task could test that: little, unless the caller gave the
prior."""


class Learning(NamedTuple):
    """What is learnt, beside whom to trust; each can be switched.

    Attributes:
        corrected: means of the first predictor are corrected by the run's own results.
        lowest: predictors learn what the other tasks hold at the lowest fidelity, at which most
            configurations begin, in place of the highest.
        one_network: what the other tasks say together is what a single network says, in place of several
            whose uncertainty is made honest.
        at_once: proposals come from other tasks at once, in place of from when three results of a run
            compare.
    """

    corrected: bool = False
    lowest: bool = False
    one_network: bool = False
    at_once: bool = False


AS_LEARNT = Learning()
"""Nothing beside."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["candidates", "rows", "predictions", "uses", "log_prior", "features", "at_once"],
    meta_fields=["num_rows"],
)
@dataclasses.dataclass(frozen=True)
class Sources:
    """What lanes propose from, and judge it by.

    Attributes:
        candidates: of each task, for random rows.
        rows: lists of each source but the first, which is random rows: -1 where a list has ended.
        predictions: mean and deviation that each predictor has for each row, in z-space.
        uses: 1 where a source believes a predictor about an objective.
        log_prior: how likely each source is before a run, as a logarithm.
        num_rows: of the table.
        features: of each row, where means are corrected by them.
        at_once: see ``Learning``.
    """

    candidates: Candidates
    rows: Int[Array, "tasks lists draws length"]
    predictions: Float16[Array, "tasks rows predictors m 2"]
    uses: Float[Array, "sources predictors m"]
    log_prior: Float[Array, "tasks sources"]
    num_rows: int
    features: Float[Array, "rows features"] | None = None
    at_once: Bool[Array, ""] | bool = False


class Predictor(NamedTuple):
    """What is believed about every row of one task."""

    mu: Float[np.ndarray, "m rows"]
    sigma: Float[np.ndarray, "m rows"]
    correlation: Float[np.ndarray, "m m"]


class Alone(NamedTuple):
    """What each task says by itself, and how well it says it of the others."""

    mu: Float[np.ndarray, "tasks m rows"]
    sigma: Float[np.ndarray, "tasks m rows"]
    informative: Bool[np.ndarray, "tasks m"]
    likeness: Float[np.ndarray, "tasks tasks"]
    """Mean correlation of what two tasks predict."""
    reliable: Float[np.ndarray, "tasks tasks m"]
    """[t, u]: whether all tasks but t and u foretell u; NaN where nobody is left, or u says nothing."""


_KEPT: weakref.WeakKeyDictionary[Prior, dict[Any, Sources]] = weakref.WeakKeyDictionary()


def prepared_sources(
    draws: int, learning: Learning, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None
) -> Sources:
    """All sources of some tasks, made once for each prior.

    Args:
        draws: lists per source and task.
        learning: what is learnt.
        table: with all its tasks.
        tasks: those to run.
        seed: root seed.
        prior: the one predictor, if the caller has one; else what the other tasks say together, and what
            groups of them say alone, is learnt here.

    Raises:
        InputError: if the table has one task alone, or the prior is one of another space.
    """
    learnt_from = _at_lowest(table) if learning.lowest else table
    parts = NONE if learning.one_network else JOINT
    joint = learn_transfer_prior(learnt_from, seed, parts) if prior is None else prior
    joint.require_space(table)
    kept, call = _KEPT.setdefault(joint, {}), (tasks, seed, draws, prior is None)
    if call not in kept:
        alone = None if prior is not None or table.num_tasks < 3 else _alone(learnt_from, seed)
        untested = UNTESTED if prior is None else VOUCHED
        trust = np.stack([reliability(table, alone, task, untested) for task in tasks])
        kept[call] = _make(table, joint, alone, trust, tasks, seed, draws)
    features = jnp.asarray(unit_features(table), jnp.float32) if learning.corrected else None
    return dataclasses.replace(kept[call], features=features, at_once=jnp.bool_(learning.at_once))


_LOWEST: weakref.WeakKeyDictionary[AnyTable, AnyTable] = weakref.WeakKeyDictionary()


def _at_lowest(table: AnyTable) -> AnyTable:
    """The table at its lowest fidelity alone, the same each time: with it what was learnt from it."""
    return _LOWEST.setdefault(table, table.select(fidelities=table.fidelities[:1]))


def _make(
    table: AnyTable,
    joint: Prior,
    alone: Alone | None,
    trust: Float[np.ndarray, "tasks m"],
    tasks: tuple[int, ...],
    seed: int,
    draws: int,
) -> Sources:
    candidates, m = all_candidates(table, tasks), table.num_objectives
    root = jax.random.fold_in(jax.random.key(seed), PRIOR_STREAM + 3)
    predictors = [[_together(joint, task), *_groups(table, alone, task)] for task in tasks]
    num_predictors = max(map(len, predictors))
    predictors = [own + [_nothing(own[0])] * (num_predictors - len(own)) for own in predictors]
    uses = source_uses(num_predictors, m)
    beliefs = []
    for position, task in enumerate(tasks):
        key = jax.random.fold_in(root, task)
        noise = shared_noise(key)
        for number, use in enumerate(uses[1:]):
            believed = _believed(predictors[position], use)
            beliefs.append(Belief(position, jax.random.fold_in(key, number), noise, *believed))
    rows = make_lists(candidates, beliefs, draws).reshape(len(tasks), len(uses) - 1, draws, -1)
    stacked = [np.stack([np.stack([p.mu.T, p.sigma.T], -1) for p in own], 1) for own in predictors]
    return Sources(
        candidates,
        jnp.asarray(rows),
        jnp.asarray(np.stack(stacked).astype(np.float16)),
        jnp.asarray(uses, jnp.float32),
        jnp.asarray(log_prior(uses, trust), jnp.float32),
        table.num_rows,
    )


def source_uses(num_predictors: int, num_objectives: int) -> Bool[np.ndarray, "sources predictors m"]:
    """Which predictor a source believes about which objective.

    The first source believes nothing. The second believes the first predictor about all objectives but the
    first one, of which other tasks know least as a rule, and then come all predictors about all of them. A
    source that knows how good rows will be and not how long they take is worse than none: good rows take
    longer.
    """
    m = num_objectives
    chosen = ([np.arange(m) > 0] if m > 1 else []) + [np.ones(m, bool)]
    uses = np.zeros((len(chosen) + num_predictors, num_predictors, m), bool)
    uses[1 : len(chosen) + 1, 0] = chosen
    for predictor in range(1, num_predictors):
        uses[len(chosen) + predictor, predictor] = True
    return uses


def log_prior(
    uses: Bool[np.ndarray, "sources predictors m"], trust: Float[np.ndarray, "tasks m"]
) -> Float[np.ndarray, "tasks sources"]:
    """How likely each source is before a run: objectives are foretold independently of one another, and
    predictors beside the first one share ``SHARE_ALONE``."""
    about = np.any(uses, axis=1)
    likely = np.where(about[None], np.log(trust)[:, None], np.log1p(-trust)[:, None]).sum(axis=2)
    num_alone = uses.shape[1] - 1
    share = np.zeros(len(uses))
    if num_alone:
        alone = np.any(uses[:, 1:], axis=(1, 2))
        share = np.log(
            np.where(alone, SHARE_ALONE / num_alone, np.where(np.any(about, axis=1), 1 - SHARE_ALONE, 1))
        )
    return likely + share


def _believed(
    predictors: list[Predictor], use: Bool[np.ndarray, "predictors m"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, deviation and factor of a source: standard normal numbers where it believes nothing."""
    own = predictors[int(np.argmax(np.any(use, axis=1)))]
    about = np.any(use, axis=0)
    mu, sigma = np.where(about[:, None], own.mu, 0), np.where(about[:, None], own.sigma, 1)
    correlation = np.where(np.outer(about, about), own.correlation, np.eye(len(about)))
    return mu, sigma, np.linalg.cholesky(correlation).astype(np.float32)


def _together(joint: Prior, task: int) -> Predictor:
    factor = joint.noise_factor(task).astype(np.float64)
    return Predictor(*doubted(joint.mu[task], joint.sigma[task], 1 / len(joint.tasks)), factor @ factor.T)


def _nothing(like: Predictor) -> Predictor:
    return Predictor(np.zeros_like(like.mu), np.ones_like(like.sigma), np.eye(len(like.mu)))


def _alone(table: AnyTable, seed: int) -> Alone:
    members = learn_members(table, seed, np.eye(table.num_tasks, dtype=bool))
    says = informative(table)
    mu = np.where(says[:, :, None], members.mu, 0)
    sigma = np.where(says[:, :, None], np.sqrt(members.sigma**2 + BETWEEN_TASKS**2), 1)
    scaled = _standardised(mu)
    likeness = np.einsum("umr,vmr->uv", scaled, scaled) / np.maximum(says[:, None] & says[None], 0).sum(
        2
    ).clip(1)
    return Alone(mu, sigma, says, likeness, _reliable(table, mu, says))


def _standardised(values: Float[np.ndarray, "*n rows"]) -> Float[np.ndarray, "*n rows"]:
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).sum(axis=-1, keepdims=True)).clip(1e-12)


def _reliable(
    table: AnyTable, mu: Float[np.ndarray, "tasks m rows"], says: Bool[np.ndarray, "tasks m"]
) -> Float[np.ndarray, "tasks tasks m"]:
    num_tasks, m = says.shape
    found = np.full((num_tasks, num_tasks, m), np.nan)
    total = mu.sum(axis=0)
    for u in range(num_tasks):
        z, measured = z_values(table, u)
        for t in set(range(num_tasks)) - {u}:
            rest = np.delete(says, [t, u], axis=0).any(axis=0) & says[u]
            about = (total - mu[t] - mu[u])[:, measured]
            agrees = (_standardised(about) * _standardised(z[:, measured])).sum(axis=1)
            found[t, u] = np.where(rest, agrees > LEAST_CORRELATION, np.nan)
    return found


def reliability(
    table: AnyTable, alone: Alone | None, task: int, untested: float = UNTESTED
) -> Float[np.ndarray, " m"]:
    """How likely it is that the other tasks foretell an objective of a task.

    Laplace's rule of succession over the other tasks, each of which the rest of them foretells or does not;
    ``untested`` where there is none that could tell.
    """
    if alone is None:
        return np.full(table.num_objectives, untested)
    known = np.isfinite(alone.reliable[task]).sum(axis=0)
    found = (1 + np.nansum(alone.reliable[task], axis=0)) / (2 + known)
    return np.where(known > 0, found, untested)


def _groups(table: AnyTable, alone: Alone | None, task: int) -> list[Predictor]:
    """Other tasks that are alike, each group as one predictor; four groups at most."""
    if alone is None:
        return []
    others = np.delete(np.arange(table.num_tasks), task)
    group = clustered(1 - alone.likeness[np.ix_(others, others)], MOST_CLUSTERS)
    return [_pooled(alone, others[group == number]) for number in range(1, group.max() + 1)]


def clustered(distance: Float[np.ndarray, "n n"], most: int) -> Int[np.ndarray, " n"]:
    """Groups from 1, ``most`` at most, by average linkage."""
    if len(distance) <= most:
        return np.arange(1, len(distance) + 1)
    condensed = np.maximum(distance, 0)[np.triu_indices(len(distance), 1)]
    hierarchy = scipy.cluster.hierarchy
    return hierarchy.fcluster(hierarchy.linkage(condensed, "average"), most, "maxclust")


def _pooled(alone: Alone, tasks: Int[np.ndarray, " some"]) -> Predictor:
    m, num_rows = alone.mu.shape[1:]
    mu, sigma = np.zeros((m, num_rows)), np.ones((m, num_rows))
    for objective in range(m):
        own = tasks[alone.informative[tasks, objective]]
        if own.size:
            mu[objective], sigma[objective] = mixed(alone.mu[own, objective], alone.sigma[own, objective])
    return Predictor(mu, sigma, np.eye(m))
