"""MOTPE: the ratio of two densities of each column, asked by every worker that becomes free."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.epsilon_net import scale_costs
from mohb_jax.kernels.hypervolume import hypervolume_contributions
from mohb_jax.kernels.promotion import REFERENCE
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.column_densities import best_point, compared, densities
from mohb_jax.searchers.density_ratio import Pair
from mohb_jax.searchers.genetic_operators import nearest_or_random
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.mo_bohb import GOOD_DIVISOR, NUM_DRAWS, good_and_bad
from mohb_jax.searchers.nearest_rows import Rows, prepare_rows
from mohb_jax.searchers.result_memory import Launches, no_launches, with_result
from mohb_jax.searchers.seen_rows import Pool, new_pool
from mohb_jax.surrogates import parzen
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

CAPACITY = 128
"""Results that a lane remembers; see ``result_memory`` for what gives way."""
MOST_GOOD = CAPACITY // GOOD_DIVISOR


class Observed(NamedTuple):
    """A lane of MOTPE."""

    pool: Pool
    key: Key
    results: Launches


@functools.cache
def motpe(num_objectives: int, initial: int = 10) -> Policy:
    """Multi-objective tree-structured Parzen estimator at full fidelity.

    Until ``initial`` results are in, rows are random. From then on, of n results ``max(1, floor(n / 10))``
    are good: whole fronts while they fit, then the greedy hypervolume subset of the front that is cut. A good
    result weighs as much as the hypervolume that it alone adds to the good ones, over the largest such
    amount; a bad one weighs 1, and so does the prior of every density. Each column is chosen by itself, the
    best of 24 draws from the good density by the ratio of the two, and the unseen row nearest to that point
    is evaluated. Rows that are being evaluated are not in the densities, which are drawn from at random, so
    that workers differ.

    Departures from the published method and its implementation:

    * ``initial`` is 10, the default in Optuna; the paper advises 11 columns - 1, which would be nearly all of
      a hundred evaluations, by a Latin hypercube.
    * The good part is never empty. Failed evaluations are left out, as in Optuna.
    * Hypervolumes are taken on a min-max scale of all results, with reference 1.1: the published reference,
      1.1 times the worst value, depends on where an objective has its zero.
    * At most 128 results count; beyond, dominated ones give way, the oldest first.
    * No row is proposed twice, and ordinal columns take the place of integers.

    Args:
        num_objectives: of the table, at most four.
        initial: results of random rows before densities choose.

    References:
        Ozaki, Tanigaki, Watanabe, Onishi, "Multiobjective tree-structured Parzen estimator for
        computationally expensive optimization problems", 2020, algorithms 1 and 2; Ozaki et al.,
        "Multiobjective tree-structured Parzen estimator", 2022 (several workers); weights as in Optuna.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Rows:
        del seed, prior
        return prepare_rows(table, tasks)

    def propose(context: Rows, task: Int[Array, ""], state: Observed, moment: Moment) -> tuple[Observed, Job]:
        def wish(key: Key, results: Launches) -> Float[Array, " columns"]:
            model = compared(*densities_of(context, results))
            return best_point(context, model, uniform_shares(context, key))

        return proposed(context, task, state, moment, wish, jnp.sum(state.results.observed) >= initial)

    return Policy(prepare, functools.partial(new_lane, num_objectives), propose, observe)


def new_lane(num_objectives: int, context: Rows, task: Int[Array, ""], key: Key) -> Observed:
    """A lane that has seen nothing. The key is consumed."""
    pool = new_pool(context.candidates, task, key, context.num_rows)
    results = no_launches(CAPACITY, num_objectives, jnp.result_type(float))
    return Observed(pool, jax.random.fold_in(key, 1), results)


def proposed(
    rows: Rows,
    task: Int[Array, ""],
    state: Observed,
    moment: Moment,
    wish: Callable[[Key, Launches], Array],
    asks: Bool[Array, ""],
) -> tuple[Observed, Job]:
    """The unseen row nearest to the point that densities wish for, if they are asked; else the next row at
    random."""
    key = jax.random.fold_in(state.key, moment.num_launched)

    def point(results: Launches) -> Float[Array, "1 columns"]:
        return wish(key, results)[None]

    pool, row, found = nearest_or_random(rows, task, state.pool, 1, point, state.results, asks)
    job = Job(row[0], jnp.int32(0), jnp.int32(-1), found[0])
    return tree_where(found[0], state._replace(pool=pool), state), job


def uniform_shares(rows: Rows, key: Key) -> Float[Array, "columns draws 3"]:
    """Uniform numbers below 1 for one proposal. The key is consumed."""
    shape = (rows.num_columns, NUM_DRAWS, 3)
    return jax.random.uniform(key, (rows.num_columns * NUM_DRAWS * 3,)).reshape(shape)


def densities_of(rows: Rows, results: Launches) -> Pair:
    """Densities of the good results, weighted, and of the bad ones; without any, the priors."""
    return divided(rows, results.row, results.costs, results.observed, MOST_GOOD)


def divided(
    rows: Rows, row: Int[Array, " n"], costs: Float[Array, "n m"], valid: Bool[Array, " n"], most_good: int
) -> Pair:
    """Densities of the good and of the bad among some results that did not fail.

    Args:
        rows: of the table.
        row: of each result.
        costs: of each result.
        valid: False marks padding.
        most_good: static, at least a tenth of the results, and 1.
    """
    num_good = jnp.clip(jnp.sum(valid) // GOOD_DIVISOR, 1, jnp.sum(valid))
    good, is_bad = good_and_bad(costs, valid, num_good, most_good)
    is_good, points = jnp.arange(most_good) < num_good, rows.point(row).T
    weight = weights_of_good(costs, valid, good, is_good)
    return Pair(
        densities(rows, points[:, good], is_good, parzen.counted_masses, weight),
        densities(rows, points, is_bad, parzen.counted_masses),
    )


def weights_of_good(
    costs: Float[Array, "n m"],
    observed: Bool[Array, " n"],
    good: Int[Array, " k"],
    is_good: Bool[Array, " k"],
) -> Float[Array, " k"]:
    """The hypervolume that each good result alone adds to all good ones, over the largest such amount.

    Args:
        costs: of all results, on whose range volumes are measured.
        observed: False marks padding.
        good: places of the good ones.
        is_good: False marks padding.
    """
    step = 2.0 ** -(50 // costs.shape[1])  # a grid on which volumes are exact, see ``promotion``
    scaled = jnp.round(scale_costs(costs, observed, "minmax") / step) * step
    reference = jnp.full(costs.shape[1], round(REFERENCE / step) * step, scaled.dtype)
    amount = hypervolume_contributions(scaled[good], reference, is_good)
    largest = jnp.max(amount, initial=0)
    return jnp.where(is_good, jnp.where(largest > 0, amount / jnp.where(largest > 0, largest, 1), 1), 0)


def observe(context: Rows, task: Int[Array, ""], state: Observed, result: Result) -> Observed:
    """The lane after a result."""
    del context, task
    return state._replace(results=with_result(state.results, result.row, result.costs, result.valid))
