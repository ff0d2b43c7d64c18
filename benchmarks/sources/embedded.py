"""The embedded benchmark: recorded learning curves of small networks, crossed with the hardware catalogue.

What is measured, cited and modelled:

* Measured (``scripts/record_embedded.py``): validation error after each of 27 epochs of 256 configurations of
  a flax multi-layer perceptron on 7 classification tasks made from data that scikit-learn bundles.
* Cited (``mohb_jax.benchmarks.hardware``): relative training time and price per hour of 37 instance types.
* Modelled (this module): seconds per epoch on the reference instance, ml.p2.xlarge. The recorded networks
  train in well under a second, so the size is nominal: as if there were 600 times as many examples, and
  hidden layers 64 times as wide. An epoch then takes 6 operations (forward and backward, multiply and add)
  per weight and example at 0.25 TFLOP/s, plus 1 ms for every step. Both rates are assumptions of the order of
  the reference instance's GPU, not measurements; they spread full trainings from half a minute to a few hours
  there. There is no start-up time: the cited times have none either.
"""

import json
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from mohb_jax.benchmarks.benchmark import Benchmark
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.hardware import cross, instance_column, instances
from mohb_jax.benchmarks.table import Table

NOMINAL_EXAMPLES = 600
"""Nominal examples for each recorded one."""
NOMINAL_WIDTH = 64
"""Nominal hidden units for each recorded one."""
OPERATIONS_PER_SECOND = 0.25e12
SECONDS_PER_STEP = 1e-3

PROVENANCE = (
    "Error: measured by scripts/record_embedded.py (flax networks on data bundled with scikit-learn). "
    "Relative time and price of instance types: cited (github.com/talesa/syne-tune, Apache-2.0; measured "
    "December 2020, prices 2022). Runtime on the reference instance ml.p2.xlarge: modelled by counting "
    "operations at a nominal size (600 x the examples, 64 x the width), 0.25 TFLOP/s and 1 ms per step. "
    "Runtime = modelled x relative time; cost = runtime x price / 3600."
)


def load_embedded() -> Table:
    """The embedded table: 256 configurations x 37 instance types, 7 tasks, 27 epochs; needs no network.

    Objectives: validation error (fraction), runtime (s), cost (USD). Row ``37 * c + i`` is configuration
        ``c`` on
    instance type ``i`` of ``mohb_jax.benchmarks.hardware.instances()``.
    """
    metadata, configs, mistakes = recorded()
    seconds, dollars = cross(base_runtime(metadata, configs))
    error = mistakes / num_validations(metadata)[:, None, None]
    num_instances = len(instances())
    per_row = [np.repeat(error, num_instances, axis=1), _rows(seconds), _rows(dollars)]
    return Table(
        name="embedded",
        columns=(*_columns(metadata), instance_column()),
        configs=_with_instance(configs, num_instances),
        tasks=tuple(task["name"] for task in metadata["tasks"]),
        fidelities=tuple(range(1, metadata["num_epochs"] + 1)),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "fraction"), Objective("runtime", "min", "s"), _COST),
        costs=np.stack(per_row, axis=-1),
        runtime=per_row[1],
        resumable=True,
        provenance=PROVENANCE,
        descriptors=task_descriptors(metadata),
    )


def task_descriptors(metadata: dict[str, Any]) -> dict[str, list[float]]:
    """Sizes of the data sets: features, training examples and classes as logarithms, features per example."""
    features, examples, classes = (
        np.array([task[name] for task in metadata["tasks"]], np.float64)
        for name in ("num_features", "num_train", "num_classes")
    )
    return {
        "log features": np.log(features).tolist(),
        "log examples": np.log(examples).tolist(),
        "log classes": np.log(classes).tolist(),
        "features per example": (features / examples).tolist(),
    }


_COST = Objective("cost", "min", "USD")


