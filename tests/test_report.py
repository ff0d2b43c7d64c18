"""The report: curves and indicators against independent implementations, statistics, files, bad input."""

import dataclasses
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import jax
import moocore
import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from mohb_jax.benchmarks.normalise import normalisation, true_front
from mohb_jax.benchmarks.table import Table

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell, benchmark_cells, step_curve, study_cells, time_grid
from mohb_jax.analysis.final import final_rows, result_rows
from mohb_jax.analysis.final import summarise as summarise_folder
from mohb_jax.analysis.statistics import (
    RANK,
    average_ranks,
    intervals,
    resample_counts,
    summarise,
    summary_rows,
)
from mohb_jax.analysis.thinning import covered_by, improving, not_yet_beaten
from mohb_jax.errors import InputError
from mohb_jax.report import page, plot_data, summary_table, write_analysis, write_report
from mohb_jax.report.figures.files import write_figures
from mohb_jax.report.figures.fronts import staircase
from mohb_jax.report.figures.panels import plain
from mohb_jax.report.page import embedded_json
from mohb_jax.report.plot_data import thinned
from mohb_jax.report.sections import answer, tasks
from mohb_jax.report.style import duration, file_names, look, number
from mohb_jax.store import Unit, unit_path
from mohb_jax.types import RUN_GROUPS
from tests.drafts import every_figure, whole_figures
from tests.fake_study import make_spec, make_study, make_table, make_unit, one_lane, write_folder

REFERENCE = 1.1


def cells_of(table: Table, *units: Unit) -> list[Cell]:
    return benchmark_cells(
        table.name, table, units, list(dict.fromkeys(unit.spec["method"] for unit in units))
    )


def normalised(table: Table, task: int, rows: np.ndarray) -> np.ndarray:
    return normalisation(table).apply(table.costs[task, rows, -1], task)


def front_volume(table: Table, task: int = 0) -> float:
    return moocore.hypervolume(normalised(table, task, true_front(table, task)), ref=REFERENCE)


def counted(unit: Unit, lane: int, until: float = np.inf) -> np.ndarray:
    """Rows that one lane had evaluated at the highest fidelity by then, by definition."""
    log = unit.log
    return log.row[lane][log.valid[lane] & (log.fidelity[lane] == 2) & (log.end[lane] <= until)]


# --- curves and indicators -------------------------------------------------------------------------------


@pytest.mark.parametrize("num_objectives", [2, 3])
def test_curves_match_moocore_at_every_grid_point(num_objectives):
    table = make_table(num_objectives=num_objectives)
    unit = make_unit(table, "m", skill=2, num_seeds=3, num_slots=60)
    for cell in cells_of(table, unit):
        task = table.task_index(cell.task)
        for run in range(3):
            for k in (0, 40, 80, 99):
                rows = counted(unit, 3 * task + run, cell.grid[k])
                volume = moocore.hypervolume(normalised(table, task, rows), ref=REFERENCE) if rows.size else 0
                assert cell.hypervolume[run, k] == pytest.approx(
                    volume / front_volume(table, task), abs=1e-12
                )
                share = np.isin(true_front(table, task), rows).mean()
                assert cell.front_found[run, k] == pytest.approx(share)


@pytest.mark.parametrize("num_objectives", [2, 3])
def test_final_distances_match_moocore(num_objectives):
    table = make_table(num_objectives=num_objectives)
    unit = make_unit(table, "m", skill=1, num_seeds=3)
    for cell in cells_of(table, unit):
        task = table.task_index(cell.task)
        front = normalised(table, task, true_front(table, task))
        for run in range(3):
            found = normalised(table, task, counted(unit, 3 * task + run))
            assert cell.final["igd_plus"][run] == pytest.approx(moocore.igd_plus(found, ref=front))
            assert cell.final["additive_epsilon"][run] == pytest.approx(
                moocore.epsilon_additive(found, ref=front)
            )


