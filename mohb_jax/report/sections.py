"""Parts of the page that only some reports have: other prices, and calibration of fitted models."""

import base64
import html
from collections.abc import Sequence

from mohb_jax.calibration import LEVELS
from mohb_jax.report.calibration import KNOWS_NOTHING, Aggregate, Spread, aggregates
from mohb_jax.report.prices import DECISIONS
from mohb_jax.report.study import PriceChange, Repricing, Study
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


def price_section(prices: Repricing | None) -> str:
    """Old and new price of each type that changed, and why other benchmarks stay as they are."""
    if prices is None:
        return ""
    note = (
        "Objectives in USD and the money that runs spent were multiplied by new price / old price. A method "
        "that had known the new prices might have chosen other configurations."
    )
    parts = [f"<p>{html.escape(note)}</p>"]
    parts += [_price_table(name, changes) for name, changes in prices.changes.items()]
    parts += [
        f"<p>{html.escape(f'{name} is shown as it was run: {why}.')}</p>" for name, why in prices.kept.items()
    ]
    return _section("prices", "Prices, old and new", parts)


def _price_table(name: str, changes: Sequence[PriceChange]) -> str:
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
    table = _table(
        f"{name}: {types} at another price", ["Instance type", "Old [USD/h]", "New [USD/h]", "Change"], rows
    )
    return table if len(changes) <= _OPEN_TYPES else _folded(f"{name}: {types} at another price", table)


def calibration_section(study: Study, figure: bytes = b"") -> str:
    """Whether fitted models knew how far off they were; nothing where none was measured.

    Args:
        study: with its calibration rows.
        figure: PNG to show above the tables.
    """
    if not study.calibration:
        return ""
    found = aggregates(study.calibration)
    parts = [f"<p>{text}</p>" for text in _CALIBRATION_NOTES]
    if figure:
        source = f"data:image/png;base64,{base64.b64encode(figure).decode()}"
        parts.append(f'<img class="figure" alt="Observed against nominal coverage" src="{source}">')
    for name in dict.fromkeys(item.benchmark for item in found):
        parts.append(_calibration_table(name, [item for item in found if item.benchmark == name]))
    return _section("calibration", "Did the models know how far off they were?", parts)


_CALIBRATION_NOTES = (
    "Methods with a prior propose configurations by a model fitted to other tasks. Each model was asked for "
    "the values of the task held out, which the fit never saw. It is calibrated if its central 80 % interval "
    "holds 80 % of those values, and likewise for 50 % and 95 %. Fewer: it is overconfident, its intervals "
    "are too narrow. More: it is too cautious, its intervals are too wide.",
    "The negative log-likelihood joins calibration and accuracy in one number, in nats per value: lower is "
    f"better. Values count after their transform to standard normal scores, so {KNOWS_NOTHING} is a "
    "prediction that knows nothing of the configuration. Numbers are means over held-out tasks [least, "
    "greatest of the tasks]; calibration.csv has every task.",
)


def _calibration_table(name: str, items: Sequence[Aggregate]) -> str:
    heads = ["Objective", "Model", *(f"Within {float(level):.0%}".replace("%", " %") for level in LEVELS)]
    heads += ["Negative log-likelihood [nats]", "Held-out tasks", "Values"]
    rows = [
        [
            html.escape(item.objective),
            html.escape(item.model),
            *(_share(spread, item.num_tasks) for spread in item.coverage),
            _spread(item.negative_log_likelihood, item.num_tasks, "{:.2f}"),
            f"{item.num_tasks:,}",
            f"{item.num_values:,}",
        ]
        for item in items
    ]
    return _table(f"{name}: share of held-out values within central intervals", heads, rows)


def _share(spread: Spread, num_tasks: int) -> str:
    return _spread(Spread(*(100 * value for value in spread)), num_tasks, "{:.0f}", " %")


def _spread(spread: Spread, num_tasks: int, form: str, unit: str = "") -> str:
    """Mean and, of more than one task, least and greatest."""
    if num_tasks == 1:
        return form.format(spread.mean) + unit
    low, high = form.format(spread.least), form.format(spread.greatest)
    return f'{form.format(spread.mean)}{unit} <span class="interval">[{low}, {high}]</span>'


def _section(name: str, title: str, parts: Sequence[str]) -> str:
    return f'<section id="{name}">\n<h2>{html.escape(title)}</h2>\n' + "\n".join(parts) + "\n</section>"


def _folded(label: str, content: str) -> str:
    return f"<details><summary>{html.escape(label)}</summary>{content}</details>"


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="table"><table><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )
