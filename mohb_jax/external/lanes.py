"""One run of an optimiser from outside: workers, a clock and a table, one event after another.

Workers ask in order at the beginning. When an evaluation ends, the optimiser is told, then that worker asks,
then those who are idle, by their numbers, until one gets nothing.
"""

import heapq
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mohb_jax.errors import InputError
from mohb_jax.external.connections import Connection, Wish
from mohb_jax.external.wishes import Wishes

SAME_FIDELITY = 1e-7
"""Relative difference up to which a fidelity that is asked for is a stored one."""
MOST_REPEATS = 1000
"""Known results in a row that an optimiser is given for nothing before its run ends as an error."""


class TaskCells(NamedTuple):
    """What a run may pay for: the results of one task."""

    costs: Float[np.ndarray, "rows levels objectives"]
    seconds: Float[np.ndarray, "rows levels"]
    measured: Bool[np.ndarray, " rows"]
    fidelities: tuple[float, ...]
    resumable: bool


class Rules(NamedTuple):
    """How a run is simulated.

    Attributes:
        workers: how many evaluate at a time.
        evaluations: most launches; None where the horizon ends the run.
        horizon: simulated seconds; infinite where launches end the run.
        answer: ``nearest`` row to a wish, or ``exact``: preferably one that agrees in all categories.
        repeats: what a wish for a row that was evaluated before gets: ``unseen`` (the nearest that was not),
            ``free`` (the known result, at once), ``pay`` (the same evaluation again).
        overhead: True if an evaluation begins after the processor time that the optimiser took since it
            proposed the one before.
    """

    workers: int
    evaluations: int | None
    horizon: float
    answer: str = "nearest"
    repeats: str = "unseen"
    overhead: bool = False


class Launch(NamedTuple):
    """An evaluation that was begun."""

    row: int
    level: int
    start: float
    end: float
    worker: int


class Facts(NamedTuple):
    """What a run says of its optimiser.

    Attributes:
        proposals: how many it made.
        displaced: those whose nearest row had been taken.
        distance: mean distance between a wish and its row, 1 for the whole range of a column.
        cpu: seconds of processor time it took.
    """

    proposals: int
    displaced: int
    distance: float
    cpu: float


def run_lane(
    optimizer: Connection, wishes: Wishes, cells: TaskCells, rules: Rules
) -> tuple[list[Launch], Facts]:
    """Takes a run that has begun to its end.

    Args:
        optimizer: knows the problem already.
        wishes: the table's rows.
        cells: the results of the run's task.
        rules: of the simulation.

    Returns:
        Evaluations in launch order, also those that end after the horizon, and what is to be said of them.

    Raises:
        InputError: the optimiser proposed what cannot be answered.
    """
    run = _Run(optimizer, wishes, cells, rules)
    run.to_the_end()
    distance = run.distance / max(1, run.answered)
    return run.launches, Facts(run.proposals, run.displaced, distance, optimizer.cpu)


