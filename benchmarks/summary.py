"""An import in words: what became of every column, what is missing, and what was not used."""

import itertools
import re
from collections.abc import Sequence

import numpy as np
from mohb_jax.benchmarks.cell_values import INACTIVE, Reading, as_float, merged
from mohb_jax.benchmarks.columns import UNITS, Column, whole
from mohb_jax.benchmarks.contract import SAME_FIDELITY
from mohb_jax.benchmarks.records import Records
from mohb_jax.benchmarks.spec import Spec
from mohb_jax.benchmarks.table import Table

FEW, NEARLY = 30, 1e-3
"""Fidelities that differ by less, relatively, are asked about where there are few."""
MOST_SHOWN = 8
"""Values of a column that a line shows."""


def summary(table: Table, records: Records, spec: Spec) -> list[str]:
    """Lines on the columns that were used, then on those that were not, and on what may surprise."""
    rows = [(column.name, _column(column, table.configs[:, i])) for i, column in enumerate(table.columns)]
    if spec.fidelity:
        rows.append((spec.fidelity.column, f"fidelity [{spec.fidelity.unit}]: {listed(table.fidelities)}"))
    if spec.task:
        rows.append((spec.task, f"task: {listed(table.tasks)}"))
    reading = Reading(records, spec.missing, spec.decimal)
    for name, objective in spec.objectives.items():
        said = _results(reading, name, objective.unit)
        rows.append((name, f"objective, {objective.sense} [{objective.unit}]: {said}"))
    if spec.runtime:
        said = _results(reading, spec.runtime.column, spec.runtime.unit)
        rows.append((spec.runtime.column, f"runtime [{spec.runtime.unit}]: {said}"))
    return [*aligned(rows), *_unused(records, spec), *_empty(reading, table, spec), *_notes(table, records)]


def aligned(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names in a column of their own."""
    width = max((len(name) for name, _ in rows), default=0)
    return [one_line(f"  {name:{width}}  {said}") for name, said in rows]


def one_line(text: str) -> str:
    """Text from data without line ends."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def span(values: Sequence[float] | np.ndarray) -> str:
    """Numbers in words; ``values`` are distinct, increasing and some."""
    if len(values) <= MOST_SHOWN:
        return ", ".join(f"{value:.6g}" for value in values)
    return f"{values[0]:.6g} to {values[-1]:.6g}, {len(values):,} values"


def listed(values: Sequence[object]) -> str:
    """The first values."""
    more = f" and {len(values) - MOST_SHOWN:,} more" if len(values) > MOST_SHOWN else ""
    shown = (str(value) for value in values[:MOST_SHOWN])
    return ", ".join(text if len(text) <= 40 else f"{text[:39]}…" for text in shown) + more


def _column(column: Column, values: np.ndarray) -> str:
    role = "" if column.role == "hyperparameter" else f", {column.role}"
    if not column.has_levels:
        return f"{column.kind}{role}: {span(np.unique(values))}"
    said = f"{column.kind}{role}: {listed(column.levels)}"
    if INACTIVE in column.levels:
        said += f"; inactive in {np.count_nonzero(values == column.levels.index(INACTIVE)):,} rows"
    return said


def _results(reading: Reading, name: str, unit: str) -> str:
    values = reading.numbers(name, unit)
    missing = int(np.isnan(values).sum())
    known = np.unique(values[~np.isnan(values)])
    return span(known) + (f"; {missing:,} of {values.size:,} are missing" if missing else "")


def _unused(records: Records, spec: Spec) -> list[str]:
    names = [name for name in records.names if name and name not in spec.named_columns]
    return [one_line(f"Not used: {listed(list(dict.fromkeys(names)))}")] if names else []


def _empty(reading: Reading, table: Table, spec: Spec) -> list[str]:
    """Fidelities of the file that the table does not have."""
    if spec.fidelity is None:
        return []
    found, _ = merged(reading.known_numbers(spec.fidelity.column, spec.fidelity.unit), SAME_FIDELITY)
    lost = [value for value in map(whole, found.tolist()) if value not in table.fidelities]
    return [f"Note: no result at {spec.fidelity.column} {listed(lost)}: left out"] if lost else []


def _notes(table: Table, records: Records) -> list[str]:
    notes = [f"Note: {note}" for note in records.notes]
    units = {objective.unit for objective in table.objectives} | {table.fidelity_unit}
    labels = sorted(unit for unit in units if unit not in UNITS)
    pairs = itertools.pairwise(table.fidelities if table.num_fidelities <= FEW else ())
    near = [f"{low} and {high}" for low, high in pairs if high - low < low * NEARLY]
    notes += [f"Note: {table.fidelity_name} {listed(near)} are nearly equal: is it one?"] if near else []
    notes += [f"Note: {', '.join(labels)}: no unit that is known here, taken as a label"] if labels else []
    for column in table.columns if table.num_rows > 1 else ():
        twice = _two_writings(column)
        if twice:
            notes.append(f"Note: {column.name} holds {twice}, one number: kind: ordinal makes them one level")
    return notes


def _two_writings(column: Column) -> str:
    """Two levels of text that are one number, if there are such."""
    seen: dict[float, str] = {}
    for level in column.levels if column.kind == "categorical" else ():
        is_code = not isinstance(level, str) or re.match(r"0\d", level) or "e" in level.lower()
        value = None if is_code else as_float(str(level))
        if value in seen:
            return f"{seen[value]} and {level}"
        seen |= {} if value is None else {value: str(level)}
    return ""
