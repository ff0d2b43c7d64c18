"""Proposals that a surrogate picks out of a pool of random unseen rows, after SMASHY."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.dominance import dominance_matrix
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.column_densities import densities, log_density
from mohb_jax.searchers.density_ratio import CAPACITY as MOST_RESULTS
from mohb_jax.searchers.density_ratio import INDIFFERENCE, observe
from mohb_jax.searchers.mo_bohb import GOOD_DIVISOR, good_and_bad
from mohb_jax.searchers.nearest_rows import STEPS, Rows, prepare_rows
from mohb_jax.searchers.prepared_lists import list_order, next_list
from mohb_jax.searchers.random import random_places
from mohb_jax.searchers.seen_rows import Pool, filled_up, is_marked, marked, new_pool
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.transfer import Prior
from mohb_jax.types import RUN_GROUPS, Array, Key

CAPACITY = MOST_RESULTS // 2
"""Results that a lane keeps; the lowest fidelity gives way first, the oldest first."""
POOL = 256
"""Random rows from which a bracket's proposals are picked."""
LEAST_RESULTS = 8
"""Results at a fidelity before it is asked."""
CANDIDATE_STRIDE = 1 << 20
"""Run numbers of one candidate, see ``Numbers``."""
NEIGHBOURS = {"knn1": 1, "knn7": 7}
"""How many neighbours predict."""
SURROGATES = (*NEIGHBOURS, "density")
ALGORITHMS = ("progressive", "tournament")
_LAST = np.iinfo(np.int32).max


class Numbers(NamedTuple):
    """What decides how hard is filtered: numbers that no program is compiled for.

    Runs of one study may differ in them: run r has the numbers at place ``r // CANDIDATE_STRIDE``, or the
    last ones.

    Attributes:
        factor_first: rows to choose from for each row wanted, at the first pick of a bracket.
        factor_last: the same at the last pick; in between it changes by equal factors.
        random_share: share of a bracket's rows that are taken at random instead.
        per_tournament: rows taken of each tournament.
    """

    factor_first: Float[np.ndarray, "*candidates"]
    factor_last: Float[np.ndarray, "*candidates"]
    random_share: Float[np.ndarray, "*candidates"]
    per_tournament: Int[np.ndarray, "*candidates"]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows", "numbers", "lists"],
    meta_fields=["num_fidelities", "num_objectives"],
)
@dataclasses.dataclass(frozen=True)
class Filter:
    """What lanes know before they start.

    Attributes:
        rows: of the table.
        numbers: of each candidate, one unless several are tried side by side.
        lists: of the transfer prior, which are the pools; None where pools are random.
        num_fidelities: that results may come from.
        num_objectives: of a result.
    """

    rows: Rows
    numbers: Numbers
    lists: Int32[Array, "tasks draws pool"] | None
    num_fidelities: int
    num_objectives: int


class Place(NamedTuple):
    """Where a lane is in the lists of the prior, see ``next_list``."""

    list_keys: UInt32[Array, " rounds"]
    group: Int[Array, ""]
    num_used: Int[Array, ""]


