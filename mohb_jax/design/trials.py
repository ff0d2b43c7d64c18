"""Running candidates: tuning runs of a choice of parts on all tasks of a pool, and what they are worth."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mohb_jax.design.pool import Pool
from mohb_jax.design.response import measure, response, shares
from mohb_jax.design.space import Point, label, method_of, shape_of, unit_numbers
from mohb_jax.drivers.lanes import Lanes, cells_of
from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.filtered import CANDIDATE_STRIDE, Numbers, with_candidates
from mohb_jax.simulation import DEFAULT_EVALUATIONS, horizons, lanes_of, make_conditions

BLOCK = 8
"""Runs of a task that are compared together."""
SIDE_BY_SIDE = 8
"""Candidates of one shape in one program."""
FIRST_TEST_RUN = CANDIDATE_STRIDE // 2
"""Runs of a search come before, those of its test from here on: no run serves both."""


class Trials:
    """Evaluates candidates on the training tasks, once each: what the journal holds is not run again.

    Attributes:
        tasks: names of the training tasks.
        num_runs: tuning runs that were simulated or read from the journal.
    """

    def __init__(
        self,
        pool: Pool,
        seed: int,
        workers: int,
        journal: Path | None = None,
        trainings: int = DEFAULT_EVALUATIONS,
    ) -> None:
        self.table = pool.table
        self.tasks = pool.table.tasks
        self.num_runs = 0
        self._seed = seed
        self._conditions = make_conditions(workers=workers)
        usual = np.array(horizons(self.table, self.tasks, self._conditions, None))
        self._horizon = usual * trainings / DEFAULT_EVALUATIONS
        self._measure = measure(self.table)
        self._prepared: dict[str, Any] = {}
        self._cells: dict[tuple[int, ...], Any] = {}
        self._journal = journal
        self._known = {} if journal is None else _read(journal)

    def blocks(
        self, points: Sequence[Point], first_run: int, num_seeds: int
    ) -> Float[np.ndarray, "points tasks blocks"]:
        """Mean response of each block of ``BLOCK`` runs, larger is better.

        Args:
            points: of one shape.
            first_run: number of the first run of each task.
            num_seeds: runs of each task, a multiple of ``BLOCK``.
        """
        if num_seeds % BLOCK or first_run + num_seeds > CANDIDATE_STRIDE:
            raise InputError(f"seeds is {num_seeds}: a multiple of {BLOCK} below {CANDIDATE_STRIDE}")
        keys = [f"{first_run}+{num_seeds} {label(point)}" for point in points]
        missing = [place for place, key in enumerate(keys) if key not in self._known]
        for start in range(0, len(missing), SIDE_BY_SIDE):
            some = missing[start : start + SIDE_BY_SIDE]
            found = self._run([points[place] for place in some], first_run, num_seeds)
            for place, own in zip(some, found, strict=True):
                self._known[keys[place]] = own
                self._write(points[place], keys[place], own)
        self.num_runs += len(points) * len(self.tasks) * num_seeds
        return np.stack([self._known[key] for key in keys])

    @in_64_bits
    def _run(self, points: Sequence[Point], first_run: int, num_seeds: int) -> np.ndarray:
        plan, context, cells, highest = self._of_shape(points[0])
        if points[0].get("searcher") == "filtered":
            own = unit_numbers([*points, *[points[-1]] * (SIDE_BY_SIDE - len(points))])
            first, last, share = (np.asarray(own[name], np.float64) for name in Numbers._fields[:3])
            numbers = Numbers(first, last, share, np.asarray(own["per_tournament"], np.int32))
            context = (with_candidates(context[0], numbers), context[1])
        one = lanes_of(len(self.tasks), first_run, num_seeds, self._seed, self._horizon.tolist())
        count = len(points)
        run = np.concatenate([one.run + number * CANDIDATE_STRIDE for number in range(count)])
        lanes = Lanes(
            np.tile(one.task, count),
            run.astype(np.int32),
            jax.numpy.concatenate([one.key] * count),
            np.tile(one.horizon, count),
        )
        log = plan.run(cells, context, lanes, jax.local_devices())
        reached = response(shares(self._measure, log, highest, np.asarray(lanes.horizon)))
        return np.round(reached.reshape(count, len(self.tasks), -1, BLOCK).mean(axis=3), 6)

    def _of_shape(self, point: Point) -> tuple[Any, Any, Any, int]:
        """The plan of a shape, what its searcher prepared, the table, and the highest level."""
        key = label(shape_of(point))
        if key not in self._prepared:
            name, settings = method_of(point)
            method = method_named(name)
            plan = make_plan(self.table, method, make_settings(method, **settings), self._conditions)
            context = plan.prepare(self.table, tuple(range(len(self.tasks))), self._seed, None)
            used = plan.levels()
            if used not in self._cells:
                self._cells[used] = cells_of(self.table, used, None)
            self._prepared[key] = plan.in_levels(used), context, self._cells[used], len(used) - 1
        return self._prepared[key]

    def _write(self, point: Point, key: str, found: np.ndarray) -> None:
        if self._journal is None:
            return
        line = json.dumps({"key": key, "point": point, "blocks": found.tolist()}, separators=(",", ":"))
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _read(path: Path) -> dict[str, np.ndarray]:
    """Evaluations by key; a last line that was cut short is left out."""
    known: dict[str, np.ndarray] = {}
    if not path.is_file():
        return known
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            known[str(entry["key"])] = np.array(entry["blocks"], float)
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise InputError(f"{path}, line {number}: no evaluation of a design") from None
            path.write_text("".join(f"{own}\n" for own in lines[:-1]), encoding="utf-8")
    return known
