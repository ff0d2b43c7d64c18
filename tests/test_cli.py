"""The command line: what works prints what it did, and what does not ends in one line and exit code 2."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import benchmarks, cli, store
from mohb_jax.cli import run, systems
from mohb_jax.ensembles.judging import WAYS
from mohb_jax.methods import METHODS, SHIPPED
from mohb_jax.papers import PAPERS
from mohb_jax.scheduling import MODES

ROOT = Path(__file__).parents[1]


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def mohb(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in this process, in an empty folder, and returns what a shell would see."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("MOHB_DATA", raising=False)

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def table(tmp_path: Path) -> str:
    """The path of a small table."""
    synthetic(30, 1, (1, 3, 9), num_front=6, name="tiny").save(tmp_path / "tiny.npz")
    return str(tmp_path / "tiny.npz")


def plain(text: str) -> str:
    """Help as words, whatever frames and colours it was given."""
    return re.sub(r"\x1b\[[0-9;]*m|[^\S ]|[│╭╮╰╯─]", " ", text)


def assert_refused(result: Result, *parts: str) -> None:
    """One line on stderr that says all of ``parts``, nothing on stdout, exit code 2, no file made."""
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("mohb: ")
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    assert "Traceback" not in result.err
    for part in parts:
        assert part in result.err
    assert list(Path().iterdir()) == []


# Bad input


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("frobnicate", ["frobnicate"]),
        ("--nope", ["--nope"]),
        ("run --nope", ["--nope"]),
        ("run a.yaml b.yaml", ["b.yaml"]),
        ("run --seeds", ["--seeds"]),
        ("run --seeds 0", ["seeds is 0", "greater than or equal to 1"]),
        ("run --seeds -1", ["seeds is -1"]),
        ("run --seeds abc", ["--seeds", "valid integer"]),
        ("run --seed -1", ["seed is -1"]),
        ("run --seed 9223372036854775808", ["seed is 9223372036854775808"]),
        ("run --eta 1", ["eta is 1", "at least 1.1"]),
        ("run --eta nan", ["eta is nan"]),
        ("run --workers 0", ["workers is 0", "at least 1"]),
        ("run --workers 1.5", ["--workers", "valid integer"]),
        ("run --evaluations 0", ["evaluations is 0"]),
        ("run --seconds -1", ["seconds is -1.0", "positive"]),
        ("run --seconds nan", ["seconds is nan"]),
        ("run --seconds inf", ["seconds is inf"]),
        ("run --set mode", ["--set 'mode'", "NAME=VALUE"]),
        ("run --set mode=2024-13-45", ["mode is '2024-13-45'", "barrier, overlap"]),
        ("run --set mode=later", ["mode is 'later'", "barrier, overlap"]),
        ("run --set etta=3", ["'etta' is unknown", "eta, first_rung"]),
        ("run --set eta=three", ["eta is 'three'", "valid number"]),
        ("run --method mohb", ["'mohb' is unknown", "did you mean mo-hb?", ", ".join(METHODS)]),
        ("run --method hb --method hb", ["'hb' stands there twice"]),
        ("run --benchmark embeded", ["'embeded'", "did you mean 'embedded'?", *benchmarks.names()]),
        ("run --benchmark none.npz", ["'none.npz' does not exist"]),
        ("run --benchmark embedded --task nope", ["'nope'", "digits", "diabetes"]),
        ("run --benchmark embedded --objective nope", ["'nope'", "error, runtime, cost"]),
        ("run --benchmark trimtuner-cnn --data .", ["trimtuner/cnn.csv", "does not exist"]),
        ("run --benchmark trimtuner-cnn --data none", ["'none'", "does not exist"]),
        ("run none.yaml", ["study file none.yaml does not exist"]),
        ("run .", ["study file . cannot be read"]),
        ("report none", ["'none' does not exist"]),
        ("report .", ["not a study folder", "mohb run --out DIR"]),
        ("report", ["DIR"]),
        ("list", ["methods|benchmarks|papers"]),
        ("list foo", ["'foo'", "methods, benchmarks, papers"]),
        ("bench foo", ["'foo'", "hyperband, kernels"]),
        ("bench kernls", ["did you mean kernels?"]),
        ("data frobnicate", ["frobnicate"]),
        ("data fetch foo", ["'foo'", "trimtuner-cnn"]),
        ("data check foo", ["'foo'", "trimtuner-cnn"]),
        ("data fetch trimtuner-rnn --data .", ["trimtuner/rnn.csv"]),
        ("data check --data none", ["'none'"]),
        ("data import a.csv --out a.npz", ["--spec"]),
        ("data import a.csv --spec a.yaml", ["--out"]),
        ("data import a.csv --spec a.yaml --out a.csv", ["a.csv", ".npz"]),
        ("data import a.csv --spec a.yaml --out none/a.npz", ["folder none does not exist"]),
        ("data import a.csv --spec none.yaml --out a.npz", ["none.yaml"]),
    ],
)
def test_bad_input_is_one_line(mohb, line, parts):
    assert_refused(mohb(*line.split()), *parts)


def test_a_bad_method_runs_none_of_the_good_ones(mohb, table):
    assert_refused(mohb("run", "--benchmark", table, "--method", "random", "--method", "nope"), "'nope'")


def test_out_on_a_file_or_a_strange_folder_is_refused(mohb, table, tmp_path):
    (tmp_path / "file").write_text("words")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "chapter.tex").write_text("words")
    start = ("run", "--benchmark", table, "--method", "random", "--seeds", "2", "--evaluations", "3", "--out")
    assert_refused(mohb(*start, tmp_path / "file"), "is a file: --out needs a folder")
    assert_refused(mohb(*start, tmp_path / "file" / "below"), "cannot be made")
    assert_refused(mohb(*start, tmp_path / "full"), "holds other files and no study")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["chapter.tex"]


def test_a_study_file_in_which_something_is_wrong_is_named(mohb, tmp_path):
    (tmp_path / "bad.yaml").write_text("benchmarks: [embedded]\nmethods: [hb]\nseedz: 3\n")
    assert_refused(mohb("run", tmp_path / "bad.yaml"), "bad.yaml", "'seedz'", "seeds")


def test_no_command_shows_the_commands(mohb):
    result = mohb()
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "report" in result.out


def test_a_file_that_cannot_be_written_is_one_line(mohb, imported, tmp_path):
    (tmp_path / "folder.npz").mkdir()
    csv_file, spec = imported
    result = mohb("data", "import", csv_file, "--spec", spec, "--out", tmp_path / "folder.npz")
    assert_refused(result, "folder.npz", "cannot be read or written")
    assert not list(tmp_path.glob("*.part"))


def test_a_wrong_file_to_import_is_named(mohb, imported, tmp_path):
    csv_file, spec = imported
    for name, content in (
        ("none.csv", None),
        ("empty.csv", b""),
        ("bad.parquet", b"words"),
        ("a.xlsx", b"x"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        assert_refused(mohb("data", "import", tmp_path / name, "--spec", spec, "--out", "my.npz"), name)
    assert_refused(mohb("data", "import", csv_file, "--spec", csv_file, "--out", "my.npz"), csv_file.name)


def test_a_damaged_result_says_how_to_mend_it(mohb, table, tmp_path):
    arguments = ("run", "--benchmark", table, "--method", "random", "--seeds", "2", "--evaluations", "3")
    assert mohb(*arguments, "--out", tmp_path / "out").code == 0
    (unit,) = (tmp_path / "out" / "units").iterdir()
    unit.write_bytes(unit.read_bytes()[:-20])
    assert_refused(mohb("report", tmp_path / "out"), unit.name, "damaged", "run the study again")
    assert mohb(*arguments, "--out", tmp_path / "out").code == 0
    assert store.is_whole(unit)


# Help and lists


def test_help_names_commands_and_options(mohb):
    text = plain(mohb("--help").out)
    for command in ("run", "report", "list", "data", "bench"):
        assert f" {command} " in text
    text = plain(mohb("run", "--help").out)
    for option in ("benchmark", "method", "task", "objective", "seeds", "seed", "evaluations", "seconds"):
        assert f"--{option} " in text
    for option in ("workers", "eta", "out", "data"):
        assert f"--{option} " in text
    text = plain(mohb("data", "import", "--help").out)
    assert "--spec" in text
    assert "--out" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new-method", "mo-hb"), "'mo-hb' is that of a method of this package"),
        (("list", "benchmarks", "embedded"), "accepted after methods alone"),
    ],
)
def test_names_that_lead_nowhere_are_refused(mohb, tmp_path, arguments, message):
    result = mohb(*arguments)
    assert result.code == 2
    assert message in result.err
    assert not Path("mo-hb").exists()


def test_the_settings_of_a_method_are_listed(mohb):
    shown = mohb("list", "methods", "mo-hb").out
    assert "non-dominated sorting" in shown
    assert all(name in shown for name in ("eta", "reduction factor", "promotion"))
    assert "no settings" in mohb("list", "methods", "random").out
    entry = json.loads(mohb("list", "methods", "mo-hb", "--json").out)
    assert {"name": "eta", "default": 3, "help": "reduction factor: one in eta goes on", "unit": ""} in entry[
        "settings"
    ]
    wrong = mohb("list", "methods", "mohb")
    assert wrong.code == 2
    assert "did you mean mo-hb" in wrong.err


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("methods", SHIPPED),
        ("benchmarks", benchmarks.names()),
        ("papers", [f"mohb reproduce {name}" for name in PAPERS]),
        ("systems", [entry["name"] for entry in systems.systems()]),
    ],
)
def test_lists(mohb, what, names):
    entries = json.loads(mohb("list", what, "--json").out)
    assert [entry["name"] for entry in entries] == list(names)
    assert all(entry["summary"] and entry["needs"] for entry in entries)
    text = mohb("list", what).out
    assert all(name in text for name in names)


def test_listed_systems_are_those_there_are():
    assert tuple(systems.ENSEMBLE) == WAYS
    assert tuple(systems.CLUSTER) == MODES


def test_check_says_what_is_missing(mohb, tmp_path):
    result = mohb("data", "check", "--data", tmp_path)
    assert result.code == 1
    lines = result.out.splitlines()
    assert {"trimtuner-cnn", "trimtuner-rnn"} <= {line.split()[0] for line in lines}
    assert all("missing" in line.split() for line in lines)


# What works


def test_options_go_before_the_study_file(mohb, table, tmp_path):
    study = {
        "name": "mine",
        "benchmarks": [table],
        "methods": ["random", "hb"],
        "seeds": 50,
        "evaluations": 9,
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study | {"settings": {"workers": 3}}))
    options = (
        "--method",
        "hb",
        "--seeds",
        "2",
        "--workers",
        "2",
        "--seed",
        "5",
        "--objective",
        "objective-1",
    )
    result = mohb("run", tmp_path / "study.yaml", *options)
    assert result.code == 0, result.err
    (unit,) = store.read_units(Path("runs/mine"))
    wanted = {"method": "hb", "num_seeds": 2, "seed": 5, "evaluations": 9, "objectives": ["objective-1"]}
    assert wanted.items() <= unit.spec.items()
    assert unit.spec["settings"]["workers"] == 2


@pytest.fixture
def imported(tmp_path: Path) -> tuple[Path, Path]:
    """A spreadsheet's export, with a byte-order mark and semicolons, and what its columns mean."""
    rows = [
        [machine, rate, epochs, round(0.5 + 0.1 * epochs - rate, 3), price * epochs, price * 10 * epochs]
        for machine, price in (("small", 1), ("big", 3))
        for rate in (0.001, 0.01, 0.1, 0.2)
        for epochs in (1, 3)
    ]
    with (tmp_path / "data.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["machine", "rate", "epochs", "accuracy", "dollars", "seconds"])
        writer.writerows(rows)
    spec = {
        "name": "mine",
        "columns": {"machine": {"kind": "categorical", "role": "hardware"}, "rate": {"kind": "log"}},
        "fidelity": {"column": "epochs", "unit": "epoch"},
        "objectives": {
            "accuracy": {"sense": "max", "unit": "fraction"},
            "dollars": {"sense": "min", "unit": "USD"},
        },
        "runtime": {"column": "seconds", "unit": "s"},
    }
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path / "data.csv", tmp_path / "spec.yaml"


def test_a_first_specification_of_a_file(mohb, imported):
    csv_file, _ = imported
    result = mohb("data", "import", csv_file, "--guess", "--out", "first.yaml")
    assert result.code == 0, result.err
    assert "16 rows of" in result.out
    assert "  accuracy  objective: 0.4" in result.out
    command = result.out.splitlines()[-1].partition("then: mohb ")[2]
    assert command == f"data import {csv_file} --spec first.yaml --out data.npz"
    result = mohb(*command.split())
    assert result.code == 0, result.err
    assert benchmarks.load("data.npz").num_rows == 8
    for option, message in ("--out", "first.yaml is there already"), ("--spec", "leave out --spec"):
        refused = mohb("data", "import", csv_file, "--guess", option, "first.yaml")
        assert refused.code == 2
        assert message in refused.err


def test_an_import_says_what_it_made_of_the_file(mohb, imported, tmp_path):
    csv_file, spec = imported
    csv_file.write_text(
        csv_file.read_text("utf-8-sig").replace("big", "big;").replace("machine", "machine;note")
    )
    csv_file.write_text(csv_file.read_text().replace("small", "small;").replace(";3;30", ";;30"))
    content = yaml.safe_load(spec.read_text())
    content["objectives"]["dollars"]["unit"] = "mJ"
    spec.write_text(yaml.safe_dump(content))
    arguments = ("data", "import", csv_file, "--spec", spec, "--out", "my.npz")
    out = mohb(*arguments).out
    for line in (
        "  machine   categorical, hardware: big, small",
        "  epochs    fidelity [epoch]: 1, 3",
        "  dollars   objective, min [mJ]: 1, 9; 8 of 16 are missing",
        "Not used: note",
        "Note: mJ: no unit that is known here, taken as a label",
    ):
        assert line in out
    assert "replaced" not in out
    assert "my.npz held Table('mine', 1 tasks x 8 rows" in mohb(*arguments).out
    Path("my.npz").write_bytes(b"mine")
    refused = mohb(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert "my.npz: it holds something else than a table, and is kept" in refused.err
    assert Path("my.npz").read_bytes() == b"mine"


def test_an_import_tells_what_a_run_will_need(mohb, tmp_path):
    header = "x,s," + ",".join(f"o{m}" for m in range(5))
    (tmp_path / "a.csv").write_text(f"{header}\n" + "".join(f"{x},0,1,2,3,4,{x}\n" for x in range(3)))
    goals = ", ".join(f"o{m}: {{sense: min}}" for m in range(5))
    text = f"name: a\ncolumns: {{x: {{kind: ordinal}}}}\nobjectives: {{{goals}}}\nruntime: {{column: s}}\n"
    (tmp_path / "a.yaml").write_text(text)
    out = mohb("data", "import", tmp_path / "a.csv", "--spec", tmp_path / "a.yaml", "--out", "a.npz").out
    assert "There is one fidelity: mo-hb and others with rungs are random search" in out
    assert "needs --objective" in out
    assert "The runtime is 0 in task a: mohb run needs --evaluations" in out
    assert "--method mo-hb" not in out


def test_from_a_spreadsheet_to_a_report(mohb, imported):
    csv_file, spec = imported
    result = mohb("data", "import", csv_file, "--spec", spec, "--out", "my.npz")
    assert result.code == 0, result.err
    assert "Next: mohb run --benchmark my.npz" in result.out
    assert benchmarks.load("my.npz").num_rows == 8

    methods = ("--method", "mo-hb", "--method", "random")
    result = mohb("run", "--benchmark", "my.npz", *methods, "--seeds", "3", "--evaluations", "30")
    assert result.code == 0, result.err
    assert "Next: mohb report runs/my" in result.out
    assert "mo-hb" in result.out
    assert result.err == ""  # no progress bar where there is no terminal
    shown = result.out.split()
    assert [line.split()[:2] for line in result.out.splitlines()].count(["mine", "random"]) == 1
    assert "random found all of the true front of mine in every run" in result.out  # of eight rows

    result = mohb("report", "runs/my")
    assert result.code == 0, result.err
    assert "open runs/my/report/index.html" in result.out
    summary = json.loads(Path("runs/my/report/summary.json").read_text())
    rows = {row["method"]: row for row in summary["rows"] if row["task"] == "all"}
    assert set(rows) == {"mo-hb", "random"}
    for row in rows.values():
        low, high = row["hypervolume"]["ci95"]
        assert 0 <= low <= row["hypervolume"]["mean"] <= high <= 1
        assert row["num_seeds"] == 3
        assert f"{row['hypervolume']['mean']:.4f}" in shown

    options = ("--seeds", "3", "--evaluations", "30", "--report")
    again = mohb("run", "--benchmark", "my.npz", *methods, *options)
    assert "Ran 0 units" in again.out
    assert "2 were there already" in again.out
    assert "open runs/my/report/index.html" in again.out
    assert json.loads(Path("runs/my/report/summary.json").read_text())["rows"] == summary["rows"]


# Signals and pipes


def test_an_interruption_ends_in_one_line(mohb, table, monkeypatch):
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_and_say", interrupted)
    result = mohb("run", "--benchmark", table, "--method", "random")
    assert result.code == 130
    assert (
        result.err == "mohb: interrupted; finished units are kept, and the same command goes on from there\n"
    )


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": options.pop("unbuffered", "")}
    return subprocess.Popen(
        [sys.executable, "-m", "mohb_jax.cli", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.wide
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_control_c_ends_a_real_run(table, tmp_path):
    out = tmp_path / "out"
    seeds = ("--seeds", "100000", "--evaluations", "20")  # many units: it cannot end before the signal comes
    process = start("run", "--benchmark", table, "--method", "random", *seeds, "--out", str(out))
    deadline = time.monotonic() + 120
    while process.poll() is None and not list(out.glob("units/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == "mohb: interrupted; finished units are kept, and the same command goes on from there\n"
    names = [path.suffix for path in (out / "units").iterdir()]
    assert names
    assert set(names) == {".parquet"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_early_is_no_error(unbuffered):
    process = start("list", "benchmarks", "--json", unbuffered=unbuffered)
    assert process.stdout is not None
    process.stdout.close()  # before anything is written, as `| head -0` does
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1)


def test_the_program_itself_refuses_like_the_function():
    process = start("run", "--method", "nope")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
