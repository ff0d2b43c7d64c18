"""Our own calls compute in 64 bits and keep what they compile; nobody else's settings change.

Simulated clocks and reported indicators are float64, and objective values that differ only beyond float32
must not become ties. JAX computes in 32 bits unless it is told otherwise. Every way into this package that
computes is told so by ``in_64_bits``, for as long as the call lasts and in the thread that makes it: arrays
and compiled functions of the caller stay as they are, whatever ``JAX_ENABLE_X64`` says. The same ways
compile, so ``in_64_bits`` also sees to the programs of the call (``programs.kept``).
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_64_bits(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``function``, computing in 64 bits, with programs that are kept for the next process.

    Raises:
        TypeError: if it is a generator, which would compute in its caller's precision.
    """
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__qualname__} is a generator: decorate what it calls")

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import jax  # takes a second, which --help need not wait for

        from mohb_jax.programs import kept

        with jax.enable_x64(True), kept():
            return function(*args, **kwargs)

    return run
