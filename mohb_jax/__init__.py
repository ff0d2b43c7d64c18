"""Multi-objective Hyperband with hardware choice, simulated thousands of runs at once."""

import os

import jax

if "JAX_ENABLE_X64" not in os.environ:
    # Simulated clocks and reported indicators are float64, and objective values that differ only beyond
    # float32 must not become ties.
    jax.config.update("jax_enable_x64", True)

from mohb_jax.arrays import (
    additive_epsilon,
    crowding_order,
    epsilon_net_order,
    hypervolume,
    hypervolume_contributions,
    hypervolume_monte_carlo,
    igd_plus,
    pareto_rank,
)
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, Settings, simulate
from mohb_jax.transfer import Prior, learn_prior
from mohb_jax.types import RunLog

__all__ = [
    "METHODS",
    "InputError",
    "Prior",
    "RunLog",
    "Settings",
    "additive_epsilon",
    "crowding_order",
    "epsilon_net_order",
    "hypervolume",
    "hypervolume_contributions",
    "hypervolume_monte_carlo",
    "igd_plus",
    "learn_prior",
    "pareto_rank",
    "simulate",
]
