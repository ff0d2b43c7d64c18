"""Black boxes of Syne Tune: those that it wrote, read here, and those written here, as it reads them.

``scripts/record_syne_tune_fixtures.py`` wrote ``tests/data/syne_tune`` with Syne Tune 0.16.0, and beside the
black boxes the values that it had given to it.
"""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mohb_jax.benchmarks import Column, Objective, Table, cross_table, from_syne_tune, to_syne_tune
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "data" / "syne_tune"
VALUES = json.loads((FOLDER / "values.json").read_text("utf-8"))
ERROR = Objective("metric_error", "min", "fraction")
ACCURACY = Objective("metric_accuracy", "max", "fraction")
TIME = VALUES["objectives"].index("metric_elapsed_time")
LAYOUTS = ("tabular", "offline")


def read(layout: str, objectives: tuple[Objective, ...] = (ERROR, ACCURACY), **options: Any) -> Table:
    options = {"runtime": "metric_elapsed_time", "fidelity_unit": "epoch"} | options
    return from_syne_tune(FOLDER / layout, objectives, **options)


def recorded(task: int, row: int, seed: int, fidelity: int, name: str) -> float:
    """A value as it was given to Syne Tune, NaN where missing."""
    value = VALUES["evaluations"][task][row][seed][fidelity][VALUES["objectives"].index(name)]
    return math.nan if value is None else value


def defined(task: int, row: int, fidelity: int, names: tuple[str, ...]) -> list[float] | None:
    """The definition of a cell: the mean over the seeds in which nothing of it is missing."""
    runs = [[recorded(task, row, seed, fidelity, name) for name in names] for seed in range(2)]
    complete = [run for run in runs if not any(math.isnan(value) for value in run)]
    return [sum(part) / len(complete) for part in zip(*complete, strict=True)] if complete else None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_cell_holds_what_was_recorded(layout):
    table = read(layout)
    assert table.tasks == tuple(VALUES["tasks"])
    assert table.fidelities == tuple(VALUES["fidelities"])
    assert (table.fidelity_name, table.fidelity_unit) == ("epochs", "epoch")
    places = {json.dumps(table.config(row)): row for row in range(table.num_rows)}
    names = ("metric_error", "metric_accuracy", "metric_elapsed_time")
    num_missing = 0
    for row, config in enumerate(VALUES["configs"]):
        here = places.pop(
            json.dumps({k: int(v) if isinstance(v, bool) else whole(v) for k, v in config.items()})
        )
        for task, fidelity in np.ndindex(2, 3):
            cell = defined(task, row, fidelity, names)
            num_missing += cell is None
            assert table.mask[task, here, fidelity] == (cell is not None)
            if cell is not None:
                found = [
                    *table.to_values(table.costs)[task, here, fidelity],
                    table.runtime[task, here, fidelity],
                ]
                np.testing.assert_allclose(found, cell, rtol=1e-12)
    assert not places
    assert num_missing == table.num_missing == 1 + 3 + 1


def whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_rows_of_a_dense_black_box_keep_their_order():
    table = read("tabular")
    assert [table.config(row)["momentum"] for row in range(7)] == [c["momentum"] for c in VALUES["configs"]]


def test_domains_become_columns():
    kinds = {column.name: (column.kind, column.role, column.levels) for column in read("tabular").columns}
    assert kinds == {
        "rate": ("log", "hyperparameter", ()),
        "momentum": ("continuous", "hyperparameter", ()),
        "units": ("log", "hyperparameter", ()),
        "optimiser": ("categorical", "hyperparameter", ("sgd", "adam", "ä, b")),
        "layers": ("ordinal", "hyperparameter", (1, 2, 4)),
        "dropout": ("continuous", "hyperparameter", ()),
        "nesterov": ("categorical", "hyperparameter", (1, 0)),
        "machine": ("categorical", "hyperparameter", ("one",)),
    }


