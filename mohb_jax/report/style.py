"""How methods look and how numbers read, the same in every figure and on the page."""

import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable

# Okabe and Ito's colours, told apart with any common colour vision; their yellow is too pale on white,
# so a purple stands in for it.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B4C9A", "#000000")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
NUM_LOOKS = len(_COLOURS) * len(_LINES)
TRUE_FRONT_COLOUR = "#555555"


class Look(NamedTuple):
    """One method's colour, matplotlib line style and marker."""

    colour: str
    line: str
    marker: str


KNOWN = (
    *("random", "hb", "mo-hb", "mo-hb-hvc", "mo-asha", "mo-hb+prior", "sh-emoa", "asha"),
    *("bohb", "mo-hb-random", "mo-hb-crowding", "mo-hb-scalar", "mo-asha-random", "mo-bohb", "nsga2", "ehvi"),
    *("parego", "hb+prior", "mo-rea", "mo-bananas", "mo-asha+prior", "random+prior", "asha+prior", "popnas"),
    *("monas", "npg", "ms-ehvi", "bulk-and-cut", "primo", "cts", "gcp", "gcp-prior"),
    *("motpe", "motpe+transfer", "ehvi-log", "mo-smac-hb", "momf", "trimtuner-cea"),
)
"""Methods that look the same in every study, in the order of looks; the first eight have the full lines.
Those past the last look begin again with the first, where that is free."""


def looks_of(study: FinishedStudy) -> dict[str, int]:
    """The look of each method of a study, see ``look``: the same one in every study, as far as two methods of
    one study do not have the same. A variant of a method is known by its base and its settings."""
    specs = {unit.spec["method"]: unit.spec for unit in study.units}
    wanted = {method: _wanted(method, specs.get(method, {})) for method in study.methods}
    found: dict[str, int] = {}
    for method in sorted(wanted, key=_turn):
        found[method] = _nearest_free(wanted[method], set(found.values()))
    return {method: found[method] for method in study.methods}


def _turn(method: str) -> tuple[int, str]:
    """Whose wish comes first: that of the methods which were here first."""
    return (KNOWN.index(method) // NUM_LOOKS if method in KNOWN else len(KNOWN)), method


def _wanted(method: str, spec: Mapping[str, Any]) -> int:
    """A look that depends on nothing else in the study."""
    if method in KNOWN:
        return KNOWN.index(method) % NUM_LOOKS
    base = str(spec.get("method_name", method))
    if base == method:
        return zlib.crc32(method.encode()) % NUM_LOOKS
    text = json.dumps([base, spec.get("settings", {})], sort_keys=True, default=str)
    return zlib.crc32(text.encode()) % NUM_LOOKS


def _nearest_free(wanted: int, taken: set[int]) -> int:
    """The look wanted, or the next free one, of a free colour if there is one; in the end they come again."""
    looks = (index % NUM_LOOKS for index in range(wanted, wanted + NUM_LOOKS))
    free = [index for index in looks if index not in taken]
    colours = {index % len(_COLOURS) for index in taken}
    if wanted in free or not free:
        return wanted
    return next((index for index in free if index % len(_COLOURS) not in colours), free[0])


def look(index: int) -> Look:
    """One of ``NUM_LOOKS``; past eight, colours and markers come again with another line."""
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
    """All pairs (x, y): the first objective against each of the others, then the second, and so on."""
    return [(x, y) for y in range(num_objectives) for x in range(y + 1, num_objectives)]


def front_stems(study: FinishedStudy, benchmark: str, kind: str) -> list[tuple[str, int, int]]:
    """File name stems of a benchmark's figures of two objectives, with the objectives across and upwards: the
    first against each of the others. The page and ``plot_fronts`` show the other pairs."""
    objectives = study.tables[benchmark].objectives
    start = file_names(study.tables)[benchmark]
    words = list(file_names(objective.name for objective in objectives).values())
    return [
        (f"{start}-{kind}-{words[y]}-{words[x]}", x, y) for x, y in objective_pairs(len(objectives)) if y == 0
    ]


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


def crowded(values: Float[np.ndarray, " values"]) -> bool:
    """True if positive values, the smaller the better, crowd at the lower end of a linear axis: half of them
    lie in its lowest eighth, so that a logarithmic one shows more."""
    values = values[np.isfinite(values)]
    if values.size < 4 or values.min() <= 0:
        return False
    return bool(np.median(values) < values.min() + (values.max() - values.min()) / 8)
