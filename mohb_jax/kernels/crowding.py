"""Crowding: how much room a row has to itself within its front."""

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.types import Array


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
    distance = jnp.zeros(n, costs.dtype)
    for column in jnp.where(usable[:, None], costs, 0).T:  # a fixed order of additions, whatever the batch
        distance = distance + _gap_shares(column, group)
    alone = jnp.zeros(n + 2, jnp.int32).at[group].add(1)[group] == 1
    return jnp.where(usable, jnp.where(alone, jnp.inf, distance), 0)


def crowding_order(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Int[Array, " n"]:
    """Rows by ascending front, then descending crowding distance, then index.

    Args:
        costs: objective values.
        valid: False marks padding.

    Returns:
        Row indices in order: ``order[t]`` is the row that comes t-th. Valid rows that are not finite follow
        the ranked ones, and padding comes last, both in index order.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.B (the
        crowded comparison).
    """
    usable = valid & jnp.all(jnp.isfinite(costs), axis=1)
    n = costs.shape[0]
    rank = pareto_rank(jnp.where(usable[:, None], costs, 0), usable)
    distance = crowding_distance(costs, rank, usable)
    group = jnp.where(usable, rank, jnp.where(valid, n, n + 1))
    return jnp.lexsort((-distance, group)).astype(jnp.int32)


def _gap_shares(values: Float[Array, " n"], group: Int[Array, " n"]) -> Float[Array, " n"]:
    """Gap between a row's neighbours in its group over the group's range; ends +inf, 0 if all are equal."""
    order = jnp.lexsort((values, group))
    values, group = values[order], group[order]
    num_groups = values.shape[0] + 2
    low = jnp.full(num_groups, jnp.inf, values.dtype).at[group].min(values)[group]
    high = jnp.full(num_groups, -jnp.inf, values.dtype).at[group].max(values)[group]
    changes = jnp.concatenate([jnp.ones(1, bool), group[1:] != group[:-1], jnp.ones(1, bool)])
    is_end = changes[1:] | changes[:-1]
    gap = jnp.where(is_end, jnp.inf, jnp.roll(values, -1) - jnp.roll(values, 1))
    share = jnp.where(high > low, gap / jnp.where(high > low, high - low, 1), 0)
    return jnp.zeros_like(share).at[order].set(share)
