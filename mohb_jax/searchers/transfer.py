"""Proposals from several sources, of which a run learns whom to trust.

A source is what was learnt elsewhere: from all other tasks together, with every choice of objectives that it
is believed about, or from a few tasks that are alike; and random rows. Each has a bank of lists, as the prior
has. A lane holds, for every predictor and objective, how much better than chance it foretold which of two
results at one fidelity is the better one. Proposals take sources by the weights that follow, and a share of
random rows never vanishes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt32

from mohb_jax.searchers.base import Job, Moment, Policy, Result, Searcher, ignore
from mohb_jax.searchers.prepared_lists import list_order, next_list, one_at_a_time
from mohb_jax.searchers.random import RandomState
from mohb_jax.searchers.random import init as init_random
from mohb_jax.searchers.residuals import LOGISTIC, Pairs, Residuals, no_residuals, shift, updated
from mohb_jax.searchers.seen_rows import filled_up, first_unseen, marked
from mohb_jax.searchers.transfer_sources import AS_LEARNT, Learning, Sources, prepared_sources
from mohb_jax.types import RUN_GROUPS, Array, Key

LANES, LANES_OF_BRACKETS = 256, 1024
"""That advance together: where workers ask one by one, and where brackets are proposed as a whole."""
RANDOM_SHARE = 0.1
"""Of the proposals: it never vanishes."""
FORGETTING = 0.998
"""What earlier evidence is multiplied by with each result."""
TEMPER = 1.0
"""What evidence is multiplied by."""
LEVELS = 8
"""Fidelities at which the last results are remembered."""
REMEMBERED = 3
"""Results at each of them, with which a new one is compared."""
LOOKED_AT = 3
"""Results at one fidelity that a run must have before it proposes what other tasks praise; ``REMEMBERED`` at
most."""
CHOICE = 2
"""Times as many rows of a list as are wanted are looked at where means are corrected."""


class Memory(NamedTuple):
    """The last results at each fidelity, the newest first; row -1 where there is none."""

    row: Int[jax.Array, "levels remembered"]
    costs: Float[jax.Array, "levels remembered m"]


class TransferState(NamedTuple):
    """What a lane has seen, and how well each predictor had foretold it."""

    random: RandomState
    list_keys: UInt32[Array, " rounds"]
    group: Int[Array, ""]
    """Which lists of each source are the lane's, see ``next_list``."""
    key: Key
    num_used: Int[Array, ""]
    seen: UInt32[Array, " words"]
    """One bit per row of the table."""
    evidence: Float[Array, "predictors m"]
    """Logarithm of how much likelier results are made than by chance."""
    memory: Memory
    residuals: Residuals | None
    """Of the first predictor, where means are corrected."""


@functools.cache
def transfer(draws: int, one_by_one: bool = False, learning: Learning = AS_LEARNT) -> Searcher:
    """Proposes from several sources and learns in the run whom to trust.

    Args:
        draws: lists per source and task.
        one_by_one: for schedules that ask for one configuration, and tell one result, at a time.
        learning: what is learnt, see there.
    """
    prepare = functools.partial(prepared_sources, draws, learning)
    if one_by_one:
        return Searcher(
            prepare, _init, _propose_one_by_one, ignore, LANES,
            suggest_up_to=_one_by_one_up_to, learn=_learn, numbered=True,
        )  # fmt: skip
    return Searcher(
        prepare, _init, _propose, ignore, LANES_OF_BRACKETS,
        suggest_up_to=_propose_up_to, tags=("lists",), learn=_learn, numbered=True,
    )  # fmt: skip


@functools.cache
def transfer_policy(draws: int, learning: Learning = AS_LEARNT) -> Policy:
    """``transfer`` for workers that ask one by one, at the highest fidelity alone."""
    searcher = transfer(draws, True, learning)

    def propose(
        context: Sources, task: Int[Array, ""], state: TransferState, moment: Moment
    ) -> tuple[TransferState, Job]:
        del moment
        state, row, valid = searcher.suggest(context, task, state, 1)
        return state, Job(row[0], jnp.int32(0), jnp.int32(-1), valid[0])

    return Policy(searcher.prepare, searcher.init, propose, _learn, lanes_per_batch=LANES, numbered=True)


