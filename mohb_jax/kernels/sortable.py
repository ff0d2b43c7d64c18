"""Floats as integers of the same order: compilers vectorise extremes of integers, but not those of floats."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.types import Array


@jax.jit
def to_sortable(values: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Integers in the order of the floats, which must not be NaN; both zeros give 0."""
    integer = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    return _flipped(jax.lax.bitcast_convert_type(values, integer))


@jax.jit
def from_sortable(bits: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The floats that ``to_sortable`` was given, but for the sign of zero."""
    floating = jnp.float64 if bits.dtype == jnp.int64 else jnp.float32
    return jax.lax.bitcast_convert_type(_flipped(bits), floating)


def _flipped(bits: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """From sign and magnitude, as floats have it, to a negative number, as integers have it, or back."""
    return jnp.where(bits < 0, jnp.iinfo(bits.dtype).min - bits, bits)
