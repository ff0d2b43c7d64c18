"""Runs of a finished study as libraries of models: what each had trained in full when time was over.

A model is a configuration; where a run trained it on several instance types, it is served on the cheapest of
them. Earlier checkpoints are no models, for nobody recorded what they predict.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.analysis import Analysis
from mohb_jax.analysis.credit import is_result
from mohb_jax.analysis.lanes import horizons, log_arrays
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.hardware import instances
from mohb_jax.benchmarks.sources.embedded_predictions import Predictions, load_predictions, model_costs
from mohb_jax.errors import InputError
from mohb_jax.store import AnyUnit

BENCHMARK = "embedded"
"""The one benchmark whose networks' predictions are stored."""
Cost = Literal["usd", "seconds", "parameters", "memory"]
COSTS: tuple[Cost, ...] = get_args(Cost)
UNITS: dict[Cost, str] = {
    "usd": "USD per million examples",
    "seconds": "seconds per example",
    "parameters": "parameters",
    "memory": "bytes",
}


class TaskLibraries(NamedTuple):
    """Libraries of all runs of a study on one task, ``[runs, configs]``.

    Attributes:
        predictions: of all configurations.
        method: of each run, an index into the study's methods.
        run: index of each run; equal ones of two methods share their random numbers.
        allowed: what the run had trained in full, and that did not leave the finite numbers.
        cost: of each configuration where the run trained it; infinite elsewhere.
        least_cost: of each configuration on the instance type where it is cheapest: ``[configs]``.
        seconds: of the study on this task, simulated.
    """

    predictions: Predictions
    method: Int[np.ndarray, " runs"]
    run: Int[np.ndarray, " runs"]
    allowed: Bool[np.ndarray, "runs configs"]
    cost: Float[np.ndarray, "runs configs"]
    least_cost: Float[np.ndarray, " configs"]
    seconds: float


def costs_of(task: str, kind: Cost) -> Float[np.ndarray, "configs instances"]:
    """What each configuration costs on each instance type; the same on all where hardware does not matter."""
    own = getattr(model_costs(task), kind)
    return np.asarray(own if own.ndim == 2 else np.repeat(own[:, None], len(instances()), axis=1))


def libraries_of(analysis: Analysis, cost: Cost = "usd") -> list[TaskLibraries]:
    """Libraries of each task that has a finished run, in the table's order.

    Args:
        analysis: of a study, with results at the highest fidelity counting.
        cost: of a model, see ``model_costs``.

    Raises:
        InputError: the study has no run on networks whose predictions are stored.
    """
    study = analysis.study
    table = study.stored.get(BENCHMARK)
    if table is None:
        raise InputError(
            f"no predictions are stored for {', '.join(study.stored)}: ensembles are made of studies on "
            f"{BENCHMARK}"
        )
    _check(table)
    units = [unit for unit in study.units if unit.spec["benchmark"] == BENCHMARK]
    ends = horizons(study.tables[BENCHMARK], units, analysis.lanes(BENCHMARK))
    predictions = load_predictions()
    return [
        _of_task(table, units, study.methods, predictions[name], costs_of(name, cost), ends[index])
        for index, name in enumerate(table.tasks)
        if index in ends
    ]


def _check(table: AnyTable) -> None:
    """The table is the one whose networks were recorded, with all their training."""
    predictions = load_predictions()
    num_configs = next(iter(predictions.values())).finite.size
    known = set(table.tasks) <= predictions.keys() and table.num_rows == num_configs * len(instances())
    if not known:
        raise InputError(
            f"no predictions are stored for this table: it is called {BENCHMARK} and is another one"
        )


def _of_task(
    table: AnyTable,
    units: Sequence[AnyUnit],
    methods: Sequence[str],
    predictions: Predictions,
    costs: Float[np.ndarray, "configs instances"],
    end: float,
) -> TaskLibraries:
    parts = [_of_unit(table, unit, predictions.task, costs, end) for unit in units]
    method = [
        np.full(len(run), methods.index(unit.spec["method"]))
        for unit, (run, _) in zip(units, parts, strict=True)
    ]
    run, cost = (np.concatenate(part) for part in zip(*parts, strict=True))
    every = np.concatenate(method)
    order = np.lexsort((run, every))
    order = order[np.append(True, (np.diff(every[order]) != 0) | (np.diff(run[order]) != 0))]
    return TaskLibraries(
        predictions=predictions,
        method=every[order],
        run=run[order],
        allowed=np.isfinite(cost[order]) & predictions.finite,
        cost=cost[order],
        least_cost=costs.min(axis=1),
        seconds=end,
    )


def _of_unit(
    table: AnyTable, unit: AnyUnit, task: str, costs: Float[np.ndarray, "configs instances"], end: float
) -> tuple[Int[np.ndarray, " runs"], Float[np.ndarray, "runs configs"]]:
    """Runs of a unit on a task, and what each configuration costs that they trained in full."""
    log, highest = log_arrays(unit), unit.spec["highest_fidelity"]
    if highest != table.num_fidelities - 1:
        raise InputError(
            f"no predictions are stored for method {unit.spec['method']!r}: it trains for "
            f"{table.fidelities[highest]} {table.fidelity_name}, those stored for {table.fidelities[-1]}"
        )
    own = np.asarray(unit.spec["tasks"])[log.task] == task
    lane, slot = np.nonzero(is_result(log, highest) & (log.end <= end) & own[:, None])
    place = np.cumsum(own) - 1
    found = np.full((int(own.sum()), costs.shape[0]), np.inf)
    config, instance = np.divmod(log.row[lane, slot], costs.shape[1])
    np.minimum.at(found, (place[lane], config), costs[config, instance])
    return np.asarray(log.run, np.int64)[own], found