def _init(context: Sources, task: Int[Array, ""], key: Key, run: Int[Array, ""] | int = 0) -> TransferState:
    # The same permutation as random search takes: methods are paired as far as that goes.
    random = init_random(context.candidates, task, key)
    list_keys = list_order(jax.random.fold_in(key, 1), context.rows.shape[2])
    group = jnp.asarray(run % RUN_GROUPS, jnp.int32)
    seen = jnp.zeros(-(-context.num_rows // 32), jnp.uint32)
    evidence = jnp.zeros(context.predictions.shape[2:4], jnp.float32)
    shape = (LEVELS, REMEMBERED)
    costs = jnp.zeros((*shape, evidence.shape[1]), jnp.result_type(float))
    memory = Memory(jnp.full(shape, -1, jnp.int32), costs)
    own = jax.random.fold_in(key, 2)
    features = context.features
    residuals = None if features is None else no_residuals(evidence.shape[1], features.shape[1])
    return TransferState(random, list_keys, group, own, jnp.int32(0), seen, evidence, memory, residuals)


def weights(
    context: Sources, task: Int[Array, ""], evidence: Float[Array, "predictors m"]
) -> Float[Array, " sources"]:
    """Share of the proposals that each source has; the first is random rows."""
    believed = jnp.sum(context.uses * evidence[None], axis=(1, 2))
    share = jax.nn.softmax(context.log_prior[task] + believed)
    return (1 - RANDOM_SHARE) * share + RANDOM_SHARE * (jnp.arange(share.shape[0]) == 0)


def _chosen(context: Sources, task: Array, state: TransferState, count: int) -> Int[Array, " count"]:
    """A source for each of some proposals.

    Before some results compare, nothing of the run says whether the other tasks mislead, and whatever they
    praise may take longest of all. So until then proposals are random rows.
    """
    upto = jnp.cumsum(weights(context, task, state.evidence))
    key = jax.random.fold_in(state.key, state.num_used)
    draw = jax.random.uniform(key, (count,), jnp.float32)
    source = jnp.sum(upto[None, :-1] <= draw[:, None], axis=1, dtype=jnp.int32)
    compared = jnp.any(state.memory.row[:, LOOKED_AT - 1] >= 0)
    return jnp.where(compared | context.at_once, source, 0)


def _propose(
    context: Sources, task: Int[Array, ""], state: TransferState, num_suggestions: int
) -> tuple[TransferState, Array, Array]:
    return _propose_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))


def _propose_up_to(
    context: Sources, task: Int[Array, ""], state: TransferState, room: int, num_suggestions: Int[Array, ""]
) -> tuple[TransferState, Array, Array]:
    """Each source's next list gives its first unseen rows to the places that took the source."""
    wanted = jnp.arange(room) < num_suggestions
    source = jnp.where(wanted, _chosen(context, task, state, room), 0)
    number = _next_list(context, state)

    def from_list(source_number: Array, carry: tuple) -> tuple:
        seen, row = carry
        mine = source == source_number
        listed = context.rows[task, source_number - 1, number]
        first = _first(context, task, state.residuals, source_number, listed, seen, jnp.sum(mine), room)
        own = jnp.where(mine, first[jnp.maximum(jnp.cumsum(mine) - 1, 0)], -1)
        return marked(seen, own), jnp.where(mine, own, row)

    nothing = (state.seen, jnp.full(room, -1, jnp.int32))
    seen, row = jax.lax.fori_loop(1, context.uses.shape[0], from_list, nothing)
    state = state._replace(seen=seen, num_used=state.num_used + (num_suggestions > 0))
    return _filled(context, task, state, row, num_suggestions)


def _first(
    context: Sources,
    task: Array,
    residuals: Residuals | None,
    source: Int[Array, ""],
    listed: Int[Array, " length"],
    seen: UInt32[Array, " words"],
    count: Int[Array, ""],
    room: int,
) -> Int[Array, " room"]:
    """The rows that a source's list has for a number of places: its first unseen ones. Where means are
    corrected, of twice as many those that results speak against least, if the first predictor made the
    list."""
    if residuals is None:
        return first_unseen(listed, seen, room)[0]
    rows, _ = first_unseen(listed, seen, min(CHOICE * room, listed.shape[0]))
    assert context.features is not None
    sigma = context.predictions[task, jnp.maximum(rows, 0), 0, :, 1].astype(jnp.float32)
    worse = shift(residuals, context.features[jnp.maximum(rows, 0)], sigma)
    worse = jnp.where(jnp.any(context.uses[source, 0]), worse, 0)
    looked_at = (jnp.arange(rows.shape[0]) < CHOICE * count) & (rows >= 0)
    order = jnp.argsort(jnp.where(looked_at, worse, jnp.inf), stable=True)
    missing = max(0, room - rows.shape[0])
    return jnp.pad(rows[order], (0, missing), constant_values=-1)[:room]


def _next_list(context: Sources, state: TransferState) -> Int[Array, ""]:
    return next_list(state.list_keys, state.group, state.num_used, context.rows.shape[2])


def _filled(
    context: Sources,
    task: Array,
    state: TransferState,
    row: Int[Array, " room"],
    num_suggestions: Int[Array, ""],
) -> tuple[TransferState, Array, Array]:
    """Random rows in the places that no list has filled, which stay where they are."""
    found = row >= 0
    missing = num_suggestions - jnp.sum(found, dtype=jnp.int32)
    none = jnp.full_like(row, -1)
    state, random, there = filled_up(context.candidates, task, state, none, jnp.int32(0), missing)
    place = jnp.maximum(jnp.cumsum(~found) - 1, 0)
    return state, jnp.where(found, row, random[place]), found | there[place]


def _propose_one_by_one(
    context: Sources, task: Int[Array, ""], state: TransferState, num_suggestions: int
) -> tuple[TransferState, Array, Array]:
    return _one_by_one_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))


