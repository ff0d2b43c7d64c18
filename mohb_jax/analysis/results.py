"""The one reader of a study folder: what was asked, the tables, and the finished work units."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.benchmarks.contract import AnyTable, ResultTable
from mohb_jax.benchmarks.credit import CREDITS, SIDE_BY_SIDE, Credit, counted
from mohb_jax.benchmarks.files import load_table
from mohb_jax.calibration import CalibrationRow, read_calibration
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit, read_compilation, read_study, read_units, table_path

PREFERRED_REFERENCE = "mo-hb"
"""The method that others are compared with when the study does not say."""


@dataclass(frozen=True)
class PriceChange:
    """A type of machine whose price is not the one under which the runs made their decisions."""

    name: str
    old: float | None
    """USD per hour; None where the table holds no full training on this type, which would show it."""
    new: float


@dataclass(frozen=True)
class Repricing:
    """What became of a study's prices."""

    source: str
    """Name of the price file."""
    changes: dict[str, tuple[PriceChange, ...]]
    """By benchmark that was re-priced: the types whose price changed, maybe none."""
    kept: dict[str, str]
    """By benchmark that was not: the reason."""


@dataclass(frozen=True)
class FinishedStudy:
    """A study folder in memory."""

    name: str
    command: str
    """What the user typed."""
    versions: dict[str, str]
    methods: tuple[str, ...]
    """Display names, in the study's order; the report keeps that order and one colour for each."""
    summaries: dict[str, str]
    """What each method is, in a line."""
    reference: str
    """The method that the others are compared with."""
    fingerprints: dict[str, str]
    """Each benchmark's table, by content."""
    settings: dict[str, Any]
    stored: dict[str, AnyTable]
    """Each benchmark's table with the study's objectives: all fidelities, or the highest alone in folders of
    before the others were kept."""
    units: tuple[AnyUnit, ...]
    """The finished work units."""
    num_units: int
    """Work units of the whole study; more than ``units`` holds while the study is incomplete."""
    fidelities: dict[str, tuple[float | int, ...]] = field(default_factory=dict)
    """All fidelities of each benchmark; empty in folders of before they were kept."""
    prices: Repricing | None = None
    """None: results are shown at the prices under which they were made."""
    compilation: dict[str, Any] = field(default_factory=dict)
    """``programs`` that its runs compiled or read from the cache, and the ``seconds`` that this took."""
    calibration: tuple[CalibrationRow, ...] = ()
    """How well the models behind the methods knew how far off they were; empty if there are none."""
    remarks: tuple[str, ...] = ()
    """What may surprise of it: methods that are the same by construction, fidelities that are never used."""
    credit: Credit = "full"
    """What counts as a result here."""
    credits: tuple[Credit, ...] = ("full",)
    """What is to be shown side by side."""
    folder: Path | None = None
    """Where it lies; None for a study that was made up."""

    @functools.cached_property
    def tables(self) -> dict[str, ResultTable]:
        """What of each benchmark's table may count."""
        return {name: counted(table, self.credit) for name, table in self.stored.items()}

    def under(self, credit: Credit) -> "FinishedStudy":
        """The same runs, with something else counting.

        Raises:
            InputError: the folder holds a table's highest fidelity alone, against which no other can be seen.
        """
        if credit != "full" and (reason := not_whole(self.stored, self.units)):
            raise InputError(f"credit {credit!r} is not possible: {reason}")
        return dataclasses.replace(self, credit=credit)


def load_study(directory: Path, credit: Sequence[str] | str | None = None) -> FinishedStudy:
    """Reads a study folder.

    Args:
        directory: the folder that ``mohb run`` filled; work that is still missing is left out.
        credit: what counts as a result, the first one being what methods are compared by in detail; as the
            study says if None.

    Raises:
        InputError: the folder is missing, is no study, is damaged, or holds no finished work.
    """
    if not directory.is_dir():
        raise InputError(
            f"study folder {str(directory)!r} does not exist; give a folder that 'mohb run' or run_study made"
        )
    meta = read_study(directory)
    units = tuple(read_units(directory))
    try:
        return _credited(_study(directory, meta, units), credit)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{str(directory / 'study.json')!r} is not a study written by 'mohb run'") from error


def _study(directory: Path, meta: dict[str, Any], units: tuple[AnyUnit, ...]) -> FinishedStudy:
    methods = tuple(method["name"] for method in meta["methods"])
    names = [benchmark["name"] for benchmark in meta["benchmarks"]]
    used = {unit.spec["benchmark"] for unit in units}
    unknown = sorted(used - set(names))
    if unknown:
        raise InputError(
            f"a result names the unknown benchmark {unknown[0]!r}; the study has {', '.join(names)}"
        )
    return FinishedStudy(
        name=str(meta["name"]),
        command=str(meta.get("command", "")),
        versions={str(key): str(value) for key, value in meta.get("versions", {}).items()},
        methods=methods,
        summaries={method["name"]: str(method.get("summary", "")) for method in meta["methods"]},
        reference=_reference(meta.get("reference_method"), methods),
        fingerprints={item["name"]: str(item.get("fingerprint", "")) for item in meta["benchmarks"]},
        settings=dict(meta.get("settings", {})),
        stored={name: load_table(table_path(directory, name)) for name in names if name in used},
        units=units,
        num_units=len(meta["units"]),
        fidelities={item["name"]: _numbers(item.get("fidelities")) for item in meta["benchmarks"]},
        compilation=read_compilation(directory),
        remarks=tuple(str(remark) for remark in meta.get("remarks", ())),
        calibration=read_calibration(directory, names),
        folder=directory,
    )


def _credited(study: FinishedStudy, credit: Sequence[str] | str | None) -> FinishedStudy:
    """The study under the credits asked for. By default those that it states, or full alone where the folder
    holds no more than the highest fidelity."""
    if credit is None:
        stated = study.settings.get("credit") or list(SIDE_BY_SIDE)
        names = stated if not not_whole(study.stored, study.units) else ["full"]
    else:
        names = [credit] if isinstance(credit, str) else credit
    for name in names or [""]:
        require_choice("credit", name, CREDITS)
    chosen = tuple(one for name in dict.fromkeys(names) for one in CREDITS if one == name)
    return dataclasses.replace(study.under(chosen[0]), credits=chosen)


def not_whole(stored: Mapping[str, AnyTable], units: Sequence[AnyUnit]) -> str:
    """Why lower fidelities cannot count: the folder lacks those of a table; empty where it has all."""
    highest = {unit.spec["benchmark"]: unit.spec["highest_fidelity"] for unit in units}
    lacking = [name for name, table in stored.items() if highest.get(name, 0) >= table.num_fidelities]
    if not lacking:
        return ""
    return (
        f"this folder keeps {lacking[0]} at its highest fidelity alone, as earlier versions wrote it; the "
        "study's 'mohb run' command adds the rest and runs nothing again"
    )


def _numbers(values: Any) -> tuple[float | int, ...]:
    known = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    return tuple(values) if known else ()


def _reference(stated: str | None, methods: Sequence[str]) -> str:
    if stated:
        return str(stated)
    return PREFERRED_REFERENCE if PREFERRED_REFERENCE in methods else methods[0]
