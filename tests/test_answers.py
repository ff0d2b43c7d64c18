"""The summary's sentences and commands against slow definitions."""

import dataclasses
import re

import numpy as np
import pytest

from mohb_jax.analysis.curves import Cell, study_cells
from mohb_jax.analysis.outcome import outcome
from mohb_jax.analysis.results import Repricing
from mohb_jax.analysis.statistics import summary_rows
from mohb_jax.analysis.used_up import used_up_notes
from mohb_jax.report.parts import commands
from mohb_jax.report.sections.answer import verdict
from tests.fake_study import make_study, make_table, make_unit

pytestmark = pytest.mark.fast

SKILLS = {"poor": 1, "good": 8, "fair": 3}


def cells_of(names: tuple[str, ...] = ("toy",), num_seeds: int = 6, **skills: int) -> list[Cell]:
    tables = [make_table(name, seed=seed) for seed, name in enumerate(names)]
    units = [
        make_unit(table, method, skill, num_seeds, seed=seed)
        for table in tables
        for seed, (method, skill) in enumerate((skills or SKILLS).items())
    ]
    return study_cells(make_study(tables, units))


def words_of(text: str) -> str:
    return re.sub(r"<[^>]*>", "", text)


def test_levels_and_leads_are_those_of_the_table():
    cells = cells_of()
    found = outcome(cells)
    assert found
    rows = {row["method"]: row for row in summary_rows(cells, found.methods[0]) if row["task"] == "all"}
    means = [rows[method]["hypervolume"]["mean"] for method in found.methods]
    assert means == sorted(means, reverse=True)
    for method, level, lead in zip(found.methods[1:], found.levels[1:], found.leads[1:], strict=True):
        assert level["ci95"] == pytest.approx(rows[method]["hypervolume"]["ci95"])
        assert lead["mean"] == pytest.approx(-rows[method]["difference"]["mean"])
        low, high = rows[method]["difference"]["ci95"]
        assert lead["ci95"] == pytest.approx([-high, -low], abs=1e-12)


def test_each_benchmark_weighs_the_same_and_every_task_counts_as_one():
    cells = [cell for cell in cells_of(("toy", "lone")) if (cell.benchmark, cell.task) != ("lone", "second")]
    found = outcome(cells)
    assert found
    assert (found.num_benchmarks, found.num_tasks, found.num_seeds) == (2, 3, 6)
    final = {(c.benchmark, c.task, c.method): c.final["hypervolume"].mean() for c in cells}
    for method, level, wins in zip(found.methods, found.levels, found.wins, strict=True):
        toy = (final["toy", "first", method] + final["toy", "second", method]) / 2
        assert level["mean"] == pytest.approx((toy + final["lone", "first", method]) / 2)
        places = [("toy", "first"), ("toy", "second"), ("lone", "first")]
        won = [all(final[*at, method] >= final[*at, other] for other in SKILLS) for at in places]
        assert wins == sum(won)


def finals(**values: list[float]) -> list[Cell]:
    """Cells of one task whose runs end at these hypervolumes."""
    return [ending(cells_of(m=1)[0], method, np.array(own)) for method, own in values.items()]


def ending(cell: Cell, method: str, own: np.ndarray) -> Cell:
    curves = np.repeat(own[:, None], cell.grid.size, axis=1)
    final = dict.fromkeys(cell.final, np.zeros(own.size)) | {"hypervolume": own}
    changes = {"runs": np.arange(own.size), "hypervolume": curves, "front_found": 0 * curves, "final": final}
    return dataclasses.replace(cell, method=method, **changes)


def test_a_clear_lead_is_called_clear():
    text = words_of(verdict("On toy", finals(a=[0.1, 0.2, 0.3], b=[0.5, 0.6, 0.9])))
    assert text.startswith("On toy, b is first: it ends with 0.667 [0.500, 0.900] of the true front's")
    assert "It leads the next, a, by 0.467 [0.400, 0.600]; the interval lies above 0" in text


def test_what_the_runs_leave_open_is_said_to_be_open():
    steady, wild = [0.5, 0.5, 0.5, 0.5], [0.95, 0.95, 0.0, 0.05]
    text = words_of(verdict("On toy", finals(a=steady, wild=wild)))
    assert text.startswith("On toy, a and wild are first, not told apart: a has 0.500")
    assert "It is ahead of wild by 0.013 [" in text
    assert "the interval of the difference holds 0." in text
    assert "clear" not in text


def test_a_method_behind_the_next_may_be_the_one_that_is_not_told_apart():
    text = words_of(verdict("On toy", finals(a=[0.6] * 4, b=[0.59] * 4, wild=[0.95, 0.95, 0.0, 0.05])))
    assert text.startswith("On toy, a and wild are first, not told apart:")
    assert "It leads the next that the runs tell apart, b, by 0.010 [0.010, 0.010]; the interval" in text


