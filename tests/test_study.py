"""Studies: all input is checked before anything runs, and interrupted work goes on to the same end."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mohb_jax.benchmarks.columns import MOST_COMPARED, Objective, listed
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

from mohb_jax import methods, store
from mohb_jax import study as studies
from mohb_jax.analysis.final import summarise
from mohb_jax.calibration import read_calibration
from mohb_jax.errors import InputError
from mohb_jax.kernels.hypervolume import MAX_EXACT_OBJECTIVES
from mohb_jax.settings import setting
from mohb_jax.store import Unit
from mohb_jax.study import Study, WorkUnit
from mohb_jax.study import units as study_units
from mohb_jax.study.alike import alike
from mohb_jax.yaml_text import read_yaml
from tests.transfer_tables import related_tasks

TABLE = synthetic(40, 2, (1, 3, 9), num_front=6, name="tiny")
METHODS = ("random", "hb", "mo-hb", "mo-hb-random")


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """A study of one small table; tests change it."""
    TABLE.save(tmp_path / "tiny.npz")
    named = {"benchmarks": [str(tmp_path / "tiny.npz")], "methods": ["random", "mo-hb"]}
    return named | {"seeds": 3, "evaluations": 20}


def made(content: dict[str, Any], **changes: Any) -> tuple[Study, list[Table]]:
    study = studies.make_study(content | changes, "here")
    return study, studies.load_tables(study)


def units_of(content: dict[str, Any], **changes: Any) -> list[WorkUnit]:
    return studies.work_units(*made(content, **changes))


def run(content: dict[str, Any], folder: Path, **changes: Any) -> int:
    return studies.run_study(*made(content, **changes), folder, "mohb run")


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def unit_files(folder: Path) -> dict[str, int]:
    return {name: changed for name, changed in files(folder).items() if name.startswith("units")}


def assert_same_units(first: list[Unit], second: list[Unit]) -> None:
    assert [unit.spec for unit in first] == [unit.spec for unit in second]
    for one, other in zip(first, second, strict=True):
        for name, left, right in zip(one.log._fields, one.log, other.log, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=f"{name} of {one.spec['method']}")


def refused(match: str, content: dict[str, Any], **changes: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        units_of(content, **changes)
    assert "\n" not in str(caught.value)


# Study files


def load(folder: Path, text: str) -> Study:
    (folder / "study.yaml").write_text(text)
    return studies.load_study(folder / "study.yaml")


def test_a_study_file_is_read(tmp_path):
    study = load(
        tmp_path,
        "benchmarks: [embedded, {name: a.npz, tasks: [t]}]\n"
        "methods: [hb, {method: mo-hb, name: mine, settings: {eta: 2}}]\n"
        "seconds: {t: 3.5}\nreference: mine\n",
    )
    assert [entry.name for entry in study.benchmarks] == ["embedded", "a.npz"]
    assert study.benchmarks[1].tasks == ["t"]
    assert [entry.label for entry in study.methods] == ["hb", "mine"]
    assert study.seconds == {"t": 3.5}
    assert (study.seeds, study.seed, study.evaluations) == (100, 0, None)


def test_the_shipped_study_is_valid():
    study = studies.load_study(studies.EMBEDDED)
    assert study.name == "embedded"
    assert len(studies.work_units(study, studies.load_tables(study))) >= len(study.methods)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is not a mapping"),
        ("- a\n", "is not a mapping"),
        ("just words\n", "is not a mapping"),
        ("a: [1\n", "is not YAML"),
        ("a: \0\n", "is not YAML"),
        ("a: !!timestamp 2024-13-45\n", "is not YAML: month"),
        ("seeds: 5\nname: a\nseeds: 6\n", "is not YAML: line 3, column 1: 'seeds' stands there twice"),
        ("[" * 5000, "is not YAML"),
        ("{[1]: 2}\n", "is not YAML"),
        ("methods: [hb]\n", "benchmarks: field required"),
        ("benchmarks: [embedded]\n", "methods: field required"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, text, match):
    with pytest.raises(InputError, match=rf"^study file .*study\.yaml.*{match}") as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_one_line_that_names_it(tmp_path):
    with pytest.raises(InputError, match=r"study file .*none\.yaml does not exist"):
        studies.load_study(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        studies.load_study(tmp_path)
    (tmp_path / "study.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="cannot be read"):
        studies.load_study(tmp_path / "study.yaml")


def test_a_study_file_executes_nothing(tmp_path):
    tag = f"name: !!python/object/apply:os.mkdir ['{tmp_path / 'executed'}']\n"
    with pytest.raises(InputError, match="is not YAML: line 1, column 7: could not determine a constructor"):
        load(tmp_path, tag + "benchmarks: [embedded]\nmethods: [hb]\n")
    yaml.unsafe_load(tag)
    assert (tmp_path / "executed").is_dir()  # the tag works where it is let


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"sedes": 3},
            "unknown key 'sedes' .did you mean seeds..: accepted are name, benchmarks, methods,",
        ),
        ({3: 3}, "here: unknown key '3': accepted are name"),
        (
            {"methods": [{"method": "hb", "x": 1}]},
            "unknown key 'methods.0.x': accepted are method, name, benchmarks, set",
        ),
        (
            {"benchmarks": [{"name": "embedded", "task": "digits"}]},
            "unknown key 'benchmarks.0.task' .did you mean tasks..: accepted",
        ),
        ({"methods": []}, "methods: list should have at least 1 item"),
        ({"methods": "hb"}, "methods is 'hb': input should be a valid list"),
        ({"methods": [3]}, r"methods\.0 is 3: input should be a valid dictionary"),
        ({"benchmarks": None}, "benchmarks is None: input should be a valid list"),
        ({"seeds": 0}, "seeds is 0: input should be greater than or equal to 1"),
        ({"seeds": -1}, "seeds is -1: "),
        ({"seeds": "many"}, "seeds is 'many': input should be a valid integer"),
        ({"seeds": 2.5}, "seeds is 2.5: input should be a valid integer"),
        ({"seeds": 10**12}, "seeds is 1000000000000: input should be less than or equal to"),
        ({"seed": -1}, "seed is -1: input should be greater"),
        ({"seed": 2**63}, "seed is 9223372036854775808: input should be less"),
        ({"evaluations": 0}, "evaluations is 0: input should be greater"),
        ({"seconds": "long"}, "seconds is 'long': input should be a valid number"),
        ({"settings": [1]}, "settings: input should be a valid dictionary"),
        ({"settings": {1: 2}}, "settings.*input should be a valid string"),
        ({"name": "../../elsewhere"}, "name is '../../elsewhere': it names the study's folder"),
        ({"name": ".."}, "name is '..': it names the study's folder"),
        ({"name": ""}, "name is '': it names the study's folder"),
        ({"methods": ["hb", "hb"]}, "method 'hb' stands there twice: give each a name"),
        ({"methods": ["hb", {"method": "mo-hb", "name": "hb"}]}, "method 'hb' stands there twice"),
        ({"reference": "ga"}, "reference 'ga' is no method: accepted are random, mo-hb"),
        ({"benchmarks": ["embeded"]}, "unknown benchmark 'embeded' .did you mean 'embedded'"),
        ({"benchmarks": ["none.npz"]}, r"table file 'none\.npz' does not exist"),
        ({"methods": ["mohb"]}, "method 'mohb' is unknown .did you mean mo-hb.*: accepted are random, hb,"),
        (
            {"settings": {"etta": 3}},
            "setting 'etta' is unknown to all methods of the study .did you mean eta",
        ),
        ({"settings": {"eta": 1}}, "eta is 1: it must be a finite number of at least 1.1"),
        ({"settings": {"eta": "three"}}, "settings: eta is 'three': input should be a valid number"),
        ({"settings": {"eta": float("nan")}}, "settings: eta is nan: input should be a finite number"),
        ({"settings": {"workers": 0}}, "workers is 0: it must be a whole number of at least 1"),
        ({"settings": {"workers": True}}, "settings: workers is True: input should be a valid integer"),
        (
            {"settings": {"resumable": "maybe"}},
            "settings: resumable is 'maybe': input should be a valid bool",
        ),
        ({"settings": {"weights": "ab"}}, "settings: weights is 'ab': input should be a valid list"),
        ({"settings": {"weights": [1, "b"]}}, r"settings: weights\.1 is 'b': input should be a valid number"),
        ({"settings": {"weights": [1, -1]}}, r"weights is \[1.0, -1.0\]: one number >= 0 per objective"),
        ({"settings": {"mode": "later"}}, "mode is 'later': accepted are barrier, overlap"),
        ({"settings": {"min_fidelity": 10}}, "min_fidelity is 10: accepted are values from 1 to 9"),
        ({"settings": {"seed_objective": 2}}, "seed_objective is 2: accepted are 0 to 1"),
        ({"seconds": -1}, "seconds is -1.0 for task 'task-0': it must be a positive, finite number"),
        ({"seconds": float("nan")}, "seconds is nan for task 'task-0'"),
        ({"seconds": {"task-0": 5}}, "seconds has no entry for task 'task-1'"),
        ({"seconds": {"task-0": 5, "task-1": 5, "task-2": 5}}, "unknown task of seconds: 'task-2'"),
    ],
)
def test_wrong_content_is_one_line_that_names_it(content, changes, match):
    refused(match, content | changes)


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"tasks": ["digits"]}, "unknown task of benchmark 'tiny': 'digits'; accepted: task-0, task-1"),
        ({"objectives": ["error"]}, "unknown objective of benchmark 'tiny': 'error'; accepted: objective-0"),
        ({"tasks": []}, "table 'tiny'.*task"),
        ({"objectives": []}, "table 'tiny'.*objective"),
        ({"tasks": ["task-1", "task-1"]}, "table 'tiny'.*task"),
    ],
)
def test_a_wrong_part_of_a_benchmark_is_named(content, entry, match):
    refused(match, content, benchmarks=[{"name": content["benchmarks"][0]} | entry])


def test_a_benchmark_may_stand_there_once(content):
    refused("benchmark 'tiny' stands in the study twice", content, benchmarks=content["benchmarks"] * 2)


# Work units


def test_a_method_may_run_on_some_benchmarks_only(content, tmp_path):
    second = {"name": content["benchmarks"][0], "label": "second"}
    there = {
        "benchmarks": [*content["benchmarks"], second],
        "methods": ["random", {"method": "mo-hb", "benchmarks": ["second"], "sweep": {"eta": [2, 3]}}],
    }
    found = [(unit.spec["benchmark"], unit.label) for unit in units_of(content, **there)]
    swept = [("second", "mo-hb eta=2"), ("second", "mo-hb eta=3")]
    assert found == [("tiny", "random"), ("second", "random"), *swept]
    methods = [{"method": "mo-hb", "benchmarks": ["tiny", "third"]}]
    refused("unknown benchmark of method 'mo-hb': 'third'.*accepted: tiny", content, methods=methods)


@pytest.mark.wide
def test_models_are_judged_where_they_are_used(tmp_path):
    """A method that learns from other tasks may stand beside a benchmark of one task."""
    table = related_tasks(num_rows=20, num_tasks=2)
    files = [tmp_path / "two.npz", tmp_path / "one.npz"]
    table.save(files[0])
    dataclasses.replace(TABLE.select(tasks=TABLE.tasks[:1]), name="one").save(files[1])
    study = {
        "benchmarks": [str(file) for file in files],
        "methods": ["random", {"method": "random+prior", "benchmarks": [table.name]}],
        "seeds": 2,
        "evaluations": 5,
    }
    run(study, tmp_path / "out", settings={"draws": 4})
    assert {row.benchmark for row in read_calibration(tmp_path / "out", ["one", table.name])} == {table.name}


def test_settings_of_a_method_go_before_those_of_the_study(content):
    methods = ["hb", {"method": "mo-hb", "settings": {"eta": 2}}]
    units = units_of(content, methods=methods, settings={"eta": 4, "workers": 2})
    assert [(unit.how.settings.eta, unit.how.conditions.workers) for unit in units] == [(4, 2), (2, 2)]


def test_equal_studies_have_equal_units_however_they_are_written(content):
    plain = [store.unit_name(unit.spec) for unit in units_of(content)]
    spelled = units_of(content, name="other", settings={"eta": 3.0, "workers": 4}, seed=0, reference="random")
    assert [store.unit_name(unit.spec) for unit in spelled] == plain
    others = ({"seed": 1}, {"settings": {"workers": 2}}, {"evaluations": 21}, {"seeds": 4}, {"seconds": 9})
    for other in others:
        assert not {store.unit_name(unit.spec) for unit in units_of(content, **other)} & set(plain), other


def test_a_setting_of_the_study_goes_to_the_methods_that_have_it(content):
    """Units of the others stay what they were."""
    plain = {unit.label: store.unit_name(unit.spec) for unit in units_of(content)}
    other = {unit.label: store.unit_name(unit.spec) for unit in units_of(content, settings={"eta": 2})}
    assert other["random"] == plain["random"]
    assert other["mo-hb"] != plain["mo-hb"]


def test_a_new_setting_leaves_finished_units_finished(content, monkeypatch):
    """Only settings that differ from their defaults are part of a unit's name."""
    plain = [store.unit_name(unit.spec) for unit in units_of(content)]

    @dataclasses.dataclass(frozen=True)
    class More(methods.METHODS["mo-hb"].settings):
        patience: int = setting(3, "for tests")

    more = dataclasses.replace(methods.METHODS["mo-hb"], settings=More)
    monkeypatch.setitem(methods.METHODS, "mo-hb", more)
    assert [store.unit_name(unit.spec) for unit in units_of(content)] == plain
    patient = ["random", {"method": "mo-hb", "settings": {"patience": 4}}]
    changed = [store.unit_name(unit.spec) for unit in units_of(content, methods=patient)]
    assert changed[0] == plain[0]
    assert changed[1] != plain[1]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"eta": 2}, "setting 'eta' is unknown to method 'random': accepted are workers, resumable"),
        ({"worker": 2}, "setting 'worker' is unknown to method 'random' .did you mean workers..: accepted"),
    ],
)
def test_a_setting_that_a_method_does_not_have_is_refused(content, settings, match):
    refused(match, content, methods=[{"method": "random", "settings": settings}])


