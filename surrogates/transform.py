"""Transforms that make objective values of different tasks comparable."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float
from mohb_jax.surrogates import Array

LEAST_DEVIATION = 1e-3
"""A task whose values deviate less is divided by this instead, by ``standard_transform``."""


@jax.jit
def quantile_transform(values: Float[Array, " n"], valid: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Empirical quantiles of the valid values, winsorised, as quantiles of the standard normal.

    With ``q`` the share of valid values that are strictly less, the result is the normal quantile of ``q``
    clipped to ``[d, 1 - d]``, where ``d = 1 / (4 n^(1/4) sqrt(pi ln n))`` and ``n`` counts the valid values.
    Only their order matters, so any strictly increasing change of the objective leaves the result as it is.
    Its mean is slightly negative, since the least value has ``q = 0`` and the greatest ``1 - 1/n``.

    Args:
        values: one objective of one task, NaN-free where valid; +inf, a failed evaluation, is the worst.
        valid: False marks padding, which may hold anything.

    Returns:
        Values in z-space. Equal values share the lowest quantile, so a constant objective gets the quantile
        of ``d`` throughout. A single valid value gets 0, and so does padding.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020;
        the cut ``d`` is that of Liu, Lafferty, Wasserman, "The nonparanormal", 2009.
    """
    ascending = jnp.sort(jnp.where(valid, values, jnp.inf))
    num_less = jnp.searchsorted(ascending, values, side="left").astype(values.dtype)
    num_valid = jnp.sum(valid, dtype=values.dtype)
    # The logarithm of 1 is 0; the branch is not taken below 2.
    z = normal_scores(num_less, jnp.maximum(num_valid, 2))
    return jnp.where(valid & (num_valid > 1), z, 0).astype(values.dtype)


@jax.jit
def normal_scores(num_less: Float[Array, " n"], sample_size: Float[Array, ""]) -> Float[Array, " n"]:
    """Normal quantiles of values with so many smaller ones in a sample of two or more, winsorised as
    ``quantile_transform`` does."""
    cut = 1 / (4 * sample_size**0.25 * jnp.sqrt(jnp.pi * jnp.log(sample_size)))
    return jax.scipy.special.ndtri(jnp.clip(num_less / sample_size, cut, 1 - cut))


@jax.jit
def standard_transform(values: Float[Array, " n"], valid: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Values less their mean, divided by their standard deviation or 1e-3, whichever is more.

    The alternative to ``quantile_transform`` that the paper compares with and finds clearly weaker.

    Args:
        values: one objective of one task, finite where valid.
        valid: False marks padding, which may hold anything.

    Returns:
        Values in z-space; 0 for padding and for a constant objective.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020.
    """
    n = jnp.maximum(jnp.sum(valid, dtype=values.dtype), 1)
    centred = jnp.where(valid, values - jnp.sum(jnp.where(valid, values, 0)) / n, 0)
    deviation = jnp.sqrt(jnp.sum(centred**2) / n)
    return centred / jnp.maximum(deviation, LEAST_DEVIATION)


@jax.jit
def standardised_costs(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Float[Array, "n m"]:
    """Objectives to learn from in one run: each less its mean, divided by its standard deviation.

    Values are first scaled to [0, 1], so that neither an objective's unit nor its offset matters.

    Args:
        costs: NaN-free where valid; a failed evaluation, infinite, counts as the worst value seen.
        valid: False marks padding, which may hold anything.

    Returns:
        Finite values; 0 for padding, for a constant objective, and where everything failed.
    """
    finite = valid[:, None] & jnp.isfinite(costs)
    low = jnp.min(jnp.where(finite, costs, jnp.inf), axis=0)
    high = jnp.max(jnp.where(finite, costs, -jnp.inf), axis=0)
    width = jnp.where(high > low, high - low, 1)
    scaled = jnp.where(finite, (costs - low[None]) / width[None], jnp.where(high > low, 1, 0)[None])
    return jax.vmap(standard_transform, (1, None), 1)(scaled, valid)
