"""Compiled programs of this process, which an operating system has room for only so many of."""

from pathlib import Path

import jax

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
