"""Parzen estimators against their formulas in plain NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mohb_jax.surrogates import parzen
from mohb_jax.surrogates.parzen import Mixture

CHOICES = (0, 3, 0, 5)
N, PADDING = 23, 9


def observations(seed, n=N):
    """Numbers in [0, 1] and levels, as ``CHOICES`` has them; the last level never occurs."""
    rng = np.random.default_rng(seed)
    columns = [rng.uniform(size=n) if c == 0 else rng.integers(c - 1, size=n) for c in CHOICES]
    return np.stack(columns, axis=1).astype(float)


def padded(values, padding=PADDING):
    """Values with padding after them that must not matter, and the mask."""
    fill = np.full((padding, *values.shape[1:]), 0.77)
    return jnp.asarray(np.concatenate([values, fill])), jnp.arange(len(values) + padding) < len(values)


def shares(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape))


# One kernel over all columns


def test_bandwidths_are_those_of_the_normal_reference_rule():
    points = observations(0)
    expected = 1.06 * np.std(points, axis=0) * N ** (-1 / (4 + 4))
    np.testing.assert_allclose(parzen.normal_reference(*padded(points)), expected, rtol=1e-12)


def test_bandwidths_have_limits():
    points = observations(1)
    points[:, 0] = 0.3
    points[:, 1] = np.where(np.arange(N) % 2, 0, 2)  # deviates by 1: beyond the uniform kernel
    bandwidth = parzen.fit_kernels(*padded(points), CHOICES).bandwidth
    assert float(bandwidth[0]) == 1e-3
    assert float(parzen.normal_reference(*padded(points))[1]) > 2 / 3 == pytest.approx(float(bandwidth[1]))
    one_level = parzen.fit_kernels(*padded(np.zeros((N, 1))), (1,))
    assert float(one_level.bandwidth[0]) == 0
    np.testing.assert_array_equal(parzen.log_density(one_level, jnp.zeros((2, 1)), (1,)), 0)


def density_by_definition(points, bandwidth, x):
    """A product of Gaussian and Aitchison-Aitken kernels, averaged over the points."""
    total = 0
    for point in points:
        product = 1.0
        for own, h, value, choices in zip(point, bandwidth, x, CHOICES, strict=True):
            if choices:
                product *= 1 - h if value == own else h / (choices - 1)
            else:
                product *= scipy.stats.norm.pdf(value, own, h)
        total += product / len(points)
    return total


def test_density_equals_the_definition(variant):
    points, queries = observations(2), observations(3, 7)
    queries[0, 3] = 4  # a level that was never observed
    kernels = parzen.fit_kernels(*padded(points), CHOICES)
    found = variant(lambda *args: parzen.log_density(parzen.Kernels(*args), jnp.asarray(queries), CHOICES))(
        *kernels
    )
    expected = [np.log(density_by_definition(points, np.asarray(kernels.bandwidth), x)) for x in queries]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_density_far_from_all_points_is_no_number_but_never_undefined():
    kernels = parzen.fit_kernels(jnp.zeros((3, 1)), jnp.ones(3, bool), (0,))
    found = parzen.log_density(kernels, jnp.array([[0.0], [1.0]]), (0,))
    np.testing.assert_allclose(found[1] - found[0], -0.5 / 1e-6)  # no underflow


def test_draws_are_near_points_and_keep_levels_as_often_as_they_should():
    points = observations(4, 2)
    kernels = parzen.fit_kernels(*padded(points), CHOICES)
    draws = np.asarray(parzen.draw_widened(shares(0, 40_000, 9), kernels, CHOICES, 3.0))
    assert ((draws[:, ::2] >= 0) & (draws[:, ::2] <= 1)).all()
    for column, choices in enumerate(CHOICES):
        h = float(kernels.bandwidth[column])
        if choices:
            shares_of = np.bincount(draws[:, column].astype(int), minlength=choices) / len(draws)
            kept = np.bincount(points[:, column].astype(int), minlength=choices) / 2
            np.testing.assert_allclose(shares_of, (1 - h) * kept + h / choices, atol=0.01)
            continue

        def cdf(x, column=column, h=h):
            parts = [
                scipy.stats.truncnorm.cdf(x, -m / (3 * h), (1 - m) / (3 * h), m, 3 * h)
                for m in points[:, column]
            ]
            return np.mean(parts, axis=0)

        assert scipy.stats.kstest(draws[:, column], cdf).pvalue > 1e-3


# One column at a time


def unit_mixture(values, valid):
    return parzen.mixture(jnp.asarray(values, float), jnp.asarray(valid), jnp.zeros(()), jnp.ones(()))


def test_widths_of_the_published_example():
    """The published code gives .3, 1, .4, .25: in sorted order, indexed by the order and not by its
    inverse."""
    widths = unit_mixture([0.9, 0.1, 0.2], [True] * 3).width
    np.testing.assert_allclose(widths, [1, 0.4, 0.25, 0.3])


def widths_by_definition(values, span, prior):
    centres = [prior, *values]
    widths = [span]
    for number, own in enumerate(values, start=1):
        others = [c for i, c in enumerate(centres) if i != number]
        below = [own - c for c in others if c <= own]
        above = [c - own for c in others if c >= own]
        gap = max(min(below, default=0), min(above, default=0))
        widths.append(np.clip(gap, span / min(100, len(centres)), span))
    return widths


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40, 150])
def test_widths_equal_the_definition(variant, n):
    values = np.random.default_rng(n).permutation(np.linspace(0.01, 0.97, n) ** 2)  # distinct
    values, valid = padded(values)
    hidden = np.random.default_rng(n + 1).permutation(n + PADDING)  # padding may be anywhere
    parts = variant(unit_mixture)(values[hidden], valid[hidden])
    real = np.asarray(values)[hidden][np.asarray(valid)[hidden]]
    found = np.asarray(parts.width)[np.asarray(parts.weight) > 0]
    np.testing.assert_allclose(found, widths_by_definition(real, 1.0, 0.5), rtol=1e-12)


def mixture_by_definition(parts: Mixture, x):
    parts = Mixture(*(np.asarray(field) for field in parts))
    densities = [
        scipy.stats.truncnorm.pdf(x, (parts.low - c) / w, (parts.high - c) / w, c, w)
        for c, w, real in zip(parts.centre, parts.width, parts.weight > 0, strict=True)
        if real
    ]
    return np.mean(densities, axis=0)


def test_mixture_equals_the_definition_and_integrates_to_one(variant):
    parts = unit_mixture(*padded(np.random.default_rng(5).beta(1, 3, 12)))
    x = np.linspace(0, 1, 30)
    found = variant(lambda *fields: parzen.log_mixture(Mixture(*fields), jnp.asarray(x)))(*parts)
    np.testing.assert_allclose(np.exp(found), mixture_by_definition(parts, x), rtol=1e-10)
    grid = np.linspace(0, 1, 4001)
    area = scipy.integrate.simpson(np.exp(parzen.log_mixture(parts, jnp.asarray(grid))), x=grid)
    assert area == pytest.approx(1, abs=1e-6)


def test_draws_of_a_mixture_have_its_distribution():
    parts = unit_mixture(*padded(np.array([0.02, 0.9, 0.95])))
    draws = np.asarray(parzen.draw_mixture(shares(1, 20_000, 2), parts))
    fields = (np.asarray(field)[:4] for field in (parts.centre, parts.width))
    centre_width = list(zip(*fields, strict=True))

    def cdf(x):
        return np.mean(
            [scipy.stats.truncnorm.cdf(x, -c / w, (1 - c) / w, c, w) for c, w in centre_width], axis=0
        )

    assert scipy.stats.kstest(draws, cdf).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0, 1 - 2**-53])
def test_the_ends_of_a_truncated_normal_are_numbers(share):
    centre = jnp.array([0.0, 0.5, 1.0])
    found = parzen.truncated_normal(jnp.full(3, share), centre, jnp.full(3, 1e-3), 0.0, 1.0)
    assert ((found >= 0) & (found <= 1)).all()


def ordinal_mixture(level, num_levels, valid):
    step = 1 / max(num_levels - 1, 1)
    last = (num_levels - 1) * step
    values = jnp.asarray(level) * step
    return parzen.mixture(values, valid, jnp.asarray(-step / 2), jnp.asarray(last + step / 2))


@pytest.mark.parametrize("num_levels", [1, 2, 4, 9])
def test_ordinal_masses_are_integrals_and_sum_to_one(variant, num_levels):
    """The published code takes the upper limit twice: every level would have the same, least mass."""
    level = np.random.default_rng(num_levels).integers(num_levels, size=11)
    parts = ordinal_mixture(*([*padded(level)[:1], num_levels]), padded(level)[1])
    found = variant(lambda *fields: parzen.ordinal_masses(Mixture(*fields[:-1]), fields[-1], 12))(
        *parts, jnp.int32(num_levels)
    )
    assert float(jnp.sum(found)) == pytest.approx(1, abs=1e-12)
    assert (np.asarray(found[num_levels:]) == 0).all()
    step = 1 / max(num_levels - 1, 1)
    for own in range(num_levels):
        x = np.linspace((own - 0.5) * step, (own + 0.5) * step, 201)
        area = scipy.integrate.simpson(mixture_by_definition(parts, x), x=x)
        assert float(found[own]) == pytest.approx(area, abs=1e-6)
    if num_levels > 1:
        assert len(set(np.round(np.asarray(found[:num_levels]), 12))) > 1


@pytest.mark.parametrize("num_levels", [1, 2, 6])
def test_categorical_masses_equal_the_definition(variant, num_levels):
    level = np.random.default_rng(num_levels).integers(num_levels, size=8)
    values, valid = padded(level)
    found = variant(lambda *args: parzen.categorical_masses(*args, 7))(
        values.astype(jnp.int32), valid, jnp.int32(num_levels)
    )
    other = 0.1 / max(num_levels - 1, 1)
    top = 0.9 if num_levels > 1 else 1.0
    kernels = [[top if own == seen else other for own in range(num_levels)] for seen in level]
    expected = np.mean([*kernels, np.full(num_levels, 1 / num_levels)], axis=0)
    np.testing.assert_allclose(found[:num_levels], expected, rtol=1e-12)
    assert (np.asarray(found[num_levels:]) == 0).all()


def test_levels_are_drawn_in_proportion_and_never_one_that_a_column_lacks():
    mass = jnp.array([0.2, 0.5, 0.3, 0.0, 0.0])
    draws = np.asarray(parzen.draw_levels(shares(2, 30_000), mass))
    np.testing.assert_allclose(np.bincount(draws, minlength=5) / 30_000, mass, atol=0.01)
    extremes = parzen.draw_levels(jnp.array([0.0, 1 - 2**-53]), jnp.array([0.1] * 10 + [0.0]))
    assert extremes.tolist() == [0, 9]


def test_the_ratio_of_masses_is_defined_everywhere():
    found = parzen.log_ratio(jnp.array([0.5, 0.5, 0.0]), jnp.array([0.25, 0.75, 0.0]))
    np.testing.assert_allclose(found, [np.log(2), np.log(2 / 3), -np.inf])


def test_a_choice_for_every_share():
    share = jnp.array([0.0, 0.249, 0.25, 0.999, 1 - 2**-53])
    assert parzen.chosen(share, jnp.int32(4)).tolist() == [0, 0, 1, 3, 3]


def test_padding_does_not_matter_to_gradients_of_nothing():
    """No array holds a number that is not one, in padding either."""
    with jax.debug_nans(True):
        values, valid = padded(np.random.default_rng(6).uniform(size=5))
        parts = unit_mixture(values, valid)
        parzen.log_mixture(parts, jnp.linspace(0, 1, 5))
        kernels = parzen.fit_kernels(*padded(observations(7)), CHOICES)
        parzen.log_density(kernels, jnp.asarray(observations(8)), CHOICES)
