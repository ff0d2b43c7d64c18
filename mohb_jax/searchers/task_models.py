"""Models of single tasks that a run puts together as its own results bear them out.

A Gaussian process is fitted to each task and objective by itself, on some of its rows, and predicts all rows;
another one, with the mean of the other tasks' hyperparameters, to what the run has observed. All are in
z-space (``quantile_transform``): of the task's rows, and of the run's own results. ``rgpe`` and ``two_step``
say what each model weighs.
"""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.kernels.promotion import weights_on_simplex
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.parego import scalarised
from mohb_jax.searchers.promising_rows import best_of, none_kept, promising
from mohb_jax.searchers.random import Candidates, RandomState, all_candidates
from mohb_jax.searchers.seen_rows import filled_up, marked, new_pool
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.surrogates.factor import BLOCK
from mohb_jax.surrogates.transform import quantile_transform
from mohb_jax.transfer import PRIOR_STREAM, Prior, require_other_tasks, z_values
from mohb_jax.types import Array, Key

BASE_ROWS = 128
"""Rows of a task that its model learns from, at random."""
BASE_STEPS = 30
"""Adam steps for its hyperparameters."""
CAPACITY = 64
"""Results that a run remembers; the oldest gives way."""
NUM_FRESH = 1024
"""Rows at random among which a proposal chooses, in tables of more."""
LANES_PER_BATCH = 16
PRECISION = jnp.float32


class TaskModels(NamedTuple):
    """What lanes know before they start.

    Attributes:
        candidates: of the tasks that are run.
        features: of all rows.
        mu: what the model of each task of the table expects, in z-space.
        sigma: its deviation, positive.
        others: which tasks of the table a task may learn from: all but itself.
        hyperparameters: of the model of a run's own results, for each task and objective.
    """

    candidates: Candidates
    features: Float[Array, "rows columns"]
    mu: Float[Array, "sources m rows"]
    sigma: Float[Array, "sources m rows"]
    others: Bool[Array, "tasks sources"]
    hyperparameters: gp.Hyperparameters


class Evidence(NamedTuple):
    """What a run's results say of the models of one objective, its own model last.

    Attributes:
        mu: what each expects at the results' rows; the own model without the result in question.
        sigma: the deviation.
        z: the results, in z-space among themselves.
        valid: False marks padding.
        usable: models that may have weight.
    """

    mu: Float[Array, "models n"]
    sigma: Float[Array, "models n"]
    z: Float[Array, " n"]
    valid: Bool[Array, " n"]
    usable: Bool[Array, " models"]


@runtime_checkable
class WeighFn(Protocol):
    def __call__(
        self, key: Key, evidence: Evidence
    ) -> tuple[Float[Array, " models"], Float[Array, " models"]]:
        """Weights of the models' means, which add up to 1, and of their variances."""


