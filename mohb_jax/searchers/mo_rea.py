"""Multi-objective regularised evolution: a ring of the last results, of which the oldest leaves."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels import promotion
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.genetic_operators import different_point, nearest_or_random
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.nearest_rows import Rows, prepare_rows
from mohb_jax.searchers.population import Population, nobody
from mohb_jax.searchers.seen_rows import Pool, new_pool
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

SAMPLE = 10
"""Members of which the best becomes a parent; half of a population below 20."""


class Ring(NamedTuple):
    """A lane of regularised evolution."""

    pool: Pool
    key: Key
    members: Population
    num_entered: Int[jax.Array, ""]
    """Results that have entered; the k-th stands at k modulo the population, in place of the oldest."""


@functools.cache
def mo_rea(
    num_objectives: int, population: int = 20, scale: str = "minmax", seed_objective: int = 0
) -> Policy:
    """Multi-objective regularised evolution: the oldest member leaves, whatever it is worth.

    Until ``population`` results are in, rows are random. Then each free worker gets a child of the best of
    ``SAMPLE`` members (half of a smaller population than twice that), drawn with replacement: one column,
    drawn uniformly, takes a random other value, and the unseen row nearest to that is evaluated. The k-th
    result to come in enters the ring as the k-th, in place of the oldest. Members are compared by
    non-dominated sorting with epsilon-net, over all members.

    Departures from the published code (Syne Tune 0.16): it takes the sorted order for each member's priority,
    and ranks for an order, so that a random member wins (tests show an example); failed evaluations do not
    enter; columns with one level are not drawn; the member about to be dropped is no longer compared.

    Args:
        num_objectives: any.
        population: of the ring; published is 100.
        scale: on which the net measures distances.
        seed_objective: whose best member opens each front of the net.

    References:
        Real et al., "Regularized evolution for image classifier architecture search", 2019; Syne Tune 0.16,
        ``MultiObjectiveRegularizedEvolution`` (sample 10).
    """
    compare = promotion.epsilon_net(scale, seed_objective)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Rows:
        del seed, prior
        return prepare_rows(table, tasks)

    def init(context: Rows, task: Int[Array, ""], key: Key) -> Ring:
        pool = new_pool(context.candidates, task, key, context.num_rows)
        return Ring(pool, jax.random.fold_in(key, 1), nobody(population, num_objectives), jnp.int32(0))

    def propose(context: Rows, task: Int[Array, ""], state: Ring, moment: Moment) -> tuple[Ring, Job]:
        key = jax.random.fold_in(state.key, moment.num_launched)
        sample_key, net_key, child_key = jax.random.split(key, 3)

        def child(members: Population) -> Float[Array, "1 columns"]:
            order = compare(net_key, members.costs, members.stands, population)
            parent = context.point(members.row[best_of_sample(sample_key, order)])
            return one_column_changed(context, child_key, parent)[None]

        is_full = state.num_entered >= population
        pool, row, found = nearest_or_random(context, task, state.pool, 1, child, state.members, is_full)
        job = Job(row[0], jnp.int32(0), jnp.int32(-1), found[0])
        return tree_where(found[0], state._replace(pool=pool), state), job

    def observe(context: Rows, task: Int[Array, ""], state: Ring, result: Result) -> Ring:
        del context, task
        return entered(state, result)

    return Policy(prepare, init, propose, observe)


def best_of_sample(key: Key, order: Int[Array, " places"]) -> Int[Array, ""]:
    """The first in an order of all members among some that are drawn with replacement.

    As places are equally likely, so are positions in the order: the least of random positions is drawn.
    """
    places = order.shape[0]
    position = jax.random.randint(key, (min(SAMPLE, max(1, places // 2)),), 0, places)
    return order[jnp.min(position)]


def one_column_changed(rows: Rows, key: Key, point: Float[Array, " columns"]) -> Float[Array, " columns"]:
    """The point with a random other value in one column, of those that have more than one."""
    column_key, value_key = jax.random.split(key)
    may_change = jnp.array([num_levels != 1 for num_levels in rows.num_levels])
    chance = jnp.where(may_change, jax.random.uniform(column_key, (rows.num_columns,)), -1)
    is_changed = jnp.arange(rows.num_columns) == jnp.argmax(chance)
    return jnp.where(is_changed, different_point(rows, value_key, point), point)


def entered(state: Ring, result: Result) -> Ring:
    """The ring after a result; a failed one leaves it as it is."""
    enters = result.valid & jnp.all(jnp.isfinite(result.costs))
    members = state.members
    place = jnp.where(enters, state.num_entered % members.row.shape[0], members.row.shape[0])
    members = Population(
        members.row.at[place].set(result.row, mode="drop"),
        members.costs.at[place].set(result.costs, mode="drop"),
        members.stands.at[place].set(True, mode="drop"),
    )
    return state._replace(members=members, num_entered=state.num_entered + enters)
