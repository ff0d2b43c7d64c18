"""A table replayed through asking and telling, with the simulated clock: the twin of a simulation."""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

from mohb_jax.benchmarks.contract import AnyTable


class Played(NamedTuple):
    """An evaluation, as a slot of a log holds it."""

    row: int
    fidelity: int
    start: float
    end: float
    worker: int
    costs: tuple[float, ...]


class Wanted(NamedTuple):
    """What an asker got: places among the table's fidelities; -1 for a new configuration."""

    row: int
    fidelity: int
    from_fidelity: int


def replay(
    table: AnyTable,
    task: int,
    num_workers: int,
    ask: Callable[[int, float], tuple[Any, Wanted] | None],
    tell: Callable[[Any, int, tuple[float, ...], float], None],
    waits: bool,
) -> list[Played]:
    """Evaluations in launch order.

    Args:
        table: its results and times are looked up.
        task: which one.
        num_workers: who ask in their order.
        ask: of a worker and the time: a job and what it is, or None.
        tell: of a job, its worker, its costs and the time.
        waits: whether all results of a moment are told before anybody asks, as where a rung is waited for;
            else each worker asks as soon as it has told.
    """
    costs, seconds = table.task_cells(task)
    played: list[Played] = []
    running: list[tuple[float, int, int, Any]] = []
    idle = list(range(num_workers))

    def asks(worker: int, now: float) -> bool:
        found = ask(worker, now)
        if found is None:
            return False
        job, (row, fidelity, before) = found
        paid = float(seconds[row, before]) if before >= 0 and table.resumable else 0.0
        end = now + (float(seconds[row, fidelity]) - paid)
        played.append(Played(row, fidelity, now, end, worker, tuple(costs[row, fidelity].tolist())))
        heapq.heappush(running, (end, worker, len(played), job))
        return True

    def all_ask(now: float) -> None:
        while idle and asks(min(idle), now):
            idle.remove(min(idle))

    def hand_in() -> tuple[int, float]:
        now, worker, number, job = heapq.heappop(running)
        tell(job, worker, played[number - 1].costs, now)
        return worker, now

    all_ask(0.0)
    while running:
        worker, now = hand_in()
        if not waits and asks(worker, now):
            all_ask(now)
            continue
        idle.append(worker)
        while waits and running and running[0][0] == now:
            idle.append(hand_in()[0])
        if waits:
            all_ask(now)
    return played
