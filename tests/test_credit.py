"""What counts as a result: every credit against its definition, from hand-made logs of resumed trainings."""

import dataclasses
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import polars as pl
import pytest
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import CREDITS, EveryFidelity, counted, effective
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.normalise import non_dominated, normalisation, true_front
from mohb_jax.benchmarks.table import Column, Objective, Table

from mohb_jax import cli
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell, benchmark_cells
from mohb_jax.analysis.growth import hypervolume_growth
from mohb_jax.analysis.order import order_notes
from mohb_jax.analysis.results import load_study
from mohb_jax.analysis.thinning import improving
from mohb_jax.errors import InputError
from mohb_jax.papers.reductions import selected, tuning
from mohb_jax.papers.runs import unit_runs
from mohb_jax.report.figures import progress
from mohb_jax.report.page import page_html
from mohb_jax.results import load_results
from mohb_jax.store import Unit, table_path
from mohb_jax.study import make_study as study_of
from mohb_jax.study.run import HOW
from mohb_jax.types import RunLog
from tests import reference
from tests.fake_study import make_spec, make_study, write_folder

LEVELS, ROWS, SLOTS, RUNS = 4, 25, 30, 3
REFERENCE = 1.1


def make_table(resumable: bool = True, **changes: Any) -> Table:
    """Two tasks at four fidelities: a noisy error of few levels (ties), a cost that grows, failed cells."""
    generator = np.random.default_rng(5)
    seconds = np.cumsum(generator.uniform(1, 30, size=(2, ROWS, LEVELS)), axis=2)
    error = generator.integers(12, size=seconds.shape) / 12 + np.linspace(0.6, 0, LEVELS)
    costs = np.stack([error, seconds * generator.uniform(0.1, 3, size=(2, ROWS, 1))], axis=-1)
    available = generator.random(seconds.shape) > 0.1
    fields: dict[str, Any] = {
        "name": "toy",
        "columns": (Column("rate", "log"),),
        "configs": generator.uniform(1e-4, 1, size=(ROWS, 1)),
        "tasks": ("one", "two"),
        "fidelities": (1, 3, 9, 27),
        "fidelity_name": "epochs",
        "fidelity_unit": "epoch",
        "objectives": (Objective("error", "min", "fraction"), Objective("cost", "min", "USD")),
        "costs": costs,
        "runtime": seconds,
        "available": available,
        "resumable": resumable,
    }
    return Table(**(fields | changes))


def make_unit(table: Table, resumes: bool = True, seed: int = 0) -> Unit:
    """Runs on one worker that train some rows further and further, now and then straight to the top."""
    generator = np.random.default_rng(seed)
    task, run = (part.reshape(-1) for part in np.mgrid[:2, :RUNS])
    shape = (task.size, SLOTS)
    row, fidelity = (np.zeros(shape, int) for _ in range(2))
    start, end = np.zeros(shape), np.zeros(shape)
    for lane in range(task.size):
        reached: dict[int, int] = {}
        for slot in range(SLOTS):
            pick = int(generator.integers(8))
            level = int(generator.integers(reached.get(pick, -1) + 1, LEVELS + 1))
            if level == LEVELS:
                pick, level = int(generator.integers(8, ROWS)), int(generator.integers(LEVELS))
            seconds = table.runtime[task[lane], pick]
            paid = seconds[reached[pick]] if resumes and pick in reached else 0.0
            start[lane, slot] = end[lane, slot - 1] if slot else 0.0
            end[lane, slot] = start[lane, slot] + max(seconds[level] - paid, 0.0)
            row[lane, slot], fidelity[lane, slot] = pick, level
            reached[pick] = max(level, reached.get(pick, 0))
    costs = table.costs[task[:, None], row, fidelity]
    log = RunLog(task, run, row, fidelity, costs, start, end, np.zeros(shape, int), np.ones(shape, bool))
    return Unit(make_spec(table, "m", RUNS) | {"highest_fidelity": LEVELS - 1}, log)


