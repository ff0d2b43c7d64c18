"""An ensemble of small networks that are trained a little further whenever there is more to learn from."""

import dataclasses
import functools
import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Bool, Float, Int
from mohb_jax.surrogates import Array, Key

Params = Any
"""Weights of all members: flax's nested mapping of arrays, members in front."""


@dataclasses.dataclass(frozen=True)
class EnsembleTraining:
    """How networks are built and trained.

    ``most_norm`` bounds the norm of a member's gradient: a step that begins far off does not outweigh all
    later ones in Adam's averages.
    """

    num_members: int = 5
    width: int = 10
    learning_rate: float = 0.1
    batch_size: int = 32
    num_epochs: int = 80
    most_norm: float = 1.0


def _number(layer: int, part: int) -> int:
    """What flax folds into a key for the first or second parameter of a layer."""
    return int.from_bytes(hashlib.sha1(f"Dense_{layer}".encode() + bytes([part])).digest()[:4], "big")


NUMBERS_OF_PARTS = tuple(_number(layer, part) for layer in (0, 1) for part in (1, 2))
"""Of kernel and bias of both layers."""


class Network(nn.Module):
    """One hidden layer with ReLU; all weights and biases start from the standard normal distribution."""

    width: int
    num_outputs: int

    @nn.compact
    def __call__(self, features: Float[Array, "n columns"]) -> Float[Array, "n outputs"]:
        hidden = nn.relu(_dense(self.width)(features))
        return _dense(self.num_outputs)(hidden)


@functools.partial(jax.jit, static_argnames=("num_features", "num_outputs", "training"))
def new_ensemble(key: Key, num_features: int, num_outputs: int, training: EnsembleTraining) -> Params:
    """Members that have seen nothing."""
    sizes = (num_features, training.width, num_outputs)
    shapes = [shape for layer in (0, 1) for shape in (sizes[layer : layer + 2], sizes[layer + 1 : layer + 2])]
    keys = jax.random.split(key, training.num_members)
    drawn = jax.vmap(_drawn, (0, None))(keys, max(map(math.prod, shapes)))
    parts = [drawn[:, n, : math.prod(shape)].reshape(-1, *shape) for n, shape in enumerate(shapes)]
    layers = {f"Dense_{n}": {"kernel": parts[2 * n], "bias": parts[2 * n + 1]} for n in (0, 1)}
    return {"params": layers}


@functools.partial(jax.jit, static_argnames="training")
def fit_further(
    params: Params,
    key: Key,
    features: Float[Array, "n columns"],
    targets: Float[Array, "n outputs"],
    valid: Bool[Array, " n"],
    training: EnsembleTraining,
) -> Params:
    """The members after some epochs of least squares, with a fresh Adam.

    An epoch goes once through the valid rows in random order, in batches of which the last may be smaller.
    The members share that order and differ by where they began. An epoch takes as many steps as there are
    batches of valid rows: padding costs nothing.

    Args:
        params: where training begins.
        key: consumed.
        features: about the size of 1.
        targets: about the size of 1; finite.
        valid: rows to learn from. Without any, nothing changes.
        training: sizes and rates; static.
    """
    optimiser = optax.chain(optax.clip_by_global_norm(training.most_norm), optax.adam(training.learning_rate))
    padded = _padded(features, targets, valid, training.batch_size)
    num_batches = -(-jnp.sum(valid, dtype=jnp.int32) // training.batch_size)
    update = jax.vmap(functools.partial(_step, optimiser), (0, 0, None))

    def epoch(carry: tuple, epoch_key: Key) -> tuple[tuple, None]:
        order = _shuffled(epoch_key, padded[2])

        def step(number: Any, carry: tuple) -> tuple:
            place = jax.lax.dynamic_slice_in_dim(order, number * training.batch_size, training.batch_size)
            params, state = carry
            return update(params, state, tuple(part[place] for part in padded))

        return jax.lax.fori_loop(0, num_batches, step, carry), None

    start = (params, jax.vmap(optimiser.init)(params))
    return jax.lax.scan(epoch, start, jax.random.split(key, training.num_epochs))[0][0]


@jax.jit
def predict_all(params: Params, features: Float[Array, "n columns"]) -> Float[Array, "members n outputs"]:
    """What each member predicts."""
    return jax.vmap(_apply, (0, None))(params, features)


def _drawn(key: Key, most: int) -> Float[Array, "parts most"]:
    """Standard normal numbers of a member for each kernel and bias, whose own are the first of them.

    Equal to what flax draws, part by part, and compiled in a seventh of the time: numbers of one key do not
    depend on how many are drawn.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.array(NUMBERS_OF_PARTS, jnp.uint32))
    return jax.vmap(lambda own: jax.random.normal(own, (most,)))(keys)


def _dense(width: int) -> nn.Dense:
    dtype = jnp.result_type(float)
    normal = nn.initializers.normal(1.0)
    return nn.Dense(width, dtype=dtype, param_dtype=dtype, kernel_init=normal, bias_init=normal)


def _apply(params: Params, features: Float[Array, "n columns"]) -> Float[Array, "n outputs"]:
    layers = params["params"]
    network = Network(layers["Dense_0"]["bias"].shape[0], layers["Dense_1"]["bias"].shape[0])
    outputs: Any = network.apply(params, features)
    return outputs


def _padded(features: Array, targets: Array, valid: Array, batch_size: int) -> tuple[Array, Array, Array]:
    """Rows in a whole number of batches; where a row is not valid, zeros."""
    more = -valid.shape[0] % batch_size

    def rows(part: Array) -> Array:
        return jnp.pad(jnp.where(valid[:, None], part, 0), ((0, more), (0, 0)))

    return rows(features), rows(targets), jnp.pad(valid, (0, more))


def _shuffled(key: Key, valid: Bool[Array, " n"]) -> Int[Array, " n"]:
    """Places in random order, those of valid rows first."""
    ticket = jax.random.bits(key, valid.shape, jnp.uint32) >> 1
    return jnp.argsort(jnp.where(valid, ticket, jnp.uint32(2**32 - 1)))


def _step(
    optimiser: optax.GradientTransformation, params: Params, state: optax.OptState, batch: tuple
) -> tuple[Params, optax.OptState]:
    gradient = jax.grad(_mean_square)(params, *batch)
    updates, state = optimiser.update(gradient, state, params)
    return optax.apply_updates(params, updates), state


def _mean_square(
    params: Params,
    features: Float[Array, "n columns"],
    targets: Float[Array, "n outputs"],
    valid: Bool[Array, " n"],
) -> Float[Array, ""]:
    error = jnp.where(valid[:, None], _apply(params, features) - targets, 0)
    return jnp.sum(error**2) / (jnp.maximum(jnp.sum(valid), 1) * targets.shape[1])
