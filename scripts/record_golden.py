"""Writes the integer logs that tests/test_golden.py pins, one file for all methods.

Run it only when a change is meant to alter decisions, and say so in CHANGELOG.md:
    python scripts/record_golden.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interface import AnyTable
from benchmarks.synthetic import synthetic
from mohb_jax.methods import METHODS, Settings, simulate
from mohb_jax.transfer import Prior, z_values

PATH = Path(__file__).parents[1] / "tests" / "golden" / "logs.json"


def integer_logs() -> dict[str, Any]:
    """Rows, fidelities and workers of two runs of every method on a small table.

    Methods that transfer are given their prior: what a network learns differs between processors in the last
    bits. Methods that fit a model within the run are left out for the same reason.
    """
    shape: dict[str, Any] = {"num_rows": 120, "fidelities": (1, 3, 9, 27), "num_objectives": 3}
    alone, pair = synthetic(**shape), synthetic(num_tasks=2, **shape)
    budget: dict[str, Any] = {"num_seeds": 2, "evaluations": 60, "workers": 3, "seed": 7}
    prior, logs = swapped_prior(pair), {}
    for name, method in METHODS.items():
        if method.transfers and not method.searcher(Settings()).learns:
            logs[name] = simulate(pair, name, prior=prior, tasks=["task-0"], draws=32, **budget)
        elif not method.transfers:
            logs[name] = simulate(alone, name, **budget)
    return {
        name: {field: getattr(log, field).tolist() for field in ("row", "fidelity", "worker")}
        for name, log in logs.items()
    }


def swapped_prior(pair: AnyTable) -> Prior:
    """Each of two tasks predicted by the other's results."""
    mu = np.stack([z_values(pair, task)[0] for task in (1, 0)]).astype(np.float32)
    return Prior(pair.name, pair.tasks, pair.columns, pair.objectives, mu, np.full_like(mu, 0.3))


def main() -> None:
    """Records the file anew."""
    PATH.write_text(json.dumps(integer_logs(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
