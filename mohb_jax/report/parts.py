"""What the page is made of: sections with tables, figures, downloads and commands."""

import base64
import html
import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import FinishedStudy


class Figure(NamedTuple):
    """A picture of a section; its PNG and PDF lie beside the page."""

    stem: str
    """Path beside the page, without the ending: ``figures/ranks``."""
    caption: str
    benchmark: str | None = None
    """The benchmark that it shows, for the filter; None: it stays whatever is chosen."""


class Section(NamedTuple):
    """One part of the page and one entry of its contents."""

    name: str
    """Its id; letters and hyphens."""
    title: str
    html: str
    """Everything below the heading but the figures; see ``table_html`` and ``marks``."""
    figures: tuple[Figure, ...] = ()


Builder = Callable[[Analysis], Section | None]
"""Makes a section of a page; None: this study has nothing to show there."""


def shown(section: Section, folder: Path) -> Section:
    """The section without the figures that were not drawn."""
    return section._replace(
        figures=tuple(figure for figure in section.figures if (folder / f"{figure.stem}.png").is_file())
    )


def section_html(study: FinishedStudy, section: Section, folder: Path) -> str:
    """A section with its heading and figures.

    Args:
        study: whose commands stand under the figures.
        section: what to show, see ``shown``.
        folder: where the page lies; pictures are taken from there into the page.
    """
    figures = [figure_html(study, figure, folder) for figure in section.figures]
    parts = [f'<section id="{section.name}">', f"<h2>{html.escape(section.title)}</h2>"]
    return "\n".join([*parts, section.html, *figures, "</section>"])


def figure_html(study: FinishedStudy, figure: Figure, folder: Path) -> str:
    """A picture in the page with its caption, files and command."""
    data = base64.b64encode((folder / f"{figure.stem}.png").read_bytes()).decode()
    caption = html.escape(figure.caption)
    picture = f'<img class="figure" alt="{caption}" src="data:image/png;base64,{data}">'
    return (
        f"<figure{marks(study, figure.benchmark)}>"
        f'<div class="picture">{picture}</div>'
        f'<figcaption>{caption}<span class="unfiltered"> The picture shows all methods.</span></figcaption>'
        f"{made(study, downloads(figure.stem))}</figure>"
    )


def downloads(stem: str) -> dict[str, str]:
    """Links to the two files of a figure."""
    return {"PNG": f"{stem}.png", "PDF": f"{stem}.pdf"}


def made(study: FinishedStudy, files: Mapping[str, str]) -> str:
    """The line under a table or figure: files to download by label, and the command, folded, to copy."""
    links = [
        f'<a href="{html.escape(path)}" download>{html.escape(label)}</a>' for label, path in files.items()
    ]
    return (
        f'<div class="made"><span class="files">Download {" ".join(links)}</span>'
        f"<details><summary>Command</summary>{command_html(study)}</details></div>"
    )


def command_html(study: FinishedStudy) -> str:
    """The commands as text with a button, which the page's script gives a meaning."""
    text = html.escape(commands(study))
    return f'<div class="command"><pre>{text}</pre><button type="button" class="copy">Copy</button></div>'


def commands(study: FinishedStudy) -> str:
    """What to type to have the numbers again: the study's own command, then that of the report."""
    words = _words(study.command)
    lines = [study.command] if study.command else []
    if words[1:2] == ["reproduce"] and study.prices is None:
        return study.command  # it writes the reports, too
    prices = [] if study.prices is None else ["--prices", study.prices.source]
    return "\n".join([*lines, shlex.join(["mohb", "report", _folder(study.name, words), *prices])])


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # typed elsewhere, with quotes that a shell would not take
        return []


def _folder(name: str, words: Sequence[str]) -> str:
    """The study folder as the study's command named it."""
    for word, following in itertools.pairwise([*words, ""]):
        if word == "--out":
            return following
        if word.startswith("--out="):
            return word.removeprefix("--out=")
    return f"runs/{name}" if words[1:2] == ["run"] else "DIR"


def marks(study: FinishedStudy, benchmark: str | None = None, method: str | None = None) -> str:
    """Attributes by which the page's filters know what an element is about; numbers, so nothing to escape."""
    names = list(study.tables)
    text = f' data-benchmark="{names.index(benchmark)}"' if benchmark in names else ""
    return text + (f' data-method="{study.methods.index(method)}"' if method in study.methods else "")


def table_html(
    study: FinishedStudy,
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    source: str,
    benchmark: str | None = None,
    attributes: Sequence[str] = (),
    note: str = "",
) -> str:
    """A table that scrolls in a box of its own, with its file and command below.

    Args:
        study: whose command stands below.
        caption: text.
        heads: texts.
        rows: cells that are HTML already.
        source: CSV file beside the page that holds the numbers.
        benchmark: what the table is about, if one benchmark, for the filter.
        attributes: of each row, see ``marks``; by default none.
        note: HTML that ends the caption.
    """
    caption, attributes = html.escape(caption), attributes or [""] * len(rows)
    head = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in heads)
    body = "\n".join(
        f"<tr{own}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for own, row in zip(attributes, rows, strict=True)
    )
    return (
        f'<div class="block"{marks(study, benchmark)}>'
        f'<div class="table" role="region" tabindex="0" aria-label="{caption}">'
        f'<table><caption><span class="caption">{caption}{note}</span></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
        f"{made(study, {'CSV': source})}</div>"
    )


def folded(label: str, content: str, opened: bool = False, attributes: str = "") -> str:
    """Content behind a line of text."""
    return (
        f"<details{' open' * opened}{attributes}><summary>{html.escape(label)}</summary>{content}</details>"
    )


def plot_files(study: FinishedStudy, benchmark: str, choice: str, files: dict[str, str]) -> str:
    """Files of a plot as it is with one choice made; the page's script shows those of the choice in force."""
    label = f'<span class="which">{html.escape(benchmark)}, all tasks and methods</span>'
    attributes = f'{marks(study, benchmark)} data-choice="{choice}"'
    return f'<div class="choice"{attributes}>{label}{made(study, files)}</div>'
