"""Expected improvement against sampling, numerical integration and the hypervolume kernel."""

import itertools
import math

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
import scipy.stats

from mohb_jax.errors import InputError
from mohb_jax.kernels.expected_improvement import (
    NUM_ANCHORS,
    expected_hypervolume_improvement,
    expected_shortfall,
    hypervolume_improvement_bound,
    log_expected_hypervolume_improvement,
    log_hypervolume_improvement_bound,
    undominated_boxes,
)

LENGTH = 12


@jax.jit
def improvement(costs, valid, reference, mean, deviation):
    return expected_hypervolume_improvement(undominated_boxes(costs, valid, reference), mean, deviation)


def padded(costs):
    """Rows in an array of fixed length whose padding holds what would count if it were read."""
    wide = np.full((LENGTH, costs.shape[1]), -5.0)
    wide[: len(costs)] = costs
    return jnp.asarray(wide), jnp.arange(LENGTH) < len(costs)


def by_cells(costs, reference, mean, deviation):
    """The definition: integral over the undominated region of the probability to dominate a place, cell by
    cell of the whole grid; each cell is dominated or not as a whole."""
    m = costs.shape[1]
    edges = [np.unique(np.append(costs[:, i][costs[:, i] < reference[i]], reference[i])) for i in range(m)]
    edges = [np.concatenate([[-np.inf], own]) for own in edges]

    def below(edge, i):
        room = edge - mean[i]
        if np.isneginf(edge):
            return 0.0
        if deviation[i] == 0:
            return max(room, 0.0)
        u = room / deviation[i]
        return room * scipy.stats.norm.cdf(u) + deviation[i] * scipy.stats.norm.pdf(u)

    widths = [np.diff([below(edge, i) for edge in own]) for i, own in enumerate(edges)]
    total = 0.0
    for cell in itertools.product(*(range(len(own) - 1) for own in edges)):
        corner = np.array([own[i] for own, i in zip(edges, cell, strict=True)])
        if not (costs <= corner).all(axis=1).any():
            total += math.prod(own[i] for own, i in zip(widths, cell, strict=True))
    return total


def case(n, m, levels, seed):
    rng = np.random.default_rng(seed)
    costs = rng.integers(levels, size=(n, m)) / levels
    mean, deviation = rng.uniform(-0.2, 1.2, (m, 5)), rng.uniform(0.01, 0.6, (m, 5))
    deviation[:, 0] = 0  # known
    deviation[-1, 1] = 0  # one of them known
    return costs, np.full(m, 1.05), mean, deviation


@pytest.mark.parametrize(("n", "m"), [(0, 2), (1, 1), (9, 1), (1, 2), (12, 2), (1, 3), (5, 3), (12, 3)])
@pytest.mark.parametrize("levels", [3, 1000])  # 3 forces ties and duplicates
def test_equals_the_definition_cell_by_cell(n, m, levels):
    for seed in range(4):
        costs, reference, mean, deviation = case(n, m, levels, 100 * seed + n)
        if n > 1:
            costs[-1, 0] = 2.0  # beyond the reference: counts for nothing
        ours = improvement(*padded(costs), reference, mean, deviation)
        expected = [by_cells(costs, reference, mean[:, k], deviation[:, k]) for k in range(5)]
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-13, err_msg=f"{seed=}")


@pytest.mark.parametrize("m", [2, 3])
def test_agrees_with_sampling(m):
    """Within 5 standard errors of 4,000 samples of the exact improvement."""
    costs, reference, mean, deviation = case(8, m, 1000, seed=m)
    ours = np.asarray(improvement(*padded(costs), reference, mean, deviation))
    before = moocore.hypervolume(costs, ref=reference)
    rng = np.random.default_rng(0)
    for k in range(1, 5):
        samples = rng.normal(mean[:, k], deviation[:, k], (4000, m))
        gains = [moocore.hypervolume(np.vstack([costs, y]), ref=reference) - before for y in samples]
        assert abs(np.mean(gains) - ours[k]) < 5 * np.std(gains) / np.sqrt(4000) + 1e-6


