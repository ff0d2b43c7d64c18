"""``mohb bench``: every promised speed, as a ratio to a named reference measured in the same run.

The reference's answer is compared first; compilation is left out of a row's value and printed apart,
transfers to and from the device are counted in.
"""

import dataclasses
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax import benchmarks
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.errors import InputError
from mohb_jax.kernels.arrival import ArrivalRule, Rung, net_arrival, sorted_arrival, with_newcomer
from mohb_jax.kernels.bits import WORD
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from mohb_jax.kernels.promotion import epsilon_net
from mohb_jax.methods import make_plan, method_named, require_known
from mohb_jax.precision import in_64_bits
from mohb_jax.simulation import simulate
from mohb_jax.surrogates.prior_network import fit_networks, leave_one_out
from mohb_jax.transfer import Prior, z_values
from mohb_jax.types import Array

REPEATS = 15


class MissingPeerError(InputError):
    """A reference that is not installed; a bench of everything goes on without it."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table of promises.

    ``ratio`` is value over reference, in the direction that ``hold`` speaks of; None where ``hold`` is a
    plain bound, or empty because nothing was promised.
    """

    name: str
    value: float
    unit: str
    reference: str
    ratio: float | None
    hold: str
    holds: bool | None

    @property
    def ratio_text(self) -> str:
        return "" if self.ratio is None else f"{self.ratio:.3g} x {self.reference}"

    def as_json(self) -> dict[str, Any]:
        """The row as ``mohb bench --json`` writes it."""
        return dataclasses.asdict(self)


def run(names: Sequence[str] | None = None) -> Iterator[Row]:
    """Measures the named groups of rows, all if None, and yields each row when it is there."""
    for name in names or BENCHES:
        require_known("bench", name, BENCHES)
    for name in names or BENCHES:
        try:
            yield from _each(BENCHES[name]())
        except MissingPeerError as error:
            if names:
                raise
            print(f"mohb: left out {name}: {error}", file=sys.stderr)


