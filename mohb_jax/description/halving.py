"""Whether early stopping can pay on a table: made-up runs of Hyperband against full trainings at random."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import REFERENCE_POINT, normalisation
from mohb_jax.schedule import Bracket

HORIZON = 50
"""Average full trainings in whose seconds a run ends, as a study without a budget has it."""
NUM_RUNS = 512
"""Made up, all tasks together; but at least ``LEAST_RUNS`` of each."""
LEAST_RUNS = 16
NUM_POINTS = 512
"""Of the space of objectives, at random: hypervolume is the share of them that a run dominates."""
SURE = 1.96
"""Standard errors of a difference that is called one."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """Runs of Hyperband, and full trainings at random in the same seconds; means over runs and tasks.

    Attributes:
        started: configurations that a run of Hyperband looks at.
        finished: those of them that it takes to the highest fidelity.
        at_random: full trainings that random search ends in the same time.
        hypervolume: of the finished ones, relative to that of all configurations.
        hypervolume_at_random: the same for random search.
        error: standard error of the difference of these two.
    """

    started: float
    finished: float
    at_random: float
    hypervolume: float
    hypervolume_at_random: float
    error: float

    @property
    def verdict(self) -> str:
        """``can pay``, ``does not pay`` or ``makes no difference``."""
        difference = self.hypervolume - self.hypervolume_at_random
        if abs(difference) <= SURE * self.error:
            return "makes no difference"
        return "can pay" if difference > 0 else "does not pay"


class _Task(NamedTuple):
    """Rows of one task, by place."""

    rank: Float[np.ndarray, "rows levels objectives"]
    """Of each row at each fidelity; failed cells share the worst."""
    runtime: Float[np.ndarray, "rows levels"]
    dominates: Bool[np.ndarray, "rows points"]
    """Points of the space of objectives that a row's final result dominates."""


def halving_measured(
    table: AnyTable, brackets: Sequence[Bracket], rows: Int[np.ndarray, " rows"]
) -> Halving | None:
    """Makes up runs on the cells of a table; None where nothing takes any time.

    Brackets follow one another, each on rows that the run has not had, until the seconds of ``HORIZON``
    average full trainings are over; one worker does one job after another. A bracket weighs the objectives at
    random (uniform on the simplex) and cuts its rungs by the weighted sum of ranks. A rung costs the
    difference in seconds where the table is resumable, else all of its seconds.

    Args:
        table: any table.
        brackets: of a pass of Hyperband.
        rows: those to draw from, of every task those that were measured.
    """
    num_runs = max(LEAST_RUNS, NUM_RUNS // table.num_tasks)
    used = sorted({level for bracket in brackets for level in bracket.levels})
    placed = [Bracket(bracket.sizes, tuple(map(used.index, bracket.levels))) for bracket in brackets]
    tasks = [_task(table, task, rows, used) for task in range(table.num_tasks)]
    found = [
        _runs(part, placed, table.resumable, num_runs, np.random.default_rng(number))
        for number, part in enumerate(tasks)
        if part is not None
    ]
    if not found:
        return None
    each = np.concatenate(found)
    difference = each[:, 3] - each[:, 4]
    started, finished, at_random, own, other = map(float, each.mean(axis=0))
    return Halving(
        started, finished, at_random, own, other, error=float(difference.std() / np.sqrt(len(each)))
    )


def _task(table: AnyTable, task: int, rows: Int[np.ndarray, " rows"], used: list[int]) -> _Task | None:
    """At the levels that are used, the last of which is the highest fidelity; None where nothing takes time
    or has a result."""
    rows = rows[table.measured(task)[rows]]
    if not table.final_available(task)[rows].any():
        return None
    costs, runtime = table.look_up(task, rows[:, None], np.array(used))
    if not runtime[:, -1].any():
        return None
    unit = normalisation(table).apply(costs[:, -1], task)
    rng = np.random.default_rng(0)
    points = rng.random((NUM_POINTS, table.num_objectives)) * REFERENCE_POINT
    dominates = np.ones((rows.size, NUM_POINTS), bool)
    for own, edge in zip(unit.T, points.T, strict=True):
        dominates &= own[:, None] <= edge
    rank = scipy.stats.rankdata(costs, axis=0) / rows.size
    return _Task(rank, runtime, dominates[:, dominates.any(axis=0)])


def _runs(
    task: _Task, brackets: Sequence[Bracket], resumable: bool, num_runs: int, rng: np.random.Generator
) -> Float[np.ndarray, "runs 5"]:
    """Started, finished, finished at random, hypervolume and that at random, of each run."""
    num_rows = len(task.rank)
    budget = HORIZON * task.runtime[:, -1].mean()
    drawn, others = (rng.permuted(np.tile(np.arange(num_rows), (num_runs, 1)), axis=1) for _ in range(2))
    fits = np.cumsum(task.runtime[others, -1], axis=1) <= budget
    finished = np.zeros((num_runs, num_rows), bool)
    started, spent, first = np.zeros(num_runs), np.zeros(num_runs), 0
    while first < num_rows and (spent < budget).any():
        for bracket in brackets:
            own = drawn[:, first : first + bracket.sizes[0]]
            first += bracket.sizes[0]
            weights = rng.dirichlet(np.ones(task.rank.shape[2]), num_runs)
            last, seconds = run_brackets(own, task.rank, task.runtime, weights, bracket, resumable)
            spent += seconds
            in_time = spent <= budget
            started += in_time * own.shape[1]
            np.put_along_axis(finished, last, in_time[:, None], axis=1)
    at_random = np.zeros_like(finished)
    np.put_along_axis(at_random, others, fits, axis=1)
    volumes = [[task.dominates[run].any(axis=0).mean() for run in one] for one in (finished, at_random)]
    return np.stack([started, finished.sum(axis=1), at_random.sum(axis=1), *np.array(volumes)], axis=1)


def run_brackets(
    drawn: Int[np.ndarray, "runs n"],
    rank: Float[np.ndarray, "rows levels objectives"],
    runtime: Float[np.ndarray, "rows levels"],
    weights: Float[np.ndarray, "runs objectives"],
    bracket: Bracket,
    resumable: bool,
) -> tuple[Int[np.ndarray, "runs last"], Float[np.ndarray, " runs"]]:
    """One bracket of each run: rows that reach its last rung, and the seconds that it takes."""
    left, seconds = drawn, np.zeros(len(drawn))
    for rung, (size, level) in enumerate(zip(bracket.sizes, bracket.levels, strict=True)):
        if rung:
            score = np.einsum("rm,rnm->rn", weights, rank[left, bracket.levels[rung - 1]])
            left = np.take_along_axis(left, np.argsort(score, axis=1, kind="stable")[:, :size], 1)
        before = runtime[left, bracket.levels[rung - 1]] if resumable and rung else 0.0
        seconds += (runtime[left, level] - before).sum(axis=1)
    return left, seconds
