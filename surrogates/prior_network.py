"""The transfer prior: networks that predict mean and deviation of an objective from a configuration.

A network is fitted to the rows of all tasks but one. Which rows these are is a mask, so all networks of a
study (held-out tasks x objectives x ensemble members) share one matrix of features and train in one compiled
call.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Bool, Float, Int, UInt32
from mohb_jax.surrogates import PORTABLE, Array, Key

Params = Any
"""Weights of one network or of a batch of them: flax's nested mapping of arrays."""

LEAST_SIGMA = 1e-3
"""Floor of the predicted deviation; a deviation of zero would make the likelihood unbounded."""

_LEAST_VARIANCE = 1e-8  # of a feature scaled to [0, 1]; below it, the feature is constant but for rounding
_LANE, _SPLIT, _START, _STEPS = range(4)


@dataclasses.dataclass(frozen=True)
class Training:
    """How a network is built and trained; the defaults are the published ones but for ``decay``.

    ``decay`` divides the learning rate by ``decay_divisor`` after each phase, as the authors describe; their
    code leaves it constant, which ``decay=False`` repeats. ``validation_share`` of the rows, and
    ``max_validation_rows`` at most, are kept from training and decide which weights are returned.
    """

    num_phases: int = 3
    steps_per_phase: int = 1000
    learning_rate: float = 1e-2
    decay: bool = True
    decay_divisor: float = 5.0
    batch_size: int = 64
    dropout: float = 0.1
    validation_share: float = 0.1
    max_validation_rows: int = 2048
    steps_per_validation: int = 100
    width: int = 50
    depth: int = 3

    def __post_init__(self) -> None:
        if self.num_steps % self.steps_per_validation:
            raise ValueError(
                f"{self.num_steps} training steps cannot be cut into blocks of {self.steps_per_validation};"
                " steps_per_validation must divide num_phases * steps_per_phase"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1)")

    @property
    def num_steps(self) -> int:
        """Steps of all phases."""
        return self.num_phases * self.steps_per_phase


class FittedNetwork(NamedTuple):
    """One trained network, or a batch of them with the lanes in front of every array."""

    params: Params
    shift: Float[Array, " columns"]
    """What is subtracted from the features, in their own units: means of the training rows."""
    scale: Float[Array, " columns"]
    """What they are divided by: deviations of the training rows, or the column's range if it is constant."""
    validation_rmse: Float[Array, ""]
    """Root mean square error of the mean on the validation rows; the least of all snapshots."""


class PriorNetwork(nn.Module):
    """Linear layer, ``depth`` layers with ReLU, and two heads: mean and positive deviation."""

    width: int = 50
    depth: int = 3

    @nn.compact
    def __call__(
        self, features: Float[Array, "rows columns"], keep: Float[Array, "depth rows width"] | None = None
    ) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
        """Predicts each row; ``keep`` multiplies the activations of the hidden layers, which is dropout."""
        hidden = _trunk_layer(self.width, features.shape[-1])(features)
        for layer in range(self.depth):
            hidden = nn.relu(_trunk_layer(self.width, self.width)(hidden))
            hidden = hidden if keep is None else hidden * keep[layer]
        heads = nn.Dense(2, kernel_init=_uniform(self.width), bias_init=_uniform(self.width))(hidden)
        return heads[:, 0], nn.softplus(heads[:, 1]) + LEAST_SIGMA


def fit_network(
    key: Key,
    features: Float[Array, "rows columns"],
    targets: Float[Array, " rows"],
    valid: Bool[Array, " rows"],
    training: Training = Training(),
) -> FittedNetwork:
    """Fits one network by the normal likelihood; single-lane, pure and unjitted.

    Each step draws its batch uniformly and with replacement from the training rows, instead of a pass over
    shuffled rows, so that all lanes have one shape. Before the first step, and after every
    ``steps_per_validation``, the network is validated without dropout; the weights with the least error are
    returned.

    Args:
        key: consumed.
        features: numeric columns of all tasks' rows, finite; scale and offset of a column do not matter.
        targets: the objective in z-space.
        valid: rows to learn from. The others only widen the range to which features are scaled at first;
            their targets, which may be NaN, are never read.
        training: sizes and rates; static.

    Returns:
        The network in float32. Without valid rows, the network as initialised; with a single one, validation
        uses it too.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020;
        sizes and rates are those of the authors' published code.
    """
    shared, low, width = _to_unit_range(features)
    shift, scale = _moments(shared, valid)
    rows = _Rows(shared, jnp.where(valid, targets, 0).astype(jnp.float32), shift, scale)
    split = _split(jax.random.fold_in(key, _SPLIT), valid, training)
    params, mean_square = _train(key, rows, split, training)
    shift, scale = shift.astype(features.dtype), scale.astype(features.dtype)
    return FittedNetwork(params, low + width * shift, width * scale, jnp.sqrt(mean_square))


