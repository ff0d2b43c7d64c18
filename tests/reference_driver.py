"""Synchronous Hyperband as plain Python on one lane: lists, floats and a loop over events."""

import numpy as np
from mohb_jax.benchmarks.table import Table

from mohb_jax.schedule import Bracket


def simulate(
    table: Table,
    task: int,
    rows: list[int],
    brackets: tuple[Bracket, ...],
    promote,
    num_workers: int,
    *,
    overlap: bool,
    resumable: bool,
    horizon: float = np.inf,
    budget: int | None = None,
):
    """Log entries (row, fidelity, start, end, worker) in launch order.

    ``rows`` are the searcher's suggestions in order; ``promote(bracket_number, costs, num_keep)`` is the
    promotion rule.
    """
    costs, runtime = table.dense(range(table.num_fidelities))
    remaining = list(rows)
    free = [0.0] * num_workers
    log: list[tuple] = []
    waiting: list[_Run] = []
    brackets_started = 0

    def next_bracket() -> "_Run | None":
        nonlocal brackets_started
        if not remaining:
            return None
        bracket = brackets[brackets_started % len(brackets)]
        first, remaining[:] = remaining[: bracket.sizes[0]], remaining[bracket.sizes[0] :]
        brackets_started += 1
        return _Run(bracket, brackets_started, first)

    depends = any(len(bracket.sizes) > 1 for bracket in brackets)
    while True:
        worker = min(range(num_workers), key=lambda w: (free[w], w))
        run = next((r for r in waiting if r.queue and r.ready <= free[worker]), None)
        unfinished = [r for r in waiting if r.queue]
        if run is None and (overlap or not unfinished):
            run = next_bracket()
            if run is not None:
                waiting.append(run)
                if not overlap and depends:
                    free = [max(free)] * num_workers
                    worker = 0
        if run is None and unfinished:
            run = min(unfinished, key=lambda r: r.ready)
            if not overlap:
                free = [max(free)] * num_workers
                worker = 0
        if run is None:
            break
        row = run.queue.pop(0)
        level = run.bracket.levels[run.rung]
        paid = run.paid.get(row, 0.0) if resumable else 0.0
        start = max(free[worker], run.ready)
        end = start + (runtime[task, row, level] - paid)
        free[worker] = end
        run.paid[row] = runtime[task, row, level]
        run.latest = max(run.latest, end)
        log.append((row, level, start, end, worker))
        if start >= horizon or (budget is not None and len(log) >= budget):
            break
        if not run.queue:
            run.close_rung(costs[task, :, level], promote, remaining)
    return [entry for entry in log if entry[3] <= horizon]


class _Run:
    """A bracket under way."""

    def __init__(self, bracket: Bracket, number: int, rows: list[int]):
        self.bracket, self.number, self.rung = bracket, number, 0
        self.rows, self.queue, self.ready, self.latest = rows, list(rows), 0.0, 0.0
        self.paid: dict[int, float] = {}

    def close_rung(self, costs: np.ndarray, promote, remaining: list[int]) -> None:
        self.rung += 1
        self.ready = self.latest
        if self.rung < len(self.bracket.sizes):
            num_new = self.bracket.newcomers[self.rung - 1] if self.bracket.newcomers else 0
            num_keep = min(self.bracket.sizes[self.rung] - num_new, len(self.rows))
            self.rows = [self.rows[i] for i in promote(self.number, costs[self.rows], num_keep)]
            self.rows += remaining[:num_new]
            del remaining[:num_new]
            self.queue = list(self.rows)
