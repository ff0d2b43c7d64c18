"""The space of tuning methods: which parts there are, and which method a choice of parts is.

Static parts decide which programs run; numbers (``TRACED``) do not, so that candidates which differ in them
alone are lanes of one program. ``export`` writes the space as ConfigSpace reads it.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mohb_jax.benchmarks.columns import require_choice
from mohb_jax.errors import InputError, did_you_mean

Value = str | int | float
Point = dict[str, Value]
"""A choice of parts: values of those that are active, by name."""


class Choice(NamedTuple):
    """A static part."""

    values: tuple[Value, ...]
    when: Mapping[str, tuple[Value, ...]] = {}
    """Values of parts before it under which it is active; always where there are none."""
    only: Mapping[Value, tuple[Value, ...]] = {}
    """Schedules with which some values go; all others go with any."""


class Range(NamedTuple):
    """A number of which no program depends."""

    low: float | int
    high: float | int
    log: bool = False
    is_whole: bool = False
    when: Mapping[str, tuple[Value, ...]] = {}
    steps: int = 0
    """Values from low to high, both included, if not any: of those for which much is prepared."""


FILTERED = {"searcher": ("filtered",)}
RUNGS = ("halving", "hyperband", "equal", "asha-stop", "asha-promote")
WAITING = ("full", "halving", "hyperband", "equal")
"""Schedules under which a searcher may learn, because they wait for the end of a rung."""
STATIC: dict[str, Choice] = {
    "schedule": Choice(("full", *RUNGS)),
    "eta": Choice((2, 3, 4), {"schedule": RUNGS}),
    "R": Choice((9, 27), {"schedule": RUNGS}),
    "searcher": Choice(
        ("random", "filtered", "bohb", "mo-bohb", "motpe", "portfolio"),
        only={
            "filtered": WAITING,
            "bohb": WAITING,
            "mo-bohb": WAITING,
            "motpe": ("full",),
            "portfolio": ("full",),
        },
    ),
    "sample": Choice(("uniform", "prior"), {"searcher": ("random", "filtered")}),
    "mode": Choice(
        ("barrier", "overlap"),
        {"schedule": ("halving", "hyperband"), "searcher": ("random",)},
    ),
    "promotion": Choice(
        ("net", "crowding", "hvc", "scalar", "single"),
        {"schedule": RUNGS},
        # Where each arrival is judged, among thousands, these take a hundred times as long.
        only={"crowding": WAITING, "hvc": WAITING, "scalar": WAITING},
    ),
    # Ranks are found anew at each arrival there, which takes minutes, too.
    "scale": Choice(("minmax", "rank"), {"promotion": ("net",)}, only={"rank": WAITING}),
    "population": Choice((9, 16, 27), {"schedule": ("equal",)}),
    "batch": Choice((4, 9), {"schedule": ("full",), "searcher": ("filtered",)}),
    "surrogate": Choice(("knn1", "knn7", "density"), FILTERED),
    "algorithm": Choice(("progressive", "tournament"), FILTERED),
}
TRACED: dict[str, Range] = {
    "factor_first": Range(1, 32, log=True, when=FILTERED),
    "factor_last": Range(1, 32, log=True, when=FILTERED),
    "random_share": Range(0, 1, when=FILTERED),
    "per_tournament": Range(1, 8, is_whole=True, when=FILTERED),
    "prior_strength": Range(0.5, 8, log=True, when={"sample": ("prior",)}, steps=5),
}
FILTER_NUMBERS = ("factor_first", "factor_last", "random_share", "per_tournament")
"""Those that lanes of one program may differ in."""
NAMES = (*STATIC, *TRACED)
PLAIN: Point = {
    "schedule": "hyperband",
    "eta": 3,
    "R": 27,
    "searcher": "random",
    "sample": "uniform",
    "mode": "overlap",
    "promotion": "net",
    "scale": "minmax",
}
"""The plain method from which explanations start: ``mo-hb``."""


ASYNCHRONOUS = {"asha-stop": "mo-asha", "asha-promote": "mo-asha-promote"}


class Space(NamedTuple):
    """What a study may choose from: a part of all that there is."""

    static: dict[str, Choice]
    traced: dict[str, Range]


def make_space(limits: Mapping[str, Any] | None = None) -> Space:
    """The space, or what a study file leaves of it.

    Args:
        limits: by name a list of values, or ``[low, high]`` of a number.

    Raises:
        InputError: naming an unknown part or value, or a space that leaves nothing to choose.
    """
    limits = dict(limits or {})
    for name in limits:
        if name not in NAMES:
            raise InputError(
                f"space: {name!r} is unknown{did_you_mean(name, NAMES)}: accepted are {', '.join(NAMES)}"
            )
    static = {name: _limited(name, part, limits.get(name)) for name, part in STATIC.items()}
    traced = {name: _bounded(name, part, limits.get(name)) for name, part in TRACED.items()}
    space = Space(static, traced)
    shapes = list(itertools.islice(shapes_of(space), 2))
    if not shapes:
        raise InputError("space: no method is left: its values exclude one another")
    if len(shapes) == 1 and not _varies(space, shapes[0]):
        raise InputError("space: one candidate is left, so that there is nothing to choose")
    return space


def _limited(name: str, part: Choice, values: Any) -> Choice:
    if values is None:
        return part
    listed = values if isinstance(values, list | tuple) else [values]
    for value in listed:
        if value not in part.values:
            require_choice(f"space: {name}", str(value), [str(known) for known in part.values])
    return part._replace(values=tuple(value for value in part.values if value in listed))


def _bounded(name: str, part: Range, ends: Any) -> Range:
    if ends is None:
        return part
    low, high = ends if isinstance(ends, list | tuple) and len(ends) == 2 else (ends, ends)
    numbers = all(isinstance(end, int | float) and math.isfinite(end) for end in (low, high))
    if not numbers or not part.low <= low <= high <= part.high:
        raise InputError(f"space: {name} is {ends!r}: accepted is [low, high] in {part.low} to {part.high}")
    return part._replace(low=low, high=high)


def is_active(part: Choice | Range, point: Mapping[str, Value]) -> bool:
    return all(point.get(name) in values for name, values in part.when.items())


def shapes_of(space: Space) -> Iterator[Point]:
    """All choices of static parts."""

    def extended(point: Point, names: Sequence[str]) -> Iterator[Point]:
        if not names:
            yield point
            return
        part = space.static[names[0]]
        if not is_active(part, point):
            yield from extended(point, names[1:])
            return
        for value in part.values:
            if point.get("schedule") in part.only.get(value, (point.get("schedule"),)):
                yield from extended(point | {names[0]: value}, names[1:])

    yield from extended({}, list(space.static))


def _varies(space: Space, shape: Point) -> bool:
    return any(part.low < part.high for part in numbers_of(space, shape).values())


def numbers_of(space: Space, shape: Point) -> dict[str, Range]:
    """The numbers that are active in a shape."""
    known = {name: part for name, part in space.traced.items() if is_active(part, shape)}
    if shape.get("algorithm") != "tournament":
        known.pop("per_tournament", None)
    return known


def with_unit(space: Space, shape: Point, unit: Sequence[float] | np.ndarray) -> Point:
    """A shape with numbers from [0, 1), in the order of ``space.traced``."""
    point = dict(shape)
    own = numbers_of(space, shape)
    for (name, part), share in zip(space.traced.items(), unit, strict=True):
        if name not in own:
            continue
        point[name] = _value_at(part, float(share))
    return point


def _value_at(part: Range, share: float) -> int | float:
    """The value at a share of the way from the lowest to the highest."""
    if part.steps > 1:
        share = min(int(share * part.steps), part.steps - 1) / (part.steps - 1)
    high = part.high + 1 if part.is_whole else part.high
    value = part.low * (high / part.low) ** share if part.log else part.low + share * (high - part.low)
    return min(int(value), int(part.high)) if part.is_whole else round(float(value), 4)


def levels_of(part: Range) -> list[int | float]:
    """All values of a number that has few."""
    return [_value_at(part, (step + 0.5) / part.steps) for step in range(part.steps)]


def shape_of(point: Mapping[str, Value]) -> Point:
    """Its static parts."""
    return {name: point[name] for name in STATIC if name in point}


def asks_others(point: Mapping[str, Value]) -> bool:
    """Whether a choice learns from other tasks."""
    return point.get("sample") == "prior" or point.get("searcher") == "portfolio"


def label(point: Mapping[str, Value]) -> str:
    """A choice in one line."""
    return " ".join(f"{name}={value}" for name, value in point.items())


def method_of(point: Mapping[str, Value]) -> tuple[str, dict[str, Any]]:
    """The method that a choice is, and its settings: what a study file may name.

    Examples:
        >>> method_of(PLAIN)
        ('mo-hb', {'eta': 3, 'R': 27, 'promotion': 'net', 'scale': 'minmax', 'mode': 'overlap'})
    """
    schedule, searcher = str(point["schedule"]), point.get("searcher", "random")
    tail = "+prior" if point.get("sample") == "prior" else ""
    strength = {name: point[name] for name in ("prior_strength",) if name in point}
    if searcher == "portfolio":
        return "zero-shot", {}
    if schedule == "full" and searcher in ("random", "motpe"):
        return f"{searcher}{tail}", strength
    settings: dict[str, Any] = {name: point[name] for name in ("eta", "R", "promotion", "scale")
                                if name in point} | strength  # fmt: skip
    if schedule in ASYNCHRONOUS:
        return f"{ASYNCHRONOUS[schedule]}{tail}", settings
    brackets = {"brackets": 1} if schedule == "halving" else {}
    if searcher == "random" and schedule != "equal":
        return f"mo-hb{tail}", {**settings, **brackets, "mode": point["mode"]}
    own = {"schedule": "hyperband" if schedule == "halving" else schedule,
           "searcher": "prior" if searcher == "random" and tail else searcher}  # fmt: skip
    if "batch" in point:
        own["population"] = point["batch"]
    elif schedule == "full":
        own["population"] = 4
    names = ("population", "surrogate", "algorithm", *FILTER_NUMBERS)
    filters = {name: point[name] for name in names if name in point}
    return f"smashy{tail}", {**settings, **brackets, **own, **filters}


def unit_numbers(points: Sequence[Mapping[str, Value]]) -> dict[str, np.ndarray]:
    """The filter's numbers of some points of one shape, by name; defaults where a point has none."""
    defaults = {"factor_first": 8.0, "factor_last": 8.0, "random_share": 0.2, "per_tournament": 1}
    return {
        name: np.array([point.get(name, default) for point in points]) for name, default in defaults.items()
    }


