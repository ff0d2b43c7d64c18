"""Old and new prices of a study that is shown at other ones."""

import html
from collections.abc import Sequence

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.prices import DECISIONS
from mohb_jax.analysis.results import FinishedStudy, PriceChange, Repricing
from mohb_jax.report.parts import Section, folded, marks, table_html
from mohb_jax.report.style import number

_OPEN_TYPES = 12
"""More changed prices of a benchmark than this are folded away."""


def price_notice(prices: Repricing | None) -> str:
    """A bar at the top of a re-priced report; nothing for an ordinary one."""
    if prices is None:
        return ""
    names = ", ".join(prices.changes)
    others = f" Not re-priced: {', '.join(prices.kept)}." if prices.kept else ""
    text = (
        f"Re-priced with {prices.source} ({names}): nothing was run again, and {DECISIONS}. Fronts, scales, "
        f"hypervolume and money spent are those of the new prices.{others}"
    )
    return f'<p class="notice" role="note">{html.escape(text)}</p>'


def build(analysis: Analysis) -> Section | None:
    """Old and new price of each type that changed, and why other benchmarks stay as they are."""
    study = analysis.study
    prices = study.prices
    if prices is None:
        return None
    note = (
        "Objectives in USD and the money that runs spent were multiplied by new price / old price. A method "
        "that had known the new prices might have chosen other configurations."
    )
    parts = [f"<p>{html.escape(note)}</p>"]
    parts += [_price_table(study, name, changes) for name, changes in prices.changes.items()]
    parts += [
        f"<p>{html.escape(f'{name} is shown as it was run: {why}.')}</p>" for name, why in prices.kept.items()
    ]
    return Section("prices", "Prices, old and new", "\n".join(parts))


def _price_table(study: FinishedStudy, name: str, changes: Sequence[PriceChange]) -> str:
    if not changes:
        return f"<p>{html.escape(name)}: the file's prices are the old ones, so nothing changes.</p>"
    rows = [
        [
            html.escape(change.name),
            "unknown" if change.old is None else number(change.old, 4),
            number(change.new, 4),
            "–" if change.old is None else f"{100 * (change.new / change.old - 1):+.0f} %",
        ]
        for change in changes
    ]
    types = f"{len(changes)} instance type{'s' * (len(changes) > 1)}"
    caption = f"{name}: {types} at another price"
    heads = ["Instance type", "Old [USD/h]", "New [USD/h]", "Change"]
    shown = table_html(study, caption, heads, rows, "prices.csv", name)
    return shown if len(changes) <= _OPEN_TYPES else folded(caption, shown, attributes=marks(study, name))
