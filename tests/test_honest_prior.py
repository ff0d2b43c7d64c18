"""The transfer prior that knows how far off it may be: by definition, and what it must never see."""

import numpy as np
import pytest
from mohb_jax.surrogates.prior_network import Training
from mohb_jax.surrogates.rescaling import UNCHANGED, fit_scale

from mohb_jax.errors import InputError
from mohb_jax.honest_prior import (
    NONE,
    Examples,
    Honesty,
    Members,
    honest_prior,
    learn_transfer_prior,
    training_examples,
    who_learns_from_whom,
)
from mohb_jax.transfer import calibration
from tests.transfer_tables import poisoned, related_tasks

SHORT = Training(num_phases=1, steps_per_phase=200, steps_per_validation=100)
ALONE = {
    part: Honesty(*(part == name for name in ("ensemble", "rescaled", "doubt", "correlated")))
    for part in ("ensemble", "rescaled", "doubt", "correlated")
}


def made_up(table, seed=0):
    """Members that know something, each in its own way; no network is fitted."""
    rng = np.random.default_rng(seed)
    learns_from = who_learns_from_whom(table.num_tasks)
    values, task, row = training_examples(table, 0)
    known = np.zeros((table.num_objectives, table.num_rows))
    for m in range(table.num_objectives):
        np.add.at(known[m], row, np.nan_to_num(values[m]) / table.num_tasks)
    shape = (len(learns_from), *known.shape)
    mu = 1.2 * known + 0.4 * rng.normal(size=shape)
    sigma = rng.uniform(0.1, 0.5, shape)
    return Examples(values, task, row), Members(learns_from, mu.astype(np.float32), sigma.astype(np.float32))


def oracle(table, examples, members, parts, target, m):
    """Mean and deviation of one objective of a task, by definition: one task and member after another."""
    groups = [task % 8 for task in range(table.num_tasks)]
    saw = [{task for task in range(table.num_tasks) if row[task]} for row in members.learns_from]
    varied = {u for u in range(table.num_tasks) if len(set(table.final_costs(u)[:, m])) > 1}
    told = [k for k, tasks in enumerate(saw) if target not in tasks and tasks & varied]
    if not told:
        return np.zeros(table.num_rows), np.ones(table.num_rows)
    told = told if parts.ensemble else told[:1]
    scale = UNCHANGED
    if parts.rescaled:
        values, mu, sigma, weight = [], [], [], []
        for u in sorted(varied):
            without = {w for w, g in enumerate(groups) if g not in (groups[target], groups[u])}
            if groups[u] == groups[target] or without not in saw or not without & varied:
                continue
            k = saw.index(without)
            own = [i for i, task in enumerate(examples.task) if task == u]
            for i in own:
                values.append(examples.values[m, i])
                mu.append(float(members.mu[k, m, examples.row[i]]))
                sigma.append(float(members.sigma[k, m, examples.row[i]]))
                weight.append(1 / len(own))
        scale = fit_scale(*map(np.array, (values, mu, sigma, weight))) if values else UNCHANGED
    right = [scale(members.mu[k, m].astype(float), members.sigma[k, m].astype(float)) for k in told]
    mean = sum(mu for mu, _ in right) / len(told)
    own = sum(sigma**2 for _, sigma in right) / len(told)
    spread = sum((mu - mean) ** 2 for mu, _ in right) / len(told)
    # What was tested holds a member's own error already, of which averaging takes away what is not shared.
    variance = own + spread if scale is UNCHANGED else own - np.minimum(spread, 0.5 * own)
    doubt = 1 / len(varied - {target}) if parts.doubt else 0.0
    precision = (1 - doubt) / variance + doubt
    return (1 - doubt) * mean / variance / precision, 1 / np.sqrt(precision)


def constant_in(table, task, m):
    costs = table.costs.copy()
    costs[task, ..., m] = 4.0
    return related_tasks(num_tasks=table.num_tasks, costs=costs)


