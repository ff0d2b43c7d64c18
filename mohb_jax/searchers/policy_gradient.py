"""Policy gradients over the levels of a table's columns: MONAS and NPG."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.selection import largest
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.column_levels import LevelSpace, prepare_levels
from mohb_jax.searchers.lane_batches import in_batches, tree_where
from mohb_jax.searchers.nearest_rows import may_be_proposed
from mohb_jax.searchers.seen_rows import Pool, draw, marked, new_pool
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

BATCH = 10
"""Configurations between two steps of the policy, whatever the number of workers: so the latter decides about
time only."""
PERIOD = 10
"""Batches in which the objectives' weights of NPG are swept once, and its temperature falls once."""
TEMPERATURES = (5.0, 1.0)
"""Of NPG's policy, at the start of a period and towards its end."""
SWEEP = (0.0, 1.0)
"""Weight of the first objective in NPG's reward, in the first and in the last batch of a period."""
ALPHA = 0.5
"""Weight of the first objective in MONAS's reward."""

_NEVER = -1e30


@dataclasses.dataclass(frozen=True)
class Learning:
    """How the policy learns: a step of Adam per batch."""

    learning_rate: float = 3e-3
    entropy_bonus: float = 1e-3
    baseline_decay: float = 0.95


class Moods(NamedTuple):
    """What may change from batch to batch."""

    weight: Float[Array, ""]
    """Of the first objective in the reward; the others share the rest."""
    temperature: Float[Array, ""]
    """What logits are divided by."""


Course = Callable[[Array], Moods]
"""From the number of a batch, from 0, to how it is drawn and judged."""


class Batch(NamedTuple):
    """Results of one batch; the next proposal, which knows the levels of the rows, learns from them."""

    row: Int[Array, " batch"]
    costs: Float[Array, "batch m"]
    valid: Bool[Array, " batch"]


class PolicyState(NamedTuple):
    """What a lane has learnt; of results before the last batch only the range of each objective is kept."""

    pool: Pool
    key: Key
    logits: Float[Array, "columns levels"]
    """Very low where a column has no such level."""
    optimiser: Any
    baseline: Float[Array, ""]
    low: Float[Array, " m"]
    high: Float[Array, " m"]
    last: Batch
    num_batches: Int[Array, ""]
    """Batches that were proposed."""


@functools.cache
def monas(alpha: float = ALPHA, learning: Learning = Learning()) -> Searcher:
    """REINFORCE with a fixed weighted reward over independent choices of a level per column (MONAS).

    The reward of a result is ``alpha (1 - first objective) - (1 - alpha) (mean of the others)``, with
    objectives scaled to [0, 1] over what the run has seen; a failed result gets the least reward, ``alpha -
    1``. Each batch makes one step: see ``_stepped``. Rows are drawn with probability proportional to the
    product of their levels' probabilities among the unseen rows of the table, exactly, so that no choice
    has to be projected onto the table. The first batch is random, as it is by a policy that knows nothing.

    Departures from the paper: one softmax per column in place of a recurrent controller, for a table's
    columns have no order; numeric columns with more than 8 values are cut into 8 bins.

    Args:
        alpha: weight of the first objective.
        learning: rates.

    References:
        Hsu et al., "MONAS: multi-objective neural architecture search using reinforcement learning", 2018;
        Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
        1992.
    """

    def course(number: Array) -> Moods:
        del number
        return Moods(jnp.asarray(alpha), jnp.asarray(1.0))

    return _policy_searcher(course, learning)


@functools.cache
def npg(
    weights: tuple[float, float] = SWEEP,
    temperatures: tuple[float, float] = TEMPERATURES,
    period: int = PERIOD,
    learning: Learning = Learning(),
) -> Searcher:
    """``monas`` with a reward that moves, so that one policy goes along the front (NPG).

    Within a period the weight of the first objective goes linearly from the first to the second of
    ``weights``, and the temperature of the policy falls along a cosine; then both start anew, and the policy
    stays.

    Departures from the paper: weights shared by trained networks have no counterpart in a table, and its
    other reward, from ranks in an archive, is not offered; the period is ours, one in 100 evaluations.

    Args:
        weights: of the first objective.
        temperatures: what logits are divided by; the second one is where the fall aims.
        period: batches from restart to restart, at least 1.
        learning: rates.

    References:
        Chen, Zhou, Trimponias, Li, "Multi-objective neural architecture search via non-stationary policy
        gradient", 2020; Loshchilov and Hutter, "SGDR", 2017 (warm restarts).
    """

    def course(number: Array) -> Moods:
        place = number % period
        weight = weights[0] + (weights[1] - weights[0]) * place / max(period - 1, 1)
        fall = (1 + jnp.cos(jnp.pi * place / period)) / 2
        return Moods(weight, temperatures[1] + (temperatures[0] - temperatures[1]) * fall)

    return _policy_searcher(course, learning)


