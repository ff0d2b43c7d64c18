"""Compares the speed of baselines with per-run Python of other libraries, run for run, on the same table.

    python scripts/compare_baselines.py [nsga2 ...]

Each comparison is a run of 100 evaluations on one task of `embedded`, all its objectives, at full fidelity.
The other library makes one run after another, as it is used; ours makes many at once. Ours is measured after
a first call, which compiles; what that call takes beyond the others is printed beside it.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from scipy.special import ndtr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from mohb_jax import benchmarks, simulate
from mohb_jax.searchers.ehvi import MARGIN
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.nearest_rows import prepare_rows
from mohb_jax.searchers.shortlist import PARTS, SIZE

NUM_EVALUATIONS = 100
POPULATION = 20
NUM_OURS = 2048
NUM_CANDIDATES = PARTS * SIZE
TASK = "digits"


class Comparison(NamedTuple):
    """A method of ours, and the function that makes one run of another library.

    ``theirs(table, task, seed)`` returns the costs that the run saw, one row per evaluation.
    """

    library: str
    theirs: Callable[[AnyTable, int, int], np.ndarray]
    num_theirs: int
    """Runs of the other library that are timed."""


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


def scikit_learn_ehvi(table: AnyTable, task: int, seed: int) -> np.ndarray:
    """EHVI with scikit-learn's processes and their own optimiser, one worker, as many candidates as ours."""
    rng = np.random.default_rng(seed)
    features, costs = unit_features(table), table.final_costs(task)
    rows = rng.permutation(table.num_rows)[: problem_of(table, 1).num_initial].tolist()
    while len(rows) < NUM_EVALUATIONS:
        unseen = np.setdiff1d(rng.choice(table.num_rows, NUM_CANDIDATES, replace=False), rows)
        low, high = costs[rows].min(axis=0), costs[rows].max(axis=0)
        values = (costs[rows] - low) / (high - low)
        predicted = [_prediction(features[rows], own, features[unseen]) for own in values.T]
        mean, deviation = (np.stack(side) for side in zip(*predicted, strict=True))
        rows.append(int(unseen[np.argmax(_improvement(values, 1 + MARGIN, mean, deviation))]))
    return np.asarray(costs[rows])


def _prediction(
    features: Float[np.ndarray, "n columns"],
    values: Float[np.ndarray, " n"],
    asked: Float[np.ndarray, "rows columns"],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    columns = features.shape[1]
    kernel = ConstantKernel() * Matern(np.full(columns, 0.5 * columns**0.5), nu=2.5) + WhiteKernel(1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengthscales at their bounds
        return GaussianProcessRegressor(kernel, normalize_y=True).fit(features, values).predict(asked, True)


def _improvement(
    values: Float[np.ndarray, "n 3"],
    reference: float,
    mean: Float[np.ndarray, "3 rows"],
    deviation: Float[np.ndarray, "3 rows"],
) -> Float[np.ndarray, " rows"]:
    """Expected hypervolume improvement over the cells that the front cuts the first two objectives into."""
    no_better = np.all(values[:, None] >= values[None], axis=2)
    worse = np.any(values[:, None] > values[None], axis=2)
    front = values[~np.any(no_better & worse, axis=1)]
    ends = [np.sort(np.append(front[:, i], reference)) for i in range(2)]
    first, second = (np.append(-np.inf, own[:-1]) for own in ends)
    inside = (front[:, 0, None, None] <= first[:, None]) & (front[:, 1, None, None] <= second)
    heights = np.where(inside, front[:, 2, None, None], reference).min(axis=0)
    below = [_shortfall(own[:, None], mean[i], deviation[i]) for i, own in enumerate(ends)]
    width, depth = (np.diff(own, axis=0, prepend=0) for own in below)
    levels, level = np.unique(heights, return_inverse=True)
    height = _shortfall(levels[:, None], mean[2], deviation[2])[level.reshape(heights.shape)]
    return np.einsum("ir,jr,ijr->r", width, depth, height)


def _shortfall(
    threshold: Float[np.ndarray, "k 1"],
    mean: Float[np.ndarray, " rows"],
    deviation: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, "k rows"]:
    u = (threshold - mean) / deviation
    return deviation * (np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi) + u * ndtr(u))


COMPARISONS = {
    "nsga2": Comparison("pymoo", pymoo_nsga2, 20),
    "ehvi": Comparison("scikit-learn", scikit_learn_ehvi, 1),
}


def runs_per_second(function: Callable[[], object], num_runs: int) -> float:
    began = time.perf_counter()
    function()
    return num_runs / (time.perf_counter() - began)


def compare(method: str, table: AnyTable) -> None:
    """Prints runs per second of both, and the ratio."""
    comparison = COMPARISONS[method]
    task = table.task_index(TASK)

    def ours() -> None:
        log = simulate(table, method, num_seeds=NUM_OURS, tasks=[TASK], evaluations=NUM_EVALUATIONS)
        assert log.valid.all()

    def theirs() -> None:
        for seed in range(comparison.num_theirs):
            assert len(comparison.theirs(table, task, seed)) == NUM_EVALUATIONS

    first, *rates = (runs_per_second(ours, NUM_OURS) for _ in range(3))
    compiling = NUM_OURS / first - NUM_OURS / max(rates)
    print(
        f"{method}: {max(rates):.3g} runs/s ({NUM_OURS} at once), compilation {compiling:.0f} s", flush=True
    )
    rate = runs_per_second(theirs, comparison.num_theirs)
    ratio = max(rates) / rate
    print(f"{method}: {comparison.library} {rate:.3g} runs/s, {1 / rate:.3g} s a run; ratio {ratio:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help=f"all unless given: {', '.join(COMPARISONS)}")
    table = benchmarks.load("embedded")
    for name in parser.parse_args().names or COMPARISONS:
        compare(name, table)


if __name__ == "__main__":
    main()
