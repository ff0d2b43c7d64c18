"""What a study folder shows in the end, for the terminal; kept in the folder while it holds the same."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.finals import require_suffix, write_finals
from mohb_jax.analysis.results import load_study
from mohb_jax.analysis.statistics import ALL_TASKS, Row
from mohb_jax.errors import InputError
from mohb_jax.store import content_hash, read_json, read_study, versions, write_json

RESULTS = "results.json"
FORMAT = 6
"""Of that file; 1 had another definition of rank, 2 one credit alone, 3 no note on tables used up, 4 narrower
intervals, 5 resampled run by run."""


class Final(NamedTuple):
    """What is worth printing after a run."""

    rows: list[Row]
    """See ``result_rows``."""
    too_short: bool
    """Whether on some task no run of a method evaluated anything fully."""
    notes: list[str]
    """Sentences: whether the order of methods depends on what counts, and which runs used a table up."""


def final_rows(directory: str | os.PathLike[str], analysis: Analysis | None = None) -> Final:
    """What a study folder holds in the end; kept in the folder until it holds something else.

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
        return Final(kept["rows"], bool(kept.get("too_short")), list(kept.get("notes", [])))
    found = Analysis(load_study(folder)) if analysis is None else analysis
    too_short = any(row["full_evaluations"] == 0 for row in found.rows)
    notes = [*found.order_notes.values(), *found.used_up_notes.values()]
    final = Final(result_rows(found.summary), too_short, notes)
    write_json(path, {"of": key} | final._asdict())
    return final


def summarise(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``write_report`` returns, without writing anything."""
    return Analysis(load_study(Path(directory))).summary


def export_finals(
    directory: str | os.PathLike[str], out: Path, credit: Sequence[str] | str | None = None
) -> int:
    """Writes the table ``finals`` of a study folder: a row for the end of each tuning run.

    Args:
        directory: study folder; work that is still missing is left out.
        out: ends in ``.parquet`` or ``.csv``; replaced if it exists.
        credit: what counts; as the study says if None.

    Returns:
        The number of rows.

    Raises:
        InputError: the folder is no study, holds no finished work or is damaged, or ``out`` ends otherwise.
    """
    require_suffix(out)
    return write_finals(Analysis(load_study(Path(directory), credit)).table("finals"), out)


def result_rows(summary: dict[str, Any], task: str | None = None) -> list[Row]:
    """The rows worth printing after a run, in the study's order.

    Args:
        summary: what ``write_report`` returned.
        task: only rows of this task; by default the rows over all tasks of each benchmark.

    Returns:
        Flat rows under the first credit: benchmark, task, method, num_seeds, hypervolume (mean), low and high
        (ends of its 95 % interval, or None), front_found (mean share), evaluations, full_evaluations (those
        at the highest fidelity), simulated_seconds, rank, and ``credits``: by credit the hypervolume.
    """
    wanted = ALL_TASKS if task is None else task
    together: dict[tuple[str, str, str], list[Row]] = {}
    for row in summary["rows"]:
        if row["task"] == wanted:
            together.setdefault((row["benchmark"], row["task"], row["method"]), []).append(row)
    return [_flat(rows) for rows in together.values()]


def _flat(rows: list[Row]) -> Row:
    row = rows[0]
    low, high = row["hypervolume"]["ci95"] or (None, None)
    flat = {key: row[key] for key in ("benchmark", "task", "method", "num_seeds")}
    flat |= {"hypervolume": row["hypervolume"]["mean"], "low": low, "high": high}
    flat["front_found"] = row["front_found"]["mean"]
    flat["credits"] = {other["credit"]: other["hypervolume"]["mean"] for other in rows}
    return flat | {key: row[key] for key in ("evaluations", "full_evaluations", "simulated_seconds", "rank")}
