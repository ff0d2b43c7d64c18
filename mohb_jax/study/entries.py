"""What a study file says, as checked models."""

from pathlib import Path
from typing import Any, Literal

import pydantic

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import CREDITS, SIDE_BY_SIDE, Credit
from mohb_jax.errors import did_you_mean
from mohb_jax.settings import first_error

MAX_SEEDS = 10_000_000
"""Far beyond any use; a slip of the pen must not fill the memory with work units."""


class _Entry(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


Sweep = dict[str, list[Any]] | list[dict[str, Any]]
"""Settings that vary: every combination of the values of each name, or a list of combinations."""


class BenchmarkEntry(_Entry):
    """A benchmark of a study: a known name or the path of an .npz table, and what is used of it.

    ``prices`` is a file of USD per hour by instance type, under which decisions are made; ``label`` names the
    benchmark in results, so that one may stand there at several prices.
    """

    name: str
    label: str | None = None
    tasks: list[str] | None = None
    objectives: list[str] | None = None
    prices: str | None = None


class MethodEntry(_Entry):
    """A method of a study, with settings of its own and a name to show; ``benchmarks`` names those that it
    runs on, by name or label, and None is all."""

    method: str
    name: str | None = None
    benchmarks: list[str] | None = None
    settings: dict[str, Any] = {}
    sweep: Sweep = {}

    @property
    def label(self) -> str:
        return self.name or self.method

    def runs_on(self, table: AnyTable) -> bool:
        return self.benchmarks is None or table.name in self.benchmarks


class EngineEntry(_Entry):
    """Where a study runs, and what each work unit may use there.

    ``name`` is ``local`` (this process, on all its devices) or ``ray``; the rest is for Ray: the address of a
    cluster (``auto``, ``ray://HOST:10001``; None starts one on this machine), processors and accelerators per
    unit, and how often a unit is tried again when its worker dies.
    """

    name: Literal["local", "ray"] = "local"
    address: str | None = None
    cpus: float = pydantic.Field(default=1, gt=0)
    gpus: float = pydantic.Field(default=0, ge=0)
    retries: int = pydantic.Field(default=3, ge=0)


class Study(_Entry):
    """What a study file says; ``settings`` and ``sweep`` hold for all methods, a method's own go first.

    ``memory`` bounds the GiB that a work unit may take, or two that run at the same time; smaller units, more
    of them. ``credit`` says what counts as a result, and changes no run; the first one is what methods are
    compared by in detail.
    """

    name: str = "study"
    benchmarks: list[BenchmarkEntry] = pydantic.Field(min_length=1)
    methods: list[MethodEntry] = pydantic.Field(min_length=1)
    seeds: int = pydantic.Field(100, ge=1, le=MAX_SEEDS)
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    evaluations: int | None = pydantic.Field(None, ge=1)
    seconds: float | dict[str, float] | None = None
    settings: dict[str, Any] = {}
    sweep: Sweep = {}
    memory: float = pydantic.Field(1.0, gt=0)
    engine: EngineEntry = pydantic.Field(default_factory=EngineEntry)
    reference: str | None = None
    credit: list[Credit] = pydantic.Field(list(SIDE_BY_SIDE), min_length=1)
    _folder: Path | None = pydantic.PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Folder of the study file, where modules that the study names are looked for first; None without a
        file. It is no part of what the study says."""
        return self._folder

    def beside(self, folder: Path | None) -> "Study":
        """The study as one of a file in that folder."""
        study = self.model_copy()
        study._folder = folder
        return study

    @pydantic.field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not name.strip(". ") or {"/", "\\", "\0"} & set(name):
            raise ValueError("it names the study's folder: a name without slashes is accepted")
        return name

    @pydantic.field_validator("benchmarks", mode="before")
    @classmethod
    def _benchmark_names(cls, entries: Any) -> Any:
        return _named(entries, "name")

    @pydantic.field_validator("methods", mode="before")
    @classmethod
    def _method_names(cls, entries: Any) -> Any:
        return _named(entries, "method")

    @pydantic.field_validator("credit", mode="before")
    @classmethod
    def _credits(cls, credit: Any) -> Any:
        entries = [credit] if isinstance(credit, str) else credit
        for entry in entries if isinstance(entries, list) else []:
            if entry not in CREDITS:
                hint = did_you_mean(str(entry), CREDITS)
                raise ValueError(f"unknown {entry!r}{hint}; accepted: {', '.join(CREDITS)}")
        return entries

    @pydantic.field_validator("credit")
    @classmethod
    def _each_once(cls, credit: list[Credit]) -> list[Credit]:
        return list(dict.fromkeys(credit))

    @pydantic.field_validator("engine", mode="before")
    @classmethod
    def _engine_name(cls, entry: Any) -> Any:
        return {"name": entry} if isinstance(entry, str) else entry


def _named(entries: Any, field: str) -> Any:
    """A list in which a plain name stands for a mapping with that name."""
    if not isinstance(entries, list):
        return entries
    return [{field: entry} if isinstance(entry, str) else entry for entry in entries]


def wrong_entry(error: pydantic.ValidationError) -> str:
    """One line on a study that is no study: the field and what is accepted."""
    first = error.errors()[0]
    if first["type"] not in ("extra_forbidden", "invalid_key"):
        return first_error(error)
    path = [str(part) for part in first["loc"]]
    entries: dict[str, type[_Entry]] = {"benchmarks": BenchmarkEntry, "methods": MethodEntry}
    accepted = entries.get(path[0], Study).model_fields
    hint = did_you_mean(path[-1], accepted)
    return f"unknown key {'.'.join(path)!r}{hint}: accepted are {', '.join(accepted)}"