@functools.partial(jax.jit, static_argnames="training", compiler_options=PORTABLE)
def fit_networks(
    key: Key,
    features: Float[Array, "rows columns"],
    targets: Float[Array, "lanes rows"],
    valid: Bool[Array, "lanes rows"],
    training: Training = Training(),
) -> FittedNetwork:
    """Fits one network per lane, all together in one compiled call.

    A lane depends on its own targets and on ``lane_key(key, lane)`` alone, so lanes with equal targets are
    members of an ensemble.

    Args:
        key: consumed.
        features: numeric columns, shared by all lanes.
        targets: the objective of each lane, in z-space.
        valid: the rows that each lane learns from, see ``leave_one_out``.
        training: sizes and rates; static.

    Returns:
        A batch of networks for ``predict``, lanes in front; see ``fit_network``.
    """
    lane_keys = jax.vmap(lambda lane: lane_key(key, lane))(jnp.arange(targets.shape[0]))
    fit = functools.partial(fit_network, training=training)
    return jax.vmap(fit, (0, None, 0, 0))(lane_keys, features, targets, valid)


def lane_key(key: Key, lane: int | Int[Array, ""]) -> Key:
    """The key with which ``fit_networks`` fits the given lane."""
    return jax.random.fold_in(jax.random.fold_in(key, _LANE), lane)


@jax.jit
def predict(
    fitted: FittedNetwork, features: Float[Array, "rows columns"]
) -> tuple[Float[Array, "lanes rows"], Float[Array, "lanes rows"]]:
    """Mean and deviation that each network of a batch predicts.

    Args:
        fitted: what ``fit_networks`` returned.
        features: rows to predict, columns as in the fit.

    Returns:
        ``mu`` and ``sigma`` in z-space, float32; sigma is at least 1e-3.
    """
    return jax.vmap(predict_one, (0, None))(fitted, features)


