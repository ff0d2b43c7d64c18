"""The checks behind ``Table``: each raises an ``InputError`` that names the place at fault."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from mohb_jax.benchmarks.columns import ALL_TASKS, LARGEST, Column, require_label
from mohb_jax.benchmarks.contract import AnyTable

from mohb_jax.errors import InputError


class HeldTable(AnyTable):
    """A table that holds all its cells: what is checked here. The attributes are those of ``Table``."""

    costs: np.ndarray  # [tasks, rows, fidelities, objectives] float64
    runtime: np.ndarray  # [tasks, rows, fidelities] float64
    available: np.ndarray | None  # [tasks, rows, fidelities] bool

    @property
    def mask(self) -> Bool[np.ndarray, "tasks rows fidelities"]:
        """``available`` as it is after construction: never None."""
        assert self.available is not None  # set while it is made; tells the type checker
        return self.available


def check_names(table: AnyTable) -> None:
    """Names are there and distinct, units known, fidelities positive and increasing."""
    if not table.name:
        raise InputError("a table needs a name")
    for what, names in (
        ("column", [column.name for column in table.columns]),
        ("objective", [objective.name for objective in table.objectives]),
        ("task", list(table.tasks)),
    ):
        _check_distinct(table.name, what, names)
    if ALL_TASKS in table.tasks:
        raise InputError(
            f"table {table.name!r}: a task is named {ALL_TASKS!r}, which is what reports call the mean over "
            "tasks; give it another name"
        )
    require_label(f"fidelity unit of table {table.name!r}", table.fidelity_unit)
    _check_fidelities(table.name, table.fidelities)


def as_floats(table: HeldTable, field: str) -> Float[np.ndarray, "..."]:
    """A field as a float64 array of its own, so that nobody else can change it."""
    try:
        return np.array(getattr(table, field), dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise InputError(f"table {table.name!r}: {field} must be an array of numbers") from None


def as_mask(table: HeldTable) -> Bool[np.ndarray, "..."]:
    """``available`` as an array of its own; None stands for all True."""
    if table.available is None:
        return np.ones(table.runtime.shape, bool)
    available = np.array(table.available, order="C")
    if available.dtype != bool:
        raise InputError(f"table {table.name!r}: available must hold booleans, got {available.dtype}")
    return available


def check_shapes(table: HeldTable) -> None:
    """The shapes of all arrays follow from tasks, rows, fidelities and objectives."""
    if table.configs.ndim != 2:
        raise InputError(f"table {table.name!r}: configs must have two axes, got {table.configs.shape}")
    rows = table.configs.shape[0]
    cells = (len(table.tasks), rows, len(table.fidelities))
    wanted = {
        "configs": (rows, len(table.columns)),
        "costs": (*cells, len(table.objectives)),
        "runtime": cells,
        "available": cells,
    }
    if rows == 0:
        raise InputError(f"table {table.name!r} has no rows")
    for field, shape in wanted.items():
        if getattr(table, field).shape != shape:
            raise InputError(
                f"table {table.name!r}: {field} has shape {getattr(table, field).shape}, expected {shape}"
            )


def check_configs(table: HeldTable) -> None:
    """See ``check_rows``."""
    check_rows(f"table {table.name!r}", table.columns, table.configs)


def check_rows(what: str, columns: Sequence[Column], configs: Float[np.ndarray, "rows columns"]) -> None:
    """Values are finite, positive in log columns and indices where there are levels; rows are distinct."""
    for values, column in zip(configs.T, columns, strict=True):
        bad = np.flatnonzero(~_accepted(values, column))
        if bad.size:
            row = int(bad[0])
            place = f"{what}, row {row}, column {column.name!r}"
            raise InputError(f"{place}: {values[row]:g} is not {_wanted(column)}")
    order = np.lexsort(configs.T)
    same = np.flatnonzero(np.all(np.diff(configs[order], axis=0) == 0, axis=1))
    if same.size:
        first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
        raise InputError(f"{what}: rows {first} and {second} are the same configuration")


def check_cells(table: HeldTable) -> None:
    """Available cells hold finite costs and a finite runtime >= 0; each task has some at every fidelity."""
    _check_finite(table)
    _check_turned(table)
    empty = np.argwhere(~table.mask.any(axis=1))
    if empty.size:
        task, fidelity = empty[0]
        raise InputError(
            f"table {table.name!r}, task {table.tasks[task]!r}: no row is available at fidelity "
            f"{table.fidelities[fidelity]}; leave out the task or the fidelity"
        )


def fidelity_indices(table: AnyTable, fidelities: Sequence[int]) -> list[int]:
    """The indices as a list; each must be that of a stored fidelity."""
    for index in fidelities:
        if not 0 <= index < table.num_fidelities:
            raise InputError(
                f"table {table.name!r}: fidelity index {index} is not in 0..{table.num_fidelities - 1}"
            )
    return list(fidelities)


def fill_runtime(table: HeldTable) -> Float[np.ndarray, "tasks rows fidelities"]:
    """Runtime with every unknown entry filled: the task's median at that fidelity over its available cells.

    In a resumable table the filled value is moved between the known values of the row, so that it does not
    fall.
    """
    runtime, known = table.runtime, np.isfinite(table.runtime) & (table.runtime >= 0)
    if known.all():
        return runtime
    median = np.nanmedian(np.where(table.mask, runtime, np.nan), axis=1, keepdims=True)
    filled = np.where(known, runtime, median)
    if not table.resumable:
        return filled
    below = np.maximum.accumulate(np.where(known, runtime, -np.inf), axis=2)
    above = np.minimum.accumulate(np.where(known, runtime, np.inf)[:, :, ::-1], axis=2)[:, :, ::-1]
    ordered = np.maximum.accumulate(np.clip(filled, below, above), axis=2)
    return np.where(known, runtime, ordered)


def check_monotone(table: HeldTable) -> None:
    """In a resumable table runtime does not fall with fidelity."""
    if not table.resumable or table.runtime.shape[2] < 2:
        return
    falls = np.argwhere(np.diff(table.runtime, axis=2) < 0)
    if falls.size:
        task, row, fidelity = (int(index) for index in falls[0])
        before, after = table.runtime[task, row, fidelity : fidelity + 2]
        raise InputError(
            f"{_place(table, task, row, fidelity + 1)}: runtime falls from {before:g} s to {after:g} s; "
            "a resumable table needs cumulative runtime (resumable: false accepts this)"
        )


def _check_distinct(table: str, what: str, names: Sequence[str]) -> None:
    if not names:
        raise InputError(f"table {table!r} has no {what}")
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"table {table!r} has two {what}s named {twice!r}")


def _check_fidelities(table: str, fidelities: Sequence[float | int]) -> None:
    values = np.asarray(fidelities, np.float64)
    if values.size == 0:
        raise InputError(f"table {table!r} has no fidelity")
    if not (np.isfinite(values).all() and values[0] > 0 and (np.diff(values) > 0).all()):
        raise InputError(
            f"table {table!r}: fidelities must be positive and increasing, got {tuple(fidelities)}"
        )


def _accepted(values: Float[np.ndarray, " rows"], column: Column) -> Bool[np.ndarray, " rows"]:
    if column.has_levels:
        return (values >= 0) & (values < len(column.levels)) & (values == np.floor(values))
    return np.isfinite(values) & ((values > 0) | (column.kind != "log"))


def _wanted(column: Column) -> str:
    if column.has_levels:
        return f"an index into its {len(column.levels)} levels"
    return "a finite number" if column.kind == "continuous" else "a finite number above 0"


def _check_finite(table: HeldTable) -> None:
    with np.errstate(invalid="ignore"):
        bad_cost = np.argwhere(table.mask[..., None] & ~(np.abs(table.costs) <= LARGEST))
        bad_runtime = np.argwhere(table.mask & ~((table.runtime >= 0) & (table.runtime <= LARGEST)))
    if bad_cost.size:
        task, row, fidelity, objective = (int(index) for index in bad_cost[0])
        raise InputError(
            f"{_place(table, task, row, fidelity)}, objective {table.objectives[objective].name!r}: "
            f"{table.costs[task, row, fidelity, objective]:g} in an available cell; a number up to "
            f"{LARGEST:g} is needed"
        )
    if bad_runtime.size:
        task, row, fidelity = (int(index) for index in bad_runtime[0])
        raise InputError(
            f"{_place(table, task, row, fidelity)}: runtime {table.runtime[task, row, fidelity]:g} s; "
            f"a number of seconds from 0 to {LARGEST:g} is needed"
        )


def _check_turned(table: HeldTable) -> None:
    """A maximised fraction above 1 (or % above 100) has the wrong unit: its error would be negative."""
    for m, objective in enumerate(table.objectives):
        if objective.sense == "min" or objective.unit not in ("fraction", "%"):
            continue
        bad = np.argwhere(table.mask & (table.costs[..., m] < -1e-9))
        if bad.size:
            task, row, fidelity = (int(index) for index in bad[0])
            value = objective.to_value(float(table.costs[task, row, fidelity, m]))
            raise InputError(
                f"{_place(table, task, row, fidelity)}, objective {objective.name!r}: "
                f"{value:g} is above the maximum of unit {objective.unit!r}"
            )


def _place(table: HeldTable, task: int, row: int, fidelity: int) -> str:
    return (
        f"table {table.name!r}, task {table.tasks[task]!r}, row {row}, fidelity {table.fidelities[fidelity]}"
    )
