"""BULK & CUT's policy on a table: models grow while they gain, then shrink while they keep what they have."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from mohb_jax.benchmarks.before_training import known_costs, size_columns
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.dominance import dominance_matrix
from mohb_jax.kernels.expected_improvement import INDIFFERENCE
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.nearest_rows import STEPS, Rows, nearest_unseen, prepare_rows
from mohb_jax.searchers.seen_rows import Pool, filled_up, marked, new_pool
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

GROWS_FROM, SHRINKS_FROM = 0.35, 0.75
"""Shares of a run at which bulk-up and slim-down begin."""
FIRST_FRONT_SHARE = 0.85
"""Parents that come from the first front; the others come from the second."""
SIZE_STEP = 0.1
"""Share of its range by which a size that has no levels grows, and by which every size shrinks."""
CONFIDENCE = 2.5
"""Deviations below the mean at which a learning rate is judged."""
LEARNING_RATES = 65
"""Values of the learning rate that are compared, equally spaced."""
FEWEST_RESULTS = 3
"""Results at a fidelity from which on the process chooses learning rates there; until then the parent's is
taken."""
CAPACITY = 128
"""Results that a lane keeps. When there are more, the oldest outside the two fronts gives way, or the oldest
of all."""
MOST_CONDITIONED = 64
"""Results that the process goes by: the newest at the fidelity of the child."""
CUT, FULL = 0, 1
"""Levels of the ladder."""

_PROTECTED = np.iinfo(np.int32).max // 2


class Knowledge(NamedTuple):
    """What lanes know before they start.

    Attributes:
        rows: of the table.
        size: how large each row's model is, in steps as the coordinates of ``rows``.
    """

    rows: Rows
    size: Int32[Array, "tasks rows sizes"]


class Results(NamedTuple):
    """A lane: what it has seen, and results in places of a buffer."""

    pool: Pool
    key: Key
    row: Int[jax.Array, " places"]
    costs: Float[jax.Array, "places m"]
    level: Int[jax.Array, " places"]
    age: Int[jax.Array, " places"]
    """Number of the result; -1 in an empty place."""
    front: Int[Array, " places"]
    """0 and 1 on the first and the second front of results at the highest fidelity, else 2."""
    was_cut: Bool[jax.Array, " places"]
    """Whether the row was the parent of a smaller one."""
    num_results: Int[jax.Array, ""]
    """Those that did not fail."""


class Sizes(NamedTuple):
    """What a table says of sizes and learning rates; static.

    Attributes:
        columns: those that say how large a model is; if there are none, ``objective`` does.
        objective: one that is known without training.
        learning_rate: the column whose value a process chooses, or None.
    """

    columns: tuple[int, ...]
    objective: int
    learning_rate: int | None


def sizes_of(table: AnyTable, known: tuple[int, ...]) -> Sizes:
    """Size columns and learning rate of a table.

    The learning rate is the column of that name, or else the first logarithmic one that is no size.

    Args:
        table: any.
        known: objectives that are known without training; the first one is the size if no column is.
    """
    columns = size_columns(table)
    numbers = [
        i for i, column in enumerate(table.columns) if column.kind != "categorical" and i not in columns
    ]
    named = [i for i in numbers if table.columns[i].name == "learning_rate"]
    logarithmic = [i for i in numbers if table.columns[i].kind == "log"]
    return Sizes(columns, known[0] if known else -1, next(iter(named + logarithmic), None))


@functools.cache
def bulk_and_cut(num_objectives: int, sizes: Sizes) -> Policy:
    """The policy of BULK & CUT: which models grow, which shrink, and with which learning rate.

    For the first 35 % of a run (seconds or evaluations) rows are random. Then bulk-up, until 75 %: a parent
    on the first front (0.85) or the second, with odds (worst - error)^2 of the first objective, gets one
    larger: one size column a level up (without levels, a tenth of the range), the others and all else as they
    are. Then slim-down: a parent on the same fronts, uniformly, those that were not cut first, gets every
    size smaller by a tenth of the range, and is evaluated at the fidelity closest to a third of the highest.
    The child is the nearest unseen row of which no size went the wrong way and one the right way; if there is
    none, or no parent, a random row is evaluated at the highest fidelity. Fronts hold results at the highest
    fidelity alone. Without size columns, a known objective is the size; with one fidelity, slim-down trains
    in full, too.

    The child's learning rate is where a Gaussian process on (learning rate, mean size) has its lowest mean -
    2.5 deviations, for the first objective at the fidelity of the child.

    What a table cannot express: weights that are inherited, distillation, and with them the benefit of
    starting from a parent: a table's entry is a training from scratch. Other departures: random rows keep
    their own learning rate; the process has the hyperparameters at which their priors are highest, since a
    search for each child would take most of a run; in slim-down it goes by the first objective, not by the
    training loss, and is not confined to small rates; equal results do not eliminate one another, as they do
    in the published code; all objectives of the table make the fronts. Models that were cut are no parents.

    Args:
        num_objectives: of the table.
        sizes: which columns or objective say how large a model is.

    References:
        Guerrero-Viu et al., "Bag of baselines for multi-objective joint neural architecture search and
        hyperparameter optimization", 2021 (BULK & CUT).
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        del seed, prior
        rows = prepare_rows(table, tasks)
        return Knowledge(rows, jnp.asarray(_sizes(table, tasks, rows, sizes)))

    def init(context: Knowledge, task: Int[Array, ""], key: Key) -> Results:
        nothing = jnp.zeros(CAPACITY, jnp.int32)
        return Results(
            pool=new_pool(context.rows.candidates, task, key, context.rows.num_rows),
            key=jax.random.fold_in(key, 1),
            row=nothing,
            costs=jnp.full((CAPACITY, num_objectives), jnp.inf, jnp.result_type(float)),
            level=nothing,
            age=nothing - 1,
            front=nothing + 2,
            was_cut=nothing > 0,
            num_results=jnp.int32(0),
        )

    def propose(
        context: Knowledge, task: Int[Array, ""], state: Results, moment: Moment
    ) -> tuple[Results, Job]:
        key = jax.random.fold_in(state.key, moment.num_launched)
        shrinks = moment.progress >= SHRINKS_FROM
        parent, has_parent = chosen_parent(key, context.size[task], state, shrinks)
        size = moved_size(key, context, sizes, context.size[task, state.row[parent]], shrinks)
        point = child_point(key, context, task, state, parent, size, sizes, shrinks)
        allowed = has_moved(context.size[task], state.row[parent], shrinks)
        row, found = nearest_unseen(context.rows, task, state.pool.seen, point, allowed)
        found = found & has_parent & (moment.progress >= GROWS_FROM)
        pool, row, valid = _or_random(context.rows, task, state.pool, row, found)
        was_cut = state.was_cut.at[parent].set(state.was_cut[parent] | (found & shrinks))
        job = Job(row, jnp.where(found & shrinks, CUT, FULL), jnp.int32(-1), valid)
        return tree_where(valid, state._replace(pool=pool, was_cut=was_cut), state), job

    def observe(context: Knowledge, task: Int[Array, ""], state: Results, result: Result) -> Results:
        del context, task
        return with_result(state, result)

    return Policy(prepare, init, propose, observe, has_phases=True)


