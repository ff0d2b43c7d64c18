"""Which methods stand for all: everything of which methods are made meets its drivers in one of them."""

import dataclasses
import functools
from collections.abc import Hashable, Iterator
from typing import Any

from mohb_jax.methods import METHODS, Method, Steady
from mohb_jax.testing import parts, tables

SERVING = ("mixed", "one-fidelity", "four-objectives")
"""One of these tables serves any method."""


@functools.cache
def pairs_of(name: str) -> frozenset[Hashable]:
    """What meets in a method: a driver and each module that proposes rows, its promotion rule, its
    schedule."""
    method = METHODS[name]
    kind = type(method).__name__
    pairs: set[Hashable] = {(kind, module) for module in modules(_chooser(method))}
    if not isinstance(method, Steady):
        driver = (kind, getattr(method, "promotes", None))
        rule = method.rule(method.settings()).name
        pairs |= {
            (driver, rule),
            (driver, method.schedule),
            (driver, getattr(method, "opening", None) is None),
        }
    return frozenset(pairs)


def _chooser(method: Method) -> Any:
    table = next(tables()[name] for name in SERVING if parts.lacks(method, tables()[name]) is None)
    return parts.take_apart(method, table).chooser


def modules(part: Any) -> Iterator[str]:
    """Modules of the functions of which a searcher or a policy is made, without the data inside them."""
    if isinstance(part, functools.partial):
        for inner in (part.func, *part.args, *part.keywords.values()):
            yield from modules(inner)
    elif dataclasses.is_dataclass(part) or hasattr(part, "_fields"):
        for name in getattr(part, "_fields", None) or [field.name for field in dataclasses.fields(part)]:
            yield from modules(getattr(part, name))
    elif callable(part):
        yield part.__module__


def takes_long(name: str) -> bool:
    """Whether a method learns, so that its programs take several seconds to compile; NSGA-II takes fewer."""
    return (METHODS[name].transfers or METHODS[name].microseconds is not None) and name != "nsga2"


@functools.cache
def covering(names: tuple[str, ...] = tuple(METHODS)) -> tuple[str, ...]:
    """Those of some methods in which all pairs meet that meet in any of them.

    Of those that learn, the dearest that the others make needless are left out first."""
    kept = list(names)
    learning = [name for name in names if METHODS[name].transfers or METHODS[name].microseconds]
    for name in sorted(learning, key=lambda name: METHODS[name].microseconds or 0)[::-1]:
        others = [other for other in kept if other != name]
        if pairs_of(name) <= frozenset().union(*map(pairs_of, others)):
            kept = others
    return tuple(kept)