def test_finding_the_whole_front_gives_one_and_no_distance():
    table = make_table()
    front = true_front(table, 0).tolist()
    cell = cells_of(table, one_lane(table, front, list(range(1, len(front) + 1))))[0]
    assert cell.final["hypervolume"] == pytest.approx(1.0, abs=1e-12)
    assert cell.final["front_found"] == 1.0
    assert cell.final["igd_plus"] == pytest.approx(0, abs=1e-12)
    assert cell.final["additive_epsilon"] == pytest.approx(0, abs=1e-12)
    assert sorted(cell.typical_front) == front


def test_a_repeated_row_counts_once_and_only_the_highest_fidelity_counts():
    table = make_table()
    front = true_front(table, 0)
    rows = [front[0], front[0], front[1]]
    cell = cells_of(table, one_lane(table, rows, [1, 2, 3], fidelity=[2, 2, 1]))[0]
    assert cell.final["front_found"] == pytest.approx(1 / front.size)
    assert (cell.final["full_evaluations"], cell.final["evaluations"]) == (2, 3)
    assert cell.typical_front.tolist() == [front[0]]


def test_a_run_without_results_scores_as_the_reference_point():
    table = make_table()
    unit = one_lane(table, [], [])
    low = one_lane(table, [1, 2], [1.0, 2.0], fidelity=[0, 1])
    front = normalised(table, 0, true_front(table, 0))
    for cell in (cells_of(table, unit)[0], cells_of(table, low)[0]):
        assert cell.final["hypervolume"] == cell.final["front_found"] == cell.final["anytime"] == 0
        at_reference = np.full((1, 3), REFERENCE)
        assert cell.final["igd_plus"] == pytest.approx(moocore.igd_plus(at_reference, ref=front))
        assert cell.final["additive_epsilon"] == pytest.approx(
            moocore.epsilon_additive(at_reference, ref=front)
        )
        assert cell.typical_front.size == 0


def test_failed_evaluations_do_not_count():
    table = make_table()
    unit = one_lane(table, [0, 1], [1.0, 2.0])
    unit.log.costs[0, 0] = np.inf
    alone = cells_of(table, one_lane(table, [1], [2.0]))[0]
    cell = cells_of(table, unit)[0]
    np.testing.assert_array_equal(cell.hypervolume, alone.hypervolume)
    assert (cell.final["full_evaluations"], cell.final["evaluations"]) == (1, 2)


def test_a_constant_objective_and_a_single_objective_are_measured():
    table = make_table(num_objectives=2)
    flat = table.costs.copy()
    flat[..., 1] = 7.0
    constant = dataclasses.replace(table, costs=flat)
    best = int(flat[0, :, 0, 0].argmin())
    assert cells_of(constant, one_lane(constant, [best], [1.0]))[0].final["hypervolume"] == pytest.approx(1.0)
    single = table.select(objectives=["error"])
    cell = cells_of(single, one_lane(single, [3, best], [1.0, 2.0]))[0]
    worst = normalised(single, 0, np.array([3]))[0, 0]
    assert cell.final["hypervolume"] == pytest.approx(1.0, abs=1e-12)
    assert cell.hypervolume.max(initial=0, where=cell.grid < 2) == pytest.approx((1.1 - worst) / 1.1)


def of_lanes(log, chosen):
    return jax.tree.map(lambda part: part[chosen], log)


def test_units_may_be_split_by_seed_and_come_in_any_order():
    table = make_table()
    whole = make_unit(table, "m", skill=1, num_seeds=5)
    log = whole.log
    pieces = [
        Unit(whole.spec, of_lanes(log, chosen))
        for chosen in (np.isin(log.run, [3, 1]), np.isin(log.run, [0]), np.isin(log.run, [4, 2, 3]))
    ]
    for one, many in zip(cells_of(table, whole), cells_of(table, *pieces), strict=True):
        np.testing.assert_array_equal(one.runs, many.runs)
        np.testing.assert_array_equal(one.hypervolume, many.hypervolume)
        np.testing.assert_array_equal(one.typical_front, many.typical_front)
        for name, values in one.final.items():
            np.testing.assert_array_equal(values, many.final[name], err_msg=name)


def test_adding_a_method_changes_no_number_of_another():
    table = make_table()
    unit, other = make_unit(table, "m", 1), make_unit(table, "n", 3, seed=1)
    alone = summary_rows(cells_of(table, unit), "m")
    beside = [row for row in summary_rows(cells_of(table, unit, other), "m") if row["method"] == "m"]
    for before, after in zip(alone, beside, strict=True):
        assert before["hypervolume"] == after["hypervolume"]
        assert before["igd_plus"] == after["igd_plus"]


