"""Runs without a table decide what simulated ones do: the recorded logs are their oracle, too."""

import json

import numpy as np
import pytest

from mohb_jax.drivers.base import Conditions
from mohb_jax.drivers.live import begin
from mohb_jax.methods import METHODS, Synchronous, make_plan, make_settings
from mohb_jax.precision import in_64_bits
from mohb_jax.simulation import lanes_of
from scripts.record_golden import EVALUATIONS, PATH, SEED, WORKERS, case_of, recorded_methods
from tests.replay import Played, Wanted, replay

RECORDED = json.loads(PATH.read_text(encoding="utf-8"))
KINDS = (
    "random",
    "mo-hb",
    "mo-hb+transfer",
    "bohb",
    "mo-asha",
    "mo-asha+transfer",
    "mo-asha-promote",
    "monas",
)
"""One for each way in which runs are asked and told; the others take long to compile together."""


@in_64_bits
def played(recorded: str, run: int) -> list[Played]:
    """A recorded run, without the simulator."""
    table, name, settings, prior = case_of(recorded)
    method, own = METHODS[name], make_settings(METHODS[name], **settings)
    plan = make_plan(table, method, own, Conditions(workers=WORKERS, evaluations=EVALUATIONS))
    context, used = plan.prepare(table, (0,), SEED, prior), plan.levels()
    lanes = lanes_of(1, run, 1, SEED, [np.inf])
    live = begin(plan.in_levels(used), context, lanes, table.num_objectives, len(used))
    going_on: dict[int, int] = {}
    launched = 0

    def ask(worker, now):
        nonlocal launched
        launch = live.ask(worker, now, going_on.pop(worker, None)) if launched < EVALUATIONS else None
        if launch is None:
            return None
        launched += 1
        before = used[launch.from_level] if launch.from_level >= 0 else -1
        return launched - 1, Wanted(launch.row, used[launch.level], before)

    def tell(number, worker, costs, now):
        if not live.tell(number, np.array(costs)).ends:
            going_on[worker] = number

    return replay(table, 0, WORKERS, ask, tell, isinstance(method, Synchronous))


@pytest.mark.parametrize(
    "recorded",
    [pytest.param(name, marks=() if name in KINDS else pytest.mark.slow) for name in recorded_methods()],
)
def test_asking_and_telling_gives_the_simulated_log(recorded):
    for run in range(2):
        log = {field: RECORDED[recorded][field][run] for field in ("row", "fidelity", "worker")}
        wanted = [slot for slot in zip(*log.values(), strict=True) if slot[0] >= 0]
        assert [(job.row, job.fidelity, job.worker) for job in played(recorded, run)] == wanted
