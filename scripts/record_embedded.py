"""Records the learning curves of the embedded benchmark, training every configuration from scratch.

    python scripts/record_embedded.py --out benchmarks/data/embedded.npz

Seven classification tasks are made from data that scikit-learn bundles, 256 configurations of a small flax
network are trained on each for 27 epochs with AdamW at a constant learning rate, and the mistakes on held-out
data after every epoch are counted, summed over several splits, each with an initialisation of its own.
Configurations of one shape are trained together: one compilation per depth, width, batch size and size of the
data, with all else traced.

Every random number follows from a fixed seed and from the task, configuration, split and epoch. On one
machine a second run writes the same bytes. On another machine, or with other lanes beside it (``--quick``), a
lane's sums are rounded differently and training amplifies that: expect the errors of the first epochs to
differ by a few predictions, more at high learning rates, and late ones by no more than another initialisation
would change them.

A network that has left the finite numbers predicts the first class, as argmax does; its error is recorded as
it is.
"""

import argparse
import itertools
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# The programs are small and many: at the usual level, compiling them takes longer than running them.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=1"

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float, Int
from sklearn import datasets

SEED = 20210
NUM_EPOCHS = 27
DEPTHS = (1, 2, 3, 4)
WIDTHS = (8, 16, 32, 64)
BATCH_SIZES = (16, 32, 64, 128)
ACTIVATIONS = ("relu", "tanh")
DRAWS_PER_SHAPE = 4
PATCH = 8
QUICK_CONFIGS = (37, 101, 165, 229)  # all draws of one shape
QUICK_TASKS = ("digits", "diabetes")


class Task(NamedTuple):
    """One classification task: all its examples, and how they are split."""

    name: str
    summary: str
    inputs: Float[np.ndarray, "examples features"]
    labels: Int[np.ndarray, " examples"]
    num_train: int
    num_valid: int
    num_splits: int


class Split(NamedTuple):
    """Training and validation examples: of one split of a task, or of many along a leading axis."""

    train_inputs: Any  # [..., train, features]
    train_labels: Any  # [..., train]
    valid_inputs: Any  # [..., valid, features]
    valid_labels: Any  # [..., valid]
    num_classes: Any  # [...]


class Shape(NamedTuple):
    """What is static when a configuration is trained."""

    depth: int
    width: int
    batch_size: int
    num_outputs: int


class Settings(NamedTuple):
    """What is traced when a configuration is trained; each an array over lanes."""

    is_tanh: Any
    learning_rate: Any
    weight_decay: Any
    dropout: Any


class Network(nn.Module):
    """A multi-layer perceptron whose activation and dropout rate are traced."""

    shape: Shape

    @nn.compact
    def __call__(self, inputs: jax.Array, settings: Settings, training: bool) -> jax.Array:
        hidden = inputs
        for _ in range(self.shape.depth):
            hidden = nn.Dense(self.shape.width)(hidden)
            hidden = jnp.where(settings.is_tanh, jnp.tanh(hidden), nn.relu(hidden))
            if training:
                kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - settings.dropout, hidden.shape)
                hidden = jnp.where(kept, hidden / (1 - settings.dropout), 0)
        return nn.Dense(self.shape.num_outputs)(hidden)


