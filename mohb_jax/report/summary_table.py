"""The table of methods, over all tasks of a benchmark or on one."""

import html
from collections.abc import Mapping, Sequence

from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import Row
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.report.parts import marks, table_html
from mohb_jax.report.style import duration, look, looks_of, number


def front_sizes(table: ResultTable, tasks: Sequence[str]) -> str:
    """How many configurations the tasks' true fronts have, which the share found refers to."""
    sizes = [true_front(table, table.task_index(task)).size for task in tasks]
    low, high = min(sizes), max(sizes)
    size = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"true front{'s' * (len(tasks) > 1)} of {size} configuration{'s' * (high > 1)}"


def summary_table(
    study: FinishedStudy, caption: str, rows: Sequence[Row], beside: Mapping[str, Sequence[Row]] | None = None
) -> str:
    """Methods of one task, the highest mean of each column of hypervolumes in bold.

    Args:
        study: whose table it is.
        caption: text.
        rows: under the page's own credit, which all columns are about.
        beside: rows of the same methods by other credit: each becomes a column of hypervolumes,
            and medians give way.
    """
    others = {credit: {row["method"]: row for row in own} for credit, own in (beside or {}).items()}
    money = any("spent_usd" in row for row in rows)
    first = f" in {study.credit}" if others and study.credit == "full" else f" {study.credit}" * bool(others)
    heads = ["Method", *([] if others else ["Hypervolume, median"])]
    heads += [f"Hypervolume{first}, mean [95 % interval]"]
    heads += [f"Hypervolume {credit}, mean [95 % interval]" for credit in others]
    heads += [
        "True front found",
        f"Difference: method minus {study.reference}",
        "Evaluations (at full fidelity)",
        "Simulated time",
    ]
    heads += ["Spent [USD]"] * money + ["Seeds"]
    methods = [row["method"] for row in rows]
    columns = [bold_best({row["method"]: row["hypervolume"] for row in rows})]
    columns += [bold_best({name: own[name]["hypervolume"] for name in methods}) for own in others.values()]
    cells = [_table_row(study, row, [own[row["method"]] for own in columns], money) for row in rows]
    attributes = [marks(study, method=name) for name in methods]
    note = ' <span class="interval">(bold: highest mean)</span>'
    return table_html(study, caption, heads, cells, "summary.csv", rows[0]["benchmark"], attributes, note)


def _table_row(study: FinishedStudy, row: Row, hypervolumes: Sequence[str], money: bool) -> list[str]:
    """Cells as HTML."""
    colour = look(looks_of(study)[row["method"]]).colour
    method = html.escape(row["method"])
    title = html.escape(study.summaries.get(row["method"], "") or row["method"])
    fields = [
        f'<span class="dot" style="background:{colour}"></span><span title="{title}">{method}</span>',
        *([] if len(hypervolumes) > 1 else [f"{row['hypervolume']['median']:.3f}"]),
        *hypervolumes,
        f"{100 * row['front_found']['mean']:.1f} %",
        signed_text(row["difference"]),
        f"{number(row['evaluations'])} ({number(row['full_evaluations'])})",
        html.escape(duration(row["simulated_seconds"])),
    ]
    fields += [number(row["spent_usd"])] if money else []
    return [*fields, str(row["num_seeds"])]


def bold_best(summaries: Mapping[str, Row]) -> dict[str, str]:
    """Mean and interval of each method as HTML, the highest mean in bold."""
    best = max(summary["mean"] for summary in summaries.values())
    texts = {name: spread_text(summary) for name, summary in summaries.items()}
    return {
        name: f"<strong>{text}</strong>" if summaries[name]["mean"] == best else text
        for name, text in texts.items()
    }


def spread_text(summary: Row) -> str:
    """Mean and interval."""
    if summary["ci95"] is None:
        return f"{summary['mean']:.3f}"
    low, high = summary["ci95"]
    return f'{summary["mean"]:.3f} <span class="interval">[{low:.3f}, {high:.3f}]</span>'


def signed_text(difference: Row | None) -> str:
    if difference is None:
        return "–"
    if difference["ci95"] is None:
        return f"{difference['mean']:+.3f}"
    low, high = difference["ci95"]
    return f'{difference["mean"]:+.3f} <span class="interval">[{low:+.3f}, {high:+.3f}]</span>'
