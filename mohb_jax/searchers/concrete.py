"""Concrete relaxation on a surrogate learnt in the run: after SNAS and DARTS, as far as a table goes."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.before_training import known_costs, known_objectives, operation_columns
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.kernels.dominance import dominance_matrix
from mohb_jax.searchers import relaxation as relaxing
from mohb_jax.searchers.base import Searcher, Seen
from mohb_jax.searchers.column_levels import LevelSpace, prepare_levels
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.nearest_rows import may_be_proposed
from mohb_jax.searchers.policy_gradient import drawn_rows
from mohb_jax.searchers.relaxation import Choices, Fixed, Goal, Relaxation
from mohb_jax.searchers.seen_rows import Pool, draw, new_pool
from mohb_jax.surrogates.ensemble import EnsembleTraining, Params, fit_further, new_ensemble, predict_all
from mohb_jax.surrogates.transform import standardised_costs
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

BATCH = 10
"""Configurations between two fits, whatever the number of workers."""
CAPACITY = 128
"""Results that are kept; beyond it the oldest dominated ones give way."""
TRAINING = EnsembleTraining()
"""As in ``mo_bananas``."""
STEPS = 20
"""Of Adam on the logits, per batch."""
COLDEST = 0.03
"""The last temperature; the first is 1."""
RANDOM_SHARE = 5
"""One proposal in so many comes from equal shares."""
OPTIMISER = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(0.05, b1=0.5, b2=0.999))
"""Momenta and bound as in the published code of SNAS, a larger step for fewer of them."""
PLAIN = Relaxation()
"""Noise at all levels, no gates, and no column fixed on the way."""
ABSENT = "none"
"""The level by which a column of operations says that there is no edge."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["space", "choices", "resource", "learnt"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What lanes know before they start.

    Attributes:
        space: rows as levels.
        choices: which levels there are, and gates.
        resource: what each level adds to each known objective.
        learnt: 1 for objectives that must be learnt, 0 for known ones.
    """

    space: LevelSpace
    choices: Choices
    resource: Float[Array, "tasks known columns levels"]
    learnt: Float[Array, " m"]


class Archive(NamedTuple):
    """Results at full fidelity, the newest first among equals, and then padding."""

    row: Int[Array, " capacity"]
    costs: Float[Array, "capacity m"]
    valid: Bool[Array, " capacity"]


class ConcreteState(NamedTuple):
    """What a lane has learnt."""

    pool: Pool
    key: Key
    logits: Float[Array, "columns levels"]
    moments: Any
    fixed: Fixed
    params: Params
    archive: Archive
    num_proposed: Int[Array, ""]


@functools.cache
def concrete(declared: tuple[str, ...] | None = None, relaxation: Relaxation = PLAIN) -> Searcher:
    """Logits per column and level, moved down the gradient through a surrogate, and rows drawn from them.

    The first batch is random. From then on each batch trains five networks a little further on all results at
    full fidelity, with one input per level; takes 20 Adam steps on the logits, down the mean prediction of 16
    relaxed samples under objectives weighted at random (anew for each batch); and draws its rows, without
    replacement, by the probabilities of their levels. A fifth of the rows is drawn from equal probabilities.
    The temperature of the samples falls from 1 to 0.03. A failed result counts as the worst.

    An objective that is known without training is not learnt: the logarithm of what each column is expected
    to add to it joins the cost.

    Neither SNAS nor DARTS: both train shared weights and differentiate the loss of a mixed network, and a
    table has trained configurations alone.

    Args:
        declared: names of objectives that are known without training; None for those that count parameters
            or operations.
        relaxation: how choices are relaxed.

    References:
        Xie, Zheng, Liu, Lin, "SNAS: stochastic neural architecture search", 2019; Liu, Simonyan, Yang,
        "DARTS: differentiable architecture search", 2019; Wang et al., "Rethinking architecture selection in
        differentiable NAS", 2021.
    """

    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        del seed, prior
        space = prepare_levels(table, tasks)
        known = known_objectives(table, declared)
        learnt = [objective not in known for objective in range(table.num_objectives)]
        return Knowledge(
            space=space,
            choices=choices_of(table, space, relaxation.edges),
            resource=jnp.asarray(np.stack([_resource(table, task, space, known) for task in tasks])),
            learnt=jnp.asarray(learnt, jnp.result_type(float)),
        )

    def init(context: Knowledge, task: Int[Array, ""], key: Key) -> ConcreteState:
        rows, m = context.space.rows, context.space.num_objectives
        params_key, carried_key = jax.random.split(jax.random.fold_in(key, 1))
        logits = relaxing.first_logits(context.choices)
        return ConcreteState(
            pool=new_pool(rows.candidates, task, key, rows.num_rows),
            key=carried_key,
            logits=logits,
            moments=OPTIMISER.init(logits),
            fixed=relaxing.nothing_fixed(rows.num_columns),
            params=new_ensemble(params_key, logits.size, m, TRAINING),
            archive=Archive(
                row=jnp.zeros(CAPACITY, jnp.int32),
                costs=jnp.full((CAPACITY, m), jnp.inf, logits.dtype),
                valid=jnp.zeros(CAPACITY, bool),
            ),
            num_proposed=jnp.int32(0),
        )

    def suggest(
        context: Knowledge, task: Int[Array, ""], state: ConcreteState, num_suggestions: int
    ) -> tuple:
        rows = context.space.rows
        at_random = (state, *draw(rows.candidates, task, state.pool, num_suggestions))
        learnt = _learnt(relaxation, context, task, state, num_suggestions)
        from_logits = (learnt, *_drawn(context, task, learnt, num_suggestions))
        knows = jnp.any(state.archive.valid)
        state, pool, row, valid = tree_where(knows, from_logits, at_random)
        num_proposed = state.num_proposed + num_suggestions
        return state._replace(pool=pool, num_proposed=num_proposed), row, valid

    return Searcher(prepare, init, suggest, _observe)


def choices_of(table: AnyTable, space: LevelSpace, edges: str) -> Choices:
    """The levels of a table's columns; under ``sigmoid`` columns that name operations are gated."""
    gated = operation_columns(table) if edges == "sigmoid" else ()
    is_gated = np.array([column in gated and n > 1 for column, n in enumerate(space.num_levels)])
    is_absent = np.zeros(space.is_level.shape, bool)
    for column in np.flatnonzero(is_gated):
        names = table.columns[column].levels
        for level in range(space.num_levels[column]):
            is_absent[column, level] = names[int(space.centres[column, level])] == ABSENT
    return Choices(jnp.asarray(space.is_level), jnp.asarray(is_gated), jnp.asarray(is_absent))


