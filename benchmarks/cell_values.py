"""Cells of a user's data as numbers and levels; each error names the cell and what to write instead."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from mohb_jax.benchmarks.columns import LARGEST, SECONDS, SMALLEST, Level, whole
from mohb_jax.benchmarks.numbers_in_text import read_number
from mohb_jax.benchmarks.records import Records

from mohb_jax.errors import InputError

MISSING = ("na", "n/a", "#n/a", "<na>", "null", "none", "nat")
"""Words that stand for a missing number, in lower case; ``nan`` does not: it is a number gone wrong."""
INACTIVE = "inactive"
"""The level of a hyperparameter that is not active."""
SAME_VALUE = 1e-12
"""Numbers that differ by less, relatively, are one that was rounded differently: 0.3 and 0.1 + 0.2."""

_TRUTH: dict[str, Level] = {"true": 1, "false": 0}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_TEXT = (pl.String, pl.Categorical, pl.Enum, pl.Null)
_WHAT_IS_MISSING = (
    "a value is missing (beside the column's kind, 'inactive: level' makes a level of its own of what is not "
    "active, and 'default: VALUE' says what stands for it)"
)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the cells of some records are read.

    Attributes:
        records: what they belong to.
        missing: words and numbers that stand for a missing value in every column.
        decimal: the decimal sign; None is a point, unless a cell could mean something else.
    """

    records: Records
    missing: tuple[Level, ...] = ()
    decimal: str | None = None

    def numbers(self, name: str, unit: str = "") -> Float[np.ndarray, " records"]:
        """A column of finite numbers in a unit, NaN where one is missing; a unit of time takes durations."""
        series = as_written(self.records.frame[name])
        if series.dtype == pl.Duration and unit in SECONDS:
            seconds = series.dt.total_nanoseconds().cast(pl.Float64) / 1e9
            return seconds.fill_null(math.nan).to_numpy() / SECONDS[unit]
        if not (series.dtype.is_numeric() or series.dtype in _TEXT):
            durations = (
                " and durations" if unit in SECONDS else ", and durations where the unit is one of time"
            )
            wanted = f"numbers{durations}"
            raise self._wrong_type(series, wanted)
        missing = self.is_missing(series, MISSING)
        values = np.where(missing, math.nan, self._parsed(series, missing, unit))
        self._require_finite(series, values, missing)
        return values

    def known_numbers(
        self, name: str, unit: str = "", default: Level | None = None, may_default: bool = False
    ) -> Float[np.ndarray, " records"]:
        """A column of numbers none of which may be missing.

        Args:
            name: of the column.
            unit: see ``numbers``.
            default: stands for a missing number; None refuses it.
            may_default: whether the specification could name a default.
        """
        values = self.numbers(name, unit)
        if default is not None:
            return np.where(np.isnan(values), float(default), values)
        hint = (
            "a value is missing ('default: NUMBER' beside its kind says what stands for what is not active)"
        )
        wanted = hint if may_default else "a value is missing"
        self.records.require(~np.isnan(values), self.records.frame[name], wanted)
        return values

    def levels(
        self,
        name: str,
        given: Sequence[Level] = (),
        ordered: bool = False,
        inactive: str | None = None,
        default: Level | None = None,
        may_default: bool = False,
    ) -> tuple[tuple[Level, ...], Int[np.ndarray, " records"]]:
        """Distinct values of a column in order, and the index of each record's value.

        Text stays as it is written: 0010, 010 and 10 are three levels. They are numbers where ``ordered``, or
        where all of them are written as numbers are.

        Args:
            name: of the column.
            given: the levels in their order; a cell is matched by its text, or else by its value.
            ordered: whether levels have an order: that of ``given``, or that of numbers.
            inactive: ``level`` makes a level of its own of missing values; None refuses them.
            default: the value that stands for a missing one.
            may_default: whether the specification could name one.
        """
        series = as_written(self.records.frame[name])
        missing = self.is_missing(series, MISSING if ordered and not given else ())
        cells = self._texts(series, missing, default)
        if inactive is None:
            there = np.array([cell is not None for cell in cells], bool)
            self.records.require(there, series, _WHAT_IS_MISSING if may_default else "a value is missing")
        if given:
            match = self._matched(cells, given, series)
        else:
            match = self._by_value(name, cells, default) if ordered else _by_text(cells)
        levels = list(given) or sorted(dict.fromkeys(match.values()), key=_size)
        if None in cells and INACTIVE not in given:
            self.records.require(np.array([cell != INACTIVE for cell in cells], bool), series, _TWO_MEANINGS)
            levels = [INACTIVE, *levels] if ordered else [*levels, INACTIVE]
        place = {level: index for index, level in enumerate(levels)}
        index = [place[INACTIVE if cell is None else match[cell]] for cell in cells]
        return tuple(levels), np.array(index, np.int64)

    def is_missing(self, series: pl.Series, more: Iterable[str] = ()) -> Bool[np.ndarray, " records"]:
        """True where a cell is empty or says that it is; ``more`` words, in lower case, say so, too."""
        empty = series.is_null().to_numpy()
        text = shown(series) if self.missing or series.dtype in _TEXT else None
        if text is None:
            return empty
        words = ["", *more, *(str(word).lower() for word in self.missing)]
        empty = empty | text.str.to_lowercase().is_in(words).fill_null(True).to_numpy()
        sentinels = [value for value in map(as_float, self.missing) if value is not None]
        if sentinels:
            values = text.cast(pl.Float64, strict=False).fill_null(math.nan).to_numpy()
            empty = empty | np.isin(values, sentinels)
        return empty

    def _parsed(self, series: pl.Series, missing: np.ndarray, unit: str) -> Float[np.ndarray, " records"]:
        if series.dtype.is_numeric():
            return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
        text = _trimmed(series)
        parsed = text.cast(pl.Float64, strict=False)
        if self.decimal == ",":
            parsed = parsed.set(text.str.contains(".", literal=True), None)
        values = parsed.fill_null(math.nan).to_numpy().copy()
        left = np.flatnonzero(parsed.is_null().to_numpy() & ~missing)
        has_points = bool(text.str.contains(r"\.|,.*,").any())
        odd = set(text.gather(left).to_list())
        read = {cell: read_number(cell, unit, self.decimal, has_points) for cell in odd}
        for record in left.tolist():
            value = read[text[record]]
            if isinstance(value, str):
                raise self.records.refused(record, series, value)
            values[record] = value
        return values

    def _require_finite(self, series: pl.Series, values: np.ndarray, missing: np.ndarray) -> None:
        size = np.abs(values)
        tiny = (size > 0) & (size < SMALLEST)
        self.records.require(
            ~tiny, series, f"numbers nearer to 0 than {SMALLEST:g} are not told apart: write 0"
        )
        bad = np.flatnonzero(~(missing | (size <= LARGEST)))
        if bad.size:
            record = int(bad[0])
            what = "no number" if np.isnan(values[record]) else f"numbers up to {LARGEST:g} are accepted"
            says_so = f"missing: [{series[record]}] at the top level of the specification"
            hint = f"{what}; leave the cell empty if there is no value, or say so by {says_so}"
            raise self.records.refused(record, series, hint)

    def _wrong_type(self, series: pl.Series, accepted: str) -> InputError:
        return InputError(
            f"{self.records.source}: column {series.name!r} is of type {series.dtype}; accepted: {accepted}"
        )

    def _texts(self, series: pl.Series, missing: np.ndarray, default: Level | None) -> list[str | None]:
        """Cells as text; None, or the default, where one is missing."""
        text = shown(series)
        if text is None:
            raise self._wrong_type(series, "text, numbers, booleans and lists")
        filled = None if default is None else str(default)
        return [filled if no else cell for cell, no in zip(text.to_list(), missing.tolist(), strict=True)]

    def _matched(
        self, cells: Sequence[str | None], given: Sequence[Level], series: pl.Series
    ) -> dict[str, Level]:
        """The given level of each text."""
        names = {str(level): level for level in given}
        match: dict[str, Level] = {}
        for cell in dict.fromkeys(cell for cell in cells if cell is not None):
            level = names.get(cell, next((level for level in given if _same(cell, level)), None))
            if level is None:
                raise self.records.refused(cells.index(cell), series, f"accepted: {', '.join(names)}")
            match[cell] = level
        return match

    def _by_value(self, name: str, cells: Sequence[str | None], default: Level | None) -> dict[str, Level]:
        """The number of each text; those that differ by rounding are one."""
        texts = [cell for cell in cells if cell is not None]
        if all(_INTEGER.fullmatch(text) for text in set(texts)):
            return {text: int(text) for text in texts}  # exact, however large
        values = self.numbers(name)
        values = values if default is None else np.where(np.isnan(values), float(default), values)
        found, index = merged(values[~np.isnan(values)], SAME_VALUE)
        numbers = [whole(value) for value in found.tolist()]
        return dict(zip(texts, (numbers[place] for place in index.tolist()), strict=True))


