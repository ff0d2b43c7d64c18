"""BOHB and MO-BOHB: proposals from densities of good and of bad configurations.

Both divide the results of one fidelity into good and bad ones, estimate a density of either kind, and propose
what is likely among the good and unlikely among the bad. On a table the proposal is answered with the nearest
unseen row. They differ in how results are divided and in the densities (``mohb_jax.surrogates.parzen``).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels import promotion
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.lanes import in_batches
from mohb_jax.searchers.rows import Rows, nearest_unseen, prepare_rows
from mohb_jax.searchers.unseen import Pool, filled_up, marked, new_pool
from mohb_jax.surrogates import parzen
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

CAPACITY = 256
"""Results that a lane keeps. Beyond it those at the lowest fidelity give way first, the oldest of them
first."""
INDIFFERENCE = 1e-6
"""Differences in the logarithm of the ratio of densities that do not count: chance decides. Draws can be
exactly as promising as one another, and rounding may not choose."""

GOOD_PERCENT = 15
"""BOHB: share of the results that are good."""
NUM_DRAWS = 64
"""BOHB: configurations among which the best is proposed."""
RANDOM_SHARE = 1 / 3
"""BOHB: share of random proposals."""
WIDENING = 3.0
"""BOHB: draws come from kernels so many times as wide as those of the density."""
LEAST_DENSITY = 1e-32
"""BOHB: smaller densities count as this."""

MO_GOOD_DIVISOR = 10
"""MO-BOHB: one in so many results is good."""
MO_NUM_DRAWS = 24
"""MO-BOHB: values of each column among which the best is proposed."""
MO_RANDOM_SHARE = 1 / 6
"""MO-BOHB: share of random proposals."""
NUM_INITIAL = 10
"""MO-BOHB: random configurations at the highest fidelity that open a run."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows"],
    meta_fields=["num_fidelities", "num_objectives", "num_choices"],
)
@dataclasses.dataclass(frozen=True)
class Space:
    """What lanes know before they start.

    Attributes:
        rows: of the table.
        num_fidelities: that results may come from.
        num_objectives: of a result.
        num_choices: of each column: the levels of a categorical one, 0 for others.
    """

    rows: Rows
    num_fidelities: int
    num_objectives: int
    num_choices: tuple[int, ...]