def test_a_sweep_of_the_study_skips_what_a_method_does_not_have(content):
    study, _ = made(content, sweep={"eta": [2, 3]})
    assert [entry.label for entry in study.methods] == ["random", "mo-hb eta=2", "mo-hb eta=3"]


def test_a_changed_table_changes_the_units(content):
    before = {store.unit_name(unit.spec) for unit in units_of(content)}
    synthetic(40, 2, (1, 3, 9), num_front=6, name="tiny", seed=1).save(content["benchmarks"][0])
    assert not before & {store.unit_name(unit.spec) for unit in units_of(content)}


def test_units_name_the_table_that_methods_learn_from(content):
    units = units_of(content, methods=["random", "primo"])
    learnt_from = {unit.spec["method_name"]: unit.spec["learnt_from"] for unit in units}
    assert learnt_from == {"random": None, "primo": units[0].spec["fingerprint"]}


@pytest.mark.parametrize(
    ("num_seeds", "num_tasks"), [(1, 1), (7, 1), (8, 2), (9, 2), (10, 3), (3, 20), (1000, 7)]
)
def test_ranges_of_seeds_cover_each_seed_once(monkeypatch, num_seeds, num_tasks):
    monkeypatch.setattr(study_units, "LANES_PER_UNIT", 8)
    ranges = study_units._seed_ranges(num_seeds, 8 // num_tasks)
    assert [run for first, size in ranges for run in range(first, first + size)] == list(range(num_seeds))
    sizes = [size for _, size in ranges]
    assert min(sizes) >= 1
    assert len(set(sizes[:-1])) <= 1  # all but the last share their compiled programs
    assert max(sizes) * num_tasks <= 8 or max(sizes) == 1


def test_cutting_a_study_into_units_changes_no_run(content, tmp_path, monkeypatch):
    run(content, tmp_path / "whole", methods=["mo-hb"], seeds=2)
    monkeypatch.setattr(study_units, "LANES_PER_UNIT", 2)
    run(content, tmp_path / "cut", methods=["mo-hb"], seeds=2)
    (whole,), cut = store.read_units(tmp_path / "whole"), store.read_units(tmp_path / "cut")
    assert [(unit.spec["first_run"], unit.spec["num_seeds"]) for unit in cut] == [(0, 1), (1, 1)]
    for task in range(2):
        parts = [unit.log.row[unit.log.task == task] for unit in cut]
        np.testing.assert_array_equal(np.concatenate(parts), whole.log.row[whole.log.task == task])


def test_with_seconds_and_evaluations_both_limits_hold(content, tmp_path):
    seconds = {"task-0": 25.0, "task-1": 1e6}
    run(content, tmp_path / "out", methods=["random"], seconds=seconds, settings={"workers": 1})
    (unit,) = store.read_units(tmp_path / "out")
    num_evaluations = unit.log.valid.sum(axis=1)
    assert unit.spec["horizon"] == seconds
    assert (unit.log.end[unit.log.valid & (unit.log.task == 0)[:, None]] <= 25).all()
    assert (num_evaluations[unit.log.task == 0] < 20).all()  # time ran out
    assert (num_evaluations[unit.log.task == 1] == 20).all()  # evaluations ran out


def test_without_a_budget_the_horizon_is_fifty_average_trainings(content):
    unit = units_of(content, evaluations=None, settings={"workers": 5})[0]
    mean = TABLE.runtime[:, :, -1].mean(axis=1)
    np.testing.assert_allclose(list(unit.spec["horizon"].values()), 10 * mean)


# Folders


def test_a_second_run_repeats_nothing(content, tmp_path):
    out = tmp_path / "out"
    assert run(content, out) == 2
    before = unit_files(out)
    assert len(before) == 2
    assert run(content, out) == 0
    assert unit_files(out) == before


def test_the_caller_learns_of_every_unit(content, tmp_path):
    seen: list[tuple[str, bool]] = []
    study, tables = made(content)
    for _ in range(2):
        studies.run_study(
            study,
            tables,
            tmp_path / "out",
            "mohb",
            lambda unit, seconds, found: seen.append((unit.label, found)),
        )
    assert seen == [("random", False), ("mo-hb", False), ("random", True), ("mo-hb", True)]


@pytest.mark.wide
def test_more_seeds_keep_the_runs_of_the_fewer(content, tmp_path):
    out = tmp_path / "out"
    run(content, out, seeds=2)
    before, fewer = unit_files(out), store.read_units(out)
    run(content, out, seeds=4)
    after, more = unit_files(out), store.read_units(out)
    assert before.items() <= after.items()  # nothing of the smaller study was touched
    assert [unit.spec["num_seeds"] for unit in more] == [4, 4]  # and none of it is counted twice
    for old, new in zip(fewer, more, strict=True):
        kept = new.log.run < 2
        np.testing.assert_array_equal(new.log.row[kept], old.log.row)
        np.testing.assert_array_equal(new.log.end[kept], old.log.end)


def test_two_studies_share_a_folder(content, tmp_path):
    out = tmp_path / "out"
    run(content, out, methods=["random"])
    first, before = store.read_units(out), unit_files(out)
    assert run(content, out, methods=["random", "hb"]) == 1
    assert [unit.spec["method"] for unit in store.read_units(out)] == ["random", "hb"]
    assert run(content, out, methods=["random"]) == 0
    assert_same_units(store.read_units(out), first)
    assert before.items() <= unit_files(out).items()
    rows = [row for row in summarise(out)["rows"] if row["task"] == "all"]
    assert [(row["method"], row["credit"]) for row in rows] == [("random", "full"), ("random", "passed")]


def test_units_are_taken_from_another_folder(content, tmp_path):
    run(content, tmp_path / "first", methods=["random"])
    source = unit_files(tmp_path / "first")
    out = tmp_path / "second"
    study, tables = made(content)
    seen: list[tuple[str, bool]] = []
    num_run = studies.run_study(
        study,
        tables,
        out,
        "mohb",
        lambda unit, seconds, found: seen.append((unit.label, found)),
        reuse=[tmp_path / "first"],
    )
    assert num_run == 1
    planned = studies.plan_of(study, tables, tmp_path / "third", reuse=[tmp_path / "first"])
    assert [(row["method"], row["done"]) for row in planned] == [("random", 1), ("mo-hb", 0)]
    assert seen == [("random", True), ("mo-hb", False)]
    assert set(source) < set(unit_files(out))
    assert unit_files(tmp_path / "first") == source
    assert_same_units(store.read_units(out)[:1], store.read_units(tmp_path / "first"))
    assert run(content, out) == 0


def test_a_damaged_unit_of_another_folder_is_not_taken(content, tmp_path):
    run(content, tmp_path / "first")
    for path in (tmp_path / "first" / "units").iterdir():
        path.write_bytes(cut_short(path.read_bytes()))
    study, tables = made(content)
    out = tmp_path / "second"
    assert studies.run_study(study, tables, out, "mohb", reuse=[tmp_path / "first"]) == 2


def test_a_folder_to_reuse_has_to_hold_a_study(content, tmp_path):
    study, tables = made(content)
    with pytest.raises(InputError, match="not a study folder"):
        studies.run_study(study, tables, tmp_path / "out", "mohb", reuse=[tmp_path])
    assert not (tmp_path / "out").exists()


def cut_short(content: bytes) -> bytes:
    return content[:-100]


def changed_inside(content: bytes) -> bytes:
    return content[:200] + bytes(200) + content[400:]


@pytest.mark.parametrize("damage", [cut_short, changed_inside])
def test_a_damaged_unit_is_done_again(content, tmp_path, damage):
    out = tmp_path / "out"
    run(content, out)
    whole, before = store.read_units(out), unit_files(out)
    broken = out / sorted(before)[0]
    broken.write_bytes(damage(broken.read_bytes()))
    assert run(content, out) == 1
    assert_same_units(store.read_units(out), whole)
    assert [name for name, changed in unit_files(out).items() if changed != before[name]] == [
        sorted(before)[0]
    ]


def test_leftovers_of_a_killed_run_are_removed(content, tmp_path):
    out = tmp_path / "out"
    run(content, out, methods=["random"])
    (out / f"study.json.123{store.PARTIAL}").write_text("half")
    (out / "units" / f"abc.parquet.123{store.PARTIAL}").write_text("half")
    run(content, out)
    assert not [name for name in files(out) if name.endswith(store.PARTIAL)]
    assert len(unit_files(out)) == 2


def test_a_run_killed_before_its_first_file_may_begin_again(content, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / f"study.json.123{store.PARTIAL}").write_text("half")
    assert run(content, out, methods=["random"]) == 1
    assert not [name for name in files(out) if name.endswith(store.PARTIAL)]


def test_a_folder_of_other_files_is_left_alone(content, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("words")
    with pytest.raises(
        InputError, match="thesis holds other files and no study: --out needs a new, empty or"
    ):
        run(content, out)
    assert list(files(out)) == ["chapter.tex"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_folder(content, tmp_path, name):
    (tmp_path / "file").write_text("words")
    with pytest.raises(InputError, match=r"is a file: --out needs a folder|cannot be made"):
        run(content, tmp_path / name)
    assert (tmp_path / "file").read_text() == "words"


def test_an_error_in_the_second_method_leaves_no_partial_result(content, tmp_path):
    with pytest.raises(InputError, match="'none' is unknown"):
        run(content, tmp_path / "out", methods=["random", "none"])
    assert not (tmp_path / "out").exists()


# Killed runs


def command(content: dict[str, Any], out: Path) -> list[str]:
    options = [part for method in METHODS for part in ("--method", method)]
    fixed = [
        "--benchmark",
        content["benchmarks"][0],
        "--seeds",
        "3",
        "--evaluations",
        "20",
        "--out",
        str(out),
    ]
    return ["run", *fixed, *options]


@pytest.fixture
def environment() -> dict[str, str]:
    """Of a subprocess: it imports this repository and shares the programs that the tests compile."""
    root = Path(__file__).parents[1]
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(root / ".jax_cache"))
    return os.environ | {"PYTHONPATH": str(root), "JAX_COMPILATION_CACHE_DIR": cache}


@pytest.fixture
def undisturbed(content: dict[str, Any], tmp_path: Path) -> list[Unit]:
    run(content, tmp_path / "undisturbed", methods=list(METHODS))
    return store.read_units(tmp_path / "undisturbed")


def finish(content: dict[str, Any], out: Path) -> None:
    """Goes on with a killed run, in this process, and checks that it keeps what was finished."""
    before = unit_files(out)
    whole = {name: changed for name, changed in before.items() if not name.endswith(store.PARTIAL)}
    assert run(content, out, methods=list(METHODS)) == len(METHODS) - len(whole)
    assert whole.items() <= unit_files(out).items()
    assert len(unit_files(out)) == len(METHODS)


@pytest.mark.wide
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with SIGKILL")
def test_the_ablation_killed_three_times_ends_with_the_same_rows(tmp_path, environment):
    """A small part of studies/ablation.yaml; the moments are random, from a fixed seed."""
    study = yaml.safe_load((Path(__file__).parents[1] / "studies" / "ablation.yaml").read_text())
    study |= {"benchmarks": ["embedded"], "methods": study["methods"][:1], "seeds": 2, "reference": None}
    study |= {"evaluations": 27, "sweep": study["sweep"] | {"eta": [3], "workers": [4]}}
    study["sweep"]["promotion"] = ["net", "random"]
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(study))
    small, out = studies.load_study(tmp_path / "small.yaml"), tmp_path / "out"
    arguments = ["run", str(tmp_path / "small.yaml"), "--out", str(out)]
    random = np.random.default_rng(0)
    for blow in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "mohb_jax.cli", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("units/*.parquet"))) > blow:
                time.sleep(random.uniform(0, 0.5))
                break
            time.sleep(0.002)
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), errors.decode()  # 0: it was faster than the blow
        assert all(store.is_whole(path) for path in out.glob("units/*.parquet"))
    tables = studies.load_tables(small)
    before = unit_files(out)
    kept = {name: changed for name, changed in before.items() if not name.endswith(store.PARTIAL)}
    assert len(kept) >= 3
    assert studies.run_study(small, tables, out, "mohb run") == 4 - len(kept)
    assert kept.items() <= unit_files(out).items()
    studies.run_study(small, tables, tmp_path / "undisturbed", "mohb run")
    assert_same_units(store.read_units(out), store.read_units(tmp_path / "undisturbed"))


