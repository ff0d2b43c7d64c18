"""Figures on paper: attained fronts, hypervolume against time, share of the true front found, calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import Normalisation, non_dominated, normalisation, true_front
from mohb_jax.calibration import LEVELS
from mohb_jax.report.calibration import Aggregate, aggregates
from mohb_jax.report.curves import Cell
from mohb_jax.report.panels import STYLE, Panels, plain, save_figure, small_multiples
from mohb_jax.report.prices import DECISIONS
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

CALIBRATION = "calibration"
"""File name stem of the figure on calibration."""
SMALLEST_GAP = 1e-3
"""On the stretched hypervolume axis everything above ``1 - SMALLEST_GAP`` is drawn there."""
GAP_TICKS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
# Points larger than a method's, which lie in front of them: a true front may be a single point.
_TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "ms": 6, "mew": 0}


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
    with matplotlib.rc_context(STYLE):
        for name, table in study.tables.items():
            own = [cell for cell in cells if cell.benchmark == name]
            colour = {method: index for index, method in enumerate(study.methods)}
            view = View(table, own, normalisation(table), colour, _footer(study, name, own))
            tasks = {task: [cell for cell in own if cell.task == task] for task in _tasks(own)}
            for suffix, panels in _figures(_title(study, name), view):
                written += save_figure(small_multiples(panels, tasks), out / f"{stems[name]}-{suffix}")
        if study.calibration:
            written += _write_calibration(study, out / CALIBRATION)
    return written


def _tasks(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.task for cell in cells))


def _title(study: Study, name: str) -> str:
    """A benchmark's name as titles have it."""
    return f"{name}, re-priced" if study.prices and name in study.prices.changes else name


def _figures(name: str, view: View) -> list[tuple[str, Panels]]:
    """The figures of one benchmark with their file name endings."""
    words = list(file_names(objective.name for objective in view.table.objectives).values())
    figures = [
        (f"front-{words[y]}-{words[x]}", _fronts(name, view, x, y))
        for x, y in objective_pairs(view.table.num_objectives)
    ]
    return [*figures, ("hypervolume", _hypervolume(name, view)), ("front-found", _found(name, view))]


def _footer(study: Study, name: str, cells: Sequence[Cell]) -> str:
    """Seeds and horizons, and whether prices are other ones than the runs knew: every figure states it."""
    horizons = sorted(cell.horizon for cell in cells)
    ends = list(dict.fromkeys([duration(horizons[0]), duration(horizons[-1])]))
    seeds = seeds_text([cell.runs.size for cell in cells])
    text = f"{seeds} per method and task; runs end at {' to '.join(ends)} of simulated time."
    if study.prices and name in study.prices.changes:
        text += f"\nRe-priced with {study.prices.source}: nothing was run again, {DECISIONS}."
    return text


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
            log_axis(axes, "x" if axis is axes.xaxis else "y")


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
    log_axis(axes, "x")


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
    log_axis(axes, "x")


# --- calibration -----------------------------------------------------------------------------------------

_MODELS = {"prior network": (6, "o", -0.6), "gaussian process": (7, "s", 0.6)}
"""Colour and marker, which are not those of a study's first methods, and a shift in % that parts the bars."""


def _write_calibration(study: Study, stem: Path) -> list[Path]:
    content: dict[str, list[Aggregate]] = {}
    for item in aggregates(study.calibration):
        content.setdefault(f"{item.benchmark}: {item.objective}", []).append(item)
    return save_figure(small_multiples(_calibration(content), content), stem)


def _calibration(content: Mapping[str, list[Aggregate]]) -> Panels:
    """Observed against nominal coverage of each model's central intervals."""
    present = {item.model for items in content.values() for item in items}
    handles = [Line2D([], [], color=TRUE_FRONT_COLOUR, lw=1, ls="--", label="calibrated")]
    for model, (colour, marker, _) in _MODELS.items():
        if model in present:
            handles.append(Line2D([], [], color=look(colour).colour, marker=marker, ms=4, label=model))
    return Panels(
        title="Calibration: how often intervals hold the values of a held-out task",
        footer="Points: mean over held-out tasks; bars: least and greatest of them. Below the dashed line a "
        "model's intervals are too narrow, above it too wide.",
        draw=_draw_calibration,
        handles=handles,
        x_label=lambda items: "central interval [%]",
        y_label="values within it [%]",
    )


def _draw_calibration(axes: Axes, items: list[Aggregate]) -> None:
    axes.plot([0, 100], [0, 100], color=TRUE_FRONT_COLOUR, lw=1, ls="--")
    nominal = 100 * np.array([float(level) for level in LEVELS])
    for item in items:
        colour, marker, shift = _MODELS[item.model]
        mean, least, greatest = 100 * np.array(item.coverage).T
        axes.errorbar(
            nominal + shift,
            mean,
            [mean - least, greatest - mean],
            color=look(colour).colour,
            marker=marker,
            ms=3.5,
            lw=1,
            elinewidth=0.8,
            capsize=2,
        )
    axes.set(xlim=(40, 102), ylim=(-2, 102), xticks=nominal)
    axes.text(0.97, 0.05, "overconfident", ha="right", transform=axes.transAxes, size=7, color="#777777")
    axes.text(0.03, 0.93, "too cautious", transform=axes.transAxes, size=7, color="#777777")


# --- common parts ----------------------------------------------------------------------------------------


def _time_label(cells: list[Cell]) -> str:
    return f"simulated time [{time_unit(cells[0].horizon)[0]}]"


def log_axis(axes: Axes, which: str) -> None:
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
