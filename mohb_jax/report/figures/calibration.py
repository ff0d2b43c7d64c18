"""Observed against nominal coverage of the models' intervals."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.calibration import Aggregate, aggregates
from mohb_jax.calibration import LEVELS
from mohb_jax.report.figures.common import (
    Named,
)
from mohb_jax.report.figures.panels import Panels, small_multiples
from mohb_jax.report.style import TRUE_FRONT_COLOUR, look

CALIBRATION = "calibration"
"""File name stem of the figure on calibration."""
_MODELS = {
    "prior network": (6, "o", -0.6),
    "gaussian process": (7, "s", 0.6),
    "single network": (4, "v", -1.8),
    "transfer prior": (2, "D", 1.8),
}
"""Colour and marker, which are not those of a study's first methods, and a shift in % that parts the bars."""


def draw(analysis: Analysis) -> Named:
    """One figure; none without models."""
    content: dict[str, list[Aggregate]] = {}
    for item in aggregates(analysis.study.calibration):
        content.setdefault(f"{item.benchmark}: {item.objective}", []).append(item)
    if content:
        yield CALIBRATION, small_multiples(_calibration(content), content)


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
