"""Methods: products of schedule, searcher and promotion rule, under a name. Each family is a file."""

import difflib
from collections.abc import Collection

from mohb_jax.errors import InputError
from mohb_jax.methods import (
    asynchronous_halving,
    bohb,
    bulk_and_cut,
    copula_process,
    evolution,
    gaussian_processes,
    hyperband,
    mo_bananas,
    policy_gradient,
    popnas,
    primo,
    random_search,
    transfer,
)
from mohb_jax.methods.base import Asynchronous, Method, Steady, Synchronous, lacking, make_plan, make_settings
from mohb_jax.methods.needs import Need

__all__ = [
    "METHODS",
    "Asynchronous",
    "Method",
    "Need",
    "Steady",
    "Synchronous",
    "lacking",
    "make_plan",
    "make_settings",
    "method_named",
    "require_known",
]

FAMILIES = (
    random_search,
    hyperband,
    transfer,
    asynchronous_halving,
    copula_process,
    bohb,
    evolution,
    bulk_and_cut,
    mo_bananas,
    policy_gradient,
    popnas,
    gaussian_processes,
    primo,
)
"""In the order in which lists show them."""

METHODS: dict[str, Method] = {method.name: method for family in FAMILIES for method in family.METHODS}
"""The methods that come with the package."""


def method_named(name: str) -> Method:
    """The method of that name; ``InputError`` with the known names, and the likeliest, if there is none."""
    require_known("method", name, METHODS)
    return METHODS[name]


def require_known(kind: str, name: str, known: Collection[str]) -> None:
    """``InputError`` with the known names of a registry, and the likeliest, unless ``name`` is one."""
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise InputError(f"{kind} {name!r} is unknown{hint}: accepted are {', '.join(known)}")
