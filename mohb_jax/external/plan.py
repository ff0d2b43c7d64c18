"""Runs of an optimiser from outside as a plan: lanes are shared out among processes, one for each core."""

import concurrent.futures
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import brackets_in_levels, levels_of
from mohb_jax.drivers.lanes import Cells, Lanes, blanked
from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.external.connections import Connection, Served
from mohb_jax.external.lanes import Facts, Launch, Rules, TaskCells, run_lane
from mohb_jax.external.server import Problem
from mohb_jax.external.wishes import Wishes
from mohb_jax.schedule import Bracket
from mohb_jax.threads import num_processors
from mohb_jax.transfer import Prior
from mohb_jax.types import Outside, RunLog


class Adapter(NamedTuple):
    """An optimiser from outside.

    Attributes:
        path: ``path/to/file.py:Name`` or ``module:Name`` of its class, see ``server``.
        label: what it is, for messages: ``method 'optuna-tpe'``.
        settings: of the library, as pairs.
        python: interpreter of another environment, or None.
        timeout: seconds that an answer may take.
    """

    path: str
    label: str
    settings: tuple[tuple[str, Any], ...] = ()
    python: str | None = None
    timeout: float = 600.0

    def served(self) -> Served:
        """A process that serves it."""
        return Served(self.path, self.label, self.python, self.timeout)


class Prepared(NamedTuple):
    """What runs need of a table, on the host."""

    wishes: Wishes
    tasks: tuple[TaskCells, ...]
    objectives: tuple[str, ...]
    seed: int


Lane = tuple[list[Launch], Facts]
"""A run's evaluations, and what is to be said of its optimiser."""


@dataclasses.dataclass(frozen=True)
class ExternalPlan:
    """See ``Plan``.

    Attributes:
        adapter: the optimiser.
        brackets: one, with the levels that it may ask for.
        num_workers: see ``Plan``.
        budget: see ``Plan``.
        answer: see ``Rules``.
        repeats: see ``Rules``.
        overhead: see ``Rules``.
        resumable: True if going on pays only the difference; None for what the table says.
    """

    microseconds: ClassVar[float] = 3000.0

    adapter: Adapter
    brackets: tuple[Bracket, ...]
    num_workers: int
    budget: int | None
    answer: str = "nearest"
    repeats: str = "unseen"
    overhead: bool = False
    resumable: bool | None = None
    num_trials: ClassVar[None] = None

    @property
    def most_evaluations(self) -> int | None:
        """See ``Plan``."""
        return self.budget

    def levels(self) -> tuple[int, ...]:
        """See ``Plan``."""
        return levels_of(self.brackets)

    def in_levels(self, used: Sequence[int]) -> "ExternalPlan":
        """See ``Plan``."""
        return dataclasses.replace(self, brackets=brackets_in_levels(self.brackets, used))

    def jobs_per_rung(self, bracket: Bracket) -> tuple[float, ...]:
        """See ``Plan``."""
        return (0.0,) * (len(bracket.levels) - 1) + (1.0,)

    def prepare(self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Prepared:
        """See ``Plan``."""
        del prior
        resumable = table.resumable if self.resumable is None else self.resumable
        cells = tuple(self._cells(table, task, resumable) for task in tasks)
        return Prepared(Wishes(table), cells, tuple(goal.name for goal in table.objectives), seed)

    def _cells(self, table: AnyTable, task: int, resumable: bool) -> TaskCells:
        levels = np.array(self.levels())
        costs, seconds = table.look_up(task, np.arange(table.num_rows)[:, None], levels)
        stored = tuple(float(table.fidelities[level]) for level in levels)
        return TaskCells(costs, seconds, table.measured(task), stored, resumable)

    def run(
        self,
        cells: Cells,
        context: Prepared,
        lanes: Lanes,
        devices: Sequence[jax.Device],
        with_unfinished: bool = False,
    ) -> RunLog:
        """See ``Plan``; results are looked up on the host."""
        del cells, devices
        task, number, horizon = (np.asarray(part) for part in (lanes.task, lanes.run, lanes.horizon))
        share = min(num_processors(), len(task))
        with concurrent.futures.ThreadPoolExecutor(share) as pool:
            shares = [
                pool.submit(
                    self._some, context, task[start::share], number[start::share], horizon[start::share]
                )
                for start in range(share)
            ]
            done: dict[int, Lane] = {}
            for start, future in enumerate(shares):
                done |= zip(range(start, len(task), share), future.result(), strict=True)
        runs, facts = zip(*(done[lane] for lane in range(len(task))), strict=True)
        outside = Outside(*map(np.array, zip(*facts, strict=True)))
        return self._log(runs, context, lanes, with_unfinished)._replace(outside=outside)

    def _some(
        self, context: Prepared, task: np.ndarray, number: np.ndarray, horizon: np.ndarray
    ) -> list[Lane]:
        """Some lanes, one after another, in a process of their own."""
        with self.adapter.served() as optimizer:
            return [
                self.one(optimizer, context, *each)
                for each in zip(task.tolist(), number.tolist(), horizon.tolist(), strict=True)
            ]

    def one(self, optimizer: Connection, context: Prepared, task: int, number: int, horizon: float) -> Lane:
        """One lane from its beginning to its end.

        Args:
            optimizer: any connection.
            context: what ``prepare`` returned.
            task: place in the context.
            number: of the run.
            horizon: simulated seconds; infinite where the budget ends it.

        Raises:
            InputError: with the adapter's name, where it proposes what cannot be answered.
        """
        cells = context.tasks[task]
        end = horizon if np.isfinite(horizon) else None
        problem = Problem(
            context.wishes.columns, context.objectives, cells.fidelities, self.num_workers, self.budget, end
        )
        seed = int(np.random.SeedSequence([context.seed, number]).generate_state(1)[0])
        rules = Rules(self.num_workers, self.budget, horizon, self.answer, self.repeats, self.overhead)
        optimizer.begin(problem, seed, dict(self.adapter.settings))
        try:
            return run_lane(optimizer, context.wishes, cells, rules)
        except UserCodeError:
            raise
        except InputError as error:
            raise InputError(f"{self.adapter.label}: {error}") from None

    def _log(
        self, runs: Sequence[list[Launch]], context: Prepared, lanes: Lanes, with_unfinished: bool
    ) -> RunLog:
        slots = self.budget or max((len(run) for run in runs), default=0)
        shape = (len(runs), slots)
        row, level, worker = (np.full(shape, -1, np.int32) for _ in range(3))
        start, end = (np.full(shape, np.inf) for _ in range(2))
        costs = np.full((*shape, len(context.objectives)), np.inf)
        launched = np.zeros(shape, bool)
        for lane, (run, task) in enumerate(zip(runs, np.asarray(lanes.task).tolist(), strict=True)):
            if not run:
                continue
            own = slice(0, len(run))
            row[lane, own], level[lane, own], start[lane, own], end[lane, own], worker[lane, own] = map(
                np.array, zip(*run, strict=True)
            )
            costs[lane, own] = context.tasks[task].costs[row[lane, own], level[lane, own]]
            launched[lane, own] = True
        horizon = np.inf if with_unfinished else np.asarray(lanes.horizon)[:, None]
        fields = blanked(launched & (end <= horizon), row, level, costs, start, end, worker)
        return RunLog.of(np.asarray(lanes.task), np.asarray(lanes.run), *fields)
