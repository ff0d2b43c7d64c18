"""SH-EMOA: steady-state selection by hypervolume, at a fidelity that rises in stages."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels import promotion
from mohb_jax.kernels.dominance import pareto_rank
from mohb_jax.kernels.epsilon_net import scale_costs
from mohb_jax.kernels.hypervolume import hypervolume_contributions
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.genetic_operators import nearest_or_random, random_point, some_columns
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.nearest_rows import Rows, prepare_rows
from mohb_jax.searchers.population import Population, nobody
from mohb_jax.searchers.seen_rows import Pool, new_pool
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

TOURNAMENT = 3
"""Distinct members of which the best becomes a parent."""
RECOMBINATION_SHARE = 0.5
"""Children that come from two parents; the others are mutated."""
MUTATED_SHARE = 0.5
"""Columns that a mutation draws anew."""


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

    return Policy(prepare, init, propose, observe, has_phases=True)


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
