"""Any table on every instance type of the hardware catalogue, without holding the product.

Every configuration may be trained on each of the 37 instance types: a row is a configuration of the base
table and an instance type, in one more categorical column. Runtime is the base's times the relative time of
the instance type, cost is runtime times price per hour / 3600, and all other objectives stay as they are.
This is the rule by which the library that the catalogue comes from made its "cloud" tables (see
``mohb_jax.benchmarks.hardware``).

Two assumptions are made, and stated in each table's provenance. The base's runtime is declared to have been
measured on one instance type, ml.p2.xlarge unless another is given: what machine it was really measured on
is mostly unknown, and the choice scales all runtimes and costs alike. Relative times are those of a single
training script: one factor per instance type is all that the data support, whatever the model.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks import checks, hardware
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable, CellSource
from mohb_jax.benchmarks.npz import write_npz
from mohb_jax.benchmarks.table import Table, stored_metadata, table_arrays, table_from

from mohb_jax.errors import InputError

FORMAT = "mohb-crossing-1"
RUNTIME = Objective("runtime", "min", "s")
COST = Objective("cost", "min", "USD")
MOST_NUMBERS = 1 << 26
"""Most numbers that ``CrossedTable.dense`` makes at once: half a gigabyte."""


def cross_table(
    table: AnyTable,
    base_instance: str = hardware.BASE,
    name: str | None = None,
    catalogue: str = hardware.USUAL,
) -> "CrossedTable":
    """A table on every instance type of a catalogue.

    The base's objectives named ``runtime`` or ``cost``, in money, or equal to its runtime give way to
    runtime in s and cost in USD; the others come first, in their order.

    Args:
        table: without hardware columns, with measured or modelled runtime.
        base_instance: instance type that its runtime is declared to belong to.
        name: of the crossing; if None, ``<base>-cloud``, and ``<base>-cloud-<catalogue>`` for any but the
            usual catalogue.
        catalogue: ``resnet`` (37 types) or ``distilbert`` (18 types with GPUs); see
            ``mohb_jax.benchmarks.hardware``.

    Raises:
        InputError: if the table has hardware columns or no runtime of its own, or there is no such catalogue
            or instance type in it.
    """
    instance = hardware.instance(base_instance, catalogue)
    measured = hardware.CATALOGUES[catalogue].measured
    _check_no_hardware(table)
    base = _base(table)
    kept = [objective for m, objective in enumerate(base.objectives) if not _gives_way(base, m)]
    return CrossedTable(
        name=name or crossed_name(table.name, catalogue),
        table=_with_runtime(base, [objective.name for objective in kept]),
        column=hardware.instance_column(catalogue=catalogue),
        relative_times=hardware.relative_times(instance.name, catalogue),
        prices=hardware.prices(catalogue),
        objectives=(*kept, RUNTIME, COST),
        provenance=(
            f"{table.provenance} Crossed with {len(hardware.instances(catalogue))} instance types "
            f"(github.com/talesa/syne-tune, Apache-2.0; {measured}): runtime = base runtime, "
            f"declared to be that on {instance.name}, x relative time; cost = runtime x price / 3600."
        ).strip(),
    )


def crossed_name(base: str, catalogue: str = hardware.USUAL) -> str:
    """What a crossing of a table of that name is called."""
    return f"{base}-cloud" if catalogue == hardware.USUAL else f"{base}-cloud-{catalogue}"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CrossedTable(AnyTable):
    """A table whose rows are those of a smaller one on each of H types of machine; see the module.

    Row ``H * c + h`` is configuration ``c`` of the base on type ``h``. Only the base's cells are held. A cell
    is available where the base's is.

    Attributes:
        name: unique among benchmarks.
        table: the base; one of its objectives is ``runtime``, its runtime.
        column: categorical, its levels are the H types.
        relative_times: seconds on each type for a second of the base.
        prices: USD per hour of each type.
        objectives: of the base (without ``runtime``), ``RUNTIME`` and ``COST``, or some of these.
        provenance: see ``Table``.

    The other attributes of ``AnyTable`` follow from these.
    """

    name: str
    table: Table
    column: Column
    relative_times: np.ndarray  # [types] float64
    prices: np.ndarray  # [types] float64
    objectives: tuple[Objective, ...]
    provenance: str = ""
    columns: tuple[Column, ...] = dataclasses.field(init=False)
    configs: np.ndarray = dataclasses.field(init=False)  # [rows, columns] float64
    tasks: tuple[str, ...] = dataclasses.field(init=False)
    fidelities: tuple[float | int, ...] = dataclasses.field(init=False)
    fidelity_name: str = dataclasses.field(init=False)
    fidelity_unit: str = dataclasses.field(init=False)
    resumable: bool = dataclasses.field(init=False)
    descriptors: Mapping[str, Sequence[float]] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        for field in ("relative_times", "prices"):
            object.__setattr__(self, field, self._per_type(field))
        object.__setattr__(self, "objectives", tuple(self.objectives))
        object.__setattr__(self, "columns", (*self.table.columns, self.column))
        object.__setattr__(self, "configs", self._configs())
        for field in ("tasks", "fidelities", "fidelity_name", "fidelity_unit", "resumable", "descriptors"):
            object.__setattr__(self, field, getattr(self.table, field))
        checks.check_names(self)
        _ = self.sources  # for its error: the base must know every objective
        for array in (self.configs, self.relative_times, self.prices):
            array.setflags(write=False)

    @property
    def num_types(self) -> int:
        """H, the number of types of machine."""
        return len(self.column.levels)

    @functools.cached_property
    def factors(self) -> Float[np.ndarray, "types fields"]:
        """See ``CellSource``: 1, the relative time, or USD for a second of the base."""
        kinds = {RUNTIME: self.relative_times, COST: self.relative_times * self.prices / 3600}
        same = np.ones(self.num_types)
        return np.stack([kinds.get(objective, same) for objective in (*self.objectives, RUNTIME)], axis=1)

    @functools.cached_property
    def sources(self) -> Int[np.ndarray, " fields"]:
        """See ``CellSource``; runtime and cost come from the base's objective ``runtime``.

        Unlike the base's runtime itself, that is infinite in unavailable cells, as an objective must be.
        """
        names = [RUNTIME.name if objective == COST else objective.name for objective in self.objectives]
        return np.array([*(self.table.objective_index(name) for name in names), self.table.num_objectives])

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``AnyTable``."""
        digest = hashlib.sha256(self.table.fingerprint.encode())
        digest.update(json.dumps(self._metadata(), sort_keys=True).encode())
        for array in (self.relative_times, self.prices):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    @property
    def num_missing(self) -> int:
        """See ``AnyTable``."""
        return self.table.num_missing * self.num_types

    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """See ``AnyTable``."""
        return self._crossed(self.table.costs[task, :, -1])

    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return np.repeat(self.table.mask[task, :, -1], self.num_types)

    def measured(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return np.repeat(self.table.measured(task), self.num_types)

    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """See ``AnyTable``."""
        return (self.table.runtime[task, :, -1, None] * self.relative_times).reshape(-1)

    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """See ``AnyTable``."""
        # What is multiplied is never negative, so the smallest product is that of the smallest numbers.
        return self.table.lowest_costs()[:, self.sources[:-1]] * self.factors[:, :-1].min(axis=0)

    def cells(self, fidelities: Sequence[int]) -> CellSource:
        """See ``AnyTable``: the base's cells are held."""
        held = self.table.cells(checks.fidelity_indices(self, fidelities))
        return held._replace(factors=self.factors, sources=self.sources)

    def dense(
        self, fidelities: Sequence[int]
    ) -> tuple[Float[np.ndarray, "tasks rows chosen objectives"], Float[np.ndarray, "tasks rows chosen"]]:
        """See ``AnyTable``. For small tables and few fidelities: the product is made here."""
        chosen = checks.fidelity_indices(self, fidelities)
        numbers = self.num_tasks * self.num_rows * len(chosen) * (self.num_objectives + 1)
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"table {self.name!r} has {numbers:,} numbers at these fidelities, and at most "
                f"{MOST_NUMBERS:,} are made at once: select fewer tasks or fidelities"
            )
        shape = (self.num_tasks, self.num_rows, len(chosen))
        costs = self._crossed(np.moveaxis(self.table.costs[:, :, chosen], 2, 1))
        runtime = self.table.runtime[:, :, None, chosen] * self.relative_times[:, None]
        return np.moveaxis(costs, 1, 2), runtime.reshape(shape)

    def look_up(
        self,
        task: Int[np.ndarray, "..."] | int,
        row: Int[np.ndarray, "..."],
        fidelity: Int[np.ndarray, "..."] | int,
    ) -> tuple[Float[np.ndarray, "... objectives"], Float[np.ndarray, "..."]]:
        """See ``AnyTable``: only the cells asked for are made."""
        base, kind = np.divmod(row, self.num_types)
        costs = self.table.costs[task, base, fidelity][..., self.sources[:-1]] * self.factors[kind, :-1]
        return costs, self.runtime_of(task, row, fidelity)

    def runtime_of(
        self,
        task: Int[np.ndarray, "..."] | int,
        row: Int[np.ndarray, "..."],
        fidelity: Int[np.ndarray, "..."] | int,
    ) -> Float[np.ndarray, "..."]:
        """See ``AnyTable``."""
        base, kind = np.divmod(row, self.num_types)
        return self.table.runtime[task, base, fidelity] * self.relative_times[kind]

    def costs_of(self, task: int, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some objectives"]:
        """See ``ResultTable``."""
        return self.look_up(task, rows, -1)[0]

    def select(
        self,
        tasks: Sequence[str] | None = None,
        objectives: Sequence[str] | None = None,
        fidelities: Sequence[float | int] | None = None,
    ) -> "CrossedTable":
        """See ``AnyTable``; the base keeps all its objectives."""
        names = [o.name for o in self.objectives] if objectives is None else objectives
        for task in tasks or ():
            self.task_index(task)  # for its error, which names this table and not its base
        return dataclasses.replace(
            self,
            table=self.table.select(tasks=tasks, fidelities=fidelities),
            objectives=tuple(self.objectives[self.objective_index(name)] for name in names),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """See ``AnyTable``."""
        base = stored_metadata(self.table)
        metadata = {**self._metadata(), "provenance": self.provenance, "base": base}
        arrays = {"relative_times": self.relative_times, "prices": self.prices}
        write_npz(path, FORMAT, metadata, {**table_arrays(self.table), **arrays})

    def _crossed(self, base: Float[np.ndarray, "*cells base"]) -> Float[np.ndarray, "*rows objectives"]:
        """Costs on all types from the base's; the last axis but one holds configurations, and then rows."""
        fields = base[..., None, self.sources[:-1]] * self.factors[:, :-1]
        return fields.reshape(*base.shape[:-2], self.num_types * base.shape[-2], self.num_objectives)

    def _configs(self) -> Float[np.ndarray, "rows columns"]:
        """Every configuration on every type, which is in the last column and varies fastest."""
        types = np.tile(np.arange(self.num_types, dtype=np.float64), self.table.num_rows)
        return np.column_stack([np.repeat(self.table.configs, self.num_types, axis=0), types])

    def _per_type(self, field: str) -> Float[np.ndarray, " types"]:
        values = np.array(getattr(self, field), np.float64)
        if values.shape != (self.num_types,) or not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"table {self.name!r}: {field} must be {self.num_types} numbers above 0")
        return values

    def _metadata(self) -> dict[str, Any]:
        """Everything but the arrays, the base and the provenance, as JSON can hold it."""
        return {
            "name": self.name,
            "column": dataclasses.asdict(self.column),
            "objectives": [dataclasses.asdict(objective) for objective in self.objectives],
        }


def crossed_from(metadata: dict[str, Any], arrays: dict[str, Any]) -> CrossedTable:
    """The inverse of ``CrossedTable.save``; ``KeyError`` or ``TypeError`` if something else was saved."""
    own = {field: arrays.pop(field) for field in ("relative_times", "prices")}
    column = metadata.pop("column")
    return CrossedTable(
        table=table_from(metadata.pop("base"), arrays),
        column=Column(**{**column, "levels": tuple(column["levels"])}),
        objectives=tuple(Objective(**objective) for objective in metadata.pop("objectives")),
        **own,
        **metadata,
    )


def _check_no_hardware(table: AnyTable) -> None:
    hardware_column = next((column.name for column in table.columns if column.role == "hardware"), None)
    if hardware_column is not None:
        raise InputError(
            f"table {table.name!r} cannot be crossed with the catalogue: its column {hardware_column!r} is "
            "hardware already"
        )


def _base(table: AnyTable) -> Table:
    """The table as the base of a crossing: it holds its cells and has a runtime of its own."""
    if not isinstance(table, Table):
        raise InputError(
            f"table {table.name!r} cannot be crossed with the catalogue: it is a {type(table).__name__}, and "
            "a Table is needed"
        )
    if np.array_equal(table.runtime, np.broadcast_to(np.array(table.fidelities), table.runtime.shape)):
        raise InputError(
            f"table {table.name!r} cannot be crossed with the catalogue: it has no runtime of its own (every "
            "evaluation takes as many seconds as its fidelity)"
        )
    return table


def _gives_way(table: Table, objective: int) -> bool:
    """True for an objective that runtime and cost of the crossing stand for."""
    described = table.objectives[objective]
    if described.name in (RUNTIME.name, COST.name) or described.unit in ("USD", "EUR"):
        return True
    return bool(np.array_equal(table.costs[..., objective][table.mask], table.runtime[table.mask]))


def _with_runtime(table: Table, kept: list[str]) -> Table:
    """The table with the objectives kept and, last, its runtime."""
    goals = [table.objective_index(name) for name in kept]
    return dataclasses.replace(
        table,
        objectives=(*(table.objectives[m] for m in goals), RUNTIME),
        costs=np.concatenate([table.costs[..., goals], table.runtime[..., None]], axis=-1),
    )
