"""A Gaussian process for a few observations, of which some may be padding."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int
from mohb_jax.surrogates import Array
from mohb_jax.surrogates.factor import inverse_factor, product

LEAST_NOISE = 1e-3
"""Floor of the noise variance, on targets of variance 1."""

JITTER = 1e-6
"""Added to the diagonal, as a share of the signal variance, so that duplicates leave the kernel definite."""

LEAST_VARIANCE = 1e-6
"""Floor of the posterior variance, in deviations of the prior."""

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
    whitening: Float[Array, "n n"]
    """Inverse of the lower Cholesky factor of the kernel matrix with noise; identity where padded."""
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
    start: Hyperparameters | None = None,
) -> GaussianProcess:
    """Chooses hyperparameters by their posterior density and conditions on the observations.

    A fixed number of Adam steps on the logarithms, whose priors are weak and log-normal; the best parameters
    met are kept, so more steps are never worse. The priors suit features within [0, 1].

    Args:
        features: observed rows.
        targets: observed values, in any unit.
        valid: False marks padding, which may hold anything.
        num_steps: of Adam.
        learning_rate: of Adam.
        start: where the search begins, for example at those found for fewer observations; None for the mode
            of the priors.

    Returns:
        The conditioned process; without valid rows, the prior with mean 0 and variance 1.

    References:
        Rasmussen, Williams, "Gaussian processes for machine learning", 2006, section 5.4.1.
    """
    features, scaled, _, _ = _standardised(features, targets, valid)
    optimiser = optax.adam(learning_rate)
    density = functools.partial(_density_and_gradient, features=features, targets=scaled, valid=valid)

    def step(_: Array, carry: tuple) -> tuple:
        parameters, state, best, greatest = carry
        value, gradient = density(parameters)
        best, greatest = _better(value, parameters, best, greatest)
        update, state = optimiser.update(jax.tree.map(jnp.negative, gradient), state)
        return optax.apply_updates(parameters, update), state, best, greatest

    start = prior_mode(features.shape[1], scaled.dtype) if start is None else start
    carry = (start, optimiser.init(start), start, jnp.asarray(-jnp.inf, scaled.dtype))
    # One more, to judge where the last step led: cheaper than to compile the density again.
    _, _, best, _ = jax.lax.fori_loop(0, num_steps + 1, step, carry)
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
    whitening = inverse_factor(_noisy_kernel(hyperparameters, features, valid))
    constant, weights = _solve(whitening, scaled, valid)
    return GaussianProcess(hyperparameters, features, valid, whitening, weights, constant, offset, deviation)


def believe(
    process: GaussianProcess, features: Float[Array, "n columns"], pending: Bool[Array, " n"]
) -> GaussianProcess:
    """The process after some more rows were observed exactly where it expects them ("kriging believer").

    What was expected changes no expectation; only the variance near those rows goes down. Hyperparameters and
    units stay as they are.

    Args:
        process: conditioned on rows of which the pending ones were padding.
        features: of all rows, the pending ones included.
        pending: True for the rows to believe in.

    References:
        Ginsbourger, Le Riche, Carraro, "Kriging is well-suited to parallelize optimization", 2010, section
        3.2.2.
    """
    valid = process.valid | pending
    features = jnp.where(valid[:, None], features, 0)
    whitening = inverse_factor(_noisy_kernel(process.hyperparameters, features, valid))
    return process._replace(features=features, valid=valid, whitening=whitening)


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
    mean = process.constant + product(process.weights, cross)
    explained = product(process.whitening, cross)
    variance = jnp.exp(process.hyperparameters.log_signal) - jnp.sum(explained**2, axis=0)
    return process.offset + process.deviation * mean, process.deviation**2 * jnp.maximum(variance, 0)


def noise_variance(process: GaussianProcess) -> Float[Array, ""]:
    """Variance of an observation around the function, in squared units of the targets.

    Args:
        process: what ``fit`` or ``condition`` returned.

    Returns:
        What to add to the variance of ``predict`` for the variance of a new observation.
    """
    return process.deviation**2 * _noise(process.hyperparameters)


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
    whitening = inverse_factor(_noisy_kernel(hyperparameters, features, valid))
    return _log_likelihood(whitening, *_solve(whitening, targets, valid), targets, valid)


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


def _density_and_gradient(
    parameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> tuple[Float[Array, ""], Hyperparameters]:
    """Logarithm of the posterior density of the hyperparameters, up to a constant, and its gradient."""
    likelihood, gradient = _likelihood_and_gradient(parameters, features, targets, valid)
    density, slope = jax.value_and_grad(_log_prior)(parameters)
    return likelihood + density, jax.tree.map(jnp.add, gradient, slope)


def _log_prior(parameters: Hyperparameters) -> Float[Array, ""]:
    """Logarithm of the prior density of the hyperparameters, up to a constant."""
    mode = prior_mode(parameters.log_lengthscales.shape[0], parameters.log_signal.dtype)
    penalty = jnp.zeros_like(parameters.log_signal)
    for value, centre, width in zip(parameters, mode, _WIDTHS, strict=True):
        penalty = penalty + 0.5 * jnp.sum(((value - centre) / width) ** 2)
    return -penalty


def _likelihood_and_gradient(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> tuple[Float[Array, ""], Hyperparameters]:
    """``log_marginal_likelihood`` and its gradient (Rasmussen and Williams, equation 5.9).

    Written out, since differentiating the factorisation takes twice as long. The constant mean is at its best
    and so adds nothing to the gradient.
    """
    distance = _distance(hyperparameters, features, features)
    kernel = _masked(_matern(hyperparameters, distance), valid)
    whitening = inverse_factor(kernel + _noise_diagonal(hyperparameters, valid))
    constant, weights = _solve(whitening, targets, valid)
    inverse = product(whitening.T, whitening)
    pull = 0.5 * _masked(weights[:, None] * weights[None, :] - inverse, valid)
    signal, trace = jnp.exp(hyperparameters.log_signal), jnp.trace(pull)
    gradient = Hyperparameters(
        _lengthscale_gradient(hyperparameters, features, distance, pull),
        jnp.sum(pull * kernel) + JITTER * signal * trace,
        jnp.exp(hyperparameters.log_noise) * trace,
    )
    return _log_likelihood(whitening, constant, weights, targets, valid), gradient


def _lengthscale_gradient(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    distance: Float[Array, "n n"],
    pull: Float[Array, "n n"],
) -> Float[Array, " columns"]:
    """Slope of the likelihood, given its slope in every entry of the kernel matrix."""
    pull = pull * jnp.exp(hyperparameters.log_signal - distance) * (1 + distance) * 5 / 3
    scaled = features * jnp.exp(-hyperparameters.log_lengthscales)[None]
    # Squared differences per column, weighted by a symmetric matrix and summed over all pairs.
    return 2 * jnp.sum(scaled * (jnp.sum(pull, axis=1)[:, None] * scaled - product(pull, scaled)), axis=0)


def _log_likelihood(
    whitening: Float[Array, "n n"],
    constant: Float[Array, ""],
    weights: Float[Array, " n"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> Float[Array, ""]:
    residual = jnp.where(valid, targets - constant, 0)
    num_valid = jnp.sum(valid, dtype=targets.dtype)
    log_root_determinant = -jnp.sum(jnp.log(jnp.diagonal(whitening)))
    return -0.5 * (jnp.sum(residual * weights) + num_valid * jnp.log(2 * jnp.pi)) - log_root_determinant


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
    return _matern(hyperparameters, _distance(hyperparameters, left, right))


def _matern(hyperparameters: Hyperparameters, distance: Float[Array, "n m"]) -> Float[Array, "n m"]:
    return jnp.exp(hyperparameters.log_signal - distance) * (1 + distance + distance**2 / 3)


def _distance(
    hyperparameters: Hyperparameters, left: Float[Array, "n columns"], right: Float[Array, "m columns"]
) -> Float[Array, "n m"]:
    """Distances in lengthscales, times the root of 5."""
    scale = jnp.exp(-hyperparameters.log_lengthscales)
    left, right = left * scale[None], right * scale[None]
    squares = jnp.sum(left**2, axis=1)[:, None] + jnp.sum(right**2, axis=1)[None, :]
    square = squares - 2 * product(left, right.T)
    apart = square > 0  # rounding may take equal rows below zero; the root has no slope there
    return jnp.where(apart, jnp.sqrt(5 * jnp.where(apart, square, 1)), 0)


def _noisy_kernel(
    hyperparameters: Hyperparameters, features: Float[Array, "n columns"], valid: Bool[Array, " n"]
) -> Float[Array, "n n"]:
    kernel = _masked(_kernel(hyperparameters, features, features), valid)
    return kernel + _noise_diagonal(hyperparameters, valid)


def _masked(matrix: Float[Array, "n n"], valid: Bool[Array, " n"]) -> Float[Array, "n n"]:
    return jnp.where(valid[:, None] & valid[None, :], matrix, 0)


def _noise_diagonal(hyperparameters: Hyperparameters, valid: Bool[Array, " n"]) -> Float[Array, "n n"]:
    """The noise, and what keeps duplicates definite; 1 where padded."""
    noise = _noise(hyperparameters) + JITTER * jnp.exp(hyperparameters.log_signal)
    return jnp.diag(jnp.where(valid, noise, 1))


def _noise(hyperparameters: Hyperparameters) -> Float[Array, ""]:
    return LEAST_NOISE + jnp.exp(hyperparameters.log_noise)


def _solve(
    whitening: Float[Array, "n n"], targets: Float[Array, " n"], valid: Bool[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """Constant mean of greatest likelihood, and the kernel matrix inverse times what it leaves."""
    ones = valid.astype(targets.dtype)
    both = jnp.stack([jnp.where(valid, targets, 0), ones], axis=1)
    solved = product(whitening.T, product(whitening, both))
    total = jnp.sum(ones * solved[:, 1])
    constant = jnp.sum(ones * solved[:, 0]) / jnp.where(total > 0, total, 1)
    return constant, solved[:, 0] - constant * solved[:, 1]
