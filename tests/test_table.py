"""The table contract: checks, missing cells, selection, files, normalisation and true front."""

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.normalise import non_dominated, normalisation, true_front
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

COLUMNS = (
    Column("machine", "categorical", "hardware", ("big", "small")),
    Column("workers", "ordinal", "hardware", (2, 4, 8)),
    Column("rate", "log"),
    Column("momentum", "continuous"),
)
CONFIGS = [[0, 0, 0.1, 0.0], [1, 2, 0.1, 0.5], [1, 1, 0.01, -1.0]]
OBJECTIVES = (
    Objective("error", "min", "fraction"),
    Objective("score", "max", "1"),
    Objective("cost", "min", "USD"),
)


def parts(**changes: Any) -> dict[str, Any]:
    """Arguments of a good table of 2 tasks, 3 rows, 2 fidelities and 3 objectives, with changes."""
    rng = np.random.default_rng(0)
    good: dict[str, Any] = {
        "name": "t",
        "columns": COLUMNS,
        "configs": np.array(CONFIGS),
        "tasks": ("a", "b"),
        "fidelities": (1, 9),
        "fidelity_name": "epochs",
        "fidelity_unit": "epoch",
        "objectives": OBJECTIVES,
        "costs": rng.random((2, 3, 2, 3)),
        "runtime": np.cumsum(rng.random((2, 3, 2)), axis=2),
        "provenance": "made up",
    }
    return {**good, **changes}


def with_cell(field: str, place: tuple[int, ...], value: Any) -> dict[str, Any]:
    """The good arguments with one cell of one array changed."""
    array = parts()[field].copy()
    array[place] = value
    return parts(**{field: array})


def missing(*places: tuple[int, int, int], **changes: Any) -> Table:
    """A table in which some (task, row, fidelity) are unavailable and hold NaN."""
    arguments = parts(**changes)
    available = np.ones((2, 3, 2), bool)
    for place in places:
        available[place] = False
    costs = np.where(available[..., None], arguments["costs"], np.nan)
    runtime = np.where(available, arguments["runtime"], np.nan)
    return Table(**{**arguments, "costs": costs, "runtime": runtime, "available": available})


