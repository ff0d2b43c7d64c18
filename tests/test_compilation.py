"""What is only compared or scaled needs no program of its own: sweeps compile once."""

from typing import Any

import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.programs import Compilation
from mohb_jax.simulation import simulate

TABLE = synthetic(num_rows=60, fidelities=(1, 3, 9, 27), num_objectives=2)

SWEPT = (
    {"evaluations": 30},
    {"trials": 10, "evaluations": 50},
    {"eta": 2, "evaluations": 50},
    {"eta": 2.5, "seconds": 40.0},
    {"grace": 3, "seconds": 30.0},
    {"evaluations": 50, "resumable": False, "seed": 3, "first_run": 8},
)
"""Each fits into the first segment of a run: a longer one is a matter of shapes."""


def num_compiled(method: str, **options: Any) -> int:
    with Compilation() as compilation:
        log = simulate(TABLE, method, num_seeds=2, **options)
    assert log.valid.any()
    return compilation.count


@pytest.mark.parametrize("method", ["mo-asha", "mo-asha-promote"])
def test_asynchronous_sweeps_compile_nothing_anew(method):
    assert num_compiled(method, evaluations=50) > 0
    counts = {str(options): num_compiled(method, **options) for options in SWEPT}
    assert counts == dict.fromkeys(counts, 0)
