"""What the networks of the embedded benchmark predict: a library of models for each of its tasks.

Measured (``scripts/record_embedded_predictions.py``): class probabilities of all 256 fully trained networks
of split 0 on validation and on test examples, none of which they were trained on. Probabilities are kept on a
logarithmic grid: steps of 2**(-1/16), or of 1/8 in the log odds of two classes.

Modelled: what a network costs, at the nominal size of ``embedded`` (64 x the width): parameters; memory of
parameters and of a batch's widest layer, 4 bytes each; seconds per example at 0.25 TFLOP/s, times the cited
relative time of an instance type; USD per million examples there. None of it was measured.
"""

import functools
import json
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.hardware import prices, relative_times
from mohb_jax.benchmarks.sources.embedded import (
    NOMINAL_WIDTH,
    OPERATIONS_PER_SECOND,
    column_values,
    num_weights,
    recorded,
)

from mohb_jax.errors import InputError

FORMAT = "mohb-predictions-1"
STEPS_PER_OCTAVE = 16
STEPS_PER_LOGIT = 8
BYTES = 4
"""Of a number."""


class Predictions(NamedTuple):
    """Of all configurations on one task; validation examples come first.

    Attributes:
        task: its name.
        probability: of each class; the same for all classes where a network left the finite numbers.
        labels: the correct class of each example.
        num_validation: examples on which ensembles may be selected; the others are for testing.
        finite: False for networks that left the finite numbers.
        mistakes: of each configuration on the whole validation part of split 0.
    """

    task: str
    probability: Float[np.ndarray, "configs examples classes"]
    labels: Int[np.ndarray, " examples"]
    num_validation: int
    finite: Bool[np.ndarray, " configs"]
    mistakes: Int[np.ndarray, " configs"]

    @property
    def correct(self) -> Float[np.ndarray, "configs examples"]:
        """Probability of each example's correct class."""
        return self.probability[:, np.arange(self.labels.size), self.labels]


class ModelCosts(NamedTuple):
    """What a configuration costs at the nominal size; the latter two on each instance type.

    Attributes:
        parameters: weights and biases.
        memory: bytes while a batch is predicted.
        seconds: per example.
        usd: per million examples.
    """

    parameters: Float[np.ndarray, " configs"]
    memory: Float[np.ndarray, " configs"]
    seconds: Float[np.ndarray, "configs instances"]
    usd: Float[np.ndarray, "configs instances"]


@functools.cache
def load_predictions() -> dict[str, Predictions]:
    """The libraries by task; needs no network.

    Raises:
        InputError: the file is missing or is none of this format.
    """
    source = resources.files("mohb_jax.benchmarks").joinpath("data/embedded_predictions.npz")
    try:
        with source.open("rb") as file, np.load(file, allow_pickle=False) as content:
            about = json.loads(content["metadata"].tobytes())
            if about["format"] != FORMAT:
                raise InputError(f"predictions of format {about['format']!r}: accepted is {FORMAT}")
            return {task["name"]: _of_task(task, content) for task in about["tasks"]}
    except FileNotFoundError:
        raise InputError(
            "benchmarks/data/embedded_predictions.npz is missing: install the package anew"
        ) from None


def _of_task(task: dict[str, Any], content: Any) -> Predictions:
    name = task["name"]
    finite = content[f"{name}/finite"].astype(bool)
    probability = decoded(content[f"{name}/predictions"], task["num_classes"])
    probability[~finite] = 1 / task["num_classes"]
    return Predictions(
        task=name,
        probability=probability,
        labels=content[f"{name}/labels"].astype(np.int64),
        num_validation=task["num_validation"],
        finite=finite,
        mistakes=content[f"{name}/mistakes"].astype(np.int64),
    )


def decoded(steps: np.ndarray, num_classes: int) -> Float[np.ndarray, "configs examples classes"]:
    """Probabilities: of int8 log odds ``[configs, examples]`` for two classes, of uint8 steps of -log2 p
    ``[configs, examples, classes]``, made to add up to one, for more."""
    real = steps.astype(np.float64)  # before the sign changes: whole numbers without one would wrap around
    if num_classes == 2:
        second = 1 / (1 + np.exp(-real / STEPS_PER_LOGIT))
        return np.stack([1 - second, second], axis=-1)
    share = 2 ** (-real / STEPS_PER_OCTAVE)
    return np.asarray(share / share.sum(axis=-1, keepdims=True))


def model_costs(task: str, batch_size: int = 32) -> ModelCosts:
    """What each configuration costs on a task.

    Args:
        task: of ``embedded``.
        batch_size: examples that are predicted together, for the memory.
    """
    metadata, configs, _ = recorded()
    about = next(each for each in metadata["tasks"] if each["name"] == task)
    depth, width = (column_values(metadata, configs, name) for name in ("depth", "width"))
    wide = width * NOMINAL_WIDTH
    weights = num_weights(depth, wide, about["num_features"], about["num_classes"])
    widest = np.maximum(wide, max(about["num_features"], about["num_classes"]))
    seconds = (2 * weights / OPERATIONS_PER_SECOND)[:, None] * relative_times()[None, :]
    return ModelCosts(
        parameters=weights,
        memory=BYTES * (weights + batch_size * widest),
        seconds=seconds,
        usd=seconds * prices() / 3600 * 1e6,
    )
