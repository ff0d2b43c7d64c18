"""How fast lists learnt from other tasks find good configurations, each task left out once: regret after
each of the first suggestions, on the trainings behind the embedded table. docs/reproduction.md has the table.

    python -m scripts.similar_tasks
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Objective
from mohb_jax.benchmarks.descriptors import stated
from mohb_jax.benchmarks.sources import embedded
from mohb_jax.benchmarks.table import Table

from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.meta_knn import Start, start_lists
from mohb_jax.searchers.similar_tasks import best_rows, differences, level_by_level
from mohb_jax.searchers.zero_shot import portfolios

PUBLISHED = Start(best=1, length=25, distance="l1")
SUGGESTIONS = 6
DRAWS = 2000
Regret = Float[np.ndarray, " suggestions"]


def trainings() -> Table:
    """The embedded table without hardware: 256 configurations, error after each epoch."""
    metadata, configs, mistakes = embedded.recorded()
    errors = mistakes / embedded.num_validations(metadata)[:, None, None]
    return Table(
        name="trainings",
        columns=embedded.load_embedded().columns[:-1],
        configs=configs,
        tasks=tuple(task["name"] for task in metadata["tasks"]),
        fidelities=tuple(range(1, metadata["num_epochs"] + 1)),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "fraction"),),
        costs=errors[..., None],
        runtime=embedded.base_runtime(metadata, configs),
        descriptors=embedded.task_descriptors(metadata),
    )


def regret(table: Table, lists: Sequence[Sequence[int]]) -> Regret:
    """(best so far - best) / (median - best) after each suggestion, mean over tasks."""
    found = []
    for task, rows in enumerate(lists):
        errors = table.final_costs(task)[:, 0]
        best = np.minimum.accumulate(errors[list(rows)[:SUGGESTIONS]])
        best = np.pad(best, (0, SUGGESTIONS - len(best)), mode="edge")
        found.append((best - errors.min()) / (np.median(errors) - errors.min()))
    return np.asarray(np.mean(found, axis=0))


def similar(table: Table) -> Regret:
    """Of ``meta-knn`` with one row of each task, ties to the earlier task."""
    lists = start_lists(table, tuple(range(table.num_tasks)), PUBLISHED)
    return regret(table, [rows[rows >= 0].tolist() for rows in lists])


def tied_at_random(table: Table) -> Regret:
    """The same, mean over random orders of tasks that are equally far."""
    chance, every = np.random.default_rng(0), range(table.num_tasks)
    features = np.stack(list(stated(table).values()), axis=1)
    best = np.stack([best_rows(table, task, 1) for task in every])
    apart = [differences(features, task) for task in every]
    found = []
    for _ in range(DRAWS // 2):
        order = [np.lexsort((chance.permutation(table.num_tasks), apart[task])) for task in every]
        lists = [level_by_level(best[order[task][order[task] != task]], SUGGESTIONS) for task in every]
        found.append(regret(table, lists))
    return np.asarray(np.mean(found, axis=0))


def portfolio(table: Table) -> Regret:
    """Of ``zero-shot``."""
    lists = in_64_bits(portfolios)(table, tuple(range(table.num_tasks)), 0, None).rows
    return regret(table, np.asarray(lists)[:, 0].tolist())


def at_random(table: Table) -> Regret:
    """Of random configurations."""
    chance = np.random.default_rng(0)
    drawn = [
        [chance.permutation(table.num_rows)[:SUGGESTIONS].tolist() for _ in range(table.num_tasks)]
        for _ in range(DRAWS)
    ]
    return np.asarray(np.mean([regret(table, lists) for lists in drawn], axis=0))


def main() -> None:
    """Prints the table."""
    table = trainings()
    for name, own in (
        ("meta-knn", similar),
        ("meta-knn, ties at random", tied_at_random),
        ("zero-shot", portfolio),
        ("random", at_random),
    ):
        print(f"{name:26}" + "  ".join(f"{value:.4f}" for value in own(table)))


if __name__ == "__main__":
    main()
