"""Numbers as people write them: with units, separators of thousands, a decimal comma; durations."""

import re
from typing import NamedTuple

from mohb_jax.benchmarks.columns import SECONDS

MARKS = {"%": ("%",), "USD": ("US$", "USD", "$"), "EUR": ("EUR", "€")}
"""What may stand before or behind a number of such a unit."""
SEPARATORS = {".": ",'_ \u00a0\u202f\u2009", ",": ".'_ \u00a0\u202f\u2009"}
"""What may stand between groups of three digits, by the decimal sign."""
EXPONENT = r"(?:[eE][-+]?\d+)?"
CLOCK = re.compile(r"(?:(?P<d>\d+) days?,? *)?(?:(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d(?:\.\d+)?))?")
"""``0 days 00:21:52.347364`` of pandas, ``1 day, 2:03:04`` of Python, ``00:21:52``."""
ISO = re.compile(r"PT?(?:(?P<d>\d+)DT?)?(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?")
"""``PT21M52.347S``."""


class _Number(NamedTuple):
    value: float
    is_clear: bool
    """False where a comma may stand between thousands or before decimals: ``1,014``."""


def read_number(cell: str, unit: str, decimal: str | None, has_points: bool) -> float | str:
    """The number of a cell, or why it is none and what to write.

    Args:
        cell: trimmed text.
        unit: of the number; the cell may show it, and one of time also takes durations.
        decimal: the decimal sign; None is a point, unless the cell could mean something else.
        has_points: whether a cell of the column tells by a point that a comma is one of thousands.
    """
    text = _without_unit(cell.replace("\u2212", "-"), unit)
    seconds = seconds_of(text)
    if seconds is not None and unit in SECONDS:
        return seconds / SECONDS[unit]
    number = _separated(text, decimal or ".")
    if number is None:
        return _hint(cell, unit, decimal)
    if decimal is None and not number.is_clear and not has_points:
        return 'is it a thousand or a decimal comma? Write decimal: "." or decimal: "," in the specification'
    return number.value


def seconds_of(text: str) -> float | None:
    """Seconds of a duration; None where the text is none."""
    found = CLOCK.fullmatch(text) or ISO.fullmatch(text)
    if not found or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (float(found[part] or 0) for part in "dhms")
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _without_unit(text: str, unit: str) -> str:
    sign = text[:1] if text[:1] in ("-", "+") else ""
    text = text[len(sign) :]
    for mark in MARKS.get(unit, (unit,) if unit and not unit.isdigit() else ()):
        bare = text.removesuffix(mark) if text.endswith(mark) else text.removeprefix(mark)
        if bare != text and any(letter.isdigit() for letter in bare):
            return sign + bare.strip()
    return sign + text


def _separated(text: str, point: str) -> _Number | None:
    plain = re.fullmatch(rf"[-+]?(?:\d+(?:{re.escape(point)}\d*)?|{re.escape(point)}\d+){EXPONENT}", text)
    if plain:
        return _Number(float(text.replace(point, ".")), True)
    mark = f"[{re.escape(SEPARATORS[point])}]"
    whole = rf"[-+]?\d{{1,3}}(?P<mark>{mark})\d{{3}}(?:(?P=mark)\d{{3}})*"
    found = re.fullmatch(rf"{whole}(?P<end>{re.escape(point)}\d*)?{EXPONENT}", text)
    if not found:
        return None
    is_clear = found["mark"] not in ",." or text.count(found["mark"]) > 1 or bool(found["end"])
    return _Number(float(text.replace(found["mark"], "").replace(point, ".")), is_clear)


def _hint(cell: str, unit: str, decimal: str | None) -> str:
    """Which writing was met, and what to write."""
    top = "at the top level of the specification"
    if cell.endswith("%") and _separated(cell[:-1].strip(), decimal or "."):
        return 'a percentage: unit: "%" in the specification reads it'
    money = {"$": "USD", "€": "EUR"}.get(cell[:1] if cell[:1] in "$€" else cell[-1:])
    if money:
        return f"an amount of money: unit: {money} in the specification reads it"
    if seconds_of(cell) is not None:
        return f"a duration: a unit of time ({', '.join(SECONDS)}) in the specification reads it"
    if decimal != "," and _separated(cell, ","):
        return f'a decimal comma: decimal: "," {top} reads it'
    if decimal == "," and _separated(cell, "."):
        return 'a decimal point, and the specification says decimal: ","'
    with_unit = re.fullmatch(rf"[-+]?[\d.,]+{EXPONENT}\s*(?P<unit>[^\W\d_][^\s\d]*)", cell)
    if with_unit and with_unit["unit"] != unit:
        return f"a number is needed; unit: {with_unit['unit']} in the specification reads this one"
    return f"a number is needed; where {cell!r} stands for a missing one, missing: [{cell}] {top} says so"
