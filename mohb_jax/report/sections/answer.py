"""In short: which method is best, by how much, and how sure that is."""

import html
import itertools
from collections.abc import Sequence

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import everywhere
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.order import more_pairs
from mohb_jax.analysis.outcome import Outcome, disagreements, outcome
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import ALL_TASKS, Row
from mohb_jax.benchmarks.credit import MEANINGS, Credit
from mohb_jax.report.credits import beside, shown_credits
from mohb_jax.report.parts import Section, marks
from mohb_jax.report.style import listed, seeds_text
from mohb_jax.report.summary_table import front_sizes, spread_text, summary_table


def build(analysis: Analysis) -> Section:
    """Sentences on each benchmark and over all, then a table over the tasks of each."""
    return Section("answer", "In short", f"{answers(analysis)}\n{overview(analysis)}")


def verdict(where: str, cells: Sequence[Cell]) -> str:
    """Sentences as HTML: who is first, the lead on the next one, and what the intervals leave open.

    Args:
        where: how the first sentence begins, as HTML: ``On <strong>cnn</strong>``.
        cells: of one or more benchmarks.
    """
    methods = list(dict.fromkeys(cell.method for cell in cells))
    compared = everywhere(cells, methods)
    found = outcome([cell for cell in cells if cell.method in compared])
    if found is None:
        return f"{where}, methods have not finished the same tasks yet, so none is called first."
    others = [_strong(method) for method in methods if method not in compared]
    said = " ".join(filter(None, (f"{where}, {_first(found)}", _next(found), _disagreement(found))))
    return (
        f"{said} Without results on every benchmark, so not compared: {listed(others)}." if others else said
    )


def _first(found: Outcome) -> str:
    """Who is first, or has the highest mean where nothing tells methods apart; what it ends with, and on how
    many tasks it has the highest mean."""
    equal, open_ones = found.methods[: _num_equal(found)], _names(found, _unclear(found))
    won = f", and the highest mean on {found.wins[0]:,} of {found.num_tasks:,} tasks"
    won = won * (found.num_tasks > 1 and len(found.methods) > len(equal))
    ends, many = _level(found), len(equal) > 1
    who = listed([_strong(name) for name in equal])
    if len(found.methods) == 1:
        return f"{who} is the only method: it ends with {ends}."
    if len(found.methods) == len(equal):
        return f"{who} end equal in every run: each with {ends}."
    if found.num_seeds == 1:
        verb = "have" if many else "has"
        return f"{who} {verb} the highest hypervolume{', equal' * many}: {ends}{won}."
    if open_ones:
        told = f"{listed([_strong(name) for name in (*equal, *open_ones)])} are first, not told apart"
        same = f" {who} end equal in every run." if many else ""
        return f"{told}: {_strong(equal[0])} has {ends}{won}.{same}"
    if many:
        return f"{who} end equal in every run and are first: each with {ends}{won}."
    return f"{who} is first: it ends with {ends}{won}."


def _level(found: Outcome) -> str:
    """What the first method ends with."""
    return f"{_mean(found.levels[0])} of the true front's hypervolume, {_over(found)}"


def _num_equal(found: Outcome) -> int:
    """How many methods, the first one counted, end with its hypervolume in every run."""
    leads = (max(abs(value) for value in (lead["mean"], *(lead["ci95"] or ()))) for lead in found.leads)
    return sum(1 for _ in itertools.takewhile(lambda lead: lead < 1e-12, leads))


def _over(found: Outcome) -> str:
    benchmarks = f"{found.num_benchmarks} benchmarks" if found.num_benchmarks > 1 else ""
    tasks = f"{found.num_tasks:,} tasks" if found.num_tasks > found.num_benchmarks else ""
    parts = [part for part in (benchmarks, tasks, seeds_text([found.num_seeds])) if part]
    return f"the mean over {listed(parts)}"


def _next(found: Outcome) -> str:
    """The lead on methods that the runs do not tell apart from the first, and on the next that they do."""
    after, open_ones = _num_equal(found), _unclear(found)
    told = [index for index in range(after, len(found.methods)) if index not in open_ones]
    if len(found.methods) == after:
        return ""
    if found.num_seeds == 1:
        lead = f"The next is {_strong(found.methods[after])}, {found.leads[after]['mean']:.3f} behind"
        return f"{lead}; with one seed, nothing can be said about how sure that is."
    leads = [f"{_strong(found.methods[index])} by {_mean(found.leads[index])}" for index in open_ones]
    holding = "intervals of these differences hold" if len(leads) > 1 else "interval of the difference holds"
    said = [f"It is ahead of {listed(leads)}: the {holding} 0."] if leads else []
    if told:
        they = "It leads" if after == 1 or leads else "They lead"
        which = "the next that the runs tell apart" if leads else "the next"
        lead = f"{they} {which}, {_strong(found.methods[told[0]])}, by {_mean(found.leads[told[0]])}"
        said.append(f"{lead}; the interval lies above 0, so the lead is clear on these tasks.")
    return " ".join(said)


def _names(found: Outcome, places: Sequence[int]) -> tuple[str, ...]:
    return tuple(found.methods[place] for place in places)


def _unclear(found: Outcome) -> list[int]:
    """Places of the methods whose interval does not lie wholly below the first method, nor is equal to it."""
    after = _num_equal(found)
    return [index for index, lead in enumerate(found.leads) if index >= after and not _clear(lead)]


def _clear(lead: Row) -> bool:
    """Whether the interval of a lead lies above zero."""
    return lead["ci95"] is not None and lead["ci95"][0] > 0


