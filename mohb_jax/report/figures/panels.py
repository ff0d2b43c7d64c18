"""What all figures on paper share: fonts and lines, small multiples under one legend, files without dates."""

import functools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from mohb_jax.report.figures.letters import boxes_in_silence, fonts_without_layout

Drawing = TypeVar("Drawing")
PANEL_WIDTH = 1.85
"""Inches that the narrowest panel has for what it shows."""

STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # names come from data: a dollar sign is a dollar sign
}


class Panels(NamedTuple):
    """A figure of several panels with one look."""

    title: str
    footer: str
    draw: Callable[[Axes, list[Any]], None]
    """Draws what one panel shows."""
    handles: list[Line2D]
    """The legend."""
    x_label: Callable[[list[Any]], str]
    y_label: str


def plain(text: str, longest: int = 60) -> str:
    """Text that matplotlib shows as it is: no line breaks, not hidden from the legend."""
    text = " ".join(text.split())
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return " " + text if text.startswith("_") else text


def small_multiples(panels: Panels, content: Mapping[str, list[Any]]) -> Figure:
    """Panels under one title and legend; all sizes are in inches.

    Args:
        panels: the look.
        content: what each panel shows, by its title.
    """
    titles = list(content)
    columns = min(len(titles), 4 if len(titles) > 6 else 3)
    rows = -(-len(titles) // columns)
    width = max(2.5 * columns + 0.3, 6.0)
    for handle in panels.handles:
        handle.set_label(fitted(str(handle.get_label()), width - _BESIDE_LABEL, LEGEND_SIZE))
    legend_columns = _legend_columns(panels.handles, width)
    head = 0.45 + 0.17 * -(-len(panels.handles) // legend_columns)
    footer = wrapped_footer(panels.footer, width)
    foot = 0.55 + 0.13 * footer.count("\n")
    height = head + 2.15 * rows + foot - 0.1
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.1 / height, fitted(panels.title, width - 0.2, 10.5), size=10.5, va="top")
    figure.legend(
        handles=_by_row(panels.handles, legend_columns),
        loc="upper left",
        bbox_to_anchor=(0.0, 1 - 0.27 / height),
        ncols=legend_columns,
        borderaxespad=0.2,
        fontsize=LEGEND_SIZE,
    )
    figure.text(0.1 / width, 0.06 / height, footer, size=6.8, color="#444444", va="bottom")
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.62 / width,
        right=1 - 0.12 / width,
        top=1 - (head + 0.2) / height,
        bottom=(foot + 0.2) / height,
        wspace=0.32,
        hspace=0.55,
    )
    for index, panel in enumerate(axes.flat):
        if index >= len(titles):
            panel.set_visible(False)
            continue
        own = content[titles[index]]
        panels.draw(panel, own)
        panel.set_title(fitted(titles[index], 1.25 * PANEL_WIDTH, 8.5))
        panel.set_xlabel(plain(panels.x_label(own)))
        if index % columns == 0:
            panel.set_ylabel(plain(panels.y_label))
    return figure


def _legend_columns(handles: Sequence[Line2D], width: float) -> int:
    """As many as fit side by side into a figure so many inches wide."""
    wide = [text_width(str(handle.get_label()), LEGEND_SIZE) for handle in handles]
    for columns in range(len(wide), 1, -1):
        # Row by row: a column holds each ``columns``-th label, and is as wide as the longest of them.
        columns_wide = [max(wide[column::columns]) + _BESIDE_LABEL for column in range(columns)]
        if sum(columns_wide) < width:
            return columns
    return 1


LEGEND_SIZE = 8
_BESIDE_LABEL = 4.8 * LEGEND_SIZE / 72
"""Inches of a column of a legend that are not text: the line, distances to the text and the next column."""


_HINTED = 1.05
"""Letters are moved to whole pixels, which makes a text a little longer at few pixels per inch."""


@functools.cache
def text_width(text: str, size: float | int) -> float:
    """Inches that a text takes in the font of all figures, as the renderer draws it."""
    renderer = RendererAgg(8, 8, 720)
    return (
        float(renderer.get_text_width_height_descent(text, FontProperties(size=size), False)[0])
        / 720
        * _HINTED
    )


def fitted(text: str, width: float, size: float | int) -> str:
    """As much of a text, see ``plain``, as fits into a width in inches."""
    text = plain(text, 200)
    while len(text) > 2 and text_width(text, size) > width:
        text = text[:-2].rstrip() + "…"
    return text


def wrapped_footer(text: str, width: float) -> str:
    """Lines that fit into a figure so many inches wide, in the size of footers."""
    return "\n".join(textwrap.fill(line, int(18 * width)) for line in text.splitlines())


def _by_row(handles: list[Line2D], columns: int) -> list[Line2D]:
    """The order in which matplotlib, which fills a legend column by column, shows the handles row by row."""
    return [handle for column in range(columns) for handle in handles[column::columns]]


def styled(draw: Callable[[], Drawing]) -> Drawing:
    """What ``draw`` makes, in the look of all figures; the caller's own settings of matplotlib stay."""
    with matplotlib.rc_context(STYLE):
        return draw()


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """PDF and PNG without dates, so that equal studies give equal files."""
    FigureCanvasAgg(figure)
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png")]
    with boxes_in_silence(), fonts_without_layout():
        figure.savefig(paths[0], metadata={"CreationDate": None})
        figure.savefig(paths[1], dpi=150, metadata={"Software": None})
    return paths
