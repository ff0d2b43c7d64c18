"""Whether predicted distributions say how far off they are, on values that the fit did not see."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float
from mohb_jax.surrogates import Array

LEVELS = (0.5, 0.8, 0.95)
"""Central intervals that are reported: a calibrated model covers exactly these shares."""


@functools.partial(jax.jit, static_argnames="levels")
def coverage(
    targets: Float[Array, " n"],
    mu: Float[Array, " n"],
    sigma: Float[Array, " n"],
    valid: Bool[Array, " n"],
    levels: tuple[float, ...] = LEVELS,
) -> Float[Array, " levels"]:
    """Share of held-out values that lie within the central intervals of normal predictions.

    Args:
        targets: values that the fit did not see.
        mu: predicted means.
        sigma: predicted standard deviations, positive.
        valid: False marks padding, which may hold anything.
        levels: probabilities of the intervals; static.

    Returns:
        One share per level, the end points included; NaN if nothing is valid.
    """
    half_width = jax.scipy.special.ndtri((1 + jnp.asarray(levels, mu.dtype)) / 2)
    distance = jnp.where(valid, jnp.abs(targets - mu) / sigma, jnp.inf)
    num_within = jnp.sum(distance[None, :] <= half_width[:, None], axis=1, dtype=mu.dtype)
    return num_within / jnp.sum(valid, dtype=mu.dtype)


@jax.jit
def negative_log_likelihood(
    targets: Float[Array, " n"], mu: Float[Array, " n"], sigma: Float[Array, " n"], valid: Bool[Array, " n"]
) -> Float[Array, ""]:
    """Mean negative logarithm of the predicted normal density at held-out values, in nats.

    A standard normal prediction of values in z-space, which knows nothing, scores about 1.42.

    Args:
        targets: values that the fit did not see.
        mu: predicted means.
        sigma: predicted standard deviations, positive.
        valid: False marks padding, which may hold anything.

    Returns:
        The mean over the valid values; NaN if there are none.
    """
    density = jax.scipy.stats.norm.logpdf(targets, mu, sigma)
    return -jnp.sum(jnp.where(valid, density, 0)) / jnp.sum(valid, dtype=density.dtype)
