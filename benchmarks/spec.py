"""The mapping that says what the columns of a user's own file mean, as YAML or as a Python mapping."""

import os
import re
import reprlib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from mohb_jax.benchmarks.columns import (
    KINDS,
    ROLES,
    SECONDS,
    SENSES,
    Kind,
    Level,
    Role,
    Sense,
    require_label,
    require_unit,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mohb_jax.errors import InputError, yaml_reason
from mohb_jax.yaml_text import Loader, compose_yaml


def _unit_text(unit: object) -> object:
    """YAML reads the unit ``1`` as a number."""
    return str(unit) if type(unit) is int else unit


def _level(level: object) -> object:
    """A truth value is a word."""
    if isinstance(level, bool):
        return str(level).lower()
    return level.strip() if isinstance(level, str) else level


def _word(word: object) -> object:
    """What YAML reads as a truth value, or as nothing, is a word."""
    return "null" if word is None else str(word).lower() if isinstance(word, bool) else word


def _one_or_more(words: object) -> object:
    return [words] if isinstance(words, str | int | float) else words


Unit = Annotated[str, BeforeValidator(_unit_text)]
OneLevel = Annotated[Level, BeforeValidator(_level)]
Words = Annotated[tuple[Annotated[Level, BeforeValidator(_word)], ...], BeforeValidator(_one_or_more)]
Inactive = Literal["level", "default"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSpec(_Strict):
    """One configuration column.

    Attributes:
        kind: see ``Column``.
        role: see ``Column``.
        levels: the order of an ordinal column that is not numeric.
        inactive: what an empty cell means: ``level`` makes a level of its own of it, ``default`` takes the
            value of ``default``, which alone says the same; None refuses empty cells.
        default: the value of an empty cell.
    """

    kind: Kind
    role: Role = "hyperparameter"
    levels: tuple[OneLevel, ...] = ()
    inactive: Inactive | None = None
    default: OneLevel | None = None


class FidelitySpec(_Strict):
    """Which column holds the fidelity, and its unit."""

    column: str
    unit: Unit = "1"


class ObjectiveSpec(_Strict):
    """Sense and unit of an objective column."""

    sense: Sense
    unit: Unit = "1"


class RuntimeSpec(_Strict):
    """Which column holds the runtime from scratch to the fidelity, and its unit."""

    column: str
    unit: Unit = "s"


class Spec(_Strict):
    """What ``mohb_jax.benchmarks.from_frame`` and ``mohb data import`` need to know.

    Attributes:
        name: of the table.
        columns: the configuration columns.
        objectives: the objective columns; a runtime column may be one of them.
        fidelity: None if there is only one; all evaluations then have fidelity 1.
        task: column that names the task; None if there is only one, which then bears the table's name.
        runtime: None if unknown; an evaluation then takes as many seconds as its fidelity.
        resumable: whether promotion pays the difference in runtime (True) or the whole (False).
        repeats: what several rows for one cell are: an error, or repeats to be averaged.
        missing: words and numbers that stand for a missing value in every column, beside an empty cell.
        decimal: the decimal sign; None is a point, but a cell that could mean something else is refused.
        inactive: that of all columns that say nothing of it themselves: ``level`` holds for those with
            levels, ``default`` for those with a default.
        descriptors: what is known of tasks without training, by task numbers by name.
    """

    name: str = Field(min_length=1)
    columns: dict[str, ColumnSpec] = Field(min_length=1)
    objectives: dict[str, ObjectiveSpec] = Field(min_length=1)
    fidelity: FidelitySpec | None = None
    task: str | None = None
    runtime: RuntimeSpec | None = None
    resumable: bool = True
    repeats: Literal["error", "mean"] = "error"
    missing: Words = ()
    decimal: Literal[".", ","] | None = None
    inactive: Inactive | None = None
    descriptors: dict[str, dict[str, float]] = {}

    @property
    def named_columns(self) -> tuple[str, ...]:
        """All columns that mean something, each once."""
        others = [part.column for part in (self.fidelity, self.runtime) if part is not None]
        task = [self.task] if self.task else []
        return tuple(dict.fromkeys((*self.columns, *self.objectives, *others, *task)))

    def inactive_of(self, column: ColumnSpec) -> Inactive | None:
        """What an empty cell of a column means."""
        if column.inactive or column.default is not None:
            return column.inactive or "default"
        return "level" if self.inactive == "level" and column.kind in ("ordinal", "categorical") else None


_CHOICES = {"kind": KINDS, "role": ROLES, "sense": SENSES, "repeats": ("error", "mean")}
_CHOICES |= {"decimal": ("'.'", "','"), "inactive": ("level", "default")}
_TEXT = "text (a number goes in quotes)"
_ACCEPTED = {
    "name": _TEXT,
    "columns": "a mapping of one column or more, such as {rate: {kind: log}}",
    "objectives": "a mapping of one column or more, such as {cost: {sense: min, unit: USD}}",
    "fidelity": "a mapping such as {column: epochs, unit: epoch}",
    "runtime": "a mapping such as {column: seconds, unit: s}",
    "task": "the name of a column",
    "resumable": "true or false",
    "column": "the name of a column",
    "unit": "text such as s or USD",
    "levels": "a list such as [low, high]",
    "missing": "a list of words or numbers such as [F, -1]",
    "default": "text or a number",
    "descriptors": "a mapping of tasks, such as {iris: {rows: 150, features: 4}}",
}
_ENTRIES = {"columns": "a mapping such as {kind: log}", "objectives": "a mapping such as {sense: min}"}


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
        mapping = _loaded(unicodedata.normalize("NFC", Path(path).read_text("utf-8-sig")))
    except OSError as error:
        raise InputError(f"cannot read the specification {source!r}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"the specification {source!r} is not YAML: {yaml_reason(error)}") from error
    return read_spec(mapping, source)


def _loaded(text: str) -> object:
    """The mapping; levels with leading zeros as they are written, for 0010 and 010 are two."""
    root = compose_yaml(text)
    loader = Loader("")
    for column in _entries(_entries(root).get("columns")).values():
        levels = _entries(column).get("levels")
        for level in levels.value if isinstance(levels, yaml.SequenceNode) else ():
            if isinstance(level, yaml.ScalarNode) and re.match(r"[-+]?0\d", level.value):
                level.tag = loader.DEFAULT_SCALAR_TAG
    return None if root is None else loader.construct_document(root)


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Values of a mapping by key; empty if it is something else."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}


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
    if first["type"] == "invalid_key" or field == "[key]":
        return f"the name {first['input']!r} is not text: put it in quotes"
    return _wrong_value(first["loc"], first["input"])


def _wrong_value(place: tuple[int | str, ...], value: object) -> str:
    """What stands at a place, and what is accepted there; pydantic's own words are for programmers."""
    if place[0] in ("missing", "descriptors"):
        place, accepted = place[:1], _ACCEPTED[str(place[0])]
    elif "default" in place[2:-1]:
        place, accepted = place[:3], _ACCEPTED["default"]
    elif "levels" in place[2:-1]:  # then come the entry's index and the type that pydantic tried
        place, accepted = place[:4], "text or a number"
    elif len(place) == 2 and place[0] in _ENTRIES:
        accepted = _ENTRIES[str(place[0])]
    else:
        accepted = _ACCEPTED[str(place[-1])]
    shown = "empty" if value is None else " ".join(reprlib.repr(value).split())
    return f"{'.'.join(map(str, place))} is {shown}: accepted is {accepted}"


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
        require_label(f"{source}: unit of objective {name!r}", objective.unit)
    if spec.fidelity is not None:
        require_label(f"{source}: unit of the fidelity", spec.fidelity.unit)
    if spec.runtime is not None:
        require_unit(f"{source}: unit of the runtime", spec.runtime.unit, SECONDS)


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
        _check_inactive(f"{source}: columns.{name}", column)


def _check_inactive(place: str, column: ColumnSpec) -> None:
    """What an empty cell means, and a value for it where one is needed."""
    if column.inactive == "default" and column.default is None:
        raise InputError(f"{place}.inactive is 'default': its value is missing, such as default: 3")
    if column.inactive == "level" and column.default is not None:
        raise InputError(f"{place}: inactive: level and default say two things of an empty cell: give one")
    if column.inactive == "level" and column.kind in ("continuous", "log"):
        raise InputError(
            f"{place}.inactive is 'level': a {column.kind} column has none; give default: NUMBER"
        )
    if isinstance(column.default, str) and column.kind != "categorical" and not column.levels:
        raise InputError(f"{place}.default is {column.default!r}: {column.kind} numbers need a number")
    if column.default is not None and column.levels and column.default not in column.levels:
        accepted = ", ".join(map(str, column.levels))
        raise InputError(f"{place}.default is {column.default!r}: accepted are its levels {accepted}")