def predict_one(
    fitted: FittedNetwork, features: Float[Array, "rows columns"]
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
    """``predict`` for one network, as ``fit_network`` returns it."""
    scaled = ((features - fitted.shift[None]) / fitted.scale[None]).astype(jnp.float32)
    return _apply(_network_of(fitted.params), fitted.params, scaled)


@functools.partial(jax.jit, static_argnames="num_tasks")
def leave_one_out(
    targets: Float[Array, "objectives rows"], task: Int[Array, " rows"], num_tasks: int
) -> tuple[Float[Array, "lanes rows"], Bool[Array, "lanes rows"]]:
    """Targets and masks of one network per held-out task and objective.

    Args:
        targets: every objective of every task's rows, in z-space; what is not finite is not learnt from.
        task: the task that each row belongs to, from 0.
        num_tasks: how many there are; static.

    Returns:
        ``targets`` and ``valid`` for ``fit_networks``; lane ``held_out * objectives + objective``. Values of
        the held-out task are replaced by 0 and masked.
    """
    others = task[None, :] != jnp.arange(num_tasks)[:, None]
    valid = others[:, None, :] & jnp.isfinite(targets)[None]
    lanes = jnp.where(valid, targets[None], 0)
    return lanes.reshape(-1, targets.shape[1]), valid.reshape(-1, targets.shape[1])


@jax.jit
def pool(
    mu: Float[Array, "members rows"], sigma: Float[Array, "members rows"]
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
    """Mean and deviation of the equal mixture of an ensemble's normal predictions.

    Args:
        mu: means by member.
        sigma: deviations by member.

    Returns:
        Moments of the mixture; its deviation includes the members' disagreement.

    References:
        Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive uncertainty estimation using deep
        ensembles", 2017, section 2.4.
    """
    mean = jnp.mean(mu, axis=0)
    return mean, jnp.sqrt(jnp.mean(sigma**2 + (mu - mean[None]) ** 2, axis=0))


class _Rows(NamedTuple):
    """All rows, and the lane's own scaling of their features."""

    features: Float[Array, "rows columns"]
    targets: Float[Array, " rows"]
    shift: Float[Array, " columns"]
    scale: Float[Array, " columns"]

    def scaled(self, index: Int[Array, " batch"]) -> Float[Array, "batch columns"]:
        return (self.features[index] - self.shift[None]) / self.scale[None]


class _Split(NamedTuple):
    """A lane's rows in random order: first those for validation, then those for training, then the others."""

    order: Int[Array, " rows"]
    num_validation: Int[Array, ""]
    first_training: Int[Array, ""]
    num_rows: Int[Array, ""]


class _Draw(NamedTuple):
    """What a training step needs besides the weights; a block of steps is drawn at once.

    Looking up the targets of a whole block keeps a lane's own arrays in the cache; the features are shared by
    the lanes and stay with the step, since those of a block would be large.
    """

    rows: Int[Array, "*steps batch"]
    targets: Float[Array, "*steps batch"]
    salt: UInt32[Array, "*steps 2"]


class _Carry(NamedTuple):
    params: Params
    optimiser: optax.OptState
    best: Params
    least_error: Float[Array, ""]


def _trunk_layer(width: int, fan_in: int) -> nn.Dense:
    return nn.Dense(width, kernel_init=nn.initializers.xavier_uniform(), bias_init=_uniform(fan_in))


def _uniform(fan_in: int) -> Callable[..., Array]:
    """The default of the authors' framework: uniform within one over the root of the number of inputs."""
    bound = 1 / math.sqrt(max(fan_in, 1))

    def init(key: Key, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _network_of(params: Params) -> PriorNetwork:
    layers = params["params"]
    return PriorNetwork(width=layers["Dense_0"]["kernel"].shape[-1], depth=len(layers) - 2)


def _apply(
    network: PriorNetwork,
    params: Params,
    features: Float[Array, "rows columns"],
    keep: Float[Array, "depth rows width"] | None = None,
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
    heads: Any = network.apply(params, features, keep)
    return heads[0], heads[1]


def _to_unit_range(
    features: Float[Array, "rows columns"],
) -> tuple[Float[Array, "rows columns"], Float[Array, " columns"], Float[Array, " columns"]]:
    """Columns scaled to [0, 1] before they become float32, with the least value and the range of each."""
    low = jnp.min(features, axis=0)
    width = jnp.max(features, axis=0) - low
    width = jnp.where(width > 0, width, 1)
    return ((features - low[None]) / width[None]).astype(jnp.float32), low, width


def _moments(
    features: Float[Array, "rows columns"], valid: Bool[Array, " rows"]
) -> tuple[Float[Array, " columns"], Float[Array, " columns"]]:
    """Mean and deviation of each column over the valid rows; deviation 1 where the column is constant.

    By products of matrices, which a batch of lanes shares the features in. They are centred first, since
    squares of uncentred float32 values would cancel.
    """
    exact = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    weights = valid.astype(jnp.float32) / jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1)
    centre = jnp.mean(features, axis=0)
    centred = features - centre[None]
    offset = exact(weights, centred)
    variance = exact(weights, centred**2) - offset**2
    return centre + offset, jnp.sqrt(jnp.where(variance > _LEAST_VARIANCE, variance, 1))


def _split(key: Key, valid: Bool[Array, " rows"], training: Training) -> _Split:
    num_rows = jnp.sum(valid, dtype=jnp.int32)
    ticket = jax.random.bits(key, valid.shape, jnp.uint32) >> 1
    order = jnp.argsort(jnp.where(valid, ticket, jnp.uint32(2**32 - 1))).astype(jnp.int32)
    wanted = jnp.floor(training.validation_share * num_rows.astype(jnp.float32)).astype(jnp.int32)
    num_validation = jnp.clip(wanted, 1, min(training.max_validation_rows, max(1, valid.shape[0])))
    num_validation = jnp.minimum(num_validation, num_rows)
    first_training = jnp.maximum(jnp.minimum(num_validation, num_rows - 1), 0)
    return _Split(order, num_validation, first_training, num_rows)


def _train(key: Key, rows: _Rows, split: _Split, training: Training) -> tuple[Params, Float[Array, ""]]:
    """Weights with the least validation error, and its mean square."""
    network = PriorNetwork(training.width, training.depth)
    num_columns = rows.features.shape[1]
    params = network.init(jax.random.fold_in(key, _START), jnp.zeros((1, num_columns), jnp.float32))
    optimiser = _optimiser(training)
    validate = _validation(network, rows, split, training)
    step = _training_step(network, optimiser, rows, split, training)

    def block(carry: _Carry, block_key: Key) -> tuple[_Carry, None]:
        carry = _keep_best(carry, validate(carry.params))
        draws = _draw_block(block_key, rows, split, training)
        (params, state), _ = jax.lax.scan(step, (carry.params, carry.optimiser), draws)
        return carry._replace(params=params, optimiser=state), None

    start = _Carry(params, optimiser.init(params), params, jnp.asarray(jnp.inf, jnp.float32))
    num_blocks = training.num_steps // training.steps_per_validation
    block_keys = jax.random.split(jax.random.fold_in(key, _STEPS), num_blocks)
    carry, _ = jax.lax.scan(block, start, block_keys)
    carry = _keep_best(carry, validate(carry.params))
    return carry.best, carry.least_error


def _optimiser(training: Training) -> optax.GradientTransformation:
    divisor = training.decay_divisor if training.decay else 1.0
    ends = {training.steps_per_phase * phase: 1 / divisor for phase in range(1, training.num_phases)}
    return optax.adam(optax.piecewise_constant_schedule(training.learning_rate, ends))


def _keep_best(carry: _Carry, error: Float[Array, ""]) -> _Carry:
    better = error < carry.least_error
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), carry.params, carry.best)
    return carry._replace(best=best, least_error=jnp.where(better, error, carry.least_error))


def _validation(
    network: PriorNetwork, rows: _Rows, split: _Split, training: Training
) -> Callable[[Params], Float[Array, ""]]:
    """Mean square error on the validation rows, which are gathered once; dropout is off."""
    share = max(1, math.ceil(training.validation_share * split.order.shape[0]))
    slots = min(share, training.max_validation_rows)
    features, targets = rows.scaled(split.order[:slots]), rows.targets[split.order[:slots]]
    real = jnp.arange(slots) < split.num_validation

    def mean_square(params: Params) -> Float[Array, ""]:
        error = jnp.where(real, _apply(network, params, features)[0] - targets, 0)
        return jnp.sum(error**2) / jnp.maximum(split.num_validation, 1).astype(jnp.float32)

    return mean_square


def _draw_block(key: Key, rows: _Rows, split: _Split, training: Training) -> _Draw:
    """Batches and random words for the steps between two validations."""
    bits = jax.random.bits(key, (training.steps_per_validation, training.batch_size + 2), jnp.uint32)
    num_training = jnp.maximum(split.num_rows - split.first_training, 1).astype(jnp.uint32)
    # The bias of the remainder is below the number of rows over 2**32.
    pick = split.first_training + (bits[:, 2:] % num_training).astype(jnp.int32)
    index = split.order[pick]
    return _Draw(index, rows.targets[index], bits[:, :2])


def _training_step(
    network: PriorNetwork,
    optimiser: optax.GradientTransformation,
    rows: _Rows,
    split: _Split,
    training: Training,
) -> Callable[[tuple[Params, optax.OptState], _Draw], tuple[tuple[Params, optax.OptState], None]]:
    """A step of the scan over the draws of a block."""
    weight = (split.num_rows > 0).astype(jnp.float32)  # nothing to learn from: weights stay as they are
    shape = (training.depth, training.batch_size, training.width)

    def step(carry: tuple[Params, optax.OptState], draw: _Draw) -> tuple[tuple[Params, optax.OptState], None]:
        params, state = carry
        features = rows.scaled(draw.rows)
        keep = _kept(draw.salt, shape, training.dropout) if training.dropout else None
        gradient = jax.grad(_loss)(params, network, features, draw.targets, keep, weight)
        update, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, update), state), None

    return step


