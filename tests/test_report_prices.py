"""A study at other prices: numbers against a study made at them, files that say so, bad price lists."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from mohb_jax.benchmarks import cross_table, with_prices
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.benchmarks.prices import price_ratios, pricing, read_prices
from mohb_jax.benchmarks.table import Table

from mohb_jax import cli
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import study_cells
from mohb_jax.analysis.prices import reprice
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import Row, summary_rows
from mohb_jax.errors import InputError
from mohb_jax.report import report_folder, write_analysis, write_report
from mohb_jax.store import Unit
from tests.drafts import every_figure
from tests.fake_study import make_study, make_table, make_unit, write_folder

OLD = {"small": 0.2, "mid": 1.1, "big": 3.4}
NEW = {"small": 1.7, "big": 0.3}


def priced_table(prices: dict[str, float], name: str = "cloud", **changes: Any) -> Table:
    """Cost is runtime times the price of the row's type."""
    table = make_table(name, levels=tuple(prices), **changes)
    hourly = np.array(list(prices.values()))[table.configs[:, 0].astype(int)]
    costs = table.costs.copy()
    costs[..., 1] = table.runtime * hourly[:, None] / 3600
    return dataclasses.replace(table, costs=costs)


def crossed_table() -> AnyTable:
    plain = make_table("base", num_rows=12)
    hyperparameter = Column("kind", "categorical", "hyperparameter", ("small", "big"))
    return cross_table(dataclasses.replace(plain, columns=(hyperparameter, plain.columns[1])))


def unit_of(table: AnyTable, method: str, skill: float, log_of: Unit | None = None) -> Unit:
    """A fake unit whose logged costs grow with fidelity; ``log_of`` gives all but the costs."""
    dense = dataclasses.replace(
        make_table(tasks=table.tasks, num_rows=table.num_rows, num_objectives=table.num_objectives),
        name=table.name,
        objectives=table.objectives,
        costs=table.dense([0])[0],
        runtime=table.dense([0])[1],
    )
    unit = log_of or make_unit(dense, method, skill)
    log = unit.log
    costs = dense.costs[log.task[:, None], np.where(log.valid, log.row, 0), 0]
    scaled = np.where(log.valid[..., None], costs * (log.fidelity[..., None] + 1) / 3, np.inf)
    return Unit(unit.spec, log._replace(costs=scaled))


def rows_of(study: FinishedStudy) -> list[Row]:
    return summary_rows(study_cells(study), study.reference)


def numbers(rows: list[Row]) -> dict[str, float]:
    """Every number of the rows by its path."""

    def flat(prefix: str, value: Any) -> dict[str, float]:
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            return {k: v for key, part in items for k, v in flat(f"{prefix}.{key}", part).items()}
        return {prefix: value} if isinstance(value, int | float) else {}

    return flat("", rows)


@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("kind", ["table", "crossing"])
def test_repriced_numbers_are_those_of_a_study_made_at_the_new_prices(kind, resumable):
    if kind == "table":
        before, after = priced_table(OLD), priced_table(OLD | NEW)
        prices = NEW
    else:
        before = crossed_table()
        prices = {"ml.p2.xlarge": 9.0, "ml.c5.xlarge": 0.01}
        after = with_prices(before, prices)
    units = [unit_of(before, "random", 1), unit_of(before, "mo-hb", 3)]
    for unit in units:
        unit.spec["settings"]["resumable"] = resumable
    wanted = make_study([after], [unit_of(after, "", 0, unit) for unit in units])
    study = make_study([before], units)
    found = reprice(study, prices, "p.yaml")
    assert numbers(rows_of(found)) == pytest.approx(numbers(rows_of(wanted)), rel=1e-9, abs=1e-12)
    old, new = numbers(rows_of(study)), numbers(rows_of(found))
    for name in ("hypervolume.mean", "igd_plus.mean", "spent_usd"):
        assert old[f".0.{name}"] != pytest.approx(new[f".0.{name}"], rel=1e-3), name
    same = [path for path in old if path.endswith(("evaluations", "_seconds"))]
    assert {path: old[path] for path in same} == {path: new[path] for path in same}
    for name in ("cloud", "base-cloud"):
        if name in found.tables:
            assert [*true_front(found.tables[name], 0)] == [*true_front(after, 0)]
            assert [*true_front(found.tables[name], 0)] != [*true_front(before, 0)]