def _sizes(
    table: AnyTable, tasks: tuple[int, ...], rows: Rows, sizes: Sizes
) -> Int32[np.ndarray, "tasks rows sizes"]:
    if sizes.columns:
        codes = np.asarray(rows.codes)[list(sizes.columns)].T
        return np.broadcast_to(codes, (len(tasks), *codes.shape)).astype(np.int32)
    known = [_known_size(table, task, sizes.objective) for task in tasks]
    return np.stack(known)[:, :, None]


def _known_size(table: AnyTable, task: int, objective: int) -> Int32[np.ndarray, " rows"]:
    """Sizes from a known objective: what place its value takes among all distinct ones, as steps from 0 to
    ``STEPS``."""
    distinct, place = np.unique(known_costs(table, task, [objective])[:, 0], return_inverse=True)
    return np.round(place * STEPS / max(len(distinct) - 1, 1)).astype(np.int32)


def _or_random(
    rows: Rows, task: Int[Array, ""], pool: Pool, row: Int[Array, ""], found: Bool[Array, ""]
) -> tuple[Pool, Int[Array, ""], Bool[Array, ""]]:
    """A row that was found, or a random unseen one; it is then seen."""
    given = jnp.where(found, row, -1)[None]
    pool = pool._replace(seen=marked(pool.seen, given))
    pool, row, valid = filled_up(rows.candidates, task, pool, given, found.astype(jnp.int32))
    return pool, row[0], valid[0]


