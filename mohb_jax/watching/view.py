"""What a journal says of its run so far. Nothing is decided or locked: a run goes on undisturbed."""

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mohb_jax.analysis.growth import set_volumes
from mohb_jax.benchmarks.columns import Level
from mohb_jax.errors import InputError
from mohb_jax.tuner.journal import peek
from mohb_jax.tuner.outcome import non_dominated
from mohb_jax.tuner.setup import Setup, read_setup

REFERENCE = 1.1
"""In every objective, where 0 and 1 are the least and greatest result so far."""
MOST_OBJECTIVES = 4
"""Of which the hypervolume is exact."""


@dataclasses.dataclass
class Seen:
    """A job as its lines tell it.

    Attributes:
        id: of the job.
        trial: of it.
        row: of the space.
        level: index into the fidelities.
        worker: who has it.
        attempt: from 1.
        asked: when it was handed out last.
        ended: when it ended; infinite for one that did not.
        state: ``out``, ``waiting``, ``done`` or ``failed``.
        costs: as minimised.
    """

    id: int
    trial: int
    row: int
    level: int
    worker: str | None
    attempt: int
    asked: float
    ended: float = math.inf
    state: str = "out"
    costs: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A run so far.

    Attributes:
        path: of the journal.
        setup: what is run.
        began: when.
        latest: time of the last operation.
        jobs: in launch order.
    """

    path: Path
    setup: Setup
    began: float
    latest: float
    jobs: tuple[Seen, ...]

    def count(self, state: str) -> int:
        """Jobs in a state."""
        return sum(job.state == state for job in self.jobs)

    @property
    def is_over(self) -> bool:
        """Whether as many jobs as there may be have ended."""
        most = self.setup.evaluations
        return most is not None and self.count("done") + self.count("failed") >= most

    @functools.cached_property
    def full(self) -> tuple[Seen, ...]:
        """Results at the highest fidelity, in the order of their arrival."""
        top = len(self.setup.fidelities) - 1
        return tuple(sorted((j for j in self.jobs if j.state == "done" and j.level == top), key=_ended))

    @property
    def costs(self) -> Float[np.ndarray, "full objectives"]:
        """Their costs."""
        shape = len(self.full), len(self.setup.objectives)
        return np.array([job.costs for job in self.full], float).reshape(shape)

    @property
    def on_front(self) -> Bool[np.ndarray, " full"]:
        """Which of them no other beats in all objectives."""
        return non_dominated(self.costs)

    @property
    def front(self) -> list[Seen]:
        """These, best in the first objective first."""
        return sorted((job for job, on in zip(self.full, self.on_front, strict=True) if on), key=_costs)

    @functools.cached_property
    def growth(self) -> Float[np.ndarray, " full"] | None:
        """Hypervolume after each of them, as a share of the box of all; None beyond four objectives."""
        costs = self.costs
        if costs.shape[1] > MOST_OBJECTIVES or not len(costs):
            return None
        low, high = costs.min(axis=0), costs.max(axis=0)
        scaled = (costs - low) / np.where(high > low, high - low, 1)
        points = scaled.T[:, :, None]
        volumes = [set_volumes(points[:, : n + 1], REFERENCE)[0] for n in range(len(scaled))]
        return np.array(volumes) / REFERENCE ** costs.shape[1]

    def values(self, job: Seen) -> dict[str, float]:
        """Objectives of a result as published."""
        pairs = zip(self.setup.objectives, job.costs, strict=True)
        return {objective.name: float(objective.to_value(cost)) for objective, cost in pairs}

    def config(self, job: Seen) -> dict[str, Level]:
        """The configuration of a job."""
        return self.setup.space.config(job.row)


def _ended(job: Seen) -> float:
    return job.ended


def _costs(job: Seen) -> tuple[float, ...]:
    return job.costs


def look(path: Path) -> View:
    """What a journal says so far.

    Raises:
        InputError: the file is missing, or is no journal of a live run.
    """
    head, *lines = peek(path)
    setup = read_setup(head.content, path)
    began = float(head.content["began"])
    jobs: dict[int, Seen] = {}
    latest = began
    for line in lines:
        try:
            latest = max(latest, float(line.content.get("t", began)))
            _take(setup, jobs, line.content)
        except (KeyError, TypeError, ValueError) as error:
            what = f"no operation of a live run ({error!r}); was it edited by hand?"
            raise InputError(f"journal {path}, line {line.number}: {what}") from error
    return View(path, setup, began, latest, tuple(jobs[number] for number in sorted(jobs)))


def _take(setup: Setup, jobs: dict[int, Seen], content: dict[str, Any]) -> None:
    """Jobs after an operation."""
    if content.get("id") is None:
        return
    if content["op"] == "ask":
        parts = {name: content[name] for name in ("id", "trial", "row", "level", "worker", "attempt")}
        jobs[content["id"]] = Seen(**parts, asked=float(content["t"]))
    elif content["id"] in jobs:
        _change(setup, jobs[content["id"]], content)


def _change(setup: Setup, job: Seen, content: dict[str, Any]) -> None:
    if content["op"] == "release" and job.state == "out":
        job.state = "waiting"
    elif content["op"] == "fail":
        job.state = "waiting" if job.attempt <= setup.retries else "failed"
        job.ended = math.inf if job.state == "waiting" else float(content["t"])
    elif content["op"] == "tell":
        job.costs = tuple(float.fromhex(cost) for cost in content["costs"])
        job.state = "done" if all(map(math.isfinite, job.costs)) else "failed"
        job.ended = float(content["t"])