def earned(table: Table, log: RunLog, lane: int, credit: str) -> list[tuple[float, int, int, int]]:
    """By definition: when a run had which row at which fidelity, and from which slot."""
    found: list[tuple[float, int, int, int]] = []
    paid: dict[int, float] = {}
    for slot in range(SLOTS):
        row, level = int(log.row[lane, slot]), int(log.fidelity[lane, slot])
        seconds = table.runtime[log.task[lane], row]
        took = log.end[lane, slot] - log.start[lane, slot]
        resumed = paid.get(row, 0.0) if took < seconds[level] * (1 - 1e-9) else 0.0
        levels = range(level + 1) if credit == "passed" and table.resumable else [level]
        for g in levels:
            when = log.start[lane, slot] + seconds[g] - resumed
            if g == level:
                when = log.end[lane, slot]
            elif seconds[g] <= resumed:
                continue  # reached by an earlier evaluation
            if table.mask[log.task[lane], row, g] and (credit != "full" or g == LEVELS - 1):
                found.append((when, row, g, slot))
        paid[row] = max(seconds[level], paid.get(row, 0.0))
    return found


def all_pairs(table: Table, task: int, credit: str) -> list[tuple[int, int]]:
    levels = [LEVELS - 1] if credit == "full" else range(LEVELS)
    return [(row, g) for row in range(ROWS) for g in levels if table.mask[task, row, g]]


