"""The NAS-Bench-201 table against the published file, and archives that are read without being unpacked."""

import io
import zipfile

import numpy as np
import polars as pl
import pytest
from mohb_jax.benchmarks.download import locate
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import nasbench201
from mohb_jax.benchmarks.sources.geoalgo import read_zipped_csv
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks
from mohb_jax.errors import InputError
from tests.real_data import need

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def table() -> Table:
    need(nasbench201.FILE)
    return benchmarks.load("nasbench201")


def test_shape_and_registry_agree(table):
    entry = BENCHMARKS["nasbench201"]
    assert (table.tasks, table.num_rows, table.fidelities) == (entry.tasks, entry.rows, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
    assert table.mask.all()
    assert {column.role for column in table.columns} == {"architecture"}
    assert {column.kind for column in table.columns} == {"categorical"}


@pytest.mark.parametrize(
    ("task", "error", "latency", "millions"),
    [
        ("cifar10", (5.53, 9.32, 90.0), (0.00738, 0.01577, 0.02591), (0.0733, 1.5315)),
        ("cifar100", (25.72, 34.74, 99.0), (0.00720, 0.01500, 0.02614), (0.0792, 1.5374)),
        ("ImageNet16-120", (52.67, 63.63, 99.70), (0.00584, 0.01430, 0.02822), (0.0805, 1.5387)),
    ],
)
def test_ranges(table, task, error, latency, millions):
    costs = table.costs[table.task_index(task), :, 0]
    for column, expected, tolerance in ((0, error, 0.005), (1, latency, 5e-6)):
        found = costs[:, column].min(), np.median(costs[:, column]), costs[:, column].max()
        assert found == pytest.approx(expected, abs=tolerance)
    assert (costs[:, 2].min() / 1e6, costs[:, 2].max() / 1e6) == pytest.approx(millions, abs=5e-5)


@pytest.mark.parametrize(
    ("task", "latency", "parameters", "three"),
    [("cifar10", 32, 13, 64), ("cifar100", 31, 13, 68), ("ImageNet16-120", 25, 13, 62)],
)
def test_sizes_of_the_true_fronts(table, task, latency, parameters, three):
    assert len(true_front(table.select(objectives=["error", "latency"]), task)) == latency
    assert len(true_front(table.select(objectives=["error", "parameters"]), task)) == parameters
    assert len(true_front(table, task)) == three


def test_rows_pair_the_same_cell_across_tasks(table):
    """The file's rows are interleaved by task: each must land where its operations say."""
    frame = read_zipped_csv(locate(nasbench201.FILE)).sample(300, seed=0)
    codes = frame.select(f"hp_x{edge}" for edge in range(6)).to_numpy()
    rows = codes @ 5 ** np.arange(5, -1, -1)
    np.testing.assert_array_equal(table.configs[rows], codes)
    tasks = [table.task_index(task) for task in frame["task"]]
    np.testing.assert_array_equal(
        table.costs[tasks, rows, 0, 0], 100 - frame["metric_test_accuracy"].to_numpy()
    )
    np.testing.assert_array_equal(table.costs[tasks, rows, 0, 1], frame["metric_latency"].to_numpy())


def test_codes_are_the_operations_that_the_text_names(table):
    frame = read_zipped_csv(locate(nasbench201.FILE)).sample(100, seed=1)
    weight = 5 ** np.arange(5, -1, -1)
    for record in frame.to_dicts():
        row = int(sum(record[f"hp_x{edge}"] * weight[edge] for edge in range(6)))
        named = table.config(row)
        nodes = [part.strip("|").split("|") for part in record["arch_str"].split("+")]
        for target, inputs in enumerate(nodes, start=1):
            for source, text in enumerate(inputs):
                assert text == f"{named[f'edge_{source}-{target}']}~{source}"


def test_there_is_no_training_time(table):
    assert (table.runtime == 1).all()
    with pytest.raises(InputError, match=r"'nasbench201' cannot be crossed .* no runtime of its own"):
        benchmarks.cross_table(table)
    assert "nasbench201-cloud" not in benchmarks.names()


def test_an_archive_is_read_and_not_unpacked(tmp_path):
    """The published member is named by an absolute path that ends in .csv.zip."""
    absolute = tmp_path / "elsewhere" / "table.csv.zip"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(str(absolute)), "x,y\n1,2.5\n3,4\n")
    frame = read_zipped_csv(tmp_path / "a.zip")
    assert frame.equals(pl.DataFrame({"x": [1, 3], "y": [2.5, 4.0]}))
    assert not absolute.parent.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_damaged_archives_are_refused(tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("one.csv", "x\n1\n")
        archive.writestr("two.csv", "x\n1\n")
    contents = {"two.zip": whole.getvalue(), "cut.zip": whole.getvalue()[:60], "text.zip": b"x,y\n1,2\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="is damaged; expected a zip archive of one CSV file") as caught:
            read_zipped_csv(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nasbench201", "deepar", "zeus", "pollux", "lcbench"])
def test_a_truncated_file_is_refused(name, tmp_path):
    for file in BENCHMARKS[name].files:
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    with pytest.raises(InputError, match="is not the published file: SHA-256") as caught:
        benchmarks.load(name, data=tmp_path)
    assert "\n" not in str(caught.value)
