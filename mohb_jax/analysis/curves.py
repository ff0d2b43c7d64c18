"""What each tuning run had reached at each moment of simulated time, by the results that count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.indicators import TaskScale, indicators, task_scale
from mohb_jax.analysis.lanes import Lanes, collect, horizons, usd_objective
from mohb_jax.analysis.results import FinishedStudy
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import non_dominated, normalisation
from mohb_jax.store import AnyUnit

NUM_GRID = 100
"""Moments of simulated time at which a curve is sampled."""


@dataclass(frozen=True)
class Cell:
    """One method on one task of one benchmark: curves and final indicators of all its runs."""

    benchmark: str
    task: str
    method: str
    runs: Int[np.ndarray, " runs"]
    """Run indices, ascending: equal indices of two methods share their random numbers."""
    horizon: float
    """Simulated seconds at which the comparison ends."""
    grid: Float[np.ndarray, " grid"]
    """Simulated seconds, logarithmically spaced; shared by all methods of the task."""
    hypervolume: Float[np.ndarray, "runs grid"]
    """Hypervolume relative to that of the true front, in [0, 1]; never falls along the grid."""
    front_found: Float[np.ndarray, "runs grid"]
    """Share of the rows of the true front that were found."""
    final: dict[str, Float[np.ndarray, " runs"]]
    """Indicators at the end, by name; ``INDICATORS``, ``used_up`` (1 where the run used the table up),
    ``failed`` (1 where it ended without a result) and, with an objective in USD, ``spent_usd``."""
    typical_run: int
    """The run whose final hypervolume is the (lower) median; ties go to the lowest run index."""
    typical_front: Int[np.ndarray, " attained"]
    """Table rows that ``typical_run`` found and that none of its other results dominates."""


INDICATORS = (
    "hypervolume",
    "front_found",
    "igd_plus",
    "additive_epsilon",
    "anytime",
    "evaluations",
    "full_evaluations",
    "simulated_seconds",
)
"""Final indicators of every cell; ``anytime`` is the mean hypervolume over the logarithmic time grid."""


def benchmark_cells(
    name: str, table: ResultTable, units: Sequence[AnyUnit], methods: Sequence[str]
) -> list[Cell]:
    """Curves and final indicators of every (task, method) of one benchmark.

    Args:
        name: the benchmark's name in the study.
        table: what of the benchmark may count, with the objectives of the study.
        units: finished work units of this benchmark; tasks and runs may be spread over them in any way.
        methods: display names in the order wanted.

    Returns:
        One cell per task and method that has a run, tasks in the table's order and methods in the given one.

    Raises:
        InputError: a unit names an unknown task, or two units with different settings claim the same run.

    References:
        Hypervolume: Zitzler and Thiele 1998; IGD+: Ishibuchi et al. 2015; additive epsilon: Zitzler et
        al. 2003.
    """
    lanes = collect(table, units, methods)
    scale = normalisation(table)
    scales = {int(task): task_scale(table, int(task), scale) for task in np.unique(lanes.task)}
    ends = horizons(table, units, lanes)
    grids = {task: time_grid(scales[task].fastest, ends[task]) for task in scales}
    volume, distance, epsilon = indicators(lanes, scales, _moments(lanes, grids))
    first_visit = _first_visit(lanes, table.num_rows)
    cells = []
    for task, method in sorted(set(zip(lanes.task.tolist(), lanes.method.tolist(), strict=True))):
        picked = np.flatnonzero((lanes.task == task) & (lanes.method == method))
        final = {"igd_plus": distance[picked], "additive_epsilon": epsilon[picked]}
        steps = _Steps(lanes, picked, volume, first_visit)
        cells.append(_cell(name, table, methods[method], task, grids[task], scales[task], steps, final))
    return cells


def _moments(lanes: Lanes, grids: dict[int, Float[np.ndarray, " grid"]]) -> Int[np.ndarray, " events"]:
    """The first point of its task's grid at which each event is seen; beyond the last one for none."""
    moment, task = np.empty(lanes.lane.size, np.int64), lanes.task[lanes.lane]
    for index, grid in grids.items():
        own = task == index
        moment[own] = np.searchsorted(grid, lanes.end[own], side="left")
    return moment


def time_grid(fastest: float, horizon: float, num_points: int = NUM_GRID) -> Float[np.ndarray, " num_points"]:
    """Logarithmic grid of simulated seconds from the fastest single evaluation to the horizon.

    Args:
        fastest: seconds of the fastest evaluation; replaced where it is not within (0, horizon).
        horizon: last point of the grid, in seconds.
        num_points: length of the grid.
    """
    horizon = horizon if horizon > 0 else 1.0
    low = fastest if 0 < fastest < horizon else horizon / 1000
    grid = np.geomspace(low, horizon, num_points)
    grid[-1] = horizon
    return grid


