"""A portfolio of rows that does well on the other tasks: transfer without a model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.errors import InputError
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import epsilon_net_order, scale_costs
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.prepared_lists import LIST_LENGTH, Lists, list_searcher
from mohb_jax.searchers.random import SUBSET, all_candidates
from mohb_jax.transfer import Prior, require_other_tasks
from mohb_jax.types import Array


@functools.cache
def zero_shot() -> Searcher:
    """Proposes the rows of a portfolio that does well on the other tasks, then random ones.

    The portfolio is built greedily: the row with the best mean rank comes next, where every task's ranks are
    cut at the best rank that the portfolio has there already. With several objectives, a row's rank is its
    position in non-dominated sorting with epsilon-net. Results are those of the highest fidelity.

    References:
        Winkelmolen, Ivkin, Bozkurt, Karnin, "Practical and sample efficient zero-shot HPO", 2020, for the
        greedy choice; ranks instead of losses as in a published library (docs/departures.md).
    """
    return list_searcher(portfolios, one_by_one=False)


def portfolios(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Lists:
    """For each task a bank of one list, the portfolio of the others."""
    del prior
    require_other_tasks(table)
    rows = _common_rows(table)
    candidates = all_candidates(table, tasks)
    if rows.size > SUBSET and table.num_objectives > 1:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SUBSET, replace=False))
    position = jnp.stack([_positions(table.final_costs(task)[rows]) for task in range(table.num_tasks)])
    others = ~np.eye(table.num_tasks, dtype=bool)[list(tasks)]
    length = min(LIST_LENGTH, rows.size)
    places = _orders(position, jnp.asarray(others), length)
    return Lists(candidates, jnp.asarray(rows[np.asarray(places)], jnp.int32)[:, None], table.num_rows)


@functools.partial(jax.jit, static_argnums=2)
def _orders(
    position: Int[Array, "tasks n"], others: Bool[Array, "chosen tasks"], length: int
) -> Int[Array, "chosen k"]:
    return jax.lax.map(lambda use: portfolio_order(position, use, length), others)


def _common_rows(table: AnyTable) -> Int[np.ndarray, " rows"]:
    """The rows that were measured in every task; all tasks must have the same."""
    masks = np.stack([table.measured(task) for task in range(table.num_tasks)])
    for name, mask in zip(table.tasks, masks, strict=True):
        if (mask != masks[0]).any():
            raise InputError(
                f"a portfolio needs the same rows in every task: benchmark {table.name!r} has "
                f"{masks[0].sum()} in {table.tasks[0]!r}, and {(mask & masks[0]).sum()} of these in {name!r}"
            )
    return np.flatnonzero(masks[0])


@jax.jit
def _positions(costs: Float[Array, "n m"]) -> Int[Array, " n"]:
    """Each row's position when all are sorted; failed rows come last."""
    n = costs.shape[0]
    order: Array
    finite = jnp.all(jnp.isfinite(costs), axis=1)
    if costs.shape[1] == 1:
        order = jnp.argsort(costs[:, 0], stable=True)
    else:
        known = jnp.where(finite[:, None], costs, 0)
        rank = pareto_rank(known, finite)
        order = epsilon_net_order(scale_costs(known, finite, "minmax"), rank, finite, n)
        order = jnp.where(jnp.arange(n) < jnp.sum(finite), order, n)
    return jnp.full(n, n, jnp.int32).at[order].set(jnp.arange(n, dtype=jnp.int32), mode="drop")


def portfolio_order(
    position: Int[Array, "tasks n"], use: Bool[Array, " tasks"], num_select: int
) -> Int[Array, " num_select"]:
    """Rows in the order in which they join the portfolio.

    Args:
        position: of each row when a task's rows are sorted.
        use: the tasks that count.
        num_select: static, at most n.

    Returns:
        Indices of rows; ties go to the lowest.
    """
    n = position.shape[1]
    order = jnp.argsort(position, axis=1)

    def ranks_among(left: Array) -> Array:
        """Ranks of the rows that are left, among themselves."""
        count = jnp.cumsum(left[order], axis=1, dtype=jnp.int32)
        return (
            jnp.zeros((position.shape[0], n), jnp.int32).at[jnp.arange(len(order))[:, None], order].set(count)
        )

    def take(carry: tuple, _: None) -> tuple:
        left, rank = carry
        high = jnp.max(jnp.where(left, rank, 0), axis=1)
        low = jnp.min(jnp.where(left, rank, n + 1), axis=1)
        # Where the portfolio cannot be improved in any task, the next row starts another one.
        rank = jnp.where(jnp.all((high <= low) | ~use), ranks_among(left), rank)
        score = jnp.sum(jnp.where(use[:, None], rank, 0), axis=0)
        pick = jnp.argmin(jnp.where(left, score, jnp.iinfo(jnp.int32).max))
        return (left.at[pick].set(False), jnp.minimum(rank, rank[:, pick, None])), pick

    start = (jnp.ones(n, bool), ranks_among(jnp.ones(n, bool)))
    return jax.lax.scan(take, start, None, length=num_select)[1].astype(jnp.int32)
