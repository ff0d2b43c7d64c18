"""Tasks of several benchmarks as one table, so that programs are compiled once for all of them.

Rows are samples of each benchmark's rows, which no other benchmark's tasks offer. Numeric columns are brought
to [0, 1], as distances have them, and share places; so do categorical ones. Fidelities are shares of a full
training. What tells rows of a task apart, distances included, is as in their own benchmark.
"""

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.table import Table
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.prepared_lists import LIST_LENGTH
from mohb_jax.searchers.zero_shot import portfolios
from mohb_jax.transfer import Prior, informative, learn_prior

SHARES = tuple(Fraction(1, part) for part in (27, 16, 9, 8, 4, 3, 2, 1))
"""Of a full training: what eta 2, 3 and 4 ask for."""
WHOLE = 432
"""The full training in units in which all shares are whole numbers."""


class Part(NamedTuple):
    """Rows of one benchmark in a pool."""

    benchmark: str
    tasks: tuple[str, ...]
    rows: np.ndarray
    """Of the benchmark, int [n]."""
    first: int
    """Number of the first of them in the pool."""


class Pool(NamedTuple):
    """A table of several benchmarks, and which of its rows are from where."""

    table: Table
    parts: tuple[Part, ...]


def pooled(tables: Sequence[AnyTable], num_rows: int, seed: int) -> Pool:
    """The tasks of several benchmarks as tasks of one table.

    Args:
        tables: each with the tasks that are wanted.
        num_rows: of each benchmark at most, sampled without replacement.
        seed: of the sample.

    Raises:
        InputError: there is no table, or one has a single objective.
    """
    if not tables:
        raise InputError("no training benchmark is given")
    rng = np.random.default_rng(seed)
    num_objectives = max(table.num_objectives for table in tables)
    parts: list[Part] = []
    first = 0
    for table in tables:
        if table.num_objectives < 2:
            raise InputError(f"benchmark {table.name!r} has one objective: a design is for several")
        count = min(num_rows, table.num_rows)
        rows = np.sort(rng.choice(table.num_rows, count, replace=False))
        parts.append(Part(table.name, tuple(table.tasks), rows, first))
        first += count
    columns, configs = _configs(tables, parts, first)
    num_tasks = sum(table.num_tasks for table in tables)
    costs = np.full((num_tasks, first, len(SHARES), num_objectives), np.inf)
    runtime = np.full((num_tasks, first, len(SHARES)), np.inf)
    names: list[str] = []
    for table, part in zip(tables, parts, strict=True):
        levels = np.array([_level(table, share) for share in SHARES])
        place = np.arange(part.first, part.first + len(part.rows))
        # Of fewer objectives the last one stands there again: it changes no front.
        objectives = np.minimum(np.arange(num_objectives), table.num_objectives - 1)
        for task in range(table.num_tasks):
            own_costs, own_runtime = table.task_cells(task)
            cells = np.ix_(part.rows, levels)
            costs[len(names), place] = own_costs[cells][..., objectives]
            runtime[len(names), place] = own_runtime[cells]
            names.append(f"{table.name}/{table.tasks[task]}")
    table = Table(
        name="pool",
        columns=columns,
        configs=configs,
        tasks=tuple(names),
        fidelities=tuple(int(share * WHOLE) for share in SHARES),
        fidelity_name="share of a full training",
        fidelity_unit="count",
        objectives=tuple(Objective(f"objective-{i}", "min", "1") for i in range(num_objectives)),
        costs=costs,
        runtime=runtime,
        available=np.isfinite(costs).all(axis=-1),
        provenance="training tasks of a design study: " + ", ".join(part.benchmark for part in parts),
    )
    return Pool(table, tuple(parts))


def pool_prior(tables: Sequence[AnyTable], pool: Pool, seed: int) -> Prior:
    """The transfer prior of a pool: what the other tasks of its own benchmark say of each row of a task, as
    learnt from the rows that the pool has.

    A task without relatives has a prior that knows nothing: all rows alike.

    Args:
        tables: those that the pool was made of.
        pool: of them.
        seed: of the networks.
    """
    own = pool.table
    shape = (own.num_tasks, own.num_objectives, own.num_rows)
    mu, sigma = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    first = 0
    for table, part in zip(tables, pool.parts, strict=True):
        sample = _sample(table, part.rows)
        if table.num_tasks > 1 and informative(sample).all():
            prior = learn_prior(sample, seed)
            objectives = np.minimum(np.arange(own.num_objectives), table.num_objectives - 1)
            place = np.ix_(
                range(first, first + table.num_tasks),
                range(own.num_objectives),
                range(part.first, part.first + len(part.rows)),
            )
            mu[place], sigma[place] = prior.mu[:, objectives], prior.sigma[:, objectives]
        first += table.num_tasks
    return Prior(own.name, own.tasks, own.columns, own.objectives, mu, sigma)