@pytest.mark.parametrize("parts", [Honesty(), NONE, *ALONE.values()], ids=["all", "none", *ALONE])
@pytest.mark.parametrize("num_tasks", [2, 4, 9])
def test_it_is_what_the_definition_says(num_tasks, parts):
    table = constant_in(related_tasks(num_tasks=num_tasks), 1, 0)
    learnt = made_up(table)
    prior = honest_prior(table, *learnt, parts)
    for task in range(num_tasks):
        for m in range(2):
            expected = oracle(table, *learnt, parts, task, m)
            np.testing.assert_allclose(prior.mu[task, m], expected[0], atol=1e-5)
            np.testing.assert_allclose(prior.sigma[task, m], expected[1], rtol=1e-4)


def test_one_other_task_says_nothing_that_was_tested():
    table = related_tasks(num_tasks=2)
    prior = honest_prior(table, *made_up(table), Honesty())
    assert (prior.mu == 0).all()
    assert (prior.sigma == 1).all()
    np.testing.assert_array_equal(prior.correlation, np.tile(np.eye(2), (2, 1, 1)))


def test_its_calibration_leaves_out_what_is_constant():
    table = constant_in(related_tasks(), 1, 0)
    prior = honest_prior(table, *made_up(table), Honesty())
    rows = calibration(table, prior, "transfer prior")
    assert [(row["task"], row["objective"]) for row in rows] == [
        *(("task-0", "f0"), ("task-0", "f1"), ("task-1", "f1"), ("task-2", "f0"), ("task-2", "f1")),
    ]
    assert {row["model"] for row in rows} == {"transfer prior"}


def test_what_objectives_share_is_drawn_together():
    """One objective is off by what the other is off by, or by its opposite."""
    table = related_tasks(num_tasks=5)
    examples, members = made_up(table)
    for sign in (1, -1):
        values = np.stack([examples.values[0], sign * examples.values[0]])
        mu = np.stack([members.mu[:, 0], sign * members.mu[:, 0]], axis=1)
        sigma = np.stack([members.sigma[:, 0]] * 2, axis=1)
        shared = examples._replace(values=values), members._replace(mu=mu, sigma=sigma)
        certain = Honesty(doubt=False)
        np.testing.assert_allclose(
            honest_prior(table, *shared, certain).correlation[:, 0, 1], sign * 0.999, rtol=1e-6
        )
        doubtful = honest_prior(table, *shared, Honesty())
        np.testing.assert_allclose(doubtful.correlation[:, 0, 1], sign * 0.75, rtol=1e-6)
        factor = doubtful.noise_factor(2)
        np.testing.assert_allclose(factor @ factor.T, doubtful.correlation[2], rtol=1e-6)


def test_a_network_is_tested_on_tasks_that_it_left_out_with_the_target():
    """Every pair of groups has its network, and nobody learns from nothing."""
    learns_from = who_learns_from_whom(34)
    assert learns_from.shape == (36, 34)
    assert who_learns_from_whom(2).tolist() == [[False, True], [True, False]]
    assert (learns_from.sum(axis=1) >= 24).all()
    assert len(np.unique(learns_from, axis=0)) == 36


@pytest.mark.wide
def test_the_held_out_task_is_never_read():
    table = related_tasks()
    known, hidden = (learn_transfer_prior(t, training=SHORT) for t in (table, poisoned(table)))
    for part in ("mu", "sigma", "correlation"):
        np.testing.assert_array_equal(getattr(hidden, part)[0], getattr(known, part)[0])
    assert not np.array_equal(hidden.mu[1], known.mu[1])
    assert learn_transfer_prior(table, training=SHORT) is known
    off = learn_transfer_prior(table, training=SHORT, parts=NONE)
    assert not np.array_equal(off.sigma, known.sigma)  # of the same networks


def test_one_task_alone_is_refused():
    with pytest.raises(InputError, match="benchmark 'related' has the task 'task-1' alone"):
        learn_transfer_prior(related_tasks().select(tasks=["task-1"]))
