"""Statistics across tasks: ranks and their tests, performance profiles, attainment surfaces, sensitivity.

A task is one task of one benchmark. Runs with equal index share their random numbers (common random numbers).
Bootstrap intervals resample run indices for all methods and tasks at once, and so use this pairing. The
tests across tasks (Friedman, Nemenyi, Wilcoxon) pair by task: each task gives one mean per method.
Mann-Whitney, within one task, takes the two methods' runs as independent samples: no pairing is used there.
"""

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import InputError
from mohb_jax.report.curves import Cell
from mohb_jax.report.lanes import Lanes
from mohb_jax.report.statistics import (
    ALL_TASKS,
    CONFIDENCE,
    Row,
    average_ranks,
    intervals,
    resample_counts,
)
from mohb_jax.store import AnyUnit

LEAST_TASKS = 5
"""Below this many tasks nothing is tested across tasks: no outcome could be significant."""
LEAST_METHODS = 3
"""Friedman and Nemenyi compare at least so many methods; two are compared by Wilcoxon's test."""
NUM_SHARES = 100
"""Shares of the horizon at which average ranks are taken."""
LEVELS = (25, 50, 75)
"""Shares of the runs in %, of the attainment surfaces."""
DECIMALS = 12
"""Differences below this decimal count as ties, as in ``average_ranks``."""
NO_MOOCORE = "attainment surfaces need the library moocore: pip install 'mohb-jax[report]'"
METHOD = "method"
"""The base method, taken as one more setting."""
DEFAULT = "default"
"""The level of a setting that a variant does not state."""


# --- input -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What methods reached at the end of their runs, on the tasks that all of them finished.

    Methods that a study runs on some of its benchmarks only are left out, not the other benchmarks.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    """``BENCHMARK/TASK``."""
    values: Float[np.ndarray, "tasks methods runs"]
    """Final relative hypervolume in [0, 1], larger is better; runs that all methods have on all tasks."""
    num_left_out: int
    """Tasks left out because some method has no result there."""
    without: tuple[str, ...] = ()
    """Methods left out because they have no result on some benchmark."""

    @property
    def means(self) -> Float[np.ndarray, "tasks methods"]:
        """Means over runs."""
        return self.values.mean(axis=2)


class _Complete(NamedTuple):
    """Cells of the tasks that all methods finished, in the order of the methods."""

    methods: tuple[str, ...]
    groups: list[list[Cell]]
    runs: Int[np.ndarray, " runs"]
    num_left_out: int


def _complete(cells: Sequence[Cell], methods: Sequence[str]) -> _Complete:
    kept = everywhere(cells, methods)
    groups: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.benchmark, cell.task), {})[cell.method] = cell
    whole = [[group[method] for method in kept] for group in groups.values() if group.keys() >= set(kept)]
    indices = [cell.runs for group in whole for cell in group]
    runs = functools.reduce(np.intersect1d, indices) if indices else np.zeros(0, np.int64)
    if not runs.size:
        whole = []
    return _Complete(kept, whole, runs, len(groups) - len(whole))


def everywhere(cells: Sequence[Cell], methods: Sequence[str]) -> tuple[str, ...]:
    """Methods that ran on every benchmark; if that leaves less than two, those that ran at all."""
    ran: dict[str, set[str]] = {}
    for cell in cells:
        ran.setdefault(cell.method, set()).add(cell.benchmark)
    most = set().union(*ran.values())
    whole = tuple(method for method in methods if ran.get(method) == most)
    return whole if len(whole) > 1 else tuple(method for method in methods if method in ran)


def _own(cell: Cell, runs: Int[np.ndarray, " runs"]) -> Int[np.ndarray, " runs"]:
    """Where a cell keeps the given runs."""
    return np.searchsorted(cell.runs, runs)


def comparison(cells: Sequence[Cell], methods: Sequence[str]) -> Comparison:
    """The plain numbers behind all tests.

    Args:
        cells: results of a study, see ``study_cells``.
        methods: display names in the order wanted; those without any result are left out.

    Returns:
        Tasks in the order of the cells; none, where no task has a run that all methods finished.
    """
    found = _complete(cells, methods)
    tasks = tuple(f"{group[0].benchmark}/{group[0].task}" for group in found.groups)
    values = [[cell.final["hypervolume"][_own(cell, found.runs)] for cell in group] for group in found.groups]
    shape = (len(tasks), len(found.methods), found.runs.size)
    without = tuple(method for method in methods if method not in found.methods)
    return Comparison(
        found.methods, tasks, np.array(values, np.float64).reshape(shape), found.num_left_out, without
    )