def test_one_run_with_two_results_is_refused():
    table = make_table()
    with pytest.raises(InputError, match=r"^method 'm' has two different results .* run 0: .*$"):
        cells_of(table, one_lane(table, [0], [1.0]), one_lane(table, [0, 1], [1.0, 2.0]))


def test_horizon_is_the_budget_or_the_latest_result():
    table = make_table(tasks=("only",))
    short, long = one_lane(table, [0], [5.0]), one_lane(table, [1], [9.0])
    long.spec["method"] = "n"
    assert {cell.horizon for cell in cells_of(table, short, long)} == {9.0}
    budget = Unit(short.spec | {"horizon": {"only": 50.0}}, short.log)
    cell = cells_of(table, budget)[0]
    assert cell.horizon == cell.grid[-1] == 50.0


def test_money_is_paid_once_where_training_resumes():
    table = make_table()
    unit = one_lane(table, [4, 4, 5, 6], [1, 2, 3, 4], fidelity=[0, 2, 2, 1])
    price = table.costs[0, :, 0, 1]
    unit.log.costs[0, 0, 1] = 0.25 * price[4]
    unit.log.costs[0, 3] = np.inf  # failed: no price
    resumed = cells_of(table, unit)[0].final["spent_usd"]
    assert resumed == pytest.approx(price[4] + price[5])
    again = Unit(unit.spec | {"settings": {"resumable": False}}, unit.log)
    assert cells_of(table, again)[0].final["spent_usd"] == pytest.approx(1.25 * price[4] + price[5])


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 6))
def test_what_covers_a_point_matches_its_definition(seed, num_objectives, levels):
    generator = np.random.default_rng(seed)
    group = np.sort(generator.integers(4, size=90)) * 3
    costs = generator.integers(levels, size=(90, num_objectives)).astype(float)
    wanted = [
        min(
            (i for i in np.flatnonzero(group == group[j]) if covers(costs[i], costs[j], i < j)),
            default=90,
        )
        for j in range(90)
    ]
    assert covered_by(group, costs).tolist() == wanted
    kept = [j for j in range(90) if wanted[j] >= j]
    found = improving(group, costs)
    assert found.point.tolist() == kept
    assert [kept[by] if by < len(kept) else 90 for by in found.covered] == [wanted[j] for j in kept]


def covers(costs, others, earlier):
    return (costs <= others).all() and (earlier or (costs < others).any())


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_nothing_is_left_out_that_no_earlier_point_dominates(seed, num_objectives):
    generator = np.random.default_rng(seed)
    group, end = np.sort(generator.integers(3, size=80)), generator.integers(20, size=80)
    costs = generator.integers(5, size=(80, num_objectives)).astype(float)
    left = set(range(80)) - set(not_yet_beaten(group, end, costs).tolist())
    assert left
    for j in left:
        assert any(
            group[i] == group[j]
            and end[i] <= end[j]
            and (costs[i] <= costs[j]).all()
            and any(costs[i] < costs[j])
            for i in range(80)
        )


def test_step_curve_is_right_continuous_and_never_interpolates():
    grid = np.array([1.0, 2.0, 3.0])
    curve = step_curve(np.array([0, 0, 1]), np.array([2.0, 2.5, 3.5]), np.array([0.4, 0.9, 1.0]), 2, grid)
    np.testing.assert_array_equal(curve, [[0, 0.4, 0.9], [0, 0, 0]])


@pytest.mark.parametrize(("fastest", "horizon"), [(2.0, 200.0), (np.inf, 10.0), (20.0, 10.0), (0.0, 0.0)])
def test_time_grid_ends_exactly_at_the_horizon(fastest, horizon):
    grid = time_grid(fastest, horizon)
    assert grid.size == 100
    assert grid[-1] == (horizon or 1.0)
    assert (np.diff(grid) > 0).all()
    assert grid[0] == (fastest if 0 < fastest < horizon else pytest.approx((horizon or 1.0) / 1000))


