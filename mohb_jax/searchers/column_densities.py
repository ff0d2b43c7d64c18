"""Densities column by column: of numbers, of ordinal and of categorical columns, each column by itself.

What MO-BOHB and MOTPE share: of good and of bad configurations there is a density each, and a proposal takes,
column by column, the draw from the good one that is likeliest among the good against the bad.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int32

from mohb_jax.searchers.density_ratio import Pair, best_draw
from mohb_jax.searchers.nearest_rows import Rows
from mohb_jax.surrogates import parzen
from mohb_jax.types import Array

Masses = Callable[..., Array]
"""Probabilities of the levels of a categorical column: ``parzen.categorical_masses`` or
``parzen.counted_masses``."""


class Groups(NamedTuple):
    """Indices of a table's columns by the density that they have."""

    numbers: np.ndarray
    ordinal: np.ndarray
    categorical: np.ndarray


class Densities(NamedTuple):
    """Of one part of the results: mixtures of numbers, and a probability of each level of other columns."""

    size: Float[Array, ""]
    """What all its results weigh, and 1 for the prior."""

    numbers: parzen.Mixture
    ordinal: Float[Array, "columns levels"]
    categorical: Float[Array, "columns levels"]


class Levels(NamedTuple):
    """Of some columns with levels: the probability of each among the good, and the logarithm of good over
    bad."""

    good: Float[Array, "columns levels"]
    ratio: Float[Array, "columns levels"]


class ColumnModels(NamedTuple):
    """What a proposal is made from: densities of good and of bad, compared."""

    numbers: Pair
    ordinal: Levels
    categorical: Levels


def groups_of(rows: Rows) -> Groups:
    """The columns of each kind."""
    levels, is_categorical = np.array(rows.num_levels), np.array(rows.is_categorical)
    masks = (levels == 0, (levels > 0) & ~is_categorical, is_categorical)
    return Groups(*(np.flatnonzero(mask) for mask in masks))


def densities(
    rows: Rows,
    points: Float[Array, "columns n"],
    valid: Bool[Array, " n"],
    masses: Masses = parzen.categorical_masses,
    weight: Float[Array, " n"] | None = None,
) -> Densities:
    """The density of every column of some configurations.

    Args:
        rows: of the table.
        points: columns of the configurations, as ``Rows.point`` gives them.
        valid: False marks padding.
        masses: of categorical columns.
        weight: of each configuration; 1 for all if None.
    """
    groups = groups_of(rows)
    weight = valid.astype(points.dtype) if weight is None else jnp.where(valid, weight, 0)
    low, high = (jnp.asarray(end) for end in _ends(rows))
    ordered = ordered_values(rows, points)
    mixtures = jax.vmap(parzen.mixture, (0, None, 0, 0, None))(ordered, valid, low, high, weight)
    num_numbers = len(groups.numbers)
    numbers, ordinal = (
        jax.tree.map(lambda leaf, part=part: leaf[part], mixtures)
        for part in (slice(num_numbers), slice(num_numbers, None))
    )
    level = points[groups.categorical].astype(jnp.int32)
    weights = jnp.tile(weight, (len(level), 1))
    return Densities(
        1 + jnp.sum(weight),
        numbers,
        _masses(rows, groups.ordinal, parzen.ordinal_masses, ordinal),
        _masses(rows, groups.categorical, masses, level, weights),
    )


def compared(good: Densities, bad: Densities) -> ColumnModels:
    """Densities of good and of bad configurations as proposals need them."""
    ordinal, categorical = (
        Levels(of_good, jax.vmap(parzen.log_ratio)(of_good, of_bad))
        for of_good, of_bad in zip(good[2:], bad[2:], strict=True)
    )
    return ColumnModels(Pair(good.numbers, bad.numbers), ordinal, categorical)


def pooled(own: Densities, others: Densities, trust: Float[Array, " parts"]) -> Densities:
    """One density of several: each result counts as much as its part is trusted.

    Args:
        own: the first part.
        others: further parts, along the first axis of every array.
        trust: of each part, the own one first.
    """
    share = trust * jnp.concatenate([own.size[None], others.size])

    def masses(own: Array, others: Array) -> Array:
        return jnp.tensordot(share, jnp.concatenate([own[None], others]), 1) / jnp.sum(share)

    def along(own: Array, others: Array) -> Array:
        return jnp.concatenate([own, jnp.moveaxis(others, 0, 1).reshape(own.shape[0], -1)], axis=1)

    mine, theirs = own.numbers, others.numbers
    weight = along(trust[0] * mine.weight, trust[1:, None, None] * theirs.weight)
    numbers = mine._replace(
        centre=along(mine.centre, theirs.centre),
        width=along(mine.width, theirs.width),
        inside=along(mine.inside, theirs.inside),
        weight=weight,
    )
    ordinal, categorical = (masses(*pair) for pair in zip(own[2:], others[2:], strict=True))
    return Densities(jnp.sum(share), numbers, ordinal, categorical)


