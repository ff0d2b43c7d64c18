"""Memory of a process that goes from one part of a study to the next."""

import ctypes
import gc
import sys

import jax


def released() -> None:
    """Forgets compiled programs, and gives back what nothing holds any more: another part has other tables,
    and so other programs."""
    jax.clear_caches()
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # a C library of another kind
        return


def peak_gib() -> float:
    """The most memory that this process has had, in GiB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2 ** (30 if sys.platform == "darwin" else 20)
