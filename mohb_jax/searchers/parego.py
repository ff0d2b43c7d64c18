"""ParEGO: expected improvement of a cost that is weighted at random, anew for every proposal."""

import functools

import jax.numpy as jnp
from jaxtyping import Float

from mohb_jax.kernels.promotion import weights_on_simplex
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import (
    Acquisition,
    Judged,
    Knowledge,
    Problem,
    believer_policy,
    improvement_of_cost,
    observed_range,
)
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.types import Array, Key

AUGMENTATION = 0.05
"""Share of the weighted sum in ParEGO's scalarised cost."""


@functools.cache
def parego(problem: Problem) -> Policy:
    """Expected improvement of a randomly weighted cost, with new weights for every proposal (ParEGO).

    The weights are uniform on the simplex. Objectives are scaled to the observed range; the cost is the
    greatest weighted objective plus ``AUGMENTATION`` times their sum; one Gaussian process models it.

    Args:
        problem: what the table asks for; known objectives are learned like any other.

    References:
        Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
        optimization problems", 2006, equations 2 and 3. There the weights come from a grid on the simplex.
    """
    acquisition = Acquisition(functools.partial(_weighted, problem), _scalar_gain)
    return believer_policy(problem, 1, acquisition)


def _weighted(problem: Problem, launches: Launches, key: Key) -> Float[Array, "1 capacity"]:
    """The weighted cost of what was observed; see ``TargetsFn``."""
    low, width = observed_range(launches)
    weights = weights_on_simplex(key, problem.num_objectives)
    return scalarised((launches.costs - low[None]) / width[None], weights)[None]


def _scalar_gain(context: Knowledge, judged: Judged, key: Key) -> Float[Array, " rows"]:
    """Logarithm of the expected improvement of the weighted cost of some rows; see ``GainFn``."""
    del context, key
    return improvement_of_cost(judged)


def scalarised(costs: Float[Array, "*n m"], weights: Float[Array, " m"]) -> Float[Array, "*n"]:
    """The augmented Chebyshev cost: the greatest weighted objective, plus a little of the weighted sum."""
    weighted = costs * weights
    return jnp.max(weighted, axis=-1) + AUGMENTATION * jnp.sum(weighted, axis=-1)