def rows(items: Iterable[Any]) -> list[Row]:
    """Results of this module (``Ranking``, ``Pair``, ``Effect``) as ``json`` writes them, free of NaN."""
    return [dataclasses.asdict(item) for item in items]


# --- ranks -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Average ranks over tasks and what the tests say of them."""

    methods: tuple[str, ...]
    average_ranks: tuple[float, ...]
    """1 is best, ties share their average rank; empty without a task."""
    ci95: tuple[tuple[float, float], ...]
    """Bootstrap intervals of the average ranks over runs; empty with fewer than two runs."""
    num_tasks: int
    num_left_out: int
    friedman: float | None
    """Statistic of Friedman's test, corrected for ties; None where ``reason`` says why."""
    friedman_p: float | None
    critical_difference: float | None
    """Nemenyi's at 5 %: methods whose average ranks differ by as much or more differ significantly."""
    reason: str
    """Why there is no test; empty where there is."""
    without: tuple[str, ...] = ()
    """Methods that are not ranked, for they have no result on some benchmark."""


def ranking(data: Comparison) -> Ranking:
    """Average ranks over tasks by mean final hypervolume, Friedman's test and Nemenyi's critical difference.

    Ranks and tests pair by task and look at means over runs alone. The intervals show what the runs' noise
    does to the ranks on these tasks, not what other tasks would do. Resampled means are noisier than the
    means, which draws ranks towards the middle: an interval may lie beside its average rank.

    Args:
        data: see ``comparison``.

    References:
        Demsar, "Statistical comparisons of classifiers over multiple data sets", 2006, section 3.2.
    """
    reason = _why_untested(len(data.tasks), len(data.methods))
    friedman, p = (None, None) if reason else _friedman(data.means)
    return Ranking(
        methods=data.methods,
        average_ranks=tuple(average_ranks(data.means.T).tolist()) if data.tasks else (),
        ci95=_rank_intervals(data.values),
        num_tasks=len(data.tasks),
        num_left_out=data.num_left_out,
        friedman=friedman,
        friedman_p=p,
        critical_difference=None if reason else critical_difference(len(data.methods), len(data.tasks)),
        reason=reason,
        without=data.without,
    )


def _why_untested(num_tasks: int, num_methods: int) -> str:
    if num_tasks < LEAST_TASKS:
        return f"tests across tasks need {LEAST_TASKS} tasks that all methods finished; there are {num_tasks}"
    if num_methods < LEAST_METHODS:
        return (
            f"Friedman's and Nemenyi's tests compare {LEAST_METHODS} or more methods; there are {num_methods}"
        )
    return ""


def _friedman(means: Float[np.ndarray, "tasks methods"]) -> tuple[float, float]:
    values = np.round(means, DECIMALS)
    if (values == values[:, :1]).all():
        return 0.0, 1.0  # ties everywhere, of which the formula makes 0 / 0
    result = scipy.stats.friedmanchisquare(*values.T)
    return float(result.statistic), float(result.pvalue)


def critical_difference(num_methods: int, num_tasks: int, level: float = 1 - CONFIDENCE) -> float:
    """Nemenyi's critical difference of average ranks, ``q sqrt(k (k + 1) / (6 T))``.

    Args:
        num_methods: k, two or more.
        num_tasks: T, one or more.
        level: of the test, for all pairs together.

    References:
        Demsar 2006, equation 4 of section 3.2.2; q is the studentized range's quantile divided by sqrt 2.
    """
    q = scipy.stats.studentized_range.ppf(1 - level, num_methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(num_methods * (num_methods + 1) / (6 * num_tasks)))


