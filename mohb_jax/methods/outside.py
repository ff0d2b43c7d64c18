"""Methods from outside the package: registered in this process, published by a distribution, or at a path."""

import dataclasses
import functools
import importlib.metadata
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from mohb_jax import plugins
from mohb_jax.errors import InputError
from mohb_jax.methods.base import Method
from mohb_jax.methods.external import External
from mohb_jax.precision import in_64_bits

GROUP = "mohb_jax.methods"
"""Entry points whose names stand for methods in studies."""

REGISTERED: dict[str, Method] = {}
"""Methods that ``mohb_jax.register`` made known in this process."""


@in_64_bits
def outside(name: str, folder: Path | None = None) -> Method | None:
    """A registered method, one that a distribution publishes, or the one that a path names; None if there is
    none of that name.

    Args:
        name: what users type.
        folder: where modules are looked for first; see ``plugins.load_object``.

    Raises:
        InputError: it cannot be imported, or is no method.
    """
    if name in REGISTERED:
        return REGISTERED[name]
    if plugins.is_path(name):
        loaded = plugins.load_object(name, folder, "method")
    else:
        found = plugins.entry_point(GROUP, name, "method")
        if found is None:
            return None
        loaded = found
    return method_from(loaded)


def method_from(loaded: plugins.Loaded) -> Method:
    """The method that a user's object is, or makes: a class that can be asked and told is an optimiser, see
    ``external.server``."""
    if isinstance(loaded.object, type) and all(hasattr(loaded.object, name) for name in ("ask", "tell")):
        return _adapted(loaded)
    method: Method = plugins.made(loaded, Method, "method")  # type: ignore[type-abstract]
    return dataclasses.replace(method, origin=loaded)


def _adapted(loaded: plugins.Loaded) -> External:
    """A user's optimiser as a method; it is imported anew in the process that serves it."""
    name = loaded.path.rpartition(":")[2]
    summary = (inspect.getdoc(loaded.object) or "an optimiser from outside").splitlines()[0]
    return External(name, summary, adapter=loaded.reference, fidelities=True, origin=loaded)


def register(method: Method, known: Collection[str], replace: bool = False) -> None:
    """Makes a method known by its name; see ``mohb_jax.register``."""
    if not isinstance(method, Method):
        raise InputError(
            f"register takes a method, not a {type(method).__name__}: mohb_jax.ext.method makes one"
        )
    if method.name in known:
        raise InputError(f"method {method.name!r} comes with the package and stays: give another name")
    if method.name in REGISTERED and not replace:
        raise InputError(f"method {method.name!r} is registered already: replace=True replaces it")
    REGISTERED[method.name] = dataclasses.replace(method, origin=_origin(method))


def published(known: Collection[str]) -> dict[str, importlib.metadata.EntryPoint]:
    """Entry points of methods by name; nothing is imported.

    Raises:
        InputError: two distributions publish one name, or one publishes the name of a method of the package.
    """
    found = plugins.entry_points(GROUP)
    for name, point in found.items():
        if name in known:
            raise InputError(
                f"method {name!r} comes with the package and stays, but {plugins.distribution_of(point)} "
                f"publishes it, too: remove that, or use {point.value}"
            )
    return found


def _origin(method: Method) -> plugins.Loaded:
    """Where the parts of a method made in this process are from; their source tells versions apart."""
    own = [function for function in map(unwrapped, _parts(method)) if not _is_ours(function)]
    return plugins.of_functions(method.name, own, f"method {method.name!r}")


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("mohb_jax.")


def _parts(method: Method) -> list[Any]:
    values = [getattr(method, field.name) for field in dataclasses.fields(method)]
    values += [getattr(value, "rule", None) for value in values]
    for value in values[:]:
        if isinstance(value, functools.partial):
            values += [
                part for given in value.args for part in (given if isinstance(given, tuple) else [given])
            ]
    return [value for value in values if callable(value) and not isinstance(value, type)]


def unwrapped(function: Callable[..., Any]) -> Any:
    """The function that a user wrote, below what was put around it."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)
