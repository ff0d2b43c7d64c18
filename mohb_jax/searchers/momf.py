"""MOMF: how far a result can be trusted is an objective, and what it takes divides the improvement."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.bounded_gain import BoundedGain, greatest_worked_out
from mohb_jax.searchers.ehvi import MARGIN
from mohb_jax.searchers.ehvi_log import Fronts, mean_improvement
from mohb_jax.searchers.kriging_believer import Acquisition, Judged, Knowledge, Problem, observed_range
from mohb_jax.searchers.result_memory import Launches
from mohb_jax.searchers.row_levels import PairKnowledge, pair_policy, seconds_of_full
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.types import Array, Key


@functools.cache
def trusted_hypervolume(problem: Problem, levels: tuple[int, ...], resumable: bool) -> Policy:
    """Proposes the row and the fidelity of greatest expected hypervolume improvement over what they take.

    One Gaussian process per objective learns from results of every level; the level is an input. Trust is one
    more objective, to be maximised, and known: from 1/K at the lowest of K levels to 1 at the highest. So the
    hypervolume is the mean over levels of the hypervolume, in the other objectives, of results at that level
    or above; and a row is worth, at a level, the mean of what it is expected to add to those volumes that its
    level counts for. That is divided by the fidelity as a share of the highest, or by what is left of it
    where training goes on. Scales and reference are those of ``expected_hypervolume``, over results of all
    levels.

    The first rows are random, and so is the level of each: the less it takes the likelier, in proportion.

    Departures from the paper and its implementation in BoTorch: fidelities are levels of a ladder, and not
    numbers between; the cost is the fidelity, where they take any function that is known; the improvement is
    exact, and in logarithms; a trained row goes on; scales and reference follow the results; workers do not
    wait for each other.

    Args:
        problem: what the table asks for, with trust as the last objective.
        levels: fidelities of the table to choose among.
        resumable: whether a row that goes on from a level pays the rest.

    References:
        Irshad, Karsch, Doepp, "Leveraging trust for joint multi-objective and multi-fidelity optimization",
        2024 (first as arXiv 2112.13901, 2021).
    """

    def acquire(context: PairKnowledge) -> Acquisition:
        return Acquisition(lambda launches, key: _scaled(launches), functools.partial(trusted_gain, context))

    return pair_policy(problem, problem.num_objectives - 1, levels, resumable, _cheap_first, acquire)


def _cheap_first(
    context: PairKnowledge, key: Key, number: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """See ``FirstFn``: a row of its own, at a level drawn by what it takes."""
    return number, jax.random.categorical(key, -jnp.log(context.share)).astype(jnp.int32)


def _scaled(launches: Launches) -> Float[Array, "models capacity"]:
    """Objectives but for trust, scaled to the observed range."""
    low, width = observed_range(launches)
    return ((launches.costs - low[None]) / width[None]).T[:-1]


def trusted_gain(
    context: PairKnowledge, pairs: Knowledge, judged: Judged, key: Key
) -> Float[Array, " pairs"]:
    """Logarithm of the expected hypervolume improvement with trust, over what it takes; see ``GainFn``."""
    del pairs, key
    launches, dtype, number = judged.launches, judged.mean.dtype, context.share.shape[0]
    seen = jnp.concatenate([_scaled(launches).astype(dtype), judged.expected], axis=1).T
    counts = jnp.concatenate([launches.observed, judged.is_pending])
    level = jnp.concatenate([launches.row, judged.pending]) % number
    reference = jnp.full(seen.shape[1], 1 + MARGIN, dtype)
    spread = jnp.maximum(judged.deviation, gp.LEAST_VARIANCE**0.5)

    least = jnp.arange(number, dtype=jnp.int32)[:, None]
    fronts = Fronts(jnp.broadcast_to(seen, (number, *seen.shape)), counts & (level >= least), reference)
    bound, gain = mean_improvement(fronts, judged.mean, spread, judged.row % number >= least)
    takes = jnp.log(seconds_of_full(context, launches, judged.row)).astype(dtype)
    worth = BoundedGain(bound - takes, lambda place: gain(place) - takes[place])
    return greatest_worked_out(worth, judged.wanted)
