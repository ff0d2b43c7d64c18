"""Compiled programs: kept on disk for the next process, and released where a process holds too many.

A user's own settings of JAX's compilation cache win. What we change holds while a call of ours lasts.
"""

import collections
import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import platformdirs
from jax.experimental.compilation_cache import compilation_cache

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 30_000
"""Linux gives a process 65,530 memory mappings by default; a compiled program takes about ten, and a process
without any left crashes."""
FEW_PROGRAMS = 100
"""So many new ones need no count of the mappings, which takes a millisecond."""
FOLDER = "jax_compilation_cache_dir"
IS_ON = "jax_enable_compilation_cache"
WHAT_IS_KEPT = {
    "jax_persistent_cache_min_compile_time_secs": (1.0, 0.0),
    "jax_persistent_cache_min_entry_size_bytes": (0, -1),
}
"""JAX's defaults, and ours: most of our programs compile in less than a second."""


class Compilation:
    """Counts the programs that are made ready while it is open, and the seconds that this takes: compiled, or
    read from the persistent cache."""

    EVENT = "/jax/core/compile/backend_compile_duration"

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    def __enter__(self) -> "Compilation":
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *error: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **more: Any) -> None:
        if event == self.EVENT:
            self.count += 1
            self.seconds += duration_secs


class Watch:
    """Knows, while it is open, which threads are waiting for JAX to trace or compile."""

    EVENTS = "/jax/core/compile/"

    def __init__(self) -> None:
        self._threads: set[int] = set()

    def __enter__(self) -> "Watch":
        jax.monitoring.register_scalar_listener(self._begin)
        jax.monitoring.register_event_duration_secs_listener(self._end)
        return self

    def __exit__(self, *error: object) -> None:
        jax.monitoring.unregister_scalar_listener(self._begin)
        jax.monitoring.unregister_event_duration_listener(self._end)

    def compiling(self) -> bool:
        """Whether all threads that are inside a call of ours wait for the compiler."""
        inside = set(_keeping.threads)  # a copy: threads come and go
        return bool(inside) and inside <= self._threads

    def _begin(self, event: str, value: float, **more: Any) -> None:
        if event.startswith(self.EVENTS):
            self._threads.add(threading.get_ident())

    def _end(self, event: str, duration_secs: float, **more: Any) -> None:
        if event.startswith(self.EVENTS):
            self._threads.discard(threading.get_ident())


class _Keeping:
    """JAX's cache while calls of ours are open: set up by the first of them, as before after the last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads: collections.Counter[int] = collections.Counter()
        self.before: dict[str, Any] = {}
        self.made = Compilation()

    def open(self) -> None:
        with self.lock:
            is_first = not self.threads
            self.threads[threading.get_ident()] += 1
            if is_first:
                self.made.__enter__()
                ours = _settings()
                self.before = {name: getattr(jax.config, name) for name in ours}
                _update(ours)
                self._forget_folder()

    def close(self) -> None:
        with self.lock:
            own = threading.get_ident()
            self.threads[own] -= 1
            if not self.threads[own]:
                del self.threads[own]
            if not self.threads:
                self.made.__exit__()
                _update(self.before)
                self._forget_folder()
            if self.made.count >= FEW_PROGRAMS:
                self.made.count = 0
                release_programs()

    def _forget_folder(self) -> None:
        """JAX opens a folder once and stays with it, whatever its settings say later."""
        if FOLDER in self.before:
            compilation_cache.reset_cache()


_keeping = _Keeping()


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Programs that are compiled inside are kept per user, so that the next process starts at once; a process
    that holds very many forgets them at the end (``release_programs``).

    They are kept in the folder that the user chose (``JAX_COMPILATION_CACHE_DIR``, ``jax.config``), or else
    in a folder of ours, if it can be written. JAX keeps one such setting for all threads: what other threads
    compile meanwhile is kept, too.
    """
    _keeping.open()
    try:
        yield
    finally:
        _keeping.close()


def _settings() -> dict[str, Any]:
    """What we set: nothing that the user chose."""
    ours: dict[str, Any] = {
        name: own for name, (default, own) in WHAT_IS_KEPT.items() if getattr(jax.config, name) == default
    }
    folder = _own_folder() if getattr(jax.config, FOLDER) is None else None
    return ours if folder is None else {**ours, FOLDER: folder}


def _update(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)


@functools.cache
def _own_folder() -> str | None:
    """Where programs are kept of a user who chose no folder; None if it cannot be made or written."""
    folder = Path(platformdirs.user_cache_dir("mohb-jax")) / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def folder_of_programs() -> Path | None:
    """Where programs are kept just now; None where none are, or not on this machine's disk."""
    folder = getattr(jax.config, FOLDER)
    if not getattr(jax.config, IS_ON) or folder is None or "://" in str(folder):
        return None
    return Path(folder)


def release_programs() -> bool:
    """Forgets all compiled programs if there are very many, a caller's own, too; True if it did.

    What is needed again comes from the persistent cache. Other threads may compile and run meanwhile.
    """
    if not MAPPINGS.exists() or _num_mappings() < MOST_MAPPINGS:
        return False
    jax.clear_caches()
    return True


def _num_mappings() -> int:
    with MAPPINGS.open("rb") as lines:
        return sum(1 for _ in lines)