def test_a_role_is_given_by_the_caller():
    table = read("tabular", roles={"machine": "hardware"})
    assert [column.name for column in table.columns if column.role == "hardware"] == ["machine"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_hold_the_same_cells(layout):
    """Rows are compared by their configuration, since only the dense layout has an order of its own."""
    dense, other = read("tabular"), read(layout)
    order = [np.lexsort(table.configs.T) for table in (dense, other)]
    np.testing.assert_array_equal(dense.costs[:, order[0]], other.costs[:, order[1]])
    known = dense.mask[:, order[0]]
    np.testing.assert_array_equal(dense.runtime[:, order[0]][known], other.runtime[:, order[1]][known])


@pytest.mark.parametrize("seed", [0, 1])
def test_one_seed_can_be_taken(seed):
    table = read("tabular", (ERROR,), seed=seed)
    for task, row, fidelity in np.ndindex(2, 7, 3):
        value = recorded(task, row, seed, fidelity, "metric_error")
        assert table.mask[task, row, fidelity] == (not math.isnan(value))
        assert math.isinf(table.costs[task, row, fidelity, 0]) == math.isnan(value)
        if not math.isnan(value):
            assert table.costs[task, row, fidelity, 0] == value
    assert not read("tabular", (ERROR,), seed=0).mask[0, 2, 2]
    assert read("tabular", (ERROR,), seed=1).mask[0, 2, 2]


def test_the_elapsed_time_is_the_one_that_the_files_name():
    table = from_syne_tune(FOLDER / "tabular", (ERROR,))
    np.testing.assert_array_equal(table.runtime, read("tabular", (ERROR,)).runtime)
    minutes = from_syne_tune(FOLDER / "tabular", (ERROR,), runtime_unit="min")
    np.testing.assert_allclose(minutes.runtime, 60 * table.runtime)


def test_without_a_time_an_evaluation_takes_its_fidelity():
    """The sparse layout names none."""
    table = from_syne_tune(FOLDER / "offline", (ERROR,))
    np.testing.assert_array_equal(table.runtime, np.broadcast_to([1.0, 3.0, 9.0], (2, 7, 3)))


def test_a_failed_cell_keeps_the_time_that_is_known():
    """Of configuration 5 on the second task the error is missing at one epoch, its time is not."""
    table = read("tabular")
    known = [recorded(1, 5, seed, 0, "metric_elapsed_time") for seed in range(2)]
    assert not table.mask[1, 5, 0]
    assert table.runtime[1, 5, 0] == pytest.approx(sum(known) / 2, rel=1e-12)


def test_the_name_is_that_of_the_folder():
    assert read("tabular").name == "tabular"
    assert read("tabular", name="mine").name == "mine"


# Bad input


@pytest.fixture(params=LAYOUTS)
def box(request, tmp_path) -> Path:
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / "box"))


@pytest.fixture
def dense(tmp_path) -> Path:
    return Path(shutil.copytree(FOLDER / "tabular", tmp_path / "box"))


@pytest.fixture
def sparse(tmp_path) -> Path:
    return Path(shutil.copytree(FOLDER / "offline", tmp_path / "box"))


def refused(folder: Path, *parts: str, objectives: tuple[Objective, ...] = (ERROR,), **options: Any) -> None:
    with pytest.raises(InputError) as caught:
        from_syne_tune(folder, objectives, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_senses_must_be_given():
    refused(FOLDER / "tabular", "does not say what is maximised", "metric_accuracy", objectives=())


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"objectives": (Objective("eror", "min", "1"),)}, ("unknown objective", "'eror'", "metric_error")),
        ({"runtime": "seconds"}, ("unknown objective", "'seconds'", "metric_elapsed_time")),
        ({"runtime_unit": "minutes"}, ("unit of the runtime", "did you mean 'min'")),
        ({"seed": 2}, ("seed 2", "accepted are 0 to 1")),
        ({"roles": {"vm": "hardware"}}, ("column of roles", "'vm'", "machine")),
    ],
)
def test_wrong_arguments_are_named(options, parts):
    refused(FOLDER / "tabular", *parts, **options)


def test_a_folder_that_is_none(tmp_path):
    refused(tmp_path / "nothing", "nothing", "is not a folder")
    refused(tmp_path, "no black box of Syne Tune", "metadata.json")


