"""Ten small tables on which methods are checked: each is simulated in less than a second.

``mixed``, ``constant``, ``failing`` and ``ties`` have one shape, so that what was compiled for one of them
serves all four.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import COST, RUNTIME, CrossedTable
from mohb_jax.benchmarks.table import Table

LOSS = Objective("loss", "min", "1")
SIZE = Objective("size", "min", "parameters")
"""Known without training: methods that need such an objective find one."""
ENERGY = Objective("energy", "min", "J")
DELAY = Objective("delay", "min", "s")

RATE = Column("rate", "log")
MOMENTUM = Column("momentum", "continuous")
WIDTH = Column("width", "ordinal", "architecture", (16, 32, 64, 128))
KIND = Column("kind", "categorical", "hyperparameter", ("sgd", "adam", "lion"))

NUM_MIXED = 64
NUM_TRIED = 8
"""Rows of which the second task of ``failing`` offers all but one: fewer than a run asks for."""
NOT_OFFERED = (5, 17, 40)
"""Rows of ``mixed`` and its like that the second task never tried."""


@functools.cache
def tables() -> Mapping[str, AnyTable]:
    """The ten tables by name.

    ``tiny`` (5 rows), ``grid`` (6 rows x 4 levels x 3 objectives, a category), ``mixed`` (64 rows, all four
    kinds of columns, 2 tasks), ``crossing`` (12 rows x 5 machines), ``constant`` (an objective says nothing),
    ``failing`` (three of ten cells are missing, one row fails only late, the second task offers seven rows),
    ``one-objective``, ``four-objectives``, ``one-fidelity`` and ``ties`` (costs are 0 or 1).

    Returns:
        The same objects at every call, so that what is kept per table is found again.

    Examples:
        >>> tables()["tiny"].num_rows
        5
    """
    made = (
        _table("tiny", 5, (1, 3), (LOSS, SIZE), (RATE, WIDTH)),
        _table("grid", 6, (1, 3, 9, 27), (LOSS, SIZE, ENERGY), (RATE, KIND)),
        _like_mixed("mixed"),
        _crossing(),
        _constant(),
        _like_mixed("failing", failed=_failed()),
        _table("one-objective", 32, (1, 3, 9), (LOSS,), (RATE, MOMENTUM, WIDTH)),
        _table("four-objectives", 32, (1, 3, 9), (LOSS, SIZE, ENERGY, DELAY), (RATE, MOMENTUM, WIDTH)),
        _table("one-fidelity", 32, (9,), (LOSS, SIZE), (RATE, MOMENTUM, WIDTH)),
        _ties(),
    )
    return {table.name: table for table in made}


def _like_mixed(name: str, failed: Bool[np.ndarray, "tasks rows levels"] | None = None) -> Table:
    offered = np.ones((2, NUM_MIXED, 3), bool)
    offered[1, list(NOT_OFFERED)] = False
    available = offered if failed is None else offered & ~failed
    return _table(name, NUM_MIXED, (1, 3, 9), (LOSS, SIZE), (RATE, MOMENTUM, WIDTH, KIND), available)


def _failed() -> Bool[np.ndarray, "tasks rows levels"]:
    """Three of ten cells; every row that a task offers is known at one level at least, and row 0 fails only
    late."""
    failed = np.random.default_rng(1).random((2, NUM_MIXED, 3)) < 0.3
    failed[failed.all(axis=2), 0] = False
    failed[:, 0] = (False, False, True)
    failed[1, NUM_TRIED:] = True
    return failed


def _constant() -> Table:
    table = _like_mixed("constant")
    costs = table.costs.copy()
    costs[..., 1] = 3.0
    return with_costs(table, costs)


def _ties() -> Table:
    table = _like_mixed("ties")
    return with_costs(table, np.random.default_rng(2).integers(2, size=table.costs.shape).astype(float))


def with_costs(table: Table, costs: Float[np.ndarray, "tasks rows levels objectives"]) -> Table:
    """The same table with other costs; where a cell is missing it stays so."""
    return dataclasses.replace(table, costs=costs)


def _table(
    name: str,
    num_rows: int,
    fidelities: Sequence[int],
    objectives: Sequence[Objective],
    columns: Sequence[Column],
    available: Bool[np.ndarray, "tasks rows levels"] | None = None,
) -> Table:
    """Two related tasks: costs fall with the fidelity and depend smoothly on the columns; sizes are exact."""
    rng = np.random.default_rng(num_rows)
    configs = np.stack([_values(rng, column, num_rows) for column in columns], axis=1)
    unit = (configs - configs.min(axis=0)) / np.ptp(configs, axis=0)
    shape = (2, num_rows, len(fidelities))
    goal = rng.uniform(0.2, 0.8, (2, len(objectives), len(columns)))
    final = np.square(unit[None, :, None] - goal[:, None]).sum(axis=-1)
    noise = rng.uniform(0, 1, (*shape, len(objectives))) / np.asarray(fidelities, float)[:, None]
    costs = final[:, :, None] + noise
    if SIZE in objectives:
        costs[..., objectives.index(SIZE)] = (1000 + np.round(999 * unit.mean(axis=1)))[None, :, None]
    seconds = rng.integers(5, 50, (2, num_rows, 1)) * np.asarray(fidelities, float)
    return Table(
        name=name,
        columns=tuple(columns),
        configs=configs,
        tasks=("first", "second"),
        fidelities=tuple(fidelities),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=tuple(objectives),
        costs=costs,
        runtime=seconds,
        available=available,
        provenance="Made by formula to check methods. Nothing in it was measured.",
        descriptors={"size": (1.0, 2.0)},
    )


def _values(rng: np.random.Generator, column: Column, num_rows: int) -> Float[np.ndarray, " rows"]:
    if column.has_levels:
        return rng.permutation(np.arange(num_rows) % len(column.levels)).astype(float)
    values = np.sort(rng.uniform(0, 1, num_rows))
    return rng.permutation(10 ** (4 * values - 5) if column.kind == "log" else values)


def _crossing() -> CrossedTable:
    names = ("small", "medium", "large", "old", "gpu")
    return CrossedTable(
        name="crossing",
        table=_table("crossed", 12, (1, 3, 9), (LOSS, SIZE, RUNTIME), (RATE, WIDTH)),
        column=Column("machine", "categorical", "hardware", names),
        relative_times=np.array([1.0, 0.5, 0.25, 2.0, 0.125]),
        prices=np.array([1.0, 2.0, 4.0, 0.5, 16.0]),
        objectives=(LOSS, SIZE, COST),
        provenance="Made by formula to check methods.",
    )
