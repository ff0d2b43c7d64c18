"""Files of trackers and libraries: Optuna, Ray Tune, W&B, scikit-learn; and a first guess at them."""

import datetime
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from mohb_jax.benchmarks.guess import guess, quoted
from mohb_jax.benchmarks.own_files import read_file

from mohb_jax import benchmarks
from mohb_jax.errors import InputError
from mohb_jax.yaml_text import read_yaml

pytestmark = pytest.mark.fast

LR = '{"name": "FloatDistribution", "attributes": {"low": 0.001, "high": 1, "log": true}}'
OPT = '{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", null]}}'
LAYERS = '{"name": "IntDistribution", "attributes": {"low": 1, "high": 3, "log": false}}'
BEGAN, ENDED = "2026-01-01 10:00:00.000000", "2026-01-01 10:01:00.500000"
TRIALS: list[dict[str, Any]] = [
    {
        "state": "COMPLETE",
        "lr": 0.1,
        "opt": 0,
        "layers": 2.0,
        "values": [0.3, 7.0],
        "reports": [0.5, 0.4, 0.3],
    },
    {"state": "FAIL", "lr": 0.01, "opt": 1, "layers": None, "values": [], "reports": [0.9]},
    {"state": "RUNNING", "lr": 0.2, "opt": 0, "layers": None, "values": [], "reports": []},
]


def storage(path: Path, studies: tuple[str, ...] = ("tune",)) -> Path:
    """The tables of Optuna that are read, with the same trials in every study."""
    base = sqlite3.connect(path)
    base.executescript("""
        CREATE TABLE studies (study_id INTEGER, study_name TEXT);
        CREATE TABLE study_directions (direction TEXT, study_id INTEGER, objective INTEGER);
        CREATE TABLE trials (trial_id INTEGER, number INTEGER, study_id INTEGER, state TEXT,
                             datetime_start TEXT, datetime_complete TEXT);
        CREATE TABLE trial_params (trial_id INTEGER, param_name TEXT, param_value FLOAT,
                                   distribution_json TEXT);
        CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value FLOAT, value_type TEXT);
        CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER, intermediate_value FLOAT,
                                                intermediate_value_type TEXT);
        CREATE TABLE trial_user_attributes (trial_id INTEGER, key TEXT, value_json TEXT);
    """)
    for study, name in enumerate(studies):
        base.execute("INSERT INTO studies VALUES (?, ?)", (study, name))
        for place, direction in enumerate(("MINIMIZE", "MAXIMIZE")):
            base.execute("INSERT INTO study_directions VALUES (?, ?, ?)", (direction, study, place))
        for number, trial in enumerate(TRIALS):
            insert(base, study, number, trial)
    base.commit()
    base.close()
    return path


def insert(base: sqlite3.Connection, study: int, number: int, trial: dict[str, Any]) -> None:
    key = 10 * study + number
    base.execute(
        "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", (key, number, study, trial["state"], BEGAN, ENDED)
    )
    for name, law in ("lr", LR), ("opt", OPT), ("layers", LAYERS):
        if trial[name] is not None:
            base.execute("INSERT INTO trial_params VALUES (?, ?, ?, ?)", (key, name, trial[name], law))
    for place, value in enumerate(trial["values"]):
        base.execute("INSERT INTO trial_values VALUES (?, ?, ?, 'FINITE')", (key, place, value))
    for step, value in enumerate(trial["reports"]):
        base.execute("INSERT INTO trial_intermediate_values VALUES (?, ?, ?, 'FINITE')", (key, step, value))
    base.execute("INSERT INTO trial_user_attributes VALUES (?, 'cost', '1.5')", (key,))


def journal(path: Path) -> Path:
    """The same trials as entries of a journal."""
    entries: list[dict[str, Any]] = [{"op_code": 0, "study_name": "tune", "directions": [1, 2]}]
    for number, trial in enumerate(TRIALS):
        entries.append({"op_code": 4, "study_id": 0, "datetime_start": BEGAN.replace(" ", "T") + "+00:00"})
        for name, law in ("lr", LR), ("opt", OPT), ("layers", LAYERS):
            if trial[name] is not None:
                drawn = {"param_name": name, "param_value_internal": trial[name], "distribution": law}
                entries.append({"op_code": 5, "trial_id": number, **drawn})
        for step, value in enumerate(trial["reports"]):
            entries.append({"op_code": 7, "trial_id": number, "step": step, "intermediate_value": value})
        entries.append({"op_code": 8, "trial_id": number, "user_attr": {"cost": 1.5}})
        if trial["state"] != "RUNNING":
            state = {"COMPLETE": 1, "FAIL": 3}[trial["state"]]
            end = {"values": trial["values"] or None, "datetime_complete": ENDED.replace(" ", "T") + "+00:00"}
            entries.append({"op_code": 6, "trial_id": number, "state": state, **end})
    path.write_text("\n".join(json.dumps({"worker_id": "w"} | entry) for entry in entries) + "\n")
    return path