def train(
    shape: Shape, num_epochs: int, key: jax.Array, settings: Settings, split: Split
) -> tuple[Any, Int[jax.Array, " epochs"]]:
    """Trains one lane; its parameters at the end, and validation mistakes after every epoch."""
    optimiser = optax.adamw(settings.learning_rate, weight_decay=settings.weight_decay)

    def outputs(params: Any, inputs: jax.Array, **rest: Any) -> jax.Array:
        return logits(shape, settings, split.num_classes, params, inputs, **rest)

    def loss(params: Any, inputs: jax.Array, labels: jax.Array, dropout_key: jax.Array) -> jax.Array:
        found = outputs(params, inputs, training=True, rngs={"dropout": dropout_key})
        return optax.softmax_cross_entropy_with_integer_labels(found, labels).mean()

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        chosen, dropout_key = batch
        gradients = jax.grad(loss)(
            params, split.train_inputs[chosen], split.train_labels[chosen], dropout_key
        )
        updates, state = optimiser.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), None

    def epoch(carry: Any, epoch_key: jax.Array) -> Any:
        order_key, dropout_key = jax.random.split(epoch_key)
        num_train = split.train_labels.shape[0]
        num_steps = num_train // shape.batch_size
        order = jax.random.permutation(order_key, num_train)[: num_steps * shape.batch_size]
        batches = order.reshape(num_steps, shape.batch_size), jax.random.split(dropout_key, num_steps)
        carry, _ = jax.lax.scan(step, carry, batches)
        predicted = jnp.argmax(outputs(carry[0], split.valid_inputs, training=False), axis=-1)
        return carry, jnp.sum(predicted != split.valid_labels)

    init_key, epochs_key = jax.random.split(key)
    params = Network(shape).init(init_key, split.train_inputs[:1], settings, training=False)
    epoch_keys = jax.vmap(lambda e: jax.random.fold_in(epochs_key, e))(jnp.arange(num_epochs))
    (params, _), mistakes = jax.lax.scan(epoch, (params, optimiser.init(params)), epoch_keys)
    return params, mistakes


def logits(
    shape: Shape, settings: Settings, num_classes: Any, params: Any, inputs: jax.Array, **rest: Any
) -> jax.Array:
    """Outputs of a network, those beyond the task's classes out of reach."""
    outputs: Any = Network(shape).apply(params, inputs, settings, **rest)
    return jnp.where(jnp.arange(shape.num_outputs) >= num_classes, -1e9, outputs)


def make_tasks() -> tuple[Task, ...]:
    """The seven tasks. Diabetes gets 20 columns of zeros, to share compiled programs with breast cancer."""
    digits = datasets.load_digits()
    upper = np.where(np.arange(64) < 32, digits.data, 0.0)
    noisy = digits.data + np.random.default_rng(SEED).normal(0.0, 4.0, digits.data.shape)
    patches, source = image_patches()
    cancer, diabetes = datasets.load_breast_cancer(), datasets.load_diabetes()
    padded = np.pad(diabetes.data, ((0, 0), (0, cancer.data.shape[1] - diabetes.data.shape[1])))
    above = (diabetes.target > np.median(diabetes.target)).astype(np.int64)
    return (
        Task("digits", "8x8 handwritten digits, 10 classes", digits.data, digits.target, 1000, 700, 3),
        Task("digits-parity", "the same, odd or even", digits.data, digits.target % 2, 1000, 700, 3),
        Task("digits-upper", "the same, lower half blacked out", upper, digits.target, 1000, 700, 3),
        Task("digits-noisy", "the same, with strong noise", noisy, digits.target, 1000, 700, 3),
        Task("patch-source", "8x8 grey patch: which of two photographs", patches, source, 1000, 700, 3),
        Task("breast-cancer", "breast cancer: malignant or benign", cancer.data, cancer.target, 260, 182, 6),
        Task("diabetes", "diabetes: progression above its median", padded, above, 260, 182, 6),
    )


