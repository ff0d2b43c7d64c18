"""Non-dominated sorting."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.types import Array

SWEEP_FROM = 128
"""Rows from which sorting and sweeping beats the n x n matrix for two objectives (docs/performance.md)."""


@jax.jit
def dominance_matrix(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Bool[Array, "n n"]:
    """True at ``[i, j]`` where row i dominates row j: nowhere worse and somewhere better.

    Equal rows do not dominate each other, and padding neither dominates nor is dominated.
    """
    no_worse = jnp.ones((costs.shape[0],) * 2, bool)
    better = jnp.zeros((costs.shape[0],) * 2, bool)
    for column in jnp.moveaxis(costs, 1, 0):  # one n x n array at a time, never n x n x m
        no_worse &= column[:, None] <= column[None]
        better |= column[:, None] < column[None]
    return no_worse & better & valid[:, None] & valid[None]


@jax.jit
def pareto_rank(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], num_ranked: int | Int[Array, ""] | None = None
) -> Int[Array, " n"]:
    """Non-dominated sorting: index of the front that each row falls in.

    Minimisation. Duplicates share a front; the order of rows never matters. Rows of +inf are ordinary, bad
    rows.

    Args:
        costs: objective values, one row per configuration, free of NaN.
        valid: False marks padding.
        num_ranked: sorting may stop at the end of the front in which this many rows are ranked. The
            caller that keeps the first k rows needs no more. None ranks all.

    Returns:
        Front index from 0; ``n`` for padding and for rows in fronts that were not needed, which so sort last.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, section III.A; for
        two objectives Jensen, "Reducing the run-time complexity of multiobjective EAs", 2003.
    """
    if costs.shape[1] == 2 and costs.shape[0] >= SWEEP_FROM:
        return sweep_rank(costs, valid)
    return peel_rank(costs, valid, num_ranked)


@jax.jit
def peel_rank(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"], num_ranked: int | Int[Array, ""] | None = None
) -> Int[Array, " n"]:
    """``pareto_rank`` for any number of objectives: fronts are peeled off the dominance matrix."""
    n = costs.shape[0]
    dominates = dominance_matrix(costs, valid)
    num_needed = jnp.minimum(jnp.sum(valid), n if num_ranked is None else num_ranked)

    def unfinished(carry: tuple) -> jax.Array:
        return jnp.sum(valid & ~carry[1]) < num_needed

    def peel(carry: tuple) -> tuple:
        rank, left, front = carry
        dominated = jnp.any(dominates & left[:, None], axis=0)
        return jnp.where(left & ~dominated, front, rank), left & dominated, front + 1

    start = (jnp.full(n, n, jnp.int32), jnp.asarray(valid), jnp.int32(0))
    return jax.lax.while_loop(unfinished, peel, start)[0]


@jax.jit
def sweep_rank(costs: Float[Array, "n 2"], valid: Bool[Array, " n"]) -> Int[Array, " n"]:
    """``pareto_rank`` for two objectives: sort once, then sweep.

    Rows are visited by the first objective, then the second. ``best[f]`` is the smallest second objective
    that front f has shown so far; it grows with f, and a front dominates the visitor exactly where
    ``best <= y``. The visitor's front is therefore the number of fronts that dominate it.
    """
    n = costs.shape[0]
    order = jnp.lexsort((costs[:, 1], costs[:, 0], ~valid))
    x, y = costs[order].T
    repeats = jnp.concatenate([jnp.zeros(1, bool), (x[1:] == x[:-1]) & (y[1:] == y[:-1])])[:n]
    fronts = jnp.arange(n, dtype=jnp.int32)

    def visit(carry: tuple, point: tuple) -> tuple:
        best, num_fronts, previous = carry
        y, repeat = point
        front = jnp.sum((best <= y) & (fronts < num_fronts), dtype=jnp.int32)
        front = jnp.where(repeat, previous, front)
        best = jnp.where(fronts == front, y, best)
        return (best, jnp.maximum(num_fronts, front + 1), front), front

    start = (jnp.full(n, jnp.inf, costs.dtype), jnp.int32(0), jnp.int32(0))
    rank = jnp.zeros(n, jnp.int32).at[order].set(jax.lax.scan(visit, start, (y, repeats))[1])
    return jnp.where(valid, rank, n)
