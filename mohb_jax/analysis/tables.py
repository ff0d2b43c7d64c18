"""The tables of results: one plain column per number, and JSON for programs."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.effects import Effect
from mohb_jax.analysis.failures import Failures
from mohb_jax.analysis.ranks import Ranking
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.analysis.scaled import Scaled
from mohb_jax.analysis.statistics import SPREAD, Row
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import true_front

TRUE_FRONT = "true front"
"""Stands in the method column of ``front.csv`` where the table's own front is listed."""


def json_text(value: Any) -> str:
    """JSON with sorted keys and without NaN, so that equal values give equal files."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def plain_json(value: Any) -> Any:
    """The value as a JSON file gives it back: lists for tuples."""
    return json.loads(json.dumps(value))


def summary_row(row: Row) -> Row:
    """A row of ``summary.json`` with one plain column per number."""
    flat: Row = {}
    for key, value in row.items():
        if key in SPREAD:
            low, high = value["ci95"] or (None, None)
            flat |= {f"{key}_mean": value["mean"], f"{key}_median": value["median"]}
            flat |= {f"{key}_low": low, f"{key}_high": high}
        elif key == "difference":
            low, high = (value and value["ci95"]) or (None, None)
            flat |= {
                "difference_mean": value and value["mean"],
                "difference_low": low,
                "difference_high": high,
            }
        else:
            flat[key] = value
    return flat


def rank_rows(found: Ranking) -> list[Row]:
    """One row per method."""
    ends = found.ci95 or ((None, None),) * len(found.methods)
    return [
        {"method": method, "average_rank": rank, "low": low, "high": high}
        for method, rank, (low, high) in zip(found.methods, found.average_ranks, ends, strict=True)
    ]


def scaled_rows(found: Scaled | None, failed: Failures) -> list[Row]:
    """A row for each task and method: scaled performance, null where there is none, and failures."""
    own = {} if found is None else dict(zip(found.tasks, found.values, strict=True))
    nothing = (None,) * len(failed.methods)
    return [
        {"task": task, "method": method, "scaled": value, "failed": count, "runs": failed.runs}
        for task, counts in zip(failed.tasks, failed.failed, strict=True)
        for method, value, count in zip(failed.methods, own.get(task, nothing), counts, strict=True)
    ]


def effect_row(effect: Effect) -> Row:
    """An effect with one plain column per number."""
    low, high = effect.ci95 or (None, None)
    effect_low, effect_high = effect.effect_ci95 or (None, None)
    return {
        "settings": " x ".join(effect.settings),
        "levels": " x ".join(effect.levels),
        "mean": effect.mean,
        "low": low,
        "high": high,
        "effect": effect.effect,
        "effect_low": effect_low,
        "effect_high": effect_high,
        "num_blocks": effect.num_blocks,
    }


def curve_frame(cells: Sequence[Cell], credit: str) -> pl.DataFrame:
    """Hypervolume and share of the true front found at each grid time of each benchmark, task and method."""
    return pl.concat([_cell_curves(cell, credit) for cell in cells])


def _cell_curves(cell: Cell, credit: str) -> pl.DataFrame:
    low, middle, high = np.quantile(cell.hypervolume, [0.25, 0.5, 0.75], axis=0)
    names = {"benchmark": cell.benchmark, "task": cell.task, "method": cell.method, "credit": credit}
    columns = {
        "simulated_seconds": cell.grid,
        "hypervolume_mean": cell.hypervolume.mean(axis=0),
        "hypervolume_q25": low,
        "hypervolume_median": middle,
        "hypervolume_q75": high,
        "front_found_mean": cell.front_found.mean(axis=0),
    }
    return pl.DataFrame(columns).select(
        [*(pl.lit(value).alias(key) for key, value in names.items()), pl.all()]
    )


def front_frame(study: FinishedStudy, cells: Sequence[Cell]) -> pl.DataFrame:
    """Points of the true fronts and of each method's median run: row, published objectives, configuration."""
    frames = []
    for name, table in study.tables.items():
        own = [cell for cell in cells if cell.benchmark == name]
        for task in dict.fromkeys(cell.task for cell in own):
            index = table.task_index(task)
            frames.append(_front(name, table, index, TRUE_FRONT, None, true_front(table, index)))
            for cell in own:
                if cell.task == task:
                    frames.append(
                        _front(name, table, index, cell.method, cell.typical_run, cell.typical_front)
                    )
    whole = pl.concat(frames, how="diagonal")
    return whole.insert_column(3, pl.lit(study.credit).alias("credit"))


def _front(
    name: str, table: ResultTable, task: int, method: str, run: int | None, rows: np.ndarray
) -> pl.DataFrame:
    """One front; the configuration is a JSON object because benchmarks differ in their columns."""
    values = table.to_values(table.costs_of(task, rows))
    place, fidelity = table.place(rows)
    columns: dict[str, Any] = {
        "benchmark": [name] * len(rows),
        "task": [table.tasks[task]] * len(rows),
        "method": [method] * len(rows),
        "run": pl.Series([run] * len(rows), dtype=pl.Int64),
        "row": pl.Series(place, dtype=pl.Int64),
        "fidelity": pl.Series(fidelity, dtype=pl.Float64, strict=False),
    }
    for index, objective in enumerate(table.objectives):
        columns[f"objective:{objective.name}"] = values[:, index]
    columns["configuration"] = pl.Series(
        [json.dumps(table.config(int(row)), ensure_ascii=False) for row in rows], dtype=pl.String
    )
    return pl.DataFrame(columns)
