"""The search for a design: shapes drawn, candidates raced, the best one's neighbours tried, numbers refined,
one chosen.

Whoever reads the results of an earlier start from the journal does the same again, so that a search which was
interrupted goes on where it stood.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from mohb_jax.design import race as racing
from mohb_jax.design.choice import smoothed
from mohb_jax.design.space import (
    PLAIN,
    Point,
    Range,
    Space,
    asks_others,
    label,
    levels_of,
    numbers_of,
    shape_of,
    shapes_of,
    with_unit,
)
from mohb_jax.design.trials import SIDE_BY_SIDE, Trials
from mohb_jax.tuner.jobs import Job
from mohb_jax.tuner.space import Space as TunedSpace
from mohb_jax.tuner.space import integer, log, ordered, uniform
from mohb_jax.tuner.tuner import Tuner

Tell = Callable[[str], None]
KINDS = ("schedule", "searcher", "sample")
"""Parts of which all combinations are drawn as often."""
LADDER = ("eta", "R")
"""Parts of the plain method that the first choice of a kind has."""
RULE = ("promotion", "scale")
"""And with a filter, which needs most programs, these too."""
GRID = 4096
"""Settings of a shape that its refinement may try."""
MOST_REFINEMENTS = 1024
STEPS = 2
"""Times that the neighbours of the best candidate are tried."""
PATIENCE = 2
"""Rounds without elimination that end a race."""


class Limits(NamedTuple):
    """How much is searched.

    Attributes:
        shapes: static choices that are drawn, the plain one among them.
        seeds: runs of each task in each round of the race.
        neighbours: static choices that differ from the best in one part, tried at each of ``STEPS`` steps.
        refined: shapes that are refined, the best of those with numbers.
        refinements: batches of eight settings for each of them.
        runs: tuning runs after which no further round or batch begins.
        eliminate: ``race`` or ``halve``.
        shape_seed: of which shapes are drawn: searches from other seeds share them, as programs are dear.
    """

    shapes: int = 20
    seeds: int = 32
    neighbours: int = 8
    refined: int = 2
    refinements: int = 6
    runs: int = 1_000_000
    eliminate: str = "race"
    shape_seed: int = 0


class Evaluated(NamedTuple):
    """A candidate and all that is known of it."""

    point: Point
    blocks: Float[np.ndarray, "tasks blocks"]
    """Mean responses of paired runs: column b is of the same runs for all candidates."""

    @property
    def mean(self) -> float:
        return float(self.blocks.mean())

    @property
    def variance(self) -> float:
        """Of the mean, by blocks of runs; a task's own level is no noise."""
        per_block = self.blocks.mean(axis=0)
        return float(per_block.var(ddof=1) / len(per_block)) if len(per_block) > 1 else 1e-4


class Found(NamedTuple):
    """What a search found.

    Attributes:
        winner: the choice.
        predicted: its response as predicted.
        evaluated: all candidates.
        alive: how many candidates were left after each round of the race.
        best_observed: label of the candidate whose observed mean is best.
        predictions: response of each candidate as predicted.
        num_drawn: candidates that were drawn before any result; they come first.
    """

    winner: Point
    predicted: float
    evaluated: list[Evaluated]
    alive: list[int]
    best_observed: str
    predictions: Float[np.ndarray, " evaluated"]
    num_drawn: int

    def best_alone(self) -> Point | None:
        """The candidate with the best prediction among those that learn nothing from other tasks."""
        own = [place for place, one in enumerate(self.evaluated) if not asks_others(one.point)]
        return self.evaluated[max(own, key=lambda place: self.predictions[place])].point if own else None


def drawn_shapes(space: Space, count: int, rng: np.random.Generator) -> list[Point]:
    """Shapes of all kinds alike, see ``KINDS``; the plain one first, where the space has it.

    Those with eta and R of the plain method come before others, which are whole ladders of programs more. A
    filter needs most programs: its kinds come last, and first with the promotion of the plain method, which
    they share.
    """
    every = list(shapes_of(space))
    groups: dict[tuple, list[Point]] = {}
    mixed = [every[place] for place in rng.permutation(len(every)).tolist()]
    for shape in sorted(mixed, key=_as_plain):
        groups.setdefault(tuple(shape.get(name) for name in KINDS), []).append(shape)
    kinds = sorted(groups, key=lambda kind: (kind[KINDS.index("searcher")] == "filtered", str(kind)))
    order = [groups[kind] for kind in kinds]
    chosen = [PLAIN] if PLAIN in every else []
    while len(chosen) < count and any(order):
        for group in order:
            while group and (shape := group.pop()) in chosen:
                pass
            if shape not in chosen and len(chosen) < count:
                chosen.append(shape)
    return chosen


def _as_plain(shape: Point) -> list[bool]:
    """In which of the parts that are programs a shape is as the plain method."""
    parts = LADDER + RULE if shape.get("searcher") == "filtered" else LADDER
    return [shape.get(name) == PLAIN[name] for name in parts]


