"""Files as people write them: dialects, levels, missing values, numbers in other writings, types."""

import datetime
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mohb_jax import benchmarks
from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

OBJECTIVES = "objectives: {loss: {sense: min}, cost: {sense: min, unit: USD}}\n"
X = "x: {kind: continuous}"
SPEC: dict[str, Any] = {"name": "t", "objectives": {"loss": {"sense": "min"}}}


def imported(
    folder: Path, text: str | bytes, spec: str = "x: {kind: continuous}", more: str = ""
) -> benchmarks.Table:
    """A table of loss and cost; ``spec``: its configuration columns."""
    (folder / "data.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "spec.yaml").write_text(
        f"name: t\ncolumns:\n  {spec}\n{more}" + OBJECTIVES * ("objectives" not in more)
    )
    return benchmarks.import_file(folder / "data.csv", folder / "spec.yaml")


def refused(folder: Path, text: str | bytes, spec: str = X, more: str = "") -> str:
    with pytest.raises(InputError) as caught:
        imported(folder, text, spec, more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def configs(table: benchmarks.Table, name: str = "x") -> list[Any]:
    return [table.config(row)[name] for row in range(table.num_rows)]


def of_column(values: Any, kind: str, **more: Any) -> benchmarks.Table:
    spec = {"columns": {"x": {"kind": kind} | more}, "objectives": {"loss": {"sense": "min"}}, "name": "t"}
    return benchmarks.from_frame({"x": values, "loss": list(range(len(values)))}, spec)


# Rounded numbers.


def test_fidelities_and_values_that_differ_by_rounding_are_one(tmp_path):
    lines = [f"{x},{f},0.5,1" for x in (1, 2) for f in ((0.3, 1) if x == 1 else (0.1 + 0.2, 1))]
    table = imported(tmp_path, "x,f,loss,cost\n" + "\n".join(lines), more="fidelity: {column: f}\n")
    assert table.fidelities == (0.3, 1)
    assert table.available.all()
    single = float(np.float32(0.3))
    assert [table.fidelity_index(f) for f in (0.3, 0.1 + 0.2, single, 1)] == [0, 0, 0, 1]
    with pytest.raises(InputError, match=r"0\.31"):
        table.fidelity_index(0.31)
    for kind in ("continuous", "log", "ordinal"):
        assert "one configuration" in refused(
            tmp_path, f"x,loss,cost\n0.3,1,1\n{0.1 + 0.2},2,2", f"x: {{kind: {kind}}}"
        )
    assert (
        imported(
            tmp_path, "x,f,loss,cost\n1,1000000,1,1\n1,1000001,1,1", more="fidelity: {column: f}\n"
        ).num_fidelities
        == 2
    )


def test_a_fidelity_without_any_result_is_left_out(tmp_path):
    rows = "x,f,loss,cost\n1,1,1,1\n1,9,1,1\n2,1,2,2\n2,5,,\n"
    table = imported(tmp_path, rows, more="fidelity: {column: f}\n")
    assert table.fidelities == (1, 9)
    assert table.available[0].tolist() == [[True, True], [True, False]]


# Levels.


@pytest.mark.parametrize(
    ("cells", "levels"),
    [
        (["0010", "010", "10"], ["10", "010", "0010"][::-1]),
        (["9007199254740992", "9007199254740993"], [9007199254740992, 9007199254740993]),
        (["0110", "1010", "0010"], ["0010", "0110", "1010"]),
        (["1e5", "100000"], ["100000", "1e5"]),
        (["1.10", "1.9", "1.1"], ["1.1", "1.10", "1.9"]),
        (["16", "8", "32"], [8, 16, 32]),
        (["0.5", "1e-05", "16"], [1e-05, 0.5, 16]),
        (["nan", "None", "2"], [2, "None", "nan"]),
    ],
)
def test_text_of_a_categorical_column_stays(tmp_path, cells, levels):
    text = "x,loss,cost\n" + "\n".join(f"{cell},{i},1" for i, cell in enumerate(cells))
    table = imported(tmp_path, text, "x: {kind: categorical}")
    assert sorted(map(str, table.columns[0].levels)) == sorted(map(str, levels))
    assert sorted(map(str, configs(table))) == sorted(cells)


def test_large_whole_numbers_of_an_ordinal_column_are_exact(tmp_path):
    table = imported(
        tmp_path, "x,loss,cost\n9007199254740993,1,1\n9007199254740992,1,1", "x: {kind: ordinal}"
    )
    assert configs(table) == [9007199254740992, 9007199254740993]


@pytest.mark.parametrize(
    ("given", "cells", "shown"),
    [
        ("[16, 32]", "16.0 32.0", [16, 32]),
        ("[1e-4, 1e-3]", "1e-04 0.001", [0.0001, 0.001]),
        ("[false, true]", "False True", ["false", "true"]),
        ("[off, on]", "off on", ["off", "on"]),
        ("[0010, 010, 10]", "0010 010 10", ["0010", "010", 10]),
        ("[low, 1.5]", "low 1.50", ["low", 1.5]),
        ("['1.9', '1.10']", "1.9 1.10", ["1.9", "1.10"]),
        ("[false, true]", "0 1", ["false", "true"]),
        ("[0, 1]", "False TRUE", [0, 1]),
    ],
)
def test_levels_of_the_specification_are_matched_by_text_then_value(tmp_path, given, cells, shown):
    text = "x,loss,cost\n" + "\n".join(f"{cell},{i},1" for i, cell in enumerate(cells.split()))
    table = imported(tmp_path, text, f"x: {{kind: ordinal, levels: {given}}}")
    assert configs(table) == shown
    message = refused(
        tmp_path, text.replace(cells.split()[0], "17"), f"x: {{kind: ordinal, levels: {given}}}"
    )
    assert "holds '17'; accepted: " in message


def test_levels_of_frames_are_matched_by_value():
    assert configs(of_column([1e-5, 1e-4], "ordinal", levels=[0.00001, 0.0001])) == [1e-5, 1e-4]
    assert configs(of_column([False, True], "ordinal", levels=[False, True])) == ["false", "true"]


# Dialect.


@pytest.mark.parametrize(
    "text",
    [
        '"Loss, mean";"x";"cost"\n0.3;1;1\n0.2;2;2\n',
        'sep=;\n"Loss, mean";x;cost\n0.3;1;1\n0.2;2;2\n',
        'sep=,\n"Loss, mean";x;cost\n0.3;1;1\n0.2;2;2\n',
        "\n# made by hand, today; twice\nLoss, mean;x;cost\n0.3;1;1\n\n0.2;2;2\n;;\n",
        "Loss, mean;x;cost;;\n0.3;1;1;;\n0.2;2;2;;\n",
        "x;Loss, mean;cost;step;step\n1;0.3;1;7;8\n2;0.2;2\n",
        '"Loss, mean" "x" "cost"\n"1" 0.3 1 1\n"2" 0.2 2 2\n',
        'x\t"Loss, mean"\tcost\r\n1\t0.3\t1\r\n2\t0.2\t2\r\n',
        "x|Loss, mean|cost|curve\n1|0.3|1|" + "9 " * 100_000 + "\n2|0.2|2|\n",
    ],
)
def test_the_delimiter_is_the_one_that_makes_sense(tmp_path, text):
    more = 'objectives: {"Loss, mean": {sense: min}, cost: {sense: min}}\n'
    for content in (
        text.encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
        gzip.compress(text.encode()),
    ):
        table = imported(tmp_path, content, more=more)
        assert configs(table) == [1, 2]
        np.testing.assert_array_equal(table.costs[0, :, 0], [[0.3, 1], [0.2, 2]])


def test_letters_may_be_composed_in_two_ways(tmp_path):
    table = imported(tmp_path, "gro\u0308ße,loss,cost\n1,2,3\n", "größe: {kind: continuous}")
    assert configs(table, "größe") == [1]


def test_numbers_of_32_bits_are_read_as_written():
    single = pl.Series([0.1, 0.3], dtype=pl.Float32)
    assert configs(of_column(single, "continuous")) == configs(of_column(single, "categorical")) == [0.1, 0.3]


def test_a_file_in_windows_1252_is_read(tmp_path):
    table = imported(tmp_path, "größe,loss,cost\n1,2,3\n".encode("cp1252"), "größe: {kind: continuous}")
    assert configs(table, "größe") == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,loss,cost\n1,2,3\n\n1,2,3,4\n", "line 4: row 2: 4 values for 3 columns"),
        ("x,loss,cost\n1,2\n", "line 2: row 1: 2 values for 3 columns"),
        ("x,loss,cost,cost\n1,2,3,4\n", "two columns are named 'cost'"),
        ('x,loss,cost\n1,2,3\n"1"2,2,3\n', "(line 3: "),
        (b"\x80\x04\x95", "a pickle, which may run code"),
        (b"PK\x03\x04", "save the sheet as CSV"),
        (b"x\0", "is damaged"),
        ("X,loss,cost\n1,2,3\n", "'x' (did you mean 'X'?)"),
        ("x,loss,cost\n1,,2\n", "column 'loss' holds no number"),
        (gzip.compress(b"x,y", mtime=0)[:-9], "cannot read the file"),
    ],
)
def test_a_file_at_fault_is_one_line(tmp_path, text, message):
    assert message in refused(tmp_path, text)


