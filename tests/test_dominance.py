"""Non-dominated sorting against its definition and against moocore."""

import functools

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mohb_jax.kernels.dominance import pareto_rank, peel_rank, sweep_rank
from tests import reference


def padded(costs: np.ndarray, padding: int) -> tuple[jnp.ndarray, jnp.ndarray]:
    filler = np.full((padding, costs.shape[1]), -1.0)  # better than all, were it not padding
    return jnp.asarray(np.concatenate([costs, filler])), jnp.arange(len(costs) + padding) < len(costs)


@pytest.mark.parametrize(("n", "m"), [(0, 2), (1, 1), (1, 2), (2, 2), (9, 1), (9, 2), (27, 3), (40, 5)])
@pytest.mark.parametrize("levels", [3, 1000])  # 3 forces ties and duplicates
@pytest.mark.parametrize("padding", [0, 5])
def test_rank_matches_definition(variant, n, m, levels, padding):
    seed = 1000 * n + 10 * m + padding
    costs = np.random.default_rng(seed).integers(levels, size=(n, m)).astype(float)
    rank = np.asarray(variant(pareto_rank)(*padded(costs, padding)))
    np.testing.assert_array_equal(rank[:n], reference.pareto_rank(costs), err_msg=f"{seed=}")
    if n:
        np.testing.assert_array_equal(rank[:n], moocore.pareto_rank(costs), err_msg=f"{seed=}")
    assert (rank[n:] == n + padding).all()


@pytest.mark.parametrize("n", [0, 1, 2, 81, 300])
@pytest.mark.parametrize("levels", [2, 30, 10**6])
def test_sweep_and_peel_agree(variant, n, levels):
    costs = np.random.default_rng(n + levels).integers(levels, size=(n, 2)).astype(float)
    costs[: n // 10] = np.inf
    arguments = padded(costs, 3)
    swept = np.asarray(variant(sweep_rank)(*arguments))
    np.testing.assert_array_equal(swept, np.asarray(variant(peel_rank)(*arguments)))
    if n > 2:
        np.testing.assert_array_equal(swept[:n], moocore.pareto_rank(np.where(np.isinf(costs), 1e9, costs)))


@pytest.mark.parametrize(
    "costs", [[[1.0, 1]] * 4, [[1, 4], [2, 3], [3, 2], [4, 1]], [[1, 1], [2, 2], [3, 3]]]
)
def test_all_equal_one_front_one_chain(variant, costs):
    arguments = padded(np.array(costs, float), 2)
    expected = reference.pareto_rank(np.array(costs, float))
    for kernel in (peel_rank, sweep_rank):
        np.testing.assert_array_equal(np.asarray(variant(kernel)(*arguments))[: len(costs)], expected)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4))
def test_permuting_rows_permutes_ranks_and_scales_do_not_matter(seed, n, m):
    rng = np.random.default_rng(seed)
    costs = rng.integers(6, size=(30, m)).astype(float)
    valid = jnp.arange(30) < n
    rank = np.asarray(_rank(jnp.asarray(costs), valid))
    order = rng.permutation(n)
    shuffled = np.concatenate([costs[order], costs[n:]])
    np.testing.assert_array_equal(_rank(jnp.asarray(shuffled), valid)[:n], rank[order])
    np.testing.assert_array_equal(_rank(jnp.asarray(np.exp(3 * costs)), valid), rank)


_rank = jax.jit(pareto_rank)


@pytest.mark.parametrize("num_ranked", [1, 5, 20])
def test_partial_sort_ranks_enough_and_leaves_the_rest(num_ranked):
    costs = jnp.asarray(np.random.default_rng(1).random((40, 3)))
    valid = jnp.arange(40) < 35
    full = np.asarray(peel_rank(costs, valid))
    part = np.asarray(jax.jit(functools.partial(peel_rank, num_ranked=num_ranked))(costs, valid))
    ranked = part < 40
    assert num_ranked <= ranked.sum() < 35
    np.testing.assert_array_equal(part[ranked], full[ranked])
    assert full[~ranked & np.asarray(valid)].min() > full[ranked].max()


def test_float64_differences_are_no_ties():
    costs = jnp.asarray([[1.0, 1.0], [1.0 + 1e-12, 1.0]])
    assert pareto_rank(costs, jnp.ones(2, bool)).tolist() == [0, 1]
