"""The public functions: NumPy in and out, the stated answers, and bad input in one line."""

import moocore
import numpy as np
import pytest

import mohb_jax
from mohb_jax import arrays
from mohb_jax.errors import InputError
from tests import reference

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("costs", "order"),
    [
        ([(1, 1), (0, 2), (3, 0)], [1, 2, 0]),
        ([(1, 3), (0, 4), (4, 0), (3, 1), (2, 2)], [1, 2, 4, 0, 3]),
        ([(1, 1), (2, 2), (3, 3), (0, 0)], [3, 0, 1, 2]),
    ],
)
def test_orders_that_published_libraries_get_wrong(costs, order):
    """The first two come out inverted there, the third is taken for a list of priorities."""
    assert mohb_jax.epsilon_net_order(costs, scale="none").tolist() == order
    assert mohb_jax.epsilon_net_order(costs).tolist() == order


def test_front_of_the_newcomer_that_dominates_all():
    assert mohb_jax.pareto_rank([(1, 1), (2, 2), (3, 3), (0, 0)]).tolist() == [1, 2, 3, 0]


def as_list(costs):
    return costs.tolist()


def as_columns(costs):
    return np.asfortranarray(costs)


def as_single_precision(costs):
    return costs.astype(np.float32)


def as_small_integers(costs):
    return costs.astype(np.uint8)


@pytest.mark.parametrize("form", [as_list, as_columns, as_single_precision, as_small_integers])
def test_any_array_of_numbers_is_taken_and_numpy_comes_back(form):
    costs = np.random.default_rng(0).integers(6, size=(8, 2))
    corner, front = [6, 6], form(costs[:2])
    for name in ("pareto_rank", "epsilon_net_order", "crowding_order"):
        function = getattr(mohb_jax, name)
        result = function(form(costs))
        assert type(result) is np.ndarray
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, function(costs.astype(float)))
    shares = mohb_jax.hypervolume_contributions(form(costs), corner)
    assert type(shares) is np.ndarray
    assert shares.dtype == np.float64
    assert type(mohb_jax.hypervolume(form(costs), corner)) is float
    assert mohb_jax.hypervolume(form(costs), corner) == reference.hypervolume(costs, np.array(corner))
    for name in ("igd_plus", "additive_epsilon"):
        value = getattr(mohb_jax, name)(form(costs), front)
        assert type(value) is float
        assert value == pytest.approx(getattr(reference, name)(costs.astype(float), costs[:2]))


def test_differences_beyond_single_precision_count():
    costs = np.array([[1.0, 1.0 + 1e-12], [1.0 + 1e-12, 1.0 + 1e-12], [1.0, 1.0 + 2e-12]])
    assert mohb_jax.pareto_rank(costs).tolist() == [0, 1, 1]
    assert mohb_jax.additive_epsilon(costs[1:2], costs[:1]) == costs[1, 0] - costs[0, 0]
    assert mohb_jax.igd_plus(costs[1:2], costs[:1]) == costs[1, 0] - costs[0, 0]
    many = np.random.default_rng(1).random((40, 3))
    volume = moocore.hypervolume(many, ref=np.ones(3))
    assert mohb_jax.hypervolume(many, np.ones(3)) == pytest.approx(volume, rel=1e-13)


def test_sets_without_rows():
    nothing, corner = np.zeros((0, 2)), [1, 1]
    for name in ("pareto_rank", "epsilon_net_order", "crowding_order"):
        result = getattr(mohb_jax, name)(nothing)
        assert result.shape == (0,)
        assert result.dtype == np.int32
    assert mohb_jax.hypervolume(nothing, corner) == 0
    assert mohb_jax.hypervolume_contributions(nothing, corner).shape == (0,)
    assert mohb_jax.hypervolume_monte_carlo(nothing, corner, num_samples=10) == 0
    for name in ("igd_plus", "additive_epsilon"):
        indicator = getattr(mohb_jax, name)
        assert indicator(nothing, [[0, 0]]) == indicator([[0, 0]], nothing) == np.inf
        assert indicator(nothing, [[0, 0]], reference=[3, 4]) == (5 if name == "igd_plus" else 4)


@pytest.mark.parametrize(("n", "m"), [(0, 2), (1, 2), (8, 2), (8, 3), (21, 2)])
def test_public_functions_match_definitions_at_any_size(n, m):
    costs = np.random.default_rng(n).integers(6, size=(n, m))
    untouched = costs.copy()
    corner, front = np.full(m, 6), np.zeros((1, m), int)
    np.testing.assert_array_equal(arrays.pareto_rank(costs), reference.pareto_rank(costs))
    np.testing.assert_array_equal(arrays.crowding_order(costs), reference.crowding_order(costs))
    net = reference.epsilon_net_order(costs.astype(float), seed_objective=1)
    np.testing.assert_array_equal(arrays.epsilon_net_order(costs, seed_objective=1, scale="none"), net)
    volume = reference.hypervolume(costs, corner)
    np.testing.assert_allclose(arrays.hypervolume(costs, corner), volume, rtol=1e-12)
    np.testing.assert_allclose(
        arrays.hypervolume_contributions(costs, corner), reference.hypervolume_contributions(costs, corner)
    )
    if n:
        assert arrays.igd_plus(costs, front) == pytest.approx(reference.igd_plus(costs, front))
        assert arrays.additive_epsilon(costs, front) == reference.additive_epsilon(costs, front)
    np.testing.assert_array_equal(costs, untouched)


