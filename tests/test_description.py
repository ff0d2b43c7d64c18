"""What is said of a table before a study: numbers that can be found by hand, and who says them."""

import dataclasses
import html
import json

import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import benchmarks, cli
from mohb_jax.analysis.analysis import Analysis
from mohb_jax.description import describe, lines
from mohb_jax.description.halving import halving_measured, run_brackets
from mohb_jax.description.measures import rank_correlations
from mohb_jax.report.sections import tables
from mohb_jax.schedule import Bracket, hyperband
from tests.fake_study import make_study, make_unit

pytestmark = pytest.mark.fast


def by_hand(num_rows: int = 27, seconds: tuple[float, ...] = (1, 3), **other) -> benchmarks.Table:
    """Two tasks: ``a`` keeps its order at the lower fidelity and ``b`` turns it round; the second task has
    ``a`` turned round and ``b`` as it is."""
    value = np.arange(num_rows, dtype=float)
    full = np.array([[value, value], [-value, value]])  # tasks, objectives, rows
    low = full * np.array([1.0, -1.0])[:, None]
    costs = np.moveaxis(np.stack([low, full] if len(seconds) > 1 else [full]), (0, 2), (2, 3))
    parts = {
        "name": "by-hand",
        "columns": (benchmarks.Column("x", "continuous"),),
        "configs": value[:, None],
        "tasks": ("one", "two"),
        "fidelities": tuple(3**level for level in range(len(seconds))),
        "fidelity_name": "epochs",
        "fidelity_unit": "epoch",
        "objectives": (benchmarks.Objective("a", "min", "s"), benchmarks.Objective("b", "min", "s")),
        "costs": costs,
        "runtime": np.broadcast_to(seconds, (2, num_rows, len(seconds))),
    }
    return benchmarks.Table(**parts | other)


def test_numbers_found_by_hand():
    available = np.ones((2, 27, 2), bool)
    available[0, 3, 1] = False
    found = describe(by_hand(available=available))
    assert [level.fidelity for level in found.levels] == [1, 3]
    assert [level.seconds for level in found.levels] == [pytest.approx(1 / 3), 1]
    assert [level.correlation for level in found.levels] == [
        {"a": pytest.approx(1), "b": pytest.approx(-1)},
        {"a": pytest.approx(1), "b": pytest.approx(1)},
    ]
    assert (found.missing, found.cells, found.resumable) == (1, 108, True)
    assert found.front == (1, 14, 27)  # row 0 alone, and all rows
    assert found.likeness == {"a": pytest.approx(-1), "b": pytest.approx(1)}


def test_correlations_are_scipys_and_unknown_without_variation():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 40, 3)).astype(float)
    one[3] = np.inf
    other[:, 2] = 1
    found = rank_correlations(one, other)
    known = np.arange(40) != 3
    for m in range(2):
        assert found[m] == pytest.approx(scipy.stats.spearmanr(one[known, m], other[known, m])[0])
    assert np.isnan(found[2])
    assert np.isnan(rank_correlations(one[:5], other[:5])).all()


@pytest.mark.parametrize("resumable", [True, False])
def test_brackets_are_those_of_plain_loops(resumable):
    rng = np.random.default_rng(1)
    rank, runtime = rng.random((20, 3, 2)), np.cumsum(rng.random((20, 3)), axis=1)
    weights, sizes = rng.dirichlet((1, 1), 4), (9, 3, 1)
    drawn = rng.permuted(np.tile(np.arange(20), (4, 1)), axis=1)
    last, seconds = run_brackets(drawn[:, :9], rank, runtime, weights, Bracket(sizes, (0, 1, 2)), resumable)
    for bracket in range(4):
        left, taken = list(drawn[bracket]), 0.0
        for rung, size in enumerate(sizes):
            if rung:
                left.sort(key=lambda row: weights[bracket] @ rank[row, rung - 1])
            left = left[:size]
            for row in left:
                taken += runtime[row, rung] - (runtime[row, rung - 1] if resumable and rung else 0)
        assert last[bracket].tolist() == left
        assert seconds[bracket] == pytest.approx(taken)


def verdict(correlation: float, share: float, resumable: bool) -> str:
    """On 200 rows whose lower fidelities take a share of the seconds."""
    table = synthetic(200, 1, (1, 3, 9), correlation=correlation, resumable=resumable)
    table = dataclasses.replace(table, runtime=table.runtime[:, :, -1:] * np.array([share, share, 1.0]))
    found = halving_measured(table, hyperband(table.fidelities), np.arange(200))
    assert found is not None
    return found.verdict


def test_early_stopping_pays_where_early_results_are_cheap_and_tell():
    assert verdict(0.9, 0.1, True) == "can pay"
    assert verdict(0.9, 0.9, False) == "does not pay"
    assert verdict(0.0, 0.6, True) == "does not pay"


def test_nothing_to_stop():
    assert lines(describe(by_hand(seconds=(3,))))[-1].startswith("Early stopping does not apply")
    assert lines(describe(by_hand(seconds=(0, 0))))[-1].startswith("Early stopping saves nothing")
    alone = describe(by_hand().select(tasks=["one"]))
    assert alone.likeness == {"a": None, "b": None}
    assert any("nothing to transfer from" in line for line in lines(alone))


def test_a_crossing_is_described_without_being_made():
    table = benchmarks.cross_table(synthetic(40, 2, (1, 3)).select(objectives=["objective-0"]))
    found = describe(table)
    assert found.cells == 2 * 40 * 37 * 2
    assert found.missing == 0
    assert found.levels[0].correlation["cost"] == pytest.approx(1)


def test_the_same_lines_in_the_terminal_after_an_import_and_on_the_page(tmp_path, capsys):
    file = tmp_path / "data.csv"
    file.write_text("x,epochs,a\n" + "".join(f"{x},{e},{x * e % 7}\n" for x in range(12) for e in (1, 3)))
    spec = "name: own\ncolumns: {x: {kind: continuous}}\nfidelity: {column: epochs, unit: epoch}\n"
    (tmp_path / "spec.yaml").write_text(spec + "objectives: {a: {sense: min, unit: s}}\n")
    out = str(tmp_path / "own.npz")

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        return capsys.readouterr().out

    imported = said("data", "import", str(file), "--spec", str(tmp_path / "spec.yaml"), "--out", out)
    expected = "\n".join(lines(describe(benchmarks.load(out))))
    assert expected in imported
    assert said("describe", out).endswith(expected + "\n")
    assert json.loads(said("describe", out, "--json"))["halving"]["verdict"]


def test_the_page_shows_the_lines():
    table = synthetic(30, 2, (1, 3, 9), num_front=6)
    analysis = Analysis(make_study([table], [make_unit(table, "m", skill=1)]))
    section = tables.build(analysis)
    assert section is not None
    assert "\n".join(lines(describe(table))) in html.unescape(section.html)
