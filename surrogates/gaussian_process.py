"""A Gaussian process for a few observations, of which some may be padding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float, Int
from mohb_jax.surrogates import Array
from mohb_jax.surrogates.factor import columns_times, inverse_factor, product

LEAST_NOISE = 1e-3
"""Floor of the noise variance, on targets of variance 1; it keeps factors in 32 bits accurate."""

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
    features, scaled, offset, deviation = _standardised(features, targets, valid)
    start = prior_mode(features.shape[1], scaled.dtype) if start is None else start
    best, whitening = _searched(start, features, scaled, valid, valid, num_steps, num_steps, learning_rate)
    constant, weights = _without_constant(_solved(whitening, scaled, valid), valid)
    return GaussianProcess(best, features, valid, whitening, weights, constant, offset, deviation)


def refit(
    start: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    observed: Bool[Array, " n"],
    pending: Bool[Array, " n"],
    num_steps: int | Int[Array, ""],
    most_steps: int | Int[Array, ""],
    learning_rate: float = 0.1,
) -> tuple[Hyperparameters, Float[Array, "n n"]]:
    """What ``believing`` needs: hyperparameters, chosen as ``fit`` does, and the whitening of all rows.

    Args:
        start: where the search begins.
        features: of all rows.
        targets: observed values, in any unit; they may be anything elsewhere.
        observed: rows that the hyperparameters are chosen for.
        pending: rows to believe in.
        num_steps: of Adam; -1 where the hyperparameters stay as they are.
        most_steps: the largest ``num_steps`` of a batch, which all of it takes part in.
        learning_rate: of Adam.

    Returns:
        Hyperparameters, and the inverse of the lower Cholesky factor of the kernel matrix of observed and
        pending rows, with noise; identity elsewhere.
    """
    present = observed | pending
    features = jnp.where(present[:, None], features, 0)
    scaled = _standardised(features, targets, observed)[1]
    return _searched(start, features, scaled, observed, present, num_steps, most_steps, learning_rate)


def _searched(
    start: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    observed: Bool[Array, " n"],
    present: Bool[Array, " n"],
    num_steps: int | Int[Array, ""],
    most_steps: int | Int[Array, ""],
    learning_rate: float,
) -> tuple[Hyperparameters, Float[Array, "n n"]]:
    """The best hyperparameters that some Adam steps meet, for what was observed, and the whitening of all
    rows that are present under them.

    One turn of the loop more judges where the last step led, and one more makes the whitening: cheaper than
    to compile the factorisation again.
    """
    optimiser = optax.adam(learning_rate)
    begin, parameters_of = ravel_pytree(start)  # one vector: a third of the programs

    def turn(number: Array, carry: tuple) -> tuple:
        vector, state, best, greatest, _ = carry
        is_last = number > most_steps
        vector = jnp.where(is_last, best, vector)
        parameters = parameters_of(vector)
        factored = _factored(parameters, features, targets, jnp.where(is_last, present, observed))
        density = _log_likelihood(factored, targets) + _log_prior(parameters)
        # Never for NaN, from a matrix that is not definite.
        better = (density > greatest) & (number <= num_steps)
        best, greatest = jnp.where(better, vector, best), jnp.where(better, density, greatest)
        gradient = jax.lax.cond(
            number < most_steps,
            lambda: ravel_pytree(_gradient(parameters, features, factored))[0],
            lambda: vector,
        )
        update, state = optimiser.update(-gradient, state)
        return optax.apply_updates(vector, update), state, best, greatest, factored.whitening

    whitening = jnp.eye(features.shape[0], dtype=targets.dtype)
    carry = (begin, optimiser.init(begin), begin, jnp.asarray(-jnp.inf, targets.dtype), whitening)
    _, _, best, _, whitening = jax.lax.fori_loop(0, most_steps + 2, turn, carry)
    return parameters_of(best), whitening


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
    factored = _factored(hyperparameters, features, scaled, valid)
    found = factored.whitening, factored.weights, factored.constant
    return GaussianProcess(hyperparameters, features, valid, *found, offset, deviation)


def joined(
    hyperparameters: Hyperparameters,
    whitening: Float[Array, "n n"],
    features: Float[Array, "n columns"],
    valid: Bool[Array, " n"],
    place: Int[Array, ""],
) -> Float[Array, " n"]:
    """The row of the whitening that belongs to one more row of features, which comes after all others.

    Takes a multiple of n^2 operations, where a factorisation takes one of n^3.

    Args:
        hyperparameters: those of the whitening.
        whitening: of the valid rows, from ``refit``.
        features: of all rows, the new one included.
        valid: rows that are in the whitening.
        place: of the new row; no valid row comes after it.

    References:
        Golub, Van Loan, "Matrix computations", 2013, section 4.2 (bordering).
    """
    cross = _kernel(hyperparameters, jnp.where(valid[:, None], features, 0), features[place][None])[:, 0]
    shared = product(whitening, jnp.where(valid, cross, 0))
    signal = jnp.exp(hyperparameters.log_signal)
    rest = signal * (1 + JITTER) + _noise(hyperparameters) - jnp.sum(shared**2)
    is_place = jnp.arange(valid.shape[0]) == place
    row = jnp.where(is_place, 1, -product(shared, whitening))
    return row / jnp.sqrt(jnp.maximum(rest, LEAST_NOISE))


def believing(
    hyperparameters: Hyperparameters,
    whitening: Float[Array, "n n"],
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    observed: Bool[Array, " n"],
    place: Int[Array, " k"],
    is_pending: Bool[Array, " k"],
) -> tuple[GaussianProcess, Float[Array, " k"]]:
    """The process after some more rows were observed exactly where it expects them ("kriging believer").

    What was expected changes no expectation; only the variance near those rows goes down. So the values of
    pending rows are those that give them no weight, which takes a system of k equations.

    Args:
        hyperparameters: those of the whitening.
        whitening: of observed and pending rows, from ``refit`` and ``joined``.
        features: of all rows.
        targets: observed values, in any unit; they may be anything elsewhere.
        observed: False marks pending rows and padding.
        place: of the pending rows.
        is_pending: False marks places that mean nothing.

    Returns:
        The process, and what it expects of each pending row.

    References:
        Ginsbourger, Le Riche, Carraro, "Kriging is well-suited to parallelize optimization", 2010, section
        3.2.2.
    """
    _, scaled, offset, deviation = _standardised(features, targets, observed)
    index = jnp.arange(observed.shape[0])
    present = observed | jnp.any((index[:, None] == place[None]) & is_pending[None], axis=1)
    solved = _solved(whitening, scaled, observed)
    among = jnp.where(is_pending[None], whitening[:, place], 0)
    precision = product(among.T, among) + jnp.diag(jnp.where(is_pending, 0, 1).astype(scaled.dtype))
    root = inverse_factor(precision)
    excess = product(root.T, product(root, jnp.where(is_pending[:, None], solved[place], 0)))
    solved = solved - columns_times(product(among, excess), whitening)
    constant, weights = _without_constant(solved, observed)
    features = jnp.where(present[:, None], features, 0)
    process = GaussianProcess(
        hyperparameters, features, present, whitening, weights, constant, offset, deviation
    )
    # The value that takes a row's weight away is what is expected of it.
    expected = constant - excess[:, 0] + constant * excess[:, 1]
    return process, offset + deviation * expected


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
    cross = covariance(process.hyperparameters, process.features, process.valid, candidates)
    return posterior(process, cross, explained(process.whitening, cross))


def covariance(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    valid: Bool[Array, " n"],
    candidates: Float[Array, "rows columns"],
) -> Float[Array, "n rows"]:
    """Prior covariance of the function at the valid rows of features and at other rows; 0 elsewhere."""
    return jnp.where(valid[:, None], _kernel(hyperparameters, features, candidates), 0)


def explained(whitening: Float[Array, "n n"], cross: Float[Array, "n rows"]) -> Float[Array, " rows"]:
    """By how much observations lower the variance at each row; one more adds a term to the sum."""
    return jnp.sum(product(whitening, cross) ** 2, axis=0)


def posterior(
    process: GaussianProcess, cross: Float[Array, "n rows"], explained: Float[Array, " rows"]
) -> tuple[Float[Array, " rows"], Float[Array, " rows"]]:
    """``predict`` for rows of which the ``covariance`` and the variance that is ``explained`` are at hand."""
    mean = process.constant + product(process.weights, cross)
    variance = jnp.exp(process.hyperparameters.log_signal) - explained
    return process.offset + process.deviation * mean, process.deviation**2 * jnp.maximum(variance, 0)


def noise_variance(process: GaussianProcess) -> Float[Array, ""]:
    """Variance of an observation around the function, in squared units of the targets.

    It is what to add to the variance of ``predict`` for the variance of a new observation.
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
    return _log_likelihood(_factored(hyperparameters, features, targets, valid), targets)


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


