"""Indicators that compare a set of rows with the true front."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from mohb_jax.types import Array


@jax.jit
def igd_plus(
    costs: Float[Array, "n m"],
    front: Float[Array, "k m"],
    valid: Bool[Array, " n"] | None = None,
    front_valid: Bool[Array, " k"] | None = None,
    reference: Float[Array, " m"] | None = None,
) -> Float[Array, ""]:
    """Inverted generational distance plus: mean over the front of the distance to the nearest row.

    Only the objectives in which a row is worse than the front's point count in the distance (Euclidean), so
    the indicator never contradicts dominance. Objectives should be on comparable scales.

    Args:
        costs: objective values of the set to judge, minimised.
        front: the points to reach, usually the true front.
        valid: False marks padding in ``costs``; None means that all rows are real.
        front_valid: the same for ``front``.
        reference: stands in for ``costs`` when that has no usable row; None leaves +inf.

    Returns:
        The distance, in float64 when x64 is on; 0 when every point of the front is reached; +inf for an empty
        front. Rows that are not finite count for nothing, on either side.

    References:
        Ishibuchi et al., "Modified distance calculation in generational distance and inverted generational
        distance", 2015.
    """
    costs, usable = _usable(costs, valid, reference)
    front, wanted = _usable(front, front_valid)
    squares = jnp.zeros((front.shape[0], costs.shape[0]), costs.dtype)
    for d in range(costs.shape[1]):  # one k x n array at a time, never k x n x m
        squares = squares + jnp.maximum(costs[None, :, d] - front[:, None, d], 0) ** 2
    squares = jnp.where(usable[None], squares, jnp.inf)
    distance = jnp.sqrt(jnp.min(squares, axis=1, initial=jnp.inf))
    num_wanted = jnp.sum(wanted)
    mean = jnp.sum(jnp.where(wanted, distance, 0)) / jnp.maximum(num_wanted, 1)
    return jnp.where(num_wanted > 0, mean, jnp.inf)


@jax.jit
def additive_epsilon(
    costs: Float[Array, "n m"],
    front: Float[Array, "k m"],
    valid: Bool[Array, " n"] | None = None,
    front_valid: Bool[Array, " k"] | None = None,
    reference: Float[Array, " m"] | None = None,
) -> Float[Array, ""]:
    """Additive epsilon: what to take off every objective so that the set weakly dominates the front.

    Args:
        costs: objective values of the set to judge, minimised.
        front: the points to reach, usually the true front.
        valid: False marks padding in ``costs``; None means that all rows are real.
        front_valid: the same for ``front``.
        reference: stands in for ``costs`` when that has no usable row; None leaves +inf.

    Returns:
        Epsilon in units of the objectives, in float64 when x64 is on; negative where the whole front is
        beaten; +inf for an empty front. Rows that are not finite count for nothing, on either side.

    References:
        Zitzler et al., "Performance assessment of multiobjective optimizers: an analysis and review", 2003.
    """
    costs, usable = _usable(costs, valid, reference)
    front, wanted = _usable(front, front_valid)
    excess = jnp.full((front.shape[0], costs.shape[0]), -jnp.inf, costs.dtype)
    for d in range(costs.shape[1]):
        excess = jnp.maximum(excess, costs[None, :, d] - front[:, None, d])
    excess = jnp.where(usable[None], excess, jnp.inf)
    nearest = jnp.where(wanted, jnp.min(excess, axis=1, initial=jnp.inf), -jnp.inf)
    return jnp.where(jnp.any(wanted), jnp.max(nearest, initial=-jnp.inf), jnp.inf)


def _usable(
    rows: Float[Array, "n m"],
    valid: Bool[Array, " n"] | None,
    stand_in: Float[Array, " m"] | None = None,
) -> tuple[Float[Array, "n1 m"], Bool[Array, " n1"]]:
    """Rows in the widest float, 0 where unusable, and which are usable; with a stand-in for when none is."""
    rows = jnp.asarray(rows, jnp.result_type(float))
    usable = jnp.all(jnp.isfinite(rows), axis=1)
    usable = usable if valid is None else usable & valid
    rows = jnp.where(usable[:, None], rows, 0)
    if stand_in is None:
        return rows, usable
    rows = jnp.concatenate([rows, jnp.asarray(stand_in, rows.dtype)[None]])
    return rows, jnp.concatenate([usable, ~jnp.any(usable, keepdims=True)])
