"""What the columns and objectives of a table mean: kinds, roles, senses and units."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from mohb_jax.errors import InputError

Kind = Literal["continuous", "log", "ordinal", "categorical"]
Role = Literal["hyperparameter", "architecture", "hardware"]
Sense = Literal["min", "max"]
Level = str | float | int
Number = TypeVar("Number", float, np.ndarray)

KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)
SENSES: tuple[str, ...] = get_args(Sense)
UNITS = (
    *(
        "1",
        "%",
        "fraction",
        "count",
        "parameters",
        "ms",
        "s",
        "min",
        "h",
        "USD",
        "EUR",
        "J",
        "Wh",
        "kWh",
        "W",
    ),
    *("bytes", "MB", "GB", "FLOP", "epoch", "step", "batch", "images", "samples", "tokens"),
)
"""Units of an objective or a fidelity of which something follows, or that many use; ``1`` is a plain number.
Any other word is a label."""

SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""Seconds in one unit of time."""

ALL_TASKS = "all"
"""What reports call the mean over tasks; no task is named so."""
MOST_COMPARED = 4
"""Objectives that reports compare: those of which the hypervolume is exact."""
LARGEST, SMALLEST = 1e100, 1e-300
"""Numbers beyond are refused: their differences and products leave what float64 spans."""

SYNONYMS = {
    **dict.fromkeys(("percent", "percentage", "pct"), "%"),
    **dict.fromkeys(("dollar", "dollars", "usd", "$"), "USD"),
    **dict.fromkeys(("euro", "euros", "eur", "€"), "EUR"),
    **dict.fromkeys(("millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("minute", "minutes", "mins"), "min"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("joule", "joules"), "J"),
    **dict.fromkeys(("watt", "watts"), "W"),
    **dict.fromkeys(("none", "number", "unitless"), "1"),
}
"""Other words for a unit, in lower case: errors suggest the unit itself."""


def listed(names: Sequence[str], most: int) -> str:
    """Names as text: as many as ``most``, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def require_choice(what: str, value: object, accepted: Iterable[object], more: str = "") -> None:
    """Raises an ``InputError`` with the accepted values and the closest match, unless ``value`` is one.

    ``more`` ends the message: what else is accepted.
    """
    names = [str(name) for name in accepted]
    if str(value) in names:
        return
    alike = [name for name in names if name.lower() == str(value).lower()]
    close = alike or difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(f"unknown {what} {str(value)!r}{hint}; accepted: {', '.join(names)}{more}")


def require_unit(what: str, unit: str, accepted: Iterable[str] = UNITS) -> None:
    """Raises an ``InputError`` with the accepted units and the one that was meant, unless ``unit`` is one."""
    names = list(accepted)
    if unit in names:
        return
    meant = meant_unit(unit)
    close = [meant] if meant in names else difflib.get_close_matches(unit, names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(f"{what} is {unit!r}{hint}: accepted are {', '.join(names)}")


def require_label(what: str, unit: str) -> None:
    """``InputError`` where a unit is another writing of one in ``UNITS``, or no word; other words are labels,
    of which nothing follows: ``mJ``, ``pixel``."""
    if meant_unit(unit) is not None or not any(letter.isalpha() or letter in "°‰" for letter in unit):
        require_unit(what, unit)


def meant_unit(unit: str) -> str | None:
    """The unit of which this is another writing: ``percent``, ``epochs``, ``KWH``."""
    lower = unit.lower()
    known = {name.lower(): name for name in UNITS} | {
        f"{name}s".lower(): name for name in UNITS if len(name) > 3
    }
    return None if unit in UNITS else SYNONYMS.get(lower, known.get(lower))


@dataclasses.dataclass(frozen=True)
class Column:
    """One configuration column.

    Attributes:
        name: unique in its table.
        kind: one of ``KINDS``: ``continuous`` and ``log`` hold the value itself (``log`` must be positive);
            ``ordinal`` and ``categorical`` hold an index into ``levels``.
        role: one of ``ROLES``: what the column describes.
        levels: the values behind the indices, in order; empty for continuous and log columns.
    """

    name: str
    kind: str
    role: str = "hyperparameter"
    levels: tuple[Level, ...] = ()

    def __post_init__(self) -> None:
        require_choice(f"kind of column {self.name!r}", self.kind, KINDS)
        require_choice(f"role of column {self.name!r}", self.role, ROLES)
        object.__setattr__(self, "levels", tuple(_plain(level) for level in self.levels))
        self._check_levels()

    @property
    def has_levels(self) -> bool:
        """True where the column holds indices into ``levels``."""
        return self.kind in ("ordinal", "categorical")

    def _check_levels(self) -> None:
        if self.has_levels != bool(self.levels):
            need = "needs levels" if self.has_levels else "takes no levels"
            raise InputError(f"column {self.name!r}: a {self.kind} column {need}")
        if len(set(self.levels)) != len(self.levels):
            raise InputError(f"column {self.name!r}: levels must be distinct, got {self.levels}")
        numeric = all(not isinstance(level, str) for level in self.levels)
        if self.kind == "ordinal" and numeric and list(self.levels) != sorted(self.levels):
            raise InputError(
                f"column {self.name!r}: ordinal numbers must increase, got {self.levels}; "
                "names that look like numbers go in quotes"
            )


@dataclasses.dataclass(frozen=True)
class Objective:
    """One objective as published; tables hold it minimised, see ``to_cost``.

    Attributes:
        name: unique in its table.
        sense: one of ``SENSES``.
        unit: one of ``UNITS``, or another word, which is then a label.
    """

    name: str
    sense: str
    unit: str

    def __post_init__(self) -> None:
        require_choice(f"sense of objective {self.name!r}", self.sense, SENSES)
        require_label(f"unit of objective {self.name!r}", self.unit)

    def to_cost(self, value: Number) -> Number:
        """The minimised cost of a published value.

        A maximised fraction becomes ``1 - value`` and a maximised percentage ``100 - value`` (accuracy
        becomes error, so that it can be shown on a logarithmic axis); any other maximised value is negated.
        """
        return value if self.sense == "min" else self._top - value

    def to_value(self, cost: Number) -> Number:
        """The published value of a minimised cost: the inverse of ``to_cost``."""
        return self.to_cost(cost)  # every turn is its own inverse

    @property
    def _top(self) -> float:
        return {"fraction": 1.0, "%": 100.0}.get(self.unit, 0.0)


def whole(value: float | int) -> float | int:
    """The value as an ``int`` where it is whole, so that 27.0 epochs are shown and saved as 27."""
    return int(value) if math.isfinite(value) and float(value).is_integer() else float(value)


def _plain(level: Any) -> Level:
    """A level as a built-in type: NumPy scalars do not survive JSON."""
    if isinstance(level, (str, np.str_)):
        return str(level)
    return whole(level)
