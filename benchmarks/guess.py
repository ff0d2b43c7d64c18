"""A first specification for a file of results: what its columns seem to mean, for people to confirm."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from mohb_jax.benchmarks.cell_values import MISSING, shown
from mohb_jax.benchmarks.column_words import (
    BESIDE,
    FAILURES,
    FIDELITY,
    HARDWARE,
    INFERENCE,
    LEAST,
    MOST,
    RESULT,
    RESULTS,
    RUNTIME,
    SETTING,
    SHARES,
    TASK,
    TUNED,
    UNIT_WORDS,
    WORDS,
)
from mohb_jax.benchmarks.columns import SECONDS, UNITS, whole
from mohb_jax.benchmarks.numbers_in_text import MARKS, read_number, seconds_of
from mohb_jax.benchmarks.records import Records
from mohb_jax.benchmarks.summary import aligned, listed, one_line, span

from mohb_jax.yaml_text import read_yaml

ROLE_NAMES = ("column", "objective", "fidelity", "task", "runtime")
MOST_LEVELS = 30
"""Whole numbers of a column that has an order, rather than a range."""


class Guess(NamedTuple):
    """What a file seems to hold."""

    specification: str
    """In YAML, with remarks."""
    seen: list[str]
    """Lines for people: every column, and what was made of it."""


class _Column(NamedTuple):
    """What the cells of a column are."""

    name: str
    words: frozenset[str]
    values: tuple[float, ...]
    """Distinct, increasing; empty where they are no numbers."""
    texts: tuple[str, ...]
    """Distinct."""
    num_missing: int
    failures: tuple[str, ...]
    """Words in a column that else holds numbers."""
    unit: str
    """The unit that all cells show, or nothing."""
    is_duration: bool


def guess(records: Records, name: str) -> Guess:
    """A specification of records, all columns of which were read; it is complete but for what people know.

    Args:
        records: as ``read_file`` gives them.
        name: of the table.
    """
    decimal = _decimal(records)
    columns = [_column(records.frame[each], decimal) for each in records.frame.columns]
    roles = _roles(columns, records)
    said = {column.name: _said(column, roles[column.name]) for column in columns}
    chosen = {role: [c for c in columns if roles[c.name] == role] for role in ROLE_NAMES}
    goals = chosen["objective"] if len(chosen["objective"]) > 1 else chosen["objective"] + chosen["runtime"]
    lines = [f"name: {quoted(name)}", "columns:"]
    lines += [_entry(c.name, _kind(c, records), said) for c in chosen["column"]]
    lines.append("objectives:  # confirm senses and units")
    lines += [_entry(c.name, _goal(c, records), said) for c in goals]
    lines += _sections(chosen)
    words = sorted({word for c in (*goals, *chosen["runtime"]) for word in c.failures})
    lines += [f"missing: [{', '.join(map(quoted, words))}]"] if words else []
    lines += ['decimal: ","'] if decimal == "," else []
    again = _num_repeats(records, [c.name for role in ("column", "fidelity", "task") for c in chosen[role]])
    lines += [f"repeats: mean  # {again:,} rows repeat others"] if again else []
    lines += [] if chosen["column"] else ["# no column seems to have been tuned: name them under columns"]
    lines += [f"# {c.name}: {said[c.name]}" for c in columns if roles[c.name] not in ROLE_NAMES]
    return Guess("\n".join(map(one_line, lines)) + "\n", aligned(list(said.items())))


def _entry(name: str, entries: str, said: dict[str, str]) -> str:
    """A column of the specification, and what it holds as a remark."""
    return f"  {quoted(name)}: {{{entries}}}  # {said[name].partition(': ')[2]}"


def _sections(chosen: dict[str, list[_Column]]) -> list[str]:
    """Fidelity, task and runtime."""
    lines = [f"fidelity: {{column: {quoted(c.name)}{_fidelity_unit(c)}}}" for c in chosen["fidelity"]]
    lines += [f"task: {quoted(c.name)}" for c in chosen["task"]]
    for column in chosen["runtime"]:
        lines.append(f"runtime: {{column: {quoted(column.name)}, unit: {_unit(column, SECONDS) or 's'}}}")
    return lines


def _num_repeats(records: Records, keys: Sequence[str]) -> int:
    """Rows that say the same of all keys as an earlier one."""
    texts = [text for key in keys if (text := shown(records.frame[key])) is not None]
    return records.height - pl.DataFrame(texts).unique().height if texts else 0


def quoted(text: str) -> str:
    """A text as YAML reads it."""
    plain = re.fullmatch(r"[^\W\d][\w./+-]*(?: [\w./+-]+)*", text) and read_yaml(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _column(series: pl.Series, decimal: str | None) -> _Column:
    text = shown(series)
    held = [] if text is None else text.drop_nulls().to_list()
    cells = [cell for cell in dict.fromkeys(held) if cell.lower() not in MISSING]
    is_duration = bool(cells) and all(seconds_of(cell) is not None for cell in cells)
    mark = next((mark for mark in ("", *MARKS) if all(_is_number(cell, mark, decimal) for cell in cells)), "")
    unit = "s" if is_duration else mark
    numbers = {
        cell: read_number(cell, unit, decimal, True) for cell in cells if _is_number(cell, unit, decimal)
    }
    others = [cell for cell in cells if cell not in numbers]
    few = len(numbers) > 4 * len(others) and len(others) <= 2 and not re.search(r"\d", "".join(others))
    is_numeric = bool(numbers) and (few or {word.lower() for word in others} <= FAILURES)
    return _Column(
        series.name,
        frozenset(word.lower() for word in WORDS.findall(RESULTS.sub("", series.name))),
        tuple(sorted({float(value) for value in numbers.values()})) if is_numeric else (),
        tuple(cells),
        series.len() - sum(cell.lower() not in MISSING for cell in held),
        tuple(others) if is_numeric else (),
        unit,
        is_duration,
    )


def _is_number(cell: str, unit: str, decimal: str | None) -> bool:
    value = read_number(cell, unit, decimal, True)
    return isinstance(value, float) and math.isfinite(value)


def _decimal(records: Records) -> str | None:
    """A comma, where it makes numbers of columns that are none without it."""
    texts = [
        cells for each in records.frame if each.dtype == pl.String and (cells := shown(each)) is not None
    ]
    odd = [cells for cells in texts if cells.str.contains(r"^-?\d+,\d+$").any()]
    return "," if odd and all(_parses(cells, ",") and not _parses(cells, None) for cells in odd) else None


def _parses(cells: pl.Series, decimal: str | None) -> bool:
    known = [
        cell
        for cell in cells.drop_nulls().unique().to_list()
        if cell.lower() not in ("", *MISSING, *FAILURES)
    ]
    return all(isinstance(read_number(cell, "", decimal, False), float) for cell in known)


def _roles(columns: Sequence[_Column], records: Records) -> dict[str, str]:
    """What each column is, by name: one of ``ROLE_NAMES``, or why it is none of them."""
    tuned = any(TUNED.match(column.name) for column in columns)
    roles: dict[str, str] = {}
    for column in columns:
        role = _role(column, records, tuned)
        taken = role in ("fidelity", "task", "runtime") and role in roles.values()
        roles[column.name] = f"another column is the {role}" if taken else role
    if "objective" not in roles.values() and list(roles.values()).count("column") > 1:
        left = [c for c in columns if len(c.values) > 1 and roles[c.name] not in ROLE_NAMES[2:]]
        numeric = [c.name for c in left if not TUNED.match(c.name) and not c.words & BESIDE]
        roles |= dict.fromkeys(numeric[-1:], "objective")
    return roles


def _role(column: _Column, records: Records, tuned: bool) -> str:
    numeric = len(column.values) > 1
    checks = {
        "it is empty": not column.texts,
        "column": bool(TUNED.match(column.name)),
        "objective": column.name in records.senses,
        "it describes the run": bool(column.words & BESIDE),
        "task": column.name.lower() in TASK and len(column.texts) > 0,
        "it is the same everywhere": len(column.texts) < 2 and not column.num_missing,
        "fidelity": numeric and bool(column.words & FIDELITY) and column.values[0] > 0,
        "runtime": _is_runtime(column),
    }
    found = next((role for role, holds in checks.items() if holds), None)
    if found is not None:
        return found
    if column.values and column.words & (MOST | LEAST | RESULT | RUNTIME) and not column.words & SETTING:
        return "objective"
    if tuned:
        return "it was not tuned"
    every = not numeric and len(column.texts) > max(MOST_LEVELS, records.height // 2)
    return "its text differs nearly everywhere" if every else "column"


def _is_runtime(column: _Column) -> bool:
    named = len(column.values) > 1 and column.values[0] >= 0 and column.words & RUNTIME
    return (column.is_duration or bool(named)) and not column.words & INFERENCE


def _kind(column: _Column, records: Records) -> str:
    """The entries of a configuration column."""
    kind = records.kinds.get(column.name) or _kind_of(column)
    parts = [f"kind: {kind}"]
    if column.words & HARDWARE:
        parts.append("role: hardware")
    if column.num_missing:
        least = whole(column.values[0]) if column.values else 0
        has_levels = kind in ("ordinal", "categorical")
        parts.append("inactive: level" if has_levels else f"default: {least}")
    return ", ".join(parts)


def _kind_of(column: _Column) -> str:
    values = column.values
    if not values or column.failures or any(re.match(r"0\d", text) for text in column.texts):
        return "categorical"
    if len(values) <= MOST_LEVELS and all(value.is_integer() for value in values):
        return "ordinal"
    return "log" if values[0] > 0 and values[-1] >= 50 * values[0] else "continuous"


def _goal(column: _Column, records: Records) -> str:
    """Sense and unit of an objective."""
    is_most = "neg" in column.words or bool(column.words & MOST and not column.words & (LEAST | RUNTIME))
    sense = records.senses.get(column.name) or ("max" if is_most else "min")
    unit = _unit(column, UNITS) or ("s" if column.is_duration or column.words & RUNTIME else None)
    if unit is None and sense == "max" and column.words & SHARES and column.values[0] >= 0:
        unit = "fraction" if column.values[-1] <= 1 else "%" if column.values[-1] <= 100 else None
    return f"sense: {sense}" + (f", unit: {quoted(unit)}" if unit else "")


def _unit(column: _Column, accepted: Any) -> str | None:
    units = [column.unit, *(UNIT_WORDS[word] for word in column.words if word in UNIT_WORDS)]
    return next((unit for unit in units if unit in accepted), None)


def _fidelity_unit(column: _Column) -> str:
    unit = next((unit for unit in ("epoch", "step", "batch") if {unit, f"{unit}s"} & column.words), None)
    return f", unit: {unit}" if unit else ""


def _said(column: _Column, role: str) -> str:
    """A column in words."""
    said = role if role in ROLE_NAMES else f"not used: {role}"
    if role in ROLE_NAMES:
        said += f": {span(column.values) if column.values else listed(column.texts)}"
        words = f" ({', '.join(column.failures)})" if column.failures else ""
        empty = column.num_missing + len(column.failures)
        said += f"; {column.num_missing:,} empty{words}" if empty else ""
    return said
