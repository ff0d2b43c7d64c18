"""The bag of baselines: a small reproduction over two benchmarks, and what its page says."""

import json

import pytest

from mohb_jax import benchmarks, cli
from mohb_jax.methods import METHODS, lacking
from mohb_jax.papers import guerrero2021
from tests.real_data import small as small_table

pytestmark = pytest.mark.wide


@pytest.fixture
def small(monkeypatch):
    """The paper with two small benchmarks and two of its methods, one of which neither can serve."""
    monkeypatch.setattr(guerrero2021, "OBJECTIVES", {"embedded": ["error", "cost"], "synthetic": None})
    monkeypatch.setattr(guerrero2021, "TASKS", {"embedded": ["digits", "diabetes"]})
    monkeypatch.setattr(guerrero2021, "PAPERS_METHODS", ("sh-emoa", "ms-ehvi"))
    monkeypatch.setattr(guerrero2021, "WITHOUT", dict.fromkeys(("embedded", "synthetic"), ("ms-ehvi",)))
    paper = guerrero2021.PAPER
    before = paper.benchmarks
    object.__setattr__(paper, "benchmarks", ("embedded", "synthetic"))
    yield paper
    object.__setattr__(paper, "benchmarks", before)


def test_a_small_reproduction(small, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = ["reproduce", "guerrero2021", "--seeds", "2", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["mohb", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 0
    assert "claims/index.html" in capsys.readouterr().out
    summary = json.loads((out / "claims" / "summary.json").read_text())
    found = {
        (row["benchmark"], row["method"]): row
        for row in summary["rows"]
        if row["task"] == "all" and row["credit"] == "full"
    }
    assert set(found) == {(name, m) for name in small.benchmarks for m in ("random", "sh-emoa")}
    assert summary["comparison"]["ranking"]["num_tasks"] == 3
    page = (out / "claims" / "index.html").read_text(encoding="utf-8")
    first = page.index("Beside the paper")
    assert first < page.index("In short")
    shown = page[first : page.index("In short")]
    for row in found.values():
        assert f"{row['rank']:.2f} ({row['hypervolume']['mean']:.3f})" in page
    assert "distillation" in shown or "distillation" in page
    assert "without ms-ehvi, for it needs an objective that is known without training" in page
    assert {path.suffix for path in (out / "claims" / "figures").iterdir()} == {".pdf", ".png"}
    assert (out / "embedded" / "report" / "index.html").is_file()


def test_units_of_a_study_are_taken(small, tmp_path, monkeypatch, capsys):
    """Those of a study that asks the same of a benchmark, whatever else it holds."""
    for command in (
        "run --benchmark synthetic --method random --method mo-hb --method sh-emoa --seeds 2 --out {}/study",
        "reproduce guerrero2021 --benchmark synthetic --seeds 2 --reuse {}/study --out {}/out",
    ):
        words = command.replace("{}", str(tmp_path)).split()
        monkeypatch.setattr("sys.argv", ["mohb", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 0
    assert "2 were there already" in capsys.readouterr().out


def test_what_benchmarks_cannot_serve_is_left_out_and_nothing_else():
    """Of the shipped table; the next test needs the published ones."""
    table = benchmarks.load("embedded")
    for name in guerrero2021.PAPERS_METHODS:
        missing = lacking(table, METHODS[name]) is not None
        assert missing == (name in guerrero2021.WITHOUT["embedded"])


@pytest.mark.parametrize("name", [name for name in guerrero2021.OBJECTIVES if name != "embedded"])
def test_the_same_of_real_tables(name):
    table = small_table(name).select(objectives=guerrero2021.OBJECTIVES[name])
    for method in guerrero2021.PAPERS_METHODS:
        missing = lacking(table, METHODS[method]) is not None
        assert missing == (method in guerrero2021.WITHOUT.get(name, ()))
