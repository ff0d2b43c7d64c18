"""The results of a study in Python: frames with documented columns, filters, figures, the page."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from mohb_jax.analysis import analysis
from mohb_jax.analysis.columns import TABLES
from mohb_jax.analysis.final import final_rows
from mohb_jax.analysis.statistics import ALL_TASKS
from mohb_jax.errors import InputError
from mohb_jax.report import write_report
from mohb_jax.results import Results, load_results
from tests.fake_study import make_table, make_unit, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two benchmarks, three methods with settings of their own."""
    directory = tmp_path_factory.mktemp("study")
    tables = [make_table(), make_table("lone", tasks=("only",), num_objectives=2, seed=3)]
    units = []
    for table in tables:
        for seed, (method, skill) in enumerate([("hb", 2), ("mo-hb", 5), ("<i>", 1)]):
            unit = make_unit(table, method, skill, seed=seed)
            unit.spec.update(method_name="hb", settings={"eta": 2 + seed})
            units.append(unit)
    write_folder(directory, tables, units)
    return directory


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load_results(folder)


def pattern(name: str) -> str:
    """Of a documented column's name: capital letters stand for names of the study."""
    return re.sub("NAME", ".+", re.escape(name))


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_documented_and_of_the_type_stated(results, table):
    frame = results.compare("hb", "mo-hb") if table == "compare" else results.analysis.table(table)
    assert frame.columns
    for name, kind in frame.schema.items():
        (column,) = [c for c in TABLES[table] if re.fullmatch(pattern(c.name), name)]
        assert kind == column.kind or "NAME" in column.name, name
        assert column.meaning
    wanted = [c.name for c in TABLES[table] if not c.optional]
    assert [name for name in frame.columns if name in wanted] == wanted
    assert results.columns(table)["column"].to_list()[: len(TABLES[table])] == [c.name for c in TABLES[table]]


def test_frames_are_those_of_the_report(results, folder, tmp_path):
    write_report(folder, tmp_path)
    frames = {"summary": results.summary(), "front": results.fronts(), "ranks": results.ranks()}
    assert pl.read_parquet(tmp_path / "finals.parquet").equals(results.finals())
    frames |= {"finals": results.finals(), "pairs": results.pairs()}
    assert results.effects().is_empty()  # settings differ, but by hand
    assert not (tmp_path / "effects.csv").exists()
    for name, frame in frames.items():
        assert frame.write_csv() == (tmp_path / f"{name}.csv").read_text(), name
    curves = pl.read_csv(tmp_path / "curves.csv")
    assert curves.columns == [*results.curves().columns, "front_found_mean"]
    final = {(row["benchmark"], row["method"]): row["hypervolume"] for row in final_rows(folder)[0]}
    rows = results.summary(task=ALL_TASKS).iter_rows(named=True)
    assert {(row["benchmark"], row["method"]): row["hypervolume_mean"] for row in rows} == final


def test_finals_have_the_base_method_and_its_settings_apart(results):
    finals = results.finals(credit="full")
    assert finals.select("benchmark", "task", "method", "run").unique().height == finals.height
    means = finals.group_by("benchmark", "task", "method").agg(pl.col("hypervolume", "evaluations").mean())
    rows = results.summary(credit="full").join(means, on=["benchmark", "task", "method"])
    assert rows.height == means.height
    np.testing.assert_allclose(rows["hypervolume"], rows["hypervolume_mean"], rtol=1e-12)
    np.testing.assert_allclose(rows["evaluations_right"], rows["evaluations"], rtol=1e-12)
    kinds = finals.select("method", "base_method", "setting_eta").unique()
    assert set(kinds.iter_rows()) == {("hb", "hb", 2), ("mo-hb", "hb", 3), ("<i>", "hb", 4)}


def test_filters(results):
    assert results.benchmarks == ("toy", "lone")
    assert results.tasks == {"toy": ("first", "second"), "lone": ("only",)}
    assert set(results.summary(benchmark="toy")["benchmark"]) == {"toy"}
    assert results.summary(task="all", method=["hb", "<i>"]).height == 4
    assert set(results.curves(task="only", method="hb")["task"]) == {"only"}
    assert set(results.fronts(benchmark="lone", method="hb")["method"]) == {"hb", "true front"}
    assert set(results.evaluations(method="mo-hb")["method"]) == {"mo-hb"}
    assert results.ranks(method="hb").height == 1
    assert results.curves("front_found").columns[-1] == "front_found_mean"
    assert "hypervolume_mean" not in results.curves("front_found").columns


