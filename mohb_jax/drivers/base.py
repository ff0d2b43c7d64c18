"""The contract of plans: what simulations and studies know of them, whatever their kind."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import jax

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.lanes import Cells, Lanes
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Context
from mohb_jax.settings import Settings as Checked
from mohb_jax.settings import count, setting
from mohb_jax.transfer import Prior
from mohb_jax.types import RunLog

MAX_WORKERS = 10_000
"""A lane keeps a clock for each worker."""


@dataclasses.dataclass(frozen=True)
class Conditions(Checked):
    """Under which a method runs: they belong to the study, not to the method.

    The horizon, in simulated seconds, travels with each lane.

    Attributes:
        workers: number of simulated workers.
        resumable: True if promotion pays only the difference in runtime; None for what the table says.
        evaluations: budget of evaluations of a run, counted in launch order; None where its horizon ends it.
    """

    workers: int = setting(4, "simulated workers", check=count(MAX_WORKERS))
    resumable: bool | None = setting(
        None, "whether promotion pays only the difference in runtime; by default what the table says"
    )
    evaluations: int | None = setting(None, "budget of evaluations of a run", check=count())


@runtime_checkable
class Plan(Protocol):
    """All that is static in the runs of a method on a table, and the driver that takes them to their end.

    ``simulate`` and studies call nothing else, so a new kind of run is a new class with these members.
    """

    microseconds: ClassVar[float]
    """Of an evaluation of a lane among thousands, on two processors (docs/performance.md), where the method
    does not say more."""

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """What a pass, or a run, evaluates."""

    @property
    def num_workers(self) -> int:
        """Simulated workers."""

    @property
    def budget(self) -> int | None:
        """Evaluations of a lane; None where its horizon ends it."""

    @property
    def most_evaluations(self) -> int | None:
        """Evaluations that a lane makes at most, whatever its horizon; None if nothing but that ends it."""

    @property
    def num_trials(self) -> int | None:
        """Rows that a lane starts at most, where it is told so."""

    def prepare(self, table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Context:
        """What lanes of the named tasks may know before they start; see ``searchers.base.PrepareFn``."""

    def levels(self) -> tuple[int, ...]:
        """Indices of the table's fidelities that lanes may have, ascending; the last may come again."""

    def in_levels(self, used: Sequence[int]) -> "Plan":
        """The plan in terms of places among the fidelities that are used."""

    def run(
        self,
        cells: Cells,
        context: Context,
        lanes: Lanes,
        devices: Sequence[jax.Device],
        with_unfinished: bool = False,
    ) -> RunLog:
        """Runs every lane to its end, on all the devices; fidelities of the log are levels of ``cells``.

        Args:
            cells: the table at ``levels()``.
            context: what ``prepare`` returned.
            lanes: the runs.
            devices: where they run.
            with_unfinished: keeps jobs that end after the horizon, and may keep some beyond the budget.
        """

    def jobs_per_rung(self, bracket: Bracket) -> tuple[float, ...]:
        """How often each rung of a bracket is evaluated for one evaluation of the first, roughly: for
        estimates."""


def levels_of(brackets: Sequence[Bracket]) -> tuple[int, ...]:
    """All levels of some brackets, ascending."""
    return tuple(sorted({level for bracket in brackets for level in bracket.levels}))


def brackets_in_levels(brackets: Sequence[Bracket], used: Sequence[int]) -> tuple[Bracket, ...]:
    """Brackets in terms of places among the fidelities that are used."""
    place = {level: index for index, level in enumerate(used)}
    return tuple(
        dataclasses.replace(bracket, levels=tuple(place[level] for level in bracket.levels))
        for bracket in brackets
    )
