"""Transforms of objective values to z-space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mohb_jax.surrogates.transform import quantile_transform, standard_transform

pytestmark = pytest.mark.fast

LENGTH = 24
COMPILED = jax.jit(quantile_transform)
values_strategy = hnp.arrays(
    np.float64,
    st.integers(1, LENGTH),
    elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False)),
)


def padded(values, fill=np.nan):
    """Values with padding to a fixed length, and the mask that tells them apart."""
    row = np.full(LENGTH, fill)
    row[: len(values)] = values
    return jnp.asarray(row), jnp.arange(LENGTH) < len(values)


def definition(values):
    """The transform by counting, in NumPy and SciPy."""
    n = len(values)
    if n == 1:
        return np.zeros(1)
    cut = 1 / (4 * n**0.25 * np.sqrt(np.pi * np.log(n)))
    quantile = (values[None, :] < values[:, None]).sum(axis=1) / n
    return scipy.stats.norm.ppf(np.clip(quantile, cut, 1 - cut))


def test_example_worked_by_hand(variant):
    values = jnp.asarray([5.0, 1.0, 1.0, 3.0, 9.0])
    z = variant(quantile_transform)(values, jnp.ones(5, bool))
    np.testing.assert_allclose(z, [0.2533, -1.4441, -1.4441, -0.2533, 0.8416], atol=5e-5)


@pytest.mark.parametrize(
    ("n", "cut", "largest"),
    [(5, 0.0744, 1.44), (20, 0.0385, 1.77), (100, 0.0208, 2.04), (1000, 0.0095, 2.34), (5000, 0.0058, 2.53)],
)
def test_tails_are_cut_at_published_quantile(n, cut, largest):
    z = np.asarray(COMPILED(jnp.arange(5000.0), jnp.arange(5000) < n))[:n]
    assert scipy.stats.norm.cdf(z[0]) == pytest.approx(cut, abs=6e-5)
    # From the top, 1 - 1/n is reached before the cut in a small sample.
    assert -z[0] == pytest.approx(largest, abs=0.01)
    assert z[-1] == pytest.approx(scipy.stats.norm.ppf(min(1 - cut, 1 - 1 / n)), abs=5e-3)


@given(values_strategy)
def test_matches_definition_whatever_the_padding(values):
    expected = definition(values)
    for fill in (np.nan, np.inf, -np.inf, 0.0):
        z = np.asarray(COMPILED(*padded(values, fill)))
        np.testing.assert_allclose(z[: len(values)], expected, atol=1e-9)
        np.testing.assert_array_equal(z[len(values) :], 0)


@given(values_strategy)
def test_increasing_change_of_the_objective_leaves_it_unchanged(values):
    levels = np.searchsorted(np.unique(values), values).astype(float)  # order and ties of the values
    for changed in (levels**3 - 7, np.exp(levels), 1e-3 * levels):
        np.testing.assert_array_equal(COMPILED(*padded(changed)), COMPILED(*padded(values)))


@given(values_strategy, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(values, random):
    order = np.array(random.sample(range(len(values)), len(values)))
    z = np.asarray(COMPILED(*padded(values)))[: len(values)]
    np.testing.assert_array_equal(np.asarray(COMPILED(*padded(values[order])))[: len(values)], z[order])


def test_few_or_equal_values():
    assert (np.asarray(COMPILED(*padded([]))) == 0).all()
    assert (np.asarray(COMPILED(*padded([3.0]))) == 0).all()
    constant = np.asarray(COMPILED(*padded([2.0] * 5)))[:5]
    np.testing.assert_allclose(constant, -1.4441, atol=5e-5)
    assert quantile_transform(jnp.zeros(0), jnp.zeros(0, bool)).shape == (0,)


def test_failed_evaluation_is_the_worst_value():
    failed = np.asarray(COMPILED(*padded([1.0, np.inf, 0.0, np.inf])))[:4]
    np.testing.assert_allclose(failed, definition(np.array([1.0, 2.0, 0.0, 2.0])), atol=1e-9)


def test_uniform_values_become_standard_normal():
    uniform = jnp.asarray(np.random.default_rng(0).random(5000))
    z = quantile_transform(uniform, jnp.ones(5000, bool))
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1, abs=0.05)


def test_tasks_and_objectives_are_independent_lanes():
    rng = np.random.default_rng(1)
    values, valid = rng.integers(9, size=(3, 2, 11)).astype(float), rng.random((3, 2, 11)) < 0.7
    batch = jax.vmap(jax.vmap(quantile_transform))(jnp.asarray(values), jnp.asarray(valid))
    for task in range(3):
        for objective in range(2):
            alone = np.zeros(11)
            alone[valid[task, objective]] = definition(values[task, objective][valid[task, objective]])
            np.testing.assert_allclose(batch[task, objective], alone, atol=1e-9)


def test_standard_transform(variant):
    values, valid = padded([1.0, 3.0, 8.0, 4.0])
    z = np.asarray(variant(standard_transform)(values, valid))
    np.testing.assert_allclose(z[:4], scipy.stats.zscore([1.0, 3.0, 8.0, 4.0]), atol=1e-12)
    np.testing.assert_array_equal(z[4:], 0)
    narrow = np.asarray(standard_transform(*padded([2.0, 2.0 + 2e-5])))[:2]
    np.testing.assert_allclose(narrow, [-0.01, 0.01], rtol=1e-6)
    assert (np.asarray(standard_transform(*padded([]))) == 0).all()
