"""EHVI and MS-EHVI: expected hypervolume improvement, of all objectives or with some that are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.kernels.expected_improvement import improvement_on
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import (
    NUM_STEPS,
    Knowledge,
    Problem,
    believer_policy,
    believing_fit,
    observed_range,
    pending_places,
)
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.types import Array, Key

MARGIN = 0.1
"""By so much of each objective's observed range is the reference worse than the worst observed value."""
_LEAST_GAIN = 1e-300


@functools.cache
def expected_hypervolume(problem: Problem, num_steps: int = NUM_STEPS) -> Policy:
    """Proposes the row of greatest expected hypervolume improvement (EHVI; MS-EHVI with known objectives).

    One Gaussian process per objective that is not known, on values scaled to the observed range; the
    reference is worse than the worst observed value by a tenth of that range. A known objective has its exact
    value and no deviation. The improvement is exact for up to three objectives. Failed evaluations are left
    out, and are not tried again.

    Args:
        problem: what the table asks for.
        num_steps: Adam steps for each proposal; they begin at the hyperparameters of the last one.

    References:
        Emmerich, Giannakoglou, Naujoks, "Single- and multiobjective evolutionary optimization assisted by
        Gaussian random field metamodels", 2006; with known objectives Guerrero-Viu et al., "Bag of baselines
        for multi-objective joint neural architecture search and hyperparameter optimization", 2021 (MS-EHVI).
        The number of initial rows is that of Daulton, Balandat, Bakshy, "Differentiable expected hypervolume
        improvement", 2020. Departures from the published code: that samples the improvement, optimises over
        real vectors and has a fixed reference, in Syne Tune 0.16 on the wrong side of all observations.
    """
    acquire = functools.partial(_hypervolume_gain, problem, num_steps)
    return believer_policy(problem, len(problem.learned), acquire)


def _hypervolume_gain(
    problem: Problem,
    num_steps: int,
    context: Knowledge,
    task: Int[Array, ""],
    start: gp.Hyperparameters,
    launches: Launches,
    row: Int[Array, " n"],
    key: Key,
) -> tuple[gp.Hyperparameters, Float[Array, " n"]]:
    """Logarithm of the expected hypervolume improvement of some rows; see ``AcquireFn``."""
    del key
    low, width = observed_range(launches)
    values = (launches.costs - low[None]) / width[None]
    place, is_pending = pending_places(launches, problem.num_workers)
    asked = jnp.concatenate([launches.row[place], row])
    known = (context.known[task, asked] - low[None, list(problem.known)]) / width[None, list(problem.known)]
    start, mean, deviation = _predicted(problem, num_steps, context, start, launches, values, asked, known)
    seen = jnp.concatenate([values, mean[:, : place.shape[0]].T])
    counts = jnp.concatenate([launches.observed, is_pending])
    reference = jnp.full(problem.num_objectives, 1 + MARGIN, seen.dtype)
    mean, deviation = mean[:, place.shape[0] :], deviation[:, place.shape[0] :]
    gain = improvement_on(seen, counts, reference, mean, deviation)
    return start, jnp.log(jnp.maximum(gain, _LEAST_GAIN))


def _predicted(
    problem: Problem,
    num_steps: int,
    context: Knowledge,
    start: gp.Hyperparameters,
    launches: Launches,
    values: Float[Array, "size m"],
    asked: Int[Array, " n"],
    known: Float[Array, "n known"],
) -> tuple[gp.Hyperparameters, Float[Array, "m n"], Float[Array, "m n"]]:
    """Hyperparameters of the fits; mean and deviation of each objective at some rows."""
    deviation = jnp.zeros((problem.num_objectives, asked.shape[0]), values.dtype)
    mean = jnp.asarray(deviation.at[np.array(problem.known, int)].set(known.T))
    if not problem.learned:
        return start, mean, deviation
    learned = np.array(problem.learned)
    fit = functools.partial(believing_fit, num_steps, context, launches)
    process = jax.vmap(fit)(values.T[learned], start)
    expected, variance = jax.vmap(gp.predict, (0, None))(process, context.features[asked])
    spread = deviation.at[learned].set(jnp.sqrt(variance))
    return process.hyperparameters, mean.at[learned].set(expected), spread
