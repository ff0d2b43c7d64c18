"""The export of a study: every evaluation once, in its own sense and unit, with columns explained."""

import csv
import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from mohb_jax.benchmarks import Column, Objective, Table

from mohb_jax import cli, store
from mohb_jax.analysis import export
from mohb_jax.analysis.export import export_runs
from mohb_jax.errors import InputError
from mohb_jax.store import Unit
from tests.fake_study import make_table, make_unit, write_folder

pytestmark = pytest.mark.fast

FIXED = ["study", "benchmark", "task", "method", "run", "slot", "credit", "fidelity_index", "fidelity"]


def other_table() -> Table:
    """A benchmark that disagrees with ``make_table`` about units, senses and columns of the same name."""
    table = make_table("other", num_rows=30, num_objectives=2, seed=3)
    columns = (Column("kind", "ordinal", "architecture", (1, 4)), Column("depth", "continuous"))
    objectives = (Objective("error", "max", "%"), Objective("cost", "min", "USD"))
    costs = np.array(table.costs)
    costs[..., 0] *= 100
    configs = np.stack([table.configs[:, 0], np.arange(30) / 2], axis=1)
    changes: dict[str, Any] = {"columns": columns, "objectives": objectives, "costs": costs}
    return dataclasses.replace(table, configs=configs, fidelity_unit="step", **changes)


def changed_settings(unit: Unit, **settings: Any) -> Unit:
    return Unit(unit.spec | {"settings": unit.spec["settings"] | settings}, unit.log)


def failed(unit: Unit) -> Unit:
    """The unit with every third evaluation failed."""
    costs = np.array(unit.log.costs)
    costs[:, ::3] = np.inf
    return Unit(unit.spec, unit.log._replace(costs=costs))


@pytest.fixture(scope="module")
def content() -> tuple[list[Table], list[Unit]]:
    toy, other = make_table(num_rows=40), other_table()
    units = [
        make_unit(toy, "random", 1, num_seeds=3, num_slots=40),
        failed(
            changed_settings(
                make_unit(toy, "mo-hb", 2, num_seeds=2, num_slots=30, seed=1), eta=4, mode="overlap"
            )
        ),
        changed_settings(make_unit(other, "random", 1, num_seeds=2, num_slots=20, seed=2), mode=None),
    ]
    return [toy, other], units


@pytest.fixture(scope="module")
def folder(content, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    write_folder(directory, *content)
    return directory


def slow_rows(
    tables: list[Table], units: list[Unit], fidelity: tuple[float | None, ...]
) -> list[dict[str, Any]]:
    """The definition, one evaluation at a time, as the stored units hold them."""
    rows = []
    for unit in units:
        table = next(table for table in tables if table.name == unit.spec["benchmark"])
        for lane, slot in itertools.product(*map(range, unit.log.valid.shape)):
            if unit.log.valid[lane, slot]:
                rows.append(slow_row(table, unit, lane, slot, fidelity))
    return rows


def slow_row(
    table: Table, unit: Unit, lane: int, slot: int, fidelity: tuple[float | None, ...]
) -> dict[str, Any]:
    log, toy = unit.log, table.name == "toy"
    config = table.config(int(log.row[lane, slot]))
    costs = [None if math.isinf(cost) else float(cost) for cost in log.costs[lane, slot]]
    return {
        "study": "trial",
        "benchmark": table.name,
        "task": table.tasks[int(log.task[lane])],
        "method": unit.spec["method"],
        "setting_eta": float(unit.spec["settings"]["eta"]),
        "setting_mode": unit.spec["settings"].get("mode"),
        "run": int(log.run[lane]),
        "slot": slot,
        "hardware": config["kind"] if toy else None,
        "config_kind@toy": config["kind"] if toy else None,
        "config_kind@other": None if toy else float(config["kind"]),
        "config_learning_rate": float(config["learning_rate"]) if toy else None,
        "config_depth": None if toy else float(config["depth"]),
        "credit": None if costs[0] is None else "full" if log.fidelity[lane, slot] == 2 else "logged",
        "fidelity_index": int(log.fidelity[lane, slot]),
        "fidelity": fidelity[log.fidelity[lane, slot]],
        "objective_error@toy": costs[0] if toy else None,
        "objective_error@other": None if toy else 100 - costs[0],
        "objective_cost": costs[1],
        "objective_runtime": costs[2] if toy else None,
        "start": float(log.start[lane, slot]),
        "end": float(log.end[lane, slot]),
        "worker": int(log.worker[lane, slot]),
    }


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_every_evaluation_is_a_row(folder, content, tmp_path, suffix):
    num_rows = export_runs(folder, tmp_path / f"runs{suffix}")
    wanted = slow_rows(*content, (None, None, 9.0))
    found = read(tmp_path / f"runs{suffix}").to_dicts()
    assert num_rows == len(wanted) == len(found) > 100
    assert list(found[0]) == list(wanted[0])
    assert found == wanted
    for name in ("setting_mode", "objective_cost", "hardware", "fidelity"):
        missing = [row[name] is None for row in found]
        assert any(missing)
        assert not all(missing)


def read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, infer_schema_length=None, schema_overrides={"config_kind@other": pl.Float64})


