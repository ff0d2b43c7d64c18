"""Our calls compute in 64 bits; whoever imports us keeps their own precision.

The suite's own settings switch 64 bits on for kernels, so what users meet is tried in processes of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from mohb_jax import bench
from mohb_jax.precision import in_64_bits
from mohb_jax.threads import map_in_threads

ROOT = Path(__file__).parents[1]
NEIGHBOUR = """
import json, sys
import numpy as np
import mohb_jax
import jax, jax.numpy as jnp
from mohb_jax.cli import main
from mohb_jax.surrogates.prior_network import Training
from pathlib import Path
from scripts.record_golden import PATH, integer_log, small_table

own = jax.jit(lambda x: x + jnp.arange(3.0))
kept = own(jnp.ones(3))
sizes = own._cache_size()

def unchanged():
    assert jnp.ones(3).dtype == kept.dtype == own(jnp.ones(3)).dtype == jnp.float32
    assert own._cache_size() == sizes and not jax.config.jax_enable_x64

unchanged()
assert integer_log("random") == json.loads(PATH.read_text())["random"]
unchanged()
log = mohb_jax.simulate(small_table(), "random", num_seeds=2, evaluations=5)
assert all(isinstance(field, np.ndarray) for field in log[:9])
assert log.costs.dtype == log.start.dtype == log.end.dtype == np.float64
"""
OTHER_CALLS = """
costs = np.array([[1.0, 2.0], [1.0 + 1e-12, 2.0 - 1e-12], [3.0, 3.0]])
assert mohb_jax.pareto_rank(costs).tolist() == [0, 0, 1]
assert mohb_jax.pareto_rank(costs[1:, :1] - [[1e-13], [2.0]]).tolist() == [1, 0]
assert mohb_jax.hypervolume(costs[:1], [1 + 1e-10, 3.0]) > 0
unchanged()

training = Training(num_phases=1, steps_per_phase=20, steps_per_validation=10)
prior = mohb_jax.learn_prior(small_table(num_tasks=2), training=training)
assert isinstance(prior.mu, np.ndarray)
unchanged()

folder = Path(sys.argv[1])
options = ("--benchmark", "embedded", "--task", "digits", "--method", "random", "--seeds", "2")
try:
    main(["run", *options, "--evaluations", "5", "--out", str(folder)])  # runs, then prints indicators
except SystemExit as end:
    assert not end.code
unchanged()
assert json.loads((folder / "study.json").read_text())["versions"]["dtype"] == "float64"
"""


@pytest.mark.wide
@pytest.mark.parametrize(
    ("setting", "script"),
    [(None, NEIGHBOUR + OTHER_CALLS), pytest.param("0", NEIGHBOUR, marks=pytest.mark.slow)],
)
def test_a_neighbour_keeps_32_bits_and_we_compute_in_64(setting, script, tmp_path):
    cache = str(jax.config.values["jax_compilation_cache_dir"])
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": cache}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment |= {} if setting is None else {"JAX_ENABLE_X64": setting}
    command = [sys.executable, "-c", script + "print('unchanged')", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "unchanged"


def of_ones(_: object = None) -> str:
    return str(jnp.ones(3).dtype)


def test_threads_and_rows_of_a_bench_compute_in_64_bits():
    with jax.enable_x64(False):
        assert map_in_threads(of_ones, range(5)) == ["float64"] * 5
        for found in bench._each(of_ones() for _ in range(2)):  # type: ignore[arg-type, misc]
            assert (found, of_ones()) == ("float64", "float32")


def test_a_call_that_fails_leaves_the_precision_as_it_was():
    @in_64_bits
    def fails() -> None:
        raise ValueError(of_ones())

    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="float64"):
            fails()
        assert of_ones() == "float32"


def test_generators_are_refused():
    """One would leave its caller's precision changed between two of its values."""
    with pytest.raises(TypeError, match="rows is a generator"):

        @in_64_bits
        def rows():
            yield 1
