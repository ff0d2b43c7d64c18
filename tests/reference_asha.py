"""Asynchronous successive halving as plain Python on one lane: lists, floats and a loop over events.

A job is one evaluation: a trial is trained until the fidelity of one rung. Everything minimises; the clock is
float64 seconds, and a job ends at ``start + (seconds to its fidelity - seconds already paid)``.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tests.reference import epsilon_net_order, pareto_rank

Order = Callable[[np.ndarray], Sequence[int] | np.ndarray]
"""Costs of n finite rows -> the n indices, best first."""


class Entry(NamedTuple):
    """A job that counts: it ended within the horizon."""

    row: int
    level: int
    start: float
    end: float
    worker: int


class Decision(NamedTuple):
    """What became of a trial (stopping variant), at the end of the job with this launch number.

    ``num_results`` in the rung include the newcomer; ``position`` is the newcomer's among them, from 0, as
    the rule sees it: with ``compat`` the defective one.
    """

    launch: int
    num_results: int
    position: int
    continued: bool


class Job(NamedTuple):
    """Work that one worker is busy with; ``launch`` counts all launched jobs, those that are cut too."""

    launch: int
    trial: int
    rung: int
    start: float
    end: float
    worker: int


def rungs_of(
    fidelities: Sequence[float | int], eta: float | int, grace: float | int, bracket: int = 0
) -> tuple[int, ...]:
    """Levels of a bracket: the lowest stored fidelity that reaches each milestone, and the highest one.

    Milestones are ``grace * eta**(k + bracket)`` up to the highest fidelity, in exact arithmetic. A tolerance
    would change nothing: a milestone just above the highest fidelity would be met there.
    """
    stored = [_as_written(value) for value in fidelities]
    milestone = _as_written(grace) * _as_written(eta) ** bracket
    levels = {len(stored) - 1}
    while milestone <= stored[-1]:
        levels.add(min(i for i in range(len(stored)) if stored[i] >= milestone))
        milestone *= _as_written(eta)
    return tuple(sorted(levels))


def _as_written(value: float | int) -> Fraction:
    return Fraction(str(value))


def share(num_results: int, eta: float | int) -> int:
    """floor(n / eta), exactly."""
    return math.floor(num_results / _as_written(eta))


def full_order(costs: np.ndarray, order: Order) -> list[int]:
    """``order`` of the finite rows, then the failed ones as they arrived."""
    finite, failed = _split(costs)
    return [finite[int(i)] for i in order(costs[finite])] + failed if finite else failed


def defective_positions(costs: np.ndarray, order: Order = epsilon_net_order) -> list[int]:
    """Each row's position as Syne Tune 0.16.0 derives it; the rule divides the last one by their number.

    Two defects in a row. Within a front, the position of each row in the spread-out order is itself used as
    an order. The list of row numbers thus sorted is then taken for the rows' priorities, and a permutation of
    0..n-1 ranks as itself: the newcomer's position is the number of the row that is sorted last.

    Args:
        costs: results of one rung as they arrived, the newcomer last.
        order: only how it arranges the rows of one front matters. By default the epsilon-net on the costs as
            given, as there.
    """
    finite, failed = _split(costs)
    rank = pareto_rank(costs[finite])
    wanted = [int(i) for i in order(costs[finite])] if finite else []
    priorities: list[int] = []
    for front in range(rank.max(initial=-1) + 1):
        members = [i for i in range(len(finite)) if rank[i] == front]
        in_order = [i for i in wanted if rank[i] == front]
        priorities += [finite[members[in_order.index(i)]] for i in members]
    priorities += failed
    return np.argsort(np.argsort(priorities, kind="stable"), kind="stable").tolist()


def _split(costs: np.ndarray) -> tuple[list[int], list[int]]:
    """Indices of the finite rows and of the failed ones."""
    finite = np.all(np.isfinite(costs), axis=1)
    return np.flatnonzero(finite).tolist(), np.flatnonzero(~finite).tolist()


def newcomer_continues(
    costs: np.ndarray, order: Order, eta: float | int, compat: bool = False
) -> tuple[int, bool]:
    """Position of the last of a rung's results, and whether its trial goes on."""
    num_results = len(costs)
    if num_results == 1:
        return 0, True
    if compat:
        position = defective_positions(costs, order)[-1]
        return position, position / num_results <= 1 / eta
    position = full_order(costs, order).index(num_results - 1)
    return position, position < max(1, share(num_results, eta))


def simulate(
    costs: np.ndarray,
    runtime: np.ndarray,
    rows: Sequence[int],
    brackets: Sequence[int],
    rungs: Sequence[Sequence[int]],
    *,
    order: Order,
    num_workers: int,
    resumable: bool = True,
    horizon: float = math.inf,
    budget: int | None = None,
    variant: str = "stop",
    eta: float | int = 3,
    compat: bool = False,
) -> tuple[list[Entry], list[Decision]]:
    """Entries that count in launch order, and their decisions in the order of events.

    Args:
        costs: ``[row, level, objective]``; a failed evaluation is infinite in any objective.
        runtime: ``[row, level]``, seconds from scratch to that level.
        rows: the searcher's suggestions in order; trial t trains ``rows[t]``, and none starts after the last.
        brackets: number of the bracket of each trial; all 0 in the promotion variant.
        rungs: levels of each bracket, ascending, the highest one last.
        order: arranges the finite results of a rung, best first.
        num_workers: they ask in this order at time 0; idle ones ask again after every event.
        resumable: a trial's next rung costs the difference instead of the whole.
        horizon: jobs start before it; those that end after it do not count.
        budget: how many jobs may be launched.
        variant: ``stop`` or ``promote``.
        eta: reduction factor.
        compat: the stopping rule of Syne Tune 0.16.0, see ``defective_positions``.
    """
    run = _Run(costs, runtime, rows, brackets, rungs, resumable, horizon, budget)
    policies: dict[str, type[_Stop] | type[_Promote]] = {"stop": _Stop, "promote": _Promote}
    policy = policies[variant](run, order, eta, compat)
    for worker in range(num_workers):
        run.launch(policy.next_job(None), 0.0, worker)
    while run.busy:
        job = run.busy.pop(min(run.busy, key=lambda w: (run.busy[w].end, w)))
        idle = [w for w in range(num_workers) if w not in run.busy and w != job.worker]
        policy.register(job)
        run.launch(policy.next_job(job), job.end, job.worker)
        for worker in idle:
            run.launch(policy.next_job(None), job.end, worker)
    counts = [job.end <= horizon for job in run.jobs]
    entries = [run.entry(job) for job in run.jobs if counts[job.launch]]
    return entries, [decision for decision in policy.decisions if counts[decision.launch]]


