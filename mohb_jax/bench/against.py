"""Rows of an earlier bench, and how today's compare with them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mohb_jax.bench.row import Row
from mohb_jax.errors import InputError
from mohb_jax.store import read_json


def earlier_values(path: Path) -> dict[str, float]:
    """Values by the names of rows, from a file of ``mohb bench --json``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    if not path.is_file():
        raise InputError(f"--against {path} does not exist: a file of mohb bench --json is needed")
    rows = read_json(path)
    try:
        values = {str(row["name"]): float(row["value"]) for row in rows}
    except (TypeError, KeyError, ValueError):
        values = {}
    if not values or not all(math.isfinite(value) and value > 0 for value in values.values()):
        raise InputError(f"--against {path} holds no rows of mohb bench --json")
    return values


def compared(row: Row, earlier: Mapping[str, float]) -> str:
    """Value now over value then."""
    if row.name not in earlier:
        return "not in the earlier file"
    return f"{row.value / earlier[row.name]:.3g} x {earlier[row.name]:,.4g} then"


def not_measured(rows: Sequence[Row], earlier: Mapping[str, float]) -> list[str]:
    """Names of earlier rows that were not measured now."""
    names = {row.name for row in rows}
    return [name for name in earlier if name not in names]
