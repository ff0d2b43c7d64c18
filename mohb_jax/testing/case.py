"""What a check looks at: one method, the tables that serve it, and its runs, each made once."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import InputError
from mohb_jax.methods import Method
from mohb_jax.programs import Compilation
from mohb_jax.testing import parts
from mohb_jax.testing.changes import shuffled_results
from mohb_jax.testing.parts import Parts, Ready
from mohb_jax.types import RunLog

NUM_RUNS = 3
"""Runs per task in every batch of lanes: one shape, so that programs are shared."""
STANDARD = ("mixed", "one-objective", "grid")
"""The table that most checks take: the first of these that serves, else the first of all."""


class BrokenLawError(AssertionError):
    """A method does not keep a law; the message says which, what was seen and what to do."""


def broken(text: str) -> NoReturn:
    """Ends a check that found something."""
    raise BrokenLawError(text)


class Again(NamedTuple):
    """A method that was prepared a second time."""

    ready: Ready
    log: RunLog
    """Of the lanes ``among_others``."""
    draws_globally: bool
    """Whether preparing has drawn from the global state of ``numpy.random``."""


class Other(NamedTuple):
    """A run that differs in all that no program may depend on."""

    log: RunLog
    horizon: float
    num_compiled: int
    """Programs that were compiled for it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A method and the tables that it is checked on.

    Attributes:
        method: to check.
        tables: by name; those that lack what the method needs are passed over.
    """

    method: Method
    tables: Mapping[str, AnyTable]

    @functools.cached_property
    def served(self) -> dict[str, AnyTable]:
        """The tables that serve the method; ``InputError`` if there is none."""
        refusals = {name: self._refusal(table) for name, table in self.tables.items()}
        served = {name: table for name, table in self.tables.items() if refusals[name] is None}
        if not served:
            name, reason = next(iter(refusals.items()))
            raise InputError(f"method {self.method.name!r} cannot be checked on table {name!r}: {reason}")
        return served

    def _refusal(self, table: AnyTable) -> str | None:
        """Why a table cannot serve the method; what goes wrong otherwise is left for the checks to find."""
        missing = parts.lacks(self.method, table)
        if missing is not None:
            return missing
        try:
            self.ready(table)
        except InputError as error:
            return str(error)
        except Exception:  # of the author's code: each check that needs it tells
            return None
        return None

    @functools.cached_property
    def table(self) -> AnyTable:
        """The table that most checks take."""
        preferred = [name for name in STANDARD if name in self.served]
        return self.served[(preferred or list(self.served))[0]]

    @functools.cached_property
    def parts(self) -> Parts:
        """The method's parts on that table."""
        return self.ready().parts

    def ready(self, table: AnyTable | None = None) -> Ready:
        """The method prepared for a table, once."""
        table = self.table if table is None else table
        kept = self._kept_ready
        if table not in kept:
            kept[table] = parts.make_ready(self.method, table)
        return kept[table]

    @functools.cached_property
    def again(self) -> Again:
        """The method prepared for the same table a second time, and its log of some lanes among others."""
        before = global_state()
        ready = parts.make_ready(self.method, self.table)
        draws_globally = global_state() != before
        return Again(ready, parts.run(ready, among_others(self.table)), draws_globally)

    @functools.cached_property
    def other(self) -> Other:
        """The log of a run with other keys, another horizon and results of the same shapes."""
        horizon = float(np.median(self.log().end[self.log().valid]))
        table = shuffled_results(self.table, 0)
        with Compilation() as compiled:
            ready = parts.make_ready(self.method, table, seed=1)
            log = parts.run(ready, lanes_of(table), seed=1, horizon=horizon)
        return Other(log, horizon, compiled.count)

    def log(self, table: AnyTable | None = None) -> RunLog:
        """The log of the standard lanes on a table, made once."""
        table = self.table if table is None else table
        if table not in self._kept_logs:
            self._kept_logs[table] = parts.run(self.ready(table), lanes_of(table))
        return self._kept_logs[table]

    @functools.cached_property
    def told(self) -> list[str]:
        """Names of the checks that told why no run is possible: one at most, for all that follow."""
        return []

    @functools.cached_property
    def traces(self) -> dict[str, Any]:
        """Program and shapes of the state after each kind of call (``searcher_checks.traced``): tracing costs
        more than all else."""
        return {}

    @functools.cached_property
    def _kept_ready(self) -> dict[AnyTable, Ready]:
        return {}

    @functools.cached_property
    def _kept_logs(self) -> dict[AnyTable, RunLog]:
        return {}


def global_state() -> str:
    """Of NumPy alone: checkers of types draw from that of ``random``."""
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002


def lanes_of(table: AnyTable, num_tasks: int = 2) -> list[tuple[int, int]]:
    """Task and run of the standard lanes: the same number on every table, so tasks repeat where they are
    few."""
    return [
        (task % table.num_tasks, run + NUM_RUNS * (task // table.num_tasks))
        for task in range(num_tasks)
        for run in range(NUM_RUNS)
    ]


def among_others(table: AnyTable) -> list[tuple[int, int]]:
    """Every second one of the standard lanes, among other ones, and all in reverse order."""
    lanes = enumerate(lanes_of(table))
    return [(task, run + 10 * (place % 2 == 0)) for place, (task, run) in lanes][::-1]


def kept_lanes(table: AnyTable) -> list[tuple[int, int]]:
    """Places of lanes that are in both: among the standard lanes, and ``among_others``."""
    num_lanes = len(lanes_of(table))
    return [(place, num_lanes - 1 - place) for place in range(1, num_lanes, 2)]


def jobs(log: RunLog, lane: int) -> list[tuple[int, int]]:
    """Row and level of each evaluation of a lane, in launch order."""
    valid = np.asarray(log.valid[lane])
    return list(zip(log.row[lane][valid].tolist(), log.fidelity[lane][valid].tolist(), strict=True))


def difference(first: RunLog, second: RunLog, lane: int, other: int) -> str | None:
    """Where a lane of one log differs from one of another, in words; None if it does not, to the last bit."""
    for field in ("row", "fidelity", "worker", "valid", "costs", "start", "end"):
        one, two = (np.asarray(getattr(log, field)[index]) for log, index in ((first, lane), (second, other)))
        width = min(len(one), len(two))
        same = (one[:width] == two[:width]) | (one[:width] != one[:width]) & (two[:width] != two[:width])
        slots = np.flatnonzero(~same.reshape(width, -1).all(axis=1))
        if slots.size:
            slot = int(slots[0])
            return f"slot {slot} of lane {lane}: {field} is {one[slot]} and {two[slot]}"
    if first.valid[lane].sum() != second.valid[other].sum():
        counts = first.valid[lane].sum(), second.valid[other].sum()
        return f"lane {lane} has {counts[0]} evaluations and {counts[1]}"
    return None
