"""Members of an ensemble on devices: the worked example, bounds, and the plain definition."""

import functools

import jax
import numpy as np
import pytest

from mohb_jax.ensembles import placement
from mohb_jax.ensembles.placement import Devices, Members, place
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from tests import reference_ensembles as reference

pytestmark = pytest.mark.fast

MEMBERS = Members(*np.array([[3.0, 2, 1], [0.05, 0.03, 0.02], [4e-3, 2e-3, 1e-3], [8e-3] * 3]))
DEVICES = Devices(np.array([8.0, 6]), np.array([1.0, 2]))
SIZES = (0, 8, 32)


@in_64_bits
def first_fit(members, devices):
    levels, lacks = jax.jit(placement.worst_fit)(members, devices)
    return np.asarray(levels), np.asarray(lacks)


@in_64_bits
def rate_of(levels, members, devices, sizes=SIZES):
    return float(placement.throughput(np.asarray(levels), members, devices, np.array(sizes, float)))


def test_worked_example():
    levels, lacks = first_fit(MEMBERS, DEVICES)
    assert not lacks.any()
    np.testing.assert_array_equal(levels, [[1, 0, 1], [0, 1, 0]])
    assert rate_of(levels, MEMBERS, DEVICES) == pytest.approx(100)
    found = place(MEMBERS, DEVICES, SIZES)
    np.testing.assert_array_equal(found.levels, [[1, 0, 1], [1, 1, 0]])
    assert found.throughput == pytest.approx(250)
    used = [np.asarray(MEMBERS.memory + MEMBERS.activation * 8)[own > 0].sum() for own in found.levels]
    assert used == pytest.approx([4.56, 5.64])
    assert reference.best_matrix(MEMBERS, DEVICES, SIZES) == pytest.approx(250)


def test_worst_fit_alone():
    members = Members(np.array([6.0, 5, 3, 2]), np.zeros(4), np.ones(4), np.zeros(4))
    levels, lacks = first_fit(members, Devices(np.array([10.0, 8]), np.ones(2)))
    np.testing.assert_array_equal(levels, [[1, 0, 1, 0], [0, 1, 0, 1]])
    assert not lacks.any()


def drawn(seed, models=3, devices=2):
    chance = np.random.default_rng(seed)
    members = Members(
        chance.uniform(1, 3, models),
        chance.uniform(0.01, 0.06, models),
        chance.uniform(1e-3, 6e-3, models),
        chance.uniform(4e-3, 9e-3, models),
    )
    return members, Devices(chance.uniform(6, 9, devices), chance.uniform(1, 3, devices))


@pytest.mark.parametrize("seed", range(6))
def test_throughput_agrees_with_the_definition(seed):
    members, devices = drawn(seed)
    chance = np.random.default_rng(seed)
    for levels in chance.integers(0, 3, (20, 2, 3)):
        wanted = reference.throughput(levels, members, devices, SIZES)
        assert rate_of(levels, members, devices) == pytest.approx(wanted)


def greedy(levels, members, devices):
    """The definition: all matrices that differ in one entry, the first of the best."""
    now = reference.throughput(levels, members, devices, SIZES)
    while True:
        found = []
        for entry in range(levels.size):
            for level in range(len(SIZES)):
                other = levels.copy()
                other.flat[entry] = level
                found.append((reference.throughput(other, members, devices, SIZES), other))
        every = np.array([rate for rate, _ in found])
        best = int(np.argmax(every >= every.max() * (1 - 1e-9)))
        if not found[best][0] > now * (1 + 1e-9):
            return levels, now
        now, levels = found[best]


def test_greedy_agrees_with_the_definition_and_stays_below_the_best():
    gaps = []
    for seed in range(6):
        members, devices = drawn(seed)
        levels, now = greedy(first_fit(members, devices)[0], members, devices)
        found = place(members, devices, SIZES)
        np.testing.assert_array_equal(found.levels, levels)
        assert found.throughput == pytest.approx(now)
        gaps.append(now / reference.best_matrix(members, devices, SIZES))
    assert max(gaps) <= 1 + 1e-9
    assert np.mean(gaps) > 0.7


def test_batches_alone_are_the_best_where_workers_stay():
    for seed in range(6):
        members, devices = drawn(seed)
        levels = first_fit(members, devices)[0]
        found = placement.best_batches(levels, members, devices, SIZES)
        where = np.flatnonzero(levels)
        rates = []
        for chosen in np.ndindex(*(2,) * where.size):
            other = levels.copy()
            other.flat[where] = np.array(chosen) + 1
            rates.append(reference.throughput(other, members, devices, SIZES))
        assert rate_of(found, members, devices) == pytest.approx(max(rates))


def test_one_model_takes_all_devices_that_are_alike():
    members = Members(np.array([2.0]), np.array([0.01]), np.array([5e-3]), np.array([0.01]))
    devices = Devices(np.full(16, 8.0), np.ones(16))
    found = place(members, devices)
    assert (found.levels == 5).all()
    assert found.throughput == pytest.approx(16 * 128 / (0.01 + 128 * 5e-3))
    spread = placement.spread_out(members, devices)
    np.testing.assert_array_equal(spread, found.levels)


@functools.cache
def bounded():
    return in_64_bits(jax.jit(functools.partial(placement.improved, sizes=SIZES, num_neighbours=6)))


def test_the_bounded_search_gains_and_never_loses():
    members, devices = drawn(1)
    levels = first_fit(members, devices)[0]
    start = rate_of(levels, members, devices)
    run = in_64_bits(lambda seed: bounded()(levels, members, devices, jax.random.key(seed)))
    rates = [float(run(seed)[1]) for seed in range(5)]
    assert min(rates) >= start
    assert max(rates) > start
    assert max(rates) <= reference.best_matrix(members, devices, SIZES) + 1e-9


@in_64_bits
def test_padding_changes_nothing():
    members, devices = drawn(2)
    more = Members(*(np.append(part, fill) for part, fill in zip(members, (np.inf, 0, 1, 1), strict=True)))
    levels, lacks = placement.worst_fit(more, devices)
    assert not np.asarray(lacks).any()
    np.testing.assert_array_equal(np.asarray(levels)[:, :3], first_fit(members, devices)[0])
    assert not np.asarray(levels)[:, 3].any()
    assert rate_of(levels, more, devices) == pytest.approx(rate_of(levels[:, :3], members, devices))


@pytest.mark.parametrize(
    ("members", "devices", "message"),
    [
        (MEMBERS._replace(memory=np.array([3.0, 9, 1])), DEVICES, "model 1 fits on no device: it needs 9.24"),
        (MEMBERS._replace(memory=np.array([5.0, 5, 5])), DEVICES, "finds no place"),
        (MEMBERS._replace(work=np.array([1.0, np.nan, 1])), DEVICES, "work is"),
        (MEMBERS._replace(work=np.ones(2)), DEVICES, "members: one number of each kind"),
        (MEMBERS, Devices(np.zeros(0), np.zeros(0)), "devices: one number"),
        (MEMBERS, Devices(np.array([8.0, 6]), np.array([1.0, 0])), "speed is"),
    ],
)
def test_bad_input_is_one_line(members, devices, message):
    with pytest.raises(InputError, match=message) as caught:
        place(members, devices, SIZES)
    assert "\n" not in str(caught.value)
