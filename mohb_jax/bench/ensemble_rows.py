"""Ensembles of many libraries, once programs are compiled."""

import time
from collections.abc import Iterator

import numpy as np

from mohb_jax.bench.row import Row
from mohb_jax.benchmarks.sources.embedded_predictions import load_predictions
from mohb_jax.ensembles.judging import WAYS, judge, scale_of
from mohb_jax.ensembles.libraries import costs_of

MODELS = 50
"""Of a library: about as many as random search trains over the default horizon."""


def ensembles(num_runs: int = 1000) -> Iterator[Row]:
    """Selection from libraries of 1,000 runs on each of the 7 tasks: by all ways, and without the slowest."""
    for name, ways in (("selection", WAYS), ("greedy", tuple(way for way in WAYS if way != "nsga2"))):
        seconds = sum(_seconds(task, num_runs, ways) for task in load_predictions())
        hold = "<= 60 s" if ways == WAYS else ""
        holds = seconds <= 60 if hold else None
        yield Row(f"ensemble-{name}", seconds, "s", "none", None, hold, holds)


def _seconds(task: str, num_runs: int, ways: tuple[str, ...]) -> float:
    """Of one task; a first call compiles."""
    predictions, costs = load_predictions()[task], costs_of(task, "usd")
    chance = np.random.default_rng(0)
    order = np.argsort(chance.random((num_runs, len(costs))), axis=1)
    allowed = (order < MODELS) & predictions.finite
    cost = np.take_along_axis(costs, chance.integers(costs.shape[1], size=(len(costs), num_runs)), axis=1).T
    scale = scale_of(predictions, costs.min(axis=1))
    judge(predictions, scale, allowed[:1], cost[:1], ways=ways)
    began = time.perf_counter()
    found = judge(predictions, scale, allowed, cost, ways=ways)
    seconds = time.perf_counter() - began
    assert all(own.found.all() for own in found.values())
    return seconds
