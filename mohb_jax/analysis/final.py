"""What a study folder shows in the end, for the terminal; kept in the folder while it holds the same."""

import os
from pathlib import Path
from typing import Any

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import load_study
from mohb_jax.analysis.statistics import ALL_TASKS, Row
from mohb_jax.errors import InputError
from mohb_jax.store import content_hash, read_json, read_study, versions, write_json

RESULTS = "results.json"
FORMAT = 2
"""Of that file; 1 had another definition of rank."""


def final_rows(
    directory: str | os.PathLike[str], analysis: Analysis | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """``result_rows`` of what a study folder holds, and whether on some task no run evaluated anything fully;
    kept in the folder until it holds something else.

    Args:
        directory: the study folder.
        analysis: of that folder, where the caller has one.
    """
    folder = Path(directory)
    held = [path.stem for path in sorted(folder.glob("units/*.parquet"))]
    asked = {name: value for name, value in read_study(folder).items() if name != "command"}
    key = content_hash({"format": FORMAT, "study": asked, "held": held, "version": versions()["mohb-jax"]})
    path = folder / RESULTS
    try:
        kept = read_json(path) if path.is_file() else None
    except InputError:
        kept = None
    if isinstance(kept, dict) and kept.get("of") == key and isinstance(kept.get("rows"), list):
        return list(kept["rows"]), bool(kept.get("too_short"))
    found = (Analysis(load_study(folder)) if analysis is None else analysis).rows
    rows = result_rows({"rows": found})
    too_short = any(row["full_evaluations"] == 0 for row in found)
    write_json(path, {"of": key, "rows": rows, "too_short": too_short})
    return rows, too_short


def summarise(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``write_report`` returns, without writing anything."""
    return Analysis(load_study(Path(directory))).summary


def result_rows(summary: dict[str, Any], task: str | None = None) -> list[Row]:
    """The rows worth printing after a run, in the study's order.

    Args:
        summary: what ``write_report`` returned.
        task: only rows of this task; by default the rows over all tasks of each benchmark.

    Returns:
        Flat rows: benchmark, task, method, num_seeds, hypervolume (mean), low and high (ends of its 95 %
        interval, or None), front_found (mean share), evaluations, full_evaluations (those at the
        highest fidelity), simulated_seconds, rank.
    """
    wanted = ALL_TASKS if task is None else task
    return [_flat(row) for row in summary["rows"] if row["task"] == wanted]


def _flat(row: Row) -> Row:
    low, high = row["hypervolume"]["ci95"] or (None, None)
    flat = {key: row[key] for key in ("benchmark", "task", "method", "num_seeds")}
    flat |= {"hypervolume": row["hypervolume"]["mean"], "low": low, "high": high}
    flat["front_found"] = row["front_found"]["mean"]
    return flat | {key: row[key] for key in ("evaluations", "full_evaluations", "simulated_seconds", "rank")}
