"""Calibration of fitted models in the report: reading, averages, table, figure, files, bad content."""

import json
from pathlib import Path
from typing import Any, get_args

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from mohb_jax.surrogates.calibration import LEVELS

from mohb_jax import calibration
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.calibration import aggregates
from mohb_jax.analysis.final import summarise
from mohb_jax.analysis.results import load_study
from mohb_jax.calibration import CalibrationRow, read_calibration
from mohb_jax.errors import InputError
from mohb_jax.report import write_report
from mohb_jax.report.figures.calibration import _MODELS
from mohb_jax.report.sections.calibration import build
from mohb_jax.study.run import CALIBRATIONS
from tests.drafts import whole_figures
from tests.fake_study import make_table, make_unit, write_folder

MODELS = ("prior network", "gaussian process")


def make_row(**changes: Any) -> dict[str, Any]:
    row = {
        "benchmark": "toy",
        "task": "first",
        "objective": "error",
        "model": "prior network",
        "coverage": {"0.5": 0.4, "0.8": 0.7, "0.95": 0.9},
        "negative_log_likelihood": 0.75,
        "num_values": 60,
    }
    return row | changes


def make_rows() -> list[dict[str, Any]]:
    """Two tasks, two objectives, two models: every number is a function of its place."""
    return [
        make_row(
            task=task,
            objective=objective,
            model=model,
            coverage={level: (float(level) + 0.1 * t) / (1 + m) for level in ("0.5", "0.8")} | {"0.95": 0.9},
            negative_log_likelihood=1.0 + t - 3 * m,
            num_values=60 + t,
        )
        for t, task in enumerate(("first", "second"))
        for objective in ("error", "cost")
        for m, model in enumerate(MODELS)
    ]


def write_rows(directory: Path, content: Any) -> None:
    (directory / "calibration.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study with calibration, reported."""
    directory = tmp_path_factory.mktemp("study")
    table = make_table(tasks=("first",), num_objectives=2)
    write_folder(directory, [table], [make_unit(table, "mo-hb", 2, num_seeds=2)])
    write_rows(directory, make_rows())
    with whole_figures():
        write_report(directory)
    return directory


def test_every_model_can_be_measured_stored_and_drawn():
    stored = set(get_args(CalibrationRow.model_fields["model"].annotation))
    assert stored == set(CALIBRATIONS) == set(_MODELS)


def test_levels_are_those_that_are_measured():
    assert tuple(map(str, LEVELS)) == calibration.LEVELS


def test_summary_and_csv_hold_every_row(folder):
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["calibration"] == make_rows()
    assert summarise(folder)["calibration"] == make_rows()
    frame = pl.read_csv(folder / "report" / "calibration.csv")
    assert frame["task"].to_list() == [row["task"] for row in make_rows()]
    assert frame["coverage_0.8"].to_list() == [row["coverage"]["0.8"] for row in make_rows()]
    assert frame["negative_log_likelihood"].to_list() == [1.0, -2.0, 1.0, -2.0, 2.0, -1.0, 2.0, -1.0]
    assert frame["num_values"].sum() == 4 * (60 + 61)


def test_averages_are_over_tasks_and_keep_extremes_apart():
    found = aggregates(load(make_rows()))
    assert [(item.objective, item.model) for item in found] == [
        (o, m) for o in ("error", "cost") for m in MODELS
    ]
    assert found[0].coverage[1] == pytest.approx((0.85, 0.8, 0.9))
    assert found[1].coverage[0] == pytest.approx((0.275, 0.25, 0.3))
    assert found[1].negative_log_likelihood == (-1.5, -2.0, -1.0)
    assert (found[0].num_tasks, found[0].num_values) == (2, 121)


def load(content: Any) -> tuple[CalibrationRow, ...]:
    return tuple(CalibrationRow.model_validate(row) for row in content)


def test_page_shows_a_row_per_objective_and_model_and_how_to_read_it(folder):
    page = (folder / "report" / "index.html").read_text()
    section = page[page.index('<section id="calibration">') :]
    section = section[: section.index("</section>")]
    assert section.count("<tr>") == 1 + 4
    assert (
        "<td>error</td><td>prior network</td>"
        '<td>55 % <span class="interval">[50, 60]</span></td>'
        '<td>85 % <span class="interval">[80, 90]</span></td>'
        '<td>90 % <span class="interval">[90, 90]</span></td>'
        '<td>1.50 <span class="interval">[1.00, 2.00]</span></td>'
        "<td>2</td><td>121</td>"
    ) in section
    for words in ("overconfident", "too cautious", "1.42", "lower is better", "calibration.csv"):
        assert words in section
    for name in ("calibration.csv", "figures/calibration.pdf", "figures/calibration.png"):
        assert f'href="{name}"' in page


def test_figure_shows_both_models(folder):
    path = folder / "report" / "figures" / "calibration.png"
    pixels = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)
    for colour in ((0x6B, 0x4C, 0x9A), (0, 0, 0)):
        assert (np.abs(pixels - colour).max(axis=-1) < 12).sum() > 300, colour
    assert (folder / "report" / "figures" / "calibration.pdf").stat().st_size > 5000


