"""Hypervolume and share of the true front found, against simulated time."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.report.credits import shown_credits, suffix
from mohb_jax.report.figures.common import (
    Named,
    View,
    by_task,
    log_axis,
    time_label,
    view_handles,
    view_of,
    view_title,
)
from mohb_jax.report.figures.panels import Panels, small_multiples
from mohb_jax.report.style import file_names, look, time_unit

MEASURES = ("hypervolume", "front_found")
"""What there are curves of."""
SMALLEST_GAP = 1e-3
"""On the stretched hypervolume axis everything above ``1 - SMALLEST_GAP`` is drawn there."""
CLOSEST = 0.09
"""Share of a panel's height that a line of text needs."""
GAP_TICKS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def draw(analysis: Analysis) -> Named:
    """For each benchmark both curves."""
    for name, stem in file_names(analysis.study.tables).items():
        for measure in MEASURES:
            yield f"{stem}-{measure.replace('_', '-')}", curve_figure(analysis, name, measure)
        for each in shown_credits(analysis, name)[1:]:
            yield f"{stem}-hypervolume{suffix(analysis, each)}", curve_figure(each, name)


def curve_figure(
    analysis: Analysis, name: str, measure: str = "hypervolume", tasks: Sequence[str] = ()
) -> Figure:
    """Curves on one benchmark, a panel per task.

    Args:
        analysis: what the study shows.
        name: the benchmark.
        measure: ``hypervolume`` or ``front_found``.
        tasks: some of them; all if empty.
    """
    view = view_of(analysis, name)
    content = {task: own for task, own in by_task(view.cells).items() if not tasks or task in tasks}
    panels = hypervolume if measure == "hypervolume" else found_share
    return small_multiples(panels(view_title(analysis.study, name), view), content)


def hypervolume(name: str, view: View) -> Panels:
    """Median and interquartile range of the hypervolume against simulated time."""
    return Panels(
        title=f"{name}: hypervolume relative to the true front's",
        footer="Lines: median over seeds; bands: middle half of the seeds. The vertical axis is logarithmic "
        f"in the distance to 1. Results count that were found {view.found}.\n{view.footer}",
        draw=lambda axes, cells: _draw_hypervolume(axes, cells, view.colour),
        handles=view_handles(view),
        x_label=time_label,
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
    axes.set_yticks(_apart([tick for tick in GAP_TICKS if tick >= lowest * 0.8], 1.02, lowest * 0.8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda gap, _: f"{1 - gap:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    log_axis(axes, "x")


def _apart(ticks: Sequence[float], high: float, low: float) -> list[float]:
    """Those of descending ticks whose texts do not touch on a logarithmic axis."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or np.log(kept[-1] / tick) >= CLOSEST * np.log(high / low):
            kept.append(tick)
    return kept


def quartiles(curves: Float[np.ndarray, "runs grid"]) -> Float[np.ndarray, "3 grid"]:
    """Lower quartile, median and upper quartile over runs."""
    return np.quantile(curves, [0.25, 0.5, 0.75], axis=0)


def found_share(name: str, view: View) -> Panels:
    """Mean share of the true front's rows that were found."""
    return Panels(
        title=f"{name}: share of the true front found",
        footer="Lines: mean over seeds of the share of the true front that was found "
        f"{view.found}.\n{view.footer}",
        draw=lambda axes, cells: _draw_found(axes, cells, view.colour),
        handles=view_handles(view),
        x_label=time_label,
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
