"""What takes a process of its own: memory, compilation from an empty cache, commands."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mohb_jax import benchmarks
from mohb_jax.bench.row import MissingPeerError, Row, peer
from mohb_jax.benchmarks.credit import SIDE_BY_SIDE
from mohb_jax.recurring import load_training, run_policy

MOST_FOR_BOTH_CREDITS = 1.5
LOADING_SECONDS = {"pollux": 2.0}

_MEMORY_SCRIPT = """
import json, resource, time
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.simulation import simulate
table = synthetic(num_rows=2000, fidelities={fidelities})
simulate(table, "{method}", num_seeds=64, **{limits})  # compiles
began = time.perf_counter()
log = simulate(table, "{method}", num_seeds={lanes}, **{limits})
assert log.valid[:, :{least}].all()
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def memory() -> Iterator[Row]:
    """Peak memory of a process that simulates 10,000 lanes of R=81 with barriers, and of one that simulates
    2,000 asynchronous lanes of 1,000 trials; the time of the latter, once compiled."""
    one_pass = {"evaluations": 187, "mode": "barrier"}
    _, peak = _process("mo-hb", (1, 3, 9, 27, 81), 10_000, one_pass, 187)
    yield Row("memory-10000-lanes", peak, "GiB", "none", None, "<= 2 GiB", peak <= 2)
    limits = {"trials": 1000, "seconds": 1e12}
    seconds, peak = _process("mo-asha", tuple(range(1, 53)), 2000, limits, 1000)
    yield Row("mo-asha-1000-trials", seconds, "s", "none", None, "<= 60 s", seconds <= 60)
    yield Row("memory-asha-1000-trials", peak, "GiB", "none", None, "<= 4 GiB", peak <= 4)


def _process(
    method: str, fidelities: tuple[int, ...], lanes: int, limits: dict[str, Any], least: int
) -> tuple[float, float]:
    """Seconds and peak GiB of such a process; each of its lanes has the least number of jobs."""
    script = _MEMORY_SCRIPT.format(
        method=method, fidelities=fidelities, lanes=lanes, limits=limits, least=least
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, peak = json.loads(result.stdout)
    return seconds, peak / 2**30


BASELINES = (
    *("bohb", "mo-bohb", "nsga2", "sh-emoa", "mo-rea", "ehvi", "ms-ehvi", "parego", "primo", "mo-bananas"),
    *("bulk-and-cut", "monas", "npg", "popnas", "concrete", "motpe", "ehvi-log", "momf", "trimtuner-cea"),
)

REFERENCES = {"nsga2": ("pymoo (cited)", 0.0093), "ehvi": ("scikit-learn (cited)", 72.5)}
"""Seconds per run of the same work in per-run Python (scripts/compare_baselines.py runs both)."""
HOLDS = {
    "nsga2": (">= 100 x", 100 / 0.0093),
    "ehvi": (">= 20 runs/s", 20),
    "ms-ehvi": (">= 30 runs/s", 30),
    "parego": (">= 60 runs/s", 60),
    "primo": (">= 60 runs/s", 60),
}
"""What was promised, and the runs per second that this takes."""

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
lanes = 64
timed(lanes)
if timed(lanes) < 2:
    lanes = 2048
    timed(lanes)
seconds = sorted(timed(lanes) for _ in range(3))[1]
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
idle = status("VmRSS")
timed(lanes)
print(json.dumps([lanes / seconds, (status("VmHWM") - idle) / lanes]))
"""


def baselines() -> Iterator[Row]:
    """100 evaluations on the embedded table, three objectives, four workers: runs per second, and peak
    memory beyond that of the idle process."""
    for name in BASELINES:
        full = [sys.executable, "-c", _BASELINE_SCRIPT, name]
        result = subprocess.run(full, check=True, capture_output=True, text=True)
        rate, memory = json.loads(result.stdout)
        reference, each = REFERENCES.get(name, ("none", None))
        ratio = None if each is None else rate * each
        hold, least = HOLDS.get(name, ("", None))
        yield Row(
            f"{name}-runs", rate, "runs/s", reference, ratio, hold, None if least is None else rate >= least
        )
        yield Row(f"{name}-memory", memory, "KiB/lane", "none", None, "", None)


_STUDY = """
name: bench
benchmarks: [{name: embedded, tasks: [TASKS]}]
methods: [mo-hb]
sweep: {eta: [2, 3, 4, 5, 6], workers: [2, 4], promotion: [net, crowding]}
settings: {mode: barrier}
seeds: SEEDS
memory: 1
"""
"""Twenty methods-with-settings on six tasks."""


def study(num_seeds: int = 1000) -> Iterator[Row]:
    """A study of 20 x 6 x 1,000 tuning runs, from an empty compilation cache: run, report, and run again when
    all is done."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = _study_file(Path(folder), num_seeds), str(Path(folder) / "out")
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}
        for name, command, bound in (
            ("study-120000-runs", ["run", str(file), "--out", out], 60),
            ("study-report", ["report", out], 30),
            ("study-resume", ["run", str(file), "--out", out], 3),
        ):
            seconds, peak = _command(command, environment)
            yield Row(name, seconds, "s", "none", None, f"<= {bound} s", seconds <= bound)
            if name == "study-120000-runs":
                yield Row("study-memory", peak, "GiB", "none", None, "<= 4 GiB", peak <= 4)