def recorded() -> tuple[
    dict[str, Any], Float[np.ndarray, "configs columns"], Int[np.ndarray, "tasks configs epochs"]
]:
    """What the script recorded: metadata, configurations, and validation mistakes summed over splits."""
    source = resources.files("mohb_jax.benchmarks").joinpath("data/embedded.npz")
    with source.open("rb") as file, np.load(file, allow_pickle=False) as content:
        metadata = json.loads(content["metadata"].tobytes())
        return metadata, content["configs"], content["mistakes"].astype(np.int64)


def num_validations(metadata: dict[str, Any]) -> Int[np.ndarray, " tasks"]:
    """Validation examples of each task over all splits: an error is a number of mistakes out of these."""
    return np.array([task["num_valid"] * task["num_splits"] for task in metadata["tasks"]])


def base_runtime(
    metadata: dict[str, Any], configs: Float[np.ndarray, "configs columns"]
) -> Float[np.ndarray, "tasks configs epochs"]:
    """Modelled cumulative seconds on the reference instance, ml.p2.xlarge."""
    depth, width, batch = (column_values(metadata, configs, n) for n in ("depth", "width", "batch_size"))
    epochs = np.arange(1, metadata["num_epochs"] + 1)
    per_epoch = [
        seconds_per_epoch(depth, width, batch, task["num_features"], task["num_classes"], task["num_train"])
        for task in metadata["tasks"]
    ]
    return np.stack(per_epoch)[..., None] * epochs


def seconds_per_epoch(
    depth: Float[np.ndarray, " configs"],
    width: Float[np.ndarray, " configs"],
    batch_size: Float[np.ndarray, " configs"],
    num_features: int,
    num_classes: int,
    num_train: int,
) -> Float[np.ndarray, " configs"]:
    """The operation-count model of the module's text, from recorded (not nominal) sizes."""
    wide, examples = width * NOMINAL_WIDTH, num_train * NOMINAL_EXAMPLES
    weights = num_weights(depth, wide, num_features, num_classes)
    return 6 * weights * examples / OPERATIONS_PER_SECOND + np.ceil(examples / batch_size) * SECONDS_PER_STEP


def num_weights(
    depth: Float[np.ndarray, " configs"],
    width: Float[np.ndarray, " configs"],
    num_features: int,
    num_classes: int,
) -> Float[np.ndarray, " configs"]:
    """Weights and biases of a network."""
    return (num_features + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * num_classes


def column_values(
    metadata: dict[str, Any], configs: Float[np.ndarray, "configs columns"], name: str
) -> Float[np.ndarray, " configs"]:
    """A numeric ordinal column as numbers."""
    columns = _columns(metadata)
    index = [column.name for column in columns].index(name)
    return np.array(columns[index].levels, np.float64)[configs[:, index].astype(np.int64)]


def _columns(metadata: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(**{**column, "levels": tuple(column["levels"])}) for column in metadata["columns"])


def _with_instance(
    configs: Float[np.ndarray, "configs columns"], num_instances: int
) -> Float[np.ndarray, "rows more"]:
    """Every configuration on every instance type, the instance in the last column and varying fastest."""
    types = np.tile(np.arange(num_instances, dtype=np.float64), len(configs))
    return np.concatenate([np.repeat(configs, num_instances, axis=0), types[:, None]], axis=1)


def _rows(
    crossed: Float[np.ndarray, "tasks configs epochs instances"],
) -> Float[np.ndarray, "tasks rows epochs"]:
    """Merges configurations and instance types into rows."""
    tasks, configs, epochs, num_instances = crossed.shape
    return crossed.swapaxes(2, 3).reshape(tasks, configs * num_instances, epochs)


BENCHMARKS = (
    Benchmark(
        name="embedded",
        summary="small networks on 7 tasks (measured) x 37 instance types (cited)",
        needs="nothing",
        tasks=(
            *("digits", "digits-parity", "digits-upper", "digits-noisy"),
            *("patch-source", "breast-cancer", "diabetes"),
        ),
        rows=256 * 37,
        objectives=("error", "runtime", "cost"),
        fidelities=tuple(range(1, 28)),
        files=(),
        load=lambda data: load_embedded(),
    ),
)
