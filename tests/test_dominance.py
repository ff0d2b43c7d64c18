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

pytestmark = pytest.mark.fast

COMPILED = {kernel.__name__: jax.jit(kernel) for kernel in (pareto_rank, peel_rank, sweep_rank)}
NUM_ROWS = 45


def padded(costs: np.ndarray, num_rows: int = NUM_ROWS) -> tuple[jnp.ndarray, jnp.ndarray]:
    filler = np.full((num_rows - len(costs), costs.shape[1]), -1.0)  # better than all, were it not padding
    return jnp.asarray(np.concatenate([costs, filler])), jnp.arange(num_rows) < len(costs)


def check_rank(rank: np.ndarray, costs: np.ndarray, seed: int) -> None:
    """Ranks of costs without padding against both definitions, and of padding."""
    n = len(costs)
    np.testing.assert_array_equal(rank[:n], reference.pareto_rank(costs), err_msg=f"{seed=}")
    if n:
        np.testing.assert_array_equal(rank[:n], moocore.pareto_rank(costs), err_msg=f"{seed=}")
    assert (rank[n:] == len(rank)).all()


@pytest.mark.parametrize("m", [1, 2, 3, 5])
@pytest.mark.parametrize("levels", [3, 1000])  # 3 forces ties and duplicates
def test_rank_matches_definition(m, levels):
    for n in (0, 1, 2, 9, 27, 40, NUM_ROWS):
        seed = 1000 * n + 10 * m
        costs = np.random.default_rng(seed).integers(levels, size=(n, m)).astype(float)
        check_rank(np.asarray(COMPILED["pareto_rank"](*padded(costs))), costs, seed)


@pytest.mark.parametrize("kernel", [peel_rank, sweep_rank])
def test_variants_match_definition(variant, kernel):
    for levels in (3, 1000):
        costs = np.random.default_rng(levels).integers(levels, size=(20, 2)).astype(float)
        check_rank(np.asarray(variant(kernel)(*padded(costs, 24))), costs, levels)


@pytest.mark.parametrize("kernel", [pareto_rank, peel_rank, sweep_rank])
def test_arrays_without_rows(kernel):
    assert kernel(jnp.zeros((0, 2)), jnp.zeros(0, bool)).shape == (0,)


@pytest.mark.parametrize("n", [0, 1, 2, 81, 300])
@pytest.mark.parametrize("levels", [2, 30, 10**6])
def test_sweep_and_peel_agree(n, levels):
    costs = np.random.default_rng(n + levels).integers(levels, size=(n, 2)).astype(float)
    costs[: n // 10] = np.inf
    arguments = padded(costs, 84 if n < 84 else 303)
    swept = np.asarray(COMPILED["sweep_rank"](*arguments))
    np.testing.assert_array_equal(swept, np.asarray(COMPILED["peel_rank"](*arguments)))
    if n > 2:
        np.testing.assert_array_equal(swept[:n], moocore.pareto_rank(np.where(np.isinf(costs), 1e9, costs)))
    if n == 300:  # from SWEEP_FROM rows on, sorting in two objectives is the sweep
        np.testing.assert_array_equal(swept, np.asarray(COMPILED["pareto_rank"](*arguments)))


@pytest.mark.parametrize(
    "costs", [[[1.0, 1]] * 4, [[1, 4], [2, 3], [3, 2], [4, 1]], [[1, 1], [2, 2], [3, 3]]]
)
def test_all_equal_one_front_one_chain(costs):
    costs = np.array(costs, float)
    for name in ("peel_rank", "sweep_rank"):
        check_rank(np.asarray(COMPILED[name](*padded(costs))), costs, 0)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4))
def test_permuting_rows_permutes_ranks_and_scales_do_not_matter(seed, n, m):
    rng = np.random.default_rng(seed)
    costs = rng.integers(6, size=(30, m)).astype(float)
    valid = jnp.arange(30) < n
    ranked = COMPILED["pareto_rank"]
    rank = np.asarray(ranked(jnp.asarray(costs), valid))
    order = rng.permutation(n)
    shuffled = np.concatenate([costs[order], costs[n:]])
    np.testing.assert_array_equal(ranked(jnp.asarray(shuffled), valid)[:n], rank[order])
    np.testing.assert_array_equal(ranked(jnp.asarray(np.exp(3 * costs)), valid), rank)


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
