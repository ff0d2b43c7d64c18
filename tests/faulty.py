"""Parts that are wrong on purpose, for tests/test_testing.py: each breaks one law and no other.

They vary one sound searcher and one sound policy, which propose rows in the order of random search.
"""

import functools
import random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from mohb_jax.kernels.promotion import failures_last
from mohb_jax.searchers.base import Job, Policy, Searcher, ignore
from mohb_jax.searchers.random import all_candidates, candidate_rows, init, listed, suggest
from mohb_jax.searchers.seen_rows import draw, new_pool

SOUND = Searcher(all_candidates, init, suggest, ignore)


# Searchers


def same_row_again() -> Searcher:
    def propose(context, task, state, num_suggestions):
        row = candidate_rows(context, task, state.round_keys, jnp.zeros(num_suggestions, jnp.int32))
        return state, row, jnp.ones(num_suggestions, bool)

    return SOUND._replace(suggest=propose)


def unseeded() -> Searcher:
    def prepare(table, tasks, seed, prior):
        rng = np.random.default_rng()
        return listed([rng.permutation(np.flatnonzero(table.measured(task))) for task in tasks])

    return SOUND._replace(prepare=prepare)


def same_key_always() -> Searcher:
    return SOUND._replace(init=lambda context, task, key: init(context, task, jax.random.key(0)))


def _shifted(shift) -> Searcher:
    """A searcher that starts ``shift(round_keys)`` proposals later; nothing else is wrong with it."""

    def begin(context, task, key):
        state = init(context, task, key)
        return state._replace(num_taken=state.num_taken + shift(state.round_keys))

    return SOUND._replace(init=begin)


@custom_vmap
def _number_of_lanes(keys):
    return jnp.int32(1)


@_number_of_lanes.def_vmap
def _(axis_size, is_batched, keys):
    return jnp.full(axis_size, axis_size, jnp.int32), True


@custom_vmap
def _place_in_batch(keys):
    return jnp.int32(0)


@_place_in_batch.def_vmap
def _(axis_size, is_batched, keys):
    return jnp.arange(axis_size, dtype=jnp.int32), True


def looks_at_batch_size() -> Searcher:
    return _shifted(_number_of_lanes)


def looks_at_place() -> Searcher:
    return _shifted(_place_in_batch)


def reversed_chunks() -> Searcher:
    def propose(context, task, state, num_suggestions):
        state, row, valid = suggest(context, task, state, num_suggestions)
        return state, row[::-1], valid[::-1]

    return SOUND._replace(suggest=propose)


class Counting(NamedTuple):
    random: Any
    count: Any


def _counting(observe, changed=lambda row, count: row) -> Searcher:
    """A sound searcher whose state holds a count that ``observe`` changes, and on which its rows hang."""

    def begin(context, task, key):
        return Counting(init(context, task, key), jnp.int32(0))

    def propose(context, task, state, num_suggestions):
        random, row, valid = suggest(context, task, state.random, num_suggestions)
        return state._replace(random=random), changed(row, state.count), valid

    return Searcher(all_candidates, begin, propose, observe)


def widening_state() -> Searcher:
    return _counting(lambda state, seen: state._replace(count=state.count + jnp.int64(1)))


def counts_padding() -> Searcher:
    """The order of the rows of a call hangs on the sum of all rows before, whether they count or not."""

    def observe(state, seen):
        return state._replace(count=state.count + jnp.sum(seen.row).astype(jnp.int32))

    return _counting(observe, lambda row, count: jnp.roll(row, count))


def lost_after_failures() -> Searcher:
    """Infinite minus infinite costs, as a whole number."""

    def observe(state, seen):
        costs = jnp.where(seen.valid, seen.costs[:, 0], 0)
        return state._replace(count=jnp.where(jnp.isnan(jnp.sum(costs - costs)), 10**6, 0).astype(jnp.int32))

    return _counting(observe, lambda row, count: row + count)


def knows_own_results() -> Searcher:
    def prepare(table, tasks, seed, prior):
        order = [np.argsort(table.final_costs(task)[:, 0], kind="stable") for task in tasks]
        own = [table.measured(task) for task in tasks]
        return listed([rows[mask[rows]] for rows, mask in zip(order, own, strict=True)])

    return SOUND._replace(prepare=prepare)


