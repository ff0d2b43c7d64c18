"""All figures of a report, drawn and written as PDF and PNG."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from mohb_jax.analysis.attainment import attained
from mohb_jax.analysis.comparison import Comparison, comparison
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.effects import METHOD, effects, mean_responses, swept, unit_settings
from mohb_jax.analysis.lanes import collect
from mohb_jax.analysis.prices import DECISIONS
from mohb_jax.analysis.ranks import rank_curves, ranking
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.normalise import normalisation
from mohb_jax.errors import InputError
from mohb_jax.report.figures.attainment import attainment_figure
from mohb_jax.report.figures.calibration import CALIBRATION, write_calibration
from mohb_jax.report.figures.common import GREY, View
from mohb_jax.report.figures.effects import effect_figure
from mohb_jax.report.figures.fronts import fronts
from mohb_jax.report.figures.panels import STYLE, Panels, save_figure, small_multiples
from mohb_jax.report.figures.profiles import profile_figure
from mohb_jax.report.figures.progress import found_share, hypervolume
from mohb_jax.report.figures.ranks import rank_diagram, rank_figure
from mohb_jax.report.style import (
    duration,
    file_names,
    objective_pairs,
    seeds_text,
)


def write_figures(study: FinishedStudy, cells: Sequence[Cell], out: Path) -> list[Path]:
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
            written += write_calibration(study, out / CALIBRATION)
    return written


def _tasks(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.task for cell in cells))


def _title(study: FinishedStudy, name: str) -> str:
    """A benchmark's name as titles have it."""
    return f"{name}, re-priced" if study.prices and name in study.prices.changes else name


def _figures(name: str, view: View) -> list[tuple[str, Panels]]:
    """The figures of one benchmark with their file name endings."""
    words = list(file_names(objective.name for objective in view.table.objectives).values())
    figures = [
        (f"front-{words[y]}-{words[x]}", fronts(name, view, x, y))
        for x, y in objective_pairs(view.table.num_objectives)
    ]
    return [*figures, ("hypervolume", hypervolume(name, view)), ("front-found", found_share(name, view))]


def _footer(study: FinishedStudy, name: str, cells: Sequence[Cell]) -> str:
    """Seeds and horizons, and whether prices are other ones than the runs knew: every figure states it."""
    horizons = sorted(cell.horizon for cell in cells)
    ends = list(dict.fromkeys([duration(horizons[0]), duration(horizons[-1])]))
    seeds = seeds_text([cell.runs.size for cell in cells])
    text = f"{seeds} per method and task; runs end at {' to '.join(ends)} of simulated time."
    if study.prices and name in study.prices.changes:
        text += f"\nRe-priced with {study.prices.source}: nothing was run again, {DECISIONS}."
    return text


MOST_METHODS = 20
"""A figure of all methods shows no more."""


class Drawn(NamedTuple):
    """What came of drawing."""

    files: list[Path]
    """In a fixed order."""
    left_out: dict[str, str]
    """Figures that were not drawn, by file name stem, and why."""


def write_comparison_figures(
    study: FinishedStudy,
    cells: Sequence[Cell],
    out: Path,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Drawn:
    """Draws all figures across tasks, each as PDF and PNG.

    Args:
        study: names, methods and tables.
        cells: results of every benchmark, task and method.
        out: the folder to fill; it is made.
        settings: what was swept, by method label; the figures on sensitivity compare these methods alone.
            By default the settings of the study's units, with the base method as one more setting.

    Returns:
        The files written, and the figures left out with the reason.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = comparison(cells, study.methods)
    colour = {method: index for index, method in enumerate(study.methods)}
    drawn = Drawn([], {})
    with matplotlib.rc_context(STYLE):
        across, found = _across_tasks(data, cells, colour), _attainment(study, colour)
        known = unit_settings(study.units) if settings is None else settings
        for stem, figure in itertools.chain(across, found, _sensitivity(data, known)):
            if isinstance(figure, str):
                drawn.left_out[stem] = figure
            else:
                if _shows_other_prices(study, stem):  # every figure states it
                    assert study.prices is not None
                    text = f"Re-priced with {study.prices.source}: {DECISIONS}."
                    figure.text(0.99, 0.995, text, ha="right", va="top", fontsize=7, color=GREY)
                drawn.files.extend(save_figure(figure, out / stem))
    return drawn


def _shows_other_prices(study: FinishedStudy, stem: str) -> bool:
    """True for figures of a benchmark that was re-priced, and for those across tasks if any was."""
    if study.prices is None:
        return False
    starts = file_names(study.tables)
    if not any(stem.startswith(f"{start}-attained-") for start in starts.values()):
        return bool(study.prices.changes)
    return any(stem.startswith(f"{starts[name]}-attained-") for name in study.prices.changes)


Named = Iterator[tuple[str, Figure | str]]
"""Figures by file name stem, or why there is none."""


def _across_tasks(data: Comparison, cells: Sequence[Cell], colour: Mapping[str, int]) -> Named:
    num_methods, num_tasks = len(data.methods), len(data.tasks)
    if num_methods > MOST_METHODS:
        reason = f"{num_methods} methods are too many for one figure; ranks.csv and pairs.csv have all"
        yield from ((stem, reason) for stem in ("ranks", "ranks-over-time", "profiles"))
        return
    if num_methods < 2 or num_tasks < 2:
        reason = f"it compares methods across tasks; there are {num_methods} methods on {num_tasks} tasks"
        yield from ((stem, reason) for stem in ("ranks", "ranks-over-time", "profiles"))
        return
    yield "ranks", rank_diagram(ranking(data), colour)
    yield "ranks-over-time", rank_figure(rank_curves(cells, data.methods), data, colour)
    yield "profiles", profile_figure(data, colour)


def _attainment(study: FinishedStudy, colour: Mapping[str, int]) -> Named:
    if len(study.methods) > MOST_METHODS:
        return
    for name, start in file_names(study.tables).items():
        table = study.tables[name]
        units = [unit for unit in study.units if unit.spec["benchmark"] == name]
        lanes = collect(table, units, study.methods)
        words = list(file_names(objective.name for objective in table.objectives).values())
        for x, y in objective_pairs(table.num_objectives):
            stem = f"{start}-attained-{words[y]}-{words[x]}"
            found = attained(table, lanes, study.methods, x, y)
            try:
                yield stem, attainment_figure(name, table, found, colour, x, y)
            except InputError as error:
                yield stem, str(error)


def _sensitivity(data: Comparison, settings: Mapping[str, Mapping[str, Any]]) -> Named:
    places = [place for place, method in enumerate(data.methods) if method in settings]
    variants = [settings[data.methods[place]] for place in places]
    differing = bool(swept(variants).keys() - {METHOD})
    for stem, order, what in (
        ("main-effects", 1, "no setting was tried at all its levels while the others stayed equal"),
        (
            "interactions",
            2,
            "no two settings were tried at all pairs of levels while the others stayed equal",
        ),
    ):
        found = effects(variants, mean_responses(data)[places], order) if differing and data.tasks else []
        why = what if differing else "no setting differs between the methods"
        yield stem, effect_figure(found, data) if found else why
