"""A Gaussian process for a few observations, of which some may be padding."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from surrogates import Array

LEAST_NOISE = 1e-3
"""Floor of the noise variance, on targets of variance 1."""

JITTER = 1e-6
"""Added to the diagonal, as a share of the signal variance, so that duplicates leave the kernel definite."""

_LEAST_DEVIATION = 1e-6
_LENGTHSCALE_AT = 0.5  # per root of the number of columns: about the distance of two rows of a unit cube
_NOISE_AT = 1e-2
_WIDTHS = (1.0, 1.0, 2.0)  # of the log-normal priors: lengthscales, signal, noise


class Hyperparameters(NamedTuple):
    """Logarithms of the kernel's parameters."""

    log_lengthscales: Float[Array, " columns"]
    log_signal: Float[Array, ""]
    """Variance of the function, where targets have variance 1."""
    log_noise: Float[Array, ""]
    """Variance of the noise above its floor."""


class GaussianProcess(NamedTuple):
    """A process conditioned on observations; what ``predict`` needs."""

    hyperparameters: Hyperparameters
    features: Float[Array, "n columns"]
    valid: Bool[Array, " n"]
    factor: Float[Array, "n n"]
    """Lower Cholesky factor of the kernel matrix with noise; identity where padded."""
    weights: Float[Array, " n"]
    """Kernel matrix inverse times the targets less their constant; 0 where padded."""
    constant: Float[Array, ""]
    """Constant mean, on standardised targets: the one of greatest likelihood given the kernel."""
    offset: Float[Array, ""]
    """Mean of the targets, in their own units."""
    deviation: Float[Array, ""]
    """Standard deviation of the targets; 1 if they are all equal or fewer than two."""


def fit(
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
    num_steps: int | Int[Array, ""] = 100,
    learning_rate: float = 0.1,
) -> GaussianProcess:
    """Chooses hyperparameters by their posterior density and conditions on the observations.

    A fixed number of Adam steps on the logarithms, from the mode of weak log-normal priors; the best
    parameters met are kept, so more steps are never worse. The priors suit features within [0, 1].

    Args:
        features: observed rows.
        targets: observed values, in any unit.
        valid: False marks padding, which may hold anything.
        num_steps: of Adam.
        learning_rate: of Adam.

    Returns:
        The conditioned process; without valid rows, the prior with mean 0 and variance 1.

    References:
        Rasmussen, Williams, "Gaussian processes for machine learning", 2006, section 5.4.1.
    """
    features, scaled, _, _ = _standardised(features, targets, valid)
    optimiser = optax.adam(learning_rate)
    density = functools.partial(_log_density, features=features, targets=scaled, valid=valid)

    def step(_: Array, carry: tuple) -> tuple:
        parameters, state, best, greatest = carry
        value, gradient = jax.value_and_grad(density)(parameters)
        best, greatest = _better(value, parameters, best, greatest)
        update, state = optimiser.update(jax.tree.map(jnp.negative, gradient), state)
        return optax.apply_updates(parameters, update), state, best, greatest

    start = prior_mode(features.shape[1], scaled.dtype)
    carry = (start, optimiser.init(start), start, jnp.asarray(-jnp.inf, scaled.dtype))
    parameters, _, best, greatest = jax.lax.fori_loop(0, num_steps, step, carry)
    best, _ = _better(density(parameters), parameters, best, greatest)
    return condition(best, features, targets, valid)