# --- statistics ------------------------------------------------------------------------------------------


def test_intervals_agree_with_scipy():
    values = np.random.default_rng(3).beta(8, 2, size=(2, 60))
    mine = intervals(values)
    for row, ends in zip(values, mine, strict=True):
        theirs = scipy.stats.bootstrap(
            (row,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        # Two bootstraps of this size differ by a few per cent of the interval's width.
        assert ends == pytest.approx(list(theirs), abs=0.08 * (theirs.high - theirs.low))


def test_runs_that_may_share_draws_are_resampled_together():
    counts = resample_counts(150, num_resamples=50)  # 22 blocks of three runs, and 42 of two
    block = np.arange(150) % RUN_GROUPS
    assert (counts == counts[:, block]).all()
    three, two = counts[:, :22], counts[:, 22:64]
    assert (three.sum(axis=1) == 22).all()
    assert (two.sum(axis=1) == 42).all()
    assert (np.ptp(counts, axis=0) > 0).all()


def test_interval_of_constant_values_and_of_one_run():
    constant = summarise(np.full((1, 7), 0.1))[0]
    assert constant == {"mean": pytest.approx(0.1), "median": 0.1, "ci95": [0.1, 0.1]}
    assert summarise(np.array([[0.3]]))[0] == {"mean": 0.3, "median": 0.3, "ci95": None}


def test_one_definition_of_rank_everywhere(tmp_path):
    """On each task by mean final hypervolume, then averaged over tasks: rows, tables, page and terminal."""
    table, skills = make_table(tasks=tuple("abcde")), {"m": 1, "n": 2, "o": 2}
    write_folder(tmp_path, [table], [make_unit(table, name, skills[name], seed=ord(name)) for name in skills])
    summary = write_report(tmp_path)
    rows = {(row["task"], row["method"]): row for row in summary["rows"]}
    for task in table.tasks:
        means = {name: rows[task, name]["hypervolume"]["mean"] for name in skills}
        for name, mean in means.items():
            assert rows[task, name]["rank"] == 1 + sum(other > mean for other in means.values())
    found = {name: np.mean([rows[task, name]["rank"] for task in table.tasks]) for name in skills}
    ranking = summary["comparison"]["ranking"]
    assert dict(zip(ranking["methods"], ranking["average_ranks"], strict=True)) == pytest.approx(found)
    assert {name: rows["all", name]["rank"] for name in skills} == pytest.approx(found)
    assert {row["method"]: row["rank"] for row in final_rows(tmp_path)[0]} == pytest.approx(found)
    csv = pl.read_csv(tmp_path / "report" / "ranks.csv")
    assert dict(csv.select("method", "average_rank").iter_rows()) == pytest.approx(found)
    text = (tmp_path / "report" / "index.html").read_text()
    assert text.count("<th scope='col'>Rank</th>") == 1, "one table shows ranks"
    section = text[text.index('<section id="ranks">') : text.index('<section id="attained">')]
    assert RANK in section
    assert all(f"<td>{name}</td><td>{rank:.2f}</td>" in section for name, rank in found.items())


def test_ranks_share_ties():
    values = np.array([[0.9, 0.5], [0.9 + 1e-15, 0.7], [0.1, 0.6]])
    assert average_ranks(values).tolist() == [(1.5 + 3) / 2, (1.5 + 1) / 2, (3 + 2) / 2]


def test_rows_over_all_tasks_are_means_of_the_tasks():
    table = make_table()
    units = [make_unit(table, "m", 1), make_unit(table, "n", 3, seed=1)]
    rows = summary_rows(cells_of(table, *units), "m")
    over = {row["method"]: row for row in rows if row["task"] == "all"}
    assert [row["task"] for row in rows] == ["all"] * 2 + ["first"] * 2 + ["second"] * 2
    for method, row in over.items():
        own = [other for other in rows if other["method"] == method and other["task"] != "all"]
        for name in ("hypervolume", "front_found", "igd_plus"):
            assert row[name]["mean"] == pytest.approx(np.mean([other[name]["mean"] for other in own]))
        assert row["rank"] == pytest.approx(np.mean([other["rank"] for other in own]))
        assert row["evaluations"] == pytest.approx(np.mean([other["evaluations"] for other in own]))
    difference = over["n"]["hypervolume"]["mean"] - over["m"]["hypervolume"]["mean"]
    assert over["n"]["difference"]["mean"] == pytest.approx(difference)
    assert over["m"]["difference"] is None


def test_differences_are_paired_by_run():
    table = make_table(tasks=("only",))
    unit = make_unit(table, "m", 1, num_seeds=6)
    log = unit.log
    half = log.run >= 2
    worse = log._replace(valid=log.valid & (np.arange(log.valid.shape[1]) < 3))
    other = Unit(unit.spec | {"method": "n"}, of_lanes(worse, half))
    first, second = cells_of(table, unit, other)
    row = summary_rows([first, second], "m")[-1]
    gap = second.final["hypervolume"] - first.final["hypervolume"][2:]
    assert row["difference"]["mean"] == pytest.approx(gap.mean())
    assert row["difference"]["ci95"][0] >= gap.min() - 1e-12
    assert row["difference"]["ci95"][1] <= gap.max() + 1e-12
    assert row["num_seeds"] == 4


def test_a_method_that_lacks_the_runs_of_a_task_has_no_row_over_all():
    table = make_table()
    unit = make_unit(table, "m", 1, num_seeds=2)
    log = unit.log
    kept = (log.task != 1) | (log.run > 5)
    partial = Unit(unit.spec | {"method": "n"}, of_lanes(log, kept))
    rows = summary_rows(cells_of(table, unit, partial), "m")
    over = {row["method"]: row["num_tasks"] for row in rows if row["task"] == "all"}
    assert over == {"m": 2, "n": 1}


# --- files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished study of two benchmarks and two methods, stored and reported."""
    directory = tmp_path_factory.mktemp("study")
    tables = [make_table(), make_table("lone", ("single",), num_objectives=2, seed=5)]
    units = [
        make_unit(table, method, skill) for table in tables for method, skill in (("random", 1), ("mo-hb", 3))
    ]
    write_folder(directory, tables, units)
    write_report(directory)
    return directory


def test_report_writes_every_file(folder):
    names = {path.relative_to(folder / "report").as_posix() for path in (folder / "report").rglob("*.*")}
    toy = {
        f"toy-{kind}" for kind in ("front-error-cost", "front-error-runtime", "hypervolume", "front-found")
    }
    lone = {f"lone-{kind}" for kind in ("front-error-cost", "hypervolume", "front-found")}
    attained = {f"{name}-attained-error-cost" for name in ("toy", "lone")} | {"toy-attained-error-runtime"}
    across = {"answer", "ranks", "ranks-over-time", "profiles", "scaled"} | attained
    figures = {f"figures/{stem}.{ending}" for stem in toy | lone | across for ending in ("pdf", "png")}
    tables = {f"{stem}.csv" for stem in ("summary", "curves", "front", "ranks", "scaled", "pairs", "columns")}
    assert names == figures | tables | {"index.html", "summary.json", "finals.csv", "finals.parquet"}


def test_summary_holds_its_contract(folder):
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["study"] == "trial"
    assert summary["reference_method"] == "mo-hb"  # preferred where the study names none
    assert summary["versions"]["mohb-jax"]
    assert len(summary["rows"]) == 2 * 3 + 2 * 2
    for row in summary["rows"]:
        low, high = row["hypervolume"]["ci95"]
        assert 0 <= low <= row["hypervolume"]["mean"] <= high <= 1
        assert row["num_seeds"] == 5
        assert {"benchmark", "task", "method", "simulated_seconds", "evaluations"} <= row.keys()
    assert summary["comparison"]["ranking"]["num_tasks"] > 0
    assert write_report(folder) == summary


def test_equal_stores_give_equal_files(folder, tmp_path):
    """Figures in few pixels: whole ones are compared where studies are (tests/test_comparison_figures.py)."""
    with every_figure():
        for name in ("once", "again"):
            write_report(folder, tmp_path / name)
    for path in sorted((tmp_path / "once").rglob("*.*")):
        again = tmp_path / "again" / path.relative_to(tmp_path / "once")
        assert again.read_bytes() == path.read_bytes(), path.name


def test_tables_agree_with_the_summary(folder):
    summary = json.loads((folder / "report" / "summary.json").read_text())
    frame = pl.read_csv(folder / "report" / "summary.csv")
    assert frame["hypervolume_mean"].to_list() == [row["hypervolume"]["mean"] for row in summary["rows"]]
    curves = pl.read_csv(folder / "report" / "curves.csv")
    ends = curves.group_by("benchmark", "task", "method", maintain_order=True).last()["hypervolume_median"]
    own = [row["hypervolume"]["median"] for row in summary["rows"] if row["task"] != "all"]
    assert ends.to_list() == pytest.approx(own)
    front = pl.read_csv(folder / "report" / "front.csv")
    true = front.filter((pl.col("method") == "true front") & (pl.col("task") == "first"))
    assert true["row"].to_list() == true_front(make_table(), 0).tolist()
    assert set(json.loads(true["configuration"][0])) == {"kind", "learning_rate"}
    assert true["objective:error"].to_list() == pytest.approx(
        make_table().costs[0, true["row"], 0, 0].tolist()
    )


def test_result_rows_are_flat_and_over_all_tasks(folder):
    rows = result_rows(write_report(folder))
    assert [(row["benchmark"], row["method"]) for row in rows] == [
        ("toy", "random"),
        ("toy", "mo-hb"),
        ("lone", "random"),
        ("lone", "mo-hb"),
    ]
    for row in rows:
        assert row.pop("credits") == {"full": row["hypervolume"]}
        assert all(isinstance(value, (str, int, float)) for value in row.values())
    assert all(0 < row["full_evaluations"] < row["evaluations"] for row in rows)
    assert [row["task"] for row in result_rows(write_report(folder), "second")] == ["second"] * 2


def test_one_seed_gives_a_report_without_intervals(tmp_path):
    table = make_table(tasks=("only",))
    units = [make_unit(table, "mo-hb", 3, num_seeds=1), make_unit(table, "hb", 1, num_seeds=1)]
    write_folder(tmp_path, [table], units)
    summary = write_report(tmp_path)
    assert all(row["hypervolume"]["ci95"] is None for row in summary["rows"])
    assert "With one seed, nothing can be said about" in (tmp_path / "report" / "index.html").read_text()


def test_a_run_without_any_result_still_gives_a_report(tmp_path):
    table = make_table(tasks=("only",))
    summary = write_analysis(Analysis(make_study([table], [one_lane(table, [], [])])), tmp_path)
    assert summary["rows"][0]["hypervolume"]["mean"] == 0


def test_an_incomplete_study_says_so(tmp_path):
    table = make_table(tasks=("only",))
    units = [make_unit(table, name, 1, num_seeds=2, seed=seed) for seed, name in enumerate("abc")]
    write_folder(tmp_path, [table], units)
    page_path = tmp_path / "report" / "index.html"
    assert write_report(tmp_path)["units"] == {"finished": 3, "expected": 3}
    assert "work units" not in page_path.read_text()
    unit_path(tmp_path, units[1].spec).unlink()
    assert write_report(tmp_path)["units"] == {"finished": 2, "expected": 3}
    assert summarise_folder(tmp_path)["units"] == {"finished": 2, "expected": 3}
    header = page_path.read_text().split("</header>")[0]
    assert "2 of 3 work units are finished; these numbers are of a part of the study" in header
    unit_path(tmp_path, units[2].spec).unlink()
    write_report(tmp_path)
    assert "1 of 3 work units is finished" in page_path.read_text()


# --- bad input -------------------------------------------------------------------------------------------


def spoil_study(directory: Path, text: str) -> None:
    (directory / "study.json").write_text(text)


def rewrite(directory: Path, **changes: Any) -> None:
    study = json.loads((directory / "study.json").read_text())
    spoil_study(directory, json.dumps(study | changes))


def drop_units(directory: Path) -> None:
    for path in (directory / "units").iterdir():
        path.unlink()


def cut_unit(directory: Path) -> None:
    path = next((directory / "units").iterdir())
    path.write_bytes(path.read_bytes()[:200])


def cut_table(directory: Path) -> None:
    path = directory / "tables" / "toy.npz"
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: spoil_study(d, "{"), "study.json"),
        (lambda d: spoil_study(d, "[1, 2]"), "study.json"),
        (lambda d: rewrite(d, methods=[1]), "study.json"),
        (lambda d: rewrite(d, methods=[{"name": "other"}]), "unknown method 'm'"),
        (lambda d: rewrite(d, benchmarks=[{"name": "other"}]), "unknown benchmark 'toy'"),
        (drop_units, "no finished unit"),
        (cut_unit, "damaged"),
        (cut_table, "toy.npz"),
        (lambda d: (d / "study.json").unlink(), "study.json"),
    ],
)
def test_bad_folders_end_in_one_line_and_no_report(tmp_path, spoil, words):
    table = make_table()
    write_folder(tmp_path, [table], [make_unit(table, "m", 1, num_seeds=1)])
    spoil(tmp_path)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        write_report(tmp_path / "nowhere")


