"""EHVI and MS-EHVI: expected hypervolume improvement, of all objectives or with some that are known."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mohb_jax.kernels.expected_improvement import expected_hypervolume_improvement, undominated_boxes
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import (
    Acquisition,
    Judged,
    Knowledge,
    Problem,
    believer_policy,
    observed_range,
)
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.types import Array, Key

MARGIN = 0.1
"""By so much of each objective's observed range is the reference worse than the worst observed value."""
_LEAST_GAIN = 1e-300


@functools.cache
def expected_hypervolume(problem: Problem) -> Policy:
    """Proposes the row of greatest expected hypervolume improvement (EHVI; MS-EHVI with known objectives).

    One Gaussian process per objective that is not known, on values scaled to the observed range; the
    reference is worse than the worst observed value by a tenth of that range. A known objective has its exact
    value and no deviation. The improvement is exact for up to three objectives. Failed evaluations are left
    out, and are not tried again.

    Args:
        problem: what the table asks for.

    References:
        Emmerich, Giannakoglou, Naujoks, "Single- and multiobjective evolutionary optimization assisted by
        Gaussian random field metamodels", 2006; with known objectives Guerrero-Viu et al., "Bag of baselines
        for multi-objective joint neural architecture search and hyperparameter optimization", 2021 (MS-EHVI).
        The number of initial rows is that of Daulton, Balandat, Bakshy, "Differentiable expected hypervolume
        improvement", 2020. Departures from the published code: that samples the improvement, optimises over
        real vectors and has a fixed reference, in Syne Tune 0.16 on the wrong side of all observations.
    """
    acquisition = Acquisition(
        functools.partial(_scaled, problem), functools.partial(_hypervolume_gain, problem)
    )
    return believer_policy(problem, len(problem.learned), acquisition)


def _scaled(problem: Problem, launches: Launches, key: Key) -> Float[Array, "models capacity"]:
    """Objectives that are not known, scaled to the observed range; see ``TargetsFn``."""
    del key
    low, width = observed_range(launches)
    return ((launches.costs - low[None]) / width[None]).T[np.array(problem.learned, int)]


def _hypervolume_gain(
    problem: Problem, context: Knowledge, judged: Judged, key: Key
) -> Float[Array, " rows"]:
    """Logarithm of the expected hypervolume improvement of some rows; see ``GainFn``."""
    del key
    launches, num_pending = judged.launches, judged.is_pending.shape[0]
    low, width = observed_range(launches)
    mean, deviation = _all_objectives(problem, context, judged, low, width)
    values = (launches.costs - low[None]) / width[None]
    seen = jnp.concatenate([values, mean[:, :num_pending].T])
    counts = jnp.concatenate([launches.observed, judged.is_pending])
    reference = jnp.full(problem.num_objectives, 1 + MARGIN, seen.dtype)
    boxes = undominated_boxes(seen, counts, reference)
    gain = expected_hypervolume_improvement(boxes, mean[:, num_pending:], deviation[:, num_pending:])
    return jnp.log(jnp.maximum(gain, _LEAST_GAIN))


def _all_objectives(
    problem: Problem,
    context: Knowledge,
    judged: Judged,
    low: Float[Array, " m"],
    width: Float[Array, " m"],
) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
    """Mean and deviation of each objective: a known one has its value, and no deviation."""
    learned, known = np.array(problem.learned, int), np.array(problem.known, int)
    nothing = jnp.zeros((problem.num_objectives, judged.row.shape[0]), low.dtype)
    value = (context.known[judged.task, judged.row] - low[known]) / width[known]
    return nothing.at[known].set(value.T).at[learned].set(judged.mean), nothing.at[learned].set(
        judged.deviation
    )
