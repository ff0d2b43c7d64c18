"""Coverage of intervals: its arithmetic, on numbers whose truth is known."""

import numpy as np
import pytest
import scipy.stats

from mohb_jax.analysis.statistics import intervals
from scripts.coverage import covered

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("num_runs", [20, 50])
def test_intervals_of_independent_runs_hold_what_they_promise(num_runs):
    values = np.random.default_rng(0).normal(size=(1000, num_runs))
    found = covered(values)
    assert 0.93 <= found.share <= 0.97
    assert found.low < found.share < found.high
    assert found.ratio == pytest.approx(1, abs=0.1)
    # Student's interval, which is exact here, is as wide to within a few per cent.
    student = scipy.stats.t.ppf(0.975, num_runs - 1) * values.std(axis=1, ddof=1) / np.sqrt(num_runs)
    width = np.array([np.diff(intervals(study[None])[0])[0] / 2 for study in values[:200]])
    assert width.mean() == pytest.approx(student[:200].mean(), rel=0.05)


def test_what_the_runs_of_a_study_share_is_not_covered():
    generator = np.random.default_rng(1)
    values = generator.normal(size=(400, 20)) + generator.normal(size=(400, 1))
    found = covered(values)
    assert found.share < 0.6
    assert found.ratio == pytest.approx(np.sqrt(21), rel=0.15)