def export(space: Space) -> dict[str, Any]:
    """The space as ``ConfigSpace.ConfigurationSpace.from_yaml`` and ``from_json`` read it."""
    parts: list[dict[str, Any]] = []
    conditions: list[dict[str, Any]] = []
    for name, part in space.static.items():
        parts.append(
            {
                "type": "categorical",
                "name": name,
                "choices": list(part.values),
                "weights": None,
                "default_value": part.values[0],
                "meta": {"static": True},
            }
        )
        conditions += _conditions(name, part.when, space)
    for name, number in space.traced.items():
        parts.append(
            {
                "type": "uniform_int" if number.is_whole else "uniform_float",
                "name": name,
                "lower": number.low,
                "upper": number.high,
                "default_value": number.low,
                "log": number.log,
                "meta": {"static": False},
            }
        )
        when = {"algorithm": ("tournament",)} if name == "per_tournament" else number.when
        conditions += _conditions(name, when, space)
    return {
        "name": "mohb-design",
        "hyperparameters": parts,
        "conditions": conditions,
        "forbiddens": _forbidden(space),
        "format_version": 0.4,
    }


def _forbidden(space: Space) -> list[dict[str, Any]]:
    """Values with the schedules that they do not go with."""
    found = []
    for name, part in space.static.items():
        for value, schedules in part.only.items():
            others = [own for own in space.static["schedule"].values if own not in schedules]
            if value in part.values and others:
                clauses = [{"type": "EQUALS", "name": name, "value": value},
                           {"type": "IN", "name": "schedule", "values": others}]  # fmt: skip
                found.append({"type": "AND", "clauses": clauses})
    return found


def _conditions(child: str, when: Mapping[str, tuple[Value, ...]], space: Space) -> list[dict[str, Any]]:
    own = [
        {"type": "IN", "child": child, "parent": parent,
         "values": [value for value in values if value in space.static[parent].values]}
        for parent, values in when.items()
    ]  # fmt: skip
    return own if len(own) < 2 else [{"type": "AND", "child": child, "conditions": own}]
