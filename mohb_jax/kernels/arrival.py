"""Whether a newcomer is among the best of its rung, found without sorting the rung again.

Asynchronous successive halving decides at every arrival. Who dominates whom never changes, so each result
keeps its dominators as a set of bits; a newcomer adds one set, and one bit to the sets of those that it
dominates. Fronts are then peeled off by words of 32 results, and only as far as the cut.
"""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.kernels.epsilon_net import rank_shares, scaled
from mohb_jax.kernels.promotion import PromotionRule
from mohb_jax.kernels.sortable import to_sortable
from mohb_jax.types import Array, Key

WORD = 32
SMALL_FRONT = 32
"""Rows of a front that are gathered before its net is taken; larger fronts are taken where they stand."""


class Rung(NamedTuple):
    """The results of a newcomer's rung, itself included; arrays are in the order of arrival."""

    costs: Float[Array, "n m"]
    valid: Bool[Array, " n"]
    newcomer: Int[Array, ""]
    """Its index: no valid result comes after it. Beyond the end in a lane that only waits for others."""
    low: Float[Array, "1 m"]
    """Least value of each objective among those that did not fail; kept, since it is dear to find anew."""
    high: Float[Array, "1 m"]
    """Greatest, likewise."""
    num_keep: Int[Array, ""]
    """How many of them are good enough: the best ``1 / eta``, and at least one."""
    eta: Float[Array, ""]

    @property
    def finite(self) -> Bool[Array, " n"]:
        """Results that did not fail."""
        return self.valid & jnp.all(jnp.isfinite(self.costs), axis=1)

    @property
    def num_results(self) -> Int[Array, ""]:
        """Failures counted in."""
        return jnp.sum(self.valid, dtype=jnp.int32)


@runtime_checkable
class DecideFn(Protocol):
    def __call__(
        self, key: Key, rung: Rung, dominators: UInt32[Array, "words n"]
    ) -> tuple[UInt32[Array, "words n"], Bool[Array, ""]]:
        """Dominators with those of the newcomer, and whether it goes on.

        Args:
            key: of the lane; only random rules use it.
            rung: what is there. Nothing is valid in a lane that only waits for others.
            dominators: what earlier calls returned; without bits for rules that have no fronts.
        """


class ArrivalRule(NamedTuple):
    """How newcomers are judged."""

    decide: DecideFn
    has_fronts: bool
    """Whether it needs dominators."""


