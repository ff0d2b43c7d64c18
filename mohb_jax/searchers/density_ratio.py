"""What BOHB and MO-BOHB share: proposals from densities of good and of bad configurations.

Both divide the results of one fidelity into good and bad ones, estimate a density of either kind, and propose
what is likely among the good and unlikely among the bad. On a table the proposal is answered with the nearest
unseen row. They differ in how results are divided and in the densities (``mohb_jax.surrogates.parzen``).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Int32, UInt32

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.searchers.base import Searcher, Seen, State
from mohb_jax.searchers.lane_batches import in_batches
from mohb_jax.searchers.nearest_rows import Rows, nearest_unseen, prepare_rows
from mohb_jax.searchers.seen_rows import Pool, filled_up, marked, new_pool
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

CAPACITY = 256
"""Results that a lane keeps. Beyond it those at the lowest fidelity give way first, the oldest of them
first."""
INDIFFERENCE = 1e-6
"""Differences in the logarithm of the ratio of densities that do not count: chance decides. Draws can be
exactly as promising as one another, and rounding may not choose."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows"],
    meta_fields=["num_fidelities", "num_objectives", "num_choices"],
)
@dataclasses.dataclass(frozen=True)
class Space:
    """What lanes know before they start.

    Attributes:
        rows: of the table.
        num_fidelities: that results may come from.
        num_objectives: of a result.
        num_choices: of each column: the levels of a categorical one, 0 for others.
    """

    rows: Rows
    num_fidelities: int
    num_objectives: int
    num_choices: tuple[int, ...]


