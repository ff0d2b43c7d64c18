"""Which result of a rung goes on, found at every arrival without sorting the rung again.

Asynchronous successive halving decides whenever a result arrives. Who dominates whom never changes, so each
result keeps its dominators as a set of bits; a newcomer adds one set, and one bit to the sets of those that
it dominates. Fronts are then peeled off by words of 32 results, and only as far as needed.
"""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.kernels.bits import WORD, members, packed
from mohb_jax.kernels.epsilon_net import rank_shares, scaled
from mohb_jax.kernels.promotion import PromotionRule, hypervolume_cut_at
from mohb_jax.kernels.sortable import to_sortable
from mohb_jax.types import Array, Key

SMALL_FRONT = 32
"""Rows of a front that are gathered before its net is taken; larger fronts are taken where they stand."""


class Rung(NamedTuple):
    """The results of one rung among those of all; arrays are in the order of arrival."""

    costs: Float[Array, "n m"]
    valid: Bool[Array, " n"]
    """Which are of this rung; none in a lane that only waits for others."""
    low: Float[Array, "1 m"]
    """Least value of each objective among those that did not fail; kept, since it is dear to find anew."""
    high: Float[Array, "1 m"]
    """Greatest, likewise."""
    num_keep: Int[Array, ""]
    """How many of them are good enough, from the best on."""
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
class FirstFn(Protocol):
    def __call__(
        self, key: Key, rung: Rung, wanted: Bool[Array, " n"], dominators: UInt32[Array, "words n"]
    ) -> Int[Array, ""]:
        """The first wanted result in the order of the rung, if it is good enough; n if none is.

        Args:
            key: of the lane; only random rules use it.
            rung: what is there.
            wanted: results that may go on: the newcomer alone in the stopping variant, all that were not
                promoted yet in the other.
            dominators: see ``with_newcomer``; without bits for rules that have no fronts.
        """


class ArrivalRule(NamedTuple):
    """How results are judged when they arrive."""

    first: FirstFn
    has_fronts: bool
    """Whether it needs dominators."""


def with_newcomer(
    rung: Rung, newcomer: Int[Array, ""], dominators: UInt32[Array, "words n"]
) -> UInt32[Array, "words n"]:
    """Dominators with those of the newcomer, itself among the dominators of all that it dominates.

    Args:
        rung: the newcomer's, itself included.
        newcomer: its index; n, where there is none, changes nothing.
        dominators: of each result, as bits over results.
    """
    costs = rung.costs
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


