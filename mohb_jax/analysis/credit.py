"""What a log holds that counts: which result of a table each run had, and when."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable, ResultTable
from mohb_jax.benchmarks.credit import EveryFidelity
from mohb_jax.errors import InputError
from mohb_jax.types import RunLog

_BLOCK = 1 << 18
"""Cells that are looked up together: some megabytes."""
_SLACK = 1e-9
"""Share of a time within which moments are the same: times of a resumed training are sums and differences."""


class Results(NamedTuple):
    """Results in a log that count, in order of lane, slot and fidelity."""

    lane: Int[np.ndarray, " results"]
    slot: Int[np.ndarray, " results"]
    row: Int[np.ndarray, " results"]
    """Row of the ``ResultTable``."""
    end: Float[np.ndarray, " results"]
    """Simulated seconds from which on the result is there."""


def results_of(
    table: ResultTable,
    log: RunLog,
    task: Int[np.ndarray, " lanes"],
    highest: int,
    every_one: bool = False,
) -> Results:
    """What counts of a log; see ``blocks_of``."""
    parts = blocks_of(table, log, task, highest, every_one)
    return Results(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def blocks_of(
    table: ResultTable,
    log: RunLog,
    task: Int[np.ndarray, " lanes"],
    highest: int,
    every_one: bool = False,
) -> Iterator[Results]:
    """What counts of a log, some of it at a time; at least one block, maybe empty.

    In full, an evaluation counts that ended at the highest fidelity and did not fail. Where every fidelity
    counts, each evaluation that did not fail does so when it ends. Where those count that it went through, an
    evaluation at fidelity f, failed or not, also brings each stored fidelity g < f, at the moment

        end - (runtime(f) - runtime(g))

    which is when so much of its training was left; runtime is cumulative in a resumable table. That is never
    later than its end, and where it lies before its start, the training was resumed from g or later: then an
    earlier evaluation brought g. Failed cells bring nothing, and neither does an evaluation that did not end
    within the run, for it is not in the log.

    Args:
        table: what may count, see ``benchmarks.credit.counted``.
        log: as NumPy arrays.
        task: of each lane, as an index into the table's tasks.
        highest: index of the highest fidelity in the log.
        every_one: False leaves out what was passed and is not ``EveryFidelity.worthwhile``.

    Raises:
        InputError: a result names a row that the table does not have.
    """
    if not isinstance(table, EveryFidelity):
        lane, slot = np.nonzero(is_result(log, highest))
        row = np.asarray(log.row[lane, slot], np.int64)
        check_rows(table.name, table.num_rows, row)
        yield Results(lane, slot, row, np.asarray(log.end[lane, slot], np.float64))
        return
    ended = log.valid if table.passed else log.valid & np.isfinite(log.costs).all(axis=-1)
    lane, slot = np.nonzero(ended)
    row, fidelity = (np.asarray(part[lane, slot], np.int64) for part in (log.row, log.fidelity))
    check_rows(table.name, table.table.num_rows, row)
    if not table.passed:
        own = row * table.table.num_fidelities + fidelity
        yield Results(lane, slot, own, np.asarray(log.end[lane, slot], np.float64))
        return
    wanted = table.available if every_one else table.worthwhile
    yield from _passed(table.table, wanted, log, task, Results(lane, slot, row, fidelity))


def is_result(log: RunLog, highest_fidelity: int) -> Bool[np.ndarray, "lanes slots"]:
    """True for evaluations that ended at the highest fidelity and did not fail: results in full."""
    return np.asarray(log.valid & (log.fidelity == highest_fidelity) & np.isfinite(log.costs).all(axis=-1))


def check_rows(name: str, num_rows: int, row: Int[np.ndarray, "..."]) -> None:
    """Raises an ``InputError`` if a result names a row that the table does not have."""
    if row.max(initial=0) >= num_rows:
        raise InputError(f"a result names row {row.max()} of benchmark {name!r} with {num_rows}")


def _passed(
    table: AnyTable,
    wanted: Bool[np.ndarray, "tasks rows fidelities"],
    log: RunLog,
    task: Int[np.ndarray, " lanes"],
    ended: Results,
) -> Iterator[Results]:
    """All that evaluations brought, some evaluations at a time; ``end`` holds their fidelities. At least one
    block, maybe empty."""
    num_levels = table.num_fidelities
    size = max(_BLOCK // num_levels, 1)
    for first in range(0, max(ended.lane.size, 1), size):
        lane, slot, row, fidelity = (part[first : first + size] for part in ended)
        start, end = (np.asarray(part[lane, slot], np.float64) for part in (log.start, log.end))
        at = np.repeat(np.arange(lane.size), fidelity + 1)
        level = np.arange(at.size) - np.repeat(np.cumsum(fidelity + 1) - fidelity - 1, fidelity + 1)
        kept = np.flatnonzero(wanted[task[lane[at]], row[at], level])
        at, level = at[kept], level[kept]
        whole = table.runtime_of(task[lane], row, fidelity)
        seconds = table.runtime_of(task[lane[at]], row[at], level)
        when, reached = went_through(whole[at] - seconds, start[at], end[at])
        at, level, when = (column[np.flatnonzero(reached)] for column in (at, level, when))
        yield Results(lane[at], slot[at], row[at] * num_levels + level, when)


def went_through(
    left: Float[np.ndarray, " cells"], start: Float[np.ndarray, " cells"], end: Float[np.ndarray, " cells"]
) -> tuple[Float[np.ndarray, " cells"], Bool[np.ndarray, " cells"]]:
    """When evaluations were at fidelities below their own, and whether they went through them at all; see
    ``results_of``.

    Args:
        left: seconds of training from that fidelity to the evaluation's own.
        start: when the evaluation began.
        end: when it ended.
    """
    when = end - left
    return np.clip(when, start, end), when >= start - _SLACK * np.abs(end)


def have_used_up(
    table: ResultTable, log: RunLog, task: Int[np.ndarray, " lanes"], highest: int
) -> Bool[np.ndarray, " lanes"]:
    """Which runs evaluated all rows that their task offers at the highest fidelity.

    Args:
        table: what of the benchmark may count.
        log: of some runs.
        task: of each lane, an index into the table's tasks.
        highest: number of the highest fidelity in the log.
    """
    whole = table.table if isinstance(table, EveryFidelity) else table
    assert isinstance(whole, AnyTable)
    full = log.valid & (log.fidelity == highest)
    found = np.zeros(len(task), bool)
    for index in np.unique(task).tolist():
        rows = np.flatnonzero(whole.measured(index))
        for lane in np.flatnonzero((task == index) & (full.sum(axis=1) >= rows.size)):
            found[lane] = np.isin(rows, log.row[lane][full[lane]]).all()
    return found
