"""Progressive Pareto search: columns are decided one after another, as POPNAS grows cells block by block."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.promotion import crowding
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.column_levels import LevelSpace, prepare_levels, shares_levels
from mohb_jax.searchers.lane_batches import in_batches
from mohb_jax.searchers.nearest_rows import may_be_proposed, nearest_unseen
from mohb_jax.searchers.random import candidate_rows, round_keys_of
from mohb_jax.searchers.seen_rows import Pool, filled_up, is_marked, marked, new_pool
from mohb_jax.surrogates.ridge import ridge_predictions
from mohb_jax.surrogates.transform import standardised_costs
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

MOST_PROPOSED = 10
LEAST_PROPOSED = 5
BUDGET = 100
"""Evaluations in which all columns should be decided once, if ``LEAST_PROPOSED`` per stage allow it."""
EXPLORATION = 5
"""Of so many proposals, one is made for its rarely used levels: 8 + 2."""
SAMPLE = 256
"""Random full configurations among which proposals are chosen once all columns are decided."""
CAPACITY = 128
"""Proposals that are learnt from; beyond it the oldest give way."""
INDIFFERENCE = 1e-6
"""Differences between predictions, in standard deviations of what was seen, that do not count: chance
decides, and not rounding."""


class Partial(NamedTuple):
    """Candidates of a stage: configurations of which some columns may be undecided."""

    levels: Int[Array, "n columns"]
    """Those of undecided columns are the defaults."""
    points: Float[Array, "n columns"]
    valid: Bool[Array, " n"]


class Archive(NamedTuple):
    """The last proposals, the newest at the end."""

    row: Int[Array, " capacity"]
    depth: Int[Array, " capacity"]
    """How many columns were decided; in the others the row says nothing."""
    costs: Float[Array, "capacity m"]
    proposed: Bool[Array, " capacity"]
    answered: Bool[Array, " capacity"]


class ProgressiveState(NamedTuple):
    """How far a lane is, and what it has seen."""

    pool: Pool
    key: Key
    stage: Int[Array, ""]
    """Calls so far."""
    beam: Int[Array, "width columns"]
    in_beam: Bool[Array, " width"]
    archive: Archive


@functools.cache
def popnas(width: int = MOST_PROPOSED, capacity: int = CAPACITY) -> Searcher:
    """Stage by stage one more column is decided, keeping the Pareto front of predictions (POPNASv3 style).

    Stage b expands every configuration of the beam by each level of column b. A ridge regression on the
    levels (an undecided column has a level of its own) predicts all objectives from what the run has
    observed; the candidates are kept in order of predicted front, then crowding, and one proposal of
    ``EXPLORATION`` is a candidate whose levels were used least so far. All of them are evaluated and make up
    the next beam. A partial configuration is represented by the unseen row that shares its decided columns
    and is nearest to the commonest levels in the others. While there are fewer candidates than proposals,
    random rows fill up; the very first column has no predictions, and all its levels are tried, in random
    order. After the last stage the candidates are ``SAMPLE`` random unseen rows.

    Departures: columns of a table take the place of blocks of a cell; numbers with more than 8 values are cut
    into 8 bins; the kept candidates go beyond the predicted front where that is smaller than the beam, for
    every slot of the budget is used; ridge regression for all objectives in place of boosted trees and
    recurrent networks, which a hundred results could not train; beam 8 and exploration 2 in place of the
    thousands of trainings of the paper, and fewer where a table has more than ten columns, so that about
    ``BUDGET`` evaluations decide all columns.

    Args:
        width: of the beam, at least as wide as a bracket.
        capacity: results that are learnt from.

    References:
        Falanti, Lomurno, Ardagna, Matteucci, "POPNASv3: a Pareto-optimal neural architecture search solution
        for image and time series classification", 2022; Liu et al., "Progressive neural architecture search",
        2018.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> LevelSpace:
        del seed, prior
        return prepare_levels(table, tasks)

    def init(context: LevelSpace, task: Int[Array, ""], key: Key) -> ProgressiveState:
        rows = context.rows
        nothing = jnp.zeros(capacity, bool)
        costs = jnp.full((capacity, context.num_objectives), jnp.inf, jnp.result_type(float))
        number = jnp.zeros(capacity, jnp.int32)
        return ProgressiveState(
            pool=new_pool(rows.candidates, task, key, rows.num_rows),
            key=jax.random.fold_in(key, 1),
            stage=jnp.int32(0),
            beam=jnp.tile(context.defaults, (width, 1)),
            in_beam=jnp.arange(width) < 1,  # one configuration, of which nothing is decided
            archive=Archive(number, number, costs, nothing, nothing),
        )

    def suggest(
        context: LevelSpace, task: Int[Array, ""], state: ProgressiveState, num_suggestions: int
    ) -> tuple:
        numbers = max(context.rows.num_rows, capacity * _num_candidates(context, width))
        propose = functools.partial(_suggest, num_suggestions)
        return in_batches(numbers, propose, context, task, state)

    return Searcher(prepare, init, suggest, _observe)


