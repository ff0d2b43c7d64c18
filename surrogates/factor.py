"""Factors of covariance matrices, for many small ones at once."""

import functools

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Float
from mohb_jax.surrogates import Array

BLOCK = 32
"""Rows of a matrix that is factorised at once."""

product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
"""Products of matrices in full precision on any device."""


def columns_times(columns: Float[Array, "n few"], matrix: Float[Array, "n n"]) -> Float[Array, "n few"]:
    """The transposed matrix times a few columns, one at a time: together they take four times as long."""
    return jnp.stack([product(column, matrix) for column in columns.T], axis=1)


@jax.jit
def inverse_factor(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inverse of the lower Cholesky factor, by halves.

    Products of blocks do nearly all the work. The library's own factorisation of the whole hands even small
    matrices to several threads, which then wait for each other longer than they work.
    """
    n = matrix.shape[0]
    if n <= BLOCK:
        return _small_inverse(matrix)
    half = n // 2
    first = inverse_factor(matrix[:half, :half])
    below = product(matrix[half:, :half], first.T)
    last = inverse_factor(matrix[half:, half:] - product(below, below.T))
    corner = -product(last, product(below, first))
    return jnp.block([[first, jnp.zeros((half, n - half), matrix.dtype)], [corner, last]])


@jax.custom_jvp
def _small_inverse(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """``inverse_factor`` of a block."""
    return _by_number(matrix)


@_small_inverse.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """The factor's own derivative; what chooses between two ways of computing it has none."""
    whitening = _by_number(*primals)
    change = product(product(whitening, tangents[0]), whitening.T)
    lower = jnp.tril(change) - 0.5 * jnp.diag(jnp.diagonal(change))
    return whitening, -product(lower, whitening)


@custom_vmap
def _by_number(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A block by the library, or by elimination where many are asked for at a time."""
    factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return jax.scipy.linalg.solve_triangular(factor, identity, lower=True)


@_by_number.def_vmap
def _(axis_size: int, is_batched: list[bool], matrix: Float[Array, "lanes n n"]) -> tuple[Array, bool]:
    del axis_size, is_batched
    return jax.vmap(_eliminated)(matrix), True


def _eliminated(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inverse of the lower Cholesky factor, column by column.

    The library would work on many matrices in threads of its own, which wait for each other, and for ever
    when programs run side by side.
    """
    n = matrix.shape[0]

    def step(k: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        work, row, reciprocal = carry
        # The rest is symmetric. Row and reciprocal are carried: read from the work itself, the one would make
        # a copy of it, and the other divide each entry anew.
        multiple = jnp.where(jnp.arange(n) > k, row[:n] * reciprocal, 0)
        work = work - multiple[:, None] * row[None, :]
        following = jnp.minimum(k + 1, n - 1)
        return work, work[following], 1 / work[following, following]

    work = jnp.concatenate([matrix, jnp.eye(n, dtype=matrix.dtype)], axis=1)
    work = jax.lax.fori_loop(0, n, step, (work, work[0], 1 / work[0, 0]))[0]
    return work[:, n:] / jnp.sqrt(jnp.diagonal(work))[:, None]