def temperature_at(progress: Float[Array, ""]) -> Float[Array, ""]:
    """From 1 to ``COLDEST`` in a straight line."""
    return jnp.maximum(COLDEST, 1 - (1 - COLDEST) * progress)


def _resource(
    table: AnyTable, task: int, space: LevelSpace, known: tuple[int, ...]
) -> Float[np.ndarray, "known columns levels"]:
    values = known_costs(table, task, known).T
    levels = np.asarray(space.levels)
    parts = [relaxing.additive_costs(levels, space.num_levels, own)[0] for own in values]
    return np.asarray(parts).reshape(len(known), *space.is_level.shape)


def _learnt(
    relaxation: Relaxation, context: Knowledge, task: Int[Array, ""], state: ConcreteState, num_drawn: int
) -> ConcreteState:
    """The lane after a fit, steps of its logits, and perhaps a column that is fixed."""
    goal_key, fit_key, step_key, fix_key = jax.random.split(_key_of(state, 0), 4)
    params = _fitted(context.space, state, fit_key)
    progress = jnp.minimum(state.num_proposed / relaxation.annealing, 1)
    goal = Goal(temperature_at(progress), random_weights(goal_key, context.learnt), context.resource[task])

    def cost(logits: Array, allowed: Array, key: Key) -> Float[Array, ""]:
        predict = functools.partial(_predicted, params)
        return relaxing.expected_cost(key, logits, allowed, context.choices, goal, predict, relaxation)

    allowed = relaxing.allowed_levels(context.choices, state.fixed)
    logits, moments = relaxing.descended(
        lambda logits, key: cost(logits, allowed, key),
        state.logits,
        state.moments,
        step_key,
        OPTIMISER,
        STEPS,
    )
    state = state._replace(params=params, logits=logits, moments=moments)
    if relaxation.discretise == "none":
        return state
    now = lambda allowed: cost(logits, allowed, step_key)  # noqa: E731
    return _with_fixed(relaxation, context, task, state, fix_key, now, progress, num_drawn)


def _key_of(state: ConcreteState, part: int) -> Key:
    return jax.random.fold_in(jax.random.fold_in(state.key, state.num_proposed), part)


