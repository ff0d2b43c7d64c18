"""All figures of a report, drawn and written as PDF and PNG."""

import logging
from pathlib import Path
from typing import NamedTuple

import matplotlib

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.report.figures import (
    answer,
    attainment,
    calibration,
    effects,
    fronts,
    profiles,
    progress,
    ranks,
    scaled,
)
from mohb_jax.report.figures.common import Family
from mohb_jax.report.figures.letters import give_fonts
from mohb_jax.report.figures.panels import STYLE, save_figure

_LOG = logging.getLogger(__name__)

FAMILIES: tuple[Family, ...] = (
    answer.draw,
    fronts.draw,
    progress.draw,
    calibration.draw,
    ranks.draw,
    profiles.draw,
    scaled.draw,
    attainment.draw,
    effects.draw,
)
"""In the order of the files; a new figure is a file beside this one and a line here."""


class Drawn(NamedTuple):
    """What came of drawing."""

    files: list[Path]
    """In a fixed order."""
    left_out: dict[str, str]
    """Figures that were not drawn, by file name stem, and why."""


def write_figures(analysis: Analysis, out: Path, families: tuple[Family, ...] = FAMILIES) -> Drawn:
    """Draws all figures of a study, each as PDF and PNG.

    Args:
        analysis: what the study shows.
        out: the folder to fill; it is made.
        families: which figures, in order.
    """
    out.mkdir(parents=True, exist_ok=True)
    drawn, boxes = Drawn([], {}), set[str]()
    with matplotlib.rc_context(STYLE):
        for draw in families:
            for stem, figure in draw(analysis):
                if isinstance(figure, str):
                    drawn.left_out[stem] = figure
                else:
                    boxes |= give_fonts(figure)
                    drawn.files.extend(save_figure(figure, out / stem))
    if boxes:
        letters = "".join(sorted(boxes))
        _LOG.warning("No installed font has %s: figures show boxes there, the page shows them", letters)
    return drawn
