"""The report of a study: one page, figures, CSV tables and ``summary.json``, made from the store alone."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.columns import column_frame
from mohb_jax.analysis.prices import reprice
from mohb_jax.analysis.results import load_study
from mohb_jax.analysis.tables import json_text
from mohb_jax.benchmarks.credit import CREDITS
from mohb_jax.benchmarks.prices import read_prices
from mohb_jax.report.parts import Builder
from mohb_jax.report.style import file_names

FILES = {
    "summary.csv": "summary",
    "finals.csv": "finals",
    "curves.csv": "curves",
    "front.csv": "fronts",
    "prices.csv": "prices",
    "calibration.csv": "calibration",
    "ranks.csv": "ranks",
    "scaled.csv": "scaled",
    "kinds.csv": "kinds",
    "pairs.csv": "pairs",
    "effects.csv": "effects",
    "outside.csv": "outside",
}
"""CSV files and the tables that they hold; those that a study has nothing of are not written."""
FINALS = "finals.parquet"
"""The same as ``finals.csv``."""
COLUMNS = "columns.csv"
"""The file that says what the columns of the others mean."""
OPTIONAL = (
    *("prices.csv", "calibration.csv", "ranks.csv", "scaled.csv", "kinds.csv", "pairs.csv", "effects.csv"),
    "outside.csv",
    *(
        f"figures/{stem}.{kind}"
        for stem in (
            "answer",
            "calibration",
            "ranks",
            "ranks-over-time",
            "profiles",
            "scaled",
            "kinds",
            "main-effects",
            "interactions",
        )
        for kind in ("pdf", "png")
    ),
)
"""Files that only some reports have; those of an earlier report must not stay beside a later one."""

__all__ = ["report_folder", "write_analysis", "write_report"]


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
    credit: str | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Writes the report of a study folder; equal stores give equal files.

    Args:
        directory: the folder that ``mohb run`` filled; it may still be incomplete.
        out: where to write; see ``report_folder``. Files of an earlier report are replaced.
        prices: a price file (see ``benchmarks.prices.read_prices``): results are shown as if they had cost
            these prices, while the decisions stay those made under the old ones.
        credit: what counts as a result, the first one in detail; as the study says if None.

    Returns:
        What ``summary.json`` holds: ``study``, ``versions``, ``command``, ``reference_method``, ``units``
        (how many work units are ``finished`` and ``expected``; fewer finished means that the numbers are of
        a part of the study), ``prices`` (None, or the price ``file``, the benchmarks ``repriced`` and
        ``not_repriced`` with the reason, and the types ``changed`` with old and new price), ``calibration``
        (one row per benchmark, held-out task, objective and model; empty without models), ``outside`` (one
        row per benchmark and method of another library; empty without), ``credits`` (what counts),
        ``order`` (by benchmark, whether the order of methods depends on that), ``used_up`` (by
        benchmark, which runs used the table up, and when), ``comparison`` (None
        without two methods on a task; otherwise the ``ranking`` across tasks with its tests, ``worths``,
        ``scaled`` performance, ``failures``, the tree over ``kinds`` of tasks, ``pairs`` of methods and
        ``effects`` of swept settings), the same under each credit as
        ``comparisons``, and ``rows``, one per benchmark, task, method and credit, and one with task ``all``
        per benchmark, method and credit.
        ``hypervolume`` is relative to that of the table's true front, in [0, 1].

    Raises:
        InputError: the folder is missing, is no study, is damaged, or holds no finished work; the price file
            is wrong, or fits no benchmark of the study.
    """
    wanted = None if prices is None else read_prices(prices)
    study = load_study(Path(directory), credit)
    if prices is not None and wanted is not None:
        study = reprice(study, wanted, Path(prices).name)
    return write_analysis(Analysis(study), Path(out) if out is not None else report_folder(directory, prices))


def write_analysis(analysis: Analysis, out: Path, first: Sequence[Builder] = ()) -> dict[str, Any]:
    """Writes the report of a study that is already in memory; see ``write_report``.

    Args:
        analysis: what the study shows.
        out: the folder to fill.
        first: sections with which the page begins, before those of every report.
    """
    # Imported here, for the folder's name alone needs no plotting libraries.
    from mohb_jax.report.figures.files import write_figures
    from mohb_jax.report.page import page_html
    from mohb_jax.report.sections.order import SECTIONS

    frames = {file: frame for file, name in FILES.items() if (frame := analysis.table(name)).height}
    out.mkdir(parents=True, exist_ok=True)  # from here on nothing can be wrong with the study
    for path in [*(out / name for name in OPTIONAL), *_sometimes(out / "figures")]:
        path.unlink(missing_ok=True)
    for name, frame in frames.items():
        frame.write_csv(out / name)
    analysis.table("finals").write_parquet(out / FINALS)
    column_frame().write_csv(out / COLUMNS)
    (out / "summary.json").write_text(json_text(analysis.summary), encoding="utf-8")
    drawn = write_figures(analysis, out / "figures")
    paths = [path.relative_to(out).as_posix() for path in drawn.files]
    files = ["summary.json", *frames, FINALS, COLUMNS, *paths]
    page = page_html(analysis, files, out, (*first, *SECTIONS))
    (out / "index.html").write_text(page, encoding="utf-8")
    return analysis.summary


def _sometimes(figures: Path) -> Iterator[Path]:
    """Figures of an earlier report that this one may not have."""
    for pattern in ("*-attained-*", *(f"*-{credit}.*" for credit in CREDITS)):
        yield from figures.glob(pattern)
