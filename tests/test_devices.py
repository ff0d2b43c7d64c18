"""Lanes on eight devices: the same runs as on one, to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import jax

ROOT = Path(__file__).parents[1]
SCRIPT = """
import hashlib, sys
import jax, numpy as np
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.simulation import simulate
from scripts.record_golden import small_table, swapped_prior
assert jax.local_device_count() == int(sys.argv[1])
pair = small_table(num_tasks=2)
crossed = cross_table(synthetic(num_rows=30, num_tasks=2, fidelities=(1, 3, 9, 27)))
cases = {
    "mo-hb": (pair, {}),
    "mo-hb+prior": (pair, {"prior": swapped_prior(pair), "draws": 32}),
    "mo-asha": (crossed, {}),
}
for name, (table, more) in cases.items():
    seconds = 6 * float(table.final_runtime(0).mean())
    log = simulate(table, name, num_seeds=21, seconds=seconds, workers=3, **more)
    assert log.valid.shape[0] == 42
    width = np.flatnonzero(log.valid.any(axis=0)).max() + 1
    parts = [log.task, log.run, *(field[:, :width] for field in log[2:])]
    text = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    print(name, hashlib.sha256(text).hexdigest())
"""


def logs(num_devices: int) -> list[str]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={num_devices}"
    environment = {
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(num_devices)],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.splitlines()


def test_eight_devices_give_the_runs_of_one():
    one = logs(1)
    assert len(one) == 3
    assert logs(8) == one
