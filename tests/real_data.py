"""Tests on published data: skipped where the files are not at hand, but not in CI, where they must be had."""

import os

import pytest
from mohb_jax.benchmarks.download import RemoteFile, state


def need(*files: RemoteFile) -> None:
    """Skips the test, outside CI, unless every file is there."""
    missing = [file.path for file in files if state(file) != "ok"]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{missing[0]} is neither under MOHB_DATA nor downloaded (mohb data fetch)")
