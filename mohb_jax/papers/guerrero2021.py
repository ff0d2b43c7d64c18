"""Izquierdo, Guerrero-Viu et al. 2021, the bag of baselines: its five methods side by side on our tables.
docs/reproduction.md says what is published and what is ours."""

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.results import FinishedStudy, load_study
from mohb_jax.analysis.statistics import ALL_TASKS, RANK
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.methods import lacking, method_named
from mohb_jax.papers.paper import Paper, Reproduction
from mohb_jax.report import write_analysis
from mohb_jax.report.credits import shown_credits
from mohb_jax.report.parts import Section
from mohb_jax.study import Study, make_study

OBJECTIVES: dict[str, list[str] | None] = {
    "nasbench201": ["error", "parameters"],
    "embedded": None,
    "trimtuner-cnn": None,
    "trimtuner-rnn": None,
    "lcbench-cloud": None,
}
"""Benchmarks and their objectives, None for all. The first has the pair of the paper."""
TASKS = {"lcbench-cloud": ["3945", "7593", "34539", "126025", "126026"]}
"""Where not all tasks of a benchmark are run: the first five of 34, for all of them would take hours."""
LIMITS: dict[str, dict[str, Any]] = {"ms-ehvi": {"trials": 128}}
"""Settings of methods: processes remember 128 results, and runs end with them."""
PAPERS_METHODS = ("sh-emoa", "mo-bohb", "ms-ehvi", "mo-bananas", "bulk-and-cut")
BASELINE = "random"
WITHOUT = {
    "embedded": ("ms-ehvi",),
    "trimtuner-cnn": ("ms-ehvi", "bulk-and-cut"),
    "trimtuner-rnn": ("ms-ehvi", "bulk-and-cut"),
    "lcbench-cloud": ("ms-ehvi",),
}
"""Methods that a benchmark cannot serve; the page says why."""
SAID = (
    "The paper calls its methods simple baselines for joint search of architectures and hyperparameters, and "
    "its abstract puts none of them before another. Its figures, on two image data sets with accuracy and "
    "number of parameters as objectives, could not be read for this page, so no published order stands "
    "beside ours."
)
CAVEAT = (
    "The tables differ from the paper's problems in space, objectives, fidelities and budget, every run here "
    "has the time of 50 average trainings on four workers (MS-EHVI ends after 128), and a table cannot "
    "express inherited weights or distillation, on which BULK & CUT rests: an order found here says nothing "
    "against the paper's."
)
CAPTION = f"Rank on the tasks of each benchmark; mean hypervolume in brackets. {RANK}"


def make_benchmark_study(benchmark: str, seeds: int) -> Study:
    """The study of one benchmark: the paper's methods that it can serve, and random search."""
    methods = [name for name in PAPERS_METHODS if name not in WITHOUT.get(benchmark, ())]
    entry = {"name": benchmark, "objectives": OBJECTIVES[benchmark], "tasks": TASKS.get(benchmark)}
    content: dict[str, Any] = {
        "name": f"guerrero2021-{benchmark}",
        "benchmarks": [entry],
        "methods": [BASELINE, *({"method": name, "settings": LIMITS.get(name, {})} for name in methods)],
        "seeds": seeds,
        "reference": BASELINE,
    }
    return make_study(content, "guerrero2021")


def write_comparison(reproduction: Reproduction) -> Path:
    """Writes a report over all benchmarks, with a section on the paper; returns the page's path."""
    study = joined([load_study(part.directory) for part in reproduction.parts])
    study = dataclasses.replace(study, name=reproduction.paper.name, command=reproduction.command)
    tables = {part.benchmark: part.tables[0].whole for part in reproduction.parts}
    out = reproduction.claims
    write_analysis(Analysis(study), out, [lambda analysis: beside_the_paper(reproduction, analysis, tables)])
    return out / "index.html"


def joined(studies: Sequence[FinishedStudy]) -> FinishedStudy:
    """Several studies, of one benchmark each, as one."""
    first = studies[0]
    known = {name for study in studies for name in study.methods}
    return dataclasses.replace(
        first,
        methods=tuple(name for name in (BASELINE, *PAPERS_METHODS) if name in known),
        summaries={name: text for study in studies for name, text in study.summaries.items()},
        fingerprints={name: text for study in studies for name, text in study.fingerprints.items()},
        stored={name: table for study in studies for name, table in study.stored.items()},
        units=tuple(unit for study in studies for unit in study.units),
        num_units=sum(study.num_units for study in studies),
        compilation={},
        calibration=tuple(row for study in studies for row in study.calibration),
    )


def beside_the_paper(reproduction: Reproduction, analysis: Analysis, tables: dict[str, AnyTable]) -> Section:
    """What the paper says, what cannot be compared, and mean ranks by benchmark under each credit."""
    found = {
        (row["benchmark"], each.study.credit, row["method"]): row
        for each in analysis.side_by_side
        for row in each.rows
        if row["task"] == ALL_TASKS
    }
    columns = [(name, each.study.credit) for name in tables for each in shown_credits(analysis, name)]
    head = "".join(f"<th>{html.escape(text)}</th>" for text in ("Method", *map(", ".join, columns)))
    body = []
    for method in (BASELINE, *PAPERS_METHODS):
        cells = [_rank(found.get((*column, method))) for column in columns]
        body.append(f"<tr><td>{method}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    missing = [_missing(name, table) for name, table in tables.items()]
    text = "\n".join(
        [
            f"<p>{html.escape(reproduction.paper.title)}. {html.escape(SAID)}</p>",
            f"<p>{html.escape(CAVEAT)}</p>",
            f"<table><caption>{CAPTION}</caption>",
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>",
            *(f'<p class="note">{html.escape(line)}</p>' for line in missing if line),
        ]
    )
    return Section("paper", "Beside the paper", text)


def _rank(row: dict[str, Any] | None) -> str:
    if row is None or row["rank"] is None:
        return "–"
    return f"{row['rank']:.2f} ({row['hypervolume']['mean']:.3f})"


def _missing(name: str, table: AnyTable) -> str:
    """Why a benchmark does not serve some of the methods."""
    reasons = [(method, lacking(table, method_named(method))) for method in WITHOUT.get(name, ())]
    return (
        f"{name}: " + "; ".join(f"without {method}, for {why}" for method, why in reasons) if reasons else ""
    )


PAPER = Paper(
    name="guerrero2021",
    title="Izquierdo, Guerrero-Viu, Hauns, Miotto, Schrodi, Biedenkapp, Elsken, Deng, Lindauer, Hutter: Bag "
    "of baselines for multi-objective joint neural architecture search and hyperparameter optimization, "
    "arXiv 2105.01015, 2021",
    benchmarks=tuple(OBJECTIVES),
    study=make_benchmark_study,
    write=write_comparison,
    seeds=100,
)
