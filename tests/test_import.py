"""Tables from users' own frames and files."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from mohb_jax import benchmarks
from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

SPEC: dict[str, Any] = {
    "name": "mine",
    "columns": {
        "machine": {"kind": "categorical", "role": "hardware"},
        "workers": {"kind": "ordinal", "role": "hardware"},
        "rate": {"kind": "log"},
    },
    "fidelity": {"column": "epochs", "unit": "epoch"},
    "task": "dataset",
    "objectives": {"accuracy": {"sense": "max", "unit": "fraction"}, "cost": {"sense": "min", "unit": "USD"}},
    "runtime": {"column": "minutes", "unit": "min"},
}
HEADER = "machine,workers,rate,epochs,dataset,accuracy,cost,minutes"
LINES = [
    "big,16,0.1,1,a,0.5,1.0,2",
    "big,16,0.1,3,a,0.75,3.0,5",
    "small,2,0.01,3,a,0.25,0.5,9",
    "small,2,0.01,1,a,0.125,0.25,3",
    "big,16,0.1,1,b,0.5,1.0,2",
    "big,16,0.1,3,b,0.625,3.0,5",
]


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SPEC), **changes}


def imported(folder: Path, text: str | bytes, spec: dict[str, Any] = SPEC) -> benchmarks.Table:
    (folder / "data.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return benchmarks.import_file(folder / "data.csv", folder / "spec.yaml")


def csv_text(lines: list[str] = LINES, end: str = "\n") -> str:
    return end.join([HEADER, *lines]) + end


def frame(lines: list[str] = LINES) -> pl.DataFrame:
    return pl.read_csv(csv_text(lines).encode())


def test_axes_values_and_units(tmp_path):
    table = imported(tmp_path, csv_text())
    assert table.tasks == ("a", "b")
    assert table.fidelities == (1, 3)
    assert [table.config(row) for row in range(2)] == [
        {"machine": "big", "workers": 16, "rate": 0.1},
        {"machine": "small", "workers": 2, "rate": 0.01},
    ]
    assert [column.levels for column in table.columns] == [("big", "small"), (2, 16), ()]
    np.testing.assert_allclose(table.costs[0, :, :, 0], [[0.5, 0.25], [0.875, 0.75]])
    np.testing.assert_allclose(table.to_values(table.costs)[0, :, :, 0], [[0.5, 0.75], [0.125, 0.25]])
    np.testing.assert_allclose(table.runtime[0], [[120, 300], [180, 540]])
    assert table.resumable


def test_missing_records_are_unavailable(tmp_path):
    table = imported(tmp_path, csv_text())
    np.testing.assert_array_equal(table.available[1], [[True, True], [False, False]])
    assert np.isinf(table.costs[1, 1]).all()
    np.testing.assert_allclose(table.runtime[1, 1], [120, 300])  # the median over what is known of the task


@pytest.mark.parametrize("empty", ["", "NA", " "])
def test_an_empty_objective_is_unavailable_and_keeps_its_runtime(tmp_path, empty):
    lines = [*LINES, f"small,2,0.01,1,b,{empty},0.25,1", "small,2,0.01,3,b,0.5,0.25,8"]
    table = imported(tmp_path, csv_text(lines))
    assert not table.available[1, 1, 0]
    assert np.isinf(table.costs[1, 1, 0]).all()
    assert table.runtime[1, 1, 0] == 60


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiter_mark_and_line_ends_do_not_matter(tmp_path, delimiter, mark, end):
    text = csv_text(end=end).replace(",", delimiter).encode()
    assert imported(tmp_path, mark + text).fingerprint == imported(tmp_path, csv_text()).fingerprint


def test_frames_files_and_the_order_of_rows_agree(tmp_path):
    reference = imported(tmp_path, csv_text()).fingerprint
    frame(LINES[::-1]).write_parquet(tmp_path / "data.parquet")
    assert benchmarks.import_file(tmp_path / "data.parquet", tmp_path / "spec.yaml").fingerprint == reference
    for same in (frame(), frame().to_arrow(), frame().to_dict(as_series=False)):
        assert benchmarks.from_frame(same, SPEC).fingerprint == reference


def test_without_task_fidelity_and_runtime():
    spec = {key: SPEC[key] for key in ("name", "columns", "objectives")}
    table = benchmarks.from_frame(frame(LINES[1:3]), spec)
    assert (table.tasks, table.fidelities) == (("mine",), (1,))
    np.testing.assert_array_equal(table.runtime, np.ones((1, 2, 1)))


def test_without_runtime_an_evaluation_takes_its_fidelity_in_seconds():
    spec = {key: value for key, value in SPEC.items() if key != "runtime"}
    np.testing.assert_array_equal(benchmarks.from_frame(frame(), spec).runtime[0], [[1, 3], [1, 3]])


@pytest.mark.parametrize(
    ("sense", "unit", "value", "cost"),
    [("max", "fraction", 0.9, 0.1), ("max", "%", 90, 10), ("max", "1", 7, -7), ("min", "%", 90, 90)],
)
def test_senses_are_turned(sense, unit, value, cost):
    spec = {
        "name": "t",
        "columns": {"x": {"kind": "continuous"}},
        "objectives": {"y": {"sense": sense, "unit": unit}},
    }
    table = benchmarks.from_frame({"x": [1.0], "y": [value]}, spec)
    assert table.costs.item() == pytest.approx(cost)
    assert table.to_values(table.costs).item() == pytest.approx(value)


def test_repeats_are_averaged_only_when_asked_for():
    twice = frame([*LINES, "big,16,0.1,1,a,0.25,2.0,4"])
    with pytest.raises(InputError, match="rows 1 and 7 are one configuration"):
        benchmarks.from_frame(twice, SPEC)
    table = benchmarks.from_frame(twice, changed(repeats="mean"))
    np.testing.assert_allclose(table.costs[0, 0, 0], [0.625, 1.5])
    assert table.runtime[0, 0, 0] == 180


def test_repeats_name_the_lines_of_the_file(tmp_path):
    lines = [*LINES[:1], '"big",16,0.1,3,"a\nb",0.75,3.0,"5"', "", "big,16,0.1,1,a,0.25,2.0,4"]
    with pytest.raises(
        InputError, match=r"rows 1 and 3 \(lines 2 and 6 of the file\).*mean' at the top level"
    ):
        imported(tmp_path, csv_text(lines))
    frame([*LINES, LINES[0]]).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(InputError, match="rows 1 and 7 are one") as caught:
        benchmarks.import_file(tmp_path / "data.parquet", tmp_path / "spec.yaml")
    assert "is one missing" not in str(caught.value)


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (("fidelity",), r"it has no 'fidelity': is one missing\?"),
        (("task",), r"it has no 'task': is one missing\?"),
        (("fidelity", "task"), r"it has no 'fidelity' and no 'task': is one missing\?"),
    ],
)
def test_repeats_may_come_from_a_section_left_out(left_out, message):
    spec = {key: value for key, value in SPEC.items() if key not in left_out}
    with pytest.raises(InputError, match=message):
        benchmarks.from_frame(frame(), spec)


def test_a_plain_number_may_be_a_unit_without_quotes(tmp_path):
    spec = changed(objectives={"cost": {"sense": "min", "unit": 1}}, fidelity={"column": "epochs", "unit": 1})
    table = imported(tmp_path, csv_text(), spec)
    assert (table.objectives[0].unit, table.fidelity_unit) == ("1", "1")


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        *[("percent", "%"), ("dollars", "USD"), ("usd", "USD")],
        *[("Seconds", "s"), ("minutes", "min"), ("hours", "h")],
    ],
)
def test_other_words_for_units_are_answered_with_the_unit(unit, meant):
    spec = changed(objectives={"cost": {"sense": "min", "unit": unit}})
    with pytest.raises(InputError, match=rf"is '{unit}' \(did you mean '{meant}'\?\): accepted are"):
        benchmarks.from_frame(frame(), spec)


def test_ordinal_text_takes_its_order_from_the_specification():
    spec = changed()
    spec["columns"]["machine"] = {"kind": "ordinal", "levels": ["small", "big"]}
    assert benchmarks.from_frame(frame(), spec).config(0)["machine"] == "small"
    spec["columns"]["machine"]["levels"] = ["small", "huge"]
    with pytest.raises(InputError, match=r"row 1, column 'machine' holds 'big'; accepted: small, huge"):
        benchmarks.from_frame(frame(), spec)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("big,16,0.1,9,a,nan,1,9", r"row 7, column 'accuracy' holds 'nan'"),
        ("big,16,0.1,9,a,0.5,inf,9", r"row 7, column 'cost' holds 'inf'"),
        ("big,16,0.1,9,a,0.5,cheap,9", r"row 7, column 'cost' holds 'cheap'; a number is needed"),
        ("big,16,0.1,9,a,93.5,1,9", r"row 7, column 'accuracy' holds '93.5'; a maximised fraction ends at 1"),
        ("big,16,-1,9,a,0.5,1,9", r"row 7, column 'rate' holds '-1'; a log column must be above 0"),
        ("big,16,,9,a,0.5,1,9", r"row 7, column 'rate'.*a value is missing"),
        (",16,0.1,9,a,0.5,1,9", r"row 7, column 'machine'.*a value is missing"),
        ("big,many,0.1,9,a,0.5,1,9", r"row 7, column 'workers' holds 'many'; a number is needed"),
        ("big,16,0.1,0,a,0.5,1,9", r"row 7, column 'epochs' holds '0'; a fidelity must be above 0"),
        ("big,16,0.1,9,a,0.5,1,-2", r"row 7, column 'minutes' holds '-2'"),
        ("big,16,0.1,9,a,0.5,1,", r"row 7, column 'minutes'.*runtime is missing"),
        (
            "big,16,0.1,9,a,0.5,1,1",
            r"rows 2 and 7 \(lines 3 and 8 of the file\) are one .* whose runtime falls",
        ),
        ("big,16,0.1,9,a,0.5", r"row 7: 6 values for 8 columns"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message) as caught:
        imported(tmp_path, csv_text([*LINES, line]))
    assert "\n" not in str(caught.value)
    assert "data.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"columns": {"rat": {"kind": "log"}}},
            r"unknown column.*'rat' \(did you mean 'rate'\?\); accepted: machine",
        ),
        (
            {"columns": {"rate": {"kind": "logarithmic"}}},
            r"columns.rate.kind is 'logarithmic'; accepted: continuous",
        ),
        ({"columns": {"rate": {"kind": "log", "rol": "hardware"}}}, r"unknown field 'columns.rate.rol'"),
        ({"columns": {}}, r"columns is {}: accepted is a mapping of one column or more"),
        ({"columns": {"rate": "log"}}, r"columns.rate is 'log': accepted is a mapping such as {kind: log}"),
        ({"columns": {True: {"kind": "log"}}}, r"the name True is not text"),
        ({"columns": {3: {"kind": "log"}}}, r"the name 3 is not text: put it in quotes"),
        ({"columns": {"levels": {"kind": "ordinal", "levels": 3}}}, r"columns.levels.levels is 3: .* a list"),
        (
            {"columns": {"x": {"kind": "ordinal", "levels": [[]]}}},
            r"levels.0 is \[\]: accepted is text or a nu",
        ),
        ({"objectives": ["cost"]}, r"objectives is \['cost'\]: accepted is a mapping of"),
        ({"objectives": {"cost": "min"}}, r"objectives.cost is 'min': accepted is .* {sense: min}"),
        ({"objectives": {"cost": {"sense": "min", "unit": 5}}}, r"unit of objective 'cost' is '5': accepted"),
        (
            {"objectives": {"cost": {"sense": "min", "unit": []}}},
            r"objectives.cost.unit is \[\]: .* text such",
        ),
        ({"fidelity": "epochs"}, r"fidelity is 'epochs': accepted is a mapping such as {column: epochs"),
        ({"fidelity": {"column": None}}, r"fidelity.column is empty: accepted is the name of a column"),
        ({"runtime": "s"}, r"runtime is 's': accepted is a mapping such as"),
        ({"task": 3}, r"task is 3: accepted is the name of a column"),
        ({"resumable": "maybe"}, r"resumable is 'maybe': accepted is true or false"),
        ({"columns": {"rate": {"kind": "log", 3: 3}}}, r"the name 3 is not text: put it in quotes"),
        ({"objectives": {"cost": {"sense": "low"}}}, r"objectives.cost.sense is 'low'; accepted: min, max"),
        (
            {"objectives": {"cost": {"sense": "min", "unit": "dollars"}}},
            r"spec.yaml: unit of objective 'cost' is 'dollars' \(did you mean 'USD'\?\): accepted are 1, %",
        ),
        ({"objectives": {"cost": {}}}, r"field 'objectives.cost.sense' is missing"),
        (
            {"runtime": {"column": "minutes", "unit": "days"}},
            r"unit of the runtime is 'days': accepted are ms, s, min, h",
        ),
        ({"runtme": {}}, r"unknown field 'runtme'; accepted beside it: name"),
        ({"task": "machine"}, r"column 'machine' has two meanings"),
        ({"repeats": "median"}, r"repeats is 'median'; accepted: error, mean"),
        ({"name": ""}, r"name is '': accepted is text"),
        ({"name": 3}, r"name is 3: accepted is text"),
    ],
)
def test_a_bad_specification_is_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as caught:
        imported(tmp_path, csv_text(), changed(**change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (HEADER.encode(), "there are no rows"),
        (b"PAR1 and no more", "damaged or in another format"),
        (b"\xff\xfe\x00", "damaged or in another format"),
        (b'a,b\n"open,1\n', "damaged or in another format"),
        (b"rate,rate\n1,2\n", "two columns are named 'rate'"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        imported(tmp_path, content)


def test_missing_files_and_broken_yaml(tmp_path):
    imported(tmp_path, csv_text())
    with pytest.raises(InputError, match="cannot read the file"):
        benchmarks.import_file(tmp_path / "none.csv", tmp_path / "spec.yaml")
    with pytest.raises(InputError, match="cannot read the specification"):
        benchmarks.import_file(tmp_path / "data.csv", tmp_path / "none.yaml")
    (tmp_path / "spec.yaml").write_text("name: [")
    with pytest.raises(InputError, match="is not YAML") as caught:
        benchmarks.import_file(tmp_path / "data.csv", tmp_path / "spec.yaml")
    assert "\n" not in str(caught.value)
    (tmp_path / "spec.yaml").write_text("[rate]")
    with pytest.raises(InputError, match="a mapping is needed with the fields name, columns"):
        benchmarks.import_file(tmp_path / "data.csv", tmp_path / "spec.yaml")
    (tmp_path / "spec.yaml").write_text("!!python/object/apply:os.getcwd []")
    with pytest.raises(InputError, match="is not YAML"):
        benchmarks.import_file(tmp_path / "data.csv", tmp_path / "spec.yaml")


def test_what_is_no_frame():
    with pytest.raises(InputError, match="a int is no frame"):
        benchmarks.from_frame(7, SPEC)
