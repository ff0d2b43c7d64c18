"""An entry of the registry: what is said of a benchmark before it is loaded, and how to load it."""

import dataclasses
import os
from collections.abc import Callable

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import COST, RUNTIME, cross_table, crossed_name
from mohb_jax.benchmarks.download import RemoteFile
from mohb_jax.benchmarks.hardware import CATALOGUES, instances

Folder = str | os.PathLike[str] | None
"""A folder of the user's, or None for the default."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """An entry of the registry: what can be said without loading the data, and how to load it.

    Attributes:
        name: what users type.
        summary: one line.
        needs: what must be there, for people.
        tasks: names.
        rows: configurations.
        objectives: names.
        fidelities: stored fidelities.
        files: published files that it is made from; empty if it comes with the package.
        load: makes the table; takes the data folder or None.
    """

    name: str
    summary: str
    needs: str
    tasks: tuple[str, ...]
    rows: int
    objectives: tuple[str, ...]
    fidelities: tuple[float | int, ...]
    files: tuple[RemoteFile, ...]
    load: Callable[[Folder], AnyTable]


def on_every_instance(entry: Benchmark) -> tuple[Benchmark, ...]:
    """The benchmark on every instance type of each catalogue: ``<its name>-cloud``, and so on."""
    return tuple(_crossed(entry, catalogue) for catalogue in CATALOGUES)


def _crossed(entry: Benchmark, catalogue: str) -> Benchmark:
    kept = [name for name in entry.objectives if name not in (RUNTIME.name, COST.name)]
    return dataclasses.replace(
        entry,
        name=crossed_name(entry.name, catalogue),
        summary=f"{entry.name} x {len(instances(catalogue))} instance types (cited, speeds of {catalogue})",
        rows=entry.rows * len(instances(catalogue)),
        objectives=(*kept, RUNTIME.name, COST.name),
        load=lambda data: cross_table(entry.load(data), catalogue=catalogue),
    )
