"""Reductions against a slow reading of docs/reproduction.md, the verdict, the page and the command."""

import dataclasses
import functools
import html
import itertools
import json
import math
import re
import statistics
from typing import Any

import numpy as np
import polars as pl
import pytest

from mohb_jax import cli, store
from mohb_jax.analysis.results import load_study
from mohb_jax.errors import InputError
from mohb_jax.papers import PAPERS, paper_named, prepare, salinas2021
from mohb_jax.papers.bootstrap import (
    Bounds,
    Measure,
    error_differences,
    geometric_mean,
    ratio,
    sample_counts,
    summarise,
)
from mohb_jax.papers.claims import judged, verdict
from mohb_jax.papers.claims_page import page_html, ratio_text
from mohb_jax.papers.paper import Paper, Part, Reproduction
from mohb_jax.papers.reductions import (
    ALL_TASKS,
    DEFINITIONS,
    final_error,
    reduction_rows,
    relaxed,
    selected,
    task_table,
    tuning,
)
from mohb_jax.papers.runs import Roles, Runs, read_runs, roles, unit_runs
from mohb_jax.store import Unit
from mohb_jax.study import run_study
from mohb_jax.types import RunLog
from tests import fake_study
from tests.drafts import every_figure

HORIZON = 100.0
Evaluation = tuple[int, int, float, float, float, float]
"""Row, fidelity (2 is the highest), end, error, cost, runtime."""


def make_unit(
    runs: list[list[Evaluation]], table: Any, method: str = "m", resumable: bool | None = None
) -> Unit:
    """A work unit on the table's first task, from each run's evaluations in launch order."""
    num_slots = max(map(len, runs)) + 1  # one slot more than any run uses
    log = RunLog(
        task=np.zeros(len(runs), int),
        run=np.arange(len(runs)),
        row=np.full((len(runs), num_slots), -1),
        fidelity=np.full((len(runs), num_slots), -1),
        costs=np.full((len(runs), num_slots, 3), np.inf),
        start=np.full((len(runs), num_slots), np.inf),
        end=np.full((len(runs), num_slots), np.inf),
        worker=np.full((len(runs), num_slots), -1),
        valid=np.zeros((len(runs), num_slots), bool),
    )
    for lane, evaluations in enumerate(runs):
        for slot, (row, fidelity, end, *costs) in enumerate(evaluations):
            log.row[lane, slot], log.fidelity[lane, slot] = row, fidelity
            log.end[lane, slot], log.costs[lane, slot], log.valid[lane, slot] = end, costs, True
    spec = fake_study.make_spec(table, method, len(runs), HORIZON) | {"tasks": [table.tasks[0]]}
    return Unit(spec | {"settings": {"resumable": resumable}}, log)


@pytest.fixture(scope="module")
def table() -> Any:
    """Error, cost and runtime on two tasks."""
    return fake_study.make_table()


def random_runs(seed: int, num_runs: int = 6) -> list[list[Evaluation]]:
    """Few levels of everything, so that ends, errors and prices tie; some evaluations fail, some runs find
    nothing."""
    generator = np.random.default_rng(seed)
    runs = []
    for _ in range(num_runs):
        evaluations = []
        for row in range(generator.integers(0, 6)):
            rungs = sorted(generator.choice(3, size=generator.integers(1, 4), replace=False).tolist())
            ends = sorted(generator.integers(1, 12, size=len(rungs)).tolist())
            prices = generator.integers(1, 9, size=len(rungs)).tolist()
            for fidelity, end, price in zip(rungs, ends, prices, strict=True):
                failed = generator.uniform() < 0.1
                error, runtime = generator.integers(1, 5) / 10, generator.integers(1, 6) * 10
                costs = (math.inf,) * 3 if failed else (error, float(price), float(runtime))
                evaluations.append((row, fidelity, float(end), *costs))
        order = generator.permutation([row for row, *_ in evaluations])
        own = {row: iter([part for part in evaluations if part[0] == row]) for row in order}
        runs.append([next(own[row]) for row in order])  # a row's next one starts when the last has ended
    runs[0] = [(0, 2, 3.0, 0.2, 4.0, 20.0)]
    return runs


# --- the oracle: one run at a time, in words of the documentation ------------------------------------------


def results(run: list[Evaluation]) -> list[Evaluation]:
    """At the highest fidelity, not failed, in order of their end."""
    return sorted((e for e in run if e[1] == 2 and math.isfinite(e[3])), key=lambda e: e[2])


