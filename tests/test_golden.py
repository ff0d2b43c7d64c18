"""Every method's decisions, pinned as integers: a change of any of them must be meant.

The quick test takes methods in which everything meets of which those are made that are recorded; those that
learn are asked by ``make test-wide``, but for NSGA-II.
"""

import json

import pytest

from scripts.record_golden import BARRIER, PATH, integer_log, recorded_methods
from tests.covering import covering, pairs_of, takes_long

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))
ONE_PER_DRIVER = ("mo-hb", "mo-asha", "monas")
WITH_A_BARRIER = ("mo-hb", "mo-hb+prior", "mo-hb+transfer")
"""Of methods that overlap by default. A barrier is of the driver; these know nothing, lists, and what a run
learns."""


BY_DEFAULT = tuple(name for name in recorded_methods() if not name.endswith(BARRIER))


def may_wait(name):
    own = name.removesuffix(BARRIER)
    return own not in WITH_A_BARRIER and (name != own or own not in covering(BY_DEFAULT))


def asked_by(name):
    """What asks a method, other than ``make test``."""
    wide = takes_long(name.removesuffix(BARRIER))
    return pytest.mark.slow if may_wait(name) else pytest.mark.wide if wide else ()


@pytest.mark.parametrize("method", [pytest.param(name, marks=asked_by(name)) for name in recorded_methods()])
def test_decisions_are_the_recorded_ones(method):
    assert integer_log(method) == RECORDED[method]


@pytest.mark.users_level
@pytest.mark.parametrize(
    "method",
    [
        *(ONE_PER_DRIVER[0], *(pytest.param(name, marks=pytest.mark.wide) for name in ONE_PER_DRIVER[1:])),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in recorded_methods()
            if name not in ONE_PER_DRIVER
        ),
    ],
)
def test_decisions_do_not_depend_on_how_programs_are_compiled(method):
    """The record was made with programs that users get, and ``make test`` compiles most others quickly."""
    assert integer_log(method) == RECORDED[method]


def test_whatever_meets_in_a_method_meets_in_one_that_does_not_wait():
    pinned = set().union(*(pairs_of(name) for name in BY_DEFAULT if not may_wait(name)))
    assert all(pairs_of(name) <= pinned for name in BY_DEFAULT)
    assert not any(map(may_wait, ONE_PER_DRIVER))


def test_the_record_is_complete():
    assert sorted(RECORDED) == sorted(recorded_methods())
