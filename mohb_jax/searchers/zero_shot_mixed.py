"""The portfolio of the other tasks and random search, turn and turn about."""

import functools

import jax.numpy as jnp
from jaxtyping import Int

from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.prepared_lists import Lists, ListState, list_searcher
from mohb_jax.searchers.seen_rows import filled_up, first_unseen, marked
from mohb_jax.searchers.zero_shot import portfolios
from mohb_jax.types import Array


@functools.cache
def zero_shot_mixed() -> Policy:
    """Proposes the next row of the portfolio and a random row in turns, the portfolio first.

    What the other tasks are wrong about costs half of the proposals and no more. Ours, on the portfolio of
    ``zero_shot``.
    """
    searcher = list_searcher(portfolios, one_by_one=True)
    return Policy(searcher.prepare, searcher.init, _propose, _observe)


def _propose(context: Lists, task: Int[Array, ""], state: ListState, moment: Moment) -> tuple[ListState, Job]:
    del moment
    row, _ = first_unseen(context.rows[task, 0], state.seen, 1)
    row = jnp.where(state.num_used % 2 == 0, row, -1)
    state = state._replace(num_used=state.num_used + 1, seen=marked(state.seen, row))
    state, row, valid = filled_up(context.candidates, task, state, row, jnp.sum(row >= 0, dtype=jnp.int32))
    return state, Job(row[0], jnp.int32(0), jnp.int32(-1), valid[0])


def _observe(context: Lists, task: Int[Array, ""], state: ListState, result: Result) -> ListState:
    del context, task, result
    return state