def condition(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> GaussianProcess:
    """The process with given hyperparameters, conditioned on the observations.

    Args:
        hyperparameters: for targets of mean 0 and variance 1.
        features: observed rows.
        targets: observed values, in any unit; they are standardised first.
        valid: False marks padding, which may hold anything.

    Returns:
        The conditioned process.
    """
    features, scaled, offset, deviation = _standardised(features, targets, valid)
    factor = _factor(hyperparameters, features, valid)
    constant, weights = _solve(factor, scaled, valid)
    return GaussianProcess(hyperparameters, features, valid, factor, weights, constant, offset, deviation)


def predict(
    process: GaussianProcess, candidates: Float[Array, "rows columns"]
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
    """Posterior mean and variance of the noise-free function.

    Args:
        process: what ``fit`` or ``condition`` returned.
        candidates: rows to predict.

    Returns:
        Mean, and variance in squared units of the targets; not negative.

    References:
        Rasmussen, Williams, "Gaussian processes for machine learning", 2006, algorithm 2.1.
    """
    cross = jnp.where(
        process.valid[:, None], _kernel(process.hyperparameters, process.features, candidates), 0
    )
    mean = process.constant + _product(process.weights, cross)
    explained = jax.scipy.linalg.solve_triangular(process.factor, cross, lower=True)
    variance = jnp.exp(process.hyperparameters.log_signal) - jnp.sum(explained**2, axis=0)
    return process.offset + process.deviation * mean, process.deviation**2 * jnp.maximum(variance, 0)


def log_marginal_likelihood(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> Float[Array, ""]:
    """Logarithm of the density of the valid targets, the constant mean at its best.

    Args:
        hyperparameters: of the kernel.
        features: observed rows; zero where padded.
        targets: observed values, standardised; zero where padded.
        valid: False marks padding, which adds nothing.

    Returns:
        The log density, in nats; 0 without valid rows.

    References:
        Rasmussen, Williams, "Gaussian processes for machine learning", 2006, equation 5.8.
    """
    factor = _factor(hyperparameters, features, valid)
    constant, weights = _solve(factor, targets, valid)
    residual = jnp.where(valid, targets - constant, 0)
    num_valid = jnp.sum(valid, dtype=targets.dtype)
    log_root_determinant = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -0.5 * (jnp.sum(residual * weights) + num_valid * jnp.log(2 * jnp.pi)) - log_root_determinant


def prior_mode(num_columns: int, dtype: jnp.dtype) -> Hyperparameters:
    """Where the priors are highest, in logarithms, and the search begins.

    Args:
        num_columns: of the features; static.
        dtype: of the result.

    Returns:
        Lengthscale of half the root of the number of columns, signal variance 1, noise variance 0.01.
    """
    lengthscale = _LENGTHSCALE_AT * max(num_columns, 1) ** 0.5
    log_lengthscales = jnp.log(jnp.full(num_columns, lengthscale, dtype))
    return Hyperparameters(log_lengthscales, jnp.zeros((), dtype), jnp.log(jnp.asarray(_NOISE_AT, dtype)))


_product = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _standardised(
    features: Float[Array, "n columns"], targets: Float[Array, " n"], valid: Bool[Array, " n"]
) -> tuple[Float[Array, "n columns"], Float[Array, " n"], Float[Array, ""], Float[Array, ""]]:
    """Features and standardised targets, zero where padded; mean and deviation of the targets."""
    n = jnp.maximum(jnp.sum(valid, dtype=targets.dtype), 1)
    offset = jnp.sum(jnp.where(valid, targets, 0)) / n
    centred = jnp.where(valid, targets - offset, 0)
    deviation = jnp.sqrt(jnp.sum(centred**2) / n)
    deviation = jnp.where(deviation > _LEAST_DEVIATION, deviation, 1)
    return jnp.where(valid[:, None], features, 0), centred / deviation, offset, deviation


def _log_density(
    parameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> Float[Array, ""]:
    """Logarithm of the posterior density of the hyperparameters, up to a constant."""
    mode = prior_mode(features.shape[1], targets.dtype)
    penalty = jnp.zeros((), targets.dtype)
    for value, centre, width in zip(parameters, mode, _WIDTHS, strict=True):
        penalty = penalty + 0.5 * jnp.sum(((value - centre) / width) ** 2)
    return log_marginal_likelihood(parameters, features, targets, valid) - penalty


def _better(
    value: Float[Array, ""], parameters: Hyperparameters, best: Hyperparameters, greatest: Float[Array, ""]
) -> tuple[Hyperparameters, Float[Array, ""]]:
    """The better of two; a value of NaN, from a matrix that is not definite, is never better."""
    better = value > greatest
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), parameters, best)
    return best, jnp.where(better, value, greatest)


def _kernel(
    hyperparameters: Hyperparameters, left: Float[Array, "n columns"], right: Float[Array, "m columns"]
) -> Float[Array, "n m"]:
    """Matern kernel of smoothness 5/2 with a lengthscale per column."""
    scale = jnp.exp(-hyperparameters.log_lengthscales)
    left, right = left * scale[None], right * scale[None]
    squares = jnp.sum(left**2, axis=1)[:, None] + jnp.sum(right**2, axis=1)[None, :]
    square = squares - 2 * _product(left, right.T)
    apart = square > 0  # rounding may take equal rows below zero; the root has no slope there
    distance = jnp.where(apart, jnp.sqrt(5 * jnp.where(apart, square, 1)), 0)
    return jnp.exp(hyperparameters.log_signal - distance) * (1 + distance + distance**2 / 3)


def _factor(
    hyperparameters: Hyperparameters, features: Float[Array, "n columns"], valid: Bool[Array, " n"]
) -> Float[Array, "n n"]:
    kernel = jnp.where(valid[:, None] & valid[None, :], _kernel(hyperparameters, features, features), 0)
    noise = LEAST_NOISE + jnp.exp(hyperparameters.log_noise) + JITTER * jnp.exp(hyperparameters.log_signal)
    return jnp.linalg.cholesky(kernel + jnp.diag(jnp.where(valid, noise, 1)))


def _solve(
    factor: Float[Array, "n n"], targets: Float[Array, " n"], valid: Bool[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """Constant mean of greatest likelihood, and the kernel matrix inverse times what it leaves."""
    ones = valid.astype(targets.dtype)
    both = jnp.stack([jnp.where(valid, targets, 0), ones], axis=1)
    solved = jax.scipy.linalg.cho_solve((factor, True), both)
    total = jnp.sum(ones * solved[:, 1])
    constant = jnp.sum(ones * solved[:, 0]) / jnp.where(total > 0, total, 1)
    return constant, solved[:, 0] - constant * solved[:, 1]
