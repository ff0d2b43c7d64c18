"""Choices of levels between levels: probabilities, relaxed samples, what they cost, and choices that are
fixed for good."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float, Int

from mohb_jax.types import Array, Key

SAMPLES = ("concrete", "straight", "softmax")
"""Between levels with noise; at one level, with the gradient of the former; between levels without noise."""
EDGES = ("softmax", "sigmoid")
"""Levels of a column compete; or each has a gate of its own."""
DISCRETISE = ("none", "confidence", "perturbation")
"""Whether columns are fixed on the way, and by what."""
NUM_SAMPLES = 16
"""Per step; one without noise."""
NEVER = -1e30
"""Logarithm of a share that is none; finite, so that no product with 0 is undefined."""

Predict = Callable[[Float[Array, "samples columns levels"]], Float[Array, "samples m"]]
"""From relaxed choices to objectives as minimised."""


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """How choices are relaxed; static.

    Attributes:
        sample: one of ``SAMPLES``.
        edges: one of ``EDGES``, for columns that name operations.
        discretise: one of ``DISCRETISE``.
        resource_weight: of the logarithm of known objectives.
        annealing: evaluations in which the temperature falls, and in which columns are fixed.
    """

    sample: str = "concrete"
    edges: str = "softmax"
    discretise: str = "none"
    resource_weight: float = 0.01
    annealing: int = 100


class Choices(NamedTuple):
    """What there is to choose.

    Attributes:
        is_level: True where a column has that level.
        is_gated: of each column, whether its levels have gates of their own.
        is_absent: the level of a gated column that says that there is no edge, if it has one.
    """

    is_level: Bool[Array, "columns levels"]
    is_gated: Bool[Array, " columns"]
    is_absent: Bool[Array, "columns levels"]


class Fixed(NamedTuple):
    """Columns that are decided.

    Attributes:
        order: how many were fixed before it; the number of columns where it is free.
        level: at which it is fixed; means nothing where it is free.
    """

    order: Int[Array, " columns"]
    level: Int[Array, " columns"]

    @property
    def is_free(self) -> Bool[Array, " columns"]:
        return self.order == self.order.shape[0]


def nothing_fixed(num_columns: int) -> Fixed:
    """All columns are free."""
    return Fixed(jnp.full(num_columns, num_columns, jnp.int32), jnp.zeros(num_columns, jnp.int32))


def allowed_levels(choices: Choices, fixed: Fixed) -> Bool[Array, "columns levels"]:
    """Levels that may still be chosen."""
    chosen = jnp.arange(choices.is_level.shape[1]) == fixed.level[:, None]
    return choices.is_level & (fixed.is_free[:, None] | chosen)


def log_shares(
    choices: Choices, scores: Float[Array, "*n columns levels"], allowed: Bool[Array, "columns levels"]
) -> Float[Array, "*n columns levels"]:
    """Logarithm of the share of each level in its column.

    Levels of a column compete by softmax. A gated column has a sigmoid per level instead, and shares are in
    proportion to them; a level that says that there is no edge has the share of its own gate, and the others
    divide the rest. What is not allowed is left out, and the others' shares grow in proportion.

    Args:
        choices: which levels and gates there are.
        scores: logits, or logits with noise over a temperature.
        allowed: at least one per column.
    """
    gate = jnp.where(choices.is_level, jax.nn.log_sigmoid(scores), NEVER)
    operations = jax.nn.log_softmax(jnp.where(choices.is_absent, NEVER, gate))
    is_there = jnp.sum(jnp.where(choices.is_absent, jax.nn.log_sigmoid(-scores), 0), -1, keepdims=True)
    gated = jnp.where(choices.is_absent, gate, operations + is_there)
    log_share = jnp.where(choices.is_gated[:, None], gated, scores)
    return jax.nn.log_softmax(jnp.where(allowed, log_share, NEVER))


def first_logits(choices: Choices) -> Float[Array, "columns levels"]:
    """Logits at which all levels of a column have the same share."""
    num_others = jnp.maximum(jnp.sum(choices.is_level, axis=1) - 1, 1)[:, None]
    dtype = jnp.result_type(float)
    return jnp.where(choices.is_absent, -jnp.log(num_others.astype(dtype)), jnp.zeros((), dtype))


def noise_of(
    key: Key, choices: Choices, num_samples: int, dtype: Any
) -> Float[Array, "samples columns levels"]:
    """Gumbel's for levels that compete, logistic (the difference of two) for gates."""
    shape = (num_samples, *choices.is_level.shape)
    first, second = (jax.random.gumbel(own, shape, dtype) for own in jax.random.split(key))
    return first - jnp.where(choices.is_gated[:, None], second, 0)


