"""Figures on paper: attained Pareto fronts, hypervolume against time, share of the true front found."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.interface import AnyTable
from benchmarks.normalise import Normalisation, non_dominated, normalisation, true_front
from mohb_jax.report.curves import Cell
from mohb_jax.report.study import Study
from mohb_jax.report.style import (
    TRUE_FRONT_COLOUR,
    duration,
    file_names,
    look,
    number,
    objective_label,
    objective_pairs,
    seeds_text,
    time_unit,
)

SMALLEST_GAP = 1e-3
"""On the stretched hypervolume axis everything above ``1 - SMALLEST_GAP`` is drawn there."""
GAP_TICKS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_STYLE: Any = {
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


# Points larger than a method's, which lie in front of them: a true front may be a single point.
_TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "ms": 6, "mew": 0}


class Panels(NamedTuple):
    """A figure of one panel per task."""

    title: str
    footer: str
    draw: Callable[[Axes, list[Cell]], None]
    """Draws the cells of one task."""
    handles: list[Line2D]
    """The legend."""
    x_label: Callable[[list[Cell]], str]
    y_label: str


class View(NamedTuple):
    """What all figures of one benchmark share."""

    table: AnyTable
    cells: list[Cell]
    scale: Normalisation
    colour: dict[str, int]
    """Each method's place in the study, which decides its look."""
    footer: str


def write_figures(study: Study, cells: Sequence[Cell], out: Path) -> list[Path]:
    """Draws all figures of a study, each as PDF and PNG.

    Args:
        study: names, methods and tables.
        cells: results of every benchmark, task and method.
        out: the folder to fill; it is made.

    Returns:
        The files written, in a fixed order.
    """
    out.mkdir(parents=True, exist_ok=True)
    stems = file_names(study.tables)
    written: list[Path] = []
    with matplotlib.rc_context(_STYLE):
        for name, table in study.tables.items():
            own = [cell for cell in cells if cell.benchmark == name]
            colour = {method: index for index, method in enumerate(study.methods)}
            view = View(table, own, normalisation(table), colour, _footer(own))
            for suffix, panels in _figures(name, view):
                written += _save(_small_multiples(panels, own), out / f"{stems[name]}-{suffix}")
    return written


def _figures(name: str, view: View) -> list[tuple[str, Panels]]:
    """The figures of one benchmark with their file name endings."""
    words = list(file_names(objective.name for objective in view.table.objectives).values())
    figures = [
        (f"front-{words[y]}-{words[x]}", _fronts(name, view, x, y))
        for x, y in objective_pairs(view.table.num_objectives)
    ]
    return [*figures, ("hypervolume", _hypervolume(name, view)), ("front-found", _found(name, view))]


def _footer(cells: Sequence[Cell]) -> str:
    """Seeds and horizons, which every figure states."""
    horizons = sorted(cell.horizon for cell in cells)
    ends = list(dict.fromkeys([duration(horizons[0]), duration(horizons[-1])]))
    seeds = seeds_text([cell.runs.size for cell in cells])
    return f"{seeds} per method and task; runs end at {' to '.join(ends)} of simulated time."


# --- the three kinds of figure ---------------------------------------------------------------------------


def _fronts(name: str, view: View, x: int, y: int) -> Panels:
    """Attained fronts of one pair of objectives before the true one."""
    true_line = Line2D([], [], **_TRUE_FRONT, marker="o", label="true front of the table")
    more = " Only the two objectives shown count here." if view.table.num_objectives > 2 else ""
    return Panels(
        title=f"{name}: {view.table.objectives[y].name} against {view.table.objectives[x].name}",
        footer="Coloured: what the run with the median final hypervolume found at the highest fidelity."
        f"{more}\n{view.footer}",
        draw=lambda axes, cells: _draw_fronts(axes, cells, view, x, y),
        handles=[true_line, *_handles(view, markers=True)],
        x_label=lambda cells: objective_label(view.table, x),
        y_label=objective_label(view.table, y),
    )


def _draw_fronts(axes: Axes, cells: list[Cell], view: View, x: int, y: int) -> None:
    task = view.table.task_index(cells[0].task)
    front = staircase(view.table, task, true_front(view.table, task), x, y)
    axes.step(*front, where="post", marker="o", **_TRUE_FRONT, solid_joinstyle="miter")
    for cell in cells:
        style = look(view.colour[cell.method])
        points = staircase(view.table, task, cell.typical_front, x, y)
        axes.step(*points, where="post", color=style.colour, ls=style.line, lw=0.9, alpha=0.8)
        axes.plot(*points, style.marker, color=style.colour, ms=2.6, mew=0)
    for objective, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if view.scale.log[task, objective] and view.table.objectives[objective].sense == "min":
            _log_axis(axes, "x" if axis is axes.xaxis else "y")


