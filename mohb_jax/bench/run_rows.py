"""Whole runs and what they learn from, in this process, once they are compiled."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax import benchmarks
from mohb_jax.bench.row import MissingPeerError, Row, seconds_of
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.drivers.synchronous import CACHED_PAIRS
from mohb_jax.errors import InputError
from mohb_jax.kernels.clock import list_schedule
from mohb_jax.kernels.promotion import epsilon_net
from mohb_jax.methods import make_plan, method_named
from mohb_jax.searchers.random import all_candidates, candidate_rows, num_rounds
from mohb_jax.simulation import simulate
from mohb_jax.surrogates.prior_network import fit_networks, leave_one_out
from mohb_jax.transfer import Prior, z_values
from mohb_jax.types import Array, Key, RunLog


def hyperband(num_lanes: int = 4000, num_rows: int = 2000) -> Iterator[Row]:
    """One pass with barriers, R=81, eta=3, two objectives, epsilon-net, against gathering the same rows."""
    table = synthetic(num_rows=num_rows)
    budget = _pass_length(table)

    def simulated() -> Any:
        options: dict[str, Any] = {"evaluations": budget, "workers": 4, "mode": "barrier"}
        return simulate(table, "mo-hb", num_seeds=num_lanes, **options)

    log = simulated()
    cells = jnp.asarray(np.concatenate([table.costs, table.runtime[..., None]], axis=-1).reshape(-1, 3))
    index = jnp.asarray(log.row * table.num_fidelities + log.fidelity)
    gather = jax.jit(lambda cells, index: cells[index])
    np.testing.assert_array_equal(np.asarray(gather(cells, index))[..., :2], log.costs)
    seconds = seconds_of(simulated)
    reference = seconds_of(lambda: np.asarray(gather(cells, index)))
    rate, ratio = num_lanes / seconds, seconds / reference
    yield Row("hyperband-lanes", rate, "lanes/s", "none", None, ">= 30,000 lanes/s", rate >= 30_000)
    each = 1e6 * seconds / num_lanes
    yield Row("hyperband-gather", each, "us/lane", "gather", ratio, "", None)
    ratio = seconds / (reference + _parts(table, log))
    yield Row("hyperband-parts", each, "us/lane", "the sum of its parts", ratio, "<= 3 x", ratio <= 3)


def _parts(table: AnyTable, log: RunLog) -> float:
    """Seconds of what a pass cannot do without, beside the gather, part by part: rows without replacement,
    ranks and nets of all rungs, a clock, and one copy of the log."""
    num_lanes, num_jobs = log.row.shape
    brackets = make_plan(table, method_named("mo-hb")).brackets
    keys = jax.random.split(jax.random.key(0), num_lanes)
    candidates = all_candidates(table, (0,))
    numbers = jnp.arange(sum(bracket.sizes[0] for bracket in brackets))
    rows = jax.jit(jax.vmap(lambda keys: candidate_rows(candidates, jnp.int32(0), keys, numbers)))
    round_keys = jax.random.bits(keys[0], (num_lanes, num_rounds(table.num_rows)), jnp.uint32)
    waits, free = np.zeros(num_jobs, bool), np.zeros((num_lanes, 4))
    clock = jax.jit(jax.vmap(list_schedule, (0, 0, None, 0)))
    parts: list[Callable[[], Any]] = [
        lambda: rows(round_keys),
        lambda: clock(log.end - log.start, log.valid, waits, free),
        lambda: [np.copy(field) for field in log[:9]],
    ]
    for size, num_keep in [cut for bracket in brackets for cut in itertools.pairwise(bracket.sizes)]:
        cut = functools.partial(_cut, num_keep=num_keep)
        parts.append(functools.partial(jax.jit(cut), keys, jnp.asarray(log.costs[:, :size])))
    return sum(seconds_of(part) for part in parts)


def _cut(keys: Key, costs: Array, num_keep: int) -> Array:
    """The rows of each lane's rung that go on, in batches that fit the processor's cache."""
    rule, valid = epsilon_net(), jnp.ones(costs.shape[1], bool)
    batch = max(1, CACHED_PAIRS // costs.shape[1] ** 2)
    return jax.lax.map(lambda lane: rule(lane[0], lane[1], valid, num_keep), (keys, costs), batch_size=batch)


def _pass_length(table: AnyTable) -> int:
    """Evaluations of one Hyperband pass."""
    brackets = make_plan(table, method_named("mo-hb")).brackets
    return sum(bracket.num_evaluations for bracket in brackets)


NETWORK_REFERENCE = 12.0
"""Seconds that the authors' PyTorch code takes for one prior network on two cores (design note; not run
here)."""


def prior(num_tasks: int = 34, num_rows: int = 2000, num_columns: int = 7) -> Iterator[Row]:
    """Prior networks of 34 held-out tasks x 2 objectives, fitted together; their least error is compared with
    that of knowing nothing."""
    rng = np.random.default_rng(0)
    features = rng.random((num_tasks * num_rows, num_columns))
    task = np.repeat(np.arange(num_tasks), num_rows)
    values = np.stack([features @ rng.normal(size=num_columns) for _ in range(2)])
    values = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    targets, valid = leave_one_out(values, task, num_tasks)
    fit = functools.partial(fit_networks, jax.random.key(0), features, targets, valid)
    assert float(jnp.max(fit().validation_rmse)) < 0.2  # 1 for a network that says 0 everywhere
    each = seconds_of(fit, repeats=3) / (2 * num_tasks)
    ratio = NETWORK_REFERENCE / each
    yield Row("prior-network", each, "s/network", "12 s (cited)", ratio, ">= 50 x as fast", ratio >= 50)


def proposals(num_lanes: int = 10_000, num_rows: int = 15_625) -> Iterator[Row]:
    """Runs of R=81 whose configurations a prior, or the sources of ``transfer``, propose, against the same
    runs with random ones: lists are made anew each time, and counted."""
    table = synthetic(num_rows=num_rows, num_tasks=2)
    mu = np.stack([z_values(table, task)[0] for task in (1, 0)]).astype(np.float32)
    given = Prior(table.name, table.tasks, table.columns, table.objectives, mu, np.full_like(mu, 0.3))
    budget = 2 * _pass_length(table)

    def simulated(method: str, prior: Prior) -> Any:
        options: dict[str, Any] = {"num_seeds": num_lanes, "evaluations": budget, "mode": "barrier"}
        options["prior"] = prior
        return simulate(table, method, tasks=["task-0"], **options)

    def anew(method: str) -> Any:
        return simulated(method, dataclasses.replace(given))

    rest = seconds_of(lambda: simulated("mo-hb", given), repeats=9)
    for name in ("prior", "transfer"):
        method = f"mo-hb+{name}"
        log = simulated(method, given)
        assert all(len(set(row[:81].tolist())) == 81 for row in log.row[:100])
        known = seconds_of(functools.partial(simulated, method, given), repeats=9)
        fresh = seconds_of(functools.partial(anew, method), repeats=9)
        ratio, each = (fresh - rest) / rest, 1e6 * (fresh - rest) / num_lanes
        if name == "prior":  # those of transfer are lost in the noise of what else its lanes do
            yield Row("prior-lists", fresh - known, "s/task", "none", None, "", None)
        yield Row(
            f"{name}-proposals", each, "us/lane", "rest of the lane", ratio, "<= 1 x the rest", ratio <= 1
        )


SYNE_TUNE = 0.95
"""Seconds per run of Syne Tune 0.16's simulator on the same work and machine: 0.84 to 1.00
(scripts/compare_syne_tune.py runs it)."""


def asha(num_lanes: int = 1024) -> Iterator[Row]:
    """200 asynchronous trials on 4 workers, two objectives, 2,000 rows x 52 fidelities; every run starts
    its 200 trials (tests compare the log with plain Python)."""
    table = synthetic(num_rows=2000, fidelities=tuple(range(1, 53)))

    def simulated(method: str = "mo-asha") -> Any:
        return simulate(table, method, num_seeds=num_lanes, workers=4, trials=200, seconds=1e12)

    log = simulated()
    started = [np.unique(rows[valid]).size for rows, valid in zip(log.row, log.valid, strict=True)]
    assert set(started) == {200}
    seconds = seconds_of(simulated, repeats=5)
    rate = num_lanes / seconds
    yield Row(
        "mo-asha-runs",
        rate,
        "runs/s",
        "Syne Tune (cited)",
        rate * SYNE_TUNE,
        ">= 1,000 x",
        rate * SYNE_TUNE >= 1000,
    )
    for name in ("mo-asha-promote", "asha"):
        each = seconds_of(functools.partial(simulated, name), repeats=3)
        yield Row(f"{name}-runs", num_lanes / each, "runs/s", "none", None, "", None)


def gcp(num_rows: int = 5000, num_tasks: int = 10, num_seeds: int = 30) -> Iterator[Row]:
    """Copula processes, with and without a prior, on tables of thousands of rows per task: 100 evaluations of
    each run on every task, learning and compilation included."""
    table = synthetic(num_rows=num_rows, num_tasks=num_tasks)
    for name in ("gcp", "gcp-prior"):
        seconds = _once(table, name, num_seeds, evaluations=100)
        yield Row(f"{name}-{num_rows}-rows", seconds, "s", "none", None, "<= 180 s", seconds <= 180)


def cloud(num_seeds: int = 100) -> Iterator[Row]:
    """Asynchronous runs over the default horizon on the largest table, some 2,900 jobs each, compilation
    included."""
    try:
        table = benchmarks.load("lcbench-cloud")
    except InputError as error:
        raise MissingPeerError(str(error)) from None
    seconds = _once(table, "mo-asha", num_seeds)
    yield Row("lcbench-cloud-runs", seconds, "s", "none", None, "<= 600 s", seconds <= 600)


def _once(table: AnyTable, method: str, num_seeds: int, **limits: Any) -> float:
    """Seconds of a single call."""
    began = time.perf_counter()
    simulate(table, method, num_seeds=num_seeds, **limits)
    return time.perf_counter() - began
