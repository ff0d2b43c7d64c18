"""Tunes networks that really train, with the threads and the precision that they train with.

    python -m scripts.tune_digits                  # all repeats, then the page: six minutes
    python -m scripts.tune_digits page             # docs/live.md and its figure from docs/live/runs.json

Small flax networks learn scikit-learn's digits, then its breast cancer data. What is chosen: learning rate,
width, depth and batch size, and as hardware the number of CPU threads and the precision. What is minimised:
the error on a held-out third, seconds, and CPU-seconds. In each repeat ``mo-asha`` hands out 200 jobs, and
random search gets as many seconds as that took; on the second data set, ``mo-asha+prior``, too, which begins
with what the first run of the repeat has measured. One training runs at a time, so that its seconds are its
own; all programs are compiled beforehand, and no run pays for that.

All of this was decided before the first run, and so was the second data set: other examples, of another size
and with two classes, since a half of digits would be nearly the same task, and wine has too few examples for
an error to be told from another.
"""

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
from mohb_jax.surrogates.prior_network import Training

from mohb_jax import Prior, Space, Tuner, learn_prior, rungs
from mohb_jax.tuner.space import hardware, log, ordered
from scripts.check_types import ROOT
from scripts.live import page, training
from scripts.performance import machine

GOALS = {"error": "min fraction", "seconds": "min s", "cpu_seconds": "min s"}
FIDELITIES = rungs(3, 81)
FIRST_RUNG = 3
"""Where all trials of a run have a result: what a prior is learnt from."""
COLUMNS = ("row", "fidelity", "error", "seconds", "cpu_seconds", "end")

Pools = Mapping[int, ProcessPoolExecutor]
"""A process for each number of threads."""


def space(n: int = 64) -> Space:
    """What may be tried: ``n`` times four rows."""
    return Space.sample(
        {
            "lr": log(1e-4, 0.1),
            "width": ordered(training.WIDTHS),
            "depth": ordered(training.DEPTHS),
            "batch": ordered(training.BATCHES),
            "threads": hardware(training.THREADS),
            "precision": hardware(training.PRECISIONS),
        },
        n,
    )


def workers() -> dict[int, ProcessPoolExecutor]:
    """One process per number of threads, each with as many processors."""
    context = get_context("spawn")
    return {
        threads: ProcessPoolExecutor(1, context, initializer=training.pin, initargs=(threads,))
        for threads in training.THREADS
    }


def tuned(tuner: Tuner, data: str, pools: Pools, folder: Path) -> Tuner:
    """The run, worked off: one training at a time, in the process with its number of threads."""
    while (job := tuner.ask("here")) is not None:
        to = f"{folder / str(job.id)}.ckpt"
        pool, start, until = pools[int(job.config["threads"])], job.from_fidelity, job.to_fidelity
        values = pool.submit(training.train, data, job.config, start, until, job.checkpoint, to).result()
        tuner.tell(job, values, checkpoint=to)
    return tuner


def run(
    method: str, data: str, seed: int, pools: Pools, own: Space, prior: Prior | None = None, **limits: Any
) -> tuple[Tuner, float]:
    """A finished run, and the seconds that it took; its clock stands still until it is made ready, and
    checkpoints go when it ends."""
    began: list[float] = []

    def clock() -> float:
        return time.perf_counter() - began[0] if began else 0.0

    with tempfile.TemporaryDirectory() as folder:
        limits |= {"seed": seed, "prior": prior, "clock": clock}
        tuner = Tuner(own, GOALS, method, fidelities=FIDELITIES, **limits)
        began.append(time.perf_counter())
        tuned(tuner, data, pools, Path(folder))
        return tuner, clock()


def warm_up(own: Space, jobs: int, prior: Prior, shapes: Sequence[training.Shape], pools: Pools) -> float:
    """Compiles all that runs need, trainings and decisions; the seconds that it took."""
    began = time.perf_counter()
    waiting = [pool.submit(training.prepare, shapes) for pool in pools.values()]
    for method, known in (("mo-asha", None), ("random", None), ("mo-asha+prior", prior)):
        tuner = Tuner(own, GOALS, method, fidelities=FIDELITIES, evaluations=jobs, prior=known)
        while (job := tuner.ask()) is not None:
            tuner.tell(job, {name: float(job.row) for name in GOALS})
    for future in waiting:
        future.result()
    return time.perf_counter() - began


