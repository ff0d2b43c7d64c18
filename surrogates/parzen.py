"""Parzen estimators: densities made of one kernel per observation, of which some may be padding.

Two families. That of BOHB has one bandwidth per column and a kernel over all columns at once. That of the
tree-structured Parzen estimator takes one column at a time, gives every observation a width of its own, and
adds a wide kernel that stands for knowing nothing, the prior.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, logsumexp, ndtri
from jaxtyping import Bool, Float, Int
from mohb_jax.surrogates import Array

LEAST_BANDWIDTH = 1e-3
"""Floor of a bandwidth: observations that agree leave something to try."""
MOST_COMPONENTS = 100
"""No width in a mixture is below the range divided by this."""
TOP = 0.9
"""Probability that the kernel of an observed level gives to that level."""

Choices = tuple[int, ...]
"""Of each column, how many levels it has; 0 where it holds numbers in [0, 1]."""


class Kernels(NamedTuple):
    """A density over all columns: the product of one kernel per column, averaged over observations."""

    points: Float[Array, "n columns"]
    valid: Bool[Array, " n"]
    bandwidth: Float[Array, " columns"]


@functools.partial(jax.jit, static_argnames="num_choices")
def fit_kernels(points: Float[Array, "n columns"], valid: Bool[Array, " n"], num_choices: Choices) -> Kernels:
    """Kernels with bandwidths of the normal reference rule, within their limits.

    A kernel of Aitchison and Aitken is uniform over ``c`` levels at ``(c - 1) / c`` and no longer a
    probability beyond, so that is the limit there.

    Args:
        points: numbers in [0, 1]; levels of a categorical column as whole numbers.
        valid: False marks padding; at least one row is real.
        num_choices: of each column.
    """
    choices = np.array(num_choices)
    most = np.where(choices > 0, (choices - 1) / np.maximum(choices, 1), np.inf)
    bandwidth = jnp.maximum(normal_reference(points, valid), LEAST_BANDWIDTH)
    return Kernels(points, valid, jnp.minimum(bandwidth, most))


@jax.jit
def normal_reference(points: Float[Array, "n columns"], valid: Bool[Array, " n"]) -> Float[Array, " columns"]:
    """``1.06 s n**(-1 / (4 + columns))`` of each column, where ``s`` is its standard deviation over all n.

    References:
        Silverman, "Density estimation for statistics and data analysis", 1986; the constant and the power
        are those of statsmodels' ``normal_reference``.
    """
    n = jnp.maximum(jnp.sum(valid, dtype=points.dtype), 1)
    mean = jnp.sum(jnp.where(valid[:, None], points, 0), axis=0) / n
    centred = jnp.where(valid[:, None], points - mean[None], 0)
    return 1.06 * jnp.sqrt(jnp.sum(centred**2, axis=0) / n) * n ** (-1 / (4 + points.shape[1]))


@functools.partial(jax.jit, static_argnames="num_choices")
def log_density(
    kernels: Kernels, points: Float[Array, "q columns"], num_choices: Choices
) -> Float[Array, " q"]:
    """Logarithm of the density at some points; -inf where it vanishes.

    Numeric columns have Gaussian kernels, which are not cut at 0 and 1; categorical ones ``1 - h`` for the
    observed level and ``h / (c - 1)`` for every other.
    """
    total = jnp.zeros((points.shape[0], kernels.points.shape[0]), kernels.points.dtype)
    for column, choices in enumerate(num_choices):
        h, x, centre = kernels.bandwidth[column], points[:, column, None], kernels.points[None, :, column]
        if choices:
            total += jnp.where(x == centre, jnp.log1p(-h), jnp.log(h / max(choices - 1, 1)))
        else:
            total -= ((x - centre) / h) ** 2 / 2 + jnp.log(h) + np.log(2 * np.pi) / 2
    weights = jnp.broadcast_to(kernels.valid[None], total.shape)
    return logsumexp(total, axis=1, b=weights) - jnp.log(jnp.sum(kernels.valid))


@functools.partial(jax.jit, static_argnames=("num_choices", "factor"))
def draw_widened(
    share: Float[Array, "q shares"], kernels: Kernels, num_choices: Choices, factor: float
) -> Float[Array, "q columns"]:
    """Points near observations: each takes one at random and moves every column of it.

    A number is drawn from a normal distribution of ``factor`` bandwidths around it, truncated to [0, 1]; a
    level is kept with probability ``1 - h`` and is any level otherwise.

    Args:
        share: independent uniform numbers below 1, ``1 + 2 * columns`` for each draw.
        kernels: its real rows come before all padding, and there is one.
        num_choices: of each column.
        factor: by which bandwidths of numeric columns are widened.

    References:
        Falkner, Klein, Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", 2018.
    """
    columns = len(num_choices)
    row, move, other = share[:, 0], share[:, 1 : 1 + columns], share[:, 1 + columns :]
    centre, h = kernels.points[chosen(row, jnp.sum(kernels.valid))], kernels.bandwidth[None]
    number = truncated_normal(move, centre, jnp.broadcast_to(factor * h, centre.shape), 0.0, 1.0)
    choices = np.array(num_choices)[None]
    level = jnp.where(move < 1 - h, centre, jnp.floor(other * choices))
    return jnp.where(choices > 0, level, number)


@jax.jit
def chosen(share: Float[Array, "*q"], number: Int[Array, ""]) -> Int[Array, "*q"]:
    """One of so many things, each with equal probability, for a uniform share below 1."""
    return jnp.minimum((share * number).astype(jnp.int32), number.astype(jnp.int32) - 1)


@jax.jit
def truncated_normal(
    share: Float[Array, "*n"],
    centre: Float[Array, "*n"],
    width: Float[Array, "*n"],
    low: float | Float[Array, ""],
    high: float | Float[Array, ""],
) -> Float[Array, "*n"]:
    """Quantiles of normal distributions truncated to [low, high], for centres within it."""
    below, above = _share_below((jnp.stack([low - centre, high - centre])) / width[None])
    return jnp.clip(centre + width * ndtri(below + share * (above - below)), low, high)


def _share_below(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The normal distribution function, exact to 1e-16 but not in proportion where it is small."""
    return (1 + erf(u * np.sqrt(0.5))) / 2