def first_in_front(
    costs: Float[Array, "n m"],
    finite: Bool[Array, " n"],
    low: Float[Array, "1 m"],
    high: Float[Array, "1 m"],
    front: Bool[Array, " n"],
    wanted: Bool[Array, " n"],
    most: Int[Array, ""],
    scale: str,
    seed_objective: int,
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The first wanted row in the epsilon-net order of a front, and its place there.

    Args:
        costs: of all rows, finite.
        finite: rows that did not fail; ranks are taken among them.
        low: least value of each objective among them.
        high: greatest.
        front: rows of the front.
        wanted: some of all rows.
        most: picks after which the answer no longer matters; 0 to find nothing.
        scale: see ``scale_costs``.
        seed_objective: the front opens with its best row in this objective.

    Returns:
        n and ``most`` if no wanted row is among the first ``most``.
    """
    n = costs.shape[0]
    if scale == "rank":
        costs = rank_shares(costs, finite)
        low, high = jnp.zeros_like(low), jnp.ones_like(high)
    span = high - low
    size = min(SMALL_FRONT, n)
    is_small = jnp.sum(front, dtype=jnp.int32) <= size
    own = members(front, size)
    inside = jnp.minimum(own, n - 1)
    few = scaled(costs[inside], low, span, scale)
    there = (own < n) & is_small
    pick, small = _first(few, there, wanted[inside], jnp.where(is_small, most, 0), seed_objective)
    small_row = jnp.where(small < most, own[pick], n)
    if size == n:
        return small_row, small
    # In a batch of lanes this loop has no rounds where no lane needs it.
    picks = jnp.where(is_small, 0, most)
    row, large = _first(scaled(costs, low, span, scale), front, wanted, picks, seed_objective)
    large_row = jnp.where(large < picks, row, n)
    return jnp.where(is_small, small_row, large_row), jnp.where(is_small, small, large)


def _first(
    costs: Float[Array, "n m"],
    front: Bool[Array, " n"],
    wanted: Bool[Array, " n"],
    most: Int[Array, ""],
    seed_objective: int,
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    index = jnp.arange(costs.shape[0], dtype=jnp.int32)
    lowest = jnp.iinfo(jnp.int64).min

    def unfinished(carry: tuple) -> Array:
        _, _, pick, count = carry
        return ~wanted[pick] & (count < most)

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
    return pick, jnp.where(wanted[pick] & (most > 0), count, most)


@functools.cache
def net_arrival(scale: str = "minmax", seed_objective: int = 0) -> ArrivalRule:
    """Non-dominated sorting with epsilon-net.

    Fronts are peeled until one has a wanted result or the cut is reached; the net is taken only where the cut
    goes through that front, or several of it are wanted. Exact: the same answer as sorting the whole rung.
    """

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del key
        n = rung.valid.shape[0]
        finite = rung.finite
        # Whoever dominates a row comes before it: most rows are out of the question at once.
        before = jnp.sum(jax.lax.population_count(dominators), axis=0, dtype=jnp.uint32)
        hopeful = wanted & finite & (before.astype(jnp.int32) < rung.num_keep)
        num_keep = jnp.where(jnp.any(hopeful), rung.num_keep, 0)

        def unfinished(carry: tuple) -> Array:
            _, front, better = carry
            return ~jnp.any(front & hopeful) & (better < num_keep)

        def peel(carry: tuple) -> tuple:
            left, front, better = carry
            left = left & ~front
            return left, _front(dominators, left), better + jnp.sum(front, dtype=jnp.int32)

        start = (finite, _front(dominators, finite), jnp.int32(0))
        _, front, better = jax.lax.while_loop(unfinished, peel, start)
        size = jnp.sum(front, dtype=jnp.int32)
        chosen = front & hopeful
        num_chosen = jnp.sum(chosen, dtype=jnp.int32)
        room = jnp.where(num_chosen > 0, jnp.minimum(num_keep - better, size), 0)
        net_decides = (room < size) | (num_chosen != 1)
        costs = jnp.where(finite[:, None], rung.costs, 0)
        most = jnp.where(net_decides, jnp.maximum(room, 0), 0)
        by_net, _ = first_in_front(
            costs, finite, rung.low, rung.high, front, chosen, most, scale, seed_objective
        )
        found = jnp.where(net_decides, by_net, _lowest(chosen))
        return jnp.where(found < n, found, _first_failed(rung, wanted))

    return ArrivalRule(first, has_fronts=True)


def _first_failed(rung: Rung, wanted: Bool[Array, " n"]) -> Int[Array, ""]:
    """Failed results come after all others of their rung, as they arrived; n if none is good enough."""
    n = rung.valid.shape[0]
    failed = rung.valid & ~rung.finite
    first = _lowest(failed & wanted)
    before = rung.finite | (failed & (jnp.arange(n) < first))
    return jnp.where(jnp.sum(before, dtype=jnp.int32) < rung.num_keep, first, n)


def _lowest(mask: Bool[Array, " n"]) -> Int[Array, ""]:
    """Index of the first True value, n if there is none."""
    n = mask.shape[0]
    return jnp.min(jnp.where(mask, jnp.arange(n, dtype=jnp.int32), n))


@functools.cache
def defective_arrival(seed_objective: int = 0) -> ArrivalRule:
    """The rule as Syne Tune 0.16.0 has it: the order of the sort is taken for a vector of priorities.

    What it compares with ``1 / eta`` is the arrival number of the row that is sorted last, over the number of
    rows; within the last front that row is found with the inverse of the epsilon-net's order. Distances are
    those of the costs as they are. Only one result may be wanted, the newcomer.
    """

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del key
        finite, index = rung.finite, jnp.arange(rung.valid.shape[0], dtype=jnp.int32)

        def peel(carry: tuple) -> tuple:
            left, _ = carry
            front = _front(dominators, left)
            return left & ~front, front

        start = (finite, jnp.zeros_like(finite))
        _, last = jax.lax.while_loop(lambda carry: jnp.any(carry[0]), peel, start)
        latest = index == jnp.max(jnp.where(last, index, -1))
        costs = jnp.where(finite[:, None], rung.costs, 0)
        size = jnp.sum(last, dtype=jnp.int32)
        _, place = first_in_front(
            costs, finite, rung.low, rung.high, last, latest, size, "none", seed_objective
        )
        member = jnp.argmax(last & (jnp.cumsum(last, dtype=jnp.int32) - 1 == place))
        failures = rung.valid & ~finite
        # Failures are sorted behind all others: the latest of them is then the row that is sorted last.
        final = jnp.where(jnp.any(failures), jnp.max(jnp.where(failures, index, -1)), member)
        position = jnp.sum(rung.valid & (index < final), dtype=jnp.int32)
        share = position.astype(float) / jnp.maximum(rung.num_results, 1)
        return _lowest(wanted & ((rung.num_results == 1) | (share <= 1 / rung.eta)))

    return ArrivalRule(first, has_fronts=True)


@functools.cache
def single_arrival(objective: int = 0) -> ArrivalRule:
    """By one objective alone, ties to the earlier arrival (Li et al. 2020)."""

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del key, dominators
        index = jnp.arange(rung.valid.shape[0], dtype=jnp.int32)
        failed = ~jnp.all(jnp.isfinite(rung.costs), axis=1)
        value = to_sortable(jnp.where(failed, jnp.inf, rung.costs[:, objective]))
        least = jnp.min(jnp.where(wanted & rung.valid, value, jnp.iinfo(jnp.int64).max))
        best = _lowest(wanted & rung.valid & (value == least))
        before = rung.valid & ((value < least) | ((value == least) & (index < best)))
        return jnp.where(jnp.sum(before, dtype=jnp.int32) < rung.num_keep, best, rung.valid.shape[0])

    return ArrivalRule(first, has_fronts=False)


@functools.cache
def random_arrival() -> ArrivalRule:
    """Every result goes on with probability ``1 / eta``, the first of its rung always: the control."""

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del dominators
        index = jnp.arange(rung.valid.shape[0], dtype=jnp.int32)
        draw = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(index)
        lucky = (draw < 1 / rung.eta) | (index == _lowest(rung.valid))
        return _lowest(rung.valid & wanted & lucky)

    return ArrivalRule(first, has_fronts=False)


@functools.cache
def sorted_arrival(rule: PromotionRule) -> ArrivalRule:
    """By any promotion rule, which sorts the whole rung at each arrival: slow, and the others' oracle."""

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del dominators
        return _first_sorted(rule, key, rung, wanted)

    return ArrivalRule(first, has_fronts=False)


@functools.cache
def hypervolume_arrival() -> ArrivalRule:
    """Likewise by the hypervolume cut, which depends on how many are good enough."""

    def first(key: Key, rung: Rung, wanted: Array, dominators: Array) -> Array:
        del dominators
        return _first_sorted(hypervolume_cut_at(rung.num_keep), key, rung, wanted)

    return ArrivalRule(first, has_fronts=False)


def _first_sorted(rule: PromotionRule, key: Key, rung: Rung, wanted: Bool[Array, " n"]) -> Int[Array, ""]:
    n = rung.valid.shape[0]
    order = rule(key, jnp.where(rung.valid[:, None], rung.costs, 0), rung.valid, n)
    good = (jnp.arange(n) < rung.num_keep) & (wanted & rung.valid)[order]
    return jnp.where(jnp.any(good), order[jnp.argmax(good)], n).astype(jnp.int32)
