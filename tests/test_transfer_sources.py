"""Sources of other quality: what is done to them, and that a run's own task stays as it is."""

import json

import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Column

from mohb_jax import InputError, simulate
from scripts.transfer_protocol import differences, markdown, settings, verdict
from scripts.transfer_sources import foreign_results, reversed_results, shuffled_results
from tests.transfer_tables import related_tasks

AVAILABLE = np.ones((3, 80, 2), bool)
AVAILABLE[0, :5] = False  # never tried
AVAILABLE[1, 7, 1] = False  # failed
TABLE = related_tasks(available=AVAILABLE)


def test_reversed_sources_put_the_worst_first():
    found = reversed_results(TABLE)
    for task in range(3):
        own = TABLE.final_available(task)
        np.testing.assert_array_equal(found.final_costs(task)[own], -TABLE.final_costs(task)[own])
        np.testing.assert_array_equal(found.final_available(task), own)


def test_shuffled_sources_keep_values_and_what_was_measured():
    found = shuffled_results(TABLE, good=2)
    for task in range(3):
        np.testing.assert_array_equal(found.measured(task), TABLE.measured(task))
        for level in range(2):
            costs, _ = found.look_up(task, np.arange(80), level)
            own, _ = TABLE.look_up(task, np.arange(80), level)
            assert (costs == own).all() == (task == 2)
            np.testing.assert_array_equal(np.sort(costs, axis=0), np.sort(own, axis=0))
            assert not np.isfinite(costs[~TABLE.measured(task)]).any()


def test_foreign_sources_take_values_by_row_number():
    other = synthetic(30, 2, (1, 3, 9), num_objectives=3)
    found = foreign_results(TABLE, other)
    costs, runtime = found.look_up(2, np.array([0, 31]), 0)
    np.testing.assert_array_equal(costs, other.look_up(0, np.array([0, 1]), 1)[0][:, :2])
    np.testing.assert_array_equal(runtime, TABLE.look_up(2, np.array([0, 31]), 0)[1])
    assert np.isinf(found.final_costs(0)[:5]).all()


def test_selected_sources_are_those_of_the_selection():
    found = shuffled_results(TABLE).select(tasks=["task-2"], objectives=["f1"], fidelities=[3])
    np.testing.assert_array_equal(found.final_costs(0), shuffled_results(TABLE).final_costs(2)[:, 1:])


def test_what_is_learnt_comes_from_the_sources_and_what_is_run_from_the_table():
    table = related_tasks()
    plain, reverse = (
        simulate(table, "zero-shot", tasks=["task-0"], evaluations=12, **sources)
        for sources in ({}, {"sources": reversed_results(table)})
    )
    for log in (plain, reverse):
        np.testing.assert_array_equal(log.costs, table.final_costs(0)[log.row])
    assert plain.costs[0].mean() < reverse.costs[0].mean() - 0.2


def test_sources_of_another_space_are_refused():
    table = related_tasks()
    other = related_tasks(columns=(Column("x", "continuous"), Column("z", "continuous")))
    for sources, what in ((other, "columns"), (related_tasks(num_rows=81), "rows")):
        with pytest.raises(InputError, match=f"of other {what} than 'related'"):
            simulate(table, "zero-shot", evaluations=5, sources=sources)
    with pytest.raises(InputError, match="nothing runs on it"):
        reversed_results(table).cells([0])


def test_one_of_ten_leaves_no_task_without_its_one_good_source():
    table = related_tasks(num_tasks=3)
    parts = settings(table, "one of ten")
    assert sorted(task for part in parts for task in part.tasks) == list(table.tasks)
    for part in parts:
        good = [
            task for task in range(3) if (part.sources.final_costs(task) == table.final_costs(task)).all()
        ]
        assert len(good) == 1
        assert table.tasks[good[0]] not in part.tasks
    assert settings(related_tasks(num_tasks=2), "one of ten") == []


def test_differences_are_those_of_equal_runs_and_judged_by_their_lower_end(tmp_path):
    def write(quality, method, final):
        runs = {"hypervolume": final, "anytime": final}
        folder = tmp_path / "embedded" / quality
        folder.mkdir(parents=True, exist_ok=True)
        tasks = {"one": {"full": runs, "passed": runs}}
        (folder / f"{method}.json").write_text(json.dumps({"seeds": len(final), "tasks": tasks}))

    spread = np.linspace(0.1, 0.9, 20)
    write("none", "mo-hb", spread.tolist())
    write("as-they-are", "mo-hb+prior", (spread + 0.003).tolist())
    write("as-they-are", "mo-hb+transfer", (spread - 0.009).tolist())
    write("reversed", "mo-hb+transfer", (spread - 0.011).tolist())
    found = {(one.quality, one.method, one.against): one for one in differences(tmp_path)}
    prior = found["as they are", "mo-hb+prior", "mo-hb"]
    assert prior.low == pytest.approx(0.003) == prior.mean
    assert {key: verdict(one._replace(indicator="hypervolume")) for key, one in found.items()} == {
        ("as they are", "mo-hb+prior", "mo-hb"): "",
        ("as they are", "mo-hb+transfer", "mo-hb"): "holds",
        ("as they are", "mo-hb+transfer", "mo-hb+prior"): "fails",  # .012 below the prior
        ("reversed", "mo-hb+transfer", "mo-hb"): "fails",
    }
    lines = list(markdown(list(differences(tmp_path))))
    assert any(line.startswith("| embedded | mo-hb+prior | +3 (3, 3) | +3 (3, 3)") for line in lines)
    assert any(line.startswith("| embedded | mo-hb+transfer | **-11 (-11, -11)**") for line in lines)
