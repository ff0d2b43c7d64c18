"""Epsilon-net order against the greedy definition, and the two published defects as literal examples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from tests import reference

pytestmark = [pytest.mark.users_level, pytest.mark.fast]


def net_order(costs, valid, num_select, seed_objective=0):
    return epsilon_net_order(costs, pareto_rank(costs, valid), valid, num_select, seed_objective)


NUM_ROWS = 31
COMPILED = jax.jit(net_order, static_argnums=(2, 3))


def order_of(costs, seed_objective=0):
    """The order of rows without padding, but in an array that has some."""
    costs = np.asarray(costs, float)
    mixed = np.concatenate([costs, np.full((NUM_ROWS - len(costs), costs.shape[1]), -7.0)])
    return COMPILED(mixed, np.arange(NUM_ROWS) < len(costs), NUM_ROWS, seed_objective)[: len(costs)].tolist()


def test_order_is_not_its_inverse():
    """D2: a published library hands out the inverse permutation, which puts the seed last here."""
    assert order_of([(1, 1), (0, 2), (3, 0)]) == [1, 2, 0]
    assert order_of([(1, 3), (0, 4), (4, 0), (3, 1), (2, 2)]) == [1, 2, 4, 0, 3]


def test_newcomer_that_dominates_all_comes_first():
    """D1: the same library takes this order for a list of priorities and stops the best newcomer."""
    order = np.array(order_of([(1, 1), (2, 2), (3, 3), (0, 0)]))
    assert order.tolist() == [3, 0, 1, 2]
    priority = np.empty(4, int)
    priority[order] = np.arange(4)
    assert priority.tolist() == [1, 2, 3, 0]


def padded_case(seed, n, m, levels):
    """Whole-number costs, few levels force ties and duplicates; and the same among rows that do not count."""
    costs = np.random.default_rng(seed).integers(levels, size=(n, m)).astype(float)
    mixed = np.concatenate([costs, np.full((NUM_ROWS - n, m), -7.0)])
    return costs, jnp.asarray(mixed), jnp.arange(NUM_ROWS) < n


@pytest.mark.parametrize(("m", "objective"), [(1, 0), (2, 0), (2, 1), (3, 1), (5, 4)])
@pytest.mark.parametrize("levels", [3, 1000])
def test_matches_greedy_definition(m, objective, levels):
    for n in (1, 2, 9, 20, 27, NUM_ROWS):
        costs, mixed, valid = padded_case(n, n, m, levels)
        order = COMPILED(mixed, valid, NUM_ROWS, objective)[:n]
        np.testing.assert_array_equal(order, reference.epsilon_net_order(costs, objective), err_msg=f"{n=}")


def test_variants_match_greedy_definition(variant):
    costs, mixed, valid = padded_case(0, 27, 3, 10)
    order = variant(functools.partial(net_order, num_select=27, seed_objective=2))(mixed, valid)
    np.testing.assert_array_equal(order, reference.epsilon_net_order(costs, 2))


def test_first_rows_do_not_depend_on_how_many_are_asked_for():
    costs = np.random.default_rng(0).random((NUM_ROWS, 2))
    valid = np.arange(NUM_ROWS) < 25
    full = COMPILED(costs, valid, NUM_ROWS, 0)
    np.testing.assert_array_equal(COMPILED(costs, valid, 7, 0), full[:7])


def test_all_equal_fall_out_in_index_order_and_signed_zeros_tie():
    assert order_of([(2, 2)] * 5) == [0, 1, 2, 3, 4]
    assert order_of([(0.0, 1), (-0.0, 1), (0.0, 1)]) == [0, 1, 2]


def test_negative_costs():
    costs = np.random.default_rng(3).integers(-50, 50, size=(25, 2)).astype(float)
    assert order_of(costs) == reference.epsilon_net_order(costs).tolist()


@pytest.mark.parametrize("scale", ["none", "minmax", "rank"])
def test_scales(variant, scale):
    costs = np.array([[1.0, 500], [3, 100], [2, 900], [9, -1e9]])
    valid = jnp.array([True, True, True, False])
    scaled = np.asarray(variant(functools.partial(scale_costs, scale=scale))(jnp.asarray(costs), valid))
    expected = {
        "none": [[0, 400], [2, 0], [1, 800]],
        "minmax": [[0, 0.5], [1, 0], [0.5, 1]],
        "rank": [[0, 0.5], [1, 0], [0.5, 1]],
    }[scale]
    np.testing.assert_allclose(scaled[:3], expected, rtol=0, atol=1e-4 if scale == "none" else 1e-7)
    assert (scaled[3] == 0).all()


def test_scale_of_constant_objective_one_row_no_row_and_extreme_spans():
    valid = jnp.ones(3, bool)
    assert (scale_costs(jnp.full((3, 2), 5.0), valid, "minmax") == 0).all()
    assert (scale_costs(jnp.array([[4.0, 2.0]]), valid[:1], "minmax") == 0).all()
    assert scale_costs(jnp.zeros((0, 2)), valid[:0], "minmax").shape == (0, 2)
    for factor in (1e-300, 1e-12, 1e150):
        scaled = scale_costs(jnp.array([[0.0], [1.0], [4.0]]) * factor, valid, "minmax")
        np.testing.assert_allclose(scaled[:, 0], [0, 0.25, 1], atol=1e-7)


def test_a_unit_does_not_decide_the_net():
    """Without a scale the objective with the largest unit would; with one, units cancel."""
    rng = np.random.default_rng(5)
    costs = rng.random((NUM_ROWS, 2))
    valid = jnp.ones(NUM_ROWS, bool)
    orders = [
        COMPILED(scale_costs(jnp.asarray(costs * unit), valid, "minmax"), valid, NUM_ROWS, 0).tolist()
        for unit in ([1.0, 1.0], [1.0, 2.0**20], [2.0**-30, 4.0])
    ]
    assert orders[0] == orders[1] == orders[2]


def test_squared_distances_are_exact_on_the_grid():
    """Exact sums do not depend on their order, so neither batch size nor backend can flip a decision."""
    valid = jnp.ones(50, bool)
    scaled = np.asarray(scale_costs(jnp.asarray(np.random.default_rng(0).random((50, 8))), valid, "minmax"))
    terms = (scaled[:, None] - scaled[None]) ** 2
    np.testing.assert_array_equal(terms.sum(-1), terms[..., ::-1].sum(-1))


def test_lane_in_batch_is_the_lane_alone():
    rng = np.random.default_rng(8)
    costs = jnp.asarray(rng.random((64, 27, 3)))
    valid = jnp.asarray(rng.random((64, 27)) < 0.8)
    kernel = functools.partial(net_order, num_select=9)
    together = jax.jit(jax.vmap(kernel))(costs, valid)
    for lane in (0, 31, 63):
        np.testing.assert_array_equal(together[lane], jax.jit(kernel)(costs[lane], valid[lane]))
