"""Ensembles of single tasks' models against slow Python, and what runs make of them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.surrogates import gaussian_process as gp

from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.rgpe import least_often, ranking_losses
from mohb_jax.searchers.task_models import Evidence, leave_one_out
from mohb_jax.searchers.two_step import BANDWIDTH, kernel_weights
from mohb_jax.simulation import simulate
from scripts.transfer_sources import shuffled_results
from tests.transfer_tables import poisoned, related_tasks

pytestmark = pytest.mark.wide


def test_ranking_losses_count_misordered_pairs():
    rng = np.random.default_rng(0)
    draws, z, valid = rng.normal(size=(4, 3, 7)), rng.normal(size=7).round(), np.arange(7) < 5
    found = ranking_losses(jnp.asarray(draws), jnp.asarray(z), jnp.asarray(valid))
    for sample, model in np.ndindex(4, 3):
        own = draws[sample, model]
        expected = 0
        for i, j in itertools.permutations(range(5), 2):
            other = z[j] if model == 2 else own[j]  # the last model has seen the second result
            expected += (own[i] < other) != (z[i] < z[j])
        assert found[sample, model] == expected


def by_definition(loss, usable):
    """Feurer et al. 2018: shares of least losses, without models that would dilute the ensemble."""
    num_samples, num_models = loss.shape
    chosen = [
        model
        for model in range(num_models)
        if usable[model]
        and (model == num_models - 1 or np.median(loss[:, model]) <= np.percentile(loss[:, -1], 95))
    ]
    weight = np.zeros(num_models)
    for sample in loss:
        least = [model for model in chosen if sample[model] == min(sample[k] for k in chosen)]
        least = [num_models - 1] if num_models - 1 in least else least
        weight[least] += 1 / len(least) / num_samples
    return weight


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_shares_of_least_losses(seed):
    rng = np.random.default_rng(seed)
    loss = rng.integers(0, 6, (8, 4)) + np.array([0, 0, 4, 1])
    usable = np.array([True, seed != 1, True, True])
    found = least_often(jnp.asarray(loss, float), jnp.asarray(usable))
    np.testing.assert_allclose(found, by_definition(loss, usable), atol=1e-6)


def test_two_step_weights_are_those_of_the_kernel():
    rng = np.random.default_rng(3)
    z, valid, usable = rng.normal(size=6), np.arange(6) < 5, np.array([True, True, False, True, True])
    mu = np.stack([z, -z, z, z + rng.normal(size=6), rng.normal(size=6)])
    parts = (jnp.asarray(part) for part in (mu, np.ones_like(mu), z, valid, usable))
    weight, spread = kernel_weights(jax.random.key(0), Evidence(*parts))
    expected = []
    for model in range(5):
        pairs = list(itertools.permutations(range(5), 2))
        wrong = sum((mu[model][i] < mu[model][j]) != (z[i] < z[j]) for i, j in pairs) / len(pairs)
        distance = 0 if model == 4 else wrong / BANDWIDTH
        expected.append(0.75 * (1 - distance**2) if distance < 1 and usable[model] else 0)
    np.testing.assert_allclose(weight, np.array(expected) / sum(expected), atol=1e-6)
    assert weight[1] == weight[2] == 0  # the other way round; not usable
    assert spread.tolist() == [0, 0, 0, 0, 1]


@in_64_bits
def test_leaving_one_out_is_conditioning_on_the_others():
    rng = np.random.default_rng(2)
    features, z = rng.random((6, 2)), rng.normal(size=6)
    own = jax.jit(gp.condition)(gp.prior_mode(2, features.dtype), features, z, np.ones(6, bool))
    own = jax.tree.map(np.asarray, own)
    # The constant mean and the scale stay those of all results, as the formula has them.
    scaled = (z - own.offset) / own.deviation - own.constant
    kernel = np.linalg.inv(np.asarray(own.whitening.T @ own.whitening))
    mean, deviation = map(np.asarray, jax.jit(leave_one_out)(own, z))
    for i in range(6):
        rest = np.arange(6) != i
        solved = np.linalg.solve(kernel[np.ix_(rest, rest)], kernel[rest, i])
        expected = own.offset + own.deviation * (own.constant + solved @ scaled[rest])
        assert mean[i] == pytest.approx(float(expected))
        variance = kernel[i, i] - solved @ kernel[rest, i]
        assert deviation[i] == pytest.approx(float(own.deviation) * variance**0.5)


def test_mixed_portfolio_takes_turns_with_random_search():
    table = related_tasks(num_rows=40)
    portfolio = simulate(table, "zero-shot", tasks=["task-0"], evaluations=40).row[0]
    mixed = simulate(table, "zero-shot-mixed", tasks=["task-0"], num_seeds=2, evaluations=40).row
    random = simulate(table, "random", tasks=["task-0"], num_seeds=2, evaluations=40).row
    for own, drawn in zip(mixed.tolist(), random.tolist(), strict=True):
        expected: list[int] = []
        while len(expected) < 40:
            source = portfolio.tolist() if len(expected) % 2 == 0 else drawn
            expected.append(next(row for row in source if row not in expected))
        assert own == expected


SETTINGS = {"num_seeds": 8, "evaluations": 16, "tasks": ["task-0"]}


def test_the_own_task_is_not_read():
    table = related_tasks()
    plain, blind = (simulate(table, "rgpe", **SETTINGS, sources=own) for own in (None, poisoned(table)))
    np.testing.assert_array_equal(plain.row, blind.row)


def test_good_sources_help():
    table = related_tasks()
    best = table.final_costs(0).min(axis=0)
    logs = [simulate(table, "tst-r", **SETTINGS, sources=own) for own in (None, shuffled_results(table))]
    logs.append(simulate(table, "random", **SETTINGS))
    good, shuffled, at_random = ((log.costs.min(axis=1) - best).mean() for log in logs)
    assert good < at_random
    assert good < shuffled
