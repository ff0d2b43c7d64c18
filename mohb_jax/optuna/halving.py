"""Decisions of asynchronous halving, one at a time, whatever library asks for them."""

import bisect
import dataclasses
import itertools
import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mohb_jax import rules
from mohb_jax.errors import InputError, did_you_mean

Costs = list[float] | None
"""What a trial showed at a rung, minimised; None where it failed there."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """When a trial ends, as ``HalvingPruner`` documents the settings.

    Raises:
        InputError: a value is not accepted.
    """

    rungs: Sequence[int | float]
    eta: int | float
    rule: str
    scale: str
    seed_objective: int
    weights: Sequence[int | float] | None
    seed: int

    def __post_init__(self) -> None:
        rungs = tuple(whole("a rung", rung) for rung in self.rungs)
        if len(rungs) < 2 or any(low >= high for low, high in itertools.pairwise(rungs)):
            raise InputError(f"rungs is {rungs}: accepted are two or more ascending steps, such as (1, 3, 9)")
        object.__setattr__(self, "rungs", rungs)
        if _as_written(self.eta) <= 1:
            raise InputError(f"eta is {self.eta!r}: accepted is a number above 1")
        _require_one_of("rule", self.rule, rules.NAMES)
        _require_one_of("scale", self.scale, rules.SCALES)
        whole("seed_objective", self.seed_objective)
        whole("seed", self.seed)
        if self.weights is not None:
            _require_weights(self.weights)

    def check_for(self, num_objectives: int) -> None:
        """``InputError`` unless the settings fit that number of objectives."""
        if self.seed_objective >= num_objectives:
            raise InputError(
                f"seed_objective is {self.seed_objective}: accepted are 0 to {num_objectives - 1}"
            )
        if self.weights is not None and len(self.weights) != num_objectives:
            raise InputError(
                f"weights has {len(self.weights)} values: {num_objectives} objectives need one each"
            )
        if self.rule == "hvc" and num_objectives > rules.MOST_OBJECTIVES_OF_VOLUMES:
            raise InputError(
                f"rule 'hvc' takes at most {rules.MOST_OBJECTIVES_OF_VOLUMES} objectives, there are "
                f"{num_objectives}: 'net' and 'crowding' take any number"
            )

    def place_of(self, step: int) -> int | None:
        """Place of the highest rung that a step reaches; None before the first and from the last one on."""
        place = bisect.bisect_right(self.rungs, step) - 1
        return place if 0 <= place < len(self.rungs) - 1 else None

    def ends(self, place: int, arrived: Mapping[int, Costs], number: int, costs: Costs) -> bool:
        """Whether a newcomer is not among the best of its rung.

        Args:
            place: of the rung.
            arrived: costs of all others that arrived there, by the number of their trial.
            number: of the newcomer's trial.
            costs: of the newcomer, who is last among equals.
        """
        others = sorted(other for other in arrived if other != number)
        rows = [*(arrived[other] for other in others), costs]
        num_objectives = next((len(row) for row in rows if row), 1)
        if any(len(row) != num_objectives for row in rows if row):
            raise InputError(
                f"{num_objectives} objectives are told, and trials were told another number before: give the "
                "pruner another key"
            )
        table = np.array([row or [math.inf] * num_objectives for row in rows])
        keep = max(1, math.floor(len(rows) / _as_written(self.eta)))
        rule = self._rule(place, [*others, number], num_objectives)
        return not rules.is_kept(rule, table, len(rows) - 1, keep)

    def _rule(self, place: int, trials: Sequence[int], num_objectives: int) -> rules.Rule:
        if self.rule == "random":
            stream = np.random.Generator(np.random.Philox(key=[self.seed, place]))
            return rules.random(stream.random(max(trials) + 1)[trials])
        if self.rule == "scalar":
            return rules.scalar(self.weights or self._drawn_weights(num_objectives))
        if self.rule == "net":
            return rules.net(self.scale, self.seed_objective)
        return {"crowding": rules.crowding, "hvc": rules.hvc, "single": rules.single}[self.rule]()

    def _drawn_weights(self, num_objectives: int) -> list[float]:
        """Uniform among weights that add up to 1."""
        stream = np.random.Generator(np.random.Philox(key=self.seed))
        shares = stream.exponential(size=num_objectives)
        return (shares / shares.sum()).tolist()


def whole(name: str, value: Any) -> int:
    """A whole number from 0 on; ``InputError`` naming the culprit for anything else."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise InputError(f"{name} is {value!r}: accepted is a whole number from 0 on")
    return number


def _as_written(eta: int | float) -> Fraction:
    """2.5 is 5/2, and what is no number is 0."""
    try:
        return Fraction(str(eta))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _require_one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        near = did_you_mean(value, known) if isinstance(value, str) else ""
        raise InputError(f"{name} is {value!r}{near}: accepted are {', '.join(known)}")


def _require_weights(weights: Sequence[int | float]) -> None:
    usable = all(isinstance(weight, numbers.Real) and 0 <= weight < math.inf for weight in weights)
    if not usable or sum(weights) <= 0:
        raise InputError(f"weights is {list(weights)}: one number >= 0 per objective, not all 0")
