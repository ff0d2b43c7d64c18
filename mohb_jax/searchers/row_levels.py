"""Pairs of a row and a level, for Gaussian processes that learn from every fidelity and choose one.

A pair is a whole number, ``row * levels + level``. What believers know of rows they then know of pairs:
features, shortlist, memory, what was seen. The features of a pair are those of its row and the place of its
level, from 0 for the lowest to 1 for the highest; fidelities grow by factors from level to level, so that
this is their logarithm.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.kriging_believer import (
    LANES_PER_BATCH,
    PRECISION,
    Acquisition,
    Knowledge,
    ModelState,
    Problem,
    new_model,
    propose,
)
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.random import Candidates, all_candidates, candidate_rows, listed
from mohb_jax.searchers.result_memory import Launches, launched, with_result
from mohb_jax.searchers.seen_rows import marked
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key


class PairKnowledge(NamedTuple):
    """What lanes know before they start."""

    pairs: Knowledge
    rows: Candidates
    share: Float[Array, " levels"]
    """Fidelity of each level, as a share of the highest."""
    resumable: Bool[Array, ""]


FirstFn = Callable[[PairKnowledge, Key, Int[Array, ""]], tuple[Int[Array, ""], Int[Array, ""]]]
"""Which job comes first, second and so on: the place of its row in the lane's random order, and its level.
The key is consumed."""


def pair_policy(
    problem: Problem,
    num_models: int,
    levels: tuple[int, ...],
    resumable: bool,
    first: FirstFn,
    acquire: Callable[[PairKnowledge], Acquisition],
) -> Policy:
    """A policy that chooses among pairs.

    Args:
        problem: of as many objectives as the table has, and one more: see ``with_distrust``.
        num_models: Gaussian processes.
        levels: fidelities of the table to choose among.
        resumable: whether a row that goes on from a level pays the rest.
        first: the initial jobs.
        acquire: what models learn, and what their predictions are good for.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> PairKnowledge:
        del seed, prior
        return pair_knowledge(table, tasks, levels, resumable)

    def init(context: PairKnowledge, task: Int[Array, ""], key: Key) -> ModelState:
        return new_model(problem, num_models, context.pairs, task, key)

    ask = functools.partial(_propose, problem, first, acquire)
    return Policy(prepare, init, ask, _observe, lanes_per_batch=LANES_PER_BATCH)


def pair_knowledge(
    table: AnyTable, tasks: tuple[int, ...], levels: tuple[int, ...], resumable: bool
) -> PairKnowledge:
    """What lanes of some tasks know: pairs of every row with some fidelities of the table."""
    rows, number = all_candidates(table, tasks), len(levels)
    fidelities = np.array([float(table.fidelities[level]) for level in levels])
    place = np.tile(np.linspace(0, 1, number), table.num_rows)
    features = np.column_stack([np.repeat(unit_features(table), number, axis=0), place])
    nothing_known = jnp.zeros((len(tasks), 1, 0), jnp.result_type(float))
    pairs = Knowledge(_pairs_of(rows, number), jnp.asarray(features, PRECISION), nothing_known)
    return PairKnowledge(pairs, rows, jnp.asarray(fidelities / fidelities[-1]), jnp.asarray(resumable))


def _pairs_of(rows: Candidates, number: int) -> Candidates:
    """All pairs of some rows with so many levels."""
    if rows.rows is None:
        return Candidates(None, rows.num_rows * number, rows.num_rows * number, rows.most * number)
    own = zip(np.asarray(rows.rows), np.asarray(rows.num_rows), strict=True)
    return listed([(line[:count, None] * number + np.arange(number)).ravel() for line, count in own])


def _propose(
    problem: Problem,
    first: FirstFn,
    acquire: Callable[[PairKnowledge], Acquisition],
    context: PairKnowledge,
    task: Int[Array, ""],
    state: ModelState,
    moment: Moment,
) -> tuple[ModelState, Job]:
    """One of the initial jobs, or the models' choice."""
    number = context.share.shape[0]
    first_key, key = jax.random.split(state.key)
    state = state._replace(key=key)
    place, level = first(context, first_key, moment.num_launched)
    begins = (moment.num_launched < problem.num_initial) & (place < context.rows.num_rows[task])
    place = jnp.where(begins, place, 0)
    row = candidate_rows(context.rows, task, state.pool.random.round_keys, place[None])[0]
    after, job = propose(problem, acquire(context), context.pairs, task, state, moment)
    pair = jnp.where(begins, row * number + level, job.row)
    opened = after._replace(
        pool=state.pool._replace(seen=marked(state.pool.seen, pair[None])),
        launches=launched(state.launches, pair, begins),
    )
    before = level_before(state.launches, pair[None], number)[0]
    return tree_where(begins, opened, after), Job(pair // number, pair % number, before, begins | job.wanted)


def level_before(launches: Launches, pair: Int[Array, " n"], number: int) -> Int[Array, " n"]:
    """The highest level below that of each pair at which a result of its row is in; -1 if there is none."""
    held = launches.row[:, None]
    is_below = (held // number == pair[None] // number) & (held < pair[None]) & launches.observed[:, None]
    return jnp.max(jnp.where(is_below, held % number, -1), axis=0).astype(jnp.int32)


def seconds_of_full(context: PairKnowledge, launches: Launches, pair: Int[Array, " n"]) -> Float[Array, " n"]:
    """What each pair takes, as a share of a full training: its fidelity, or what of it is left to do."""
    number = context.share.shape[0]
    before = level_before(launches, pair, number)
    paid = jnp.where(context.resumable & (before >= 0), context.share[before], 0)
    return context.share[pair % number] - paid


def distrust(level: Int[Array, "*n"], number: int) -> Float[Array, "*n"]:
    """One more objective of a result, to be minimised: 0 at the highest of so many levels, in equal steps."""
    return 1 - (level + 1) / number


def _observe(context: PairKnowledge, task: Int[Array, ""], state: ModelState, result: Result) -> ModelState:
    """The lane after a result, whose last objective says how little it is to be trusted: results of a high
    level are not forgotten for better ones of a low level."""
    del task
    number = context.share.shape[0]
    costs = jnp.append(result.costs, distrust(result.level, number)).astype(state.launches.costs.dtype)
    pair = result.row * number + result.level
    return state._replace(launches=with_result(state.launches, pair, costs, result.valid))