def test_a_unit_of_an_unknown_task_or_row_is_refused():
    table = make_table()
    unit = one_lane(table, [1], [1.0])
    with pytest.raises(InputError, match="unknown task 'third'; the study has first, second"):
        cells_of(table, Unit(unit.spec | {"tasks": ["third"]}, unit.log))
    unit.log.row[0, 0] = 60
    with pytest.raises(InputError, match="row 60"):
        cells_of(table, unit)


# --- figures and page ------------------------------------------------------------------------------------


def test_eight_methods_differ_in_colour_and_marker_and_more_in_line():
    looks = [look(index) for index in range(20)]
    assert len(set(looks)) == 20
    assert len({style.colour for style in looks[:8]}) == len({style.marker for style in looks[:8]}) == 8
    assert {style.marker for style in looks} == plot_data.SYMBOLS.keys()


def test_sentence_names_and_table_gives_the_difference():
    table = make_table(tasks=("only",))
    study = make_study([table], [make_unit(table, "best", 1), make_unit(table, "poor", 60)])
    rows = summary_rows(study_cells(study), "best")
    poor = next(row["difference"] for row in rows if row["method"] == "poor")
    assert poor["ci95"][1] < 0  # clearly behind, so the sentence names a size
    text = answer.reference_answer(study, "toy", rows)
    assert "It is ahead of <strong>poor</strong>. The table has the differences." in text
    overview = answer.overview(Analysis(study))
    assert summary_table.signed_text(poor) in overview
    assert "Difference: method minus best" in overview
    assert "(bold: highest mean)" in overview


