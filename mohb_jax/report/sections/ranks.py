"""Ranks across tasks, and what the tests say of them."""

import html
from collections.abc import Sequence

import numpy as np

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.pairs import LEVEL, Pair, least_p
from mohb_jax.analysis.ranks import Ranking
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import RANK
from mohb_jax.report.parts import Figure, Section, marks, table_html

CAPTIONS = {
    "ranks": "Average ranks; a bar joins methods that the Nemenyi test does not tell apart.",
    "ranks-over-time": "Average rank at each share of the horizon.",
    "profiles": "Share of tasks on which a method is within a factor of the best.",
}


def build(analysis: Analysis) -> Section | None:
    """None where there is nothing to compare; the page leaves out figures that were not drawn."""
    if not analysis.is_comparison:
        return None
    study, found = analysis.study, analysis.ranking
    said = _verdict(found) + _unranked(found)
    text = f"<p>{html.escape(said)}</p>" + _rank_table(analysis) + _pair_table(study, analysis.task_pairs)
    figures = tuple(Figure(f"figures/{name}", caption) for name, caption in CAPTIONS.items())
    return Section("ranks", "Ranks across tasks", text, figures)


def _verdict(found: Ranking) -> str:
    tasks = f"{found.num_tasks} task{'s' * (found.num_tasks != 1)}" + (
        f" ({found.num_left_out} left out, where a method has no result)" if found.num_left_out else ""
    )
    if found.friedman is None or found.friedman_p is None:
        return f"{RANK} Here: {tasks}. No test: {found.reason}."
    told = "The methods differ" if found.friedman_p < LEVEL else "The methods cannot be told apart"
    return (
        f"{RANK} Here: {tasks}. {told}: Friedman {found.friedman:.2f}, "
        f"p = {found.friedman_p:.2g}. "
        f"Ranks that are {found.critical_difference:.2f} apart differ significantly (Nemenyi, 5 %)."
    )


def _unranked(found: Ranking) -> str:
    return (
        f" Not ranked, without results on every benchmark: {', '.join(found.without)}."
        if found.without
        else ""
    )


def _rank_table(analysis: Analysis) -> str:
    study, found = analysis.study, analysis.ranking
    others = [each for each in analysis.side_by_side[1:] if each.ranking.methods == found.methods]
    order = np.argsort(found.average_ranks, kind="stable")
    table, attributes = [], []
    for place in order.tolist():
        ranks = [cell for each in (analysis, *others) for cell in _cells(each, place)]
        table.append([html.escape(found.methods[place]), *ranks])
        attributes.append(marks(study, method=found.methods[place]))
    names = [f", {each.study.credit}" * bool(others) for each in (analysis, *others)]
    heads = ["Method"]
    over_seeds, over_tasks = (f"95 % interval ({each} resampled)" for each in ("seeds", "tasks"))
    each_head = ("Rank{}", over_seeds, "Worth{}", over_seeds, over_tasks)
    heads += [head.format(name) for name in names for head in each_head]
    return table_html(study, "Ranks", heads, table, "ranks.csv", None, attributes) + _reading(analysis)


def _cells(analysis: Analysis, place: int) -> list[str]:
    """Rank and worth of a method with their intervals."""
    ranks, worths = analysis.ranking, analysis.worths
    rank, worth = (f"{values[place]:.2f}" for values in (ranks.average_ranks, worths.worths))
    spans = (_span(ends, place) for ends in (ranks.ci95, worths.runs_ci95, worths.ci95))
    return [rank, next(spans), worth, *spans]


def _span(ends: Sequence[tuple[float, float]], place: int) -> str:
    return f"{ends[place][0]:.2f} to {ends[place][1]:.2f}" if ends else "-"


def _reading(analysis: Analysis) -> str:
    """What a worth is, and where there is none without help."""
    helped = (
        " Here some methods only win or only lose against the others, so each was given a tenth of a win "
        "over each other one."
        if analysis.worths.made_finite
        else ""
    )
    return (
        '<p class="note">A method of worth a beats one of worth b on a task with probability a / (a + b), by '
        f"mean hypervolume (Bradley and Terry); worths add up to 1.{helped}</p>"
    )


MOST_PAIRS = 200
"""Rows of the table of pairs; the CSV file has all."""


def _pair_table(study: FinishedStudy, pairs: Sequence[Pair]) -> str:
    if not pairs:
        return '<p class="note">Tests within each task are in <a href="pairs.csv">pairs.csv</a>.</p>'
    shown = sorted(pairs, key=lambda pair: pair.p_holm)[:MOST_PAIRS]
    cells = [
        [
            html.escape(pair.first),
            html.escape(pair.second),
            f"{pair.difference:+.4f}",
            f"{pair.effect_size:+.2f}",
            f"{pair.p:.3g}",
            f"{pair.p_holm:.3g}",
        ]
        for pair in shown
    ]
    heads = ["Method", "against", "Difference of hypervolume", "Rank-biserial effect", "p", "p (Holm)"]
    caption = "Pairs: Wilcoxon's signed-rank test on task means (in pairs.csv also Mann-Whitney within tasks)"
    attributes = [marks(study, method=pair.first) for pair in shown]
    left = len(pairs) - len(shown)
    note = f" ({left:,} more in pairs.csv)" if left else ""
    table = table_html(study, caption, heads, cells, "pairs.csv", None, attributes, note)
    return table + _floor(pairs, study.reference is None)


def _floor(pairs: Sequence[Pair], all_with_all: bool) -> str:
    """Says so where no outcome could have been significant; empty elsewhere."""
    num_tasks, least = pairs[0].num_values, least_p(pairs[0].num_values, len(pairs))
    if least <= LEVEL:
        return ""
    tested = f"{len(pairs):,} pairs" if len(pairs) > 1 else "one pair"
    return (
        f'<p class="note">With {num_tasks} tasks and {tested} the least p-value that there can be after '
        f"Holm's correction is {least:.2g}: whatever the results, none can reach 5 %. More tasks can, or "
        f"fewer methods{', or a reference' * all_with_all}.</p>"
    )
