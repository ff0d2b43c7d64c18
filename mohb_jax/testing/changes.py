"""Tables like a given one, of the same shape, in which results are other ones."""

import copy
import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool

from mohb_jax.benchmarks.before_training import known_costs, known_objectives
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import CrossedTable
from mohb_jax.benchmarks.table import Table

SHARE_THAT_FAILS = 0.3


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


def unpaid_changed(
    table: AnyTable, task: int, paid: Bool[np.ndarray, "rows levels"], seed: int = 0
) -> AnyTable:
    """The table with other results of one task in every cell that nobody has paid for.

    What failed succeeds there, and some of what succeeded fails, at levels below the highest. All that a
    method may read beforehand stays: which rows a task offers, and known objectives (of a row that fails at
    the highest level, their median).

    Args:
        table: held cell by cell, no crossing.
        task: whose cells change.
        paid: cells that stay.
        seed: of what stands there instead.
    """
    base, rng = _held(table), np.random.default_rng(seed)
    known = list(known_objectives(base))
    beforehand = known_costs(base, task, known)
    may_change = ~paid & base.measured(task)[:, None]
    costs, runtime, available = base.costs.copy(), base.runtime.copy(), base.mask.copy()
    dealt = rng.choice(costs[task][base.mask[task]], int(may_change.sum()))
    costs[task, may_change] = dealt
    costs[task][..., known] = np.where(may_change[..., None], beforehand[:, None], costs[task][..., known])
    available[task] |= may_change
    fails = may_change & (rng.random(paid.shape) < SHARE_THAT_FAILS)
    fails &= available[task, :, -1:]  # or the task would no longer offer the row
    fails[:, -1] = False
    costs[task, fails], available[task, fails] = np.inf, False
    runtime[task, may_change] *= rng.uniform(0.5, 2, int(may_change.sum()))
    return _with(table, costs=costs, runtime=runtime, available=available)


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