def test_no_setting_is_shown_where_all_are_equal(content, tmp_path):
    tables, units = content
    write_folder(tmp_path / "study", tables[:1], units[:1])
    export_runs(tmp_path / "study", tmp_path / "runs.parquet")
    names = pl.read_parquet(tmp_path / "runs.parquet").columns
    assert not [name for name in names if name.startswith("setting_")]
    assert [name for name in names if name in FIXED] == FIXED
    assert not [name for name in names if "@" in name]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_equal_studies_give_equal_files(folder, content, tmp_path, suffix):
    write_folder(tmp_path / "again", *content)
    for number, directory in enumerate((folder, tmp_path / "again", folder)):
        export_runs(directory, tmp_path / str(number) / f"runs{suffix}")
    for name in (f"runs{suffix}", "runs.columns.csv"):
        assert len({(tmp_path / str(number) / name).read_bytes() for number in range(3)}) == 1


def test_each_column_says_what_it_means(folder, tmp_path):
    export_runs(folder, tmp_path / "runs.parquet")
    with (tmp_path / "runs.columns.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    schema = pq.read_schema(tmp_path / "runs.parquet")
    assert list(dict.fromkeys(line["column"] for line in lines)) == schema.names
    assert all(line["meaning"] for line in lines)
    units = {(line["column"], line["benchmark"]): line["unit"] for line in lines}
    assert units["objective_error@toy", "toy"] == "fraction"
    assert units["objective_error@other", "other"] == "%"
    assert units["objective_cost", "toy"] == units["objective_cost", "other"] == "USD"
    assert units["fidelity", "toy"] == "epoch"
    assert units["fidelity", "other"] == "step"
    assert units["end", ""] == "s"
    meanings = {line["column"]: line["meaning"] for line in lines}
    assert "larger is better" in meanings["objective_error@other"]
    assert "smaller is better" in meanings["objective_cost"]
    assert schema.field("fidelity").metadata[b"unit"] == b"toy: epoch; other: step"
    assert schema.field("objective_cost").metadata[b"unit"] == b"USD"
    assert b"larger is better" in schema.field("objective_error@other").metadata[b"meaning"]


def test_a_run_that_stands_in_two_units_counts_once(content, tmp_path):
    (table, _), (unit, *_) = content
    again = Unit(unit.spec | {"note": "the same runs"}, unit.log)
    fewer = Unit(unit.spec | {"first_run": 2, "num_seeds": 3}, unit.log._replace(run=unit.log.run + 2))
    write_folder(tmp_path / "study", [table], [unit, again, fewer])
    export_runs(tmp_path / "study", tmp_path / "runs.parquet")
    found = pl.read_parquet(tmp_path / "runs.parquet")
    assert not found.select("task", "method", "run", "slot").is_duplicated().any()
    assert sorted(found["run"].unique()) == [0, 1, 2, 3, 4]
    first = found.filter(pl.col("run") < 3)
    assert first.height == int(unit.log.valid.sum())


def test_work_units_are_read_one_by_one(folder, tmp_path, monkeypatch):
    """A part is written before the next one is read."""
    events: list[str] = []
    parts, table = export._parts, export.pa.table

    def watched(study: Any) -> Any:
        for part in parts(study):
            events.append("read")
            yield part

    def written(*arguments: Any, **options: Any) -> Any:
        events.append("write")
        return table(*arguments, **options)

    monkeypatch.setattr(export, "_parts", watched)
    monkeypatch.setattr(export.pa, "table", written)
    export_runs(folder, tmp_path / "runs.csv")
    assert [event for event, _ in itertools.groupby(events)] == ["read", "write"] * 3


@pytest.mark.parametrize("name", ["runs.xlsx", "runs", "runs.csv.gz", "folder.csv"])
def test_another_ending_is_refused(folder, tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"accepted is a file ending in \.parquet or \.csv"):
        export_runs(folder, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_a_damaged_unit_leaves_no_file(content, tmp_path):
    write_folder(tmp_path / "study", *content)
    path = sorted((tmp_path / "study" / "units").iterdir())[-1]
    log = pq.read_table(path)
    pq.write_table(log.drop_columns(["worker"]), path)
    with pytest.raises(InputError, match="damaged"):
        export_runs(tmp_path / "study", tmp_path / "runs.csv")
    assert not list(tmp_path.glob("runs.csv*"))


def test_a_row_that_the_table_lacks_is_named(content, tmp_path):
    (table, _), (unit, *_) = content
    wrong = unit.log._replace(row=np.where(unit.log.valid, 40, -1))
    write_folder(tmp_path / "study", [table], [Unit(unit.spec, wrong)])
    with pytest.raises(InputError, match="row 40 of benchmark 'toy' with 40"):
        export_runs(tmp_path / "study", tmp_path / "runs.csv")


def test_results_that_do_not_fit_the_table_are_named(content, tmp_path):
    (table, _), (unit, *_) = content
    above = unit.log._replace(fidelity=np.where(unit.log.valid, 3, -1))
    renamed = {"objectives": ["error", "price", "runtime"]}
    cases = {"fidelity 3": Unit(unit.spec, above), "error, price": Unit(unit.spec | renamed, unit.log)}
    for number, (part, wrong) in enumerate(cases.items()):
        write_folder(tmp_path / str(number), [table], [wrong])
        with pytest.raises(InputError, match=part):
            export_runs(tmp_path / str(number), tmp_path / "runs.csv")


@pytest.mark.parametrize("stated", [[1, 3], "many", [None, 1, 2], {"a": 1}])
def test_wrong_fidelities_are_not_believed(content, tmp_path, stated):
    tables, units = content
    write_folder(tmp_path / "study", tables, units)
    study = json.loads((tmp_path / "study" / "study.json").read_text())
    study["benchmarks"][0]["fidelities"] = stated
    store.write_json(tmp_path / "study" / "study.json", study)
    export_runs(tmp_path / "study", tmp_path / "runs.parquet")
    assert pl.read_parquet(tmp_path / "runs.parquet")["fidelity"].drop_nulls().unique().to_list() == [9.0]


def test_the_command_exports_a_study_that_was_run(tmp_path, monkeypatch, capsys):
    """From a table with a maximised objective to a file; each value is that of the table."""
    monkeypatch.chdir(tmp_path)
    table = whole_table()
    table.save(tmp_path / "mine.npz")
    options = [
        "--method",
        "hb",
        "--method",
        "random",
        "--seeds",
        "3",
        "--evaluations",
        "12",
        "--out",
        "study",
    ]
    run("run", "--benchmark", "mine.npz", *options)
    capsys.readouterr()
    run("export", "study", "--out", "runs.parquet")
    found = pl.read_parquet("runs.parquet")
    assert f"{found.height:,} rows -> runs.parquet" in capsys.readouterr().out
    assert set(found["fidelity"]) == {1.0, 3.0, 9.0}
    run("export", "study", "--out", "evaluations.parquet", "--credit", "logged")
    evaluations = found.filter(pl.col("credit") != "passed")
    assert 0 < evaluations.height < found.height
    assert pl.read_parquet("evaluations.parquet").equals(evaluations)
    run("export", "study", "--out", "finals.csv", "--finals", "--credit", "full")
    finals = pl.read_csv("finals.csv")
    assert finals.select("method", "task", "run").unique().height == finals.height == 2 * 2 * 3
    assert (finals["method"] == finals["base_method"]).all()
    rows = {json.dumps(table.config(row)): row for row in range(table.num_rows)}
    for entry in found.to_dicts():
        config = {"machine": entry["config_machine"], "rate": entry["config_rate"]}
        row = rows[json.dumps(config)]
        place = table.task_index(entry["task"]), row, table.fidelity_index(entry["fidelity"])
        assert entry["hardware"] == config["machine"]
        assert entry["objective_accuracy"] == 1 - table.costs[place][0]
        assert entry["objective_cost"] == table.costs[place][1]
        assert entry["end"] >= entry["start"]


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 0


def whole_table() -> Table:
    """Two tasks, three fidelities, accuracy (maximised) and cost."""
    generator = np.random.default_rng(0)
    shape = (2, 20, 3)
    return Table(
        name="mine",
        columns=(Column("machine", "categorical", "hardware", ("big", "small")), Column("rate", "log")),
        configs=np.stack([np.arange(20) % 2, generator.uniform(0.1, 1, 20)], axis=1),
        tasks=("first", "second"),
        fidelities=(1, 3, 9),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("accuracy", "max", "fraction"), Objective("cost", "min", "USD")),
        costs=generator.uniform(size=(*shape, 2)),
        runtime=np.cumsum(generator.uniform(1, 2, shape), axis=-1),
    )


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    for folder, out, more in (
        ("none", "runs.csv", []),
        ("none", "f.csv", ["--finals"]),
        ("", "f.txt", ["--finals"]),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["export", str(tmp_path / folder), "--out", str(tmp_path / out), *more])
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
