"""What a run's own results say about where a prior's means are off.

The error of the mean is taken to be linear in the features of a configuration. Two results at one fidelity
say which of two rows is the better one, and no more: so the weights are those of a logistic regression on
pairs, with a ridge, one step of Newton's method with a diagonal curvature for each result.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from mohb_jax.types import Array

LOGISTIC = 1.702
"""The logistic function of so many deviations is the normal distribution, to a hundredth."""
RIDGE = 4.0
"""Precision of each weight before the run: a feature moves an objective by half a deviation of its task."""


class Residuals(NamedTuple):
    """By how much means grow with each feature, and how well that is known."""

    weight: Float[Array, "m features"]
    precision: Float[Array, "m features"]


class Pairs(NamedTuple):
    """A result and k others at its fidelity, as a prior had predicted them.

    Attributes:
        better: 1 if the result is the better one, -1 if the other, 0 if they are equal.
        distance: mean of the other minus mean of the result.
        deviation: of that distance.
        features: of the other minus those of the result.
        there: False marks padding.
    """

    better: Float[Array, "k m"]
    distance: Float[Array, "k m"]
    deviation: Float[Array, "k m"]
    features: Float[Array, "k features"]
    there: Bool[Array, " k"]


def no_residuals(num_objectives: int, num_features: int) -> Residuals:
    """Before any result."""
    weight = jnp.zeros((num_objectives, num_features), jnp.float32)
    return Residuals(weight, jnp.full_like(weight, RIDGE))


def updated(residuals: Residuals, pairs: Pairs) -> Residuals:
    """Residuals after one more result; the pairs of a result count as one."""
    scale = LOGISTIC / pairs.deviation
    margin = pairs.better * scale * (pairs.distance + pairs.features @ residuals.weight.T)
    wrong = jax.nn.sigmoid(-margin)
    counts = (pairs.there / jnp.maximum(jnp.sum(pairs.there), 1))[:, None]
    slope = counts * wrong * scale * pairs.better
    bend = counts * wrong * (1 - wrong) * scale**2 * (pairs.better != 0)
    precision = (residuals.precision + bend.T @ pairs.features**2).astype(jnp.float32)
    weight = residuals.weight + (slope.T @ pairs.features) / precision
    return Residuals(weight.astype(jnp.float32), precision)


def shift(
    residuals: Residuals, features: Float[Array, "n features"], sigma: Float[Array, "n m"]
) -> Float[Array, " n"]:
    """How much worse rows are than the prior said: deviations, summed over objectives."""
    return jnp.sum(features @ residuals.weight.T / sigma, axis=1)