def _policy_searcher(course: Course, learning: Learning) -> Searcher:
    """A searcher that draws from a policy and improves it, in the way that ``course`` says."""
    optimiser = optax.adam(learning.learning_rate)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> LevelSpace:
        del seed, prior
        return prepare_levels(table, tasks)

    def init(context: LevelSpace, task: Int[Array, ""], key: Key) -> PolicyState:
        rows, m = context.rows, context.num_objectives
        dtype = jnp.result_type(float)
        logits = jnp.asarray(np.where(context.is_level, 0.0, _NEVER), dtype)
        nothing = Batch(jnp.zeros(BATCH, jnp.int32), jnp.zeros((BATCH, m)), jnp.zeros(BATCH, bool))
        return PolicyState(
            pool=new_pool(rows.candidates, task, key, rows.num_rows),
            key=jax.random.fold_in(key, 1),
            logits=logits,
            optimiser=optimiser.init(logits),
            baseline=jnp.zeros(()),
            low=jnp.full(m, jnp.inf, dtype),
            high=jnp.full(m, -jnp.inf, dtype),
            last=nothing,
            num_batches=jnp.int32(0),
        )

    def suggest(context: LevelSpace, task: Int[Array, ""], state: PolicyState, num_suggestions: int) -> tuple:
        rows = context.rows
        judged = course(jnp.maximum(state.num_batches - 1, 0))
        state = _improved(optimiser, learning, context, state, judged)
        logits = state.logits / course(state.num_batches).temperature
        key = jax.random.fold_in(state.key, state.num_batches)
        drawn = drawn_rows(num_suggestions, context, task, state.pool, logits, key)
        at_random = draw(rows.candidates, task, state.pool, num_suggestions)
        knows = state.num_batches > 0
        pool, row, valid = tree_where(knows, drawn, at_random)
        return state._replace(pool=pool, num_batches=state.num_batches + 1), row, valid

    return Searcher(prepare, init, suggest, _observe)


def row_log_probabilities(
    context: LevelSpace, logits: Float[Array, "columns levels"], row: Int[Array, " n"] | None = None
) -> Float[Array, " n"]:
    """Logarithm of the product of the probabilities of each row's levels; of all rows if none are named."""
    log_share = jax.nn.log_softmax(logits)
    total = jnp.zeros(context.rows.num_rows if row is None else row.shape[0], logits.dtype)
    for column in range(context.rows.num_columns):
        levels = context.levels[column]
        total = total + log_share[column, levels if row is None else levels[row]]
    return total


def drawn_rows(
    num_drawn: int,
    context: LevelSpace,
    task: Int[Array, ""],
    pool: Pool,
    logits: Float[Array, "columns levels"],
    key: Key,
) -> tuple[Pool, Int[Array, " drawn"], Bool[Array, " drawn"]]:
    """Unseen rows without replacement, with probability proportional to that of the policy: the largest
    log-probabilities after Gumbel noise. They are then seen: pool, rows, and which of them are valid."""

    def lane(context: LevelSpace, task: Array, pool: Pool, logits: Array, key: Key) -> tuple:
        free = may_be_proposed(context.rows, task, pool.seen)
        noise = jax.random.gumbel(key, free.shape, logits.dtype)
        score = jnp.where(free, row_log_probabilities(context, logits) + noise, -jnp.inf)
        row = largest(score, num_drawn)
        valid = jnp.arange(num_drawn) < jnp.sum(free)
        seen: UInt32[Array, " words"] = marked(pool.seen, jnp.where(valid, row, -1))
        return pool._replace(seen=seen), row, valid

    drawn: tuple[Pool, Array, Array] = in_batches(
        context.rows.num_rows, lane, context, task, pool, logits, key
    )
    return drawn


