"""Synthetic tables: the front is what it is said to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.benchmarks.sources.synthetic import synthetic, synthetic_with_fronts

from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast


@given(
    num_rows=st.integers(5, 200),
    num_tasks=st.integers(1, 4),
    num_objectives=st.integers(1, 4),
    num_front=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_known_front_is_the_true_front(num_rows, num_tasks, num_objectives, num_front, seed):
    table, fronts = synthetic_with_fronts(
        num_rows, num_tasks, (1, 4), num_objectives, seed, num_front=num_front
    )
    assert len(fronts) == num_tasks
    for task, front in enumerate(fronts):
        np.testing.assert_array_equal(true_front(table, task), front)
    expected = min(num_front, num_rows // num_tasks) if num_objectives > 1 else 1
    assert all(len(front) == expected for front in fronts)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
def test_correlation_of_low_and_high_fidelity(correlation):
    table = synthetic(4000, 1, (1, 9, 81), 2, seed=3, correlation=correlation)
    lowest, middle, highest = table.costs[0, :, :, 0].T
    # 4,000 rows: standard error at most 0.016, so 0.06 is nearly four of them
    assert np.corrcoef(lowest, highest)[0, 1] == pytest.approx(correlation, abs=0.06)
    assert np.corrcoef(middle, highest)[0, 1] == pytest.approx((1 + correlation) / 2, abs=0.06)


def test_the_seed_decides_everything():
    assert synthetic(50, seed=1).fingerprint == synthetic(50, seed=1).fingerprint
    assert synthetic(50, seed=1).fingerprint != synthetic(50, seed=2).fingerprint


def test_runtime_is_proportional_to_fidelity():
    runtime = synthetic(20, fidelities=(1, 3, 9)).runtime
    np.testing.assert_allclose(runtime / runtime[:, :, :1], np.broadcast_to([1, 3, 9], runtime.shape))


def test_one_fidelity_and_one_row():
    table = synthetic(1, 1, (27,))
    assert true_front(table, 0).tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_rows": 2, "num_tasks": 3}, "num_rows must be at least the 3 tasks, got 2"),
        ({"num_objectives": 0}, "num_objectives must be at least 1"),
        ({"correlation": 1.5}, r"correlation must lie in \[0, 1\]"),
        ({"fidelities": (3, 1)}, "fidelities must be positive and increasing"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        synthetic(**arguments)
