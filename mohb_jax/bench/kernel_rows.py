"""Kernels: ranks and nets of whole rungs, and decisions as results arrive."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.bench.row import Row, peer, seconds_of
from mohb_jax.kernels.arrival import ArrivalRule, Rung, net_arrival, sorted_arrival
from mohb_jax.kernels.bits import WORD
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from mohb_jax.kernels.fronts import Fronts, no_fronts, settled, with_newcomer
from mohb_jax.kernels.promotion import epsilon_net
from mohb_jax.types import Array


def kernels(num_sets: int = 1000, size: int = 81) -> Iterator[Row]:
    """Pareto rank, and rank with epsilon-net order, of 1,000 rungs of 81 points; moocore ranks the same
    sets."""
    moocore = peer("moocore")
    costs = np.random.default_rng(0).random((num_sets, size, 2))
    valid = np.ones((num_sets, size), bool)
    rank = jax.jit(jax.vmap(pareto_rank))
    both = jax.jit(jax.vmap(functools.partial(_rank_and_net, num_select=size)))

    def by_moocore() -> np.ndarray:
        return np.stack([moocore.pareto_rank(points) for points in costs])

    np.testing.assert_array_equal(np.asarray(rank(costs, valid)), by_moocore())
    np.testing.assert_array_equal(
        np.sort(np.asarray(both(costs, valid))), np.tile(np.arange(size), (num_sets, 1))
    )
    each = {
        name: 1e6 / num_sets * seconds_of(function)
        for name, function in (
            ("moocore", by_moocore),
            ("rank", lambda: np.asarray(rank(costs, valid))),
            ("both", lambda: np.asarray(both(costs, valid))),
        )
    }
    ratio = each["rank"] / each["moocore"]
    yield Row("pareto-rank", each["rank"], "us/set", "moocore", ratio, "<= 1 x moocore", ratio <= 1)
    ratio = each["both"] / each["moocore"]
    yield Row(
        "rank-and-net", each["both"], "us/set", "moocore's rank", ratio, "<= 30 us/set", each["both"] <= 30
    )


def _rank_and_net(costs: Array, valid: Array, num_select: int) -> Array:
    rank = pareto_rank(costs, valid)
    return epsilon_net_order(scale_costs(costs, valid, "minmax"), rank, valid, num_select)


def arrivals(num_lanes: int = 32) -> Iterator[Row]:
    """One decision at a rung of 10, 100 and 1,000 results, two objectives, against sorting the whole rung."""
    rules = (net_arrival(), sorted_arrival(epsilon_net()))
    for size in (10, 100, 1000):
        capacity = -(-size // WORD) * WORD
        costs = np.full((num_lanes, 2, capacity), np.inf)
        costs[:, :, :size] = np.random.default_rng(size).random((num_lanes, 2, size))
        rung = Rung(
            jnp.asarray(costs),
            jnp.tile(jnp.arange(capacity) < size, (num_lanes, 1)),
            jnp.asarray(costs.min(axis=2)),
            jnp.asarray(costs[:, :, :size].max(axis=2)),
            jnp.full(num_lanes, max(1, size // 3), jnp.int32),
            jnp.full(num_lanes, 3.0),
        )
        known = _known_fronts(rung, size)
        quick, full = (
            functools.partial(jax.jit(functools.partial(_decide, rule, size - 1)), rung, known)
            for rule in rules
        )
        np.testing.assert_array_equal(np.asarray(quick()), np.asarray(full()))
        each, by_sorting = seconds_of(quick), seconds_of(full)
        micro = 1e6 * each / num_lanes
        yield Row(f"arrival-{size}", micro, "us/lane", "sorting the rung", each / by_sorting, "", None)


def _known_fronts(rung: Rung, size: int) -> Fronts:
    """What was kept before the last result arrived."""

    def arrive(newcomer: Array, fronts: Fronts) -> Fronts:
        def lane(rung: Rung, fronts: Fronts) -> Fronts:
            index = jnp.arange(rung.valid.shape[0])
            fronts = with_newcomer(rung.costs, rung.valid & (index <= newcomer), newcomer, fronts)
            return settled(rung.costs, fronts, index == newcomer, jnp.maximum(1, newcomer // 3))

        return jax.vmap(lane)(rung, fronts)

    empty = jax.vmap(lambda valid: no_fronts(valid.shape[0]))(rung.valid)
    return jax.jit(lambda: jax.lax.fori_loop(0, size - 1, arrive, empty))()


def _decide(rule: ArrivalRule, newcomer: int, rung: Rung, fronts: Fronts) -> Array:
    def lane(rung: Rung, fronts: Fronts) -> Array:
        wanted = jnp.arange(rung.valid.shape[0]) == newcomer
        if rule.settle is not None:
            fronts = with_newcomer(rung.costs, rung.valid, jnp.int32(newcomer), fronts)
            fronts = rule.settle(rung, wanted, fronts)
        return jnp.asarray(rule.first(jax.random.key(0), rung, wanted, fronts))

    return jax.vmap(lane)(rung, fronts)
