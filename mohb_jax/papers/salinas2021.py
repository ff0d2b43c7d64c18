"""Salinas et al. 2021: reductions of runtime and cost when hardware is tuned too. docs/reproduction.md says
what is published, what is ours, and what every word means."""

from pathlib import Path
from typing import Any

from mohb_jax import store
from mohb_jax.analysis.results import FinishedStudy, load_study
from mohb_jax.benchmarks.credit import Credit, effective
from mohb_jax.methods import method_named
from mohb_jax.papers.claims import Claim, claims_frame, judged, under_first
from mohb_jax.papers.claims_figures import write_figures
from mohb_jax.papers.claims_page import page_html
from mohb_jax.papers.paper import Paper, Part, Reproduction
from mohb_jax.papers.reductions import DEFINITIONS, Row, reduction_rows
from mohb_jax.papers.runs import read_runs
from mohb_jax.study import Study, make_study

WITH_HARDWARE = (
    "embedded",
    "lcbench-cloud",
    "lcbench-cloud-distilbert",
    "deepar-cloud",
    "trimtuner",
    "zeus",
    "pollux",
)
WITHOUT_HARDWARE = ("nasbench201", "lcbench")
METHODS = ("random", "hb", "mo-hb", "hb+prior", "mo-hb+prior")
PAIRS = tuple((method, baseline) for method in METHODS[:1:-1] for baseline in ("hb", "random"))
"""Method and baseline; the first pair heads the tables."""
DRAWS = 4096
"""Lists of the prior per task, 64 for each group of runs."""

CLAIMS = (
    Claim(
        "runtime-with-hardware",
        "Runtime, where hardware is selected too",
        "In three benchmarks with hardware, runtime falls by at least 5.8 times.",
        "runtime",
        WITH_HARDWARE,
        5.8,
    ),
    Claim(
        "cost-with-hardware",
        "Cost, where hardware is selected too",
        "In three benchmarks with hardware, cost falls by at least 8.8 times.",
        "cost",
        WITH_HARDWARE,
        8.8,
    ),
    Claim(
        "runtime-without-hardware",
        "Runtime, without hardware",
        "On two NAS benchmarks runtime falls by 10 % at the same accuracy: 1 / 0.9 = 1.11 times.",
        "runtime",
        WITHOUT_HARDWARE,
        1 / 0.9,
    ),
)


def make_benchmark_study(benchmark: str, seeds: int, methods: tuple[str, ...] = METHODS) -> Study:
    """The study of one benchmark: all its tasks, default settings and horizon."""
    content: dict[str, Any] = {
        "name": f"salinas2021-{benchmark}",
        "benchmarks": [benchmark],
        "methods": list(methods),
    }
    learns = any(method_named(name).transfers for name in methods)
    content |= {"seeds": seeds, "reference": "hb", "settings": {"draws": DRAWS} if learns else {}}
    return make_study(content, "salinas2021")


def claim_rows(reproduction: Reproduction) -> list[Row]:
    """All reductions on all benchmarks, those that a claim is about with its name, number and verdicts."""
    return [row for part in reproduction.parts for row in _benchmark_rows(part)]


def _benchmark_rows(part: Part) -> list[Row]:
    """Rows under each credit of the study; computed once for those that count the same."""
    study = load_study(part.directory)
    known: dict[Credit, list[Row]] = {}
    for credit in study.credits:
        same = effective(study.stored[part.benchmark], credit)
        if same not in known:
            known[same] = _credit_rows(part, study.under(credit))
    same_as = {credit: effective(study.stored[part.benchmark], credit) for credit in study.credits}
    return [row | {"credit": credit} for credit, same in same_as.items() for row in known[same]]


def _credit_rows(part: Part, study: FinishedStudy) -> list[Row]:
    runs = read_runs(study, part.benchmark)
    methods = {method for _, method in runs}
    pairs = [pair for pair in PAIRS if methods.issuperset(pair)]
    return [judged(CLAIMS, row) for row in reduction_rows(study.tables[part.benchmark], runs, pairs)]


def write_claims(reproduction: Reproduction) -> Path:
    """Writes ``claims.csv``, ``claims.json``, figures and the page; returns the page's path."""
    rows = claim_rows(reproduction)
    out = reproduction.claims
    out.mkdir(parents=True, exist_ok=True)
    claims_frame(rows).write_csv(out / "claims.csv")
    about = reproduction.about | {
        "claims": [claim._asdict() for claim in CLAIMS],
        "definitions": {definition.name: definition.words for definition in DEFINITIONS},
        "rows": rows,
    }
    store.write_json(out / "claims.json", about)
    figures = write_figures(CLAIMS, under_first(rows), out / "figures")
    page = page_html(reproduction, CLAIMS, rows, figures)
    store.write_atomically(out / "index.html", lambda partial: partial.write_text(page, encoding="utf-8"))
    return out / "index.html"


PAPER = Paper(
    name="salinas2021",
    title="Salinas, Perrone, Cruchant, Archambeau: A multi-objective perspective on jointly tuning hardware "
    "and hyperparameters, arXiv 2106.05680, 2021",
    benchmarks=WITH_HARDWARE + WITHOUT_HARDWARE,
    study=make_benchmark_study,
    write=write_claims,
)
