"""The hardware catalogue: measured speed and published price of 37 cloud instance types.

The numbers in ``data/instances.csv`` are facts cited from github.com/talesa/syne-tune, a fork of the Syne
Tune library (Apache-2.0): training times of one ResNet script (batch size 32, 3 epochs, us-west-2), measured
by D. Salinas in December 2020, and on-demand prices of 2022. An instance type's relative time is its mean
measured time divided by that of ml.p2.xlarge. Crossing a table with the catalogue by this one factor is the
construction of the "cloud" tables of that library, and very likely that of Salinas et al., "A multi-objective
perspective on jointly tuning hardware and hyperparameters" (arXiv 2106.05680, 2021); any finer dependence on
model or batch size is not in the data.
"""

import csv
import dataclasses
import functools
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Column, require_choice

BASE = "ml.p2.xlarge"
"""The instance type whose relative time is 1."""


@dataclasses.dataclass(frozen=True)
class Instance:
    """One instance type.

    Attributes:
        name: as the cloud provider spells it.
        vcpus: virtual processors.
        memory_gib: main memory in GiB.
        gpus: number of accelerators.
        price: USD per hour, 2022.
        mean_seconds: mean training time of the measured script, in seconds.
        num_measurements: measurements behind the mean.
    """

    name: str
    vcpus: int
    memory_gib: float
    gpus: int
    price: float
    mean_seconds: float
    num_measurements: int


class Crossed(NamedTuple):
    """Runtime and cost of the same work on several instance types, which form the last axis."""

    runtime: Float[np.ndarray, "... instances"]
    cost: Float[np.ndarray, "... instances"]


@functools.cache
def instances() -> tuple[Instance, ...]:
    """All 37 instance types, by name."""
    text = resources.files("mohb_jax.benchmarks").joinpath("data/instances.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        Instance(
            row["name"],
            int(row["vcpus"]),
            float(row["memory_gib"]),
            int(row["gpus"]),
            float(row["price_usd_per_hour"]),
            float(row["mean_seconds"]),
            int(row["num_measurements"]),
        )
        for row in csv.DictReader(lines)
    )


def instance(name: str) -> Instance:
    """The instance type of that name; ``InputError`` listing all names if there is none."""
    names = [kind.name for kind in instances()]
    require_choice("instance type", name, names)
    return instances()[names.index(name)]


def relative_times(base: str = BASE) -> Float[np.ndarray, " instances"]:
    """Training time of each type of ``instances()`` relative to ``base``, for which it is 1."""
    seconds = np.array([kind.mean_seconds for kind in instances()])
    return seconds / instance(base).mean_seconds


def prices() -> Float[np.ndarray, " instances"]:
    """USD per hour of each type of ``instances()``."""
    return np.array([kind.price for kind in instances()])


def cross(runtime: Float[np.ndarray, "..."], base: str = BASE) -> Crossed:
    """The same work on every instance type.

    Args:
        runtime: seconds on the instance type ``base``.
        base: the type that ``runtime`` belongs to.

    Returns:
        Runtime in seconds, ``runtime * relative time``, and cost in USD, ``runtime * price / 3600``, each
        with one more axis at the end, in the order of ``instances()``.
    """
    seconds = np.asarray(runtime, np.float64)[..., None] * relative_times(base)
    return Crossed(seconds, seconds * prices() / 3600)


def instance_column(name: str = "instance_type") -> Column:
    """A configuration column whose levels are the instance types."""
    return Column(name, "categorical", "hardware", tuple(kind.name for kind in instances()))
