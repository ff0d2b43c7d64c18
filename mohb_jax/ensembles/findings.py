"""What a study's libraries say: which ensembles its tuners lead to, and whether better fronts make better."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Float, Int

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.statistics import intervals, resample_counts, tail
from mohb_jax.benchmarks.sources.embedded_predictions import Predictions
from mohb_jax.ensembles.judging import WAYS, Outcome, Scale, judge, scale_of
from mohb_jax.ensembles.libraries import BENCHMARK, Cost, TaskLibraries, libraries_of

HEAD = "smobf"
"""The way of selecting that tuners are compared by: the paper's."""
ALL_TASKS = "all"


class TaskFindings(NamedTuple):
    """Everything of one task.

    Attributes:
        libraries: of the runs.
        scale: of the task.
        outcomes: of every way, ``[runs]``.
        whole: hypervolume of the front, on test examples, of all ways together on the whole table: 1 on the
            relative scale.
        tuning: final hypervolume of each run, as the study's report has it; NaN where it is not known.
        error: test error of the chosen ensemble of each way, ``[runs]``.
        correlation: mean correlation of the test mistakes of two members of it; NaN without two that both
            make some.
    """

    libraries: TaskLibraries
    scale: Scale
    outcomes: dict[str, Outcome]
    whole: float
    tuning: Float[np.ndarray, " runs"]
    error: dict[str, Float[np.ndarray, " runs"]]
    correlation: dict[str, Float[np.ndarray, " runs"]]

    @property
    def task(self) -> str:
        """Its name."""
        return self.libraries.predictions.task

    def relative(self, way: str) -> Float[np.ndarray, " runs"]:
        """Hypervolume of each run's front, 1 being that of the whole table."""
        return self.outcomes[way].hypervolume / self.whole


class Row(NamedTuple):
    """One tuner and one way of selecting on a task, or the mean over tasks; intervals are over runs."""

    task: str
    method: str
    way: str
    runs: int
    models: float
    hypervolume: float
    hypervolume_low: float | None
    hypervolume_high: float | None
    test_loss: float
    test_loss_low: float | None
    test_loss_high: float | None
    over_best: float
    over_best_low: float | None
    over_best_high: float | None
    test_error: float
    members: float
    cost: float
    regret: float
    correlation: float
    tuning: float


class Agreement(NamedTuple):
    """Whether tuners that find better fronts also make better ensembles.

    Attributes:
        measure: of ensembles: ``hypervolume`` of their front, or ``test_loss`` of the chosen one.
        tuners: how many.
        tau: Kendall's correlation of the two orders of tuners, by means over tasks and runs.
        low: of its 95 % interval over runs; None for a single run.
        high: of the same.
        pairs: of tuners.
        agree: pairs in the same order.
        within: mean over tuners and tasks of the rank correlation over runs.
    """

    measure: str
    tuners: int
    tau: float
    low: float | None
    high: float | None
    pairs: int
    agree: int
    within: float


class Findings(NamedTuple):
    """Of a study.

    Attributes:
        methods: that have a run, in the study's order.
        cost: of a model.
        tasks: in the table's order.
        rows: of every task, tuner and way; those of the mean over tasks come first.
        agreements: by each measure; empty with a single tuner.
    """

    methods: tuple[str, ...]
    cost: Cost
    tasks: tuple[TaskFindings, ...]
    rows: tuple[Row, ...]
    agreements: tuple[Agreement, ...]


def find(analysis: Analysis, cost: Cost = "usd", ways: tuple[str, ...] = WAYS) -> Findings:
    """Selects ensembles from every run of a study, all runs of a task being equally long.

    Args:
        analysis: of the study, with results at the highest fidelity counting.
        cost: of a model.
        ways: of selecting.

    Raises:
        InputError: the study has no run on networks whose predictions are stored.
    """
    libraries = libraries_of(analysis, cost)
    cells = analysis.cells_of(BENCHMARK)
    tasks = tuple(_of_task(own, cells, analysis.study.methods, ways) for own in libraries)
    used = sorted({int(method) for own in libraries for method in own.method})
    methods = tuple(analysis.study.methods[method] for method in used)
    rows = [_row(tasks, method, analysis.study.methods[method], way) for method in used for way in ways] + [
        _row([task], method, analysis.study.methods[method], way)
        for task in tasks
        for method in used
        for way in ways
        if len(tasks) > 1 and (task.libraries.method == method).any()
    ]
    head = HEAD if HEAD in ways else ways[0]
    measures = ("hypervolume", "test_loss") if len(used) > 1 else ()
    agreements = tuple(agreement_of(tasks, used, head, measure) for measure in measures)
    return Findings(methods, cost, tasks, tuple(rows), agreements)


