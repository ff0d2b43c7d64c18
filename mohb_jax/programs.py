"""Compiled programs of this process, which an operating system has room for only so many of."""

from pathlib import Path
from typing import Any

import jax
import platformdirs

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 30_000
"""Linux gives a process 65,530 memory mappings by default; a compiled program takes about ten, and a process
without any left crashes."""


def release_programs() -> bool:
    """Forgets all compiled programs if there are very many; True if it did.

    Call it between pieces of work: what is needed again comes from the persistent cache.
    """
    if not MAPPINGS.exists() or _num_mappings() < MOST_MAPPINGS:
        return False
    jax.clear_caches()
    return True


def _num_mappings() -> int:
    with MAPPINGS.open("rb") as lines:
        return sum(1 for _ in lines)


def use_compilation_cache() -> None:
    """Compiled programs are kept per user, so that the second run of anything starts at once."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", platformdirs.user_cache_dir("mohb-jax") + "/programs")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


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