def spent_by(run: list[Evaluation], moment: float, resumable: bool) -> float:
    done = [e for e in run if e[2] <= moment and math.isfinite(e[4])]
    if not resumable:
        return sum(e[4] for e in done)
    return sum(max(e[4] for e in done if e[0] == row) for row in {e[0] for e in done})


def slow_tuning(run: list[Evaluation], target: float, quantity: str, resumable: bool) -> tuple[float, bool]:
    moment = next((e[2] for e in results(run) if e[3] <= target), None)
    until = HORIZON if moment is None else moment
    value = until if quantity == "runtime" else spent_by(run, until, resumable)
    return value, moment is not None


def slow_selected(
    run: list[Evaluation], limit: float, quantity: str, worst: float
) -> tuple[float, bool, float]:
    at = {"cost": 4, "runtime": 5}[quantity]
    fitting = [(e[at], e[3]) for e in results(run) if e[3] <= limit]
    return (*min(fitting)[:1], True, min(fitting)[1]) if fitting else (worst, False, math.inf)


def slow_best(run: list[Evaluation]) -> float:
    return min((e[3] for e in results(run)), default=math.inf)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("quantity", ["runtime", "cost"])
def test_every_run_measures_what_the_documentation_says(table, seed, resumable, quantity):
    logs = random_runs(seed)
    runs = unit_runs(table, make_unit(logs, table, resumable=resumable))
    np.testing.assert_array_equal(runs.best, [slow_best(run) for run in logs])
    for target in (0.1, 0.2, 0.3):
        measure = tuning(runs, target, quantity)
        wanted = [slow_tuning(run, target, quantity, resumable) for run in logs]
        np.testing.assert_allclose(measure.value, [value for value, _ in wanted])
        assert measure.reached.tolist() == [reached for _, reached in wanted]
        np.testing.assert_array_equal(measure.error, runs.best)
    limits = [0.25, *(relaxed(runs.best, percent) for percent in (1, 60))]
    for limit in limits:
        measure = selected(runs, limit, quantity, 99.0)
        each = np.broadcast_to(limit, len(logs))
        found = [slow_selected(run, own, quantity, 99.0) for run, own in zip(logs, each, strict=True)]
        assert list(zip(*(part.tolist() for part in measure), strict=True)) == found


@pytest.mark.parametrize("resumable", [True, False])
def test_a_run_worked_out_by_hand(table, resumable):
    """Row 0 is promoted twice (cost 1, 3, 6) and row 1 ends while it waits; a failure has no price."""
    run = [
        (0, 0, 1.0, 0.9, 1.0, 5.0),
        (1, 2, 2.0, 0.4, 10.0, 50.0),
        (0, 1, 2.0, 0.8, 3.0, 6.0),
        (2, 2, 3.0, math.inf, math.inf, math.inf),
        (0, 2, 5.0, 0.3, 6.0, 60.0),
        (3, 0, 6.0, 0.1, 2.0, 1.0),
    ]
    runs = unit_runs(table, make_unit([run, []], table, resumable=resumable))
    # By second 2: 1 + 10 + 3 from scratch; resumed, the promotion of row 0 adds 2.
    assert tuning(runs, 0.4, "cost").value[0] == (13.0 if resumable else 14.0)
    assert tuning(runs, 0.3, "cost").value[0] == (16.0 if resumable else 20.0)
    assert tuning(runs, 0.2, "cost").value[0] == (18.0 if resumable else 22.0)  # never: all that was spent
    assert tuning(runs, 0.4, "runtime").value.tolist() == [2.0, HORIZON]
    assert tuning(runs, 0.2, "runtime").reached.tolist() == [False, False]  # 0.1 was at a low fidelity
    choice = selected(runs, relaxed(runs.best, 40), "runtime", 7.0)
    assert [part.tolist() for part in choice] == [[50.0, 7.0], [True, False], [0.4, math.inf]]
    assert selected(runs, relaxed(runs.best, 40), "cost", 7.0).error[0] == 0.3


def test_without_a_stated_horizon_a_run_ends_with_its_last_evaluation(table):
    unit = make_unit([[(0, 2, 8.0, 0.4, 1.0, 1.0)], []], table)
    unit = unit._replace(spec=unit.spec | {"horizon": dict.fromkeys(table.tasks)})
    assert tuning(unit_runs(table, unit), 0.0, "runtime").value.tolist() == [8.0, 0.0]


