"""The transfer prior of a table: what the other tasks say about each row of a task.

Leave one task out is the only protocol there is: the prediction for a task comes from networks that learnt
from all tasks but that one.
"""

import dataclasses
import functools
import threading
import weakref
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.errors import InputError
from mohb_jax.networks import fitted_networks
from mohb_jax.precision import in_64_bits
from mohb_jax.surrogates import PORTABLE
from mohb_jax.surrogates.calibration import LEVELS, coverage, negative_log_likelihood
from mohb_jax.surrogates.prior_network import (
    FittedNetwork,
    Training,
    leave_one_out,
    predict_one,
)
from mohb_jax.surrogates.transform import quantile_transform
from mohb_jax.types import Array

MOST_TRAINING_ROWS = 100_000
"""Rows that networks learn from, all tasks together; of larger tables each task gives an equal share, drawn
at random."""
PRIOR_STREAM = 1 << 31
"""Apart from the numbers of runs, which are folded into the same root key."""

PUBLISHED = Training()

_LEARNING = threading.Lock()
"""What one thread learns, another waits for."""
_PRIORS: weakref.WeakKeyDictionary[AnyTable, dict[Any, "Prior"]] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True, eq=False)
class Prior:
    """Predicted objectives of every row in every task, each from the other tasks.

    Attributes:
        name: of the table that it was learnt on.
        tasks: of that table.
        columns: of that table: the space of configurations.
        objectives: of that table.
        mu: predicted mean, in z-space (``quantile_transform``).
        sigma: predicted deviation, positive.
        correlation: of what the objectives of one row are off by, in units of ``sigma``; None if they are
            drawn independently.
    """

    name: str
    tasks: tuple[str, ...]
    columns: tuple[Column, ...]
    objectives: tuple[Objective, ...]
    mu: Float[np.ndarray, "tasks objectives rows"]
    sigma: Float[np.ndarray, "tasks objectives rows"]
    correlation: Float[np.ndarray, "tasks objectives objectives"] | None = None

    def noise_factor(self, task: int, objectives: slice = slice(None)) -> Float[np.ndarray, "m m"]:
        """What independent normal numbers are multiplied by to be correlated as the objectives are.

        The lower Cholesky factor, in float32; the identity where objectives are independent.
        """
        if self.correlation is None:
            return np.eye(len(self.objectives[objectives]), dtype=np.float32)
        chosen = self.correlation[task, objectives, objectives]
        return np.linalg.cholesky(chosen.astype(np.float64)).astype(np.float32)

    def require_space(self, table: AnyTable) -> None:
        """``InputError`` unless the table has the columns, objectives, tasks and rows of this prior."""
        for what, own, other in (
            ("columns", self.columns, table.columns),
            ("objectives", self.objectives, table.objectives),
        ):
            if own != other:
                mine, theirs = (", ".join(entry.name for entry in part) for part in (own, other))
                raise InputError(
                    f"the prior was learnt on {self.name!r} with {what} {mine}: {table.name!r} has {theirs}"
                )
        if self.tasks != table.tasks or self.mu.shape[2] != table.num_rows:
            raise InputError(
                f"the prior was learnt on {self.name!r}, {len(self.tasks)} tasks of {self.mu.shape[2]} rows: "
                f"{table.name!r} has {table.num_tasks} of {table.num_rows}, or other names"
            )


@in_64_bits
def learn_prior(table: AnyTable, seed: int = 0, training: Training | None = None) -> Prior:
    """Fits the networks of all tasks and objectives of a table together, and predicts all its rows.

    Args:
        table: at least two tasks; every objective varies in every task.
        seed: root seed.
        training: of the networks; the published sizes and rates if None.

    Returns:
        The prior; kept for as long as the table is, so that a second call returns at once.

    Raises:
        InputError: if there is nothing to learn from.

    References:
        Salinas, Shen, Perrone, "A quantile-based approach for hyperparameter transfer learning", 2020, for
        one objective; one network per objective is our reading of Salinas et al. 2021 (docs/departures.md).
    """
    training = PUBLISHED if training is None else training
    with _LEARNING:
        kept = _PRIORS.setdefault(table, {})
        if (seed, training) not in kept:
            kept[seed, training] = _learn(table, seed, training)
        return kept[seed, training]


def _learn(table: AnyTable, seed: int, training: Training) -> Prior:
    require_other_tasks(table)
    features = unit_features(table)
    values, task, row = training_rows(table, seed)
    key = jax.random.fold_in(jax.random.key(seed), PRIOR_STREAM)
    targets, valid = leave_one_out(values, task, table.num_tasks)
    fitted = fitted_networks(key, features[row], targets, valid, training)
    shape = (table.num_tasks, table.num_objectives, table.num_rows)
    mu, sigma = (np.asarray(part).reshape(shape) for part in predict_networks(fitted, features))
    return Prior(table.name, table.tasks, table.columns, table.objectives, mu, sigma)