def step_curve(
    lane: Int[np.ndarray, " events"],
    end: Float[np.ndarray, " events"],
    value: Float[np.ndarray, " events"],
    num_lanes: int,
    grid: Float[np.ndarray, " grid"],
) -> Float[np.ndarray, "num_lanes grid"]:
    """Samples right-continuous, never falling step functions that start at 0; nothing is interpolated.

    Args:
        lane: which function an event belongs to, from 0.
        end: when the event happens; one exactly on a grid point counts there.
        value: what the function has reached from then on.
        num_lanes: how many functions there are.
        grid: increasing moments at which to sample.
    """
    slot = np.searchsorted(grid, end, side="left")
    reached = np.zeros((num_lanes, grid.size + 1))
    np.maximum.at(reached, (lane, slot), value)
    return np.maximum.accumulate(reached, axis=1)[:, :-1]


class _Steps(NamedTuple):
    """The events of one cell's lanes, lanes numbered from 0."""

    lanes: Lanes
    picked: Int[np.ndarray, " picked"]
    volume: Float[np.ndarray, " events"]
    first_visit: Bool[np.ndarray, " events"]

    def events(self) -> tuple[Int[np.ndarray, " own"], Int[np.ndarray, " own"]]:
        """Indices of the cell's events, and the lane of each counted within the cell."""
        low, high = np.searchsorted(self.lanes.lane, [self.picked[0], self.picked[-1] + 1])
        event = np.arange(low, high)
        return event, self.lanes.lane[event] - self.picked[0]


def _cell(
    name: str,
    table: ResultTable,
    method: str,
    task: int,
    grid: Float[np.ndarray, " grid"],
    scale: TaskScale,
    steps: _Steps,
    final: dict[str, np.ndarray],
) -> Cell:
    """Curves of one method on one task; ``final`` brings the indicators that are known already."""
    event, lane = steps.events()
    relative = np.clip(steps.volume[event] / scale.front_volume, 0.0, 1.0)
    curve = step_curve(lane, steps.lanes.end[event], relative, steps.picked.size, grid)
    found = _found_curve(steps, scale.front, grid)
    typical = int(np.argsort(curve[:, -1], kind="stable")[(steps.picked.size - 1) // 2])
    return Cell(
        benchmark=name,
        task=table.tasks[task],
        method=method,
        runs=steps.lanes.run[steps.picked],
        horizon=float(grid[-1]),
        grid=grid,
        hypervolume=curve,
        front_found=found,
        final=_final(table, steps, curve, found, grid) | final,
        typical_run=int(steps.lanes.run[steps.picked[typical]]),
        typical_front=_attained(scale, steps.lanes.row[event[lane == typical]]),
    )


def _final(
    table: ResultTable,
    steps: _Steps,
    curve: Float[np.ndarray, "runs grid"],
    found: Float[np.ndarray, "runs grid"],
    grid: Float[np.ndarray, " grid"],
) -> dict[str, Float[np.ndarray, " runs"]]:
    """The indicators at the end that need no distances."""
    lanes, picked = steps.lanes, steps.picked
    event, lane = steps.events()
    results = np.bincount(lane[steps.lanes.end[event] <= grid[-1]], minlength=picked.size)
    final = {
        "hypervolume": curve[:, -1],
        "front_found": found[:, -1],
        "anytime": curve.mean(axis=1),
        "used_up": lanes.used_up[picked].astype(np.float64),
        "failed": (results == 0).astype(np.float64),
        "evaluations": lanes.evaluations[picked].astype(np.float64),
        "full_evaluations": lanes.full[picked].astype(np.float64),
        "simulated_seconds": lanes.seconds[picked],
    }
    if usd_objective(table) is not None:
        final["spent_usd"] = lanes.spent[picked]
    return final


def _found_curve(
    steps: _Steps, front: Int[np.ndarray, " front"], grid: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, "runs grid"]:
    """Share of the true front's rows seen so far, each row counted at its first visit."""
    event, lane = steps.events()
    keep = np.isin(steps.lanes.row[event], front) & steps.first_visit[event]
    slot = np.searchsorted(grid, steps.lanes.end[event[keep]], side="left")
    counts = np.zeros((steps.picked.size, grid.size + 1))
    np.add.at(counts, (lane[keep], slot), 1.0)
    return np.cumsum(counts, axis=1)[:, :-1] / front.size


def _attained(scale: TaskScale, rows: Int[np.ndarray, " some"]) -> Int[np.ndarray, " kept"]:
    """The given rows that no other given one dominates, each once, ascending in the first objective."""
    rows = np.unique(rows)
    costs = scale.costs(rows)
    best = non_dominated(costs)
    kept, first = rows[best], costs[best, 0]
    return kept[np.lexsort((kept, first))]


def _first_visit(lanes: Lanes, num_rows: int) -> Bool[np.ndarray, " events"]:
    """True where an event is the first of its row in its lane."""
    key = lanes.lane.astype(np.int64) * num_rows + lanes.row
    first = np.zeros(key.size, bool)
    first[np.unique(key, return_index=True)[1]] = True
    return first


def study_cells(study: FinishedStudy) -> list[Cell]:
    """Curves and indicators of every benchmark, task and method that has a finished run."""
    return [cell for name in study.tables for cell in cells_of(study, name)]


def cells_of(study: FinishedStudy, benchmark: str) -> list[Cell]:
    """Those of one benchmark."""
    own = [unit for unit in study.units if unit.spec["benchmark"] == benchmark]
    return benchmark_cells(benchmark, study.tables[benchmark], own, study.methods)
