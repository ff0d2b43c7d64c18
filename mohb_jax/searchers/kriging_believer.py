"""Multi-objective Bayesian optimisation at full fidelity: Gaussian processes on what a run has observed.

Every free worker gets the unseen row of greatest expected improvement. Rows that other workers are evaluating
count as if they had come out as expected ("kriging believer"), so that workers do not go to the same place.

Work is saved, none of it by a weaker model: a row that is launched joins the factor of the kernel matrix;
hyperparameters are searched for more rarely as results add up (``refit_counts``); what is believed of pending
rows needs no factor of its own; the rows among which a proposal chooses stay the same for the most part
(``shortlist``); and numbers have 32 bits, which the noise is never too small for.
"""

import dataclasses
import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.before_training import known_costs
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.kernels.expected_improvement import log_expected_improvement
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.lane_batches import most_of_lanes, tree_where
from mohb_jax.searchers.random import Candidates, all_candidates
from mohb_jax.searchers.result_memory import Launches, launched, no_launches, with_result
from mohb_jax.searchers.seen_rows import Pool, draw, is_marked, marked, new_pool
from mohb_jax.searchers.shortlist import (
    CAPACITY,
    Models,
    Shortlist,
    chosen_from,
    in_least_size,
    new_shortlist,
    num_due,
    renewed,
    with_row,
)
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

PRECISION = jnp.float32
"""Of all that models work with; results are kept as they are."""
INDIFFERENCE = 1e-4
"""Differences in the logarithm of a gain that do not count: chance decides. Rows can be exactly as promising
as one another, and neither the order of the table nor rounding may choose."""
LANES_PER_BATCH = 8
"""Lanes that advance together; more would not fit the processor's cache."""
MOST_INITIAL = 20
"""Rows at random before the model proposes: two for every column and two more, but not more than this."""
LEAST_OBSERVED = 2
"""Results without which there is no model, however many jobs were launched."""
FIRST_STEPS = 16
"""Adam steps of a lane's first search for hyperparameters, of 0.1 in every logarithm; what does not pay is
not kept."""
NUM_STEPS = 5
"""Steps of every further search, which begins where the last one ended."""


