"""Performance profiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.profiles import gap_ratios, performance_profile
from mohb_jax.report.figures.common import (
    Named,
    basis,
    method_handles,
    say_prices,
    too_few,
)
from mohb_jax.report.figures.panels import Panels, small_multiples
from mohb_jax.report.style import look, looks_of, number

MOST_TAU = 100.0
"""Performance profiles are drawn up to this multiple of the best distance."""


def draw(analysis: Analysis) -> Named:
    """One figure."""
    reason, study = too_few(analysis), analysis.study
    if reason:
        yield "profiles", reason
        return
    yield "profiles", say_prices(study, profile_figure(analysis.comparison, looks_of(study)))


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
        f"of the best; at 1: it is best. A distance of zero is reached by zero alone. {basis(data)}",
        draw=draw,
        handles=method_handles(data.methods, colour),
        x_label=lambda _: "distance to hypervolume 1, as a multiple of the best",
        y_label="share of tasks [%]",
    )
    return small_multiples(panels, {"all tasks": []})
