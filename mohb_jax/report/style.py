"""How methods look and how numbers read, the same in every figure and on the page."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable

# Okabe and Ito's colours, told apart with any common colour vision; their yellow is too pale on white,
# so a purple stands in for it.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B4C9A", "#000000")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TRUE_FRONT_COLOUR = "#555555"


class Look(NamedTuple):
    """One method's colour, matplotlib line style and marker."""

    colour: str
    line: str
    marker: str


def look(index: int) -> Look:
    """The look of the study's method number ``index``; past eight, colours and markers come again
    with another line."""
    number = len(_COLOURS)
    return Look(_COLOURS[index % number], _LINES[index // number % len(_LINES)], _MARKERS[index % number])


def duration(seconds: float | int) -> str:
    """Seconds as people say them: ``42 s``, ``3.5 min``, ``7.2 h``, ``12 d``."""
    unit, size = time_unit(seconds)
    return f"{number(seconds / size)} {unit}"


def time_unit(seconds: float | int) -> tuple[str, float]:
    """The unit in which a span of time is best read, and its length in seconds."""
    for unit, size, least in (("d", 86400.0, 3.0), ("h", 3600.0, 2.0), ("min", 60.0, 2.0)):
        if seconds >= least * size:
            return unit, size
    return "s", 1.0


def number(value: float | int, digits: int = 3) -> str:
    """A number with about ``digits`` significant digits and no exponent where it is of ordinary size."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if not -6 < decimals < 9:
        return f"{value:.{digits}g}"
    text = f"{value:,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def objective_label(table: ResultTable, index: int) -> str:
    """Name and unit of an objective, as on an axis."""
    objective = table.objectives[index]
    unit = "" if objective.unit == "1" else f" [{objective.unit}]"
    return f"{objective.name}{unit}"


def objective_pairs(num_objectives: int) -> list[tuple[int, int]]:
    """Pairs (x, y) shown as fronts: the first objective against each of the others."""
    return [(other, 0) for other in range(1, num_objectives)]


def front_stems(study: FinishedStudy, benchmark: str, kind: str) -> list[tuple[str, int, int]]:
    """File name stems of a benchmark's figures of two objectives, with the objectives across and upwards."""
    objectives = study.tables[benchmark].objectives
    start = file_names(study.tables)[benchmark]
    words = list(file_names(objective.name for objective in objectives).values())
    return [(f"{start}-{kind}-{words[y]}-{words[x]}", x, y) for x, y in objective_pairs(len(objectives))]


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A distinct, harmless file name stem for each name."""
    stems: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "benchmark"
        taken = sum(other == stem or other.startswith(f"{stem}--") for other in stems.values())
        stems[name] = f"{stem}--{taken + 1}" if taken else stem
    return stems


def seeds_text(counts: Sequence[int]) -> str:
    """How many runs there are, ``200 seeds`` or ``150 to 200 seeds``."""
    low, high = min(counts), max(counts)
    if low == high:
        return f"{high:,} seed" + ("s" if high != 1 else "")
    return f"{low:,} to {high:,} seeds"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
