"""Runs that ended without a result: counted, and never left out."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mohb_jax.analysis.comparison import complete, places
from mohb_jax.analysis.curves import Cell


@dataclasses.dataclass(frozen=True)
class Failures:
    """Runs that ended without a result that counts.

    They have hypervolume 0, and the distances of the reference point: the worst that there is. Leaving them
    out would flatter, since runs end without a result where tasks are hard.

    Attributes:
        methods: names of those that are compared.
        tasks: names of those that all of them finished.
        failed: by task, how many runs of each method.
        runs: of how many.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    failed: tuple[tuple[int, ...], ...]
    runs: int

    @property
    def total(self) -> tuple[int, ...]:
        """Of each method over all tasks."""
        return tuple(np.array(self.failed, int).reshape(-1, len(self.methods)).sum(axis=0).tolist())


def failures(cells: Sequence[Cell], methods: Sequence[str]) -> Failures:
    """Those of all methods that are compared, see ``comparison``.

    References:
        Gijsbers et al., "AMLB: an AutoML benchmark", 2022: what is missing gets the result of a constant
        predictor.
    """
    found = complete(cells, methods)
    tasks = tuple(f"{group[0].benchmark}/{group[0].task}" for group in found.groups)
    failed = tuple(
        tuple(int(cell.final["failed"][places(cell, found.runs)].sum()) for cell in group)
        for group in found.groups
    )
    return Failures(found.methods, tasks, failed, int(found.runs.size))
