"""The first sentence of a page: why one would use multi-objective Hyperband, from the study's own numbers."""

import html
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.comparison import everywhere
from mohb_jax.analysis.effects import METHOD
from mohb_jax.analysis.outcome import finals_of, over_tasks
from mohb_jax.analysis.statistics import summarise
from mohb_jax.report.parts import Figure
from mohb_jax.report.style import listed

FAMILY = "mo-hb"
"""Names of methods that are multi-objective Hyperband begin with it."""
PICTURE = Figure(
    "figures/answer",
    "Final hypervolume of each method, relative to the true front's: mean over tasks and runs, with 95 % "
    "intervals over seeds.",
)


class Scores(NamedTuple):
    """Final hypervolume under one credit, each benchmark weighing the same."""

    credit: str
    methods: tuple[str, ...]
    values: Float[np.ndarray, "methods runs"]

    def mean(self, method: str) -> float:
        """Over runs."""
        return float(self.values[self.methods.index(method)].mean())

    def standing(self, method: str, other: str) -> str:
        """Whether a method is ahead of another one, by the interval of their difference run by run."""
        own, base = (self.values[self.methods.index(name)] for name in (method, other))
        (difference,) = summarise((own - base)[None])
        low, high = difference["ci95"] or (0.0, 0.0)
        return "ahead of" if low > 0 else "behind" if high < 0 else "not told apart from"


def scores(analysis: Analysis) -> list[Scores]:
    """Of the methods that finished everything, under each credit; empty where there are none."""
    found = []
    for each in analysis.side_by_side:
        compared = everywhere(each.cells, each.study.methods)
        finals = finals_of([cell for cell in each.cells if cell.method in compared])
        if finals is None:
            return []
        values = over_tasks(finals.values, [benchmark for benchmark, _ in finals.tasks])
        found.append(Scores(each.study.credit, tuple(finals.methods), values))
    return found


def why(analysis: Analysis) -> str:
    """The sentence as HTML, true whichever way the numbers go; empty where nothing can be compared."""
    found = scores(analysis)
    if not found or len(found[0].methods) < 2:
        return ""
    family = [name for name in found[0].methods if _base(analysis, name).startswith(FAMILY)]
    others = [name for name in found[0].methods if name not in family]
    if not family or not others:
        return _best(found)
    method = max(family, key=lambda name: sum(one.mean(name) for one in found))
    base = next((name for name in (analysis.study.reference, "random") if name in others), others[0])
    rest = [name for name in others if name != base]
    levels = [f"{one.mean(method):.3f} ({base}: {one.mean(base):.3f}){_in(one, found)}" for one in found]
    return (
        f"Why multi-objective Hyperband? In the same simulated time <strong>{html.escape(method)}</strong> "
        f"reaches {html.escape(listed(levels))} of the true front's hypervolume: it is "
        f"{html.escape(_standings(found, method, base))}{html.escape(_ahead(found, method, rest))}."
    )


def _base(analysis: Analysis, method: str) -> str:
    return str(analysis.settings.get(method, {}).get(METHOD, method))


def _in(one: Scores, found: list[Scores]) -> str:
    return f" in {one.credit}" * (len(found) > 1)


def _standings(found: list[Scores], method: str, base: str) -> str:
    """Against the method that everything is compared with, credits of one answer together."""
    words: dict[str, list[str]] = {}
    for one in found:
        words.setdefault(one.standing(method, base), []).append(one.credit)
    if len(words) == 1:
        return f"{next(iter(words))} {base}{' under both' * (len(found) == 2)}"
    return " and ".join(f"{word} {base} in {listed(names)}" for word, names in words.items())


def _ahead(found: list[Scores], method: str, others: list[str]) -> str:
    """Which of some methods end ahead of it."""
    better = {
        one.credit: [name for name in others if one.standing(name, method) == "ahead of"] for one in found
    }
    parts = [f"{listed(better[one.credit])}{_in(one, found)}" for one in found if better[one.credit]]
    if not parts:
        return ", and no other kind of method is ahead of it" * bool(others)
    many = len({name for names in better.values() for name in names}) > 1
    return f"; ahead of it {'are' if many else 'is'} {listed(parts)}"


def _best(found: list[Scores]) -> str:
    """Who has the highest mean, where the study does not ask for multi-objective Hyperband."""
    levels: dict[str, list[str]] = {}
    for one in found:
        best = max(one.methods, key=one.mean)
        levels.setdefault(best, []).append(f"{one.mean(best):.3f}{_in(one, found)}")
    said = [f"<strong>{html.escape(best)}</strong> with {' and '.join(own)}" for best, own in levels.items()]
    return (
        f"{listed(said)} {'has' if len(said) == 1 else 'have'} the highest mean hypervolume, relative to the "
        "true front's; what these runs do not tell apart is said below."
    )