class Mixture(NamedTuple):
    """A density over an interval: truncated Gaussians with weights, the first of which is the prior."""

    centre: Float[Array, "*columns n"]
    width: Float[Array, "*columns n"]
    inside: Float[Array, "*columns n"]
    """Share of a whole Gaussian that is within the interval."""
    weight: Float[Array, "*columns n"]
    """Not a share: they need not add up to 1; 0 of padding."""
    low: Float[Array, "*columns"]
    high: Float[Array, "*columns"]


@jax.jit
def mixture(
    values: Float[Array, " n"],
    valid: Bool[Array, " n"],
    low: Float[Array, ""],
    high: Float[Array, ""],
    weight: Float[Array, " n"] | None = None,
) -> Mixture:
    """The estimator of one column. The prior sits in the middle, is as wide as the interval, and weighs 1.

    Args:
        values: observations within the interval.
        valid: False marks padding, wherever it is.
        low: end of the interval.
        high: the other end.
        weight: of each observation, 0 of padding; 1 of each if None.
    """
    centre = jnp.concatenate([jnp.atleast_1d((low + high) / 2).astype(values.dtype), values])
    real = jnp.concatenate([jnp.ones(1, bool), valid])
    weights = jnp.concatenate([jnp.ones(1, centre.dtype), valid.astype(centre.dtype)])
    weights = weights if weight is None else weights.at[1:].set(weight)
    width = adaptive_widths(centre, real, high - low)
    below, above = _share_below(jnp.stack([low - centre, high - centre]) / width[None])
    return Mixture(centre, width, above - below, weights, low, high)


@jax.jit
def adaptive_widths(
    centre: Float[Array, " n"], valid: Bool[Array, " n"], span: float | Float[Array, ""]
) -> Float[Array, " n"]:
    """Width of each component: the larger distance to its two neighbours, the prior's centre among them.

    Between ``span / min(100, number of components)`` and ``span``. The least and the greatest centre have one
    neighbour. The published code computes widths in sorted order and hands them out as if they were not.

    Args:
        centre: of the prior, then of the observations.
        valid: False marks padding; the prior is real.
        span: of the column, and width of the prior.

    References:
        Bergstra et al., "Algorithms for hyper-parameter optimization", 2011, section 4.2.
    """
    order = jnp.argsort(jnp.where(valid, centre, jnp.inf), stable=True)
    ascending, number = centre[order], jnp.sum(valid)
    index = jnp.arange(centre.shape[0])
    gap = jnp.diff(ascending, append=0)  # to the next; what padding has does not count
    right = jnp.where(index < number - 1, gap, 0)
    left = jnp.concatenate([jnp.zeros(1, centre.dtype), right[:-1]])
    least = span / jnp.minimum(MOST_COMPONENTS, number).astype(centre.dtype)
    width = jnp.zeros_like(centre).at[order].set(jnp.clip(jnp.maximum(left, right), least, span))
    return width.at[0].set(span)


@jax.jit
def log_mixture(parts: Mixture, values: Float[Array, " q"]) -> Float[Array, " q"]:
    """Logarithm of a density at values of its interval; finite, since the prior reaches everywhere."""
    height = _weighted(parts, 1 / (np.sqrt(2 * np.pi) * parts.width * parts.inside))
    u = (values[:, None] - parts.centre[None]) / parts.width[None]
    density = height[None] * jnp.exp(-(u**2) / 2)
    return jnp.log(jnp.sum(density, axis=1) / jnp.sum(parts.weight))


