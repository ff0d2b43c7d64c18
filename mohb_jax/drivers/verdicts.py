"""What a run without a table hands out and says: jobs and verdicts."""

import enum
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


class Verdict(enum.StrEnum):
    """What becomes of a trial after a result."""

    GO_ON = "go on"
    """The worker that told it goes on with the same trial."""
    PAUSE = "pause"
    """It may go on later: keep its checkpoint."""
    STOP = "stop"
    """It never goes on."""

    @property
    def ends(self) -> bool:
        """Whether the worker is to train something else."""
        return self is not Verdict.GO_ON


class Launch(NamedTuple):
    """A job that a run hands out."""

    trial: int
    """Counted in the order in which trials begin."""
    row: int
    level: int
    """Place among the fidelities that the plan uses."""
    from_level: int
    """The trial's last level; -1 for a new one."""


@runtime_checkable
class LiveRun(Protocol):
    """One run of a plan, one job at a time. Jobs are numbered in launch order."""

    most_out: int | None
    """Jobs that may be out at a time; None for any number."""
    left: set[int]
    """Trials that were told to pause, and will never go on: others of their rung did."""

    def ask(self, worker: int, seconds: float, going_on: int | None) -> Launch | None:
        """The next job; None where there is nothing to do before another result is told.

        Args:
            worker: who asks.
            seconds: since the run began.
            going_on: the number of the asker's last job, if its trial was told to go on: then there is a job.
        """

    def tell(self, number: int, costs: Float[np.ndarray, " m"]) -> Verdict:
        """A result, infinite in all objectives where the training failed.

        Args:
            number: of the job.
            costs: objectives as minimised.
        """
