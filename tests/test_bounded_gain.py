"""The greatest gain by bounds, against all gains."""

import jax
import numpy as np
import pytest

from mohb_jax.searchers.bounded_gain import BLOCK, SLACK, BoundedGain, greatest_worked_out


@jax.jit
@jax.vmap
def found(bound, exact, wanted):
    return greatest_worked_out(BoundedGain(bound, lambda place: exact[place]), wanted)


def lanes(number, size, seed):
    rng = np.random.default_rng(seed)
    exact = rng.normal(size=(number, size))
    return exact + rng.exponential(size=exact.shape), exact, rng.random(exact.shape) < 0.7


@pytest.mark.parametrize("size", [1, 7, BLOCK, 5 * BLOCK + 3])
def test_the_greatest_gain_is_that_of_all(size):
    bound, exact, wanted = lanes(12, size, seed=size)
    ours = np.where(wanted, found(bound, exact, wanted), -np.inf)
    best = np.where(wanted, exact, -np.inf).max(axis=1, keepdims=True)
    near = wanted & (exact >= best - SLACK)
    np.testing.assert_array_equal(ours[near], exact[near])
    assert (ours[wanted & ~near] <= np.broadcast_to(best, ours.shape)[wanted & ~near]).all()
    assert np.isin(ours[wanted], [exact[wanted], bound[wanted]]).all()


def test_few_gains_are_worked_out_where_bounds_are_close():
    bound, exact, wanted = lanes(1, 40 * BLOCK, seed=0)
    ours = found(exact + 1e-6 * (bound - exact), exact, np.ones_like(wanted))
    assert (np.asarray(ours) == exact).sum() == BLOCK


def test_nothing_is_worked_out_where_nothing_is_wanted():
    bound, exact, wanted = lanes(3, 2 * BLOCK, seed=1)
    wanted[1] = False
    np.testing.assert_array_equal(found(bound, exact, wanted)[1], bound[1])


def test_equal_gains_of_nothing_end():
    """All rows as bad as one another, as where no improvement is a number."""
    nothing = np.full((2, 3 * BLOCK), -87.0)
    np.testing.assert_array_equal(found(nothing, nothing, np.ones_like(nothing, bool)), nothing)
