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
SCALE = 0.5
"""Of ``unlikeness``: a benchmark that is so far away weighs a factor of e less."""
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
    """The best methods for a table that can serve them, by what they reached on benchmarks like it.

    Each benchmark of the evidence weighs less the more it differs (``unlikeness``): by a factor of e for each
    ``SCALE``. Methods are ordered by how far they stay behind the best one, in the weighted mean over those
    benchmarks where they ran; these must have half of the weight.

    Args:
        table: the user's. Its values are read for the correlation between fidelities alone.
        evidence: see ``read_evidence``.

    Raises:
        InputError: no method of the evidence can run on the table.
    """
    evidence = read_evidence() if evidence is None else evidence
    own = traits(table)
    ranked = [found for found in ordered(own, evidence) if _serves(table, found)]
    if not ranked:
        raise InputError(f"no method of the evidence can serve benchmark {table.name!r}")
    known: dict[str, Any] = evidence["benchmarks"]
    apart = {name: unlikeness(own, known[name]["traits"]) for name in ranked[0]["reached"]}
    like = min(apart, key=lambda name: apart[name])
    return {
        "benchmark": table.name,
        "traits": own,
        "like": like,
        "unlikeness": round(apart[like], 3),
        "like_traits": known[like]["traits"],
        "runs": known[like]["runs"],
        "methods": ranked[:NAMED],
    }


def ordered(own: dict[str, Any], evidence: dict[str, Any]) -> list[dict[str, Any]]:
    """All methods of the evidence that ran where half of the weight is, the best for a table first.

    Args:
        own: traits of the table.
        evidence: see ``read_evidence``.

    Returns:
        Name, method, settings, ``behind`` (the weighted mean of what is missing to the best), and ``reached``
        (mean and interval, by benchmark).
    """
    known: dict[str, Any] = evidence["benchmarks"]
    weight = {name: math.exp(-unlikeness(own, known[name]["traits"]) / SCALE) for name in known}
    entries: dict[str, dict[str, Any]] = {}
    for name, found in known.items():
        best = max(entry["mean"] for entry in found["methods"])
        for entry in found["methods"]:
            key = json.dumps([entry["method"], entry["settings"]], sort_keys=True)
            one = entries.setdefault(key, {part: entry[part] for part in ("name", "method", "settings")})
            one.setdefault("reached", {})[name] = {part: entry[part] for part in ("mean", "low", "high")}
            one.setdefault("shares", {})[name] = best - entry["mean"]
    result = []
    for one in entries.values():
        behind = one.pop("shares")
        total = sum(weight[name] for name in behind)
        if total >= 0.5 * sum(weight.values()):
            one["behind"] = round(sum(weight[name] * share for name, share in behind.items()) / total, 4)
            result.append(one)
    return sorted(result, key=lambda one: one["behind"])


def _serves(table: AnyTable, entry: dict[str, Any]) -> bool:
    if entry["method"] not in SHIPPED:
        return False
    method = method_named(entry["method"])
    return lacking(table, method, make_settings(method, **entry["settings"])) is None


def told(found: dict[str, Any]) -> str:
    """A recommendation in a few lines."""
    best, *others = found["methods"]
    settings = ", ".join(f"{name}: {value}" for name, value in best["settings"].items()) or "defaults"
    reached = best["reached"][found["like"]]
    lines = [
        f"{found['benchmark']}: {_traits(found['traits'])}",
        f"recommended: {best['method']} ({settings})",
        f"evidence: {_behind(best)}",
        f"most alike: {found['like']} ({_traits(found['like_traits'])}), where it reached "
        f"{reached['mean']:.3f} [{reached['low']:.3f}, {reached['high']:.3f}] of the true front's "
        f"hypervolume in {found['runs']:,} runs",
    ]
    lines += [f"next: {own['name']}, {_behind(own)}" for own in others]
    return "\n".join(lines)


def _behind(own: dict[str, Any]) -> str:
    count = len(own["reached"])
    benchmarks = "benchmark" if count == 1 else "benchmarks, weighed by likeness"
    return f"{own['behind']:.3f} of the hypervolume behind the best, over {count} {benchmarks}"


def _traits(own: dict[str, Any]) -> str:
    told_by = "" if own["correlation"] is None else f", rank correlation {own['correlation']:.2f}"
    numbers = (("task", own["tasks"]), ("row", own["rows"]), ("objective", own["objectives"]))
    parts = [f"{number:,} {noun}{'s' * (number != 1)}" for noun, number in numbers]
    fidelities = f"{own['fidelities']} " + ("fidelity" if own["fidelities"] == 1 else "fidelities")
    return ", ".join([*parts, fidelities]) + told_by
