"""A design study from its file to its page: searches, test, explanation."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from mohb_jax import store
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.design.choice import importance
from mohb_jax.design.explain import Explanation, explain
from mohb_jax.design.factorial import Factorial, factorial
from mohb_jax.design.folds import Fold, folds
from mohb_jax.design.judging import Compared, judge, known_as, require_tests
from mohb_jax.design.memory import peak_gib, released
from mohb_jax.design.pool import Learnt, Pool, learnt, pooled
from mohb_jax.design.search import Evaluated, Found, Limits, search
from mohb_jax.design.space import Point, Space, asks_others, label, make_space, method_of, shapes_of
from mohb_jax.design.spec import Design
from mohb_jax.design.trials import FIRST_TEST_RUN, Trials
from mohb_jax.errors import InputError
from mohb_jax.programs import Compilation
from mohb_jax.study.spec import make_study
from mohb_jax.study.units import load_tables

JOURNAL, RESULT, BEST = "design.jsonl", "design.json", "best.yaml"
RUNS_OF_A_SEARCH = 1 << 17
"""Numbers of runs that a search has for itself."""
SEARCHED = 0.8
"""Share of the programs that searches may compile; what is left is for the explanation."""
WINNER, SECOND, ALONE = "design", "second design", "design without a prior"
"""Under which names they are tested."""


class Outcome(NamedTuple):
    """All that a study found.

    Attributes:
        design: what was asked for.
        tasks: training tasks.
        found: each search.
        folds: choices of the first one that leave a benchmark out.
        compared: the winner against others on test tasks, the one that it is least ahead of first.
        explanation: of the winner.
        importance: of each part, over all candidates.
        num_runs: tuning runs of searches and explanation, on training tasks.
        num_tests: on test tasks.
        programs: made ready in this process for searches and explanation.
        test_programs: for the test.
        seconds: of this process.
        peak_gib: the most memory that this process had.
        factorial: combinations of parts; None where none were asked for.
    """

    design: Design
    tasks: tuple[str, ...]
    found: list[Found]
    folds: list[Fold]
    compared: list[Compared]
    explanation: Explanation
    importance: dict[str, float]
    num_runs: int
    num_tests: int
    programs: int
    test_programs: int
    seconds: float
    peak_gib: float
    factorial: Factorial | None


def training_pool(design: Design, data: str | None = None) -> tuple[Pool, Learnt | None]:
    """The training tasks as one table, and what they say to one another where the space asks for it.

    Raises:
        InputError: a benchmark cannot serve the space.
    """
    entries = [entry.model_dump(exclude_none=True) for entry in design.train]
    study = make_study({"benchmarks": entries, "methods": ["random"]}, "train")
    tables = [table for _, table in load_tables(study, data)]
    for table in tables:
        require_served(table, design.chosen_from)
    pool = pooled(tables, design.rows, design.seed)
    return pool, learnt(tables, pool, design.seed) if design.asks_prior else None


def require_served(table: AnyTable, space: Space) -> None:
    """``InputError`` where a training benchmark cannot serve the space."""
    if not all(table.final_runtime(task).max() > 0 for task in range(table.num_tasks)):
        raise InputError(f"benchmark {table.name!r} cannot serve the space: its trainings take no time")
    if table.num_fidelities < 2 and any(shape["schedule"] != "full" for shape in shapes_of(space)):
        raise InputError(
            f"benchmark {table.name!r} cannot serve the space: it has one fidelity, and schedules other than "
            "full need several; take it as a test benchmark, or limit schedule to full"
        )


def run_design(
    design: Design, folder: Path, tell: Callable[[str], None] = print, data: str | None = None
) -> Outcome:
    """Searches, tests and explains; what the folder holds already is not run again.

    Args:
        design: what is asked for.
        folder: made where missing: journal, studies of the test, ``best.yaml``, ``design.json``.
        tell: is told how it goes.
        data: folder of the published files.
    """
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    with store.alone_in(folder), Compilation() as compilation:
        require_tests(design, data)
        _keep(design, folder)
        tasks, num_runs, found, explained, combined = _trained(design, folder, compilation, tell, data)
        released()
        searched = compilation.count
        tell(f"{num_runs:,} runs, {searched} programs for searches and explanation; {peak_gib():.1f} GiB")
        compared = judge(design, _tested(found), folder / "test", tell, data)
        every = [own for one in found for own in one.evaluated]
        outcome = Outcome(
            design,
            tasks,
            found,
            folds(found[0], tasks, design.seed),
            compared,
            explained,
            importance([own.point for own in every], np.array([own.mean for own in every]), design.seed),
            num_runs,
            _num_tests(folder / "test"),
            searched,
            compilation.count - searched,
            time.perf_counter() - began,
            peak_gib(),
            combined,
        )
    (folder / RESULT).write_text(json.dumps(as_json(outcome), indent=1) + "\n", encoding="utf-8")
    num_runs = outcome.num_runs + outcome.num_tests
    tell(f"{num_runs:,} runs, {compilation.count} programs, {outcome.peak_gib:.1f} GiB")
    return outcome


def _trained(
    design: Design, folder: Path, compilation: Compilation, tell: Callable[[str], None], data: str | None
) -> tuple[tuple[str, ...], int, list[Found], Explanation, Factorial | None]:
    """All that runs on training tasks: their names, how many runs, searches, explanation, combinations."""
    pool, knowledge = training_pool(design, data)
    tell(f"training on {pool.table.num_tasks} tasks of {len(pool.parts)} benchmarks")
    trials = Trials(
        pool,
        design.seed,
        design.workers,
        folder / JOURNAL,
        design.trainings,
        knowledge,
        design.blocks_at_once,
        compilation,
        int(design.programs * SEARCHED),
    )
    found = _searches(design, trials, tell)
    winner = found[0].winner
    _write_best(folder / BEST, design, winner)
    trials.most_programs = design.programs
    explained = explain(trials, make_space(), winner, FIRST_TEST_RUN, design.explained)
    tell(f"explained: {label(winner)}")
    combined = factorial(trials, design.chosen_from, design.combined) if design.combined else None
    return trials.tasks, trials.num_runs, found, explained, combined


def _tested(found: list[Found]) -> dict[str, Point]:
    """What is tested: the winner, that of the second search, and the best choice that learns nothing from
    other tasks."""
    entries = {WINNER: found[0].winner}
    alone = found[0].best_alone() if asks_others(found[0].winner) else None
    others = {SECOND: found[1].winner if len(found) > 1 else None, ALONE: alone}
    for name, point in others.items():
        if point is not None and label(point) not in map(label, entries.values()):
            entries[name] = point
    return entries


def _searches(design: Design, trials: Trials, tell: Callable[[str], None]) -> list[Found]:
    limits = Limits(
        design.shapes,
        design.seeds,
        design.neighbours,
        design.refined,
        design.refinements,
        design.runs,
        design.eliminate,
        design.seed,
    )
    found = []
    for number in range(design.searches):
        tell(f"search {number + 1} of {design.searches}")
        own = search(
            trials, design.chosen_from, limits, design.seed + number, number * RUNS_OF_A_SEARCH, tell
        )
        found.append(own)
    return found


def _keep(design: Design, folder: Path) -> None:
    """The design beside its results; a folder holds one."""
    text = yaml.safe_dump(design.model_dump(mode="json", exclude_none=True), sort_keys=False)
    path = folder / "asked.yaml"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise InputError(f"{folder} holds another design study: give another folder with --out")
    path.write_text(text, encoding="utf-8")


def _write_best(path: Path, design: Design, winner: Point) -> None:
    method, settings = method_of(winner)
    content = {"design": design.name, "method": method, "settings": settings, "parts": dict(winner)}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _num_tests(folder: Path) -> int:
    total = 0
    for own in sorted(folder.iterdir()):
        total += sum(unit.spec["num_seeds"] * len(unit.spec["tasks"]) for unit in store.read_units(own))
    return total


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON holds it."""

    def search_of(found: Found) -> dict[str, Any]:
        method, settings = method_of(found.winner)
        return {
            "winner": found.winner,
            "method": method,
            "settings": settings,
            "known_as": known_as(found.winner),
            "predicted": found.predicted,
            "best_observed": found.best_observed,
            "alive": found.alive,
            "evaluated": [_evaluated(own) for own in found.evaluated],
        }

    explanation = {
        name: [step._asdict() | {"matters": step.matters} for step in steps]
        for name, steps in outcome.explanation._asdict().items()
        if isinstance(steps, list)
    }
    return {
        "design": outcome.design.model_dump(mode="json", exclude_none=True),
        "versions": store.versions(),
        "tasks": list(outcome.tasks),
        "num_runs": outcome.num_runs,
        "num_tests": outcome.num_tests,
        "programs": outcome.programs,
        "test_programs": outcome.test_programs,
        "seconds": round(outcome.seconds, 1),
        "peak_gib": round(outcome.peak_gib, 2),
        "searches": [search_of(found) for found in outcome.found],
        "folds": [own._asdict() for own in outcome.folds],
        "compared": [own._asdict() for own in outcome.compared],
        "explanation": {"plain": outcome.explanation.plain._asdict(), **explanation},
        "importance": outcome.importance,
        "factorial": _combined(outcome.factorial),
    }


def _combined(own: Factorial | None) -> dict[str, Any] | None:
    return None if own is None else {"cells": own.cells, "effects": [one._asdict() for one in own.effects]}


def _evaluated(own: Evaluated) -> dict[str, Any]:
    runs = own.blocks.shape[1]
    return {"point": own.point, "mean": own.mean, "deviation": own.variance**0.5, "blocks": runs}


def described(space: Space) -> str:
    """How large a space is, in a line."""
    return f"{sum(1 for _ in shapes_of(space)):,} static choices, {len(space.traced)} numbers"
