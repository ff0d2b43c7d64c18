"""Factors of covariance matrices, for many small ones at once."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float

from surrogates import Array

BLOCK = 16
"""Rows of a matrix that is factorised at once."""

product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
"""Products of matrices in full precision on any device."""


def inverse_factor(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inverse of the lower Cholesky factor, by halves.

    Products of blocks do nearly all the work. The library's own factorisation of the whole hands even small
    matrices to several threads, which then wait for each other longer than they work.
    """
    n = matrix.shape[0]
    if n <= BLOCK:
        factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
        return jax.scipy.linalg.solve_triangular(factor, jnp.eye(n, dtype=matrix.dtype), lower=True)
    half = n // 2
    first = inverse_factor(matrix[:half, :half])
    below = product(matrix[half:, :half], first.T)
    last = inverse_factor(matrix[half:, half:] - product(below, below.T))
    corner = -product(last, product(below, first))
    return jnp.block([[first, jnp.zeros((half, n - half), matrix.dtype)], [corner, last]])
