"""The report of a study: one page, figures, CSV tables and ``summary.json``, made from the store alone."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax.report.curves import Cell
from mohb_jax.report.statistics import ALL_TASKS, Row, summary_rows
from mohb_jax.report.study import Study, load_study, study_cells
from mohb_jax.report.tables import curve_frame, front_frame, json_text, summary_frame

__all__ = ["result_rows", "summarise", "write_report"]


def write_report(
    directory: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Writes the report of a study folder; equal stores give equal files.

    Args:
        directory: the folder that ``mohb run`` filled; it may still be incomplete.
        out: where to write; ``report`` inside ``directory`` by default. Files of an earlier report are
            replaced.

    Returns:
        What ``summary.json`` holds: ``study``, ``versions``, ``command``, ``reference_method``, ``units``
        (how many work units are ``finished`` and ``expected``; fewer finished means that the numbers are of
        a part of the study) and ``rows``, one per benchmark, task and method, and one with task ``all`` per
        benchmark and method.
        ``hypervolume`` is relative to that of the table's true front, in [0, 1].

    Raises:
        InputError: the folder is missing, is no study, is damaged, or holds no finished work.
    """
    study = load_study(Path(directory))
    return report_study(study, Path(out) if out is not None else Path(directory) / "report")


def report_study(study: Study, out: Path) -> dict[str, Any]:
    """Writes the report of a study that is already in memory; see ``write_report``."""
    # Imported here, for the summary that ends a run needs no plotting libraries.
    from mohb_jax.report.figures import write_figures
    from mohb_jax.report.page import page_html

    cells = study_cells(study)
    summary = _summary(study, cells)
    rows = summary["rows"]
    out.mkdir(parents=True, exist_ok=True)
    figures = write_figures(study, cells, out / "figures")
    summary_frame(rows).write_csv(out / "summary.csv")
    curve_frame(cells).write_csv(out / "curves.csv")
    front_frame(study, cells).write_csv(out / "front.csv")
    (out / "summary.json").write_text(json_text(summary), encoding="utf-8")
    names = [path.relative_to(out).as_posix() for path in figures]
    (out / "index.html").write_text(page_html(study, cells, rows, names), encoding="utf-8")
    return summary


def summarise(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``write_report`` returns, without writing anything."""
    study = load_study(Path(directory))
    return _summary(study, study_cells(study))


def _summary(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    return {
        "study": study.name,
        "command": study.command,
        "versions": study.versions,
        "reference_method": study.reference,
        "units": {"finished": len(study.units), "expected": study.num_units},
        "rows": summary_rows(cells, study.reference),
    }


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
