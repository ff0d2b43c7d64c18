"""The report as one self-contained HTML page."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import NUM_RESAMPLES, Row
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.report.assets import asset, filled
from mohb_jax.report.parts import (
    Section,
    section_html,
)
from mohb_jax.report.plot_data import plot_data
from mohb_jax.report.sections.answer import answers, overview
from mohb_jax.report.sections.calibration import calibration_section
from mohb_jax.report.sections.fronts import fronts
from mohb_jax.report.sections.making import making
from mohb_jax.report.sections.prices import price_notice, price_section
from mohb_jax.report.sections.progress import progress
from mohb_jax.report.sections.tasks import by_task
from mohb_jax.report.style import listed, seeds_text


def page_html(
    study: FinishedStudy,
    cells: Sequence[Cell],
    rows: Sequence[Row],
    files: Sequence[str],
    out: Path = Path(),
    more: Sequence[Section] = (),
    first: Sequence[Section] = (),
) -> str:
    """The page's HTML; it needs no network, and nothing from data is read as markup or script.

    Args:
        study: names, methods, tables and provenance.
        cells: curves and fronts of every benchmark, task and method.
        rows: what ``summary_rows`` made of them.
        files: what lies beside the page, relative to it.
        out: the page's folder, from which figures are taken into the page.
        more: sections of other modules, which stand after the results by task.
        first: those with which the page begins.
    """
    plotly, script = get_plotlyjs(), asset("page.js")
    sections = [*first, *_sections(study, cells, rows, files, more)]
    return Template(asset("template.html")).substitute(
        script_hashes=" ".join(_script_hash(text) for text in (plotly, script)),
        title=html.escape(f"{study.name} · {'re-priced ' * (study.prices is not None)}tuning report"),
        study=html.escape(study.name),
        style=asset("page.css"),
        contents="\n".join(f'<li><a href="#{s.name}">{html.escape(s.title)}</a></li>' for s in sections),
        notice=_notice(study) + price_notice(study.prices),
        setting=_setting(study, cells),
        sections="\n".join(section_html(study, section, out) for section in sections),
        data=embedded_json(plot_data(study, cells)),
        plotly=plotly,
        script=script,
    )


def _sections(
    study: FinishedStudy,
    cells: Sequence[Cell],
    rows: Sequence[Row],
    files: Sequence[str],
    more: Sequence[Section],
) -> list[Section]:
    """The page's parts in their order; those that this report does not have are left out."""
    paired = any(table.num_objectives > 1 for table in study.tables.values())
    sections = [
        Section("answer", "In short", f"{answers(study, cells, rows)}\n{overview(study, rows)}"),
        Section("fronts", "The trade-offs found", fronts(study, cells)) if paired else None,
        Section("progress", "Progress over simulated time", progress(study)),
        Section("results", "Results by task", by_task(study, rows)),
        *more,
        calibration_section(study),
        price_section(study),
        Section("reading", "How to read the numbers", filled("reading.html", resamples=f"{NUM_RESAMPLES:,}")),
        Section("making", "How this report was made", making(study, files)),
    ]
    return [section for section in sections if section is not None]


def _script_hash(text: str) -> str:
    """Source expression that lets a browser run this script and no other."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: it holds no character that HTML could read as markup."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _notice(study: FinishedStudy) -> str:
    """What is missing from an incomplete study; nothing for a whole one."""
    finished = len(study.units)
    if finished >= study.num_units:
        return ""
    return (
        f'<p class="notice" role="note">{finished:,} of {study.num_units:,} work units '
        f"{'is' if finished == 1 else 'are'} finished; these numbers are of a part of the study. "
        "The same <code>mohb run</code> command finishes it.</p>"
    )


def _setting(study: FinishedStudy, cells: Sequence[Cell]) -> str:
    """What was compared, in a sentence."""
    methods = [method for method in study.methods if any(cell.method == method for cell in cells)]
    tables = ", ".join(_setting_of(name, table, cells) for name, table in study.tables.items())
    objectives = list(dict.fromkeys(o.name for table in study.tables.values() for o in table.objectives))
    seeds = seeds_text([cell.runs.size for cell in cells])
    return html.escape(
        f"{listed(methods)} on {tables}; {seeds} each. Objectives: {listed(objectives)}. All runs are "
        "simulated: every result is looked up in a table of training runs."
    )


def _setting_of(name: str, table: AnyTable, cells: Sequence[Cell]) -> str:
    tasks = len({cell.task for cell in cells if cell.benchmark == name})
    return f"{name} ({tasks} task{'s' * (tasks != 1)}, {table.num_rows:,} configurations)"
