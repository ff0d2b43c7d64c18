"""A live run in the terminal."""

import time
from collections.abc import Iterator
from typing import Any

from mohb_jax.benchmarks.columns import Objective
from mohb_jax.watching.view import View

MOST_SHOWN = 20
"""Members of the front."""


def lines(view: View, now: float | int | None = None) -> Iterator[str]:
    """What is run, jobs, and the front so far.

    Args:
        view: the run.
        now: by the clock of the run; the system's if None.
    """
    setup = view.setup
    now = time.time() if now is None else now
    yield f"{setup.method} on {len(setup.space):,} configurations: {', '.join(map(goal, setup.objectives))}"
    yield _jobs(view, now)
    top = f"{setup.fidelity} {setup.fidelities[-1]}"
    if not view.full:
        yield f"No result at {top} yet"
        return
    growth = "" if view.growth is None else f"; hypervolume {view.growth[-1]:.3f} of the box that they span"
    yield f"Front at {top}: {len(view.front)} of {len(view.full)} results{growth}"
    yield from _table(view)


def goal(objective: Objective) -> str:
    """An objective with its sense and unit."""
    unit = "" if objective.unit == "1" else f" {objective.unit}"
    return f"{objective.name} ({objective.sense}{unit})"


def _jobs(view: View, now: float | int) -> str:
    most = view.setup.evaluations
    of = "" if most is None else f" of {most:,}"
    counts = {state: view.count(state) for state in ("done", "failed", "out", "waiting")}
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    out = [job.asked for job in view.jobs if job.state == "out"]
    oldest = f"; the oldest is out for {span(now - min(out))}" if out else ""
    handed = f"{len(view.jobs):,}{of} jobs handed out in {span(view.latest - view.began)}"
    return f"{handed}: {states or 'none'}{oldest}"


def span(seconds: float | int) -> str:
    """A time for people."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _table(view: View) -> Iterator[str]:
    """The front, column by column."""
    shown = view.front[:MOST_SHOWN]
    rows = [{"job": job.id, **view.values(job), **view.config(job)} for job in shown]
    texts = [[*rows[0]], *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        yield "  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
    if len(view.front) > MOST_SHOWN:
        yield f"  and {len(view.front) - MOST_SHOWN} more"


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
