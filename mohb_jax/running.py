"""Running a study and reading its results, from Python and for the command line.

results = mohb_jax.run_study("study.yaml")
results = mohb_jax.run_study({"benchmarks": ["embedded"], "methods": ["random", "mo-hb"], "seeds": 20})
"""

import contextlib
import functools
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mohb_jax import store
from mohb_jax.analysis.first_look import first_look
from mohb_jax.benchmarks.credit import counted
from mohb_jax.errors import InputError
from mohb_jax.programs import Watch
from mohb_jax.results import Results, load_results
from mohb_jax.study import Study, StudyTable, WorkUnit, load_study, load_tables, make_study, work_units
from mohb_jax.study import run as study_run
from mohb_jax.study.engines import make_engine

FIRST_LOOK = "of the true front's hypervolume after"
"""Stands in each line on how far the first runs of a method came."""
Say = Callable[[str], None]
"""Shows somebody a line."""


class Ran(NamedTuple):
    """What a call did."""

    num_run: int
    """Units that it ran."""
    num_kept: int
    """Units that were there already."""
    seconds: float


def run_study(
    study: str | os.PathLike[str] | Mapping[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    reuse: Sequence[str | os.PathLike[str]] = (),
    data: str | None = None,
) -> Results:
    """Runs a study, or goes on with one, and returns its results: finished units are never repeated.

    Args:
        study: a study file, or a mapping of what stands in one. A file that names ``my_module:my_method``
            runs that module.
        out: the study folder; ``runs/NAME`` of the study if None.
        progress: whether a terminal or notebook shows a bar.
        reuse: study folders from which finished units are copied where they answer the same question.
        data: folder that holds the published files; default: ``MOHB_DATA``, else they are downloaded.

    Returns:
        The results of all finished units. Compiled programs are kept for the next call, as by ``mohb run``.

    Raises:
        InputError: naming the part of the study at fault, and what is accepted.

    Examples:
        >>> tiny = {"name": "tiny", "benchmarks": ["synthetic"], "methods": ["random"], "seeds": 2}
        >>> results = run_study(tiny | {"evaluations": 10}, progress=False)
        >>> results.methods
        ('random',)
    """
    from_file = isinstance(study, str | os.PathLike)
    chosen = load_study(Path(study)) if from_file else make_study(study, "study")  # type: ignore[arg-type]
    directory = Path("runs") / chosen.name if out is None else Path(out)
    typed = shlex.join(["mohb", "run", os.fspath(study)]) if from_file else "mohb_jax.run_study(...)"  # type: ignore[arg-type]
    tables = load_tables(chosen, data)
    run_with_progress(chosen, tables, directory, typed, [Path(at) for at in reuse], progress)
    return load_results(directory)


def run_with_progress(
    study: Study,
    tables: list[StudyTable],
    directory: Path,
    command: str,
    reuse: Sequence[Path] = (),
    progress: bool = True,
    begin: Callable[[list[WorkUnit]], None] = lambda units: None,
    say: Say | None = None,
) -> Ran:
    """Runs what is missing of a study in a folder, with a bar where somebody looks.

    Args:
        study: what to run.
        tables: its benchmarks.
        directory: the study folder.
        command: what the user typed, for the report.
        reuse: other study folders to copy finished units from.
        progress: False for no bar at all.
        begin: called with all units before any of them runs.
        say: called with a line on how far the first runs of each method came, as soon as they ended; None
            for no such lines.
    """
    units = work_units(study, tables)
    begin(units)
    began, num_kept = time.perf_counter(), 0
    with Watch() as watch, _bar(progress, watch) as bar:
        show = _shown(bar, units)
        look = None if say is None else _first_looks(study, tables, directory, say)

        def on_unit(unit: WorkUnit, seconds: float, found: bool) -> None:
            nonlocal num_kept
            num_kept += found
            show(unit)
            if look is not None and not found:
                look(unit)

        engine = make_engine(study)
        num_run = study_run.run_study(study, tables, directory, command, on_unit, engine, reuse)
    return Ran(num_run, num_kept, time.perf_counter() - began)


def _first_looks(
    study: Study, tables: Sequence[StudyTable], directory: Path, say: Say
) -> Callable[[WorkUnit], None]:
    """What says, of units that have just ended, how far the first runs of each method came on a benchmark."""
    whole = {table.name: table for _, table in tables}
    counting = functools.cache(lambda name: counted(whole[name], study.credit[0]))
    seen = set()

    def look(unit: WorkUnit) -> None:
        own = unit.spec["benchmark"], unit.label
        if own in seen:
            return
        seen.add(own)
        stored = store.read_unit(store.unit_path(directory, unit.spec))
        with contextlib.suppress(InputError):  # what is wrong with results is said where they are shown
            reached, num_runs = first_look(counting(own[0]), stored)
            say(f"{own[0]} {own[1]}: {reached:.4f} {FIRST_LOOK} {num_runs:,} runs")

    return look


def _shown(bar: Progress, units: Sequence[WorkUnit]) -> Callable[[WorkUnit], None]:
    """What moves the bar on by a unit."""
    task = bar.add_task("starting", total=sum(unit.num_lanes for unit in units), rate="")
    num_seen = 0

    def show(unit: WorkUnit) -> None:
        nonlocal num_seen
        num_seen += 1
        bar.update(
            task,
            advance=unit.num_lanes,
            description=f"unit {num_seen} of {len(units)}: {unit.spec['benchmark']} {unit.label}",
            rate=f"{bar.tasks[task].speed or 0:,.0f} runs/s",
        )

    return show


class _Doing(ProgressColumn):
    """Whether the bar waits for the compiler."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch, self._last = watch, -math.inf

    def render(self, task: Task) -> Text:
        now = time.monotonic()
        if self._watch.compiling():
            self._last = now
        # Between two programs a little is run or traced: no flicker.
        return Text("compiling" if now - self._last < 1 else "running  ")


def _bar(wanted: bool, watch: Watch) -> Progress:
    """A bar on a terminal or in a notebook, nothing elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        _Doing(watch),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    seen = sys.stderr.isatty() or console.is_jupyter
    return Progress(*columns, console=console, transient=True, disable=not (wanted and seen))
