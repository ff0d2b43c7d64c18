"""Live tuning: what a worker waits for between two trainings, and how long a journal takes to open."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mohb_jax.bench.row import Row
from mohb_jax.tuner.setup import rungs
from mohb_jax.tuner.space import Space, log, uniform
from mohb_jax.tuner.tuner import Tuner

BOUNDS = {"random": 2, "mo-hb": 2, "mo-asha": 5, "mo-asha-promote": 5, "nsga2": 2, "parego": 30, "ehvi": 30}
"""Milliseconds of ask and tell together that were promised; with Gaussian processes 30."""
JOBS = {"parego": 60, "ehvi": 60}
OPENED = ("mo-hb", "mo-asha", "mo-asha-promote", "mo-rea")
"""One for each way in which live runs decide."""
MOST_OPEN_SECONDS = 5.0
_OPENING_SCRIPT = """
import sys, time
import jax
from mohb_jax import Tuner

began = time.perf_counter()
tuner = Tuner.open(sys.argv[1])
print(time.perf_counter() - began)
assert len(tuner.log().row[0]) == int(sys.argv[2])
"""


def live() -> Iterator[Row]:
    """Ask and tell with 4,096 configurations and two objectives, one worker after the other, once compiled:
    the mean of the last hundred of 1,000 jobs (Gaussian processes: of the last twenty of 60); then opening a
    journal of 10,000 jobs, whose decisions are all made again, in a process that finds programs compiled."""
    for method, bound in BOUNDS.items():
        jobs = JOBS.get(method, 1000)
        _seconds(method, jobs)
        milliseconds = 1e3 * _seconds(method, jobs)
        yield Row(f"live-{method}", milliseconds, "ms", "none", None, f"<= {bound} ms", milliseconds <= bound)
    yield from map(_opening, OPENED)


def _tuner(method: str, jobs: int, journal: Path | None = None) -> Tuner:
    space = Space.sample({name: uniform(0, 1) for name in "abc"} | {"lr": log(1e-5, 0.1)}, 1 << 14)
    goals = {"error": "min", "seconds": "min s"}
    return Tuner(space, goals, method, fidelities=rungs(1, 81), evaluations=jobs, workers=4, journal=journal)


def _train(tuner: Tuner, jobs: int) -> None:
    for _ in range(jobs):
        job = tuner.ask()
        assert job is not None
        a, b, c, lr = (float(value) for value in job.config.values())
        error = (a - 0.3) ** 2 + b * c + np.log10(lr) ** 2 / 100 + 1 / job.to_fidelity
        tuner.tell(job, {"error": float(error), "seconds": 1 + a + 3 * c}, seconds=1.0)


def _seconds(method: str, jobs: int) -> float:
    """Of ask and tell, at the end of a run."""
    tuner, last = _tuner(method, jobs), min(100, jobs // 3)
    _train(tuner, jobs - last)
    began = time.perf_counter()
    _train(tuner, last)
    return (time.perf_counter() - began) / last


def _opening(method: str, jobs: int = 10_000) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        tuner = _tuner(method, jobs, path)
        _train(tuner, jobs)
        command = [sys.executable, "-c", _OPENING_SCRIPT, str(path), str(jobs)]
        for _ in range(2):  # the first one compiles
            result = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = float(result.stdout)
    bound = MOST_OPEN_SECONDS
    return Row(f"live-open-{method}", seconds, "s", "none", None, f"<= {bound:g} s", seconds <= bound)
