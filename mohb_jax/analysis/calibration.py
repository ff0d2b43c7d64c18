"""How well models knew how far off they were: what the study runner measured, averaged."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from mohb_jax.analysis.columns import framed
from mohb_jax.calibration import LEVELS, CalibrationRow

KNOWS_NOTHING = 1.42
"""Negative log-likelihood (nats) of standard normal values under a standard normal prediction."""


class Spread(NamedTuple):
    """A number over held-out tasks."""

    mean: float
    least: float
    greatest: float


class Aggregate(NamedTuple):
    """One model on one objective of a benchmark, over all held-out tasks."""

    benchmark: str
    objective: str
    model: str
    num_tasks: int
    num_values: int
    """Over all tasks."""
    coverage: tuple[Spread, ...]
    """In the order of ``LEVELS``."""
    negative_log_likelihood: Spread


def aggregates(rows: Sequence[CalibrationRow]) -> list[Aggregate]:
    """Mean, least and greatest over tasks for each benchmark, objective and model, in the rows' order."""
    groups: dict[tuple[str, str, str], list[CalibrationRow]] = {}
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        for row in rows:
            if row.benchmark == benchmark:
                groups.setdefault((row.benchmark, row.objective, row.model), []).append(row)
    objectives = list(dict.fromkeys(key[:2] for key in groups))
    ordered = sorted(groups, key=lambda key: objectives.index(key[:2]))
    return [_aggregate(groups[key]) for key in ordered]


def _aggregate(group: Sequence[CalibrationRow]) -> Aggregate:
    first = group[0]
    return Aggregate(
        benchmark=first.benchmark,
        objective=first.objective,
        model=first.model,
        num_tasks=len({row.task for row in group}),
        num_values=sum(row.num_values for row in group),
        coverage=tuple(_spread([row.coverage[level] for row in group]) for level in LEVELS),  # type: ignore[index]
        negative_log_likelihood=_spread([row.negative_log_likelihood for row in group]),
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), min(values), max(values))


def calibration_rows(rows: Sequence[CalibrationRow]) -> list[dict[str, Any]]:
    """The rows as ``summary.json`` holds them."""
    return [row.model_dump() for row in rows]


def calibration_frame(rows: Sequence[CalibrationRow]) -> pl.DataFrame:
    """The rows with one plain column per number."""
    flat = []
    for row in calibration_rows(rows):
        coverage = row.pop("coverage")
        values, score = row.pop("num_values"), row.pop("negative_log_likelihood")
        shares = {f"coverage_{level}": coverage[level] for level in LEVELS}
        flat.append(row | shares | {"negative_log_likelihood": score, "num_values": values})
    return framed("calibration", flat)