def test_public_epsilon_net_scales_by_default():
    # In raw units the first objective alone decides which of the two middle rows is the farther one.
    costs = np.array([[0.0, 1.0], [100.0, 0.4], [850.0, 0.35], [1000.0, 0.0]])
    np.testing.assert_array_equal(arrays.epsilon_net_order(costs), [0, 3, 1, 2])
    np.testing.assert_array_equal(arrays.epsilon_net_order(costs * [[1e-6, 1e6]]), [0, 3, 1, 2])
    np.testing.assert_array_equal(arrays.epsilon_net_order(costs, scale="none"), [0, 3, 2, 1])


def test_public_functions_treat_failed_rows_and_padding_as_stated():
    costs = [[0.0, np.inf], [1.0, 1.0], [np.nan, 0.0], [0.0, 0.0]]
    valid = [True, True, False, True]
    np.testing.assert_array_equal(arrays.pareto_rank(costs, valid), [2, 1, 4, 0])
    np.testing.assert_array_equal(arrays.epsilon_net_order(costs, valid), [3, 1, 0, 2])
    np.testing.assert_array_equal(arrays.crowding_order(costs, valid), [3, 1, 0, 2])
    assert arrays.hypervolume(costs, [2, 2], valid) == 4
    np.testing.assert_array_equal(arrays.hypervolume_contributions(costs, [2, 2], valid), [0, 0, 0, 3])
    assert arrays.igd_plus([[np.inf, 0.0]], [[0, 0]], reference=[3, 4]) == 5
    assert arrays.additive_epsilon([[np.inf, 0.0]], [[0, 0]]) == np.inf


GOOD = [[1.0, 2.0]]
REFUSED = {
    "NaN": (lambda: arrays.pareto_rank([[1, 2], [3, np.nan]]), "costs row 1 is nan in objective 1"),
    "-inf": (lambda: arrays.crowding_order([[-np.inf, 2]]), "costs row 0 is -inf in objective 0"),
    "one axis": (lambda: arrays.pareto_rank([1, 2]), r"costs has shape \(2,\): accepted is \(rows, obj"),
    "no objective": (lambda: arrays.pareto_rank(np.zeros((3, 0))), r"costs has shape \(3, 0\)"),
    "words": (lambda: arrays.pareto_rank(np.array([["a", "b"]])), "costs does not hold numbers"),
    "ragged": (lambda: arrays.pareto_rank([[1, 2], [3]]), "costs does not hold numbers"),
    "mask": (lambda: arrays.pareto_rank(GOOD, [True, False]), r"mask of costs is bool of shape \(2,\)"),
    "mask of numbers": (lambda: arrays.pareto_rank(GOOD, [1]), "mask of costs is int64"),
    "scale": (lambda: arrays.epsilon_net_order(GOOD, scale="log"), "'log': accepted are minmax, rank, none"),
    "seed objective": (lambda: arrays.epsilon_net_order(GOOD, seed_objective=2), "is 2: accepted are 0 to 1"),
    "reference": (lambda: arrays.hypervolume(GOOD, [1, 2, 3]), r"shape \(3,\): accepted is \(2,\)"),
    "endless": (lambda: arrays.hypervolume(GOOD, [1, np.inf]), "reference is .*: accepted are finite"),
    "five": (lambda: arrays.hypervolume(np.zeros((1, 5)), np.ones(5)), "hypervolume_monte_carlo"),
    "front": (lambda: arrays.igd_plus(GOOD, [[1, 2, 3]]), "front has 3 objectives: accepted are 2"),
    "NaN in front": (lambda: arrays.additive_epsilon(GOOD, [[np.nan, 3]]), "front row 0 is nan"),
    "samples": (lambda: arrays.hypervolume_monte_carlo(GOOD, [3, 3], num_samples=0), "num_samples is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_public_functions_refuse_bad_input_in_one_line(case):
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as refusal:
        call()
    assert "\n" not in str(refusal.value)


def test_public_monte_carlo_estimates_many_objectives():
    volume = arrays.hypervolume_monte_carlo(np.eye(5) * 0.5, np.ones(5), num_samples=20_000)
    inclusion_exclusion = 5 / 2 - 10 / 4 + 10 / 8 - 5 / 16 + 1 / 32  # each row covers half the cube
    assert abs(volume - inclusion_exclusion) < 4 * 0.5 / np.sqrt(20_000)


def test_orders_hold_where_differences_leave_the_range_of_floats():
    wide = [[-1e308, 1], [1e308, 0], [0, 0.5]]
    assert mohb_jax.crowding_order(wide).tolist() == [0, 1, 2]
    for scale in ("minmax", "rank", "none"):
        order = mohb_jax.epsilon_net_order(wide, scale=scale).tolist()
        assert (order[0], sorted(order)) == (0, [0, 1, 2])
    assert mohb_jax.pareto_rank([[1e-310, 1], [2e-310, 1], [np.inf, 0]]).tolist() == [0, 1, 2]
    assert mohb_jax.crowding_order([[1e-310, 1], [2e-310, 1]]).tolist() == [0, 1]
