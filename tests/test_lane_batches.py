"""Lanes in small batches, and the best few of many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.kernels.selection import largest
from mohb_jax.searchers import lane_batches

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(("num_lanes", "num_together"), [(1, 1), (3, 3), (4, 4), (5, 3), (10, 4)])
def test_batches_change_nothing_and_hold_as_many_lanes_as_they_may(monkeypatch, num_lanes, num_together):
    """Forty numbers at a time are four lanes of ten."""
    monkeypatch.setattr(lane_batches, "NUMBERS_AT_A_TIME", 40)
    widths = []

    def note(values):
        widths.append(len(values))
        return values

    def function(key, shared, tree):
        draw = jax.random.uniform(key, (10,)) + shared
        draw = jax.pure_callback(
            note, jax.ShapeDtypeStruct((10,), draw.dtype), draw, vmap_method="expand_dims"
        )
        return {"draw": draw, "sum": jnp.sum(draw * tree["a"])}

    shared = jnp.arange(10.0)
    keys = jax.random.split(jax.random.key(0), num_lanes)
    tree = {"a": jnp.arange(1.0, num_lanes + 1)}
    expected = jax.vmap(lambda key, tree: function(key, shared, tree))(keys, tree)
    jax.block_until_ready(expected)
    widths.clear()
    batched = jax.jit(jax.vmap(lambda key, tree: lane_batches.in_batches(10, function, key, shared, tree)))(
        keys, tree
    )
    jax.block_until_ready(batched)
    assert set(widths) == {num_together}
    for name in ("draw", "sum"):
        np.testing.assert_allclose(batched[name], expected[name], rtol=1e-14)


def test_without_a_batch_it_is_the_function():
    assert float(lane_batches.in_batches(10, lambda x, y: x - y["a"], 5.0, {"a": 3.0})) == 2.0


def test_largest_are_those_of_a_stable_sort():
    score = np.array([3.0, 7.0, -np.inf, 7.0, 1.0, 7.0])
    assert largest(jnp.asarray(score), 4).tolist() == np.argsort(-score, kind="stable")[:4].tolist()