def table_of(file: Path, columns: str, more: str, study: str | None = None) -> benchmarks.Table:
    spec = file.with_name("spec.yaml")
    spec.write_text(f"name: t\ncolumns: {{{columns}}}\n{more}\n")
    return benchmarks.import_file(file, spec, study)


@pytest.mark.parametrize("make", [storage, journal])
def test_trials_of_optuna(tmp_path, make):
    file = make(tmp_path / "trials")
    columns = "params_lr: {kind: log}, params_opt: {kind: categorical}"
    columns += ", params_layers: {kind: ordinal, inactive: level}"
    goals = "objectives: {values_0: {sense: min}, values_1: {sense: max}, user_attrs_cost: {sense: min}}"
    table = table_of(file, columns, f"{goals}\nruntime: {{column: duration}}")
    assert [table.config(row) for row in range(2)] == [
        {"params_lr": 0.01, "params_opt": "None", "params_layers": "inactive"},
        {"params_lr": 0.1, "params_opt": "adam", "params_layers": 2},
    ]
    assert table.available[0, :, 0].tolist() == [False, True]
    np.testing.assert_allclose(table.costs[0, 1, 0], [0.3, -7, 1.5])
    np.testing.assert_allclose(table.runtime[0, :, 0], 60.5)
    steps = "objectives: {intermediate_value: {sense: min}}\nfidelity: {column: steps}\n"
    curve = table_of(file, "params_lr: {kind: log}", f"{steps}runtime: {{column: duration}}")
    assert curve.fidelities == (1, 2, 3)
    np.testing.assert_allclose(curve.costs[0, 1, :, 0], [0.5, 0.4, 0.3])
    np.testing.assert_allclose(curve.runtime[0, 1], [60.5 / 3, 121 / 3, 60.5])


def test_a_storage_of_an_older_optuna(tmp_path):
    base = sqlite3.connect(storage(tmp_path / "a.db"))
    base.execute("ALTER TABLE trial_values DROP COLUMN value_type")
    base.execute(
        "UPDATE trial_intermediate_values SET intermediate_value = NULL, intermediate_value_type = 'NAN'"
    )
    base.commit()
    assert read_file(tmp_path / "a.db", ["values_0"]).frame["values_0"].to_list() == [0.3, None]
    assert read_file(tmp_path / "a.db").frame["intermediate_value"].to_list() == [None] * 4


def test_a_study_of_several_is_named(tmp_path):
    file = storage(tmp_path / "a.db", ("one", "two"))
    with pytest.raises(InputError, match=r"holds 2 studies: name one \(--study\): one, two"):
        read_file(file)
    with pytest.raises(InputError, match=r"study in .*'tow' \(did you mean 'two'\?\)"):
        read_file(file, study="tow")
    records = read_file(file, study="two")
    assert records.senses["intermediate_value"] == "min"
    assert records.kinds == {"params_lr": "log", "params_opt": "categorical", "params_layers": "ordinal"}
    assert records.notes == ("1 trials that have not ended are left out",)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="is SQLite, but no storage of Optuna"):
        read_file(tmp_path / "other.db")


