"""Every method's decisions, pinned as integers: a change of any of them must be meant."""

import json

from mohb_jax.methods import METHODS
from scripts.record_golden import PATH, integer_logs


def test_decisions_are_the_recorded_ones():
    recorded = json.loads(PATH.read_text(encoding="utf-8"))
    assert set(recorded) == set(METHODS)
    logs = integer_logs()
    changed = [method for method in METHODS if logs[method] != recorded[method]]
    assert not changed
