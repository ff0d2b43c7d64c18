"""Types and shapes are checked at every call of the package, once per call, in words of beartype.

As ``jaxtyping.jaxtyped`` does it each call is checked twice, for a finer message, and all that a process
imports is made ready when it is imported.
"""

import collections
import contextlib
import functools
import inspect
import typing
from collections.abc import Callable
from types import CodeType, SimpleNamespace
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

MOST_TIMES = 3
"""A function inside another is made anew by each call of that: so many of them are checked."""

REFUSED = BeartypeConf(violation_type=TypeError)
"""As Python refuses what it cannot work with."""

jaxtyped = jaxtyping.jaxtyped
_made: collections.Counter[CodeType] = collections.Counter()


def checked(function: Any = None, *, typechecker: Any = None) -> Any:
    """In the place of ``jaxtyping.jaxtyped``: an axis has one size within a call."""
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(function):
        return jaxtyped(function, typechecker=typechecker)
    if isinstance(function, property):
        return property(function.fget and _checked(function.fget), function.fset, function.fdel)
    if isinstance(function, classmethod | staticmethod):
        return type(function)(_checked(function.__func__))
    return _checked(function)


def _checked(function: Callable) -> Callable:
    _made[function.__code__] += 1
    if _made[function.__code__] > MOST_TIMES:
        return function

    @functools.cache
    def ready() -> Callable:
        function.__annotations__ = _hints(function)
        return beartype(conf=REFUSED)(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with jaxtyped("context"):
            return ready()(*args, **kwargs)

    return call


def _hints(function: Callable) -> dict[str, Any]:
    """Annotations without quotes, but for those whose names are imported for mypy only."""
    found: dict[str, Any] = {}
    for name, hint in function.__annotations__.items():
        with contextlib.suppress(NameError):
            one = SimpleNamespace(__annotations__={name: hint})
            found |= typing.get_type_hints(one, function.__globals__, include_extras=True)
    return found
