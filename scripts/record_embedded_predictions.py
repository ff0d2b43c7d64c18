"""Records what the embedded benchmark's fully trained networks predict on examples that they never saw.

    python -m scripts.record_embedded_predictions --out benchmarks/data/embedded_predictions.npz

The trainings are those of ``record_embedded``: split 0 of each task, all 256 configurations, 27 epochs. What
is kept of each network are its probabilities on validation examples, among which ensembles are selected, and
on test examples, on which they are judged. Test examples are of the part that a split leaves over; where that
is too small, the end of the split's validation part goes with it (digits, some; diabetes, all).

Sums are rounded differently with other lanes beside a lane, and training amplifies that (see
``record_embedded``): these networks are those of the table up to a few predictions. Mistakes over the whole
validation part of split 0 are recorded in the same go, so that the two can be compared.

``mohb_jax.benchmarks.sources.embedded_predictions`` says how the file is read.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=1"

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from scripts.record_embedded import (
    ACTIVATIONS,
    BATCH_SIZES,
    DEPTHS,
    NUM_EPOCHS,
    QUICK_CONFIGS,
    QUICK_TASKS,
    WIDTHS,
    Settings,
    Shape,
    Split,
    Task,
    groups_of_tasks,
    lane_key,
    logits,
    make_configs,
    make_split,
    make_tasks,
    scaled,
    shuffled,
    train,
)

SPLIT = 0
NUM_EXAMPLES = {"breast-cancer": (160, 120), "diabetes": (91, 91)}
"""Validation and test examples of tasks that have few."""
USUAL_EXAMPLES = (160, 160)
STEPS_PER_OCTAVE = 16
"""Resolution of probabilities: 2 to the power of 1/16."""
STEPS_PER_LOGIT = 8
"""Resolution of log odds."""
LARGEST_STEP = 127


class Predicted(NamedTuple):
    """Of all chosen configurations on one task."""

    probability: Float[np.ndarray, "configs examples classes"]
    is_finite: Any  # bool [configs]
    mistakes: Int[np.ndarray, " configs"]


def examples(task: Task) -> tuple[Int[np.ndarray, " validation"], Int[np.ndarray, " test"]]:
    """Places in the data of the examples to select on, and of those to judge on."""
    num_valid, num_test = NUM_EXAMPLES.get(task.name, USUAL_EXAMPLES)
    held_out = shuffled(task, SPLIT)[task.num_train :]
    left_over = held_out[task.num_valid :]
    test = np.concatenate([left_over, held_out[: task.num_valid][::-1]])[:num_test]
    return held_out[:num_valid], test


def record_group(
    tasks: Sequence[Task], configs: Float[np.ndarray, "configs columns"], chosen: Sequence[int], epochs: int
) -> list[Predicted]:
    """The chosen configurations on tasks of one size, a program for each shape of network."""
    splits = [make_split(task, SPLIT) for task in tasks]
    data = Split(*(np.stack(parts) for parts in zip(*splits, strict=True)))
    asked = np.stack([_inputs(task) for task in tasks])
    num_outputs = int(data.num_classes.max())
    found = np.zeros((len(tasks), len(chosen), asked.shape[1], num_outputs))
    mistakes = np.zeros((len(tasks), len(chosen)), np.int64)
    shape_of = {c: tuple(int(v) for v in configs[c, [0, 1, 3]]) for c in chosen}
    for depth, width, batch in sorted(set(shape_of.values())):
        rows = [c for c in chosen if shape_of[c] == (depth, width, batch)]
        shape = Shape(DEPTHS[depth], WIDTHS[width], BATCH_SIZES[batch], num_outputs)
        places = [chosen.index(c) for c in rows]
        found[:, places], mistakes[:, places] = _train_shape(shape, epochs, tasks, configs, rows, data, asked)
    return [_predicted(task, *of_task) for task, *of_task in zip(tasks, found, mistakes, strict=True)]


def _inputs(task: Task) -> Float[np.ndarray, "examples features"]:
    """Of validation and test examples, filled up to the usual number: tasks of a group share a program."""
    valid, test = examples(task)
    inputs = scaled(task, shuffled(task, SPLIT)[: task.num_train])[np.concatenate([valid, test])]
    return np.pad(inputs, ((0, sum(USUAL_EXAMPLES) - len(inputs)), (0, 0)))


def _train_shape(
    shape: Shape,
    epochs: int,
    tasks: Sequence[Task],
    configs: Float[np.ndarray, "configs columns"],
    rows: Sequence[int],
    data: Split,
    asked: Float[np.ndarray, "tasks examples features"],
) -> tuple[Float[np.ndarray, "tasks rows examples outputs"], Int[np.ndarray, "tasks rows"]]:
    lanes = [(task, row) for task in range(len(tasks)) for row in rows]
    of_lane = np.array([task for task, _ in lanes])
    keys = jnp.stack([lane_key(tasks[task].name, row, SPLIT) for task, row in lanes])
    values = configs[[row for _, row in lanes]].astype(np.float32)
    settings = Settings(values[:, 2] == ACTIVATIONS.index("tanh"), values[:, 4], values[:, 5], values[:, 6])

    def one_lane(key: jax.Array, own: Settings, index: jax.Array, all_data: Split, inputs: jax.Array) -> Any:
        split = Split(*(jnp.asarray(part)[index] for part in all_data))
        params, mistakes = train(shape, epochs, key, own, split)
        outputs = logits(shape, own, split.num_classes, params, inputs[index], training=False)
        return jax.nn.softmax(outputs, axis=-1), mistakes[-1]

    every = jax.jit(jax.vmap(one_lane, in_axes=(0, 0, 0, None, None)))
    found, mistakes = every(keys, settings, of_lane, data, asked)
    shape_of = len(tasks), len(rows)
    return np.asarray(found).reshape(*shape_of, *found.shape[1:]), np.asarray(mistakes).reshape(shape_of)


def _predicted(
    task: Task, found: Float[np.ndarray, "configs examples outputs"], mistakes: Int[np.ndarray, " configs"]
) -> Predicted:
    num_classes, num_examples = int(task.labels.max() + 1), sum(map(len, examples(task)))
    own = found[:, :num_examples, :num_classes]
    is_finite = np.isfinite(own).all(axis=(1, 2))
    return Predicted(np.where(is_finite[:, None, None], own, 1 / num_classes), is_finite, mistakes)


def encoded(probability: Float[np.ndarray, "configs examples classes"]) -> np.ndarray:
    """Steps of log odds of class 1 as int8 for two classes, else steps of -log2 p as uint8."""
    floored = np.maximum(probability.astype(np.float64), 1e-30)
    if probability.shape[-1] == 2:
        steps = np.round(STEPS_PER_LOGIT * np.log(floored[..., 1] / floored[..., 0]))
        return np.clip(steps, -LARGEST_STEP, LARGEST_STEP).astype(np.int8)
    return np.clip(np.round(-STEPS_PER_OCTAVE * np.log2(floored)), 0, 255).astype(np.uint8)


def record(tasks: Sequence[Task], chosen: Sequence[int], epochs: int) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    _, configs = make_configs()
    predicted: dict[str, Predicted] = {}
    for group in groups_of_tasks(tasks):
        began = time.perf_counter()
        members = [tasks[index] for index in group]
        of_group = record_group(members, configs, list(chosen), epochs)
        predicted |= dict(zip([task.name for task in members], of_group, strict=True))
        print(f"{len(members)} tasks: {time.perf_counter() - began:.0f} s", flush=True)
    content: dict[str, np.ndarray] = {"metadata": _metadata(tasks, chosen, epochs)}
    for task in tasks:
        own, places = predicted[task.name], np.concatenate(examples(task))
        content |= {
            f"{task.name}/predictions": encoded(own.probability),
            f"{task.name}/finite": own.is_finite,
            f"{task.name}/mistakes": own.mistakes.astype(np.uint16),
            f"{task.name}/labels": task.labels[places].astype(np.uint8),
            f"{task.name}/examples": places.astype(np.uint16),
        }
    return content


def _metadata(tasks: Sequence[Task], chosen: Sequence[int], epochs: int) -> np.ndarray:
    """JSON as bytes."""
    about = [
        {
            "name": task.name,
            "num_classes": int(task.labels.max() + 1),
            "num_validation": len(examples(task)[0]),
            "num_test": len(examples(task)[1]),
        }
        for task in tasks
    ]
    told = {"format": "mohb-predictions-1", "tasks": about, "split": SPLIT, "num_epochs": epochs}
    told |= {"configurations": list(chosen), "jax": jax.__version__}
    return np.frombuffer(json.dumps(told).encode(), np.uint8)


def main() -> None:
    """Reads the command line and records."""
    parser = argparse.ArgumentParser(description="Record what the embedded benchmark's networks predict.")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    parser.add_argument("--quick", action="store_true", help="4 configurations, 2 tasks, 2 epochs")
    arguments = parser.parse_args()
    began = time.perf_counter()
    tasks = [task for task in make_tasks() if not arguments.quick or task.name in QUICK_TASKS]
    chosen = QUICK_CONFIGS if arguments.quick else range(len(make_configs()[1]))
    content: Any = record(tasks, chosen, 2 if arguments.quick else NUM_EPOCHS)
    np.savez_compressed(arguments.out, **content)
    size = arguments.out.stat().st_size / 1e6
    print(f"wrote {arguments.out} ({size:.2f} MB) in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
