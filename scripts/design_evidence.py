"""Writes ``mohb_jax/design/evidence.json``, from which ``mohb recommend`` speaks, from finished studies:

    python -m scripts.design_evidence runs/trimtuner runs/design/test/*

Of each benchmark the last folder that has it counts.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import comparison
from mohb_jax.analysis.results import load_study
from mohb_jax.design.judging import interval
from mohb_jax.design.recommend import traits

PATH = Path(__file__).parents[1] / "mohb_jax" / "design" / "evidence.json"


def evidence(folders: Sequence[Path]) -> dict[str, Any]:
    """What each method reached on each benchmark."""
    benchmarks: dict[str, Any] = {}
    for folder in folders:
        study = load_study(folder, "full")
        analysis = Analysis(study)
        for name, table in study.stored.items():
            specs = {unit.spec["method"]: unit.spec for unit in study.units if unit.spec["benchmark"] == name}
            data = comparison(analysis.cells_of(name), study.methods)
            benchmarks[name] = {
                "study": study.name,
                "traits": traits(table),
                "runs": int(np.prod(data.values.shape[::2])),
                "methods": [
                    _reached(label, specs[label], data.values[:, place])
                    for place, label in enumerate(data.methods)
                ],
            }
    return {"benchmarks": benchmarks}


def _reached(label: str, spec: dict[str, Any], values: np.ndarray) -> dict[str, Any]:
    low, high = interval([values])
    return {
        "name": label,
        "method": spec["method_name"],
        "settings": spec["own"],
        "mean": round(float(values.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


def main() -> None:
    """Writes the file."""
    found = evidence([Path(folder) for folder in sys.argv[1:]])
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
