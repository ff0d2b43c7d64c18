"""Exact and sampled hypervolume, contributions, progress and greedy subsets."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mohb_jax.errors import InputError
from mohb_jax.kernels import hypervolume as kernels
from tests import reference
from tests.conftest import middle_lane

pytestmark = pytest.mark.usefixtures("strict_broadcasting")

UNUSABLE = np.array([[np.nan, 0.0, 0.0, 0.0], [np.inf] * 4, [-np.inf, 0.0, 0.0, 0.0], [-9.0] * 4])
"""Rows that must not count: three are not finite, the last is marked as padding."""


@functools.cache
def compiled(name, *static):
    """The kernel compiled, and held, so that equal shapes compile once."""
    kernel = getattr(kernels, name)
    return jax.jit(lambda costs, corner, valid: kernel(costs, corner, valid, *static))


def random_costs(seed, n, m, levels=None):
    """Uniform costs in [0, 1), or few integer levels: exact sums, ties and duplicates."""
    rng = np.random.default_rng(seed)
    return rng.random((n, m)) if levels is None else rng.integers(levels, size=(n, m)).astype(float)


def spread_front(seed, n, m):
    """Mutually non-dominated rows on a sphere."""
    costs = random_costs(seed, n, m)
    return costs / np.linalg.norm(costs, axis=1, keepdims=True)


def with_unusable(costs, num_rows=14):
    """Costs among rows that must not count, the mask, and where the costs went; ``num_rows`` in all."""
    m, num_others = costs.shape[1], num_rows - len(costs)
    shuffled = np.random.default_rng(len(costs)).permutation(num_rows)
    others, where = shuffled[:num_others], np.sort(shuffled[num_others:])
    mixed, valid = np.zeros((num_rows, m)), np.ones(num_rows, bool)
    mixed[where], mixed[others] = costs, np.resize(UNUSABLE, (num_others, 4))[:, :m]
    valid[others[3::4]] = False
    return jnp.asarray(mixed), jnp.asarray(valid), where


CASES = {
    "no row": np.zeros((0, 4)),
    "one row": np.array([[0.25, 0.5, 0.125, 0.75]]),
    "one row outside": np.array([[0.25, 0.5, 2.0, 0.75]]),
    "all equal": np.full((5, 4), 0.5),
    "chain": np.array([3, 1, 5, 0, 4, 2])[:, None] / 8 * np.ones((1, 4)),
    "one front": spread_front(1, 7, 4),
    "on the reference": np.array([[1.0, 0.0, 0.5, 0.25], [0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 1.0]]),
    "few levels": random_costs(2, 8, 4, levels=3) / 4,
    "below zero": random_costs(3, 6, 4) - 5.0,
}


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_volume_progress_and_contributions_match_definition(case, m):
    costs, corner = CASES[case][:, :m], np.ones(m)
    mixed, valid, where = with_unusable(costs)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-14)
    close(compiled("hypervolume")(mixed, corner, valid), reference.hypervolume(costs, corner))
    progress = np.asarray(compiled("hypervolume_progress")(mixed, corner, valid))
    close(progress[where], reference.hypervolume_progress(costs, corner))
    assert (np.diff(progress) >= 0).all()
    shares = np.asarray(compiled("hypervolume_contributions")(mixed, corner, valid))
    close(shares[where], reference.hypervolume_contributions(costs, corner), atol=1e-12 * 6**m)
    assert (np.delete(shares, where) == 0).all()


def check_against_definitions(run, m):
    """Every kernel of a set of rows, run by ``run``, on costs whose sums are exact."""
    costs, corner = random_costs(m, 8, m, levels=5), np.full(m, 4.0)
    mixed, valid, where = with_unusable(costs)
    arguments = mixed, jnp.asarray(corner), valid
    assert run(kernels.hypervolume)(*arguments) == reference.hypervolume(costs, corner)
    progress = run(kernels.hypervolume_progress)(*arguments)
    np.testing.assert_array_equal(progress[where], reference.hypervolume_progress(costs, corner))
    shares = run(kernels.hypervolume_contributions)(*arguments)
    np.testing.assert_array_equal(shares[where], reference.hypervolume_contributions(costs, corner))
    select = run(lambda *arguments: kernels.hypervolume_subset_order(*arguments, num_select=5))
    order = reference.greedy_hypervolume_subset(costs, corner, 5)
    np.testing.assert_array_equal(select(*arguments), where[order])


def eagerly(kernel):
    return kernel


@pytest.mark.parametrize(
    ("run", "m"), [(eagerly, 2), (jax.jit, 3), (middle_lane, 2), (middle_lane, 3), (middle_lane, 4)]
)
def test_variants_match_definition(run, m):
    check_against_definitions(run, m)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_arrays_without_rows(m):
    costs, corner, valid = np.zeros((0, m)), np.ones(m), np.zeros(0, bool)
    assert kernels.hypervolume(costs, corner) == 0
    assert kernels.hypervolume_progress(costs, corner, valid).shape == (0,)
    assert kernels.hypervolume_contributions(costs, corner).shape == (0,)
    assert kernels.hypervolume_subset_order(costs, corner, valid, 0).shape == (0,)


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("make", [random_costs, spread_front])
def test_matches_moocore(m, make):
    costs, corner, valid = make(m, 70, m), np.full(m, 1.1), np.ones(70, bool)
    np.testing.assert_allclose(
        compiled("hypervolume")(costs, corner, valid), moocore.hypervolume(costs, ref=corner), rtol=1e-12
    )
    prefixes = [moocore.hypervolume(costs[: i + 1], ref=corner) for i in range(70)]
    np.testing.assert_allclose(compiled("hypervolume_progress")(costs, corner, valid), prefixes, rtol=1e-12)
    shares = moocore.hv_contributions(costs, ref=corner, ignore_dominated=False)
    np.testing.assert_allclose(
        compiled("hypervolume_contributions")(costs, corner, valid), shares, rtol=1e-9, atol=1e-13
    )


def test_unlike_scales_keep_their_digits():
    scales = np.array([1e-9, 1e9, 1.0])
    costs, valid = random_costs(5, 40, 3), np.ones(40, bool)
    unit = compiled("hypervolume")(costs, np.ones(3), valid)
    np.testing.assert_allclose(compiled("hypervolume")(costs * scales, scales, valid), unit, rtol=1e-12)


def test_single_precision_input_gives_double_precision_result():
    costs = random_costs(6, 20, 3).astype(np.float32)
    volume = kernels.hypervolume(costs, np.ones(3, np.float32))
    assert volume.dtype == jnp.float64
    np.testing.assert_allclose(volume, moocore.hypervolume(costs.astype(float), ref=np.ones(3)), rtol=1e-12)


def test_progress_over_more_than_one_block_of_cells():
    # Lanes that need many, one and no block at all, in one batch.
    n = 2 * kernels.CELLS_PER_BLOCK + 9
    lanes = np.stack([spread_front(0, n, 3), np.tile(spread_front(1, 1, 3), (n, 1)), np.full((n, 3), 2.0)])
    corner, valid = np.ones(3), np.ones(n, bool)
    batched = jax.jit(jax.vmap(kernels.hypervolume_progress, (0, None, None)))(lanes, corner, valid)
    expected = [moocore.hypervolume(lanes[0, : i + 1], ref=corner) for i in range(n)]
    np.testing.assert_allclose(batched[0], expected, rtol=1e-12)
    np.testing.assert_allclose(batched[1], moocore.hypervolume(lanes[1, :1], ref=corner), rtol=1e-12)
    assert (np.asarray(batched[2]) == 0).all()


COSTS = hnp.arrays(np.float64, (6, 3), elements=st.integers(0, 5))


@given(COSTS, st.permutations(range(6)), st.integers(0, 5))
def test_volume_ignores_order_duplicates_and_dominated_rows(costs, permutation, row):
    corner, valid = np.full(3, 5.0), np.ones(7, bool)
    volume = compiled("hypervolume")
    before = volume(np.concatenate([costs, costs[:1]]), corner, valid)
    assert before == reference.hypervolume(costs, corner)
    moved = costs[list(permutation)]
    worse = moved[row] + np.array([0.0, 1.0, 0.0])
    assert volume(np.concatenate([moved, worse[None]]), corner, valid) == before


@given(COSTS)
def test_contributions_are_zero_for_duplicates_and_exact_otherwise(costs):
    corner, valid = np.full(3, 6.0), np.ones(6, bool)
    costs[5] = costs[0]
    shares = np.asarray(compiled("hypervolume_contributions")(costs, corner, valid))
    assert shares[0] == shares[5] == 0
    np.testing.assert_array_equal(shares, reference.hypervolume_contributions(costs, corner))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_greedy_order_of_all_rows_matches_definition_with_ties(m):
    costs, corner = random_costs(10 * m, 9, m, levels=4), np.full(m, 4.0)
    order = compiled("hypervolume_subset_order", 9)(costs, corner, np.ones(9, bool))
    np.testing.assert_array_equal(order, reference.greedy_hypervolume_subset(costs, corner, 9))


@pytest.mark.parametrize("m", [2, 3])
def test_greedy_subset_of_a_front_matches_moocore_volumes(m):
    costs, corner = spread_front(3, 30, m), np.full(m, 1.1)
    order = np.asarray(compiled("hypervolume_subset_order", 10)(costs, corner, np.ones(30, bool)))
    for taken in range(10):
        totals = [moocore.hypervolume(costs[[*order[:taken], i]], ref=corner) for i in range(30)]
        assert order[taken] == np.argmax(totals)


@pytest.mark.parametrize("m", [2, 3])
def test_greedy_subset_on_a_grid_is_exact_in_every_lane(m):
    # Mirrored pairs add equal volumes, so that the last bit of a sum would decide.
    step = 2.0 ** (-50 // m)
    half = np.round(spread_front(7, 10, m) / step) * step
    costs = np.concatenate([half, half[:, ::-1]])
    lanes, corner = np.stack([costs, costs[::-1], costs]), np.full(m, np.round(1.1 / step) * step)
    kernel = functools.partial(kernels.hypervolume_subset_order, num_select=8)
    alone = compiled("hypervolume_subset_order", 8)(costs, corner, np.ones(20, bool))
    batched = jax.jit(jax.vmap(kernel, (0, None, None)))(lanes, corner, np.ones(20, bool))
    np.testing.assert_array_equal(batched[0], alone)
    np.testing.assert_array_equal(alone, exact_greedy_order(costs, corner, step, 8))


def exact_greedy_order(costs, corner, step, num_select):
    """The greedy order in whole numbers: volumes by inclusion and exclusion over the boxes."""
    sides = [[round(x / step) for x in corner - row] for row in costs]

    def volume(rows):
        subsets = (
            chosen for size in range(1, len(rows) + 1) for chosen in itertools.combinations(rows, size)
        )
        shared = ((len(chosen), [min(axis) for axis in zip(*chosen, strict=True)]) for chosen in subsets)
        return sum((-1) ** (size + 1) * math.prod(box) for size, box in shared)

    taken = []
    for _ in range(num_select):
        left = [i for i in range(len(sides)) if i not in taken]
        total = {i: volume([sides[j] for j in [*taken, i]]) for i in left}
        taken.append(max(left, key=lambda i: (total[i], -i)))
    return taken


def test_greedy_subset_puts_useless_then_failed_rows_then_padding_last():
    costs = np.array(
        [[np.inf, np.inf], [3.0, 3.0], [0.0, 0.0], [1.0, 1.0], [0.0, np.inf], [-1.0, -1.0], [5.0, 0]]
    )
    valid = np.array([True, True, True, True, True, False, True])
    order = kernels.hypervolume_subset_order(costs, np.full(2, 4.0), valid, 7)
    np.testing.assert_array_equal(order, [2, 1, 3, 6, 0, 4, 5])


def test_greedy_subset_refuses_more_rows_than_there_are():
    with pytest.raises(InputError, match="num_select is 3: accepted are 0 to 2"):
        kernels.hypervolume_subset_order(np.zeros((2, 2)), np.ones(2), np.ones(2, bool), 3)


@pytest.mark.parametrize("name", ["hypervolume", "hypervolume_contributions", "hypervolume_progress"])
def test_five_objectives_are_refused_with_the_way_out(name):
    with pytest.raises(InputError, match=r"5 objectives: .* hypervolume_monte_carlo"):
        getattr(kernels, name)(np.zeros((3, 5)), np.ones(5), np.ones(3, bool))


def test_monte_carlo_stays_within_its_standard_error():
    # Four standard errors: one false alarm in 16,000 for another key.
    costs, corner, num_samples = spread_front(4, 10, 4) * 0.8, jnp.ones(4), 20_000
    exact, box = moocore.hypervolume(costs, ref=np.ones(4)), np.prod(1 - costs.min(axis=0))
    mixed, valid, _ = with_unusable(costs)
    estimate_volume = jax.jit(kernels.hypervolume_monte_carlo, static_argnums=3)
    estimate = float(estimate_volume(jax.random.key(0), mixed, corner, num_samples, valid))
    error = box * np.sqrt(exact / box * (1 - exact / box) / num_samples)
    assert 0 < abs(estimate - exact) < 4 * error


def test_monte_carlo_takes_many_objectives_and_empty_sets():
    key, corner = jax.random.key(1), np.ones(6)
    half = kernels.hypervolume_monte_carlo(key, np.full((2, 6), 0.5), corner, 10)
    np.testing.assert_allclose(half, 0.5**6, rtol=1e-12)  # one row fills its box
    for empty in (np.zeros((0, 6)), np.full((2, 6), 2.0)):
        assert kernels.hypervolume_monte_carlo(key, empty, corner, 10) == 0
    with pytest.raises(InputError, match="num_samples is 0"):
        kernels.hypervolume_monte_carlo(key, np.zeros((2, 6)), corner, 0)
