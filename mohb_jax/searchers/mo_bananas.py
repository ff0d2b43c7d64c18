"""MO-BANANAS: an ensemble of networks chooses among mutations of the best configurations."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.crowding import crowding_order
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.genetic_operators import some_columns
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.nearest_rows import Rows, nearest_unseen_each, prepare_rows
from mohb_jax.searchers.seen_rows import Pool, draw, new_pool
from mohb_jax.surrogates.ensemble import EnsembleTraining, Params, fit_further, new_ensemble, predict_all
from mohb_jax.surrogates.transform import standardised_costs
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

NUM_CHANGED = 3
"""Columns that a mutation changes."""
DEVIATION = 1 / 3
"""Standard deviation of a changed number, as a share of its range."""
MUTATIONS_PER_PROPOSAL = 2
"""20 mutations for 10 proposals."""
CAPACITY = 256
"""Results that are kept. Beyond it the last one by front, then crowding, gives way."""
TRAINING = EnsembleTraining()
"""As published."""
INDIFFERENCE = 1e-6
"""Differences between predictions, in standard deviations of what was seen, that do not count: chance
decides, and not rounding."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["rows"], meta_fields=["num_objectives"])
@dataclasses.dataclass(frozen=True)
class Space:
    """What lanes know before they start."""

    rows: Rows
    num_objectives: int