def candidates(space: Space, shapes: Sequence[Point], rng: np.random.Generator) -> list[Point]:
    """Eight settings of each shape that has numbers, spread evenly, or all where there are few; others as
    they are."""
    found: list[Point] = []
    for shape in shapes:
        few = {name: levels_of(part) for name, part in numbers_of(space, shape).items() if part.steps}
        if len(few) == len(numbers_of(space, shape)):
            combined = itertools.product(*few.values())
            found += [shape | dict(zip(few, values, strict=True)) for values in combined]
            continue
        sobol = scipy.stats.qmc.Sobol(len(space.traced), seed=rng)
        found += [with_unit(space, shape, unit) for unit in sobol.random(SIDE_BY_SIDE)]
    return found


def neighbours(space: Space, point: Point, count: int, rng: np.random.Generator) -> list[Point]:
    """Points that differ from one in a single static part, among those that both have, in random order; parts
    that only they have are any, and numbers are those of the point, or in the middle."""
    own = shape_of(point)
    found = []
    for shape in shapes_of(space):
        if sum(own[name] != shape[name] for name in own.keys() & shape.keys()) == 1:
            middle = with_unit(space, shape, [0.5] * len(space.traced))
            found.append({name: point.get(name, value) if name in space.traced else value
                          for name, value in middle.items()})  # fmt: skip
    # One change is as likely as another, however many ways there are to fill in what it brings with it.
    groups: dict[Any, list[Point]] = {}
    for place in rng.permutation(len(found)).tolist():
        other = found[place]
        changed = next(name for name in own.keys() & other.keys() if own[name] != other[name])
        groups.setdefault((changed, other[changed]), []).append(other)
    order = [group for _, group in sorted(groups.items(), key=lambda item: str(item[0]))]
    first = [group.pop() for group in order]
    rng.shuffle(first)
    return first[:count]


def search(trials: Trials, space: Space, limits: Limits, seed: int, first_run: int, tell: Tell) -> Found:
    """Races candidates, refines the best shapes, and chooses.

    Args:
        trials: runs them.
        space: to choose from.
        limits: how much.
        seed: of what is drawn.
        first_run: searches with other numbers share no run.
        tell: is told how it goes.
    """
    rng = np.random.default_rng(seed)
    start = trials.num_runs
    shapes = drawn_shapes(space, limits.shapes, np.random.default_rng(limits.shape_seed))
    points = candidates(space, shapes, rng)
    known = {label(point): Evaluated(point, np.zeros((len(trials.tasks), 0))) for point in points}
    order = rng.permutation(len(trials.tasks))
    alive, counts = list(known), [len(known)]
    tell(f"{len(points)} candidates of {len({label(shape_of(point)) for point in points})} shapes")
    number = 0
    # One round in any case: whoever is few enough to be kept has to be known, too.
    while not number or (len(alive) > racing.Race().least and trials.num_runs - start < limits.runs):
        _measured(trials, known, alive, first_run + number * limits.seeds, limits.seeds)
        alive = [name for name in alive if name in known]
        alive = _survivors(known, alive, order, limits.eliminate)
        counts.append(len(alive))
        number += 1
        best = max(alive, key=lambda name: known[name].mean)
        tell(f"round {number}: {len(alive)} candidates left after {trials.num_runs - start:,} runs; "
             f"best {known[best].mean:.4f}: {best}")  # fmt: skip
        if len(counts) > PATIENCE and counts[-1] == counts[-1 - PATIENCE]:
            break
    num_drawn = sum(own.blocks.shape[1] > 0 for own in known.values())
    for _ in range(STEPS if limits.neighbours else 0):
        _stepped(trials, space, known, limits, first_run, rng, tell)
    _refined(trials, space, known, limits, seed, first_run, start, tell)
    every = [own for own in known.values() if own.blocks.shape[1]]
    means = np.array([own.mean for own in every])
    predicted = smoothed([own.point for own in every], means, np.array([own.variance for own in every]), seed)
    winner = int(predicted.argmax())
    tell(f"chosen by prediction {predicted[winner]:.4f}, observed {means[winner]:.4f}: "
         f"{label(every[winner].point)}")  # fmt: skip
    return Found(
        every[winner].point,
        float(predicted[winner]),
        every,
        counts,
        label(every[int(means.argmax())].point),
        predicted,
        num_drawn,
    )


def _measured(
    trials: Trials, known: dict[str, Evaluated], names: Sequence[str], first_run: int, num_seeds: int
) -> None:
    """More blocks of some candidates, shape by shape; shapes that there is no room for are left out."""
    shapes: dict[str, list[str]] = {}
    for name in names:
        shapes.setdefault(label(shape_of(known[name].point)), []).append(name)
    for group in shapes.values():
        if not trials.serves(known[group[0]].point):
            for name in group:
                del known[name]
            continue
        found = trials.blocks([known[name].point for name in group], first_run, num_seeds)
        for name, blocks in zip(group, found, strict=True):
            old = known[name]
            known[name] = old._replace(blocks=np.concatenate([old.blocks, blocks], axis=1))