_TWO_MEANINGS = f"other cells of the column are empty, and would be the level {INACTIVE!r} as well"


def merged(
    values: Float[np.ndarray, " records"], tolerance: float
) -> tuple[Float[np.ndarray, " found"], Int[np.ndarray, " records"]]:
    """Distinct values, increasing, and the index of each record's. Neighbours within a relative tolerance are
    one, unless they are whole numbers; it is the one of them that is shortest in writing."""
    distinct, inverse = np.unique(values, return_inverse=True)
    is_whole = distinct == np.floor(distinct)
    near = np.diff(distinct) <= tolerance * np.abs(distinct[1:])
    begins = np.concatenate([[True], ~near | (is_whole[1:] & is_whole[:-1])])[: distinct.size]
    group = np.cumsum(begins) - 1
    found = distinct[begins]
    for place in np.flatnonzero(np.bincount(group, minlength=1) > 1):
        found[place] = min(distinct[group == place].tolist(), key=lambda value: len(repr(value)))
    return found, group[inverse.reshape(-1)]


def as_level(text: str) -> Level:
    """A text as a number, where that is how the number is written; else as it is."""
    number = as_float(text)
    if number is None or not math.isfinite(number):
        return text
    exact = int(text) if _INTEGER.fullmatch(text) else whole(number)
    return exact if str(exact) == text else text


