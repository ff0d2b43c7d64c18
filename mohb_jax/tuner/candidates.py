"""A space as methods see it before a live run: a table whose task has no results."""

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks import checks
from mohb_jax.benchmarks.columns import Objective
from mohb_jax.benchmarks.contract import AnyTable, CellSource
from mohb_jax.errors import InputError
from mohb_jax.tuner.space import Space


class Candidates(AnyTable):
    """The rows of a space for one task that is tuned live, and what other tasks say about them.

    Where a method looks at all tasks of a table, the live task shows the results of the first of the others:
    no method may read them, and so it must do as it does with any.

    Raises:
        InputError: the other tasks are of another space, or names are no good.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        fidelities: Sequence[float | int],
        fidelity_name: str = "epoch",
        task: str = "live",
        sources: AnyTable | None = None,
    ) -> None:
        self.name = "live"
        self.space, self.sources = space, sources
        self.columns, self.configs = space.columns, space.configs
        self.objectives = tuple(objectives)
        self.tasks = (task, *(() if sources is None else sources.tasks))
        self.fidelities = tuple(fidelities)
        self.fidelity_name = self.fidelity_unit = fidelity_name
        self.resumable, self.provenance = True, "a live run"
        checks.check_names(self)
        self._require_same_space()

    def _require_same_space(self) -> None:
        if self.sources is None:
            return
        for what in ("columns", "objectives"):
            if getattr(self, what) != getattr(self.sources, what):
                raise InputError(f"sources {self.sources.name!r} has other {what} than the space")
        if not np.array_equal(self.configs, self.sources.configs):
            raise InputError(
                f"sources {self.sources.name!r} has other rows than the space: use Space.from_table(sources)"
            )

    @functools.cached_property
    def fingerprint(self) -> str:
        """See ``AnyTable``."""
        about: list[Any] = [self.tasks, self.fidelities, [(o.name, o.sense, o.unit) for o in self.objectives]]
        about += [self.space.fingerprint, None if self.sources is None else self.sources.fingerprint]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def measured(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``AnyTable``: every row of the live task may be proposed."""
        return self._source(task).measured(task - 1) if task else np.ones(self.num_rows, bool)

    def final_costs(self, task: int) -> Float[np.ndarray, "rows objectives"]:
        """See ``ResultTable``; of the live task what is known beforehand."""
        if task:
            return self._source(task).final_costs(task - 1)
        if self.sources is not None:
            costs = np.array(self.sources.final_costs(0))
        else:
            costs = np.full((self.num_rows, self.num_objectives), np.inf)
        for index, objective in enumerate(self.objectives):
            if objective.name in self.space.known:
                costs[:, index] = objective.to_cost(self.space.known[objective.name])
        return costs

    def final_available(self, task: int) -> Bool[np.ndarray, " rows"]:
        """See ``ResultTable``."""
        if not task and self.sources is None:
            return np.zeros(self.num_rows, bool)
        return self._source(task).final_available(max(task - 1, 0))

    def final_runtime(self, task: int) -> Float[np.ndarray, " rows"]:
        """See ``ResultTable``."""
        return self._source(task).final_runtime(task - 1)

    def _source(self, task: int) -> AnyTable:
        return self._no_results() if self.sources is None else self.sources

    def _no_results(self) -> NoReturn:
        raise InputError("a live space has no results: a method that needs them cannot be tuned with live")

    def lowest_costs(self) -> Float[np.ndarray, "tasks objectives"]:
        """See ``ResultTable``: there are none."""
        self._no_results()

    def cells(self, fidelities: Sequence[int]) -> CellSource:
        """See ``AnyTable``: there are none."""
        self._no_results()

    def dense(self, fidelities: Sequence[int]) -> Any:
        """See ``AnyTable``: there are none."""
        self._no_results()

    def select(self, tasks: Any = None, objectives: Any = None, fidelities: Any = None) -> "Candidates":
        """See ``AnyTable``: there is nothing to select from."""
        self._no_results()

    def save(self, path: Any) -> None:
        """See ``AnyTable``: the space is saved instead."""
        self._no_results()

    def place(self, rows: Int[np.ndarray, " some"]) -> tuple[Int[np.ndarray, " some"], list[float | int]]:
        """See ``ResultTable``."""
        return rows, [self.fidelities[-1]] * len(rows)
