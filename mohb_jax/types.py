"""Types shared by kernels, drivers and reports."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

Array = jax.Array | np.ndarray
Key = jax.Array
"""A typed key made by ``jax.random.key``; never one of the raw uint32 keys."""
RUN_GROUPS = 64
"""Runs share what was drawn beforehand for them only where their numbers are equal modulo this, so such runs
are resampled together."""


class Outside(NamedTuple):
    """What runs of an optimiser from outside the package say of it, see ``external``."""

    proposals: Int[Array, " lanes"]
    """How many it made."""
    displaced: Int[Array, " lanes"]
    """Those whose nearest row had been evaluated before."""
    distance: Float[Array, " lanes"]
    """Mean distance between a proposal and the row that answered it; 1 is the whole range of a column."""
    cpu: Float[Array, " lanes"]
    """Seconds of processor time that it took: measured, so equal runs differ."""


class RunLog(NamedTuple):
    """What a batch of lanes evaluated; a lane is one complete simulated tuning run.

    Slots follow launch order. A slot counts only where ``valid``: its evaluation was launched and ended
    within the lane's horizon. Elsewhere ``row``, ``fidelity`` and ``worker`` are -1 and ``costs``, ``start``
    and ``end`` are infinite, so that two logs of one lane are equal whatever the lane was batched with.
    """

    task: Int[Array, " lanes"]
    """Index into ``table.tasks``."""
    run: Int[Array, " lanes"]
    """Run index: the lane's key is ``fold_in(root, run)``, so equal runs of different methods are paired."""
    row: Int[Array, "lanes slots"]
    """Row of the table that was evaluated."""
    fidelity: Int[Array, "lanes slots"]
    """Index into ``table.fidelities``."""
    costs: Float[Array, "lanes slots objectives"]
    """Objective values as minimised; infinite in every objective where the evaluation failed."""
    start: Float[Array, "lanes slots"]
    """Simulated seconds at which a worker began."""
    end: Float[Array, "lanes slots"]
    """Simulated seconds at which it finished."""
    worker: Int[Array, "lanes slots"]
    """Which worker, from 0."""
    valid: Bool[Array, "lanes slots"]
    """True where the slot holds an evaluation."""
    outside: Outside | None = None
    """Of runs of an optimiser from outside; None of our own methods."""

    @classmethod
    def of(cls, *fields: Array, outside: Outside | None = None) -> "RunLog":
        """A log of arrays in the order of its fields."""
        return cls._make((*fields, outside))

    @property
    def slots(self) -> tuple[Array, ...]:
        """The fields that have a value for each slot, in their order."""
        return self[2:9]