def scaled(table: Table, task: int, credit: str, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Costs of pairs on the scale of all pairs that may count."""
    every = np.array([table.costs[task, row, g] for row, g in all_pairs(table, task, credit)])
    costs = np.array([table.costs[task, row, g] for row, g in pairs]).reshape(len(pairs), 2)
    lo, hi = every.min(axis=0), every.max(axis=0)
    log = (np.nanmin(np.where(np.isinf(table.costs[task]), np.nan, table.costs[task]), axis=(0, 1)) > 0) & (
        hi > lo * 100
    )
    for m in np.flatnonzero(log):
        costs[:, m], lo[m], hi[m] = np.log10(costs[:, m]), np.log10(lo[m]), np.log10(hi[m])
    return (costs - lo) / (hi - lo)


def cells_of(table: AnyTable, credit: Any, unit: Unit) -> list[Cell]:
    return benchmark_cells(table.name, counted(table, credit), [unit], ["m"])


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("credit", CREDITS)
def test_every_credit_is_its_definition(credit, resumable, resumes):
    table = make_table(resumable)
    unit = make_unit(table, resumes)
    for task, cell in enumerate(cells_of(table, credit, unit)):
        pairs = all_pairs(table, task, credit)
        best = moocore.is_nondominated(scaled(table, task, credit, pairs), keep_weakly=True)
        front = [pair for pair, chosen in zip(pairs, best, strict=True) if chosen]
        whole = moocore.hypervolume(scaled(table, task, credit, front), ref=REFERENCE)
        for run in range(RUNS):
            got = earned(table, unit.log, task * RUNS + run, credit)
            for k in (0, 30, 60, 80, 99):
                until = cell.grid[k] * (1 + 1e-9)  # times are sums here and differences there
                here = [(row, g) for when, row, g, _ in got if when <= until]
                volume = moocore.hypervolume(scaled(table, task, credit, here), ref=REFERENCE) if here else 0
                assert cell.hypervolume[run, k] == pytest.approx(volume / whole, abs=1e-9), (run, k)
                share = np.mean([pair in here for pair in front])
                assert cell.front_found[run, k] == pytest.approx(share), (run, k)


def test_times_lie_within_their_evaluations():
    """The first grid point is the earliest that any fidelity can be reached, and nothing counts before."""
    table = make_table()
    for cell in cells_of(table, "passed", make_unit(table)):
        task = table.task_index(cell.task)
        assert cell.grid[0] == table.runtime[task][table.mask[task]].min()
        assert (cell.hypervolume[:, 0] <= 1).all()
        assert (np.diff(cell.hypervolume, axis=1) >= 0).all()


def test_in_full_nothing_is_other_than_at_the_highest_fidelity_alone():
    table = make_table()
    unit = make_unit(table)
    for one, other in zip(
        cells_of(table, "full", unit), benchmark_cells("toy", table.at_maximum(), [unit], ["m"]), strict=True
    ):
        np.testing.assert_array_equal(one.hypervolume, other.hypervolume)
        np.testing.assert_array_equal(one.front_found, other.front_found)
        assert {k: v.tolist() for k, v in one.final.items()} == {
            k: v.tolist() for k, v in other.final.items()
        }


def test_credits_that_count_the_same_are_known():
    table, trained_anew = make_table(), make_table(resumable=False)
    assert [effective(table, credit) for credit in CREDITS] == list(CREDITS)
    assert [effective(trained_anew, credit) for credit in CREDITS] == ["full", "logged", "logged"]
    alone = table.at_maximum()
    assert all(counted(alone, credit) is alone for credit in CREDITS)


def test_evaluations_in_full_are_told_under_every_credit():
    table = make_table()
    unit = make_unit(table)
    full = (unit.log.fidelity == LEVELS - 1) & np.isfinite(unit.log.costs[..., 0])
    for credit in CREDITS:
        told = [cell.final["full_evaluations"] for cell in cells_of(table, credit, unit)]
        np.testing.assert_array_equal(np.concatenate(told), full.sum(axis=1))


def test_a_row_that_is_not_there_is_refused_under_every_credit():
    table = make_table()
    unit = make_unit(table)
    unit.log.row[0, 0], unit.log.fidelity[0, 0] = ROWS, LEVELS - 1
    for credit in CREDITS:
        with pytest.raises(InputError, match=r"^a result names row 25 of benchmark 'toy' with 25$"):
            cells_of(table, credit, unit)


@pytest.mark.parametrize("crossed", [False, True])
def test_every_fidelity_of_a_table_is_its_cells(crossed):
    table: AnyTable = cross_table(make_table()) if crossed else make_table()
    view, (costs, runtime) = EveryFidelity(table), table.dense(range(LEVELS))
    rows = np.random.default_rng(0).permutation(view.num_rows)[:50]
    for task in range(2):
        np.testing.assert_array_equal(view.final_costs(task), costs[task].reshape(view.num_rows, -1))
        np.testing.assert_array_equal(view.final_runtime(task), runtime[task].reshape(-1))
        np.testing.assert_array_equal(view.costs_of(task, rows), view.final_costs(task)[rows])
        np.testing.assert_array_equal(
            view.final_available(task), np.isfinite(costs[task]).all(-1).reshape(-1)
        )
        front = true_front(view, task)
        wanted = moocore.is_nondominated(view.final_costs(task)[view.final_available(task)], keep_weakly=True)
        np.testing.assert_array_equal(front, np.flatnonzero(view.final_available(task))[wanted])
    assert (normalisation(view).lo <= normalisation(table).lo).all()
    place, fidelity = view.place(rows)
    assert view.config(int(rows[0])) == {**table.config(int(place[0])), "epochs": fidelity[0]}
    assert len(view.columns) == len(view.config(0))


@pytest.mark.parametrize("num_objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("levels", [4, 1000])  # few: ties, duplicates, points at and beyond the reference
def test_growth_is_hypervolume_of_every_prefix(num_objectives, levels):
    generator = np.random.default_rng(num_objectives)
    costs = generator.integers(levels, size=(60, num_objectives)) / levels * 1.3
    group, moment = np.repeat([2, 5, 9], [24, 1, 35]), np.arange(60) // 2
    point, covered = improving(group, costs)
    grown = hypervolume_growth(group[point], moment[point], costs[point], covered, REFERENCE)
    for place, volume in zip(point, grown, strict=True):
        so_far = costs[(group == group[place]) & (moment <= moment[place])]
        wanted = reference.hypervolume(so_far, np.full(num_objectives, REFERENCE))
        assert volume == pytest.approx(wanted, abs=1e-12)


def test_growth_of_nothing():
    nothing = np.zeros(0, int)
    assert improving(nothing, np.zeros((0, 2))).point.size == 0
    assert hypervolume_growth(nothing, nothing, np.zeros((0, 2)), nothing, REFERENCE).size == 0


@pytest.mark.parametrize("levels", [6, 10**6])
def test_fronts_of_many_rows_are_those_of_all(levels):
    costs = np.random.default_rng(levels).integers(levels, size=(4500, 3)).astype(float)
    np.testing.assert_array_equal(non_dominated(costs), moocore.is_nondominated(costs, keep_weakly=True))
    lying = np.stack([np.arange(4500.0), -np.arange(4500.0)], axis=1)
    assert non_dominated(lying).all()


def test_results_that_an_earlier_fidelity_beats_change_nothing():
    """``worthwhile`` leaves them out of long logs only because they move no number."""
    table = make_table()
    view, unit = counted(table, "passed"), make_unit(table)
    assert isinstance(view, EveryFidelity)
    assert 0 < (table.mask & ~view.worthwhile).sum() < table.mask.sum()
    everything = dataclasses.replace(view)
    everything.__dict__["worthwhile"] = table.mask
    for one, other in zip(
        benchmark_cells("toy", view, [unit], ["m"]),
        benchmark_cells("toy", everything, [unit], ["m"]),
        strict=True,
    ):
        np.testing.assert_array_equal(one.hypervolume, other.hypervolume)
        np.testing.assert_array_equal(one.front_found, other.front_found)
        np.testing.assert_array_equal(one.typical_front, other.typical_front)


# --- both beside each other --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study on a table that is resumed, on one that is trained anew, and on one with one fidelity."""
    directory = tmp_path_factory.mktemp("study")
    whole = make_table()
    tables = [whole, make_table(resumable=False, name="anew"), whole.at_maximum()]
    tables[2] = dataclasses.replace(tables[2], name="lone")
    units = []
    for table in tables:
        source = whole if table.name == "lone" else table
        for method in ("early", "late"):
            unit = make_unit(source, seed=len(units))
            keep = (
                unit.log.fidelity == LEVELS - 1
                if "late" in method or table.name == "lone"
                else unit.log.valid
            )
            level = np.where(table.num_fidelities == 1, 0, unit.log.fidelity)
            spec = unit.spec | {"benchmark": table.name, "method": method}
            spec["highest_fidelity"] = table.num_fidelities - 1
            units.append(Unit(spec, unit.log._replace(valid=keep, fidelity=level)))
    write_folder(directory, tables, units)
    return directory


def test_full_and_passed_stand_side_by_side(folder):
    results, full, passed = (load_results(folder, credit) for credit in (None, "full", "passed"))
    assert results.credits == ("full", "passed")
    for name in ("summary", "curves", "fronts", "ranks", "pairs"):
        both = getattr(results, name)()
        assert both["credit"].unique(maintain_order=True).to_list() == ["full", "passed"], name
        assert both.filter(pl.col("credit") == "full").equals(getattr(full, name)()), name
        assert getattr(results, name)(credit="passed").equals(getattr(passed, name)()), name
    summary = results.summary(task="all", benchmark="toy", method="early")
    assert summary["hypervolume_mean"].n_unique() == 2
    compared = results.compare("early", "late", benchmark="toy", task="one").filter(pl.col("task") == "one")
    assert compared["credit"].to_list() == ["full", "passed"]
    assert "<th>hypervolume, passed</th>" in results._repr_html_()
    with pytest.raises(InputError, match=r"^credit 'logged' is unknown|^unknown credit 'logged'"):
        results.summary(credit="logged")


def test_the_same_number_is_said_to_be_the_same(folder):
    results = load_results(folder)
    for name, words in (("anew", "every fidelity is a training of its own"), ("lone", "has one fidelity")):
        rows = results.summary(benchmark=name)
        assert rows.filter(pl.col("credit") == "full").height == rows.height // 2
        if name == "lone":
            numbers = rows.drop("credit")
            assert numbers[::2].equals(numbers[1::2])
            assert words in results.order_notes[name]
    logged = load_results(folder, ["logged", "passed"])
    assert "every fidelity is a training of its own" in logged.order_notes["anew"]
    rows = logged.summary(benchmark="anew").drop("credit")
    assert rows[::2].equals(rows[1::2])


def test_a_folder_of_before_shows_full_alone_and_says_how_to_get_the_rest(folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    load_table(table_path(old, "toy")).at_maximum().save(table_path(old, "toy"))
    assert load_results(old).credits == ("full",)
    with pytest.raises(
        InputError, match=r"^credit 'passed' is not possible: .*'mohb run' command adds the rest"
    ):
        load_results(old, "passed")


def test_the_order_is_told_where_it_turns():
    table = make_table()
    cells = {credit: cells_of(table, credit, make_unit(table)) for credit in ("full", "passed")}
    better, worse = np.linspace(0.7, 0.8, RUNS), np.linspace(0.3, 0.4, RUNS)
    given = {("full", "a"): worse, ("full", "b"): better, ("passed", "a"): better, ("passed", "b"): worse}
    made = {
        credit: [
            dataclasses.replace(
                cell, method=method, final=cell.final | {"hypervolume": given[credit, method]}
            )
            for cell in own
            for method in "ab"
        ]
        for credit, own in cells.items()
    }
    study = make_study([table], [make_unit(table)])
    (note,) = order_notes(study, made).values()
    assert note.startswith(
        "The order of methods differs: a is behind b in full and ahead of it in passed, for "
    )
    assert note.endswith(", and only those count in full.")
    made["passed"] = made["full"]
    assert order_notes(study, made) == {"toy": "The order of methods is the same in full and passed."}


@pytest.mark.parametrize(
    ("credit", "shown"), [("logged", ["logged"]), (["passed", "full", "passed"], ["passed", "full"])]
)
def test_a_study_says_what_counts(credit, shown):
    study = study_of({"benchmarks": ["synthetic"], "methods": ["random"], "credit": credit}, "study")
    assert study.credit == shown
    before = study.model_dump(mode="json") | HOW
    assert before == study.model_copy(update={"credit": ["full"]}).model_dump(mode="json") | HOW


def test_a_credit_that_is_none_is_one_line(folder, capsys):
    for command in (["report", str(folder)], ["export", str(folder), "--out", "x.csv"]):
        with pytest.raises(SystemExit, match=r"^2$"):
            cli.main([*command, "--credit", "half"])
        assert capsys.readouterr().err == "mohb: unknown credit 'half'; accepted: full, logged, passed\n"
    with pytest.raises(InputError, match=r"^study: credit.*unknown 'half'; accepted: full, logged, passed$"):
        study_of({"benchmarks": ["synthetic"], "methods": ["random"], "credit": "half"}, "study")


def test_the_page_has_one_table_with_two_columns(folder):
    analysis = Analysis(load_study(folder))
    page = page_html(analysis, [])
    assert page.count("Hypervolume passed, mean") > 0
    assert "Hypervolume passed, mean" not in page_html(Analysis(load_study(folder, "full")), [])
    assert analysis.summary["credits"] == ["full", "passed"]
    for note in analysis.summary["order"].values():
        assert html.escape(note) in page
    data = json.loads(re.search(r'id="report-data">(.*?)</script>', page, re.DOTALL)[1])
    assert [b["credits"] for b in data["benchmarks"]] == [["full", "passed"], ["full", "passed"], ["full"]]
    assert data["benchmarks"][0]["columns"] == [["rate"], ["rate", "epochs"]]
    drawn = [stem for stem, _ in progress.draw(analysis)]
    assert "toy-hypervolume-passed" in drawn
    assert "lone-hypervolume-passed" not in drawn


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("credit", ["logged", "passed"])
def test_papers_measure_what_counts(credit, resumes):
    """When a run had an error, what it had paid by then (of each training its dearest result; where nothing
    is resumed each evaluation is one), and the cheapest of what it had."""
    table = make_table()
    unit = make_unit(table, resumes)
    unit = unit._replace(spec=unit.spec | {"settings": {"resumable": resumes}})
    runs = unit_runs(counted(table, credit), unit)
    for lane in range(2 * RUNS):
        task = lane // RUNS
        got = sorted(earned(table, unit.log, lane, credit))
        errors, costs = np.array([table.costs[task, row, g] for _, row, g, _ in got]).T
        assert runs.best[lane] == min(errors)
        for target in (1.0, 0.4, 0.1):
            fits = errors <= target
            value, reached, _ = tuning(runs, target, "runtime")
            least, _, error = selected(runs, target, "cost", 99.0)
            assert reached[lane] == fits.any()
            assert least[lane] == min(costs[fits], default=99.0)
            assert error[lane] == min(errors[fits & (costs == least[lane])], default=np.inf)
            until = got[fits.argmax()][0] if fits.any() else np.inf
            assert not fits.any() or value[lane] == pytest.approx(until)
            dearest: dict[int, float] = {}
            for (when, row, _, slot), cost in zip(got, costs, strict=True):
                if when <= until * (1 + 1e-9):
                    of = row if resumes else slot
                    dearest[of] = max(dearest.get(of, 0.0), cost)
            assert tuning(runs, target, "cost").value[lane] == pytest.approx(sum(dearest.values()))