class Learnt(NamedTuple):
    """What the other tasks of its benchmark say to each task of a pool."""

    prior: Prior
    portfolios: Int32[np.ndarray, "tasks length"]
    """Rows of the pool, the first one first; -1 after their end."""


def learnt(tables: Sequence[AnyTable], pool: Pool, seed: int) -> Learnt:
    """See ``pool_prior`` and ``pool_portfolios``, whose arguments these are."""
    return Learnt(pool_prior(tables, pool, seed), pool_portfolios(tables, pool, seed))


@in_64_bits
def pool_portfolios(tables: Sequence[AnyTable], pool: Pool, seed: int) -> Int32[np.ndarray, "tasks length"]:
    """The portfolio of each task, out of the rows that the pool has of its benchmark, as ``zero-shot`` makes
    it of the other tasks there.

    A task without relatives, or of a benchmark whose tasks have different rows, has an empty one.

    Args:
        tables: those that the pool was made of.
        pool: of them.
        seed: of the rows that are looked at where there are many.
    """
    found = np.full((pool.table.num_tasks, LIST_LENGTH), -1, np.int32)
    first = 0
    for table, part in zip(tables, pool.parts, strict=True):
        sample = _sample(table, part.rows)
        with contextlib.suppress(InputError):  # which says what a portfolio needs
            lists = np.asarray(portfolios(sample, tuple(range(table.num_tasks)), seed, None).rows)[:, 0]
            found[first : first + table.num_tasks, : lists.shape[1]] = lists + part.first
        first += table.num_tasks
    return found


def _sample(table: AnyTable, rows: np.ndarray) -> Table:
    """Some rows of a table at its highest fidelity."""
    cells = [table.task_cells(task) for task in range(table.num_tasks)]
    costs = np.stack([own[rows][:, -1:] for own, _ in cells])
    return Table(
        name=table.name,
        columns=table.columns,
        configs=np.asarray(table.configs)[rows],
        tasks=table.tasks,
        fidelities=table.fidelities[-1:],
        fidelity_name=table.fidelity_name,
        fidelity_unit=table.fidelity_unit,
        objectives=table.objectives,
        costs=costs,
        runtime=np.stack([own[rows][:, -1:] for _, own in cells]),
        available=np.isfinite(costs).all(axis=-1),
        provenance=f"a sample of {table.name}",
    )


def _level(table: AnyTable, share: Fraction) -> int:
    """The largest stored fidelity not above a share of the highest, or the smallest one."""
    wanted = float(share) * float(table.fidelities[-1]) * (1 + 1e-9)
    return max(sum(value <= wanted for value in table.fidelities) - 1, 0)


def _configs(
    tables: Sequence[AnyTable], parts: Sequence[Part], num_rows: int
) -> tuple[tuple[Column, ...], np.ndarray]:
    """Columns of numbers, then those of categories, then the benchmark."""
    own = [_own_columns(table, part) for table, part in zip(tables, parts, strict=True)]
    num_numbers = max(len(numbers) for numbers, _ in own)
    num_choices = max(len(choices) for _, choices in own)
    configs = np.zeros((num_rows, num_numbers + num_choices + 1))
    for number, (part, (numbers, choices)) in enumerate(zip(parts, own, strict=True)):
        place = slice(part.first, part.first + len(part.rows))
        for index, column in enumerate(numbers):
            configs[place, index] = column
        for index, column in enumerate(choices):
            configs[place, num_numbers + index] = column
        configs[place, -1] = number
    levels = configs[:, num_numbers:].max(axis=0).astype(int) + 1
    columns = [Column(f"number-{i}", "continuous") for i in range(num_numbers)]
    for index, count in enumerate(levels[:-1]):
        columns.append(Column(f"choice-{index}", "categorical", levels=tuple(range(count))))
    names = tuple(part.benchmark for part in parts)
    return (*columns, Column("benchmark", "categorical", levels=names)), configs


def _own_columns(table: AnyTable, part: Part) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Numbers in [0, 1], and levels of categorical columns."""
    numbers, choices = [], []
    for index, column in enumerate(table.columns):
        values = np.asarray(table.configs[:, index], float)
        if column.kind == "categorical":
            choices.append(values[part.rows])
            continue
        values = np.log(values) if column.kind == "log" else values
        low, high = values.min(), values.max()
        numbers.append((values[part.rows] - low) / (high - low if high > low else 1.0))
    return numbers, choices