def _log_prior(parameters: Hyperparameters) -> Float[Array, ""]:
    """Logarithm of the prior density of the hyperparameters, up to a constant."""
    mode = prior_mode(parameters.log_lengthscales.shape[0], parameters.log_signal.dtype)
    parts = zip(parameters, mode, _WIDTHS, strict=True)
    squares = [jnp.sum(((value - centre) / width) ** 2) for value, centre, width in parts]
    return -0.5 * jnp.sum(jnp.stack(squares))


def _prior_gradient(parameters: Hyperparameters) -> Hyperparameters:
    mode = prior_mode(parameters.log_lengthscales.shape[0], parameters.log_signal.dtype)
    parts = zip(parameters, mode, _WIDTHS, strict=True)
    return Hyperparameters(*((centre - value) / width**2 for value, centre, width in parts))


class _Factored(NamedTuple):
    """A kernel matrix, and what it makes of the targets."""

    valid: Bool[Array, " n"]
    distance: Float[Array, "n n"]
    kernel: Float[Array, "n n"]
    whitening: Float[Array, "n n"]
    constant: Float[Array, ""]
    weights: Float[Array, " n"]


def _factored(
    hyperparameters: Hyperparameters,
    features: Float[Array, "n columns"],
    targets: Float[Array, " n"],
    valid: Bool[Array, " n"],
) -> _Factored:
    distance = _distance(hyperparameters, features, features)
    kernel = _masked(_matern(hyperparameters, distance), valid)
    whitening = inverse_factor(kernel + _noise_diagonal(hyperparameters, valid))
    found = _without_constant(_solved(whitening, targets, valid), valid)
    return _Factored(valid, distance, kernel, whitening, *found)


