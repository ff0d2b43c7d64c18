"""Writes the integer logs that tests/test_golden.py pins, one file for all methods.

Run it only when a change is meant to alter decisions, and say so in CHANGELOG.md:
    python scripts/record_golden.py
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.synthetic import synthetic
from mohb_jax.methods import METHODS, simulate

PATH = Path(__file__).parents[1] / "tests" / "golden" / "logs.json"


def integer_logs() -> dict[str, Any]:
    """Rows, fidelities and workers of two runs of every method on a small table."""
    table = synthetic(num_rows=120, fidelities=(1, 3, 9, 27), num_objectives=3)
    logs = {name: simulate(table, name, num_seeds=2, evaluations=60, workers=3, seed=7) for name in METHODS}
    return {
        name: {field: getattr(log, field).tolist() for field in ("row", "fidelity", "worker")}
        for name, log in logs.items()
    }


def main() -> None:
    """Records the file anew."""
    PATH.write_text(json.dumps(integer_logs(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
