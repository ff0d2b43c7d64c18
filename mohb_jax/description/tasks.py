"""What tasks of a table are like, one number each: descriptors that any table has."""

import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.normalise import true_front
from mohb_jax.description.measures import LEAST_COMMON, rank_correlations, some_rows

Column = Float[np.ndarray, " tasks"]


def task_descriptors(table: AnyTable) -> dict[str, Column]:
    """Descriptors of each task, measured on its rows; NaN where one is not known.

    Of each task: ``rows`` that were measured; ``columns``, ``fidelities`` and ``objectives`` of the table;
    ``resumable``, 1 or 0; ``first fidelity``, its seconds as a share of those of the highest; ``spread of
    runtime``, how many times the ninth decile of full trainings is the first; ``failing``, the share of rows
    without a final result; ``front``, results on the true front; ``worth of first fidelity``, rank
    correlation of results there with final ones, mean over objectives; ``agreement of objectives``, rank
    correlation of two final ones, mean over pairs.

    Args:
        table: with all its fidelities; of one with many rows some at random are measured.
    """
    rows = some_rows(table)
    found = [_measured(table, task, rows[table.measured(task)[rows]]) for task in range(table.num_tasks)]
    same = {
        "columns": table.num_columns,
        "fidelities": table.num_fidelities,
        "objectives": table.num_objectives,
        "resumable": int(table.resumable),
    }
    whole = {name: np.full(table.num_tasks, float(value)) for name, value in same.items()}
    return whole | {name: np.array([task[name] for task in found]) for name in found[0]}


def _measured(table: AnyTable, task: int, rows: Int[np.ndarray, " rows"]) -> dict[str, float]:
    costs, runtime = table.look_up(task, rows[:, None], np.array([0, table.num_fidelities - 1]))
    final = np.isfinite(costs[:, -1]).all(axis=1)
    seconds, full = runtime[:, 0].sum(), runtime[:, -1].sum()
    least, most = np.quantile(runtime[:, -1], [0.1, 0.9]) if rows.size else (0.0, 0.0)
    return {
        "rows": float(table.measured(task).sum()),
        "first fidelity": float(seconds / full) if full > 0 else np.nan,
        "spread of runtime": float(most / least) if least > 0 else np.nan,
        "failing": 1 - _mean(final.astype(np.float64)),
        "front": float(true_front(table, task).size),
        "worth of first fidelity": _mean(rank_correlations(costs[:, 0], costs[:, -1])),
        "agreement of objectives": _agreement(costs[final, -1]),
    }


def _agreement(costs: Float[np.ndarray, "rows objectives"]) -> float:
    first, second = np.triu_indices(costs.shape[1], 1)
    if len(costs) < LEAST_COMMON or not first.size:
        return float("nan")
    return _mean(rank_correlations(costs[:, first], costs[:, second]))


def _mean(values: np.ndarray) -> float:
    """Of what is known."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
