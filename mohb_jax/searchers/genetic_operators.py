"""Children of configurations: crossover and mutation of points, and the rows of a table nearest to them.

Points are as ``Rows.point`` gives them. Nothing here knows of costs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.searchers.lane_batches import if_any
from mohb_jax.searchers.nearest_rows import Rows, nearest_unseen_each
from mohb_jax.searchers.seen_rows import Pool, filled_up
from mohb_jax.types import Array, Key

CROSSOVER_INDEX = 20
"""Simulated binary crossover: the larger, the nearer are children to their parents."""
CROSSOVER_SHARE = 0.9
"""Pairs of parents that cross; the others' children are their copies, before mutation."""
MUTATION_INDEX = 20
"""Polynomial mutation: the larger, the smaller its steps."""

_EQUAL = 1e-14


def crossed(
    rows: Rows,
    chance: Float[Array, "*n draws"],
    first: Float[Array, "*n columns"],
    second: Float[Array, "*n columns"],
) -> tuple[Float[Array, "*n columns"], Float[Array, "*n columns"]]:
    """Two children by simulated binary crossover, within [0, 1]; of categorical columns by uniform crossover.

    A pair crosses with probability ``CROSSOVER_SHARE``. Then every numeric column is crossed with probability
    1/2, and either child may get the lower value; every categorical column is exchanged with probability 1/2.

    Args:
        rows: of a table.
        chance: uniform in [0, 1), three numbers per column and one more.
        first: points.
        second: as many others.

    References:
        Deb and Agrawal, "Simulated binary crossover for continuous search space", 1995, with the bounds and
        the probability per column of Deb's code of NSGA-II.
    """
    is_categorical = np.array(rows.is_categorical)
    crosses = chance[..., -1:] < CROSSOVER_SHARE
    for_column, for_spread, for_exchange = jnp.split(chance[..., :-1], 3, axis=-1)
    is_spread = crosses & (for_column < 0.5) & ~is_categorical & (jnp.abs(first - second) > _EQUAL)
    is_exchanged = crosses & (for_exchange < 0.5) & (is_spread | is_categorical)

    def child(is_left: Any) -> Any:
        spread = _spread_out(for_spread, first, second, is_left)
        return jnp.where(is_spread, spread, jnp.where(is_left, first, second))

    return child(~is_exchanged), child(is_exchanged)


def _spread_out(
    chance: Float[Array, "*n columns"],
    first: Float[Array, "*n columns"],
    second: Float[Array, "*n columns"],
    is_left: Bool[Array, "*n columns"],
) -> Float[Array, "*n columns"]:
    """The lower child of two parents that differ, or the upper one.

    Its distance from the middle, over that of the parents, depends on the room that its side has.
    """
    low, high = jnp.minimum(first, second), jnp.maximum(first, second)
    gap = jnp.where(high - low > _EQUAL, high - low, 1)
    room = jnp.where(is_left, low, 1 - high)
    power = CROSSOVER_INDEX + 1
    share = chance * (2 - (1 + 2 * room / gap) ** -power)
    factor = jnp.where(share <= 1, share, 1 / (2 - jnp.maximum(share, 1))) ** (1 / power)
    return jnp.clip((low + high + jnp.where(is_left, -factor, factor) * gap) / 2, 0, 1)


def mutated(
    rows: Rows, chance: Float[Array, "*n draws"], point: Float[Array, "*n columns"]
) -> Float[Array, "*n columns"]:
    """Polynomial mutation of each numeric column with probability 1/columns, within [0, 1]; a categorical
    column gets a random level instead.

    Args:
        rows: of a table.
        chance: uniform in [0, 1), three numbers per column.
        point: to be mutated.

    References:
        Deb and Deb, "Analysing mutation schemes for real-parameter genetic algorithms", 2014 (the scheme of
        Deb's code of NSGA-II).
    """
    for_column, chance, for_level = jnp.split(chance, 3, axis=-1)
    power = MUTATION_INDEX + 1
    downwards = 2 * chance + (1 - 2 * chance) * (1 - point) ** power
    upwards = 2 * (1 - chance) + (2 * chance - 1) * point**power
    root = jnp.maximum(jnp.where(chance < 0.5, downwards, upwards), 0) ** (1 / power)
    moved = jnp.clip(point + jnp.where(chance < 0.5, root - 1, 1 - root), 0, 1)
    moved = jnp.where(np.array(rows.is_categorical), _point_at(rows, for_level), moved)
    return jnp.where(for_column < 1 / rows.num_columns, moved, point)


def random_point(rows: Rows, key: Key) -> Float[Array, " columns"]:
    """A uniformly random value of every column."""
    return _point_at(rows, jax.random.uniform(key, (rows.num_columns,)))


def _point_at(rows: Rows, chance: Float[Array, "*n columns"]) -> Float[Array, "*n columns"]:
    """The value of every column that a uniformly random number stands for."""
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
    num_rows: int,
    make_points: Callable[[Any], Float[Array, "k columns"]],
    parents: Any,
    is_wanted: Bool[Array, ""],
) -> tuple[Pool, Array, Array]:
    """The unseen rows nearest to the points made of some parents, one after another, or as many random ones
    if these are not wanted: pool, rows, and which of them are valid."""

    def near(seen: UInt32[Array, " words"], parents: Any) -> tuple[Array, Array, Array]:
        return nearest_unseen_each(rows, task, seen, make_points(parents))

    nothing = jnp.asarray(pool.seen), jnp.zeros(num_rows, jnp.int32), jnp.zeros(num_rows, bool)
    seen, row, found = if_any(is_wanted, near, (pool.seen, parents), nothing)
    num_found = jnp.sum(found, dtype=jnp.int32)
    return filled_up(rows.candidates, task, pool._replace(seen=seen), jnp.where(found, row, -1), num_found)
