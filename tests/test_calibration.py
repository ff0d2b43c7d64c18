"""Coverage and likelihood of predicted distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mohb_jax.surrogates.calibration import LEVELS, coverage, negative_log_likelihood

pytestmark = pytest.mark.fast

NUM_VALUES = 20_000
TOLERANCE = 4 * 0.5 / NUM_VALUES**0.5  # four standard errors of a share: wrong in fewer than 1 of 10,000


@pytest.fixture(scope="module")
def simulated():
    """Targets drawn from the very distributions that are predicted."""
    rng = np.random.default_rng(7)
    mu, sigma = rng.normal(size=NUM_VALUES), rng.uniform(0.1, 3, NUM_VALUES)
    return rng.normal(mu, sigma), mu, sigma, np.ones(NUM_VALUES, bool)


def test_true_distribution_covers_its_levels(simulated):
    np.testing.assert_allclose(coverage(*simulated), LEVELS, atol=TOLERANCE)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_wrong_deviation_shows_as_a_known_coverage(simulated, factor):
    targets, mu, sigma, valid = simulated
    half_width = scipy.stats.norm.ppf((1 + np.array(LEVELS)) / 2)
    expected = 2 * scipy.stats.norm.cdf(factor * half_width) - 1
    np.testing.assert_allclose(coverage(targets, mu, factor * sigma, valid), expected, atol=TOLERANCE)


def test_likelihood_of_true_distribution_is_its_entropy(simulated):
    _, _, sigma, _ = simulated
    entropy = np.mean(np.log(sigma)) + 0.5 * np.log(2 * np.pi * np.e)
    # The squared standardised error has variance 2, and half of it enters.
    error = 4 * np.sqrt(0.5 / NUM_VALUES)
    assert float(negative_log_likelihood(*simulated)) == pytest.approx(entropy, abs=error)


def test_standard_normal_knows_nothing():
    targets = np.random.default_rng(3).normal(size=NUM_VALUES)
    score = negative_log_likelihood(
        targets, np.zeros(NUM_VALUES), np.ones(NUM_VALUES), np.ones(NUM_VALUES, bool)
    )
    assert float(score) == pytest.approx(1.42, abs=0.03)


def test_small_example_and_padding(variant):
    targets = jnp.asarray([0.0, 1.0, 3.0, jnp.nan])
    mu, sigma = jnp.asarray([0.0, 0.0, 0.0, jnp.nan]), jnp.asarray([1.0, 1.0, 1.0, 0.0])
    valid = jnp.asarray([True, True, True, False])
    np.testing.assert_allclose(variant(coverage)(targets, mu, sigma, valid), [1 / 3, 2 / 3, 2 / 3])
    expected = -scipy.stats.norm.logpdf([0.0, 1.0, 3.0]).mean()
    assert float(variant(negative_log_likelihood)(targets, mu, sigma, valid)) == pytest.approx(expected)


def test_nothing_valid_has_no_score():
    empty = (jnp.zeros(3), jnp.zeros(3), jnp.ones(3), jnp.zeros(3, bool))
    assert np.isnan(coverage(*empty)).all()
    assert np.isnan(negative_log_likelihood(*empty))


def test_other_levels_and_lanes():
    targets = jnp.asarray([[0.5, 1.5], [2.5, 0.0]])
    zeros, ones, valid = jnp.zeros((2, 2)), jnp.ones((2, 2)), jnp.ones((2, 2), bool)
    shares = jax.vmap(lambda *lane: coverage(*lane, levels=(0.9,)))(targets, zeros, ones, valid)
    np.testing.assert_allclose(shares, [[1.0], [0.5]])
