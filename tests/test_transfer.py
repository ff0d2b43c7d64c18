"""The transfer prior of a table: what it learns from, and what it must never see."""

import dataclasses

import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.surrogates.prior_network import Training

from mohb_jax.errors import InputError
from mohb_jax.simulation import simulate
from mohb_jax.transfer import calibration, learn_prior
from tests.transfer_tables import poisoned, related_tasks

SHORT = Training(num_phases=1, steps_per_phase=600, steps_per_validation=100)


def test_the_held_out_task_is_never_read():
    table = related_tasks()
    known, hidden = learn_prior(table), learn_prior(poisoned(table))
    np.testing.assert_array_equal(hidden.mu[0], known.mu[0])
    np.testing.assert_array_equal(hidden.sigma[0], known.sigma[0])
    assert not np.array_equal(hidden.mu[1], known.mu[1])  # the others do learn from it


def test_only_the_order_of_the_other_tasks_matters():
    table = related_tasks()
    costs = table.costs.copy()
    costs[1, ..., 0] = np.exp(3 * costs[1, ..., 0])
    costs[2, ..., 1] = costs[2, ..., 1] ** 3 - 5
    bent = related_tasks(costs=costs)
    np.testing.assert_array_equal(learn_prior(bent).mu, learn_prior(table).mu)


@pytest.mark.wide
def test_it_predicts_a_related_task_and_says_how_well():
    table = related_tasks(num_rows=300, shift=0.01)
    rows = calibration(table, learn_prior(table, training=SHORT))
    assert [(row["task"], row["objective"]) for row in rows[:2]] == [("task-0", "f0"), ("task-0", "f1")]
    assert len(rows) == 6
    for row in rows:
        assert row["negative_log_likelihood"] < 1.0  # a standard normal scores 1.42
        assert 0.5 < row["coverage"]["0.95"] <= 1
        assert row["num_values"] == 300


@pytest.mark.wide
def test_a_row_that_failed_is_the_worst_and_one_never_tried_is_left_out():
    table = related_tasks()
    available = np.ones(table.mask.shape, bool)
    available[1, 3, 1] = False  # failed after the first fidelity
    available[1, 4] = False  # never tried
    costs = np.where(available[..., None], table.costs, np.nan)
    holes = related_tasks(costs=costs, available=available)
    rows = calibration(holes, learn_prior(holes))
    assert [row["num_values"] for row in rows] == [80, 80, 79, 79, 80, 80]


def test_one_task_alone_is_refused():
    table = related_tasks().select(tasks=["task-1"])
    with pytest.raises(InputError, match=r"cannot serve table 'related'.* the table has one task"):
        simulate(table, "mo-hb+prior", evaluations=5)
    with pytest.raises(InputError, match="benchmark 'related' has the task 'task-1' alone"):
        learn_prior(table)


def test_a_constant_objective_is_refused():
    costs = related_tasks().costs.copy()
    costs[2, ..., 1] = 4.0
    with pytest.raises(InputError, match="objective 'f1' is constant in task 'task-2'"):
        learn_prior(related_tasks(costs=costs))


@pytest.mark.wide
def test_named_tasks_do_not_change_what_is_learnt():
    table = related_tasks()
    whole = simulate(table, "random+prior", num_seeds=3, evaluations=10, draws=8)
    part = simulate(table, "random+prior", num_seeds=3, evaluations=10, draws=8, tasks=["task-2"])
    np.testing.assert_array_equal(part.row, whole.row[6:])
    assert set(part.task.tolist()) == {2}


@pytest.mark.wide
def test_a_prior_learnt_before_is_used():
    table = related_tasks()
    prior = learn_prior(table, seed=9)
    flat = dataclasses.replace(prior, mu=np.zeros_like(prior.mu), sigma=np.ones_like(prior.sigma))
    learnt, given = (
        simulate(table, "cts", num_seeds=2, evaluations=10, draws=8, prior=p) for p in (prior, flat)
    )
    assert not np.array_equal(learnt.row, given.row)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": (Column("x", "continuous"), Column("z", "log"))}, "columns x, y: 'related' has x, z"),
        ({"objectives": (Objective("f0", "min", "1"), Objective("g", "min", "s"))}, "objectives f0, f1"),
        ({"num_rows": 70}, "3 tasks of 80 rows: 'related' has 3 of 70"),
        ({"num_tasks": 2}, "3 tasks of 80 rows: 'related' has 2 of 80"),
    ],
)
def test_a_prior_of_another_space_is_refused(changes, message):
    prior = learn_prior(related_tasks())
    with pytest.raises(InputError, match=f"^the prior was learnt on 'related'.*{message}"):
        simulate(related_tasks(**changes), "mo-hb+prior", evaluations=5, prior=prior)


def test_a_prior_is_learnt_once_per_table():
    table = related_tasks()
    assert learn_prior(table) is learn_prior(table)
    assert learn_prior(table) is not learn_prior(table, seed=1)


def test_features_of_every_kind_of_column():
    columns = (
        Column("a", "continuous"),
        Column("b", "log"),
        Column("c", "ordinal", levels=(1, 2, 4)),
        Column("d", "categorical", role="hardware", levels=("p", "q")),
        Column("e", "continuous"),
    )
    configs = np.array([[1, 1e-4, 0, 0, 5], [3, 1e-2, 2, 1, 5], [2, 1e-3, 1, 1, 5.0]])
    fields = {"num_rows": 3, "columns": columns, "configs": configs}
    expected = [[0, 0, 0, 1, 0, 0], [1, 1, 1, 0, 1, 0], [0.5, 0.5, 0.5, 0, 1, 0]]
    np.testing.assert_allclose(unit_features(related_tasks(**fields)), expected)
