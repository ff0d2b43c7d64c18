"""Which result of a rung goes on, found at every arrival without sorting the rung again.

Asynchronous successive halving decides whenever a result arrives. Fronts are kept up to date
(``kernels.fronts``), so a decision counts those before the newcomer's, and takes the epsilon-net only where
the cut goes through that front.
"""

import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.kernels.bits import members
from mohb_jax.kernels.epsilon_net import rank_shares, scaled
from mohb_jax.kernels.few_lanes import one_by_one
from mohb_jax.kernels.fronts import NO_FRONT, Fronts, first_of, settled
from mohb_jax.kernels.promotion import PromotionRule, hypervolume_cut_at
from mohb_jax.kernels.sortable import to_sortable
from mohb_jax.types import Array, Key

SMALL_FRONT = 128
"""Rows of a front that are gathered before its net is taken; larger fronts are taken where they stand."""


class Rung(NamedTuple):
    """The results of one rung among those of all; arrays are in the order of arrival."""

    costs: Float[Array, "m n"]
    valid: Bool[Array, " n"]
    """Which are of this rung; none in a lane that only waits for others."""
    low: Float[Array, " m"]
    """Least value of each objective among those that did not fail; kept, since it is dear to find anew."""
    high: Float[Array, " m"]
    """Greatest, likewise."""
    num_keep: Int[Array, ""]
    """How many of them are good enough, from the best on."""
    eta: Float[Array, ""]

    @property
    def finite(self) -> Bool[Array, " n"]:
        """Results that did not fail."""
        return self.valid & jnp.all(jnp.isfinite(self.costs), axis=0)

    @property
    def num_results(self) -> Int[Array, ""]:
        """Failures counted in."""
        return jnp.sum(self.valid, dtype=jnp.int32)


@runtime_checkable
class FirstFn(Protocol):
    def __call__(
        self, key: Key, rung: Rung, wanted: Bool[Array, " n"], fronts: Fronts | None
    ) -> Int[Array, ""]:
        """The first wanted result in the order of the rung, if it is good enough; n if none is.

        Args:
            key: of the lane; only random rules use it.
            rung: what is there.
            wanted: results of the rung that may go on: the newcomer alone in the stopping variant, all that
                were not promoted yet in the other.
            fronts: of the rung, as ``settle`` left them; None for rules that have none.
        """


@runtime_checkable
class SettleFn(Protocol):
    def __call__(self, rung: Rung, wanted: Bool[Array, " n"], fronts: Fronts) -> Fronts:
        """Fronts of the rung, exact as far as the rule will look at them."""


class ArrivalRule(NamedTuple):
    """How results are judged when they arrive."""

    first: FirstFn
    settle: SettleFn | None
    """For rules that look at fronts."""


def _settled_to_cut(rung: Rung, wanted: Array, fronts: Fronts) -> Fronts:
    return settled(rung.costs, fronts, wanted, rung.num_keep)


def _all_settled(rung: Rung, wanted: Array, fronts: Fronts) -> Fronts:
    del wanted
    return settled(rung.costs, fronts, None, jnp.int32(NO_FRONT))


class _Front(NamedTuple):
    """One front of a rung, and what the order of its epsilon-net depends on."""

    costs: Float[Array, "m n"]
    number: Int[Array, " n"]
    """Of the front of each result; ``NO_FRONT`` where it failed."""
    inside: Bool[Array, " n"]
    low: Float[Array, " m"]
    high: Float[Array, " m"]