def _one_by_one_up_to(
    context: Sources, task: Int[Array, ""], state: TransferState, room: int, num_suggestions: Int[Array, ""]
) -> tuple[TransferState, Array, Array]:
    """Each suggestion from a list of its own."""
    if room == 1:
        return _single(context, task, state, num_suggestions > 0)

    def single(state: TransferState) -> tuple[TransferState, Array, Array]:
        return _single(context, task, state, jnp.bool_(True))

    return one_at_a_time(single, state, room, num_suggestions)


def _single(
    context: Sources, task: Array, state: TransferState, wanted: Bool[Array, ""]
) -> tuple[TransferState, Array, Array]:
    source = _chosen(context, task, state, 1)[0]
    listed = context.rows[task, jnp.maximum(source - 1, 0), _next_list(context, state)]
    row = _first(context, task, state.residuals, source, listed, state.seen, jnp.int32(1), 1)
    row = jnp.where(wanted & (source > 0), row, -1)
    state = state._replace(seen=marked(state.seen, row), num_used=state.num_used + wanted)
    found = jnp.sum(row >= 0, dtype=jnp.int32)
    return filled_up(context.candidates, task, state, row, found, wanted.astype(jnp.int32))


def foretold(
    costs: Float[Array, " m"],
    others: Float[Array, "k m"],
    predicted: Float[Array, "predictors m 2"],
    predicted_others: Float[Array, "k predictors m 2"],
) -> Float[Array, "k predictors m"]:
    """How much likelier than a coin's each predictor makes which of two results is better; logarithms.

    Nothing was foretold of equal results.

    Args:
        costs: of a result.
        others: of some others at the same fidelity.
        predicted: mean and deviation of each objective; independent from row to row.
        predicted_others: the same for the others.
    """
    better = _better(costs, others)
    distance = predicted_others[..., 0] - predicted[None, ..., 0]
    variance = predicted_others[..., 1] ** 2 + predicted[None, ..., 1] ** 2
    return _log_gain(LOGISTIC * better[:, None] * distance * jax.lax.rsqrt(variance))


def _better(costs: Float[Array, " m"], others: Float[Array, "k m"]) -> Float[Array, "k m"]:
    """1 where a result is better than another, -1 where it is worse, 0 where they are equal."""
    return (others > costs[None]).astype(jnp.float32) - (others < costs[None])


def _log_gain(x: Float[Array, "*k"]) -> Float[Array, "*k"]:
    """``log(2 / (1 + exp(-x)))``, to 2e-6, as a processor adds and multiplies many numbers at once.

    With t = tanh(|x| / 2) it is ``log(1 + t) + min(x, 0)``, and the logarithm the series of twice the
    artanh of t / (2 + t), which is at most a third. The library's exp and log take a number at a time.
    """
    t = jnp.tanh(jnp.abs(x) / 2)
    u = t / (2 + t)
    square, series = u * u, jnp.zeros_like(u)
    for power in (11, 9, 7, 5, 3, 1):
        series = 1 / power + square * series
    return (2 * u * series + jnp.minimum(x, 0)).astype(jnp.float32)


def _learn(context: Sources, task: Int[Array, ""], state: TransferState, result: Result) -> TransferState:
    """A result is compared with the last ones at its fidelity, and remembered."""
    memory, level, valid = state.memory, jnp.minimum(result.level, LEVELS - 1), result.valid
    past, past_costs = memory.row[level], memory.costs[level]
    predicted = _predictions(context, task, jnp.concatenate([result.row[None], jnp.maximum(past, 0)]))
    found = foretold(result.costs, past_costs, predicted[0], predicted[1:])
    there = (past >= 0) & valid
    gain = jnp.sum(jnp.where(there[:, None, None], found, 0), axis=0) / jnp.maximum(jnp.sum(there), 1)
    rows = jnp.concatenate([result.row[None], past[:-1]])
    costs = jnp.concatenate([result.costs[None], past_costs[:-1]])
    memory = Memory(
        memory.row.at[level].set(jnp.where(valid, rows, past)),
        memory.costs.at[level].set(jnp.where(valid, costs, past_costs)),
    )
    kept = jnp.where(valid, FORGETTING, 1).astype(jnp.float32)
    evidence = (kept * state.evidence + TEMPER * gain).astype(jnp.float32)
    state = state._replace(evidence=evidence, memory=memory)
    if context.features is None or state.residuals is None:
        return state
    row = jnp.concatenate([result.row[None], jnp.maximum(past, 0)])
    first, features = predicted[:, 0], context.features[row]
    pairs = Pairs(
        _better(result.costs, past_costs),
        first[1:, :, 0] - first[0, :, 0],
        jnp.sqrt(first[1:, :, 1] ** 2 + first[0, :, 1] ** 2),
        features[1:] - features[0],
        there,
    )
    return state._replace(residuals=updated(state.residuals, pairs))


def _predictions(context: Sources, task: Array, row: Int[Array, " n"]) -> Float[Array, "n predictors m 2"]:
    """Mean and deviation that predictors had for some rows."""
    return context.predictions[task, row].astype(jnp.float32)
