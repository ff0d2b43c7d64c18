"""Epsilon-net order: sorts by front, and spreads the rows of one front."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.sortable import from_sortable, to_sortable
from mohb_jax.types import Array, Key

SCALES = ("minmax", "rank", "none")


GRID_BITS = 25
"""Scaled costs are whole multiples of a step that divides the smallest power of two above their span into
2**25: squared distances are then exact in float64, for up to 8 objectives, and every batch size, compiler and
backend takes the same decisions."""


@functools.partial(jax.jit, static_argnames="scale")
def scale_costs(costs: Float[Array, "n m"], valid: Bool[Array, " n"], scale: str) -> Float[Array, "n m"]:
    """Makes objectives comparable before distances are taken, over the valid rows.

    Without it the objective with the largest unit decides the net.

    Args:
        costs: objective values; rows that are not finite must not be valid.
        valid: rows that set the scale.
        scale: ``minmax`` maps each objective to [0, 1] (a constant one to 0); ``rank`` replaces each value by
            the share of valid rows below it; ``none`` keeps differences as they are. All start at 0.

    Returns:
        Scaled costs, rounded to ``GRID_BITS`` in float64; 0 in rows that are not valid.
    """
    mask = valid[:, None]
    costs = jnp.where(mask, costs, 0)
    if costs.shape[0] == 0:
        return costs
    if scale == "rank":
        costs = rank_shares(costs, valid)
    return jnp.where(mask, scaled(costs, *bounds(costs, valid), scale), 0)


@jax.jit
def rank_shares(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Float[Array, "n m"]:
    """The share of valid rows below each value; 0 in rows that are not valid."""
    below = jnp.sum((costs[:, None] > costs[None]) & valid[None, :, None], axis=1)
    below = jnp.where(valid[:, None], below, 0)
    return below.astype(costs.dtype) / jnp.maximum(jnp.sum(valid) - 1, 1)


@jax.jit
def bounds(
    costs: Float[Array, "n m"], valid: Bool[Array, " n"]
) -> tuple[Float[Array, "1 m"], Float[Array, "1 m"]]:
    """Least value and span of each objective over the valid rows."""
    bits, mask = to_sortable(costs), valid[:, None]
    limit = jnp.iinfo(bits.dtype)
    low = from_sortable(jnp.min(jnp.where(mask, bits, limit.max), axis=0, keepdims=True))
    high = from_sortable(jnp.max(jnp.where(mask, bits, limit.min), axis=0, keepdims=True))
    return low, high - low


@functools.partial(jax.jit, static_argnames="scale")
def scaled(
    costs: Float[Array, "n m"], low: Float[Array, "1 m"], span: Float[Array, "1 m"], scale: str
) -> Float[Array, "n m"]:
    """Rows on the scale that ``bounds`` gave; ``scale`` as in ``scale_costs``, after the ranks."""
    if scale == "minmax":
        return _to_grid((costs - low) / jnp.where(span > 0, span, 1), jnp.ones((), costs.dtype))
    return _to_grid(costs - low, jnp.max(span))


def _to_grid(costs: Float[Array, "n m"], span: Float[Array, ""]) -> Float[Array, "n m"]:
    """Rounds to the grid whose step is a power of two; float32 is too narrow for one and stays as it is."""
    if costs.dtype != jnp.float64:
        return costs
    step = jnp.ldexp(jnp.ones((), costs.dtype), jnp.frexp(span)[1] - GRID_BITS)  # span < 2**(exponent)
    return jnp.where(jnp.isfinite(span), jnp.round(costs / step) * step, 0)


@functools.partial(jax.jit, static_argnames=("num_select", "seed_objective"))
def epsilon_net_order(
    costs: Float[Array, "n m"],
    rank: Int[Array, " n"],
    valid: Bool[Array, " n"],
    num_select: int,
    seed_objective: int = 0,
    opening_key: Key | None = None,
) -> Int[Array, " num_select"]:
    """The first ``num_select`` rows when sorted by front and, within a front, as a greedy epsilon-net.

    The first row of a front is the one best in ``seed_objective``, or a random one; each next one is the row
    farthest from those already taken of that front (Euclidean). Ties go to the lowest index, so duplicates
    come last in their front.

    Args:
        costs: objective values on comparable scales (``scale_costs``), finite where valid.
        rank: front of each row, as ``pareto_rank`` gives it.
        valid: False marks padding.
        num_select: static number of rows wanted, at most n.
        seed_objective: static index of the objective whose minimum opens a front.
        opening_key: if given, the row that opens a front is drawn at random instead.

    Returns:
        Row indices in order: ``order[t]`` is the row that comes t-th. This is not a priority, which would be
        the position of each row: two published libraries confuse them. After the valid rows, positions hold
        arbitrary indices.

    References:
        Clarkson, "Nearest-neighbor searching and metric space dimensions", 2006 (greedy nets); used for
        promotion by Salinas et al., "A multi-objective perspective on jointly tuning hardware and
        hyperparameters", 2021.
    """
    n = costs.shape[0]
    index = jnp.arange(n, dtype=jnp.int32)
    columns = tuple(jnp.moveaxis(costs, 1, 0))
    if opening_key is None:
        opening = ~to_sortable(columns[seed_objective])  # the smaller the cost, the larger the key
    else:
        opening = to_sortable(jax.random.uniform(opening_key, (n,), costs.dtype))
    lowest = jnp.iinfo(opening.dtype).min

    def take(carry: tuple, _: None) -> tuple:
        left_rank, nearest, open_front = carry
        front = jnp.min(left_rank)
        key = jnp.where(front == open_front, to_sortable(nearest), opening)
        key = jnp.where(left_rank == front, key, lowest)
        pick = jnp.min(jnp.where(key == jnp.max(key), index, n))
        distance = sum(((column - column[pick]) ** 2 for column in columns), jnp.zeros(n, costs.dtype))
        nearest = jnp.where(rank == front, jnp.minimum(nearest, distance), nearest)
        return (jnp.where(index == pick, n + 2, left_rank), nearest, front), pick

    start = (jnp.where(valid, rank, n + 1), jnp.full(n, jnp.inf, costs.dtype), jnp.int32(-1))
    return jax.lax.scan(take, start, None, length=num_select)[1]