def test_roles_go_by_units(table):
    assert roles(table) == Roles(runtime=2, cost=1)
    energy = [dataclasses.replace(o, unit="J" if o.unit == "USD" else o.unit) for o in table.objectives]
    assert roles(dataclasses.replace(table, objectives=tuple(energy))) == Roles(runtime=2, cost=1)
    both = (energy[1], dataclasses.replace(energy[0], unit="USD"), energy[2])
    assert roles(dataclasses.replace(table, objectives=both)).cost == 1, "money goes before energy"
    assert roles(table.select(objectives=["error"])) == Roles(None, None)


# --- statistics --------------------------------------------------------------------------------------------


def slow_median(values: list[float], reached: list[bool]) -> tuple[float, float]:
    """Least and greatest possible value; runs that did not get there come last."""
    order = sorted(zip(reached, values, strict=True), key=lambda item: (not item[0], item[1]))
    middle = [order[(len(order) - 1) // 2], order[len(order) // 2]]
    low = statistics.mean(value for _, value in middle)
    return low, low if all(known for known, _ in middle) else math.inf


@pytest.mark.parametrize(("num_runs", "share"), [(1, 1.0), (2, 0.5), (7, 0.6), (40, 0.5), (41, 0.9)])
def test_statistics_of_every_sample_match_their_definition(num_runs, share):
    generator = np.random.default_rng(num_runs)
    value, reached = generator.integers(1, 9, num_runs) / 4, generator.uniform(size=num_runs) < share
    measure = Measure(value, reached, value)
    counts = sample_counts(num_runs).astype(int)
    assert (counts[0] == 1).all()
    assert (counts.sum(axis=1) == num_runs).all()
    [found] = summarise([measure])
    for sample in range(0, len(counts), 40):
        drawn = np.repeat(np.arange(num_runs), counts[sample])
        assert found["means"].low[sample] == pytest.approx(value[drawn].mean())
        low, high = slow_median(value[drawn].tolist(), reached[drawn].tolist())
        assert (found["medians"].low[sample], found["medians"].high[sample]) == (low, high)


def test_a_sample_beyond_the_window_of_the_fast_median_is_found_too(monkeypatch):
    """Counts that no generator would draw: the same run each time."""
    counts = np.ones((3, 400))
    counts[1], counts[2] = np.eye(400)[3] * 400, np.eye(400)[399] * 400
    from mohb_jax.papers import bootstrap

    monkeypatch.setattr(bootstrap, "sample_counts", lambda num_runs: counts)
    monkeypatch.setattr(bootstrap, "_small_counts", lambda num_runs: counts.T.astype(np.int16))
    measure = Measure(np.arange(400.0), np.ones(400, bool), np.zeros(400))
    assert summarise([measure])[0]["medians"].low.tolist() == [199.5, 3.0, 399.0]


def bounds(low: float, high: float) -> Bounds:
    return Bounds(np.array([low]), np.array([high]))


def test_ratios_keep_what_is_known():
    inf = math.inf
    assert ratio(bounds(6, 6), bounds(3, 3)).point == (2, 2)
    assert ratio(bounds(6, inf), bounds(3, 3)).point == (2, inf)
    assert ratio(bounds(6, 6), bounds(3, inf)).point == (0, 2)
    assert ratio(bounds(6, inf), bounds(3, inf)).point == (0, inf)
    assert ratio(bounds(0, 0), bounds(0, 0)).point == (0, inf)
    assert geometric_mean([bounds(2, 2), bounds(8, 8)]).point == pytest.approx((4, 4))
    assert geometric_mean([bounds(2, inf), bounds(8, 8)]).point == pytest.approx((4, inf))
    assert geometric_mean([bounds(0, 2), bounds(8, inf)]).point == (0, inf)
    assert [ratio_text(ends) for ends in ([2.0, 2.0], [2.0, None], [0.0, 3.0], [0.0, None], [2.0, 3.0])] == [
        *("2", "&gt; 2", "&lt; 3", "unknown", "2 to 3")
    ]


def test_errors_are_compared_where_both_exist():
    ours = Measure(np.ones(4), np.ones(4, bool), np.array([0.1, 0.3, math.inf, 0.2]))
    theirs = Measure(np.ones(4), np.ones(4, bool), np.array([0.2, math.inf, 0.5, 0.2]))
    nothing = Measure(np.ones(4), np.zeros(4, bool), np.full(4, math.inf))
    [found, missing] = error_differences([(ours, theirs), (ours, nothing)])
    assert missing is None
    assert found[0][0] == pytest.approx(-0.05)
    assert found[1][0] == pytest.approx(-25)


# --- rows --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_methods(table) -> tuple[dict[str, list[list[Evaluation]]], dict[tuple[str, str], Runs]]:
    """Logs and runs of two methods; both tasks hold the same logs."""
    logs = {"m": random_runs(100, 30), "b": random_runs(200, 30)}
    runs = {name: unit_runs(table, make_unit(log, table, resumable=True)) for name, log in logs.items()}
    return logs, {(task, name): runs[name] for task in table.tasks for name in runs}


@pytest.fixture(scope="module")
def rows(table, two_methods) -> list[dict[str, Any]]:
    return reduction_rows(table, two_methods[1], [("m", "b")])


def slow_values(
    table: Any, task: str, log: list[list[Evaluation]], definition: Any, quantity: str, common: float
) -> list[tuple[float, bool]]:
    """Every run's number and whether it got there."""
    index = table.task_index(task)
    costs = table.final_costs(index)
    kept = costs[:, 0] <= (common if definition.tolerance is None else math.inf)
    worst = costs[kept, {"cost": 1, "runtime": 2}[quantity]].max()
    factor = 1 + (definition.tolerance or 0) / 100
    if definition.kind == "tuning":
        target = common if definition.tolerance is None else costs[:, 0].min() * factor
        return [slow_tuning(run, target, quantity, True) for run in log]
    limits = [common if definition.tolerance is None else slow_best(run) * factor for run in log]
    return [slow_selected(*pair, quantity, worst)[:2] for pair in zip(log, limits, strict=True)]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
@pytest.mark.parametrize("quantity", ["runtime", "cost"])
def test_rows_match_the_documentation(table, two_methods, rows, definition, quantity):
    logs, _ = two_methods
    common = max(statistics.median(map(slow_best, log)) for log in logs.values())
    own = [row for row in rows if (row["definition"], row["quantity"]) == (definition.name, quantity)]
    wanted = {}
    for task in table.tasks:
        ours, theirs = (
            slow_values(table, task, logs[name], definition, quantity, common) for name in ("m", "b")
        )
        mean = np.mean([value for value, _ in theirs]) / np.mean([value for value, _ in ours])
        medians = [slow_median(*map(list, zip(*part, strict=True))) for part in (ours, theirs)]
        low = medians[1][0] / medians[0][1]
        wanted[task] = (mean, low, medians[1][1] / medians[0][0])
        [row] = [row for row in own if row["task"] == task]
        assert row["means"]["ratio"] == pytest.approx([mean, mean])
        assert row["medians"]["ratio"][0] == pytest.approx(wanted[task][1])
        assert (row["medians"]["ratio"][1] or math.inf) == pytest.approx(wanted[task][2])
        shares = [np.mean([reached for _, reached in part]) for part in (ours, theirs)]
        assert row["reached"] == pytest.approx(shares)
    [over] = [row for row in own if row["task"] == ALL_TASKS]
    means = [mean for mean, _, _ in wanted.values()]
    assert over["means"]["ratio"][0] == pytest.approx(math.prod(means) ** (1 / len(means)))
    assert over["means"]["least"] == pytest.approx([min(means)] * 2)
    low, high = over["means"]["ci95"]
    assert low <= over["means"]["ratio"][0] <= high


def test_there_is_a_row_for_everything(table, rows):
    wanted = itertools.product([ALL_TASKS, *table.tasks], [d.name for d in DEFINITIONS], ["runtime", "cost"])
    assert sorted((r["task"], r["definition"], r["quantity"]) for r in rows) == sorted(wanted)
    assert len({definition.words for definition in DEFINITIONS}) == len(DEFINITIONS) == 8


def test_a_table_without_cost_has_no_rows_of_it(table, two_methods):
    fewer = table.select(objectives=["error", "runtime"])
    found = reduction_rows(fewer, two_methods[1], [("m", "b")])
    assert {row["quantity"] for row in found} == {"runtime"}


def test_bootstrap_is_paired_and_repeatable(table, two_methods, rows):
    assert reduction_rows(table, two_methods[1], [("m", "b")]) == rows
    _, runs = two_methods
    same = {(task, name): runs[task, "m"] for task in table.tasks for name in ("m", "b")}
    for row in reduction_rows(table, same, [("m", "b")]):
        if row["medians"]["ratio"][1] is not None:
            assert row["means"]["ratio"] == row["means"]["ci95"] == [1, 1], "equal runs differ in no sample"
        assert row["error_difference"]["ci95"] == [0, 0]


def test_only_runs_of_all_methods_count(table, two_methods, rows):
    """A method's further runs change nothing."""
    _, runs = two_methods
    fewer = runs | {(task, "b"): runs[task, "b"].take(np.arange(10)) for task in table.tasks}
    both = {key: part.take(np.arange(10)) for key, part in runs.items()}
    assert reduction_rows(table, fewer, [("m", "b")]) == reduction_rows(table, both, [("m", "b")]) != rows


def test_no_common_error_where_half_of_the_runs_found_nothing(table):
    logs = [[(0, 2, 3.0, 0.2, 4.0, 20.0)], []]
    runs = unit_runs(table, make_unit(logs, table))
    assert final_error(runs, runs) == math.inf
    found = reduction_rows(table, {(t, m): runs for t in table.tasks for m in "mb"}, [("m", "b")])
    for row in found:
        if row["definition"].endswith("equal-error"):
            assert row["means"]["ratio"] == [0.0, None]
            assert row["reached"] is None


def test_a_single_run_has_no_interval(table):
    runs = unit_runs(table, make_unit([[(0, 2, 3.0, 0.2, 4.0, 20.0)]], table))
    found = reduction_rows(table, {(t, m): runs for t in table.tasks for m in "mb"}, [("m", "b")])
    assert all(row["means"]["ci95"] is None for row in found)
    claim = salinas2021.CLAIMS[0]
    assert judged([claim], found[0] | {"benchmark": claim.benchmarks[0]})["means"]["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("interval", "wanted"),
    [
        ([5.8, 9.0], "holds"),
        ([5.79, 9.0], "undecided"),
        ([1.0, 5.8], "undecided"),
        ([1.0, 5.79], "does not hold"),
        ([6.0, None], "holds"),
        ([0.0, None], "undecided"),
        (None, "undecided"),
    ],
)
def test_verdict(interval, wanted):
    assert verdict(interval, 5.8) == wanted


def test_published_numbers_and_pairs():
    assert [(claim.quantity, round(claim.published, 2)) for claim in salinas2021.CLAIMS] == [
        *(("runtime", 5.8), ("cost", 8.8), ("runtime", 1.11))
    ]
    assert salinas2021.PAIRS[0] == ("mo-hb+prior", "hb")
    assert len(set(salinas2021.PAIRS)) == 6


# --- folder, page, command ---------------------------------------------------------------------------------


def small_paper() -> Paper:
    """The paper with two methods, for its benchmarks and settings are the same."""
    study = functools.partial(salinas2021.make_benchmark_study, methods=("hb", "mo-hb"))
    return dataclasses.replace(salinas2021.PAPER, study=study)


@pytest.mark.wide
def test_the_command_runs_a_paper_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PAPERS, "salinas2021", small_paper())
    monkeypatch.setattr("sys.argv", ["mohb", "reproduce", "<b>"])
    out = tmp_path / "out"
    command = ["reproduce", "salinas2021", "--seeds", "3", "--benchmark", "embedded", "--out", str(out)]
    with every_figure(), pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 0
    page = out / "claims" / "index.html"
    assert str(page) in capsys.readouterr().out
    assert (out / "embedded" / "report" / "index.html").is_file()
    assert "../embedded/report/index.html" in page.read_text()
    files = {path.relative_to(page.parent).as_posix(): path.read_bytes() for path in page.parent.rglob("*.*")}
    frame = pl.read_csv(files["claims.csv"])
    held = json.loads(files["claims.json"])
    assert frame["credit"].unique(maintain_order=True).to_list() == ["full", "passed"]
    assert len(frame) == len(held["rows"]) == 2 * 2 * len(DEFINITIONS) * (7 + 1)
    assert set(frame["means_verdict"].drop_nulls()) <= {"holds", "undecided", "does not hold"}
    assert frame.filter(pl.col("task") == ALL_TASKS)["means_verdict"].null_count() == 0
    assert sum(name.endswith(".png") for name in files) == sum(name.endswith(".pdf") for name in files) == 2
    text = page.read_text()
    assert html.escape("mohb reproduce '<b>'") in text
    assert "<script" not in text
    assert not re.search(r'(src|href)="https?:', text)
    whole = prepare(small_paper(), 3, ["embedded"], out, None, "mohb reproduce '<b>'")
    assert [run_study(p.study, p.tables, p.directory, "again") for p in whole.parts] == [0]
    with every_figure():
        again = small_paper().write(whole)
    assert {
        path.relative_to(again.parent).as_posix(): path.read_bytes() for path in again.parent.rglob("*.*")
    } == files


def test_stored_runs_are_those_of_the_units(tmp_path, table):
    """Runs spread over units of unlike width come back whole and in order."""
    units = [
        fake_study.make_unit(table, "m", 2, num_seeds=3, num_slots=slots, seed=slots) for slots in (30, 12)
    ]
    second = units[1]._replace(spec=units[1].spec | {"first_run": 3})
    fake_study.write_folder(tmp_path, [table], [second, units[0]])
    found = read_runs(load_study(tmp_path), table.name)
    assert set(found) == {(task, "m") for task in table.tasks}
    for task, runs in ((name, found[name, "m"]) for name in table.tasks):
        assert runs.run.tolist() == list(range(6))
        whole = [unit_runs(table, unit) for unit in units]
        place = table.task_index(task) * 3 + np.arange(3)
        np.testing.assert_array_equal(runs.best, np.concatenate([part.best[place] for part in whole]))
        np.testing.assert_allclose(runs.total, np.concatenate([part.total[place] for part in whole]))
    store.unit_path(tmp_path, second.spec).unlink()
    with pytest.raises(InputError, match="not finished"):
        read_runs(load_study(tmp_path), table.name)


def test_page_escapes_names(tmp_path, table):
    evil = "<script>alert(1)&'"  # without the slash, which no file name of the test's folder may have
    named = dataclasses.replace(table, name=evil, tasks=(evil, "second"), provenance=evil)
    claim = salinas2021.CLAIMS[0]._replace(benchmarks=(evil,), title=evil, statement=evil)
    units = [fake_study.make_unit(named, method, skill) for method, skill in ((evil, 3), ("hb", 1))]
    fake_study.write_folder(tmp_path, [named], units)
    found = reduction_rows(named, read_runs(load_study(tmp_path), named.name), [(evil, "hb")])
    judged_rows = [judged([claim], row) for row in found]
    part = Part(evil, salinas2021.make_benchmark_study("embedded", 5, ("hb",)), [], tmp_path)
    paper = dataclasses.replace(salinas2021.PAPER, title=evil)
    whole = Reproduction(paper, tmp_path, 5, evil, (part,))
    text = page_html(whole, [claim], judged_rows, [])
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&amp;&#x27;") > 10


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        prepare(small_paper(), 2, ["embedded"], tmp_path, None, "")
    with pytest.raises(InputError, match="is a file"):
        prepare(small_paper(), 2, ["embedded"], tmp_path / "notes.txt", None, "")
    other = dataclasses.replace(small_paper(), name="another")
    prepare(other, 2, ["embedded"], tmp_path / "other", None, "")
    with pytest.raises(InputError, match="another paper"):
        prepare(small_paper(), 2, ["embedded"], tmp_path / "other", None, "")


def test_bad_input_stops_before_anything_is_made(tmp_path):
    empty = tmp_path / "data"
    empty.mkdir()
    for arguments, words in (
        ((2, ["embeded"], None), "did you mean 'embedded'"),
        ((0, ["embedded"], None), "seeds"),
        ((2, ["embedded", "zeus"], str(empty)), "zeus"),
    ):
        seeds, names, data = arguments
        with pytest.raises(InputError, match=words) as error:
            prepare(small_paper(), seeds, names, tmp_path / "out", data, "")
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()


def test_unknown_paper_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["reproduce", "salinas2012"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert all(name in message for name in PAPERS)
    assert "did you mean salinas2021" in message
    assert paper_named("salinas2021") is salinas2021.PAPER


def test_task_table_has_available_rows_alone(table):
    mask = np.ones(table.mask.shape, bool)
    mask[0, 5] = False
    fewer = dataclasses.replace(table, costs=table.costs.copy(), available=mask)
    assert task_table(fewer, table.tasks[0]).error.size == table.num_rows - 1
    assert task_table(fewer, table.tasks[1]).error.size == table.num_rows
