"""How well models knew how far off they were: what the study runner measured, read back and averaged."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import polars as pl
import pydantic

from benchmarks.errors import InputError

FILE = "calibration.json"
LEVELS = ("0.5", "0.8", "0.95")
"""Probabilities of the central intervals whose coverage was measured, as the file spells them."""
KNOWS_NOTHING = 1.42
"""Negative log-likelihood (nats) of standard normal values under a standard normal prediction."""

_Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class CalibrationRow(pydantic.BaseModel):
    """One model on one held-out task and objective."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    benchmark: str
    task: str
    """Held out: the fit did not see its values."""
    objective: str
    model: Literal["prior network", "gaussian process"]
    coverage: dict[Literal["0.5", "0.8", "0.95"], _Share]
    """Share of the task's values within the central interval of that probability."""
    negative_log_likelihood: float
    """Mean over the values, in nats, after their transform to standard normal scores."""
    num_values: int = pydantic.Field(ge=1)

    @pydantic.field_validator("coverage")
    @classmethod
    def _all_levels(cls, coverage: dict[str, float]) -> dict[str, float]:
        missing = [level for level in LEVELS if level not in coverage]
        if missing:
            raise ValueError(f"level {missing[0]} is missing: {', '.join(LEVELS)} are needed")
        return coverage


_ROWS = pydantic.TypeAdapter(tuple[CalibrationRow, ...])


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


def read_calibration(directory: Path, benchmarks: Collection[str]) -> tuple[CalibrationRow, ...]:
    """The rows of a study folder's ``calibration.json``, in its order; none where there is no such file.

    Args:
        directory: the study folder.
        benchmarks: those of the study; rows of others, which an earlier study left, are not taken.

    Raises:
        InputError: naming the file, the row (from 1) and the field at fault.
    """
    path = directory / FILE
    if not path.is_file():
        return ()
    try:
        # Through JSON, in whose strict mode a list is as good as a tuple.
        rows = _ROWS.validate_json(json.dumps(json.loads(path.read_text(encoding="utf-8"))))
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {_first_error(error)}") from error
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise InputError(f"{path}: not valid JSON ({' '.join(str(error).split())})") from error
    return tuple(row for row in rows if row.benchmark in benchmarks)


def _first_error(error: pydantic.ValidationError) -> str:
    """One line: the row, the field, its value where that is short, and what is wrong with it."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    where = f"row {int(place[0]) + 1}" if place else "the file"
    field = f", {'.'.join(place[1:])}" if place[1:] else ""
    value = f" is {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    message = first["msg"].removeprefix("Value error, ").replace("array", "list")
    return f"{where}{field}{value}: {message[0].lower()}{message[1:]}"


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
    return pl.DataFrame(flat)