class FilterState(NamedTuple):
    """What a lane has observed, the oldest first, with padding after it: level -1."""

    pool: Pool
    key: Key
    numbers: Numbers
    place: Place | None
    row: Int32[Array, " capacity"]
    level: Int32[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    """Infinite in every objective where the evaluation failed."""


@functools.lru_cache(maxsize=64)
def filtered(
    surrogate: str = "knn7",
    algorithm: str = "progressive",
    factor_first: float | int = 8,
    factor_last: float | int = 8,
    random_share: float | int = 0.2,
    per_tournament: int = 1,
    lists: tuple[int, float | int] | None = None,
) -> Searcher:
    """Picks each bracket's rows by what a surrogate says of ``POOL`` unseen ones.

    Results at the highest fidelity with at least ``LEAST_RESULTS`` speak. ``knn1`` and ``knn7`` predict the
    objectives of a row as the mean of its nearest results (1 or 7, the oldest among equals; distances of
    ``nearest_rows``). ``density`` says how much likelier a row is among the good results than among the bad
    ones, which are told apart as in ``mo_bohb``. Rows that fewer others of the pool dominate, by prediction,
    come first; among equals the order of the pool.

    The pool is random. With ``lists`` it is the next of the run's lists of the transfer prior, see
    ``transfer_prior``: how many a task has, and how strong the prior is.

    Of k rows ``floor(random_share * k + u)`` are random search's next ones, u uniform. Before any fidelity
    has enough results, these are all; or, with lists, the others are the first of the list. For the other n:

    * ``progressive``: pick i takes the best of the first ``round(n * factor) - i`` rows of what is left of
      the pool.
    * ``tournament``: the pool is cut into windows of ``round(per_tournament * factor)`` rows; of each
      window the best ``per_tournament`` are taken.

    ``factor`` goes from ``factor_first`` to ``factor_last``. The pool bounds both.

    Departures from the published program: a row's front is taken by the number of rows that dominate it,
    neighbours weigh alike, no forest filters, and pools may come from a prior.

    References:
        Moosbauer et al., "Automated benchmark-driven design and explanation of hyperparameter optimizers",
        2022; Fonseca and Fleming, "Genetic algorithms for multiobjective optimization", 1993 (the rank).
    """
    own = Numbers(
        np.array([factor_first], np.float64),
        np.array([factor_last], np.float64),
        np.array([random_share], np.float64),
        np.array([per_tournament], np.int32),
    )
    functions = _functions(surrogate, algorithm)

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Filter:
        pools = None if lists is None else _pools(table, tasks, seed, prior, *lists)
        return Filter(prepare_rows(table, tasks), own, pools, table.num_fidelities, table.num_objectives)

    return functions._replace(prepare=prepare)


def _pools(
    table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None, draws: int, strength: float | int
) -> Int32[Array, "tasks draws pool"]:
    """Lists of the transfer prior as pools: -1 where one has ended."""
    rows = jnp.asarray(transfer_prior(draws, strength=strength).prepare(table, tasks, seed, prior).rows)
    short = ((0, 0), (0, 0), (0, max(0, POOL - rows.shape[2])))
    return jnp.pad(rows, short, constant_values=-1)[:, :, :POOL]


def with_candidates(context: Filter, numbers: Numbers) -> Filter:
    """The context of runs that differ in their numbers, see ``Numbers``."""
    return dataclasses.replace(context, numbers=numbers)


@functools.cache
def _functions(surrogate: str, algorithm: str) -> Searcher:
    """The functions, the same ones whatever the numbers."""

    def suggest(context: Filter, task: Array, state: FilterState, num_suggestions: int) -> tuple:
        return suggest_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))

    def suggest_up_to(
        context: Filter, task: Array, state: FilterState, room: int, num_suggestions: Array
    ) -> tuple:
        return _suggest(surrogate, algorithm, room, context, task, state, num_suggestions)

    return Searcher(
        lambda table, tasks, seed, prior: None,
        _init,
        suggest,
        observe,
        lanes_per_batch=64,
        suggest_up_to=suggest_up_to,
        tags=("lists",),
        numbered=True,
    )


