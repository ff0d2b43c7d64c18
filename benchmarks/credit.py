"""What of a table counts as a result of tuning: its highest fidelity alone, or every one.

    full    evaluations at the highest fidelity
    logged  every evaluation, at its own fidelity
    passed  every evaluation, and the stored fidelities that it went through before its own

Whatever counts is measured against the true front of all that may count, which comes from the table and never
from runs: ``full`` against the rows at the highest fidelity, the others against every row at every fidelity.
"""

import dataclasses
import functools
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.columns import Column, Level, Objective
from mohb_jax.benchmarks.contract import AnyTable, ResultTable

Credit = Literal["full", "logged", "passed"]
CREDITS: tuple[Credit, ...] = get_args(Credit)
MEANINGS: dict[Credit, str] = {
    "full": "only evaluations at the highest fidelity count",
    "logged": "every evaluation counts, at its own fidelity",
    "passed": "every fidelity that a run went through counts",
}
SIDE_BY_SIDE: tuple[Credit, ...] = ("full", "passed")
"""What a study shows unless it says otherwise."""


@dataclasses.dataclass(frozen=True, eq=False)
class EveryFidelity(ResultTable):
    """The results of a table at all of its fidelities; its cells are read where they lie, never copied.

    With F fidelities, row ``F * r + f`` is row r of the table at its fidelity number f.

    Attributes:
        table: with all its fidelities.
        passed: True if an evaluation brings the fidelities that it goes through, too: the table is resumable,
            and they are to count.
    """

    table: AnyTable
    passed: bool = False
    name: str = dataclasses.field(init=False)
    columns: tuple[Column, ...] = dataclasses.field(init=False)
    tasks: tuple[str, ...] = dataclasses.field(init=False)
    fidelity_name: str = dataclasses.field(init=False)
    fidelity_unit: str = dataclasses.field(init=False)
    objectives: tuple[Objective, ...] = dataclasses.field(init=False)
    resumable: bool = dataclasses.field(init=False)
    provenance: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        same = ("name", "tasks", "fidelity_name", "fidelity_unit", "objectives", "resumable", "provenance")
        for field in same:
            object.__setattr__(self, field, getattr(self.table, field))
        names = [column.name for column in self.table.columns]
        own = self.fidelity_name if self.fidelity_name not in names else f"{self.fidelity_name} (fidelity)"
        object.__setattr__(self, "columns", (*self.table.columns, Column(own, "continuous")))

    @property
    def fingerprint(self) -> str:
        """That of the table."""
        return self.table.fingerprint

    @property
    def num_rows(self) -> int:
        """See ``ResultTable``."""
        return self.table.num_rows * self.table.num_fidelities

    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """See ``ResultTable``."""
        return self.table.task_cells(task)[0].reshape(self.num_rows, self.num_objectives)

    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``ResultTable``."""
        return np.isfinite(self.final_costs(task)[:, 0])

    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """See ``ResultTable``."""
        return self.table.task_cells(task)[1].reshape(-1)

    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """See ``ResultTable``."""
        return self.table.lowest_costs()

    def costs_of(self, task: int, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some objectives"]:
        """See ``ResultTable``."""
        return self.table.look_up(task, *np.divmod(rows, self.table.num_fidelities))[0]

    def place(self, rows: Int[np.ndarray, " some"]) -> tuple[Int[np.ndarray, " some"], list[float | int]]:
        """See ``ResultTable``."""
        row, fidelity = np.divmod(rows, self.table.num_fidelities)
        return row, [self.table.fidelities[index] for index in fidelity.tolist()]

    def config(self, row: int) -> dict[str, Level]:
        """See ``ResultTable``; the fidelity comes last."""
        place, fidelity = divmod(row, self.table.num_fidelities)
        return {**self.table.config(place), self.columns[-1].name: self.table.fidelities[fidelity]}

    @functools.cached_property
    def available(self) -> Bool[np.ndarray, "tasks rows fidelities"]:
        """True for the cells that hold a result."""
        costs = (self.table.task_cells(task)[0] for task in range(self.num_tasks))
        return np.stack([np.isfinite(own[..., 0]) for own in costs])

    @functools.cached_property
    def worthwhile(self) -> Bool[np.ndarray, "tasks rows fidelities"]:
        """False for cells that are unavailable, and for most that an earlier fidelity of their row dominates.

        A training that goes through such a cell has what dominates it already, so it changes no indicator.
        Compared is the earlier fidelity with the least first objective, which is quick and finds most.
        """
        return np.stack([_worthwhile(self.table.task_cells(task)[0]) for task in range(self.num_tasks)])


def _worthwhile(
    costs: Float[np.ndarray, "rows fidelities objectives"],
) -> Bool[np.ndarray, "rows fidelities"]:
    """``EveryFidelity.worthwhile`` of one task."""
    kept = np.isfinite(costs[..., 0])
    best = costs[:, 0].copy()
    for level in range(1, costs.shape[1]):
        here = costs[:, level]
        kept[:, level] &= (best > here).any(axis=1) | (best == here).all(axis=1)
        better = here[:, 0] < best[:, 0]
        best[better] = here[better]
    return kept


def effective(table: AnyTable, credit: Credit) -> Credit:
    """The simplest credit that counts the same on a table.

    Nothing is passed on the way where every fidelity is a training of its own (``resumable`` is False), and
    with one fidelity all is in full.
    """
    if table.num_fidelities == 1:
        return "full"
    return "logged" if credit == "passed" and not table.resumable else credit


def counted(table: AnyTable, credit: Credit) -> ResultTable:
    """What of a table may count.

    Args:
        table: with all its fidelities.
        credit: see the module.
    """
    chosen = effective(table, credit)
    if chosen == "full":
        return table if table.num_fidelities == 1 else table.at_maximum()
    return EveryFidelity(table, passed=chosen == "passed")
