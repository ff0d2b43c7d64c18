"""Promotion rules from outside the package: published by a distribution, at a path, or given as functions."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mohb_jax import plugins
from mohb_jax.errors import InputError
from mohb_jax.guards import guarded_rule
from mohb_jax.precision import in_64_bits
from mohb_jax.promotions.base import Promotion

GROUP = "mohb_jax.promotions"
"""Entry points whose names stand for promotion rules in studies."""
ACCEPTED = (
    "accepted is a rule (key, costs, valid, num_keep) -> indices, a function of nothing or of settings that "
    "returns one, or a Promotion"
)


@in_64_bits
def outside(name: str, folder: Path | None = None) -> Promotion | None:
    """A promotion rule that a path names or a distribution publishes; None if there is none of that name.

    Raises:
        InputError: it cannot be imported, or is no rule.
    """
    if plugins.is_path(name):
        loaded = plugins.load_object(name, folder, "promotion rule")
    else:
        found = plugins.entry_point(GROUP, name, "promotion rule")
        if found is None:
            return None
        loaded = found
    with plugins.telling(f"promotion rule {name!r}"):
        made = promotion_of(loaded.object, loaded.path)
    return dataclasses.replace(made, origin=loaded)


@functools.cache
def promotion_of(value: Any, name: str, summary: str = "", max_objectives: int | None = None) -> Promotion:
    """The promotion rule that a user's object stands for, watched.

    Args:
        value: a ``Promotion``, a rule, or a function of nothing or of settings that returns a rule.
        name: to show.
        summary: one line; the first of the function's docstring if empty.
        max_objectives: the most that it takes.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(value, Promotion):
        return value
    label = f"promotion rule {name!r}"
    if not callable(value):
        raise InputError(f"{label} is of type {type(value).__name__}: {ACCEPTED}")
    about = summary or next(iter((inspect.getdoc(value) or "").splitlines()), "") or "a rule from outside"
    if takes(value, 4):
        rule_given = functools.partial(given, guarded_rule(value, label))
        return Promotion(name, about, rule_given, max_objectives=max_objectives)
    if takes(value, 0) and isinstance(made := value(), Promotion):
        return made
    factory = of_settings(value, label, ACCEPTED)

    @functools.wraps(value)
    def rule(settings: Any) -> Any:
        made = factory(settings)
        if not callable(made) or not takes(made, 4):
            raise InputError(f"{label} returned a value of type {type(made).__name__}: {ACCEPTED}")
        return guarded_rule(made, label)

    return Promotion(name, about, rule, max_objectives=max_objectives)


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments in place."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def of_settings(function: Callable[..., Any], label: str, accepted: str) -> Callable[[Any], Any]:
    """A factory of nothing or of settings as one of settings, which makes one thing for equal settings: what
    is made anew is compiled anew.

    Raises:
        InputError: the function takes something else.
    """
    if takes(function, 0):
        once = functools.cache(function)
        return lambda settings: once()
    if not takes(function, 1):
        raise InputError(f"{label} takes something else: {accepted}")
    return functools.lru_cache(maxsize=256)(function)


def given(value: Any, *situation: Any) -> Any:
    """A factory of what is there already, but for its first argument."""
    del situation
    return value
