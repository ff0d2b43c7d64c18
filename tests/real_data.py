"""Tests on published data: skipped where the files are not at hand, but not in CI, where they must be had."""

import os
from collections.abc import Callable

import pytest
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.download import RemoteFile, state
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources.lcbench import load_lcbench

from mohb_jax import benchmarks

NUM_CONFIGS = 120
SMALL: dict[str, Callable[[], AnyTable]] = {
    "lcbench": lambda: load_lcbench(num_configs=NUM_CONFIGS),
    "lcbench-cloud": lambda: cross_table(load_lcbench(num_configs=NUM_CONFIGS)),
    "lcbench-cloud-distilbert": lambda: cross_table(
        load_lcbench(num_configs=NUM_CONFIGS), catalogue="distilbert"
    ),
}
"""Tables that take long to make, in a smaller size."""


def small(name: str) -> AnyTable:
    """A benchmark's table, with fewer rows where all of them take long to make; see ``need``."""
    need(*BENCHMARKS[name].files)
    return SMALL[name]() if name in SMALL else benchmarks.load(name)


def need(*files: RemoteFile) -> None:
    """Skips the test, outside CI, unless every file is there."""
    missing = [file.path for file in files if state(file) != "ok"]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{missing[0]} is neither under MOHB_DATA nor downloaded (mohb data fetch)")