@pytest.mark.parametrize("m", [1, 2, 3])
def test_without_doubt_it_is_the_gain_in_hypervolume(m):
    rng = np.random.default_rng(m)
    costs, mean = 0.2 + rng.random((11, m)), 0.4 * rng.random((m, 5))
    reference = np.full(m, 0.9)
    for deviation in (0.0, 1e-9):
        ours = improvement(*padded(costs), reference, mean, np.full((m, 5), deviation))
        before = moocore.hypervolume(costs, ref=reference)
        gains = [moocore.hypervolume(np.vstack([costs, y]), ref=reference) - before for y in mean.T]
        assert max(gains) > 0
        np.testing.assert_allclose(ours, gains, atol=1e-7)


def test_two_objectives_equal_the_sum_over_strips():
    """The formula for two objectives as it is usually written, with the front sorted by the first."""
    front = np.array([[0.1, 0.9], [0.3, 0.5], [0.6, 0.4], [0.8, 0.1]])
    reference, mean, deviation = np.array([1.0, 1.0]), np.array([0.4, 0.35]), np.array([0.3, 0.2])

    def below(b, i):
        u = (b - mean[i]) / deviation[i]
        return (b - mean[i]) * scipy.stats.norm.cdf(u) + deviation[i] * scipy.stats.norm.pdf(u)

    right = np.append(front[:, 0], reference[0])
    left = np.append(0.0, [below(x, 0) for x in front[:, 0]])
    height = np.append(reference[1], front[:, 1])
    strips = [below(e, 1) * (below(b, 0) - a) for a, b, e in zip(left, right, height, strict=True)]
    ours = improvement(*padded(front), reference, mean[:, None], deviation[:, None])
    np.testing.assert_allclose(ours, [sum(strips)], rtol=1e-12)


def test_with_one_objective_it_is_expected_improvement():
    costs, reference, mean, deviation = case(9, 1, 1000, seed=5)
    ours = improvement(*padded(costs), reference, mean, deviation)
    least = jnp.full(5, costs.min())
    np.testing.assert_allclose(ours, expected_shortfall(least, mean[0], deviation[0]), rtol=1e-12)


def test_nothing_is_expected_of_what_is_far_behind_and_much_of_what_is_far_ahead():
    costs, reference, _, _ = case(8, 3, 1000, seed=1)
    behind = improvement(*padded(costs), reference, np.full((3, 1), 60.0), np.full((3, 1), 0.5))
    assert behind.tolist() == [0.0]
    ahead = improvement(*padded(costs), reference, np.full((3, 1), -9.0), np.full((3, 1), 0.5))
    volume = 10.05**3 - moocore.hypervolume(costs, ref=reference)  # E[(r - y)+] = r - E[y], nearly
    np.testing.assert_allclose(ahead, volume, rtol=1e-9)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_boxes_are_disjoint_few_and_fill_what_is_not_dominated(m):
    rng = np.random.default_rng(m)
    for levels in (4, 1000):
        costs = rng.integers(levels, size=(LENGTH, m)) / levels
        reference = np.full(m, 1.01)
        boxes = jax.jit(undominated_boxes)(costs, np.ones(LENGTH, bool), reference)
        assert boxes.lower.shape == (m, (1, LENGTH + 1, 2 * LENGTH + 1)[m - 1])
        places = rng.uniform(-0.1, 1.01, (400, m))
        low, high = (
            np.stack([np.asarray(boxes.edges)[k][np.asarray(side)[k]] for k in range(m)], axis=1)
            for side in (boxes.lower, boxes.upper)
        )
        inside = ((places[:, None] > low[None]) & (places[:, None] <= high[None])).all(axis=2).sum(axis=1)
        dominated = (costs[None] < places[:, None]).all(axis=2).any(axis=1)
        np.testing.assert_array_equal(inside, ~dominated)