def first_in_front(
    front: _Front, wanted: Bool[Array, " n"], most: Int[Array, ""], scale: str, seed_objective: int
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The first wanted row in the epsilon-net order of a front, and its place there.

    Args:
        front: rows of a rung.
        wanted: some of all rows.
        most: picks after which the answer no longer matters, above 0.
        scale: see ``scale_costs``.
        seed_objective: the front opens with its best row in this objective.

    Returns:
        n and ``most`` if no wanted row is among the first ``most``.
    """
    n = front.inside.shape[0]
    finite = front.number < NO_FRONT
    rows, low, span = jnp.where(finite, front.costs, 0).T, front.low, front.high - front.low
    if scale == "rank":
        rows, low, span = jnp.asarray(rank_shares(rows, finite)), jnp.zeros_like(low), jnp.ones_like(span)
    costs = jnp.asarray(scaled(rows, low[None], span[None], scale)).T
    if n <= SMALL_FRONT:
        return _first(costs, front.inside, wanted, most, seed_objective)

    def small() -> tuple[Array, Array]:
        own = members(front.inside, SMALL_FRONT)
        rows = jnp.minimum(own, n - 1)
        pick, place = _first(costs[:, rows], own < n, wanted[rows], most, seed_objective)
        return jnp.where(place < most, own[jnp.minimum(pick, SMALL_FRONT - 1)], n), place

    is_small = jnp.sum(front.inside, dtype=jnp.int32) <= SMALL_FRONT
    return jax.lax.cond(is_small, small, lambda: _first(costs, front.inside, wanted, most, seed_objective))


def _first(
    costs: Float[Array, "m n"],
    front: Bool[Array, " n"],
    wanted: Bool[Array, " n"],
    most: Int[Array, ""],
    seed_objective: int,
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    n = costs.shape[1]
    index, lowest = jnp.arange(n, dtype=jnp.int32), jnp.iinfo(jnp.int64).min

    def best(score: Array) -> Array:
        return jnp.min(jnp.where(score == jnp.max(score), index, n - 1))

    def unfinished(carry: tuple) -> Array:
        _, _, pick, count = carry
        return ~wanted[pick] & (count < most)

    def take(carry: tuple) -> tuple:
        left, nearest, pick, count = carry
        distance = jnp.sum((costs - costs[:, pick][:, None]) ** 2, axis=0)
        nearest = jnp.minimum(nearest, distance)
        pick = best(jnp.where(left, to_sortable(nearest), lowest))
        return left & (index != pick), nearest, pick, count + 1

    first = best(jnp.where(front, -to_sortable(costs[seed_objective]), lowest))
    start = (front & (index != first), jnp.full(n, jnp.inf, costs.dtype), first, jnp.int32(0))
    _, _, pick, count = jax.lax.while_loop(unfinished, take, start)
    found = wanted[pick] & (count < most)
    return jnp.where(found, pick, n), jnp.where(found, count, most)


@functools.cache
def net_arrival(scale: str = "minmax", seed_objective: int = 0) -> ArrivalRule:
    """Non-dominated sorting with epsilon-net.

    The net is taken only where the cut goes through the first front that has a wanted result, or several of
    it are wanted. Exact: the same answer as sorting the whole rung.
    """

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del key
        assert fronts is not None
        n, number = rung.valid.shape[0], fronts.number
        # Failed results are like a last front, in the order of arrival.
        asked, lowest = first_of(wanted, number)
        inside = rung.valid & (number == asked)
        chosen = inside & wanted
        better, size, num_chosen = counts(number < asked, inside, chosen)
        room = jnp.clip(rung.num_keep - better, 0, size)
        order_decides = (num_chosen > 0) & (room > 0) & ((room < size) | (num_chosen > 1))
        front = _Front(rung.costs, number, inside, rung.low, rung.high)
        whole = jnp.where(room > 0, lowest, n)
        return one_by_one(order_decides, by_order, (asked, front, chosen, room), whole)

    def by_order(asked: Array, front: _Front, wanted: Array, most: Array) -> Array:
        def by_net() -> Array:
            return first_in_front(front, wanted, most, scale, seed_objective)[0]

        return jax.lax.cond(asked < NO_FRONT, by_net, lambda: first_to_arrive(front.inside, wanted, most))

    return ArrivalRule(first, _settled_to_cut)


def first_to_arrive(
    results: Bool[Array, " n"], wanted: Bool[Array, " n"], most: Int[Array, ""]
) -> Int[Array, ""]:
    """The first wanted one of some results, if it is among the first ``most`` of them; n if it is not."""
    first = _lowest(wanted)
    before = jnp.sum(results & (jnp.arange(results.shape[0]) < first), dtype=jnp.int32)
    return jnp.where(before < most, first, results.shape[0])


def counts(*masks: Bool[Array, " n"]) -> tuple[Int[Array, ""], ...]:
    """How many each of at most three masks has, n below 2**20: in one pass, where there would be three."""
    weights = [jnp.where(mask, jnp.int64(1 << 20 * place), 0) for place, mask in enumerate(masks)]
    total = jnp.sum(functools.reduce(jnp.add, weights))
    return tuple(((total >> 20 * place) & ((1 << 20) - 1)).astype(jnp.int32) for place in range(len(masks)))


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

    def place_in_net(front: _Front, latest: Array, size: Array) -> Array:
        return first_in_front(front, latest, size, "none", seed_objective)[1]

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del key
        assert fronts is not None
        number, index = fronts.number, jnp.arange(rung.valid.shape[0], dtype=jnp.int32)
        finite = number < NO_FRONT
        last = finite & (number == jnp.max(jnp.where(finite, number, -1)))
        latest = index == jnp.max(jnp.where(last, index, -1))
        failed = rung.valid & ~finite
        size = jnp.sum(last, dtype=jnp.int32)
        front = _Front(rung.costs, number, last, rung.low, rung.high)
        matters = (size > 1) & ~jnp.any(failed) & jnp.any(wanted)
        place = one_by_one(matters, place_in_net, (front, latest, size), jnp.int32(0))
        member = jnp.argmax(last & (jnp.cumsum(last, dtype=jnp.int32) - 1 == place))
        # Failures are sorted behind all others: the latest of them is then the row that is sorted last.
        final = jnp.where(jnp.any(failed), jnp.max(jnp.where(failed, index, -1)), member)
        position = jnp.sum(rung.valid & (index < final), dtype=jnp.int32)
        share = position.astype(float) / jnp.maximum(rung.num_results, 1)
        return _lowest(wanted & ((rung.num_results == 1) | (share <= 1 / rung.eta)))

    return ArrivalRule(first, _all_settled)


@functools.cache
def single_arrival(objective: int = 0) -> ArrivalRule:
    """By one objective alone, ties to the earlier arrival (Li et al. 2020)."""

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del key, fronts
        index = jnp.arange(rung.valid.shape[0], dtype=jnp.int32)
        failed = ~jnp.all(jnp.isfinite(rung.costs), axis=0)
        value = to_sortable(jnp.where(failed, jnp.inf, rung.costs[objective]))
        least = jnp.min(jnp.where(wanted & rung.valid, value, jnp.iinfo(jnp.int64).max))
        best = _lowest(wanted & rung.valid & (value == least))
        before = rung.valid & ((value < least) | ((value == least) & (index < best)))
        return jnp.where(jnp.sum(before, dtype=jnp.int32) < rung.num_keep, best, rung.valid.shape[0])

    return ArrivalRule(first, None)


@functools.cache
def random_arrival() -> ArrivalRule:
    """Every result goes on with probability ``1 / eta``, the first of its rung always: the control."""

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del fronts
        index = jnp.arange(rung.valid.shape[0], dtype=jnp.int32)
        draw = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i)))(index)
        lucky = (draw < 1 / rung.eta) | (index == _lowest(rung.valid))
        return _lowest(rung.valid & wanted & lucky)

    return ArrivalRule(first, None)


@functools.cache
def sorted_arrival(rule: PromotionRule) -> ArrivalRule:
    """By any promotion rule, which sorts the whole rung at each arrival: slow, and the others' oracle."""

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del fronts
        return _first_sorted(rule, key, rung, wanted)

    return ArrivalRule(first, None)


@functools.cache
def hypervolume_arrival() -> ArrivalRule:
    """Likewise by the hypervolume cut, which depends on how many are good enough."""

    def first(key: Key, rung: Rung, wanted: Array, fronts: Fronts | None) -> Array:
        del fronts
        return _first_sorted(hypervolume_cut_at(rung.num_keep), key, rung, wanted)

    return ArrivalRule(first, None)


def _first_sorted(rule: PromotionRule, key: Key, rung: Rung, wanted: Bool[Array, " n"]) -> Int[Array, ""]:
    n = rung.valid.shape[0]
    order = rule(key, jnp.where(rung.valid[:, None], rung.costs.T, 0), rung.valid, n)
    good = (jnp.arange(n) < rung.num_keep) & (wanted & rung.valid)[order]
    return jnp.where(jnp.any(good), order[jnp.argmax(good)], n).astype(jnp.int32)