def relaxed(
    choices: Choices,
    logits: Float[Array, "columns levels"],
    allowed: Bool[Array, "columns levels"],
    noise: Float[Array, "samples columns levels"],
    temperature: Float[Array, ""],
    sample: str,
) -> Float[Array, "samples columns levels"]:
    """Samples between levels: shares of logits with noise at a temperature (concrete distribution).

    As the temperature falls to 0 a sample becomes one level, drawn by the shares of the logits. ``straight``
    gives that level at any temperature, with the gradient of the sample between levels.

    References:
        Maddison, Mnih, Teh, "The concrete distribution", 2017; Jang, Gu, Poole, "Categorical
        reparameterization with Gumbel-softmax", 2017.
    """
    between = jnp.exp(log_shares(choices, (logits + noise) / temperature, allowed))
    if sample != "straight":
        return between
    level = jnp.argmax(between, axis=-1)
    return jax.nn.one_hot(level, logits.shape[1], dtype=between.dtype) + (
        between - jax.lax.stop_gradient(between)
    )


def resource_term(
    share: Float[Array, "columns levels"], costs: Float[Array, "known columns levels"]
) -> Float[Array, ""]:
    """Sum over columns of the logarithm of the expected cost, which counts as 1 where it is less; the mean of
    several known objectives."""
    expected = jnp.sum(costs * share, axis=-1)
    return jnp.mean(jnp.sum(jnp.log(jnp.maximum(expected, 1)), axis=-1))


class Goal(NamedTuple):
    """What a batch descends.

    Attributes:
        temperature: of samples.
        weights: of the objectives that are learnt; 0 for those that are known.
        resource: what each level costs, by known objective.
    """

    temperature: Float[Array, ""]
    weights: Float[Array, " m"]
    resource: Float[Array, "known columns levels"]


def expected_cost(
    key: Key,
    logits: Float[Array, "columns levels"],
    allowed: Bool[Array, "columns levels"],
    choices: Choices,
    goal: Goal,
    predict: Predict,
    relaxation: Relaxation,
) -> Float[Array, ""]:
    """Mean weighted prediction over samples, and the resource term of the shares, exact and without noise.

    Args:
        key: of the samples' noise.
        logits: what is moved.
        allowed: levels that may still be chosen.
        choices: which levels and gates there are.
        goal: temperature, weights and known costs.
        predict: the surrogate.
        relaxation: how choices are relaxed.
    """
    silent = jnp.zeros((1, *logits.shape), logits.dtype)
    is_silent = relaxation.sample == "softmax"
    noise = silent if is_silent else noise_of(key, choices, NUM_SAMPLES, logits.dtype)
    samples = relaxed(choices, logits, allowed, noise, goal.temperature, relaxation.sample)
    value = jnp.mean(predict(samples) @ goal.weights)
    if not goal.resource.shape[0]:
        return value
    share = jnp.exp(log_shares(choices, logits, allowed))
    return value + relaxation.resource_weight * resource_term(share, goal.resource)


def entropies(log_share: Float[Array, "columns levels"]) -> Float[Array, " columns"]:
    """Of each column's shares; a share of 0 adds nothing."""
    return -jnp.sum(jnp.exp(log_share) * log_share, axis=1)


