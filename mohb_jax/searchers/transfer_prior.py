"""Proposals of the transfer prior, which was learnt from the other tasks.

A list is the order in which one joint draw of all candidates' objectives would have them tried. Drawing and
sorting thousands of candidates takes far longer than all else that a lane does for a proposal, so each task
has a bank of lists, made once; a run has some of them, and each of its proposals takes one of these.
"""

import functools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.bits import WORD, members, nth_members
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from mohb_jax.kernels.sortable import to_sortable
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.prepared_lists import LIST_LENGTH, Lists, list_searcher
from mohb_jax.searchers.random import Candidates, all_candidates, random_subset
from mohb_jax.threads import map_in_threads
from mohb_jax.transfer import PRIOR_STREAM, Prior, learn_prior
from mohb_jax.types import Array, Key

SORTED = 384
"""Candidates of a draw that are sorted; see ``_promising``."""
SPREAD = 96
"""Rows of a list that are spread as an epsilon-net: more than any first rung of R=81 takes. The rows behind
them, which only lanes that have seen the first ones come to, are in random order within their front."""
NOISE = 1 << 20
"""Normal numbers that all draws of a task share: each adds two stretches of them from random starts, so that
a row has another number in the next draw, at a tenth of the time of drawing anew. With one stretch, all draws
may be a little wilder or tamer together, as the shared numbers happen to have many or few extremes."""
DRAWS_AT_A_TIME = 8
DRAWS_PER_CALL = 64
"""Draws of one compiled call: several run side by side."""


class Order(NamedTuple):
    """How lists are made.

    Attributes:
        draws: lists per task.
        objective: sort by this one alone; None for all.
        strength: what the prior's standard deviations are divided by.
    """

    draws: int
    objective: int | None
    strength: float | int = 1