def test_a_folder_of_ray_tune(tmp_path):
    for trial, rate in ("a", 0.1), ("b", 0.01):
        (tmp_path / "exp" / trial).mkdir(parents=True)
        reports = [{"training_iteration": i, "loss": rate / i, "config": {"lr": rate}} for i in (1, 2)]
        lines = [json.dumps(report) for report in reports]
        (tmp_path / "exp" / trial / "result.json").write_text("\n".join(lines))
    csv = tmp_path / "exp" / "c"
    csv.mkdir()
    (csv / "progress.csv").write_text("training_iteration,loss\n1,0.7\n2,0.6\n")
    (csv / "params.json").write_text('{"lr": 0.5}')
    more = "objectives: {loss: {sense: min}}\nfidelity: {column: training_iteration}"
    table = table_of(tmp_path / "exp", "config/lr: {kind: log}", more)
    np.testing.assert_allclose(table.costs[0, :, :, 0], [[0.01, 0.005], [0.1, 0.05], [0.7, 0.6]])
    with pytest.raises(InputError, match="is a folder without results of Ray Tune"):
        read_file(empty(tmp_path))
    (csv / "params.json").write_text("{")
    with pytest.raises(InputError, match=r"results of Ray Tune in .*c' cannot be read"):
        read_file(tmp_path / "exp")


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


RECORDS = [{"lr": 0.1, "metrics": {"loss": 0.3}}, {"lr": 0.2, "metrics": {"loss": 0.2}}]
COLUMNS = {"lr": [0.1, 0.2], "metrics/loss": [0.3, 0.2]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORDS),
        "\n".join(map(json.dumps, RECORDS)),
        json.dumps(COLUMNS),
        json.dumps({name: dict(enumerate(values)) for name, values in COLUMNS.items()}),
        json.dumps({"columns": list(COLUMNS), "data": list(zip(*COLUMNS.values(), strict=True))}),
        'id,lr,metrics,text\n0,0.1,"{\'loss\': 0.3}",{odd\n1,0.2,"{""loss"": 0.2}",\n',
    ],
)
def test_json_and_cells_of_json(tmp_path, text):
    (tmp_path / "data").write_text(text)
    table = table_of(tmp_path / "data", "lr: {kind: log}", "objectives: {metrics/loss: {sense: min}}")
    np.testing.assert_allclose(table.costs.ravel(), [0.3, 0.2])


@pytest.mark.parametrize("text", ["{", "[]", "{}", "[1, 2]", '{"a": [1], "b": [1, 2]}', '{"a": 1}\n{"a": '])
def test_json_that_is_no_table(tmp_path, text):
    (tmp_path / "data").write_text(text)
    with pytest.raises(InputError, match="JSON"):
        read_file(tmp_path / "data")


def test_results_of_scikit_learn_as_they_are():
    gamma = np.ma.MaskedArray([0.1, "scale", 7], mask=[False, False, True], dtype=object)
    results = {
        "params": [{"gamma": 0.1}, {"gamma": "scale"}, {}],
        "param_gamma": gamma,
        "mean_test_score": np.array([0.5, 0.6, 0.7]),
    }
    spec = {"name": "t", "columns": {"param_gamma": {"kind": "categorical", "inactive": "level"}}}
    goals = {"mean_test_score": {"sense": "max", "unit": "fraction"}}
    table = benchmarks.from_frame(results, spec | {"objectives": goals})
    assert [table.config(row)["param_gamma"] for row in range(3)] == ["0.1", "scale", "inactive"]


