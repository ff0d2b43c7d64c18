"""Starts from similar tasks: the best rows of the tasks that are most like the one that is tuned."""

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.descriptors import stated
from mohb_jax.searchers.base import Job, Moment, Policy, Result, Searcher
from mohb_jax.searchers.ehvi import hypervolume_acquisition
from mohb_jax.searchers.kriging_believer import (
    LANES_PER_BATCH,
    Knowledge,
    ModelState,
    Problem,
    knowledge_of,
    new_model,
    observe_result,
    propose,
)
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.prepared_lists import Lists, list_searcher
from mohb_jax.searchers.random import all_candidates
from mohb_jax.searchers.result_memory import launched
from mohb_jax.searchers.seen_rows import first_unseen, marked
from mohb_jax.searchers.similar_tasks import best_rows, by_likeness, differences, start_list
from mohb_jax.transfer import Prior, require_another_task
from mohb_jax.types import Array, Key


class Start(NamedTuple):
    """How a run begins.

    Attributes:
        best: rows of each similar task.
        length: rows at most.
        distance: ``l1`` or ``l2``, of descriptors.
    """

    best: int
    length: int
    distance: str


@functools.cache
def meta_knn(start: Start) -> Searcher:
    """Proposes the best rows of similar tasks, then random ones.

    Tasks are ordered by the distance of their descriptors, scaled to what the other tasks span. First comes
    the best row of each, then the second best, and so on, each row once. A row that was never tried in the
    task gives way to the nearest one that was.

    References:
        Feurer et al., "Efficient and robust automated machine learning", 2015: one best row of each task;
        several, and several objectives, are ours.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Lists:
        del seed, prior
        rows = start_lists(table, tasks, start)
        return Lists(all_candidates(table, tasks), jnp.asarray(rows)[:, None], table.num_rows)

    return list_searcher(prepare, one_by_one=False)


def start_lists(table: AnyTable, tasks: tuple[int, ...], start: Start) -> Int[np.ndarray, "chosen length"]:
    """The rows with which runs of some tasks begin; -1 where a list has ended."""
    require_another_task(table)
    features = np.stack(list(stated(table).values()), axis=1)
    best = np.stack([best_rows(table, task, start.best) for task in range(table.num_tasks)])
    rows = np.full((len(tasks), min(start.length, start.best * (table.num_tasks - 1))), -1, np.int32)
    for own, task in zip(rows, tasks, strict=True):
        order = by_likeness(differences(features, task, start.distance), task)
        found = start_list(table, task, order, best, start.length)
        own[: len(found)] = found
    return rows


class Begun(NamedTuple):
    """What lanes know, and how each task's begin."""

    knowledge: Knowledge
    rows: Int[Array, "tasks length"]


@functools.cache
def meta_knn_process(problem: Problem, start: Start) -> Policy:
    """Bayesian optimisation by expected hypervolume improvement that begins with ``meta_knn``'s list, in
    place of random rows.

    Args:
        problem: what the table asks for.
        start: how the list is made.

    References:
        Feurer et al. 2015, where the list is the initial design of SMAC; our processes stand in for it.
    """
    # The model is asked from the list's end on.
    problem = dataclasses.replace(problem, num_initial=0)
    acquisition = hypervolume_acquisition(problem)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Begun:
        del seed, prior
        return Begun(knowledge_of(problem, table, tasks), jnp.asarray(start_lists(table, tasks, start)))

    def init(context: Begun, task: Int[Array, ""], key: Key) -> ModelState:
        return new_model(problem, len(problem.learned), context.knowledge, task, key)

    def ask(
        context: Begun, task: Int[Array, ""], state: ModelState, moment: Moment
    ) -> tuple[ModelState, Job]:
        row = first_unseen(context.rows[task], state.pool.seen, 1)[0]
        begins = row[0] >= 0
        # A lane that begins has launched less than nothing, so that no model is fitted for it.
        launches = jnp.where(begins, -1, moment.num_launched)
        later, job = propose(
            problem, acquisition, context.knowledge, task, state, moment._replace(num_launched=launches)
        )
        pool = state.pool._replace(seen=marked(state.pool.seen, row))
        first = state._replace(pool=pool, launches=launched(state.launches, row[0], begins), key=later.key)
        state = tree_where(begins, first, later)
        return state, job._replace(row=jnp.where(begins, row[0], job.row), wanted=begins | job.wanted)

    def observe(context: Begun, task: Int[Array, ""], state: ModelState, result: Result) -> ModelState:
        return observe_result(context.knowledge, task, state, result)

    return Policy(prepare, init, ask, observe, lanes_per_batch=LANES_PER_BATCH)