class BananasState(NamedTuple):
    """What a lane has seen; the archive is in order of front, then crowding, and then padding."""

    pool: Pool
    key: Key
    params: Params
    row: Int[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    num_observed: Int[Array, ""]


@functools.cache
def mo_bananas(training: EnsembleTraining = TRAINING, capacity: int = CAPACITY) -> Searcher:
    """Mutations of the best results, of which an ensemble's Thompson sample of ranks chooses (MO-BANANAS).

    The first proposals are random. From then on each call trains five networks a little further on all
    results at full fidelity, mutates the best results by front, then crowding, once each, and proposes the
    half of the mutations whose sampled positions are lowest, each as its nearest unseen row. Defaults: three
    columns change; a number gets a truncated normal of a third of its range around its value, a category any
    level; networks with 10 hidden units, Adam at 0.1, 80 epochs in batches of 32, weights kept from call to
    call.

    Departures from the published code, which loses its way on raw numbers and forgets most of what it paid
    for: inputs are scaled to [0, 1] and categories one-hot, targets are standardised over the archive, and
    gradients are clipped to norm 1; all results at full fidelity are learnt from, not only the best of each
    bracket; failed results count as the worst; while there are fewer results than mutations, the best ones
    are mutated once more; and a table has no fixed columns (layer counts there).

    Args:
        training: of the networks.
        capacity: results that are kept.

    References:
        Guerrero-Viu et al., "Bag of baselines for multi-objective joint neural architecture search and
        hyperparameter optimization", 2021 (MO-BANANAS); White, Neiswanger, Savani, "BANANAS", 2021.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Space:
        del seed, prior
        return Space(prepare_rows(table, tasks), table.num_objectives)

    def init(context: Space, task: Int[Array, ""], key: Key) -> BananasState:
        rows = context.rows
        params_key, carried_key = jax.random.split(jax.random.fold_in(key, 1))
        num_features = encoded(rows, jnp.zeros((1, rows.num_columns))).shape[1]
        return BananasState(
            pool=new_pool(rows.candidates, task, key, rows.num_rows),
            key=carried_key,
            params=new_ensemble(params_key, num_features, context.num_objectives, training),
            row=jnp.zeros(capacity, jnp.int32),
            costs=jnp.full((capacity, context.num_objectives), jnp.inf, jnp.result_type(float)),
            num_observed=jnp.int32(0),
        )

    def suggest(context: Space, task: Int[Array, ""], state: BananasState, num_suggestions: int) -> tuple:
        rows, pool = context.rows, state.pool
        at_random = draw(rows.candidates, task, pool, num_suggestions)
        params, points = _proposed(training, context, state, num_suggestions)
        seen, *answers = nearest_unseen_each(rows, task, pool.seen, points)
        from_model = (pool._replace(seen=seen), *answers)
        knows = state.num_observed > 0
        pool, row, valid = tree_where(knows, from_model, at_random)
        return state._replace(pool=pool, params=params, key=jax.random.fold_in(state.key, 0)), row, valid

    return Searcher(prepare, init, suggest, functools.partial(_observe, capacity))


def encoded(rows: Rows, points: Float[Array, "k columns"]) -> Float[Array, "k features"]:
    """Points of ``Rows.point`` as networks read them: a column of 0 and 1 for each category."""
    parts = []
    for column, is_categorical in enumerate(rows.is_categorical):
        values = points[:, column, None]
        levels = jnp.arange(rows.num_levels[column])
        parts.append((values == levels[None]).astype(points.dtype) if is_categorical else values)
    return jnp.concatenate(parts, axis=1)


def mutated(rows: Rows, key: Key, point: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """The point with ``NUM_CHANGED`` of its columns changed, or all of them if there are fewer."""
    choice_key, number_key, level_key = jax.random.split(key, 3)
    changed = some_columns(choice_key, rows.num_columns, NUM_CHANGED)
    lowest, highest = -point / DEVIATION, (1 - point) / DEVIATION
    number = point + DEVIATION * jax.random.truncated_normal(number_key, lowest, highest)
    num_levels = jnp.maximum(jnp.asarray(rows.num_levels), 1)
    level = jnp.floor(jax.random.uniform(level_key, point.shape, point.dtype) * num_levels)
    value = jnp.where(jnp.asarray(rows.is_categorical), level, jnp.clip(number, 0, 1))
    return jnp.where(changed, value, point)


def positions(costs: Float[Array, "k m"]) -> Int[Array, " k"]:
    """Where each row stands by front, then crowding: the inverse of the order, which is another thing."""
    k = costs.shape[0]
    order = crowding_order(costs, jnp.ones(k, bool))
    return jnp.zeros(k, jnp.int32).at[order].set(jnp.arange(k, dtype=jnp.int32))


def sampled_positions(key: Key, predictions: Float[Array, "members k m"]) -> Float[Array, " k"]:
    """Independent Thompson sampling of positions: normal around the position by the mean prediction, with the
    deviation of the members' positions from it.

    Args:
        key: consumed.
        predictions: of each member for each candidate.
    """
    tie_key, sample_key = jax.random.split(key)
    noise = INDIFFERENCE * jax.random.uniform(tie_key, predictions.shape[1:], predictions.dtype)
    centre = positions(jnp.mean(predictions, axis=0) + noise)
    apart = jax.vmap(positions)(predictions + noise[None]) - centre[None]
    deviation = jnp.sqrt(jnp.sum(apart**2, axis=0) / max(predictions.shape[0] - 1, 1))
    return centre + deviation * jax.random.normal(sample_key, deviation.shape, deviation.dtype)


def _proposed(
    training: EnsembleTraining, context: Space, state: BananasState, num_proposed: int
) -> tuple[Params, Float[Array, "k columns"]]:
    """The networks after further training, and the mutations of the lowest sampled positions."""
    rows = context.rows
    fit_key, mutation_key, sample_key = jax.random.split(jax.random.fold_in(state.key, 1), 3)
    valid = jnp.arange(state.row.shape[0]) < state.num_observed
    features = encoded(rows, rows.point(state.row))
    targets = standardised_costs(state.costs, valid)
    params = fit_further(state.params, fit_key, features, targets, valid, training)
    num_mutations = MUTATIONS_PER_PROPOSAL * num_proposed
    parent = state.row[jnp.arange(num_mutations) % jnp.maximum(state.num_observed, 1)]
    keys = jax.random.split(mutation_key, num_mutations)
    points = jax.vmap(lambda key, point: mutated(rows, key, point))(keys, rows.point(parent))
    score = sampled_positions(sample_key, predict_all(params, encoded(rows, points)))
    return params, points[jnp.argsort(score)[:num_proposed]]


def _observe(capacity: int, state: BananasState, seen: Seen) -> BananasState:
    """Files the results at full fidelity in the archive, which stays sorted."""
    valid = jnp.concatenate([jnp.arange(capacity) < state.num_observed, seen.valid & seen.is_full])
    row = jnp.concatenate([state.row, seen.row.astype(jnp.int32)])
    costs = jnp.concatenate([state.costs, jnp.asarray(seen.costs, state.costs.dtype)])
    kept = crowding_order(costs, valid)[:capacity]
    num_observed = jnp.minimum(jnp.sum(valid, dtype=jnp.int32), capacity)
    return state._replace(row=row[kept], costs=costs[kept], num_observed=num_observed)
