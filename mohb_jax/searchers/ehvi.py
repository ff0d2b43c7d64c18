"""EHVI and MS-EHVI: expected hypervolume improvement, of all objectives or with some that are known."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.kernels.expected_improvement import (
    expected_hypervolume_improvement,
    hypervolume_improvement_bound,
    undominated_boxes,
)
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.bounded_gain import BoundedGain, greatest_worked_out
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
    return believer_policy(problem, len(problem.learned), hypervolume_acquisition(problem))


def hypervolume_acquisition(problem: Problem) -> Acquisition:
    """What its models learn, and how good a row is by them."""
    return Acquisition(functools.partial(_scaled, problem), functools.partial(_hypervolume_gain, problem))


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
    return greatest_worked_out(bounded_hypervolume(problem, context, judged), judged.wanted)


def bounded_hypervolume(problem: Problem, context: Knowledge, judged: Judged) -> BoundedGain:
    """Logarithms of the expected hypervolume improvement of some rows, and of what it is no more than."""
    launches, dtype = judged.launches, judged.mean.dtype
    low, width = observed_range(launches)
    scaled = functools.partial(_all_objectives, problem, context, judged.task, low, width)
    believed = scaled(judged.pending, judged.expected)
    mean, deviation = scaled(judged.row, judged.mean), jnp.zeros((problem.num_objectives, 1), dtype)
    deviation = (
        jnp.broadcast_to(deviation, mean.shape).at[np.array(problem.learned, int)].set(judged.deviation)
    )
    values = ((launches.costs - low[None]) / width[None]).astype(dtype)
    seen = jnp.concatenate([values, believed.T])
    counts = jnp.concatenate([launches.observed, judged.is_pending])
    reference = jnp.full(problem.num_objectives, 1 + MARGIN, dtype)
    boxes = undominated_boxes(seen, counts, reference)

    def gain(place: Int[Array, " some"]) -> Float[Array, " some"]:
        return _log(expected_hypervolume_improvement(boxes, mean[:, place], deviation[:, place]))

    bound = hypervolume_improvement_bound(seen, counts, reference, mean, deviation)
    return BoundedGain(_log(bound), gain)


def _log(gain: Float[Array, " rows"]) -> Float[Array, " rows"]:
    return jnp.log(jnp.maximum(gain, jnp.finfo(gain.dtype).tiny))


def _all_objectives(
    problem: Problem,
    context: Knowledge,
    task: Int[Array, ""],
    low: Float[Array, " m"],
    width: Float[Array, " m"],
    row: Int[Array, " n"],
    learned: Float[Array, "models n"],
) -> Float[Array, "m n"]:
    """Each objective at some rows, scaled: a known one has its value, the others what models make of them."""
    known = np.array(problem.known, int)
    value = (context.known[task, row] - low[known]) / width[known]
    every = jnp.zeros((problem.num_objectives, row.shape[0]), learned.dtype)
    return every.at[known].set(value.T.astype(every.dtype)).at[np.array(problem.learned, int)].set(learned)