def as_written(series: pl.Series) -> pl.Series:
    """Numbers of 32 bits as they are written, 0.3 and not 0.30000001192092896, with 64."""
    return series.cast(pl.String).cast(pl.Float64) if series.dtype == pl.Float32 else series


def shown(series: pl.Series) -> pl.Series | None:
    """Cells as trimmed text, null where there is none; None where the bytes of one are no text."""
    if series.dtype in _TEXT:
        return _trimmed(series)
    if series.dtype == pl.Boolean or series.dtype.is_integer():
        return series.cast(pl.String)
    try:
        texts = [None if value is None else _shown(value) for value in series.to_list()]
    except UnicodeDecodeError:
        return None
    return pl.Series(series.name, texts, pl.String)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return str(whole(value))
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _trimmed(series: pl.Series) -> pl.Series:
    """Empty text is missing."""
    text = series.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def _by_text(cells: Iterable[str | None]) -> dict[str, Level]:
    """Texts as they are written, or as numbers where all are written as numbers are."""
    held = list(dict.fromkeys(cell for cell in cells if cell is not None))
    levels = {cell: as_level(cell) for cell in held}
    if any(isinstance(level, str) for level in levels.values()):
        return {cell: cell for cell in held}
    if all(isinstance(level, int) for level in levels.values()):
        return levels
    found, index = merged(np.array(list(levels.values()), np.float64), SAME_VALUE)
    return dict(zip(held, (whole(value) for value in found[index].tolist()), strict=True))


def _size(level: Level) -> tuple[Any, ...]:
    """Numbers by size, then text; text that is a number in another writing, likewise."""
    number = as_float(level)
    return (number is None, number or 0, str(level)) if isinstance(level, str) else (False, level, "")


def _same(cell: str, level: Level) -> bool:
    """Whether two writings mean one value: 16.0 and 16, 1e-04 and 0.0001, False, false and 0."""
    one, other = (as_float(_TRUTH.get(str(text).lower(), text)) for text in (cell, level))
    return one is not None and other is not None and math.isclose(one, other, rel_tol=SAME_VALUE)


def as_float(level: Level) -> float | None:
    """The value of a level or a text; None where it is no number."""
    try:
        return float(level) if "_" not in str(level) else None
    except ValueError:
        return None
