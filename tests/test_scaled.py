"""Scaled performance, failures and kinds of tasks: published results of AMLB 2019, and made-up studies."""

import csv
import json

import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.download import RemoteFile, locate

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.kinds import as_json, is_reversed, kind_rows, kinds, leaves
from mohb_jax.analysis.ranks import critical_difference
from mohb_jax.analysis.scaled import scaled, scaled_values
from mohb_jax.analysis.tables import scaled_rows
from mohb_jax.analysis.worth_tree import worth_tree
from mohb_jax.analysis.worths import wins, worths
from mohb_jax.description import task_descriptors
from mohb_jax.report.figures.scaled import kinds_figure, scaled_figure
from mohb_jax.report.sections import scaled as section
from tests.fake_study import make_study, make_table, make_unit
from tests.real_data import need
from tests.test_worths import _FOLDER as AMLB
from tests.test_worths import FRAMEWORKS, made

pytestmark = pytest.mark.fast

SUMMARY = RemoteFile(
    "amlb/score_summary_1h.csv",
    f"{AMLB}/tables/1h/score_summary.csv",
    "1c7c15682cdd0ab6d44d23eb7999d8a3a79e8308824872418ee42746ef2dbe04",
    2965,
    "MIT",
)
METADATA = RemoteFile(
    "amlb/metadata_1h.csv",
    f"{AMLB}/datasets/1h/metadata.csv",
    "7d37a6de611b42e65c39b4211c478c96976c058b13efdc5c604d8d2030048f15",
    2983,
    "MIT",
)
OTHER_NAMES = {"guiellermo": "guillermo", "blood-transfusion": "blood-transfusion-service-center"}


def published():
    """Values of 35 tasks, what failed throughout as the constant predictor, and descriptors of the tasks."""
    need(SUMMARY)
    need(METADATA)
    tasks, known = (list(csv.DictReader(locate(file).open(newline=""))) for file in (SUMMARY, METADATA))
    constant = np.array([float(row["constantpredictor"]) for row in tasks])[:, None]
    values = np.array([[float(row[name].split()[0]) for name in FRAMEWORKS] for row in tasks])
    by_name = {row["name"].lower(): row for row in known}
    rows = [by_name[OTHER_NAMES.get(row["task"], row["task"])] for row in tasks]
    numbers = ("nrows", "nfeatures", "nclasses", "class_imbalance")
    described = {name: np.array([float(row[name]) for row in rows]) for name in numbers}
    return np.where(np.isnan(values), constant, values), described | {"type": [row["type"] for row in rows]}


def test_published_figures_of_amlb_2019():
    values, described = published()
    ranks = scipy.stats.rankdata(-values, axis=1).mean(axis=0)
    np.testing.assert_allclose(ranks, [2.6, 5.6857, 1.5429, 4.0, 3.5429, 3.6286], atol=5e-5)
    friedman = scipy.stats.friedmanchisquare(*values.T)
    assert friedman.statistic == pytest.approx(96.86122, abs=5e-6)
    assert friedman.pvalue == pytest.approx(2.42e-19, rel=5e-3)
    assert critical_difference(6, 35) == pytest.approx(1.2744270, abs=5e-8)
    found = worths(FRAMEWORKS, values)
    np.testing.assert_allclose(
        found.worths, [0.18433, 0.00647, 0.60684, 0.05166, 0.07823, 0.07246], atol=5e-6
    )
    assert found.log_likelihood == pytest.approx(-223.8384, abs=5e-5)
    assert wins(values).sum(axis=0)[2].tolist() == [27, 35, 0, 33, 29, 32]
    scale = scaled_values(values, FRAMEWORKS.index("randomforest"))
    assert np.median(scale, axis=0) == pytest.approx([0.7099, -4.1756, 1, 0, 0.4015, 0.0321], abs=5e-5)
    assert (scale < -2).sum(axis=0).tolist() == [3, 26, 1, 0, 7, 0]
    root = worth_tree(FRAMEWORKS, values, described, least=5)
    expected = {"type": 8.1193, "nrows": 11.3335, "nfeatures": 13.4008, "nclasses": 8.1193}
    for name, value in (expected | {"class_imbalance": 5.6387}).items():
        assert root.statistics[name] == pytest.approx(value, abs=5e-5), name
    assert root.split is None


