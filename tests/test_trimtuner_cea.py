"""TrimTuner's acquisition by its definition, in plain NumPy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.surrogates import gaussian_process as gp

from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.searchers import trimtuner as module
from mohb_jax.searchers.kriging_believer import Judged, Known
from mohb_jax.searchers.result_memory import no_launches
from mohb_jax.searchers.row_levels import pair_knowledge
from mohb_jax.simulation import simulate
from tests.test_kriging_believer import use_small_memory

pytestmark = pytest.mark.wide

LEVELS = 3
TABLE = synthetic(num_rows=20, fidelities=(1, 4, 16), num_objectives=2, seed=3)
PAIRS = pair_knowledge(TABLE, (0,), (0, 1, 2), resumable=False).pairs
GOAL = module.Goal(0, 1.0, 1, 0.5)
TRIED = np.array([0, 4, 8, 9, 15, 17, 31])
"""Pairs whose results are in."""


WORTH = jax.jit(functools.partial(module.information_per_price, GOAL, LEVELS))
CHANCE = jax.jit(functools.partial(module.chance_of_incumbent, GOAL, LEVELS))


def relative_entropy(mean, covariance, rng):
    """Of where the least of some normal variables is, to a uniform distribution; by 100,000 draws."""
    draws = rng.multivariate_normal(mean, covariance, 100_000, method="eigh")
    share = np.bincount(draws.argmin(axis=1), minlength=len(mean)) / len(draws)
    return float(np.sum(scipy.special.xlogy(share, share * len(mean))))


def test_information_is_by_how_much_an_observation_sharpens_where_the_least_is():
    """Four variables and one that does not count; the third observation has nothing to do with them."""
    rng = np.random.default_rng(2)
    root = rng.normal(size=(6, 6))
    joint = root @ root.T / 6
    joint[5, :5] = joint[:5, 5] = 0
    cross = np.column_stack([joint[:5, 4], joint[:5, 1], joint[:5, 5]])
    deviation = np.sqrt(np.diag(joint)[[4, 1, 5]] + 0.05)
    mean, valid = np.array([0.3, 0.2, 0.0, 0.4, -9.0]), np.array([True] * 4 + [False])
    information = jax.jit(functools.partial(module.expected_information, num_draws=20_000))
    found = information(mean, joint[:5, :5], valid, cross, deviation, jax.random.key(0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    before = relative_entropy(mean[:4], joint[:4, :4], rng)
    for place in range(2):
        shift = cross[:4, place] / deviation[place]
        rest = joint[:4, :4] - np.outer(shift, shift)
        after = [relative_entropy(mean[:4] + shift * node, rest, rng) for node in nodes]
        assert float(found[place]) == pytest.approx(weights @ after / weights.sum() - before, abs=0.02)
    assert float(found[2]) == pytest.approx(0, abs=1e-12)


def test_a_limit_holds_for_the_price_and_not_for_its_logarithm():
    found = module.within_limit(GOAL, jnp.log(jnp.array([0.5, 0.25])), jnp.array([0.7, math.log(2)]))
    np.testing.assert_allclose(found, [0.5, scipy.stats.norm.cdf(1)])
    free = module.Goal(0, 1.0, 1, None)
    assert module.within_limit(free, jnp.zeros(1), jnp.ones(1)).tolist() == [1]
    np.testing.assert_allclose(module.expected_accuracy(jnp.log(jnp.array([0.2, 3.0]))), [0.8, 0])


def processes():
    """Of the logarithms of error and price, with hyperparameters of no special values."""
    features, rng = PAIRS.features.astype(float), np.random.default_rng(1)
    targets = np.log(rng.uniform([[0.05], [0.1]], [[0.6], [1.5]], (2, len(TRIED))))
    mode = gp.prior_mode(features.shape[1], jnp.dtype(float))._replace(log_noise=jnp.asarray(-2.0))

    def one(values):
        return gp.condition(mode, features[TRIED], values, jnp.ones(len(TRIED), bool))

    return features, targets, jax.jit(jax.vmap(one))(jnp.asarray(targets))


def judged(features, targets, known):
    """All pairs, as the processes see them."""
    launches = no_launches(len(TRIED), 3, jnp.dtype(float))
    costs = jnp.column_stack([jnp.exp(targets).T, jnp.zeros(len(TRIED))])
    full = launches._replace(row=jnp.asarray(TRIED), costs=costs, kind=jnp.full(len(TRIED), 3))
    mean, variance = jax.jit(jax.vmap(gp.predict, (0, None)))(known, features)
    none = jnp.zeros(0, int), jnp.zeros(0, bool), jnp.zeros((2, 0))
    row, of_slots = jnp.arange(len(features)), Known(known, jnp.asarray(targets), jnp.ones(len(TRIED), bool))
    logarithms = module.logarithms(GOAL, full)
    np.testing.assert_allclose(logarithms, targets)
    choice = row, mean, jnp.sqrt(variance), jnp.ones(len(features), bool)
    return Judged(jnp.int32(0), full, logarithms, *none, *choice, jnp.asarray(0.5), of_slots)


def kernel(left, right, parameters):
    """Matern 5/2, of one lengthscale per column."""
    scale = np.exp(np.asarray(parameters.log_lengthscales))
    apart = np.sqrt(5) * np.linalg.norm((left[:, None] - right[None]) / scale, axis=-1)
    return np.exp(float(parameters.log_signal)) * np.exp(-apart) * (1 + apart + apart**2 / 3)


def variance_after(features, known, more, wanted):
    """Variance of the price's logarithm at some pairs once one more pair is observed, by linear algebra."""
    own = jax.tree.map(lambda leaf: leaf[1], known)
    parameters, points = own.hyperparameters, features[[*TRIED, more]]
    noise = gp.LEAST_NOISE + math.exp(float(parameters.log_noise)) + gp.JITTER
    cross = kernel(points, features[wanted], parameters)
    solved = np.linalg.solve(kernel(points, points, parameters) + noise * np.eye(len(points)), cross)
    return float(own.deviation) ** 2 * (1 - np.sum(cross * solved, axis=0))