def _loss(
    params: Params,
    network: PriorNetwork,
    features: Float[Array, "batch columns"],
    targets: Float[Array, " batch"],
    keep: Float[Array, "depth batch width"] | None,
    weight: Float[Array, ""],
) -> Float[Array, ""]:
    mu, sigma = _apply(network, params, features, keep)
    return weight * jnp.mean(jnp.log(sigma) + 0.5 * ((targets - mu) / sigma) ** 2)


def _kept(
    salt: UInt32[Array, " 2"], shape: tuple[int, ...], dropout: float
) -> Float[Array, "depth batch width"]:
    """Multipliers of dropout: 0 with probability ``dropout``, else ``1 / (1 - dropout)``.

    Which units are dropped is a hash of their number and the step's two random words. jax's own generator is
    made for streams that must be independent, and took as long as a third of the whole training step.
    """
    size = math.prod(shape)
    unit = jnp.asarray(np.arange(size, dtype=np.uint32).reshape(shape)) * jnp.uint32(0x9E3779B9)
    word = unit + salt[0]
    word = ((word ^ (word >> 16)) * jnp.uint32(0x7FEB352D)) ^ salt[1]
    word = (word ^ (word >> 15)) * jnp.uint32(0x846CA68B)
    word = word ^ (word >> 16)
    dropped = word < jnp.uint32(round(dropout * 2**32))
    return jnp.where(dropped, jnp.float32(0), jnp.float32(1 / (1 - dropout)))
