"""The mapping that says what the columns of a user's own file mean, as YAML or as a Python mapping."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.columns import KINDS, ROLES, SECONDS, SENSES, UNITS, Kind, Level, Role, Sense, require_choice
from benchmarks.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSpec(_Strict):
    """One configuration column; ``levels`` gives the order of an ordinal column that is not numeric."""

    kind: Kind
    role: Role = "hyperparameter"
    levels: tuple[Level, ...] = ()


class FidelitySpec(_Strict):
    """Which column holds the fidelity, and its unit."""

    column: str
    unit: str = "1"


class ObjectiveSpec(_Strict):
    """Sense and unit of an objective column."""

    sense: Sense
    unit: str = "1"


class RuntimeSpec(_Strict):
    """Which column holds the runtime from scratch to the fidelity, and its unit."""

    column: str
    unit: str = "s"


class Spec(_Strict):
    """What ``benchmarks.from_frame`` and ``mohb data import`` need to know.

    Attributes:
        name: of the table.
        columns: the configuration columns.
        objectives: the objective columns; a runtime column may be one of them.
        fidelity: None if there is only one; all evaluations then have fidelity 1.
        task: column that names the task; None if there is only one, which then bears the table's name.
        runtime: None if unknown; an evaluation then takes as many seconds as its fidelity.
        resumable: whether promotion pays the difference in runtime (True) or the whole (False).
        repeats: what several rows for one cell are: an error, or repeats to be averaged.
    """

    name: str = Field(min_length=1)
    columns: dict[str, ColumnSpec] = Field(min_length=1)
    objectives: dict[str, ObjectiveSpec] = Field(min_length=1)
    fidelity: FidelitySpec | None = None
    task: str | None = None
    runtime: RuntimeSpec | None = None
    resumable: bool = True
    repeats: Literal["error", "mean"] = "error"


_CHOICES = {"kind": KINDS, "role": ROLES, "sense": SENSES, "repeats": ("error", "mean")}


def read_spec(mapping: object, source: str = "spec") -> Spec:
    """Checks a specification.

    Args:
        mapping: as in a YAML file.
        source: what error messages call it.

    Raises:
        InputError: one line naming the first field at fault and what is accepted.
    """
    if isinstance(mapping, Spec):
        return mapping
    if not isinstance(mapping, Mapping):
        raise InputError(f"{source}: a mapping is needed with the fields {', '.join(Spec.model_fields)}")
    try:
        spec = Spec.model_validate(dict(mapping))
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error)}") from None
    _check_units(spec, source)
    _check_columns(spec, source)
    return spec


def load_spec(path: str | os.PathLike[str]) -> Spec:
    """Reads and checks a specification from a YAML file; ``InputError`` if it is missing or wrong."""
    source = os.fspath(path)
    try:
        mapping = yaml.safe_load(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read the specification {source!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise InputError(f"the specification {source!r} is not YAML: {problem}") from error
    return read_spec(mapping, source)


def _explain(error: ValidationError) -> str:
    """The first problem in one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    field = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return f"unknown field {place!r}; accepted beside it: {', '.join(_fields_beside(first['loc']))}"
    if first["type"] == "missing":
        return f"field {place!r} is missing"
    if first["type"] == "literal_error" and field in _CHOICES:
        return f"{place} is {first['input']!r}; accepted: {', '.join(_CHOICES[field])}"
    return f"{place}: {first['msg']}, got {first['input']!r}"


def _fields_beside(place: tuple[int | str, ...]) -> list[str]:
    sections: dict[Any, type[BaseModel]] = {
        "columns": ColumnSpec,
        "objectives": ObjectiveSpec,
        "fidelity": FidelitySpec,
        "runtime": RuntimeSpec,
    }
    model = sections[place[0]] if len(place) > 1 else Spec
    return list(model.model_fields)


def _check_units(spec: Spec, source: str) -> None:
    for name, objective in spec.objectives.items():
        require_choice(f"{source}: unit of objective {name!r}:", objective.unit, UNITS)
    if spec.fidelity is not None:
        require_choice(f"{source}: unit of the fidelity:", spec.fidelity.unit, UNITS)
    if spec.runtime is not None:
        require_choice(f"{source}: unit of the runtime:", spec.runtime.unit, SECONDS)


def _check_columns(spec: Spec, source: str) -> None:
    """A column describes the configuration, the task, the fidelity or a result, never two of them."""
    results = {*spec.objectives, *([spec.runtime.column] if spec.runtime else [])}
    others = [
        *spec.columns,
        *([spec.task] if spec.task else []),
        *([spec.fidelity.column] if spec.fidelity else []),
    ]
    twice = next((name for i, name in enumerate(others) if name in results or name in others[:i]), None)
    if twice is not None:
        raise InputError(f"{source}: column {twice!r} has two meanings; give it one")
    for name, column in spec.columns.items():
        if column.levels and column.kind != "ordinal":
            raise InputError(f"{source}: columns.{name}.levels: only an ordinal column takes levels")