def test_a_message_lists_the_columns_that_are_near(tmp_path):
    names = ["x", "losses", *(f"metric{i}" for i in range(100))]
    message = refused(tmp_path, ",".join(names) + "\n" + ",".join("1" for _ in names))
    assert "'loss' (did you mean 'losses'?)" in message
    assert "and 62 more" in message


# Missing values and inactive hyperparameters.

SVM = "kernel,degree,acc,loss,cost\nlinear,,1,1,1\npoly,2,1,2,2\npoly,3,1,3,3\n"


@pytest.mark.parametrize(
    ("degree", "shown"),
    [
        ("{kind: ordinal, inactive: level}", ["inactive", 2, 3]),
        ("{kind: categorical, inactive: level}", [2, 3, "inactive"]),
        ("{kind: ordinal, default: 3}", [2, 3, 3]),
        ("{kind: ordinal, inactive: default, default: 2.0}", [2, 2, 3]),
        ("{kind: continuous, default: 0}", [0, 2, 3]),
        ("{kind: ordinal, levels: [2, 3], inactive: level}", ["inactive", 2, 3]),
        ("{kind: ordinal, levels: [2, inactive, 3], inactive: level}", [2, "inactive", 3]),
    ],
)
def test_an_empty_cell_may_mean_not_active(tmp_path, degree, shown):
    table = imported(tmp_path, SVM, f"kernel: {{kind: categorical}}\n  degree: {degree}")
    assert sorted(configs(table, "degree"), key=str) == sorted(shown, key=str)
    levels = table.columns[1].levels
    assert list(levels) == list(dict.fromkeys(shown)) if levels else True