def _study_file(folder: Path, num_seeds: int) -> Path:
    tasks = ", ".join(benchmarks.load("embedded").tasks[:6])
    text = _STUDY.replace("TASKS", tasks).replace("SEEDS", str(num_seeds))
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return folder / "study.yaml"


def both_credits(num_seeds: int = 50) -> Iterator[Row]:
    """The report of that study, with fewer runs, under both credits against one of them: all is read and
    computed anew."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        _command(["run", str(_study_file(Path(folder), num_seeds)), "--out", str(out)], os.environ)
        _reported(out, SIDE_BY_SIDE)  # compiles
        one, both = (_reported(out, shown) for shown in (SIDE_BY_SIDE[:1], SIDE_BY_SIDE))
        hold = both / one <= MOST_FOR_BOTH_CREDITS
        text = f"<= {MOST_FOR_BOTH_CREDITS:g} x one credit"
        yield Row("report-both-credits", both, "s", "one credit", both / one, text, hold)


def _reported(out: Path, shown: Sequence[str]) -> float:
    """Seconds of a report that finds nothing computed before."""
    shutil.rmtree(out / "cells", ignore_errors=True)
    wanted = [word for credit in shown for word in ("--credit", credit)]
    return _command(["report", str(out), *wanted], os.environ)[0]


def tables() -> Iterator[Row]:
    """Seconds until the table of a benchmark is there, whose files lie on this machine."""
    for name, most in LOADING_SECONDS.items():
        if any(file["state"] != "ok" for file in benchmarks.check([name])):
            raise MissingPeerError(f"{name} is not here: mohb data fetch {name}")
        began = time.perf_counter()
        benchmarks.load(name)
        seconds = time.perf_counter() - began
        yield Row(f"load-{name}", seconds, "s", "none", None, f"<= {most:g} s", seconds <= most)


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
    peer("ray")
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


def papers() -> Iterator[Row]:
    """Executions of Zeus's policy, once compiled, and reproductions of papers that are about something else
    than tuning, from an empty compilation cache."""
    training = load_training("librispeech")
    run_policy(training, 1000)
    began = time.perf_counter()
    rate = int(run_policy(training, 1000, seed=1).ran.sum()) / (time.perf_counter() - began)
    yield Row("zeus-executions", rate, "executions/s", "none", None, ">= 10,000 executions/s", rate >= 10_000)
    for paper in ("you2023", "mohan2022"):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "programs")}
            command = ["reproduce", paper, "--out", str(Path(folder) / "out")]
            seconds, _ = _command(command, environment)
        yield Row(paper, seconds, "s", "none", None, "<= 120 s", seconds <= 120)