@jax.jit
def chosen_parent(
    key: Key, size: Int32[Array, "rows sizes"], state: Results, shrinks: Bool[Array, ""]
) -> tuple[Int[Array, ""], Bool[Array, ""]]:
    """Place of a parent, and whether there is any; a front without one gives way to the other."""
    front_key, draw_key = jax.random.split(jax.random.fold_in(key, 0))
    own = size[state.row]
    may_grow, may_shrink = jnp.any(own < jnp.max(size, axis=0), 1), jnp.any(own > jnp.min(size, axis=0), 1)
    may_move = jnp.where(shrinks, may_shrink, may_grow)
    first, second = ((state.front == front) & may_move for front in (0, 1))
    from_first = jax.random.uniform(front_key) < FIRST_FRONT_SHARE
    from_first = jnp.where(from_first, jnp.any(first), ~jnp.any(second))
    among = jnp.where(from_first, first, second)
    fresh = among & ~state.was_cut
    among = jnp.where(shrinks & jnp.any(fresh), fresh, among)
    weight = jnp.where(shrinks, 1.0, growth_weights(state))
    # The largest of log(u) / weight falls on each place with odds of its weight.
    weight = jnp.where(jnp.any(among & (weight > 0)), weight, 1.0)
    chance = jnp.log(jax.random.uniform(draw_key, among.shape, minval=1e-12))
    chance = jnp.where(weight > 0, chance / jnp.where(weight > 0, weight, 1), -jnp.inf)
    return jnp.argmax(jnp.where(among, jnp.maximum(chance, -1e300), -jnp.inf)), jnp.any(among)


@jax.jit
def two_fronts(costs: Float[Array, "n m"], valid: Bool[Array, " n"]) -> Int[Array, " n"]:
    """0 for rows that none dominates, 1 for those that only the first front dominates, 2 for all others."""
    dominates = dominance_matrix(jnp.where(valid[:, None], costs, 0), valid)
    first = valid & ~jnp.any(dominates, axis=0)
    second = valid & ~first & ~jnp.any(dominates & ~first[:, None], axis=0)
    return jnp.where(first, 0, jnp.where(second, 1, 2)).astype(jnp.int32)


@jax.jit
def growth_weights(state: Results) -> Float[Array, " places"]:
    """(worst - error)^2 of the first objective, as a share of the greatest; for results at the highest
    fidelity, among which the worst stands for a model that guesses."""
    is_full = (state.age >= 0) & (state.level == FULL)
    error = state.costs[:, 0]
    worst = jnp.max(jnp.where(is_full, error, -jnp.inf))
    best = jnp.min(jnp.where(is_full, error, jnp.inf))
    gain = jnp.where(is_full, worst - jnp.where(is_full, error, 0), 0)
    return (gain / jnp.where(worst > best, worst - best, 1)) ** 2


def moved_size(
    key: Key, context: Knowledge, sizes: Sizes, size: Int32[Array, " sizes"], shrinks: Bool[Array, ""]
) -> Float[Array, " sizes"]:
    """Sizes that a child should have, in [0, 1]: one a step up, or all a step down."""
    num_levels = np.array([context.rows.num_levels[column] for column in sizes.columns] or [0])
    step = np.where(num_levels > 1, 1 / np.maximum(num_levels - 1, 1), SIZE_STEP)
    chance = jax.random.uniform(jax.random.fold_in(key, 1), size.shape)
    column = jnp.argmax(jnp.where(size < STEPS, chance, -1))
    up = jnp.where(jnp.arange(len(size)) == column, step, 0)
    return jnp.clip(size / STEPS + jnp.where(shrinks, -SIZE_STEP, up), 0, 1)


