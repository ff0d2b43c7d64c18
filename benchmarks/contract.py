"""What can be asked of any table, whether it holds all its cells or makes them from a smaller one."""

import abc
import math
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.columns import Column, Level, Objective, require_choice, whole

SAME_FIDELITY = 1e-7
"""Fidelities that differ by less, relatively, are one: 0.3 as 32 bits hold it, and as 64 do."""

Kind = TypeVar("Kind", bound="AnyTable")
"""The caller's own kind of table."""


class CellSource(NamedTuple):
    """Where a driver looks up results: the numbers that a table holds, and how its own follow from them.

    With H the number of rows of ``factors``, field j of the record of (task, row, level) is

        ``values[task, row // H, level, sources[j]] * factors[row % H, j]``

    where a record's fields are the table's objectives, minimised, and then the runtime from scratch in
    seconds.
    """

    values: Float[np.ndarray, "tasks held chosen held_fields"]
    """The fields that are held, ``+inf`` in all objectives of an unavailable cell; levels as asked for."""
    factors: Float[np.ndarray, "types fields"] | None
    """None where every record is held as it is: then H is 1 and all factors are."""
    sources: Int[np.ndarray, " fields"]
    """The held field behind each field of a record."""


class ResultTable(abc.ABC):
    """What may count as a result of tuning on each task: rows with costs, as reports see them.

    A row is a configuration at the highest fidelity of a table, or at any one of them (``EveryFidelity``).
    """

    name: str
    columns: tuple[Column, ...]
    tasks: tuple[str, ...]
    fidelity_name: str
    fidelity_unit: str
    objectives: tuple[Objective, ...]
    resumable: bool
    provenance: str

    @property
    @abc.abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything a result can depend on: all but ``provenance``."""

    @property
    @abc.abstractmethod
    def num_rows(self) -> int:
        """Number of results that each task may have."""

    @abc.abstractmethod
    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """Minimised costs of all rows on one task, ``+inf`` in all where unavailable."""

    @abc.abstractmethod
    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """True for the rows that are available on one task."""

    @abc.abstractmethod
    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """Seconds from scratch to each row's result on one task, finite everywhere."""

    @abc.abstractmethod
    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """The smallest value of each objective over all available cells, fidelities included."""

    @abc.abstractmethod
    def costs_of(self, task: int, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some objectives"]:
        """``final_costs`` of some rows."""

    @abc.abstractmethod
    def place(self, rows: Int[np.ndarray, " some"]) -> tuple[Int[np.ndarray, " some"], list[float | int]]:
        """The configuration behind each row, as a row of the stored table, and its fidelity."""

    @abc.abstractmethod
    def config(self, row: int) -> dict[str, Level]:
        """What stands behind a row as people write it: column name to value or level."""

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def num_objectives(self) -> int:
        """Number of objectives."""
        return len(self.objectives)

    def task_index(self, name: str) -> int:
        """Index of a task; ``InputError`` with the accepted names if there is none of that name."""
        require_choice(f"task of benchmark {self.name!r}:", name, self.tasks)
        return self.tasks.index(name)

    def objective_index(self, name: str) -> int:
        """Index of an objective; ``InputError`` with the accepted names if there is none of that name."""
        names = [objective.name for objective in self.objectives]
        require_choice(f"objective of benchmark {self.name!r}:", name, names)
        return names.index(name)

    def to_values(self, costs: Float[np.ndarray, "... objectives"]) -> Float[np.ndarray, "... objectives"]:
        """Minimised costs, objectives last, as published values: senses turned back."""
        parts = [objective.to_value(costs[..., m]) for m, objective in enumerate(self.objectives)]
        return np.stack(parts, axis=-1)


class AnyTable(ResultTable):
    """A table as drivers and studies see it, whatever it holds; as a ``ResultTable`` it is its highest
    fidelity.

    The attributes are those of ``Table``.
    """

    configs: np.ndarray  # [rows, columns] float64
    fidelities: tuple[float | int, ...]

    descriptors: Mapping[str, Sequence[float]] = MappingProxyType({})
    """What is known of the tasks without training, by name a number for each; see
    ``benchmarks.descriptors``."""

    def __repr__(self) -> str:
        shape = f"{self.num_tasks} tasks x {self.num_rows} rows x {self.num_fidelities} fidelities"
        goals = ", ".join(objective.name for objective in self.objectives)
        return f"{type(self).__name__}({self.name!r}, {shape}, objectives {goals})"

    @abc.abstractmethod
    def measured(self, task: int) -> Bool[np.ndarray, " rows"]:
        """True for the rows of one task that are available at some fidelity: those that can be proposed.

        A row that is available early but not at the highest fidelity is a failed run; a row that is available
        nowhere was never tried in this task.
        """

    @abc.abstractmethod
    def cells(self, fidelities: Sequence[int]) -> CellSource:
        """All results at the given indices into ``fidelities``, as a driver needs them.

        Args:
            fidelities: indices from 0 (not fidelity values), in the order wanted.

        Raises:
            InputError: if there is no such fidelity.
        """

    @abc.abstractmethod
    def dense(
        self, fidelities: Sequence[int]
    ) -> tuple[Float[np.ndarray, "tasks rows chosen objectives"], Float[np.ndarray, "tasks rows chosen"]]:
        """Costs and runtime at the given indices into ``fidelities``, written out.

        Args:
            fidelities: as for ``cells``.

        Returns:
            costs, ``+inf`` in every objective where the cell is unavailable; cumulative runtime in seconds,
            finite everywhere (see ``Table`` for what an unavailable cell consumes).

        Raises:
            InputError: if there is no such fidelity, or the arrays would not fit in memory.
        """

    @abc.abstractmethod
    def select(
        self: Kind,
        tasks: Sequence[str] | None = None,
        objectives: Sequence[str] | None = None,
        fidelities: Sequence[float | int] | None = None,
    ) -> Kind:
        """The table restricted to some tasks, objectives and fidelities, in the order given.

        Args:
            tasks: names; None keeps all, here and below.
            objectives: names.
            fidelities: values, not indices.

        Raises:
            InputError: with the accepted names, if one is unknown.
        """

    @abc.abstractmethod
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one ``.npz`` file without pickles. An interrupted write leaves the old file, or none."""

    def look_up(
        self,
        task: Int[np.ndarray, "..."] | int,
        row: Int[np.ndarray, "..."],
        fidelity: Int[np.ndarray, "..."] | int,
    ) -> tuple[Float[np.ndarray, "... objectives"], Float[np.ndarray, "..."]]:
        """Minimised costs and cumulative runtime of single cells; indices broadcast against each other.

        Returns:
            As ``dense`` has them.
        """
        costs, runtime = self.dense(range(self.num_fidelities))
        return costs[task, row, fidelity], runtime[task, row, fidelity]

    def runtime_of(
        self,
        task: Int[np.ndarray, "..."] | int,
        row: Int[np.ndarray, "..."],
        fidelity: Int[np.ndarray, "..."] | int,
    ) -> Float[np.ndarray, "..."]:
        """The cumulative runtime of single cells, as ``look_up`` has it."""
        return self.dense(range(self.num_fidelities))[1][task, row, fidelity]

    def task_cells(
        self, task: int
    ) -> tuple[Float[np.ndarray, "rows fidelities objectives"], Float[np.ndarray, "rows fidelities"]]:
        """Minimised costs and cumulative runtime of one task, as ``dense`` has them."""
        rows, levels = np.arange(self.num_rows)[:, None], np.arange(self.num_fidelities)
        return self.look_up(task, rows, levels)

    def costs_of(self, task: int, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some objectives"]:
        """See ``ResultTable``."""
        return self.final_costs(task)[rows]

    def place(self, rows: Int[np.ndarray, " some"]) -> tuple[Int[np.ndarray, " some"], list[float | int]]:
        """See ``ResultTable``."""
        return rows, [self.fidelities[-1]] * len(rows)

    @property
    def num_rows(self) -> int:
        """Number of configurations."""
        return int(self.configs.shape[0])

    @property
    def num_columns(self) -> int:
        """Number of configuration columns."""
        return len(self.columns)

    @property
    def num_fidelities(self) -> int:
        """Number of stored fidelities."""
        return len(self.fidelities)

    @property
    def num_missing(self) -> int:
        """Number of cells (task, row, fidelity) that are unavailable."""
        rows = np.arange(self.num_rows)
        return sum(
            int(np.isinf(self.look_up(task, rows, level)[0][:, 0]).sum())
            for task in range(self.num_tasks)
            for level in range(self.num_fidelities)
        )

    def fidelity_index(self, value: float | int) -> int:
        """Index of a stored fidelity; ``InputError`` with the stored ones if it is not among them."""
        near = [math.isclose(value, stored, rel_tol=SAME_FIDELITY) for stored in self.fidelities]
        if value not in self.fidelities and any(near):
            return near.index(True)
        require_choice(f"fidelity of benchmark {self.name!r}:", whole(value), self.fidelities)
        return self.fidelities.index(value)

    def config(self, row: int) -> dict[str, Level]:
        """The configuration of a row as people write it: column name to value or level."""
        values = self.configs[row]
        return {c.name: _decode(c, float(value)) for c, value in zip(self.columns, values, strict=True)}

    def at_maximum(self: Kind) -> Kind:
        """The table with its highest fidelity only."""
        return self.select(fidelities=self.fidelities[-1:])


def _decode(column: Column, value: float) -> Level:
    return column.levels[int(value)] if column.has_levels else whole(value)
