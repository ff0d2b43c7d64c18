"""The steady-state driver against plain Python, with a policy that draws at random."""

import heapq
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

import mohb_jax.drivers.steady as driver
import mohb_jax.methods as methods
from mohb_jax.methods import Steady
from mohb_jax.methods.schedules import TrialSettings
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Job, Policy
from mohb_jax.searchers.random import all_candidates
from mohb_jax.searchers.seen_rows import Pool, draw, new_pool
from mohb_jax.simulation import simulate
from mohb_jax.types import Array
from tests.test_hyperband import FIDELITIES, entries, integer_table, suggestions


class Counts(NamedTuple):
    pool: Pool
    num_results: Array
    most: Array


def random_policy(table, wait_for=0, sizes=()):
    """Rows at random, at alternating levels; after every ``wait_for`` jobs it waits for all their results."""

    def init(context, task, key):
        return Counts(new_pool(context, task, key, table.num_rows), jnp.int32(0), jnp.int32(0))

    def propose(context, task, state, moment):
        number = moment.num_launched
        waits = wait_for and (number % wait_for == 0) & (state.num_results < number)
        pool, row, valid = draw(context, task, state.pool, 1)
        wanted = valid[0] & ~jnp.bool_(waits)
        pool = jax.tree.map(lambda new, old: jnp.where(wanted, new, old), pool, state.pool)
        job = Job(row[0], number % 2, jnp.int32(-1), wanted)
        return state._replace(pool=pool, most=jnp.int32(moment.most_results)), job

    def observe(context, task, state, result):
        return state._replace(num_results=state.num_results + result.valid)

    return Policy(all_candidates, init, propose, observe, sizes)


@pytest.fixture
def steady(monkeypatch):
    """Registers a method for the time of a test."""

    def register(table, lanes_per_batch=32, **options):
        policy = random_policy(table, **options)._replace(lanes_per_batch=lanes_per_batch)
        ladder = (Bracket((1, 1), (1, 3)),)
        method = Steady(
            "steady",
            "for tests",
            settings=TrialSettings,
            levels=lambda *chosen: ladder,
            policy=lambda *chosen: policy,
        )
        monkeypatch.setitem(methods.METHODS, "steady", method)

    return register


def by_hand(table, task, rows, num_workers, horizon, budget, wait_for=0):
    """Launches in order: (row, fidelity, start, end, worker)."""
    busy: list[tuple[float, int]] = []
    launched: list[tuple] = []
    idle, time, last, rows = list(range(num_workers)), 0.0, 0, iter(rows)
    while True:
        while idle and time < horizon and len(launched) < budget:
            if wait_for and len(launched) % wait_for == 0 and busy:
                break
            row = next(rows, None)
            if row is None:
                break
            # Whoever brought the last result asks first, then the others by number.
            worker = last if last in idle else min(idle)
            idle.remove(worker)
            fidelity = (1, 3)[len(launched) % 2]
            end = time + table.runtime[task, row, fidelity]
            heapq.heappush(busy, (end, worker))
            launched.append((row, fidelity, time, end, worker))
        if not busy:
            return [job for job in launched if job[3] <= horizon]
        time, last = heapq.heappop(busy)
        idle.append(last)


@pytest.mark.parametrize("wait_for", [0, 5])
@pytest.mark.parametrize(
    ("workers", "limit"), [(1, {"seconds": 700.0}), (3, {"evaluations": 23}), (3, {"seconds": 300.0})]
)
def test_log_equals_plain_python(steady, wait_for, workers, limit):
    table = integer_table()
    steady(table, wait_for=wait_for)
    log = simulate(table, "steady", num_seeds=20, workers=workers, seed=3, **limit)
    for lane in range(40):
        expected = by_hand(
            table,
            int(log.task[lane]),
            suggestions(3, int(log.run[lane]), table.num_rows),
            workers,
            limit.get("seconds", np.inf),
            limit.get("evaluations", np.inf),
            wait_for,
        )
        assert entries(log, lane) == expected


def test_more_workers_than_rows(steady):
    table = integer_table(num_rows=5)
    steady(table)
    log = simulate(table, "steady", num_seeds=2, workers=8, evaluations=20)
    assert log.valid.shape == (4, 20)
    assert (np.sort(log.row[:, :5], axis=1) == np.arange(5)).all()
    at_top = log.valid & (log.fidelity == table.num_fidelities - 1)
    assert (at_top.sum(axis=1) == 5).all(), "rows that were stopped go on"


