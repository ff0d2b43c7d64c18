"""Indicators against a front, and the checked public functions."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks.errors import InputError
from mohb_jax import public
from mohb_jax.kernels import indicators
from tests import reference

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


# The public functions.


@pytest.mark.parametrize("n", [0, 1, 8, 21])
@pytest.mark.parametrize("m", [2, 3])
def test_public_functions_match_definitions_at_any_size(n, m):
    costs = np.random.default_rng(n).integers(6, size=(n, m))
    untouched = costs.copy()
    corner, front = np.full(m, 6), np.zeros((1, m), int)
    np.testing.assert_array_equal(public.pareto_rank(costs), reference.pareto_rank(costs))
    np.testing.assert_array_equal(public.crowding_order(costs), reference.crowding_order(costs))
    net = reference.epsilon_net_order(costs.astype(float), seed_objective=1)
    np.testing.assert_array_equal(public.epsilon_net_order(costs, seed_objective=1, scale="none"), net)
    volume = reference.hypervolume(costs, corner)
    np.testing.assert_allclose(public.hypervolume(costs, corner), volume, rtol=1e-12)
    np.testing.assert_allclose(
        public.hypervolume_contributions(costs, corner), reference.hypervolume_contributions(costs, corner)
    )
    if n:
        assert public.igd_plus(costs, front) == pytest.approx(reference.igd_plus(costs, front))
        assert public.additive_epsilon(costs, front) == reference.additive_epsilon(costs, front)
    np.testing.assert_array_equal(costs, untouched)


def test_public_epsilon_net_scales_by_default():
    # In raw units the first objective alone decides which of the two middle rows is the farther one.
    costs = np.array([[0.0, 1.0], [100.0, 0.4], [850.0, 0.35], [1000.0, 0.0]])
    np.testing.assert_array_equal(public.epsilon_net_order(costs), [0, 3, 1, 2])
    np.testing.assert_array_equal(public.epsilon_net_order(costs * [[1e-6, 1e6]]), [0, 3, 1, 2])
    np.testing.assert_array_equal(public.epsilon_net_order(costs, scale="none"), [0, 3, 2, 1])


def test_public_functions_treat_failed_rows_and_padding_as_stated():
    costs = [[0.0, np.inf], [1.0, 1.0], [np.nan, 0.0], [0.0, 0.0]]
    valid = [True, True, False, True]
    np.testing.assert_array_equal(public.pareto_rank(costs, valid), [2, 1, 4, 0])
    np.testing.assert_array_equal(public.epsilon_net_order(costs, valid), [3, 1, 0, 2])
    np.testing.assert_array_equal(public.crowding_order(costs, valid), [3, 1, 0, 2])
    assert public.hypervolume(costs, [2, 2], valid) == 4
    np.testing.assert_array_equal(public.hypervolume_contributions(costs, [2, 2], valid), [0, 0, 0, 3])
    assert public.igd_plus([[np.inf, 0.0]], [[0, 0]], reference=[3, 4]) == 5
    assert public.additive_epsilon([[np.inf, 0.0]], [[0, 0]]) == np.inf


GOOD = [[1.0, 2.0]]
REFUSED = {
    "NaN": (lambda: public.pareto_rank([[1, 2], [3, np.nan]]), "costs row 1 is nan in objective 1"),
    "-inf": (lambda: public.crowding_order([[-np.inf, 2]]), "costs row 0 is -inf in objective 0"),
    "one axis": (lambda: public.pareto_rank([1, 2]), r"costs has shape \(2,\): accepted is \(rows, obj"),
    "no objective": (lambda: public.pareto_rank(np.zeros((3, 0))), r"costs has shape \(3, 0\)"),
    "words": (lambda: public.pareto_rank(np.array([["a", "b"]])), "costs does not hold numbers"),
    "ragged": (lambda: public.pareto_rank([[1, 2], [3]]), "costs does not hold numbers"),
    "mask": (lambda: public.pareto_rank(GOOD, [True, False]), r"mask of costs is bool of shape \(2,\)"),
    "mask of numbers": (lambda: public.pareto_rank(GOOD, [1]), "mask of costs is int64"),
    "scale": (lambda: public.epsilon_net_order(GOOD, scale="log"), "'log': accepted are minmax, rank, none"),
    "seed objective": (lambda: public.epsilon_net_order(GOOD, seed_objective=2), "is 2: accepted are 0 to 1"),
    "reference": (lambda: public.hypervolume(GOOD, [1, 2, 3]), r"shape \(3,\): accepted is \(2,\)"),
    "endless": (lambda: public.hypervolume(GOOD, [1, np.inf]), "reference is .*: accepted are finite"),
    "five": (lambda: public.hypervolume(np.zeros((1, 5)), np.ones(5)), "hypervolume_monte_carlo"),
    "front": (lambda: public.igd_plus(GOOD, [[1, 2, 3]]), "front has 3 objectives: accepted are 2"),
    "NaN in front": (lambda: public.additive_epsilon(GOOD, [[np.nan, 3]]), "front row 0 is nan"),
    "samples": (lambda: public.hypervolume_monte_carlo(GOOD, [3, 3], num_samples=0), "num_samples is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_public_functions_refuse_bad_input_in_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_public_monte_carlo_estimates_many_objectives():
    volume = public.hypervolume_monte_carlo(np.eye(5) * 0.5, np.ones(5), num_samples=20_000)
    inclusion_exclusion = 5 / 2 - 10 / 4 + 10 / 8 - 5 / 16 + 1 / 32  # each row covers half the cube
    assert abs(volume - inclusion_exclusion) < 4 * 0.5 / np.sqrt(20_000)
