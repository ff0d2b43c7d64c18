"""Small networks that really train, each on as many threads and in the precision that its configuration says.

A worker is a process that was given its processors before JAX starts there: JAX uses as many threads. All
programs are compiled before a run (``prepare``), so that no training pays for the compiler.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from sklearn import datasets

WIDTHS, DEPTHS, BATCHES = (32, 128, 512), (1, 2, 3), (32, 128)
THREADS, PRECISIONS = (1, 2), ("float32", "bfloat16")
NUM_FEATURES, NUM_CLASSES, MOST_EXAMPLES = 64, 10, 1198
"""Of the largest data set; others are filled up with zeros, so that all share programs."""
DATA_SETS = ("digits", "breast_cancer")
SPLIT_SEED = 0


class Examples(NamedTuple):
    """Inputs and labels, filled up."""

    inputs: np.ndarray  # [MOST_EXAMPLES, NUM_FEATURES] float32
    labels: np.ndarray  # [MOST_EXAMPLES] int32
    num_real: int
    """How many are real."""


class Shape(NamedTuple):
    """What a program is compiled for."""

    width: int
    depth: int
    batch: int
    precision: str


class Programs(NamedTuple):
    """Of one shape."""

    empty: Any
    """Weights and the optimiser's memory, all 0."""
    epoch: Callable[..., Any]
    """The state after some batches, given by their examples."""
    mistakes: Callable[..., jax.Array]


@functools.lru_cache
def load(name: str) -> tuple[Examples, Examples]:
    """A data set of scikit-learn to train on, and a third of it on which errors are counted; each column is
    scaled to mean 0 and deviation 1 on the training part."""
    inputs, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    valid, train = order[: len(order) // 3], order[len(order) // 3 :]
    spread = inputs[train].std(axis=0)
    scaled = (inputs - inputs[train].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return _filled(scaled[train], labels[train]), _filled(scaled[valid], labels[valid])


def _filled(inputs: np.ndarray, labels: np.ndarray) -> Examples:
    wide = np.zeros((MOST_EXAMPLES, NUM_FEATURES), np.float32)
    wide[: inputs.shape[0], : inputs.shape[1]] = inputs
    return Examples(wide, np.pad(labels, (0, MOST_EXAMPLES - len(labels))).astype(np.int32), len(labels))


class Network(nn.Module):
    """A multi-layer perceptron; weights are kept in float32."""

    shape: Shape

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        dense = functools.partial(nn.Dense, dtype=self.shape.precision)
        for _ in range(self.shape.depth):
            inputs = nn.relu(dense(self.shape.width)(inputs))
        return dense(NUM_CLASSES)(inputs).astype(jnp.float32)


@functools.cache
def programs(shape: Shape) -> Programs:
    """Compiled when they are first asked for."""
    network, most_steps = Network(shape), MOST_EXAMPLES // shape.batch

    def loss(weights: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        found = network.apply(weights, inputs)
        return optax.softmax_cross_entropy_with_integer_labels(found, labels).mean()

    def epoch(state: Any, inputs: Any, labels: Any, batches: Any, num_steps: Any, rate: Any) -> Any:
        optimiser = optax.adam(rate)

        def step(number: jax.Array, state: Any) -> Any:
            weights, memory = state
            rows = batches[number]
            updates, memory = optimiser.update(jax.grad(loss)(weights, inputs[rows], labels[rows]), memory)
            return optax.apply_updates(weights, updates), memory

        return jax.lax.fori_loop(0, num_steps, step, state)

    def mistakes(weights: Any, inputs: Any, labels: Any, count: Any) -> jax.Array:
        found: Any = network.apply(weights, inputs)
        wrong = jnp.argmax(found, axis=1) != labels
        return jnp.sum(wrong & (jnp.arange(len(labels)) < count))

    inputs, labels = load("digits")[0][:2]
    weights = jax.eval_shape(network.init, jax.random.key(0), inputs[:1])
    state = weights, jax.eval_shape(optax.adam(1.0).init, weights)
    batches = np.zeros((most_steps, shape.batch), np.int32)
    return Programs(
        jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state),
        jax.jit(epoch).lower(state, inputs, labels, batches, np.int32(0), np.float32(0)).compile(),
        jax.jit(mistakes).lower(weights, inputs, labels, np.int32(0)).compile(),
    )


def begun(shape: Shape) -> Any:
    """A network that was not trained: normal weights of deviation 1 / sqrt(inputs), the same every time."""
    generator = np.random.default_rng(0)

    def drawn(leaf: np.ndarray) -> np.ndarray:
        return generator.normal(0, 1 / np.sqrt(len(leaf)), leaf.shape).astype(np.float32)

    weights, memory = programs(shape).empty
    return jax.tree.map(lambda leaf: drawn(leaf) if leaf.ndim == 2 else leaf, weights), memory


def batches_of(epoch: int, count: int, batch: int) -> np.ndarray:
    """The examples of each batch of an epoch."""
    order = np.random.default_rng(epoch).permutation(count)
    steps = count // batch
    filled = np.zeros((MOST_EXAMPLES // batch, batch), np.int32)
    filled[:steps] = order[: steps * batch].reshape(steps, batch)
    return filled


def pin(num_threads: int) -> None:
    """Gives this process so many of the processors that it may use; before JAX starts."""
    own = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, own[:num_threads])
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_parallel_codegen_split_count=1"


def prepare(shapes: Sequence[Shape]) -> None:
    """Compiles the programs of shapes, and runs each once."""
    for shape in shapes:
        own, examples = programs(shape), load("digits")[0]
        batches = batches_of(0, examples.num_real, shape.batch)
        state = own.epoch(begun(shape), *examples[:2], batches, np.int32(1), np.float32(0))
        own.mistakes(state[0], *examples[:2], np.int32(1)).block_until_ready()


def all_shapes() -> list[Shape]:
    """Of the whole space."""
    return [Shape(*parts) for parts in itertools.product(WIDTHS, DEPTHS, BATCHES, PRECISIONS)]


def train(
    name: str, config: dict[str, Any], start: float, until: float, checkpoint: str | None, to: str
) -> dict[str, float]:
    """Trains from one epoch to another.

    Args:
        name: of the data set.
        config: lr, width, depth, batch and precision.
        start: epochs that the checkpoint has seen.
        until: epochs at the end.
        checkpoint: file to go on from.
        to: file to write.

    Returns:
        Error, and the seconds and CPU-seconds of all the trial's epochs so far.
    """
    shape = Shape(*(config[part] for part in Shape._fields))
    own, (examples, valid) = programs(shape), load(name)
    kept = begun(shape), np.zeros(2)
    if checkpoint is not None:
        kept = flax.serialization.from_bytes(kept, Path(checkpoint).read_bytes())
    (state, spent), steps = kept, np.int32(examples.num_real // shape.batch)
    began = time.perf_counter(), time.process_time()
    for epoch in range(int(start), int(until)):
        batches = batches_of(epoch, examples.num_real, shape.batch)
        state = own.epoch(state, *examples[:2], batches, steps, np.float32(config["lr"]))
    mistakes = own.mistakes(state[0], *valid[:2], np.int32(valid.num_real))
    error = float(mistakes) / valid.num_real
    spent = spent + np.subtract((time.perf_counter(), time.process_time()), began)
    Path(to).write_bytes(flax.serialization.to_bytes((state, spent)))
    return {"error": error, "seconds": float(spent[0]), "cpu_seconds": float(spent[1])}