# A first specification.


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("0010 010 10", "categorical"),
        ("1 2 3", "ordinal"),
        ("0.1 0.2 0.3", "continuous"),
        ("0.001 0.01 1", "log"),
        ("1 2 auto", "categorical"),
        ("True False True", "categorical"),
    ],
)
def test_a_guess_at_kinds(tmp_path, cells, kind):
    spec, _ = guessed(tmp_path, "x,loss\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells.split())))
    assert spec["columns"]["x"] == {"kind": kind}


@pytest.mark.parametrize(
    ("cells", "goal"),
    [("0.2 F", {}), ("0.2 #N/A", {}), ("6.5% 5%", {"unit": "%"}), ("$5 $6", {"unit": "USD"})],
)
def test_a_guess_at_results(tmp_path, cells, goal):
    spec, _ = guessed(tmp_path, "x,loss\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells.split())))
    assert spec["objectives"]["loss"] == {"sense": "min"} | goal
    assert spec.get("missing", []) == (["F"] if "F" in cells.split() else [])


def guessed(folder: Path, text: str) -> tuple[dict[str, Any], benchmarks.Table]:
    """The specification of a file, and the table that it makes."""
    (folder / "data.csv").write_text(text)
    found = guess(read_file(folder / "data.csv"), "mine").specification
    (folder / "spec.yaml").write_text(found)
    return read_yaml(found), benchmarks.import_file(folder / "data.csv", folder / "spec.yaml")


def test_a_guess_at_a_table_of_ones_own(tmp_path):
    header = (
        "run_id;dataset;learning rate;batch_size;machine;epochs;val_acc;energy_kwh;train_seconds;curve;size"
    )
    rows = [
        f"{i};{'ab'[i % 2]};{10.0 ** -(i % 3)};{16 * (1 + i % 2)};m{i};{e};{acc};{i}.5;{i * e};;1"
        for i in range(6)
        for e, acc in ((1, "F" if i == 5 else f"0.1{i}"), (3, f"0.3{i}"))
    ]
    spec, table = guessed(tmp_path, "\n".join([header, *rows]).replace(".", ","))
    assert spec == {
        "name": "mine",
        "columns": {
            "learning rate": {"kind": "log"},
            "batch_size": {"kind": "ordinal"},
            "machine": {"kind": "categorical", "role": "hardware"},
        },
        "objectives": {
            "val_acc": {"sense": "max", "unit": "fraction"},
            "energy_kwh": {"sense": "min", "unit": "kWh"},
        },
        "fidelity": {"column": "epochs", "unit": "epoch"},
        "task": "dataset",
        "runtime": {"column": "train_seconds", "unit": "s"},
        "missing": ["F"],
        "decimal": ",",
    }
    assert (table.num_rows, table.tasks) == (6, ("a", "b"))


def test_a_guess_at_results_of_optuna_and_scikit_learn(tmp_path):
    optuna = "number,value,duration,params_c,params_k,state\n0,0.5,0 days 00:00:01,0.1,a,COMPLETE\n"
    spec, _ = guessed(
        tmp_path, optuna + "1,,0 days 00:00:02,100,,FAIL\n2,0.4,0 days 00:00:03,7.5,b,COMPLETE\n"
    )
    assert spec["columns"] == {
        "params_c": {"kind": "log"},
        "params_k": {"kind": "categorical", "inactive": "level"},
    }
    assert spec["objectives"] == {"value": {"sense": "min"}, "duration": {"sense": "min", "unit": "s"}}
    scikit = (
        ",mean_fit_time,std_fit_time,mean_score_time,param_C,params,mean_test_neg_log_loss,rank_test_score\n"
    )
    rows = [
        "0,0.1,0.01,0.02,1,{'C': 1},-0.5,1",
        "1,0.2,0.01,0.03,2,{'C': 2},-0.7,2",
        "2,0.3,0,0.03,2,{'C': 2},-0.7,2",
    ]
    spec, table = guessed(tmp_path, scikit + "\n".join(rows))
    assert spec["columns"] == {"param_C": {"kind": "ordinal"}}
    goals = {"mean_score_time": {"sense": "min", "unit": "s"}, "mean_test_neg_log_loss": {"sense": "max"}}
    assert spec["objectives"] == goals
    assert spec["repeats"] == "mean"
    assert table.num_rows == 2


def test_a_guess_names_every_column(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,note\n1,0.5,same\n2,0.7,same\n")
    found = guess(read_file(tmp_path / "a.csv"), "t")
    assert (
        found.specification
        == """\
name: t
columns:
  x: {kind: ordinal}  # 1, 2
objectives:  # confirm senses and units
  y: {sense: min}  # 0.5, 0.7
# note: not used: it is the same everywhere
"""
    )
    assert found.seen == [
        "  x     column: 1, 2",
        "  y     objective: 0.5, 0.7",
        "  note  not used: it is the same everywhere",
    ]


@pytest.mark.parametrize(
    "text", ["plain", "two words", "config/lr", "on", "true", "1e-4", "a: b", "#x", "", "é", "null"]
)
def test_names_are_written_so_that_yaml_reads_them(text):
    assert read_yaml(quoted(text)) == text
    assert yaml.safe_load(f"a: {quoted('x: y')}") == {"a": "x: y"}


def test_durations_of_a_frame_are_a_guess_at_the_runtime(tmp_path):
    time = [datetime.timedelta(seconds=second) for second in (1, 2)]
    pl.DataFrame({"x": [1.5, 2.5], "loss": [1.0, 2.0], "took": time}).write_parquet(tmp_path / "a.parquet")
    assert "runtime: {column: took, unit: s}" in guess(read_file(tmp_path / "a.parquet"), "t").specification
