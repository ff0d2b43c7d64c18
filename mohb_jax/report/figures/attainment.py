"""Attainment surfaces, one panel per task."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.attainment import Attained, attained, attainment_surfaces
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import normalisation, true_front
from mohb_jax.errors import InputError
from mohb_jax.report.figures.common import (
    FOUND,
    MOST_METHODS,
    Named,
    log_axis,
    method_handles,
    say_prices,
)
from mohb_jax.report.figures.fronts import staircase
from mohb_jax.report.figures.panels import Panels, small_multiples
from mohb_jax.report.style import (
    TRUE_FRONT_COLOUR,
    Look,
    crowded,
    front_stems,
    look,
    looks_of,
    objective_label,
    seeds_text,
)

MOST_BANDS = 3
"""More methods than this in a panel are drawn without bands, which would hide each other."""
TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "marker": "o", "ms": 6, "mew": 0}
Key = tuple[str, str]
"""A task and a method."""


def draw(analysis: Analysis) -> Named:
    """For each benchmark the first objective against each of the others."""
    study = analysis.study
    if len(study.methods) > MOST_METHODS:
        return
    for name, table in study.tables.items():
        lanes = analysis.lanes(name)
        for stem, x, y in front_stems(study, name, "attained"):
            found = attained(table, lanes, study.methods, x, y)
            try:
                figure = attainment_figure(name, table, found, looks_of(study), x, y, FOUND[study.credit])
            except InputError as error:
                yield stem, str(error)
            else:
                yield stem, say_prices(study, figure, name)


def attainment_figure(
    name: str,
    table: ResultTable,
    found: Mapping[Key, Attained],
    colour: Mapping[str, int],
    x: int,
    y: int,
    where: str = FOUND["full"],
) -> Figure:
    """Median attainment surfaces with the middle half of the runs, one panel per task.

    Args:
        name: the benchmark's name in the study.
        table: the benchmark.
        found: what each run found, see ``attained``.
        colour: each method's look.
        x: objective across.
        y: objective upwards.
        where: what counts was found.

    Raises:
        InputError: the library moocore is not installed.
    """
    surfaces = {key: attainment_surfaces(points) for key, points in found.items()}
    methods = [method for method in colour if any(own == method for _, own in found)]
    true_line = Line2D([], [], **TRUE_FRONT, label="true front of the table")
    band = Line2D([], [], color="#999999", alpha=0.5, lw=6, label="25 to 75 % of runs")
    content = _by_panel(list(found), methods)
    bands = max(map(len, content.values())) <= MOST_BANDS
    counts = [points.num_runs for points in found.values()]
    footer = f"Lines: at least half of the runs found this or better {where}"
    footer += "; bands: a quarter to three quarters of them." if bands else "."
    panels = Panels(
        title=f"{name}: what half of the runs attained, {table.objectives[y].name} against "
        f"{table.objectives[x].name}",
        footer=f"{footer} {seeds_text(counts)} per method and task.",
        draw=lambda axes, keys: _draw_panel(axes, table, surfaces, keys, colour, (x, y), bands),
        handles=[true_line, *method_handles(methods, colour), *([band] if bands else [])],
        x_label=lambda _: objective_label(table, x),
        y_label=objective_label(table, y),
    )
    return small_multiples(panels, content)


def _by_panel(keys: Sequence[Key], methods: Sequence[str]) -> dict[str, list[Key]]:
    """A panel per task; where there is one task alone and too many methods for bands, a panel per method."""
    tasks = dict.fromkeys(task for task, _ in keys)
    place = 1 if len(tasks) == 1 and len(methods) > MOST_BANDS else 0
    return {name: [key for key in keys if key[place] == name] for name in (methods if place else tasks)}


def _draw_panel(
    axes: Axes,
    table: ResultTable,
    surfaces: Mapping[Key, list[np.ndarray]],
    keys: Sequence[Key],
    colour: Mapping[str, int],
    objectives: tuple[int, int],
    bands: bool,
) -> None:
    task = table.task_index(keys[0][0])
    x, y = objectives
    axes.step(*staircase(table, task, true_front(table, task), x, y), where="post", **TRUE_FRONT)
    corners = [surface for key, own in surfaces.items() if key[0] == keys[0][0] for surface in own]
    if any(map(len, corners)):
        far = np.concatenate(corners).max(axis=0)
        for key in keys:
            _draw_surfaces(axes, table, surfaces[key], far, look(colour[key[1]]), objectives, bands)
    scaled, smaller = normalisation(table).log[task], [own.sense == "min" for own in table.objectives]
    if scaled[x] and smaller[x]:
        log_axis(axes, "x")
    if smaller[y] and (scaled[y] or crowded(np.concatenate([np.zeros(0), *(c[:, 1] for c in corners)]))):
        log_axis(axes, "y")


def _draw_surfaces(
    axes: Axes,
    table: ResultTable,
    own: Sequence[np.ndarray],
    far: Float[np.ndarray, " 2"],
    style: Look,
    objectives: tuple[int, int],
    bands: bool,
) -> None:
    """One method's surfaces up to ``far``, the same for all methods of the task."""
    across, upwards = (table.objectives[objective].to_value for objective in objectives)
    grid = np.unique(np.concatenate([*(surface[:, 0] for surface in own), far[:1]]))
    low, middle, high = (heights(surface, grid) for surface in own)
    ends = [upwards(np.minimum(side, far[1])) for side in (low, high)]
    if bands:
        axes.fill_between(across(grid), ends[0], ends[1], step="post", color=style.colour, alpha=0.2, lw=0)
    line = upwards(np.where(np.isfinite(middle), middle, np.nan))
    axes.step(across(grid), line, where="post", color=style.colour, ls=style.line, lw=1.1)


def heights(
    surface: Float[np.ndarray, "corners 2"], grid: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, " grid"]:
    """Least second objective of a staircase at or before each first objective; infinity before its start.

    Args:
        surface: corners ascending in the first objective and descending in the second.
        grid: values of the first objective.
    """
    slot = np.searchsorted(surface[:, 0], grid, side="right")
    return np.concatenate([[np.inf], surface[:, 1]])[slot]
