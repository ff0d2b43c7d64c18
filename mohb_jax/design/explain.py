"""Why a design is good: the way from a plain method to it and back, and what parts do together.

Everything here is measured on training tasks: it explains the choice, and proves nothing.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mohb_jax.design.judging import interval
from mohb_jax.design.space import (
    FILTER_NUMBERS,
    PLAIN,
    STATIC,
    Point,
    Space,
    is_active,
    label,
    numbers_of,
    shapes_of,
)
from mohb_jax.design.trials import Trials

COMPONENTS: dict[str, tuple[str, ...]] = {
    "schedule": ("schedule", "population", "batch"),
    "eta": ("eta",),
    "R": ("R",),
    "mode": ("mode",),
    "promotion": ("promotion", "scale"),
    "searcher": ("searcher", "surrogate", "algorithm", *FILTER_NUMBERS),
    "prior": ("sample", "prior_strength"),
}
"""Parts that are changed together, because one says nothing without the other."""
INTERACTING = 3
"""Components of which pairs are looked at: those that matter most."""


class Step(NamedTuple):
    """One change.

    Attributes:
        changed: components.
        point: what they make.
        mean: its response.
        gain: over what it was compared with.
        low: interval of 95 % of the gain, tasks and runs resampled.
        high: of it.
    """

    changed: tuple[str, ...]
    point: Point
    mean: float
    gain: float
    low: float
    high: float

    @property
    def matters(self) -> bool:
        """Whether its interval leaves out 0."""
        return self.low > 0 or self.high < 0


class Explanation(NamedTuple):
    """What became of it.

    Attributes:
        plain: where the way begins.
        forward: from there to the winner, the best change first.
        backward: from the winner to the plain method, the change that costs least first.
        alone: each component of the winner in the plain method by itself: main effects.
        without: each component of the winner replaced by the plain one.
        pairs: what two components do together beyond what they do alone.
    """

    plain: Step
    forward: list[Step]
    backward: list[Step]
    alone: list[Step]
    without: list[Step]
    pairs: list[Step]


def mixed(plain: Point, winner: Point, from_winner: Sequence[str], space: Space) -> Point | None:
    """A plain method with some components of the winner; None where they do not go together.

    Parts that only become active by this are the winner's, or the first value that there is.
    """
    names = {name for component in from_winner for name in COMPONENTS[component]}
    point: Point = {}
    for name, part in STATIC.items():
        if not is_active(part, point):
            continue
        first, second = (winner, plain) if name in names else (plain, winner)
        point[name] = first.get(name, second.get(name, part.values[0]))
        if point[name] not in part.values:
            return None
    static = dict(point)
    if not any(static == shape for shape in shapes_of(space)):
        return None
    return point | {name: winner[name] for name in numbers_of(space, static) if name in winner}


def differing(plain: Point, winner: Point) -> list[str]:
    """Components in which two points differ."""
    return [
        component
        for component, names in COMPONENTS.items()
        if any(plain.get(name) != winner.get(name) for name in names)
    ]


def explain(trials: Trials, space: Space, winner: Point, first_run: int, num_seeds: int) -> Explanation:
    """Measures the way from ``PLAIN`` to the winner and back, and what pairs of components do.

    Args:
        trials: runs what is asked for.
        space: of all parts.
        winner: the design.
        first_run: of fresh runs, which no search has used.
        num_seeds: of each task.
    """

    def blocks(point: Point) -> np.ndarray:
        return trials.blocks([point], first_run, num_seeds)[0]

    def step(changed: Sequence[str], point: Point, before: np.ndarray, sign: int = 1) -> Step:
        own = blocks(point)
        gain = sign * (own - before)
        return Step(tuple(changed), point, float(own.mean()), float(gain.mean()), *interval([gain]))

    def with_parts(parts: Sequence[str]) -> Point | None:
        point = mixed(PLAIN, winner, parts, space)
        return point if point is not None and trials.serves(point) else None

    parts, plain = differing(PLAIN, winner), blocks(PLAIN)

    def without_parts(changed: Sequence[str]) -> Point | None:
        return with_parts([part for part in parts if part not in changed])

    alone = []
    for part in parts:
        point = with_parts([part])
        if point is not None and label(point) != label(PLAIN):
            alone.append(step([part], point, plain))
    without = []
    for part in parts:
        point = without_parts([part])
        if point is not None and label(point) != label(winner):
            without.append(step([part], point, blocks(winner), -1))
    forward = _path(parts, PLAIN, winner, with_parts, blocks, step)
    backward = _path(parts, winner, PLAIN, without_parts, blocks, step)
    pairs = _pairs(alone, with_parts, blocks, plain)
    start = Step((), PLAIN, float(plain.mean()), 0.0, 0.0, 0.0)
    return Explanation(start, forward, backward, alone, without, pairs)


def _path(parts, start, end, changed_to, blocks, step) -> list[Step]:  # type: ignore[no-untyped-def]
    """From one method to another: at each step the component whose change helps most, or costs least."""
    done: list[str] = []
    found: list[Step] = []
    here = start
    while True:
        # A change may bring others with it: what makes no difference any more is no step.
        done += [part for part in parts if part not in done and changed_to([*done, part]) == here]
        if len(done) == len(parts):
            break
        options = []
        for part in parts:
            point = None if part in done else changed_to([*done, part])
            if point is not None:
                options.append(step([part], point, blocks(here)))
        if not options:  # what is left goes together only: one step to the end
            left = tuple(part for part in parts if part not in done)
            found.append(step(left, end, blocks(here)))
            break
        best = max(options, key=lambda own: own.gain)
        found.append(best)
        here = best.point
        done += best.changed
    return found


def _pairs(alone, with_parts, blocks, plain) -> list[Step]:  # type: ignore[no-untyped-def]
    """What both do beyond the sum of what each does."""
    strongest = sorted(alone, key=lambda own: -abs(own.gain))[:INTERACTING]
    found = []
    for one, other in itertools.combinations(strongest, 2):
        names = (*one.changed, *other.changed)
        point = with_parts(names)
        if point is None:
            continue
        both = blocks(point)
        beyond = both - blocks(one.point) - blocks(other.point) + plain
        found.append(Step(names, point, float(both.mean()), float(beyond.mean()), *interval([beyond])))
    return found