@pytest.mark.parametrize("make", [lambda: priced_table(OLD), crossed_table])
def test_the_old_prices_change_not_a_bit(make):
    table = make()
    study = make_study([table], [unit_of(table, "m", 2)])
    found = pricing(table)
    same = dict(zip(map(str, found.column.levels), found.prices[0].tolist(), strict=True))
    again = reprice(study, same, "p.yaml")
    assert again.prices is not None
    assert again.prices.changes == {table.name: ()}
    assert rows_of(again) == rows_of(study)


def test_ratios_are_one_but_in_money_of_named_types():
    table = priced_table(OLD)
    ratios = price_ratios(table, NEW)
    kinds = np.array(list(OLD))[table.configs[:, 0].astype(int)]
    np.testing.assert_array_equal(ratios[:, [0, 2]], 1.0)
    np.testing.assert_array_equal(ratios[kinds == "mid"], 1.0)
    np.testing.assert_allclose(ratios[kinds == "small", 1], 1.7 / 0.2)
    np.testing.assert_allclose(ratios[kinds == "big", 1], 0.3 / 3.4)


def test_a_price_that_no_full_training_shows_cannot_be_changed_for_runs_that_paid_it():
    table = priced_table(OLD)
    kind = table.configs[:, 0].astype(int)
    without = np.ones(table.mask.shape, bool)
    without[:, kind == 2] = False
    unit = unit_of(table, "m", 1)
    table = dataclasses.replace(table, available=without)
    log = unit.log
    full = log.valid & (log.fidelity == 2) & (kind[log.row] == 2)
    unit = Unit(unit.spec, log._replace(costs=np.where(full[..., None], np.inf, log.costs)))
    with pytest.raises(InputError, match=r"no full training on 'big'.*leave it out of the prices"):
        study_cells(reprice(make_study([table], [unit]), {"big": 1.0}, "p.yaml"))
    assert study_cells(reprice(make_study([table], [unit]), {"small": 1.0}, "p.yaml"))
    never = kind[log.row] == 2  # no run paid for it, so nothing is unknown
    unit = Unit(unit.spec, log._replace(costs=np.where(never[..., None], np.inf, log.costs)))
    study = reprice(make_study([table], [unit]), {"big": 1.0}, "p.yaml")
    assert study_cells(study)
    assert study.prices is not None
    (change,) = study.prices.changes["cloud"]
    assert (change.name, change.old, change.new) == ("big", None, 1.0)


# --- files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a table with prices and one without, reported ordinarily and at other prices."""
    directory = tmp_path_factory.mktemp("study")
    bare = priced_table(OLD, "bare", tasks=("only",)).select(objectives=["error", "runtime"])
    tables = [priced_table(OLD, tasks=("only",), num_objectives=2), bare]
    write_folder(directory, tables, [make_unit(t, m, s) for t in tables for m, s in (("a", 1), ("b", 3))])
    (directory / "spot.yaml").write_text("".join(f"{name}: {price}\n" for name, price in NEW.items()))
    with every_figure():
        write_report(directory)
    return directory


@pytest.fixture(scope="module")
def repriced(folder: Path) -> Path:
    """Its report at other prices, by the command."""
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    shown = io.StringIO()
    with every_figure(), contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as ended:
        cli.main(["report", str(folder), "--prices", str(folder / "spot.yaml")])
    assert ended.value.code == 0
    out = folder / "report-spot"
    assert f"open {out / 'index.html'}" in shown.getvalue()
    assert (
        "Re-priced: cloud; decisions were made under the old prices. Not re-priced: bare" in shown.getvalue()
    )
    assert {path: path.read_bytes() for path in before} == before
    return out


