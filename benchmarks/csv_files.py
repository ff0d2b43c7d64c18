"""CSV files of any dialect: the delimiter is the one under which a file makes most sense."""

import contextlib
import csv
import io
import itertools
import sys
import unicodedata
from collections.abc import Collection, Iterator, Sequence

import polars as pl
from mohb_jax.benchmarks.records import Records

from mohb_jax.errors import InputError

DELIMITERS = (",", ";", "\t", "|", " ")
ACCEPTED = "a CSV file in UTF-8, a Parquet, Arrow, JSON or SQLite file"
"""What may be imported, in words."""
SAMPLE = 200
"""Rows that decide about the delimiter."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""How a text with such a byte-order mark is encoded."""


def read_csv(text: str, source: str, wanted: Collection[str] | None) -> Records:
    """All columns as text: what a column means is for the specification to say, not for its first rows.

    Empty rows, columns without a name and what stands behind the last column do not matter.

    Args:
        text: of the file.
        source: what messages call it.
        wanted: the columns that are needed; None for all of them.

    Raises:
        InputError: naming the line at fault.
    """
    skipped, delimiter = _instruction(text)
    if skipped:
        text = text.partition("\n")[2]
    delimiter = _delimiter(text, wanted or (), delimiter)
    rows: list[list[str]] = []
    lines: list[int] = []
    with _long_fields():
        for line, row in _rows(text, delimiter, source, skipped):
            lines.append(line)
            rows.append(row)
    if not rows:
        raise InputError(f"{source!r} is empty")
    names, head = _named(rows, wanted or ())
    return _records(names, rows[head:], lines[head:], source, wanted)


def csv_rows(text: str, source: str) -> list[tuple[int, list[str]]]:
    """The rows of a text with a value, after the line at which each begins; ``InputError`` if damaged."""
    skipped, told = _instruction(text)
    text = text.partition("\n")[2] if skipped else text
    with _long_fields():
        return list(_rows(text, _delimiter(text, (), told), source, skipped))


def decoded(content: bytes, source: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note where its encoding is not UTF-8; ``InputError`` if it is none."""
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    damaged = InputError(f"{source!r} is damaged or in another format; expected {ACCEPTED}")
    if b"\0" in content and MARKS.get(mark) != "utf-16":
        raise damaged
    try:
        return unicodedata.normalize("NFC", content.decode(MARKS.get(mark, "utf-8"))), ()
    except UnicodeDecodeError:
        if mark:
            raise damaged from None
    try:
        return content.decode("cp1252"), ("read as Windows-1252: it is not in UTF-8",)
    except UnicodeDecodeError:
        raise damaged from None


def _instruction(text: str) -> tuple[int, str | None]:
    """Excel's first line ``sep=;``: how many lines it takes, and what it says."""
    first = text.partition("\n")[0].strip("\r").strip('"')
    return (1, first[4]) if len(first) == 5 and first.lower().startswith("sep=") else (0, None)


def _delimiter(text: str, wanted: Collection[str], told: str | None) -> str:
    """The delimiter that shows most of the wanted columns, and gives most rows the same number of values; the
    one that the file tells, if it shows as many."""

    def merit(delimiter: str) -> tuple[int, bool, float, bool, int]:
        rows, is_whole = _sample(text, delimiter)
        comments = [_names(row, mark="#") for row in itertools.takewhile(lambda row: row[0][:1] == "#", rows)]
        rows = rows[len(comments) :] or rows
        if not rows:
            return 0, False, 0.0, False, 0
        width = len(rows[0])
        shown = max(len(set(wanted) & set(names)) for names in (_names(rows[0]), *comments))
        alike = sum(len(_trimmed(row, width)) == width for row in rows) / len(rows)
        is_even = is_whole and width > 1 and alike == 1
        return shown, is_even, alike if width > 1 else 0.0, delimiter != " ", width

    best = max(DELIMITERS, key=merit)
    return told if told is not None and merit(told)[0] >= merit(best)[0] else best


def _sample(text: str, delimiter: str) -> tuple[list[list[str]], bool]:
    """The first rows, and whether they could be read."""
    rows: list[list[str]] = []
    with _long_fields():
        try:
            rows.extend(row for _, row in itertools.islice(_rows(text, delimiter, "", 0), SAMPLE))
        except InputError:
            return rows, False
    return rows, True


def _trimmed(row: list[str], width: int) -> list[str]:
    """A row without what is empty behind its last column."""
    kept = len(row)
    while kept > width and not row[kept - 1].strip():
        kept -= 1
    return row[:kept]


def _rows(text: str, delimiter: str, source: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with a value, after each one's first line: quoted text may hold line ends."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    start = skipped + 1
    try:
        for row in reader:
            if "".join(row).strip():
                yield start, row
            start = reader.line_num + skipped + 1
    except csv.Error as error:
        damaged = f"{source!r} is damaged or in another format; expected {ACCEPTED}"
        raise InputError(f"{damaged} (line {start}: {error})") from error


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Fields of any length: a learning curve may stand in one."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _named(rows: Sequence[list[str]], wanted: Collection[str]) -> tuple[list[str], int]:
    """The names of the columns, and where the records begin: comments may stand above, or hold the names."""
    head = 0
    while head < len(rows) - 1 and rows[head][0].startswith("#"):
        names = _names(rows[head], mark="#")
        if wanted and set(wanted) <= set(names):
            return names, head + 1
        if set(wanted) & set(_names(rows[head])):
            break
        head += 1
    names, width = _names(rows[head]), len(rows[head]) + 1
    below = itertools.islice(rows, head + 1, None)
    if len(rows) > head + 1 and all(len(_trimmed(row, width - 1)) == width for row in below):
        names = ["", *names]  # R writes the names of rows without a name of their column
    return names, head + 1


def _names(values: Sequence[str], mark: str = "") -> list[str]:
    first, *others = values
    return [name.strip() for name in (first.strip().removeprefix(mark), *others)]


def _records(
    names: list[str],
    rows: list[list[str]],
    lines: list[int],
    source: str,
    wanted: Collection[str] | None,
) -> Records:
    needed = {
        name for name in names if name and (wanted is None or name in wanted) and names.count(name) == 1
    }
    places = {name: names.index(name) for name in names if name in needed}
    last = max(places.values(), default=-1) if wanted is not None else -1
    width = len(names)
    for place, row in enumerate(rows):
        if len(row) != width:
            row = rows[place] = _trimmed(row, width)
        if len(row) > width or len(row) <= last:
            where = f"{source}, line {lines[place]}: row {place + 1}"
            raise InputError(f"{where}: {len(row)} values for {width} columns")
        row += [""] * (width - len(row))
    columns = [pl.Series(name, [row[place] for row in rows], pl.String) for name, place in places.items()]
    return Records(source, tuple(names), pl.DataFrame(columns), lines)