def test_sizes_and_configurations_as_people_read_them():
    table = Table(**parts())
    sizes = (table.num_tasks, table.num_rows, table.num_columns, table.num_fidelities, table.num_objectives)
    assert sizes == (2, 3, 4, 2, 3)
    assert table.config(1) == {"machine": "small", "workers": 8, "rate": 0.1, "momentum": 0.5}
    assert table.available is not None
    assert table.available.all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (parts(costs=np.zeros((2, 3, 2, 2))), r"costs has shape \(2, 3, 2, 2\), expected \(2, 3, 2, 3\)"),
        (parts(runtime=np.zeros((2, 3))), r"runtime has shape"),
        (parts(configs=np.zeros((3, 3))), r"configs has shape \(3, 3\), expected \(3, 4\)"),
        (parts(configs=np.zeros(3)), r"configs must have two axes"),
        (
            parts(configs=np.zeros((0, 4)), costs=np.zeros((2, 0, 2, 3)), runtime=np.zeros((2, 0, 2))),
            r"no rows",
        ),
        (parts(costs=np.array([["x"]])), r"costs must be an array of numbers"),
        (parts(available=np.ones((2, 3, 2))), r"available must hold booleans"),
        (parts(tasks=()), r"has no task"),
        (parts(tasks=("a", "a")), r"two tasks named 'a'"),
        (parts(columns=()), r"has no column"),
        (parts(columns=(*COLUMNS[:3], Column("rate", "log"))), r"two columns named 'rate'"),
        (parts(objectives=()), r"has no objective"),
        (parts(fidelities=()), r"has no fidelity"),
        (parts(fidelities=(9, 1)), r"fidelities must be positive and increasing, got \(9, 1\)"),
        (parts(fidelities=(0, 1)), r"fidelities must be positive"),
        (
            parts(fidelity_unit="epochs"),
            r"fidelity unit of table 't' is 'epochs' \(did you mean 'epoch'\?\): accepted are ",
        ),
        (with_cell("costs", (1, 2, 0, 0), np.nan), r"task 'b', row 2, fidelity 1, objective 'error': nan"),
        (with_cell("costs", (0, 1, 1, 2), -np.inf), r"task 'a', row 1, fidelity 9, objective 'cost': -inf"),
        (with_cell("runtime", (0, 1, 0), -1.0), r"task 'a', row 1, fidelity 1: runtime -1 s"),
        (with_cell("runtime", (0, 1, 0), np.nan), r"task 'a', row 1, fidelity 1: runtime nan s"),
        (with_cell("runtime", (1, 0, 1), 0.0), r"task 'b', row 0, fidelity 9: runtime falls from .* to 0 s"),
        (with_cell("configs", (2, 0), 2), r"row 2, column 'machine': 2 is not an index into its 2 levels"),
        (with_cell("configs", (2, 1), 0.5), r"row 2, column 'workers': 0.5 is not an index"),
        (with_cell("configs", (0, 2), 0.0), r"row 0, column 'rate': 0 is not a finite number above 0"),
        (with_cell("configs", (0, 3), np.nan), r"row 0, column 'momentum': nan is not a finite number"),
        (parts(configs=np.array(CONFIGS)[[0, 1, 0]]), r"rows 0 and 2 are the same configuration"),
    ],
)
def test_bad_tables_are_refused_with_the_place(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        Table(**arguments)
    assert "\n" not in str(caught.value)
    assert "'t'" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("x", "logarithmic"), r"kind of column 'x' 'logarithmic'.*accepted: continuous, log"),
        (lambda: Column("x", "log", "machine"), r"role of column 'x' 'machine'"),
        (lambda: Column("x", "categorical"), r"a categorical column needs levels"),
        (lambda: Column("x", "log", levels=(1,)), r"a log column takes no levels"),
        (lambda: Column("x", "categorical", levels=("a", "a")), r"levels must be distinct"),
        (lambda: Column("x", "ordinal", levels=(2, 1)), r"ordinal numbers must increase"),
        (lambda: Objective("y", "lowest", "s"), r"sense of objective 'y' 'lowest'; accepted: min, max"),
        (
            lambda: Objective("y", "min", "dollars"),
            r"unit of objective 'y' is 'dollars' .*'USD'\?\): accepted are 1, %",
        ),
    ],
)
def test_bad_columns_and_objectives_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_maximised_fraction_above_one_has_the_wrong_unit():
    accuracy = Objective("accuracy", "max", "fraction")
    costs = parts()["costs"][..., :1].copy()
    costs[0, 1, 0, 0] = accuracy.to_cost(93.0)
    with pytest.raises(InputError, match=r"row 1, fidelity 1, objective 'accuracy': 93 is above the maximum"):
        Table(**parts(objectives=(accuracy,), costs=costs))


@given(
    sense=st.sampled_from(["min", "max"]),
    unit=st.sampled_from(["1", "%", "fraction", "s"]),
    value=st.floats(-100, 100),
)
def test_senses_turn_back_and_order_is_kept(sense, unit, value):
    objective = Objective("y", sense, unit)
    assert objective.to_value(objective.to_cost(value)) == pytest.approx(value, abs=1e-12)
    better = value - 1 if sense == "min" else value + 1
    assert objective.to_cost(better) < objective.to_cost(value)


def test_published_values_of_a_whole_table():
    table = Table(**parts())
    values = table.to_values(table.costs)
    np.testing.assert_array_equal(values[..., 1], -table.costs[..., 1])
    np.testing.assert_array_equal(values[..., [0, 2]], table.costs[..., [0, 2]])


def test_missing_cells_are_infinite_in_all_objectives_and_take_the_median_time():
    table = missing((1, 2, 1), resumable=False)
    assert (table.num_missing, Table(**parts()).num_missing) == (1, 0)
    costs, runtime = table.dense([0, 1])
    assert np.isposinf(costs[1, 2, 1]).all()
    assert np.isinf(costs).sum() == 3
    assert runtime[1, 2, 1] == np.median(parts()["runtime"][1, :2, 1])


def test_a_missing_cell_with_a_runtime_keeps_it():
    arguments = with_cell("runtime", (0, 1, 1), 77.0)
    arguments["available"] = np.ones((2, 3, 2), bool)
    arguments["available"][0, 1, 1] = False
    assert Table(**arguments).runtime[0, 1, 1] == 77.0


