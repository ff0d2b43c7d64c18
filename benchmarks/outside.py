"""Benchmarks from outside the package: tables that a module of the user, or an installed one, makes."""

import importlib.metadata
from collections.abc import Collection
from pathlib import Path

from mohb_jax.benchmarks.benchmark import Folder
from mohb_jax.benchmarks.contract import AnyTable

from mohb_jax import plugins
from mohb_jax.errors import InputError

GROUP = "mohb_jax.benchmarks"
"""Entry points under which distributions publish tables: ``my-table = "my_module:my_table"``."""


def published(built_in: Collection[str]) -> dict[str, importlib.metadata.EntryPoint]:
    """What installed distributions publish, by name; none of it is imported.

    Raises:
        InputError: two of them publish one name, or one a built-in name.
    """
    points = plugins.entry_points(GROUP)
    for name, point in points.items():
        if name in built_in:
            other = f"{plugins.distribution_of(point)} publishes another: use {point.value}"
            raise InputError(f"benchmark {name!r} is built in, and {other}")
    return points


def load_outside(name: str, folder: Folder = None) -> AnyTable | None:
    """The table that a name stands for; None if it has no colon and nobody publishes it.

    Args:
        name: ``my_module:my_table``, or one of ``published``. The object is a table, or a function without
            arguments that returns one.
        folder: where the module is looked for first.

    Raises:
        InputError: the module or the object is missing, raises, or is something else.
    """
    if plugins.is_path(name):
        loaded = plugins.load_object(name, None if folder is None else Path(folder), kind="benchmark")
    else:
        point = plugins.entry_point(GROUP, name, kind="benchmark")
        if point is None:
            return None
        loaded = point
    return plugins.made(loaded, AnyTable, "benchmark")  # type: ignore[type-abstract]
