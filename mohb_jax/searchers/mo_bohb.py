"""MO-BOHB: the ratio of two densities of each column, of good and of bad results of all objectives."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels import promotion
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.column_densities import ColumnModels, best_point, compared, densities
from mohb_jax.searchers.density_ratio import CAPACITY, DensityState, Rule, Sizes, Space, density_searcher
from mohb_jax.types import Array

GOOD_DIVISOR = 10
"""One in so many results is good."""
NUM_DRAWS = 24
"""Values of each column among which the best is proposed."""
RANDOM_SHARE = 1 / 6
"""Share of random proposals."""
NUM_INITIAL = 10
"""Random configurations at the highest fidelity that open a run."""


@functools.cache
def mo_bohb(capacity: int = CAPACITY) -> Searcher:
    """The searcher of MO-BOHB: one density per column for good and for bad results of all objectives.

    Of n results at a fidelity, ``max(1, floor(n / 10))`` are good: whole fronts while they fit, then the
    greedy hypervolume subset of the front that is cut, as in ``promotion.hypervolume_cut``: on a min-max
    scale of the n results, with reference 1.1. All others are bad. The model is that of the highest fidelity
    with more than 2 D + 1 results, D columns, whose good ones all succeeded. A sixth of the proposals is
    random; of any other, each column is chosen by itself, the best of 24 draws from the good density by the
    ratio of the two, and the point is moved to the nearest unseen row.

    Departures from the published code, whose width and quantised densities are wrong in ways that tests here
    spell out:

    * The good part is never empty: of fewer than ten results the published split makes it so, and the
      proposal that of the prior alone.
    * Its reference point, 1.1 times the worst value, depends on where an objective has its zero.
    * Ordinal columns take the place of integers; the published code knows no ordinals.
    * Failed evaluations are bad in all objectives, and never good.
    * All configurations of a first rung are proposed when it opens, and none is proposed twice.

    Args:
        capacity: results that a lane keeps.

    References:
        Guerrero-Viu et al., "Bag of baselines for multi-objective joint neural architecture search and
        hyperparameter optimization", 2021; Ozaki et al., "Multiobjective tree-structured Parzen estimator",
        2022 (the split and the densities).
    """
    rule = Rule(_sizes, _fit_columns, _column_shares, _propose_by_column, RANDOM_SHARE)
    return density_searcher(rule, capacity, None)


def _sizes(num_results: Array, num_finite: Array, num_columns: int) -> Sizes:
    good = jnp.maximum(1, num_results // GOOD_DIVISOR)
    enough = (num_results > 2 * num_columns + 1) & (num_finite >= good)
    return Sizes(good, num_results - good, enough)


@functools.partial(jax.jit, static_argnames="most_good")
def good_and_bad(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], num_good: Int[Array, ""], most_good: int
) -> tuple[Int[Array, " most_good"], Bool[Array, " n"]]:
    """The split of MO-BOHB: the first ``num_good`` places are good, and the mask marks the bad ones.

    Args:
        costs: objective values; rows that failed are infinite.
        valid: False marks padding.
        num_good: at least 1 and at most the number of rows that did not fail.
        most_good: static, at least ``num_good``.
    """
    unused = jax.random.key(0)
    good = promotion.hypervolume_cut_at(num_good)(unused, costs, valid, most_good)
    slot = jnp.where(jnp.arange(most_good) < num_good, good, costs.shape[0])
    return good, jnp.asarray(valid).at[slot].set(False, mode="drop")


def _fit_columns(context: Space, state: DensityState, marked: Array, sizes: Sizes) -> ColumnModels:
    capacity, rows = state.row.shape[0], context.rows
    most_good = max(1, capacity // GOOD_DIVISOR)
    good, is_bad = good_and_bad(state.costs, marked, sizes.good, most_good)
    points, is_good = rows.point(state.row).T, jnp.arange(most_good) < sizes.good
    return compared(densities(rows, points[:, good], is_good), densities(rows, points, is_bad))


def _column_shares(context: Space) -> tuple[int, ...]:
    return context.rows.num_columns, NUM_DRAWS, 3


def _propose_by_column(context: Space, model: ColumnModels, share: Array) -> Float[Array, " columns"]:
    return best_point(context.rows, model, share)