def child_point(
    key: Key,
    context: Knowledge,
    task: Int[Array, ""],
    state: Results,
    parent: Int[Array, ""],
    size: Float[Array, " sizes"],
    sizes: Sizes,
    shrinks: Bool[Array, ""],
) -> Float[Array, " columns"]:
    """The parent's point with other sizes, and with the learning rate that suits them."""
    point = jnp.asarray(context.rows.point(state.row[parent]))
    if sizes.columns:
        point = point.at[np.array(sizes.columns)].set(size)
    if sizes.learning_rate is None:
        return point
    level = jnp.where(shrinks, CUT, FULL)
    age = jnp.where(state.level == level, state.age, -1)
    newest = jax.lax.top_k(age, MOST_CONDITIONED)[1]
    rate = context.rows.point(state.row[newest])[:, sizes.learning_rate]
    mean_size = jnp.mean(context.size[task, state.row[newest]], axis=1) / STEPS
    best = best_learning_rate(
        jax.random.fold_in(key, 2),
        jnp.stack([rate, mean_size], axis=1),
        state.costs[newest, 0],
        age[newest] >= 0,
        jnp.mean(size),
    )
    enough = jnp.sum(age >= 0) >= FEWEST_RESULTS
    return point.at[sizes.learning_rate].set(jnp.where(enough, best, point[sizes.learning_rate]))


@jax.jit
def best_learning_rate(
    key: Key,
    tried: Float[Array, "n 2"],
    values: Float[Array, " n"],
    valid: Bool[Array, " n"],
    size: Float[Array, ""],
) -> Float[Array, ""]:
    """The learning rate of the lowest confidence bound at a size, in [0, 1].

    Args:
        key: decides between rates that are equally good.
        tried: learning rate and size of results.
        values: of the first objective.
        valid: False marks padding.
        size: of the child.
    """
    values = jnp.where(valid, values, 0)
    process = gp.condition(gp.prior_mode(2, tried.dtype), tried, values, valid)
    rates = jnp.linspace(0, 1, LEARNING_RATES)
    mean, variance = gp.predict(process, jnp.stack([rates, jnp.full_like(rates, size)], axis=1))
    bound = (mean - process.offset) / process.deviation - CONFIDENCE * jnp.sqrt(variance) / process.deviation
    return rates[jnp.argmin(bound + INDIFFERENCE * jax.random.uniform(key, rates.shape))]


@jax.jit
def has_moved(
    size: Int32[Array, "rows sizes"], parent: Int[Array, ""], shrinks: Bool[Array, ""]
) -> Bool[Array, " rows"]:
    """Rows of which no size went the wrong way from the parent's, and at least one went the right way."""
    change = jnp.where(shrinks, size[parent] - size, size - size[parent])
    return jnp.all(change >= 0, axis=1) & jnp.any(change > 0, axis=1)


@jax.jit
def with_result(state: Results, result: Result) -> Results:
    """The lane after a result; a failed one leaves it as it is."""
    enters = result.valid & jnp.all(jnp.isfinite(result.costs))
    place = jnp.argmin(state.age + _PROTECTED * (state.front < 2))
    place = jnp.where(enters, place, CAPACITY)
    level = state.level.at[place].set(result.level, mode="drop")
    costs = state.costs.at[place].set(result.costs, mode="drop")
    age = state.age.at[place].set(state.num_results, mode="drop")
    return state._replace(
        row=state.row.at[place].set(result.row, mode="drop"),
        costs=costs,
        level=level,
        age=age,
        front=two_fronts(costs, (age >= 0) & (level == FULL)),
        was_cut=state.was_cut.at[place].set(False, mode="drop"),
        num_results=state.num_results + enters,
    )
