"""Rows of a user's own data, before a specification says what they mean."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import polars as pl
from mohb_jax.benchmarks.columns import require_choice

from mohb_jax.errors import InputError

LONGEST = 2**63 - 1
"""Larger whole numbers are kept as text, for polars has none."""
MOST_NAMES = 40
"""Columns that a message lists; exports of trackers have hundreds."""


@dataclasses.dataclass(frozen=True)
class Records:
    """Columns that are asked for, and where each record stands.

    Attributes:
        source: the file, as messages name it, or the name of the specification.
        names: of all columns, as they stand there: some may be empty, or stand there twice.
        frame: the columns that were asked for, as far as they are there once.
        lines: where each record begins in a text file, from 1; empty if it comes from elsewhere.
        notes: what the reader decided, for people.
        kinds: kinds of columns that the source itself knows.
        senses: senses of columns that the source itself knows.
    """

    source: str
    names: tuple[str, ...]
    frame: pl.DataFrame
    lines: Sequence[int] = ()
    notes: tuple[str, ...] = ()
    kinds: dict[str, str] = dataclasses.field(default_factory=dict)
    senses: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def height(self) -> int:
        """Number of records."""
        return self.frame.height

    def require_columns(self, wanted: Collection[str]) -> None:
        """``InputError`` unless each stands there, and once; and there is a record."""
        there = [name for name in dict.fromkeys(self.names) if name]
        twice = next((name for name in wanted if self.names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{self.source}: two columns are named {twice!r}")
        for name in wanted:
            if name not in there:
                more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
                shown = there if not more else _nearest_first(name, there)[:MOST_NAMES]
                require_choice(f"column in {self.source}:", name, shown, more)
        if not self.height:
            raise InputError(f"{self.source}: there are no rows")

    def place(self, record: int) -> str:
        """Where a record stands: its line in a text file, and its row as people count, from 1."""
        line = f", line {self.lines[record]}" if self.lines else ""
        return f"{self.source}{line}: row {record + 1}"

    def require(self, good: np.ndarray, series: pl.Series, wanted: str) -> None:
        """``InputError`` naming the first record that is not good."""
        bad = np.flatnonzero(~good)
        if bad.size:
            raise self.refused(int(bad[0]), series, wanted)

    def refused(self, record: int, series: pl.Series, wanted: str) -> InputError:
        """The error of one cell."""
        return InputError(f"{self.place(record)}, column {series.name!r} holds {series[record]!r}; {wanted}")


def _nearest_first(name: str, names: Sequence[str]) -> list[str]:
    """Names that share most words and letters with one, first."""
    letters = set(name.lower())
    return sorted(names, key=lambda other: -len(letters & set(other.lower())) + len(set(other) - letters))


def records_of(frame: Any, wanted: Collection[str], source: str) -> Records:
    """Records of a polars, pandas or pyarrow table, or a mapping of names to values.

    Only the columns that are wanted are looked at: whatever others hold does no harm.

    Raises:
        InputError: if it is none of these.
    """
    columns = _columns_of(frame)
    names = tuple(name for name, _ in columns)
    held = {name: values for name, values in columns if name in wanted and names.count(name) == 1}
    series = [as_series(name, values) for name, values in held.items()]
    try:
        return Records(source, names, pl.DataFrame(series))
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise InputError(f"{source}: columns differ in length: {' '.join(str(error).split())}") from error


def _columns_of(frame: Any) -> list[tuple[str, Any]]:
    """Names and values of all columns, in order; a name may stand there twice."""
    if isinstance(frame, pl.DataFrame):
        return [(name, frame[name]) for name in frame.columns]
    if hasattr(frame, "iloc") and hasattr(frame, "columns"):  # pandas, which is not imported for that
        return [(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
    if hasattr(frame, "column_names") and hasattr(frame, "column"):  # pyarrow
        return [(name, frame.column(place)) for place, name in enumerate(frame.column_names)]
    if isinstance(frame, dict) or hasattr(frame, "keys"):
        return [(str(name), frame[name]) for name in frame.keys()]  # noqa: SIM118  any kind of mapping
    accepted = "polars, pandas or pyarrow tables, or a mapping of columns"
    raise InputError(f"a {type(frame).__name__} is no frame; accepted: {accepted}")


def as_series(name: str, values: Any) -> pl.Series:
    """A column of any library; values of several types, or of none that polars has, become text."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise InputError(f"column {name!r} holds {values!r}; accepted: a list of values")
    kind = getattr(values, "dtype", None)
    if str(kind) != "object" and not isinstance(values, (list, tuple, np.ma.MaskedArray)):
        try:
            made = pl.from_pandas(values) if hasattr(values, "iloc") else pl.Series(values)
            return pl.Series(name, made)
        except (TypeError, ValueError, NotImplementedError, AttributeError, pl.exceptions.PolarsError):
            pass  # one by one, then
    return _series_of_objects(name, [_plain(value, hasattr(values, "iloc")) for value in _listed(values)])


def _listed(values: Any) -> list[Any]:
    if isinstance(values, np.ma.MaskedArray):
        return [
            None if hidden else value
            for value, hidden in zip(values.data, np.ma.getmaskarray(values), strict=True)
        ]
    return list(values)


def _series_of_objects(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int, float} and not any(isinstance(v, int) and abs(v) > LONGEST for v in values):
        return pl.Series(name, values, strict=False)
    if len(kinds) == 1 and not kinds & {int, list, tuple, dict, set}:
        try:
            return pl.Series(name, values)
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            pass  # a type that polars does not have
    return pl.Series(name, [None if value is None else str(value) for value in values], pl.String)


def _plain(value: Any, nan_is_missing: bool) -> Any:
    """A value as one of Python's own; the several ways of pandas to say that there is none become None."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if nan_is_missing and isinstance(value, float) and value != value else value
