"""Sensitivity to settings: main effects and interactions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.effects import Effect
from mohb_jax.report.figures.common import (
    GREY,
    Named,
    basis,
    say_prices,
)
from mohb_jax.report.figures.panels import PANEL_WIDTH, Panels, fitted, plain, small_multiples
from mohb_jax.report.style import look

SMALLEST_SPAN = 0.01
"""Effects on the hypervolume are drawn on no finer range, so that what is negligible looks it."""
_LEGEND: Any = {
    "ncols": 2,
    "fontsize": 6.5,
    "title_fontsize": 6.5,
    "borderpad": 0.1,
    "handlelength": 1.6,
    "columnspacing": 0.8,
    "labelspacing": 0.3,
}


_KINDS = (
    ("main-effects", 1, "no setting was tried at all its levels while the others stayed equal"),
    ("interactions", 2, "no two settings were tried at all pairs of levels while the others stayed equal"),
)


def draw(analysis: Analysis) -> Named:
    """Main effects, and interactions."""
    for stem, order, reason in _KINDS:
        found = [effect for effect in analysis.effects if len(effect.settings) == order]
        if found:
            yield stem, say_prices(analysis.study, effect_figure(found, analysis.comparison))
        else:
            yield stem, reason if analysis.is_sweep else "no setting was swept"


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
        f"bootstrap intervals over seeds. {basis(data)}",
        draw=lambda axes, items: _draw_effects(axes, items, limits),
        handles=[
            Line2D(
                [], [], color=GREY, marker="o", ms=4, label="mean over seeds, tasks and the other settings"
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
    room = PANEL_WIDTH / len(levels)
    axes.set_xticks(range(len(levels)), [fitted(level, room, 7) for level in levels], size=7)
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
        ls=style.line if _ordered([item.levels[0] for item in items]) else "",
        marker=style.marker,
        ms=3.5,
        lw=1.1,
        elinewidth=0.8,
        capsize=2,
        label=plain(label, 13),
    )


def _ordered(levels: Sequence[str]) -> bool:
    """Whether levels are numbers, between which a line means something."""
    try:
        return all(np.isfinite(float(level)) for level in levels)
    except ValueError:
        return False