class _Run:
    """Trials, workers and the clock: all that does not decide."""

    def __init__(
        self,
        costs: np.ndarray,
        runtime: np.ndarray,
        rows: Sequence[int],
        brackets: Sequence[int],
        rungs: Sequence[Sequence[int]],
        resumable: bool,
        horizon: float,
        budget: int | None,
    ):
        self.costs, self.runtime, self.rows, self.brackets = costs, runtime, rows, brackets
        self.rungs, self.resumable = rungs, resumable
        self.horizon, self.budget = horizon, math.inf if budget is None else budget
        self.num_trials = 0
        self.jobs: list[Job] = []
        self.busy: dict[int, Job] = {}

    def level(self, trial: int, rung: int) -> int:
        return self.rungs[self.brackets[trial]][rung]

    def result(self, trial: int, rung: int) -> np.ndarray:
        return self.costs[self.rows[trial], self.level(trial, rung)]

    def entry(self, job: Job) -> Entry:
        return Entry(self.rows[job.trial], self.level(job.trial, job.rung), job.start, job.end, job.worker)

    def new_trial(self) -> tuple[int, int] | None:
        """The next trial and its first rung."""
        return (self.num_trials, 0) if self.num_trials < len(self.rows) else None

    def launch(self, wanted: tuple[int, int] | None, time: float, worker: int) -> None:
        """Starts the wanted (trial, rung) unless there is none, or time or budget is over."""
        if wanted is None or time >= self.horizon or len(self.jobs) >= self.budget:
            return
        trial, rung = wanted
        self.num_trials = max(self.num_trials, trial + 1)
        job = Job(len(self.jobs), trial, rung, time, time + self.duration(trial, rung), worker)
        self.jobs.append(job)
        self.busy[worker] = job

    def duration(self, trial: int, rung: int) -> float:
        seconds = self.runtime[self.rows[trial]]
        paid = seconds[self.level(trial, rung - 1)] if self.resumable and rung > 0 else 0.0
        return float(seconds[self.level(trial, rung)] - paid)


class _Stop:
    """A trial that is not among the best of its rung on arrival ends; others go on with their worker."""

    def __init__(self, run: _Run, order: Order, eta: float | int, compat: bool):
        self.run, self.order, self.eta, self.compat = run, order, eta, compat
        self.recorded: dict[tuple[int, int], list[np.ndarray]] = {}
        self.continued: set[Job] = set()
        self.decisions: list[Decision] = []

    def register(self, job: Job) -> None:
        bracket = self.run.brackets[job.trial]
        if job.rung == len(self.run.rungs[bracket]) - 1:
            return
        results = self.recorded.setdefault((bracket, job.rung), [])
        results.append(self.run.result(job.trial, job.rung))
        position, goes_on = newcomer_continues(np.array(results), self.order, self.eta, self.compat)
        self.decisions.append(Decision(job.launch, len(results), position, goes_on))
        if goes_on:
            self.continued.add(job)

    def next_job(self, finished: Job | None) -> tuple[int, int] | None:
        if finished in self.continued:
            return finished.trial, finished.rung + 1
        return self.run.new_trial()


class _Promote:
    """A free worker promotes the best trial that deserves it, from the highest rung that has one."""

    def __init__(self, run: _Run, order: Order, eta: float | int, compat: bool):
        if compat or set(run.brackets) > {0}:
            raise ValueError("the promotion variant has one bracket and no compat form")
        self.run, self.order, self.eta = run, order, eta
        self.recorded: list[list[int]] = [[] for _ in run.rungs[0]]  # trials of each rung as they arrived
        self.promoted: list[set[int]] = [set() for _ in run.rungs[0]]
        self.tops: dict[tuple[int, int], list[int]] = {}
        self.decisions: list[Decision] = []

    def register(self, job: Job) -> None:
        self.recorded[job.rung].append(job.trial)

    def next_job(self, finished: Job | None) -> tuple[int, int] | None:
        del finished
        for rung in reversed(range(len(self.recorded) - 1)):
            for trial in self.top(rung):
                if trial not in self.promoted[rung]:
                    self.promoted[rung].add(trial)
                    return trial, rung + 1
        return self.run.new_trial()

    def top(self, rung: int) -> list[int]:
        """Of a rung's results so far; sorted once for each number of them."""
        trials = self.recorded[rung]
        if not trials:
            return []
        if (rung, len(trials)) not in self.tops:
            costs = np.array([self.run.result(trial, rung) for trial in trials])
            best = full_order(costs, self.order)[: share(len(trials), self.eta)]
            self.tops[rung, len(trials)] = [trials[i] for i in best]
        return self.tops[rung, len(trials)]
