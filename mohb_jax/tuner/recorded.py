"""What a journal says that a run was asked and told, before anything is decided again."""

import contextlib
import math
from collections.abc import Iterable
from typing import Any

from mohb_jax.drivers.repetition import Call
from mohb_jax.drivers.verdicts import Launch
from mohb_jax.tuner.journal import Line
from mohb_jax.tuner.setup import Setup


def calls_of(
    lines: Iterable[Line], used: tuple[int, ...], setup: Setup, began: float, goes_on: bool
) -> list[Call]:
    """Calls of a run's ``ask`` and ``tell`` up to the first line that makes no sense.

    Args:
        lines: of a journal, without its head.
        used: index into the fidelities of each level of the run.
        setup: what the run is.
        began: when it began.
        goes_on: whether trials go on with the worker that told them.
    """
    reader = _Reader(used, setup, began, goes_on)
    found: list[Call] = []
    # Whoever repeats a line that makes no sense says what is wrong with it.
    with contextlib.suppress(KeyError, TypeError, ValueError, IndexError):
        for line in lines:
            found += reader.calls(line.content)
    return found


class _Reader:
    def __init__(self, used: tuple[int, ...], setup: Setup, began: float, goes_on: bool) -> None:
        self._levels = {fidelity: level for level, fidelity in enumerate(used)}
        self._failed, self._retries = (math.inf,) * len(setup.objectives), setup.retries
        self._began, self._goes_on = began, goes_on
        self._launches: list[Launch] = []
        self._failures: dict[int, int] = {}
        self._last: dict[int, int] = {}
        """Job of each trial."""

    def calls(self, content: dict[str, Any]) -> list[Call]:
        """Of one line: one or none."""
        operation, seconds = content["op"], float(content["t"]) - self._began
        if operation == "ask":
            return self._ask(content, seconds) if content.get("attempt", 1) == 1 else []
        if operation == "tell":
            costs = tuple(float.fromhex(cost) for cost in content["costs"])
            finite = all(map(math.isfinite, costs))
            return [self._tell(content["id"], seconds, costs if finite else self._failed)]
        if operation != "fail":
            return []
        job = content["id"]
        self._failures[job] = self._failures.get(job, 0) + 1
        return [self._tell(job, seconds, self._failed)] if self._failures[job] > self._retries else []

    def _tell(self, job: int, seconds: float, costs: tuple[float, ...]) -> Call:
        return Call(False, job, seconds, costs, self._launches[job])

    def _ask(self, content: dict[str, Any], seconds: float) -> list[Call]:
        if "id" not in content:
            return [Call(True, -1, seconds, self._failed, None)]
        trial, row, level = content["trial"], content["row"], self._levels[content["level"]]
        before = self._last.get(trial, -1)
        from_level = self._launches[before].level if before >= 0 else -1
        self._last[trial] = len(self._launches)
        self._launches.append(Launch(trial, row, level, from_level))
        return [Call(True, before if self._goes_on else -1, seconds, self._failed, self._launches[-1])]
