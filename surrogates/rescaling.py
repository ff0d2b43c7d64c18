"""Normal predictions put right by how they did on tasks that the fit did not see."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

NUM_ITERATIONS = 60
LEAST_VARIANCE = 1e-6
"""Floor of a rescaled variance, as of the networks' own (``LEAST_SIGMA`` squared)."""

MOST_AVERAGED = 0.5
"""Of a tested variance, that averaging may take away."""


class Scale(NamedTuple):
    """What predictions are off by on average: the mean is multiplied, the variance made of three parts."""

    slope: float
    """Of values in predicted means: below 1, predictions go too far from 0."""
    own: float
    """Times the predicted variance."""
    by_mean: float
    """Times the square of the predicted mean: slopes differ from task to task."""
    everywhere: float
    """The same for all rows."""

    def __call__(
        self, mu: Float[np.ndarray, "*rows"], sigma: Float[np.ndarray, "*rows"]
    ) -> tuple[Float[np.ndarray, "*rows"], Float[np.ndarray, "*rows"]]:
        """Mean and deviation put right."""
        variance = self.own * sigma**2 + self.by_mean * mu**2 + self.everywhere
        return self.slope * mu, np.sqrt(np.maximum(variance, LEAST_VARIANCE))


UNCHANGED = Scale(1.0, 1.0, 0.0, 0.0)


def fit_scale(
    values: Float[np.ndarray, " rows"],
    mu: Float[np.ndarray, " rows"],
    sigma: Float[np.ndarray, " rows"],
    weight: Float[np.ndarray, " rows"],
) -> Scale:
    """The scale under which held-out values are likeliest.

    The slope is that of weighted least squares given the variances. These take the multiplicative steps of
    factorisation with the Itakura-Saito divergence, which is the normal likelihood of a variance: they stay
    positive, and each is right where expected and observed squares agree.

    Args:
        values: held-out, in z-space.
        mu: predicted means.
        sigma: predicted deviations, positive.
        weight: of each row; a task's weights have one sum, so that each task counts once.

    References:
        Févotte, Bertin, Durrieu, "Nonnegative matrix factorization with the Itakura-Saito divergence", 2009.
    """
    parts = np.stack([sigma**2, mu**2, np.ones_like(mu)]).astype(np.float64)
    share = np.full(3, 1 / 3)
    slope = 1.0
    for _ in range(NUM_ITERATIONS):
        precision = weight / np.maximum(share @ parts, LEAST_VARIANCE)
        slope = float((precision * values * mu).sum() / np.maximum((precision * mu**2).sum(), LEAST_VARIANCE))
        square = (values - slope * mu) ** 2
        surprise = precision * square / np.maximum(share @ parts, LEAST_VARIANCE)
        share = share * (parts @ surprise) / np.maximum(parts @ precision, LEAST_VARIANCE)
    return Scale(slope, *(float(part) for part in share))


def mixed(
    mu: Float[np.ndarray, "members *rows"], sigma: Float[np.ndarray, "members *rows"], tested: bool = False
) -> tuple[Float[np.ndarray, "*rows"], Float[np.ndarray, "*rows"]]:
    """Mean and deviation of an ensemble's mean.

    Args:
        mu: means by member.
        sigma: deviations by member.
        tested: whether these are what members were found to be off by. If not, they are what members say of
            themselves, and how far members disagree is added: moments of the mixture, as in
            ``prior_network.pool``. If so, a member's own error is in them already, and what averaging takes
            away of it is subtracted: the members' variance, but never more than ``MOST_AVERAGED``.
    """
    mean, own = mu.mean(axis=0), (sigma**2).mean(axis=0)
    spread = ((mu - mean) ** 2).mean(axis=0)
    return mean, np.sqrt(own - np.minimum(spread, MOST_AVERAGED * own) if tested else own + spread)


def doubted(
    mu: Float[np.ndarray, "*rows"], sigma: Float[np.ndarray, "*rows"], doubt: float
) -> tuple[Float[np.ndarray, "*rows"], Float[np.ndarray, "*rows"]]:
    """Predictions pooled with the standard normal, which has the share ``doubt``.

    The pool is logarithmic, whose precision is the mean of both. Moments of a mixture would make a prediction
    that is right to a hundredth wrong to a third, for a doubt of a tenth.

    References:
        Genest, Zidek, "Combining probability distributions: a critique and an annotated bibliography", 1986.
    """
    own = (1 - doubt) / sigma**2
    precision = own + doubt
    return own * mu / precision, 1 / np.sqrt(precision)


def residual_correlation(
    residuals: Float[np.ndarray, "objectives n"], weight: Float[np.ndarray, "objectives n"]
) -> Float[np.ndarray, "objectives objectives"]:
    """Correlation of what objectives of the same row are off by, each task counting once.

    Args:
        residuals: in units of their deviations.
        weight: 0 where an objective has none, which then counts as no correlation.

    Returns:
        A correlation matrix, without centring: residuals that are all of one sign agree.
    """
    root = np.where(weight > 0, residuals, 0) * np.sqrt(weight)
    norm = np.sqrt((root**2).sum(axis=1, keepdims=True))
    unit = root / np.where(norm > 0, norm, 1)
    return np.where(np.eye(len(root)), 1.0, unit @ unit.T)
