"""Tables made by formula, whose true Pareto front is known by construction.

A row has a position, one of a few points of the unit simplex, and three more columns in [0, 1]. Its cost is
the position plus, in every objective, its squared distance from the task's optimum in those columns. Rows at
distance 0, one for each position, are the front; any other row is dominated by the front row of its own
position. At lower fidelities costs are mixed with noise of their own mean and spread.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from mohb_jax.benchmarks.benchmark import Benchmark, on_every_instance
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError

NUM_DISTANCE_COLUMNS = 3


def synthetic(
    num_rows: int = 2000,
    num_tasks: int = 1,
    fidelities: Sequence[int] = (1, 3, 9, 27, 81),
    num_objectives: int = 2,
    seed: int = 0,
    *,
    num_front: int = 20,
    correlation: float | int = 0.8,
    resumable: bool = True,
    name: str = "synthetic",
) -> Table:
    """A smooth random problem over several related tasks; see ``synthetic_with_fronts``."""
    return synthetic_with_fronts(
        num_rows,
        num_tasks,
        fidelities,
        num_objectives,
        seed,
        num_front=num_front,
        correlation=correlation,
        resumable=resumable,
        name=name,
    )[0]


def synthetic_with_fronts(
    num_rows: int = 2000,
    num_tasks: int = 1,
    fidelities: Sequence[int] = (1, 3, 9, 27, 81),
    num_objectives: int = 2,
    seed: int = 0,
    *,
    num_front: int = 20,
    correlation: float | int = 0.8,
    resumable: bool = True,
    name: str = "synthetic",
) -> tuple[Table, tuple[Int[np.ndarray, " front"], ...]]:
    """A table and, for each task, the rows of its true front.

    See the module for what the problem is.

    Args:
        num_rows: N, at least ``num_front * num_tasks``; with fewer rows the front shrinks.
        num_tasks: tasks share rows and positions and differ in the optimum.
        fidelities: increasing; runtime is proportional to them.
        num_objectives: M >= 1; with one objective the front is a single row.
        seed: everything follows from it.
        num_front: rows on each front.
        correlation: between costs at the lowest and at the highest fidelity, in [0, 1]; it rises to 1 with
            the logarithm of the fidelity.
        resumable: see ``Table``.
        name: of the table.

    Returns:
        The table; row indices of the true front per task, increasing.
    """
    num_front = _front_size(num_rows, num_tasks, num_objectives, num_front, correlation)
    rng = np.random.default_rng(seed)
    position, rest, distance = _geometry(rng, num_rows, num_tasks, num_objectives, num_front)
    levels = np.asarray(fidelities, np.float64)
    table = Table(
        name=name,
        columns=_columns(num_objectives),
        configs=np.concatenate([position[:, :-1], rest], axis=1),
        tasks=tuple(f"task-{t}" for t in range(num_tasks)),
        fidelities=tuple(fidelities),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=tuple(Objective(f"objective-{m}", "min", "1") for m in range(num_objectives)),
        costs=_noisy(rng, position[None] + distance[..., None], levels, correlation),
        runtime=_runtime(rng, num_tasks, num_rows, levels),
        resumable=resumable,
        provenance=f"Synthetic: simplex plus squared distance, seed {seed}. Nothing in it was measured.",
    )
    return table, tuple(np.flatnonzero(row == 0) for row in distance)


def _geometry(
    rng: np.random.Generator, num_rows: int, num_tasks: int, num_objectives: int, num_front: int
) -> tuple[Float[np.ndarray, "rows m"], Float[np.ndarray, "rows d"], Float[np.ndarray, "tasks rows"]]:
    """Position and distance columns of each row, and its squared distance from each task's optimum."""
    position = _positions(rng, num_front, num_objectives)
    optimum = rng.uniform(0.3, 0.7, (num_tasks, NUM_DISTANCE_COLUMNS))
    place, rest = _rows(rng, num_rows, num_front, optimum)
    return position[place], rest, np.square(rest[None] - optimum[:, None]).sum(axis=-1)


