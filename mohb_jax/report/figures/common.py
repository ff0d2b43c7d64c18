"""What several figures share: the view of one benchmark, legends, axes, footers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.prices import DECISIONS
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.credit import Credit
from mohb_jax.benchmarks.normalise import Normalisation, normalisation
from mohb_jax.report.figures.panels import plain
from mohb_jax.report.style import (
    TRUE_FRONT_COLOUR,
    duration,
    look,
    looks_of,
    number,
    seeds_text,
    time_unit,
)

GREY = "#444444"
# Points larger than a method's, which lie in front of them: a true front may be a single point.
TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "ms": 6, "mew": 0}


MOST_METHODS = 20
"""A figure of all methods shows no more."""
Named = Iterator[tuple[str, Figure | str]]
"""Figures by file name stem, or why there is none."""
Family = Callable[[Analysis], Named]


class View(NamedTuple):
    """What all figures of one benchmark share."""

    table: ResultTable
    cells: list[Cell]
    scale: Normalisation
    colour: dict[str, int]
    """Each method's look."""
    footer: str
    found: str
    """Where what counts was found."""


FOUND: dict[Credit, str] = {
    "full": "at the highest fidelity",
    "logged": "at the fidelities of its evaluations",
    "passed": "at any fidelity that it went through",
}


def view_of(analysis: Analysis, name: str) -> View:
    """The view of one benchmark."""
    study, own = analysis.study, analysis.cells_of(name)
    table = study.tables[name]
    footer = _view_footer(study, name, own)
    return View(table, own, normalisation(table), looks_of(study), footer, FOUND[study.credit])


def _view_footer(study: FinishedStudy, name: str, cells: Sequence[Cell]) -> str:
    """Seeds and horizons, and whether prices are other ones than the runs knew: every figure states it."""
    horizons = sorted(cell.horizon for cell in cells)
    ends = list(dict.fromkeys([duration(horizons[0]), duration(horizons[-1])]))
    seeds = seeds_text([cell.runs.size for cell in cells])
    text = f"{seeds} per method and task; runs end at {' to '.join(ends)} of simulated time."
    if study.prices and name in study.prices.changes:
        text += f"\nRe-priced with {study.prices.source}: nothing was run again, {DECISIONS}."
    return text


def view_title(study: FinishedStudy, name: str) -> str:
    """A benchmark's name as titles have it."""
    return f"{name}, re-priced" if study.prices and name in study.prices.changes else name


def by_task(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """What each panel shows."""
    tasks = dict.fromkeys(cell.task for cell in cells)
    return {task: [cell for cell in cells if cell.task == task] for task in tasks}


def say_prices(study: FinishedStudy, figure: Figure, benchmark: str | None = None) -> Figure:
    """The figure; where its benchmark, or any for None, was re-priced, it says so."""
    if study.prices and (study.prices.changes if benchmark is None else benchmark in study.prices.changes):
        text = f"Re-priced with {study.prices.source}: {DECISIONS}."
        figure.text(0.99, 0.995, text, ha="right", va="top", fontsize=7, color=GREY)
    return figure


def too_few(analysis: Analysis) -> str:
    """Why there is no figure of methods across tasks; empty where there is."""
    num_methods, num_tasks = len(analysis.comparison.methods), len(analysis.comparison.tasks)
    if num_methods > MOST_METHODS:
        return f"{num_methods} methods are too many for one figure; ranks.csv and pairs.csv have all"
    if num_methods < 2 or num_tasks < 2:
        return f"it compares methods across tasks; there are {num_methods} methods on {num_tasks} tasks"
    return ""


def time_label(cells: list[Cell]) -> str:
    return f"simulated time [{time_unit(cells[0].horizon)[0]}]"


def log_axis(axes: Axes, which: str) -> None:
    """Logarithmic axis with plain numbers; minor ticks carry numbers only where a decade is not spanned."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    decades = np.floor(np.log10(high)) - np.ceil(np.log10(low)) + 1 if low > 0 else 2
    if decades < 2:
        leading = "25" if high / low > 5 else "2346"
        axis.set_minor_formatter(FuncFormatter(lambda value, _: _minor_number(value, leading)))
    else:
        axis.set_minor_locator(NullLocator())  # minor ticks take most of the drawing time


def _minor_number(value: float, leading: str) -> str:
    """Numbers for some leading digits only."""
    return number(value) if f"{value:.0e}"[0] in leading else ""


def view_handles(view: View, markers: bool = False) -> list[Line2D]:
    """Legend entries of the methods that have results, in the study's order."""
    present = {cell.method for cell in view.cells}
    handles = []
    for method, index in view.colour.items():
        if method in present:
            style = look(index)
            marker = style.marker if markers else ""
            handles.append(
                Line2D([], [], color=style.colour, ls=style.line, marker=marker, ms=4, label=plain(method))
            )
    return handles


def basis(data: Comparison) -> str:
    """Tasks and seeds: every figure states them."""
    tasks = tasks_text(len(data.tasks), data.num_left_out)
    return f"{tasks}, {seeds_text([data.values.shape[2]])} each.{without_text(data.without)}"


def without_text(methods: Sequence[str]) -> str:
    names = ", ".join(plain(method) for method in methods)
    return f" Without results on every benchmark, so not here: {names}." if methods else ""


def tasks_text(num_tasks: int, num_left_out: int) -> str:
    tasks = f"{num_tasks} task" + ("s" if num_tasks != 1 else "")
    return tasks + (f" ({num_left_out} left out: not all methods have results)" if num_left_out else "")


def method_handles(methods: Sequence[str], colour: Mapping[str, int]) -> list[Line2D]:
    looks = [(plain(method), look(colour[method])) for method in methods]
    return [Line2D([], [], color=style.colour, ls=style.line, label=label) for label, style in looks]
