"""The table and curves of distances to the least error, as one self-contained page."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mohb_jax.papers.claims_figures import STYLE, save_figure
from mohb_jax.papers.paper import Reproduction
from mohb_jax.papers.paper_page import html_table, paper_page
from mohb_jax.report.style import look, number, seeds_text


def write_figure(scores: Sequence[Any], out: Path) -> list[Path]:
    """Distance to the least error against evaluations, a panel per benchmark, as PDF and PNG."""
    out.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(score.benchmark for score in scores))
    methods = list(dict.fromkeys(score.method for score in scores))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.6 + 3.2 * len(names), 2.9), layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            for score in (score for score in scores if score.benchmark == name):
                drawn = look(methods.index(score.method))
                steps = np.arange(1, score.curve.size + 1)
                panel.plot(steps, score.curve, drawn.line, color=drawn.colour, lw=1.4, label=score.method)
            panel.set(title=name, xlabel="evaluations", yscale="log")
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        panels[0].set_ylabel("normalised distance to the least error")
        panels[0].legend(loc="upper right")
        return save_figure(figure, out / "adtm")


def page_html(
    reproduction: Reproduction, scores: Sequence[Any], sources: Sequence[str], figures: Sequence[Path]
) -> str:
    """The page's HTML; it needs no network and has no script, and nothing from data is read as markup."""
    lead = (
        "Each task is tuned by methods that saw the benchmark's other tasks "
        f"only; {seeds_text([reproduction.seeds])} per method and task, all simulated on tables."
    )
    parts = {
        "table": _table(scores, sources),
        "tasks": "\n".join(_tasks(scores, name) for name in dict.fromkeys(s.benchmark for s in scores)),
    }
    files = ["adtm.csv", "adtm.json"]
    return paper_page(reproduction, "How much do other tasks help?", lead, "adtm.html", parts, files, figures)


def _table(scores: Sequence[Any], sources: Sequence[str]) -> str:
    head = ("Benchmark", "Method", "Here [95 %]", *sources, "With respect to these")
    rows = []
    for score in scores:
        ends = "" if score.interval is None else ", ".join(number(end) for end in score.interval)
        span = f' <span class="interval">[{ends}]</span>' if ends else ""
        published = [number(value) for value in score.published] or ["–"] * len(sources)
        cells = [score.benchmark, score.method, None, *published, score.place or "–"]
        texts = [f"{number(score.improvement)}{span}" if c is None else html.escape(c) for c in cells]
        rows.append("".join(f"<td>{text}</td>" for text in texts))
    return html_table("Relative improvement over random search, mean over tasks and evaluations", head, rows)


def _tasks(scores: Sequence[Any], benchmark: str) -> str:
    own = [score for score in scores if score.benchmark == benchmark]
    rows = []
    for task in own[0].by_task:
        values = "".join(f"<td>{number(score.by_task[task])}</td>" for score in own)
        rows.append(f"<td>{html.escape(task)}</td>{values}")
    table = html_table(benchmark, ("Task", *(score.method for score in own)), rows)
    return f"<details><summary>{html.escape(benchmark)} by task</summary>{table}</details>"