@functools.partial(jax.jit, compiler_options=PORTABLE)
def predict_networks(fitted: FittedNetwork, features: Array) -> tuple[Array, Array]:
    """Mean and deviation of each network of a batch at each row.

    Network by network: the activations of all at once would not fit in memory.
    """
    return jax.lax.map(lambda network: predict_one(network, features), fitted)


def require_another_task(table: AnyTable) -> None:
    """``InputError`` if the task of the table has no other to learn from."""
    if table.num_tasks < 2:
        raise InputError(
            f"benchmark {table.name!r} has the task {table.tasks[0]!r} alone: a method that transfers needs "
            "the evaluations of at least one other task"
        )


def informative(table: AnyTable) -> Bool[np.ndarray, "tasks objectives"]:
    """Where an objective has more than one value at the highest fidelity: an order to learn."""
    found = np.zeros((table.num_tasks, table.num_objectives), bool)
    for task in range(table.num_tasks):
        costs = table.final_costs(task)[table.final_available(task)]
        found[task] = costs.size > 0 and (costs != costs[0]).any(axis=0)
    return found


def require_other_tasks(table: AnyTable) -> None:
    """``InputError`` if a task of the table has no other to learn from, or an objective says nothing."""
    require_another_task(table)
    for task, m in np.argwhere(~informative(table)):
        raise InputError(
            f"objective {table.objectives[m].name!r} is constant in task {table.tasks[task]!r} of benchmark "
            f"{table.name!r}: a method that transfers cannot learn from it; leave out the task or the "
            "objective"
        )


@in_64_bits
def z_values(
    table: AnyTable, task: int
) -> tuple[Float[np.ndarray, "objectives rows"], Bool[np.ndarray, " rows"]]:
    """A task's objectives at the highest fidelity in z-space, and the rows that were measured.

    A failed row is the worst of its task; one that was never tried holds 0.
    """
    measured = table.measured(task)
    z = _transform(table.final_costs(task).T, measured)
    return np.asarray(z), measured


@jax.jit
def _transform(costs: Array, measured: Array) -> Array:
    return jax.vmap(quantile_transform, (0, None))(costs, measured)


def training_rows(
    table: AnyTable, seed: int
) -> tuple[Float[np.ndarray, "objectives n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """z-values, task and row of everything that networks learn from."""
    share = MOST_TRAINING_ROWS // table.num_tasks
    values, tasks, rows = [], [], []
    for task in range(table.num_tasks):
        z, measured = z_values(table, task)
        row = np.flatnonzero(measured)
        if row.size > share:
            row = np.sort(np.random.default_rng((seed, task)).choice(row, share, replace=False))
        values.append(z[:, row])
        tasks.append(np.full(row.size, task, np.int32))
        rows.append(row)
    return np.concatenate(values, axis=1), np.concatenate(tasks), np.concatenate(rows)


@in_64_bits
def calibration(table: AnyTable, prior: Prior, model: str = "prior network") -> list[dict[str, Any]]:
    """How well a prior predicts each held-out task: coverage of central intervals, and log-likelihood.

    A diagnosis made after the fact: it reads the values that the prior was kept from. Objectives that are
    constant in a task have no row.

    Returns:
        One row per task and objective, as ``calibration.json`` of a study holds them.
    """
    rows, varied = [], informative(table)
    for task, name in enumerate(table.tasks):
        z, measured = z_values(table, task)
        for m in np.flatnonzero(varied[task]).tolist():
            objective = table.objectives[m]
            predicted = (z[m], prior.mu[task, m].astype(np.float64), prior.sigma[task, m].astype(np.float64))
            rows.append(
                {"benchmark": table.name, "task": name, "objective": objective.name, "model": model}
                | diagnosis(*predicted, measured)
            )
    return rows


def diagnosis(
    targets: Float[np.ndarray, " n"],
    mu: Float[np.ndarray, " n"],
    sigma: Float[np.ndarray, " n"],
    valid: Bool[np.ndarray, " n"],
) -> dict[str, Any]:
    """Coverage and negative log-likelihood of normal predictions, as JSON can hold them."""
    shares = _coverage(targets, mu, sigma, valid)
    return {
        "coverage": {str(level): float(share) for level, share in zip(LEVELS, shares, strict=True)},
        "negative_log_likelihood": float(_likelihood(targets, mu, sigma, valid)),
        "num_values": int(valid.sum()),
    }


_coverage = jax.jit(functools.partial(coverage, levels=LEVELS))
_likelihood = jax.jit(negative_log_likelihood)
