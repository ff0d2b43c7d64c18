"""How to read the numbers: what every word means."""

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.statistics import NUM_RESAMPLES, RANK
from mohb_jax.report.assets import filled
from mohb_jax.report.parts import Section


def build(analysis: Analysis) -> Section:
    """The same in every report."""
    text = filled("reading.html", resamples=f"{NUM_RESAMPLES:,}", rank=RANK)
    return Section("reading", "How to read the numbers", text)
