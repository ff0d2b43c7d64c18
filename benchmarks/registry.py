"""Known benchmarks by name: what they hold, what they need and how they are loaded."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import COST, RUNTIME, cross_table
from mohb_jax.benchmarks.download import RemoteFile, locate, state
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.hardware import instances
from mohb_jax.benchmarks.joining import join_tables
from mohb_jax.benchmarks.sources import deepar, lcbench, nasbench201, zeus
from mohb_jax.benchmarks.sources.embedded import load_embedded
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.sources.trimtuner import FILES, load_trimtuner

Folder = str | os.PathLike[str] | None

_OWN_TABLE = "; a table file ends in .npz: 'mohb data import' makes one from CSV or Parquet"


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


def _trimtuner(network: str, kind: str) -> Benchmark:
    return Benchmark(
        name=f"trimtuner-{network}",
        summary=f"{kind} on MNIST, trained on 24 clusters of cloud machines (measured)",
        needs="download, 2 MB",
        tasks=(network,),
        rows=288,
        objectives=("error", "runtime", "cost"),
        fidelities=(1000, 6000, 15000, 30000, 60000),
        files=(FILES[network],),
        load=lambda data: load_trimtuner(network, data),
    )


_TRIMTUNER = [
    _trimtuner("cnn", "convolutional network"),
    _trimtuner("rnn", "recurrent network"),
]


def _cloud(entry: Benchmark) -> Benchmark:
    """The benchmark on every instance type of the catalogue."""
    kept = [name for name in entry.objectives if name not in (RUNTIME.name, COST.name)]
    return dataclasses.replace(
        entry,
        name=f"{entry.name}-cloud",
        summary=f"{entry.name} x {len(instances())} instance types (cited)",
        rows=entry.rows * len(instances()),
        objectives=(*kept, RUNTIME.name, COST.name),
        load=lambda data: cross_table(entry.load(data)),
    )


_DEEPAR = Benchmark(
    name="deepar",
    summary="forecasting network on 11 tasks, each with configurations of its own (measured)",
    needs="download, 0.2 MB",
    tasks=deepar.TASKS,
    rows=2510,
    objectives=("crps", "runtime"),
    fidelities=(1,),
    files=(deepar.FILE,),
    load=deepar.load_deepar,
)
_LCBENCH = Benchmark(
    name="lcbench",
    summary="learning curves of networks on 34 tasks (modelled by a published surrogate)",
    needs="download, 2 MB; extra yahpo",
    tasks=lcbench.TASKS,
    rows=lcbench.NUM_CONFIGS,
    objectives=("error", "runtime"),
    fidelities=lcbench.EPOCHS,
    files=lcbench.FILES,
    load=lcbench.load_lcbench,
)
_SYNTHETIC = Benchmark(
    name="synthetic",
    summary="a formula whose Pareto front is known (nothing measured)",
    needs="nothing",
    tasks=("task-0",),
    rows=2000,
    objectives=("objective-0", "objective-1"),
    fidelities=(1, 3, 9, 27, 81),
    files=(),
    load=lambda data: synthetic(),
)

BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark(
            name="embedded",
            summary="small networks on 7 tasks (measured) x 37 instance types (cited)",
            needs="nothing",
            tasks=(
                *("digits", "digits-parity", "digits-upper", "digits-noisy"),
                *("patch-source", "breast-cancer", "diabetes"),
            ),
            rows=256 * 37,
            objectives=("error", "runtime", "cost"),
            fidelities=tuple(range(1, 28)),
            files=(),
            load=lambda data: load_embedded(),
        ),
        *_TRIMTUNER,
        dataclasses.replace(
            _TRIMTUNER[0],
            name="trimtuner",
            summary="both networks of trimtuner as two tasks, for methods that transfer (measured)",
            needs="download, 4 MB",
            tasks=tuple(FILES),
            files=tuple(FILES.values()),
            load=lambda data: join_tables([load_trimtuner(network, data) for network in FILES], "trimtuner"),
        ),
        Benchmark(
            name="zeus",
            summary="six workloads x four GPU models x power caps, time and energy to a target (measured)",
            needs="download, 0.3 MB",
            tasks=tuple(zeus.WORKLOADS),
            rows=591,
            objectives=("runtime", "energy"),
            fidelities=zeus.FIDELITIES,
            files=zeus.FILES,
            load=zeus.load_zeus,
        ),
        Benchmark(
            name="nasbench201",
            summary="15,625 cells on three image tasks, without training time (measured)",
            needs="download, 2 MB",
            tasks=nasbench201.TASKS,
            rows=15625,
            objectives=("error", "latency", "parameters"),
            fidelities=(1,),
            files=(nasbench201.FILE,),
            load=nasbench201.load_nasbench201,
        ),
        _DEEPAR,
        _cloud(_DEEPAR),
        _LCBENCH,
        _cloud(_LCBENCH),
        _SYNTHETIC,
        _cloud(_SYNTHETIC),
    )
}


def names() -> tuple[str, ...]:
    """Names that ``load`` knows."""
    return tuple(BENCHMARKS)


def describe() -> list[dict[str, Any]]:
    """One mapping per benchmark: name, summary, needs, tasks, rows, objectives, fidelities. Loads no data."""
    fields = ("name", "summary", "needs", "tasks", "rows", "objectives", "fidelities")
    return [{field: _plain(getattr(entry, field)) for field in fields} for entry in BENCHMARKS.values()]


def load(name_or_path: str | os.PathLike[str], data: Folder = None) -> AnyTable:
    """A benchmark's table.

    Args:
        name_or_path: one of ``names()``, or the path of a file ending in ``.npz`` written by ``Table.save``.
        data: folder that holds the published files; default: ``MOHB_DATA`` if set, otherwise they are
            downloaded.

    Raises:
        InputError: if there is no such benchmark or file, or its data cannot be had.
    """
    if os.fspath(name_or_path).endswith(".npz"):
        return load_table(name_or_path)
    return _entry(os.fspath(name_or_path)).load(data)


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
    return [_entry(name) for name in (names() if chosen is None else chosen)]


def _entry(name: str) -> Benchmark:
    require_choice("benchmark", name, BENCHMARKS, more=_OWN_TABLE)
    return BENCHMARKS[name]


def _plain(value: Any) -> Any:
    """Tuples as lists, as they are in JSON."""
    return list(value) if isinstance(value, tuple) else value
