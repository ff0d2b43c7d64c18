"""You, Chung, Chowdhury 2023 (Zeus): energy that the best batch size and power limit would save, and what a
policy saves that has to find them. docs/reproduction.md says what is published and what is ours."""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mohb_jax import store
from mohb_jax.analysis.statistics import intervals
from mohb_jax.papers.paper import Paper, Reproduction, write_rows
from mohb_jax.papers.you2023_page import page_html, write_figure
from mohb_jax.recurring import (
    GPUS,
    TRAININGS,
    Policy,
    Training,
    cheapest,
    grid_search,
    load_training,
    run_policy,
    savings,
)
from mohb_jax.recurring.baselines import default
from mohb_jax.threads import map_in_threads

PUBLISHED_GPU = "v100"
PUBLISHED = {
    "librispeech": (0.82000, 0.83809, 0.57211),
    "squad": (0.93266, 0.82216, 0.72450),
    "sentiment140": (0.96616, 0.78789, 0.73579),
    "imagenet": (0.97029, 0.77485, 0.76154),
    "cifar100": (0.36792, 0.68550, 0.25323),
    "movielens-1m": (0.35003, 0.97033, 0.33405),
}
"""Energy over that of the default, by the best batch size alone, limit alone and both: heights of the bars of
a figure in the authors' documentation (energy potential on a V100)."""
LAST = 5
"""Executions at the end of which the energy is averaged, as published."""


class PotentialRow(NamedTuple):
    """Least energy over that of the default, when it is known which choice is best."""

    gpu: str
    training: str
    default_batch_size: int
    batch_size_alone: float
    limit_alone: float
    both: float
    best_batch_size: int
    best_limit: float
    published_batch_size_alone: float | None
    published_limit_alone: float | None
    published_both: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether all three are the published ones to five digits; None where none are published."""
        theirs = (self.published_batch_size_alone, self.published_limit_alone, self.published_both)
        if theirs[0] is None:
            return None
        own = (self.batch_size_alone, self.limit_alone, self.both)
        return all(
            abs(one - other) < 1e-5 for one, other in zip(own, theirs, strict=True) if other is not None
        )


class PolicyRow(NamedTuple):
    """What the policy does on a training that recurs; means over lanes, intervals over lanes."""

    gpu: str
    training: str
    recurrences: int
    saved: float
    """Percent of the default's energy, in the last executions."""
    saved_low: float | None
    saved_high: float | None
    saved_by_best: float
    """The same where the pair that is cheapest on average is known from the beginning."""
    time: float
    """Time of the last executions over that of the default."""
    saved_in_all: float
    """Percent of the default's energy, over all executions."""
    regret: float
    """Cost over all executions beyond that of the best pair, as a share of it."""
    regret_low: float | None
    regret_high: float | None
    grid_regret: float
    extra: float
    """Executions beyond the recurrences."""


def potential_row(training: Training) -> PotentialRow:
    """Of one training on a GPU."""
    base, found = default(training), savings(training)
    ratio = {name: choice.joules / base.joules for name, choice in found.items()}
    theirs = PUBLISHED[training.name] if training.gpu == PUBLISHED_GPU else (None, None, None)
    return PotentialRow(
        gpu=training.gpu,
        training=training.name,
        default_batch_size=base.batch_size,
        batch_size_alone=ratio["batch size"],
        limit_alone=ratio["power limit"],
        both=ratio["both"],
        best_batch_size=found["both"].batch_size,
        best_limit=found["both"].limit,
        published_batch_size_alone=theirs[0],
        published_limit_alone=theirs[1],
        published_both=theirs[2],
    )


def policy_row(training: Training, lanes: int) -> PolicyRow:
    """Of one training on a GPU."""
    policy = Policy()
    found = run_policy(training, lanes, policy=policy)
    ran, joules, seconds = (np.asarray(part) for part in (found.ran, found.joules, found.seconds))
    recurrences = 2 * training.seconds.size
    base, best = default(training), cheapest(training, policy.weight)

    def cost_of(own: Any) -> Float[np.ndarray, "..."]:
        return np.asarray(policy.weight * own.joules + (1 - policy.weight) * training.max_watts * own.seconds)

    least = recurrences * cost_of(best)
    regret = np.where(ran, found.cost, 0.0).sum(axis=1) / least - 1
    grid = grid_search(training, lanes, recurrences, policy.weight)
    grid_regret = cost_of(grid).sum(axis=1) / least - 1
    saved = 100 * (1 - _last(joules, ran) / base.joules)
    ends, regret_ends = _ends(saved), _ends(regret)
    return PolicyRow(
        gpu=training.gpu,
        training=training.name,
        recurrences=recurrences,
        saved=float(saved.mean()),
        saved_low=ends[0],
        saved_high=ends[1],
        saved_by_best=100 * (1 - best.joules / base.joules),
        time=float(_last(seconds, ran).mean() / base.seconds),
        saved_in_all=float(100 * (1 - joules.sum(axis=1).mean() / (recurrences * base.joules))),
        regret=float(regret.mean()),
        regret_low=regret_ends[0],
        regret_high=regret_ends[1],
        grid_regret=float(grid_regret.mean()),
        extra=float(ran.sum(axis=1).mean() - recurrences),
    )


def _last(values: Float[np.ndarray, "lanes steps"], ran: np.ndarray) -> Float[np.ndarray, " lanes"]:
    """Mean of the last executions of each lane."""
    places = [np.flatnonzero(own)[-LAST:] for own in ran]
    return np.array([own[place].mean() for own, place in zip(values, places, strict=True)])


def _ends(values: Float[np.ndarray, " lanes"]) -> tuple[float | None, float | None]:
    if values.size < 2:
        return None, None
    low, high = intervals(values[None])[0].tolist()
    return low, high


def write_savings(reproduction: Reproduction) -> Path:
    """Runs the policy on all GPUs and writes tables, figure and page; returns the page's path."""
    pairs = [
        load_training(name, gpu, reproduction.data) for gpu, name in itertools.product(_gpus(), TRAININGS)
    ]
    potential = [potential_row(training) for training in pairs]
    policy = map_in_threads(lambda training: policy_row(training, reproduction.seeds), pairs)
    out = reproduction.claims
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[Any]] = {"potential": potential, "policy": policy}
    for stem, rows in tables.items():
        write_rows(out / f"{stem}.csv", rows)
    results = {stem: [row._asdict() for row in rows] for stem, rows in tables.items()}
    store.write_json(out / "results.json", reproduction.about | results)
    figures = write_figure(potential, policy, out / "figures")
    page = out / "index.html"
    page.write_text(page_html(reproduction, potential, policy, figures), encoding="utf-8")
    return page


def _gpus() -> tuple[str, ...]:
    """All GPUs, that of the published figures first."""
    return (PUBLISHED_GPU, *(gpu for gpu in GPUS if gpu != PUBLISHED_GPU))


PAPER = Paper(
    name="you2023",
    title="You, Chung, Chowdhury: Zeus: understanding and optimizing GPU energy consumption of DNN training, "
    "NSDI 2023",
    benchmarks=(),
    study=None,
    write=write_savings,
    seeds=100,
    needs="the traces of zeus",
)
