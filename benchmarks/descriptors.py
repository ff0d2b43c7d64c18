"""What is known of the tasks of a table without any training: sizes of data sets, and the like.

A table holds them by name, one number for each task, NaN where one is not known. They describe tasks and no
results, so they are no part of a table's fingerprint.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mohb_jax.errors import InputError

if TYPE_CHECKING:
    from mohb_jax.benchmarks.contract import AnyTable

Descriptors = Mapping[str, Sequence[float]]
"""By name a number for each task."""


def checked(name: str, tasks: Sequence[str], descriptors: Descriptors) -> dict[str, tuple[float, ...]]:
    """Descriptors with a number for each task; ``InputError`` naming the first one at fault."""
    found = {}
    for what, values in descriptors.items():
        found[what] = tuple(map(float, values))
        if len(found[what]) != len(tasks) or any(math.isinf(value) for value in found[what]):
            raise InputError(
                f"table {name!r}: descriptor {what!r} must be {len(tasks)} numbers, one for each task, not "
                f"{len(found[what])}, none of them infinite"
            )
    return found


def by_task(
    name: str, tasks: Sequence[str], given: Mapping[str, Mapping[str, float]]
) -> dict[str, tuple[float, ...]]:
    """Descriptors from those of each task, as specifications have them; what a task lacks is not known.

    Raises:
        InputError: if a task is not one of the table.
    """
    for task in given:
        if task not in tasks:
            raise InputError(
                f"table {name!r}: descriptors name the task {task!r}, and there is none of that name: "
                f"accepted are {', '.join(tasks)}"
            )
    names = dict.fromkeys(what for own in given.values() for what in own)
    return {what: tuple(float(given.get(task, {}).get(what, math.nan)) for task in tasks) for what in names}


def of_all(parts: Sequence["AnyTable"]) -> dict[str, tuple[float, ...]]:
    """Descriptors of the tasks of several tables together: those that all of them have."""
    shared = [name for name in parts[0].descriptors if all(name in part.descriptors for part in parts)]
    return {name: tuple(value for part in parts for value in part.descriptors[name]) for name in shared}


def stated(table: "AnyTable") -> dict[str, Float[np.ndarray, " tasks"]]:
    """Descriptors of a table as arrays."""
    return {name: np.array(values, np.float64) for name, values in table.descriptors.items()}
