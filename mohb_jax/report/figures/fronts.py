"""Attained fronts before the true one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import non_dominated, true_front
from mohb_jax.report.figures.common import (
    TRUE_FRONT,
    Named,
    View,
    by_task,
    log_axis,
    view_handles,
    view_of,
    view_title,
)
from mohb_jax.report.figures.panels import Panels, small_multiples
from mohb_jax.report.style import crowded, front_stems, look, objective_label


def draw(analysis: Analysis) -> Named:
    """For each benchmark the first objective against each of the others."""
    for name in analysis.study.tables:
        for stem, x, y in front_stems(analysis.study, name, "front"):
            yield stem, front_figure(analysis, name, x, y)


def front_figure(analysis: Analysis, name: str, x: int, y: int, tasks: Sequence[str] = ()) -> Figure:
    """Fronts on one benchmark, a panel per task.

    Args:
        analysis: what the study shows.
        name: the benchmark.
        x: objective across.
        y: objective upwards.
        tasks: some of them; all if empty.
    """
    view = view_of(analysis, name)
    content = {task: own for task, own in by_task(view.cells).items() if not tasks or task in tasks}
    return small_multiples(fronts(view_title(analysis.study, name), view, x, y), content)


def fronts(name: str, view: View, x: int, y: int) -> Panels:
    """Attained fronts of one pair of objectives before the true one."""
    true_line = Line2D([], [], **TRUE_FRONT, marker="o", label="true front of the table")
    more = " Only the two objectives shown count here." if view.table.num_objectives > 2 else ""
    return Panels(
        title=f"{name}: {view.table.objectives[y].name} against {view.table.objectives[x].name}",
        footer=f"Coloured: what the run with the median final hypervolume found {view.found}."
        f"{more}\n{view.footer}",
        draw=lambda axes, cells: _draw_fronts(axes, cells, view, x, y),
        handles=[true_line, *view_handles(view, markers=True)],
        x_label=lambda cells: objective_label(view.table, x),
        y_label=objective_label(view.table, y),
    )


def _draw_fronts(axes: Axes, cells: list[Cell], view: View, x: int, y: int) -> None:
    task = view.table.task_index(cells[0].task)
    front = staircase(view.table, task, true_front(view.table, task), x, y)
    axes.step(*front, where="post", marker="o", **TRUE_FRONT, solid_joinstyle="miter")
    upwards = [front[1]]
    for cell in cells:
        style = look(view.colour[cell.method])
        points = staircase(view.table, task, cell.typical_front, x, y)
        axes.step(*points, where="post", color=style.colour, ls=style.line, lw=0.9, alpha=0.8)
        axes.plot(*points, style.marker, color=style.colour, ms=2.6, mew=0)
        upwards.append(points[1])
    smaller = [objective.sense == "min" for objective in view.table.objectives]
    if view.scale.log[task, x] and smaller[x]:
        log_axis(axes, "x")
    if smaller[y] and (view.scale.log[task, y] or crowded(np.concatenate(upwards))):
        log_axis(axes, "y")


def staircase(
    table: ResultTable, task: int, rows: Int[np.ndarray, " rows"], x: int, y: int
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """Published values of the rows that are best trade-offs of two objectives, along the front.

    Args:
        table: what of the benchmark may count.
        task: index of the task.
        rows: the rows to choose from.
        x: objective whose cost ascends along the result.
        y: objective whose cost descends.
    """
    costs = table.costs_of(task, rows)[:, [x, y]]
    costs = np.unique(costs[non_dominated(costs)], axis=0)
    return table.objectives[x].to_value(costs[:, 0]), table.objectives[y].to_value(costs[:, 1])
