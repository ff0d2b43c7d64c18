"""Lanes on eight devices: the same runs as on one, to the last bit."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.simulation import simulate
from scripts.record_golden import small_table

pytestmark = pytest.mark.wide

ROOT = Path(__file__).parents[1]
SCRIPT = """
import jax
from tests.test_devices import logs
assert jax.local_device_count() == 8
print(*logs(), sep="\\n")
"""


def logs() -> list[str]:
    """Hashes of 22 runs: a number that eight does not divide. Each driver that spreads lanes has a case."""
    pair = small_table(num_tasks=2)
    crossed = cross_table(synthetic(num_rows=30, num_tasks=2, fidelities=(1, 3, 9, 27)))
    cases = {"mo-hb": (pair, 4), "mo-asha": (crossed, 3)}
    return [f"{name} {digest(name, *case)}" for name, case in cases.items()]


def digest(name, table, num_trainings):
    seconds = num_trainings * float(table.final_runtime(0).mean())
    log = simulate(table, name, num_seeds=11, seconds=seconds, workers=3)
    assert log.valid.shape[0] == 22
    width = np.flatnonzero(log.valid.any(axis=0)).max() + 1
    parts = [log.task, log.run, *(field[:, :width] for field in log.slots)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def test_eight_devices_give_the_runs_of_one():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    eight = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert eight.returncode == 0, eight.stderr[-2000:]
    assert jax.local_device_count() == 1
    assert eight.stdout.splitlines() == logs()
