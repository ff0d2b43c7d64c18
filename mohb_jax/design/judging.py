"""The winner on test tasks, against other methods: studies of their own, one for each benchmark."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import DECIMALS, LEAST_TASKS, Comparison, comparison
from mohb_jax.analysis.pairs import holm
from mohb_jax.analysis.results import load_study
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.design.memory import released
from mohb_jax.design.space import Point, method_of
from mohb_jax.design.spec import Design
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, Method, lacking, make_plan, make_settings, method_named
from mohb_jax.simulation import DEFAULT_EVALUATIONS, horizons, make_conditions
from mohb_jax.study.alike import alike
from mohb_jax.study.entries import BenchmarkEntry
from mohb_jax.study.run import run_study
from mohb_jax.study.spec import make_study
from mohb_jax.study.units import StudyTable, load_tables, work_units

RESAMPLES = 2000


class Compared(NamedTuple):
    """The winner less another method, in final relative hypervolume.

    Attributes:
        method: the other one.
        difference: mean over benchmarks of the mean over their tasks.
        low: of the interval of 95 %, tasks and runs resampled.
        high: of it.
        tasks: that both ran on.
        benchmarks: of them.
        wins: tasks on which the winner's mean is larger.
        own: the winner's mean on these tasks.
        other: the other one's.
        per_benchmark: difference of each benchmark, by name.
        p: of Wilcoxon's signed-rank test on the means of the tasks, two-sided; 1 with fewer than
            ``LEAST_TASKS`` tasks.
        p_holm: corrected for the number of methods.
    """

    method: str
    difference: float
    low: float
    high: float
    tasks: int
    benchmarks: int
    wins: int
    own: float
    other: float
    per_benchmark: dict[str, float]
    p: float
    p_holm: float


class Asked(NamedTuple):
    """The study of a test benchmark.

    Attributes:
        asked: as a study file has it: each method once.
        run_as: of methods that are another one there by construction, the one that was run.
    """

    asked: dict[str, Any]
    run_as: dict[str, str]


class Tested(NamedTuple):
    """What became of it."""

    benchmark: str
    finals: Comparison
    run_as: dict[str, str]

    def values(self, winner: str, other: str) -> Float[np.ndarray, "tasks 2 runs"] | None:
        """Final results of two methods; None where one of them was not run."""
        known = self.finals.methods
        names = [self.run_as.get(name, name) for name in (winner, other)]
        if not self.finals.values.size or not set(names) <= set(known):
            return None
        return self.finals.values[:, [known.index(name) for name in names]]


def judge(
    design: Design,
    entries: Mapping[str, Point],
    folder: Path,
    tell: Callable[[str], None],
    data: str | None = None,
) -> list[Compared]:
    """Runs the chosen methods and all others on the test tasks, and compares them with the first.

    Args:
        design: what is tested on, and against what.
        entries: chosen points by the name under which they are shown, the winner first.
        folder: holds a study for each benchmark; what is there is not run again.
        tell: is told how it goes.
        data: folder of the published files.
    """
    found: list[Tested] = []
    for entry in design.test:
        own = _run(design, entry, entries, folder, tell, data)
        cells = Analysis(load_study(folder / entry.name, "full")).cells
        finals = comparison(cells, [one["name"] for one in own.asked["methods"]])
        found.append(Tested(entry.name, finals, own.run_as))
        means = dict(zip(finals.methods, finals.means.mean(axis=0).tolist(), strict=True))
        best = sorted(means, key=lambda name: -means[name])[:3]
        shown = dict.fromkeys([next(iter(entries)), *best])
        tell(", ".join(f"{name} {means[name]:.3f}" for name in shown if name in means))
        del cells
        released()
    winner, *others = [*entries, *[name for name in design.methods if name not in entries]]
    itself = known_as(entries[winner])
    others = [name for name in others if name != itself]  # it would be compared with itself
    pairs = [_compared(found, winner, other) for other in others]
    compared = [own for own in pairs if own is not None]
    adjusted = holm(np.array([own.p for own in compared])).tolist()
    compared = [own._replace(p_holm=p) for own, p in zip(compared, adjusted, strict=True)]
    return sorted(compared, key=lambda own: own.difference)


def known_as(point: Point) -> str | None:
    """The method of the package that a choice is with its default settings, if it is one."""
    name, settings = method_of(point)
    method = method_named(name)
    return name if make_settings(method, **settings) == method.settings() else None


def run_known(design: Design, folder: Path, tell: Callable[[str], None], data: str | None = None) -> None:
    """Runs the methods to compare with on the test tasks, and looks at nothing: no choice changes what they
    do, so that this can run beside the search."""
    for entry in design.test:
        _run(design, entry, {}, folder, tell, data)
        released()


def _run(
    design: Design,
    entry: BenchmarkEntry,
    entries: Mapping[str, Point],
    folder: Path,
    tell: Callable[[str], None],
    data: str | None,
) -> Asked:
    """The study of a benchmark, run as far as it was not: of methods that are one there, only the first."""
    whole = _study(design, entry, entries, data)
    for name in entries.keys() - {own["name"] for own in whole["methods"]}:
        tell(f"{name} cannot serve {entry.name}: it is not compared there")
    study = make_study(whole, "test of the design")
    tables = load_tables(study, data)
    groups = alike(work_units(study, tables)).get(entry.name, [])
    run_as = {name: first for first, *others in groups for name in others}
    methods = [own for own in whole["methods"] if own["name"] not in run_as]
    own = whole | {"methods": methods}
    tell(f"test on {entry.name}: {len(whole['methods'])} methods, {len(methods)} of them different there")
    run_study(make_study(own, "test of the design"), tables, folder / entry.name, "mohb design")
    return Asked(own, run_as)


def require_tests(design: Design, data: str | None = None) -> None:
    """``InputError`` where a test benchmark or task is unknown, or has no other tasks and the space a prior:
    told before anything is searched."""
    for entry in design.test:
        whole, _ = _tables(entry, data)
        if whole.num_tasks < 2 and design.asks_prior:
            raise InputError(
                f"test benchmark {whole.name!r} cannot serve the space: there is no task to learn from; "
                "limit sample to uniform, or take another test benchmark"
            )


def _tables(entry: BenchmarkEntry, data: str | None) -> StudyTable:
    base = {"benchmarks": [entry.model_dump(exclude_none=True)], "methods": ["random"]}
    return load_tables(make_study(base, "test"), data)[0]


def _study(
    design: Design, entry: BenchmarkEntry, entries: Mapping[str, Point], data: str | None
) -> dict[str, Any]:
    """A study of one benchmark; methods that its table cannot serve are left out."""
    whole, table = _tables(entry, data)
    methods: list[dict[str, Any]] = []
    for name, point in entries.items():
        method, settings = method_of(point)
        if _can_run(whole, method_named(method), settings):
            methods.append({"method": method, "name": name, "settings": settings})
    skipped = design.skip.get(entry.name, [])
    for name in design.methods:
        if name not in entries and name not in skipped and _can_run(whole, METHODS[name]):
            methods.append({"method": name, "name": name})
    return {
        "benchmarks": [entry.model_dump(exclude_none=True)],
        "name": f"test-{entry.name}",
        "methods": methods,
        "seeds": design.fewer.get(entry.name, design.tests),
        "seed": design.seed + 1,
        "settings": {"workers": design.workers},
        "reference": methods[0]["name"],
        **_limits(design, table),
    }


def _can_run(table: AnyTable, method: Method, settings: Mapping[str, Any] | None = None) -> bool:
    """Whether a table serves a method; a portfolio says only when it is made that it needs the same rows in
    every task."""
    own = make_settings(method, **(settings or {}))
    if lacking(table, method, own) is not None:
        return False
    if method.transfers and not method.models:
        try:
            make_plan(table, method, own).prepare(table, tuple(range(table.num_tasks)), 0, None)
        except InputError:
            return False
    return True


def _limits(design: Design, table: AnyTable) -> dict[str, Any]:
    """The time of so many full trainings, or their number where evaluations take no time."""
    if not all(table.final_runtime(task).max() > 0 for task in range(table.num_tasks)):
        return {"evaluations": design.trainings}
    usual = horizons(table, table.tasks, make_conditions(workers=design.workers), None)
    share = design.trainings / DEFAULT_EVALUATIONS
    return {"seconds": {task: own * share for task, own in zip(table.tasks, usual, strict=True)}}


def _compared(found: Sequence[Tested], winner: str, other: str) -> Compared | None:
    """None where no benchmark has both."""
    both = {own.benchmark: own.values(winner, other) for own in found}
    values = {name: own for name, own in both.items() if own is not None}
    if not values:
        return None
    differences = {name: own[:, 0] - own[:, 1] for name, own in values.items()}
    low, high = interval(list(differences.values()))
    means = np.round(np.concatenate([own.mean(axis=1) for own in differences.values()]), DECIMALS)
    told_apart = len(means) >= LEAST_TASKS and bool(means.any())
    p = float(scipy.stats.wilcoxon(means[means != 0]).pvalue) if told_apart else 1.0
    each = {name: float(own.mean()) for name, own in differences.items()}
    return Compared(
        other,
        float(np.mean(list(each.values()))),
        low,
        high,
        sum(len(own) for own in values.values()),
        len(values),
        int(sum((own.mean(axis=1) > 0).sum() for own in differences.values())),
        float(np.mean([own[:, 0].mean() for own in values.values()])),
        float(np.mean([own[:, 1].mean() for own in values.values()])),
        each,
        p,
        p,
    )


def interval(differences: Sequence[Float[np.ndarray, "tasks runs"]], seed: int = 0) -> tuple[float, float]:
    """Interval of 95 % of the mean over groups of the mean over tasks: tasks of each group and the runs of
    all are resampled (percentile bootstrap)."""
    rng = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for own in differences:
        tasks, runs = own.shape
        counts = rng.multinomial(tasks, np.full(tasks, 1 / tasks), RESAMPLES) / tasks
        weights = rng.multinomial(runs, np.full(runs, 1 / runs), RESAMPLES) / runs
        means += np.einsum("bt,tr,br->b", counts, own, weights, optimize=True)
    low, high = np.quantile(means / len(differences), [0.025, 0.975])
    return float(low), float(high)