@given(seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_filled_runtime_never_falls_in_a_resumable_table(seed):
    rng = np.random.default_rng(seed)
    runtime = np.cumsum(rng.random((1, 6, 5)) * 10 ** rng.uniform(-1, 1, (1, 6, 1)), axis=2)
    available = rng.random((1, 6, 5)) < 0.6
    available[:, 0] = True  # at least one row at every fidelity
    configs = np.stack([np.zeros(6), np.zeros(6), np.arange(1, 7), np.zeros(6)], axis=1)
    table = Table(
        **parts(
            tasks=("a",),
            fidelities=tuple(range(1, 6)),
            configs=configs,
            costs=np.zeros((1, 6, 5, 3)),
            runtime=np.where(available, runtime, np.nan),
            available=available,
        )
    )
    assert (np.diff(table.runtime, axis=2) >= 0).all()
    np.testing.assert_array_equal(table.runtime[available], runtime[available])


def test_nothing_available_at_a_fidelity_is_an_error():
    with pytest.raises(InputError, match="task 'a': no row is available at fidelity 9"):
        missing((0, 0, 1), (0, 1, 1), (0, 2, 1))


def test_runtime_may_fall_where_nothing_is_resumed():
    arguments = with_cell("runtime", (1, 0, 1), 0.0)
    assert Table(**{**arguments, "resumable": False}).runtime[1, 0, 1] == 0.0


def test_arrays_are_copies_and_read_only():
    costs = parts()["costs"]
    table = Table(**parts(costs=costs))
    costs[:] = 7.0
    assert not (table.costs == 7.0).any()
    for array in (table.costs, table.runtime, table.configs, table.available):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_cells_pick_fidelities_by_index():
    table = Table(**parts())
    costs, runtime = table.dense([1])
    np.testing.assert_array_equal(costs[:, :, 0], table.costs[:, :, 1])
    np.testing.assert_array_equal(runtime[:, :, 0], table.runtime[:, :, 1])
    assert table.dense([0, 1])[0] is table.costs  # all of them: no copy
    for index in (2, -1):
        with pytest.raises(InputError, match=rf"fidelity index {index} is not in 0\.\.1"):
            table.dense([index])


def test_selection():
    table = missing((1, 2, 0))
    part = table.select(tasks=["b"], objectives=["cost", "error"], fidelities=[1])
    assert (part.tasks, part.fidelities) == (("b",), (1,))
    assert [objective.name for objective in part.objectives] == ["cost", "error"]
    np.testing.assert_array_equal(part.costs[0, :, 0], table.costs[1, :, 0][:, [2, 0]])
    np.testing.assert_array_equal(part.available[0, :, 0], [True, True, False])
    assert table.select().fingerprint == table.fingerprint
    assert table.at_maximum().fidelities == (9,)
    np.testing.assert_array_equal(table.at_maximum().costs[:, :, 0], table.costs[:, :, 1])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tasks": ["c"]}, r"task of benchmark 't': 'c'; accepted: a, b"),
        ({"objectives": ["eror"]}, r"'eror' \(did you mean 'error'\?\); accepted: error, score, cost"),
        ({"fidelities": [3]}, r"fidelity of benchmark 't': '3'; accepted: 1, 9"),
    ],
)
def test_unknown_selections_name_what_there_is(choice, message):
    with pytest.raises(InputError, match=message):
        Table(**parts()).select(**choice)


def test_fingerprint_follows_contents_and_only_contents():
    table = Table(**parts())
    assert Table(**parts(provenance="other")).fingerprint == table.fingerprint
    assert len(table.fingerprint) == 64
    others = [
        with_cell("costs", (0, 0, 0, 0), 0.5),
        with_cell("runtime", (0, 0, 1), 50.0),
        with_cell("configs", (0, 3), 9.0),
        parts(name="u"),
        parts(tasks=("a", "c")),
        parts(fidelities=(1, 10)),
        parts(fidelity_unit="step"),
        parts(resumable=False),
        parts(objectives=(dataclasses.replace(OBJECTIVES[0], sense="max"), *OBJECTIVES[1:])),
        parts(columns=(dataclasses.replace(COLUMNS[0], role="architecture"), *COLUMNS[1:])),
    ]
    prints = {
        table.fingerprint,
        missing((0, 0, 0)).fingerprint,
        *(Table(**other).fingerprint for other in others),
    }
    assert len(prints) == len(others) + 2


def test_saved_tables_come_back_the_same(tmp_path):
    table = missing((1, 2, 0))
    table.save(tmp_path / "t.npz")
    again = load_table(tmp_path / "t.npz")
    assert again.fingerprint == table.fingerprint
    assert (again.columns, again.objectives) == (table.columns, table.objectives)
    assert (again.provenance, again.resumable) == (table.provenance, table.resumable)
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    Table(**parts()).save(tmp_path / "t.npz")
    before = (tmp_path / "t.npz").read_bytes()

    def broken(file: Any, *args: Any, **named: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np.lib.format, "write_array", broken)
    with pytest.raises(OSError, match="disk full"):
        Table(**parts(name="u")).save(tmp_path / "t.npz")
    assert (tmp_path / "t.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t.npz"]


