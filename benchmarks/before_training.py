"""What a table says of its configurations before any of them is trained."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.contract import AnyTable

from mohb_jax.errors import InputError

KNOWN_UNITS = ("parameters", "FLOP")
"""Units of objectives that follow from a configuration alone. A measured time, energy or cost does not."""


def known_objectives(table: AnyTable, declared: Sequence[str] | None = None) -> tuple[int, ...]:
    """Indices of the objectives that are known without training: those in ``KNOWN_UNITS``.

    Args:
        table: any.
        declared: names to take in place of those; None for none.

    Raises:
        InputError: if a name is unknown.
    """
    if declared is not None:
        return tuple(sorted({table.objective_index(name) for name in declared}))
    return tuple(i for i, objective in enumerate(table.objectives) if objective.unit in KNOWN_UNITS)


def known_costs(table: AnyTable, task: int, known: Sequence[int]) -> Float[np.ndarray, "rows known"]:
    """Known objectives of every row, as a method may read them beforehand.

    Where a table lacks them, because the evaluation failed, the task's median stands in: what is known
    beforehand must not tell that a row will fail.

    Args:
        table: any.
        task: index of the task.
        known: indices of objectives, as ``known_objectives`` gives them; at least one.

    Raises:
        InputError: no row has values.
    """
    costs = table.final_costs(task)[:, list(known)]
    fine = np.isfinite(costs).all(axis=1)
    if not fine.any():
        names = ", ".join(table.objectives[index].name for index in known)
        raise InputError(f"{names} of table {table.name!r}: known objectives need values before any training")
    median = np.median(costs[fine], axis=0)
    return np.where(fine[:, None], costs, median)


def size_columns(table: AnyTable) -> tuple[int, ...]:
    """Indices of the columns that say how large a model is: numbers with the role architecture."""
    return tuple(
        i
        for i, column in enumerate(table.columns)
        if column.role == "architecture" and column.kind != "categorical"
    )


def operation_columns(table: AnyTable) -> tuple[int, ...]:
    """Indices of the columns that name operations, such as those of a network's edges: categories with the
    role architecture."""
    return tuple(
        i
        for i, column in enumerate(table.columns)
        if column.role == "architecture" and column.kind == "categorical"
    )
