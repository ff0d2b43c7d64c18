"""Running candidates: tuning runs of a choice of parts on all tasks of a pool, and what they are worth."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mohb_jax.design.pool import Pool
from mohb_jax.design.response import measure, response, shares
from mohb_jax.design.space import Point, label, method_of, shape_of, unit_numbers
from mohb_jax.drivers.lanes import cells_of
from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.precision import in_64_bits
from mohb_jax.programs import Compilation
from mohb_jax.searchers.filtered import CANDIDATE_STRIDE, Numbers, with_candidates
from mohb_jax.simulation import DEFAULT_EVALUATIONS, horizons, lanes_at, make_conditions
from mohb_jax.transfer import Prior

BLOCK = 8
"""Runs of a task that are compared together."""
SIDE_BY_SIDE = 8
"""Candidates of one shape in one program."""
USUAL_PROGRAMS = 8
"""Of a shape, until a dearer one was seen."""
FIRST_TEST_RUN = CANDIDATE_STRIDE // 2
"""Runs of a search come before, those of its test from here on: no run serves both."""


class Trials:
    """Evaluates candidates on the training tasks, once each: what the journal holds is not run again.

    Attributes:
        tasks: names of the training tasks.
        num_runs: tuning runs that were simulated or read from the journal, each counted once.
        most_programs: see ``serves``; None for no limit.
    """

    def __init__(
        self,
        pool: Pool,
        seed: int,
        workers: int,
        journal: Path | None = None,
        trainings: int = DEFAULT_EVALUATIONS,
        prior: Prior | None = None,
        at_once: int = SIDE_BY_SIDE,
        programs: Compilation | None = None,
        most_programs: int | None = None,
    ) -> None:
        self.table = pool.table
        self.tasks = pool.table.tasks
        self.num_runs = 0
        self._seed = seed
        self._prior = prior
        self._at_once = at_once
        self._programs = Compilation() if programs is None else programs
        self.most_programs = most_programs
        self._dearest = USUAL_PROGRAMS
        self._conditions = make_conditions(workers=workers)
        usual = np.array(horizons(self.table, self.tasks, self._conditions, None))
        self._horizon = usual * trainings / DEFAULT_EVALUATIONS
        self._measure = measure(self.table)
        self._prepared: dict[str, Any] = {}
        self._counted: set[str] = set()
        self._cells: dict[tuple[int, ...], Any] = {}
        self._journal = journal
        self._known, self._served = _read(journal)

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
        starts = range(first_run, first_run + num_seeds, BLOCK)
        before = self._programs.count
        together = max(1, self._at_once // len(starts))
        for some in (missing[place : place + together] for place in range(0, len(missing), together)):
            began = time.perf_counter()
            found = self._run([(points[place], start) for place in some for start in starts])
            seconds = (time.perf_counter() - began) / len(some)
            for place, own in zip(some, np.split(found, len(some)), strict=True):
                self._known[keys[place]] = own.T
                self._note({"key": keys[place], "point": points[place], "seconds": round(seconds, 3),
                            "blocks": own.T.tolist()})  # fmt: skip
        self._dearest = max(self._dearest, self._programs.count - before)
        asked = set(keys) - self._counted
        self._counted |= asked
        self.num_runs += len(asked) * len(self.tasks) * num_seeds
        return np.stack([self._known[key] for key in keys])

    def serves(self, point: Point) -> bool:
        """Whether a point may be run: its shape was run before, or there is room for its programs.

        A shape is taken to need as many as the dearest so far. What is refused stays so, here and in whoever
        goes on from the journal.
        """
        key = label(shape_of(point))
        if key not in self._served:
            expected = self._programs.count + self._dearest
            self._served[key] = self.most_programs is None or expected <= self.most_programs
            if not self._served[key]:
                self._note({"refused": key})
        return self._served[key]

    def _run(self, wanted: Sequence[tuple[Point, int]]) -> Float[np.ndarray, "wanted tasks"]:
        """The response to blocks of runs, each of a point and from a run on.

        A call has ``at_once`` blocks, of whichever points: one program serves a shape, however many settings
        and runs are asked for. Points in one call share what their searcher prepared.
        """
        found = np.zeros((len(wanted), len(self.tasks)))
        groups: dict[Any, list[int]] = {}
        for place, (point, _) in enumerate(wanted):
            groups.setdefault(point.get("prior_strength"), []).append(place)
        for group in groups.values():
            for start in range(0, len(group), self._at_once):
                some = group[start : start + self._at_once]
                found[some] = self._together([wanted[place] for place in some])[: len(some)]
        return found

    @in_64_bits
    def _together(self, wanted: Sequence[tuple[Point, int]]) -> Float[np.ndarray, "blocks tasks"]:
        """One call; a shorter one repeats its last block."""
        wanted = [*wanted, *[wanted[-1]] * (self._at_once - len(wanted))]
        points = list({label(point): point for point, _ in wanted}.values())
        plan, context, cells, highest = self._of_shape(points[0])
        if points[0].get("searcher") == "filtered":
            own = unit_numbers([*points, *[points[-1]] * (SIDE_BY_SIDE - len(points))])
            first, last, share = (np.asarray(own[name], np.float64) for name in Numbers._fields[:3])
            numbers = Numbers(first, last, share, np.asarray(own["per_tournament"], np.int32))
            context = (with_candidates(context[0], numbers), context[1])
        place = np.array([points.index(point) for point, _ in wanted], np.int32)
        runs = np.array([start for _, start in wanted], np.int32)[:, None] + np.arange(BLOCK, dtype=np.int32)
        lanes = lanes_at(len(self.tasks), runs.reshape(-1), self._seed, self._horizon.tolist())
        shift = np.tile(np.repeat(place, BLOCK) * np.int32(CANDIDATE_STRIDE), len(self.tasks))
        lanes = lanes._replace(run=np.asarray(lanes.run) + shift)
        log = plan.run(cells, context, lanes, jax.local_devices())
        reached = response(shares(self._measure, log, highest, np.asarray(lanes.horizon)))
        return np.round(reached.reshape(len(self.tasks), len(wanted), BLOCK).mean(axis=2), 6).T

    def _of_shape(self, point: Point) -> tuple[Any, Any, Any, int]:
        """The plan of a shape, what its searcher prepared, the table, and the highest level."""
        key = f"{label(shape_of(point))} {point.get('prior_strength')}"
        if key not in self._prepared:
            context = self._plan(point).prepare(
                self.table, tuple(range(len(self.tasks))), self._seed, self._prior
            )
            # The strength of a prior is in what is prepared: all strengths share one plan, and its programs.
            plan = self._plan(shape_of(point))
            used = plan.levels()
            if used not in self._cells:
                self._cells[used] = cells_of(self.table, used, None)
            self._prepared[key] = plan.in_levels(used), context, self._cells[used], len(used) - 1
        return self._prepared[key]

    def _plan(self, point: Point) -> Any:
        name, settings = method_of(point)
        method = method_named(name)
        return make_plan(self.table, method, make_settings(method, **settings), self._conditions)

    def _note(self, entry: dict[str, Any]) -> None:
        if self._journal is None:
            return
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, separators=(",", ":")) + "\n")


def _read(path: Path | None) -> tuple[dict[str, np.ndarray], dict[str, bool]]:
    """Evaluations by key, and which shapes are served; a last line that was cut short is left out."""
    known: dict[str, np.ndarray] = {}
    served: dict[str, bool] = {}
    if path is None or not path.is_file():
        return known, served
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if "refused" in entry:
                served[str(entry["refused"])] = False
                continue
            known[str(entry["key"])] = np.array(entry["blocks"], float)
            served[label(shape_of(entry["point"]))] = True
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise InputError(f"{path}, line {number}: no evaluation of a design") from None
            path.write_text("".join(f"{own}\n" for own in lines[:-1]), encoding="utf-8")
    return known, served
