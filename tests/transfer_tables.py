"""Small tables of related tasks, for what transfers between them."""

import numpy as np
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.table import Table


def related_tasks(num_rows=80, num_tasks=3, num_objectives=2, shift=0.05, seed=0, **changes):
    """Two smooth objectives that disagree, moved a little from task to task; noise-free, two fidelities."""
    rng = np.random.default_rng(seed)
    x = rng.random((num_rows, 2))
    moved = shift * rng.normal(size=(num_tasks, num_objectives, 2))
    centres = np.array([[0.2, 0.3], [0.8, 0.6], [0.5, 0.1]])[:num_objectives]
    distance = ((x[None, :, None] - centres[None, None] - moved[:, None]) ** 2).sum(axis=-1)
    costs = np.stack([distance + 1.1, distance + 1], axis=2)
    fields = {
        "name": "related",
        "columns": (Column("x", "continuous"), Column("y", "continuous")),
        "configs": x,
        "tasks": tuple(f"task-{t}" for t in range(num_tasks)),
        "fidelities": (1, 3),
        "fidelity_name": "epochs",
        "fidelity_unit": "epoch",
        "objectives": tuple(Objective(f"f{m}", "min", "1") for m in range(num_objectives)),
        "costs": costs,
        "runtime": np.tile([1.0, 3.0], (num_tasks, num_rows, 1)),
        "resumable": True,
    }
    return Table(**(fields | changes))


class Poisoned(Table):
    """A table whose first task has results that nobody may read before a run does."""

    def final_costs(self, task):
        return np.full_like(super().final_costs(task), np.nan) if task == 0 else super().final_costs(task)

    def dense(self, fidelities):
        costs, runtime = super().dense(fidelities)
        costs = costs.copy()
        costs[0] = 7.0
        return costs, runtime


def poisoned(table):
    """The same table with the first task's results out of reach."""
    return Poisoned(**{name: getattr(table, name) for name in table.__dataclass_fields__})