def data_of(values, methods=("random", "b", "c")):
    tasks = tuple(f"toy/t{task}" for task in range(len(values)))
    return Comparison(methods, tasks, np.asarray(values, float)[..., None], 0)


def test_tasks_without_a_scale_are_named_apart():
    found = scaled(data_of([[0.5, 0.7, 0.9], [0.8, 0.4, 0.8], [0.4, 0.1, 0.5]]), {})
    assert found.tasks == ("toy/t0", "toy/t2")
    assert found.num_tasks == 3
    np.testing.assert_allclose(found.values, [[0, 0.5, 1], [0, -3, 1]])
    assert found.medians == pytest.approx((0, -1.25, 1))
    assert found.below == (0, 1, 0)
    assert scaled(data_of([[0.5, 0.7, 0.9]], ("a", "b", "c")), {}) is None
    assert scaled(data_of([[0.5, 0.7, 0.9]], ("a", "b", "c")), {"b": "random"}).plain == "b"
    assert scaled(data_of([[0.5, 0.5, 0.5]]), {}).medians == ()


def test_kinds_of_tasks_are_found_where_all_benchmarks_know_them():
    values, described = made()
    data = data_of(values, ("A", "B", "C"))
    tasks = {"toy": tuple(f"t{task}" for task in range(20))}
    known = {"toy": described | {"same": np.ones(20), "unknown": np.full(20, np.nan)}}
    found = kinds(data, known, tasks)
    assert set(found.tree.p_values) == {"x", "noise"}
    assert [conditions for conditions, _ in leaves(found.tree)] == [("x at most 10",), ("x above 10",)]
    one, other = (is_reversed(leaf, found.tree) for _, leaf in leaves(found.tree))
    assert one != other
    rows = kind_rows(found)
    assert [row["node"] for row in rows] == ["all tasks"] * 2 + ["x at most 10"] * 2 + ["x above 10"] * 2
    assert [row["splits"] for row in rows] == [True, *[False] * 5]
    plain = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert [child["tasks"][0] for child in plain["tree"]["children"]] == ["toy/t0", "toy/t10"]
    few = kinds(data_of(values[:9]), known, tasks)
    assert few.tree is None
    assert few.reason == "it needs 10 tasks, and there are 9"
    assert "no descriptor" in kinds(data, {}, {}).reason
    drawn = kinds_figure(found, {name: number for number, name in enumerate("ABC")})
    assert [axes.get_title() for axes in drawn.axes[:2]] == ["A: 10 tasks", "B: 10 tasks"]


def ended_without_a_result(unit, lane):
    """The unit with nothing in one of its runs."""
    valid = np.array(unit.log.valid)
    valid[lane] = False
    return unit._replace(log=unit.log._replace(valid=valid))


def test_failures_are_counted_and_stay():
    table = make_table(tasks=("one", "two"), num_objectives=2)
    units = [make_unit(table, name, skill, num_seeds=4) for name, skill in (("random", 9), ("other", 1))]
    units[1] = ended_without_a_result(units[1], 5)
    found = Analysis(make_study([table], units))
    assert found.failures.failed == ((0, 0), (0, 1))
    assert found.failures.total == (0, 1)
    assert found.failures.runs == 4
    assert found.comparison.values[1, 1].min() == 0
    rows = scaled_rows(found.scaled, found.failures)
    assert [row["failed"] for row in rows] == [0, 0, 0, 1]
    text = section.build(found).html
    assert "<td>1 of 8</td>" in text
    assert "No tree of worths: it needs 10 tasks, and there are 2." in text
    drawn = scaled_figure(found.scaled, {"random": 0, "other": 1})
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()][-1] == "other"


def test_descriptors_of_tasks():
    table = make_table(tasks=("one", "two"), num_objectives=2)
    found = task_descriptors(table)
    assert found["rows"].tolist() == [60, 60]
    assert found["first fidelity"].tolist() == [1, 1]
    assert found["worth of first fidelity"].tolist() == [1, 1]
    assert found["failing"].tolist() == [0, 0]
    rank = scipy.stats.spearmanr(*table.final_costs(1).T).statistic
    assert found["agreement of objectives"][1] == pytest.approx(rank)
