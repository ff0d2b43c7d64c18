"""Cost-cooled improvement: cheap configurations first, and whatever promises most in the end."""

import functools

import jax.numpy as jnp
from jaxtyping import Float

from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.bounded_gain import BoundedGain, greatest_worked_out
from mohb_jax.searchers.ehvi import bounded_hypervolume, hypervolume_acquisition
from mohb_jax.searchers.kriging_believer import (
    Acquisition,
    Judged,
    Knowledge,
    Problem,
    believer_policy,
    observed_range,
)
from mohb_jax.types import Array, Key


@functools.cache
def cooled_hypervolume(problem: Problem, seconds: int) -> Policy:
    """Expected hypervolume improvement over a power of the expected training time, which falls from 1 to 0.

    The time is what the model of the objective ``seconds`` expects, and not less than the shortest observed.
    The power is the share of the run that is left, so that improvement per second decides at first, and
    improvement alone at the end.

    Departures from the paper: it cools the improvement of one objective; its cost has a model of its own, on
    logarithms; its power falls from the end of the initial design on, which is not made cheap here.

    Args:
        problem: what the table asks for; nothing is known without training.
        seconds: index of the objective that is the training time.

    References:
        Lee, Perrone, Archambeau, Seeger, "Cost-aware Bayesian optimization", 2020, section 3 (EI-cool).
    """
    gain = functools.partial(_cooled, problem, seconds)
    cooled = Acquisition(hypervolume_acquisition(problem).targets, gain)
    return believer_policy(problem, len(problem.learned), cooled)._replace(has_phases=True)


def _cooled(
    problem: Problem, seconds: int, context: Knowledge, judged: Judged, key: Key
) -> Float[Array, " rows"]:
    """See ``GainFn``."""
    del key
    bound, gain = bounded_hypervolume(problem, context, judged)
    price = (1 - judged.progress).astype(bound.dtype) * _log_seconds(seconds, judged).astype(bound.dtype)
    cooled = BoundedGain(bound - price, lambda place: gain(place) - price[place])
    return greatest_worked_out(cooled, judged.wanted)


def _log_seconds(seconds: int, judged: Judged) -> Float[Array, " rows"]:
    low, width = observed_range(judged.launches)
    expected = low[seconds] + width[seconds] * judged.mean[seconds]
    least = jnp.maximum(low[seconds], jnp.finfo(low.dtype).tiny)
    return jnp.log(jnp.maximum(expected, least))
