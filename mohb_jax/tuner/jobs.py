"""What a worker gets."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Job:
    """A training to do: plain data, which may be sent to another process.

    Attributes:
        id: number of the job, in the order in which jobs were handed out.
        trial: number of the configuration that it trains.
        config: that configuration, by column name.
        from_fidelity: where the training goes on from; 0 for a new one.
        to_fidelity: where it ends.
        checkpoint: what the trial's last job told as its checkpoint; None for a new training.
        worker: who asked for it.
        attempt: how often it was handed out, from 1.
        started: when it was handed out, by the tuner's clock.
        row: of the space.
        level: index of ``to_fidelity`` into the tuner's fidelities.
    """

    id: int
    trial: int
    config: dict[str, Any]
    from_fidelity: float | int
    to_fidelity: float | int
    checkpoint: str | None
    worker: str | None
    attempt: int
    started: float | int
    row: int
    level: int
