"""Every method's decisions, pinned as integers: a change of any of them must be meant."""

import json

import pytest

from scripts.record_golden import PATH, integer_log, recorded_methods

pytestmark = pytest.mark.users_level

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", recorded_methods())
def test_decisions_are_the_recorded_ones(method):
    assert integer_log(method) == RECORDED[method]


def test_the_record_is_complete():
    assert sorted(RECORDED) == sorted(recorded_methods())
