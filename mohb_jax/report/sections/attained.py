"""What most runs attain: figures of the trade-offs that a given share of the runs reaches."""

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.report.parts import Figure, Section
from mohb_jax.report.style import front_stems

CAPTION = "What at least half of the runs reached, or better."


def build(analysis: Analysis) -> Section | None:
    """None where there is nothing to compare; the page leaves out figures that were not drawn."""
    if not analysis.is_comparison:
        return None
    stems = [
        stem for name in analysis.study.tables for stem, *_ in front_stems(analysis.study, name, "attained")
    ]
    figures = tuple(Figure(f"figures/{stem}", CAPTION) for stem in stems)
    return Section("attained", "What most runs attain", "", figures)