class DensityState(NamedTuple):
    """What a lane has observed, the oldest first, with padding after it: level -1."""

    pool: Pool
    key: Key
    row: Int32[Array, " capacity"]
    level: Int32[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    """Infinite in every objective where the evaluation failed."""


class Sizes(NamedTuple):
    """Of the parts into which results of one fidelity are divided."""

    good: Int[Array, "*levels"]
    bad: Int[Array, "*levels"]
    enough: Bool[Array, "*levels"]
    """Whether there are enough results, and enough good ones that did not fail."""


class Rule(NamedTuple):
    """What sets the two methods apart."""

    sizes: Callable[[Array, Array, int], Sizes]
    """Of all results at a fidelity, those that did not fail, and the number of columns."""
    fit: Callable[[Space, DensityState, Array, Sizes], Any]
    """A model of the results that a mask marks."""
    num_shares: Callable[[Space], tuple[int, ...]]
    """How many uniform numbers a proposal takes, as a shape."""
    propose: Callable[[Space, Any, Array], Array]
    """A point that the model likes, from these numbers."""
    random_share: float


class Pair(NamedTuple):
    """Densities of good and of bad results."""

    good: Any
    bad: Any


def density_searcher(rule: Rule, capacity: int, num_objectives: int | None) -> Searcher:
    """A searcher that learns from the first ``num_objectives`` objectives, or from all."""

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Space:
        del seed, prior
        rows = prepare_rows(table, tasks)
        choices = zip(rows.num_levels, rows.is_categorical, strict=True)
        return Space(
            rows=rows,
            num_fidelities=table.num_fidelities,
            num_objectives=num_objectives or table.num_objectives,
            num_choices=tuple(levels if is_categorical else 0 for levels, is_categorical in choices),
        )

    def init(context: Space, task: Int[Array, ""], key: Key) -> DensityState:
        return DensityState(
            pool=new_pool(context.rows.candidates, task, key, context.rows.num_rows),
            key=jax.random.fold_in(key, 2),
            row=jnp.zeros(capacity, jnp.int32),
            level=jnp.full(capacity, -1, jnp.int32),
            costs=jnp.full((capacity, context.num_objectives), jnp.inf, jnp.result_type(float)),
        )

    def suggest(context: Space, task: Array, state: DensityState, num_suggestions: int) -> tuple:
        return suggest_up_to(context, task, state, num_suggestions, jnp.int32(num_suggestions))

    def suggest_up_to(
        context: Space, task: Array, state: DensityState, room: int, num_suggestions: Array
    ) -> tuple:
        cells = max(context.rows.num_rows, capacity**2)
        propose = functools.partial(_suggest, rule, room)
        return in_batches(cells, propose, num_suggestions, context, task, state)

    return Searcher(prepare, init, suggest, observe, suggest_up_to=suggest_up_to)


@jax.jit
def observe(state: State, seen: Seen) -> State:
    """Appends the results of a rung; beyond the capacity the lowest level gives way, the oldest first.

    A state is a NamedTuple with ``row``, ``level`` and ``costs`` of ``DensityState`` among its fields.
    """
    capacity, num_objectives = state.costs.shape
    row = jnp.concatenate([state.row, seen.row.astype(jnp.int32)])
    level = jnp.concatenate([state.level, jnp.where(seen.valid, seen.level, -1).astype(jnp.int32)])
    costs = jnp.concatenate([state.costs, seen.costs[:, :num_objectives].astype(state.costs.dtype)])
    place = jnp.arange(level.shape[0], dtype=jnp.int32)
    kept = jax.lax.top_k(level * level.shape[0] + place, capacity)[1]
    kept = kept[jnp.argsort(jnp.where(level[kept] < 0, level.shape[0], kept))]
    return state._replace(row=row[kept], level=level[kept], costs=costs[kept])


@functools.partial(jax.jit, static_argnames=("rule", "room"))
def _suggest(
    rule: Rule,
    room: int,
    num_suggestions: Int[Array, ""],
    context: Space,
    task: Int[Array, ""],
    state: DensityState,
) -> tuple[DensityState, Array, Array]:
    """Proposals of the model, if there is one, and random ones, in random order."""
    carried_key, random_key, propose_key = jax.random.split(state.key, 3)
    sizes, model_level = level_with_model(rule, context, state)
    # The first of these numbers, and of the shares below, are the same, whatever the room.
    is_random = jax.random.uniform(random_key, (room,)) < rule.random_share
    is_random = is_random | ~sizes.enough
    is_wanted = jnp.arange(room) < num_suggestions
    model = rule.fit(context, state, state.level == model_level, sizes)
    share = _uniform(propose_key, (room, *rule.num_shares(context)))
    propose = functools.partial(rule.propose, context, model)
    num_proposed = jnp.sum(~is_random & is_wanted)
    seen, row, num_found = _propose_all(context, task, state.pool.seen, propose, share, num_proposed)
    pool = state.pool._replace(seen=seen)
    pool, row, valid = filled_up(context.rows.candidates, task, pool, row, num_found, num_suggestions)
    # The model's rows come first so far, and are given the places that are not random; the end of the table
    # leaves no hole.
    place = jnp.argsort(is_random + 2 * ~is_wanted, stable=True)
    order = jnp.argsort(jnp.where(valid, place, room + place))
    return state._replace(pool=pool, key=carried_key), row[order], valid[order]


def _uniform(key: Key, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform numbers, drawn as a vector, which compiles four times as fast."""
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)


@functools.partial(jax.jit, static_argnames="rule")
def level_with_model(rule: Rule, context: Space, state: DensityState) -> tuple[Sizes, Int[Array, ""]]:
    """The highest level with enough results, and how these are divided; without any, not ``enough``."""
    level = jnp.arange(context.num_fidelities)
    at_level = state.level[None] == level[:, None]
    finite = jnp.all(jnp.isfinite(state.costs), axis=1)
    num_results = jnp.sum(at_level, axis=1)
    sizes = rule.sizes(num_results, jnp.sum(at_level & finite[None], axis=1), context.rows.num_columns)
    highest = jnp.max(jnp.where(sizes.enough, level, 0))
    return jax.tree.map(lambda size: size[highest], sizes), highest


def _propose_all(
    context: Space,
    task: Int[Array, ""],
    seen: UInt32[Array, " words"],
    propose: Callable[[Array], Array],
    share: Float[Array, "k ..."],
    num_wanted: Int[Array, ""],
) -> tuple[Array, Array, Array]:
    """Rows of the model, one after another: bits of those seen, rows (-1 after the last), and how many."""

    def step(number: Array, carry: tuple) -> tuple:
        seen, row, num_found = carry
        nearest, found = nearest_unseen(context.rows, task, seen, propose(share[number]))
        nearest = jnp.where(found, nearest, -1)
        return marked(seen, nearest[None]), row.at[number].set(nearest), num_found + found

    start = (seen, jnp.full(share.shape[0], -1, jnp.int32), jnp.int32(0))
    return jax.lax.fori_loop(0, num_wanted, step, start)


@jax.jit
def best_draw(
    score: Float[Array, "*columns draws"], share: Float[Array, "*columns draws"]
) -> Int[Array, "*columns"]:
    """Where the score is greatest; chance decides between those that are as good as equal."""
    return jnp.argmax(score + INDIFFERENCE * share, axis=-1)
