"""Writes ``mohb_jax/design/evidence.json`` from the folder of a finished design study:

python -m scripts.design_evidence runs/design
"""

import json
import sys
from pathlib import Path

import numpy as np

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import comparison
from mohb_jax.analysis.results import load_study
from mohb_jax.design.judging import interval
from mohb_jax.design.recommend import traits
from mohb_jax.design.study import RESULT

PATH = Path(__file__).parents[1] / "mohb_jax" / "design" / "evidence.json"


def evidence(folder: Path) -> dict:
    """What each method reached on each test benchmark."""
    result = json.loads((folder / RESULT).read_text("utf-8"))
    benchmarks = {}
    for entry in result["design"]["test"]:
        study = load_study(folder / "test" / entry["name"], "full")
        data = comparison(Analysis(study).cells, study.methods)
        specs = {unit.spec["method"]: unit.spec for unit in study.units}
        methods = []
        for place, name in enumerate(data.methods):
            values = data.values[:, place]
            low, high = interval([values])
            methods.append(
                {
                    "name": name,
                    "method": specs[name]["method_name"],
                    "settings": specs[name]["own"],
                    "mean": round(float(values.mean()), 4),
                    "low": round(low, 4),
                    "high": round(high, 4),
                }
            )
        (table,) = study.stored.values()
        benchmarks[entry["name"]] = {
            "traits": traits(table),
            "runs": int(np.prod(data.values.shape[::2])),
            "trainings": result["design"]["trainings"],
            "methods": methods,
        }
    return {"design": result["design"]["name"], "versions": result["versions"], "benchmarks": benchmarks}


def main() -> None:
    """Writes the file."""
    PATH.write_text(json.dumps(evidence(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
