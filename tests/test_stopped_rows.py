"""Runs that use a table up: rows that were stopped go on until all are at the highest fidelity."""

import numpy as np
import pytest
from mohb_jax.benchmarks.table import Table

from mohb_jax import simulation
from mohb_jax.drivers import stopped_rows
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.testing.fixtures import tables
from tests.reference import hypervolume
from tests.reference_stopped import Entry, go_on
from tests.test_hyperband import ALIKE, FIDELITIES, integer_table, simulate, vars_of

pytestmark = pytest.mark.wide

TABLE = integer_table()
SECONDS = 1e6
METHODS = [
    ("mo-hb", {}),
    ("mo-hb", {"mode": "barrier"}),
    ("mo-hb", {"brackets": 1}),
    ("mo-asha", {}),
    ("mo-asha-promote", {}),
    ("bohb", {}),
    ("sh-emoa", {}),
]
"""Of each driver."""


def jobs(log, lane):
    valid = log.valid[lane]
    fields = (log.row, log.fidelity, log.start, log.end, log.worker)
    return list(map(Entry, *(field[lane][valid].tolist() for field in fields)))


def own_part(method, monkeypatch, table=TABLE, **options):
    """What the method launches by itself, to its end."""
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "may_use_up", lambda *_: False)
        return simulate(table, method, **options)


@pytest.mark.parametrize(
    ("method", "settings", "resumable"), [("mo-hb", {}, False), *((*one, True) for one in METHODS)]
)
def test_stopped_rows_go_on_as_defined(method, settings, resumable, monkeypatch):
    options = ALIKE | settings | {"resumable": resumable}
    own = own_part(method, monkeypatch, seconds=SECONDS, **options)
    whole = simulate(TABLE, method, seconds=SECONDS, **options)
    failed = ~np.isfinite(TABLE.costs).all(axis=-1)
    for lane, task in enumerate(own.task):
        past, launched = jobs(own, lane), jobs(whole, lane)
        assert launched == go_on(past, TABLE.runtime[task], failed[task], ALIKE["workers"], resumable)
        cells = [(job.row, job.level) for job in launched]
        assert len(set(cells)) == len(cells)
        assert {row for row, level in cells if level == 3} == set(range(60))


@pytest.mark.parametrize(("method", "settings"), METHODS[:2] + METHODS[3:4])
def test_a_run_may_end_at_any_moment(method, settings):
    """In its own part, at the change, or after it: a shorter run is the beginning of a longer one."""
    options = ALIKE | settings
    whole = simulate(TABLE, method, seconds=SECONDS, **options)
    launched = [jobs(whole, lane) for lane in range(8)]
    moments = np.quantile([job.end for job in launched[0]], [0.1, 0.3, 0.45, 0.6, 0.9])
    for seconds in (*moments, launched[0][-1].end):
        log = simulate(TABLE, method, seconds=float(seconds), **options)
        assert [jobs(log, lane) for lane in range(8)] == [
            [job for job in jobs_ if job.end <= seconds] for jobs_ in launched
        ]
    for evaluations in (20, 61, 90, 130, 150, 500):
        log = simulate(TABLE, method, evaluations=evaluations, **options)
        assert [jobs(log, lane) for lane in range(8)] == [jobs_[:evaluations] for jobs_ in launched]


def test_a_limit_of_trials_ends_a_run():
    for trials, most in ((60, 60), (61, 0)):
        log = simulate(TABLE, "mo-asha", trials=trials, seconds=SECONDS, **ALIKE)
        lower = [60 - len({job.row for job in jobs(log, lane) if job.level == 3}) for lane in range(8)]
        assert all(0 < number < most for number in lower) if most else not any(lower)


def test_failed_rows_come_last_and_rows_that_are_not_offered_do_not_come(monkeypatch):
    rng = np.random.default_rng(4)
    available = rng.random(TABLE.mask.shape) < 0.7
    available[0, 7:12] = False
    costs = np.where(available[..., None], TABLE.costs, np.nan)
    holes = Table(**{**vars_of(TABLE), "costs": costs, "available": available})
    own = own_part("mo-hb", monkeypatch, holes, seconds=SECONDS, **ALIKE)
    whole = simulate(holes, "mo-hb", seconds=SECONDS, **ALIKE)
    for lane, task in enumerate(own.task):
        expected = go_on(jobs(own, lane), holes.runtime[task], ~available[task], ALIKE["workers"], True)
        assert jobs(whole, lane) == expected
        full = {job.row for job in expected if job.level == 3}
        assert full == set(np.flatnonzero(holes.measured(int(task))).tolist())
    failed = np.isinf(whole.costs).all(axis=2) & whole.valid
    assert (failed.sum(axis=1) > 10).all()


def test_only_runs_that_can_have_seen_all_rows_are_looked_at():
    settings = make_settings(method_named("mo-hb"), brackets=2)

    def may(seconds=np.inf, table=TABLE, method="mo-hb", **conditions):
        own = settings if method == "mo-hb" else None
        plan = make_plan(table, method_named(method), own, Conditions(**conditions))
        return stopped_rows.may_use_up(table, range(table.num_tasks), plan, [seconds] * table.num_tasks)

    assert may()
    assert may(evaluations=61)
    assert not may(evaluations=60)
    assert not may(method="random"), "no row is stopped"
    least = TABLE.runtime[:, :, 0].sum(axis=1).min() / 4
    assert may(least)
    assert not may(least - TABLE.runtime[:, :, 0].max() - 1)
    crossed = tables()["crossing"]
    seconds = stopped_rows._seconds_of_all(crossed, 0, 0, 1)
    each = crossed.dense([0])[1][0, crossed.measured(0), 0]
    assert seconds <= each.sum()
    assert seconds + each.max() == pytest.approx(each.sum())


@pytest.mark.parametrize("method", ["mo-hb", "mo-asha"])
def test_a_run_on_few_rows_finds_what_random_search_finds(method, monkeypatch):
    """99 rows: a run saw each once at a low fidelity, and ended after 152 evaluations, long before its
    horizon, with half of what random search finds."""
    rng = np.random.default_rng(0)
    level = rng.random((1, 99, 1)) + np.array([0.6, 0.3, 0.15, 0.05, 0.0]) * rng.random((1, 99, 5))
    costs = np.stack([level, 1.2 - np.sqrt(level) + 0.1 * rng.random((1, 99, 5))], axis=-1)
    seconds = rng.uniform(1, 3, (1, 99, 1)) * np.array([1, 3, 9, 27, 81])
    known = vars_of(integer_table(99, 1, 2, fidelities=(*FIDELITIES, 81)))
    table = Table(**{**known, "costs": costs, "runtime": seconds})

    def found(log):
        low, high = costs[0, :, -1].min(axis=0), costs[0, :, -1].max(axis=0)
        reached = []
        for lane in range(len(log.task)):
            rows = log.row[lane][log.valid[lane] & (log.fidelity[lane] == 4)]
            reached.append(hypervolume((costs[0, rows, -1] - low) / (high - low), np.full(2, 1.1)))
        return np.mean(reached)

    options = {"num_seeds": 6, "seconds": 81 * 2 * 99 / 4}
    all_rows = found(simulate(table, "random", num_seeds=6, seconds=1e9))
    before = own_part(method, monkeypatch, table, **options)
    assert found(before) < 0.8 * all_rows
    assert found(simulate(table, method, **options)) > 0.97 * all_rows
