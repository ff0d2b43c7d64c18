"""How fast lists learnt from other tasks find good configurations, each task left out once: regret after
each of the first suggestions. docs/reproduction.md has the tables.

    python -m scripts.similar_tasks [lcbench | deepar]
"""

import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from mohb_jax.benchmarks.columns import Objective
from mohb_jax.benchmarks.descriptors import stated
from mohb_jax.benchmarks.sources import embedded
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers.landmarks import landmarks, start_rows
from mohb_jax.searchers.meta_knn import Start, start_lists
from mohb_jax.searchers.similar_tasks import best_rows, differences, level_by_level
from mohb_jax.searchers.zero_shot import portfolios

PUBLISHED = Start(best=1, length=25, distance="l1")
SUGGESTIONS = 6
DRAWS = 2000
Regret = Float[np.ndarray, " suggestions"]
Regrets = Float[np.ndarray, "tasks suggestions"]


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
    """See ``regrets``, mean over tasks."""
    return np.asarray(regrets(table, lists).mean(axis=0))


def regrets(table: Table, lists: Sequence[Sequence[int]]) -> Regrets:
    """(best so far - best) / (median - best) after each suggestion, of each task."""
    found = []
    for task, rows in enumerate(lists):
        errors = table.final_costs(task)[:, 0]
        known = errors[table.final_available(task)]
        best = np.minimum.accumulate(errors[list(rows)[:SUGGESTIONS]])
        best = np.pad(best, (0, SUGGESTIONS - len(best)), mode="edge")
        found.append((best - known.min()) / (np.median(known) - known.min()))
    return np.array(found)


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
    return regret(table, of_portfolios(table))


def of_portfolios(table: Table) -> list[list[int]]:
    """Lists of ``zero-shot``."""
    lists = in_64_bits(portfolios)(table, tuple(range(table.num_tasks)), 0, None).rows
    return list(np.asarray(lists)[:, 0].tolist())


@in_64_bits
def by_landmarks(table: Table) -> list[list[int]]:
    """Lists of ``meta-knn-landmarks`` without its probes, with one row of each task."""
    start, every = PUBLISHED, tuple(range(table.num_tasks))
    context = landmarks(start, False).prepare(table, every, 0, None)
    rows = jax.vmap(lambda task: start_rows(start, context, task, context.costs[task]))(
        jnp.arange(len(every))
    )
    probes = np.asarray(context.probes)
    return [
        [row for row in dict.fromkeys(own) if row >= 0 and row not in probes[task]]
        for task, own in enumerate(np.asarray(rows).tolist())
    ]


def over_tasks(values: Regrets) -> str:
    """Means with 95 % intervals, tasks drawn again."""
    drawn = np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    mean = values.mean(axis=0)
    return "  ".join(f"{m:.3f} ({a:.3f}, {b:.3f})" for m, a, b in zip(mean, low, high, strict=True))


def compare(name: str) -> None:
    """Prints what lists reach on a published table, first objective."""
    whole = benchmarks.load(name)
    assert isinstance(whole, Table)
    table = whole.select(objectives=[whole.objectives[0].name])
    found = {"meta-knn-landmarks": by_landmarks(table)}
    if table.descriptors:
        every = tuple(range(table.num_tasks))
        rows = start_lists(table, every, PUBLISHED).tolist()
        found["meta-knn"] = [[row for row in own if row >= 0] for own in rows]
    if all(table.measured(task).all() for task in range(table.num_tasks)):
        found["zero-shot"] = of_portfolios(table)
    for label, lists in found.items():
        print(f"{label:24}" + over_tasks(regrets(table, lists)))
    print(f"{'random':24}" + "  ".join(f"{value:.3f}" for value in at_random(table, DRAWS // 10)))


def at_random(table: Table, draws: int | None = None) -> Regret:
    """Of random configurations."""
    chance, there = (
        np.random.default_rng(0),
        [np.flatnonzero(table.measured(t)) for t in range(table.num_tasks)],
    )
    drawn = [[chance.permutation(own)[:SUGGESTIONS].tolist() for own in there] for _ in range(draws or DRAWS)]
    return np.asarray(np.mean([regret(table, lists) for lists in drawn], axis=0))


def main() -> None:
    """Prints a table."""
    if sys.argv[1:]:
        compare(sys.argv[1])
        return
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