def groups(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Largest groups of methods of which no two differ significantly.

    Args:
        ranks: average ranks, ascending.
        difference: the critical difference; groups span less than it.

    Returns:
        First and last position of each group of two or more that no other one contains, ascending.
    """
    ends = [
        max(j for j in range(i, len(ranks)) if j == i or ranks[j] - ranks[i] < difference)
        for i in range(len(ranks))
    ]
    return [(i, end) for i, end in enumerate(ends) if end > i and (i == 0 or ends[i - 1] < end)]


def _rank_intervals(values: Float[np.ndarray, "tasks methods runs"]) -> tuple[tuple[float, float], ...]:
    """Bootstrap intervals of average ranks; a sample draws the same run indices for all methods and tasks."""
    num_tasks, _, num_runs = values.shape
    if num_tasks == 0 or num_runs < 2:
        return ()
    counts = resample_counts(num_runs)
    total = sum(_ranks((task @ counts.T / num_runs).T, axis=1) for task in values)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(total / num_tasks, [tail, 1 - tail], axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def _ranks(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Ranks by descending value, ties averaged."""
    return scipy.stats.rankdata(-np.round(values, DECIMALS), axis=axis)


class RankCurves(NamedTuple):
    """Average ranks while the runs go on."""

    methods: tuple[str, ...]
    shares: Float[np.ndarray, " grid"]
    """Simulated time as a share of each task's horizon, logarithmically spaced up to 1."""
    ranks: Float[np.ndarray, "methods grid"]
    """Average over tasks of the rank by mean hypervolume so far; 1 is best."""


def rank_curves(cells: Sequence[Cell], methods: Sequence[str]) -> RankCurves:
    """Average rank against time over the tasks of ``comparison``, each task on its own horizon.

    Curves are step functions, known at their grid points and 0 before the first; nothing is interpolated.

    Args:
        cells: results of a study.
        methods: display names in the order wanted.

    Raises:
        InputError: no task has a run that all methods finished.
    """
    found = _complete(cells, methods)
    if not found.groups:
        raise InputError("no task has a run that all methods finished, so there are no average ranks")
    first = min(group[0].grid[0] / group[0].horizon for group in found.groups)
    shares = np.geomspace(first, 1.0, NUM_SHARES)
    shares[-1] = 1.0
    ranks = [_ranks(_sampled(group, found.runs, shares), axis=0) for group in found.groups]
    return RankCurves(found.methods, shares, np.mean(ranks, axis=0))


def _sampled(
    group: Sequence[Cell], runs: Int[np.ndarray, " runs"], shares: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, "methods grid"]:
    """Mean curves of one task's methods at shares of its horizon."""
    grid, horizon = group[0].grid, group[0].horizon
    slot = np.searchsorted(grid, shares * horizon * (1 + 1e-12), side="right")  # free of rounding
    means = np.stack([cell.hypervolume[_own(cell, runs)].mean(axis=0) for cell in group])
    return np.pad(means, ((0, 0), (1, 0)))[:, slot]


# --- pairs of methods ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two methods compared by one test."""

    task: str
    """``all``: over the task means; otherwise over the runs of that task."""
    first: str
    second: str
    test: str
    """``wilcoxon`` or ``mann-whitney``, both two-sided."""
    num_values: int
    """Tasks, or runs of each method."""
    difference: float
    """Mean of the first minus mean of the second; above 0 the first is better."""
    effect: str
    """``rank-biserial`` (-1 to 1, 0 is none) or ``vargha-delaney`` (0 to 1, 0.5 is none)."""
    effect_size: float
    p: float
    p_holm: float
    """Corrected for the number of pairs that were tested together."""


def task_pairs(data: Comparison, reference: str | None = None) -> list[Pair]:
    """Wilcoxon's signed-rank test on the means of each task, which pairs methods by task.

    Equal means are left out, as Wilcoxon did. With five tasks the least p-value is 0.0625, with six 0.031.

    Args:
        data: see ``comparison``.
        reference: compare each method with this one; None or a method that is not there: compare all pairs.

    Returns:
        Nothing with fewer than ``LEAST_TASKS`` tasks.

    References:
        Demsar 2006, section 3.1.3; Kerby, "The simple difference formula", 2014 (matched-pairs rank-biserial
        correlation: share of the rank sum in favour minus share against).
    """
    if len(data.tasks) < LEAST_TASKS:
        return []
    means = data.means.T
    return _corrected([_wilcoxon(data, means, i, j) for i, j in _pairs(data.methods, reference)])


def run_pairs(data: Comparison, task: str, reference: str | None = None) -> list[Pair]:
    """Mann-Whitney's test over the runs of one task.

    Runs count as independent samples although equal indices share random numbers: where that makes them
    alike, the test finds less than it could.

    Args:
        data: see ``comparison``.
        task: one of ``data.tasks``; Holm's correction is within it.
        reference: as for ``task_pairs``.

    Raises:
        InputError: the task is not there.

    References:
        Vargha and Delaney, "A critique and improvement of the CL common language effect size", 2000: the
        probability that a run of the first beats one of the second, ties counted half.
    """
    if task not in data.tasks:
        raise InputError(f"unknown task {task!r}; there are {', '.join(data.tasks) or 'none'}")
    values = data.values[data.tasks.index(task)]
    return _corrected([_mann_whitney(data, task, values, i, j) for i, j in _pairs(data.methods, reference)])


def _pairs(methods: Sequence[str], reference: str | None) -> list[tuple[int, int]]:
    if reference is None or reference not in methods:
        return list(itertools.combinations(range(len(methods)), 2))
    base = list(methods).index(reference)
    return [(index, base) for index in range(len(methods)) if index != base]


def _wilcoxon(data: Comparison, means: Float[np.ndarray, "methods tasks"], i: int, j: int) -> Pair:
    difference = np.round(means[i] - means[j], DECIMALS)
    other = difference[difference != 0]
    p, effect = 1.0, 0.0
    if other.size:
        p = float(scipy.stats.wilcoxon(other).pvalue)
        size = scipy.stats.rankdata(np.abs(other))
        effect = float((size * np.sign(other)).sum() / size.sum())
    mean = float((means[i] - means[j]).mean())
    names = (ALL_TASKS, data.methods[i], data.methods[j], "wilcoxon", difference.size)
    return Pair(*names, mean, "rank-biserial", effect, p, p)


def _mann_whitney(
    data: Comparison, task: str, values: Float[np.ndarray, "methods runs"], i: int, j: int
) -> Pair:
    first, second = np.round(values[[i, j]], DECIMALS)
    result = scipy.stats.mannwhitneyu(first, second)
    effect, p = float(result.statistic) / first.size**2, float(result.pvalue)
    mean = float(values[i].mean() - values[j].mean())
    names = (task, data.methods[i], data.methods[j], "mann-whitney", first.size)
    return Pair(*names, mean, "vargha-delaney", effect, p, p)


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    adjusted = holm(np.array([pair.p for pair in pairs]))
    return [dataclasses.replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted.tolist(), strict=True)]


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """P-values corrected for being tested together; compare them with the level as they are.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(grown, 1.0)
    return adjusted


# --- performance profiles --------------------------------------------------------------------------------


def gap_ratios(means: Float[np.ndarray, "tasks methods"]) -> Float[np.ndarray, "tasks methods"]:
    """How many times the best method's distance to hypervolume 1 each method has, per task.

    Args:
        means: mean relative hypervolume, at most 1.

    Returns:
        1 for the best and its ties. Where the best distance is zero, methods that share it have 1 and all
        others infinity: no multiple of zero reaches them.
    """
    gaps = np.maximum(np.round(1 - means, DECIMALS), 0.0)
    best = gaps.min(axis=1, keepdims=True)
    ratios = np.full(gaps.shape, np.inf)
    np.divide(gaps, best, out=ratios, where=best > 0)
    return np.where(gaps == best, 1.0, ratios)


def performance_profile(
    means: Float[np.ndarray, "tasks methods"], taus: Float[np.ndarray, " taus"]
) -> Float[np.ndarray, "methods taus"]:
    """Share of the tasks on which a method's distance to 1 is at most tau times the best method's.

    Args:
        means: mean relative hypervolume of one task or more.
        taus: from 1; at 1 stands the share of tasks on which the method is best, or ties.

    References:
        Dolan and More, "Benchmarking optimization software with performance profiles", 2002.
    """
    return (gap_ratios(means)[:, :, None] <= taus).mean(axis=0)


# --- attainment surfaces ---------------------------------------------------------------------------------


class Attained(NamedTuple):
    """What the runs of one method found on one task, in two objectives."""

    costs: Float[np.ndarray, "points 2"]
    """Minimised; within a run no point dominates another."""
    run: Int[np.ndarray, " points"]
    """Which run found it, from 0."""
    num_runs: int
    """All runs, also those that found nothing."""


def attained(
    table: AnyTable, lanes: Lanes, methods: Sequence[str], x: int, y: int
) -> dict[tuple[str, str], Attained]:
    """What every run had found at its end at the highest fidelity, by task and method.

    Args:
        table: the benchmark at its highest fidelity.
        lanes: its runs, see ``collect``.
        methods: display names, as given to ``collect``.
        x: index of the first objective.
        y: index of the second.
    """
    found = {}
    for task, method in sorted(set(zip(lanes.task.tolist(), lanes.method.tolist(), strict=True))):
        picked = np.flatnonzero((lanes.task == task) & (lanes.method == method))
        low, high = np.searchsorted(lanes.lane, [picked[0], picked[-1] + 1])
        costs = table.final_costs(task)[lanes.row[low:high]][:, [x, y]]
        run = lanes.lane[low:high] - picked[0]
        found[table.tasks[task], methods[method]] = _thinned(costs, run, picked.size)
    return found


def _thinned(
    costs: Float[np.ndarray, "points 2"], run: Int[np.ndarray, " points"], num_runs: int
) -> Attained:
    """Without points that another one of the same run dominates or equals: they move no surface."""
    order = np.lexsort((costs[:, 1], costs[:, 0], run))
    costs, run = costs[order], run[order]
    height = np.unique(costs[:, 1], return_inverse=True)[1].reshape(-1)
    # Later runs lie lower altogether, so the running minimum begins anew with each run.
    height = height - run * (height.max(initial=0) + 1)
    keep = np.ones(run.size, bool)
    keep[1:] = height[1:] < np.minimum.accumulate(height)[:-1]
    return Attained(costs[keep], run[keep], num_runs)


def attainment_surfaces(
    points: Attained, levels: Sequence[int] = LEVELS
) -> list[Float[np.ndarray, "corners 2"]]:
    """Boundaries of what at least 25, 50 and 75 % of the runs attained (dominated or equalled).

    Args:
        points: what the runs found.
        levels: shares of the runs in %, above 0.

    Returns:
        One staircase per level, its lower left corners in ascending first objective; empty where too few runs
        found anything.

    Raises:
        InputError: the library moocore is not installed.

    References:
        Grunert da Fonseca, Fonseca and Hall, "Inferential performance assessment of stochastic optimisers and
        the attainment function", 2001; algorithm: Fonseca et al. 2011, as in moocore.
    """
    try:
        import moocore
    except ImportError as error:
        raise InputError(NO_MOOCORE) from error
    present = np.unique(points.run).size
    needed = [max(1, -(-level * points.num_runs // 100)) for level in levels]
    possible = sorted({count for count in needed if count <= present})
    # moocore counts the runs that have a point; the levels are shares of all runs.
    shares = [100 * count / present for count in possible]
    found = moocore.eaf(points.costs, points.run, percentiles=shares) if shares else np.zeros((0, 3))
    corners = {count: _corners(found, share) for count, share in zip(possible, shares, strict=True)}
    return [corners.get(count, np.zeros((0, 2))) for count in needed]


def _corners(surfaces: Float[np.ndarray, "corners 3"], share: float) -> Float[np.ndarray, "own 2"]:
    own = surfaces[surfaces[:, 2] == share, :2]
    return own[np.argsort(own[:, 0], kind="stable")]


# --- sensitivity to settings -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Effect:
    """Mean response at one level of a setting, or at one pair of levels of two settings."""

    settings: tuple[str, ...]
    levels: tuple[str, ...]
    """A level of each setting, as text."""
    mean: float
    ci95: tuple[float, float] | None
    """Bootstrap interval over runs; None for a single run."""
    effect: float
    """One setting: mean minus the mean over its levels. Two: mean minus what the effects of each add up to,
    which is the interaction."""
    effect_ci95: tuple[float, float] | None
    """All levels are resampled together, so what the runs share cancels out."""
    num_blocks: int
    """Combinations of the other settings over which the mean was taken."""


def mean_responses(data: Comparison) -> Float[np.ndarray, "methods runs"]:
    """Each run's mean over tasks, for ``effects``; at least one task."""
    return data.values.mean(axis=0)