def knows_failures() -> Searcher:
    """Proposes what will fail last."""

    def prepare(table, tasks, seed, prior):
        order = [np.argsort(~table.final_available(task), kind="stable") for task in tasks]
        own = [table.measured(task) for task in tasks]
        return listed([rows[mask[rows]] for rows, mask in zip(order, own, strict=True)])

    return SOUND._replace(prepare=prepare)


def draws_while_traced() -> Searcher:
    def propose(context, task, state, num_suggestions):
        np.random.random()  # noqa: NPY002
        return suggest(context, task, state, num_suggestions)

    return SOUND._replace(suggest=propose)


def draws_a_constant() -> Searcher:
    def propose(context, task, state, num_suggestions):
        state, row, valid = suggest(context, task, state, num_suggestions)
        return state, row + (0 * jnp.float32(random.random())).astype(jnp.int32), valid

    return SOUND._replace(suggest=propose)


def calls_the_host() -> Searcher:
    def propose(context, task, state, num_suggestions):
        state, row, valid = suggest(context, task, state, num_suggestions)
        shape = jax.ShapeDtypeStruct(row.shape, row.dtype)
        same = jax.pure_callback(lambda row: row, shape, row, vmap_method="expand_dims")
        return state, same, valid

    return SOUND._replace(suggest=propose)


@custom_vmap
def _sent_in_batches(row):
    return row


@_sent_in_batches.def_vmap
def _(axis_size, is_batched, row):
    return jax.pure_callback(lambda row: row, jax.ShapeDtypeStruct(row.shape, row.dtype), row), True


def calls_the_host_in_batches() -> Searcher:
    def propose(context, task, state, num_suggestions):
        state, row, valid = suggest(context, task, state, num_suggestions)
        return state, _sent_in_batches(row), valid

    return SOUND._replace(suggest=propose)


def asks_a_tracer() -> Searcher:
    def propose(context, task, state, num_suggestions):
        if state.num_taken > 3:
            num_suggestions += 1
        return suggest(context, task, state, num_suggestions)

    return SOUND._replace(suggest=propose)


# Policies


def _policy(observe=None, from_level=-1) -> Policy:
    def begin(context, task, key):
        return Counting(new_pool(context, task, key, 64), jnp.int32(0))

    def propose(context, task, state, moment):
        pool, row, valid = draw(context, task, state.random, 1)
        job = Job(row[0], jnp.int32(1), jnp.int32(from_level), valid[0])
        return state._replace(random=pool), job

    def heard(context, task, state, result):
        return state._replace(count=state.count + result.valid)

    return Policy(all_candidates, begin, propose, observe or heard)


@functools.cache
def sound_policy() -> Policy:
    return _policy()


def counts_invalid() -> Policy:
    return _policy(lambda context, task, state, result: state._replace(count=state.count + 1))


def goes_on_from_nothing() -> Policy:
    return _policy(from_level=0)


# Promotion rules


def _first(score, num_keep):
    return jnp.argsort(score, stable=True)[:num_keep].astype(jnp.int32)


def _held(costs, valid):
    return jnp.where(valid[:, None], costs, jnp.inf)


@failures_last
def raw_sums(key, costs, valid, num_keep):
    return _first(jnp.sum(_held(costs, valid), axis=1), num_keep)


@failures_last
def first_twice(key, costs, valid, num_keep):
    order = _first(_held(costs, valid)[:, 0], num_keep)
    return jnp.concatenate([order[:1], order])[:num_keep]


@failures_last
def fronts_by_index(key, costs, valid, num_keep):
    """Rows that none dominates first, in index order: what is cut hangs on the order of rows."""
    held = _held(costs, valid)
    better = jnp.all(held[:, None] <= held[None], axis=-1) & jnp.any(held[:, None] < held[None], axis=-1)
    return _first(jnp.any(better & valid[:, None], axis=0) + 2 * ~valid, num_keep)


@failures_last
def largest_first(key, costs, valid, num_keep):
    return _first(jnp.where(valid, -costs[:, 0], jnp.inf), num_keep)


def failures_first(key, costs, valid, num_keep):
    score = jnp.where(jnp.isfinite(costs[:, 0]), costs[:, 0], -1.0)
    return _first(jnp.where(valid, score, jnp.inf), num_keep)
