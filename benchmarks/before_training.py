"""What a table says of its configurations before any of them is trained."""

from collections.abc import Sequence

from mohb_jax.benchmarks.contract import AnyTable

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


def size_columns(table: AnyTable) -> tuple[int, ...]:
    """Indices of the columns that say how large a model is: numbers with the role architecture."""
    return tuple(
        i
        for i, column in enumerate(table.columns)
        if column.role == "architecture" and column.kind != "categorical"
    )
