"""What all drivers share: the table on the device, lanes, and the forms of what a lane launches."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.types import Array, Key


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["values", "factors", "resumable"],
    meta_fields=["sources", "num_rows", "num_levels"],
)
@dataclasses.dataclass(frozen=True)
class Cells:
    """A table on the device; levels are the fidelities that the plan uses.

    Attributes:
        values: the base table's fields, one record per (task, base row, level): objectives, then cumulative
            runtime. One record is one contiguous read.
        factors: what the fields of each instance type are multiplied by, or None where the table is its own
            base.
        resumable: True if going on pays only the difference in runtime.
        sources: the base's field behind each field of a record.
        num_rows: rows of the table, instance types counted in.
        num_levels: fidelities per row.
    """

    values: Float[Array, "cells base_fields"]
    factors: Float[Array, "types fields"] | None
    resumable: Bool[Array, ""]
    sources: tuple[int, ...]
    num_rows: int
    num_levels: int

    def look_up(
        self, task: Int[Array, ""], row: Int[Array, " n"], level: Int[Array, "..."]
    ) -> tuple[Array, Array]:
        """Costs and cumulative runtime of some rows of a task, at one level or each at its own: [n, m] and
        [n]."""
        num_types = 1 if self.factors is None else self.factors.shape[0]
        base_rows = self.num_rows // num_types
        record = self.values[(task * base_rows + row // num_types) * self.num_levels + level]
        if self.factors is not None:
            record = record[:, np.array(self.sources)] * self.factors[row % num_types]
        # No time is negative. The maximum keeps compilers from fusing the product above with a difference of
        # times, which would round once where plain arithmetic rounds twice.
        return record[:, :-1], jnp.maximum(record[:, -1], 0)


def cells_of(table: AnyTable, levels: Sequence[int], resumable: bool | None) -> Cells:
    """A table on the device, at some of its fidelities.

    Args:
        table: all its tasks are held.
        levels: indices of the fidelities, ascending.
        resumable: None for what the table says.
    """
    values, factors, sources = table.cells(levels)
    return Cells(
        values=jax.device_put(values.reshape(-1, values.shape[-1])),
        factors=None if factors is None else jax.device_put(factors),
        resumable=jnp.asarray(table.resumable if resumable is None else resumable),
        sources=tuple(sources.tolist()),
        num_rows=table.num_rows,
        num_levels=len(levels),
    )


class Lanes(NamedTuple):
    """What sets one lane apart from another."""

    task: Int[Array, " lanes"]
    run: Int[Array, " lanes"]
    key: Key
    horizon: Float[Array, " lanes"]


class Record(NamedTuple):
    """What a step launched, if anything; in order of the log's fields."""

    row: Array
    level: Array
    costs: Array
    start: Array
    end: Array
    worker: Array
    launched: Array


def next_asker(free: Float[Array, " workers"], asks: Bool[Array, ""]) -> Int[jax.Array, ""]:
    """The first worker without a job, whose time in ``free`` is infinite, if one asks and there is any; else
    -1."""
    idle = ~jnp.isfinite(free)
    return jnp.where(asks & jnp.any(idle), jnp.argmax(idle), -1).astype(jnp.int32)


def in_launch_order(record: Record) -> Record:
    """Steps that launched nothing go to the end, and are cut there."""
    order = np.argsort(~record.launched, axis=1, kind="stable")
    most = int(record.launched.sum(axis=1).max(initial=0))

    def sorted_(field: np.ndarray) -> np.ndarray:
        places = order.reshape(order.shape + (1,) * (field.ndim - 2))
        return np.take_along_axis(field, places, axis=1)[:, :most]

    return jax.tree.map(sorted_, record)


def wide(record: Record, slots: int) -> Record:
    def wide(field: np.ndarray) -> np.ndarray:
        return np.pad(field, [(0, 0), (0, slots - field.shape[1])] + [(0, 0)] * (field.ndim - 2))

    return jax.tree.map(wide, record)


def with_slots(part: np.ndarray, slots: int) -> np.ndarray:
    """A field of a log with so many slots; added ones hold nothing."""
    if part.shape[1] >= slots:
        return part[:, :slots]
    filler: Any = False if part.dtype == bool else np.inf if part.dtype.kind == "f" else -1
    width = [(0, 0), (0, slots - part.shape[1])] + [(0, 0)] * (part.ndim - 2)
    return np.pad(part, width, constant_values=filler)


def blanked(
    valid: Bool[Array, "lanes slots"],
    row: Int[Array, "lanes slots"],
    level: Int[Array, "lanes slots"],
    costs: Float[Array, "lanes slots m"],
    start: Float[Array, "lanes slots"],
    end: Float[Array, "lanes slots"],
    worker: Int[Array, "lanes slots"],
) -> tuple[Array, ...]:
    """The arrays of a ``RunLog`` from ``row`` to ``valid``, with its fillers where a slot does not count.

    Arrays of NumPy stay on the host: there, no shape is compiled for.
    """
    xp = valid.__array_namespace__()

    def blank(field: Array, filler: float | int) -> Array:
        mask = valid.reshape(valid.shape + (1,) * (field.ndim - 2))
        return xp.where(mask, field, xp.asarray(filler, dtype=field.dtype))

    return (
        *(blank(field, -1) for field in (row, level)),
        *(blank(field, jnp.inf) for field in (costs, start, end)),
        blank(worker, -1),
        valid,
    )
