"""Tables like a given one, of the same shape, in which results are other ones."""

import copy
import dataclasses
from typing import Any

import numpy as np

from mohb_jax.benchmarks.before_training import known_objectives
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import CrossedTable
from mohb_jax.benchmarks.table import Table


def all_failed(table: AnyTable) -> AnyTable:
    """The table with every evaluation failed, which no published table can be."""
    return _with(table, costs=np.full_like(_held(table).costs, np.inf))


def shuffled_results(table: AnyTable, task: int, seed: int = 0) -> AnyTable:
    """The table with the results of one task dealt out anew among its rows.

    What is known without training (sizes of models) stays as it is, and so do rows that lack some result.
    """
    base, rng = _held(table), np.random.default_rng(seed)
    whole = np.flatnonzero(base.mask[task].all(axis=1))
    dealt = rng.permutation(whole)
    costs, runtime = base.costs.copy(), base.runtime.copy()
    unknown = [m for m in range(base.num_objectives) if m not in known_objectives(base)]
    for objective in unknown:
        costs[task, whole, :, objective] = base.costs[task, dealt, :, objective]
    runtime[task, whole] = base.runtime[task, dealt]
    return _with(table, costs=costs, runtime=runtime)


def _held(table: AnyTable) -> Table:
    """The table whose cells are held: that of a crossing, or itself."""
    held = table.table if isinstance(table, CrossedTable) else table
    assert isinstance(held, Table)
    return held


def _with(table: AnyTable, **arrays: np.ndarray) -> Any:
    """A copy with some arrays replaced, unchecked."""
    if isinstance(table, CrossedTable):
        return dataclasses.replace(table, table=_with(table.table, **arrays))
    assert isinstance(table, Table)
    changed = copy.copy(table)
    changed.__dict__.pop("fingerprint", None)
    for name, array in arrays.items():
        array.setflags(write=False)
        object.__setattr__(changed, name, array)
    return changed
