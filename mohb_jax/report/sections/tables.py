"""What the tables of a study are like: the lines of ``mohb describe``."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.description import lines
from mohb_jax.report.parts import Section, marks


def build(analysis: Analysis) -> Section | None:
    """A block of lines for each table; None where the folder keeps the highest fidelities alone."""
    parts = [
        f"<div{marks(analysis.study, name)}><h3>{html.escape(name)}</h3>"
        f"<pre>{html.escape(chr(10).join(lines(found)))}</pre></div>"
        for name, found in analysis.descriptions.items()
    ]
    return Section("tables", "What the tables are like", "\n".join(parts)) if parts else None
