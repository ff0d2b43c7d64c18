"""Schedules of published and of made lists of jobs, as one self-contained page."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mohb_jax.papers.claims_figures import STYLE, save_figure
from mohb_jax.papers.paper import Reproduction
from mohb_jax.papers.paper_page import html_table, paper_page
from mohb_jax.report.style import look, number, seeds_text
from mohb_jax.scheduling.jobs import KINDS

HEAD = ("List", "Order", "Way", "Mean", "Median", "99th percentile", "All jobs", "Published simulator")

QUESTION = "What does a schedule gain that knows what a training needs?"
KINDS_TEXT = f"{' / '.join(KINDS)}, %"


def write_figure(rows: Sequence[Any], out: Path) -> list[Path]:
    """Gain against load, a line per mixture of jobs, as PDF and PNG."""
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        panel = figure.subplots()
        for place, split in enumerate(dict.fromkeys(row.split for row in rows)):
            own, drawn = [row for row in rows if row.split == split], look(place)
            loads = [row.per_hour for row in own]
            panel.plot(loads, [row.gain for row in own], color=drawn.colour, marker=drawn.marker, label=split)
            if all(row.low is not None for row in own):
                ends = [row.low for row in own], [row.high for row in own]
                panel.fill_between(loads, *ends, color=drawn.colour, alpha=0.2, lw=0)
                if len(own) == 1:  # no area over one load
                    panel.vlines(loads, *ends, color=drawn.colour, lw=1)
            panel.axhline(own[0].empty_cluster, color=drawn.colour, lw=0.8, ls=":")
        panel.set(xlabel="jobs per hour on 128 GPUs", ylabel="mean time of a job, fair / tune")
        panel.set_ylim(bottom=1)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, title=KINDS_TEXT)
        return save_figure(figure, out / "load")


def page_html(
    reproduction: Reproduction,
    traces: Sequence[Any],
    rounds: Sequence[Any],
    loads: Sequence[Any],
    figures: Sequence[Path],
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup."""
    parts = {
        "traces": _traces(traces),
        "rounds": _rounds(rounds),
        "loads": _loads(loads),
        "lists": html.escape(seeds_text([reproduction.seeds]).replace("seed", "list")),
    }
    files = ["traces.csv", "rounds.csv", "loads.csv", "results.json"]
    answer = _answer(traces, rounds, loads)
    return paper_page(reproduction, QUESTION, answer, "mohan2022.html", parts, files, figures)


def _answer(traces: Sequence[Any], rounds: Sequence[Any], loads: Sequence[Any]) -> str:
    """What was found, in numbers of this call."""
    mean = {(row.trace, row.policy, row.mode): row.mean for row in traces}
    ratios = [
        mean[name, policy, "fair"] / mean[name, policy, "tune"]
        for name, policy, mode in mean
        if mode == "tune"
    ]
    known = [row for row in traces if row.is_published]
    agree = sum(row.agrees for row in known)
    first = rounds[0]
    gains = [row.gain for row in loads]
    return (
        f"On the two published lists of jobs, {agree} of {len(known)} rows are those of the published "
        f"simulator to all digits, and tune takes a job to its end {min(ratios):.2f} to {max(ratios):.2f} "
        f"times as soon as fair shares do, on average. On lists made at random it is {min(gains):.2f} to "
        f"{max(gains):.2f} times. Tune is not the best there is: the speeds of the first eight jobs on one "
        f"server add up to {first.tune:.2f}, and to {first.best:.2f} with the best shares."
    )


def _traces(rows: Sequence[Any]) -> str:
    body = []
    for row in rows:
        verdict = "equal" if row.agrees else _published(row)
        own = [f"{value:.4f}" for value in (row.mean, row.median, row.percentile_99, row.makespan)]
        cells = [row.trace, row.policy.upper(), row.mode, *own, verdict]
        body.append("".join(f"<td>{html.escape(text)}</td>" for text in cells))
    return html_table(
        "Hours from a job's arrival to its end, and until all jobs have ended; 32 GPUs", HEAD, body
    )


def _published(row: Any) -> str:
    if not row.is_published:
        return "not known"
    theirs = (row.published_mean, row.published_median, row.published_makespan)
    return f"differs: {' / '.join(f'{value:.4f}' for value in theirs)}"


def _rounds(rows: Sequence[Any]) -> str:
    body = []
    for row in rows:
        sums = [f"{value:.2f}" for value in (row.fair, row.greedy, row.tune, row.best)]
        body.append("".join(f"<td>{text}</td>" for text in (str(row.servers), *sums)))
    head = ("Servers", "Fair", "Greedy", "Tune", "Best shares")
    return html_table(
        "Sum of speeds of the first jobs of the static list, one for each GPU; 1 is a job at its fair share",
        head,
        body,
    )


def _loads(rows: Sequence[Any]) -> str:
    body = []
    for row in rows:
        ends = (
            ""
            if row.low is None
            else f' <span class="interval">[{number(row.low)}, {number(row.high)}]</span>'
        )
        cells = [
            html.escape(row.split),
            number(row.per_hour),
            f"{number(row.gain)}{ends}",
            number(row.empty_cluster),
        ]
        body.append("".join(f"<td>{text}</td>" for text in cells))
    head = (KINDS_TEXT.capitalize(), "Per hour", "Fair / tune [95 %]", "Where no job waits")
    return html_table("Mean time of a job at its fair share over that under tune, FIFO, 128 GPUs", head, body)