@pytest.mark.wide
def test_a_repriced_report_lies_beside_the_ordinary_one_and_says_so_everywhere(folder, repriced):
    out = repriced
    assert report_folder(folder, "x/spot.yaml") == out
    prices = json.loads((out / "summary.json").read_text())["prices"]
    assert prices["repriced"] == ["cloud"]
    assert "no objective in USD" in prices["not_repriced"]["bare"]
    changed = [(row["instance_type"], row["old_usd_per_hour"]) for row in prices["changed"]]
    assert changed == [("small", 0.2), ("big", 3.4)]
    for name in ("summary.csv", "curves.csv", "front.csv"):
        frame = pl.read_csv(out / name)
        says = dict(frame.select("benchmark", "prices").unique().iter_rows())
        assert says["cloud"] == "spot.yaml; decisions were made under the old prices"
        assert says["bare"] == "as in the runs"
        assert "prices" not in pl.read_csv(folder / "report" / name).columns
    assert pl.read_csv(out / "prices.csv")["new_usd_per_hour"].to_list() == [1.7, 0.3]
    page = (out / "index.html").read_text()
    assert "Re-priced with spot.yaml (cloud)" in page.split("</header>")[0]
    assert "decisions were made under the old prices" in page.split("</header>")[0]
    assert "<td>small</td><td>0.2</td><td>1.7</td><td>+750 %</td>" in page
    assert "bare is shown as it was run: table &#x27;bare&#x27; has no objective in USD" in page
    ordinary_page = (folder / "report" / "index.html").read_text()
    assert "re-priced" not in ordinary_page.lower()
    assert "Prices, old and new" not in ordinary_page


def test_figures_of_repriced_benchmarks_say_so_and_others_stay(folder, repriced):
    for path in sorted((folder / "report" / "figures").glob("*.png")):
        same = (repriced / "figures" / path.name).read_bytes() == path.read_bytes()
        assert same == path.name.startswith("bare"), path.name


def test_tables_across_tasks_say_at_which_prices(folder, repriced):
    for name in ("ranks.csv", "pairs.csv"):
        says = pl.read_csv(repriced / name)["prices"]
        assert all("decisions were made under the old prices" in text for text in says)
        assert "prices" not in pl.read_csv(folder / "report" / name).columns


@pytest.mark.wide
def test_equal_stores_and_prices_give_equal_files_and_a_later_report_leaves_none_behind(
    folder, repriced, tmp_path
):
    copy = tmp_path / "spot.yaml"
    copy.write_bytes((folder / "spot.yaml").read_bytes())
    with every_figure():
        write_report(folder, tmp_path / "again", prices=copy)
    for path in sorted(repriced.rglob("*.*")):
        again = tmp_path / "again" / path.relative_to(repriced)
        assert again.read_bytes() == path.read_bytes(), path.name
    with every_figure():
        assert write_report(folder, tmp_path / "again")["prices"] is None
    for path in sorted((tmp_path / "again").rglob("*.*")):
        ordinary = folder / "report" / path.relative_to(tmp_path / "again")
        assert ordinary.read_bytes() == path.read_bytes(), path.name