def test_one_held_out_task_has_no_range(folder):
    (folder / "calibration.json").read_text()
    study = load_study(folder)
    alone = build(Analysis(type(study)(**{**vars(study), "calibration": study.calibration[:1]})))
    assert alone
    assert "interval" not in alone.html.split("<tbody>")[1]
    assert build(Analysis(type(study)(**{**vars(study), "calibration": ()}))) is None


def test_equal_stores_give_equal_files(folder, tmp_path):
    with whole_figures():
        write_report(folder, tmp_path)
    for path in sorted((folder / "report").rglob("*.*")):
        assert (tmp_path / path.relative_to(folder / "report")).read_bytes() == path.read_bytes(), path.name


def test_without_the_file_nothing_is_said_and_nothing_left_behind(tmp_path):
    table = make_table(tasks=("first",), num_objectives=2)
    write_folder(tmp_path, [table], [make_unit(table, "mo-hb", 2, num_seeds=1)])
    write_rows(tmp_path, make_rows())
    write_report(tmp_path)
    (tmp_path / "calibration.json").unlink()
    assert write_report(tmp_path)["calibration"] == []
    assert not list((tmp_path / "report").rglob("calibration*"))
    assert (
        "calibration"
        not in (tmp_path / "report" / "index.html")
        .read_text()
        .split("<body>")[1]
        .split('<script type="application/json"')[0]
    )


def test_rows_of_benchmarks_of_an_earlier_study_are_left_out(tmp_path):
    write_rows(tmp_path, [make_row(), make_row(benchmark="other")])
    assert [row.benchmark for row in read_calibration(tmp_path, ["toy"])] == ["toy"]
    assert read_calibration(tmp_path / "nowhere", ["toy"]) == ()


def test_a_page_of_a_table_without_money_is_written(tmp_path):
    """It once failed on the missing sum of money."""
    table = make_table(tasks=("first",)).select(objectives=["error", "runtime"])
    write_folder(tmp_path, [table], [make_unit(table, "mo-hb", 2, num_seeds=1)])
    write_report(tmp_path)
    assert "Spent [USD]" not in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("{}", "the file: input should be a valid list"),
        ("[1]", "row 1"),
        (json.dumps([make_row(), make_row(task=3)]), "row 2, task is 3: input should be a valid string"),
        (json.dumps([make_row(model="oracle")]), "'prior network', 'gaussian process', "),
        (json.dumps([make_row(coverage={"0.5": 0.5, "0.8": 0.8})]), "row 1, coverage: level 0.95 is missing"),
        (json.dumps([make_row(coverage={"0.5": 0.5, "0.8": 1.8, "0.95": 1})]), "row 1, coverage.0.8 is 1.8"),
        (json.dumps([make_row(coverage={"0.5": 0.5, "0.8": 0.8, "0.95": 1, "1": 1})]), "row 1, coverage.1"),
        (json.dumps([make_row(negative_log_likelihood=float("nan"))]), "row 1, negative_log_likelihood"),
        (json.dumps([make_row(negative_log_likelihood="1")]), "row 1, negative_log_likelihood is '1'"),
        (json.dumps([make_row(num_values=0)]), "row 1, num_values is 0"),
        (json.dumps([make_row(extra=0)]), "row 1, extra"),
        (json.dumps([{k: v for k, v in make_row().items() if k != "task"}]), "row 1, task: field required"),
    ],
)
def test_bad_content_ends_in_one_line_that_names_the_place(tmp_path, text, words):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_calibration(tmp_path, ["toy"])
    assert words in str(caught.value)
    assert "calibration.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_from_data_are_shown_and_not_run(tmp_path):
    nasty = "<img src=x onerror='1'>"
    table = make_table("toy", tasks=("first",), num_objectives=2)
    write_folder(tmp_path, [table], [make_unit(table, "mo-hb", 2, num_seeds=1)])
    write_rows(tmp_path, [make_row(objective=nasty, task=nasty)])
    write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
