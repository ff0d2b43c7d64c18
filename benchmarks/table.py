"""The table: configurations x tasks x fidelities -> objectives and runtime, checked when it is made."""

import dataclasses
import functools
import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from benchmarks import checks
from benchmarks.columns import Column, Level, Objective, require_choice, whole
from benchmarks.errors import InputError

FORMAT = "mohb-table-1"

__all__ = ["Column", "Objective", "Table", "load_table"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Table:
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

    def __post_init__(self) -> None:
        for field in ("columns", "tasks", "fidelities", "objectives"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        checks.check_names(self)
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

    def __repr__(self) -> str:
        shape = f"{self.num_tasks} tasks x {self.num_rows} rows x {self.num_fidelities} fidelities"
        return f"Table({self.name!r}, {shape}, objectives {', '.join(o.name for o in self.objectives)})"

    @property
    def mask(self) -> Bool[np.ndarray, "tasks rows fidelities"]:
        """``available`` as it is after construction: never None."""
        assert self.available is not None  # set in __post_init__; tells the type checker
        return self.available

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

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

    def fidelity_index(self, value: float | int) -> int:
        """Index of a stored fidelity; ``InputError`` with the stored ones if it is not among them."""
        require_choice(f"fidelity of benchmark {self.name!r}:", whole(value), self.fidelities)
        return self.fidelities.index(value)

    def config(self, row: int) -> dict[str, Level]:
        """The configuration of a row as people write it: column name to value or level."""
        values = self.configs[row]
        return {c.name: _decode(c, float(value)) for c, value in zip(self.columns, values, strict=True)}

    def to_values(self, costs: Float[np.ndarray, "... objectives"]) -> Float[np.ndarray, "... objectives"]:
        """Minimised costs, objectives last, as published values: senses turned back."""
        parts = [objective.to_value(costs[..., m]) for m, objective in enumerate(self.objectives)]
        return np.stack(parts, axis=-1)

    def cells(
        self, fidelities: Sequence[int]
    ) -> tuple[Float[np.ndarray, "tasks rows chosen objectives"], Float[np.ndarray, "tasks rows chosen"]]:
        """What the drivers read: costs and runtime at the given indices into ``fidelities``.

        Args:
            fidelities: indices from 0 (not fidelity values), in the order wanted.

        Returns:
            costs, ``+inf`` in every objective where the cell is unavailable; cumulative runtime in seconds,
            finite everywhere (see the class for what an unavailable cell consumes).
        """
        chosen = list(fidelities)
        for index in chosen:
            if not 0 <= index < self.num_fidelities:
                raise InputError(
                    f"table {self.name!r}: fidelity index {index} is not in 0..{self.num_fidelities - 1}"
                )
        if chosen == list(range(self.num_fidelities)):
            return self.costs, self.runtime
        return self.costs[:, :, chosen], self.runtime[:, :, chosen]

    def select(
        self,
        tasks: Sequence[str] | None = None,
        objectives: Sequence[str] | None = None,
        fidelities: Sequence[float | int] | None = None,
    ) -> "Table":
        """The table restricted to some tasks, objectives and fidelities, in the order given.

        Args:
            tasks: names; None keeps all, here and below.
            objectives: names.
            fidelities: values, not indices.

        Raises:
            InputError: with the accepted names, if one is unknown.
        """
        task = range(self.num_tasks) if tasks is None else [self.task_index(name) for name in tasks]
        goal = (
            range(self.num_objectives)
            if objectives is None
            else [self.objective_index(o) for o in objectives]
        )
        level = (
            range(self.num_fidelities) if fidelities is None else [self.fidelity_index(f) for f in fidelities]
        )
        rows = range(self.num_rows)
        return dataclasses.replace(
            self,
            tasks=tuple(self.tasks[t] for t in task),
            objectives=tuple(self.objectives[m] for m in goal),
            fidelities=tuple(self.fidelities[f] for f in level),
            costs=self.costs[np.ix_(task, rows, level, goal)],
            runtime=self.runtime[np.ix_(task, rows, level)],
            available=self.mask[np.ix_(task, rows, level)],
        )

    def at_maximum(self) -> "Table":
        """The table with its highest fidelity only."""
        return self.select(fidelities=self.fidelities[-1:])

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything a result can depend on: all but ``provenance``."""
        digest = hashlib.sha256(json.dumps(_metadata(self), sort_keys=True).encode())
        for array in (self.configs, self.costs, self.runtime, self.mask):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one ``.npz`` file without pickles. An interrupted write leaves the old file, or none."""
        metadata = json.dumps({**_metadata(self), "format": FORMAT, "provenance": self.provenance})
        target = Path(path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    metadata=np.frombuffer(metadata.encode(), np.uint8),
                    **{name: getattr(self, name) for name in ("configs", "costs", "runtime", "available")},
                )
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def load_table(path: str | os.PathLike[str]) -> Table:
    """Reads a table that ``Table.save`` wrote; it is checked again like any other table.

    Raises:
        InputError: if the file is missing, truncated or no table.
    """
    if not Path(path).is_file():
        raise InputError(f"table file {os.fspath(path)!r} does not exist")
    try:
        with np.load(path, allow_pickle=False) as file:
            metadata = json.loads(file["metadata"].tobytes())
            arrays = {name: file[name] for name in ("configs", "costs", "runtime", "available")}
        return _from_metadata(metadata, arrays)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        wanted = "a table written by 'mohb data import' or Table.save"
        raise InputError(f"{os.fspath(path)!r} is damaged or not a table; expected {wanted}") from error


def _decode(column: Column, value: float) -> Level:
    return column.levels[int(value)] if column.has_levels else whole(value)


def _from_metadata(metadata: dict[str, Any], arrays: dict[str, Any]) -> Table:
    """The inverse of ``_metadata``; ``KeyError`` or ``TypeError`` if something else was saved."""
    if metadata.pop("format") != FORMAT:
        raise KeyError("format")
    axes: dict[str, Any] = {name: tuple(metadata.pop(name)) for name in ("tasks", "fidelities")}
    columns = tuple(Column(**{**c, "levels": tuple(c["levels"])}) for c in metadata.pop("columns"))
    objectives = tuple(Objective(**objective) for objective in metadata.pop("objectives"))
    return Table(columns=columns, objectives=objectives, **axes, **metadata, **arrays)


def _metadata(table: Table) -> dict[str, Any]:
    """Everything but the arrays and the provenance, as JSON can hold it."""
    plain = ("name", "tasks", "fidelities", "fidelity_name", "fidelity_unit", "resumable")
    return {
        **{name: getattr(table, name) for name in plain},
        "columns": [dataclasses.asdict(column) for column in table.columns],
        "objectives": [dataclasses.asdict(objective) for objective in table.objectives],
    }
