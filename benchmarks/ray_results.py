"""Ray Tune's folder of results: a folder for each trial, with a record for each report."""

import csv
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mohb_jax.benchmarks.json_files import columns_of
from mohb_jax.benchmarks.records import Records, records_of

from mohb_jax.errors import InputError


def read_folder(folder: Path, wanted: Collection[str] | None) -> Records:
    """All reports of all trials below a folder; what was tuned becomes columns such as ``config/lr``.

    Args:
        folder: of an experiment, or one with several.
        wanted: the columns that are needed; None for all of them.

    Raises:
        InputError: if no trial lies there, or a file is damaged.
    """
    trials = sorted({path.parent for name in ("result.json", "progress.csv") for path in folder.rglob(name)})
    columns = columns_of([record for trial in trials for record in _reports(trial)])
    if not columns:
        hint = "Ray Tune writes result.json or progress.csv into the folder of each trial"
        raise InputError(f"{os.fspath(folder)!r} is a folder without results of Ray Tune; {hint}")
    return records_of(columns, set(columns) if wanted is None else wanted, os.fspath(folder))


def _reports(trial: Path) -> Iterator[dict[str, Any]]:
    """``result.json`` holds the configuration; beside ``progress.csv`` stands ``params.json``."""
    full = trial / "result.json"
    try:
        if full.is_file() and full.stat().st_size:
            yield from (json.loads(line) for line in full.read_text("utf-8").splitlines() if line.strip())
            return
        beside = trial / "params.json"
        config = json.loads(beside.read_text("utf-8")) if beside.is_file() else {}
        with (trial / "progress.csv").open(encoding="utf-8", newline="") as file:
            yield from (
                {"config": config} | {k: v for k, v in row.items() if k} for row in csv.DictReader(file)
            )
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"results of Ray Tune in {os.fspath(trial)!r} cannot be read: {error}") from error
