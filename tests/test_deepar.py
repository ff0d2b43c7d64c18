"""The DeepAR table against the figures published with the data."""

import numpy as np
import pytest
from mohb_jax.benchmarks.download import locate
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import deepar
from mohb_jax.benchmarks.sources.geoalgo import read_zipped_csv
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks
from tests.real_data import need

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def table() -> Table:
    need(deepar.FILE)
    return benchmarks.load("deepar")


def test_shape_and_registry_agree(table):
    entry = BENCHMARKS["deepar"]
    assert (table.tasks, table.num_rows, table.fidelities) == (entry.tasks, entry.rows, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives


@pytest.mark.parametrize(
    ("task", "rows", "crps", "seconds", "front"),
    [
        ("electricity", 222, (0.0447, 0.0655, 10.99), (116, 2052, 42829), 13),
        ("exchange-rate", 230, (0.0079, 0.0221, 23.16), (71, 2166, 42308), 9),
        ("m4-Daily", 240, (0.0211, 0.0331, 13.15), (99, 1940, 42580), 10),
        ("m4-Hourly", 220, (0.0244, 0.0982, 48.14), (68, 2237, 42613), 10),
        ("m4-Monthly", 232, (0.0928, 0.1218, 18.41), (529, 2405, 43434), 14),
        ("m4-Quarterly", 249, (0.0727, 0.0895, 16.83), (198, 1272, 38715), 19),
        ("m4-Weekly", 214, (0.0400, 0.0622, 52.48), (79, 2091, 40487), 17),
        ("m4-Yearly", 248, (0.1046, 0.1223, 26.41), (178, 1038, 39283), 12),
        ("solar", 212, (0.3199, 0.3969, 31.35), (108, 3078, 42178), 12),
        ("traffic", 214, (0.0837, 0.1146, 4.28), (194, 2145, 42564), 13),
        ("wiki-rolling", 229, (0.2062, 0.2337, 6.83), (808, 4083, 42580), 5),
    ],
)
def test_each_task_is_as_published(table, task, rows, crps, seconds, front):
    index = table.task_index(task)
    costs = table.costs[index, table.mask[index, :, 0], 0]
    assert len(costs) == rows
    for column, expected, tolerance in ((0, crps, 5.1e-5), (1, seconds, 0.51)):
        found = costs[:, column].min(), np.median(costs[:, column]), costs[:, column].max()
        assert found == pytest.approx(expected, abs=tolerance, rel=1e-3)
    assert len(true_front(table, task)) == front


def test_each_configuration_is_available_in_one_task_only(table):
    np.testing.assert_array_equal(table.mask.sum(axis=0), 1)
    assert np.isinf(table.costs[~table.mask]).all()
    assert np.isfinite(table.runtime).all()  # what is unavailable takes the task's median time
    runtime = table.runtime[..., 0]
    here = table.mask[..., 0]
    for task in range(table.num_tasks):
        assert (runtime[task][~here[task]] == np.median(runtime[task][here[task]])).all()


def test_all_columns_are_turned_back_from_logarithms(table):
    """Also the two whose names do not say that they are logarithms."""
    column = {column.name: d for d, column in enumerate(table.columns)}
    layers = [table.config(row)["num_layers"] for row in range(table.num_rows)]
    assert (min(layers), max(layers), layers.count(3)) == (2, 4, 1258)
    for name, low, high in (("num_cells", 30, 120), ("num_batches_per_epoch", 10, 9998)):
        values = table.configs[:, column[name]]
        assert (values.min(), values.max()) == (low, high)
        np.testing.assert_array_equal(values, np.rint(values))
    learning_rate = table.configs[:, column["learning_rate"]]
    assert (learning_rate.min(), learning_rate.max()) == pytest.approx((1.005e-4, 0.0995), rel=1e-3)


def test_context_length_is_a_whole_number_of_steps(table):
    horizon = read_zipped_csv(locate(deepar.FILE))["dataset_prediction_length"].to_numpy()
    ratio = table.configs[:, [column.name for column in table.columns].index("context_length_ratio")]
    np.testing.assert_allclose(ratio * horizon, np.rint(ratio * horizon), atol=1e-9)


def test_whole_numbers_lie_on_logarithms_of_whole_numbers(table):
    """Rounding hides nothing: before it the values are whole already."""
    frame = read_zipped_csv(locate(deepar.FILE))
    for name in ("hp_num_layers", "hp_num_cells", "hp_num_batches_per_epoch_log"):
        values = np.exp(frame[name].to_numpy())
        np.testing.assert_allclose(values, np.rint(values), rtol=1e-9)
