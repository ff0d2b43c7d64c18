"""What a run does with rows that were stopped, once it has seen all: plain Python on one lane."""

import math
from typing import NamedTuple

import numpy as np


class Entry(NamedTuple):
    """An evaluation; ``level`` counts the fidelities that the method uses."""

    row: int
    level: int
    start: float
    end: float
    worker: int


def go_on(
    past: list[Entry],
    seconds: np.ndarray,
    failed: np.ndarray,
    num_workers: int,
    resumable: bool,
    horizon: float = math.inf,
    budget: float = math.inf,
) -> list[Entry]:
    """All that is launched before the horizon.

    From the last launch of the method on, the worker that is free first takes a row whose result is in and
    which can go higher: one that works before one that failed, from the highest level, the first launched.

    Args:
        past: what the method itself launched, in that order; all rows are among them.
        seconds: ``[row, level]`` from scratch.
        failed: ``[row, level]``.
        num_workers: of the run.
        resumable: whether the next level costs the difference.
        horizon: nothing starts at or after it.
        budget: of evaluations.
    """
    log, top = list(past), seconds.shape[1] - 1
    begin = max(entry.start for entry in past)
    while len(log) < budget:
        free = [max([begin, *(e.end for e in log if e.worker == worker)]) for worker in range(num_workers)]
        worker = min(range(num_workers), key=lambda w: (free[w], w))
        last = {entry.row: number for number, entry in sorted(enumerate(log), key=lambda pair: pair[1].level)}
        lower = [number for number in last.values() if log[number].level < top]
        if not lower:
            break
        time = max(free[worker], min(log[number].end for number in lower))
        ready = [number for number in lower if log[number].end <= time]
        number = min(ready, key=lambda n: (failed[log[n].row, log[n].level], -log[n].level, n))
        if time >= horizon:
            break
        row, level = log[number].row, log[number].level
        paid = seconds[row, level] if resumable else 0.0
        log.append(Entry(row, level + 1, time, time + (seconds[row, level + 1] - paid), worker))
    return log
