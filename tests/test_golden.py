"""Every method's decisions, pinned as integers: a change of any of them must be meant."""

import json

from mohb_jax.methods import METHODS
from scripts.record_golden import PATH, integer_logs


def test_decisions_are_the_recorded_ones():
    recorded = json.loads(PATH.read_text(encoding="utf-8"))
    logs = integer_logs()
    assert set(recorded) == set(logs)
    assert len(set(METHODS) - set(recorded)) <= 2  # those that fit a model within the run
    changed = [method for method in logs if logs[method] != recorded[method]]
    assert not changed
