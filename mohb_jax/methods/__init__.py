"""Methods: products of schedule, searcher and promotion rule, under a name. Each family is a file."""

from collections.abc import Collection
from pathlib import Path

from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.methods import (
    asynchronous_halving,
    bohb,
    bulk_and_cut,
    concrete,
    copula_process,
    evolution,
    external,
    fidelity_processes,
    gaussian_processes,
    hyperband,
    mo_bananas,
    parzen,
    policy_gradient,
    popnas,
    primo,
    random_search,
    similar_tasks,
    smashy,
    transfer,
)
from mohb_jax.methods.base import Asynchronous, Method, Steady, Synchronous, lacking, make_plan, make_settings
from mohb_jax.methods.external import External
from mohb_jax.methods.needs import Need
from mohb_jax.methods.outside import REGISTERED, outside, published
from mohb_jax.methods.outside import register as _register

__all__ = [
    "EXTERNAL",
    "METHODS",
    "SHIPPED",
    "Asynchronous",
    "External",
    "Method",
    "Need",
    "Steady",
    "Synchronous",
    "lacking",
    "make_plan",
    "make_settings",
    "method_named",
    "published",
    "register",
    "require_known",
]

FAMILIES = (
    random_search,
    hyperband,
    transfer,
    similar_tasks,
    asynchronous_halving,
    copula_process,
    bohb,
    smashy,
    parzen,
    evolution,
    bulk_and_cut,
    mo_bananas,
    policy_gradient,
    concrete,
    popnas,
    gaussian_processes,
    fidelity_processes,
    primo,
)
"""In the order in which lists show them."""

METHODS: dict[str, Method] = {method.name: method for family in FAMILIES for method in family.METHODS}
"""The package's own methods."""

EXTERNAL: dict[str, Method] = {method.name: method for method in external.METHODS}
"""Optimisers of other libraries, where these are installed."""

SHIPPED: dict[str, Method] = {**METHODS, **EXTERNAL}
"""Names that nobody else can take."""


def method_named(name: str, folder: Path | None = None) -> Method:
    """The method of that name: one that comes with the package, registered, published by an installed
    distribution, or an object that ``my_module:my_method`` names, in this order.

    Args:
        name: what users type.
        folder: where modules are looked for first, before the working directory and what is installed.

    Raises:
        InputError: there is none, with the known names and the likeliest; or it cannot be had.
    """
    found = METHODS.get(name) or EXTERNAL.get(name) or outside(name, folder)
    if found is None:
        known = [*METHODS, *EXTERNAL, *REGISTERED, *published(SHIPPED)]
        require_known("method", name, known, _module_hint(name, folder))
        raise AssertionError(name)
    return found


def register(method: Method, replace: bool = False) -> None:
    """Makes a method known to ``simulate`` and studies of this process by its name.

    Args:
        method: what ``mohb_jax.ext.method`` makes.
        replace: whether it may take the place of one that was registered under the same name before.

    Raises:
        InputError: the name is taken, or versions of the method cannot be told apart.
    """
    _register(method, SHIPPED, replace)


def _module_hint(name: str, folder: Path | None) -> str | None:
    """What to type if a name is that of a module in the folder or the working directory."""
    stem = name.removesuffix(".py")
    for place in (folder, Path.cwd()):
        for file in (f"{stem}.py", f"{stem}/__init__.py"):
            if stem and place is not None and (place / file).is_file():
                return f"{name}:NAME, a method of {place / file}"
    return None


def require_known(kind: str, name: str, known: Collection[str], meant: str | None = None) -> None:
    """``InputError`` with the known names of a registry, and ``meant`` or the likeliest, unless ``name`` is
    one."""
    if name in known:
        return
    hint = f" (did you mean {meant}?)" if meant else did_you_mean(name, known)
    raise InputError(f"{kind} {name!r} is unknown{hint}: accepted are {', '.join(known)}")
