"""Compiled work on all processors: one program rarely fills them on its own."""

import concurrent.futures
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from mohb_jax.precision import in_64_bits

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_processors() -> int:
    """Those of the machine, or the share that ``NPROC`` grants; XLA reads the same variable."""
    return int(os.environ.get("NPROC", 0)) or os.cpu_count() or 1


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``function`` of every item, in order, in as many threads as there are processors.

    The first item is worked on by itself: what it compiles is then there for the others, and nothing is
    compiled twice. Precision is a matter of each thread, so all of them are told.
    """
    function = in_64_bits(function)
    first = [function(item) for item in items[:1]]
    with concurrent.futures.ThreadPoolExecutor(num_processors()) as pool:
        return first + list(pool.map(function, items[1:]))
