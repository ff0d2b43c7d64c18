"""Pairs of a row and a level: what they take, what is remembered, and MOMF's gain by its definition."""

import itertools

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.searchers.kriging_believer import Judged
from mohb_jax.searchers.momf import trusted_gain
from mohb_jax.searchers.result_memory import no_launches
from mohb_jax.searchers.row_levels import level_before, pair_knowledge
from mohb_jax.simulation import simulate
from tests.test_kriging_believer import use_small_memory

pytestmark = pytest.mark.wide

LEVELS = 3
TABLE = synthetic(num_rows=20, fidelities=(1, 4, 16), num_objectives=2, seed=3)
KNOWN = pair_knowledge(TABLE, (0,), (0, 1, 2), resumable=True)


def memory(pairs, costs, pending=()):
    """Launches as they are after some results, each with what its level takes from trust."""
    own = no_launches(16, costs.shape[1] + 1, jnp.dtype(float))
    taken = len(pairs) + len(pending)
    held = np.full(16, -1)
    held[:taken] = [*pairs, *pending]
    kind = np.zeros(16, int)
    kind[: len(pairs)], kind[len(pairs) : taken] = 3, 2
    values = np.full(own.costs.shape, np.inf)
    values[: len(pairs)] = np.column_stack([costs, 1 - (np.array(pairs) % LEVELS + 1) / LEVELS])
    return own._replace(row=jnp.asarray(held), kind=jnp.asarray(kind), costs=jnp.asarray(values))


def example():
    """Results of five pairs, one pair that is pending, and what processes say of six."""
    rng = np.random.default_rng(5)
    pairs, costs = [0, 1, 4, 8, 11], rng.uniform(1, 3, (5, 2))
    launches = memory(pairs, costs, pending=(13,))
    row = np.array([2, 9, 12, 15, 16, 17])
    mean, deviation = rng.uniform(0, 0.9, (2, 6)), rng.uniform(0.1, 0.4, (2, 6))
    expected = np.array([[0.3], [0.4]])
    judged = Judged(
        jnp.int32(0),
        launches,
        jnp.zeros((2, 16)),
        jnp.array([13]),
        jnp.ones(1, bool),
        jnp.asarray(expected),
        jnp.asarray(row),
        jnp.asarray(mean),
        jnp.asarray(deviation),
        jnp.ones(6, bool),
        jnp.asarray(0.5),
    )
    scaled = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    return judged, np.vstack([scaled, expected.T]), np.array([*pairs, 13])


BOTORCH = (0.0632538303, 0.0236650124, 0.0777278773, 0.0679597013, 0.0018808758, 0.0236951354)
"""``ExpectedHypervolumeImprovement`` of BoTorch 0.12.0 of three outcomes, the last of which is trust, over
what each pair takes. Trust has a variance of 1e-10 there. Its ``MOMF`` with 4,096 samples is within .3 %."""
TAKES = {2: 12, 9: 1, 12: 1, 15: 1, 16: 4, 17: 16}
"""Sixteenths of a full training: only row 0, of which pair 1 is done, goes on at pair 2."""


def test_gain_is_the_hypervolume_with_trust_that_is_expected_over_what_it_takes():
    """By sampling 2,000 outcomes of each pair: the volume of points of three objectives, the last of which is
    trust, turned to be minimised, with reference 1: within 5 standard errors."""
    judged, front, pairs = example()
    gain = np.exp(jax.jit(trusted_gain)(KNOWN, KNOWN.pairs, judged, jax.random.key(0)))
    np.testing.assert_allclose(gain, BOTORCH, rtol=3e-4)
    points = np.column_stack([front, 1 - (pairs % LEVELS + 1) / LEVELS])
    reference, rng = np.array([1.1, 1.1, 1.0]), np.random.default_rng(0)
    before = moocore.hypervolume(points, ref=reference)
    for place, pair in enumerate(np.asarray(judged.row).tolist()):
        outcomes = rng.normal(judged.mean[:, place], judged.deviation[:, place], (2000, 2))
        trust = 1 - (pair % LEVELS + 1) / LEVELS
        volumes = [
            moocore.hypervolume(np.vstack([points, [*y, trust]]), ref=reference) - before for y in outcomes
        ]
        expected, error = np.mean(volumes), np.std(volumes) / 2000**0.5
        assert abs(gain[place] * TAKES[pair] / 16 - expected) < 5 * error


def test_a_pair_goes_on_from_the_highest_level_below_that_is_done():
    launches = memory([0, 1, 5, 7], np.ones((4, 2)), pending=(6,))
    found = level_before(launches, jnp.array([0, 1, 2, 3, 5, 6, 8]), LEVELS)
    assert found.tolist() == [-1, 0, 1, -1, -1, -1, 1]


def test_features_are_those_of_the_row_and_the_place_of_the_level():
    features = np.asarray(KNOWN.pairs.features)
    for row, level in itertools.product((0, 7, 19), range(LEVELS)):
        expected = [*unit_features(TABLE)[row], level / 2]
        np.testing.assert_allclose(features[row * LEVELS + level], expected, rtol=1e-6)
    np.testing.assert_allclose(KNOWN.share, [1 / 16, 4 / 16, 1])


@pytest.fixture(scope="module")
def logs():
    """Runs that have no room for more pairs than there are."""
    with pytest.MonkeyPatch.context() as patch:
        use_small_memory(patch)
        return simulate(TABLE, "momf", num_seeds=2, evaluations=70, workers=3)


def test_a_run_begins_with_the_rows_of_random_search_at_levels_that_chance_draws(logs):
    random = simulate(TABLE, "random", num_seeds=2, evaluations=8, workers=3)
    first = min(2 * (TABLE.num_columns + 1), 8)
    np.testing.assert_array_equal(logs.row[:, :first], random.row[:, :first])
    assert len(set(np.asarray(logs.fidelity[:, :first]).ravel().tolist())) > 1


def test_every_pair_comes_once_and_a_run_ends_when_all_are_done(logs):
    for lane in range(2):
        valid = np.asarray(logs.valid[lane])
        pairs = {*zip(logs.row[lane][valid].tolist(), logs.fidelity[lane][valid].tolist(), strict=True)}
        assert len(pairs) == valid.sum() == 20 * LEVELS