def test_inactive_may_be_said_of_all_columns(tmp_path):
    columns = "kernel: {kind: categorical}\n  degree: {kind: ordinal}"
    assert "inactive" in configs(imported(tmp_path, SVM, columns, "inactive: level\n"), "degree")
    message = refused(tmp_path, SVM, columns)
    assert "column 'degree' holds ''; a value is missing" in message
    assert "'inactive: level'" in message
    message = refused(
        tmp_path,
        SVM.replace("2,1", "inactive,1"),
        columns.replace("ordinal", "categorical"),
        "inactive: level\n",
    )
    assert "holds 'inactive'; other cells" in message


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("{kind: log, inactive: level}", "a log column has none; give default: NUMBER"),
        ("{kind: ordinal, inactive: default}", "its value is missing"),
        ("{kind: ordinal, inactive: level, default: 3}", "two things of an empty cell"),
        ("{kind: continuous, default: low}", "continuous numbers need a number"),
        ("{kind: ordinal, default: low}", "ordinal numbers need a number"),
        ("{kind: ordinal, levels: [2, 3], default: 4}", "accepted are its levels 2, 3"),
        ("{kind: ordinal, inactive: never}", "inactive is 'never'; accepted: level, default"),
        ("{kind: ordinal, default: []}", "default is []: accepted is text or a number"),
    ],
)
def test_what_is_said_of_empty_cells_is_checked(tmp_path, column, message):
    assert message in refused(tmp_path, SVM, f"degree: {column}")


def test_words_and_numbers_for_missing_values(tmp_path):
    rows = "x,loss,cost\n1,F,1\n2,-999.0,1\n3,#N/A,1\n4,None,1\n5,1e308,1\n6,nan,1\n7,0.5,1\n"
    table = imported(tmp_path, rows, more="missing: [f, -999, 1e308, nan]\n")
    assert table.available[0, :, 0].tolist() == [False] * 6 + [True]
    assert "missing is {}: accepted is a list of words" in refused(tmp_path, rows, more="missing: {}\n")
    frame = {"x": [1.0, 2.0], "loss": [float("nan"), 0.5]}
    spec = {
        "name": "t",
        "columns": {"x": {"kind": "log"}},
        "objectives": {"loss": {"sense": "min"}},
        "missing": "nan",
    }
    assert benchmarks.from_frame(frame, spec).num_missing == 1


