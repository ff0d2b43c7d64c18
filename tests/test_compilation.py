"""What is only compared or scaled needs no program of its own: sweeps compile once."""

from typing import Any

import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.drivers import rungs
from mohb_jax.methods import make_plan, method_named
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


SYNCHRONOUS = (
    {"evaluations": 40},
    {"evaluations": 77, "seconds": 50.0},
    {"seconds": 90.0},
    {"evaluations": 100, "resumable": False, "seed": 3, "first_run": 8},
)


@pytest.mark.parametrize(
    ("method", "settings"),
    [("random", {}), ("mo-hb", {"mode": "barrier"}), pytest.param("bohb", {}, marks=pytest.mark.wide)],
)
def test_synchronous_sweeps_compile_nothing_anew(method, settings):
    assert num_compiled(method, evaluations=100, **settings) > 0
    counts = {str(options): num_compiled(method, **options, **settings) for options in SYNCHRONOUS}
    assert counts == dict.fromkeys(counts, 0)


def test_weights_are_numbers():
    assert num_compiled("mo-hb-scalar", evaluations=50, weights=(0.5, 0.5)) > 0
    assert num_compiled("mo-hb-scalar", evaluations=50, weights=(0.9, 0.1)) == 0


def test_brackets_that_overlap_have_room_for_a_power_of_two_of_passes():
    rows = [15 * passes for passes in (3, 4)]
    first, second = (num_compiled("mo-hb", evaluations=budget, R=9) for budget in rows)
    assert first > 0
    assert second == 0


@pytest.mark.wide
@pytest.mark.parametrize("method", ["mo-rea", "sh-emoa"])
def test_steady_sweeps_compile_nothing_anew(method):
    assert num_compiled(method, evaluations=40) > 0
    sweep = ({"evaluations": 60}, {"evaluations": 50, "trials": 20}, {"seconds": 90.0, "seed": 3})
    counts = {str(options): num_compiled(method, **options) for options in sweep}
    assert counts == dict.fromkeys(counts, 0)


@pytest.mark.wide
def test_a_learner_has_one_program_for_all_first_rungs():
    """And small rungs share one, whatever their sizes."""
    sizes = {bracket.sizes[0] for bracket in make_plan(TABLE, method_named("bohb")).brackets}
    assert len(sizes) > 2
    before = rungs._open_bracket._cache_size()
    num_compiled("bohb", evaluations=100, eta=2)
    assert rungs._open_bracket._cache_size() - before == 1