def prior_of(tuner: Tuner, own: Space, steps: Training | None = None) -> Prior:
    """What a finished run says about each row, by all that it tried."""
    return learn_prior(tuner.table("digits").select(fidelities=[FIRST_RUNG]), rows=own, training=steps)


def repeat(seed: int, jobs: int, pools: Pools, own: Space, steps: Training | None = None) -> list[Any]:
    """All runs of one seed."""
    first, seconds = run("mo-asha", "digits", seed, pools, own, evaluations=jobs)
    random, _ = run("random", "digits", seed, pools, own, seconds=seconds)
    found = [("digits", "mo-asha", first, seconds), ("digits", "random", random, seconds)]
    prior, data = prior_of(first, own, steps), training.DATA_SETS[1]
    second, seconds = run("mo-asha", data, seed, pools, own, evaluations=jobs)
    found.append((data, "mo-asha", second, seconds))
    for method, known in (("random", None), ("mo-asha+prior", prior)):
        tuner, _ = run(method, data, seed, pools, own, known, seconds=seconds)
        found.append((data, method, tuner, seconds))
    return [_kept(seed, *entry) for entry in found]


def _kept(seed: int, data: str, method: str, tuner: Tuner, seconds: float) -> dict[str, Any]:
    told = [pl.col(f"objective:{name}").alias(name) for name in GOALS]
    frame = tuner.results().select("row", "fidelity", *told, "end")
    jobs = [[round(value, 6) for value in row] for row in frame.rows()]
    return {"data": data, "method": method, "seed": seed, "limit": round(seconds, 2), "jobs": jobs}


def experiment(repeats: int, jobs: int, rows: int, quick: bool = False) -> dict[str, Any]:
    """All repeats: what docs/live/runs.json holds.

    Args:
        repeats: seeds.
        jobs: of ``mo-asha``.
        rows: of the space, in units of four.
        quick: train the prior's networks for a moment only, and compile what is needed when it is needed.
    """
    own, pools = space(rows), workers()
    steps = Training(num_phases=1, steps_per_phase=50, steps_per_validation=50) if quick else None
    try:
        some = Tuner(own, GOALS, "random", fidelities=(FIRST_RUNG,), evaluations=16)
        some.run(lambda job: {name: float(job.row) for name in GOALS})
        prior = learn_prior(some, rows=own, training=steps)
        compiling = warm_up(own, jobs, prior, [] if quick else training.all_shapes(), pools)
        print(f"compiled in {compiling:.0f} s", flush=True)
        runs = []
        for seed in range(repeats):
            runs += repeat(seed, jobs, pools, own, steps)
            for entry in runs[-5:]:
                print(seed, entry["data"], entry["method"], len(entry["jobs"]), "jobs,", entry["limit"], "s")
    finally:
        for pool in pools.values():
            pool.shutdown()
    return {
        "date": str(datetime.date.today()),
        "machine": machine(),
        "command": "python -m scripts.tune_digits",
        "compile_seconds": round(compiling),
        "columns": [column.name for column in own.columns],
        "configs": [list(own.config(row).values()) for row in range(len(own))],
        "fidelities": list(FIDELITIES),
        "job_columns": list(COLUMNS),
        "runs": runs,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Tunes real trainings, and writes docs/live.md.")
    parser.add_argument("what", nargs="?", choices=("all", "page"), default="all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=256, help="of the space, in units of four")
    parser.add_argument("--quick", action="store_true", help="a short look: nothing is compiled beforehand")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of live.md")
    given = parser.parse_args(arguments)
    if given.what == "all":
        found = experiment(given.repeats, given.jobs, given.rows, given.quick)
        (given.docs / "live").mkdir(parents=True, exist_ok=True)
        # On one line: with a number on each, the file would be twice as large.
        (given.docs / "live" / "runs.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    page.write(given.docs)


if __name__ == "__main__":
    main()
