"""What every reproduction has: a folder that can be gone on with, and one study per benchmark where a paper
has any."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mohb_jax import store
from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.errors import InputError
from mohb_jax.study import Study, load_tables, require_folder, work_units

MARKER = "reproduction.json"
"""The file that makes a folder that of a reproduction."""


class Part(NamedTuple):
    """The study of one benchmark, ready for ``run_study``."""

    benchmark: str
    study: Study
    tables: list[Any]
    """What ``load_tables`` gave."""
    directory: Path


@dataclass(frozen=True)
class Reproduction:
    """A paper's studies in a folder."""

    paper: "Paper"
    directory: Path
    seeds: int
    command: str
    """What the user typed."""
    parts: tuple[Part, ...]
    data: str | None = None
    """Folder that holds the published files."""

    @property
    def about(self) -> dict[str, Any]:
        """What every file of results says of itself."""
        return {
            "paper": self.paper.name,
            "title": self.paper.title,
            "command": self.command,
            "versions": store.versions(),
            "seeds": self.seeds,
        }

    @property
    def claims(self) -> Path:
        """The folder of tables, figures and page."""
        return self.directory / "claims"


@dataclass(frozen=True)
class Paper:
    """A paper whose claims can be checked.

    Attributes:
        name: what users type.
        title: authors, title and identifier.
        benchmarks: names that ``--benchmark`` accepts; all of them by default. None where the paper is about
            something else than tuning.
        study: makes the study of one benchmark with a number of seeds; None without benchmarks.
        write: analyses the finished studies, fills ``Reproduction.claims`` and returns the page's path.
        seeds: runs per method and task, or what else is repeated, unless the user says otherwise.
        needs: what it reads, where it has no benchmarks.
    """

    name: str
    title: str
    benchmarks: tuple[str, ...]
    study: Callable[[str, int], Study] | None
    write: Callable[[Reproduction], Path]
    seeds: int = 1000
    needs: str = ""


def prepare(
    paper: Paper,
    seeds: int,
    benchmarks: Sequence[str] | None,
    directory: Path,
    data: str | None,
    command: str,
) -> Reproduction:
    """Everything checked and every table loaded, before anything is run.

    Args:
        paper: what to reproduce.
        seeds: runs per method and task.
        benchmarks: some of the paper's; None or empty for all.
        directory: the reproduction's folder, made where missing; one of the same paper is gone on with, and
            finished units are kept.
        data: folder that holds the published files, or None.
        command: what the user typed, for the pages.

    Raises:
        InputError: an unknown benchmark, missing data or a missing extra, a folder that holds something else.
    """
    if benchmarks and not paper.benchmarks:
        raise InputError(f"{paper.name} runs on no benchmark: leave --benchmark out")
    if paper.study is None and seeds < 1:  # studies see to theirs
        raise InputError(f"--seeds is {seeds}: at least one is needed")
    for name in benchmarks or ():
        require_choice(f"benchmark of {paper.name}", name, paper.benchmarks)
    chosen = [name for name in paper.benchmarks if not benchmarks or name in benchmarks]
    studies = [] if paper.study is None else [paper.study(name, seeds) for name in chosen]
    parts = [
        Part(name, study, load_tables(study, data), directory / name)
        for name, study in zip(chosen, studies, strict=True)
    ]
    for part in parts:
        work_units(part.study, part.tables)
    reproduction = Reproduction(paper, directory, seeds, command, tuple(parts), data)
    _claim_folder(reproduction)
    for part in parts:
        require_folder(part.directory)
    return reproduction


def _claim_folder(reproduction: Reproduction) -> None:
    """Makes the folder and writes its marker; ``InputError`` if it holds something else."""
    directory, marker = reproduction.directory, reproduction.directory / MARKER
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file: --out needs a folder")
    if marker.is_file():
        found = store.read_json(marker)
        if not isinstance(found, dict) or found.get("paper") != reproduction.paper.name:
            raise InputError(f"{directory} holds a reproduction of another paper: --out needs a new folder")
    elif directory.is_dir() and any(path.suffix != store.PARTIAL for path in directory.iterdir()):
        raise InputError(
            f"{directory} holds other files: --out needs a new or empty folder, or one to go on with"
        )
    about = {"paper": reproduction.paper.name, "command": reproduction.command, "seeds": reproduction.seeds}
    about |= {"benchmarks": [part.benchmark for part in reproduction.parts], "versions": store.versions()}
    store.write_json(marker, about)


def write_rows(path: Path, rows: Sequence[Any]) -> None:
    """Writes named tuples of one kind, at least one, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(rows[0]._fields)
        writer.writerows(rows)
