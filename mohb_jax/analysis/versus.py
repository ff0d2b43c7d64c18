"""Two methods beside each other: on each task, and over the tasks of each benchmark."""

from collections.abc import Sequence

from mohb_jax.analysis.comparison import comparison
from mohb_jax.analysis.curves import Cell
from mohb_jax.analysis.pairs import Pair, run_pairs, task_pairs
from mohb_jax.analysis.statistics import ALL_TASKS, Row, summary_rows


def versus(cells: Sequence[Cell], first: str, second: str) -> list[Row]:
    """Rows of the table ``compare``, see ``columns``: for each benchmark that both ran on, all tasks first.

    Args:
        cells: results of a study.
        first: a method.
        second: the method that it is compared with, run by run.
    """
    found: list[Row] = []
    for benchmark in dict.fromkeys(cell.benchmark for cell in cells):
        own = [cell for cell in cells if cell.benchmark == benchmark and cell.method in (first, second)]
        tests = _tests(own, benchmark, first, second)
        rows = summary_rows(own, second)
        base = {row["task"]: row for row in rows if row["method"] == second}
        for row in rows:
            if row["method"] == first and row["difference"]:
                found.append(_row(row, base[row["task"]], tests.get(row["task"])))
    return found


def _tests(cells: Sequence[Cell], benchmark: str, first: str, second: str) -> dict[str, Pair]:
    """The test of each task, and that of all; nothing where there are too few tasks."""
    data = comparison(cells, (first, second))
    if len(data.methods) < 2:
        return {}
    across = task_pairs(data, second)
    found = {ALL_TASKS: across[0]} if across else {}
    tasks = {cell.task: f"{benchmark}/{cell.task}" for cell in cells}
    return found | {
        task: run_pairs(data, name, second)[0] for task, name in tasks.items() if name in data.tasks
    }


def _row(row: Row, base: Row, pair: Pair | None) -> Row:
    low, high = row["difference"]["ci95"] or (None, None)
    return {
        "benchmark": row["benchmark"],
        "task": row["task"],
        "first": row["method"],
        "second": base["method"],
        "num_seeds": min(row["num_seeds"], base["num_seeds"]),
        "first_hypervolume": row["hypervolume"]["mean"],
        "second_hypervolume": base["hypervolume"]["mean"],
        "difference": row["difference"]["mean"],
        "low": low,
        "high": high,
        "test": pair and pair.test,
        "effect": pair and pair.effect,
        "effect_size": pair and pair.effect_size,
        "p": pair and pair.p,
    }
