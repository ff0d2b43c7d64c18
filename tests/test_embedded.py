"""The embedded benchmark: what was recorded, the crossing with hardware, and the script that records it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mohb_jax.benchmarks import hardware, load
from mohb_jax.benchmarks.normalise import normalisation, true_front
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import embedded
from mohb_jax.benchmarks.table import Table

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parent.parent
NUM_INSTANCES = 37


@pytest.fixture(scope="module")
def table() -> Table:
    return load("embedded")


def test_shape_and_registry_agree(table):
    entry = BENCHMARKS["embedded"]
    assert (table.tasks, table.num_rows, table.fidelities) == (entry.tasks, entry.rows, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
    assert table.available is not None
    assert table.available.all()
    assert table.resumable
    assert {column.role for column in table.columns} == {"architecture", "hyperparameter", "hardware"}
    for word in ("measured", "cited", "modelled"):
        assert word in table.provenance


def test_recorded_file_is_small():
    assert (ROOT / "benchmarks/data/embedded.npz").stat().st_size < 3_000_000


def test_errors_are_recorded_counts_and_do_not_depend_on_hardware(table):
    metadata, _, mistakes = embedded.recorded()
    error = table.costs[..., 0].reshape(table.num_tasks, -1, NUM_INSTANCES, table.num_fidelities)
    assert (error == error[:, :, :1]).all()
    counted = error[:, :, 0] * embedded.num_validations(metadata)[:, None, None]
    np.testing.assert_allclose(counted, mistakes, atol=1e-9)


def test_time_and_price_follow_the_catalogue(table):
    runtime = table.runtime.reshape(table.num_tasks, -1, NUM_INSTANCES, table.num_fidelities)
    base = hardware.instance_column().levels.index("ml.p2.xlarge")
    relative = runtime / runtime[:, :, [base]]
    expected = hardware.relative_times()[:, None]
    np.testing.assert_allclose(relative, np.broadcast_to(expected, relative.shape))
    hourly = table.costs[..., 2] / table.costs[..., 1] * 3600
    prices = np.tile(hardware.prices(), table.num_rows // NUM_INSTANCES)
    np.testing.assert_allclose(hourly, np.broadcast_to(prices[:, None], hourly.shape))
    np.testing.assert_array_equal(table.runtime, table.costs[..., 1])


def test_rows_are_configurations_times_instances(table):
    names = [kind.name for kind in hardware.instances()]
    for row in (0, 36, 37, 5000):
        assert table.config(row)["instance_type"] == names[row % NUM_INSTANCES]
    first = {k: v for k, v in table.config(37).items() if k != "instance_type"}
    assert first == {k: v for k, v in table.config(73).items() if k != "instance_type"}


def test_operation_count_by_hand():
    # 2 hidden layers of 64 x 16 = 1,024 units, 10 inputs, 3 classes, 600 x 5 examples in batches of 16
    weights = 11 * 1024 + 1025 * 1024 + 1025 * 3
    expected = 6 * weights * 3000 / 0.25e12 + 188 * 1e-3
    sizes = [np.array([float(value)]) for value in (2, 16, 16)]
    found = embedded.seconds_per_epoch(*sizes, num_features=10, num_classes=3, num_train=5)
    assert found[0] == pytest.approx(expected)


def test_tasks_are_neither_trivial_nor_hopeless(table):
    """Training helps, early epochs tell something but not all, and few configurations are nearly the best."""
    error = table.costs[:, ::NUM_INSTANCES, :, 0]
    final = error[:, :, -1]
    assert (np.median(final, axis=1) < np.median(error[:, :, 0], axis=1)).all()
    assert (final.min(axis=1) < 0.6 * final.max(axis=1)).all()
    assert (np.mean(final <= final.min(axis=1, keepdims=True) + 0.01, axis=1) < 0.5).all()
    early = [np.corrcoef(np.argsort(np.argsort(e[:, [2, 26]], axis=0), axis=0).T)[0, 1] for e in error]
    assert (np.array(early) > 0.3).all()
    assert (np.array(early) < 0.95).all()


def test_tasks_are_related(table):
    ranks = table.costs[:, ::NUM_INSTANCES, -1, 0].argsort(axis=1).argsort(axis=1)
    assert np.corrcoef(ranks)[np.triu_indices(table.num_tasks, 1)].min() > 0.2


def test_fronts_hold_several_configurations_and_instance_types(table):
    for task in range(table.num_tasks):
        front = [table.config(int(row)) for row in true_front(table, task)]
        assert len({(c["depth"], c["width"], c["learning_rate"]) for c in front}) >= 2
        assert len({c["instance_type"] for c in front}) == 5
    assert normalisation(table).log[:, 1:].all()


@pytest.mark.wide
def test_the_script_reproduces_the_first_epochs(tmp_path):
    """Four configurations on two tasks, trained anew. Rounding differs between machines: 0.05 is allowed."""
    out = tmp_path / "quick.npz"
    command = [sys.executable, str(ROOT / "scripts/record_embedded.py"), "--quick", "--out", str(out)]
    done = subprocess.run(
        command, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    with np.load(out, allow_pickle=False) as content:
        quick = json.loads(content["metadata"].tobytes())
        configs, mistakes = content["configs"], content["mistakes"]
    metadata, all_configs, all_mistakes = embedded.recorded()
    names = [task["name"] for task in metadata["tasks"]]
    tasks = [names.index(task["name"]) for task in quick["tasks"]]
    rows = [int(np.flatnonzero((all_configs == config).all(axis=1))[0]) for config in configs]
    assert mistakes.shape == (2, 4, 2)
    assert quick["columns"] == metadata["columns"]
    assert quick["tasks"] == [metadata["tasks"][task] for task in tasks]
    assert len(set(rows)) == 4
    recorded = all_mistakes[np.ix_(tasks, rows, [0, 1])]
    difference = (mistakes.astype(np.int64) - recorded) / embedded.num_validations(quick)[:, None, None]
    assert np.abs(difference).max() < 0.05
