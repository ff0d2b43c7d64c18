"""Results by task: a table for each."""

import html

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.statistics import ALL_TASKS
from mohb_jax.report.credits import beside
from mohb_jax.report.parts import Section, folded, marks
from mohb_jax.report.summary_table import front_sizes, summary_table


def build(analysis: Analysis) -> Section | None:
    """The methods on each task; None where every benchmark has one task, whose table begins the page."""
    if all(len({cell.task for cell in analysis.cells_of(name)}) < 2 for name in analysis.study.tables):
        return None
    return Section("results", "Results by task", by_task(analysis))


def by_task(analysis: Analysis) -> str:
    """A table for each task of benchmarks with several; folded where there are many."""
    study, rows, parts = analysis.study, analysis.rows, []
    for name, own_table in study.tables.items():
        own = [row for row in rows if row["benchmark"] == name and row["task"] != ALL_TASKS]
        tasks = list(dict.fromkeys(row["task"] for row in own))
        if len(tasks) < 2:
            said = f"{html.escape(name)} has one task, {html.escape(tasks[0])}: its table is in the summary."
            parts.append(f"<p{marks(study, name)}>{said}</p>")
            continue
        tables = [
            summary_table(
                study,
                f"{task}; {front_sizes(own_table, [task])}",
                [row for row in own if row["task"] == task],
                beside(analysis, name, task),
            )
            for task in tasks
        ]
        label = f"{name}: {len(tasks)} tasks"
        parts.append(folded(label, "\n".join(tables), len(tasks) <= 3, marks(study, name)))
    return "\n".join(parts)
