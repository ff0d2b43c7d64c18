"""Whether methods come in another order when something else counts as a result, and why."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.outcome import finals_of, over_tasks
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.statistics import intervals
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import Credit, effective


class _Turn(NamedTuple):
    """Two methods that change places."""

    ahead: str
    """Better under the other credit."""
    behind: str
    swing: float
    clear: bool
    """True if the runs tell them apart under both."""


def order_notes(study: FinishedStudy, cells: Mapping[Credit, Sequence[Cell]]) -> dict[str, str]:
    """By benchmark one sentence that compares the order of methods under the first credit with another one.

    Args:
        study: whose benchmarks these are.
        cells: results under each credit.

    Returns:
        Nothing where there is one credit, or one method.
    """
    first, *others = cells
    found: dict[str, list[str]] = {}
    for other, (name, table) in itertools.product(others, study.stored.items()):
        pair = [[cell for cell in cells[credit] if cell.benchmark == name] for credit in (first, other)]
        found.setdefault(name, []).append(_note(table, first, other, *pair))
    return {name: " ".join(filter(None, texts)) for name, texts in found.items() if any(texts)}


def more_pairs(number: int) -> str:
    """The end of a sentence on one pair of methods: how many others change places, too."""
    pairs = "pair changes" if number == 1 else "pairs change"
    return f"; {number:,} more {pairs} places" if number else ""


def _note(
    table: AnyTable, first: Credit, other: Credit, before: Sequence[Cell], after: Sequence[Cell]
) -> str:
    if effective(table, first) == effective(table, other):
        return same_number(table, first, other)
    turns = _turns(before, after)
    if turns is None:
        return ""
    clear = [turn for turn in turns if turn.clear]
    if not turns:
        return f"The order of methods is the same in {first} and {other}."
    if not clear:
        return f"In {first} and {other} only methods that these runs do not tell apart change places."
    most = max(clear, key=lambda turn: turn.swing)
    more = more_pairs(len(clear) - 1)
    return (
        f"The order of methods differs: {most.ahead} is behind {most.behind} in {first} and ahead of it in "
        f"{other}, for {_why(before, most)}{', and only those count in full' * (first == 'full')}{more}."
    )


def same_number(table: AnyTable, first: Credit, other: Credit) -> str:
    """Why two credits give one number on a table."""
    if table.num_fidelities == 1:
        return f"{table.name} has one fidelity, so every number is the same in {first} and {other}."
    return (
        f"In {table.name} every fidelity is a training of its own, and none is passed on the way to another: "
        f"every number is the same in {first} and {other}."
    )


def _turns(before: Sequence[Cell], after: Sequence[Cell]) -> list[_Turn] | None:
    """Pairs of methods whose means change places; None where methods cannot be compared."""
    found = finals_of(before), finals_of(after)
    if found[0] is None or found[1] is None or len(found[0].methods) < 2:
        return None
    scores = [over_tasks(part.values, [name for name, _ in part.tasks]) for part in found if part]
    turns = []
    for (i, one), (j, two) in itertools.permutations(enumerate(found[0].methods), 2):
        gained, lost = scores[1][i] - scores[1][j], scores[0][i] - scores[0][j]
        if round(gained.mean(), 12) > 0 > round(lost.mean(), 12):
            swing = float(gained.mean() - lost.mean())
            turns.append(_Turn(one, two, swing, _clear(gained) and _clear(-lost)))
    return turns


def _clear(lead: Float[np.ndarray, " runs"]) -> bool:
    """Whether the interval of a lead lies above zero; never with one run."""
    return lead.size > 1 and bool(intervals(lead[None])[0, 0] > 0)


def _why(cells: Sequence[Cell], turn: _Turn) -> str:
    """What the two methods do with their time."""
    counts = {}
    for method in (turn.ahead, turn.behind):
        own = [cell.final for cell in cells if cell.method == method]
        counts[method] = [
            float(np.mean([final[name].mean() for final in own]))
            for name in ("full_evaluations", "evaluations")
        ]
    (full, every), (other_full, other_every) = counts[turn.ahead], counts[turn.behind]
    told = f"a run of {turn.ahead} takes {full:.0f} of its {every:.0f} evaluations to the highest fidelity"
    return f"{told} ({turn.behind}: {other_full:.0f} of {other_every:.0f})"
