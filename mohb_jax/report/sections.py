"""What the page is made of: sections with tables, figures, downloads and commands; prices and calibration."""

import base64
import html
import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mohb_jax.calibration import LEVELS
from mohb_jax.report.calibration import KNOWS_NOTHING, Aggregate, Spread, aggregates
from mohb_jax.report.prices import DECISIONS
from mohb_jax.report.study import PriceChange, Repricing, Study
from mohb_jax.report.style import number

CALIBRATION_STEM = "figures/calibration"
_OPEN_TYPES = 12
"""More changed prices of a benchmark than this are folded away."""


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


def section_html(study: Study, section: Section, folder: Path) -> str:
    """A section with its heading and figures.

    Args:
        study: whose commands stand under the figures.
        section: what to show; figures whose PNG is missing are left out.
        folder: where the page lies; pictures are taken from there into the page.
    """
    figures = [_figure_html(study, figure, folder) for figure in section.figures]
    parts = [f'<section id="{section.name}">', f"<h2>{html.escape(section.title)}</h2>"]
    return "\n".join([*parts, section.html, *figures, "</section>"])


def _figure_html(study: Study, figure: Figure, folder: Path) -> str:
    path = folder / f"{figure.stem}.png"
    if not path.is_file():
        return ""
    picture = base64.b64encode(path.read_bytes()).decode()
    caption = html.escape(figure.caption)
    return (
        f"<figure{marks(study, figure.benchmark)}>"
        f'<img class="figure" alt="{caption}" src="data:image/png;base64,{picture}">'
        f'<figcaption>{caption}<span class="unfiltered"> The picture shows all methods.</span></figcaption>'
        f"{made(study, downloads(figure.stem))}</figure>"
    )


def downloads(stem: str) -> dict[str, str]:
    """Links to the two files of a figure."""
    return {"PNG": f"{stem}.png", "PDF": f"{stem}.pdf"}


def made(study: Study, files: Mapping[str, str]) -> str:
    """The line under a table or figure: files to download by label, and the command, folded, to copy."""
    links = [
        f'<a href="{html.escape(path)}" download>{html.escape(label)}</a>' for label, path in files.items()
    ]
    return (
        f'<div class="made"><span class="files">Download {" ".join(links)}</span>'
        f"<details><summary>Command</summary>{command_html(study)}</details></div>"
    )


def command_html(study: Study) -> str:
    """The commands as text with a button, which the page's script gives a meaning."""
    text = html.escape(commands(study))
    return f'<div class="command"><pre>{text}</pre><button type="button" class="copy">Copy</button></div>'


def commands(study: Study) -> str:
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


def marks(study: Study, benchmark: str | None = None, method: str | None = None) -> str:
    """Attributes by which the page's filters know what an element is about; numbers, so nothing to escape."""
    names = list(study.tables)
    text = f' data-benchmark="{names.index(benchmark)}"' if benchmark in names else ""
    return text + (f' data-method="{study.methods.index(method)}"' if method in study.methods else "")