def _each(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows that are measured in 64 bits; whoever reads them keeps a precision of their own."""
    return iter(in_64_bits(lambda: next(rows, None)), None)


def seconds_of(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Median time of a call whose result is complete; the first call, which may compile, is not counted."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def hyperband(num_lanes: int = 4000, num_rows: int = 2000) -> Iterator[Row]:
    """One synchronous pass, R=81, eta=3, two objectives, epsilon-net, against gathering the same rows."""
    table = synthetic(num_rows=num_rows)
    budget = _pass_length(table)

    def simulated() -> Any:
        return simulate(table, "mo-hb", num_seeds=num_lanes, evaluations=budget, workers=4)

    log = simulated()
    cells = jnp.asarray(np.concatenate([table.costs, table.runtime[..., None]], axis=-1).reshape(-1, 3))
    index = jnp.asarray(log.row * table.num_fidelities + log.fidelity)
    gather = jax.jit(lambda cells, index: cells[index])
    np.testing.assert_array_equal(np.asarray(gather(cells, index))[..., :2], log.costs)
    seconds = seconds_of(simulated)
    reference = seconds_of(lambda: np.asarray(gather(cells, index)))
    rate, ratio = num_lanes / seconds, seconds / reference
    yield Row("hyperband-lanes", rate, "lanes/s", "none", None, ">= 5,000 lanes/s", rate >= 5000)
    each = 1e6 * seconds / num_lanes
    yield Row("hyperband-gather", each, "us/lane", "gather", ratio, "<= 10 x gather", ratio <= 10)


def _pass_length(table: AnyTable) -> int:
    """Evaluations of one Hyperband pass."""
    brackets = make_plan(table, method_named("mo-hb")).brackets
    return sum(bracket.num_evaluations for bracket in brackets)


def kernels(num_sets: int = 1000, size: int = 81) -> Iterator[Row]:
    """Pareto rank, and rank with epsilon-net order, of 1,000 rungs of 81 points; moocore ranks the same
    sets."""
    moocore = _peer("moocore")
    costs = np.random.default_rng(0).random((num_sets, size, 2))
    valid = np.ones((num_sets, size), bool)
    rank = jax.jit(jax.vmap(pareto_rank))
    both = jax.jit(jax.vmap(functools.partial(_rank_and_net, num_select=size)))

    def by_moocore() -> np.ndarray:
        return np.stack([moocore.pareto_rank(points) for points in costs])

    np.testing.assert_array_equal(np.asarray(rank(costs, valid)), by_moocore())
    np.testing.assert_array_equal(
        np.sort(np.asarray(both(costs, valid))), np.tile(np.arange(size), (num_sets, 1))
    )
    each = {
        name: 1e6 / num_sets * seconds_of(function)
        for name, function in (
            ("moocore", by_moocore),
            ("rank", lambda: np.asarray(rank(costs, valid))),
            ("both", lambda: np.asarray(both(costs, valid))),
        )
    }
    ratio = each["rank"] / each["moocore"]
    yield Row("pareto-rank", each["rank"], "us/set", "moocore", ratio, "<= 1 x moocore", ratio <= 1)
    ratio = each["both"] / each["moocore"]
    yield Row(
        "rank-and-net", each["both"], "us/set", "moocore's rank", ratio, "<= 30 us/set", each["both"] <= 30
    )


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
    """Runs of R=81 whose configurations a prior proposes, against the same runs with random ones: the lists
    of the prior are made anew each time, and counted."""
    table = synthetic(num_rows=num_rows, num_tasks=2)
    mu = np.stack([z_values(table, task)[0] for task in (1, 0)]).astype(np.float32)
    given = Prior(table.name, table.tasks, table.columns, table.objectives, mu, np.full_like(mu, 0.3))
    budget = 2 * _pass_length(table)

    def simulated(method: str, prior: Prior) -> Any:
        options: dict[str, Any] = {"num_seeds": num_lanes, "evaluations": budget, "prior": prior}
        return simulate(table, method, tasks=["task-0"], **options)

    log = simulated("mo-hb+prior", given)
    assert all(len(set(row[:81].tolist())) == 81 for row in log.row[:100])
    rest = seconds_of(lambda: simulated("mo-hb", given), repeats=9)
    known = seconds_of(lambda: simulated("mo-hb+prior", given), repeats=9)
    fresh = seconds_of(lambda: simulated("mo-hb+prior", dataclasses.replace(given)), repeats=9)
    ratio = (fresh - rest) / rest
    yield Row("prior-lists", fresh - known, "s/task", "none", None, "", None)
    yield Row(
        "prior-proposals",
        1e6 * (fresh - rest) / num_lanes,
        "us/lane",
        "rest of the lane",
        ratio,
        "<= 1 x the rest",
        ratio <= 1,
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

    began = time.perf_counter()
    log = simulated()
    first = time.perf_counter() - began
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
    compiling = first - seconds
    yield Row("mo-asha-compile", compiling, "s", "none", None, "<= 10 s", compiling <= 10)


def arrivals(num_lanes: int = 32) -> Iterator[Row]:
    """One decision at a rung of 10, 100 and 1,000 results, two objectives, against sorting the whole rung."""
    rules = (net_arrival(), sorted_arrival(epsilon_net()))
    for size in (10, 100, 1000):
        capacity = -(-size // WORD) * WORD
        costs = np.full((num_lanes, capacity, 2), np.inf)
        costs[:, :size] = np.random.default_rng(size).random((num_lanes, size, 2))
        rung = Rung(
            jnp.asarray(costs),
            jnp.tile(jnp.arange(capacity) < size, (num_lanes, 1)),
            jnp.asarray(costs.min(axis=1, keepdims=True)),
            jnp.asarray(costs[:, :size].max(axis=1, keepdims=True)),
            jnp.full(num_lanes, max(1, size // 3), jnp.int32),
            jnp.full(num_lanes, 3.0),
        )
        known = _all_dominators(rung, size)
        quick, full = (
            functools.partial(jax.jit(functools.partial(_decide, rule, size - 1)), rung, known)
            for rule in rules
        )
        np.testing.assert_array_equal(np.asarray(quick()), np.asarray(full()))
        each, by_sorting = seconds_of(quick), seconds_of(full)
        micro = 1e6 * each / num_lanes
        yield Row(f"arrival-{size}", micro, "us/lane", "sorting the rung", each / by_sorting, "", None)


def _all_dominators(rung: Rung, size: int) -> Array:
    """What was kept before the last result arrived."""
    capacity = rung.valid.shape[1]
    empty = jnp.zeros((rung.valid.shape[0], capacity // WORD, capacity), jnp.uint32)

    def arrive(newcomer: Array, dominators: Array) -> Array:
        so_far = rung._replace(valid=rung.valid & (jnp.arange(capacity) <= newcomer))
        return jax.vmap(with_newcomer, (0, None, 0))(so_far, newcomer, dominators)

    return jax.jit(lambda: jax.lax.fori_loop(0, size - 1, arrive, empty))()


def _decide(rule: ArrivalRule, newcomer: int, rung: Rung, dominators: Array) -> Array:
    def lane(rung: Rung, dominators: Array) -> Array:
        if rule.has_fronts:
            dominators = jnp.asarray(with_newcomer(rung, jnp.int32(newcomer), dominators))
        wanted = jnp.arange(rung.valid.shape[0]) == newcomer
        return jnp.asarray(rule.first(jax.random.key(0), rung, wanted, dominators))

    return jax.vmap(lane)(rung, dominators)


def _rank_and_net(costs: Array, valid: Array, num_select: int) -> Array:
    rank = pareto_rank(costs, valid)
    return epsilon_net_order(scale_costs(costs, valid, "minmax"), rank, valid, num_select)


_MEMORY_SCRIPT = """
import resource
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.simulation import simulate
table = synthetic(num_rows=2000, fidelities={fidelities})
log = simulate(table, "{method}", num_seeds={lanes}, **{limits})
assert log.valid[:, :{least}].all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def memory() -> Iterator[Row]:
    """Peak memory of a process that simulates 10,000 lanes of R=81, and of one that simulates 2,000
    asynchronous lanes of 1,000 trials."""
    yield _memory("memory-10000-lanes", "mo-hb", (1, 3, 9, 27, 81), 10_000, {"evaluations": 187}, 187, 2)
    limits = {"trials": 1000, "seconds": 1e12}
    yield _memory("memory-asha-1000-trials", "mo-asha", tuple(range(1, 53)), 2000, limits, 1000, 4)


def _memory(
    name: str, method: str, fidelities: tuple[int, ...], lanes: int, limits: dict, least: int, bound: float
) -> Row:
    """A row of the peak memory of such a process; each of its lanes has the least number of jobs."""
    script = _MEMORY_SCRIPT.format(
        method=method, fidelities=fidelities, lanes=lanes, limits=limits, least=least
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    peak = float(result.stdout) / 2**30
    return Row(name, peak, "GiB", "none", None, f"<= {bound:g} GiB", peak <= bound)


BASELINES = (
    *("bohb", "mo-bohb", "nsga2", "sh-emoa", "mo-rea", "ehvi", "ms-ehvi", "parego", "primo", "mo-bananas"),
    *("bulk-and-cut", "monas", "npg", "popnas"),
)
REFERENCES = {"nsga2": ("pymoo (cited)", 0.0093), "ehvi": ("scikit-learn (cited)", 72.5)}
"""Seconds per run of the same work in per-run Python (scripts/compare_baselines.py runs both)."""

_BASELINE_SCRIPT = """
import ctypes, functools, gc, json, pathlib, sys, time
from mohb_jax import benchmarks
from mohb_jax.simulation import simulate

def status(field):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

def timed(num_lanes):
    began = time.perf_counter()
    log = run(num_seeds=num_lanes)
    assert log.valid.all()
    return time.perf_counter() - began

table = benchmarks.load("embedded")
own = {"known": ["cost"]} if sys.argv[1] == "ms-ehvi" else {}
run = functools.partial(simulate, table, sys.argv[1], tasks=["digits"], evaluations=100, workers=4, **own)
first, lanes = timed(64), 64
second = timed(64)
if second < 2:
    lanes = 2048
    timed(lanes)
seconds = sorted(timed(lanes) for _ in range(3))[1]
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
idle = status("VmRSS")
timed(lanes)
print(json.dumps([lanes / seconds, first - second, (status("VmHWM") - idle) / lanes]))
"""


def baselines() -> Iterator[Row]:
    """100 evaluations on the embedded table, three objectives, four workers: runs per second, compilation
    from an empty cache, and peak memory beyond that of the idle process."""
    for name in BASELINES:
        with tempfile.TemporaryDirectory() as programs:
            environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": programs}
            full = [sys.executable, "-c", _BASELINE_SCRIPT, name]
            result = subprocess.run(full, env=environment, check=True, capture_output=True, text=True)
        rate, compiling, memory = json.loads(result.stdout)
        reference, each = REFERENCES.get(name, ("none", None))
        ratio = None if each is None else rate * each
        hold = "" if ratio is None else ">= 100 x"
        yield Row(f"{name}-runs", rate, "runs/s", reference, ratio, hold, ratio and ratio >= 100)
        yield Row(f"{name}-compile", compiling, "s", "none", None, "", None)
        yield Row(f"{name}-memory", memory, "KiB/lane", "none", None, "", None)


_STUDY = """
name: bench
benchmarks: [{name: embedded, tasks: [TASKS]}]
methods: [mo-hb]
sweep: {eta: [2, 3, 4, 5, 6], workers: [2, 4], promotion: [net, crowding]}
seeds: SEEDS
memory: 1
"""
"""Twenty methods-with-settings on six tasks."""


def study(num_seeds: int = 1000) -> Iterator[Row]:
    """A study of 20 x 6 x 1,000 tuning runs, from an empty compilation cache: run, report, and run again when
    all is done."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "study.yaml", str(Path(folder) / "out")
        tasks = ", ".join(benchmarks.load("embedded").tasks[:6])
        file.write_text(_STUDY.replace("TASKS", tasks).replace("SEEDS", str(num_seeds)), encoding="utf-8")
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}
        for name, command, bound in (
            ("study-120000-runs", ["run", str(file), "--out", out], 300),
            ("study-report", ["report", out], 60),
            ("study-resume", ["run", str(file), "--out", out], 5),
        ):
            seconds, peak = _command(command, environment)
            yield Row(name, seconds, "s", "none", None, f"<= {bound} s", seconds <= bound)
            if name == "study-120000-runs":
                yield Row("study-memory", peak, "GiB", "none", None, "<= 4 GiB", peak <= 4)


_COMMAND_SCRIPT = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run([sys.executable, "-m", "mohb_jax.cli", *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def _command(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and peak GiB of a ``mohb`` command."""
    full = [sys.executable, "-c", _COMMAND_SCRIPT, *arguments]
    result = subprocess.run(full, env=dict(environment), check=True, capture_output=True, text=True)
    seconds, peak = result.stdout.split()
    return float(seconds), float(peak) / 2**30


def ray(num_seeds: int = 6000) -> Iterator[Row]:
    """A study of eight equal units on Ray, two at a time against one at a time, programs compiled before."""
    _peer("ray")
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}
        seconds = {}
        # 1.5 processors per unit: one thread each, as with 1, but on two processors one unit at a time.
        for name, cpus in (("warm", 1), ("one", 1.5), ("two", 1)):
            content = {
                "name": name,
                "benchmarks": ["synthetic"],
                "methods": [{"method": "mo-asha", "name": f"unit {number}"} for number in range(8)],
                "seeds": num_seeds,
                "settings": {"trials": 200},
                "engine": {"name": "ray", "cpus": cpus},
            }
            file = Path(folder) / f"{name}.yaml"
            file.write_text(json.dumps(content), encoding="utf-8")
            seconds[name], _ = _command(["run", str(file), "--out", str(Path(folder) / name)], environment)
        ratio = seconds["one"] / seconds["two"]
        yield Row("ray-2-workers", seconds["two"], "s", "one worker", ratio, ">= 1.6 x as fast", ratio >= 1.6)


def demo() -> Iterator[Row]:
    """The commands of `make demo` after installation: with an empty compilation cache, then once more."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}
        for name, bound in (("demo-first", 60), ("demo-second", 20)):
            out = str(Path(folder) / name)
            began = time.perf_counter()
            for command in (["run", "--out", out], ["report", out]):
                full = [sys.executable, "-m", "mohb_jax.cli", *command]
                subprocess.run(full, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - began
            yield Row(name, seconds, "s", "none", None, f"<= {bound} s", seconds <= bound)


def _peer(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise MissingPeerError(
            f"this bench compares with {name}, which is missing: pip install {name}"
        ) from None


BENCHES: dict[str, Callable[[], Iterator[Row]]] = {
    "hyperband": hyperband,
    "kernels": kernels,
    "prior": prior,
    "proposals": proposals,
    "asha": asha,
    "arrivals": arrivals,
    "baselines": baselines,
    "memory": memory,
    "study": study,
    "ray": ray,
    "demo": demo,
}
