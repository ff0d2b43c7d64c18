"""Objectives on a common scale, and the true Pareto front of what may count as a result."""

import dataclasses
import weakref

import numpy as np
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.contract import ResultTable

REFERENCE_POINT = 1.1
"""Coordinate of the hypervolume reference point in each normalised objective."""

DECADES = 2.0
"""Strictly positive objectives that span more decades than this are normalised after log10."""

_BLOCK = 256
_SAMPLE = 2048
"""Rows whose front thins out a larger set before it is searched."""

_FRONTS: weakref.WeakKeyDictionary[ResultTable, dict[int, np.ndarray]] = weakref.WeakKeyDictionary()
_SCALES: "weakref.WeakKeyDictionary[ResultTable, Normalisation]" = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True, eq=False)
class Normalisation:
    """Per task and objective, the scale on which the rows that may count fill [0, 1].

    Attributes:
        lo: smallest value over the available rows, after log10 where ``log``.
        hi: largest value, likewise.
        log: True where log10 comes first.
    """

    lo: Float[np.ndarray, "tasks objectives"]
    hi: Float[np.ndarray, "tasks objectives"]
    log: Bool[np.ndarray, "tasks objectives"]

    def apply(
        self, costs: Float[np.ndarray, "... objectives"], task: int
    ) -> Float[np.ndarray, "... objectives"]:
        """Normalised costs of one task.

        Args:
            costs: minimised values, objectives last; infinite where unavailable.
            task: index of the task.

        Returns:
            Values in [0, 1] for rows of the table; values of fidelities that do not count may lie outside. A
            constant objective (``lo == hi``) becomes 0; infinite costs stay infinite.
        """
        lo, hi, log = self.lo[task], self.hi[task], self.log[task]
        positive = np.where(log, np.maximum(costs, np.finfo(np.float64).tiny), 1.0)
        scaled = np.where(log, np.log10(positive), costs)
        spread = np.where(hi > lo, hi - lo, 1.0)
        unit = np.where(hi > lo, (scaled - lo) / spread, 0.0)
        return np.where(np.isinf(costs), np.inf, unit)


def normalisation(table: ResultTable) -> Normalisation:
    """The normalisation of a table: a property of the table, never of what a method happened to observe.

    Reference point and hypervolume scale for all comparisons: minimum and maximum per task and objective over
    the available rows, after log10 for objectives that are positive in every available cell and there span
    more than ``DECADES`` decades. The rows are those that may count: the table at its highest fidelity, or
    all of its fidelities (``EveryFidelity``).

    Args:
        table: any table.

    Returns:
        ``lo``, ``hi`` and ``log``, each of shape tasks x objectives; kept for as long as the table is.
    """
    if table not in _SCALES:
        _SCALES[table] = _normalisation(table)
    return _SCALES[table]


def _normalisation(table: ResultTable) -> Normalisation:
    finals = [_available_costs(table, task) for task in range(table.num_tasks)]
    lo = np.stack([costs.min(axis=0) for costs in finals])
    hi = np.stack([costs.max(axis=0) for costs in finals])
    log = (table.lowest_costs() > 0) & (hi > lo * 10**DECADES)
    return Normalisation(_log10(lo, log), _log10(hi, log), log)


def true_front(table: ResultTable, task: int | str) -> Int[np.ndarray, " front"]:
    """Rows of one task that no other row dominates.

    Args:
        table: any table, which counts at its highest fidelity, or ``EveryFidelity`` of one.
        task: index or name.

    Returns:
        Row indices in increasing order, read-only; rows with equal costs are all kept, unavailable rows are
        left out. A table never changes, so the answer is kept for as long as the table is.
    """
    index = table.task_index(task) if isinstance(task, str) else int(task)
    fronts = _FRONTS.setdefault(table, {})
    if index not in fronts:
        rows = np.flatnonzero(table.final_available(index))
        fronts[index] = rows[non_dominated(_available_costs(table, index))]
        fronts[index].setflags(write=False)
    return fronts[index]


def _available_costs(table: ResultTable, task: int) -> Float[np.ndarray, "rows objectives"]:
    return table.final_costs(task)[table.final_available(task)]


def non_dominated(costs: Float[np.ndarray, "rows objectives"]) -> Bool[np.ndarray, " rows"]:
    """True for rows that no other row dominates (minimised); equal rows do not dominate each other.

    Distinct rows are visited in lexicographic order, where a row can only be dominated by an earlier one,
    block by block against the front found so far. Of many rows, those that the front of a sample dominates
    are left out before.
    """
    keep = np.zeros(len(costs), bool)
    candidates = _thinned(costs)
    keep[candidates] = _non_dominated(costs[candidates])
    return keep


def _thinned(costs: Float[np.ndarray, "rows objectives"]) -> Int[np.ndarray, " candidates"]:
    """Rows that the front of a sample does not dominate: all of the true front, and few others."""
    kept = np.arange(len(costs))
    if len(costs) <= 2 * _SAMPLE:
        return kept
    sample = costs[np.random.default_rng(0).integers(len(costs), size=_SAMPLE)]
    front = np.unique(sample[_non_dominated(sample)], axis=0)
    beaten = [(point <= sample).all(axis=1).sum() for point in front]
    for point in front[np.argsort(beaten)[::-1]]:
        left = costs[kept]
        kept = kept[(left < point).any(axis=1) | (left == point).all(axis=1)]
    return kept


def _non_dominated(costs: Float[np.ndarray, "rows objectives"]) -> Bool[np.ndarray, " rows"]:
    distinct, inverse = np.unique(costs, axis=0, return_inverse=True)
    keep = np.zeros(len(distinct), bool)
    front = distinct[:0]
    for start in range(0, len(distinct), _BLOCK):
        block = distinct[start : start + _BLOCK]
        alive = ~_dominated(block, front)
        alive[alive] = ~_dominated(block[alive], block[alive], itself=True)
        keep[start : start + _BLOCK] = alive
        front = np.concatenate([front, block[alive]])
    return keep[inverse.reshape(-1)]


def _dominated(
    points: Float[np.ndarray, "n m"], others: Float[np.ndarray, "k m"], itself: bool = False
) -> Bool[np.ndarray, " n"]:
    """True for points with a row of ``others`` at most as large everywhere; both hold distinct rows."""
    weakly = np.ones((len(points), len(others)), bool)
    for m in range(points.shape[1]):
        weakly &= others[None, :, m] <= points[:, None, m]
    if itself:
        np.fill_diagonal(weakly, False)
    return np.asarray(weakly.any(axis=1))


def _log10(
    values: Float[np.ndarray, "tasks objectives"], log: Bool[np.ndarray, "tasks objectives"]
) -> Float[np.ndarray, "tasks objectives"]:
    return np.where(log, np.log10(np.where(log, values, 1.0)), values)