class _Run:
    """The state of one run."""

    def __init__(self, optimizer: Connection, wishes: Wishes, cells: TaskCells, rules: Rules) -> None:
        self.optimizer, self.wishes, self.cells, self.rules = optimizer, wishes, cells, rules
        self.launches: list[Launch] = []
        self.proposals = self.displaced = self.answered = 0
        self.distance = 0.0
        self._free = cells.measured.copy()
        self._used_up = False
        """The optimiser wants a new row, and there is none."""
        self._known: set[tuple[int, int]] = set()
        self._of: dict[int, Launch] = {}
        """The evaluation behind each number of a proposal."""
        self._told: set[int] = set()
        """The proposals whose results are known."""
        self._thought = 0.0
        """Seconds of processor time of the optimiser that are on the clock already."""
        self._running: list[tuple[float, int, int, int]] = []
        """End, worker, place among the launches, number of the proposal."""

    def to_the_end(self) -> None:
        idle = self._hired(list(range(self.rules.workers)), 0.0)
        while self._running:
            end, worker, place, number = heapq.heappop(self._running)
            if end > self.rules.horizon:
                return
            self._tell(number, self.launches[place])
            idle = self._hired([worker, *idle], end)

    def _hired(self, workers: list[int], time: float) -> list[int]:
        """Those of the workers who got nothing: the first of them ends the round."""
        for place, worker in enumerate(workers):
            if not self._launched(worker, time):
                return sorted(workers[place:])
        return []

    def _launched(self, worker: int, time: float) -> bool:
        """Whether a worker has something to do from now on."""
        spent = self.rules.evaluations is not None and len(self.launches) >= self.rules.evaluations
        if spent or time >= self.rules.horizon:
            return False
        for _ in range(MOST_REPEATS):
            wish = None if self._used_up else self.optimizer.ask()
            if wish is None:
                return False
            self.proposals += 1
            self._used_up = wish.resumes is None and self.rules.repeats == "unseen" and not self._free.any()
            if self._used_up:
                return False
            launch = self._launch(wish, worker, time + self._overhead())
            self._of[wish.number] = launch
            if self.rules.repeats != "free" or (launch.row, launch.level) not in self._known:
                self._begin(launch, wish.number)
                return True
            self._tell(wish.number, launch)
        raise InputError(f"its optimiser only proposes what it has seen: {MOST_REPEATS:,} times in a row")

    def _begin(self, launch: Launch, number: int) -> None:
        self._free[launch.row] = False
        self._known.add((launch.row, launch.level))
        heapq.heappush(self._running, (launch.end, launch.worker, len(self.launches), number))
        self.launches.append(launch)

    def _overhead(self) -> float:
        """Seconds that the optimiser took for this proposal, if they count."""
        seconds = self.optimizer.cpu - self._thought
        self._thought = self.optimizer.cpu
        return seconds if self.rules.overhead else 0.0

    def _launch(self, wish: Wish, worker: int, time: float) -> Launch:
        """The evaluation that answers a wish."""
        level = _level(self.cells.fidelities, wish.fidelity)
        paid = 0.0
        if wish.resumes is None:
            row = self._row(wish)
        else:
            before = self._of[wish.resumes]
            row = before.row
            if wish.resumes not in self._told:
                raise InputError(
                    "its optimiser resumes what is still running: accepted is what it was told of"
                )
            if level <= before.level:
                raise InputError(
                    f"its optimiser resumes at fidelity {self.cells.fidelities[level]:g} what went to "
                    f"{self.cells.fidelities[before.level]:g}: accepted is a higher one"
                )
            paid = float(self.cells.seconds[row, before.level]) if self.cells.resumable else 0.0
        return Launch(row, level, time, time + (float(self.cells.seconds[row, level]) - paid), worker)

    def _row(self, wish: Wish) -> int:
        if wish.config is None:
            raise InputError("its optimiser proposes no configuration")
        try:
            codes = self.wishes.codes(wish.config)
        except InputError as error:
            raise InputError(f"its optimiser {error}") from None
        distances = self.wishes.distances(codes, self.rules.answer == "exact")
        row, distance = self.wishes.least(distances, self.cells.measured)
        self.displaced += not self._free[row]
        if self.rules.repeats == "unseen" and not self._free[row]:
            row, distance = self.wishes.least(distances, self._free)
        self.distance += self.wishes.length(distance)
        self.answered += 1
        return row

    def _tell(self, number: int, launch: Launch) -> None:
        costs = self.cells.costs[launch.row, launch.level]
        told = costs.tolist() if np.isfinite(costs).all() else None
        self._told.add(number)
        self.optimizer.tell(number, told, launch.end - launch.start)


def _level(fidelities: tuple[float, ...], asked: Any) -> int:
    """The lowest stored fidelity that is not below what was asked for; the highest if nothing was."""
    if asked is None:
        return len(fidelities) - 1
    if not isinstance(asked, int | float) or math.isnan(asked):
        raise InputError(f"its optimiser proposes fidelity {asked!r}: accepted is a number")
    found = (
        level
        for level, stored in enumerate(fidelities)
        if stored >= asked or math.isclose(stored, asked, rel_tol=SAME_FIDELITY)
    )
    level = next(found, None)
    if level is None:
        raise InputError(
            f"its optimiser proposes fidelity {asked:g}: the highest stored one is {fidelities[-1]:g}"
        )
    return level