@functools.cache
def transfer_prior(
    draws: int, one_by_one: bool = False, objective: int | None = None, strength: float | int = 1
) -> Searcher:
    """Proposes what one joint draw from the transfer prior would try first.

    A proposal of k configurations takes one list of the bank: a draw of all objectives of all candidates from
    the prior's normal distributions, sorted by front, and the rows of a front spread as an epsilon-net. The
    first k rows that the lane has not seen are proposed. The lists of a run, see ``next_list``, are used
    without repetition until all were.

    Args:
        draws: lists per task.
        one_by_one: each configuration comes from a list of its own: for schedules that ask for one at a time.
        objective: sort by this one alone (copula Thompson sampling); None for all.
        strength: what the prior's standard deviations are divided by.

    References:
        Salinas et al., "A multi-objective perspective on jointly tuning hardware and hyperparameters", 2021;
        with one objective, Salinas, Shen, Perrone 2020, section 4.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Lists:
        prior = learn_prior(table, seed) if prior is None else prior
        prior.require_space(table)
        return _bank(table, prior, tasks, seed, Order(draws, objective, strength))

    return list_searcher(prepare, one_by_one)


@jax.jit
def shared_noise(key: Key) -> Float[Array, " noise"]:
    return jax.random.normal(key, (NOISE,), jnp.float32)


def _noise_of(key: Key, noise: Float[Array, " noise"], size: int) -> Float[Array, " size"]:
    """Normal numbers of one draw."""
    first, second = jax.random.randint(key, (2,), 0, NOISE - size)
    stretch = functools.partial(jax.lax.dynamic_slice, noise, slice_sizes=(size,))
    return (stretch((first,)) + stretch((second,))) * np.float32(np.sqrt(0.5))


@jax.jit
def _draw_lists(
    key: Key,
    noise: Float[Array, " noise"],
    mu: Float[Array, "m n"],
    sigma: Float[Array, "m n"],
    factor: Float[Array, "m m"],
    num_rows: Int[Array, ""],
    numbers: Int[Array, " some"],
) -> Int[Array, "some length"]:
    """Some lists of one task, by number, as places among its candidates; -1 after their end."""

    def draw(number: Array) -> Array:
        noise_key, place_key = jax.random.split(jax.random.fold_in(key, number))
        place = random_subset(place_key, num_rows, mu.shape[1])
        means, deviations = (mu, sigma) if place is None else (mu[:, place], sigma[:, place])
        own = _noise_of(noise_key, noise, means.size).reshape(means.shape)
        costs = means + deviations * jnp.matmul(factor, own, precision=jax.lax.Precision.HIGHEST)
        valid = jnp.arange(means.shape[1]) < num_rows
        listed = _sorted(place_key, jnp.where(valid, costs, jnp.inf), valid)
        return jnp.where(valid[listed], listed if place is None else place[listed], -1)

    return jax.lax.map(draw, numbers, batch_size=DRAWS_AT_A_TIME)


def _sorted(key: Key, costs: Float[Array, "m n"], valid: Bool[Array, " n"]) -> Int[Array, " length"]:
    """The candidates that come first in a draw.

    A random row opens each front. With the best in one objective, as in promotion, whoever takes the first
    row of every list would hold to that objective.
    """
    length = min(LIST_LENGTH, costs.shape[1])
    if costs.shape[0] == 1:
        return jax.lax.top_k(-costs[0], length)[1]
    promising = _promising(costs)
    points, valid = costs[:, promising].T, valid[promising]
    rank = pareto_rank(points, valid, length)
    num_spread = min(SPREAD, length)
    # float64, in which distances are exact on the grid of the epsilon-net
    scaled = scale_costs(points.astype(jnp.float64), valid, "none")
    first = epsilon_net_order(scaled, rank, valid, num_spread, opening_key=key)
    behind = _by_rank_and_chance(key, jnp.asarray(rank).at[first].set(rank.shape[0] + 1))
    return promising[jnp.concatenate([first, behind[: length - num_spread]])]


def _promising(costs: Float[Array, "m n"]) -> Int[Array, " kept"]:
    """The candidates worth sorting: those that, if objectives were independent, fewest others would dominate.

    The score, a product of shares below, grows with every objective, so whoever dominates a row that is kept
    is kept too: fronts among the kept are those among all, and only rows at their far ends can be missed
    (tests measure how many).
    """
    below = -jnp.log1p(jnp.exp(-1.702 * costs))  # logarithm of the normal distribution, nearly
    return _largest(-jnp.sum(below, axis=0), min(SORTED, costs.shape[1]))


def _largest(score: Float32[Array, " n"], count: int) -> Int[Array, " count"]:
    """Indices of the largest values in ascending order, ties to the lowest index.

    The least value among them is found bit by bit: a fraction of the time of a sort.
    """
    missing = -score.shape[0] % WORD
    score = jnp.pad(score, (0, missing), constant_values=-jnp.inf)
    bits = to_sortable(score)

    def reaching(least: Array) -> Array:
        return jnp.sum(bits >= least, dtype=jnp.int32)

    def unfinished(carry: tuple) -> Array:
        _, place, reached = carry
        return (place >= 0) & (reached > count)

    def set_bit(carry: tuple) -> tuple:
        least, place, reached = carry
        more = least + (jnp.int32(1) << place)
        found = reaching(more)
        enough = found >= count
        return jnp.where(enough, more, least), place - 1, jnp.where(enough, found, reached)

    num_positive = reaching(jnp.int32(0))
    least = jnp.where(num_positive >= count, 0, jnp.iinfo(jnp.int32).min).astype(jnp.int32)
    reached = jnp.where(num_positive >= count, num_positive, score.shape[0])
    least, _, _ = jax.lax.while_loop(unfinished, set_bit, (least, jnp.int32(30), reached))
    above, equal = bits > least, bits == least
    room = count - jnp.sum(above, dtype=jnp.int32)
    last = nth_members(equal, room[None] - 1)[0]
    return members(above | (equal & (jnp.arange(score.shape[0]) <= last)), count)


def _by_rank_and_chance(key: Key, rank: Int[Array, " n"]) -> Int[Array, " n"]:
    """Order by rank, at random among equals, of less than 512 rows.

    One word per row holds rank, chance and number, since XLA sorts several arrays slowly.
    """
    chance = jax.random.bits(key, rank.shape, jnp.uint64) >> 18
    number = jnp.arange(rank.shape[0], dtype=jnp.uint64)
    word = (rank.astype(jnp.uint64) << 55) | (chance << 9) | number
    return (jnp.sort(word) & 0x1FF).astype(jnp.int32)


_BANKS: weakref.WeakKeyDictionary[Prior, dict[Any, Lists]] = weakref.WeakKeyDictionary()


def _bank(table: AnyTable, prior: Prior, tasks: tuple[int, ...], seed: int, order: Order) -> Lists:
    """The lists of some tasks, made once for each prior and kind of list."""
    kept = _BANKS.setdefault(prior, {})
    if (tasks, seed, order) not in kept:
        kept[tasks, seed, order] = _make_bank(table, prior, tasks, seed, order)
    return kept[tasks, seed, order]


def _make_bank(table: AnyTable, prior: Prior, tasks: tuple[int, ...], seed: int, order: Order) -> Lists:
    candidates = all_candidates(table, tasks)
    root = jax.random.fold_in(jax.random.key(seed), PRIOR_STREAM + 1)
    chosen = slice(None) if order.objective is None else slice(order.objective, order.objective + 1)
    beliefs = []
    for position, task in enumerate(tasks):
        mu, sigma = prior.mu[task, chosen], prior.sigma[task, chosen] / order.strength
        key = jax.random.fold_in(root, task)
        beliefs.append(Belief(position, key, shared_noise(key), mu, sigma, prior.noise_factor(task, chosen)))
    return Lists(candidates, jnp.asarray(make_lists(candidates, beliefs, order.draws)), table.num_rows)


class Belief(NamedTuple):
    """What a bank of lists is drawn from.

    Attributes:
        position: of the task among the candidates.
        key: of the draws.
        noise: what they share.
        mu: mean of each objective of each row of the table.
        sigma: their deviations.
        factor: makes the noise of objectives correlated.
    """

    position: int
    key: Key
    noise: Float[Array, " noise"]
    mu: Float[np.ndarray, "m rows"]
    sigma: Float[np.ndarray, "m rows"]
    factor: Float[np.ndarray, "m m"]


def make_lists(
    candidates: Candidates, beliefs: Sequence[Belief], draws: int
) -> Int[np.ndarray, "beliefs draws length"]:
    """A bank of lists for each belief, on all processors; -1 where a list has ended."""
    numbers = np.arange(draws, dtype=np.int32)
    size = min(DRAWS_PER_CALL, draws)

    def some_lists(item: tuple[Belief, int]) -> np.ndarray:
        belief, start = item
        row: Any = slice(None) if candidates.rows is None else np.asarray(candidates.rows[belief.position])
        own = np.resize(numbers[start : start + size], size)  # the last call has the shape of the others
        mu, sigma, count = belief.mu[:, row], belief.sigma[:, row], candidates.num_rows[belief.position]
        place = np.asarray(_draw_lists(belief.key, belief.noise, mu, sigma, belief.factor, count, own))
        listed = place if candidates.rows is None else row[place]
        return np.where(place < 0, -1, listed).astype(np.int32)

    starts = range(0, draws, size)
    parts = map_in_threads(some_lists, [(belief, start) for belief in beliefs for start in starts])
    return np.concatenate(parts).reshape(len(beliefs), len(starts) * size, -1)[:, :draws]
