"""What runs of optimisers from outside say of them: proposals, how far their rows were, what they took."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.store import AnyUnit


def outside_rows(study: FinishedStudy) -> list[dict[str, Any]]:
    """One row per benchmark and method that another library decides, with the columns of table ``outside``;
    none where there are none, or their units are of before facts were kept."""
    own = [unit for unit in study.units if unit.outside is not None]
    places = [(name, method) for name in study.tables for method in study.methods]
    found = [
        (place, units)
        for place in places
        if (units := [u for u in own if (u.spec["benchmark"], u.spec["method"]) == place])
    ]
    return [_row(*place, units) for place, units in found]


def _row(benchmark: str, method: str, units: Sequence[AnyUnit]) -> dict[str, Any]:
    proposals, displaced, distance, cpu = (
        np.concatenate(parts) for parts in zip(*(unit.outside or () for unit in units), strict=True)
    )
    total = max(1, int(proposals.sum()))
    libraries: dict[str, str] = {}
    for unit in units:
        libraries |= unit.spec.get("libraries", {})
    return {
        "benchmark": benchmark,
        "method": method,
        "libraries": ", ".join(f"{name} {version}" for name, version in libraries.items()),
        "runs": int(proposals.size),
        "proposals": float(proposals.mean()),
        "displaced": float(displaced.sum() / total),
        "distance": float(np.average(distance, weights=np.maximum(proposals, 1))),
        "cpu_seconds": float(cpu.mean()),
        "cpu_milliseconds_per_proposal": float(1e3 * cpu.sum() / total),
    }
