"""Floats as integers of the same order: compilers vectorise extremes of integers, but not those of floats."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.types import Array


def to_sortable(values: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Integers in the order of the floats, which must not be NaN; both zeros give 0."""
    integer = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    bits = jax.lax.bitcast_convert_type(values + 0.0, integer)  # -0.0 becomes 0.0
    return jnp.where(bits < 0, bits ^ jnp.iinfo(integer).max, bits)


def from_sortable(bits: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The floats that ``to_sortable`` was given."""
    floating = jnp.float64 if bits.dtype == jnp.int64 else jnp.float32
    return jax.lax.bitcast_convert_type(jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits), floating)