class EnsembleState(NamedTuple):
    """What a lane has seen; results stand in a ring."""

    random: RandomState
    seen: Array
    """One bit per row of the table."""
    key: Key
    kept: Int[Array, " kept"]
    row: Int[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    num_results: Int[Array, ""]


def ensemble_policy(weigh: WeighFn) -> Policy:
    """Proposes what one draw of the weighted models would try, its objectives weighted at random.

    Objectives are drawn independently, at the candidates by themselves; the draw is scaled to begin at 0 in
    each objective, and the row of least augmented Chebyshev cost is taken, as ``parego`` has it.

    Args:
        weigh: what each model of an objective weighs.
    """

    def init(context: TaskModels, task: Int[Array, ""], key: Key) -> EnsembleState:
        pool = new_pool(context.candidates, task, key, context.features.shape[0])
        costs = jnp.zeros((CAPACITY, context.mu.shape[1]), jnp.result_type(float))
        none = jnp.zeros(CAPACITY, jnp.int32)
        kept = none_kept(context.candidates, NUM_FRESH)
        return EnsembleState(*pool, jax.random.fold_in(key, 2), kept, none, costs, jnp.int32(0))

    return Policy(prepared, init, functools.partial(_propose, weigh), _observe, (), LANES_PER_BATCH)


def _propose(
    weigh: WeighFn, context: TaskModels, task: Int[Array, ""], state: EnsembleState, moment: Moment
) -> tuple[EnsembleState, Job]:
    del moment
    key, place_key, model_key, draw_key, weight_key = jax.random.split(state.key, 5)
    row, unseen = promising(context.candidates, task, state.seen, state.kept, NUM_FRESH, place_key)
    mean, deviation = _ensemble(weigh, context, task, state, row, model_key)
    draw = mean + deviation * jax.random.normal(draw_key, mean.shape, mean.dtype)
    low = jnp.min(jnp.where(unseen, draw, jnp.inf), axis=1, keepdims=True)
    weights = weights_on_simplex(weight_key, draw.shape[0]).astype(draw.dtype)
    cost = scalarised(jnp.where(unseen, draw - low, 0).T, weights)
    chosen, kept = best_of(row, jnp.where(unseen, -cost, -jnp.inf), 1, state.kept)
    chosen = jnp.where(jnp.any(unseen), chosen, -1)
    state = state._replace(key=key, kept=kept, seen=marked(state.seen, chosen))
    found = jnp.sum(chosen >= 0, dtype=jnp.int32)
    state, chosen, valid = filled_up(context.candidates, task, state, chosen, found)
    return state, Job(chosen[0], jnp.int32(0), jnp.int32(-1), valid[0])


def _ensemble(
    weigh: WeighFn,
    context: TaskModels,
    task: Int[Array, ""],
    state: EnsembleState,
    row: Int[Array, " n"],
    key: Key,
) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
    """Mean and deviation of the weighted models at some rows."""
    valid = jnp.arange(CAPACITY) < state.num_results
    usable = jnp.concatenate([context.others[task], jnp.ones(1, bool)])
    seen, candidates = context.features[state.row], context.features[row]

    def of_objective(item: tuple) -> tuple[Array, Array]:
        key, costs, hyperparameters, mu, sigma = item
        z = quantile_transform(costs, valid).astype(PRECISION)
        own = gp.condition(hyperparameters, seen, z, valid)
        own_mean, own_variance = gp.predict(own, candidates)
        alone_mean, alone_deviation = leave_one_out(own, z)
        at = (jnp.concatenate([mu[:, state.row], alone_mean[None]]),
              jnp.concatenate([sigma[:, state.row], alone_deviation[None]]))  # fmt: skip
        weight, spread = weigh(key, Evidence(*at, z, valid, usable))
        mean = jnp.sum(weight[:-1, None] * mu[:, row], axis=0) + weight[-1] * own_mean
        variance = jnp.sum(spread[:-1, None] * sigma[:, row] ** 2, axis=0) + spread[-1] * own_variance
        return mean, jnp.sqrt(variance)

    keys = jax.random.split(key, context.mu.shape[1])
    models = (jnp.moveaxis(part, 1, 0) for part in (context.mu, context.sigma))
    hyperparameters = jax.tree.map(lambda part: part[task], context.hyperparameters)
    return jax.vmap(of_objective)((keys, state.costs.T, hyperparameters, *models))


def leave_one_out(
    process: gp.GaussianProcess, targets: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """What a process would expect of each of its observations without it, and the deviation.

    References:
        Rasmussen, Williams, "Gaussian processes for machine learning", 2006, equation 5.12.
    """
    precision = jnp.sum(process.whitening**2, axis=0)
    mean = targets - process.deviation * process.weights / precision
    return mean, process.deviation / jnp.sqrt(precision)


def _observe(
    context: TaskModels, task: Int[Array, ""], state: EnsembleState, result: Result
) -> EnsembleState:
    del context, task
    here = (jnp.arange(CAPACITY) == state.num_results % CAPACITY) & result.valid
    return state._replace(
        row=jnp.where(here, result.row, state.row),
        costs=jnp.where(here[:, None], result.costs[None], state.costs),
        num_results=state.num_results + result.valid,
    )


def prepared(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> TaskModels:
    """Models of all tasks; none is asked about its own task.

    Raises:
        InputError: there is no other task, or an objective is constant in one.
    """
    del prior
    require_other_tasks(table)
    candidates = all_candidates(table, tasks)
    features = jnp.asarray(unit_features(table), PRECISION)
    rows, values = zip(*(_some_rows(table, task, seed) for task in range(table.num_tasks)), strict=True)
    parts = jax.device_put((np.stack(rows), np.stack(values).astype(PRECISION)))
    mu, sigma, fitted = _fitted(features, *parts)
    others = jnp.asarray(~np.eye(table.num_tasks, dtype=bool)[list(tasks)])
    return TaskModels(candidates, features, mu, sigma, others, _mean_over(others, fitted))


def _some_rows(
    table: AnyTable, task: int, seed: int
) -> tuple[Int[np.ndarray, " base_rows"], Float[np.ndarray, "m base_rows"]]:
    """Random rows of a task, -1 after their end, and their z-values: places for all rows of a small table."""
    z, measured = z_values(table, task)
    own = np.random.default_rng((seed, PRIOR_STREAM, task)).permutation(np.flatnonzero(measured))[:BASE_ROWS]
    row = np.full(min(BASE_ROWS, -(-table.num_rows // BLOCK) * BLOCK), -1, np.int32)
    row[: own.size] = own
    return row, np.where(row >= 0, z[:, row], 0)


@jax.jit
def _fitted(
    features: Float[Array, "rows columns"],
    rows: Int[Array, "tasks base_rows"],
    values: Float[Array, "tasks m base_rows"],
) -> tuple[Array, Array, gp.Hyperparameters]:
    """Means and deviations at all rows, and hyperparameters."""

    def of_model(item: tuple) -> tuple:
        row, z = item
        process = gp.fit(features[row], z, row >= 0, BASE_STEPS)
        mean, variance = gp.predict(process, features)
        return mean, jnp.sqrt(jnp.maximum(variance, gp.LEAST_VARIANCE)), process.hyperparameters

    num_tasks, num_objectives = values.shape[:2]
    each = jnp.repeat(rows, num_objectives, axis=0), values.reshape(-1, values.shape[2])
    mu, sigma, found = jax.lax.map(of_model, each)
    shape = (num_tasks, num_objectives, features.shape[0])
    found = jax.tree.map(lambda part: part.reshape(*shape[:2], *part.shape[1:]), found)
    return mu.reshape(shape), sigma.reshape(shape), found


@jax.jit
def _mean_over(others: Bool[Array, "tasks sources"], fitted: gp.Hyperparameters) -> gp.Hyperparameters:
    """Hyperparameters of each task: the mean of the other tasks' logarithms."""
    share = others / jnp.sum(others, axis=1, keepdims=True)
    return jax.tree.map(lambda part: jnp.tensordot(share.astype(part.dtype), part, 1), fitted)