def _survivors(known: dict[str, Evaluated], alive: list[str], order: np.ndarray, eliminate: str) -> list[str]:
    """Who stays; blocks come task after task, and runs after runs, so that every beginning is balanced."""
    scores = 1 - np.stack([known[name].blocks[order].T.reshape(-1) for name in alive], axis=1)
    everybody = np.ones(len(alive), bool)
    if eliminate == "halve":
        verdict = racing.halve(scores, everybody, racing.Race().least)
    else:
        verdict = racing.step(scores, everybody, racing.Race())
        # Ranks drop who is far better on few tasks: the best mean stays, too.
        verdict.alive[scores.mean(axis=0).argmin()] = True
    return [name for name, stays in zip(alive, verdict.alive, strict=True) if stays]


def _stepped(
    trials: Trials,
    space: Space,
    known: dict[str, Evaluated],
    limits: Limits,
    first_run: int,
    rng: np.random.Generator,
    tell: Tell,
) -> None:
    """Tries neighbours of the best candidate."""
    best = max((own for own in known.values() if own.blocks.shape[1]), key=lambda own: own.mean)
    tried = []
    for point in neighbours(space, best.point, limits.neighbours, rng):
        if label(point) not in known and trials.serves(point):
            blocks = trials.blocks([point], first_run, limits.seeds)[0]
            known[label(point)] = Evaluated(point, blocks)
            tried.append((float(blocks.mean()), label(point)))
    if tried:
        tell(f"{len(tried)} neighbours of {best.mean:.4f}: best {max(tried)[0]:.4f}: {max(tried)[1]}")


def _refined(
    trials: Trials,
    space: Space,
    known: dict[str, Evaluated],
    limits: Limits,
    seed: int,
    first_run: int,
    start: int,
    tell: Tell,
) -> None:
    """Numbers of the best shapes that have some, by a tuner of our own: every third batch is random."""
    best: dict[str, float] = {}
    for own in known.values():
        name = label(shape_of(own.point))
        best[name] = max(best.get(name, -1.0), own.mean)
    shapes = {label(shape_of(own.point)): shape_of(own.point) for own in known.values()}
    wanted = [name for name in sorted(best, key=lambda name: -best[name]) if numbers_of(space, shapes[name])]
    for name in wanted[: limits.refined]:
        refine = _Refinement(space, shapes[name], seed)
        for batch in range(limits.refinements):
            if trials.num_runs - start >= limits.runs:
                return
            points = refine.proposals()
            found = trials.blocks(points, first_run, limits.seeds)
            refine.learn([float(blocks.mean()) for blocks in found])
            for point, blocks in zip(points, found, strict=True):
                known[label(point)] = Evaluated(point, blocks)
            tell(f"refined, batch {batch + 1}: {max(float(blocks.mean()) for blocks in found):.4f}: {name}")


class _Refinement:
    """Proposals for the numbers of a shape, eight at a time: a Gaussian-process search of our own tuner, and
    every third one at random."""

    RANDOM = SIDE_BY_SIDE // 3

    def __init__(self, space: Space, shape: Point, seed: int) -> None:
        self._space, self._shape = space, shape
        self._rng = np.random.default_rng(seed)
        parts = {name: part for name, part in numbers_of(space, shape).items() if part.low < part.high}
        self._fixed = with_unit(space, shape, [0.0] * len(space.traced))
        domains = {name: _domain(part) for name, part in parts.items()}
        self._tuner = Tuner(
            TunedSpace.sample(domains, n=GRID, seed=seed),
            {"loss": "min"},
            "parego",
            workers=SIDE_BY_SIDE,
            evaluations=MOST_REFINEMENTS,
            seed=seed,
            clock=lambda: 0.0,
        )
        self._jobs: list[Job] = []

    def proposals(self) -> list[Point]:
        """Eight settings."""
        asked = [self._tuner.ask(str(worker)) for worker in range(SIDE_BY_SIDE - self.RANDOM)]
        self._jobs = [job for job in asked if job is not None]
        wished = [self._fixed | {name: _plain(value) for name, value in job.config.items()}
                  for job in self._jobs]  # fmt: skip
        units = self._rng.random((SIDE_BY_SIDE - len(wished), len(self._space.traced)))
        return wished + [with_unit(self._space, self._shape, unit) for unit in units]

    def learn(self, means: Sequence[float]) -> None:
        """Responses of the last proposals; the random ones come last, and are for the choice alone."""
        for job, mean in zip(self._jobs, means, strict=False):
            self._tuner.tell(job, {"loss": 1 - mean}, seconds=1.0)


def _domain(part: Range) -> Any:
    if part.steps:
        return ordered(levels_of(part))
    if part.is_whole:
        return integer(int(part.low), int(part.high))
    return (log if part.log else uniform)(part.low, part.high)


def _plain(value: Any) -> str | int | float:
    return round(value, 4) if isinstance(value, float) else value
