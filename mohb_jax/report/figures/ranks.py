"""Average ranks: the critical-difference diagram, and ranks against time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.ranks import RankCurves, Ranking, groups
from mohb_jax.report.figures.common import (
    GREY,
    Named,
    basis,
    method_handles,
    say_prices,
    tasks_text,
    too_few,
    without_text,
)
from mohb_jax.report.figures.panels import Panels, plain, small_multiples, wrapped_footer
from mohb_jax.report.style import look, looks_of, number

_WIDTH, _SIDE, _LINE, _BAR = 7.0, 2.1, 0.19, 0.09
"""Inches of the critical-difference diagram: width, margin for names, height of a name and of a bar."""


def draw(analysis: Analysis) -> Named:
    """Ranks at the end, and against time."""
    reason, study = too_few(analysis), analysis.study
    if reason:
        yield from ((stem, reason) for stem in ("ranks", "ranks-over-time"))
        return
    colour = looks_of(study)
    yield "ranks", say_prices(study, rank_diagram(analysis.ranking, colour))
    curves = rank_figure(analysis.rank_curves, analysis.comparison, colour)
    yield "ranks-over-time", say_prices(study, curves)


def rank_diagram(found: Ranking, colour: Mapping[str, int]) -> Figure:
    """Average ranks on a line, with bars that join methods without a significant difference.

    Args:
        found: average ranks of two methods or more on one task or more.
        colour: each method's look.

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
    figure.text(0.1 / _WIDTH, 0.06 / height, footer, size=6.8, color=GREY, va="bottom")
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
    first = f"Ranks by mean final hypervolume, 1 is best; {tasks_text(found.num_tasks, found.num_left_out)}."
    if found.critical_difference is None or found.friedman_p is None:
        return f"{first}\nNo test: {found.reason}.{without_text(found.without)}"
    finds = "finds" if found.friedman_p < 0.05 else "does not find"
    return (
        f"{first} Friedman's test {finds} that methods differ at 5 % ({_p_text(found.friedman_p)}).\n"
        f"Bars join methods that Nemenyi's test does not tell apart at 5 %.{without_text(found.without)}"
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
        f"{basis(data)}",
        draw=draw,
        handles=method_handles(curves.methods, colour),
        x_label=lambda _: "simulated time [% of each task's horizon]",
        y_label="average rank",
    )
    return small_multiples(panels, {"all tasks": []})