def _front_size(
    num_rows: int, num_tasks: int, num_objectives: int, num_front: int, correlation: float
) -> int:
    for what, value in (
        ("num_tasks", num_tasks),
        ("num_objectives", num_objectives),
        ("num_front", num_front),
    ):
        if value < 1:
            raise InputError(f"synthetic table: {what} must be at least 1, got {value}")
    if num_rows < num_tasks:
        raise InputError(f"synthetic table: num_rows must be at least the {num_tasks} tasks, got {num_rows}")
    if not 0 <= correlation <= 1:
        raise InputError(f"synthetic table: correlation must lie in [0, 1], got {correlation}")
    return min(num_front, num_rows // num_tasks) if num_objectives > 1 else 1


def _positions(rng: np.random.Generator, num_front: int, num_objectives: int) -> Float[np.ndarray, "front m"]:
    """Distinct points of the unit simplex: equal sums, so none dominates another."""
    if num_objectives == 1:
        return np.zeros((1, 1))
    if num_objectives == 2:
        first = np.linspace(0, 1, num_front)
        return np.stack([first, 1 - first], axis=1)
    return rng.dirichlet(np.ones(num_objectives), num_front)


def _rows(
    rng: np.random.Generator, num_rows: int, num_front: int, optimum: Float[np.ndarray, "tasks d"]
) -> tuple[Int[np.ndarray, " rows"], Float[np.ndarray, "rows d"]]:
    """Position index and distance columns of each row: a front for each task and random rows, shuffled."""
    num_optimal = num_front * len(optimum)
    place = rng.integers(num_front, size=num_rows)
    place[:num_optimal] = np.tile(np.arange(num_front), len(optimum))
    rest = rng.uniform(0, 1, (num_rows, optimum.shape[1]))
    rest[:num_optimal] = np.repeat(optimum, num_front, axis=0)
    order = rng.permutation(num_rows)
    return place[order], rest[order]


def _columns(num_objectives: int) -> tuple[Column, ...]:
    position = [Column(f"position-{m}", "continuous", "architecture") for m in range(num_objectives - 1)]
    distance = [Column(f"distance-{d}", "continuous") for d in range(NUM_DISTANCE_COLUMNS)]
    return (*position, *distance)


def _noisy(
    rng: np.random.Generator,
    final: Float[np.ndarray, "tasks rows m"],
    fidelities: Float[np.ndarray, " f"],
    correlation: float | int,
) -> Float[np.ndarray, "tasks rows f m"]:
    """Costs at all fidelities: exact at the last one, correlated with it below."""
    span = np.log(fidelities[-1] / fidelities[0])
    share = np.log(fidelities / fidelities[0]) / span if span > 0 else np.ones_like(fidelities)
    rho = (correlation + (1 - correlation) * share)[:, None]
    mean, spread = final.mean(axis=1)[:, None, None], final.std(axis=1)[:, None, None]
    shape = (*final.shape[:2], len(fidelities), final.shape[2])
    noise = mean + spread * rng.standard_normal(shape)
    mixed = mean + rho * (final[:, :, None] - mean) + np.sqrt(1 - rho**2) * (noise - mean)
    mixed[:, :, -1] = final
    return mixed


def _runtime(
    rng: np.random.Generator, num_tasks: int, num_rows: int, fidelities: Float[np.ndarray, " f"]
) -> Float[np.ndarray, "tasks rows f"]:
    """Seconds proportional to the fidelity, at a speed of the row's own that varies by about a decade."""
    speed = rng.lognormal(0.0, 0.5, (num_tasks, num_rows, 1))
    return speed * fidelities


_SYNTHETIC = Benchmark(
    name="synthetic",
    summary="a formula whose Pareto front is known (nothing measured)",
    needs="nothing",
    tasks=("task-0",),
    rows=2000,
    objectives=("objective-0", "objective-1"),
    fidelities=(1, 3, 9, 27, 81),
    files=(),
    load=lambda data: synthetic(),
)
BENCHMARKS = (_SYNTHETIC, *on_every_instance(_SYNTHETIC))
