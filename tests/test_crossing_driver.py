"""The driver reads a crossed table through its factors; the answer is that of the same table stored dense."""

import numpy as np
import pytest
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.simulation import simulate

pytestmark = pytest.mark.fast


def test_crossing_gives_the_log_of_its_dense_cells():
    base = synthetic(num_rows=40, num_tasks=2, fidelities=(1, 3, 9))
    crossed = cross_table(base)
    log = simulate(crossed, "mo-hb", num_seeds=3, evaluations=30, workers=3)
    costs, runtime = crossed.dense(range(crossed.num_fidelities))
    assert log.valid.all()
    task = log.task[:, None]
    np.testing.assert_array_equal(log.costs, costs[task, log.row, log.fidelity])
    first = log.fidelity == 0
    duration = runtime[task, log.row, log.fidelity]
    np.testing.assert_allclose((log.end - log.start)[first], duration[first], rtol=1e-9)
    assert len(np.unique(log.row % 37)) > 10  # instance types are tried