def log_density(rows: Rows, density: Densities, points: Float[Array, "columns q"]) -> Float[Array, " q"]:
    """Logarithm of the product of the densities of all columns at some configurations of the table."""
    groups = groups_of(rows)
    numbers = jnp.sum(jax.vmap(parzen.log_mixture)(density.numbers, points[groups.numbers]), axis=0)
    last = _levels_per_unit(rows, groups.ordinal)[:, None]
    levels = jnp.round(points[groups.ordinal] * last), points[groups.categorical]
    masses = (
        jnp.take_along_axis(mass, level.astype(jnp.int32), axis=1)
        for mass, level in zip(density[2:], levels, strict=True)
    )
    return numbers + sum(jnp.sum(jnp.log(mass), axis=0) for mass in masses)


def ordered_values(rows: Rows, points: Float[Array, "columns n"]) -> Float[Array, "ordered n"]:
    """Columns of numbers, then ordinal ones, whose levels are put exactly where they belong."""
    groups = groups_of(rows)
    last = _levels_per_unit(rows, groups.ordinal)[:, None]
    return jnp.concatenate([points[groups.numbers], jnp.round(points[groups.ordinal] * last) / last])


def best_point(
    rows: Rows, model: ColumnModels, share: Float[Array, "columns draws 3"]
) -> Float[Array, " columns"]:
    """Column by column the best draw from the density of good configurations.

    Args:
        rows: of the table.
        model: what the draws come from and what they are judged by.
        share: independent uniform numbers below 1.
    """
    groups = groups_of(rows)
    point = jnp.zeros(rows.num_columns, share.dtype)
    point = point.at[groups.numbers].set(_best_numbers(model.numbers, share[groups.numbers]))
    ordinal = _best_levels(model.ordinal, share[groups.ordinal]) / _levels_per_unit(rows, groups.ordinal)
    categorical = _best_levels(model.categorical, share[groups.categorical])
    point = point.at[groups.ordinal].set(ordinal)
    return point.at[groups.categorical].set(categorical.astype(share.dtype))


def _levels_per_unit(rows: Rows, group: np.ndarray) -> Float[np.ndarray, " group"]:
    """Of ordinal columns: the greatest level, which is at 1."""
    return np.maximum(np.array(rows.num_levels)[group] - 1, 1).astype(float)


def _ends(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of the densities of these columns: half a step more than their values take up."""
    groups = groups_of(rows)
    half_step = np.concatenate([np.zeros(len(groups.numbers)), 0.5 / _levels_per_unit(rows, groups.ordinal)])
    num_levels = np.array(rows.num_levels)[np.concatenate(groups[:2])]
    return -half_step, np.where(num_levels == 1, 0.0, 1.0) + half_step


def _masses(rows: Rows, group: np.ndarray, masses: Masses, *own: Any) -> Float[Array, "columns levels"]:
    """Masses of each column of a group; ``own`` are the arguments that they are made from."""
    num_levels = np.array(rows.num_levels)[group]
    most = int(max(num_levels, default=1))
    return jax.vmap(lambda number, *own: masses(*own, number, most))(jnp.asarray(num_levels), *own)


def _best_numbers(model: Pair, share: Float[Array, "columns draws 3"]) -> Float[Array, " columns"]:
    draws = jax.vmap(parzen.draw_mixture)(share[..., 1:], model.good)
    good, bad = (jax.vmap(parzen.log_mixture)(part, draws) for part in model)
    return draws[np.arange(draws.shape[0]), best_draw(good - bad, share[..., 0])]


def _best_levels(model: Levels, share: Float[Array, "columns draws 3"]) -> Int32[Array, " columns"]:
    draws = jax.vmap(parzen.draw_levels)(share[..., 1], model.good)
    ratio = jnp.take_along_axis(model.ratio, draws, axis=1)
    return draws[np.arange(draws.shape[0]), best_draw(ratio, share[..., 0])]
