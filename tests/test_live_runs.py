"""Asking and telling decides what simulated runs do: the recorded logs are the oracle of live runs, too."""

import json
from typing import Any

import numpy as np
import pytest

from mohb_jax import Space, Tuner
from mohb_jax.methods import METHODS, Synchronous
from scripts.record_golden import EVALUATIONS, PATH, SEED, WORKERS, case_of, recorded_methods
from tests.replay import Played, Wanted, replay

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))
KINDS = (
    *("random", "mo-hb", "mo-hb+transfer", "bohb"),
    *("mo-asha", "mo-asha+transfer", "mo-asha-promote", "mo-rea"),
)
"""One for each way in which runs are asked and told; the others take long to compile together."""


def tuner_of(recorded: str, run: int = 0, **options: Any) -> Tuner:
    """Of the recorded run: the other task's results are its sources."""
    table, name, settings, prior = case_of(recorded)
    sources = None if prior is None else table.select(tasks=table.tasks[1:])
    return Tuner(
        Space.from_table(table),
        table.objectives,
        name,
        **{
            "fidelities": table.fidelities,
            "workers": WORKERS,
            "evaluations": EVALUATIONS,
            "seed": SEED,
            "run": run,
            "prior": prior,
            "sources": sources,
            "task": table.tasks[0],
            **settings,
            **options,
        },
    )


def played(recorded: str, run: int) -> tuple[list[Played], Tuner]:
    """A recorded run, asked and told by workers under a simulated clock."""
    now = [0.0]
    table, name = case_of(recorded)[:2]
    tuner = tuner_of(recorded, run, clock=lambda: now[0])

    def ask(worker, time):
        now[0] = time
        job = tuner.ask(f"worker {worker}")
        if job is None:
            return None
        before = -1 if job.from_fidelity == 0 else table.fidelity_index(job.from_fidelity)
        return job, Wanted(job.row, job.level, before)

    def tell(job, worker, costs, time):
        now[0] = time
        values = {o.name: o.to_value(cost) for o, cost in zip(table.objectives, costs, strict=True)}
        tuner.tell(job, values)

    jobs = replay(table, 0, WORKERS, ask, tell, isinstance(METHODS[name], Synchronous))
    return jobs, tuner


@pytest.mark.parametrize(
    "recorded",
    [pytest.param(name, marks=() if name in KINDS else pytest.mark.slow) for name in recorded_methods()],
)
def test_asking_and_telling_gives_the_simulated_log(recorded):
    for run in range(2):
        log = {field: RECORDED[recorded][field][run] for field in ("row", "fidelity", "worker")}
        wanted = [slot for slot in zip(*log.values(), strict=True) if slot[0] >= 0]
        jobs, tuner = played(recorded, run)
        assert [(job.row, job.fidelity, job.worker) for job in jobs] == wanted
        assert tuner.finished
        own = tuner.log()
        assert own.valid.all()
        np.testing.assert_array_equal(own.start[0], [job.start for job in jobs])
        np.testing.assert_array_equal(own.end[0], [job.end for job in jobs])
        np.testing.assert_array_equal(own.worker[0], [job.worker for job in jobs])
        np.testing.assert_array_equal(own.costs[0], [job.costs for job in jobs])