def test_equal_methods_share_a_win_and_neither_is_first():
    found = outcome(finals(a=[0.5, 0.7], b=[0.5, 0.7]))
    assert found
    assert found.wins == (1, 1)
    text = words_of(verdict("On toy", finals(a=[0.5, 0.7], b=[0.5, 0.7])))
    assert text.startswith(
        "On toy, a and b end equal in every run: each with 0.600 [0.500, 0.700] of the true"
    )
    assert text.endswith("hypervolume, the mean over 2 seeds.")
    text = words_of(verdict("On toy", finals(a=[0.5, 0.7], b=[0.5, 0.7], c=[0.1, 0.2])))
    assert text.startswith("On toy, a and b end equal in every run and are first: each with 0.600")
    assert "They lead the next, c, by 0.450 [0.400, 0.500]; the interval lies above 0" in text


def test_equal_methods_that_another_may_beat_are_called_equal():
    wild = [0.95, 0.95, 0.0, 0.05]
    text = words_of(verdict("On toy", finals(a=[0.5] * 4, b=[0.5] * 4, wild=wild)))
    assert text.startswith("On toy, a, b and wild are first, not told apart: a has 0.500")
    assert "a and b end equal in every run." in text


def test_mean_median_and_rank_that_disagree_are_said_to():
    agreed = finals(a=[0.8, 0.8, 0.0], b=[0.5, 0.5, 0.5], c=[0.4, 0.4, 0.4])
    assert "disagree" not in verdict("On toy", agreed)
    cells = finals(a=[0.9, 0.4, 0.4], b=[0.5, 0.5, 0.5], c=[0.4, 0.4, 0.4])
    there = again(finals(a=[0.5], b=[0.6], c=[0.1]), "other")
    text = words_of(verdict("On toy", cells))
    assert (
        "Mean, median and rank disagree about the order: a is ahead of b by mean (0.567 against 0.500) and "
        "rank (1.00 against 2.00), behind it by median (0.400 against 0.500)." in text
    )
    text = words_of(verdict("On toy", [*finals(a=[0.9], b=[0.5], c=[0.4]), *there, *again(there, "third")]))
    assert (
        "disagree about the order: a is ahead of b by mean (0.633 against 0.567) and median (0.633 against "
        "0.567), behind it by rank (1.67 against 1.33)." in text
    )


def again(cells: list[Cell], task: str) -> list[Cell]:
    return [dataclasses.replace(cell, task=task) for cell in cells]


def test_methods_of_some_benchmarks_only_are_not_compared_over_all():
    here = finals(a=[0.1, 0.2, 0.3], b=[0.5, 0.6, 0.9], c=[1.0] * 3)
    there = [dataclasses.replace(cell, benchmark="there") for cell in here[:2]]
    text = words_of(verdict("Over both", [*here, *there]))
    assert text.startswith("Over both, b is first: it ends with 0.667")
    assert text.endswith("Without results on every benchmark, so not compared: c.")


def test_one_seed_one_method_and_unfinished_tasks_are_said():
    assert "with one seed, nothing can be said" in verdict("On toy", cells_of(num_seeds=1))
    assert "only method" in words_of(verdict("On toy", finals(a=[0.5, 0.7])))
    assert "none is called first" in verdict("On toy", cells_of()[:-1])
    apart = finals(a=[0.5, 0.7], b=[0.5, 0.7])
    assert "none is called first" in verdict(
        "On toy", [apart[0], dataclasses.replace(apart[1], runs=np.arange(2, 4))]
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("mohb run s.yaml --out 'my runs'", "mohb report 'my runs'"),
        ("mohb run s.yaml --out=x", "mohb report x"),
        ("mohb run s.yaml", "mohb report runs/trial"),
        ("mohb run 'broken", "mohb report DIR"),
        ("", "mohb report DIR"),
    ],
)
def test_commands_end_with_that_of_the_report(command, expected):
    study = make_study([make_table()], [], methods=(), reference="", command=command)
    assert commands(study).splitlines() == [command] * bool(command) + [expected]
    repriced = dataclasses.replace(study, prices=Repricing("spot prices.yaml", {}, {}))
    assert commands(repriced).endswith(f"{expected} --prices 'spot prices.yaml'")


def test_a_reproduction_writes_its_reports_itself():
    command = "mohb reproduce salinas2021"
    study = make_study([make_table()], [], methods=(), reference="", command=command)
    assert commands(study) == command


def test_runs_that_used_their_table_up_are_counted_and_it_is_said_when():
    """Of two tasks with three runs each, run 2 lacks a row at the highest fidelity, and run 1 repeats one."""
    table = make_table(num_rows=20)
    some, own = (make_unit(table, name, 1, 3, num_slots=21) for name in ("some", "all"))
    row = np.tile(np.append(np.arange(20), 3), (6, 1))
    fidelity = np.full((6, 21), 2)
    fidelity[2::3, 7] = 1
    valid = np.ones((6, 21), bool)
    valid[::3, 20] = False
    end = np.cumsum(np.ones((6, 21)), axis=1)
    costs = table.costs[own.log.task[:, None], row, 0]
    log = own.log._replace(row=row, fidelity=fidelity, valid=valid, end=end, costs=costs)
    cells = study_cells(make_study([table], [some, own._replace(log=log)]))
    assert used_up_notes(cells) == {
        "toy": "On toy, the table was used up (every configuration at the highest fidelity, so the run "
        "ended) by all in 4 of 6 runs, after 20 evaluations and 20 s on average."
    }
    assert not used_up_notes([cell for cell in cells if cell.method == "some"])