def _weighted(parts: Mixture, values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Something of each component times its weight; of padding, of which nothing is known, 0."""
    return jnp.where(parts.weight > 0, parts.weight * values, 0)


@jax.jit
def draw_mixture(share: Float[Array, "q 2"], parts: Mixture) -> Float[Array, " q"]:
    """Draws from a mixture.

    Args:
        share: independent uniform numbers below 1.
        parts: of one column.
    """
    part = draw_levels(share[:, 0], parts.weight)
    return truncated_normal(share[:, 1], parts.centre[part], parts.width[part], parts.low, parts.high)


@functools.partial(jax.jit, static_argnames="most_levels")
def ordinal_masses(parts: Mixture, num_levels: Int[Array, ""], most_levels: int) -> Float[Array, " levels"]:
    """Probability of each level of an ordinal column.

    The interval of the mixture is cut into equal parts, one for each level, in the middle of which the level
    is. The published code takes the same end of each part twice.

    Args:
        parts: of one column.
        num_levels: of the column; there may be one.
        most_levels: static, at least that many; levels that the column lacks have probability 0.
    """
    step = (parts.high - parts.low) / num_levels
    edge = parts.low + step * jnp.arange(most_levels + 1)
    below = _share_below((edge[:, None] - parts.centre[None]) / parts.width[None])
    mass = _weighted(parts, 1 / parts.inside)[None] * jnp.diff(below, axis=0)
    mass = jnp.sum(mass, axis=1) / jnp.sum(parts.weight)
    return jnp.where(jnp.arange(most_levels) < num_levels, mass, 0)


@functools.partial(jax.jit, static_argnames="most_levels")
def categorical_masses(
    level: Int[Array, " n"],
    weight: Float[Array, " n"] | Bool[Array, " n"],
    num_levels: Int[Array, ""],
    most_levels: int,
) -> Float[Array, " levels"]:
    """Probability of each level of a categorical column: kernels of Aitchison and Aitken, and a uniform one.

    Args:
        level: observed levels.
        weight: of each observation, 0 of padding, wherever it is; that of the uniform kernel is 1.
        num_levels: as for ``ordinal_masses``.
        most_levels: as there.
    """
    every, choices = jnp.arange(most_levels), num_levels.astype(jnp.result_type(float))
    count, number = _weight_of_levels(level, weight, most_levels)
    top = jnp.where(choices > 1, TOP, 1.0)
    other = (1 - top) / jnp.maximum(choices - 1, 1)
    mass = (count * top + (number - count) * other + 1 / choices) / (number + 1)
    return jnp.where(every < num_levels, mass, 0)


@functools.partial(jax.jit, static_argnames="most_levels")
def counted_masses(
    level: Int[Array, " n"],
    weight: Float[Array, " n"] | Bool[Array, " n"],
    num_levels: Int[Array, ""],
    most_levels: int,
) -> Float[Array, " levels"]:
    """Probability of each level of a categorical column: its share of what was observed, where every level
    was once before. Arguments as of ``categorical_masses``.

    References:
        Bergstra et al., "Algorithms for hyper-parameter optimization", 2011, section 4.1.
    """
    count, number = _weight_of_levels(level, weight, most_levels)
    return jnp.where(jnp.arange(most_levels) < num_levels, (1 + count) / (num_levels + number), 0)


def _weight_of_levels(
    level: Int[Array, " n"], weight: Float[Array, " n"] | Bool[Array, " n"], most_levels: int
) -> tuple[Float[Array, " levels"], Float[Array, ""]]:
    """What the observations of each level weigh, and all together."""
    weight = jnp.asarray(weight, jnp.result_type(float))
    own = jnp.where(level[None] == jnp.arange(most_levels)[:, None], weight[None], 0)
    return jnp.sum(own, axis=1), jnp.sum(weight)


@jax.jit
def log_ratio(good: Float[Array, " levels"], bad: Float[Array, " levels"]) -> Float[Array, " levels"]:
    """Logarithm of the ratio of two masses; -inf for levels that the column lacks."""
    real = good > 0
    return jnp.where(real, jnp.log(jnp.where(real, good, 1)) - jnp.log(jnp.where(real, bad, 1)), -jnp.inf)


@jax.jit
def draw_levels(share: Float[Array, " q"], mass: Float[Array, " levels"]) -> Int[Array, " q"]:
    """Levels drawn in proportion to their masses, for independent uniform numbers below 1."""
    up_to = jnp.cumsum(mass)
    level = jnp.sum(up_to[None] <= share[:, None] * up_to[-1], axis=1, dtype=jnp.int32)
    return jnp.minimum(level, jnp.sum(mass > 0, dtype=jnp.int32) - 1)