class DensityState(NamedTuple):
    """What a lane has observed, the oldest first, with padding after it: level -1."""

    pool: Pool
    key: Key
    row: Int32[Array, " capacity"]
    level: Int32[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    """Infinite in every objective where the evaluation failed."""


class Sizes(NamedTuple):
    """Of the parts into which results of one fidelity are divided."""

    good: Int[Array, "*levels"]
    bad: Int[Array, "*levels"]
    enough: Bool[Array, "*levels"]
    """Whether there are enough results, and enough good ones that did not fail."""


class Rule(NamedTuple):
    """What sets the two methods apart."""

    sizes: Callable[[Array, Array, int], Sizes]
    """Of all results at a fidelity, those that did not fail, and the number of columns."""
    fit: Callable[[Space, DensityState, Array, Sizes], Any]
    """A model of the results that a mask marks."""
    num_shares: Callable[[Space], tuple[int, ...]]
    """How many uniform numbers a proposal takes, as a shape."""
    propose: Callable[[Space, Any, Array], Array]
    """A point that the model likes, from these numbers."""
    random_share: float


@functools.cache
def bohb(capacity: int = CAPACITY) -> Searcher:
    """The searcher of BOHB: one density over all columns for good and for bad results of objective 0.

    Of n results at a fidelity, with D columns, the best ``max(D + 1, floor(0.15 n))`` are good and the next
    ``max(D + 1, floor(0.85 n))`` bad. The model is that of the highest fidelity at which both are more than
    D and all good ones succeeded. A third of the proposals is random; any other is the best of 64 draws near
    good ones by the ratio of the two densities, moved to the nearest unseen row.

    Departures from hpbandster:

    * All configurations of a bracket's first rung are proposed when it opens, from one model: in this driver
      nothing is known in between.
    * Failed evaluations count as the worst, as there, but are never good.
    * A categorical column has as many levels as it is declared with, not as many as occur among the results
      (one level alone made the kernel infinite), and its bandwidth ends where the kernel is uniform: beyond,
      the observed level becomes less likely than others, and its probability negative.
    * Ordinal columns are numbers with equal steps, the first level at 0 and the last at 1.
    * No configuration is proposed twice.

    Args:
        capacity: results that a lane keeps.

    References:
        Falkner, Klein, Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", 2018,
        section 3.2 and algorithm 2; constants as in its implementation, hpbandster.
    """
    return _density_searcher(
        Rule(_bohb_sizes, _fit_kernels, _point_shares, _propose_point, RANDOM_SHARE), capacity, 1
    )


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
    rule = Rule(_mo_bohb_sizes, _fit_columns, _column_shares, _propose_by_column, MO_RANDOM_SHARE)
    return _density_searcher(rule, capacity, None)


def _density_searcher(rule: Rule, capacity: int, num_objectives: int | None) -> Searcher:
    """A searcher that learns from the first ``num_objectives`` objectives, or from all."""

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Space:
        del seed, prior
        rows = prepare_rows(table, tasks)
        choices = zip(rows.num_levels, rows.is_categorical, strict=True)
        return Space(
            rows=rows,
            num_fidelities=table.num_fidelities,
            num_objectives=num_objectives or table.num_objectives,
            num_choices=tuple(levels if is_categorical else 0 for levels, is_categorical in choices),
        )

    def init(context: Space, task: Int[Array, ""], key: Key) -> DensityState:
        return DensityState(
            pool=new_pool(context.rows.candidates, task, key, context.rows.num_rows),
            key=jax.random.fold_in(key, 2),
            row=jnp.zeros(capacity, jnp.int32),
            level=jnp.full(capacity, -1, jnp.int32),
            costs=jnp.full((capacity, context.num_objectives), jnp.inf, jnp.result_type(float)),
        )

    def suggest(context: Space, task: Array, state: DensityState, num_suggestions: int) -> tuple:
        cells = max(context.rows.num_rows, capacity**2)
        propose = functools.partial(_suggest, rule, num_suggestions)
        return in_batches(cells, propose, context, task, state)

    return Searcher(prepare, init, suggest, observe)


def observe(state: DensityState, seen: Seen) -> DensityState:
    """Appends the results of a rung; beyond the capacity the lowest level gives way, the oldest first."""
    capacity, num_objectives = state.costs.shape
    row = jnp.concatenate([state.row, seen.row.astype(jnp.int32)])
    level = jnp.concatenate([state.level, jnp.where(seen.valid, seen.level, -1).astype(jnp.int32)])
    costs = jnp.concatenate([state.costs, seen.costs[:, :num_objectives].astype(state.costs.dtype)])
    place = jnp.arange(level.shape[0], dtype=jnp.int32)
    kept = jax.lax.top_k(level * level.shape[0] + place, capacity)[1]
    kept = kept[jnp.argsort(jnp.where(level[kept] < 0, level.shape[0], kept))]
    return state._replace(row=row[kept], level=level[kept], costs=costs[kept])


def _suggest(
    rule: Rule, num_suggestions: int, context: Space, task: Int[Array, ""], state: DensityState
) -> tuple[DensityState, Array, Array]:
    """Proposals of the model, if there is one, and random ones, in random order."""
    carried_key, random_key, propose_key = jax.random.split(state.key, 3)
    sizes, model_level = level_with_model(rule, context, state)
    is_random = jax.random.uniform(random_key, (num_suggestions,)) < rule.random_share
    is_random = is_random | ~sizes.enough
    model = rule.fit(context, state, state.level == model_level, sizes)
    share = _uniform(propose_key, (num_suggestions, *rule.num_shares(context)))
    propose = functools.partial(rule.propose, context, model)
    seen, row, num_found = _propose_all(context, task, state.pool.seen, propose, share, jnp.sum(~is_random))
    pool = state.pool._replace(seen=seen)
    pool, row, valid = filled_up(context.rows.candidates, task, pool, row, num_found)
    # The model's rows come first so far, and are given the places that are not random; the end of the table
    # leaves no hole.
    place = jnp.argsort(is_random, stable=True)
    order = jnp.argsort(jnp.where(valid, place, num_suggestions + place))
    return state._replace(pool=pool, key=carried_key), row[order], valid[order]


def _uniform(key: Key, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform numbers, drawn as a vector, which compiles four times as fast."""
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)


def level_with_model(rule: Rule, context: Space, state: DensityState) -> tuple[Sizes, Int[Array, ""]]:
    """The highest level with enough results, and how these are divided; without any, not ``enough``."""
    level = jnp.arange(context.num_fidelities)
    at_level = state.level[None] == level[:, None]
    finite = jnp.all(jnp.isfinite(state.costs), axis=1)
    num_results = jnp.sum(at_level, axis=1)
    sizes = rule.sizes(num_results, jnp.sum(at_level & finite[None], axis=1), context.rows.num_columns)
    highest = jnp.max(jnp.where(sizes.enough, level, 0))
    return jax.tree.map(lambda size: size[highest], sizes), highest


def _propose_all(
    context: Space,
    task: Int[Array, ""],
    seen: UInt32[Array, " words"],
    propose: Callable[[Array], Array],
    share: Float[Array, "k ..."],
    num_wanted: Int[Array, ""],
) -> tuple[Array, Array, Array]:
    """Rows of the model, one after another: bits of those seen, rows (-1 after the last), and how many."""

    def step(number: Array, carry: tuple) -> tuple:
        seen, row, num_found = carry
        nearest, found = nearest_unseen(context.rows, task, seen, propose(share[number]))
        nearest = jnp.where(found, nearest, -1)
        return marked(seen, nearest[None]), row.at[number].set(nearest), num_found + found

    start = (seen, jnp.full(share.shape[0], -1, jnp.int32), jnp.int32(0))
    return jax.lax.fori_loop(0, num_wanted, step, start)


# BOHB


def _bohb_sizes(num_results: Array, num_finite: Array, num_columns: int) -> Sizes:
    least = num_columns + 1
    good = jnp.maximum(least, GOOD_PERCENT * num_results // 100)
    bad = jnp.maximum(least, (100 - GOOD_PERCENT) * num_results // 100)
    bad = jnp.minimum(bad, num_results - good)
    return Sizes(good, bad, (bad >= least) & (num_finite >= good))


class Pair(NamedTuple):
    """Densities of good and of bad results."""

    good: Any
    bad: Any


def _fit_kernels(context: Space, state: DensityState, marked: Array, sizes: Sizes) -> Pair:
    capacity = state.row.shape[0]
    order = promotion.single(0)(state.key, state.costs, marked, capacity)
    points, place = context.rows.point(state.row[order]), jnp.arange(capacity)
    most_good = min(capacity, max(context.rows.num_columns + 1, GOOD_PERCENT * capacity // 100))
    is_bad = (place >= sizes.good) & (place < sizes.good + sizes.bad)
    return Pair(
        parzen.fit_kernels(points[:most_good], place[:most_good] < sizes.good, context.num_choices),
        parzen.fit_kernels(points, is_bad, context.num_choices),
    )


def _point_shares(context: Space) -> tuple[int, ...]:
    return NUM_DRAWS, 2 + 2 * context.rows.num_columns


def _propose_point(context: Space, model: Pair, share: Array) -> Float[Array, " columns"]:
    draws = parzen.draw_widened(share[:, 1:], model.good, context.num_choices, WIDENING)
    good, bad = (
        jnp.maximum(parzen.log_density(part, draws, context.num_choices), np.log(LEAST_DENSITY))
        for part in model
    )
    return draws[_best(good - bad, share[:, 0])]


def _best(
    score: Float[Array, "*columns draws"], share: Float[Array, "*columns draws"]
) -> Int[Array, "*columns"]:
    """Where the score is greatest; chance decides between those that are as good as equal."""
    return jnp.argmax(score + INDIFFERENCE * share, axis=-1)


# MO-BOHB


def _mo_bohb_sizes(num_results: Array, num_finite: Array, num_columns: int) -> Sizes:
    good = jnp.maximum(1, num_results // MO_GOOD_DIVISOR)
    enough = (num_results > 2 * num_columns + 1) & (num_finite >= good)
    return Sizes(good, num_results - good, enough)


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


class Levels(NamedTuple):
    """Of some columns with levels: the probability of each among the good, and the logarithm of good over
    bad."""

    good: Float[Array, "columns levels"]
    ratio: Float[Array, "columns levels"]


class ColumnModels(NamedTuple):
    """Densities column by column: of numbers, of ordinal and of categorical columns."""

    numbers: Pair
    ordinal: Levels
    categorical: Levels


class Groups(NamedTuple):
    """Indices of a table's columns by the density that they have."""

    numbers: np.ndarray
    ordinal: np.ndarray
    categorical: np.ndarray


def _groups(rows: Rows) -> Groups:
    levels, is_categorical = np.array(rows.num_levels), np.array(rows.is_categorical)
    masks = (levels == 0, (levels > 0) & ~is_categorical, is_categorical)
    return Groups(*(np.flatnonzero(mask) for mask in masks))


def _levels_per_unit(rows: Rows, group: np.ndarray) -> Float[np.ndarray, " group"]:
    """Of ordinal columns: the greatest level, which is at 1."""
    return np.maximum(np.array(rows.num_levels)[group] - 1, 1).astype(float)


def _fit_columns(context: Space, state: DensityState, marked: Array, sizes: Sizes) -> ColumnModels:
    capacity, rows = state.row.shape[0], context.rows
    most_good = max(1, capacity // MO_GOOD_DIVISOR)
    good, is_bad = good_and_bad(state.costs, marked, sizes.good, most_good)
    points, is_good = rows.point(state.row).T, jnp.arange(most_good) < sizes.good
    ordered, groups = ordered_values(rows, points), _groups(rows)
    low, high = (jnp.asarray(end) for end in _ends(rows))
    fit = jax.vmap(parzen.mixture, (0, None, 0, 0))
    mixtures = Pair(fit(ordered[:, good], is_good, low, high), fit(ordered, is_bad, low, high))
    num_numbers = len(groups.numbers)
    numbers, ordinal = (
        jax.tree.map(lambda leaf, part=part: leaf[part], mixtures)
        for part in (slice(num_numbers), slice(num_numbers, None))
    )
    level = points[groups.categorical].astype(jnp.int32)
    return ColumnModels(
        numbers,
        _levels(rows, groups.ordinal, parzen.ordinal_masses, *((part,) for part in ordinal)),
        _levels(
            rows,
            groups.categorical,
            parzen.categorical_masses,
            (level[:, good], jnp.tile(is_good, (len(level), 1))),
            (level, jnp.tile(is_bad, (len(level), 1))),
        ),
    )


def ordered_values(rows: Rows, points: Float[Array, "columns n"]) -> Float[Array, "ordered n"]:
    """Columns of numbers, then ordinal ones, whose levels are put exactly where they belong."""
    groups = _groups(rows)
    last = _levels_per_unit(rows, groups.ordinal)[:, None]
    return jnp.concatenate([points[groups.numbers], jnp.round(points[groups.ordinal] * last) / last])


def _ends(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the densities of these columns: half a step more than their values take up."""
    groups = _groups(rows)
    half_step = np.concatenate([np.zeros(len(groups.numbers)), 0.5 / _levels_per_unit(rows, groups.ordinal)])
    num_levels = np.array(rows.num_levels)[np.concatenate(groups[:2])]
    return -half_step, np.where(num_levels == 1, 0.0, 1.0) + half_step


def _levels(rows: Rows, group: np.ndarray, masses: Callable, good: tuple, bad: tuple) -> Levels:
    """Masses of each column of a group; ``good`` and ``bad`` are the arguments that they are made from."""
    num_levels = np.array(rows.num_levels)[group]
    most = int(max(num_levels, default=1))
    of_columns = jax.vmap(lambda number, *own: masses(*own, number, most))
    of_good, of_bad = (of_columns(jnp.asarray(num_levels), *own) for own in (good, bad))
    return Levels(of_good, jax.vmap(parzen.log_ratio)(of_good, of_bad))


def _column_shares(context: Space) -> tuple[int, ...]:
    return context.rows.num_columns, MO_NUM_DRAWS, 3


def _propose_by_column(context: Space, model: ColumnModels, share: Array) -> Float[Array, " columns"]:
    rows, groups = context.rows, _groups(context.rows)
    point = jnp.zeros(rows.num_columns, share.dtype)
    point = point.at[groups.numbers].set(_best_numbers(model.numbers, share[groups.numbers]))
    ordinal = _best_levels(model.ordinal, share[groups.ordinal]) / _levels_per_unit(rows, groups.ordinal)
    categorical = _best_levels(model.categorical, share[groups.categorical])
    point = point.at[groups.ordinal].set(ordinal)
    return point.at[groups.categorical].set(categorical.astype(share.dtype))


def _best_numbers(model: Pair, share: Float[Array, "columns draws 3"]) -> Float[Array, " columns"]:
    draws = jax.vmap(parzen.draw_mixture)(share[..., 1:], model.good)
    good, bad = (jax.vmap(parzen.log_mixture)(part, draws) for part in model)
    return draws[np.arange(draws.shape[0]), _best(good - bad, share[..., 0])]


def _best_levels(model: Levels, share: Float[Array, "columns draws 3"]) -> Int32[Array, " columns"]:
    draws = jax.vmap(parzen.draw_levels)(share[..., 1], model.good)
    ratio = jnp.take_along_axis(model.ratio, draws, axis=1)
    return draws[np.arange(draws.shape[0]), _best(ratio, share[..., 0])]
