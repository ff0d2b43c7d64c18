"""Every combination of schedule, sample and promotion, on training tasks: what each does with the others.

It is no part of a search, and explains.
"""

import itertools
from typing import NamedTuple

import numpy as np

from mohb_jax.design.judging import interval
from mohb_jax.design.space import PLAIN, Point, Space
from mohb_jax.design.trials import CANDIDATE_STRIDE, Trials

PARTS: dict[str, tuple[str, ...]] = {
    "schedule": ("full", "hyperband", "equal", "asha-stop"),
    "sample": ("uniform", "prior"),
    "promotion": ("net", "crowding"),
}
LADDER: Point = {"eta": 3, "R": 27, "searcher": "random"}


class Effect(NamedTuple):
    """What a change does.

    Attributes:
        name: of it.
        gain: in the response.
        low: interval of 95 %, tasks and runs resampled.
        high: of it.
    """

    name: str
    gain: float
    low: float
    high: float


class Factorial(NamedTuple):
    """What came of it.

    Attributes:
        cells: mean response by schedule, sample and promotion (none of full fidelity).
        effects: of schedules and of the prior, alone, together, and beyond their sum.
    """

    cells: dict[str, float]
    effects: list[Effect]


def cell(schedule: str, sample: str, promotion: str) -> Point:
    """The method of a combination; other parts are those of the plain method."""
    prior: Point = {"prior_strength": 1.0} if sample == "prior" else {}
    if schedule == "full":
        return {"schedule": "full", "searcher": "random", "sample": sample, **prior}
    point: Point = {"schedule": schedule, **LADDER, "sample": sample}
    if schedule == "hyperband":
        point["mode"] = PLAIN["mode"]
    point["promotion"] = promotion
    if promotion == "net":
        point["scale"] = PLAIN["scale"]
    if schedule == "equal":
        point["population"] = 9
    return {**point, **prior}


def combinations(space: Space) -> list[tuple[str, str, str]]:
    """Those that a space has; full fidelity promotes nothing, so that one promotion stands for all."""
    kept = []
    for schedule, sample, promotion in itertools.product(*PARTS.values()):
        names = (schedule, sample, promotion)
        allowed = space.static["promotion"].only.get(promotion, (schedule,))
        has = all(value in space.static[part].values for part, value in zip(PARTS, names, strict=True))
        if has and schedule in allowed and (schedule, promotion) != ("full", "crowding"):
            kept.append(names)
    return kept


def factorial(trials: Trials, space: Space, num_seeds: int) -> Factorial:
    """Runs the combinations that there is room for.

    Args:
        trials: runs them.
        space: what may be combined.
        num_seeds: of each task, the last ones that there are: no search or other explanation uses them.
    """
    blocks = {}
    for names in combinations(space):
        if trials.serves(cell(*names)):
            blocks[names] = trials.blocks([cell(*names)], CANDIDATE_STRIDE - num_seeds, num_seeds)[0]
    return Factorial({" ".join(names): float(own.mean()) for names, own in blocks.items()}, _effects(blocks))


def _effects(blocks: dict[tuple[str, str, str], np.ndarray]) -> list[Effect]:
    """Schedules in place of full trainings and the prior in place of uniform draws, with the net."""

    def of(schedule: str, sample: str) -> np.ndarray | None:
        return blocks.get((schedule, sample, "net"))

    found: list[tuple[str, np.ndarray | None]] = []
    for schedule in PARTS["schedule"][1:]:
        corners = (of("full", "uniform"), of(schedule, "uniform"), of("full", "prior"), of(schedule, "prior"))
        before, rungs, prior, both = corners
        found += [
            (f"{schedule} in place of full, without a prior", _less(rungs, before)),
            (f"{schedule} in place of full, with a prior", _less(both, prior)),
            (f"prior under {schedule}", _less(both, rungs)),
            (f"{schedule} and prior beyond the sum", _less(_less(both, prior), _less(rungs, before))),
        ]
    return [Effect(name, float(own.mean()), *interval([own])) for name, own in found if own is not None]


def _less(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return None if one is None or other is None else one - other