def test_names_of_a_price_list_are_read_as_text(tmp_path):
    nasty = "<img src=x onerror='1'>"
    table = priced_table({nasty: 0.2, "big": 1.0}, tasks=("only",), num_objectives=2)
    study = reprice(make_study([table], [unit_of(table, "m", 1)]), {nasty: 3.0}, f"{nasty}.csv")
    write_analysis(Analysis(study), tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<img" not in page
    assert "&lt;img src=x onerror=&#x27;1&#x27;&gt;.csv" in page


# --- price lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "small: 1.5\non: 2\n'3': 1e-1\n"),
        ("p.yml", "{small: 1.5, on: 2, 3: 1e-1}"),
        ("p.csv", "type,price\nsmall,1.5\non,2\n\n3,1e-1\n"),
        ("p.csv", "\ufefftype;USD per hour\r\nsmall;1.5\r\non; 2\r\n3;1e-1\r\n"),
        ("P.CSV", 'type\tprice\n"small"\t1.5\non\t2\n3\t1e-1'),
    ],
)
def test_price_lists_are_read_as_written(tmp_path, name, text):
    (tmp_path / name).write_text(text, newline="")
    assert read_prices(tmp_path / name) == {"small": 1.5, "on": 2.0, "3": 0.1}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.txt", "small: 1", "must end in one of .yaml, .yml, .csv"),
        ("p.yaml", None, "does not exist"),
        ("p.yaml", b"\xff\xfe\xff", "cannot be read"),
        ("p.yaml", "", "holds no price"),
        ("p.yaml", "- small", "is not a mapping of instance types"),
        ("p.yaml", "a: [", "is not YAML"),
        ("p.yaml", "prices: {small: 1}", "'prices' must be an instance type and a number"),
        ("p.yaml", "[a]: 1", "'line 1' must be an instance type"),
        ("p.yaml", "small: 1\nsmall: 2", "two prices for 'small'"),
        ("p.yaml", "small: cheap", "price of 'small' is 'cheap': a number of USD per hour above 0"),
        ("p.yaml", "small: 0", "price of 'small' is '0'"),
        ("p.yaml", "small: -1", "price of 'small' is '-1'"),
        ("p.yaml", "small: .inf", "price of 'small' is '.inf'"),
        ("p.yaml", "small: nan", "price of 'small' is 'nan'"),
        ("p.yaml", "small: true", "price of 'small' is 'true'"),
        ("p.yaml", "small:", "price of 'small' is ''"),
        ("p.csv", "", "holds no price"),
        ("p.csv", "type,price\n", "holds no price"),
        ("p.csv", "small,1\nbig,2\n", "its first line must be a header"),
        ("p.csv", "type,price,gpu\nsmall,1,2\n", "line 1: 3 columns, but two are needed"),
        ("p.csv", "type,price\nsmall\n", "line 2: 1 columns"),
        ("p.csv", 'type,price\n"small,1\n', "is not CSV"),
        ("p.csv", "type, in USD;price\nsmall;0\n", "price of 'small' is '0'"),
    ],
)
def test_bad_price_lists_end_in_one_line(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_prices(tmp_path / name)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def with_fee() -> Table:
    table = priced_table(OLD, "fee")
    return dataclasses.replace(table, costs=table.costs + 1.0)


@pytest.mark.parametrize(
    ("tables", "prices", "words"),
    [
        ([priced_table(OLD)], {"smal": 1.0}, "'smal' (did you mean 'small'?); accepted: small, mid, big"),
        (
            [priced_table(OLD), with_fee()],
            {"large": 1.0},
            "'large'; accepted: small, mid, big; not re-priced: table 'fee': 'cost' is not runtime x one",
        ),
        ([with_fee()], NEW, "table 'fee': 'cost' is not runtime x one price for kind 'small'"),
        (
            [with_fee(), priced_table(OLD, "bare").select(objectives=["error"])],
            NEW,
            "can be re-priced: table 'fee': 'cost' is not runtime x one price for kind 'small', so other "
            "prices cannot be applied; table 'bare' has no objective in USD",
        ),
    ],
)
def test_prices_that_fit_nothing_are_refused(tables, prices, words):
    study = make_study(tables, [make_unit(table, "m", 1) for table in tables])
    with pytest.raises(InputError) as caught:
        reprice(study, prices, "spot.csv")
    assert words in str(caught.value)
    assert "spot.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_benchmark_with_none_of_the_types_stays_as_it_is():
    tables = [priced_table(OLD), priced_table({"left": 1.0, "right": 2.0}, "other")]
    study = make_study(tables, [make_unit(table, "m", 1) for table in tables])
    found = reprice(study, {"right": 5.0}, "spot.csv")
    assert found.prices is not None
    assert list(found.prices.changes) == ["other"]
    assert found.prices.kept == {"cloud": "table 'cloud' has none of the types in spot.csv"}
    assert found.tables["cloud"] is tables[0]
    assert found.units[0] is study.units[0]


def test_a_bad_list_leaves_no_report(tmp_path, capsys):
    table = priced_table(OLD, tasks=("only",))
    write_folder(tmp_path, [table], [make_unit(table, "m", 1, num_seeds=1)])
    (tmp_path / "spot.yaml").write_text("huge: 3\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(tmp_path), "--prices", str(tmp_path / "spot.yaml")])
    assert ended.value.code == 2
    assert "unknown instance type in spot.yaml: 'huge'" in capsys.readouterr().err
    assert not (tmp_path / "report-spot").exists()


def test_level_names_that_are_numbers_can_be_priced():
    table = priced_table(OLD)
    column = Column("gpus", "categorical", "hardware", (1, 2, 4))
    table = dataclasses.replace(table, columns=(column, table.columns[1]))
    np.testing.assert_array_equal(
        with_prices(table, {"4": 1.0}).costs, with_prices(priced_table(OLD), {"big": 1.0}).costs
    )