def _gradient(
    hyperparameters: Hyperparameters, features: Float[Array, "n columns"], factored: _Factored
) -> Hyperparameters:
    """Slope of the logarithm of the posterior density of the hyperparameters.

    Of the likelihood's part (Rasmussen and Williams, equation 5.9) it is written out, since differentiating
    the factorisation takes twice as long. The constant mean is at its best and so adds nothing.
    """
    valid, distance, kernel, whitening, _, weights = factored
    inverse = product(whitening.T, whitening)
    pull = 0.5 * _masked(weights[:, None] * weights[None, :] - inverse, valid)
    signal, trace = jnp.exp(hyperparameters.log_signal), jnp.trace(pull)
    gradient = Hyperparameters(
        _lengthscale_gradient(hyperparameters, features, distance, pull),
        jnp.sum(pull * kernel) + JITTER * signal * trace,
        jnp.exp(hyperparameters.log_noise) * trace,
    )
    return jax.tree.map(jnp.add, gradient, _prior_gradient(hyperparameters))


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


def _log_likelihood(factored: _Factored, targets: Float[Array, " n"]) -> Float[Array, ""]:
    residual = jnp.where(factored.valid, targets - factored.constant, 0)
    num_valid = jnp.sum(factored.valid, dtype=targets.dtype)
    log_root_determinant = -jnp.sum(jnp.log(jnp.diagonal(factored.whitening)))
    fit = jnp.sum(residual * factored.weights) + num_valid * jnp.log(2 * jnp.pi)
    return -0.5 * fit - log_root_determinant


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


def _masked(matrix: Float[Array, "n n"], valid: Bool[Array, " n"]) -> Float[Array, "n n"]:
    return jnp.where(valid[:, None] & valid[None, :], matrix, 0)


def _noise_diagonal(hyperparameters: Hyperparameters, valid: Bool[Array, " n"]) -> Float[Array, "n n"]:
    """The noise, and what keeps duplicates definite; 1 where padded."""
    noise = _noise(hyperparameters) + JITTER * jnp.exp(hyperparameters.log_signal)
    return jnp.diag(jnp.where(valid, noise, 1))


def _noise(hyperparameters: Hyperparameters) -> Float[Array, ""]:
    return LEAST_NOISE + jnp.exp(hyperparameters.log_noise)


def _solved(
    whitening: Float[Array, "n n"], targets: Float[Array, " n"], valid: Bool[Array, " n"]
) -> Float[Array, "n 2"]:
    """The kernel matrix inverse times the targets, which are 0 where padded, and times ones."""
    both = targets, valid.astype(targets.dtype)
    return columns_times(jnp.stack([product(whitening, each) for each in both], axis=1), whitening)


def _without_constant(
    solved: Float[Array, "n 2"], valid: Bool[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """Constant mean of greatest likelihood, and the kernel matrix inverse times what it leaves; from what
    ``_solved`` gives."""
    first, second = jnp.sum(jnp.where(valid[:, None], solved, 0), axis=0)
    constant = first / jnp.where(second > 0, second, 1)
    return constant, solved[:, 0] - constant * solved[:, 1]
