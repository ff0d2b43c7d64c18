"""The TrimTuner tables against the figures published with the data."""

import os

import numpy as np
import pytest
from mohb_jax.benchmarks import load
from mohb_jax.benchmarks.download import state
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.benchmarks.sources.trimtuner import FILES
from mohb_jax.benchmarks.table import Table

pytestmark = pytest.mark.fast


def table_of(network: str) -> Table:
    """The table; without its file the test is skipped, but not in CI, where it must be had."""
    if not os.environ.get("CI") and state(FILES[network]) != "ok":
        pytest.skip(f"{FILES[network].path} is neither under MOHB_DATA nor downloaded (mohb data fetch)")
    return load(f"trimtuner-{network}")


@pytest.mark.parametrize(
    ("network", "most", "affordable", "accurate"), [("cnn", 0.10, 111, 39), ("rnn", 0.02, 178, 28)]
)
def test_check_numbers_of_the_paper(network, most, affordable, accurate):
    """Full-size configurations below a cost, and those with at least 95 % of the best accuracy among them."""
    error, _, cost = table_of(network).costs[0, :, -1].T
    accuracy = 1 - error[cost <= most]
    assert len(accuracy) == affordable
    assert np.sum(accuracy >= 0.95 * accuracy.max()) == accurate


@pytest.mark.parametrize(
    ("network", "accuracy", "seconds", "dollars", "chance"),
    [
        ("cnn", (0.0985, 0.98873), (59.35, 636.2), (0.01450, 0.75109), 18),
        ("rnn", (0.0784, 0.98260), (2.136, 446.9), (0.00133, 0.13825), 37),
    ],
)
def test_ranges_at_full_size(network, accuracy, seconds, dollars, chance):
    error, runtime, cost = table_of(network).costs[0, :, -1].T
    assert (1 - error.max(), 1 - error.min()) == pytest.approx(accuracy, abs=1e-4)
    assert (runtime.min(), runtime.max()) == pytest.approx(seconds, rel=1e-3)
    assert (cost.min(), cost.max()) == pytest.approx(dollars, abs=6e-6)
    assert np.sum(error > 0.8) == chance


@pytest.mark.parametrize(("network", "two", "three"), [("cnn", 7, 14), ("rnn", 16, 39)])
def test_sizes_of_the_true_fronts(network, two, three):
    table = table_of(network)
    assert len(true_front(table.select(objectives=["error", "cost"]), 0)) == two
    assert len(true_front(table, network)) == three


@pytest.mark.parametrize("network", ["cnn", "rnn"])
def test_shape_of_the_table(network):
    table = table_of(network)
    assert (table.tasks, table.num_rows) == ((network,), 288)
    assert table.fidelities == (1000, 6000, 15000, 30000, 60000)
    assert table.available is not None
    assert table.available.all()
    assert not table.resumable
    np.testing.assert_array_equal(table.runtime, table.costs[..., 1])
    hardware = [column.name for column in table.columns if column.role == "hardware"]
    assert hardware == ["flavour", "worker_vcpus"]
    levels = [len(np.unique(table.configs[:, d])) for d in range(table.num_columns)]
    assert (levels, np.prod(levels)) == ([4, 6, 3, 2, 2], 288)  # distinct rows: a full grid


@pytest.mark.parametrize(("network", "falls"), [("cnn", 108), ("rnn", 17)])
def test_runtime_falls_with_size_as_often_as_published(network, falls):
    assert np.sum(np.diff(table_of(network).runtime, axis=2) < 0) == falls
