"""A method for a table, from what methods did on tables that are like it."""

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.description.measures import describe
from mohb_jax.errors import InputError
from mohb_jax.methods import SHIPPED, lacking, make_settings, method_named

EVIDENCE = "evidence.json"
"""What methods reached on each benchmark of finished studies, and what these benchmarks are like;
``python -m scripts.design_evidence`` writes it."""
NAMED = 3
"""Methods that are named, the best first."""


def traits(table: AnyTable) -> dict[str, float | int | None]:
    """What tables are compared by: numbers of tasks, fidelities, objectives and rows, and how well the lowest
    fidelity ranks as the highest does (None where there is one fidelity)."""
    found = describe(table)
    correlation = None
    if found.fidelities > 1:
        own = [_correlation(table, task) for task in range(min(table.num_tasks, 8))]
        correlation = float(np.median(own))
    return {
        "tasks": found.tasks,
        "fidelities": found.fidelities,
        "objectives": len(found.objectives),
        "rows": found.rows,
        "correlation": correlation,
    }


def _correlation(table: AnyTable, task: int) -> float:
    """Spearman's, of the first objective, over rows with both results."""
    import scipy.stats

    costs, _ = table.task_cells(task)
    low, high = costs[:, 0, 0], costs[:, -1, 0]
    both = np.isfinite(low) & np.isfinite(high)
    if both.sum() < 3 or np.ptp(low[both]) == 0 or np.ptp(high[both]) == 0:
        return 0.0
    return float(scipy.stats.spearmanr(low[both], high[both]).statistic)


def unlikeness(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How far apart two tables are: factors between counts, by logarithm, whether there are fidelities, and
    how much these tell."""
    counts = sum(abs(math.log(one[name] / other[name])) for name in ("objectives", "fidelities"))
    counts += 0.1 * abs(math.log(one["rows"] / other["rows"]))
    alone = abs((one["tasks"] > 1) - (other["tasks"] > 1))
    halves = abs((one["correlation"] is None) - (other["correlation"] is None))
    told = abs((one["correlation"] or 0) - (other["correlation"] or 0)) if not halves else 0
    return float(0.5 * counts + 0.5 * alone + 2 * halves + 2 * told)


def read_evidence(path: Path | None = None) -> dict[str, Any]:
    """The evidence that comes with the package, or that of a file."""
    try:
        text = (
            resources.files("mohb_jax.design").joinpath(EVIDENCE).read_text("utf-8")
            if path is None
            else path.read_text("utf-8")
        )
        found = json.loads(text)
        found["benchmarks"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path or EVIDENCE} holds no evidence of a design study") from None
    return dict(found)


def recommendation(table: AnyTable, evidence: dict[str, Any] | None = None) -> dict[str, Any]:
    """The best methods for a table that can serve them, by what they reached on the benchmark most like it.

    Args:
        table: the user's. Its values are read for the correlation between fidelities alone.
        evidence: see ``read_evidence``.

    Raises:
        InputError: no method of the evidence can run on the table.
    """
    evidence = read_evidence() if evidence is None else evidence
    own = traits(table)
    known: dict[str, Any] = evidence["benchmarks"]
    order = sorted(known, key=lambda name: unlikeness(own, known[name]["traits"]))
    for name in order:
        methods = [entry for entry in known[name]["methods"] if _serves(table, entry)]
        if methods:
            best = sorted(methods, key=lambda entry: -entry["mean"])[:NAMED]
            return {
                "benchmark": table.name,
                "traits": own,
                "like": name,
                "unlikeness": round(unlikeness(own, known[name]["traits"]), 3),
                "like_traits": known[name]["traits"],
                "runs": known[name]["runs"],
                "methods": best,
            }
    raise InputError(f"no method of the evidence can serve benchmark {table.name!r}")


def _serves(table: AnyTable, entry: dict[str, Any]) -> bool:
    if entry["method"] not in SHIPPED:
        return False
    method = method_named(entry["method"])
    return lacking(table, method, make_settings(method, **entry["settings"])) is None


def told(found: dict[str, Any]) -> str:
    """A recommendation in a few lines."""
    best, *others = found["methods"]
    settings = ", ".join(f"{name}: {value}" for name, value in best["settings"].items()) or "defaults"
    lines = [
        f"{found['benchmark']}: {_traits(found['traits'])}",
        f"recommended: {best['method']} ({settings})",
        f"evidence: on {found['like']} ({_traits(found['like_traits'])}), the most alike of those tested, it "
        f"reached {best['mean']:.3f} [{best['low']:.3f}, {best['high']:.3f}] of the true front's hypervolume "
        f"in {found['runs']:,} runs",
    ]
    for own in others:
        lines.append(f"next: {own['name']} {own['mean']:.3f} [{own['low']:.3f}, {own['high']:.3f}]")
    return "\n".join(lines)


def _traits(own: dict[str, Any]) -> str:
    told_by = "" if own["correlation"] is None else f", rank correlation {own['correlation']:.2f}"
    numbers = (("task", own["tasks"]), ("row", own["rows"]), ("objective", own["objectives"]))
    parts = [f"{number:,} {noun}{'s' * (number != 1)}" for noun, number in numbers]
    fidelities = f"{own['fidelities']} " + ("fidelity" if own["fidelities"] == 1 else "fidelities")
    return ", ".join([*parts, fidelities]) + told_by
