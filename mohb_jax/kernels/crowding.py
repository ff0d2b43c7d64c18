"""Crowding: how much room a row has to itself within its front."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.types import Array

PAIRS_UP_TO = 128
"""Rows up to which comparing all pairs beats XLA's sort (docs/performance.md)."""


@jax.jit
def crowding_distance(
    costs: Float[Array, "n m"], rank: Int[Array, " n"], valid: Bool[Array, " n"]
) -> Float[Array, " n"]:
    """NSGA-II's crowding distance of each row within its front.

    Per objective, the gap between the two neighbours of a row, as a share of the range of that front; summed
    over objectives.

    Args:
        costs: objective values; NaN-free where valid.
        rank: front of each row, from ``pareto_rank``; only rows of equal rank are neighbours.
        valid: False marks padding.

    Returns:
        Distances. The first and the last row of a front in an objective get +inf; among equal extreme values
        these are the lowest and the highest index. An objective that is constant in a front adds 0 to all its
        rows, so a front of equal rows is all 0; the only row of a front gets +inf. Padding and rows that are
        not finite get 0 and are nobody's neighbours.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.B.
    """
    usable = valid & jnp.all(jnp.isfinite(costs), axis=1)
    n = costs.shape[0]
    if n == 0:
        return jnp.zeros(0, costs.dtype)
    group = jnp.where(usable, rank, n + 1)  # n may mark valid rows that were left unranked
    size = jnp.zeros(n + 2, jnp.int32).at[group].add(1)
    columns = list(costs.T)
    orders = [_order(group, column) for column in columns]
    standing = group[orders[0]]  # whatever the objective, a group has the same places
    last = jnp.cumsum(size, dtype=jnp.int32)[standing] - 1
    first = last - size[standing] + 1
    distance = jnp.zeros(n, costs.dtype)
    for column, order in zip(columns, orders, strict=True):  # a fixed order of additions, whatever the batch
        shares = jnp.where(standing <= n, _gap_shares(column[order], first, last), 0)
        distance = distance.at[order].add(shares, unique_indices=True)
    return distance


@functools.partial(jax.jit, static_argnames="num_ranked")
def crowding_order(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], num_ranked: int | None = None
) -> Int[Array, " n"]:
    """Rows by ascending front, then descending crowding distance, then index.

    Args:
        costs: objective values.
        valid: False marks padding.
        num_ranked: static; the order after the front in which so many rows are reached may be any. None
            orders all.

    Returns:
        Row indices in order: ``order[t]`` is the row that comes t-th. Valid rows that are not finite follow
        the ranked ones, and padding comes last, both in index order.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.B (the
        crowded comparison).
    """
    usable = valid & jnp.all(jnp.isfinite(costs), axis=1)
    n = costs.shape[0]
    rank = pareto_rank(jnp.where(usable[:, None], costs, 0), usable, num_ranked)
    group = jnp.where(usable, rank, jnp.where(valid, n + 1, n + 2))
    return crowded_order(costs, group, usable)


@jax.jit
def crowded_order(
    costs: Float[Array, "n m"], rank: Int[Array, " n"], valid: Bool[Array, " n"]
) -> Int[Array, " n"]:
    """``crowding_order`` of rows whose fronts are known.

    Args:
        costs: objective values.
        rank: front of each row; what is not valid comes where its own number puts it.
        valid: False marks rows without a distance.
    """
    return _order(rank, -crowding_distance(costs, rank, valid))


def _gap_shares(
    ascending: Float[Array, " n"], first: Int[Array, " n"], last: Int[Array, " n"]
) -> Float[Array, " n"]:
    """Gap between the neighbours of each place in its group over the group's range; ends +inf, also the only
    one; 0 if all of several are equal.

    Args:
        ascending: values sorted by group, then ascending.
        first: first place of the group that stands at each place.
        last: last place of that group.
    """
    low, high = ascending[first], ascending[last]
    place = jnp.arange(ascending.shape[0])
    is_end = (place == first) | (place == last)
    gap = jnp.where(is_end, jnp.inf, jnp.roll(ascending, -1) - jnp.roll(ascending, 1))
    share = jnp.where(high > low, gap / jnp.where(high > low, high - low, 1), 0)
    return jnp.where(first == last, jnp.inf, share)


def _order(group: Int[Array, " n"], values: Float[Array, " n"]) -> Int[Array, " n"]:
    """Rows by group, then value, then index.

    Group, how many values are lower, and index are the digits of one number, for XLA sorts whole numbers
    alone several times as fast as anything else.
    """
    n = group.shape[0]
    if n > PAIRS_UP_TO:
        return jnp.lexsort((values, group)).astype(jnp.int32)
    lower = jnp.sum(values[:, None] < values[None], axis=0, dtype=jnp.uint8)
    digits = (group * n + lower) * n + jnp.arange(n, dtype=jnp.int32)
    return jnp.sort(digits, stable=False) % n