@pytest.mark.parametrize("name", ["metadata.json", "configspace.json", "fidelityspace.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'{"a": {"b": 1}, "task_names": 3}'])
def test_a_damaged_description_is_named(box, name, content):
    (box / name).write_bytes(content)
    if (name, content[-1:]) != ("fidelityspace.json", b"}"):
        refused(box, name)


@pytest.mark.parametrize(
    "name", ["hyperparameters.parquet", "objectives_evaluations.npy", "fidelities_values.npy"]
)
def test_a_damaged_result_is_named(dense, name):
    whole_file = (dense / name).read_bytes()
    for content in (whole_file[: len(whole_file) // 2], b"nonsense", b""):
        (dense / name).write_bytes(content)
        refused(dense, name)


def test_objects_are_never_loaded(dense):
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(dense / "sprung"),)

    for name in ("objectives_evaluations.npy", "fidelities_values.npy"):
        kept = (dense / name).read_bytes()
        np.save(dense / name, np.array([Trap()], dtype=object), allow_pickle=True)
        refused(dense, name, "Python objects, which are never loaded")
        (dense / name).write_bytes(kept)
    assert not (dense / "sprung").exists()


def test_an_array_of_another_shape(dense):
    np.save(dense / "objectives_evaluations.npy", np.zeros((2, 6, 2, 3, 3), np.float32))
    refused(dense, "objectives_evaluations.npy", "(2, 6, 2, 3, 3)", "(2, 7, *, 3, 3)")


def test_a_value_outside_its_domain(dense):
    frame = pl.read_parquet(dense / "hyperparameters.parquet")
    frame.with_columns(optimiser=pl.lit("rmsprop")).write_parquet(dense / "hyperparameters.parquet")
    refused(dense, "column 'optimiser'", "'rmsprop'", "sgd, adam")
    frame.with_columns(rate=pl.lit("fast")).write_parquet(dense / "hyperparameters.parquet")
    refused(dense, "column 'rate'", "numbers are needed")
    frame.drop("rate").write_parquet(dense / "hyperparameters.parquet")
    refused(dense, "'rate'", "accepted")


def test_a_domain_that_is_not_known(box):
    change(box / "configspace.json", rate={"domain_cls": "Quaternion", "domain_kwargs": {}})
    refused(box, "column 'rate'", "Quaternion", "FiniteRange")


def test_two_fidelities(box):
    change(box / "fidelityspace.json", samples={})
    refused(box, "epochs, samples", "accepted is one")


@pytest.mark.parametrize("task", ["../secret", "absent", "/etc/passwd"])
def test_a_task_without_its_file(sparse, task):
    change(sparse / "metadata.json", task_names=["digits", task])
    refused(sparse, task)


def test_two_rows_for_one_cell(sparse):
    path = sparse / "data-wine.parquet"
    frame = pl.read_parquet(path)
    pl.concat([frame, frame[:1]]).write_parquet(path)
    refused(sparse, "'wine'", "several rows")


def test_numbers_that_are_text(sparse):
    path = sparse / "data-wine.parquet"
    pl.read_parquet(path).with_columns(metric_error=pl.lit("low")).write_parquet(path)
    refused(sparse, "data-wine.parquet", "metric_error", "numbers are needed")


# Writing


def small_table() -> Table:
    """Every kind of column, a maximised objective, ties, two tasks and a missing cell."""
    generator = np.random.default_rng(1)
    rows = np.arange(6)
    configs = np.stack([2.0**-rows, rows / 4, 2.0**rows, rows % 2, rows % 3, rows // 3], axis=1)
    error = generator.integers(1, 5, (2, 6, 2, 1)) / 8
    costs = np.concatenate([error, 2 * error], axis=-1)
    costs[1, 4, 1] = np.nan
    return Table(
        name="small",
        columns=(
            Column("rate", "log"),
            Column("share", "continuous"),
            Column("units", "log"),
            Column("machine", "categorical", "hardware", ("big, ä", "small")),
            Column("layers", "ordinal", levels=(0.5, 1, 2)),
            Column("size", "ordinal", levels=("low", "high")),
        ),
        configs=configs,
        tasks=("first", "second"),
        fidelities=(1, 3),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("accuracy", "max", "fraction"), Objective("cost", "min", "USD")),
        costs=costs,
        runtime=np.cumsum(generator.uniform(1, 2, (2, 6, 2)), axis=-1),
        available=~np.isnan(costs).any(axis=-1),
    )


def expected_reading(table: Table) -> dict[str, Any]:
    """What Syne Tune has to find: published values in single precision, one seed, the runtime last."""
    values = np.full((2, 6, 1, 2, 3), np.nan, np.float32)
    for task, row, fidelity in np.ndindex(2, 6, 2):
        if table.mask[task, row, fidelity]:
            values[task, row, 0, fidelity, 0] = 1 - table.costs[task, row, fidelity, 0]
            values[task, row, 0, fidelity, 1] = table.costs[task, row, fidelity, 1]
        values[task, row, 0, fidelity, 2] = table.runtime[task, row, fidelity]
    nested = [
        [[[[None if np.isnan(x) else float(x) for x in f] for f in s] for s in r] for r in t] for t in values
    ]
    return {
        "tasks": ["first", "second"],
        "space": {
            "rate": "loguniform(0.03125, 1.0)",
            "share": "uniform(0.0, 1.25)",
            "units": "lograndint(1, 32)",
            "machine": "choice(['big, ä', 'small'])",
            "layers": "ordinal([0.5, 1.0, 2.0], kind='equal')",
            "size": "ordinal(['low', 'high'], kind='equal')",
        },
        "fidelity_space": {"epochs": "randint(1, 3)"},
        "fidelities": [1, 3],
        "objectives": ["accuracy", "cost", "elapsed_time"],
        "configs": [table.config(row) for row in range(6)],
        "evaluations": nested,
        "looked_up": [[row[0] for row in task] for task in nested],
    }


def numbers_alike(found: Any) -> Any:
    """JSON without the difference between 1 and 1.0."""
    return json.loads(json.dumps(found), parse_int=float)


def test_syne_tune_read_what_was_written(tmp_path):
    """``reading.json`` is what Syne Tune read in such a folder: the same files now, and the right values."""
    reading = json.loads((FOLDER / "reading.json").read_text("utf-8"))
    files = reading.pop("files")
    to_syne_tune(small_table(), tmp_path / "box")
    parquet = tmp_path / "box" / "hyperparameters.parquet"
    assert numbers_alike(reading) == numbers_alike(expected_reading(small_table()))
    assert numbers_alike(pl.read_parquet(parquet).to_dicts()) == numbers_alike(reading["configs"])
    parquet.unlink()
    written = (tmp_path / "box").iterdir()
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written} == files


def test_syne_tune_reads_what_is_written(tmp_path):
    """Needs Syne Tune and fastparquet: here, or under the Python that MOHB_PEER_PYTHON names."""
    python = os.environ.get("MOHB_PEER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import syne_tune, fastparquet"], capture_output=True).returncode:
        pytest.skip("syne-tune and fastparquet are not installed")
    to_syne_tune(small_table(), tmp_path / "box")
    command = [python, "-W", "ignore", ROOT / "scripts" / "record_syne_tune_fixtures.py", tmp_path / "box"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    found.pop("files")
    assert numbers_alike(found) == numbers_alike(expected_reading(small_table()))


def test_what_is_written_can_be_read_back(tmp_path):
    table = small_table()
    to_syne_tune(table, tmp_path / "small")
    read_back = from_syne_tune(
        tmp_path / "small", table.objectives, fidelity_unit="epoch", roles={"machine": "hardware"}
    )
    assert read_back.columns == table.columns
    assert (read_back.tasks, read_back.fidelities) == (table.tasks, table.fidelities)
    np.testing.assert_array_equal(read_back.configs, table.configs)
    np.testing.assert_array_equal(read_back.mask, table.mask)
    np.testing.assert_allclose(read_back.costs, table.costs, rtol=1e-6)
    np.testing.assert_allclose(read_back.runtime, table.runtime, rtol=1e-6)


def test_a_black_box_of_syne_tune_survives_reading_and_writing(tmp_path):
    table = read("tabular")
    to_syne_tune(table, tmp_path / "box")
    again = from_syne_tune(tmp_path / "box", (ERROR, ACCURACY), fidelity_unit="epoch", name="tabular")
    np.testing.assert_array_equal(again.mask, table.mask)
    np.testing.assert_allclose(again.costs, table.costs, rtol=1e-6)


def test_a_crossing_is_written_out(tmp_path):
    table = cross_table(synthetic(4, 1, (1, 3), name="tiny", num_objectives=2))
    to_syne_tune(table, tmp_path / "box")
    objectives = table.objectives
    again = from_syne_tune(tmp_path / "box", objectives, fidelity_unit=table.fidelity_unit)
    costs, runtime = table.dense(range(2))
    np.testing.assert_allclose(again.costs, costs, rtol=1e-5)
    np.testing.assert_allclose(again.runtime, runtime, rtol=1e-6)


def test_an_objective_may_have_the_name_of_the_time(tmp_path):
    named = Objective("elapsed_time", "min", "1")
    table = synthetic(4, 1, (1, 3), name="tiny", num_objectives=2).select(objectives=["objective-0"])
    table = Table(**{f: getattr(table, f) for f in table.__dataclass_fields__} | {"objectives": (named,)})
    to_syne_tune(table, tmp_path / "box")
    again = from_syne_tune(tmp_path / "box", (named,))
    np.testing.assert_allclose(again.costs, table.costs, rtol=1e-6)
    np.testing.assert_allclose(again.runtime, table.runtime, rtol=1e-6)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "box").mkdir()
    to_syne_tune(small_table(), tmp_path / "box")
    before = {path.name: path.read_bytes() for path in (tmp_path / "box").iterdir()}
    with pytest.raises(InputError, match="accepted is a new or empty folder"):
        to_syne_tune(small_table(), tmp_path / "box")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="accepted is a new or empty folder"):
        to_syne_tune(small_table(), tmp_path / "file")
    assert {path.name: path.read_bytes() for path in (tmp_path / "box").iterdir()} == before


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        to_syne_tune(small_table(), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
