"""Running candidates: tuning runs of a choice of parts on all tasks of a pool, and what they are worth."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mohb_jax.design.pool import Learnt, Pool
from mohb_jax.design.response import measure, response, shares
from mohb_jax.design.space import Point, label, method_of, shape_of, unit_numbers
from mohb_jax.drivers.lanes import cells_of
from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.precision import in_64_bits
from mohb_jax.programs import Compilation
from mohb_jax.searchers.filtered import CANDIDATE_STRIDE, Numbers, with_candidates
from mohb_jax.searchers.prepared_lists import Lists
from mohb_jax.simulation import DEFAULT_EVALUATIONS, horizons, lanes_at, make_conditions

BLOCK = 8
"""Runs of a task that are compared together."""
SIDE_BY_SIDE = 8
"""Candidates of one shape in one program."""
USUAL_PROGRAMS = 8
"""Of a shape, before any was run."""
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
        learnt: Learnt | None = None,
        at_once: int = SIDE_BY_SIDE,
        programs: Compilation | None = None,
        most_programs: int | None = None,
    ) -> None:
        self.table = pool.table
        self.tasks = pool.table.tasks
        self.num_runs = 0
        self._seed = seed
        self._learnt = learnt
        self._at_once = at_once
        self._programs = Compilation() if programs is None else programs
        self.most_programs = most_programs
        self._conditions = make_conditions(workers=workers)
        usual = np.array(horizons(self.table, self.tasks, self._conditions, None))
        self._horizon = usual * trainings / DEFAULT_EVALUATIONS
        self._measure = measure(self.table)
        self._cells: Any = None
        self._prepared: dict[str, Any] = {}
        self._lists: dict[str, Any] = {}
        self._counted: set[str] = set()
        self._journal = journal
        self._known, self._served, self._needed = _read(journal)

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
        if missing:
            self._needs(shape_of(points[0]), self._programs.count - before)
        asked = set(keys) - self._counted
        self._counted |= asked
        self.num_runs += len(asked) * len(self.tasks) * num_seeds
        return np.stack([self._known[key] for key in keys])

    def serves(self, point: Point) -> bool:
        """Whether a point may be run: its shape was run before, or there is room for its programs, as many as
        ``expected_programs``. What is refused stays so, here and in whoever goes on from the journal."""
        key = label(shape_of(point))
        if key not in self._served:
            expected = self._programs.count + expected_programs(shape_of(point), self._needed)
            self._served[key] = self.most_programs is None or expected <= self.most_programs
            if not self._served[key]:
                self._note({"refused": key})
        return self._served[key]

    def _needs(self, shape: Point, count: int) -> None:
        """Takes down how many programs a shape compiled; the first call has the most."""
        if all(other != shape for other, _ in self._needed):
            self._needed.append((shape, count))
            self._note({"shape": shape, "programs": count})

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
        """The plan of a shape, what its searcher prepared, the table, and the highest level.

        All fidelities are there, whichever a plan uses: programs do not depend on it.
        """
        key = f"{label(shape_of(point))} {point.get('prior_strength')}"
        if key not in self._prepared:
            # The strength of a prior is in what is prepared: all strengths share one plan, and its programs.
            plan = self._plan(shape_of(_in_lists(point) if self._learnt else point))
            self._prepared[key] = plan, self._context(point)
        if self._cells is None:
            self._cells = cells_of(self.table, range(self.table.num_fidelities), None)
        return *self._prepared[key], self._cells, self.table.num_fidelities - 1

    def _context(self, point: Point) -> Any:
        """What the searcher of a point has prepared.

        Where something was learnt, all that goes through rows without learning goes through lists: those of
        the prior, a portfolio, or empty ones, after which random search's rows come. One program does it.
        """
        learnt, tasks = self._learnt, tuple(range(len(self.tasks)))
        prior = None if learnt is None else learnt.prior
        twin = point if learnt is None else _in_lists(point)
        context = self._plan(twin).prepare(self.table, tasks, self._seed, prior)
        if learnt is None or twin is point:
            return context
        source = str(point["searcher"])
        rows = learnt.portfolios if source == "portfolio" else np.full_like(learnt.portfolios, -1)

        def filled(lists: Lists) -> Lists:
            if source not in self._lists:
                wide = np.full(lists.rows.shape, -1, np.int32)
                wide[..., : rows.shape[1]] = rows[:, None, : wide.shape[2]]
                self._lists[source] = jnp.asarray(wide)
            return dataclasses.replace(lists, rows=self._lists[source])

        return jax.tree.map(
            lambda part: filled(part) if isinstance(part, Lists) else part,
            context,
            is_leaf=lambda part: isinstance(part, Lists),
        )

    def _plan(self, point: Point) -> Any:
        name, settings = method_of(point)
        method = method_named(name)
        return make_plan(self.table, method, make_settings(method, **settings), self._conditions)

    def _note(self, entry: dict[str, Any]) -> None:
        if self._journal is None:
            return
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, separators=(",", ":")) + "\n")


def expected_programs(shape: Point, known: Sequence[tuple[Point, int]]) -> int:
    """How many programs a shape will compile: as many as the likest one did.

    That is, of those with the same schedule, the one that has most other parts in common, and of several the
    one that needed least: what they share was compiled before. A schedule that was not seen is taken to need
    as many as the dearest so far.

    Args:
        shape: static parts.
        known: shapes that were run, and what each compiled.

    Examples:
        >>> known = [({"schedule": "full", "searcher": "random"}, 9), ({"schedule": "equal"}, 30)]
        >>> expected_programs({"schedule": "full", "searcher": "filtered"}, known)
        9
        >>> expected_programs({"schedule": "halving"}, known)
        30
    """
    alike = [
        (sum(shape.get(name) == value for name, value in other.items()), -count)
        for other, count in known
        if other["schedule"] == shape["schedule"]
    ]
    if alike:
        return -max(alike)[1]
    return max([USUAL_PROGRAMS, *(count for _, count in known)])


def _in_lists(point: Point) -> Point:
    """The choice of the prior that proposes by the same program, if rows come one after another whatever is
    found; else the point itself."""
    if point.get("searcher") == "portfolio" or (point["searcher"], point.get("sample")) == (
        "random",
        "uniform",
    ):
        return point | {"searcher": "random", "sample": "prior"}
    return point


def _read(
    path: Path | None,
) -> tuple[dict[str, np.ndarray], dict[str, bool], list[tuple[Point, int]]]:
    """Evaluations by key, which shapes are served, and what they compiled; a last line that was cut short is
    left out."""
    known: dict[str, np.ndarray] = {}
    served: dict[str, bool] = {}
    needed: list[tuple[Point, int]] = []
    if path is None or not path.is_file():
        return known, served, needed
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if "refused" in entry:
                served[str(entry["refused"])] = False
                continue
            if "programs" in entry:
                needed.append((dict(entry["shape"]), int(entry["programs"])))
                continue
            known[str(entry["key"])] = np.array(entry["blocks"], float)
            served[label(shape_of(entry["point"]))] = True
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise InputError(f"{path}, line {number}: no evaluation of a design") from None
            path.write_text("".join(f"{own}\n" for own in lines[:-1]), encoding="utf-8")
    return known, served, needed
