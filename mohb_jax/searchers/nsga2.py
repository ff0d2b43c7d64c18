"""NSGA-II: parents and children compete by front, then by crowding distance."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.crowding import crowding_order
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.genetic_operators import crossed, mutated, nearest_or_random, on_levels
from mohb_jax.searchers.nearest_rows import Rows, prepare_rows
from mohb_jax.searchers.population import Population, nobody
from mohb_jax.searchers.seen_rows import Pool, new_pool
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key


class Breeding(NamedTuple):
    """What lanes of NSGA-II know: the table's rows, and costs that nothing has."""

    rows: Rows
    infinite: Float[Array, " m"]


class Generation(NamedTuple):
    """A lane of NSGA-II."""

    pool: Pool
    key: Key
    members: Population
    """Best first: by front, then by crowding distance."""


@functools.cache
def nsga2(population: int = 20) -> Searcher:
    """NSGA-II: generations of as many children as there are members, all at full fidelity.

    The first generation is random. Parents win binary tournaments by front, then crowding distance; pairs of
    them cross (SBX, index 20, probability 0.9), and children are mutated (polynomial, index 20, probability
    1/columns). Categorical columns have uniform crossover and get random levels. A child is the unseen row
    nearest to its point. The best of members and children by front, then crowding distance, are the next
    members.

    Departures from the paper: tournaments are drawn with replacement; they go by the order of the last
    selection, in which ties are decided by place; nothing is evaluated twice, so children of equal parents
    are neighbours of theirs; the population is 20 (see the module). An odd last child has no sibling.

    Args:
        population: members, and children of a generation.

    References:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Breeding:
        del seed, prior
        infinite = jnp.full(table.num_objectives, jnp.inf, jnp.result_type(float))
        return Breeding(prepare_rows(table, tasks), infinite)

    def init(context: Breeding, task: Int[Array, ""], key: Key) -> Generation:
        pool = new_pool(context.rows.candidates, task, key, context.rows.num_rows)
        return Generation(pool, jax.random.fold_in(key, 1), nobody(population, context.infinite.shape[0]))

    def suggest(
        context: Breeding, task: Int[Array, ""], state: Generation, num_suggestions: int
    ) -> tuple[Generation, Array, Array]:
        carried_key, pair_key = jax.random.split(state.key)

        def children(members: Population) -> Float[Array, "k columns"]:
            return _children(context.rows, pair_key, members, num_suggestions)

        has_parents = jnp.any(state.members.stands)
        pool, row, valid = nearest_or_random(
            context.rows, task, state.pool, num_suggestions, children, state.members, has_parents
        )
        return state._replace(pool=pool, key=carried_key), row, valid

    def observe(state: Generation, seen: Seen) -> Generation:
        return state._replace(members=fittest(state.members, seen))

    return Searcher(prepare, init, suggest, observe, lanes_per_batch=512)


def _children(rows: Rows, key: Key, members: Population, num_children: int) -> Float[Array, "k columns"]:
    """Children of pairs of parents that won a tournament each: first the one of each pair, then the other,
    of which the last pair has none where the number is odd.

    All random numbers are drawn in one call, for each has its price.
    """
    sizes = np.array([4, 3 * rows.num_columns + 1, 3 * rows.num_columns, 3 * rows.num_columns])
    chance = jax.random.uniform(key, (-(-num_children // 2), sizes.sum()), jnp.float32)
    for_parents, for_cross, *for_mutations = jnp.split(chance, np.cumsum(sizes)[:-1], axis=1)
    num_members = jnp.maximum(jnp.sum(members.stands, dtype=jnp.int32), 1)
    drawn = jnp.floor(for_parents * num_members).astype(jnp.int32)
    winners = jnp.minimum(drawn[:, :2], drawn[:, 2:]).T
    pair = crossed(rows, for_cross, *rows.point(members.row)[winners])
    children = [mutated(rows, own, child) for own, child in zip(for_mutations, pair, strict=True)]
    return on_levels(rows, jnp.concatenate(children)[:num_children])


def fittest(members: Population, seen: Seen) -> Population:
    """The best of members and newcomers, as many as there are places, the best first; NSGA-II's selection.

    Args:
        members: of the last generation.
        seen: results of their children; failed ones are left out.
    """
    finite = seen.valid & jnp.all(jnp.isfinite(seen.costs), axis=1)
    row = jnp.concatenate([members.row, seen.row.astype(jnp.int32)])
    costs = jnp.concatenate([members.costs, seen.costs])
    stands = jnp.concatenate([members.stands, finite])
    places = members.row.shape[0]
    best = crowding_order(costs, stands, num_ranked=places)[:places]
    return Population(row[best], costs[best], stands[best])
