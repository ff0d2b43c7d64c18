"""Settings: frozen dataclasses whose fields say what they are for, what they accept, and their defaults."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pydantic

from mohb_jax.benchmarks.columns import whole
from mohb_jax.errors import InputError, did_you_mean

Check = Callable[[str, Any], None]
"""Raises ``InputError`` for a value that is not accepted; is given the field's name and the value."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user may choose of a method; a family of methods extends this class, and its fields are made by
    ``setting``.

    Examples:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Mine(Settings):
        ...     temperature: float | int = setting(1, "above 1 it draws more evenly", check=positive)
        >>> Mine(temperature=0)
        Traceback (most recent call last):
        mohb_jax.errors.InputError: temperature is 0: it must be a positive, finite number
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check, value = field.metadata.get("check"), getattr(self, field.name)
            if check is not None and value is not None:
                check(field.name, value)
        self.check_together()

    def check_together(self) -> None:
        """Raises ``InputError`` where fields contradict each other."""

    def check_for(self, num_objectives: int) -> None:
        """Raises ``InputError`` where fields do not fit a table of so many objectives."""


def setting(
    default: Any,
    help: str,  # noqa: A002
    *,
    check: Check | None = None,
    unit: str = "",
    named_from: Any = dataclasses.MISSING,
) -> Any:
    """A field of a class of settings.

    Args:
        default: of an immutable type.
        help: one line for people.
        check: what else than the type is asked of a value; not called for None.
        unit: of a number that has one.
        named_from: the value that names of results leave out: the default, unless that was once another. So
            results under the former default keep their name, and none is taken for one under the new.
    """
    named_from = default if named_from is dataclasses.MISSING else named_from
    metadata = {"help": help, "check": check, "unit": unit, "named_from": named_from}
    return dataclasses.field(default=default, metadata=metadata)


def describe(kind: type[Settings]) -> list[dict[str, Any]]:
    """One mapping per field: name, default, help and unit, as JSON can hold them."""
    return [
        {
            "name": field.name,
            "default": list(field.default) if isinstance(field.default, tuple) else field.default,
            "help": field.metadata.get("help", ""),
            "unit": field.metadata.get("unit", ""),
        }
        for field in dataclasses.fields(kind)
    ]


Kind = TypeVar("Kind", bound="Settings")


def make(kind: type[Kind], values: Mapping[str, Any], whose: str) -> Kind:
    """Settings from values as files and keyword arguments hold them: lists become tuples, 3.0 becomes 3.

    Args:
        kind: the class.
        values: by field name.
        whose: whose settings they are, for messages: ``method 'mo-hb'``.

    Raises:
        InputError: naming an unknown field, with the accepted ones and the nearest, or a value that is not
            accepted.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    require_settings(values, names, whose)
    plain = {name: plain_value(value) for name, value in values.items()}
    check_types(kind, plain)
    return kind(**plain)


def require_settings(values: Collection[str], accepted: Sequence[str], whose: str) -> None:
    """``InputError`` for the first name that is not accepted."""
    for name in values:
        if name not in accepted:
            hint = did_you_mean(name, accepted)
            known = f"accepted are {', '.join(accepted)}" if accepted else "it has none"
            raise InputError(f"setting {name!r} is unknown to {whose}{hint}: {known}")


def check_types(kind: type, values: Mapping[str, Any]) -> None:
    """``InputError`` for the first value that is not of its field's type; no text is taken for a number."""
    try:
        _model(kind).model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise InputError(f"settings: {first_error(error)}") from error


@functools.cache
def _model(kind: type) -> type[pydantic.BaseModel]:
    fields = {field.name: (field.type, field.default) for field in dataclasses.fields(kind)}
    config = pydantic.ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    return pydantic.create_model(kind.__name__, __config__=config, **fields)  # type: ignore[call-overload]


def first_error(error: pydantic.ValidationError) -> str:
    """One line: the field, its value where that is short, and what is accepted."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part not in ("float", "int")]  # branches of a union
    field = ".".join(path)
    shown = first["input"] is None or isinstance(first["input"], str | int | float)
    value = f" is {first['input']!r}" if shown else ""
    message = first["msg"].removeprefix("Value error, ").replace("tuple", "list")
    return f"{field}{value}: {message[0].lower()}{message[1:]}"


def plain_value(value: Any) -> Any:
    """A value as settings hold it: lists as tuples, whole numbers as such, however they are written."""
    if isinstance(value, list | tuple):
        return tuple(plain_value(item) for item in value)
    return whole(value) if isinstance(value, float) else value


def changed_settings(settings: Settings) -> dict[str, Any]:
    """The settings that differ from the first defaults they had: what a result depends on beside the method's
    name."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    left_out = {
        field.name: field.metadata.get("named_from", field.default) for field in dataclasses.fields(settings)
    }
    return {name: value for name, value in values.items() if value != left_out[name]}


def require_count(name: str, value: Any, most: int | None = None) -> None:
    """``InputError`` unless the value is a whole number from 1, and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} is {value!r}: it must be a whole number of at least 1")
    if most is not None and value > most:
        raise InputError(f"{name} is {value!r}: at most {most:,} are accepted")


def count(most: int | None = None) -> Check:
    """A whole number from 1."""
    return lambda name, value: require_count(name, value, most)


def one_of(accepted: Sequence[str]) -> Check:
    """One of some words."""

    def check(name: str, value: Any) -> None:
        if value not in accepted:
            raise InputError(f"{name} is {value!r}: accepted are {', '.join(accepted)}")

    return check


def at_least(least: float | int) -> Check:
    """A finite number that is not below a limit."""

    def check(name: str, value: Any) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value < math.inf:
            raise InputError(f"{name} is {value!r}: it must be a finite number of at least {least}")

    return check


def positive(name: str, value: Any) -> None:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name} is {value!r}: it must be a positive, finite number")
