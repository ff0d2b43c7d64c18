"""Optimisers of other libraries: what they took, and what became of their proposals."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.report.parts import Section, marks, table_html
from mohb_jax.report.style import number

HEADS = (
    "Method",
    "Benchmark",
    "Library",
    "Proposals per run",
    "Displaced",
    "Distance",
    "Processor time per run [s]",
    "Per proposal [ms]",
    "Runs",
)
DEFECTS = {
    "syne-moasha": "syne-moasha takes an order of configurations for their priorities, so that a rung may "
    "stop the best newcomer (docs/async-defect.md).",
    "smac-hb": "smac-hb cuts a rung by crowding among all survivors and not in the last front, so that "
    "dominated configurations may stay and others go.",
}
"""By method, what is known to be wrong with a library, for a note."""


def build(analysis: Analysis) -> Section | None:
    """A row for each method and benchmark; None where the study has no optimiser from outside."""
    rows = analysis.outside
    if not rows:
        return None
    study = analysis.study
    cells = [
        [
            html.escape(row["method"]),
            html.escape(row["benchmark"]),
            html.escape(row["libraries"]),
            number(row["proposals"]),
            f"{100 * row['displaced']:.0f} %",
            f"{row['distance']:.2f}",
            number(row["cpu_seconds"]),
            number(row["cpu_milliseconds_per_proposal"]),
            f"{row['runs']:,}",
        ]
        for row in rows
    ]
    attributes = [marks(study, row["benchmark"], row["method"]) for row in rows]
    table = table_html(
        study, "Optimisers of other libraries", list(HEADS), cells, "outside.csv", attributes=attributes
    )
    return Section("outside", "Optimisers of other libraries", f"{_reading()}{table}{_defects(analysis)}")


def _reading() -> str:
    return (
        '<p class="note">A proposal is answered with a row of the table. Displaced: the nearest row had been '
        "evaluated before. Distance: from a proposal to the row that answered it, 1 for the whole range of a "
        "column. Settings are the library's defaults, but for those named below. Processor time is that of "
        "the machine of the runs, and takes no simulated time unless a setting says so.</p>"
    )


def _defects(analysis: Analysis) -> str:
    bases = {str(unit.spec.get("method_name")) for unit in analysis.study.units}
    said = [html.escape(text) for name, text in DEFECTS.items() if name in bases]
    return f'<p class="note">Known of the libraries: {" ".join(said)}</p>' if said else ""