def most_confident(
    log_share: Float[Array, "columns levels"], may_be_fixed: Bool[Array, " columns"]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The column of least entropy, and its level of the largest share."""
    column = jnp.argmin(jnp.where(may_be_fixed, entropies(log_share), jnp.inf))
    return column, jnp.argmax(log_share[column])


def most_missed(
    key: Key,
    cost: Callable[[Bool[Array, "columns levels"]], Float[Array, ""]],
    allowed: Bool[Array, "columns levels"],
    may_be_fixed: Bool[Array, " columns"],
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """A column at random, and the level without which the cost is highest.

    References:
        Wang et al., "Rethinking architecture selection in differentiable NAS", 2021: a large parameter does
        not say that an operation is good, leaving it out does.
    """
    column = jnp.argmax(jnp.where(may_be_fixed, jax.random.uniform(key, may_be_fixed.shape), -1))
    levels = jnp.arange(allowed.shape[1])
    without = jax.vmap(lambda level: cost(jnp.asarray(allowed).at[column, level].set(False)))(levels)
    return column, jnp.argmax(jnp.where(allowed[column], without, -jnp.inf))


def first_disagreement(levels: Int[Array, "columns rows"], fixed: Fixed) -> Int[Array, " rows"]:
    """The order of the first fixed column that a row disagrees with; the number of columns if none."""
    num_columns = levels.shape[0]
    order = jnp.where(levels == fixed.level[:, None], num_columns, fixed.order[:, None])
    return jnp.min(order, axis=0)


def with_room(
    fixed: Fixed, levels: Int[Array, "columns rows"], is_free: Bool[Array, " rows"], wanted: int
) -> Fixed:
    """The last fixed columns are freed until so many free rows agree with the others, or none is fixed."""
    num_columns = levels.shape[0]
    first, numbers = first_disagreement(levels, fixed), jnp.arange(num_columns + 1, dtype=jnp.int32)
    agreeing = jnp.sum(is_free & (first >= numbers[:, None]), axis=1)  # with the first of the fixed columns
    kept = jnp.max(jnp.where(agreeing >= wanted, numbers, 0))
    return fixed._replace(order=jnp.where(fixed.order < kept, fixed.order, num_columns))


def descended(
    cost: Callable[[Array, Key], Array],
    logits: Float[Array, "columns levels"],
    moments: Any,
    key: Key,
    optimiser: Any,
    num_steps: int,
) -> tuple[Float[Array, "columns levels"], Any]:
    """Logits and moments after some steps down a cost whose noise is new at every step."""

    def step(carry: tuple, own: Key) -> tuple[tuple, None]:
        logits, moments = carry
        updates, moments = optimiser.update(jax.grad(cost)(logits, own), moments, logits)
        return (logits + updates, moments), None

    return jax.lax.scan(step, (logits, moments), jax.random.split(key, num_steps))[0]


def additive_costs(
    levels: Int[np.ndarray, "columns rows"], num_levels: tuple[int, ...], values: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "columns levels"], float]:
    """What each level adds to a known objective, by least squares without negative parts.

    What all levels of a column share belongs to no choice and is taken off.

    Returns:
        At least 0, and 0 for the cheapest level of each column; and the share of the variance that a sum over
        columns explains (1 for a constant).
    """
    columns, most = len(num_levels), max(num_levels)
    taken = (np.asarray(levels)[:, None] == np.arange(most)[None, :, None]).reshape(columns * most, -1)
    basis, triangle = np.linalg.qr(taken.T.astype(float))
    scale = np.abs(values).max() or 1.0
    found, _ = scipy.optimize.nnls(triangle, basis.T @ (values / scale))
    residual = values - scale * (found @ taken)
    spread = np.sum((values - values.mean()) ** 2)
    costs = scale * found.reshape(columns, most)
    is_level = np.arange(most) < np.array(num_levels)[:, None]
    least = np.where(is_level, costs, np.inf).min(axis=1, keepdims=True)
    explained = 1.0 if spread == 0 else 1 - float(np.sum(residual**2) / spread)
    return np.where(is_level, costs - least, 0), explained
