"""Crowding distance and order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from mohb_jax.kernels.crowding import crowding_distance, crowding_order
from tests import reference

pytestmark = pytest.mark.fast


def padded_to(num_rows, costs, fill):
    """Costs with extra rows that hold ``fill``, and the mask that tells them apart."""
    extra = np.full((num_rows - len(costs), costs.shape[1]), fill)
    return jnp.asarray(np.concatenate([costs, extra])), jnp.arange(num_rows) < len(costs)


COMPILED_DISTANCE = jax.jit(crowding_distance)
COMPILED_ORDER = jax.jit(crowding_order)
CASES = {
    "chain": np.arange(6.0)[[3, 1, 5, 0, 4, 2], None] * np.ones((1, 2)),
    "one front": np.array([[4.0, 0.0], [0.0, 9.0], [1.0, 5.0], [3.0, 1.0], [2.0, 2.0]]),
    "all equal": np.ones((5, 3)),
    "unlike scales": np.array([[1e-9, 3e9], [4e-9, 1e9], [2e-9, 2.5e9], [9e-9, 0.0], [8e-9, 5e9]]),
    "constant objective": np.array([[2.0, 1.0, 5.0], [0.0, 1.0, 9.0], [1.0, 1.0, 6.0], [3.0, 1.0, 0.0]]),
    "duplicates": np.array([[0.0, 2.0], [1.0, 1.0], [1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]),
    "one row": np.array([[3.0, 1.0]]),
    "all padding": np.zeros((0, 2)),
    "one objective": np.array([[3.0], [1.0], [1.0], [2.0]]),
}


@pytest.mark.parametrize("case", CASES)
def test_order_matches_definition(case):
    costs = CASES[case]
    order = COMPILED_ORDER(*padded_to(8, costs, -1e6))
    np.testing.assert_array_equal(order[: len(costs)], reference.crowding_order(costs))
    np.testing.assert_array_equal(order[len(costs) :], np.arange(len(costs), 8))


def test_arrays_without_rows():
    costs, valid = np.zeros((0, 2)), np.zeros(0, bool)
    assert crowding_order(costs, valid).shape == (0,)
    assert crowding_distance(costs, np.zeros(0, np.int32), valid).shape == (0,)


@pytest.mark.parametrize(("n", "m"), [(12, 3), (130, 2)])  # all pairs, and sorted
@pytest.mark.parametrize("levels", [3, 1000])  # 3 forces ties and duplicates
def test_distance_and_order_match_definition(variant, n, m, levels):
    seed = 100 * n + 10 * m + levels
    costs = np.random.default_rng(seed).integers(levels, size=(n, m)).astype(float)
    padded, valid = padded_to(n + 4, costs, 0.0)
    rank = jnp.asarray(np.concatenate([reference.pareto_rank(costs), np.full(4, n + 4)]), jnp.int32)
    distance = np.asarray(variant(crowding_distance)(padded, rank, valid))
    np.testing.assert_allclose(distance[:n], reference.crowding_distance(costs), rtol=1e-12)
    assert (distance[n:] == 0).all()
    order = variant(crowding_order)(padded, valid)
    np.testing.assert_array_equal(order[:n], reference.crowding_order(costs), err_msg=f"{seed=}")


@pytest.mark.parametrize("m", [2, 3, 5])
def test_distance_within_one_front_matches_pymoo(m):
    costs = np.random.default_rng(m).random((30, m))
    costs /= np.linalg.norm(costs, axis=1, keepdims=True)
    distance = COMPILED_DISTANCE(costs, np.zeros(30, np.int32), np.ones(30, bool))
    np.testing.assert_allclose(
        distance, calc_crowding_distance(costs) * m, rtol=1e-12
    )  # pymoo takes the mean


def test_failed_rows_follow_ranked_ones_in_index_order():
    costs = np.array([[np.inf, np.inf], [2.0, 2.0], [0.0, np.inf], [1.0, 1.0], [np.nan, 0.0], [0.0, 3.0]])
    valid = np.array([True, True, True, True, False, True])
    np.testing.assert_array_equal(COMPILED_ORDER(costs, valid), [3, 5, 1, 0, 2, 4])


@given(
    hnp.arrays(np.float64, (7, 2), elements=st.integers(0, 50), unique=True),
    st.permutations(range(7)),
    st.sampled_from([1e-6, 3.0, 1e6]),
)
def test_permuting_rows_and_scaling_an_objective_change_nothing(costs, permutation, factor):
    valid = np.ones(7, bool)
    rank = reference.pareto_rank(costs).astype(np.int32)
    distance = np.asarray(COMPILED_DISTANCE(costs, rank, valid))
    moved = list(permutation)
    scaled = costs[moved] * np.array([[factor, 1.0]])
    np.testing.assert_allclose(COMPILED_DISTANCE(scaled, rank[moved], valid), distance[moved], rtol=1e-9)


@pytest.mark.parametrize("num_ranked", [1, 7, 20])
def test_the_first_rows_do_not_need_later_fronts(num_ranked):
    costs, valid = jnp.asarray(np.random.default_rng(3).integers(9, size=(40, 3)), float), jnp.ones(40, bool)
    whole, part = crowding_order(costs, valid), crowding_order(costs, valid, num_ranked)
    np.testing.assert_array_equal(part[:num_ranked], whole[:num_ranked])
    assert sorted(part.tolist()) == list(range(40))