def rewards(
    costs: Float[Array, "n m"], low: Float[Array, " m"], high: Float[Array, " m"], weight: Float[Array, ""]
) -> Float[Array, " n"]:
    """``weight (1 - first) - (1 - weight) (mean of the others)``, with objectives scaled to [0, 1].

    Args:
        costs: infinite where an evaluation failed, which is the worst there is.
        low: what is scaled to 0; a constant objective is 0 throughout.
        high: what is scaled to 1.
        weight: of the first objective.
    """
    finite = jnp.isfinite(costs)
    width = jnp.where(high > low, high - low, 1)
    scaled = jnp.where(finite, (costs - low[None]) / width[None], 1)
    others = jnp.sum(scaled[:, 1:], axis=1) / max(costs.shape[1] - 1, 1)
    return weight * (1 - scaled[:, 0]) - (1 - weight) * others


def gain(
    logits: Float[Array, "columns levels"],
    levels: Int[Array, "n columns"],
    advantage: Float[Array, " n"],
    temperature: Float[Array, ""],
    entropy_bonus: float,
) -> Float[Array, ""]:
    """What a step increases: the mean of advantage times log-probability, and a bonus for entropy.

    The probability is that of the policy over all combinations of levels, whether the table has them and
    whether they were seen: what restricts a draw is no choice of the policy.

    Args:
        logits: very low where a column has no such level.
        levels: of the rows of a batch.
        advantage: reward above the baseline; 0 where there is no result.
        temperature: at which the rows were drawn.
        entropy_bonus: weight of the entropy, summed over columns.
    """
    log_share = jax.nn.log_softmax(logits / temperature)
    columns = jnp.arange(levels.shape[1])
    log_probability = jnp.sum(log_share[columns[None], levels], axis=1)
    entropy = -jnp.sum(jnp.exp(log_share) * log_share)
    return jnp.mean(advantage * log_probability) + entropy_bonus * entropy


def _improved(
    optimiser: optax.GradientTransformation,
    learning: Learning,
    context: LevelSpace,
    state: PolicyState,
    judged: Moods,
) -> PolicyState:
    """The policy after one step on the results of the last batch; the same one if there are none.

    The baseline that rewards are compared with is the moving average of the batches before; for the first
    batch, its own mean.
    """
    row, costs, valid = state.last
    reward = rewards(costs, state.low, state.high, judged.weight)
    mean = jnp.sum(jnp.where(valid, reward, 0)) / jnp.maximum(jnp.sum(valid), 1)
    baseline = jnp.where(state.num_batches > 1, state.baseline, mean)
    advantage = jnp.where(valid, reward - baseline, 0)
    levels = context.levels[:, row].T
    upwards = jax.grad(gain)(state.logits, levels, advantage, judged.temperature, learning.entropy_bonus)
    updates, moments = optimiser.update(-upwards, state.optimiser)
    decay = learning.baseline_decay
    later = state._replace(
        logits=state.logits + updates, optimiser=moments, baseline=decay * baseline + (1 - decay) * mean
    )
    return tree_where(jnp.any(valid), later, state)


def _observe(state: PolicyState, seen: Seen) -> PolicyState:
    """Keeps the results for the next proposal, and widens the range of the objectives."""
    more = BATCH - seen.row.shape[0]
    if more < 0:
        raise ValueError(f"{seen.row.shape[0]} results at a time: at most {BATCH} are learnt from")
    costs = jnp.asarray(seen.costs, state.low.dtype)
    finite = jnp.asarray(seen.valid)[:, None] & jnp.isfinite(costs)
    last = Batch(
        jnp.pad(jnp.asarray(seen.row, jnp.int32), (0, more)),
        jnp.pad(costs, ((0, more), (0, 0))),
        jnp.pad(jnp.asarray(seen.valid), (0, more)),
    )
    low = jnp.minimum(state.low, jnp.min(jnp.where(finite, costs, jnp.inf), axis=0))
    high = jnp.maximum(state.high, jnp.max(jnp.where(finite, costs, -jnp.inf), axis=0))
    return state._replace(last=last, low=low, high=high)
