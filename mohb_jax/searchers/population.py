"""Populations of evolutionary methods: NSGA-II, SH-EMOA and multi-objective regularised evolution.

A failed evaluation never enters a population: its parents have tried in vain. Rows that no parent could make
come from the permutation of random search, so that the first ones of all methods are the same.

The papers' populations are 50 to 100. At the hundred evaluations that are studied here these would be random
search, so the default (``Settings.population``) is 20, a fifth of a hundred.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int


class Population(NamedTuple):
    """Rows and their results; places without a member hold anything."""

    row: Int[jax.Array, " places"]
    costs: Float[jax.Array, "places m"]
    stands: Bool[jax.Array, " places"]
    """Where there is a member."""


def nobody(places: int, num_objectives: int) -> Population:
    """A population without members."""
    dtype = jnp.result_type(float)
    return Population(
        jnp.zeros(places, jnp.int32),
        jnp.full((places, num_objectives), jnp.inf, dtype),
        jnp.zeros(places, bool),
    )
