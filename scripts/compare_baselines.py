"""Compares the speed of baselines with that of other libraries, run for run, on the same table.

    python scripts/compare_baselines.py [nsga2 ...]

Each comparison is a run of 100 evaluations on one task of `embedded`, all its objectives, at full fidelity.
The other library runs one run after another, as it is used; ours runs 256 at once. Both are measured after a
first call, which compiles or warms up; what that call takes beyond the others is printed beside it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import benchmarks
from benchmarks.interface import AnyTable
from mohb_jax import simulate
from mohb_jax.searchers.rows import prepare_rows

NUM_EVALUATIONS = 100
POPULATION = 20
NUM_OURS = 256
NUM_THEIRS = 20
REPEATS = 3
TASK = "digits"


class Comparison(NamedTuple):
    """A method of ours, and the function that makes one run of another library.

    ``theirs(table, task, seed)`` returns the costs that the run saw, one row per evaluation.
    """

    method: str
    library: str
    theirs: Callable[[AnyTable, int, int], np.ndarray]


def pymoo_nsga2(table: AnyTable, task: int, seed: int) -> np.ndarray:
    """NSGA-II of pymoo on the unit cube, one variable per column, each point answered by the nearest row.

    Levels of categorical columns are equally spaced. Operators (SBX with index 15, polynomial mutation with
    index 20) and elimination of duplicates are its own. Rows may repeat, as points differ.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    rows = prepare_rows(table, (task,))
    codes = np.asarray(rows.codes, float).T
    features, costs = codes / np.maximum(codes.max(axis=0), 1), table.final_costs(task)
    squares = np.sum(features**2, axis=1)
    seen = []

    class Nearest(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=features.shape[1], n_obj=costs.shape[1], xl=0.0, xu=1.0)

        def _evaluate(self, x: np.ndarray, out: dict, *args: object, **kwargs: object) -> None:
            row = np.argmin(squares[None] - 2 * x @ features.T, axis=1)
            seen.append(costs[row])
            out["F"] = costs[row]

    minimize(Nearest(), NSGA2(pop_size=POPULATION), ("n_eval", NUM_EVALUATIONS), seed=seed, verbose=False)
    return np.concatenate(seen)


COMPARISONS = {"nsga2": Comparison("nsga2", "pymoo", pymoo_nsga2)}


def seconds_of(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the first call, and the median of ``REPEATS`` more."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times[0], statistics.median(times[1:])


def compare(name: str, table: AnyTable) -> None:
    """Prints runs per second of both, and the ratio."""
    comparison = COMPARISONS[name]
    task = table.task_index(TASK)

    def ours() -> None:
        log = simulate(
            table, comparison.method, num_seeds=NUM_OURS, tasks=[TASK], evaluations=NUM_EVALUATIONS
        )
        assert log.valid.all()

    def theirs() -> None:
        for seed in range(NUM_THEIRS):
            assert len(comparison.theirs(table, task, seed)) == NUM_EVALUATIONS

    speeds = []
    for label, function, num_runs in (
        (f"ours ({NUM_OURS} runs at once)", ours, NUM_OURS),
        (comparison.library, theirs, NUM_THEIRS),
    ):
        first, following = seconds_of(function)
        speeds.append(num_runs / following)
        print(f"{name:14} {label:28} {speeds[-1]:10.1f} runs/s, first call {first - following:+.1f} s")
    print(f"{name:14} ratio {speeds[0] / speeds[1]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help=f"all unless given: {', '.join(COMPARISONS)}")
    table = benchmarks.load("embedded")
    for name in parser.parse_args().names or COMPARISONS:
        compare(name, table)


if __name__ == "__main__":
    main()