def test_worth_is_information_times_the_chance_of_the_next_incumbent_over_the_price():
    """The tenth of greatest constrained expected accuracy are judged, and no others; the incumbent of each
    is looked for one by one."""
    features, targets, known = processes()
    asked = judged(features, targets, known)
    worth = np.asarray(WORTH(PAIRS, asked, jax.random.key(0)))
    mean, spread = np.asarray(asked.mean), np.asarray(asked.deviation)
    accuracy = np.maximum(1 - np.exp(mean[0]), 0)
    own = accuracy * scipy.stats.norm.cdf((math.log(GOAL.limit) - mean[1]) / spread[1])
    own[TRIED] = -1
    kept = np.argsort(-own)[:6]
    assert set(np.flatnonzero(worth > module.LEAST)) == set(kept.tolist())
    error, price = (jax.tree.map(lambda leaf, m=m: leaf[m], known) for m in (0, 1))
    chance = CHANCE(PAIRS, asked, error, price, jnp.asarray(kept))
    for place, pair in enumerate(kept.tolist()):
        wanted = np.unique([*TRIED, pair]) // LEVELS * LEVELS + LEVELS - 1
        deviation = np.sqrt(variance_after(np.asarray(features), known, pair, wanted))
        within = scipy.stats.norm.cdf((math.log(GOAL.limit) - mean[1, wanted]) / deviation)
        assert float(chance[place]) == pytest.approx(within[np.argmax(accuracy[wanted] * within)], rel=1e-5)
    information = np.exp(worth[kept] + mean[1, kept]) / np.asarray(chance)
    assert (information >= module.LEAST_INFORMATION * (1 - 1e-6)).all()
    assert information.max() > 10 * module.LEAST_INFORMATION
    assert information.max() < math.log(20)


def test_a_run_begins_with_one_row_at_all_levels_but_the_highest(monkeypatch):
    use_small_memory(monkeypatch)
    log = simulate(
        TABLE, "trimtuner-cea", num_seeds=1, evaluations=8, workers=1, price="objective-1", limit=2
    )
    random = simulate(TABLE, "random", num_seeds=1, evaluations=1, workers=1)
    assert log.row[0, :2].tolist() == random.row[0].tolist() * 2
    assert log.fidelity[0, :2].tolist() == [0, 1]
    assert log.valid.all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "it needs a price to be minimised, by default in USD or s; see setting price"),
        ({"price": "objective-0"}, "it needs a price to be minimised"),
        ({"price": "cost"}, "cost"),
    ],
)
def test_tables_without_error_or_price_are_refused(settings, message):
    method = method_named("trimtuner-cea")
    with pytest.raises(InputError, match=message):
        make_plan(TABLE, method, make_settings(method, **settings))
    with pytest.raises(InputError, match="limit is 0: it must be a positive, finite number"):
        make_settings(method, limit=0)
