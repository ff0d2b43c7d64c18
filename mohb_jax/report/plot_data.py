"""What the plots of the page are drawn from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import Normalisation, normalisation, true_front
from mohb_jax.report.credits import shown_credits
from mohb_jax.report.style import crowded, duration, look, looks_of, objective_pairs, seeds_text

POINTS_ON_PAGE = 12_000
"""Points of all fronts together that the page holds with their configurations, to stay a small file."""
CURVE_VALUES_ON_PAGE = 300_000
"""Numbers of all curves together; more are thinned along the time grid."""
# Short enough to show beside a legend's marker, which hides the middle of the legend's short line.
DASHES = {"-": "solid", "--": "4px,3px", "-.": "5px,2px,1px,2px", ":": "1px,2px"}
SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "*": "star",
}


def plot_data(analysis: Analysis) -> dict[str, Any]:
    """Everything that the page's script needs."""
    study = analysis.study
    looks = [look(index) for index in looks_of(study).values()]
    return {
        "methods": [
            {
                "name": name,
                "colour": style.colour,
                "dash": DASHES[style.line],
                "symbol": SYMBOLS[style.marker],
            }
            for name, style in zip(study.methods, looks, strict=True)
        ],
        "benchmarks": [_benchmark(analysis, name) for name in study.tables],
    }


def _benchmark(analysis: Analysis, name: str) -> dict[str, Any]:
    """One benchmark under each credit that counts something else there."""
    table, shown = analysis.study.tables[name], shown_credits(analysis, name)
    return {
        "name": name,
        "objectives": [{"name": o.name, "unit": o.unit, "sense": o.sense} for o in table.objectives],
        "pairs": objective_pairs(table.num_objectives),
        "credits": [each.study.credit for each in shown],
        "columns": [[column.name for column in each.study.tables[name].columns] for each in shown],
        "panels": [_panels(each, name, len(analysis.side_by_side)) for each in shown],
    }


def _panels(analysis: Analysis, name: str, num_credits: int) -> list[dict[str, Any]]:
    study, cells = analysis.study, analysis.cells
    table, own = study.tables[name], analysis.cells_of(name)
    scale, limits = normalisation(table), point_limits(cells, num_credits)
    stride = -(-len(cells) * num_credits * 4 * own[0].grid.size // CURVE_VALUES_ON_PAGE)
    return [
        _panel(study, table, scale, [cell for cell in own if cell.task == task], limits, stride)
        for task in dict.fromkeys(cell.task for cell in own)
    ]


def point_limits(cells: Sequence[Cell], num_credits: int = 1) -> tuple[int, int]:
    """Most points of a true front and of a method's front that the page shows under each credit."""
    num_panels = len({(cell.benchmark, cell.task) for cell in cells})
    half = POINTS_ON_PAGE // 2 // num_credits
    return min(max(half // num_panels, 20), 300), min(max(half // len(cells), 10), 100)


def thinned(rows: Int[np.ndarray, " rows"], limit: int) -> Int[np.ndarray, " kept"]:
    """At most ``limit`` of the rows, evenly spread over the sequence and with both ends."""
    if rows.size <= limit:
        return rows
    return rows[np.round(np.linspace(0, rows.size - 1, limit)).astype(int)]


def _panel(
    study: FinishedStudy,
    table: ResultTable,
    scale: Normalisation,
    cells: Sequence[Cell],
    limits: tuple[int, int],
    stride: int,
) -> dict[str, Any]:
    """One task: its points with their configurations, which points form which front, and the curves."""
    task = table.task_index(cells[0].task)
    front = true_front(table, task)
    front = thinned(front[np.argsort(table.costs_of(task, front)[:, 0], kind="stable")], limits[0])
    attained = [thinned(cell.typical_front, limits[1]) for cell in cells]
    rows = np.unique(np.concatenate([front, *attained]))
    minimised = [objective.sense == "min" for objective in table.objectives]
    return {
        "task": cells[0].task,
        "horizon": cells[0].horizon,
        "horizon_text": duration(cells[0].horizon),
        "seeds": seeds_text([cell.runs.size for cell in cells]),
        "rows": table.place(rows)[0].tolist(),
        "values": _rounded(table.to_values(table.costs_of(task, rows))),
        "configs": [[_config_value(value) for value in table.config(int(row)).values()] for row in rows],
        "log": _logarithmic(scale.log[task], table.costs_of(task, rows), minimised),
        "front": np.searchsorted(rows, front).tolist(),
        "grid": _rounded(cells[0].grid[::-stride][::-1]),
        "methods": [
            {"method": study.methods.index(cell.method), "front": np.searchsorted(rows, points).tolist()}
            | _curves(cell, stride)
            for cell, points in zip(cells, attained, strict=True)
        ],
    }


def _logarithmic(
    scaled: Bool[np.ndarray, " objectives"],
    costs: Float[np.ndarray, "rows objectives"],
    minimised: Sequence[bool],
) -> list[bool]:
    """Objectives whose axis is logarithmic unless the reader wants another one."""
    return [
        smaller and (bool(log) or crowded(values))
        for log, values, smaller in zip(scaled, costs.T, minimised, strict=True)
    ]


def _curves(cell: Cell, stride: int) -> dict[str, Any]:
    """Quartiles of the hypervolume and mean share found, at every ``stride``-th grid point up to the last."""
    low, middle, high = np.quantile(cell.hypervolume[:, ::-stride][:, ::-1], [0.25, 0.5, 0.75], axis=0)
    found = cell.front_found[:, ::-stride][:, ::-1].mean(axis=0)
    return {
        key: _rounded(curve)
        for key, curve in {"low": low, "median": middle, "high": high, "found": found}.items()
    }


def _rounded(values: Float[np.ndarray, "..."]) -> Any:
    """Nested lists of numbers with six significant digits, which is more than a plot shows."""
    if values.ndim > 1:
        return [_rounded(value) for value in values]
    return [float(f"{value:.6g}") for value in values]


def _config_value(value: float | int | str) -> float | int | str:
    return float(f"{value:.6g}") if isinstance(value, float) else value