def test_evaluations_are_those_of_the_logs(results):
    frame = results.evaluations(benchmark="lone")
    units = {(u.spec["benchmark"], u.spec["method"]): u for u in results.analysis.study.units}
    assert frame.filter(method="hb").height == int(units["lone", "hb"].log.valid.sum())


def test_two_methods_beside_each_other(results):
    frame = results.compare("mo-hb", "hb")
    assert frame.select("benchmark", "task").rows() == [
        *(("toy", task) for task in ("all", "first", "second")),
        *(("lone", task) for task in ("all", "only")),
    ]
    cells = {cell.method: cell for cell in results.analysis.cells if cell.task == "first"}
    gap = cells["mo-hb"].final["hypervolume"] - cells["hb"].final["hypervolume"]
    row = frame.row(by_predicate=pl.col("task") == "first", named=True)
    assert row["difference"] == pytest.approx(gap.mean())
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["test"] == "mann-whitney"
    assert frame.row(0, named=True)["test"] is None, "two tasks are too few for a test"
    other = results.compare("hb", "mo-hb", task="first")
    np.testing.assert_allclose(other["difference"], [-row["difference"]] * 2)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda r: r.summary(benchmark="tou"),
            r"unknown benchmark 'tou' \(did you mean 'toy'\?\); accepted: toy, lone",
        ),
        (lambda r: r.curves(task="third"), "unknown task 'third'.*accepted: first, second, only"),
        (lambda r: r.curves(task="only", benchmark="toy"), "unknown task 'only'.*accepted: first, second"),
        (lambda r: r.fronts(method="bohb"), "unknown method 'bohb'.*accepted: hb, mo-hb, <i>"),
        (lambda r: r.curves("volume"), "unknown indicator 'volume'.*accepted: hypervolume, front_found"),
        (lambda r: r.compare("hb", "nobody"), "unknown method 'nobody'"),
        (lambda r: r.compare("hb", "hb"), "came twice"),
        (lambda r: r.plot_curves(), "a figure shows one benchmark: give benchmark=, one of toy, lone"),
        (lambda r: r.plot_fronts(task="only", x="size"), "unknown objective 'size'.*accepted: error, cost"),
        (lambda r: r.plot_fronts(task="only", x="cost", y="cost"), "both 'cost': give two of error, cost"),
        (lambda r: r.plot_ranks(method="hb"), "there is no figure of ranks: .*1 methods"),
        (lambda r: r.columns("sumary"), "table 'sumary' is unknown: accepted are summary, finals"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(results, ask, message):
    with pytest.raises(InputError, match=message):
        ask(results)


def test_figures_are_matplotlibs_and_leave_its_settings_alone(results, tmp_path):
    before = dict(matplotlib.rcParams)
    figures = [
        results.plot_curves(benchmark="toy"),
        results.plot_curves("front_found", task="first", method="hb"),
        results.plot_fronts(task=["first", "second"]),
        results.plot_fronts(benchmark="toy", x="error", y="runtime"),
        results.plot_ranks(),
        results.plot_ranks(method=["hb", "<i>"]),
    ]
    assert all(isinstance(figure, Figure) for figure in figures)
    assert dict(matplotlib.rcParams) == before
    shown = [sum(axes.get_visible() for axes in figure.axes) for figure in figures]
    assert shown == [2, 1, 2, 2, 1, 1]
    (axes,) = figures[1].axes
    assert len(axes.lines) == 1
    assert figures[3].axes[0].get_ylabel().startswith("runtime")
    for index, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{index}.png")


def test_each_thing_is_computed_once(folder, monkeypatch):
    calls = []
    for name in ("kept_or_computed", "summary_rows", "ranking"):
        whole = getattr(analysis, name)
        monkeypatch.setattr(analysis, name, lambda *args, n=name, f=whole: calls.append(n) or f(*args))
    found = load_results(folder)
    assert calls == [], "nothing before it is asked for"
    for _ in range(2):
        found.summary(), found.curves(), found.fronts(), found.ranks(), found.plot_ranks()
    assert sorted(calls) == ["kept_or_computed", "kept_or_computed", "ranking", "summary_rows"]


def test_the_page(results, folder, tmp_path):
    assert results.report(tmp_path / "out") == tmp_path / "out" / "index.html"
    write_report(folder, tmp_path / "command")
    for path in (tmp_path / "command").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "command")).read_bytes()


def test_it_says_what_it_holds(results, folder):
    assert repr(results) == (
        f"<Results of study 'trial': 3 methods on toy, lone; 6 of 6 work units, in {str(folder)!r}>"
    )
    shown = results._repr_html_()
    assert "<td>&lt;i&gt;</td>" in shown
    assert shown.count("<tr>") == 1 + 6
