"""Performance profiles: how often a method is within a factor of the best."""

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.comparison import DECIMALS


def gap_ratios(means: Float[np.ndarray, "tasks methods"]) -> Float[np.ndarray, "tasks methods"]:
    """How many times the best method's distance to hypervolume 1 each method has, per task.

    Args:
        means: mean relative hypervolume, at most 1.

    Returns:
        1 for the best and its ties. Where the best distance is zero, methods that share it have 1 and all
        others infinity: no multiple of zero reaches them.
    """
    gaps = np.maximum(np.round(1 - means, DECIMALS), 0.0)
    best = gaps.min(axis=1, keepdims=True)
    ratios = np.full(gaps.shape, np.inf)
    np.divide(gaps, best, out=ratios, where=best > 0)
    return np.where(gaps == best, 1.0, ratios)


def performance_profile(
    means: Float[np.ndarray, "tasks methods"], taus: Float[np.ndarray, " taus"]
) -> Float[np.ndarray, "methods taus"]:
    """Share of the tasks on which a method's distance to 1 is at most tau times the best method's.

    Args:
        means: mean relative hypervolume of one task or more.
        taus: from 1; at 1 stands the share of tasks on which the method is best, or ties.

    References:
        Dolan and More, "Benchmarking optimization software with performance profiles", 2002.
    """
    return (gap_ratios(means)[:, :, None] <= taus).mean(axis=0)