def num_proposed(num_columns: int) -> int:
    """Proposals of a stage."""
    return max(LEAST_PROPOSED, min(MOST_PROPOSED, BUDGET // num_columns))


def _num_candidates(context: LevelSpace, width: int) -> int:
    return max(width * context.most, min(SAMPLE, context.rows.candidates.most))


def _suggest(
    num_suggestions: int, context: LevelSpace, task: Int[Array, ""], state: ProgressiveState
) -> tuple[ProgressiveState, Array, Array]:
    num_columns = context.rows.num_columns
    sample_key, choice_key = jax.random.split(jax.random.fold_in(state.key, state.stage))
    grows = state.stage < num_columns
    depth = jnp.minimum(state.stage + 1, num_columns)
    size = _num_candidates(context, state.beam.shape[0])
    parts = (expanded(context, state), _sampled(context, task, state.pool, sample_key))
    partial = jax.tree.map(
        lambda one, other: jnp.where(grows, _up_to(one, size), _up_to(other, size)), *parts
    )
    chosen, valid = _chosen(choice_key, context, state.archive, partial, depth, num_suggestions)
    partial = Partial(*(part[chosen] for part in partial))._replace(valid=valid)
    pool, row, num_found = _represented(context, task, state.pool, partial, depth)
    pool, row, valid = filled_up(context.rows.candidates, task, pool, row, num_found)
    own_depth = jnp.where(jnp.arange(num_suggestions) < num_found, depth, num_columns)
    width = state.beam.shape[0]
    state = state._replace(
        pool=pool,
        stage=state.stage + 1,
        beam=_up_to(partial.levels, width),
        in_beam=_up_to(partial.valid, width),
        archive=_remembered(state.archive, row, own_depth, valid),
    )
    return state, row, valid


def expanded(context: LevelSpace, state: ProgressiveState) -> Partial:
    """Every configuration of the beam with each level of the next column."""
    column = jnp.minimum(state.stage, context.rows.num_columns - 1)
    level = jnp.arange(context.most, dtype=jnp.int32)
    levels = jnp.repeat(jnp.asarray(state.beam), context.most, axis=0)
    levels = levels.at[:, column].set(jnp.tile(level, state.beam.shape[0]))
    exists = level < jnp.asarray(context.num_levels)[column]
    valid = (state.in_beam[:, None] & exists[None]).reshape(-1)
    columns = jnp.arange(context.rows.num_columns)
    return Partial(levels, context.centres[columns[None], levels], valid)


def _sampled(context: LevelSpace, task: Int[Array, ""], pool: Pool, key: Key) -> Partial:
    """Random unseen rows with all their columns."""
    candidates = context.rows.candidates
    round_keys = round_keys_of(key, candidates.most)
    place = jnp.arange(min(SAMPLE, candidates.most), dtype=jnp.int32)
    num_rows = candidates.num_rows[task]
    row = candidate_rows(candidates, task, round_keys, jnp.minimum(place, num_rows - 1))
    valid = (place < num_rows) & ~is_marked(pool.seen, row)
    return Partial(context.levels[:, row].T, context.rows.point(row), valid)


def _up_to(part: Array, size: int) -> Array:
    """The first entries, or all and then zeros."""
    more = max(size - part.shape[0], 0)
    return jnp.pad(part[:size], ((0, more),) + ((0, 0),) * (part.ndim - 1))


def _chosen(
    key: Key,
    context: LevelSpace,
    archive: Archive,
    partial: Partial,
    depth: Int[Array, ""],
    num_chosen: int,
) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
    """Places of the candidates that are kept, and which of them are real: those come first."""
    noise_key, tie_key = jax.random.split(key)
    observed = _decided(context.levels[:, archive.row].T, archive.depth)
    candidates = _decided(partial.levels, jnp.broadcast_to(depth, partial.valid.shape))
    targets = standardised_costs(archive.costs, archive.answered)
    predicted = ridge_predictions(observed, targets, archive.answered, candidates)
    noise = INDIFFERENCE * jax.random.uniform(noise_key, predicted.shape, predicted.dtype)
    num_explored = num_chosen // EXPLORATION
    kept = crowding()(key, predicted + noise, partial.valid, num_chosen - num_explored)
    left = jnp.asarray(partial.valid).at[kept].set(False)
    tie = jax.random.uniform(tie_key, left.shape, predicted.dtype)
    used = usage(context.most, observed, archive.proposed, candidates) + tie
    explored = jnp.argsort(jnp.where(left, used, jnp.inf))[:num_explored].astype(jnp.int32)
    chosen = jnp.concatenate([kept, explored])
    valid = jnp.concatenate([partial.valid[kept], left[explored]])
    order = jnp.argsort(~valid, stable=True)
    return chosen[order], valid[order]


def _decided(levels: Int[Array, "n columns"], depth: Int[Array, " n"]) -> Int[Array, "n columns"]:
    """Levels of the decided columns, -1 in the others."""
    return jnp.where(jnp.arange(levels.shape[1])[None] < depth[:, None], levels, -1)


def usage(
    num_levels: int,
    observed: Int[Array, "n columns"],
    proposed: Bool[Array, " n"],
    candidates: Int[Array, "k columns"],
) -> Int[Array, " k"]:
    """How often the decided levels of each candidate were proposed before, summed over its columns.

    Args:
        num_levels: the most that a column has.
        observed: levels of earlier proposals, -1 where undecided.
        proposed: False marks padding.
        candidates: in the same way.
    """
    columns = jnp.arange(observed.shape[1])[None]
    counts = (observed >= 0) & proposed[:, None]
    count = jnp.zeros((observed.shape[1], num_levels), jnp.int32)
    count = count.at[columns, jnp.maximum(observed, 0)].add(counts.astype(jnp.int32))
    own = count[columns, jnp.maximum(candidates, 0)]
    return jnp.sum(jnp.where(candidates >= 0, own, 0), axis=1, dtype=jnp.int32)


def _represented(
    context: LevelSpace, task: Int[Array, ""], pool: Pool, partial: Partial, depth: Int[Array, ""]
) -> tuple[Pool, Int[Array, " k"], Int[Array, ""]]:
    """An unseen row for each candidate, one after another: pool, rows or -1, and how many were found."""

    def answer(seen: Array, one: Partial) -> tuple[Array, Array]:
        shares = shares_levels(context, one.levels, depth)
        # Where no unseen row shares the decided columns any more, the nearest of all must do.
        shares |= ~jnp.any(shares & may_be_proposed(context.rows, task, seen))
        row, found = nearest_unseen(context.rows, task, seen, one.points, shares)
        row = jnp.where(found & one.valid, row, -1)
        return marked(seen, row[None]), row

    seen, row = jax.lax.scan(answer, pool.seen, partial)
    return pool._replace(seen=seen), row, jnp.sum(row >= 0, dtype=jnp.int32)


def _remembered(
    archive: Archive, row: Int[Array, " k"], depth: Int[Array, " k"], valid: Bool[Array, " k"]
) -> Archive:
    """The archive with proposals whose results are not known yet."""
    unknown = jnp.full((row.shape[0], archive.costs.shape[1]), jnp.inf)
    new = Archive(row, depth.astype(jnp.int32), unknown, valid, jnp.zeros_like(valid))
    capacity = archive.row.shape[0]
    return jax.tree.map(lambda old, own: jnp.concatenate([old, own])[-capacity:], archive, new)


def _observe(state: ProgressiveState, seen: Seen) -> ProgressiveState:
    """Puts results beside their proposals."""
    archive = state.archive
    same = archive.proposed[:, None] & seen.valid[None] & (archive.row[:, None] == seen.row[None])
    answered = jnp.any(same, axis=1)
    own = jnp.asarray(seen.costs)[jnp.argmax(same, axis=1)]
    costs = jnp.where(answered[:, None], own, archive.costs)
    return state._replace(archive=archive._replace(costs=costs, answered=archive.answered | answered))