def test_tables_say_how_many_configurations_the_true_front_has():
    table = make_table()
    study = make_study([table], [make_unit(table, "m", 1)])
    analysis = Analysis(study)
    first, second = (true_front(table, task).size for task in (0, 1))
    assert first != second
    low, high = sorted((first, second))
    assert f"true fronts of {low} to {high} configurations" in answer.overview(analysis)
    assert f"second; true front of {second} configurations" in tasks.by_task(analysis)
    lone = table.select(objectives=["error"])
    assert summary_table.front_sizes(lone, ["first"]) == "true front of 1 configuration"


def test_staircase_turns_senses_back_and_keeps_the_pairs_front():
    table = make_table(num_objectives=2)
    turned = dataclasses.replace(
        table,
        objectives=(
            dataclasses.replace(table.objectives[0], name="accuracy", sense="max"),
            table.objectives[1],
        ),
    )
    cost, accuracy = staircase(turned, 0, np.arange(60), 1, 0)
    assert (np.diff(cost) > 0).all()
    assert (np.diff(accuracy) > 0).all()
    assert accuracy.max() == pytest.approx(1 - table.costs[0, :, 0, 0].min())


def test_names_from_data_are_drawn_as_they_are(tmp_path):
    table = make_table(r"$\frac{1}$ ../../x", tasks=("$x$ _", "<b>"))
    units = [make_unit(table, "_hidden $\\alpha$", 1, num_seeds=2)]
    study = make_study([table], units)
    with whole_figures():
        written = write_figures(Analysis(study), tmp_path / "figures").files
    assert all(path.parent == tmp_path / "figures" and path.stat().st_size > 5000 for path in written)
    assert plain("_x\n$y$") == " _x $y$"


