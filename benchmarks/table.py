"""The table: configurations x tasks x fidelities -> objectives and runtime, checked when it is made."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from mohb_jax.benchmarks import checks
from mohb_jax.benchmarks.columns import Column, Objective, whole
from mohb_jax.benchmarks.contract import CellSource
from mohb_jax.benchmarks.descriptors import checked
from mohb_jax.benchmarks.npz import write_npz

FORMAT = "mohb-table-1"

__all__ = ["Column", "Objective", "Table"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Table(checks.HeldTable):
    """A dense tabular benchmark; two tables are the same when their ``fingerprint`` is.

    Everything is checked at construction and the arrays are read-only afterwards. Missing cells are said to
    be so by ``available``: whatever the given costs hold there is replaced by ``+inf`` in all objectives at
    once (the only place where NaN is replaced; NaN or infinity in an available cell is an error). A missing
    cell still costs time: its own given runtime where that is finite, otherwise the median over the task's
    available cells at that fidelity, kept between the row's neighbouring fidelities if the table is
    resumable. A constant objective is legal.

    Attributes:
        name: unique among benchmarks.
        columns: meaning of ``configs``' columns.
        configs: one distinct row per configuration: values, or indices into ``Column.levels``.
        tasks: names.
        fidelities: positive, increasing; the last one is the target.
        fidelity_name: for people, for example ``epochs``.
        fidelity_unit: unit of ``fidelities``.
        objectives: name, published sense and unit per objective.
        costs: objective values as minimised (``Objective.to_cost``).
        runtime: seconds from scratch to that fidelity. In a resumable table it may not fall with fidelity;
            where every fidelity is a training of its own (``resumable`` False) it may.
        available: False where nothing is known; None means that all cells are available.
        resumable: True if going on from a lower fidelity costs only the difference in runtime.
        descriptors: what is known of the tasks without training, by name a number for each, NaN if unknown;
            no part of the fingerprint.
        provenance: where the numbers come from, which are measured, cited or modelled.

    Raises:
        InputError: naming the table and the task, row, column or fidelity at fault.
    """

    name: str
    columns: tuple[Column, ...]
    configs: np.ndarray  # [rows, columns] float64
    tasks: tuple[str, ...]
    fidelities: tuple[float | int, ...]
    fidelity_name: str
    fidelity_unit: str
    objectives: tuple[Objective, ...]
    costs: np.ndarray  # [tasks, rows, fidelities, objectives] float64
    runtime: np.ndarray  # [tasks, rows, fidelities] float64
    available: np.ndarray | None = None  # [tasks, rows, fidelities] bool
    resumable: bool = True
    provenance: str = ""
    descriptors: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in ("columns", "tasks", "fidelities", "objectives"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        checks.check_names(self)
        object.__setattr__(self, "descriptors", checked(self.name, self.tasks, self.descriptors))
        object.__setattr__(self, "fidelities", tuple(whole(value) for value in self.fidelities))
        for field in ("configs", "costs", "runtime"):
            object.__setattr__(self, field, checks.as_floats(self, field))
        object.__setattr__(self, "available", checks.as_mask(self))
        checks.check_shapes(self)
        checks.check_configs(self)
        checks.check_cells(self)
        object.__setattr__(self, "runtime", checks.fill_runtime(self))
        self.costs[~self.mask] = np.inf
        checks.check_monotone(self)
        for array in (self.configs, self.costs, self.runtime, self.mask):
            array.setflags(write=False)

    @property
    def num_missing(self) -> int:
        """See ``AnyTable``."""
        return int(np.count_nonzero(~self.mask))

    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """See ``AnyTable``."""
        return self.costs[task, :, -1]

    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return self.mask[task, :, -1]

    def measured(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return self.mask[task].any(axis=-1)

    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return self.runtime[task, :, -1]

    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """See ``AnyTable``."""
        return self.costs.min(axis=(1, 2))  # unavailable cells are infinite, and no task has only those

    def cells(self, fidelities: Sequence[int]) -> CellSource:
        """See ``AnyTable``: every field is held as it is."""
        costs, runtime = self.dense(fidelities)
        values = np.concatenate([costs, runtime[..., None]], axis=-1)
        return CellSource(values, None, np.arange(self.num_objectives + 1))

    def dense(
        self, fidelities: Sequence[int]
    ) -> tuple[Float[np.ndarray, "tasks rows chosen objectives"], Float[np.ndarray, "tasks rows chosen"]]:
        """See ``AnyTable``; all fidelities in order are given without a copy."""
        chosen = checks.fidelity_indices(self, fidelities)
        if chosen == list(range(self.num_fidelities)):
            return self.costs, self.runtime
        return self.costs[:, :, chosen], self.runtime[:, :, chosen]

    def task_cells(
        self, task: int
    ) -> tuple[Float[np.ndarray, "rows fidelities objectives"], Float[np.ndarray, "rows fidelities"]]:
        """See ``AnyTable``; nothing is copied."""
        return self.costs[task], self.runtime[task]

    def select(
        self,
        tasks: Sequence[str] | None = None,
        objectives: Sequence[str] | None = None,
        fidelities: Sequence[float | int] | None = None,
    ) -> "Table":
        """See ``AnyTable``."""
        task = range(self.num_tasks) if tasks is None else [self.task_index(name) for name in tasks]
        goal = (
            range(self.num_objectives)
            if objectives is None
            else [self.objective_index(o) for o in objectives]
        )
        level = (
            range(self.num_fidelities) if fidelities is None else [self.fidelity_index(f) for f in fidelities]
        )
        return dataclasses.replace(
            self,
            tasks=tuple(self.tasks[t] for t in task),
            objectives=tuple(self.objectives[m] for m in goal),
            fidelities=tuple(self.fidelities[f] for f in level),
            costs=_taken(self.costs, {0: task, 2: level, 3: goal}),
            runtime=_taken(self.runtime, {0: task, 2: level}),
            available=_taken(self.mask, {0: task, 2: level}),
            descriptors={name: [own[t] for t in task] for name, own in self.descriptors.items()},
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``AnyTable``."""
        digest = hashlib.sha256(json.dumps(table_metadata(self), sort_keys=True).encode())
        for array in (self.configs, self.costs, self.runtime, self.mask):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """See ``AnyTable``."""
        write_npz(path, FORMAT, stored_metadata(self), table_arrays(self))