# Numbers in other writings.


@pytest.mark.parametrize(
    ("cells", "unit", "decimal", "values"),
    [
        (["1,014.45", "2,000"], "1", "", [1014.45, 2000]),
        (["1,234,567", "5"], "1", "", [1234567, 5]),
        (["1,014"], "1", ".", [1014]),
        (["0,3", "1,5e-3", "2"], "1", ",", [0.3, 0.0015, 2]),
        (["1.014,45", "1.000"], "1", ",", [1014.45, 1000]),
        (["1 014.5", "\u22122"], "1", "", [1014.5, -2]),
        (["6.5%", "7 %", "8"], '"%"', "", [6.5, 7, 8]),
        (["$5.00", "1,200 USD", "-$3"], "USD", "", [5, 1200, -3]),
        (["5 s", "7s"], "s", "", [5, 7]),
        (["0 days 00:21:52.5", "00:00:30", "1 day, 0:00:00", "PT1M0.5S"], "s", "", [1312.5, 30, 86400, 60.5]),
        (["00:21:30"], "min", "", [21.5]),
        (["3 mJ", "4"], "mJ", "", [3, 4]),
    ],
)
def test_numbers_as_people_write_them(tmp_path, cells, unit, decimal, values):
    text = "x\tloss\n" + "".join(f"{i}\t{cell}\n" for i, cell in enumerate(cells))
    more = f"objectives: {{loss: {{sense: min, unit: {unit}}}}}\n" + (
        f'decimal: "{decimal}"\n' if decimal else ""
    )
    np.testing.assert_allclose(imported(tmp_path, text, more=more).costs.ravel(), values)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1,014", 'decimal: "." or decimal: ","'),
        ("0,3", 'a decimal comma: decimal: ","'),
        ("6.5%", 'a percentage: unit: "%"'),
        ("$5", "an amount of money: unit: USD"),
        ("5 €", "an amount of money: unit: EUR"),
        ("0 days 00:01:00", "a duration: a unit of time (ms, s, min, h)"),
        ("5 ms", "unit: ms in the specification"),
        ("F", "where 'F' stands for a missing one, missing: [F]"),
        ("nan", "missing: [nan]"),
        ("1e101", "numbers up to 1e+100 are accepted"),
        ("-1e308", "missing: [-1e308]"),
        ("1e400", "missing: [1e400]"),
        ("1e-310", "numbers nearer to 0 than 1e-300"),
    ],
)
def test_a_cell_that_is_no_number_is_told_how_to_write_it(tmp_path, cell, message):
    found = refused(
        tmp_path, f"x\tloss\tcost\n1\t{cell}\t1\n", more="objectives: {loss: {sense: min, unit: J}}\n"
    )
    assert f"data.csv, line 2: row 1, column 'loss' holds '{cell}'" in found
    assert message in found


def test_a_decimal_point_where_commas_were_promised(tmp_path):
    found = refused(tmp_path, "x;loss;cost\n1;0.3;1\n", more='decimal: ","\n')
    assert 'a decimal point, and the specification says decimal: ","' in found


# Types.


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([[64, 32], [128]], ["[128]", "[64, 32]"]),
        ([(64, 32), (64,)], ["(64, 32)", "(64,)"]),
        ([{"a": 1}, {"a": 2}], ["{'a': 1}", "{'a': 2}"]),
        ([1, "auto"], ["1", "auto"]),
        ([b"a", b"b"], ["a", "b"]),
        ([True, False], ["false", "true"]),
        ([np.float64(0.5), np.int64(2)], [0.5, 2]),
        ([10**40, 10**40 + 1], [10**40, 10**40 + 1]),
        ([datetime.date(2026, 1, 2), datetime.date(2026, 1, 1)], ["2026-01-01", "2026-01-02"]),
        (np.array(["a", "b"], object), ["a", "b"]),
    ],
)
def test_values_of_any_type_are_levels(values, shown):
    assert sorted(map(str, configs(of_column(values, "categorical")))) == sorted(map(str, shown))