def packed(mask: Bool[Array, "*batch n"]) -> UInt32[Array, "*batch words"]:
    """A mask as bits; n must be a multiple of 32."""
    words = mask.reshape(*mask.shape[:-1], mask.shape[-1] // WORD, WORD).astype(jnp.uint32)
    return jnp.sum(words << jnp.arange(WORD, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


def with_newcomer(rung: Rung, dominators: UInt32[Array, "words n"]) -> UInt32[Array, "words n"]:
    """The newcomer's dominators, and the newcomer among the dominators of those that it dominates."""
    costs, newcomer = rung.costs, rung.newcomer
    point, finite = costs[newcomer], rung.finite
    no_worse, no_better = jnp.all(costs <= point[None], axis=1), jnp.all(costs >= point[None], axis=1)
    above, below = finite & no_worse & ~no_better, finite & no_better & ~no_worse
    failed = ~finite[newcomer]
    dominators = jnp.asarray(dominators).at[:, newcomer].set(packed(above & ~failed), mode="drop")
    word, bit = newcomer // WORD, jnp.uint32(1) << (newcomer % WORD).astype(jnp.uint32)
    return dominators.at[word].add(jnp.where(below & ~failed, bit, jnp.uint32(0)), mode="drop")


def _front(dominators: UInt32[Array, "words n"], left: Bool[Array, " n"]) -> Bool[Array, " n"]:
    """Rows that nothing left dominates."""
    hit = dominators & packed(left)[:, None]
    return left & (jax.lax.reduce(hit, jnp.uint32(0), jax.lax.bitwise_or, (0,)) == 0)


def members(mask: Bool[Array, " n"], most: int) -> Int[Array, " most"]:
    """Indices of the first True values, n after the last of them: by words, as a scatter would be slow."""
    words = packed(mask)
    counts = jax.lax.population_count(words).astype(jnp.int32)
    upto = jnp.cumsum(counts)
    number = jnp.arange(most, dtype=jnp.int32)
    word = jnp.sum(upto[None] <= number[:, None], axis=1, dtype=jnp.int32)
    inside = jnp.minimum(word, words.shape[0] - 1)
    rest = number - (upto - counts)[inside]
    bits = (words[inside, None] >> jnp.arange(WORD, dtype=jnp.uint32)) & 1
    place = jnp.sum(jnp.cumsum(bits, axis=1).astype(jnp.int32) <= rest[:, None], axis=1, dtype=jnp.int32)
    return jnp.where(word < words.shape[0], WORD * word + place, mask.shape[0])


def place_in_front(
    costs: Float[Array, "n m"],
    finite: Bool[Array, " n"],
    low: Float[Array, "1 m"],
    high: Float[Array, "1 m"],
    front: Bool[Array, " n"],
    item: Int[Array, ""],
    most: Int[Array, ""],
    scale: str,
    seed_objective: int,
) -> Int[Array, ""]:
    """Position of an item in the epsilon-net order of its front; ``most`` if that is not below it.

    Args:
        costs: of all rows, finite.
        finite: rows that did not fail; ranks are taken among them.
        low: least value of each objective among them.
        high: greatest.
        front: rows of the front.
        item: one of them.
        most: picks after which the answer no longer matters; 0 to find nothing.
        scale: see ``scale_costs``.
        seed_objective: the front opens with its best row in this objective.
    """
    n = costs.shape[0]
    if scale == "rank":
        costs = rank_shares(costs, finite)
        low, high = jnp.zeros_like(low), jnp.ones_like(high)
    span = high - low
    size = min(SMALL_FRONT, n)
    is_small = jnp.sum(front, dtype=jnp.int32) <= size
    own = members(front, size)
    few = scaled(costs[jnp.minimum(own, n - 1)], low, span, scale)
    there = (own < n) & is_small
    small_item = jnp.argmax(own == item).astype(jnp.int32)
    small = _place(few, there, small_item, jnp.where(is_small, most, 0), seed_objective)
    if size == n:
        return small
    # In a batch of lanes this loop has no rounds where no lane needs it.
    picks = jnp.where(is_small, 0, most)
    large = _place(scaled(costs, low, span, scale), front, item, picks, seed_objective)
    return jnp.where(is_small, small, large)


def _place(
    costs: Float[Array, "n m"],
    front: Bool[Array, " n"],
    item: Int[Array, ""],
    most: Int[Array, ""],
    seed_objective: int,
) -> Int[Array, ""]:
    index = jnp.arange(costs.shape[0], dtype=jnp.int32)
    lowest = jnp.iinfo(jnp.int64).min

    def unfinished(carry: tuple) -> Array:
        _, _, pick, count = carry
        return (pick != item) & (count < most)

    def take(carry: tuple) -> tuple:
        left, nearest, pick, count = carry
        distance = jnp.sum((costs - costs[pick][None]) ** 2, axis=1)
        nearest = jnp.minimum(nearest, distance)
        score = jnp.where(left, to_sortable(nearest), lowest)
        pick = jnp.min(jnp.where(score == jnp.max(score), index, costs.shape[0]))
        return left & (index != pick), nearest, pick, count + 1

    opening = jnp.where(front, to_sortable(costs[:, seed_objective]), jnp.iinfo(jnp.int64).max)
    first = jnp.min(jnp.where(opening == jnp.min(opening), index, costs.shape[0]))
    start = (front & (index != first), jnp.full(costs.shape[0], jnp.inf, costs.dtype), first, jnp.int32(0))
    _, _, pick, count = jax.lax.while_loop(unfinished, take, start)
    return jnp.where((pick == item) & (most > 0), count, most)


@functools.cache
def net_arrival(scale: str = "minmax", seed_objective: int = 0) -> ArrivalRule:
    """Non-dominated sorting with epsilon-net: the newcomer's place in the sort decides.

    Fronts are peeled until the newcomer's or the cut is reached; the net is taken only where the cut goes
    through the newcomer's front. Exact: the same decision as sorting the whole rung.
    """

    def decide(key: Key, rung: Rung, dominators: Array) -> tuple[Array, Array]:
        del key
        dominators = with_newcomer(rung, dominators)
        finite, own = rung.finite, rung.newcomer
        known = finite[own]

        def unfinished(carry: tuple) -> Array:
            _, front, better = carry
            return known & ~front[own] & (better < rung.num_keep)

        def peel(carry: tuple) -> tuple:
            left, front, better = carry
            left = left & ~front
            return left, _front(dominators, left), better + jnp.sum(front, dtype=jnp.int32)

        start = (finite, _front(dominators, finite), jnp.int32(0))
        _, front, better = jax.lax.while_loop(unfinished, peel, start)
        size = jnp.sum(front, dtype=jnp.int32)
        reached = known & front[own] & (better < rung.num_keep)
        split = reached & (better + size > rung.num_keep)
        most = jnp.where(split, rung.num_keep - better, 0)
        costs = jnp.where(finite[:, None], rung.costs, 0)
        place = place_in_front(costs, finite, rung.low, rung.high, front, own, most, scale, seed_objective)
        # A failed result comes after all others of its rung.
        good = jnp.where(split, place < most, jnp.where(known, reached, rung.num_results <= rung.num_keep))
        return dominators, good

    return ArrivalRule(decide, has_fronts=True)


@functools.cache
def defective_arrival(seed_objective: int = 0) -> ArrivalRule:
    """The rule as Syne Tune 0.16.0 has it: the order of the sort is taken for a vector of priorities.

    What it compares with ``1 / eta`` is the arrival number of the row that is sorted last, over the number of
    rows; within the last front that row is found with the inverse of the epsilon-net's order. Distances are
    those of the costs as they are.
    """

    def decide(key: Key, rung: Rung, dominators: Array) -> tuple[Array, Array]:
        del key
        dominators = with_newcomer(rung, dominators)
        finite, index = rung.finite, jnp.arange(rung.valid.shape[0], dtype=jnp.int32)

        def peel(carry: tuple) -> tuple:
            left, _ = carry
            front = _front(dominators, left)
            return left & ~front, front

        start = (finite, jnp.zeros_like(finite))
        _, last = jax.lax.while_loop(lambda carry: jnp.any(carry[0]), peel, start)
        latest = jnp.max(jnp.where(last, index, -1))
        costs = jnp.where(finite[:, None], rung.costs, 0)
        size = jnp.sum(last, dtype=jnp.int32)
        place = place_in_front(costs, finite, rung.low, rung.high, last, latest, size, "none", seed_objective)
        member = jnp.argmax(last & (jnp.cumsum(last, dtype=jnp.int32) - 1 == place))
        failures = rung.valid & ~finite
        # Failures are sorted behind all others: the latest of them is then the row that is sorted last.
        final = jnp.where(jnp.any(failures), jnp.max(jnp.where(failures, index, -1)), member)
        position = jnp.sum(rung.valid & (index < final), dtype=jnp.int32)
        share = position.astype(float) / jnp.maximum(rung.num_results, 1)
        good = share <= 1 / rung.eta
        return dominators, (rung.num_results == 1) | good

    return ArrivalRule(decide, has_fronts=True)


@functools.cache
def single_arrival(objective: int = 0) -> ArrivalRule:
    """By one objective alone, ties to the earlier arrival (Li et al. 2020)."""

    def decide(key: Key, rung: Rung, dominators: Array) -> tuple[Array, Array]:
        del key
        failed = ~jnp.all(jnp.isfinite(rung.costs), axis=1)
        value = jnp.where(failed, jnp.inf, rung.costs[:, objective])
        own = value[rung.newcomer]
        earlier = jnp.arange(value.shape[0]) < rung.newcomer
        before = rung.valid & ((value < own) | ((value == own) & earlier))
        return dominators, jnp.sum(before, dtype=jnp.int32) < rung.num_keep

    return ArrivalRule(decide, has_fronts=False)


@functools.cache
def random_arrival() -> ArrivalRule:
    """Every newcomer but the first of its rung goes on with probability ``1 / eta``: the control."""

    def decide(key: Key, rung: Rung, dominators: Array) -> tuple[Array, Array]:
        lucky = jax.random.uniform(jax.random.fold_in(key, rung.newcomer)) < 1 / rung.eta
        return dominators, lucky | (rung.num_results == 1)

    return ArrivalRule(decide, has_fronts=False)


@functools.cache
def sorted_arrival(rule: PromotionRule) -> ArrivalRule:
    """By any promotion rule, which sorts the whole rung at each arrival: slow, and the others' oracle."""

    def decide(key: Key, rung: Rung, dominators: Array) -> tuple[Array, Array]:
        order = rule(key, jnp.where(rung.valid[:, None], rung.costs, 0), rung.valid, rung.valid.shape[0])
        return dominators, jnp.argmax(order == rung.newcomer) < rung.num_keep

    return ArrivalRule(decide, has_fronts=False)
