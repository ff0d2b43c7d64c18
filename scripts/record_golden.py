"""Writes the integer logs that tests/test_golden.py pins, one file for all methods.

Run it only when a change is meant to alter decisions, and say so in CHANGELOG.md:
    python scripts/record_golden.py
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

from mohb_jax.methods import METHODS
from mohb_jax.simulation import simulate
from mohb_jax.transfer import Prior, z_values

PATH = Path(__file__).parents[1] / "tests" / "golden" / "logs.json"


LEARNT = (
    *(
        "gcp-prior",
        "ehvi",
        "ehvi-log",
        "momf",
        "ms-ehvi",
        "parego",
        "primo",
        "mo-bananas",
        "concrete",
        "trimtuner-cea",
        "rgpe",
        "tst-r",
    ),
    "meta-knn+gp",
)
"""Not recorded: what their models learn in many steps differs between processors in the last bits."""


BARRIER = " mode=barrier"
"""Behind the names of methods whose brackets overlap by default: their logs with a barrier."""


def recorded_methods() -> list[str]:
    """All methods but those of ``LEARNT``; those whose brackets overlap twice, the second time with a
    barrier."""
    names = [name for name in METHODS if name not in LEARNT]
    overlaps = (name for name in names if "mode" in METHODS[name].settings.__dataclass_fields__)
    return names + [name + BARRIER for name in overlaps]


WORKERS, EVALUATIONS, SEED = 3, 60, 7


class Case(NamedTuple):
    """What a method is recorded on."""

    table: Table
    method: str
    settings: dict[str, Any]
    prior: Prior | None


def case_of(recorded: str) -> Case:
    """Methods that transfer are given their prior, since what a network learns differs between processors."""
    name = recorded.removesuffix(BARRIER)
    settings: dict[str, Any] = {} if name == recorded else {"mode": "barrier"}
    if not METHODS[name].transfers:
        return Case(small_table(), name, settings, None)
    if "draws" in METHODS[name].settings.__dataclass_fields__:
        settings["draws"] = 32
    pair = dataclasses.replace(small_table(num_tasks=2), descriptors={"size": (1.0, 2.0)})
    return Case(pair, name, settings, swapped_prior(pair))


def integer_log(recorded: str) -> dict[str, Any]:
    """Rows, fidelities and workers of two runs of a method on the first task of a small table."""
    table, name, settings, prior = case_of(recorded)
    budget: dict[str, Any] = {"num_seeds": 2, "evaluations": EVALUATIONS, "workers": WORKERS, "seed": SEED}
    log = simulate(table, name, prior=prior, tasks=table.tasks[:1], **budget, **settings)
    return {field: getattr(log, field).tolist() for field in ("row", "fidelity", "worker")}


def small_table(num_tasks: int = 1) -> Table:
    return synthetic(num_rows=120, fidelities=(1, 3, 9, 27), num_objectives=3, num_tasks=num_tasks)


def swapped_prior(pair: AnyTable) -> Prior:
    """Each of two tasks predicted by the other's results."""
    mu = np.stack([z_values(pair, task)[0] for task in (1, 0)]).astype(np.float32)
    return Prior(pair.name, pair.tasks, pair.columns, pair.objectives, mu, np.full_like(mu, 0.3))


def main() -> None:
    """Records the file anew."""
    logs = {name: integer_log(name) for name in recorded_methods()}
    PATH.write_text(json.dumps(logs, separators=(",", ":")) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