def table_html(
    study: Study,
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


# --- prices ----------------------------------------------------------------------------------------------


def price_notice(prices: Repricing | None) -> str:
    """A bar at the top of a re-priced report; nothing for an ordinary one."""
    if prices is None:
        return ""
    names = ", ".join(prices.changes)
    others = f" Not re-priced: {', '.join(prices.kept)}." if prices.kept else ""
    text = (
        f"Re-priced with {prices.source} ({names}): nothing was run again, and {DECISIONS}. Fronts, scales, "
        f"hypervolume and money spent are those of the new prices.{others}"
    )
    return f'<p class="notice" role="note">{html.escape(text)}</p>'


def price_section(study: Study) -> Section | None:
    """Old and new price of each type that changed, and why other benchmarks stay as they are."""
    prices = study.prices
    if prices is None:
        return None
    note = (
        "Objectives in USD and the money that runs spent were multiplied by new price / old price. A method "
        "that had known the new prices might have chosen other configurations."
    )
    parts = [f"<p>{html.escape(note)}</p>"]
    parts += [_price_table(study, name, changes) for name, changes in prices.changes.items()]
    parts += [
        f"<p>{html.escape(f'{name} is shown as it was run: {why}.')}</p>" for name, why in prices.kept.items()
    ]
    return Section("prices", "Prices, old and new", "\n".join(parts))


def _price_table(study: Study, name: str, changes: Sequence[PriceChange]) -> str:
    if not changes:
        return f"<p>{html.escape(name)}: the file's prices are the old ones, so nothing changes.</p>"
    rows = [
        [
            html.escape(change.name),
            "unknown" if change.old is None else number(change.old, 4),
            number(change.new, 4),
            "–" if change.old is None else f"{100 * (change.new / change.old - 1):+.0f} %",
        ]
        for change in changes
    ]
    types = f"{len(changes)} instance type{'s' * (len(changes) > 1)}"
    caption = f"{name}: {types} at another price"
    heads = ["Instance type", "Old [USD/h]", "New [USD/h]", "Change"]
    shown = table_html(study, caption, heads, rows, "prices.csv", name)
    return shown if len(changes) <= _OPEN_TYPES else folded(caption, shown, attributes=marks(study, name))


# --- calibration -----------------------------------------------------------------------------------------


def calibration_section(study: Study) -> Section | None:
    """Whether fitted models knew how far off they were; None where none was measured."""
    if not study.calibration:
        return None
    found = aggregates(study.calibration)
    parts = [f"<p>{text}</p>" for text in _CALIBRATION_NOTES]
    for name in dict.fromkeys(item.benchmark for item in found):
        parts.append(_calibration_table(study, name, [item for item in found if item.benchmark == name]))
    figure = Figure(CALIBRATION_STEM, "Observed against nominal coverage.")
    return Section("calibration", "Did the models know how far off they were?", "\n".join(parts), (figure,))


_CALIBRATION_NOTES = (
    "Methods with a prior propose configurations by a model fitted to other tasks. Each model was asked for "
    "the values of the task held out, which the fit never saw. It is calibrated if its central 80 % interval "
    "holds 80 % of those values, and likewise for 50 % and 95 %. Fewer: it is overconfident, its intervals "
    "are too narrow. More: it is too cautious, its intervals are too wide.",
    "The negative log-likelihood joins calibration and accuracy in one number, in nats per value: lower is "
    f"better. Values count after their transform to standard normal scores, so {KNOWS_NOTHING} is a "
    "prediction that knows nothing of the configuration. Numbers are means over held-out tasks [least, "
    "greatest of the tasks]; calibration.csv has every task.",
)


def _calibration_table(study: Study, name: str, items: Sequence[Aggregate]) -> str:
    heads = ["Objective", "Model", *(f"Within {float(level):.0%}".replace("%", " %") for level in LEVELS)]
    heads += ["Negative log-likelihood [nats]", "Held-out tasks", "Values"]
    rows = [
        [
            html.escape(item.objective),
            html.escape(item.model),
            *(_share(spread, item.num_tasks) for spread in item.coverage),
            _spread(item.negative_log_likelihood, item.num_tasks, "{:.2f}"),
            f"{item.num_tasks:,}",
            f"{item.num_values:,}",
        ]
        for item in items
    ]
    caption = f"{name}: share of held-out values within central intervals"
    return table_html(study, caption, heads, rows, "calibration.csv", name)


def _share(spread: Spread, num_tasks: int) -> str:
    return _spread(Spread(*(100 * value for value in spread)), num_tasks, "{:.0f}", " %")


def _spread(spread: Spread, num_tasks: int, form: str, unit: str = "") -> str:
    """Mean and, of more than one task, least and greatest."""
    if num_tasks == 1:
        return form.format(spread.mean) + unit
    low, high = form.format(spread.least), form.format(spread.greatest)
    return f'{form.format(spread.mean)}{unit} <span class="interval">[{low}, {high}]</span>'
