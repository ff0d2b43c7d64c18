"""Scaled performance of methods over tasks, and worths on each kind of tasks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.kinds import Kinds, leaves, letter
from mohb_jax.analysis.scaled import LOWEST, Scaled
from mohb_jax.analysis.worth_tree import Node
from mohb_jax.report.figures.common import GREY, Named, log_axis, method_handles, say_prices, too_few
from mohb_jax.report.figures.panels import Panels, plain, small_multiples, wrapped_footer
from mohb_jax.report.style import look, looks_of

_WIDTH, _SIDE, _LINE = 7.0, 2.1, 0.24
"""Inches of the box plots: width, margin for names, height of a method."""


def draw(analysis: Analysis) -> Named:
    """Box plots of scaled performance, and worths in the leaves of the tree."""
    reason, study = too_few(analysis), analysis.study
    if reason:
        yield from ((stem, reason) for stem in ("scaled", "kinds"))
        return
    colour = looks_of(study)
    found, tree = analysis.scaled, analysis.kinds
    if found is None or not found.tasks:
        yield "scaled", "scaled performance needs random search, and a task on which a method is better"
    else:
        yield "scaled", say_prices(study, scaled_figure(found, colour))
    if tree.tree is None or tree.tree.split is None:
        yield "kinds", tree.reason or "the tree has no split"
    else:
        yield "kinds", say_prices(study, kinds_figure(tree, colour))


def scaled_figure(found: Scaled, colour: Mapping[str, int]) -> Figure:
    """Boxes of each method over tasks, cut at ``LOWEST``, with a number for what lies beyond.

    Args:
        found: with one task or more.
        colour: each method's look.

    References:
        Gijsbers et al., "AMLB: an AutoML benchmark", 2022, for this view.
    """
    values = np.array(found.values)
    order = np.lexsort((values.clip(LOWEST).mean(axis=0), found.medians))
    footer = wrapped_footer(_scaled_footer(found), _WIDTH)
    head, depth, foot = 0.45, _LINE * len(order) + 0.1, 0.6 + 0.13 * footer.count("\n")
    height = head + depth + foot
    figure = Figure(figsize=(_WIDTH, height))
    figure.text(0.1 / _WIDTH, 1 - 0.1 / height, "Scaled performance over tasks", size=10.5, va="top")
    figure.text(0.1 / _WIDTH, 0.06 / height, footer, size=6.8, color=GREY, va="bottom")
    box = (_SIDE / _WIDTH, foot / height, 1 - (_SIDE + 0.8) / _WIDTH, depth / height)
    axes = figure.add_axes(box, ylim=(-0.5, len(order) - 0.5), xlim=(LOWEST - 0.05, 1.05))
    axes.boxplot(
        np.maximum(values[:, order], LOWEST),
        orientation="horizontal",
        positions=range(len(order)),
        **_boxes(),
    )
    for place, index in enumerate(order.tolist()):
        style = look(colour[found.methods[index]])
        axes.plot(found.medians[index], place, marker=style.marker, color=style.colour, ms=4, zorder=3)
        if found.below[index]:
            axes.text(1.08, place, f"{found.below[index]} below {LOWEST:g}", size=7, va="center")
    axes.set_yticks(range(len(order)), [plain(found.methods[index], 26) for index in order])
    axes.set_xlabel(f"0: {plain(found.plain, 30)}; 1: best method of the task")
    return figure


def _boxes() -> Any:
    line = {"color": GREY, "lw": 0.8}
    parts = {f"{part}props": line for part in ("box", "whisker", "cap", "median")}
    return parts | {"flierprops": {"marker": ".", "ms": 3, "mfc": GREY, "mec": GREY}, "widths": 0.6}


def _scaled_footer(found: Scaled) -> str:
    left = found.num_tasks - len(found.tasks)
    without = f" {left} left out, where nothing is better than {plain(found.plain, 30)}." if left else ""
    return (
        f"Mean final hypervolume of each of {len(found.tasks)} tasks.{without} Boxes: quartiles and median; "
        f"values below {LOWEST:g} are drawn there and counted."
    )


def kinds_figure(found: Kinds, colour: Mapping[str, int]) -> Figure:
    """Worths in each leaf of a tree that has some.

    References:
        Strobl, Wickelmaier, Zeileis 2011, figure 4.
    """
    assert found.tree is not None
    methods = found.tree.worths.methods
    alike = 1 / len(methods)
    every = np.array([leaf.worths.worths for _, leaf in leaves(found.tree)])

    def draw_leaf(axes: Axes, content: list[Node]) -> None:
        for place, (method, worth) in enumerate(zip(methods, content[0].worths.worths, strict=True)):
            style = look(colour[method])
            axes.plot([place, place], [alike, worth], color=style.colour, ls=style.line, lw=1.3)
            axes.plot(place, worth, marker=style.marker, color=style.colour, ls="", ms=5)
        axes.axhline(alike, color=GREY, lw=0.7)
        axes.set(xlim=(-0.5, len(methods) - 0.5), ylim=(every.min() / 1.5, min(1, every.max() * 1.5)))
        axes.set_xticks([])
        log_axis(axes, "y")

    names = [
        f"{letter(number)}: {len(leaf.tasks)} tasks" for number, (_, leaf) in enumerate(leaves(found.tree))
    ]
    panels = Panels(
        title="Worths on each kind of tasks",
        footer="A method of worth a beats one of worth b on a task with probability a / (a + b). Line: all "
        "methods alike. What the kinds are stands on the page.",
        draw=draw_leaf,
        handles=_markers(methods, colour),
        x_label=lambda _: "",
        y_label="worth",
    )
    content = {name: [leaf] for name, (_, leaf) in zip(names, leaves(found.tree), strict=True)}
    return small_multiples(panels, content)


def _markers(methods: tuple[str, ...], colour: Mapping[str, int]) -> list[Line2D]:
    handles = method_handles(methods, colour)
    for handle, method in zip(handles, methods, strict=True):
        handle.set(marker=look(colour[method]).marker, markersize=4)
    return handles