def test_file_names_are_distinct_and_harmless():
    names = file_names(["a b", "a/b", "a-b", "../..", "ok", "ß"])
    assert len(set(names.values())) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", stem) for stem in names.values())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (42, "42 s"), (150, "2.5 min"), (7200, "2 h"), (1e6, "11.6 d")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234567, "1,234,567"), (0.00123, "0.00123"), (-2.5, "-2.5"), (1e-12, "1e-12")],
)
def test_numbers_read_well(value, text):
    assert number(value) == text


@given(st.integers(0, 400), st.integers(2, 60))
def test_thinning_keeps_both_ends(size, limit):
    kept = thinned(np.arange(size), limit)
    assert kept.size == min(size, limit)
    assert (np.diff(kept) > 0).all()
    assert size == 0 or (kept[0], kept[-1]) == (0, size - 1)


@given(st.text())
def test_embedded_json_never_leaves_its_element(text):
    encoded = embedded_json({text: [text]})
    assert not set(encoded) & set("<>&")
    assert json.loads(encoded) == {text: [text]}


class Elements(html.parser.HTMLParser):
    """Collects elements and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


NASTY = '</script><script>document.title="owned"</script><img src=x onerror=\'document.title="owned"\'>'


def test_page_is_self_contained_small_and_reads_no_markup_from_data(tmp_path):
    table = make_table(NASTY, tasks=(NASTY, "<b>bold</b>"), levels=(NASTY, "plain"))
    units = [make_unit(table, NASTY, 1, num_seeds=2), make_unit(table, "mo-hb", 3, num_seeds=2)]
    study = make_study([table], units, name=NASTY, command=NASTY, versions={NASTY: NASTY})
    write_analysis(Analysis(study), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(text)
    assert sum(tag == "script" for tag, _ in elements.seen) == 3
    assert not [tag for tag, _ in elements.seen if tag in ("link", "iframe", "b")]
    assert not [attrs for _, attrs in elements.seen if "onerror" in attrs]
    sources = [attrs["src"] for _, attrs in elements.seen if "src" in attrs]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    links = [attrs["href"] for _, attrs in elements.seen if "href" in attrs]
    ids = {attrs["id"] for _, attrs in elements.seen if "id" in attrs}
    assert all(link[1:] in ids if link[0] == "#" else (tmp_path / link).is_file() for link in links)
    assert len(text) < 8_000_000
    assert table.fingerprint in text


def test_page_says_when_it_thins_points(tmp_path, monkeypatch):
    monkeypatch.setattr(plot_data, "POINTS_ON_PAGE", 0)  # down to the smallest allowance: 20 and 10 points
    table = make_table(num_rows=400)
    study = make_study([table], [make_unit(table, "m", 1, num_seeds=1, num_slots=300)])
    text = page.page_html(Analysis(study), [])
    assert "at most 20 points of a true front and 10 of a method" in text
    data = json.loads(re.search(r'id="report-data">(.*?)</script>', text, re.S)[1])
    panel = data["benchmarks"][0]["panels"][0][0]
    assert len(panel["front"]) == 20
    assert len(panel["methods"][0]["front"]) == 10
    assert len(panel["configs"]) == len(panel["values"]) == len(panel["rows"])


def test_page_data_holds_each_points_configuration(tmp_path):
    table = make_table()
    study = make_study([table], [make_unit(table, "m", 1)])
    data = json.loads(embedded_json(plot_data.plot_data(Analysis(study))))
    benchmark = data["benchmarks"][0]
    assert benchmark["columns"] == [["kind", "learning_rate"]]
    panel = benchmark["panels"][0][0]
    for row, config, values in zip(panel["rows"], panel["configs"], panel["values"], strict=True):
        assert config == [
            table.config(row)["kind"],
            pytest.approx(table.config(row)["learning_rate"], rel=1e-5),
        ]
        assert values == pytest.approx(table.costs[0, row, 0].tolist(), rel=1e-5)
    assert [panel["rows"][index] for index in sorted(panel["front"])] == true_front(table, 0).tolist()
    assert make_spec(table, "m")["benchmark"] == benchmark["name"]
