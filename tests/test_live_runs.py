"""Asking and telling decides what simulated runs do: the recorded logs are the oracle of live runs, too."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from mohb_jax.benchmarks.table import Table

from mohb_jax import Space, Tuner
from mohb_jax.methods import METHODS, Synchronous
from mohb_jax.simulation import simulate
from scripts.record_golden import BARRIER, EVALUATIONS, LEARNT, PATH, SEED, WORKERS, case_of, recorded_methods
from tests.replay import Played, Wanted, replay

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))
KINDS = {
    **dict.fromkeys(("random", "mo-hb", "mo-asha"), ()),
    **dict.fromkeys(
        ("mo-asha-promote", "mo-rea", "bohb", "mo-hb+transfer", "mo-asha+transfer"), pytest.mark.wide
    ),
}
"""One for each way in which runs are asked and told, with its mark; the others compile for long together."""


LIVE = [name for name in recorded_methods() if "descriptors" not in METHODS[name.removesuffix(BARRIER)].needs]
"""A space says nothing of its task, so that methods which need descriptors refuse it."""
FEW = 24
"""Evaluations where models are fitted."""


def tuner_of(recorded: str, run: int = 0, **options: Any) -> Tuner:
    """Of the recorded run: the other task's results are its sources."""
    table, name, settings, prior = case_of(recorded)
    names = options.get("known", ())
    costs = table.final_costs(0)
    known = {name: table.objectives[i].to_value(costs[:, i]) for i, name in _indices(table, names)}
    sources = None if prior is None else table.select(tasks=table.tasks[1:])
    return Tuner(
        Space.from_table(table).with_known(**known),
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


def _indices(table: Table, names: Sequence[str]) -> list[tuple[int, str]]:
    return [(table.objective_index(name), name) for name in names]


def played(recorded: str, run: int, **options: Any) -> tuple[list[Played], Tuner]:
    """A recorded run, asked and told by workers under a simulated clock."""
    now = [0.0]
    table, name = case_of(recorded)[:2]
    tuner = tuner_of(recorded, run, clock=lambda: now[0], **options)

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
    [pytest.param(name, marks=KINDS.get(name, pytest.mark.slow)) for name in LIVE],
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


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNT if "descriptors" not in METHODS[name].needs])
def test_models_that_learn_in_a_run_decide_the_same(name):
    """Their logs differ between processors in the last bits, so that the simulation is run beside."""
    table, _, settings, prior = case_of(name)
    if name == "ms-ehvi":
        settings["known"] = [table.objectives[-1].name]
    if name == "trimtuner-cea":
        settings["price"] = table.objectives[-1].name
    limits = {"evaluations": FEW, "workers": WORKERS, "seed": SEED}
    log = simulate(table, name, prior=prior, tasks=table.tasks[:1], **limits, **settings)
    jobs, _ = played(name, 0, evaluations=FEW, **settings)
    for field in ("row", "fidelity", "start", "end", "worker"):
        np.testing.assert_array_equal([getattr(job, field) for job in jobs], getattr(log, field)[0])
