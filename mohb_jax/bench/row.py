"""Rows of the bench, and how their times are taken."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from mohb_jax.errors import InputError

REPEATS = 15


class MissingPeerError(InputError):
    """A reference that is not installed; a bench of everything goes on without it."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table of promises.

    ``ratio`` is value over reference, in the direction that ``hold`` speaks of; None where ``hold`` is a
    plain bound, or empty because nothing was promised.
    """

    name: str
    value: float
    unit: str
    reference: str
    ratio: float | None
    hold: str
    holds: bool | None

    @property
    def ratio_text(self) -> str:
        return "" if self.ratio is None else f"{self.ratio:.3g} x {self.reference}"

    def as_json(self) -> dict[str, Any]:
        """The row as ``mohb bench --json`` writes it."""
        return dataclasses.asdict(self)


def seconds_of(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Median time of a call whose result is complete; the first call, which may compile, is not counted."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def peer(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise MissingPeerError(
            f"this bench compares with {name}, which is missing: pip install {name}"
        ) from None