def _disagreement(found: Outcome) -> str:
    """A sentence where mean, median and rank do not give one order of methods; empty where they do."""
    turns = disagreements(found)
    if not turns:
        return ""
    first, second = turns[0]
    by: dict[bool, list[str]] = {True: [], False: []}
    for name, digits, values in (
        ("mean", 3, [level["mean"] for level in found.levels]),
        ("median", 3, [level["median"] for level in found.levels]),
        ("rank", 2, [-rank for rank in found.ranks]),
    ):
        one, other = values[first], values[second]
        if abs(one - other) > 1e-12:
            by[one > other].append(f"{name} ({abs(one):.{digits}f} against {abs(other):.{digits}f})")
    more = more_pairs(len(turns) - 1)
    return (
        f"Mean, median and rank disagree about the order: {_strong(found.methods[first])} is ahead of "
        f"{_strong(found.methods[second])} by {listed(by[True])}, behind it by {listed(by[False])}{more}."
    )


def _strong(name: str) -> str:
    return f"<strong>{html.escape(name)}</strong>"


def _mean(summary: Row) -> str:
    """Mean and interval."""
    if summary["ci95"] is None:
        return f"{summary['mean']:.3f}"
    low, high = summary["ci95"]
    return f'{summary["mean"]:.3f} <span class="interval">[{low:.3f}, {high:.3f}]</span>'


def answers(analysis: Analysis) -> str:
    """The outcome over all benchmarks, then on each, in a few sentences."""
    study, parts = analysis.study, []
    if len(study.tables) > 1:
        where = f"Over all {len(study.tables)} benchmarks"
        told = _under_each(where, [(each.study.credit, each.cells) for each in analysis.side_by_side])
        parts.append(f'<div class="answer">{told}</div>')
    for name in study.tables:
        shown = [(each.study.credit, each.cells_of(name)) for each in shown_credits(analysis, name)]
        told = _under_each(f"On <strong>{html.escape(name)}</strong>", shown)
        notes = [found.get(name, "") for found in (analysis.order_notes, analysis.used_up_notes)]
        order = "".join(f'<p class="order">{html.escape(note)}</p>' for note in notes if note)
        sentences = f"{told}{order}{reference_answer(study, name, analysis.rows)}" if shown[0][1] else ""
        parts.append(f'<div class="answer"{marks(study, name)}>{sentences}</div>')
    parts += [f'<p class="note">{html.escape(remark)}.</p>' for remark in study.remarks]
    return "\n".join([*parts, f'<p class="note">{_SURENESS}</p>'])


def _under_each(where: str, shown: Sequence[tuple[Credit, Sequence[Cell]]]) -> str:
    """A verdict under each credit, which is named where there are several."""
    if len(shown) == 1:
        return f"<p>{verdict(where, shown[0][1])}</p>"
    said = [f"{where}, where {MEANINGS[credit]} ({credit})" for credit, _ in shown[:1]]
    said += [f"Where {MEANINGS[credit]} ({credit})" for credit, _ in shown[1:]]
    return "".join(f"<p>{verdict(text, cells)}</p>" for text, (_, cells) in zip(said, shown, strict=True))


_SURENESS = (
    "In brackets: 95 % intervals over seeds, those of differences run by run. They say nothing about tasks "
    "that were not run; the number of tasks on which a method has the highest mean hints at that."
)


def reference_answer(study: FinishedStudy, benchmark: str, rows: Sequence[Row]) -> str:
    """Where the reference stands on one benchmark."""
    own = [row for row in rows if row["benchmark"] == benchmark and row["task"] == ALL_TASKS]
    base = next((row for row in own if row["method"] == study.reference), None)
    others = [row for row in own if row["difference"]]
    if base is None or not others:
        return ""
    text = (
        f"The reference, <strong>{html.escape(study.reference)}</strong>, ends with "
        f"{spread_text(base['hypervolume'])}. {_comparison(others)}"
    )
    return f"<p>{text}</p>"


def _comparison(others: Sequence[Row]) -> str:
    """Where the reference stands against the others; what its intervals leave open is said to be open."""
    groups: dict[str, list[str]] = {}
    for row in others:
        groups.setdefault(_standing(row["difference"]), []).append(_strong(row["method"]))
    parts = [f"{words} {listed(groups[words])}." for words in _STANDINGS if words in groups]
    return " ".join([*parts, "The table has the differences."])


_STANDINGS = (
    "It is equal in every run to",
    "It is ahead of",
    "It is behind",
    "No clear difference from",
    "With one seed, nothing can be said about",
)


def _standing(difference: Row) -> str:
    if difference["ci95"] is None:
        return _STANDINGS[4]
    low, high = difference["ci95"]
    if low == high == 0:
        return _STANDINGS[0]
    return _STANDINGS[1] if high < 0 else _STANDINGS[2] if low > 0 else _STANDINGS[3]


def overview(analysis: Analysis) -> str:
    """A table over all tasks of each benchmark."""
    study, rows, parts = analysis.study, analysis.rows, []
    for name in study.tables:
        own = [row for row in rows if row["benchmark"] == name]
        tasks = [task for task in dict.fromkeys(row["task"] for row in own) if task != ALL_TASKS]
        what = f"mean over {len(tasks)} tasks" if len(tasks) > 1 else f"task {tasks[0]}"
        over = [row for row in own if row["task"] == ALL_TASKS]
        caption = f"{name}, {what}; {front_sizes(study.tables[name], tasks)}"
        parts += [summary_table(study, caption, over, beside(analysis, name, ALL_TASKS))] if over else []
    return "\n".join(parts)
