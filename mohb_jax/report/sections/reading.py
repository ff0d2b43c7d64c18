"""How to read the numbers: what every word means."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.statistics import NUM_RESAMPLES
from mohb_jax.benchmarks.credit import MEANINGS
from mohb_jax.report.assets import filled
from mohb_jax.report.parts import Section

WHEN = {
    "full": "right where only a finished training can be used",
    "logged": "right where a fidelity is a property of what is made, such as the size of images",
    "passed": "right where every checkpoint is kept and could be used",
}


def _credit(analysis: Analysis) -> str:
    """What counts on this page, and when that is right."""
    said = [
        f"{each.study.credit}: {MEANINGS[each.study.credit]}; {WHEN[each.study.credit]}."
        for each in analysis.side_by_side
    ]
    return " ".join(said)


def build(analysis: Analysis) -> Section:
    """The same in every report, but for what counts."""
    text = filled("reading.html", resamples=f"{NUM_RESAMPLES:,}", credit=html.escape(_credit(analysis)))
    return Section("reading", "How to read the numbers", text)