def test_files_that_hold_no_table_are_refused(tmp_path):
    Table(**parts()).save(tmp_path / "good.npz")
    good = (tmp_path / "good.npz").read_bytes()
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "pickle.npz", metadata=np.array([{}], dtype=object))
    files = {"cut.npz": good[: len(good) // 2], "flipped.npz": good.replace(b"rate", b"ra"), "empty.npz": b""}
    files["text.npz"] = b"configs,costs"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "foreign.npz", "array.npy", "pickle.npz"):
        if (tmp_path / name).read_bytes() != good:
            with pytest.raises(InputError, match="damaged or not a table") as caught:
                load_table(tmp_path / name)
            assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        load_table(tmp_path / "none.npz")


def test_normalisation_fills_the_unit_interval_at_the_highest_fidelity():
    costs = parts()["costs"].copy()
    costs[..., 2] = 10 ** np.linspace(-3, 3, 12).reshape(2, 3, 2)  # spans decades within each task
    table = Table(**parts(costs=costs))
    scale = normalisation(table)
    np.testing.assert_array_equal(scale.log, [[False, False, True]] * 2)
    for task in range(2):
        unit = scale.apply(table.costs[task, :, -1], task)
        np.testing.assert_allclose(unit.min(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(unit.max(axis=0), 1)
        np.testing.assert_array_equal(unit.argsort(axis=0), table.costs[task, :, -1].argsort(axis=0))


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_an_objective_that_is_not_positive_everywhere_is_not_logged(low):
    costs = parts()["costs"].copy()
    costs[..., 2] = 10 ** np.linspace(-3, 3, 12).reshape(2, 3, 2)
    costs[0, 0, 0, 2] = low  # at the lowest fidelity only
    np.testing.assert_array_equal(normalisation(Table(**parts(costs=costs))).log[:, 2], [False, True])


def test_constant_objectives_become_zero_and_missing_cells_stay_infinite():
    costs = parts()["costs"].copy()
    costs[..., 0] = 0.25
    table = missing((0, 1, 1), costs=costs)
    unit = normalisation(table).apply(table.costs[0, :, -1], 0)
    np.testing.assert_array_equal(unit[:, 0], [0, np.inf, 0])
    assert np.isposinf(unit[1]).all()
    assert not np.isnan(unit).any()


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 300),
    m=st.integers(1, 4),
    levels=st.sampled_from([2, 5, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_non_dominated_rows_match_the_definition(seed, n, m, levels):
    costs = np.random.default_rng(seed).integers(levels, size=(n, m)).astype(np.float64)
    no_worse = (costs[:, None] <= costs[None]).all(axis=-1)
    better = (costs[:, None] < costs[None]).any(axis=-1)
    np.testing.assert_array_equal(non_dominated(costs), ~(no_worse & better).any(axis=0))


def test_true_front_keeps_equal_rows_and_leaves_out_missing_ones():
    costs = np.ones((2, 3, 2, 3))
    costs[0, 2] = 0
    table = Table(**parts(costs=costs))
    assert true_front(table, "a").tolist() == [2]
    assert true_front(table, 1).tolist() == [0, 1, 2]
    assert true_front(missing((0, 2, 1), costs=costs), "a").tolist() == [0, 1]


def test_a_large_table_is_checked_and_hashed_within_seconds():
    """9,472 rows x 27 fidelities x 7 tasks x 3 objectives: about 0.2 s; a loop over cells takes minutes."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    table = Table(
        **parts(
            columns=tuple(Column(f"c{d}", "continuous") for d in range(8)),
            configs=rng.random((9472, 8)),
            tasks=tuple(f"t{t}" for t in range(7)),
            fidelities=tuple(range(1, 28)),
            costs=rng.random((7, 9472, 27, 3)),
            runtime=np.sort(rng.random((7, 9472, 27)), axis=2),
        )
    )
    normalisation(table)
    assert true_front(table, 0).size > 0
    assert table.fingerprint
    assert time.perf_counter() - start < 10


def test_a_true_front_is_found_once_per_table():
    table = synthetic(num_rows=40, num_tasks=2, fidelities=(1, 3))
    first = true_front(table, 1)
    assert true_front(table, table.tasks[1]) is first
    assert true_front(table, 0) is not first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
