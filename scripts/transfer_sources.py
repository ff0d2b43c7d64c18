"""Sources of other quality: tables whose other tasks are made worse, to learn from and never to run on.

A method that transfers prepares on such a table and runs on the true one (``simulate(..., sources=...)``), so
that the task held out keeps its own values. Which rows were measured in a task stays as it is, too.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from mohb_jax.benchmarks.contract import AnyTable, CellSource

from mohb_jax.errors import InputError

Results = Callable[[Any, Any, Any], np.ndarray]
"""Minimised costs of (task, row, fidelity), indices that broadcast against each other."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class OtherResults(AnyTable):
    """A table with other results at the rows that were measured in each task.

    Attributes:
        table: what everything but the results is taken from.
        results: where they come from.
    """

    table: AnyTable
    results: Results

    def __post_init__(self) -> None:
        for field in ("name", "columns", "configs", "tasks", "fidelities", "fidelity_name", "fidelity_unit"):
            object.__setattr__(self, field, getattr(self.table, field))
        for field in ("objectives", "resumable", "provenance"):
            object.__setattr__(self, field, getattr(self.table, field))

    @property
    def fingerprint(self) -> str:
        """Of nothing that is stored."""
        raise InputError(f"{self.name!r} with other results is learnt from, and never stored")

    def measured(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return self.table.measured(task)

    def look_up(self, task: Any, row: Any, fidelity: Any) -> tuple[np.ndarray, np.ndarray]:
        """See ``AnyTable``; a row that was not measured in a task stays so."""
        runtime = self.table.look_up(task, row, fidelity)[1]
        known = np.stack([self.measured(number) for number in range(self.num_tasks)])[task, row]
        costs = np.where(known[..., None], self.results(task, row, fidelity), np.inf)
        return np.broadcast_to(costs, (*runtime.shape, self.num_objectives)), runtime

    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """See ``AnyTable``."""
        return self.look_up(task, np.arange(self.num_rows), self.num_fidelities - 1)[0]

    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return np.isfinite(self.final_costs(task)[:, 0])

    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return self.table.final_runtime(task)

    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """See ``AnyTable``."""
        return np.stack([self.task_cells(task)[0].min(axis=(0, 1)) for task in range(self.num_tasks)])

    def select(
        self,
        tasks: Sequence[str] | None = None,
        objectives: Sequence[str] | None = None,
        fidelities: Sequence[float | int] | None = None,
    ) -> "OtherResults":
        """See ``AnyTable``."""
        names = [objective.name for objective in self.objectives]
        task = np.array([self.task_index(name) for name in self.tasks if tasks is None or name in tasks])
        goal = [self.objective_index(name) for name in objectives or names]
        level = np.array([self.fidelity_index(value) for value in fidelities or self.fidelities])
        results = self.results
        return OtherResults(
            self.table.select([self.tasks[t] for t in task], objectives, fidelities),
            lambda t, row, f: results(np.array(task[t]), row, np.array(level[f]))[..., goal],
        )

    def cells(self, fidelities: Sequence[int]) -> CellSource:
        """Nothing runs here."""
        raise InputError(f"{self.name!r} with other results is learnt from: nothing runs on it")

    def dense(self, fidelities: Sequence[int]) -> Any:
        """Nothing runs here."""
        raise InputError(f"{self.name!r} with other results is learnt from: nothing runs on it")

    def save(self, path: Any) -> None:
        """Not a table of its own."""
        raise InputError(f"{self.name!r} with other results is learnt from, and never stored")


def reversed_results(table: AnyTable) -> OtherResults:
    """Each objective negated, so that the best are the worst; failed cells stay failed."""

    def results(task: Any, row: Any, fidelity: Any) -> np.ndarray:
        costs = table.look_up(task, row, fidelity)[0]
        return np.where(np.isfinite(costs), -costs, np.inf)

    return OtherResults(table, results)


def shuffled_results(table: AnyTable, good: int | None = None, seed: int = 0) -> OtherResults:
    """The measured rows of each task permuted, each task by itself; the task ``good`` stays as it is."""
    order = np.tile(np.arange(table.num_rows), (table.num_tasks, 1))
    for task in range(table.num_tasks):
        if task != good:
            own = np.flatnonzero(table.measured(task))
            order[task, own] = np.random.default_rng((seed, task)).permutation(own)
    return OtherResults(table, lambda task, row, level: table.look_up(task, order[task, row], level)[0])


def foreign_results(table: AnyTable, other: AnyTable) -> OtherResults:
    """The values of another table's tasks, given to the rows by their number.

    Tasks, rows and objectives are counted round where the other table has fewer; fidelities are counted from
    the highest.
    """
    goal = np.arange(table.num_objectives) % other.num_objectives

    def results(task: Any, row: Any, fidelity: Any) -> np.ndarray:
        level = np.maximum(fidelity + np.array(other.num_fidelities - table.num_fidelities), 0)
        place = np.asarray(row) % other.num_rows
        number = np.asarray(task % np.array(other.num_tasks))
        return other.look_up(number, place, np.asarray(level))[0][..., goal]

    return OtherResults(table, results)
