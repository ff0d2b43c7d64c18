"""Fronts that are kept up to date, against sorting all results at every arrival."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.kernels.few_lanes import one_by_one
from mohb_jax.kernels.fronts import NO_FRONT, first_of, no_fronts, of_rung, settled, with_newcomer
from tests import reference

SIZE = 64


def streams(num_objectives):
    """Results of one lane each as they arrive: [lanes, results, objectives]."""
    rng = np.random.default_rng(num_objectives)
    shape = (SIZE, num_objectives)
    chain = np.arange(SIZE, dtype=float)[:, None] + np.zeros(num_objectives)
    broken = rng.random(shape)
    broken[rng.random(SIZE) < 0.2, 0] = np.inf
    return np.stack(
        [
            rng.random(shape),
            rng.integers(3, size=shape).astype(float),  # ties and duplicates
            chain[::-1],  # every newcomer pushes all others
            chain,
            np.repeat(rng.random((SIZE // 4, num_objectives)), 4, axis=0),
            broken,
        ]
    )


def by_definition(costs):
    """Front of each result; ``NO_FRONT`` where it failed."""
    finite = np.isfinite(costs).all(axis=1)
    number = np.full(len(costs), NO_FRONT)
    number[finite] = reference.pareto_rank(costs[finite])
    return number


def arrivals(costs, rung, num_keep):
    """Front numbers of a lane after each arrival, for those who ask for the newcomer, and for all."""

    def arrive(fronts, newcomer):
        index = jnp.arange(SIZE)
        valid = (rung == rung[newcomer]) & (index <= newcomer)
        fronts = with_newcomer(costs.T, valid, newcomer, fronts)
        own = settled(costs.T, of_rung(fronts, valid), index == newcomer, num_keep[newcomer])
        every = settled(costs.T, of_rung(fronts, valid), None, jnp.int32(SIZE + 1))
        kept = jax.tree.map(lambda own, other: jnp.where(valid, own, other), own, fronts)
        return kept, (own.number, every.number)

    return jax.lax.scan(arrive, no_fronts(SIZE), jnp.arange(SIZE))[1]


@pytest.mark.parametrize("num_objectives", [1, 2, 4])
def test_fronts_equal_those_of_sorting(num_objectives):
    costs = streams(num_objectives)
    rung = np.random.default_rng(0).integers(2, size=(len(costs), SIZE))
    num_keep = np.maximum(1, np.arange(SIZE) // 6)
    asked, every = map(np.asarray, jax.jit(jax.vmap(arrivals, (0, 0, None)))(costs, rung, num_keep))
    num_exact = 0
    for lane, newcomer in np.ndindex(len(costs), SIZE):
        there = np.flatnonzero((rung[lane] == rung[lane, newcomer]) & (np.arange(SIZE) <= newcomer))
        expected = by_definition(costs[lane, there])
        assert every[lane, newcomer, there].tolist() == expected.tolist()
        # Down to the newcomer's front, if that begins above the cut.
        own, found = expected[-1], asked[lane, newcomer, there]
        keeps = (expected < own).sum() < num_keep[newcomer]
        assert keeps == ((found < found[-1]).sum() < num_keep[newcomer]) or own == NO_FRONT
        if keeps and own < NO_FRONT:
            num_exact += 1
            assert found[expected <= own].tolist() == expected[expected <= own].tolist()
            assert (found[expected > own] > own).all()
    assert num_exact > 100


def test_first_of_numbers():
    number = jnp.array([3, 1, NO_FRONT, 1, 2], jnp.int32)
    for mask, expected in (
        ([1, 1, 1, 1, 1], (1, 1)),
        ([1, 0, 1, 1, 1], (1, 3)),
        ([0, 0, 1, 0, 0], (NO_FRONT, 2)),
        ([0, 0, 0, 0, 0], (NO_FRONT, 5)),
    ):
        assert tuple(map(int, first_of(jnp.array(mask, bool), number))) == expected


def test_few_lanes_are_worked_on_alone():
    """Each as long as it needs, with the same answer as alone; others get what was to hand."""

    def halvings(value, least):
        return jax.lax.while_loop(lambda v: v[0] > least, lambda v: (v[0] // 2, v[1] + 1), (value, 0))[1]

    def lane(condition, value, least):
        return one_by_one(condition, halvings, (value, least), jnp.int64(-1))

    conditions, values = jnp.array([True, False, True, True]), jnp.array([1000, 7, 3, 1])
    alone = [int(lane(c, v, 1)) for c, v in zip(conditions, values, strict=True)]
    assert alone == [9, -1, 1, 0]
    assert jax.jit(jax.vmap(lane, (0, 0, None)))(conditions, values, 1).tolist() == alone
