"""Evolutionary methods: NSGA-II, SH-EMOA and multi-objective regularised evolution.

A failed evaluation never enters a population: its parents have tried in vain. Rows that no parent could make
come from the permutation of random search, so that the first ones of all methods are the same.

The papers' populations are 50 to 100. At the hundred evaluations that are studied here these would be random
search, so the default (``Settings.population``) is 20, a fifth of a hundred.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels import promotion
from mohb_jax.kernels.crowding import crowding_order
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import scale_costs
from mohb_jax.kernels.hypervolume import hypervolume_contributions
from mohb_jax.searchers.base import Job, Moment, Policy, Result, Searcher, Seen
from mohb_jax.searchers.rows import Rows, prepare_rows
from mohb_jax.searchers.unseen import Pool, new_pool
from mohb_jax.searchers.variation import (
    crossed,
    different_point,
    mutated,
    nearest_or_random,
    on_levels,
    random_point,
    some_columns,
    tree_where,
)
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

TOURNAMENT = 3
"""Distinct members of which the best becomes a parent, in SH-EMOA."""
RECOMBINATION_SHARE = 0.5
"""Children that come from two parents, in SH-EMOA; the others are mutated."""
MUTATED_SHARE = 0.5
"""Columns that a mutation of SH-EMOA draws anew."""
SAMPLE = 10
"""Members of which the best becomes a parent, in regularised evolution; half of a population below 20."""


class Population(NamedTuple):
    """Rows and their results; places without a member hold anything."""

    row: Int[jax.Array, " places"]
    costs: Float[jax.Array, "places m"]
    stands: Bool[jax.Array, " places"]
    """Where there is a member."""


def nobody(places: int, num_objectives: int) -> Population:
    """A population without members."""
    dtype = jnp.result_type(float)
    return Population(
        jnp.zeros(places, jnp.int32),
        jnp.full((places, num_objectives), jnp.inf, dtype),
        jnp.zeros(places, bool),
    )


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


class Emoa(NamedTuple):
    """A lane of SH-EMOA."""

    pool: Pool
    key: Key
    members: Population
    """One place more than there may be members: for the newcomer."""
    level: Int[jax.Array, " places"]
    """Highest stage at which the row of each place was evaluated."""
    is_due: Bool[jax.Array, " places"]
    """Members whose evaluation at this stage has not begun."""
    is_out: Bool[jax.Array, " places"]
    """Members whose evaluation at this stage is under way."""
    stage: Int[Array, ""]
    num_new: Int[jax.Array, ""]
    """Rows that were proposed, those at random included."""
    num_results: Int[jax.Array, ""]


@functools.cache
def sh_emoa(num_objectives: int, num_stages: int, population: int = 20) -> Policy:
    """SH-EMOA: a steady-state evolutionary method whose fidelity rises in stages.

    The first ``population`` rows are random. From then on each free worker gets a child: with probability 1/2
    the best of three distinct members is mutated (half of its columns drawn anew), otherwise it is recombined
    with a random member, column by column; the unseen row nearest to that is evaluated. Each result joins,
    and if there are too many members the worst leaves: of the last front the one that adds the least
    hypervolume. Members are compared by front, then by the hypervolume that each adds to its own front.

    Stage j of L lasts from share j/L of a run to (j + 1)/L, of seconds or of evaluations. Published steps are
    divided so that every stage costs the same, eta times as many at 1/eta of the fidelity; equal shares of a
    run in seconds are that plan. Of a run in evaluations they give later stages more than that plan would, of
    which all members' evaluations at the new fidelity take their part. When a stage begins, workers evaluate
    all members at its fidelity before they make children, and the results of those evaluations alone are
    compared; results of an earlier stage that come in later are dropped. So no worker waits for others (with
    one worker this is the published order), unless all members are under way. A stage also ends when no row
    is left.

    Departures from the published code: tournaments go by (front, contribution), where the code has a product
    of accuracy and size that is meant for one problem; costs are scaled to [0, 1] over the members, and the
    reference point is 1.1; who is removed is found by its place, not by equal values; members that failed at
    a higher fidelity leave; all workers are busy, so that children are made before earlier ones are in;
    which columns a mutation leaves alone does not depend on their names.

    Args:
        num_objectives: at most four.
        num_stages: levels of the ladder, each a stage; with one it is steady-state SMS-EMOA.
        population: members.

    References:
        Guerrero-Viu et al., "Bag of baselines for multi-objective joint neural architecture search and
        hyperparameter optimization", 2021; Beume, Naujoks, Emmerich, "SMS-EMOA", 2007 (the selection).
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Rows:
        del seed, prior
        return prepare_rows(table, tasks)

    def init(context: Rows, task: Int[Array, ""], key: Key) -> Emoa:
        none, zero = jnp.zeros(population + 1, bool), jnp.int32(0)
        return Emoa(
            pool=new_pool(context.candidates, task, key, context.num_rows),
            key=jax.random.fold_in(key, 1),
            members=nobody(population + 1, num_objectives),
            level=jnp.zeros(population + 1, jnp.int32),
            is_due=none,
            is_out=none,
            stage=zero,
            num_new=zero,
            num_results=zero,
        )

    def propose(context: Rows, task: Int[Array, ""], state: Emoa, moment: Moment) -> tuple[Emoa, Job]:
        stage = _planned_stage(context, task, state, moment, num_stages)
        state = tree_where(stage > state.stage, _risen(state, stage), state)
        again = jnp.any(state.is_due)
        sent, place = _sent_again(state)
        bred, new_row, found = _bred(context, task, state, moment, population)
        must_wait = jnp.any(state.is_out) & ~jnp.any(state.members.stands)
        wanted = again | (found & ~must_wait)
        row = jnp.where(again, state.members.row[place], new_row)
        before = jnp.where(again, state.level[place], -1)
        return tree_where(wanted, tree_where(again, sent, bred), state), Job(row, stage, before, wanted)

    def observe(context: Rows, task: Int[Array, ""], state: Emoa, result: Result) -> Emoa:
        del context, task
        return with_result(state, result)

    return Policy(prepare, init, propose, observe)


