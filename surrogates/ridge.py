"""Ridge regression on levels: one weight per level and column, a missing level being one of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int
from mohb_jax.surrogates import Array
from mohb_jax.surrogates.factor import inverse_factor, product

PENALTY = 1.0
"""Weight of the squared coefficients against squared errors of standardised targets."""


@jax.jit
def ridge_predictions(
    levels: Int[Array, "n columns"],
    targets: Float[Array, "n outputs"],
    valid: Bool[Array, " n"],
    queries: Int[Array, "k columns"],
) -> Float[Array, "k outputs"]:
    """Predictions of a ridge regression on one-hot levels, without an intercept.

    The inner product of two one-hot rows is the number of columns in which they agree, so the dual form needs
    no matrix of features.

    Args:
        levels: of the rows to learn from; any integer is a level, -1 for instance a missing one.
        targets: finite and centred.
        valid: rows to learn from. Without any, all predictions are 0.
        queries: levels to predict for.

    References:
        Saunders, Gammerman, Vovk, "Ridge regression learning algorithm in dual variables", 1998.
    """
    n = valid.shape[0]
    known = valid[:, None] & valid[None]
    gram = jnp.where(known, _agreements(levels, levels), 0) + PENALTY * jnp.eye(n)
    inverse = inverse_factor(gram)
    weights = product(inverse.T, product(inverse, jnp.where(valid[:, None], targets, 0)))
    return product(_agreements(queries, levels), weights)


def _agreements(one: Int[Array, "k columns"], other: Int[Array, "n columns"]) -> Float[Array, "k n"]:
    """In how many columns each pair of rows agrees."""
    total = jnp.zeros((one.shape[0], other.shape[0]))
    for column in range(one.shape[1]):
        total = total + (one[:, None, column] == other[None, :, column])
    return total
