"""The first picture of a page: what every method ends with, under each credit."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import FillStyleType

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.statistics import summarise
from mohb_jax.report.figures.common import MOST_METHODS, Named
from mohb_jax.report.figures.panels import fitted, text_width
from mohb_jax.report.sections.why import Scores, scores
from mohb_jax.report.style import look, looks_of

_PLOT, _LINE, _LABELS = 3.2, 0.2, 2.6
"""Inches: the plot, a method, and what names may take."""
_FILLED: tuple[FillStyleType, ...] = ("full", "none", "left")


def draw(analysis: Analysis) -> Named:
    """One figure, where there are methods to compare and not too many."""
    found = scores(analysis)
    if not found or not 1 < len(found[0].methods) <= MOST_METHODS:
        yield "answer", "it compares some methods that have finished the same tasks"
        return
    yield "answer", answer_figure(found, looks_of(analysis.study))


def answer_figure(found: list[Scores], looks: dict[str, int]) -> Figure:
    """A line for each method, the best under the first credit on top; a marker for each credit.

    Args:
        found: of the same methods.
        looks: see ``looks_of``.
    """
    methods = sorted(found[0].methods, key=found[0].mean)
    names = [fitted(method, _LABELS, 8) for method in methods]
    left = max(text_width(name, 8) for name in names) + 0.25
    width, height = left + _PLOT + 0.15, 0.75 + _LINE * len(methods)
    figure = Figure(figsize=(width, height))
    box = (left / width, 0.42 / height, _PLOT / width, _LINE * len(methods) / height)
    axes = figure.add_axes(box)
    for one, fill in zip(found, _FILLED, strict=False):
        for place, level in enumerate(summarise(one.values[[one.methods.index(name) for name in methods]])):
            style = look(looks[methods[place]])
            low, high = level["ci95"] or (level["mean"], level["mean"])
            axes.plot([low, high], [place, place], color=style.colour, lw=1.2)
            axes.plot(level["mean"], place, style.marker, color=style.colour, fillstyle=fill, ms=5)
    axes.set_yticks(np.arange(len(methods)), names, size=8)
    axes.set(ylim=(-0.6, len(methods) - 0.4), xlabel="hypervolume, relative to the true front's")
    handles = [
        Line2D([], [], color="#444444", ls="", marker="o", ms=5, fillstyle=fill, label=one.credit)
        for one, fill in zip(found, _FILLED, strict=False)
    ]
    if len(found) > 1:
        at = (1 - 0.15 / width, 1.0)
        figure.legend(handles=handles, loc="upper right", bbox_to_anchor=at, ncols=len(found), fontsize=8)
    return figure
