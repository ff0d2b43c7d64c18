"""Children of configurations: crossover and mutation of points, and the rows of a table nearest to them.

Points are as ``Rows.point`` gives them. Nothing here knows of costs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.searchers.rows import Rows, nearest_unseen_each
from mohb_jax.searchers.unseen import Pool, filled_up
from mohb_jax.types import Array, Key

CROSSOVER_INDEX = 20
"""Simulated binary crossover: the larger, the nearer are children to their parents."""
CROSSOVER_SHARE = 0.9
"""Pairs of parents that cross; the others' children are their copies, before mutation."""
MUTATION_INDEX = 20
"""Polynomial mutation: the larger, the smaller its steps."""

_EQUAL = 1e-14


def crossed(
    rows: Rows, key: Key, first: Float[Array, " columns"], second: Float[Array, " columns"]
) -> Float[Array, "2 columns"]:
    """Two children by simulated binary crossover, within [0, 1]; of categorical columns by uniform crossover.

    A pair crosses with probability ``CROSSOVER_SHARE``. Then every numeric column is crossed with probability
    1/2, and either child may get the lower value; every categorical column is exchanged with probability 1/2.

    References:
        Deb and Agrawal, "Simulated binary crossover for continuous search space", 1995, with the bounds and
        the probability per column of Deb's code of NSGA-II.
    """
    pair_key, column_key, spread_key, exchange_key = jax.random.split(key, 4)
    shape = (rows.num_columns,)
    crosses = jax.random.uniform(pair_key) < CROSSOVER_SHARE
    is_crossed = crosses & (jax.random.uniform(column_key, shape) < 0.5)
    lower, upper = _spread_out(jax.random.uniform(spread_key, shape), first, second)
    is_numeric = is_crossed & ~np.array(rows.is_categorical) & (jnp.abs(first - second) > _EQUAL)
    exchanges = crosses & (jax.random.uniform(exchange_key, shape) < 0.5)
    is_exchanged = exchanges & (is_numeric | np.array(rows.is_categorical))
    left, right = jnp.where(is_numeric, lower, first), jnp.where(is_numeric, upper, second)
    return jnp.stack([jnp.where(is_exchanged, right, left), jnp.where(is_exchanged, left, right)])


def _spread_out(
    chance: Float[Array, " columns"], first: Float[Array, " columns"], second: Float[Array, " columns"]
) -> tuple[Float[Array, " columns"], Float[Array, " columns"]]:
    """The lower and the upper child of two parents that differ."""
    low, high = jnp.minimum(first, second), jnp.maximum(first, second)
    gap = jnp.where(high - low > _EQUAL, high - low, 1)

    def factor(room: Array) -> Array:
        """Distance of the children over that of the parents, where one side has so much room."""
        power = CROSSOVER_INDEX + 1
        share = chance * (2 - (1 + 2 * room / gap) ** -power)
        return jnp.where(share <= 1, share, 1 / (2 - jnp.maximum(share, 1))) ** (1 / power)

    middle = low + high
    lower, upper = (middle - factor(low) * gap) / 2, (middle + factor(1 - high) * gap) / 2
    return jnp.clip(lower, 0, 1), jnp.clip(upper, 0, 1)


def mutated(rows: Rows, key: Key, point: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """Polynomial mutation of each numeric column with probability 1/columns, within [0, 1]; a categorical
    column gets a random level instead.

    References:
        Deb and Deb, "Analysing mutation schemes for real-parameter genetic algorithms", 2014 (the scheme of
        Deb's code of NSGA-II).
    """
    column_key, step_key, level_key = jax.random.split(key, 3)
    shape = (rows.num_columns,)
    chance = jax.random.uniform(step_key, shape)
    power = MUTATION_INDEX + 1
    downwards = 2 * chance + (1 - 2 * chance) * (1 - point) ** power
    upwards = 2 * (1 - chance) + (2 * chance - 1) * point**power
    root = jnp.maximum(jnp.where(chance < 0.5, downwards, upwards), 0) ** (1 / power)
    moved = jnp.clip(point + jnp.where(chance < 0.5, root - 1, 1 - root), 0, 1)
    moved = jnp.where(np.array(rows.is_categorical), random_point(rows, level_key), moved)
    return jnp.where(jax.random.uniform(column_key, shape) < 1 / rows.num_columns, moved, point)


def random_point(rows: Rows, key: Key) -> Float[Array, " columns"]:
    """A uniformly random value of every column."""
    chance = jax.random.uniform(key, (rows.num_columns,))
    level = jnp.floor(chance * np.maximum(rows.num_levels, 1))
    return jnp.where(_has_levels(rows), level * _spacing(rows), chance)


def different_point(rows: Rows, key: Key, point: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """A uniformly random other value of every column; the only level of a column stays."""
    chance = jax.random.uniform(key, (rows.num_columns,))
    num_levels = np.maximum(rows.num_levels, 1)
    level = jnp.round(point / _spacing(rows)) + 1 + jnp.floor(chance * (num_levels - 1))
    level = jnp.where(num_levels > 1, level, 0) % num_levels
    return jnp.where(_has_levels(rows), level * _spacing(rows), chance)


def on_levels(rows: Rows, point: Float[Array, " *n columns"]) -> Float[Array, " *n columns"]:
    """The point with each ordinal column at its nearest level."""
    return jnp.where(_has_levels(rows), jnp.round(point / _spacing(rows)) * _spacing(rows), point)


def _has_levels(rows: Rows) -> np.ndarray:
    return np.array(rows.num_levels) > 0


def _spacing(rows: Rows) -> np.ndarray:
    """Distance of two neighbouring levels in the coordinates of a point; 1 where there are none."""
    num_levels = np.array(rows.num_levels)
    return np.where(rows.is_categorical, 1.0, 1.0 / np.maximum(num_levels - 1, 1))


def some_columns(key: Key, num_columns: int, num_chosen: int) -> Bool[Array, " columns"]:
    """A uniformly random choice of so many columns."""
    chance = jax.random.uniform(key, (num_columns,))
    return jnp.argsort(jnp.argsort(chance)) < num_chosen


def nearest_or_random(
    rows: Rows,
    task: Int[Array, ""],
    pool: Pool,
    points: Float[Array, "k columns"],
    is_wanted: Bool[Array, ""],
) -> tuple[Pool, Array, Array]:
    """The unseen rows nearest to some points, one after another, or as many random ones if the points are
    not wanted: pool, rows, and which of them are valid."""
    seen, row, found = nearest_unseen_each(rows, task, pool.seen, points)
    found = found & is_wanted
    near = pool._replace(seen=jnp.where(is_wanted, seen, pool.seen))
    num_found = jnp.sum(found, dtype=jnp.int32)
    return filled_up(rows.candidates, task, near, jnp.where(found, row, -1), num_found)


def tree_where(condition: Bool[Array, ""], new: Any, old: Any) -> Any:
    """``new`` where a condition holds, else ``old``; pytrees of one structure."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)