def image_patches() -> tuple[Float[np.ndarray, "patches pixels"], Int[np.ndarray, " patches"]]:
    """Disjoint grey patches of the two photographs, each with mean 0 and deviation 1, flat ones left out."""
    found, source = [], []
    for index, image in enumerate(datasets.load_sample_images().images):
        grey = image.mean(axis=2)
        height, width = (size // PATCH for size in grey.shape)
        tiles = grey[: height * PATCH, : width * PATCH].reshape(height, PATCH, width, PATCH).swapaxes(1, 2)
        tiles = tiles.reshape(-1, PATCH * PATCH)
        tiles = tiles[tiles.std(axis=1) > 4]
        found.append((tiles - tiles.mean(axis=1, keepdims=True)) / tiles.std(axis=1, keepdims=True))
        source.append(np.full(len(tiles), index))
    return np.concatenate(found), np.concatenate(source)


def make_split(task: Task, index: int) -> Split:
    """One random split of a task, inputs scaled to mean 0 and deviation 1 on the training part."""
    order = shuffled(task, index)
    train, valid = order[: task.num_train], order[task.num_train :][: task.num_valid]
    inputs, labels = scaled(task, train), task.labels.astype(np.int32)
    num_classes = np.int32(task.labels.max() + 1)
    return Split(inputs[train], labels[train], inputs[valid], labels[valid], num_classes)


def shuffled(task: Task, index: int) -> Int[np.ndarray, " examples"]:
    """All examples in the order of one split: those to train on, those to validate on, and the rest."""
    name = int.from_bytes(task.name.encode(), "big")
    return np.random.default_rng((SEED, name, index)).permutation(len(task.labels))


def scaled(task: Task, train: Int[np.ndarray, " train"]) -> Float[np.ndarray, "examples features"]:
    """Inputs with mean 0 and deviation 1 on the training part."""
    mean, spread = task.inputs[train].mean(axis=0), task.inputs[train].std(axis=0)
    return ((task.inputs - mean) / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def make_configs() -> tuple[list[dict[str, Any]], Float[np.ndarray, "configs columns"]]:
    """Columns, and one row per configuration: all shapes, several random draws of the rest for each."""
    columns: list[dict[str, Any]] = [
        {"name": "depth", "kind": "ordinal", "role": "architecture", "levels": DEPTHS},
        {"name": "width", "kind": "ordinal", "role": "architecture", "levels": WIDTHS},
        {"name": "activation", "kind": "categorical", "role": "architecture", "levels": ACTIVATIONS},
        {"name": "batch_size", "kind": "ordinal", "role": "hyperparameter", "levels": BATCH_SIZES},
        {"name": "learning_rate", "kind": "log", "role": "hyperparameter", "levels": ()},
        {"name": "weight_decay", "kind": "log", "role": "hyperparameter", "levels": ()},
        {"name": "dropout", "kind": "continuous", "role": "hyperparameter", "levels": ()},
    ]
    rng = np.random.default_rng(SEED)
    shapes = itertools.product(
        range(DRAWS_PER_SHAPE), range(len(DEPTHS)), range(len(WIDTHS)), range(len(BATCH_SIZES))
    )
    rows = [(d, w, rng.integers(len(ACTIVATIONS)), b, *_draw(rng)) for _, d, w, b in shapes]
    return columns, np.array(rows, np.float64)


def _draw(rng: np.random.Generator) -> tuple[float, float, float]:
    """Learning rate, weight decay and dropout, rounded to what people can read."""
    learning_rate, weight_decay = 10 ** rng.uniform(-4, -1), 10 ** rng.uniform(-4, 0)
    return float(f"{learning_rate:.3g}"), float(f"{weight_decay:.3g}"), round(rng.uniform(0, 0.6), 3)


def groups_of_tasks(tasks: Sequence[Task]) -> Iterator[list[int]]:
    """Indices of tasks whose arrays have one shape and can be trained together."""
    sizes = [(t.inputs.shape[1], t.num_train, t.num_valid, t.num_splits) for t in tasks]
    for size in dict.fromkeys(sizes):
        yield [index for index, other in enumerate(sizes) if other == size]


def record_group(
    tasks: Sequence[Task],
    configs: Float[np.ndarray, "configs columns"],
    chosen: Sequence[int],
    num_epochs: int,
) -> Int[np.ndarray, "tasks configs epochs"]:
    """Mistakes of the chosen configurations on tasks of one size, summed over splits."""
    splits = [make_split(task, index) for task in tasks for index in range(tasks[0].num_splits)]
    data = Split(*(np.stack(parts) for parts in zip(*splits, strict=True)))
    mistakes = np.zeros((len(tasks), len(chosen), num_epochs), np.int64)
    shape_of = {c: tuple(int(v) for v in configs[c, [0, 1, 3]]) for c in chosen}
    for depth, width, batch in sorted(set(shape_of.values())):
        rows = [c for c in chosen if shape_of[c] == (depth, width, batch)]
        shape = Shape(DEPTHS[depth], WIDTHS[width], BATCH_SIZES[batch], int(data.num_classes.max()))
        found = train_together(shape, num_epochs, tasks, configs, rows, data)
        mistakes[:, [chosen.index(c) for c in rows]] = found
    return mistakes


def train_together(
    shape: Shape,
    num_epochs: int,
    tasks: Sequence[Task],
    configs: Float[np.ndarray, "configs columns"],
    rows: Sequence[int],
    data: Split,
) -> Int[np.ndarray, "tasks rows epochs"]:
    """Trains configurations of one shape on all tasks and splits of one size, as lanes of one program."""
    num_splits = tasks[0].num_splits
    lanes = list(itertools.product(range(len(tasks)), rows, range(num_splits)))
    of_lane = np.array([task * num_splits + split for task, _, split in lanes])
    keys = jnp.stack([lane_key(tasks[task].name, row, split) for task, row, split in lanes])
    values = configs[[row for _, row, _ in lanes]].astype(np.float32)
    settings = Settings(values[:, 2] == 1, values[:, 4], values[:, 5], values[:, 6])

    def one_lane(key: jax.Array, lane_settings: Settings, index: jax.Array, all_data: Split) -> jax.Array:
        split = Split(*(jnp.asarray(part)[index] for part in all_data))
        return train(shape, num_epochs, key, lane_settings, split)[1]

    found = jax.jit(jax.vmap(one_lane, in_axes=(0, 0, 0, None)))(keys, settings, of_lane, data)
    return np.asarray(found).reshape(len(tasks), len(rows), num_splits, num_epochs).sum(axis=2)


def lane_key(task: str, config: int, split: int) -> jax.Array:
    """The key of one training: it depends on nothing else, so neither do the curves."""
    key = jax.random.key(SEED)
    for part in (sum(task.encode()), config, split):
        key = jax.random.fold_in(key, part)
    return key


def record(
    tasks: Sequence[Task], chosen: Sequence[int], num_epochs: int
) -> tuple[dict[str, Any], Float[np.ndarray, "chosen columns"], Int[np.ndarray, "tasks chosen epochs"]]:
    """All curves: what describes them, the chosen configurations and the mistakes."""
    columns, configs = make_configs()
    mistakes = np.zeros((len(tasks), len(chosen), num_epochs), np.int64)
    for group in groups_of_tasks(tasks):
        start = time.perf_counter()
        members = [tasks[index] for index in group]
        mistakes[group] = record_group(members, configs, list(chosen), num_epochs)
        names = ", ".join(task.name for task in members)
        print(f"{names}: {len(chosen)} configurations, {time.perf_counter() - start:.0f} s", flush=True)
    metadata = {
        "columns": columns,
        "tasks": [describe(task) for task in tasks],
        "num_epochs": num_epochs,
        "seed": SEED,
        "jax": jax.__version__,
    }
    return metadata, configs[list(chosen)], mistakes


def describe(task: Task) -> dict[str, Any]:
    """What the loader needs to know of a task."""
    return {
        "name": task.name,
        "summary": task.summary,
        "num_features": int(task.inputs.shape[1]),
        "num_classes": int(task.labels.max() + 1),
        "num_train": task.num_train,
        "num_valid": task.num_valid,
        "num_splits": task.num_splits,
    }


def write(path: Path, metadata: dict[str, Any], configs: np.ndarray, mistakes: np.ndarray) -> None:
    """One compressed file: metadata as JSON, configurations, mistakes as 16-bit counts."""
    encoded = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    np.savez_compressed(path, metadata=encoded, configs=configs, mistakes=mistakes.astype(np.uint16))


def main() -> None:
    """Reads the command line and records."""
    parser = argparse.ArgumentParser(description="Record the learning curves of the embedded benchmark.")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    parser.add_argument("--quick", action="store_true", help="4 configurations, 2 tasks, 2 epochs")
    arguments = parser.parse_args()
    start = time.perf_counter()
    tasks = [task for task in make_tasks() if not arguments.quick or task.name in QUICK_TASKS]
    num_configs = math.prod(map(len, (DEPTHS, WIDTHS, BATCH_SIZES))) * DRAWS_PER_SHAPE
    chosen = QUICK_CONFIGS if arguments.quick else range(num_configs)
    write(arguments.out, *record(tasks, chosen, 2 if arguments.quick else NUM_EPOCHS))
    print(f"wrote {arguments.out} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
