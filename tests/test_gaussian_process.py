"""The Gaussian process for few observations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.surrogates.factor import inverse_factor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

LENGTH = 40
COMPILED = jax.jit(gp.fit)
PREDICT = jax.jit(gp.predict)
CONDITION = jax.jit(gp.condition)
STANDARDISED = jax.jit(gp._standardised)
EXPECTED = jax.jit(jax.value_and_grad(gp.log_marginal_likelihood))
FIXED = gp.Hyperparameters(
    jnp.log(jnp.asarray([0.3, 0.7, 2.0])), jnp.log(jnp.asarray(1.7)), jnp.log(jnp.asarray(0.02))
)
CANDIDATES = np.random.default_rng(9).random((40, 3))


@jax.jit
def likelihood_and_slope(parameters, features, targets, valid):
    """The likelihood, and the slope of the density less that of the prior."""
    factored = gp._factored(parameters, features, targets, valid)
    slope = gp._gradient(parameters, features, factored)
    prior = jax.grad(gp._log_prior)(parameters)
    return gp._log_likelihood(factored, targets), jax.tree.map(jnp.subtract, slope, prior)


@jax.jit
def density(parameters, features, targets, valid):
    return gp.log_marginal_likelihood(parameters, features, targets, valid) + gp._log_prior(parameters)


def fit(*arrays, num_steps=100, start=None):
    """The compiled fit; the number of steps is an argument, so that it compiles once."""
    return COMPILED(*arrays, num_steps, start=gp.prior_mode(3, arrays[0].dtype) if start is None else start)


def observations(n, seed=0):
    """A smooth function of two of three columns, with noise, in a unit far from 1."""
    rng = np.random.default_rng(seed)
    features = rng.random((n, 3))
    targets = np.sin(5 * features[:, 0]) + features[:, 1] ** 2 + 0.05 * rng.normal(size=n)
    return features, 100 + 20 * targets


def padded(features, targets, length=LENGTH, fill=np.nan):
    """Arrays of a fixed length, and the mask of what is real."""
    n = len(targets)
    wide, long = np.full((length, 3), fill), np.full(length, fill)
    wide[:n], long[:n] = features, targets
    return jnp.asarray(wide), jnp.asarray(long), jnp.asarray(np.arange(length) < n)


def peer(process, hyperparameters, features):
    """scikit-learn's regressor with the same kernel; its targets are ours less the constant mean."""
    signal = float(jnp.exp(hyperparameters.log_signal))
    noise = gp.LEAST_NOISE + float(jnp.exp(hyperparameters.log_noise)) + gp.JITTER * signal
    lengthscales = np.exp(hyperparameters.log_lengthscales)
    kernel = ConstantKernel(signal) * Matern(lengthscales, nu=2.5)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)


@pytest.mark.parametrize("n", [1, 2, 17, 40])
def test_prediction_equals_scikit_learn(n):
    features, targets = observations(n)
    process = CONDITION(FIXED, *padded(features, targets))
    constant, offset, deviation = (float(x) for x in (process.constant, process.offset, process.deviation))
    rival = peer(process, FIXED, features).fit(features, (targets - offset) / deviation - constant)
    mean, std = rival.predict(CANDIDATES, return_std=True)
    ours, variance = PREDICT(process, jnp.asarray(CANDIDATES))
    np.testing.assert_allclose(ours, offset + deviation * (constant + mean), rtol=1e-6)
    np.testing.assert_allclose(variance, (deviation * std) ** 2, rtol=1e-6)


