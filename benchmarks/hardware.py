"""Hardware catalogues: measured speed and published price of cloud instance types.

The numbers in ``data/`` are facts cited from github.com/talesa/syne-tune, a fork of the Syne Tune library
(Apache-2.0); prices are those on demand of 2022. An instance type's relative time is its measured time
divided by that of ml.p2.xlarge. There are two catalogues, each from one training script:

* ``resnet``, the usual one: 37 types, with and without GPUs; training times of a ResNet (batch size 32, 3
  epochs, us-west-2), measured by D. Salinas in December 2020. Crossing a table with it by this one factor is
  the construction of the "cloud" tables of that library, and very likely that of Salinas et al., "A
  multi-objective perspective on jointly tuning hardware and hyperparameters" (arXiv 2106.05680, 2021).
* ``distilbert``: 18 types with GPUs; examples per second of a DistilBERT (IMDB, February 2022) in the fastest
  setting that was measured on each type (batch size and loader workers), as one would use it.

One factor for each type is what the data support, and it does not carry over between scripts: over the nine
types in both, the relative times of the two agree by a rank correlation of about one half. What is concluded
on one catalogue wants to be seen on the other.
"""

import csv
import dataclasses
import functools
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Column, require_choice


class Catalogue(NamedTuple):
    """Where a catalogue is held, and when and how it was measured."""

    file: str
    measured: str


CATALOGUES = {
    "resnet": Catalogue("data/instances.csv", "measured December 2020 with one training script, prices 2022"),
    "distilbert": Catalogue(
        "data/distilbert.csv", "measured February 2022 with one DistilBERT training, prices 2022"
    ),
}
USUAL = "resnet"
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
        mean_seconds: time of the measured script, in seconds: of a training (``resnet``) or of 10,000
            examples (``distilbert``).
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
def instances(catalogue: str = USUAL) -> tuple[Instance, ...]:
    """All instance types of a catalogue, by name; ``InputError`` if there is no such catalogue."""
    require_choice("catalogue", catalogue, CATALOGUES)
    text = resources.files("mohb_jax.benchmarks").joinpath(CATALOGUES[catalogue].file).read_text("utf-8")
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


def instance(name: str, catalogue: str = USUAL) -> Instance:
    """The instance type of that name; ``InputError`` listing all names if the catalogue lacks it."""
    names = [kind.name for kind in instances(catalogue)]
    require_choice("instance type", name, names)
    return instances(catalogue)[names.index(name)]


def relative_times(base: str = BASE, catalogue: str = USUAL) -> Float[np.ndarray, " instances"]:
    """Time on each type of ``instances(catalogue)`` relative to ``base``, for which it is 1."""
    seconds = np.array([kind.mean_seconds for kind in instances(catalogue)])
    return seconds / instance(base, catalogue).mean_seconds


def prices(catalogue: str = USUAL) -> Float[np.ndarray, " instances"]:
    """USD per hour of each type of ``instances(catalogue)``."""
    return np.array([kind.price for kind in instances(catalogue)])


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


def instance_column(name: str = "instance_type", catalogue: str = USUAL) -> Column:
    """A configuration column whose levels are the instance types of a catalogue."""
    return Column(name, "categorical", "hardware", tuple(kind.name for kind in instances(catalogue)))
