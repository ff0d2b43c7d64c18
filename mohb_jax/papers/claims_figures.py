"""Figures of reductions: a dot and its interval for every definition, the published number as a line."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mohb_jax.papers.claims import Claim
from mohb_jax.papers.reductions import ALL_TASKS, DEFINITIONS, STATISTICS, Row
from mohb_jax.report.figures import panels
from mohb_jax.report.style import look, number, seeds_text

PUBLISHED_COLOUR = "#D55E00"
STYLE: Any = panels.STYLE | {"axes.grid": False}
_COLOURS = dict(zip(STATISTICS, ("#0072B2", "#009E73"), strict=True))
_OFFSETS = dict(zip(STATISTICS, (-0.16, 0.16), strict=True))


def write_figures(claims: Sequence[Claim], rows: Sequence[Row], out: Path) -> list[Path]:
    """Draws, for every claim and every method against the heading baseline, all benchmarks side by side.

    Args:
        claims: in the order wanted; one without rows gets no figure.
        rows: what ``judged`` gives.
        out: the folder to fill; it is made, and figures of earlier calls are removed.

    Returns:
        The files written, PDF and PNG, in a fixed order: the first of each claim shows the heading pair.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("*.pdf"), *out.glob("*.png")]:
        old.unlink()
    written: list[Path] = []
    with matplotlib.rc_context(STYLE):
        for claim in claims:
            own = [row for row in rows if row["claim"] == claim.name]
            pairs = list(dict.fromkeys((row["method"], row["baseline"]) for row in own))
            for method, baseline in (pair for pair in pairs if pair[1] == pairs[0][1]):
                pair = [row for row in own if (row["method"], row["baseline"]) == (method, baseline)]
                figure = _claim_figure(claim, pair, f"{baseline} / {method}")
                written += save_figure(figure, out / figure_stem(claim, method, baseline))
    return written


def figure_stem(claim: Claim, method: str, baseline: str) -> str:
    """File name, without its ending, of a claim's figure for a pair."""
    return f"{claim.name}-{method.replace('+', '-')}-vs-{baseline}"


def _claim_figure(claim: Claim, rows: list[Row], quotient: str) -> Figure:
    """One panel per benchmark; sizes in inches, so that nothing is measured."""
    names = list(dict.fromkeys(row["benchmark"] for row in rows))
    columns = min(len(names), 3)
    lines = -(-len(names) // columns)
    width, height = max(2.3 + 2.3 * columns, 7.2), 1.25 + 2.35 * lines
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.1 / height, f"{claim.title}: {quotient}", size=10.5, va="top")
    figure.text(0.1 / width, 0.06 / height, _footer(rows), size=6.8, color="#444444", va="bottom")
    figure.legend(
        handles=_handles(claim),
        loc="upper left",
        bbox_to_anchor=(0.0, 1 - 0.28 / height),
        ncols=5,
        fontsize=7.5,
        borderaxespad=0.2,
    )
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    figure.subplots_adjust(
        left=2.25 / width,
        right=1 - 0.15 / width,
        top=1 - 0.78 / height,
        bottom=0.72 / height,
        wspace=0.12,
        hspace=0.4,
    )
    for index, panel in enumerate(axes.flat):
        if index >= len(names):
            panel.set_visible(False)
            continue
        own = [row for row in rows if row["benchmark"] == names[index]]
        _draw(panel, claim, own)
        panel.set_title(names[index])
        panel.set_xlabel(f"{claim.quantity}: {quotient}")
    return figure


def _footer(rows: list[Row]) -> str:
    counts = [row["num_runs"] for row in rows]
    return (
        f"{seeds_text(counts)} per method and task; geometric means over tasks. A ratio of medians that is "
        "only bounded is a triangle\npointing to the open side; one of which nothing is known has no dot, "
        "and its interval runs from edge to edge."
    )


def _handles(claim: Claim) -> list[Line2D]:
    dots = [
        Line2D([], [], color=_COLOURS["means"], marker="o", ms=4, lw=1.2, label="ratio of means, 95 %"),
        Line2D([], [], color=_COLOURS["medians"], marker="s", ms=4, lw=1.2, label="ratio of medians, 95 %"),
        Line2D([], [], color="#999999", marker="|", ms=5, lw=0, label="single tasks (means)"),
    ]
    published = f"published, {number(claim.published)}"
    return [*dots, Line2D([], [], color=PUBLISHED_COLOUR, lw=1.2, label=published)]


def _draw(panel: Axes, claim: Claim, rows: list[Row]) -> None:
    """One benchmark: a line per definition."""
    low, high = _limits(claim, rows)
    panel.set_xscale("log")
    panel.set_xlim(low, high)
    panel.axvline(1.0, color="#bbbbbb", lw=0.8)
    panel.axvline(claim.published, color=PUBLISHED_COLOUR, lw=1.2)
    for place, definition in enumerate(DEFINITIONS):
        for row in (row for row in rows if row["definition"] == definition.name):
            if row["task"] == ALL_TASKS:
                for name in STATISTICS:
                    _dot(panel, place + _OFFSETS[name], row[name], name, (low, high))
            elif row["means"]["ratio"][1] is not None:
                panel.plot(row["means"]["ratio"][1], place, "|", color="#999999", ms=5, mew=0.6, zorder=1)
    panel.set_yticks(range(len(DEFINITIONS)), [_short(definition.words) for definition in DEFINITIONS])
    panel.set_ylim(len(DEFINITIONS) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    _ticks(panel)


def _short(words: str) -> str:
    return words.replace("configuration", "config.")


def _ticks(panel: Axes) -> None:
    low, high = panel.get_xlim()
    wide = high > 100 * low  # numbers of a panel this narrow would touch
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=6))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.grid(axis="x", color="#eeeeee", lw=0.5)


def _dot(panel: Axes, height: float, part: Row, name: str, limits: tuple[float, float]) -> None:
    """A statistic and its interval; an open end runs to the edge, a bounded ratio is a triangle pointing
    there, and one of which nothing is known has no dot."""
    colour = _COLOURS[name]
    if part["ci95"] is not None:
        ends = np.clip([_or_infinite(end) for end in part["ci95"]], *limits)
        panel.plot(ends, [height, height], "-", color=colour, lw=1.2, solid_capstyle="butt", zorder=2)
    least, most = part["ratio"]
    shape = look(STATISTICS.index(name)).marker
    if least is None:  # infinite: the method takes nothing
        return
    if least == most:
        panel.plot(least, height, shape, color=colour, ms=4, zorder=3)
    elif least:
        panel.plot(least, height, ">", color=colour, ms=4.5, zorder=3)
    elif most is not None:
        panel.plot(most, height, "<", color=colour, ms=4.5, zorder=3)


def _or_infinite(end: float | None) -> float:
    return math.inf if end is None else end


def _limits(claim: Claim, rows: list[Row]) -> tuple[float, float]:
    """Ends of the axis: all ratios, finite ends of intervals, 1 and the published number are on it."""
    values = [1.0, claim.published]
    for row in rows:
        names = STATISTICS if row["task"] == ALL_TASKS else ("means",)
        for name in names:
            values += [*row[name]["ratio"], *((row[name]["ci95"] or []) if row["task"] == ALL_TASKS else [])]
    shown = [value for value in values if value]
    return min(shown) / 1.3, max(shown) * 1.3


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """PDF and PNG without dates, so that equal studies give equal files."""
    FigureCanvasAgg(figure)
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png")]
    figure.savefig(paths[0], metadata={"CreationDate": None})
    figure.savefig(paths[1], dpi=150, metadata={"Software": None})
    return paths