def _of_task(
    libraries: TaskLibraries, cells: Sequence[Cell], methods: Sequence[str], ways: tuple[str, ...]
) -> TaskFindings:
    scale = scale_of(libraries.predictions, libraries.least_cost)
    finite = libraries.predictions.finite
    whole = judge(libraries.predictions, scale, finite[None], libraries.least_cost[None], ways=ways)
    outcomes = judge(libraries.predictions, scale, libraries.allowed, libraries.cost, ways=ways)
    tuning = np.full(libraries.run.size, np.nan)
    for cell in (cell for cell in cells if cell.task == libraries.predictions.task):
        own = np.flatnonzero(libraries.method == methods.index(cell.method))
        known = np.isin(libraries.run[own], cell.runs)
        place = np.searchsorted(cell.runs, libraries.run[own[known]])
        tuning[own[known]] = cell.final["hypervolume"][place]
    errors = {way: test_errors(libraries.predictions, own.weights) for way, own in outcomes.items()}
    together = {way: member_correlations(libraries.predictions, own.weights) for way, own in outcomes.items()}
    best = max(float(own.hypervolume[0]) for own in whole.values())
    return TaskFindings(libraries, scale, outcomes, best, tuning, errors, together)


def test_errors(
    predictions: Predictions, weights: Int[np.ndarray, "runs configs"]
) -> Float[np.ndarray, " runs"]:
    """Share of test examples that an ensemble gets wrong; that of a guess for one without members."""
    valid = predictions.num_validation
    labels, probability = predictions.labels[valid:], predictions.probability[:, valid:]
    mean = np.einsum("rn,nuc->ruc", weights.astype(float), probability, optimize=True)
    wrong = (mean.argmax(axis=2) != labels).mean(axis=1)
    guess = 1 - np.bincount(labels).max() / labels.size
    return np.where(weights.any(axis=1), wrong, guess)


def member_correlations(
    predictions: Predictions, weights: Int[np.ndarray, "runs configs"]
) -> Float[np.ndarray, " runs"]:
    """Mean over pairs of distinct members of the correlation of their mistakes on test examples."""
    valid = predictions.num_validation
    wrong = predictions.probability[:, valid:].argmax(axis=2) != predictions.labels[valid:]
    varied = wrong.any(axis=1) & ~wrong.all(axis=1)
    centred = np.where(varied[:, None], wrong - wrong.mean(axis=1, keepdims=True), 0.0)
    size = np.linalg.norm(centred, axis=1)
    alike = centred @ centred.T / np.maximum(size[:, None] * size[None], 1e-12)
    there = ((weights > 0) & varied).astype(float)
    number = there.sum(axis=1)
    pairs = number * (number - 1)
    total = np.einsum("rn,nm,rm->r", there, alike, there, optimize=True) - number
    return np.where(pairs > 0, total / np.maximum(pairs, 1), np.nan)


