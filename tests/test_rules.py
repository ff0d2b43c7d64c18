"""Promotion rules in NumPy alone; ``test_promotion`` compares them with the kernels."""

import subprocess
import sys

import numpy as np
import pytest

from mohb_jax import rules
from mohb_jax.promotions import PROMOTIONS
from tests import reference

pytestmark = pytest.mark.fast


def made(m):
    draws = np.random.default_rng(0).random(12)
    return {
        "single": rules.single(),
        "net": rules.net(),
        "crowding": rules.crowding(),
        "hvc": rules.hvc(),
        "scalar": rules.scalar([1.0] * m),
        "random": rules.random(draws),
        "net by ranks": rules.net("rank", m - 1),
    }


def rungs(m, num=2):
    rng = np.random.default_rng(m)
    for _ in range(num):
        costs = rng.integers(rng.choice([2, 5, 1000]), size=(12, m)).astype(float)
        costs[rng.random(12) < 0.15] = np.nan
        yield costs


def test_the_rules_are_those_of_the_package():
    assert set(rules.NAMES) == set(PROMOTIONS)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_one_row_is_kept_where_it_is_among_the_first(m):
    for costs in rungs(m):
        for name, rule in made(m).items():
            order = rules.order(rule, costs, 99)
            assert sorted(order) == list(range(12)), name
            finite = np.isfinite(costs).all(axis=1)
            assert finite[order[: finite.sum()]].all(), name
            for keep in (0, 1, 4, 7, 12, 13):
                np.testing.assert_array_equal(rules.order(rule, costs, keep), order[:keep], err_msg=name)
                kept = [rules.is_kept(rule, costs, row, keep) for row in range(12)]
                np.testing.assert_array_equal(np.flatnonzero(kept), np.sort(order[:keep]), err_msg=name)


@pytest.mark.parametrize("m", [3, 4])
def test_the_hypervolume_cut_is_greedy(m):
    for costs in rungs(m, 20):
        finite = costs[np.isfinite(costs).all(axis=1)]
        np.testing.assert_array_equal(
            np.sort(rules.order(rules.hvc(), finite, 4)), np.sort(reference.hypervolume_cut(finite, 4))
        )


def test_ranks_are_shares_of_rows_below():
    costs = np.array([[5.0], [1.0], [1.0], [np.nan], [9.0]])
    np.testing.assert_allclose(rules.scaled(costs, "rank")[[0, 1, 2, 4], 0], [2 / 3, 0, 0, 1], atol=1e-7)


def test_costs_of_any_size_have_a_scale():
    costs = np.array([[-1.7e308, 0.0], [1.7e308, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(rules.scaled(costs, "minmax"), [[0, 0], [1, 0], [0.5, 0]])


def test_nothing_but_numpy_is_imported():
    script = "import sys, mohb_jax.rules; print({'jax', 'scipy', 'jaxtyping'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