def _taken(array: np.ndarray, chosen: Mapping[int, Sequence[int]]) -> np.ndarray:
    """Some indices along some axes; an axis of which all are chosen costs nothing."""
    for axis, indices in chosen.items():
        if list(indices) != list(range(array.shape[axis])):
            array = np.take(array, indices, axis)
    return array


def table_from(metadata: dict[str, Any], arrays: dict[str, Any]) -> Table:
    """The inverse of ``table_metadata`` and ``table_arrays``; ``KeyError`` or ``TypeError`` otherwise."""
    axes: dict[str, Any] = {name: tuple(metadata.pop(name)) for name in ("tasks", "fidelities")}
    columns = tuple(Column(**{**c, "levels": tuple(c["levels"])}) for c in metadata.pop("columns"))
    objectives = tuple(Objective(**objective) for objective in metadata.pop("objectives"))
    return Table(columns=columns, objectives=objectives, **axes, **metadata, **arrays)


def table_arrays(table: Table) -> dict[str, np.ndarray]:
    """The arrays that a file holds."""
    return {name: getattr(table, name) for name in ("configs", "costs", "runtime", "available")}


def stored_metadata(table: Table) -> dict[str, Any]:
    """What a file holds beside the arrays: ``table_metadata``, and what is no part of the fingerprint."""
    described = {"descriptors": table.descriptors} if table.descriptors else {}
    return {**table_metadata(table), "provenance": table.provenance, **described}


def table_metadata(table: Table) -> dict[str, Any]:
    """Everything but the arrays, the provenance and the descriptors, as JSON can hold it."""
    plain = ("name", "tasks", "fidelities", "fidelity_name", "fidelity_unit", "resumable")
    return {
        **{name: getattr(table, name) for name in plain},
        "columns": [dataclasses.asdict(column) for column in table.columns],
        "objectives": [dataclasses.asdict(objective) for objective in table.objectives],
    }
