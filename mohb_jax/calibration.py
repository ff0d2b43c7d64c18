"""``calibration.json`` of a study folder: how well models knew how far off they were."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from mohb_jax.errors import InputError

FILE = "calibration.json"
LEVELS = ("0.5", "0.8", "0.95")
"""Probabilities of the central intervals whose coverage was measured, as the file spells them."""
_Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class CalibrationRow(pydantic.BaseModel):
    """One model on one held-out task and objective."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    benchmark: str
    task: str
    """Held out: the fit did not see its values."""
    objective: str
    model: Literal["prior network", "gaussian process", "single network", "transfer prior"]
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
