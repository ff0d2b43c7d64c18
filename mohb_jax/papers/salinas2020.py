"""Salinas, Shen, Perrone 2020: how much better than random search a prior from other tasks is.
docs/reproduction.md says what is published, what is ours, and what every word means."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

from mohb_jax import store
from mohb_jax.analysis.lanes import log_arrays
from mohb_jax.analysis.results import FinishedStudy, load_study
from mohb_jax.analysis.statistics import CONFIDENCE
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.papers.adtm_page import page_html, write_figure
from mohb_jax.papers.bootstrap import sample_counts
from mohb_jax.papers.paper import Paper, Part, Reproduction
from mohb_jax.study import Study, make_study

BASELINE = "random"
METHODS = (BASELINE, "cts", "gcp", "gcp-prior")
ITERATIONS = {"deepar": 100, "nasbench201": 70}
OBJECTIVES = {"deepar": "crps", "nasbench201": "error"}
SOURCES = ("paper", "authors' scikit-learn code", "authors' PyTorch code")
PUBLISHED = {
    ("deepar", "cts"): (0.378, 0.542, 0.568),
    ("deepar", "gcp-prior"): (0.734, 0.933, 0.389),
    ("nasbench201", "cts"): (0.876, 0.859, 0.957),
    ("nasbench201", "gcp-prior"): (0.940, 0.969, 0.978),
}
"""Relative improvement over random search, one number per source."""
DRAWS = 4096


class Score(NamedTuple):
    """A method's relative improvement over random search on one benchmark."""

    benchmark: str
    method: str
    improvement: float
    interval: tuple[float, float] | None
    by_task: dict[str, float]
    published: tuple[float, ...]
    place: str
    """Where it lies with respect to the published numbers: below, inside or above; empty without any."""
    num_runs: int
    curve: Float[np.ndarray, " iterations"]
    """ADTM after each evaluation, the mean over tasks and runs."""


def make_benchmark_study(benchmark: str, seeds: int) -> Study:
    """The study of one benchmark: its first objective alone, one worker."""
    content: dict[str, Any] = {
        "name": f"salinas2020-{benchmark}",
        "benchmarks": [{"name": benchmark, "objectives": [OBJECTIVES[benchmark]]}],
        "methods": list(METHODS),
        "seeds": seeds,
        "evaluations": ITERATIONS[benchmark],
        "settings": {"workers": 1, "draws": DRAWS},
        "reference": BASELINE,
    }
    return make_study(content, "salinas2020")


def read_adtm(
    study: FinishedStudy, table: ResultTable
) -> dict[str, Float[np.ndarray, "tasks runs iterations"]]:
    """Each method's normalised distance to the task's least error after every evaluation (ADTM).

    ``(best - least) / (greatest - least)`` of the table's values in the task; a failed evaluation counts as
    the greatest.
    """
    found: dict[str, list[np.ndarray]] = {}
    for unit in study.units:
        shape = (table.num_tasks, unit.spec["num_seeds"], -1)
        found.setdefault(unit.spec["method"], []).append(_distances(unit, table).reshape(shape))
    return {method: np.concatenate(parts, axis=1) for method, parts in found.items()}


def _distances(unit: store.AnyUnit, table: ResultTable) -> Float[np.ndarray, "lanes iterations"]:
    log = log_arrays(unit)
    distance = np.empty(log.valid.shape)
    for task in range(table.num_tasks):
        costs = table.final_costs(task)[:, 0]
        known = costs[table.final_available(task)]
        own = log.task == task
        value = np.where(log.valid[own], costs[np.where(log.valid[own], log.row[own], 0)], np.inf)
        best = np.minimum.accumulate(np.minimum(value, known.max()), axis=1)
        distance[own] = (best - known.min()) / (known.max() - known.min())
    return distance


def improvement(
    method: Float[np.ndarray, "... tasks iterations"], baseline: Float[np.ndarray, "... tasks iterations"]
) -> Float[np.ndarray, "... tasks"]:
    """One minus the ratio of mean distances, averaged over iterations; 0 where the baseline's is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(baseline > 0, 1 - method / baseline, 0.0)
    return np.asarray(share.mean(axis=-1))


def scores(part: Part) -> list[Score]:
    """Every method of a finished study against random search."""
    study = load_study(part.directory)
    table = study.tables[part.benchmark]
    distance = read_adtm(study, table)
    return [_score(part.benchmark, table, method, distance) for method in METHODS if method in distance]


def _score(benchmark: str, table: ResultTable, method: str, distance: dict[str, np.ndarray]) -> Score:
    num_runs = min(distance[method].shape[1], distance[BASELINE].shape[1])
    # In row 0 each run counts once, in the others as often as a bootstrap sample has it.
    ours, theirs = (
        np.einsum("sr,tri->sti", sample_counts(num_runs), distance[name][:, :num_runs]) / num_runs
        for name in (method, BASELINE)
    )
    by_task = improvement(ours, theirs)
    samples = by_task.mean(axis=1)
    published = PUBLISHED.get((benchmark, method), ())
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(samples[1:], [tail, 100 - tail]) if num_runs > 1 else (np.nan, np.nan)
    return Score(
        benchmark,
        method,
        float(samples[0]),
        (float(low), float(high)) if num_runs > 1 else None,
        dict(zip(table.tasks, by_task[0].tolist(), strict=True)),
        published,
        place(float(samples[0]), published),
        num_runs,
        ours[0].mean(axis=0),
    )


def place(value: float, published: tuple[float, ...]) -> str:
    """Where a number lies with respect to the band of published ones."""
    if not published:
        return ""
    return "below" if value < min(published) else "above" if value > max(published) else "inside"


def write_scores(reproduction: Reproduction) -> Path:
    """Writes ``adtm.csv``, ``adtm.json``, the figure and the page; returns the page's path."""
    found = [score for part in reproduction.parts for score in scores(part)]
    out = reproduction.claims
    out.mkdir(parents=True, exist_ok=True)
    _frame(found).write_csv(out / "adtm.csv")
    about = reproduction.about | {
        "sources": list(SOURCES),
        "rows": [score._asdict() | {"curve": score.curve.tolist()} for score in found],
    }
    store.write_json(out / "adtm.json", about)
    figures = write_figure(found, out / "figures")
    page = page_html(reproduction, found, SOURCES, figures)
    store.write_atomically(out / "index.html", lambda partial: partial.write_text(page, encoding="utf-8"))
    return out / "index.html"


def _frame(found: list[Score]) -> pl.DataFrame:
    """One row per benchmark, method and task, and one over all tasks."""
    rows = []
    for score in found:
        low, high = score.interval or (None, None)
        names = {"benchmark": score.benchmark, "method": score.method, "num_runs": score.num_runs}
        published = dict(zip(SOURCES, score.published or (None,) * len(SOURCES), strict=True))
        whole = {"improvement": score.improvement, "low": low, "high": high, "place": score.place}
        rows.append(names | {"task": "all"} | whole | published)
        rows += [names | {"task": task, "improvement": value} for task, value in score.by_task.items()]
    return pl.DataFrame(rows, infer_schema_length=None)


PAPER = Paper(
    name="salinas2020",
    title="Salinas, Shen, Perrone: A quantile-based approach for hyperparameter transfer learning, ICML 2020",
    benchmarks=tuple(ITERATIONS),
    study=make_benchmark_study,
    write=write_scores,
    seeds=30,
)