def unit_settings(units: Sequence[AnyUnit]) -> dict[str, dict[str, Any]]:
    """Settings of each method of a study by its label, with its base method as one more setting.

    Args:
        units: finished work units; those of one method share their settings.
    """
    specs = {unit.spec["method"]: unit.spec for unit in units}
    return {
        label: {METHOD: spec.get("method_name", label), **spec.get("settings", {})}
        for label, spec in specs.items()
    }


def swept(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Settings that differ between variants, and their levels as text.

    Args:
        settings: one mapping per variant; a setting that a variant lacks has the level ``default`` there.

    Returns:
        Levels in ascending order where they are numbers, then the others as they first appear.
    """
    names = dict.fromkeys(name for variant in settings for name in variant)
    levels = {name: _ordered([variant.get(name, DEFAULT) for variant in settings]) for name in names}
    return {name: found for name, found in levels.items() if len(found) > 1}


def _ordered(values: Sequence[Any]) -> tuple[str, ...]:
    numbers = sorted(value for value in values if _is_number(value))
    others = [value for value in values if not _is_number(value)]
    return tuple(dict.fromkeys(_text(value) for value in [*numbers, *others]))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A level as text: 1 and 1.0 are one level."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, sort_keys=True)


def effects(
    settings: Sequence[Mapping[str, Any]], responses: Float[np.ndarray, "variants runs"], order: int = 1
) -> list[Effect]:
    """Main effects (``order=1``) or two-way interactions (``order=2``) of the settings that differ.

    Only the balanced part of the design counts: combinations of the other settings (blocks) at which every
    level, or pair of levels, was tried. Otherwise a level would be charged with what it was combined with.

    Args:
        settings: one mapping per variant; variants with equal settings are averaged.
        responses: one value per variant and run, such as ``mean_responses``; runs are paired by index.
        order: how many settings at a time.

    Returns:
        One item per setting and level (or pairs of them), levels in the order of ``swept``; settings without
        any complete block are left out.
    """
    if len(settings) != len(responses):
        raise InputError(
            f"settings of {len(settings)} variants, responses of {len(responses)}: they must agree"
        )
    levels = swept(settings)
    coded = [{name: _text(variant.get(name, DEFAULT)) for name in levels} for variant in settings]
    found: list[Effect] = []
    for names in itertools.combinations(levels, order):
        cells = list(itertools.product(*(levels[name] for name in names)))
        blocks = _blocks(coded, responses, names, len(cells))
        if blocks:
            means = np.mean([[block[cell] for cell in cells] for block in blocks], axis=0)
            shape = tuple(len(levels[name]) for name in names)
            found += _effects(names, cells, means, shape, len(blocks))
    return found


def _blocks(
    coded: Sequence[Mapping[str, str]],
    responses: Float[np.ndarray, "variants runs"],
    names: tuple[str, ...],
    num_cells: int,
) -> list[dict[tuple[str, ...], Float[np.ndarray, " runs"]]]:
    """Complete blocks: the responses by level, for each combination of the other settings."""
    blocks: dict[tuple[str, ...], dict[tuple[str, ...], list[np.ndarray]]] = {}
    for variant, response in zip(coded, responses, strict=True):
        others = tuple(level for name, level in variant.items() if name not in names)
        cell = tuple(variant[name] for name in names)
        blocks.setdefault(others, {}).setdefault(cell, []).append(response)
    return [
        {cell: np.mean(same, axis=0) for cell, same in block.items()}
        for block in blocks.values()
        if len(block) == num_cells
    ]


def _effects(
    names: tuple[str, ...],
    cells: Sequence[tuple[str, ...]],
    means: Float[np.ndarray, "cells runs"],
    shape: tuple[int, ...],
    num_blocks: int,
) -> list[Effect]:
    centred = means.reshape(*shape, -1)
    for axis in range(len(shape)):
        centred = centred - centred.mean(axis=axis, keepdims=True)
    centred = centred.reshape(means.shape)
    ends, centred_ends = _ends(means), _ends(centred)
    return [
        Effect(
            names,
            cell,
            float(means[k].mean()),
            ends[k],
            float(centred[k].mean()),
            centred_ends[k],
            num_blocks,
        )
        for k, cell in enumerate(cells)
    ]


def _ends(values: Float[np.ndarray, "cells runs"]) -> list[tuple[float, float] | None]:
    if values.shape[1] < 2:
        return [None] * len(values)
    return [(low, high) for low, high in intervals(values).tolist()]
