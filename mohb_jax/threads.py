"""Compiled work on all processors: one program rarely fills them on its own."""

import concurrent.futures
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

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


class _Work(threading.Thread, Generic[Result]):
    """A call in a thread of its own, begun at once."""

    def __init__(self, call: Callable[[], Result]) -> None:
        super().__init__()
        self._call = call
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def result(self) -> Result:
        """What the call returns, when it does; what it raised."""
        self.join()
        if hasattr(self, "_error"):
            raise self._error
        return self._result

    def interrupt(self) -> None:
        """Ends the call as Ctrl-C ends the main thread: at its next step in Python."""
        if self.is_alive():
            interruption = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), interruption)
        self.join()


def one_ahead(
    function: Callable[[Item], Result], items: Sequence[Item], together: Callable[[Item, Item], bool]
) -> Generator[Result, None, None]:
    """``function`` of every item, in order; an item is begun while the one before it is worked on.

    What compiles in one thread thus leaves no processor idle. When nobody asks for more, or an item failed,
    the one that was begun is interrupted.

    Args:
        function: safe to run in two threads.
        items: what to work on.
        together: whether an item and the next may be worked on at the same time.
    """
    works: list[_Work[Result]] = []
    try:
        for place, item in enumerate(items):
            works = works or [_Work(functools.partial(function, item))]
            for following in items[place + 1 : place + 2]:
                if together(item, following):
                    works.append(_Work(functools.partial(function, following)))
            yield works[0].result()
            works.pop(0)
    finally:
        for work in works:
            work.interrupt()