def _init(context: Filter, task: Int[Array, ""], key: Key, run: Int[Array, ""] | int = 0) -> FilterState:
    place = jnp.minimum(jnp.asarray(run) // CANDIDATE_STRIDE, len(context.numbers.random_share) - 1)
    return FilterState(
        pool=new_pool(context.rows.candidates, task, key, context.rows.num_rows),
        key=jax.random.fold_in(key, 2),
        numbers=jax.tree.map(lambda numbers: jnp.asarray(numbers)[place], context.numbers),
        place=None if context.lists is None else _first_place(key, run, context.lists.shape[1]),
        row=jnp.zeros(CAPACITY, jnp.int32),
        level=jnp.full(CAPACITY, -1, jnp.int32),
        costs=jnp.full((CAPACITY, context.num_objectives), jnp.inf, jnp.result_type(float)),
    )


def _first_place(key: Key, run: Int[Array, ""] | int, draws: int) -> Place:
    group = jnp.asarray(run % RUN_GROUPS, jnp.int32)
    return Place(list_order(jax.random.fold_in(key, 1), draws), group, jnp.int32(0))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _suggest(
    surrogate: str,
    algorithm: str,
    room: int,
    context: Filter,
    task: Array,
    state: FilterState,
    num_suggestions: Array,
) -> tuple[FilterState, Array, Array]:
    """Random rows first, then those of the filter, then random ones where the pool had no more."""
    key, share_key, pool_key = jax.random.split(state.key, 3)
    level, enough = _level(context.num_fidelities, state.level)
    first_share = 1.0 if state.place is None else state.numbers.random_share
    share = jnp.where(enough, state.numbers.random_share, first_share)
    num_random = jnp.floor(share * num_suggestions + jax.random.uniform(share_key)).astype(jnp.int32)
    num_random = jnp.minimum(num_random, num_suggestions)
    candidates = context.rows.candidates
    nothing = jnp.full(room, -1, jnp.int32)
    pool, row, valid = filled_up(candidates, task, state.pool, nothing, jnp.int32(0), num_random)
    drawn, is_new, place_in_lists = _pool(context, task, state._replace(pool=pool), pool_key)
    order = _order(_predicted(surrogate, context.rows, drawn, state, level), is_new)
    order = jnp.where(enough, order, jnp.arange(POOL, dtype=jnp.int32))
    # Without results the first rows of the pool are taken: windows of one row each.
    numbers = jax.tree.map(lambda number: jnp.where(enough, number, 1).astype(number.dtype), state.numbers)
    num_filtered = jnp.where(jnp.sum(valid) < num_random, 0, num_suggestions - num_random)
    picked, num_picked = picks(algorithm, order, is_new, num_filtered, numbers, room)
    place = jnp.arange(room) - num_random
    chosen = (place >= 0) & (place < num_picked)
    row = jnp.where(chosen, drawn[picked[jnp.maximum(place, 0)]], jnp.where(valid, row, -1))
    pool = pool._replace(seen=marked(pool.seen, jnp.where(chosen, row, -1)))
    found = jnp.sum(valid, dtype=jnp.int32) + num_picked
    pool, row, valid = filled_up(candidates, task, pool, row, found, num_suggestions)
    return state._replace(pool=pool, key=key, place=place_in_lists), row, valid


def _level(num_fidelities: int, level: Int[Array, " capacity"]) -> tuple[Array, Array]:
    """The highest level with enough results, and whether there is one."""
    levels = jnp.arange(num_fidelities)
    enough = jnp.sum(level[None] == levels[:, None], axis=1) >= LEAST_RESULTS
    return jnp.max(jnp.where(enough, levels, 0)), jnp.any(enough)


def _pool(context: Filter, task: Array, state: FilterState, key: Key) -> tuple[Array, Array, Place | None]:
    """Rows of the task, which of them are unseen and there, and where the lane is in the lists then."""
    candidates, seen = context.rows.candidates, state.pool.seen
    if context.lists is not None and state.place is not None:
        own = state.place
        drawn = context.lists[task, next_list(*own, context.lists.shape[1])]
        is_new = (drawn >= 0) & ~is_marked(seen, drawn)
        return jnp.maximum(drawn, 0), is_new, own._replace(num_used=own.num_used + 1)
    num_rows = candidates.num_rows[task]
    place = random_places(key, num_rows, candidates.most, POOL)
    drawn = place if candidates.rows is None else candidates.rows[task, place]
    return drawn, (jnp.arange(POOL) < num_rows) & ~is_marked(seen, drawn), None


def _predicted(
    surrogate: str, rows: Rows, drawn: Array, state: FilterState, level: Array
) -> Float[Array, "pool k"]:
    """What a surrogate says of some rows, less is better; the level has enough results."""
    if surrogate == "density":
        return _unlikeness(rows, drawn, state, level)
    return _nearest_means(NEIGHBOURS[surrogate], rows, drawn, state, level)


def _unlikeness(rows: Rows, drawn: Array, state: FilterState, level: Array) -> Float[Array, "pool 1"]:
    """How much likelier rows are among the bad results than among the good ones, on a logarithmic scale."""
    at_level = state.level == level
    finite = jnp.sum(at_level & jnp.all(jnp.isfinite(state.costs), axis=1))
    most_good = max(1, state.row.shape[0] // GOOD_DIVISOR)
    num_good = jnp.clip(jnp.sum(at_level) // GOOD_DIVISOR, 1, jnp.maximum(finite, 1))
    good, is_bad = good_and_bad(state.costs, at_level, num_good, most_good)
    points = rows.point(state.row).T
    likely = densities(rows, points[:, good], (jnp.arange(most_good) < num_good) & (finite > 0))
    asked = rows.point(drawn).T
    score = log_density(rows, densities(rows, points, is_bad), asked) - log_density(rows, likely, asked)
    return (jnp.round(score / INDIFFERENCE) * INDIFFERENCE)[:, None]  # rounding decides nothing


def _nearest_means(
    neighbours: int, rows: Rows, drawn: Array, state: FilterState, level: Array
) -> Float[Array, "pool m"]:
    """Mean costs of the nearest results.

    Results come first in the arrays: the least of each column is found twice as fast as that of each row.
    """
    distance = _distances(rows, state.row, drawn)
    distance = jnp.where((state.level == level)[:, None], distance, _LAST)
    number = jnp.arange(state.row.shape[0], dtype=jnp.int32)[:, None]
    total: Array = jnp.zeros((drawn.shape[0], state.costs.shape[1]), state.costs.dtype)
    for _ in range(neighbours):
        least = jnp.min(distance, axis=0)
        nearest = jnp.min(jnp.where(distance == least, number, number.shape[0] - 1), axis=0)
        total = total + state.costs[nearest]
        distance = jnp.where(number == nearest, _LAST, distance)
    return total / neighbours


def _distances(rows: Rows, left: Int[Array, " n"], right: Int[Array, " k"]) -> Int32[Array, "n k"]:
    """Squared, in whole steps."""
    total: Array = jnp.zeros((left.shape[0], right.shape[0]), jnp.int32)
    for column, is_categorical in enumerate(rows.is_categorical):
        apart = rows.codes[column][left][:, None] - rows.codes[column][right][None]
        total = total + (jnp.where(apart == 0, 0, STEPS**2) if is_categorical else apart * apart)
    return total


def _order(predicted: Float[Array, "pool m"], valid: Bool[Array, " pool"]) -> Int32[Array, " pool"]:
    """Places in the order of preference as numbers that differ: the least comes first."""
    dominating = jnp.sum(dominance_matrix(predicted, valid), axis=0, dtype=jnp.int32)
    return dominating * POOL + jnp.arange(POOL, dtype=jnp.int32)


@functools.partial(jax.jit, static_argnums=(0, 5))
def picks(
    algorithm: str,
    order: Int32[Array, " pool"],
    valid: Bool[Array, " pool"],
    num_wanted: Int[Array, ""],
    numbers: Numbers,
    room: int,
) -> tuple[Int32[Array, " room"], Int32[Array, ""]]:
    """Places of a pool that a filter takes, and how many.

    Args:
        algorithm: one of ``ALGORITHMS``; static.
        order: numbers that differ, the least is the best.
        valid: which places count.
        num_wanted: at most ``room``.
        numbers: of the lane.
        room: static.
    """
    most = jnp.sum(valid, dtype=jnp.int32)
    start, end = _windows(numbers, num_wanted, most, room)
    in_pool = jnp.cumsum(valid, dtype=jnp.int32) - 1

    def pick(number: Array, carry: tuple) -> tuple:
        left, picked, count = carry
        if algorithm == "progressive":
            share = number / jnp.maximum(num_wanted - 1, 1)
            size = jnp.round(num_wanted * _factor(numbers, share)).astype(jnp.int32) - number
            allowed = left & (jnp.cumsum(left, dtype=jnp.int32) <= jnp.maximum(size, 1))
        else:
            window = number // numbers.per_tournament
            allowed = left & (in_pool >= start[window]) & (in_pool < end[window])
        best = jnp.argmin(jnp.where(allowed, order, _LAST)).astype(jnp.int32)
        found = jnp.any(allowed)
        left = left & ~((jnp.arange(left.shape[0]) == best) & found)
        return left, picked.at[jnp.where(found, count, room)].set(best, mode="drop"), count + found

    nothing = (valid, jnp.zeros(room, jnp.int32), jnp.int32(0))
    _, picked, count = jax.lax.fori_loop(0, num_wanted, pick, nothing)
    return picked, count


def _factor(numbers: Numbers, share: Array) -> Array:
    """The factor at a share of the way from the first to the last."""
    return numbers.factor_first * (numbers.factor_last / numbers.factor_first) ** share


def _windows(numbers: Numbers, num_wanted: Array, most: Array, room: int) -> tuple[Array, Array]:
    """First place and end of each tournament, which share the pool equally if it is too small for all."""
    count = -(-num_wanted // numbers.per_tournament)
    share = jnp.arange(room) / jnp.maximum(count - 1, 1)
    size = jnp.round(numbers.per_tournament * _factor(numbers, share)).astype(jnp.int32)
    least = jnp.maximum(most // jnp.maximum(count, 1), 1)
    fits = jnp.sum(jnp.where(jnp.arange(room) < count, size, 0)) <= most
    end = jnp.cumsum(jnp.where(fits, size, least))
    return end - jnp.where(fits, size, least), end
