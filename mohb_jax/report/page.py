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

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.report.assets import asset
from mohb_jax.report.parts import Builder, figure_html, section_html, shown
from mohb_jax.report.plot_data import plot_data
from mohb_jax.report.sections.order import SECTIONS
from mohb_jax.report.sections.prices import price_notice
from mohb_jax.report.sections.why import PICTURE, why
from mohb_jax.report.style import listed, seeds_text


def page_html(
    analysis: Analysis, files: Sequence[str], out: Path = Path(), sections: Sequence[Builder] = SECTIONS
) -> str:
    """The page's HTML; it needs no network, and nothing from data is read as markup or script.

    Args:
        analysis: what the study shows.
        files: what lies beside the page, relative to it.
        out: the page's folder, from which figures are taken into the page.
        sections: what the page is made of, in order.
    """
    study, cells = analysis.study, analysis.cells
    plotly, script = get_plotlyjs(), asset("page.js")
    built = [shown(section, out) for build in sections if (section := build(analysis)) is not None]
    parts = [section for section in built if section.html or section.figures]
    return Template(asset("template.html")).substitute(
        script_hashes=" ".join(_script_hash(text) for text in (plotly, script)),
        title=html.escape(f"{study.name} · {'re-priced ' * (study.prices is not None)}tuning report"),
        study=html.escape(study.name),
        style=asset("page.css"),
        contents="\n".join(f'<li><a href="#{s.name}">{html.escape(s.title)}</a></li>' for s in parts),
        first=_first(analysis, out),
        notice=_notice(study) + price_notice(study.prices),
        setting=_setting(study, cells),
        sections="\n".join(section_html(study, section, out) for section in parts),
        files=_files(files),
        data=embedded_json(plot_data(analysis)),
        plotly=plotly,
        script=script,
    )


def _first(analysis: Analysis, out: Path) -> str:
    """The answer in a sentence, and a picture of it."""
    said = why(analysis)
    if not said:
        return ""
    drawn = (out / f"{PICTURE.stem}.png").is_file()
    return f'<p class="first">{said}</p>' + (figure_html(analysis.study, PICTURE, out) if drawn else "")


def _files(files: Sequence[str]) -> str:
    """Links to what lies beside the page."""
    links = " · ".join(f'<a href="{html.escape(name)}">{html.escape(name)}</a>' for name in files)
    return f'<p class="note">Files beside this page: {links}</p>'


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


def _setting_of(name: str, table: ResultTable, cells: Sequence[Cell]) -> str:
    tasks = len({cell.task for cell in cells if cell.benchmark == name})
    return f"{name} ({tasks} task{'s' * (tasks != 1)}, {table.num_rows:,} configurations)"