@pytest.mark.parametrize("values", [1, None, "ab", b"ab"])
def test_a_column_is_a_list_of_values(values):
    with pytest.raises(InputError, match=r"^column 'x' holds .*; accepted: a list of values"):
        benchmarks.from_frame({"x": values, "loss": [1, 2]}, {**SPEC, "columns": {"x": {"kind": "log"}}})


def test_types_of_parquet_columns(tmp_path):
    results = {"loss": [0.3, 0.2], "cost": [1.0, 2.0], "unused": [[b"\xff"], [b""]]}
    seconds = [datetime.timedelta(seconds=3), datetime.timedelta(milliseconds=1500)]
    pl.DataFrame({"x": [[64, 32], [128]], "t": seconds, **results}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "spec.yaml").write_text(
        "name: t\ncolumns: {x: {kind: categorical}}\nruntime: {column: t, unit: min}\n" + OBJECTIVES
    )
    table = benchmarks.import_file(tmp_path / "a.parquet", tmp_path / "spec.yaml")
    assert configs(table) == ["[128]", "[64, 32]"]
    np.testing.assert_allclose(table.runtime.ravel(), [1.5, 3])
    for column, wanted in (
        ({"x": [b"\xff", b"b"]}, "text, numbers, booleans and lists"),
        ({"t": [[1], [2]]}, "numbers"),
    ):
        frame = pl.DataFrame({"x": [1, 2], "t": seconds, **results} | column)
        frame.write_parquet(tmp_path / "a.parquet")
        with pytest.raises(
            InputError, match=rf"a\.parquet: column '{next(iter(column))}' is of type .*accepted: {wanted}"
        ):
            benchmarks.import_file(tmp_path / "a.parquet", tmp_path / "spec.yaml")


def test_two_columns_of_one_name_in_a_parquet_file(tmp_path):
    columns = [pa.array([1, 2]), pa.array([0.3, 0.2]), pa.array([3, 4]), pa.array([5, 6])]
    pq.write_table(pa.Table.from_arrays(columns, ["x", "loss", "step", "step"]), tmp_path / "a.parquet")
    text = "name: t\ncolumns: {x: {kind: ordinal}}\nobjectives: {loss: {sense: min}}\n"
    (tmp_path / "spec.yaml").write_text(text)
    assert benchmarks.import_file(tmp_path / "a.parquet", tmp_path / "spec.yaml").num_rows == 2
    (tmp_path / "spec.yaml").write_text(text.replace("{x:", "{step:"))
    with pytest.raises(InputError, match="two columns are named 'step'"):
        benchmarks.import_file(tmp_path / "a.parquet", tmp_path / "spec.yaml")


def test_frames_of_pandas():
    pd = pytest.importorskip("pandas")
    spec = {"name": "t", "columns": {"x": {"kind": "categorical"}}, "objectives": {"loss": {"sense": "min"}}}
    for values in ([(64, 32), (64,)], [1, "auto"], pd.Categorical(["a", "b"]), pd.array([1, None], "Int64")):
        frame = pd.DataFrame({"x": values, "loss": [0.3, np.nan]})
        assert benchmarks.from_frame(frame.iloc[:1], spec).num_rows == 1
    twice = pd.DataFrame([[1, 0.1, 9, 9]], columns=["x", "loss", "cost", "cost"])
    assert benchmarks.from_frame(twice, spec).num_rows == 1
    twice.columns = ["x", "loss", "x", "cost"]
    with pytest.raises(InputError, match="two columns are named 'x'"):
        benchmarks.from_frame(twice, spec)


# Limits and names.


def test_a_unit_that_is_not_listed_is_a_label(tmp_path):
    more = "objectives: {loss: {sense: max, unit: mJ}}\nfidelity: {column: f, unit: pixel}\n"
    table = imported(tmp_path, "x,f,loss\n1,16,2\n", more=more)
    assert (table.objectives[0].unit, table.fidelity_unit, table.costs.item()) == ("mJ", "pixel", -2)
    for unit, meant in ("KWH", "kWh"), ("epochs", "epoch"), ("Dollars", "USD"):
        assert f"did you mean '{meant}'" in refused(tmp_path, "x,loss\n1,2\n", more=more.replace("mJ", unit))


def test_no_task_is_named_as_reports_name_the_mean_over_tasks(tmp_path):
    message = refused(tmp_path, "x,loss,cost,d\n1,2,3,all\n", more="task: d\n")
    assert "a task is named 'all'" in message
