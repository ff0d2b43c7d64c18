"""Noisy expected hypervolume improvement in logarithms: what is worth more is told however little it is."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.expected_improvement import (
    log_expected_hypervolume_improvement,
    log_hypervolume_improvement_bound,
    undominated_boxes,
)
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.bounded_gain import BoundedGain, greatest_worked_out
from mohb_jax.searchers.ehvi import MARGIN, hypervolume_acquisition
from mohb_jax.searchers.kriging_believer import Acquisition, Judged, Knowledge, Problem, believer_policy
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.types import Array, Key

NUM_SAMPLES = 4
"""Fronts over which the improvement is averaged."""
LEAST = -1e30
"""Logarithm of an improvement that is none, so that such a row still goes before one that was seen."""


@functools.cache
def log_expected_hypervolume(problem: Problem) -> Policy:
    """Proposes the row of greatest expected hypervolume improvement on fronts without noise, in logarithms.

    Processes, scales, reference and initial rows are those of ``expected_hypervolume``. What was observed is
    taken for noisy: the improvement is the mean over 4 fronts, new for every proposal, each made of values
    that the processes believe in at the rows that were observed, without the noise of their results. The
    improvement on each front is exact and a sum of logarithms, so that rows stay ordered where it is too
    small for a number. Rows that other workers are evaluating are in every front, as expected.

    Departures from qLogNEHVI: values at observed rows are drawn each by itself, and not jointly with each
    other and with the candidate's; pending rows are believed in and not sampled; a batch is made one by one,
    as workers become free; the improvement is exact, where that smooths and samples it for its gradient.

    Args:
        problem: what the table asks for; nothing is known without training.

    References:
        Daulton, Balandat, Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with expected
        hypervolume improvement", 2021; Ament, Daulton, Eriksson, Balandat, Bakshy, "Unexpected improvements
        to expected improvement for Bayesian optimization", 2023.
    """
    acquisition = Acquisition(hypervolume_acquisition(problem).targets, _log_gain)
    return believer_policy(problem, len(problem.learned), acquisition)


def _log_gain(context: Knowledge, judged: Judged, key: Key) -> Float[Array, " rows"]:
    """See ``GainFn``."""
    del context
    known = judged.known
    assert known is not None, "every objective has a model"
    mean, deviation = jax.vmap(denoised)(known.processes, known.targets)
    draws = jax.random.normal(key, (NUM_SAMPLES, *mean.shape), mean.dtype)
    counts = jnp.concatenate([known.observed, judged.is_pending])
    reference = jnp.full(mean.shape[0], 1 + MARGIN, mean.dtype)
    spread = jnp.maximum(judged.deviation, gp.LEAST_VARIANCE**0.5)

    values = jnp.concatenate(
        [mean + deviation * draws, jnp.broadcast_to(judged.expected, (NUM_SAMPLES, *judged.expected.shape))],
        axis=2,
    )
    fronts = Fronts(values.swapaxes(1, 2), jnp.broadcast_to(counts, (NUM_SAMPLES, *counts.shape)), reference)
    everywhere = jnp.ones((NUM_SAMPLES, spread.shape[1]), bool)
    return greatest_worked_out(mean_improvement(fronts, judged.mean, spread, everywhere), judged.wanted)


class Fronts(NamedTuple):
    """Sets of rows, on each of which one may improve."""

    costs: Float[Array, "fronts n m"]
    valid: Bool[Array, "fronts n"]
    reference: Float[Array, " m"]


def mean_improvement(
    fronts: Fronts,
    mean: Float[Array, "m rows"],
    deviation: Float[Array, "m rows"],
    counts: Bool[Array, "fronts rows"],
) -> BoundedGain:
    """Logarithms of the expected hypervolume improvement, mean over fronts.

    Args:
        fronts: on which one may improve.
        mean: of each objective of each row.
        deviation: the same, positive.
        counts: False where a row is worth nothing on a front.
    """
    rows, reference = (fronts.costs, fronts.valid), fronts.reference
    boxes = jax.lax.map(lambda own: undominated_boxes(own[0], own[1], reference), rows)

    def gain(place: Int[Array, " some"]) -> Float[Array, " some"]:
        on_front = functools.partial(
            log_expected_hypervolume_improvement, mean=mean[:, place], deviation=deviation[:, place]
        )
        return _log_mean(jax.lax.map(on_front, boxes), counts[:, place])

    def bound_on_front(own: tuple[Array, Array]) -> Float[Array, " rows"]:
        return log_hypervolume_improvement_bound(own[0], own[1], reference, mean, deviation)

    return BoundedGain(_log_mean(jax.lax.map(bound_on_front, rows), counts), gain)


def _log_mean(
    gains: Float[Array, "fronts rows"], counts: Bool[Array, "fronts rows"]
) -> Float[Array, " rows"]:
    total = jax.nn.logsumexp(jnp.where(counts, gains, -jnp.inf), axis=0)
    return jnp.maximum(total - jnp.log(gains.shape[0]), LEAST)


def denoised(
    process: gp.GaussianProcess, targets: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and deviation of the function itself at the rows that a process knows, without the noise of the
    observations there.

    Args:
        process: conditioned on some rows.
        targets: what was observed at its rows; where a row is padding, what comes out means nothing.
    """
    noise = gp.noise_variance(process) / process.deviation**2
    noise = noise + gp.JITTER * jnp.exp(process.hyperparameters.log_signal)
    precision = jnp.sum(process.whitening**2, axis=0)  # diagonal of the kernel matrix inverse
    mean = targets - process.deviation * noise * process.weights
    return mean, process.deviation * jnp.sqrt(jnp.maximum(noise * (1 - noise * precision), 0))