def test_likelihood_equals_scikit_learn_and_its_constant_is_the_best():
    features, targets = observations(25)
    targets = (targets - targets.mean()) / targets.std() + 0.4
    arrays = padded(features, targets, fill=0.0)
    value = float(gp.log_marginal_likelihood(FIXED, *arrays))
    constants = 0.4 + np.linspace(-1.5, 1.5, 601)
    rival = [
        peer(None, FIXED, features).fit(features, targets - c).log_marginal_likelihood_value_
        for c in constants
    ]
    assert value == pytest.approx(max(rival), abs=1e-4)  # of a parabola read at steps of 0.005
    assert value >= max(rival) - 1e-9


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan, np.inf])
def test_padding_is_inert(fill):
    features, targets = observations(12)
    alone = fit(*padded(features, targets, 12))
    more = fit(*padded(features, targets, fill=fill))
    for one, other in zip(alone.hyperparameters, more.hyperparameters, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7)
    for one, other in zip(PREDICT(alone, CANDIDATES), PREDICT(more, CANDIDATES), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_gradient_equals_automatic_differentiation(n):
    arrays = padded(*observations(n), fill=0.0)
    features, scaled, _, _ = STANDARDISED(*arrays)
    likelihood, gradient = likelihood_and_slope(FIXED, features, scaled, arrays[2])
    expected, slopes = EXPECTED(FIXED, features, scaled, arrays[2])
    assert float(likelihood) == pytest.approx(float(expected), rel=1e-12)
    for one, other in zip(gradient, slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n", [1, 16, 17, 40, 70])
def test_whitening_is_the_inverse_of_the_factor(n):
    root = np.random.default_rng(n).normal(size=(n, n))
    matrix = root @ root.T + 0.1 * np.eye(n)
    expected = np.linalg.inv(np.linalg.cholesky(matrix))
    np.testing.assert_allclose(inverse_factor(jnp.asarray(matrix)), expected, rtol=1e-7, atol=1e-9)


def test_fit_goes_on_from_where_it_is_told():
    arrays = padded(*observations(30), fill=0.0)
    features, scaled, _, _ = gp._standardised(*arrays)
    start = fit(*arrays, num_steps=60).hyperparameters
    unmoved = fit(*arrays, num_steps=0, start=start).hyperparameters
    for one, other in zip(unmoved, start, strict=True):
        np.testing.assert_array_equal(one, other)
    at_start, later = (
        density(parameters, features, scaled, arrays[2])
        for parameters in (start, fit(*arrays, num_steps=5, start=start).hyperparameters)
    )
    assert later >= at_start


def test_noise_is_what_observations_have_beyond_the_function():
    features, targets = observations(40)
    process = fit(*padded(features, targets))
    assert 0.02 < float(jnp.sqrt(gp.noise_variance(process))) / 20 < 0.1  # 0.05 in units of 20


def test_more_steps_never_lower_the_density_and_many_raise_it():
    arrays = padded(*observations(30), fill=0.0)
    features, scaled, _, _ = gp._standardised(*arrays)
    values = [
        float(density(fit(*arrays, num_steps=steps).hyperparameters, features, scaled, arrays[2]))
        for steps in (0, 1, 5, 20, 100)
    ]
    assert values == sorted(values)
    assert values[-1] > values[0] + 3
    start, end = (
        gp.log_marginal_likelihood(fit(*arrays, num_steps=steps).hyperparameters, features, scaled, arrays[2])
        for steps in (0, 100)
    )
    assert end > start + 3


def test_learns_the_function_and_which_column_is_idle():
    features, targets = observations(40)
    process = fit(*padded(features, targets))
    test_features, test_targets = observations(200, seed=1)
    mean, variance = PREDICT(process, jnp.asarray(test_features))
    assert np.sqrt(np.mean((mean - test_targets) ** 2)) < 0.2 * test_targets.std()
    lengthscales = np.asarray(process.hyperparameters.log_lengthscales)
    assert lengthscales[2] == lengthscales.max()
    within = np.abs(mean - test_targets) < 1.96 * np.sqrt(variance + gp.noise_variance(process))
    assert within.mean() > 0.85


def test_nothing_observed_gives_the_prior():
    mean, variance = PREDICT(fit(*padded(*observations(0))), CANDIDATES)
    np.testing.assert_allclose(mean, 0)
    np.testing.assert_allclose(variance, 1, rtol=1e-6)


def test_one_observation_is_the_mean_everywhere():
    features, targets = observations(1)
    mean, variance = PREDICT(fit(*padded(features, targets)), jnp.asarray(np.r_[features, CANDIDATES]))
    np.testing.assert_allclose(mean, targets[0])
    assert variance[0] < 0.5 * variance[1:].min()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_and_constant_targets_stay_finite(dtype):
    features = np.repeat(observations(3)[0], 6, axis=0).astype(dtype)
    for targets in (np.repeat([1.0, 4.0, 2.0], 6), np.tile([1.0, 2.0], 9), np.full(18, 3.0)):
        wide, long, valid = padded(features, targets)
        process = fit(wide.astype(dtype), long.astype(dtype), valid)
        mean, variance = PREDICT(process, jnp.asarray(CANDIDATES.astype(dtype)))
        assert mean.dtype == dtype
        assert np.isfinite(mean).all()
        assert (np.asarray(variance) >= 0).all()
        at_rows, _ = PREDICT(process, jnp.asarray(features[::6]))
        np.testing.assert_allclose(at_rows, targets.reshape(3, 6).mean(axis=1), atol=0.15)


def test_noise_has_a_floor_and_variance_stays_above_what_it_leaves():
    features, _ = observations(20)
    process = fit(*padded(features, features[:, 0]))  # without any noise
    factor = np.linalg.inv(np.asarray(process.whitening))
    assert np.linalg.eigvalsh(factor @ factor.T).min() >= gp.LEAST_NOISE


def test_lane_of_a_batch_equals_the_lane_alone():
    lanes = [padded(*observations(n, seed=n)) for n in (0, 1, 7, 16)]
    stacked = [jnp.stack(part) for part in zip(*lanes, strict=True)]
    batch = jax.jit(jax.vmap(functools.partial(gp.fit, num_steps=30)))(*stacked)
    means, variances = jax.vmap(gp.predict, (0, None))(batch, jnp.asarray(CANDIDATES))
    for index, lane in enumerate(lanes):
        mean, variance = PREDICT(fit(*lane, num_steps=30), CANDIDATES)
        np.testing.assert_allclose(means[index], mean, rtol=1e-6)
        np.testing.assert_allclose(variances[index], variance, rtol=1e-6)


@jax.jit
def believing_anew(rows, values, observed, place, is_pending):
    pending = jnp.zeros(LENGTH, bool).at[place].set(is_pending)
    _, whitening = gp.refit(FIXED, rows, values, observed, pending, -1, -1)
    process, believed = gp.believing(FIXED, whitening, rows, values, observed, place, is_pending)
    return process, believed, gp.predict(process, rows[place])[0]


def test_belief_in_what_is_expected_takes_variance_alone():
    features, targets = observations(20)
    rows, values, valid = padded(features, targets)
    observed = valid & (jnp.arange(LENGTH) % 5 > 0)
    process = gp.condition(FIXED, rows, jnp.where(observed, values, jnp.nan), observed)
    place = jnp.asarray([0, 5, 10, 15, 39])
    believing, believed, at_places = believing_anew(rows, values, observed, place, place < 20)
    np.testing.assert_allclose(believed[:4], at_places[:4], rtol=1e-9)
    expected = PREDICT(process, jnp.where(valid[:, None], rows, 0))[0]
    scaled = (jnp.where(observed, values, expected) - process.offset) / process.deviation
    # As if conditioned on what was believed, in the units that were there before.
    noise = float(gp.noise_variance(process) / process.deviation**2) + gp.JITTER * 1.7
    kernel = 1.7 * Matern(np.exp(FIXED.log_lengthscales), nu=2.5)
    rival = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    rival.fit(features, np.asarray(scaled)[:20] - float(process.constant))
    mean, std = rival.predict(CANDIDATES, return_std=True)
    ours, variance = PREDICT(believing, jnp.asarray(CANDIDATES))
    np.testing.assert_allclose(
        ours, process.offset + process.deviation * (process.constant + mean), rtol=1e-6
    )
    np.testing.assert_allclose(variance, (process.deviation * std) ** 2, rtol=1e-6)
    before, doubt = PREDICT(process, jnp.asarray(CANDIDATES))
    np.testing.assert_allclose(ours, before, rtol=1e-9)
    assert (variance <= doubt + 1e-9).all()
    assert (variance < 0.9 * doubt).any()


def test_the_least_noise_is_enough_for_32_bits():
    """Neighbours and duplicates, a strong signal, long lengthscales and no noise but the floor's."""
    rng, n = np.random.default_rng(0), 120
    rows = np.repeat(rng.random((n // 3, 3)), 3, axis=0) + 1e-4 * rng.normal(size=(n, 3)) * [[0, 1, 0]]
    targets = np.sin(5 * rows[:, 0]) + rows[:, 1] ** 2
    extreme = gp.Hyperparameters(jnp.full(3, 1.0), jnp.asarray(2.0), jnp.asarray(-20.0))
    found = []
    for dtype in (np.float32, np.float64):
        arrays = [np.asarray(part, dtype) for part in (rows, targets, CANDIDATES)]
        parameters = jax.tree.map(lambda leaf, dtype=dtype: np.asarray(leaf, dtype), extreme)
        process = CONDITION(parameters, *arrays[:2], np.ones(n, bool))
        found.append([np.asarray(part, float) for part in PREDICT(process, arrays[2])])
    (mean, variance), (exact, doubt) = found
    deviation = targets.std()
    np.testing.assert_allclose(mean, exact, atol=0.01 * deviation)
    np.testing.assert_allclose(variance**0.5, doubt**0.5, atol=0.01 * deviation)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_many_factorisations_at_a_time_equal_the_library(n):
    rng = np.random.default_rng(n)
    roots = rng.normal(size=(3, 2, n, n))
    matrices = roots @ np.swapaxes(roots, 2, 3) + 0.1 * np.eye(n)
    ours = jax.jit(jax.vmap(jax.vmap(inverse_factor)))(matrices)
    expected = np.linalg.inv(np.linalg.cholesky(matrices))
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-8)


def test_rows_that_join_one_by_one_equal_a_factorisation():
    features, _ = observations(LENGTH)
    whitening, rows = jnp.eye(LENGTH), jnp.asarray(features)
    join = jax.jit(gp.joined)
    for n in range(LENGTH):
        row = join(FIXED, whitening, rows, jnp.arange(LENGTH) < n, jnp.int32(n))
        whitening = whitening.at[n].set(row)
    noise = gp.LEAST_NOISE + 0.02 + gp.JITTER * 1.7
    kernel = 1.7 * Matern(np.exp(FIXED.log_lengthscales), nu=2.5)(features) + noise * np.eye(LENGTH)
    np.testing.assert_allclose(whitening, np.linalg.inv(np.linalg.cholesky(kernel)), rtol=1e-8, atol=1e-10)


def test_a_duplicate_joins_without_losing_definiteness():
    rows = jnp.asarray(np.repeat(observations(1)[0], LENGTH, axis=0))
    certain = FIXED._replace(log_noise=jnp.log(jnp.asarray(1e-12)), log_signal=jnp.log(jnp.asarray(50.0)))
    whitening = jnp.eye(LENGTH)
    for n in range(20):
        row = gp.joined(certain, whitening, rows, jnp.arange(LENGTH) < n, jnp.int32(n))
        whitening = whitening.at[n].set(row)
    factor = np.linalg.inv(np.asarray(whitening))[:20, :20]
    np.testing.assert_allclose(factor @ factor.T, 50 + (1e-3 + 5e-5) * np.eye(20), rtol=1e-6)


def test_a_search_takes_its_own_steps_whatever_others_of_a_batch_take():
    arrays = padded(*observations(30), fill=0.0)
    nobody = jnp.zeros(LENGTH, bool)
    refit = jax.jit(gp.refit)
    for steps, most_steps in ((4, 4), (4, 7), (-1, 7), (-1, -1)):
        found, whitening = refit(FIXED, *arrays, nobody, steps, most_steps)
        at_rest = gp.condition(FIXED, *arrays)
        expected = fit(*arrays, num_steps=steps, start=FIXED) if steps > 0 else at_rest
        for one, other in zip(found, expected.hyperparameters, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)
        np.testing.assert_allclose(whitening, expected.whitening, rtol=1e-7, atol=1e-9)