def _row(tasks: Sequence[TaskFindings], method: int, name: str, way: str) -> Row:
    """Means over tasks run by run, for runs that all tasks have."""
    runs = common_runs(tasks, method)
    values = {
        "hypervolume": [task.relative(way) for task in tasks],
        "test_loss": [task.outcomes[way].test_loss for task in tasks],
        "over_best": [task.outcomes[way].test_loss / task.outcomes["best"].test_loss for task in tasks],
        "test_error": [task.error[way] for task in tasks],
        "members": [task.outcomes[way].members for task in tasks],
        "cost": [task.outcomes[way].cost for task in tasks],
        "regret": [task.outcomes[way].test_loss - task.outcomes[way].best_test_loss for task in tasks],
        "models": [task.libraries.allowed.sum(axis=1) for task in tasks],
        "tuning": [task.tuning for task in tasks],
        "correlation": [task.correlation[way] for task in tasks],
    }
    places = [_places(task, method, runs) for task in tasks]
    picked = {
        key: np.stack([each[own] for each, own in zip(of_tasks, places, strict=True)]).astype(float)
        for key, of_tasks in values.items()
    }
    correlation = picked.pop("correlation")
    own = {key: per_task.mean(axis=0) for key, per_task in picked.items()}
    told: dict[str, Any] = {key: float(each.mean()) for key, each in own.items()}
    for key in ("hypervolume", "test_loss", "over_best"):
        ends = intervals(own[key][None])[0].tolist() if runs.size > 1 else [None, None]
        told |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
    known = np.isfinite(correlation)
    return Row(
        task=tasks[0].task if len(tasks) == 1 else ALL_TASKS,
        method=name,
        way=way,
        runs=runs.size,
        correlation=float(correlation[known].mean()) if known.any() else float("nan"),
        **told,
    )


def common_runs(tasks: Sequence[TaskFindings], method: int) -> Int[np.ndarray, " runs"]:
    """Runs of a tuner that all tasks have."""
    own = [task.libraries.run[task.libraries.method == method] for task in tasks]
    found = own[0]
    for each in own[1:]:
        found = np.intersect1d(found, each)
    return found


def _places(task: TaskFindings, method: int, runs: Int[np.ndarray, " runs"]) -> Int[np.ndarray, " runs"]:
    own = np.flatnonzero(task.libraries.method == method)
    return own[np.searchsorted(task.libraries.run[own], runs)]


def agreement_of(
    tasks: Sequence[TaskFindings], methods: Sequence[int], way: str, measure: str = "hypervolume"
) -> Agreement:
    """Order of tuners by tuning and by ensembles; each resampling draws the same runs for all tuners."""
    every = [common_runs(tasks, method) for method in methods]
    runs = every[0]
    for each in every[1:]:
        runs = np.intersect1d(runs, each)
    tuning, making = (
        np.stack(
            [
                np.mean([values(task)[_places(task, method, runs)] for task in tasks], axis=0)
                for method in methods
            ]
        )
        for values in (lambda task: task.tuning, lambda task: _merit(task, way, measure))
    )
    agree, tau = concordance(tuning.mean(axis=1), making.mean(axis=1))
    low = high = None
    if runs.size > 1:
        counts = resample_counts(runs.size).T / runs.size
        taus = [concordance(*both)[1] for both in zip((tuning @ counts).T, (making @ counts).T, strict=True)]
        beyond = tail(runs.size)
        low, high = np.quantile(taus, [beyond, 1 - beyond]).tolist()
    return Agreement(
        measure=measure,
        tuners=len(methods),
        tau=tau,
        low=low,
        high=high,
        pairs=len(methods) * (len(methods) - 1) // 2,
        agree=agree,
        within=_within(tasks, methods, way, measure),
    )


def concordance(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> tuple[int, float]:
    """Pairs in the same order, and those less the pairs in another order as a share of all."""
    one, other = np.triu_indices(first.size, 1)
    signs = np.sign((first[one] - first[other]) * (second[one] - second[other]))
    return int(np.sum(signs > 0)), float(np.mean(signs))


def _merit(task: TaskFindings, way: str, measure: str) -> Float[np.ndarray, " runs"]:
    """The larger the better."""
    return task.relative(way) if measure == "hypervolume" else -task.outcomes[way].test_loss


def _within(tasks: Sequence[TaskFindings], methods: Sequence[int], way: str, measure: str) -> float:
    """Mean rank correlation over the runs of a tuner on a task; those without spread say nothing."""
    found = []
    for task, method in itertools.product(tasks, methods):
        own = task.libraries.method == method
        tuning, making = task.tuning[own], _merit(task, way, measure)[own]
        if own.sum() > 2 and np.ptp(tuning) > 0 and np.ptp(making) > 0:
            found.append(float(scipy.stats.spearmanr(tuning, making).statistic))
    return float(np.mean(found)) if found else float("nan")
