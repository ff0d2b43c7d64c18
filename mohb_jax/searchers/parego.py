"""ParEGO: expected improvement of a cost that is weighted at random, anew for every proposal."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import (
    NUM_STEPS,
    Knowledge,
    Problem,
    believer_policy,
    improvement_of_cost,
    observed_range,
)
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.types import Array, Key

AUGMENTATION = 0.05
"""Share of the weighted sum in ParEGO's scalarised cost."""


@functools.cache
def parego(problem: Problem, num_steps: int = NUM_STEPS) -> Policy:
    """Expected improvement of a randomly weighted cost, with new weights for every proposal (ParEGO).

    The weights are uniform on the simplex. Objectives are scaled to the observed range; the cost is the
    greatest weighted objective plus ``AUGMENTATION`` times their sum; one Gaussian process models it.

    Args:
        problem: what the table asks for; known objectives are learned like any other.
        num_steps: Adam steps for each proposal; they begin at the hyperparameters of the last one.

    References:
        Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
        optimization problems", 2006, equations 2 and 3. There the weights come from a grid on the simplex.
    """
    return believer_policy(problem, 1, functools.partial(_scalar_gain, problem, num_steps))


def _scalar_gain(
    problem: Problem,
    num_steps: int,
    context: Knowledge,
    task: Int[Array, ""],
    start: gp.Hyperparameters,
    launches: Launches,
    row: Int[Array, " n"],
    key: Key,
) -> tuple[gp.Hyperparameters, Float[Array, " n"]]:
    """Logarithm of the expected improvement of the weighted cost of some rows; see ``AcquireFn``."""
    del task
    low, width = observed_range(launches)
    weights = jax.random.dirichlet(key, jnp.ones(problem.num_objectives, launches.costs.dtype))
    value = scalarised((launches.costs - low[None]) / width[None], weights)
    return improvement_of_cost(problem, num_steps, context, start, launches, value, row)


def scalarised(costs: Float[Array, "*n m"], weights: Float[Array, " m"]) -> Float[Array, "*n"]:
    """The augmented Chebyshev cost: the greatest weighted objective, plus a little of the weighted sum."""
    weighted = costs * weights
    return jnp.max(weighted, axis=-1) + AUGMENTATION * jnp.sum(weighted, axis=-1)
