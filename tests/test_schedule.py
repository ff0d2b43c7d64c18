"""Hyperband's integers, pinned by tables written out by hand."""

from fractions import Fraction

import pytest

from mohb_jax.errors import InputError
from mohb_jax.schedule import Bracket, asha_rungs, full_fidelity, halved_stages, hyperband, third

pytestmark = pytest.mark.fast

POWERS = (1, 3, 9, 27, 81)


def test_sizes_of_both_published_rules_for_81():
    hpbandster = [bracket.sizes for bracket in hyperband(POWERS)]
    assert hpbandster == [(81, 27, 9, 3, 1), (27, 9, 3, 1), (9, 3, 1), (6, 2), (5,)]
    li2018 = [bracket.sizes for bracket in hyperband(POWERS, first_rung="li2018")]
    assert li2018 == [(81, 27, 9, 3, 1), (34, 11, 3, 1), (15, 5, 1), (8, 2), (5,)]


def test_levels_start_one_rung_higher_in_each_bracket():
    assert [b.levels for b in hyperband(POWERS)] == [(0, 1, 2, 3, 4), (1, 2, 3, 4), (2, 3, 4), (3, 4), (4,)]


@pytest.mark.parametrize(
    ("smallest", "largest", "eta", "rungs"), [(1, 243, 3, 6), (1, 1000, 10, 4), (1, 81, 3, 5), (1, 1, 3, 1)]
)
def test_no_rung_is_lost_to_a_floating_logarithm(smallest, largest, eta, rungs):
    stored = list(range(smallest, largest + 1))
    assert len(hyperband(stored, eta)[0].sizes) == rungs


def test_maximum_that_is_no_power_of_eta_snaps_down():
    stored = list(range(1, 201))
    assert [stored[level] for level in hyperband(stored)[0].levels] == [2, 7, 22, 66, 200]


def test_sparse_fidelities_of_trimtuner():
    stored = (1000, 6000, 15000, 30000, 60000)
    assert hyperband(stored) == (
        Bracket((27, 9, 3, 1), (0, 1, 2, 4)),
        Bracket((9, 3, 1), (1, 2, 4)),
        Bracket((6, 2), (2, 4)),
        Bracket((4,), (4,)),
    )


def test_rungs_on_one_stored_fidelity_are_merged():
    assert hyperband((1, 60))[0] == Bracket((27, 1), (0, 1))


def test_fractional_eta_is_exact():
    stored = [float(Fraction(5, 2) ** i) for i in range(5)]
    assert hyperband(stored, 2.5)[0] == Bracket((39, 15, 6, 2, 1), (0, 1, 2, 3, 4))
    assert len(hyperband((0.1, 0.3, 0.9), 3)[0].sizes) == 3  # 0.1 * 3 * 3 in floats exceeds 0.9


@pytest.mark.parametrize("eta", [2, 2.5, 3, 4, 10])
@pytest.mark.parametrize("largest", [1, 2, 16, 27, 50, 81, 200])
@pytest.mark.parametrize("first_rung", ["hpbandster", "li2018"])
def test_geometry_is_sound(eta, largest, first_rung):
    stored = list(range(1, largest + 1))
    brackets = hyperband(stored, eta, first_rung)
    for bracket in brackets:
        assert all(b <= a for a, b in zip(bracket.sizes, bracket.sizes[1:], strict=False))
        assert all(b > a for a, b in zip(bracket.levels, bracket.levels[1:], strict=False))
        assert min(bracket.sizes) >= 1
        assert stored[bracket.levels[-1]] == largest
    assert brackets[-1].sizes == (len(brackets),)


def test_smallest_fidelity_cuts_the_brackets():
    assert [b.sizes for b in hyperband(POWERS, min_fidelity=9)] == [(9, 3, 1), (3, 1), (3,)]


def test_one_fidelity_leaves_one_rung():
    assert hyperband((7,)) == (Bracket((1,), (0,)),)
    assert full_fidelity(POWERS, 10) == (Bracket((10,), (4,)),)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"eta": 1}, "eta is 1"),
        ({"eta": 0.5}, "eta is 0.5"),
        ({"first_rung": "other"}, "hpbandster, li2018"),
        ({"min_fidelity": 0.5}, "from 1 to 81"),
        ({"min_fidelity": 100}, "from 1 to 81"),
    ],
)
def test_bad_geometry_is_named(arguments, culprit):
    with pytest.raises(InputError, match=culprit):
        hyperband(POWERS, **arguments)


def powers(largest: float, count: int) -> list[float]:
    """Rungs as the libraries of the hpbandster family write them: rounded to floats."""
    return [largest * 3.0 ** -(count - 1 - k) for k in range(count)]


@pytest.mark.parametrize(
    "stored",
    [
        *[powers(largest, 5) for largest in (1.0, 10.0, 100.0)],
        [0.137, 0.41, 1.23, 3.7, 11.1, 33.3, 100],
        [1, 4, 11, 33, 100],
        [0.1, 0.3, 1],
    ],
)
def test_rounded_rungs_are_rungs(stored):
    everything = tuple(range(len(stored)))
    assert hyperband(stored)[0].levels == everything
    assert asha_rungs(stored) == (everything,)
    assert asha_rungs(stored, grace=stored[1]) == (everything[1:],)
    assert hyperband(stored, min_fidelity=stored[1])[0].levels == everything[1:]
    assert halved_stages(stored, 3, stored[0] / 2) == everything


def test_rounded_floats_are_rungs_among_other_fidelities():
    stored = sorted([*powers(10.0, 5), 2.5])
    assert [stored[level] for level in hyperband(stored)[0].levels] == powers(10.0, 5)
    assert [stored[level] for level in asha_rungs(stored)[0]] == powers(10.0, 5)
    assert third(powers(10.0, 3)) == 1


def test_few_fidelities_that_are_no_rungs_stay_as_written():
    assert hyperband((1, 2, 3), 3)[0].levels == (0, 2)
    assert asha_rungs((1, 2, 3), 3) == ((0, 2),)
    assert hyperband((1, 2), 3)[0].levels == (1,)