KILLED_WHILE_WRITING = """
import os, signal, sys
import pyarrow.parquet as pq
from mohb_jax import cli
whole, count = pq.write_table, 0
def write_table(table, path, **options):
    global count
    count += 1
    whole(table, path, **options)
    if count == 3:
        with open(path, "rb+") as file:
            file.truncate(100)
        os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = write_table
cli.main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process with SIGKILL")
def test_a_run_killed_while_it_writes_goes_on_to_the_same_end(content, tmp_path, environment, undisturbed):
    out = tmp_path / "out"
    result = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, *command(content, out)],
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    names = [Path(name).suffix for name in unit_files(out)]
    assert sorted(names) == [".parquet", ".parquet", store.PARTIAL]
    assert len(store.read_units(out)) == 2  # a report of what is there is possible at once
    finish(content, out)
    assert_same_units(store.read_units(out), undisturbed)


def test_another_study_in_the_folder_is_noticed(content, tmp_path):
    out = tmp_path / "out"
    assert not studies.replaces_another(made(content)[0], out)
    run(content, out)
    assert not studies.replaces_another(made(content)[0], out)
    assert studies.replaces_another(made(content, seeds=7)[0], out)


def test_an_unknown_method_is_named_before_the_reference(content):
    with pytest.raises(InputError, match="method 'randm' is unknown"):
        made(content, methods=["randm"], reference="random")


def test_fewer_draws_than_groups_of_runs_are_told(tmp_path: Path):
    related_tasks().save(tmp_path / "related.npz")
    content = {"benchmarks": [str(tmp_path / "related.npz")], "methods": ["random+prior", "random"]}
    content |= {"seeds": 6, "evaluations": 8, "settings": {"draws": 4}}
    (told,) = studies.remarks(units_of(content))
    assert re.match(
        r"6 runs of random\+prior on .* share 4 draws of the prior: their intervals are too", told
    )
    assert not studies.remarks(units_of(content | {"seeds": 4}))
    assert not studies.remarks(units_of(content | {"seeds": 600, "settings": {"draws": 64}}))


@pytest.mark.wide
def test_a_damaged_calibration_is_named_and_loses_nothing(tmp_path: Path):
    related_tasks(num_rows=20, num_tasks=2).save(tmp_path / "related.npz")
    content = {"benchmarks": [str(tmp_path / "related.npz")], "methods": ["random+prior"]}
    content |= {"seeds": 2, "evaluations": 5, "settings": {"draws": 4}}
    folder = tmp_path / "study"
    assert run(content, folder) == 1
    whole = (folder / "calibration.json").read_text(encoding="utf-8")
    (folder / "calibration.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(InputError, match=r"calibration\.json: row 1 is 1"):
        run(content, folder)
    (folder / "calibration.json").unlink()
    assert run(content, folder) == 0  # the unit was kept
    assert (folder / "calibration.json").read_text(encoding="utf-8") == whole


# Sweeps, plans and what happens around a run


def test_a_sweep_makes_a_method_of_each_combination(content):
    mine = {"method": "mo-hb", "name": "mine", "sweep": {"eta": [2, 3], "mode": ["overlap"]}}
    study, tables = made(content, methods=["random", mine])
    labels = ["random", "mine eta=2 mode=overlap", "mine eta=3 mode=overlap"]
    assert [entry.label for entry in study.methods] == labels
    units = studies.work_units(study, tables)
    assert [unit.spec["settings"].get("eta") for unit in units] == [None, 2, 3]
    listed, _ = made(content, methods=["hb"], sweep=[{"eta": 2, "R": 3}, {"eta": 4, "weights": [1, 0]}])
    assert [entry.label for entry in listed.methods] == ["hb eta=2 R=3", "hb eta=4 weights=1/0"]
    assert studies.make_study(listed.model_dump(), "here") == listed


def test_results_under_a_former_default_are_not_taken_for_those_under_the_new(content):
    """Brackets waited once by default: results from then have names without a mode, and answer a barrier."""
    barrier = {"method": "mo-hb", "name": "waits", "settings": {"mode": "barrier"}}
    study, tables = made(content, methods=["mo-hb", barrier])
    default, waits = studies.work_units(study, tables)
    assert (default.spec["own"], waits.spec["own"]) == ({"mode": "overlap"}, {})
    assert default.spec["settings"]["mode"] == "overlap"


def test_runs_that_may_use_their_table_up_are_not_those_of_before(content):
    """Such runs ended once when they had seen every row; all others keep their names."""
    specs = [unit.spec for number in (9, 500) for unit in units_of(content, evaluations=number)]
    assert [(s["method"], s.get("stopped_rows")) for s in specs] == [
        ("random", None),
        ("mo-hb", None),
        ("random", None),
        ("mo-hb", "go on"),
    ]


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path):
    text = "name: on\nbenchmarks: [a]\nmethods: [mo-hb]\nsettings: {min_fidelity: 1e-2, R: null}"
    study = load(tmp_path, text)
    assert (study.name, study.settings) == ("on", {"min_fidelity": 0.01, "R": None})
    load(tmp_path, text.replace("R: null", "workers: 1e0, brackets: 2e0"))
    words = read_yaml("[1e2, 1e-04, .5, 0010, 0x10, 1_000, off, no, true, 1:30, 2024-13-45, ~]")
    assert words == [100.0, 1e-4, 0.5, 10, 16, 1000, "off", "no", True, "1:30", "2024-13-45", None]


@pytest.mark.parametrize(
    ("text", "line", "match"),
    [
        ("methods: [random]\nseeds: x\nbenchmarks: [a]", 2, "seeds"),
        ("benchmarks: [a]\nmethods:\n  - random\n  - {method: hb, settings: {eta: x}}", 4, "eta"),
        ("benchmarks: [a]\nmethods:\n  - random\n  - nothing", 4, "'nothing' is unknown"),
        ("benchmarks: [a]\nmethods: [hb]\n\nreference: mo-hb", 4, "reference"),
        ("benchmarks: [a]\nmethods: [hb]\nextra: 1", 3, "unknown key 'extra'"),
        ("benchmarks: [a]\nmethods:\n  - hb\nsweep: {eta: [0.5]}", 4, "eta is 0.5"),
        ("benchmarks: [a]\nmethods: [hb]\nseeds: 5\nsettings:\n  eta: 0.5", 5, "eta is 0.5"),
        (
            "benchmarks: [a]\nsettings: {eta: 3}\nmethods:\n  - method: hb\n    settings: {eta: 0.5}",
            5,
            "eta is 0.5",
        ),
        ("benchmarks: [a]\nmethods: [hb]\nsweep: {eta: []}", 2, "eta has no values"),
        ("benchmarks: [a]\nmethods: [hb]\nengine: {name: slurm}", 3, "engine.name"),
    ],
)
def test_errors_name_the_line_of_the_file(tmp_path, text, line, match):
    with pytest.raises(InputError, match=match) as caught:
        load(tmp_path, text)
    assert f"study.yaml, line {line}: " in str(caught.value)


def changed_table(folder: Path, **changes: Any) -> str:
    """Path of the small table with other parts."""
    path = folder / "changed.npz"
    dataclasses.replace(TABLE, **changes).save(path)
    return str(path)


def test_what_reports_cannot_compare_is_refused_before_the_run(content, tmp_path):
    assert MOST_COMPARED == MAX_EXACT_OBJECTIVES
    more = tuple(Objective(f"o{m}", "min", "1") for m in range(5))
    path = changed_table(tmp_path, objectives=more, costs=np.repeat(TABLE.costs[..., :1], 5, axis=-1))
    with pytest.raises(
        InputError, match=r"has 5 objectives \(o0, .*compare 4 at most: choose with --objective"
    ):
        made(content, benchmarks=[path])
    assert made(content, benchmarks=[{"name": path, "objectives": ["o3", "o0"]}])


def test_evaluations_without_runtime_need_a_budget(content, tmp_path):
    runtime = TABLE.runtime.copy()
    runtime[1] = 0
    path = changed_table(tmp_path, runtime=runtime, provenance="Imported. Runtime: column 'seconds'.")
    for seconds in (None, 10):
        with pytest.raises(InputError, match=r"task 'task-1': the runtime .* is 0, .*--evalua.*'seconds'"):
            units_of(content, benchmarks=[path], evaluations=None, seconds=seconds)
    assert units_of(content, benchmarks=[path])


def test_what_methods_make_of_the_fidelities_is_told(content, tmp_path):
    assert studies.remarks(units_of(content)) == []
    path = changed_table(tmp_path, fidelities=(1, 5, 9))
    units = units_of(content, benchmarks=[path], methods=["random", "hb", "mo-hb"])
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"  # of names that a sweep makes
    assert studies.remarks(units) == [f"no rung of hb, mo-hb lies at {TABLE.fidelity_name} 5 of tiny (eta 3)"]
    assert studies.remarks(units_of(content, benchmarks=[path], settings={"eta": 1.5})) == []
    TABLE.at_maximum().save(tmp_path / "one.npz")
    units = units_of(content, benchmarks=[str(tmp_path / "one.npz")])
    assert studies.remarks(units) == [
        "tiny has one fidelity: only a model tells mo-hb from random search there",
        "random, mo-hb are one method on tiny, by construction",
    ]


@pytest.mark.wide
def test_methods_that_plan_the_same_are_named(content):
    def same(**changes) -> dict[str, list[list[str]]]:
        return alike(units_of(content, **changes))

    both = [{"method": "mo-hb"}, {"method": "mo-hb", "name": "again", "settings": {"eta": 3.0}}, "random"]
    assert same(methods=both) == {"tiny": [["mo-hb", "again"]]}
    rules = [{"method": "mo-hb"}, {"method": "hb"}]
    rules += [{"method": "hb", "name": "r", "settings": {"promotion": "random"}}]
    assert same(methods=rules) == {}
    first = [{"name": content["benchmarks"][0], "objectives": ["objective-0"]}]
    assert same(methods=rules, benchmarks=first) == {"tiny": [["mo-hb", "hb"]]}
    more = {"methods": ["mo-asha", "asha", "random"], "benchmarks": first}
    assert same(**more) == {"tiny": [["mo-asha", "asha"]]}
    runs = [unit.run() for unit in units_of(content, **more)]
    np.testing.assert_array_equal(runs[0].row, runs[1].row)
    np.testing.assert_array_equal(runs[0].end, runs[1].end)


def test_the_plan_counts_what_is_left(content, tmp_path):
    study, tables = made(content)
    before = studies.plan_of(study, tables, tmp_path / "out")
    assert [(row["method"], row["units"], row["runs"], row["done"]) for row in before] == [
        ("random", 1, 6, 0),
        ("mo-hb", 1, 6, 0),
    ]
    assert all(row["evaluations"] == 20 and row["seconds"] > 0 and row["compiling"] > 1 for row in before)
    run(content, tmp_path / "out", methods=["random"])
    after = studies.plan_of(study, tables, tmp_path / "out")
    for what in ("seconds", "compiling"):
        assert [(row["done"], row[what] > 0) for row in after] == [(1, False), (0, True)]


def test_variants_of_a_method_share_most_of_their_compilation(content, tmp_path):
    study, tables = made(content, methods=["mo-hb", "hb"], sweep={"eta": [2, 3, 4]})
    rows = studies.plan_of(study, tables, tmp_path / "out")
    seconds = {row["method"]: row["compiling"] for row in rows}
    first, second, third = (seconds[f"mo-hb eta={eta}"] for eta in (2, 3, 4))
    assert second == third < first / 2
    assert seconds["hb eta=2"] > seconds["hb eta=3"]


def test_memory_bounds_a_unit(content):
    assert len(units_of(content, seeds=60)) == 2
    whole = units_of(content, seeds=60)[0]
    bound = 10 * whole.size.bytes
    small = units_of(content, seeds=60, memory=bound / 2**30)
    assert len(small) == 2 * 12
    assert all(unit.num_lanes * unit.size.bytes <= bound for unit in small)


def test_two_processes_do_not_share_a_folder(content, tmp_path):
    (tmp_path / "out").mkdir()
    with store.alone_in(tmp_path / "out"), pytest.raises(InputError, match="in use by another mohb"):
        run(content, tmp_path / "out")
    assert run(content, tmp_path / "out") == 2


def test_a_full_disk_keeps_what_is_finished(content, tmp_path, monkeypatch):
    write, calls = store.pq.write_table, []

    def fills_up(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            Path(args[1]).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        write(*args, **options)

    monkeypatch.setattr(store.pq, "write_table", fills_up)
    with pytest.raises(OSError, match="No space left"):
        run(content, tmp_path / "out")
    assert len(unit_files(tmp_path / "out")) == 1
    assert run(content, tmp_path / "out") == 1


def test_the_study_keeps_a_log_and_counts_programs(content, tmp_path):
    run(content, tmp_path / "out")
    text = (tmp_path / "out" / store.LOG).read_text()
    assert "2 of 2 units to run" in text
    assert "tiny mo-hb: 6 runs in" in text
    before = store.read_compilation(tmp_path / "out")["programs"]
    run(content, tmp_path / "out")
    assert store.read_compilation(tmp_path / "out")["programs"] >= before


def test_traced_settings_share_compiled_programs(content, tmp_path):
    """Prices, prior strength, checkpoints and horizons are data: sweeping them compiles nothing."""
    sweep = [{"resumable": True}, {"resumable": False}]
    run(content, tmp_path / "one", methods=["mo-hb"], settings={"resumable": True})
    run(content, tmp_path / "two", methods=["mo-hb"], sweep=sweep)
    assert store.read_compilation(tmp_path / "two")["programs"] <= 2


@pytest.mark.wide
def test_a_benchmark_at_several_prices(tmp_path):
    (tmp_path / "spot.yaml").write_text("ml.p3.2xlarge: 0.01\nml.c5.4xlarge: 0.02\nml.m5.xlarge: 9\n")
    cheap = {"name": "synthetic-cloud", "label": "cheap GPU", "prices": str(tmp_path / "spot.yaml")}
    study = studies.make_study(
        {"benchmarks": ["synthetic-cloud", cheap], "methods": ["mo-hb"], "seeds": 3, "evaluations": 110},
        "here",
    )
    tables = studies.load_tables(study)
    assert [table.name for _, table in tables] == ["synthetic-cloud", "cheap GPU"]
    assert studies.run_study(study, tables, tmp_path / "out", "mohb run") == 2
    one, other = (unit.log for unit in store.read_units(tmp_path / "out"))
    assert (one.row[:, :81] == other.row[:, :81]).all()  # the first rung is random
    assert (one.row != other.row).any()  # what is promoted depends on prices
    assert summarise(tmp_path / "out")["rows"]
    with pytest.raises(InputError, match="stands in the study twice: give each a label"):
        studies.load_tables(
            studies.make_study(study.model_dump() | {"benchmarks": ["synthetic", "synthetic"]}, "here")
        )


def test_units_that_run_together_come_in_order_and_give_what_they_give_alone(content):
    units = units_of(content, methods=["mo-hb", "random", "hb"])
    alone = list(studies.in_this_process(units, memory=0.0))
    together = list(studies.in_this_process(units))
    assert [unit for unit, _, _ in together] == [unit for unit, _, _ in alone] == units
    for (_, one, _), (_, other, _) in zip(alone, together, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
