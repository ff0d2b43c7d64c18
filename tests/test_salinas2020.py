"""The improvement over random search, against plain arithmetic, and a small reproduction."""

import json

import numpy as np
import pytest

from mohb_jax import benchmarks, cli, store
from mohb_jax.papers import salinas2020
from mohb_jax.simulation import simulate

pytestmark = pytest.mark.wide


def test_improvement_by_hand():
    baseline = np.array([[0.4, 0.2], [0.5, 0.0]])
    method = np.array([[0.1, 0.2], [0.25, 0.0]])
    # Task 0: 0.75 and 0; task 1: 0.5, and 0 where random search has nothing left to improve.
    np.testing.assert_allclose(salinas2020.improvement(method, baseline), [0.375, 0.25])


@pytest.mark.parametrize(
    ("value", "where"), [(0.3, "below"), (0.378, "inside"), (0.568, "inside"), (0.6, "above")]
)
def test_place_in_the_band(value, where):
    assert salinas2020.place(value, salinas2020.PUBLISHED["deepar", "cts"]) == where
    assert salinas2020.place(value, ()) == ""


@pytest.fixture
def small(monkeypatch):
    """The paper with one small benchmark, two methods and eight evaluations."""
    monkeypatch.setattr(salinas2020, "ITERATIONS", {"embedded": 8})
    monkeypatch.setattr(salinas2020, "OBJECTIVES", {"embedded": "error"})
    monkeypatch.setattr(salinas2020, "METHODS", ("random", "cts"))
    monkeypatch.setattr(salinas2020, "DRAWS", 32)
    paper = salinas2020.PAPER
    object.__setattr__(paper, "benchmarks", ("embedded",))
    yield paper
    object.__setattr__(paper, "benchmarks", ("deepar", "nasbench201"))


def distances_by_definition(table, log, lane):
    """ADTM after each evaluation of one run."""
    values = table.final_costs(int(log.task[lane]))[:, 0]
    best, found = np.inf, []
    for row in log.row[lane]:
        best = min(best, values[row])
        found.append((best - values.min()) / (values.max() - values.min()))
    return found


def test_a_small_reproduction(small, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = ["reproduce", "salinas2020", "--seeds", "3", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["mohb", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 0
    assert "claims/index.html" in capsys.readouterr().out
    rows = json.loads((out / "claims" / "adtm.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["random", "cts"]
    assert rows[0]["improvement"] == 0
    table = benchmarks.load("embedded").select(objectives=["error"])
    logs = [
        simulate(table, name, num_seeds=3, evaluations=8, workers=1, **own)
        for name, own in (("random", {}), ("cts", {"draws": 32}))
    ]
    means = []
    for log in logs:
        all_runs = np.array([distances_by_definition(table, log, lane) for lane in range(len(log.task))])
        means.append(all_runs.reshape(7, 3, 8).mean(axis=1))
    assert rows[1]["improvement"] == pytest.approx((1 - means[1] / means[0]).mean())
    np.testing.assert_allclose(rows[1]["curve"], means[1].mean(axis=0))
    page = (out / "claims" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "embedded by task" in page
    assert {path.name for path in (out / "claims" / "figures").iterdir()} == {"adtm.pdf", "adtm.png"}


def test_a_failed_evaluation_counts_as_the_worst(tmp_path):
    table = benchmarks.load("embedded").select(tasks=["digits", "diabetes"], objectives=["error"])
    log = simulate(table, "random", num_seeds=1, evaluations=5, workers=1)
    spec = {"method": "random", "num_seeds": 1}
    failed = log._replace(valid=log.valid & (np.arange(5) > 1))
    distance = salinas2020._distances(store.Unit(spec, failed), table)
    assert (distance[:, :2] == 1).all()
    assert (distance[:, 2:] < 1).all()


def test_the_studies_are_those_of_the_paper():
    assert set(salinas2020.PAPER.benchmarks) == {"deepar", "nasbench201"}
    for name, evaluations in (("deepar", 100), ("nasbench201", 70)):
        study = salinas2020.make_benchmark_study(name, 30)
        assert (study.seeds, study.evaluations, study.settings["workers"]) == (30, evaluations, 1)
        assert len(study.benchmarks[0].objectives) == 1
