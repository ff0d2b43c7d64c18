"""How a steady run may begin: asynchronous halving until enough was trained."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.drivers.asynchronous import AsynchronousPlan
from mohb_jax.drivers.lanes import Record, in_launch_order, wide
from mohb_jax.types import Array, RunLog

PAST_BLOCK = 64
"""Jobs of an opening are padded to a multiple, so that few programs are compiled."""


@dataclasses.dataclass(frozen=True)
class Opening:
    """Asynchronous halving until enough was trained, as the first part of a run.

    Attributes:
        plan: of that part, on the levels of the whole run, with a budget that surely suffices for the
            trainings.
        trainings: ends it when the fidelities of finished evaluations add up to so many of the highest, and
            one of these is in; or when the plan's budget is spent.
        shares: fidelity of each level, as a share of the highest.
    """

    plan: AsynchronousPlan
    trainings: int
    shares: tuple[float, ...]


class Past(NamedTuple):
    """What lanes did before the policy took over."""

    record: Record
    """Jobs in launch order."""
    time: Float[Array, " lanes"]
    """When the policy takes over; infinite for a lane whose horizon comes first."""


def is_enough(opening: Opening, trained: Any, has_full: Any) -> Any:
    """Whether an opening is over.

    Args:
        opening: what enough is.
        trained: sum of the shares of finished evaluations; array or number.
        has_full: whether one of them succeeded at the highest fidelity.
    """
    # Shares such as 1/3 add up to almost 1.
    return (trained >= opening.trainings - 1e-9) & has_full


def past_of(opening: Opening, log: RunLog) -> Past:
    """What an opening did until it had enough.

    Args:
        opening: what enough is.
        log: of the opening run to the end of its lanes, with unfinished jobs, in levels. What happened before
            some moment is the same wherever it is cut off.
    """
    level, end = np.maximum(log.fidelity, 0), np.where(log.valid, log.end, np.inf)
    order = np.argsort(end, axis=1, kind="stable")
    ended = np.take_along_axis(end, order, axis=1)
    trained = np.where(log.valid, np.array(opening.shares)[level], 0)
    is_full = (level == len(opening.shares) - 1) & np.isfinite(log.costs).all(axis=2) & log.valid
    trained, is_full = (np.take_along_axis(field, order, axis=1) for field in (trained, is_full))
    enough = is_enough(opening, np.cumsum(trained, axis=1), np.maximum.accumulate(is_full, 1))
    enough &= np.isfinite(ended)
    time = np.where(enough.any(axis=1), ended[np.arange(len(ended)), enough.argmax(axis=1)], np.inf)
    spent = log.valid.sum(axis=1) == opening.plan.budget
    time = np.where(spent, np.minimum(time, np.where(log.valid, end, -np.inf).max(axis=1)), time)
    kept = log.valid & (log.start < time[:, None])
    width = -(-int(kept.sum(axis=1).max(initial=1)) // PAST_BLOCK) * PAST_BLOCK
    record = in_launch_order(
        Record(log.row, level, log.costs, log.start, end, np.maximum(log.worker, 0), kept)
    )
    return Past(wide(record, width), time)
