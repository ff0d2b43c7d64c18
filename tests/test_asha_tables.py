"""The asynchronous event loop against plain Python on every shipped table, in its own seconds and costs."""

import numpy as np
import pytest

from mohb_jax import benchmarks
from mohb_jax.schedule import asha_rungs
from mohb_jax.simulation import simulate
from tests import reference_asha
from tests.real_data import small
from tests.test_asha import ORDERS
from tests.test_hyperband import entries, suggestions

PROMOTED = ("trimtuner-rnn", "embedded", "lcbench-cloud")
QUICK = (
    *(("embedded", "mo-asha"), ("lcbench-cloud", "mo-asha-promote"), ("pollux", "mo-asha")),
    *(("zeus", "mo-asha"), ("trimtuner", "mo-asha"), ("trimtuner-rnn", "mo-asha"), ("deepar", "mo-asha")),
)
"""One of each kind: recorded, crossed with machines, of several trainings, without levels, published."""
AT_ONCE = (("embedded", "mo-asha"), ("trimtuner", "mo-asha"))


def case(*names):
    """Each table has a shape of its own, and programs of its own."""
    marks = () if names in AT_ONCE else pytest.mark.wide if names in QUICK else pytest.mark.slow
    return pytest.param(*names, marks=marks)


def one_task(name):
    """The last task of a benchmark, at the fidelities that its rungs use."""
    table = small(name)
    (levels,) = asha_rungs(table.fidelities)
    return table.select(tasks=table.tasks[-1:], fidelities=[table.fidelities[level] for level in levels])


def by_definition(table, log, lane, name, **limits):
    """Jobs of a lane in plain Python."""
    costs, runtime = table.dense(range(table.num_fidelities))
    candidates = np.flatnonzero(table.measured(0))
    rows = candidates[suggestions(0, int(log.run[lane]), len(candidates))].tolist()
    found, _ = reference_asha.simulate(
        costs[0],
        runtime[0],
        rows,
        [0] * len(rows),
        [tuple(range(table.num_fidelities))],
        order=ORDERS[name],
        num_workers=4,
        resumable=table.resumable,
        variant="promote" if name.endswith("promote") else "stop",
        **limits,
    )
    return [tuple(entry) for entry in found]


@pytest.mark.parametrize(
    ("benchmark", "method"),
    [
        *(case(name, "mo-asha") for name in benchmarks.names()),
        *(case(name, "mo-asha-promote") for name in PROMOTED),
    ],
)
def test_every_job_on_a_shipped_table_equals_plain_python(benchmark, method):
    table = one_task(benchmark)
    log = simulate(table, method, num_seeds=2, evaluations=90)
    for lane in range(2):
        found = by_definition(table, log, lane, method, budget=90)
        assert entries(log, lane) == found
        assert len(found) == 90
    horizon = float(np.sort(log.end[log.valid])[60])  # cuts some job off, and ends another to the second
    cut = simulate(table, method, num_seeds=2, evaluations=90, seconds=horizon)
    for lane in range(2):
        found = by_definition(table, cut, lane, method, budget=90, horizon=horizon)
        assert entries(cut, lane) == found
        assert 10 < len(found) < 90
