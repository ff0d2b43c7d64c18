"""How often intervals of small studies hold the mean that they are about: 95 of 100 times, if they are right.

    python -m scripts.coverage [--studies 200]

Every study is made with a root seed of its own, so with draws of the prior of its own, on the same tables and
networks. What an interval should hold is the mean over all studies. The table that it prints stands in
docs/validity.md. Methods without a prior come first and take minutes; those with one take longer.
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.credit import counted

from mohb_jax import benchmarks, learn_prior, simulate
from mohb_jax.analysis.curves import benchmark_cells
from mohb_jax.analysis.statistics import intervals
from mohb_jax.store import Unit

BENCHMARK, TASKS = "embedded", ("digits", "breast-cancer")
REFERENCE, METHODS = "mo-hb", ("random", "mo-hb+prior", "random+prior")
SEEDS = (10, 20, 50, 100)
TOGETHER = 20
"""Studies that are measured in one go."""


class Covered(NamedTuple):
    """How many intervals held the truth."""

    share: float
    low: float
    """Ends of Wilson's 95 % interval of the share."""
    high: float
    ratio: float
    """Deviation of the studies' means over what independent runs would show."""


def covered(values: Float[np.ndarray, "studies runs"]) -> Covered:
    """Coverage of the intervals of studies, of the mean over all of them.

    Args:
        values: one number per run; two studies or more, of two runs or more.
    """
    truth, num_runs = values.mean(), values.shape[1]
    ends = np.array([intervals(study[None])[0] for study in values])
    held = int(((ends[:, 0] <= truth) & (truth <= ends[:, 1])).sum())
    low, high = scipy.stats.binomtest(held, len(values)).proportion_ci(method="wilson")
    alone = np.sqrt((values.var(axis=1, ddof=1) / num_runs).mean())
    ratio = values.mean(axis=1).std(ddof=1) / alone if alone else 1.0
    return Covered(held / len(values), float(low), float(high), float(ratio))


def finals(table: AnyTable, method: str, num_studies: int, prior: Any) -> Float[np.ndarray, "studies runs"]:
    """Final hypervolume of each run of repeated studies, its mean over the tasks."""
    parts = []
    for first in range(0, num_studies, TOGETHER):
        seeds = range(first, min(first + TOGETHER, num_studies))
        units = [_unit(table, method, seed, prior) for seed in seeds]
        view = counted(table.select(tasks=TASKS), "full")
        cells = benchmark_cells(table.name, view, units, (method,))
        values = np.mean([cell.final["hypervolume"] for cell in cells], axis=0)
        parts.append(values.reshape(len(seeds), max(SEEDS)))
    return np.concatenate(parts)


def _unit(table: AnyTable, method: str, seed: int, prior: Any) -> Unit:
    """A study of one method, its runs numbered apart from those of the others."""
    num_seeds = max(SEEDS)
    log = simulate(table, method, num_seeds=num_seeds, seed=seed, tasks=TASKS, prior=prior)
    place = np.zeros(table.num_tasks, np.int32)
    place[[table.task_index(task) for task in TASKS]] = np.arange(len(TASKS))
    first = seed * num_seeds
    spec: dict[str, Any] = {"benchmark": table.name, "method": method, "settings": {}, "tasks": list(TASKS)}
    spec |= {"objectives": [objective.name for objective in table.objectives], "first_run": first}
    spec |= {"num_seeds": num_seeds, "highest_fidelity": table.num_fidelities - 1}
    return Unit(spec, log._replace(task=place[log.task], run=log.run + first))


def lines(num_studies: int) -> Iterator[str]:
    """The table, row by row."""
    table = benchmarks.load(BENCHMARK)
    prior = learn_prior(table)
    yield "| of | seeds | coverage | its interval | deviation of means |"
    yield "|---|---|---|---|---|"
    reference = finals(table, REFERENCE, num_studies, prior)
    yield from _rows(REFERENCE, reference)
    for method in METHODS:
        values = finals(table, method, num_studies, prior)
        yield from _rows(method, values)
        yield from _rows(f"{method} minus {REFERENCE}", values - reference)


def _rows(name: str, values: Float[np.ndarray, "studies runs"]) -> Iterator[str]:
    for num_seeds in SEEDS:
        found = covered(values[:, :num_seeds])
        held = f"{100 * found.share:.1f} % | {100 * found.low:.1f} to {100 * found.high:.1f} %"
        yield f"| {name} | {num_seeds} | {held} | {found.ratio:.2f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="repeated studies, two or more")
    chosen = parser.parse_args()
    if chosen.studies < 2:
        parser.error(f"--studies is {chosen.studies}: it takes two or more")
    for line in lines(chosen.studies):
        print(line, flush=True)
