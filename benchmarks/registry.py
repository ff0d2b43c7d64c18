"""Known benchmarks by name: what they hold, what they need and how they are loaded."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax.benchmarks import outside, sources
from mohb_jax.benchmarks.benchmark import Benchmark, Folder
from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.download import locate, state
from mohb_jax.benchmarks.files import load_table

from mohb_jax import plugins

BENCHMARKS: dict[str, Benchmark] = {
    entry.name: entry for module in sources.MODULES for entry in module.BENCHMARKS
}
"""The built-in ones."""

_OWN_TABLE = (
    "; a table file ends in .npz: 'mohb data import' makes one from CSV or Parquet; my_module:my_table is a "
    "table of your own code"
)


def names() -> tuple[str, ...]:
    """Names that ``load`` knows: the built-in ones, then those of installed distributions."""
    return (*BENCHMARKS, *outside.published(BENCHMARKS))


def describe() -> list[dict[str, Any]]:
    """One mapping per benchmark: name, summary, needs, tasks, rows, objectives, fidelities, from.

    Loads no data and imports nothing of others: what only the table knows is None for benchmarks of installed
    distributions. ``from`` is ``mohb-jax`` or the name and version of the distribution.
    """
    fields = ("name", "summary", "needs", "tasks", "rows", "objectives", "fidelities")
    own = [{field: _plain(getattr(entry, field)) for field in fields} for entry in BENCHMARKS.values()]
    theirs = [
        {"name": name, "summary": f"the table {point.value}", "from": plugins.distribution_of(point)}
        for name, point in outside.published(BENCHMARKS).items()
    ]
    return [
        *(entry | {"from": "mohb-jax"} for entry in own),
        *(dict.fromkeys(fields) | entry | {"needs": f"installed: {entry['from']}"} for entry in theirs),
    ]


def load(name_or_path: str | os.PathLike[str], data: Folder = None, folder: Folder = None) -> AnyTable:
    """A benchmark's table.

    Args:
        name_or_path: one of ``names()``, the path of a file ending in ``.npz`` written by ``Table.save``, or
            ``my_module:my_table``: a table of the user's own code, or a function without arguments that
            returns one. Nothing but a name with a colon, or of an installed distribution, runs such code.
        data: folder that holds the published files; default: ``MOHB_DATA`` if set, otherwise they are
            downloaded.
        folder: where ``my_module`` is looked for before the working directory: that of the study file.

    Raises:
        InputError: if there is no such benchmark or file, its data cannot be had, or the user's own code
            raises or makes something else than a table.
    """
    name = os.fspath(name_or_path)
    if name.endswith(".npz"):
        return load_table(name)
    if name in BENCHMARKS:
        return BENCHMARKS[name].load(data)
    table = outside.load_outside(name, folder)
    if table is None:
        require_choice("benchmark", name, names(), more=_OWN_TABLE)
    assert table is not None  # an unknown name is refused above
    return table


def fetch(chosen: Sequence[str] | None = None, data: Folder = None) -> list[Path]:
    """Makes sure that the published files of some benchmarks (default: all) are there; their paths.

    Raises:
        InputError: if a name is unknown or a file cannot be had.
    """
    return [locate(file, data) for entry in _entries(chosen) for file in entry.files]


def check(chosen: Sequence[str] | None = None, data: Folder = None) -> list[dict[str, str]]:
    """State of the published files of some benchmarks (default: all), without downloading.

    Returns:
        One mapping per file: benchmark, file, state (``ok``, ``missing`` or ``wrong content``), url.
    """
    return [
        {"benchmark": entry.name, "file": file.path, "state": state(file, data), "url": file.url}
        for entry in _entries(chosen)
        for file in entry.files
    ]


def _entries(chosen: Sequence[str] | None) -> list[Benchmark]:
    """The built-in ones among those chosen: no others have published files that are known here."""
    for name in chosen or ():
        require_choice("benchmark", name, names(), more=_OWN_TABLE)
    return [BENCHMARKS[name] for name in (BENCHMARKS if chosen is None else chosen) if name in BENCHMARKS]


def _plain(value: Any) -> Any:
    """Tuples as lists, as they are in JSON."""
    return list(value) if isinstance(value, tuple) else value
