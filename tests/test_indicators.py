"""Indicators against a front."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mohb_jax.kernels import indicators
from tests import reference

pytestmark = pytest.mark.fast

BOTH = pytest.mark.parametrize("name", ["igd_plus", "additive_epsilon"])
COMPILED = {name: jax.jit(getattr(indicators, name)) for name in ("igd_plus", "additive_epsilon")}
MOOCORE = {"igd_plus": moocore.igd_plus, "additive_epsilon": moocore.epsilon_additive}


def with_unusable(rows):
    """Rows with a NaN row before, and an infinite row and padding after them; and the mask."""
    m = rows.shape[1]
    mixed = np.concatenate([np.full((1, m), np.nan), rows, np.full((1, m), -np.inf), np.full((1, m), -9.0)])
    return jnp.asarray(mixed), jnp.arange(len(mixed)) < len(mixed) - 1


@BOTH
@pytest.mark.parametrize(("n", "k", "m"), [(1, 4, 1), (20, 9, 5)])
@pytest.mark.usefixtures("strict_broadcasting")
def test_match_definition_and_moocore(variant, name, n, k, m):
    rng = np.random.default_rng(n)
    costs, front = rng.random((n, m)), rng.random((k, m)) - 0.2
    (mixed, valid), (mixed_front, front_valid) = with_unusable(costs), with_unusable(front)
    value = variant(getattr(indicators, name))(mixed, mixed_front, valid, front_valid)
    np.testing.assert_allclose(value, getattr(reference, name)(costs, front), rtol=1e-12)
    np.testing.assert_allclose(value, MOOCORE[name](costs, ref=front), rtol=1e-12)


@BOTH
def test_empty_sets(variant, name):
    rows, corner = jnp.zeros((2, 2)), jnp.full(2, 3.0)
    nothing, everything = jnp.zeros(2, bool), jnp.ones(2, bool)
    kernel = variant(getattr(indicators, name))
    assert kernel(rows, rows, nothing, everything) == np.inf
    assert kernel(rows, rows, everything, nothing) == np.inf
    stand_in = getattr(reference, name)(np.full((1, 2), 3.0), np.zeros((1, 2)))
    np.testing.assert_allclose(kernel(rows, rows, nothing, everything, corner), stand_in, rtol=1e-12)


@BOTH
def test_sets_without_rows(name):
    kernel = COMPILED[name]
    assert kernel(np.zeros((0, 2)), np.zeros((2, 2))) == np.inf
    assert kernel(np.zeros((2, 2)), np.zeros((0, 2))) == np.inf


@BOTH
def test_the_stand_in_leaves_sets_with_rows_alone(name):
    costs, front = np.full((1, 2), 5.0), np.zeros((1, 2))
    kernel = COMPILED[name]
    assert kernel(costs, front, reference=np.ones(2)) == kernel(costs, front) > kernel(np.ones((1, 2)), front)


@given(
    hnp.arrays(np.float64, (5, 2), elements=st.integers(0, 9)),
    hnp.arrays(np.float64, (4, 2), elements=st.integers(0, 9)),
)
def test_a_dominated_row_changes_nothing_and_the_front_reaches_itself(costs, front):
    for kernel in COMPILED.values():
        assert kernel(np.concatenate([costs, costs[:1] + 1]), front) == kernel(costs, front)
        assert kernel(front, front) == 0
    assert (COMPILED["igd_plus"](costs, front) == 0) == (COMPILED["additive_epsilon"](costs, front) <= 0)
