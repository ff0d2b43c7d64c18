"""BOHB: the ratio of two kernel densities over all columns, of good and of bad results of one objective."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mohb_jax.kernels import promotion
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.density_ratio import (
    CAPACITY,
    DensityState,
    Pair,
    Rule,
    Sizes,
    Space,
    best_draw,
    density_searcher,
)
from mohb_jax.surrogates import parzen
from mohb_jax.types import Array

GOOD_PERCENT = 15
"""Share of the results that are good."""
NUM_DRAWS = 64
"""Configurations among which the best is proposed."""
RANDOM_SHARE = 1 / 3
"""Share of random proposals."""
WIDENING = 3.0
"""Draws come from kernels so many times as wide as those of the density."""
LEAST_DENSITY = 1e-32
"""Smaller densities count as this."""


@functools.cache
def bohb(capacity: int = CAPACITY) -> Searcher:
    """The searcher of BOHB: one density over all columns for good and for bad results of objective 0.

    Of n results at a fidelity, with D columns, the best ``max(D + 1, floor(0.15 n))`` are good and the next
    ``max(D + 1, floor(0.85 n))`` bad. The model is that of the highest fidelity at which both are more than
    D and all good ones succeeded. A third of the proposals is random; any other is the best of 64 draws near
    good ones by the ratio of the two densities, moved to the nearest unseen row.

    Departures from hpbandster:

    * All configurations of a bracket's first rung are proposed when it opens, from one model: in this driver
      nothing is known in between.
    * Failed evaluations count as the worst, as there, but are never good.
    * A categorical column has as many levels as it is declared with, not as many as occur among the results
      (one level alone made the kernel infinite), and its bandwidth ends where the kernel is uniform: beyond,
      the observed level becomes less likely than others, and its probability negative.
    * Ordinal columns are numbers with equal steps, the first level at 0 and the last at 1.
    * No configuration is proposed twice.

    Args:
        capacity: results that a lane keeps.

    References:
        Falkner, Klein, Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", 2018,
        section 3.2 and algorithm 2; constants as in its implementation, hpbandster.
    """
    return density_searcher(
        Rule(_sizes, _fit_kernels, _point_shares, _propose_point, RANDOM_SHARE), capacity, 1
    )


def _sizes(num_results: Array, num_finite: Array, num_columns: int) -> Sizes:
    least = num_columns + 1
    good = jnp.maximum(least, GOOD_PERCENT * num_results // 100)
    bad = jnp.maximum(least, (100 - GOOD_PERCENT) * num_results // 100)
    bad = jnp.minimum(bad, num_results - good)
    return Sizes(good, bad, (bad >= least) & (num_finite >= good))


def _fit_kernels(context: Space, state: DensityState, marked: Array, sizes: Sizes) -> Pair:
    capacity = state.row.shape[0]
    order = promotion.single(0)(state.key, state.costs, marked, capacity)
    points, place = context.rows.point(state.row[order]), jnp.arange(capacity)
    most_good = min(capacity, max(context.rows.num_columns + 1, GOOD_PERCENT * capacity // 100))
    is_bad = (place >= sizes.good) & (place < sizes.good + sizes.bad)
    return Pair(
        parzen.fit_kernels(points[:most_good], place[:most_good] < sizes.good, context.num_choices),
        parzen.fit_kernels(points, is_bad, context.num_choices),
    )


def _point_shares(context: Space) -> tuple[int, ...]:
    return NUM_DRAWS, 2 + 2 * context.rows.num_columns


def _propose_point(context: Space, model: Pair, share: Array) -> Float[Array, " columns"]:
    draws = parzen.draw_widened(share[:, 1:], model.good, context.num_choices, WIDENING)
    good, bad = (
        jnp.maximum(parzen.log_density(part, draws, context.num_choices), np.log(LEAST_DENSITY))
        for part in model
    )
    return draws[best_draw(good - bad, share[:, 0])]
