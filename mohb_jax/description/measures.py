"""What is worth knowing of a table before a study: prices and worth of fidelities, likeness of tasks."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # its parts load when they are first used
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.description.halving import Halving, halving_measured
from mohb_jax.schedule import FEW_FIDELITIES, hyperband

MOST_ROWS = 1024
"""Rows that correlations and brackets are measured on; of larger tables so many at random."""
LEAST_COMMON = 8
"""Rows with results on both sides below which no rank correlation is given."""
MOST_PAIRS = 64
"""Pairs of tasks that are compared; of more so many, spread evenly."""


@dataclasses.dataclass(frozen=True)
class Level:
    """One fidelity.

    Attributes:
        fidelity: its value.
        seconds: from scratch, as a share of those at the highest fidelity, over all rows of a task; median of
            tasks. None where nothing takes any time.
        correlation: by objective, Spearman's rank correlation with the results at the highest fidelity;
            median of tasks. None where an objective is constant or too few rows have both.
    """

    fidelity: float | int
    seconds: float | None
    correlation: dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Description:
    """What a table is like; see ``words.lines`` for people.

    Attributes:
        name: of the table.
        tasks: how many.
        rows: configurations.
        objectives: names.
        fidelity_name: what a fidelity is.
        fidelities: how many are stored.
        levels: all fidelities, of many those that a bracket with eta 3 uses.
        resumable: True if going on from a lower fidelity costs the difference in seconds only.
        cells: of all tasks, rows and fidelities.
        missing: cells without a result.
        front: least, median and greatest number of configurations on a task's true front.
        measured: median number of configurations of a task that were measured.
        likeness: by objective, median rank correlation between the final results of two tasks; None with one
            task, or too few rows in common.
        halving: what runs of Hyperband are worth; None with one fidelity, or where nothing takes any time.
    """

    name: str
    tasks: int
    rows: int
    objectives: tuple[str, ...]
    fidelity_name: str
    fidelities: int
    levels: tuple[Level, ...]
    resumable: bool
    cells: int
    missing: int
    front: tuple[int, float, int]
    measured: float
    likeness: dict[str, float | None]
    halving: Halving | None

    def as_json(self) -> dict[str, Any]:
        """Plain mappings and lists, with the verdict of ``halving``."""
        plain = dataclasses.asdict(self)
        if self.halving is not None:
            plain["halving"]["verdict"] = self.halving.verdict
        return plain


def describe(table: AnyTable) -> Description:
    """Measures a table; the same table gives the same description."""
    rows = some_rows(table)
    brackets = hyperband(table.fidelities)
    front = [true_front(table, task).size for task in range(table.num_tasks)]
    measured = [table.measured(task).sum() for task in range(table.num_tasks)]
    return Description(
        name=table.name,
        tasks=table.num_tasks,
        rows=table.num_rows,
        objectives=tuple(objective.name for objective in table.objectives),
        fidelity_name=table.fidelity_name,
        fidelities=table.num_fidelities,
        levels=_levels(table, rows, _shown(table, brackets[0].levels)),
        resumable=table.resumable,
        cells=table.num_tasks * table.num_rows * table.num_fidelities,
        missing=table.num_missing,
        front=(min(front), float(np.median(front)), max(front)),
        measured=float(np.median(measured)),
        likeness=_likeness(table, rows),
        halving=halving_measured(table, brackets, rows) if table.num_fidelities > 1 else None,
    )


def some_rows(table: AnyTable) -> Int[np.ndarray, " rows"]:
    """The rows that are measured: all, or of a larger table so many at random."""
    rows = np.arange(table.num_rows)
    if table.num_rows > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    return rows


def _shown(table: AnyTable, used: Sequence[int]) -> list[int]:
    """All levels where they are few, else those of a bracket."""
    few = table.num_fidelities <= FEW_FIDELITIES
    return list(range(table.num_fidelities)) if few else sorted({0, *used})


def _levels(table: AnyTable, rows: Int[np.ndarray, " rows"], chosen: list[int]) -> tuple[Level, ...]:
    seconds, correlation = [], []
    for task in range(table.num_tasks):
        own = rows[table.measured(task)[rows]]
        costs, runtime = table.look_up(task, own[:, None], np.array(chosen))
        total = runtime.sum(axis=0)
        seconds.append(total / total[-1] if total.size and total[-1] > 0 else np.full(len(chosen), np.nan))
        correlation.append([rank_correlations(costs[:, place], costs[:, -1]) for place in range(len(chosen))])
    shares = _medians(np.array(seconds))
    worth = _medians(np.array(correlation))
    names = [objective.name for objective in table.objectives]
    return tuple(
        Level(table.fidelities[level], shares[place], dict(zip(names, worth[place], strict=True)))
        for place, level in enumerate(chosen)
    )


def _likeness(table: AnyTable, rows: Int[np.ndarray, " rows"]) -> dict[str, float | None]:
    finals = [table.costs_of(task, rows) for task in range(table.num_tasks)]
    pairs = list(itertools.combinations(range(table.num_tasks), 2))
    pairs = pairs[:: -(-len(pairs) // MOST_PAIRS)] if pairs else []
    found = np.array([rank_correlations(finals[one], finals[other]) for one, other in pairs])
    medians = _medians(found.reshape(len(pairs), table.num_objectives))
    return {objective.name: value for objective, value in zip(table.objectives, medians, strict=True)}


def rank_correlations(
    one: Float[np.ndarray, "rows objectives"], other: Float[np.ndarray, "rows objectives"]
) -> Float[np.ndarray, " objectives"]:
    """Spearman's correlation of each objective over the rows with results on both sides; NaN if unknown."""
    known = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    if known.sum() < LEAST_COMMON:
        return np.full(one.shape[1], np.nan)
    ranks = [scipy.stats.rankdata(part[known], axis=0) for part in (one, other)]
    first, second = (part - part.mean(axis=0) for part in ranks)
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.where(scale > 0, (first * second).sum(axis=0) / np.where(scale > 0, scale, 1), np.nan)


def _medians(values: Float[np.ndarray, "several *shape"]) -> Any:
    """Medians along the first axis of what is known, as nested lists; None where nothing is."""
    if not len(values):
        return np.full(values.shape[1:], None).tolist()
    known = np.isfinite(values).any(axis=0)
    medians = np.nanmedian(np.where(known, values, 0.0), axis=0).astype(object)
    medians[~known] = None
    return medians.tolist()