def staircase(
    table: AnyTable, task: int, rows: Int[np.ndarray, " rows"], x: int, y: int
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """Published values of the rows that are best trade-offs of two objectives, along the front.

    Args:
        table: the benchmark; its highest fidelity counts.
        task: index of the task.
        rows: the rows to choose from.
        x: objective whose cost ascends along the result.
        y: objective whose cost descends.
    """
    costs = table.final_costs(task)[rows][:, [x, y]]
    costs = np.unique(costs[non_dominated(costs)], axis=0)
    return table.objectives[x].to_value(costs[:, 0]), table.objectives[y].to_value(costs[:, 1])


def _hypervolume(name: str, view: View) -> Panels:
    """Median and interquartile range of the hypervolume against simulated time."""
    return Panels(
        title=f"{name}: hypervolume relative to the true front's",
        footer="Lines: median over seeds; bands: middle half of the seeds. The vertical axis is logarithmic "
        f"in the distance to 1.\n{view.footer}",
        draw=lambda axes, cells: _draw_hypervolume(axes, cells, view.colour),
        handles=_handles(view),
        x_label=_time_label,
        y_label="relative hypervolume",
    )


def _draw_hypervolume(axes: Axes, cells: list[Cell], colour: dict[str, int]) -> None:
    size = time_unit(cells[0].horizon)[1]
    lowest = 1.0
    for cell in cells:
        style = look(colour[cell.method])
        low, middle, high = quartiles(cell.hypervolume)
        gaps = [np.maximum(1 - curve, SMALLEST_GAP) for curve in (low, middle, high)]
        axes.fill_between(
            cell.grid / size, gaps[0], gaps[2], step="post", color=style.colour, alpha=0.15, lw=0
        )
        axes.step(cell.grid / size, gaps[1], where="post", color=style.colour, ls=style.line, lw=1.2)
        lowest = min(lowest, float(gaps[2].min()))
    axes.set_yscale("log")
    axes.set_ylim(1.02, lowest * 0.8)  # downwards: less distance is higher up
    axes.set_yticks([tick for tick in GAP_TICKS if tick >= lowest * 0.8])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda gap, _: f"{1 - gap:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    _log_axis(axes, "x")


def quartiles(curves: Float[np.ndarray, "runs grid"]) -> Float[np.ndarray, "3 grid"]:
    """Lower quartile, median and upper quartile over runs."""
    return np.quantile(curves, [0.25, 0.5, 0.75], axis=0)


def _found(name: str, view: View) -> Panels:
    """Mean share of the true front's rows that were found."""
    return Panels(
        title=f"{name}: share of the true front's configurations found",
        footer="Lines: mean over seeds of the share of configurations on the true front that were evaluated "
        f"at the highest fidelity.\n{view.footer}",
        draw=lambda axes, cells: _draw_found(axes, cells, view.colour),
        handles=_handles(view),
        x_label=_time_label,
        y_label="share found [%]",
    )


def _draw_found(axes: Axes, cells: list[Cell], colour: dict[str, int]) -> None:
    size = time_unit(cells[0].horizon)[1]
    for cell in cells:
        style = look(colour[cell.method])
        share = 100 * cell.front_found.mean(axis=0)
        axes.step(cell.grid / size, share, where="post", color=style.colour, ls=style.line, lw=1.2)
    axes.set_ylim(bottom=0)
    _log_axis(axes, "x")


# --- common parts ----------------------------------------------------------------------------------------


def _time_label(cells: list[Cell]) -> str:
    return f"simulated time [{time_unit(cells[0].horizon)[0]}]"


def _log_axis(axes: Axes, which: str) -> None:
    """Logarithmic axis with plain numbers; minor ticks carry numbers only where a decade is not spanned."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    if low > 0 and high / low < 15:
        axis.set_minor_formatter(FuncFormatter(_minor_number))
    else:
        axis.set_minor_locator(NullLocator())  # minor ticks take most of the drawing time


def _minor_number(value: float, _position: int | None = None) -> str:
    leading = f"{value:.0e}"[0]
    return number(value) if leading in "25" else ""


def _handles(view: View, markers: bool = False) -> list[Line2D]:
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


def plain(text: str, longest: int = 60) -> str:
    """Text that matplotlib shows as it is: no line breaks, not hidden from the legend."""
    text = " ".join(text.split())
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return " " + text if text.startswith("_") else text


def _small_multiples(panels: Panels, cells: Sequence[Cell]) -> Figure:
    """One panel per task under one title and legend; sizes in inches, so that nothing is measured."""
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    columns = min(len(tasks), 4 if len(tasks) > 6 else 3)
    rows = -(-len(tasks) // columns)
    width = max(2.5 * columns + 0.3, 6.0)
    legend_columns = min(len(panels.handles), max(2, int(width / 1.45)))
    head = 0.45 + 0.17 * -(-len(panels.handles) // legend_columns)
    footer = "\n".join(textwrap.fill(line, int(19 * width)) for line in panels.footer.splitlines())
    foot = 0.55 + 0.13 * footer.count("\n")
    height = head + 2.15 * rows + foot - 0.1
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.1 / height, plain(panels.title, int(13 * width)), size=10.5, va="top")
    figure.legend(
        handles=_by_row(panels.handles, legend_columns),
        loc="upper left",
        bbox_to_anchor=(0.0, 1 - 0.27 / height),
        ncols=legend_columns,
        borderaxespad=0.2,
        fontsize=8,
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
        if index >= len(tasks):
            panel.set_visible(False)
            continue
        own = [cell for cell in cells if cell.task == tasks[index]]
        panels.draw(panel, own)
        panel.set_title(plain(tasks[index], 40))
        panel.set_xlabel(plain(panels.x_label(own)))
        if index % columns == 0:
            panel.set_ylabel(plain(panels.y_label))
    return figure


def _by_row(handles: list[Line2D], columns: int) -> list[Line2D]:
    """The order in which matplotlib, which fills a legend column by column, shows the handles row by row."""
    return [handle for column in range(columns) for handle in handles[column::columns]]


def _save(figure: Figure, stem: Path) -> list[Path]:
    """PDF and PNG without dates, so that equal studies give equal files."""
    FigureCanvasAgg(figure)
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png")]
    figure.savefig(paths[0], metadata={"CreationDate": None})
    figure.savefig(paths[1], dpi=150, metadata={"Software": None})
    return paths
