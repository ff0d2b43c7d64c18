"""Predictions put right by held-out values: what the fit promises, by definition."""

import math

import numpy as np
import pytest
from mohb_jax.surrogates.rescaling import Scale, doubted, fit_scale, mixed

pytestmark = pytest.mark.fast


def log_likelihood(scale, values, mu, sigma, weight):
    """By definition, row by row."""
    total = 0.0
    for z, m, s, w in zip(values, mu, sigma, weight, strict=True):
        variance = scale.own * s**2 + scale.by_mean * m**2 + scale.everywhere
        total -= w * 0.5 * (math.log(2 * math.pi * variance) + (z - scale.slope * m) ** 2 / variance)
    return total


def overconfident(num_rows=400, slope=0.6, own=4.0, by_mean=0.0, everywhere=0.3, seed=0):
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(size=num_rows), rng.uniform(0.1, 0.8, num_rows)
    deviation = np.sqrt(own * sigma**2 + by_mean * mu**2 + everywhere)
    return slope * mu + deviation * rng.normal(size=num_rows), mu, sigma, np.full(num_rows, 1 / num_rows)


def test_no_other_scale_is_likelier():
    held_out = overconfident()
    found = fit_scale(*held_out)
    best = log_likelihood(found, *held_out)
    for field, by in ((f, b) for f in Scale._fields for b in (-0.05, 0.05)):
        other = found._replace(**{field: max(getattr(found, field) + by, 0.0)})
        assert log_likelihood(other, *held_out) <= best + 1e-4, (field, by)


@pytest.mark.parametrize("truth", [(0.6, 4.0, 0.0, 0.3), (0.9, 1.0, 0.5, 0.0), (1.0, 1.0, 0.0, 0.0)])
def test_it_finds_what_predictions_were_off_by(truth):
    held_out = overconfident(20_000, *truth)
    mean, deviation = fit_scale(*held_out)(*held_out[1:3])
    expected = Scale(*truth)(*held_out[1:3])
    np.testing.assert_allclose(mean, expected[0], atol=0.1)
    np.testing.assert_allclose(deviation, expected[1], rtol=0.15, atol=0.05)


def test_each_task_counts_once():
    """A task of many rows that predictions are right about, and one of few that they are wrong about."""
    good, bad = overconfident(900, 1, 1, 0, 0), overconfident(100, -1, 1, 0, 0, seed=1)
    weight = np.concatenate([np.full(900, 1 / 900), np.full(100, 1 / 100)])
    joined = (np.concatenate(parts) for parts in zip(good[:3], bad[:3], strict=True))
    assert abs(fit_scale(*joined, weight).slope) < 0.2


def test_predictions_that_are_right_to_the_last_digit_keep_a_deviation():
    mu = np.linspace(-1, 1, 50)
    scale = fit_scale(mu, mu, np.full(50, 0.1), np.full(50, 0.02))
    mean, deviation = scale(mu, np.full(50, 0.1))
    assert np.isfinite(deviation).all()
    assert (deviation > 0).all()
    np.testing.assert_allclose(mean, mu, atol=1e-6)


def test_the_error_of_a_mean_is_what_members_share():
    """Members that are each off by 0.5, and share the most of it."""
    rng = np.random.default_rng(0)
    shared = np.sqrt(0.5**2 - 0.2**2) * rng.normal(size=20_000)
    members = shared + 0.2 * rng.normal(size=(6, 20_000))
    mean, deviation = mixed(members, np.full_like(members, 0.5), tested=True)
    assert np.sqrt((deviation**2).mean()) == pytest.approx(mean.std(), rel=0.02)
    assert (mixed(members, np.full_like(members, 0.01), tested=True)[1] > 0.007).all()


def test_untested_members_that_disagree_are_less_certain():
    """By definition: the moments of draws from a member taken at random."""
    mu, sigma = np.array([[0.0], [1.0], [2.0]]), np.array([[0.1], [0.2], [0.3]])
    rng = np.random.default_rng(0)
    member = rng.integers(3, size=300_000)
    drawn = mu[member, 0] + sigma[member, 0] * rng.normal(size=member.size)
    mean, deviation = mixed(mu, sigma)
    assert mean[0] == pytest.approx(drawn.mean(), abs=0.01)
    assert deviation[0] == pytest.approx(drawn.std(), abs=0.01)


@pytest.mark.parametrize("doubt", [0.0, 0.25, 1.0])
def test_doubt_is_a_mean_of_logarithms_of_densities(doubt):
    def log_density(z, mean, deviation):
        return -0.5 * ((z - mean) / deviation) ** 2

    z = np.linspace(-2, 2, 9)
    mean, deviation = doubted(np.array([0.8]), np.array([0.3]), doubt)
    expected = (1 - doubt) * log_density(z, 0.8, 0.3) + doubt * log_density(z, 0.0, 1.0)
    difference = expected - log_density(z, mean, deviation)
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)
