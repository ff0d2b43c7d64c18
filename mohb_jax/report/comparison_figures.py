"""Figures on statistics across tasks: average ranks, profiles, attainment surfaces, sensitivity."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import normalisation, true_front
from mohb_jax.errors import InputError
from mohb_jax.report.comparison import (
    METHOD,
    Attained,
    Comparison,
    Effect,
    RankCurves,
    Ranking,
    attained,
    attainment_surfaces,
    comparison,
    effects,
    gap_ratios,
    groups,
    mean_responses,
    performance_profile,
    rank_curves,
    ranking,
    swept,
    unit_settings,
)
from mohb_jax.report.curves import Cell
from mohb_jax.report.figures import log_axis, staircase
from mohb_jax.report.lanes import collect
from mohb_jax.report.panels import STYLE, Panels, plain, save_figure, small_multiples, wrapped_footer
from mohb_jax.report.prices import DECISIONS
from mohb_jax.report.study import Study
from mohb_jax.report.style import (
    TRUE_FRONT_COLOUR,
    Look,
    file_names,
    look,
    number,
    objective_label,
    objective_pairs,
    seeds_text,
)

MOST_METHODS = 20
"""A figure of all methods shows no more."""
MOST_BANDS = 3
"""More methods than this in a panel are drawn without bands, which would hide each other."""
SMALLEST_SPAN = 0.01
"""Effects on the hypervolume are drawn on no finer range, so that what is negligible looks it."""
MOST_TAU = 100.0
"""Performance profiles are drawn up to this multiple of the best distance."""
_GREY = "#444444"
_TRUE_FRONT: Any = {"color": TRUE_FRONT_COLOUR, "lw": 3, "alpha": 0.35, "marker": "o", "ms": 6, "mew": 0}


Key = tuple[str, str]
"""A task and a method."""


class Drawn(NamedTuple):
    """What came of drawing."""

    files: list[Path]
    """In a fixed order."""
    left_out: dict[str, str]
    """Figures that were not drawn, by file name stem, and why."""


def write_comparison_figures(
    study: Study, cells: Sequence[Cell], out: Path, settings: Mapping[str, Mapping[str, Any]] | None = None
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
                    figure.text(0.99, 0.995, text, ha="right", va="top", fontsize=7, color=_GREY)
                drawn.files.extend(save_figure(figure, out / stem))
    return drawn


def _shows_other_prices(study: Study, stem: str) -> bool:
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


def _attainment(study: Study, colour: Mapping[str, int]) -> Named:
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


def _basis(data: Comparison) -> str:
    """Tasks and seeds: every figure states them."""
    tasks = _tasks_text(len(data.tasks), data.num_left_out)
    return f"{tasks}, {seeds_text([data.values.shape[2]])} each.{_without(data.without)}"


def _without(methods: Sequence[str]) -> str:
    names = ", ".join(plain(method) for method in methods)
    return f" Without results on every benchmark, so not here: {names}." if methods else ""


def _tasks_text(num_tasks: int, num_left_out: int) -> str:
    tasks = f"{num_tasks} task" + ("s" if num_tasks != 1 else "")
    return tasks + (f" ({num_left_out} left out: not all methods have results)" if num_left_out else "")


def _handles(methods: Sequence[str], colour: Mapping[str, int]) -> list[Line2D]:
    looks = [(plain(method), look(colour[method])) for method in methods]
    return [Line2D([], [], color=style.colour, ls=style.line, label=label) for label, style in looks]


# --- average ranks ---------------------------------------------------------------------------------------

_WIDTH, _SIDE, _LINE, _BAR = 7.0, 2.1, 0.19, 0.09
"""Inches of the critical-difference diagram: width, margin for names, height of a name and of a bar."""


def rank_diagram(found: Ranking, colour: Mapping[str, int]) -> Figure:
    """Average ranks on a line, with bars that join methods without a significant difference.

    Args:
        found: average ranks of two methods or more on one task or more.
        colour: each method's place in the study, which decides its look.

    References:
        Demsar 2006, figure 1.
    """
    order = np.argsort(found.average_ranks, kind="stable")
    ranks = np.array(found.average_ranks)[order]
    bars = [] if found.critical_difference is None else groups(ranks.tolist(), found.critical_difference)
    footer = wrapped_footer(_rank_footer(found), _WIDTH)
    head, foot = 0.85, 0.47 + 0.13 * footer.count("\n")
    depth = 0.14 + _BAR * len(bars) + _LINE * -(-ranks.size // 2) + 0.1
    height = head + depth + foot
    figure = Figure(figsize=(_WIDTH, height))
    figure.text(0.1 / _WIDTH, 1 - 0.1 / height, "Average ranks over tasks", size=10.5, va="top")
    figure.text(0.1 / _WIDTH, 0.06 / height, footer, size=6.8, color=_GREY, va="bottom")
    box = (_SIDE / _WIDTH, foot / height, 1 - 2 * _SIDE / _WIDTH, depth / height)
    axes = figure.add_axes(box, ylim=(-depth, 0), xlim=(1, ranks.size))
    _rank_axis(axes)
    _draw_ruler(axes, found.critical_difference)
    for level, (first, last) in enumerate(bars):
        y = -(0.14 + _BAR * level)
        axes.plot([ranks[first], ranks[last]], [y, y], color="black", lw=2.5, clip_on=False)
    _draw_names(axes, found, order, 0.14 + _BAR * len(bars), colour)
    return figure


def _rank_axis(axes: Axes) -> None:
    axes.grid(False)
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.yaxis.set_visible(False)
    axes.xaxis.tick_top()
    num_methods = int(axes.get_xlim()[1])
    axes.set_xticks(range(1, num_methods + 1, 1 + num_methods // 13))


def _draw_ruler(axes: Axes, difference: float | None) -> None:
    """The critical difference above the axis, in its scale."""
    low, high = axes.get_xlim()
    if difference is None:
        return
    where: Any = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    inch = 1 / abs(axes.get_ylim()[0])
    y = 1 + 0.36 * inch
    text = f"critical difference {number(difference)}"
    if difference > high - low:
        axes.text(low, y, f"{text}, longer than the axis", size=7, va="center", **where)
        return
    axes.plot([low, low + difference], [y, y], color="black", lw=1, marker="|", ms=5, **where)
    axes.text(low + difference, y, f"  {text}", size=7, va="center", **where)


def _draw_names(axes: Axes, found: Ranking, order: np.ndarray, top: float, colour: Mapping[str, int]) -> None:
    """Names at both sides: the better half left, the best on top; the others right, the worst on top."""
    low, high = axes.get_xlim()
    inch = (high - low) / (_WIDTH - 2 * _SIDE)
    half = -(-order.size // 2)
    for place, index in enumerate(order.tolist()):
        left = place < half
        y = -(top + _LINE * ((place if left else order.size - 1 - place) + 0.5))
        end = low - 0.1 * inch if left else high + 0.1 * inch
        rank, method = found.average_ranks[index], found.methods[index]
        style = look(colour[method])
        axes.plot([rank, rank, end], [0, y, y], color=style.colour, lw=1, clip_on=False)
        name = f"{plain(method, 22)}  {rank:.2f}" if left else f"{rank:.2f}  {plain(method, 22)}"
        axes.text(end, y, f" {name} ", ha="right" if left else "left", va="center", size=8, clip_on=False)


def _rank_footer(found: Ranking) -> str:
    first = f"Ranks by mean final hypervolume, 1 is best; {_tasks_text(found.num_tasks, found.num_left_out)}."
    if found.critical_difference is None or found.friedman_p is None:
        return f"{first}\nNo test: {found.reason}.{_without(found.without)}"
    finds = "finds" if found.friedman_p < 0.05 else "does not find"
    return (
        f"{first} Friedman's test {finds} that methods differ at 5 % ({_p_text(found.friedman_p)}).\n"
        f"Bars join methods that Nemenyi's test does not tell apart at 5 %.{_without(found.without)}"
    )


def _p_text(p: float) -> str:
    return f"p = {number(p, 2)}" if p >= 0.001 else "p < 0.001"


def rank_figure(curves: RankCurves, data: Comparison, colour: Mapping[str, int]) -> Figure:
    """Average rank against time."""

    def draw(axes: Axes, _: list[Any]) -> None:
        for method, ranks in zip(curves.methods, curves.ranks, strict=True):
            style = look(colour[method])
            axes.step(100 * curves.shares, ranks, where="post", color=style.colour, ls=style.line, lw=1.3)
        axes.set_xscale("log")
        axes.set_xlim(100 * curves.shares[0], 100)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axes.invert_yaxis()
        axes.yaxis.set_major_locator(MultipleLocator(0.5 if len(curves.methods) < 8 else 1))

    panels = Panels(
        title="Average rank over tasks against time",
        footer="Ranks by mean hypervolume reached so far, 1 is best; before the first results all are equal. "
        f"{_basis(data)}",
        draw=draw,
        handles=_handles(curves.methods, colour),
        x_label=lambda _: "simulated time [% of each task's horizon]",
        y_label="average rank",
    )
    return small_multiples(panels, {"all tasks": []})


# --- performance profiles --------------------------------------------------------------------------------


def profile_figure(data: Comparison, colour: Mapping[str, int]) -> Figure:
    """Performance profiles of the distance to hypervolume 1."""
    ratios = gap_ratios(data.means)
    finite = np.unique(ratios[np.isfinite(ratios)])
    most = min(MOST_TAU, max(1.5, 1.1 * finite[-1]))
    taus = np.append(finite[finite < most], most)
    shares = 100 * performance_profile(data.means, taus)

    def draw(axes: Axes, _: list[Any]) -> None:
        for method, share in zip(data.methods, shares, strict=True):
            style = look(colour[method])
            axes.step(taus, share, where="post", color=style.colour, ls=style.line, lw=1.3)
        axes.set_xscale("log")
        axes.set(xlim=(1, most), ylim=(-2, 104))
        ticks = [
            tick
            for tick in (1, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10, 20, 50, 100)
            if tick <= most and (most < 4 or tick not in (1.1, 1.2, 1.3))
        ]
        axes.set_xticks(ticks, [number(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())

    panels = Panels(
        title="Performance profiles",
        footer="Share of tasks on which a method's distance to hypervolume 1 is at most so many times that "
        f"of the best; at 1: it is best. A distance of zero is reached by zero alone. {_basis(data)}",
        draw=draw,
        handles=_handles(data.methods, colour),
        x_label=lambda _: "distance to hypervolume 1, as a multiple of the best",
        y_label="share of tasks [%]",
    )
    return small_multiples(panels, {"all tasks": []})


# --- attainment surfaces ---------------------------------------------------------------------------------


def attainment_figure(
    name: str,
    table: AnyTable,
    found: Mapping[Key, Attained],
    colour: Mapping[str, int],
    x: int,
    y: int,
) -> Figure:
    """Median attainment surfaces with the middle half of the runs, one panel per task.

    Args:
        name: the benchmark's name in the study.
        table: the benchmark.
        found: what each run found, see ``attained``.
        colour: each method's place in the study.
        x: objective across.
        y: objective upwards.

    Raises:
        InputError: the library moocore is not installed.
    """
    surfaces = {key: attainment_surfaces(points) for key, points in found.items()}
    methods = [method for method in colour if any(own == method for _, own in found)]
    true_line = Line2D([], [], **_TRUE_FRONT, label="true front of the table")
    band = Line2D([], [], color="#999999", alpha=0.5, lw=6, label="25 to 75 % of runs")
    content = _by_panel(list(found), methods)
    bands = max(map(len, content.values())) <= MOST_BANDS
    counts = [points.num_runs for points in found.values()]
    footer = "Lines: at least half of the runs found this or better at the highest fidelity"
    footer += "; bands: a quarter to three quarters of them." if bands else "."
    panels = Panels(
        title=f"{name}: what half of the runs attained, {table.objectives[y].name} against "
        f"{table.objectives[x].name}",
        footer=f"{footer} {seeds_text(counts)} per method and task.",
        draw=lambda axes, keys: _draw_panel(axes, table, surfaces, keys, colour, (x, y), bands),
        handles=[true_line, *_handles(methods, colour), *([band] if bands else [])],
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
    table: AnyTable,
    surfaces: Mapping[Key, list[np.ndarray]],
    keys: Sequence[Key],
    colour: Mapping[str, int],
    objectives: tuple[int, int],
    bands: bool,
) -> None:
    task = table.task_index(keys[0][0])
    x, y = objectives
    axes.step(*staircase(table, task, true_front(table, task), x, y), where="post", **_TRUE_FRONT)
    corners = [surface for key, own in surfaces.items() if key[0] == keys[0][0] for surface in own]
    if any(map(len, corners)):
        far = np.concatenate(corners).max(axis=0)
        for key in keys:
            _draw_surfaces(axes, table, surfaces[key], far, look(colour[key[1]]), objectives, bands)
    for objective, which in ((x, "x"), (y, "y")):
        if normalisation(table).log[task, objective] and table.objectives[objective].sense == "min":
            log_axis(axes, which)


def _draw_surfaces(
    axes: Axes,
    table: AnyTable,
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


# --- sensitivity -----------------------------------------------------------------------------------------


_LEGEND: Any = {
    "ncols": 2,
    "fontsize": 6.5,
    "title_fontsize": 6.5,
    "borderpad": 0.1,
    "handlelength": 1.6,
    "columnspacing": 0.8,
    "labelspacing": 0.3,
}


def effect_figure(found: Sequence[Effect], data: Comparison) -> Figure:
    """Mean response by level: a panel per setting, or per pair with a line for each level of the second.

    Args:
        found: main effects or interactions, see ``effects``; not empty.
        data: what they were computed from.
    """
    content: dict[str, list[Effect]] = {}
    for item in found:
        content.setdefault(" and ".join(item.settings), []).append(item)
    pairs = len(found[0].settings) == 2
    limits = _limits(found, _legend_share(found) if pairs else 0.08)
    what = "Interactions of settings, two by two" if pairs else "Main effects of settings"
    blocks = sorted({item.num_blocks for item in found})
    panels = Panels(
        title=f"{what}: final hypervolume",
        footer="Only combinations of the other settings at which all levels shown were tried count "
        f"({' to '.join(map(str, dict.fromkeys([blocks[0], blocks[-1]])))} in each panel); bars: 95 % "
        f"bootstrap intervals over seeds. {_basis(data)}",
        draw=lambda axes, items: _draw_effects(axes, items, limits),
        handles=[
            Line2D(
                [], [], color=_GREY, marker="o", ms=4, label="mean over seeds, tasks and the other settings"
            )
        ],
        x_label=lambda items: items[0].settings[0],
        y_label="relative hypervolume",
    )
    return small_multiples(panels, content)


def _limits(found: Sequence[Effect], headroom: float) -> tuple[float, float]:
    """The same range for all panels, so that strong and weak settings look it."""
    ends = [end for item in found for end in (item.mean, *(item.ci95 or ()))]
    span = max(max(ends) - min(ends), SMALLEST_SPAN)
    middle = (min(ends) + max(ends)) / 2
    return middle - 0.58 * span, middle + (0.5 + headroom) * span


def _legend_share(found: Sequence[Effect]) -> float:
    """Room above the lines for a legend in two columns and its title, as a share of the lines' range."""
    most = max(len({other.levels[1] for other in found if other.settings == item.settings}) for item in found)
    share = min(0.085 * (1 + -(-most // 2)), 0.6)
    return share / (1 - share) + 0.08


def _draw_effects(axes: Axes, items: list[Effect], limits: tuple[float, float]) -> None:
    levels = list(dict.fromkeys(item.levels[0] for item in items))
    lines: dict[tuple[str, ...], list[Effect]] = {}
    for item in items:
        lines.setdefault(item.levels[1:], []).append(item)
    for place, (level, own) in enumerate(lines.items()):
        shift = 0.08 * (place - (len(lines) - 1) / 2)  # parts the bars
        _draw_line(axes, own, [levels.index(item.levels[0]) + shift for item in own], place, " ".join(level))
    longest = max(5, 33 // len(levels))
    axes.set_xticks(range(len(levels)), [plain(level, longest) for level in levels], size=7)
    axes.set(xlim=(-0.4, len(levels) - 0.6), ylim=limits)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if len(lines) > 1:
        title = plain(items[0].settings[1], 30)
        axes.legend(title=title, loc="upper left", **_LEGEND)


def _draw_line(axes: Axes, items: list[Effect], at: list[float], place: int, label: str) -> None:
    style = look(place)
    means = np.array([item.mean for item in items])
    ends = np.array([item.ci95 or (item.mean, item.mean) for item in items])
    axes.errorbar(
        at,
        means,
        np.abs(ends.T - means),
        color=style.colour,
        ls=style.line,
        marker=style.marker,
        ms=3.5,
        lw=1.1,
        elinewidth=0.8,
        capsize=2,
        label=plain(label, 13),
    )