def _planned_stage(
    rows: Rows, task: Int[Array, ""], state: Emoa, moment: Moment, num_stages: int
) -> Int[Array, ""]:
    """The stage of the next job: by the share of the run that is over, or because no rows are left."""
    by_progress = jnp.floor(moment.progress * num_stages).astype(jnp.int32)
    is_over = (state.num_new >= rows.candidates.num_rows[task]) & ~jnp.any(state.is_due)
    is_over = is_over & (moment.num_launched == state.num_results)
    planned = jnp.maximum(by_progress, state.stage + is_over)
    return jnp.clip(planned, state.stage, num_stages - 1)


def _risen(state: Emoa, stage: Int[Array, ""]) -> Emoa:
    """The lane at a higher stage: what was found at the last one says nothing there."""
    none = jnp.zeros_like(state.is_out)
    is_due = state.members.stands | state.is_due | state.is_out
    return state._replace(
        members=state.members._replace(stands=none), is_due=is_due, is_out=none, stage=stage
    )


def _sent_again(state: Emoa) -> tuple[Emoa, Int[Array, ""]]:
    """The lane after the first due member was sent out, and its place."""
    place = jnp.argmax(state.is_due)
    return state._replace(
        is_due=state.is_due.at[place].set(False), is_out=state.is_out.at[place].set(True)
    ), place


def _bred(
    rows: Rows, task: Int[Array, ""], state: Emoa, moment: Moment, population: int
) -> tuple[Emoa, Int[Array, ""], Bool[Array, ""]]:
    """The lane after a child or a random row was sent out, the row, and whether there is any."""
    key = jax.random.fold_in(state.key, moment.num_launched)

    def child(members: Population) -> Float[Array, "1 columns"]:
        return _emoa_child(rows, key, members)[None]

    has_parents = (state.num_new >= population) & jnp.any(state.members.stands)
    pool, row, found = nearest_or_random(rows, task, state.pool, 1, child, state.members, has_parents)
    return state._replace(pool=pool, num_new=state.num_new + 1), row[0], found[0]


def _emoa_child(rows: Rows, key: Key, members: Population) -> Float[Array, " columns"]:
    """A mutated winner of a tournament, or one recombined with a random member."""
    tournament_key, partner_key, which_key, column_key, value_key, half_key = jax.random.split(key, 6)
    parent = rows.point(members.row[tournament_winner(tournament_key, members)])
    chance = jax.random.uniform(partner_key, members.row.shape)
    partner = rows.point(members.row[jnp.argmax(jnp.where(members.stands, chance, -1))])
    num_mutated = max(1, int(rows.num_columns * MUTATED_SHARE))
    is_mutated = some_columns(column_key, rows.num_columns, num_mutated)
    mutant = jnp.where(is_mutated, random_point(rows, value_key), parent)
    from_partner = jax.random.uniform(half_key, (rows.num_columns,)) < 0.5
    recombines = jax.random.uniform(which_key) < RECOMBINATION_SHARE
    return jnp.where(recombines, jnp.where(from_partner, partner, parent), mutant)