def refit_counts(most: int = 1 << 20) -> tuple[int, ...]:
    """Numbers of proposals after which hyperparameters are searched for anew: 0, 3, 6, 10, and so on,
    whenever results have become a fifth more, if there were 16 to begin with."""
    counts = [0]
    while counts[-1] < most:
        counts.append(counts[-1] + (16 + counts[-1]) // 5)
    return tuple(counts)


@dataclasses.dataclass(frozen=True)
class Problem:
    """What shapes depend on.

    Attributes:
        num_objectives: of the table.
        known: indices of the objectives that are known without training.
        num_initial: rows that a lane tries at random before the model proposes.
        num_workers: as many rows may be evaluated at a time.
    """

    num_objectives: int
    known: tuple[int, ...]
    num_initial: int
    num_workers: int

    @property
    def learned(self) -> tuple[int, ...]:
        """Indices of the other objectives."""
        return tuple(i for i in range(self.num_objectives) if i not in self.known)


def problem_of(table: AnyTable, num_workers: int, known: tuple[int, ...] = ()) -> Problem:
    """The problem that a table poses, with the default number of initial rows."""
    num_initial = min(2 * (len(table.columns) + 1), MOST_INITIAL)
    return Problem(table.num_objectives, known, num_initial, num_workers)


class Knowledge(NamedTuple):
    """What lanes know before they start."""

    candidates: Candidates
    features: Float[Array, "rows columns"]
    known: Float[Array, "tasks rows known"]
    """The objectives that are known without training."""


class ModelState(NamedTuple):
    """What a lane has seen, and what it makes of it."""

    pool: Pool
    key: Key
    launches: Launches
    models: Models
    shortlist: Shortlist
    num_chosen: Int[Array, ""]
    """Proposals so far that were the model's choice."""


@runtime_checkable
class TargetsFn(Protocol):
    def __call__(self, launches: Launches, key: Key) -> Float[Array, "models capacity"]:
        """What the models learn of each slot; anything where nothing was observed. The key is consumed."""


class Judged(NamedTuple):
    """What a proposal goes by.

    Attributes:
        task: a position in the context.
        launches: what was launched.
        targets: what ``TargetsFn`` made of that.
        pending: rows that are pending.
        is_pending: which of them are that, and not padding.
        expected: mean of each model at each of those.
        row: rows to judge.
        mean: of each model at each of them.
        deviation: the same.
        wanted: which of these rows may be chosen; how good the others are does not matter.
        progress: share of the run that is over.
        known: the models' own rows.
    """

    task: Int[Array, ""]
    launches: Launches
    targets: Float[Array, "models capacity"]
    pending: Int[Array, " k"]
    is_pending: Bool[Array, " k"]
    expected: Float[Array, "models k"]
    row: Int[Array, " n"]
    mean: Float[Array, "models n"]
    deviation: Float[Array, "models n"]
    wanted: Bool[Array, " n"]
    progress: Float[Array, ""]
    known: "Known | None" = None


class Known(NamedTuple):
    """What models make of the rows that they were made from."""

    processes: gp.GaussianProcess
    """Of all models, along the first axis."""
    targets: Float[Array, "models capacity"]
    observed: Bool[Array, " capacity"]
    """False marks pending rows and padding."""


@runtime_checkable
class GainFn(Protocol):
    def __call__(self, context: Knowledge, judged: Judged, key: Key) -> Float[Array, " rows"]:
        """How good it would be to evaluate each row; a number whose differences below ``INDIFFERENCE`` mean
        nothing. Of a row that is not the best one it may be more, if it is less than that of the best. The
        key is that of ``TargetsFn``."""


class Acquisition(NamedTuple):
    """What models learn, and what their predictions are good for."""

    targets: TargetsFn
    gain: GainFn


def believer_policy(problem: Problem, num_models: int, acquisition: Acquisition) -> Policy:
    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        del seed, prior
        return knowledge_of(problem, table, tasks)

    init = functools.partial(new_model, problem, num_models)
    ask = functools.partial(propose, problem, acquisition)
    return Policy(prepare, init, ask, observe_result, lanes_per_batch=LANES_PER_BATCH)


def knowledge_of(problem: Problem, table: AnyTable, tasks: tuple[int, ...]) -> Knowledge:
    """What lanes of some tasks know: rows, their configurations, and known objectives."""
    features = jnp.asarray(unit_features(table), PRECISION)
    return Knowledge(all_candidates(table, tasks), features, _known_values(table, tasks, problem.known))


def new_model(
    problem: Problem, num_models: int, context: Knowledge, task: Int[Array, ""], key: Key
) -> ModelState:
    """A lane that has seen nothing, with so many models. The key is consumed."""
    num_rows, num_columns = context.features.shape
    models = _no_models(num_models, num_columns, context.features.dtype)
    return ModelState(
        pool=new_pool(context.candidates, task, key, num_rows),
        key=jax.random.fold_in(key, 3),
        launches=no_launches(CAPACITY, problem.num_objectives, jnp.result_type(float)),
        models=models,
        shortlist=new_shortlist(context.candidates, task, context.features, models),
        num_chosen=jnp.int32(0),
    )


def _no_models(num_models: int, num_columns: int, dtype: jnp.dtype) -> Models:
    def each(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (num_models, *leaf.shape))

    mode = jax.tree.map(each, gp.prior_mode(num_columns, dtype))
    return Models(jnp.full(CAPACITY, -1, jnp.int32), mode, each(jnp.eye(CAPACITY, dtype=dtype)))


def _known_values(
    table: AnyTable, tasks: tuple[int, ...], known: tuple[int, ...]
) -> Float[Array, "tasks rows known"]:
    """Known objectives of every row, on each task."""
    costs = [known_costs(table, task, known) for task in tasks]
    return jnp.asarray(np.stack(costs), jnp.result_type(float))


def observe_result(context: Knowledge, task: Int[Array, ""], state: ModelState, result: Result) -> ModelState:
    """See ``ObserveResultFn``."""
    del context, task
    costs = result.costs.astype(state.launches.costs.dtype)
    return state._replace(launches=with_result(state.launches, result.row, costs, result.valid))


def propose(
    problem: Problem,
    acquisition: Acquisition,
    context: Knowledge,
    task: Int[Array, ""],
    state: ModelState,
    moment: Moment,
    level: int = 0,
) -> tuple[ModelState, Job]:
    """The model's choice, if it has something to go by and to choose from; else the next row at random.

    The job is at the given level of the ladder, which is the highest fidelity.
    """
    carried_key, acquire_key, noise_key = jax.random.split(state.key, 3)
    pool, drawn, found = draw(context.candidates, task, state.pool, 1)
    asks = moment.num_launched >= problem.num_initial
    asks &= jnp.sum(state.launches.observed) >= LEAST_OBSERVED
    targets = acquisition.targets(state.launches, acquire_key).astype(PRECISION)
    models, shortlist = up_to_date(context, task, state, targets, asks, _steps_due(state.num_chosen))
    unseen = (shortlist.row >= 0) & ~is_marked(state.pool.seen, jnp.maximum(shortlist.row, 0))
    chooses = asks & jnp.any(unseen)

    def choose() -> tuple[Array, Array]:
        asked = problem, acquisition, context, task, state.launches, models, shortlist, targets
        gain = judge(*asked, unseen & chooses, acquire_key, moment.progress)
        gain = gain + INDIFFERENCE * jax.random.uniform(noise_key, gain.shape, gain.dtype)
        return chosen_from(shortlist, jnp.where(unseen, gain, -jnp.inf))

    nothing = (drawn[0], shortlist.best)
    best, of_parts = jax.lax.cond(most_of_lanes(chooses), choose, lambda: nothing)
    chosen = state.pool._replace(seen=marked(state.pool.seen, best[None]))
    pool, row, of_parts, wanted = tree_where(
        chooses, (chosen, best, of_parts, jnp.bool_(True)), (pool, drawn[0], shortlist.best, found[0])
    )
    shortlist = shortlist._replace(best=of_parts)
    launches = launched(state.launches, row, wanted)
    state = ModelState(pool, carried_key, launches, models, shortlist, state.num_chosen + chooses)
    return state, Job(row, jnp.int32(level), jnp.int32(-1), wanted)


def _steps_due(num_chosen: Int[Array, ""]) -> Int[Array, ""]:
    """Adam steps that are due after so many proposals of the models; -1 where no search is."""
    due = jnp.any(jnp.asarray(refit_counts()) == num_chosen)
    return jnp.where(due, jnp.where(num_chosen == 0, FIRST_STEPS, NUM_STEPS), -1)


def up_to_date(
    context: Knowledge,
    task: Int[Array, ""],
    state: ModelState,
    targets: Float[Array, "models capacity"],
    asks: Bool[Array, ""],
    num_steps: Int[Array, ""],
) -> tuple[Models, Shortlist]:
    """Models of all rows that were launched and what they say of the shortlist, where a lane asks them.

    A row that was launched since joins by itself. Where rows have gone or more have come, all are factorised
    anew, and where steps are due, under better hyperparameters.
    """
    launches, models = state.launches, state.models
    slots = launches.observed | launches.pending
    same = models.row[:, None] == launches.row[None, :]
    is_new = slots & ~jnp.any(same, axis=0)
    num_new = jnp.sum(is_new)
    has_gone = jnp.any((models.row >= 0) & ~jnp.any(same & slots[None], axis=1))
    anew = asks & ((num_steps >= 0) | has_gone | (num_new > 1))
    joins = asks & ~anew & (num_new == 1)
    models = _with_row(context, models, launches.row[jnp.argmax(is_new)], joins)
    models = jax.lax.cond(
        most_of_lanes(anew),
        lambda: tree_where(anew, _factorised(context, models, launches, targets, num_steps), models),
        lambda: models,
    )
    return models, _looked_at(context, task, state, models, joins, anew, asks)


def _looked_at(
    context: Knowledge,
    task: Int[Array, ""],
    state: ModelState,
    models: Models,
    joins: Bool[Array, ""],
    anew: Bool[Array, ""],
    asks: Bool[Array, ""],
) -> Shortlist:
    """The shortlist for models to which a row was joined, or that were made anew."""
    place = jnp.where(joins, jnp.sum(models.row >= 0) - 1, CAPACITY)
    # Loops of one turn or none: what they change stays in its place in memory.
    shortlist = jax.lax.fori_loop(
        0,
        most_of_lanes(joins.astype(jnp.int32)),
        lambda _, own: with_row(context.features, models, own, place),
        state.shortlist,
    )
    most = most_of_lanes(num_due(context.candidates, shortlist, anew, asks))
    return renewed(
        context.candidates, task, state.pool, context.features, models, shortlist, anew, asks, most
    )


def _with_row(context: Knowledge, models: Models, row: Int[Array, ""], joins: Bool[Array, ""]) -> Models:
    """Models with one more row after all others, if it joins."""
    place = jnp.minimum(jnp.sum(models.row >= 0), CAPACITY - 1)
    rows = jnp.asarray(models.row).at[place].set(jnp.where(joins, row, models.row[place]))
    features, valid = context.features[rows], models.row >= 0

    def each(hyperparameters: gp.Hyperparameters, whitening: Array) -> Array:
        new = gp.joined(hyperparameters, whitening, features, valid, place)
        return jnp.asarray(whitening).at[place].set(jnp.where(joins, new, whitening[place]))

    return models._replace(row=rows, whitening=jax.vmap(each)(models.hyperparameters, models.whitening))


def _factorised(
    context: Knowledge,
    models: Models,
    launches: Launches,
    targets: Float[Array, "models capacity"],
    num_steps: Int[Array, ""],
) -> Models:
    """Models of all rows, in the order of their slots, after so many steps to better hyperparameters."""
    slots = launches.observed | launches.pending
    count, place = jnp.sum(slots), jnp.argsort(~slots)
    row = jnp.where(jnp.arange(CAPACITY) < count, launches.row[place], -1)
    ordered = (row, targets[:, place], launches.observed[place], launches.pending[place])
    steps = num_steps, most_of_lanes(num_steps)

    def with_size(size: int) -> tuple[gp.Hyperparameters, Array]:
        rows, values, observed, pending = jax.tree.map(lambda leaf: leaf[..., :size], ordered)
        inside = jnp.arange(size) < count
        args = context.features[rows], values, observed & inside, pending & inside, *steps
        found, whitening = jax.vmap(gp.refit, (0, None, 0, None, None, None, None))(
            models.hyperparameters, *args
        )
        whole = jnp.broadcast_to(jnp.eye(CAPACITY, dtype=whitening.dtype), models.whitening.shape)
        return found, whole.at[:, :size, :size].set(whitening)

    return Models(row, *in_least_size(count, with_size))


def judge(
    problem: Problem,
    acquisition: Acquisition,
    context: Knowledge,
    task: Int[Array, ""],
    launches: Launches,
    models: Models,
    shortlist: Shortlist,
    targets: Float[Array, "models capacity"],
    wanted: Bool[Array, "parts size"],
    key: Key,
    progress: Float[Array, ""],
) -> Float[Array, "parts size"]:
    """How good it would be to evaluate each row of the shortlist that is wanted; see ``GainFn``."""
    place, is_pending = _pending_places(launches, problem.num_workers)
    expected, mean, deviation, known = _predicted(
        context, models, shortlist, launches, targets, place, is_pending
    )
    row = jnp.maximum(shortlist.row, 0).reshape(-1)
    pending = launches.row[place], is_pending, expected
    choice = row, mean, deviation, wanted.reshape(-1)
    judged = Judged(task, launches, targets, *pending, *choice, progress, known)
    return acquisition.gain(context, judged, key).reshape(shortlist.row.shape)


def _predicted(
    context: Knowledge,
    models: Models,
    shortlist: Shortlist,
    launches: Launches,
    targets: Float[Array, "models capacity"],
    place: Int[Array, " k"],
    is_pending: Bool[Array, " k"],
) -> tuple[Float[Array, "models k"], Float[Array, "models n"], Float[Array, "models n"], Known | None]:
    """Mean of each model at the pending slots, and mean and deviation at the rows of the shortlist if those
    come out as expected; and what they make of their own rows."""
    num_models, num_rows = targets.shape[0], shortlist.row.size
    if not num_models:
        of_list = jnp.zeros((0, num_rows), targets.dtype)
        return jnp.zeros((0, place.shape[0]), targets.dtype), of_list, of_list, None
    same = (models.row[:, None] == launches.row[None, :]) & (models.row >= 0)[:, None]
    slot, held = jnp.argmax(same, axis=1), jnp.any(same, axis=1)
    observed = held & launches.observed[slot]
    own = targets[:, slot]
    position = jnp.argmax(same[:, place], axis=0)
    process, expected = jax.vmap(gp.believing, (0, 0, None, 0, None, None, None))(
        models.hyperparameters,
        models.whitening,
        context.features[models.row],
        own,
        observed,
        position,
        is_pending,
    )
    mean, variance = jax.vmap(gp.posterior)(
        process,
        shortlist.cross.reshape(num_models, -1, num_rows),
        shortlist.explained.reshape(num_models, num_rows),
    )
    return expected, mean, jnp.sqrt(jnp.maximum(variance, 0)), Known(process, own, observed)


def improvement_of_cost(judged: Judged) -> Float[Array, " rows"]:
    """Logarithm of the expected improvement, where there is one model: that of the cost."""
    least = jnp.min(jnp.where(judged.launches.observed, judged.targets[0], jnp.inf))
    expected = jnp.min(jnp.where(judged.is_pending, judged.expected[0], jnp.inf))
    deviation = jnp.maximum(judged.deviation[0], gp.LEAST_VARIANCE**0.5)
    return log_expected_improvement(judged.mean[0], deviation, jnp.minimum(least, expected))


def observed_range(launches: Launches) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """The least observed value of each objective, and the width of its range; 1 where that is nothing."""
    observed = launches.observed[:, None]
    low = jnp.min(jnp.where(observed, launches.costs, jnp.inf), axis=0)
    width = jnp.max(jnp.where(observed, launches.costs, -jnp.inf), axis=0) - low
    low = jnp.where(jnp.isfinite(low), low, 0)
    return low, jnp.where(jnp.isfinite(width) & (width > 0), width, 1)


def _pending_places(launches: Launches, num_workers: int) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
    """Slots of the rows that are being evaluated, and which of them are that."""
    most = min(num_workers, launches.row.shape[0])
    place = jax.lax.top_k(launches.pending.astype(jnp.float32), most)[1]  # compiles faster than ``members``
    return place, launches.pending[place]
