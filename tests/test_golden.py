"""Every method's decisions, pinned as integers: a change of any of them must be meant."""

import json

import pytest

from mohb_jax.methods import METHODS
from scripts.record_golden import PATH, integer_logs


@pytest.fixture(scope="module")
def logs():
    return integer_logs()


@pytest.mark.parametrize("method", METHODS)
def test_decisions_are_the_recorded_ones(logs, method):
    recorded = json.loads(PATH.read_text(encoding="utf-8"))
    assert set(recorded) == set(METHODS)
    assert logs[method] == recorded[method]