def tournament_winner(key: Key, members: Population) -> Int[Array, ""]:
    """Place of the best of ``TOURNAMENT`` distinct members, or of all if there are fewer."""
    places = members.row.shape[0]
    chance = jnp.where(members.stands, jax.random.uniform(key, (places,)), -1)
    drawn = jax.lax.top_k(chance, min(TOURNAMENT, places))[1]
    position = jnp.where(members.stands[drawn], emoa_positions(members)[drawn], places)
    return drawn[jnp.argmin(position)]


def emoa_positions(members: Population) -> Int[Array, " places"]:
    """Position of each member, from 0 for the best: by front, then by the hypervolume that it adds to its own
    front, then by place; empty places last."""
    rank = pareto_rank(_finite(members), members.stands)
    num_fronts = jnp.max(jnp.where(members.stands, rank, -1)) + 1

    def add(front: Int[Array, ""], share: Array) -> Array:
        return jnp.where(rank == front, contributions(members, rank == front), share)

    share = jax.lax.fori_loop(0, num_fronts, add, jnp.zeros(rank.shape, members.costs.dtype))
    order = jnp.lexsort((-share, rank))  # empty places have the highest rank
    return jnp.zeros_like(rank).at[order].set(jnp.arange(len(rank), dtype=rank.dtype))


def contributions(members: Population, is_asked: Bool[Array, " places"]) -> Float[Array, " places"]:
    """Hypervolume that each of some members adds to the others of them, costs scaled to [0, 1] over all
    members.

    The scaled costs lie on a grid on which volumes are exact: ties are ties in every batch.
    """
    num_objectives = members.costs.shape[1]
    step = 2.0 ** -(50 // num_objectives)
    scaled = jnp.round(scale_costs(_finite(members), members.stands, "minmax") / step) * step
    reference = jnp.full(num_objectives, round(promotion.REFERENCE / step) * step, scaled.dtype)
    return hypervolume_contributions(scaled, reference, is_asked & members.stands)


def _finite(members: Population) -> Float[Array, "places m"]:
    return jnp.where(members.stands[:, None], members.costs, 0)


def least_useful(members: Population) -> Int[Array, ""]:
    """Place of the member to remove: of the last front the one that adds the least hypervolume to it, ties to
    the lowest place."""
    rank = pareto_rank(_finite(members), members.stands)
    is_last = members.stands & (rank == jnp.max(jnp.where(members.stands, rank, -1)))
    return jnp.argmin(jnp.where(is_last, contributions(members, is_last), jnp.inf))


def with_result(state: Emoa, result: Result) -> Emoa:
    """The lane after a result: of a member that was evaluated again, or of a newcomer; one that belongs to an
    earlier stage is dropped."""
    counted = state._replace(num_results=state.num_results + result.valid)
    is_old = state.is_out & (state.members.row == result.row)
    place = jnp.where(jnp.any(is_old), jnp.argmax(is_old), jnp.argmin(_taken(state)))
    members = Population(
        state.members.row.at[place].set(result.row),
        state.members.costs.at[place].set(result.costs),
        state.members.stands.at[place].set(jnp.all(jnp.isfinite(result.costs))),
    )
    joined = counted._replace(
        members=members, level=state.level.at[place].set(result.level), is_out=state.is_out & ~is_old
    )
    return tree_where(result.valid & (result.level == state.stage), _thinned(joined), counted)


def _thinned(state: Emoa) -> Emoa:
    """The lane with one place free."""
    stands = state.members.stands
    leaves = jnp.all(_taken(state)) & (jnp.arange(len(stands)) == least_useful(state.members))
    return state._replace(members=state.members._replace(stands=stands & ~leaves))


def _taken(state: Emoa) -> Bool[Array, " places"]:
    """Places of members, those included whose result at this stage is not in."""
    return state.members.stands | state.is_due | state.is_out


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