def test_trials_limit_the_rows_that_are_started(steady):
    table = integer_table()
    steady(table)
    few, many = (simulate(table, "steady", num_seeds=3, seconds=500.0, trials=n) for n in (7, 60))
    assert (few.valid.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(few.row[:, :7], many.row[:, :7])
    assert (many.valid.sum(axis=1) > 7).all()


def test_sizes_are_told_in_time(steady):
    """Whoever computes with as many results as it is told has room for all of them."""
    table = integer_table()
    plan = driver.SteadyPlan((), random_policy(table, sizes=(10, 20, 40)), 2, None)
    told = [plan.most_results(steps) for steps in (1, 10, 11, 20, 39, 41, 1000)]
    assert told == [10, 10, 20, 20, 40, 40, 40]


def test_resumed_rows_pay_the_difference(monkeypatch):
    table = synthetic(num_rows=20, fidelities=FIDELITIES)

    def init(context, task, key):
        return jnp.int32(0)

    def propose(context, task, state, moment):
        number = moment.num_launched
        level = number % 2
        return state, Job(number // 2, level, level - 1, jnp.bool_(True))

    policy = Policy(all_candidates, init, propose, lambda context, task, state, result: state)
    ladder = (Bracket((1, 1), (1, 3)),)
    method = Steady("steady", "for tests", levels=lambda *chosen: ladder, policy=lambda *chosen: policy)
    monkeypatch.setitem(methods.METHODS, "steady", method)
    for resumable in (True, False):
        log = simulate(table, "steady", workers=1, evaluations=10, resumable=resumable)
        for i, (row, fidelity, start, end, _) in enumerate(entries(log, 0)):
            assert (row, fidelity) == (i // 2, (1, 3)[i % 2])
            paid = table.runtime[0, row, 1] if resumable and fidelity == 3 else 0
            assert end - start == pytest.approx(table.runtime[0, row, fidelity] - paid)


def test_batches_of_lanes_change_nothing(steady):
    table = integer_table()
    steady(table, wait_for=4)
    whole = simulate(table, "steady", num_seeds=6, seconds=300.0)
    steady(table, wait_for=4, lanes_per_batch=5)
    parts = simulate(table, "steady", num_seeds=6, seconds=300.0)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def counting_policy():
    """Proposes as row the number of full results it was told of, so that the log shows what it knew."""

    def init(context, task, key):
        return jnp.int32(0)

    def propose(context, task, state, moment):
        return state, Job(state, jnp.int32(3), jnp.int32(-1), jnp.bool_(True))

    def observe(context, task, state, result):
        full = result.valid & (result.level == 3) & jnp.isfinite(result.costs).all()
        return state + full.astype(jnp.int32)

    return Policy(all_candidates, init, propose, observe)


@pytest.mark.wide
@pytest.mark.parametrize("limit", [{"seconds": 700.0}, {"evaluations": 70}])
def test_a_run_may_open_with_asynchronous_halving(monkeypatch, limit):
    table = integer_table()
    shares = (1 / 27, 3 / 27, 9 / 27, 1.0)

    halving = methods.METHODS["mo-asha-promote"]
    method = Steady(
        "steady",
        "for tests",
        settings=halving.settings,
        levels=halving.schedule,
        policy=lambda *chosen: counting_policy(),
        halving=halving,
    )
    monkeypatch.setitem(methods.METHODS, "steady", method)
    monkeypatch.setattr(Table, "num_columns", 3)
    log = simulate(table, "steady", num_seeds=20, workers=3, **limit)
    alone = simulate(table, "mo-asha-promote", num_seeds=20, workers=3, **limit)
    took_over = 0
    for lane in range(40):
        jobs, first = entries(log, lane), entries(alone, lane)
        ends = sorted((end, fidelity) for _, fidelity, _, end, _ in first)
        trained = np.cumsum([shares[fidelity] for _, fidelity in ends])
        full = np.cumsum([fidelity == 3 for _, fidelity in ends])
        enough = np.flatnonzero((trained >= 3 - 1e-9) & (full >= 1))
        time = ends[enough[0]][0] if len(enough) else np.inf
        assert [job for job in jobs if job[2] < time] == [job for job in first if job[2] < time]
        for row, fidelity, start, end, worker in jobs:
            if start < time:
                continue
            took_over += 1
            known = [job for job in jobs if job[1] == 3 and job[3] <= start and job[2] < start]
            assert (fidelity, end) == (3, start + table.runtime[log.task[lane], row, 3])
            # Of results at one time only those that came before are known.
            tied = sum(job[3] == start for job in known)
            assert len(known) - tied < row + 1 <= len(known) + 1
            busy = [job for job in jobs if job[4] == worker and job[2] < start < job[3]]
            assert not busy
    assert took_over > 100
