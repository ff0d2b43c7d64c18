"""A training that takes no time: a learning curve that a configuration stands for."""

import math
from typing import Any

from mohb_jax import Space
from mohb_jax.tuner.space import hardware, integer, log

GOALS = {"error": "min", "seconds": "min s"}
MACHINES = {"small": 1.0, "large": 0.25}
"""Seconds of an epoch for each hundred units."""


def space(n: int = 256) -> Space:
    """Learning rate, width and machine."""
    return Space.sample(
        {"lr": log(1e-4, 0.1), "width": integer(16, 512, log=True), "machine": hardware(list(MACHINES))}, n
    )


def after(config: dict[str, Any], epoch: float) -> dict[str, float]:
    """Error and seconds after so many epochs: best at a rate of .01, better and slower if wide."""
    off = abs(math.log10(config["lr"]) + 2) / 4
    error = 0.05 + off + 1 / math.sqrt(config["width"]) + 0.5 / (1 + epoch)
    return {"error": error, "seconds": epoch * config["width"] / 100 * MACHINES[config["machine"]]}