@pytest.mark.parametrize(("n", "m"), [(0, 2), (1, 1), (9, 1), (1, 2), (12, 2), (1, 3), (5, 3), (12, 3)])
def test_no_improvement_is_beyond_its_bound(n, m):
    bound = jax.jit(hypervolume_improvement_bound)
    for seed in range(4):
        costs, reference, mean, deviation = case(n, m, 1000, 100 * seed + n)
        rows, valid = padded(costs)
        most = np.asarray(bound(rows, valid, reference, mean, deviation))
        exact = improvement(rows, valid, reference, mean, deviation)
        assert (exact <= most * (1 + 1e-9) + 1e-15).all()
        if n < 2 or m == 1:  # one row dominates all others, or there is none
            np.testing.assert_allclose(most, exact, rtol=1e-9)


def test_a_bound_is_the_least_improvement_on_one_of_the_rows_that_dominate_most():
    costs, reference, mean, deviation = case(10, 3, 1000, seed=4)
    order = np.argsort(-np.prod(reference - np.minimum(costs, reference), axis=1))[:NUM_ANCHORS]
    alone = [improvement(*padded(costs[[k]]), reference, mean, deviation) for k in order]
    ours = hypervolume_improvement_bound(*padded(costs), reference, mean, deviation)
    np.testing.assert_allclose(ours, np.min(alone, axis=0), rtol=1e-9)


def test_numbers_of_32_bits_have_six_digits():
    room = np.linspace(-30, 30, 4001)
    ours = expected_shortfall(jnp.float32(room), jnp.zeros(4001, jnp.float32), jnp.ones(4001, jnp.float32))
    exact = expected_shortfall(jnp.asarray(room), jnp.zeros(4001), jnp.ones(4001))
    seen = np.asarray(exact) > 1e-36
    np.testing.assert_allclose(ours[np.abs(room) < 5], exact[np.abs(room) < 5], rtol=5e-6)
    np.testing.assert_allclose(np.log(ours[seen]), np.log(exact[seen]), rtol=2e-6, atol=2e-6)


def test_variants_and_infinite_rows(variant):
    costs, reference, mean, deviation = case(10, 3, 1000, seed=8)
    costs[3] = np.inf
    rows, valid = padded(costs)
    ours = variant(improvement)(rows, valid, reference, mean, deviation)
    without = improvement(*padded(np.delete(costs, 3, axis=0)), reference, mean, deviation)
    np.testing.assert_allclose(ours, without, rtol=1e-12)


def test_four_objectives_are_refused():
    with pytest.raises(InputError, match="at most 3 objectives, not 4"):
        undominated_boxes(jnp.zeros((2, 4)), jnp.ones(2, bool), jnp.ones(4))


@pytest.mark.parametrize("far", [0.0, 3.0, 60.0])
def test_the_logarithm_of_the_improvement_has_no_end(far):
    """Against the improvement itself, and where that is no number, against sums of logarithms: with one row
    that every other objective leaves alone, a distant row adds what the nearest box gives."""
    rng = np.random.default_rng(3)
    costs, reference = rng.uniform(size=(6, 2)), np.full(2, 1.1)
    mean, deviation = rng.uniform(0.2, 1.2, (2, 9)) + far, np.full((2, 9), 0.3)

    @jax.jit
    def both(costs, valid, reference, mean, deviation):
        boxes = undominated_boxes(costs, valid, reference)
        log = log_expected_hypervolume_improvement(boxes, mean, deviation)
        most = log_hypervolume_improvement_bound(costs, valid, reference, mean, deviation)
        plain = hypervolume_improvement_bound(costs, valid, reference, mean, deviation)
        return log, expected_hypervolume_improvement(boxes, mean, deviation), most, plain

    log, plain, most, plain_most = both(*padded(costs), reference, mean, deviation)
    assert (log <= most + 1e-8).all()
    if far < 60:
        np.testing.assert_allclose(np.exp(log), plain, rtol=1e-8)
        np.testing.assert_allclose(np.exp(most), plain_most, rtol=1e-8)
        return
    assert (plain == 0).all()
    assert np.isfinite(log).all()
    order = np.argsort(np.sum((mean - reference[:, None]) ** 2, axis=0))
    assert log[order[0]] == max(log)
