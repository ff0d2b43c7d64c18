"""The report of a study: one page, figures, CSV tables and ``summary.json``, made from the store alone."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mohb_jax.analysis.across import across_tasks, comparison_frames
from mohb_jax.analysis.calibration import calibration_frame, calibration_rows
from mohb_jax.analysis.curves import Cell, study_cells
from mohb_jax.analysis.prices import marked, price_frame, prices_json, reprice
from mohb_jax.analysis.results import FinishedStudy, load_study
from mohb_jax.analysis.statistics import ALL_TASKS, Row, summary_rows
from mohb_jax.analysis.tables import curve_frame, front_frame, json_text, summary_frame
from mohb_jax.benchmarks.prices import read_prices
from mohb_jax.errors import InputError
from mohb_jax.report.parts import Section
from mohb_jax.report.style import file_names
from mohb_jax.store import content_hash, read_json, read_study, versions, write_json

OPTIONAL = (
    *("prices.csv", "calibration.csv", "ranks.csv", "pairs.csv", "effects.csv"),
    *(
        f"figures/{stem}.{kind}"
        for stem in ("calibration", "ranks", "ranks-over-time", "profiles", "main-effects", "interactions")
        for kind in ("pdf", "png")
    ),
)
"""Files that only some reports have; those of an earlier report must not stay beside a later one."""

__all__ = ["final_rows", "report_folder", "result_rows", "summarise", "write_report"]


def report_folder(directory: str | os.PathLike[str], prices: str | os.PathLike[str] | None = None) -> Path:
    """Where a report goes by default: ``DIR/report``, or ``DIR/report-X`` for prices in ``X.yaml``."""
    if prices is None:
        return Path(directory) / "report"
    stem = Path(prices).stem
    return Path(directory) / f"report-{file_names([stem])[stem]}"


def write_report(
    directory: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    prices: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Writes the report of a study folder; equal stores give equal files.

    Args:
        directory: the folder that ``mohb run`` filled; it may still be incomplete.
        out: where to write; see ``report_folder``. Files of an earlier report are replaced.
        prices: a price file (see ``benchmarks.prices.read_prices``): results are shown as if they had cost
            these prices, while the decisions stay those made under the old ones.

    Returns:
        What ``summary.json`` holds: ``study``, ``versions``, ``command``, ``reference_method``, ``units``
        (how many work units are ``finished`` and ``expected``; fewer finished means that the numbers are of
        a part of the study), ``prices`` (None, or the price ``file``, the benchmarks ``repriced`` and
        ``not_repriced`` with the reason, and the types ``changed`` with old and new price), ``calibration``
        (one row per benchmark, held-out task, objective and model; empty without models), ``comparison``
        (None without two methods on a task; otherwise the ``ranking`` across tasks with its tests, ``pairs``
        of methods and ``effects`` of swept settings) and ``rows``, one per benchmark, task and method, and
        one with task ``all`` per benchmark and method.
        ``hypervolume`` is relative to that of the table's true front, in [0, 1].

    Raises:
        InputError: the folder is missing, is no study, is damaged, or holds no finished work; the price file
            is wrong, or fits no benchmark of the study.
    """
    wanted = None if prices is None else read_prices(prices)
    study = load_study(Path(directory))
    if prices is not None and wanted is not None:
        study = reprice(study, wanted, Path(prices).name)
    return report_study(study, Path(out) if out is not None else report_folder(directory, prices))


def report_study(
    study: FinishedStudy, out: Path, first: Callable[[dict[str, Any]], Section] | None = None
) -> dict[str, Any]:
    """Writes the report of a study that is already in memory; see ``write_report``.

    ``first`` makes, from the summary, a section with which the page begins.
    """
    # Imported here, for the summary that ends a run needs no plotting libraries.
    from mohb_jax.report.figures.files import write_comparison_figures, write_figures
    from mohb_jax.report.page import page_html
    from mohb_jax.report.sections.ranks import comparison_sections

    cells = study_cells(study)
    across = across_tasks(study, cells)
    summary = _summary(study, cells) | {"comparison": None if across is None else across.as_json()}
    rows = summary["rows"]
    out.mkdir(parents=True, exist_ok=True)
    frames = _frames(study, cells, rows) | comparison_frames(study, across)
    for path in [*(out / name for name in OPTIONAL), *out.glob("figures/*-attained-*")]:
        path.unlink(missing_ok=True)
    for name, frame in frames.items():
        frame.write_csv(out / name)
    (out / "summary.json").write_text(json_text(summary), encoding="utf-8")
    drawn = write_comparison_figures(study, cells, out / "figures")
    paths = [*write_figures(study, cells, out / "figures"), *drawn.files]
    files = ["summary.json", *frames, *(path.relative_to(out).as_posix() for path in paths)]
    opening = () if first is None else (first(summary),)
    page = page_html(study, cells, rows, files, out, comparison_sections(study, across, drawn), opening)
    (out / "index.html").write_text(page, encoding="utf-8")
    return summary


def _frames(study: FinishedStudy, cells: Sequence[Cell], rows: Sequence[Row]) -> dict[str, pl.DataFrame]:
    """The report's CSV tables by file name."""
    frames = {
        "summary.csv": marked(summary_frame(rows), study.prices),
        "curves.csv": marked(curve_frame(cells), study.prices),
        "front.csv": marked(front_frame(study, cells), study.prices),
    }
    if study.prices is not None:
        frames["prices.csv"] = price_frame(study.prices)
    if study.calibration:
        frames["calibration.csv"] = calibration_frame(study.calibration)
    return frames


RESULTS = "results.json"


def final_rows(directory: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], bool]:
    """``result_rows`` of what a study folder holds, and whether on some task no run evaluated anything fully;
    kept in the folder until it holds something else."""
    folder = Path(directory)
    held = [path.stem for path in sorted(folder.glob("units/*.parquet"))]
    asked = {name: value for name, value in read_study(folder).items() if name != "command"}
    key = content_hash({"study": asked, "held": held, "version": versions()["mohb-jax"]})
    path = folder / RESULTS
    try:
        kept = read_json(path) if path.is_file() else None
    except InputError:
        kept = None
    if isinstance(kept, dict) and kept.get("of") == key and isinstance(kept.get("rows"), list):
        return list(kept["rows"]), bool(kept.get("too_short"))
    summary = summarise(folder)
    rows = result_rows(summary)
    too_short = any(row["full_evaluations"] == 0 for row in summary["rows"])
    write_json(path, {"of": key, "rows": rows, "too_short": too_short})
    return rows, too_short


def summarise(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``write_report`` returns, without writing anything."""
    study = load_study(Path(directory))
    return _summary(study, study_cells(study))


def _summary(study: FinishedStudy, cells: Sequence[Cell]) -> dict[str, Any]:
    return {
        "study": study.name,
        "command": study.command,
        "versions": study.versions,
        "reference_method": study.reference,
        "units": {"finished": len(study.units), "expected": study.num_units},
        "prices": prices_json(study.prices),
        "calibration": calibration_rows(study.calibration),
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