def _fitted(space: LevelSpace, state: ConcreteState, key: Key) -> Params:
    """The networks after further training on what was seen."""
    archive = state.archive
    levels = space.levels[:, archive.row].T
    features = jax.nn.one_hot(levels, space.most, dtype=state.logits.dtype).reshape(CAPACITY, -1)
    targets = standardised_costs(archive.costs, archive.valid)
    return fit_further(state.params, key, features, targets, archive.valid, TRAINING)


def _predicted(params: Params, samples: Float[Array, "samples columns levels"]) -> Float[Array, "samples m"]:
    return jnp.mean(predict_all(params, samples.reshape(samples.shape[0], -1)), axis=0)


def random_weights(key: Key, learnt: Float[Array, " m"]) -> Float[Array, " m"]:
    """Uniform on the simplex of the objectives that are learnt."""
    weights = learnt * jax.random.exponential(key, learnt.shape, learnt.dtype)
    return weights / jnp.maximum(jnp.sum(weights), 1e-9)


def _with_fixed(
    relaxation: Relaxation,
    context: Knowledge,
    task: Int[Array, ""],
    state: ConcreteState,
    key: Key,
    cost: Callable[[Array], Array],
    progress: Float[Array, ""],
    num_drawn: int,
) -> ConcreteState:
    """The lane with one more column fixed, if it is time, and room for so many rows."""
    space, fixed = context.space, state.fixed
    num_levels = np.array(space.num_levels)
    num_fixed, most = jnp.sum(~fixed.is_free, dtype=jnp.int32), int(np.sum(num_levels > 1))
    may_be_fixed = fixed.is_free & (num_levels > 1)
    allowed = relaxing.allowed_levels(context.choices, fixed)
    if relaxation.discretise == "confidence":
        shares = relaxing.log_shares(context.choices, state.logits, allowed)
        column, level = relaxing.most_confident(shares, may_be_fixed)
    else:
        column, level = relaxing.most_missed(key, cost, allowed, may_be_fixed)
    is_time = (num_fixed < most) & (progress * (most + 1) >= num_fixed + 1)
    here = jnp.arange(len(num_levels)) == column
    one_more = Fixed(jnp.where(here, num_fixed, fixed.order), jnp.where(here, level, fixed.level))
    one_more = jax.tree.map(lambda new, old: new.astype(old.dtype), one_more, fixed)
    fixed = tree_where(is_time, one_more, fixed)
    is_free = may_be_proposed(space.rows, task, state.pool.seen)
    fixed = relaxing.with_room(fixed, space.levels, is_free, num_drawn)
    # What Adam remembers of a column that is fixed has no meaning any more.
    moments = tree_where(is_time, OPTIMISER.init(state.logits), state.moments)
    return state._replace(fixed=fixed, moments=moments)


def _drawn(
    context: Knowledge, task: Int[Array, ""], state: ConcreteState, num_drawn: int
) -> tuple[Pool, Int[Array, " drawn"], Bool[Array, " drawn"]]:
    """Rows by the probabilities of their levels, and some of them by equal ones."""
    allowed = relaxing.allowed_levels(context.choices, state.fixed)
    shares = relaxing.log_shares(context.choices, state.logits, allowed)
    equal = jnp.where(allowed, 0, relaxing.NEVER).astype(shares.dtype)
    num_equal = num_drawn // RANDOM_SHARE
    asked = [(shares, num_drawn - num_equal), (equal, num_equal)]
    pool, parts = state.pool, []
    for part, (logits, number) in enumerate(asked[: 2 if num_equal else 1]):
        pool, *found = drawn_rows(number, context.space, task, pool, logits, _key_of(state, 1 + part))
        parts.append(found)
    row, valid = (jnp.concatenate(both) for both in zip(*parts, strict=True))
    return pool, row, valid


def _observe(state: ConcreteState, seen: Seen) -> ConcreteState:
    """Files results at full fidelity; what is dominated and old gives way."""
    archive = state.archive
    row = jnp.concatenate([seen.row.astype(jnp.int32), archive.row])
    costs = jnp.concatenate([jnp.asarray(seen.costs, archive.costs.dtype), archive.costs])
    valid = jnp.concatenate([seen.valid & seen.is_full, archive.valid])
    is_dominated = jnp.any(dominance_matrix(jnp.where(valid[:, None], costs, 0), valid), axis=0)
    # Where there is room for all, the order is that of time: a stable sort.
    gives_way = is_dominated & (jnp.sum(valid) > CAPACITY)
    kept = jnp.argsort(jnp.where(valid, gives_way.astype(jnp.int32), 2), stable=True)[:CAPACITY]
    return state._replace(archive=Archive(row[kept], costs[kept], valid[kept]))
