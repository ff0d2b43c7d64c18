"""Several tables of one space as one table with several tasks."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from mohb_jax.benchmarks.cell_values import SAME_VALUE
from mohb_jax.benchmarks.contract import SAME_FIDELITY
from mohb_jax.benchmarks.descriptors import of_all
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

SHARED = ("columns", "objectives", "fidelities", "fidelity_name", "fidelity_unit", "resumable")


def join_tables(tables: Sequence[Table], name: str) -> Table:
    """One table with the tasks of all, for methods that transfer between them.

    Args:
        tables: with the same columns, rows in the same order, objectives and fidelities; what differs by
            rounding is the same.
        name: of the result.

    Raises:
        InputError: naming what two of them differ in, or a task that stands in both.
    """
    first = tables[0]
    for other in tables[1:]:
        for field in SHARED:
            if not _alike(getattr(first, field), getattr(other, field)):
                raise InputError(
                    f"tables {first.name!r} and {other.name!r} cannot be joined: their {field} differ, "
                    f"{_brief(getattr(first, field))} and {_brief(getattr(other, field))}"
                )
        same = first.configs.shape == other.configs.shape
        if not same or not np.allclose(first.configs, other.configs, rtol=SAME_VALUE, atol=0):
            raise InputError(
                f"tables {first.name!r} and {other.name!r} cannot be joined: their rows differ; the "
                f"{first.num_rows} and {other.num_rows} must be the same configurations in the same order"
            )
    return dataclasses.replace(
        first,
        name=name,
        tasks=tuple(task for table in tables for task in table.tasks),
        costs=np.concatenate([np.where(table.mask[..., None], table.costs, np.nan) for table in tables]),
        runtime=np.concatenate([table.runtime for table in tables]),
        available=np.concatenate([table.mask for table in tables]),
        descriptors=of_all(tables),
        provenance=" ".join(dict.fromkeys(table.provenance for table in tables)),
    )


def _alike(one: object, other: object) -> bool:
    """Equality, but for the rounding of fidelities."""
    if not isinstance(one, tuple) or not isinstance(other, tuple) or len(one) != len(other):
        return one == other
    numbers = all(isinstance(value, float | int) for value in (*one, *other))
    return bool(np.allclose(one, other, rtol=SAME_FIDELITY, atol=0)) if numbers else one == other


def _brief(value: object) -> str:
    """Names of columns and objectives, other values as they are."""
    if isinstance(value, tuple):
        return ", ".join(str(getattr(entry, "name", entry)) for entry in value)
    return repr(value)
