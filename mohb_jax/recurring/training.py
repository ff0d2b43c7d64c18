"""A training on a GPU as it was measured: epochs to the target by batch size and run, seconds and watts of an
epoch by batch size and power limit.

Data as in ``benchmarks.sources.zeus``, but each run by itself: what a policy observes is one run.
"""

import dataclasses
import os
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.download import locate
from mohb_jax.benchmarks.sources.zeus import GPUS, POWER, TRAIN, WORKLOADS

__all__ = ["GPUS", "TRAININGS", "Published", "Training", "load_training"]


class Published(NamedTuple):
    """How a training is run in the authors' examples.

    Attributes:
        network: trained.
        optimizer: with which.
        max_epochs: at which a run ends.
        batch_size: that of the network's own publication: the default.
    """

    network: str
    optimizer: str
    max_epochs: int
    batch_size: int


TRAININGS = {
    "librispeech": Published("deepspeech2", "adamw", 16, 256),
    "squad": Published("bert_base_uncased", "adamw", 6, 32),
    "sentiment140": Published("bert_base_uncased", "adamw", 10, 128),
    "imagenet": Published("resnet50", "adadelta", 100, 256),
    "cifar100": Published("shufflenetv2", "adadelta", 100, 1024),
    "movielens-1m": Published("ncf", "adam", 100, 1024),
}
"""By data set. Where a default does not fit on a GPU, its largest batch size is taken."""


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """A training on a GPU, with B batch sizes, R runs of each and P power limits.

    Attributes:
        name: of the data set.
        gpu: one of ``GPUS``.
        batch_sizes: ascending.
        limits: W, descending: a tie goes to the higher one.
        epochs: in which each run reached the target; NaN where it did not.
        num_runs: of each batch size.
        seconds: of an epoch; NaN where that was not measured.
        watts: mean power, likewise.
        max_watts: the GPU's highest limit.
        max_epochs: at which a run ends.
        default: index of the default batch size.
    """

    name: str
    gpu: str
    batch_sizes: Int[np.ndarray, " B"]
    limits: Float[np.ndarray, " P"]
    epochs: Float[np.ndarray, "B R"]
    num_runs: Int[np.ndarray, " B"]
    seconds: Float[np.ndarray, "B P"]
    watts: Float[np.ndarray, "B P"]
    max_watts: float
    max_epochs: int
    default: int

    @property
    def joules(self) -> Float[np.ndarray, "B P"]:
        """Of an epoch."""
        return self.seconds * self.watts

    def epoch_cost(self, weight: float) -> Float[np.ndarray, "B P"]:
        """What an epoch costs: ``weight`` of its energy, and the rest of what the highest limit could have
        drawn in its time. Joules; NaN where nothing was measured."""
        return np.asarray((weight * self.watts + (1 - weight) * self.max_watts) * self.seconds)

    def limit(self, weight: float) -> Int[np.ndarray, " B"]:
        """Index of the power limit at which an epoch of each batch size is cheapest."""
        return np.nanargmin(self.epoch_cost(weight), axis=1)

    @property
    def converges(self) -> Bool[np.ndarray, " B"]:
        """Batch sizes of which no run missed the target."""
        there = np.arange(self.epochs.shape[1]) < self.num_runs[:, None]
        return np.asarray((np.isfinite(self.epochs) | ~there).all(axis=1) & (self.num_runs > 0))


def load_training(name: str, gpu: str = "v100", data: str | os.PathLike[str] | None = None) -> Training:
    """One of ``TRAININGS`` on one of ``GPUS``.

    Args:
        name: of the data set.
        gpu: model.
        data: folder that holds the published files.

    Raises:
        InputError: an unknown name, or a file that cannot be had.
    """
    require_choice("training", name, tuple(TRAININGS))
    require_choice("gpu", gpu, GPUS)
    how = TRAININGS[name]
    power = pl.read_csv(locate(POWER[gpu], data))
    runs = pl.read_csv(
        locate(TRAIN, data), schema_overrides={"target_metric": pl.Float64, "target_epoch": pl.Float64}
    )
    keys = ["dataset", "network", "batch_size", "optimizer"]
    own = (
        (pl.col("dataset") == name)
        & (pl.col("network") == how.network)
        & (pl.col("optimizer") == how.optimizer)
    )
    measured = power.filter(own).join(runs.select(keys).unique(), on=keys, how="inner")
    reached = runs.filter(own & (pl.col("target_metric") == WORKLOADS[name].target))
    sizes = np.unique(measured["batch_size"].to_numpy())
    limits = np.unique(measured["power_limit"].to_numpy())[::-1]
    epochs, num_runs = _by_run(reached, sizes)
    seconds, watts = (
        _by_limit(measured, column, sizes, limits) for column in ("time_per_epoch", "average_power")
    )
    default = min(how.batch_size, int(power.filter(pl.col("dataset") == name)["batch_size"].max()))  # type: ignore[arg-type]
    return Training(
        name=name,
        gpu=gpu,
        batch_sizes=sizes,
        limits=limits.astype(np.float64),
        epochs=epochs,
        num_runs=num_runs,
        seconds=seconds,
        watts=watts,
        max_watts=_highest_limit(power, runs, keys),
        max_epochs=how.max_epochs,
        default=sizes.tolist().index(default),
    )


def _highest_limit(power: pl.DataFrame, runs: pl.DataFrame, keys: list[str]) -> float:
    """Of a GPU, over all trainings on it."""
    joined = power.join(runs.select(keys).unique(), on=keys, how="inner")
    return float(joined["power_limit"].max())  # type: ignore[arg-type]


def _by_run(
    reached: pl.DataFrame, sizes: Int[np.ndarray, " B"]
) -> tuple[Float[np.ndarray, "B R"], Int[np.ndarray, " B"]]:
    """Epochs to the target by batch size, runs in the file's order, and how many runs there are."""
    found = [
        reached.filter(pl.col("batch_size") == size)["target_epoch"].to_numpy() for size in sizes.tolist()
    ]
    epochs = np.full((sizes.size, max(own.size for own in found)), np.nan)
    for row, own in zip(epochs, found, strict=True):
        row[: own.size] = own.astype(np.float64)
    return epochs, np.array([own.size for own in found])


def _by_limit(
    measured: pl.DataFrame, column: str, sizes: Int[np.ndarray, " B"], limits: Int[np.ndarray, " P"]
) -> Float[np.ndarray, "B P"]:
    values = np.full((sizes.size, limits.size), np.nan)
    row = np.searchsorted(sizes, measured["batch_size"].to_numpy())
    place = limits.size - 1 - np.searchsorted(limits[::-1], measured["power_limit"].to_numpy())
    values[row, place] = measured[column].to_numpy()
    return values
