"""Multi-objective Bayesian optimisation at full fidelity: Gaussian processes on what a run has observed.

Every free worker gets the unseen row of greatest expected improvement. Rows that other workers are evaluating
count as if they had come out as expected ("kriging believer"), so that workers do not go to the same place.

Processes are fitted anew for every proposal, all lanes together. A fit begins where the last one of the lane
ended, so a few steps are enough; matrices have the size of what a lane can have launched by then
(``SIZES``); and a large table is seen through a fresh random subset of its rows.
"""

import dataclasses
import functools
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.kernels.bits import members
from mohb_jax.kernels.expected_improvement import INDIFFERENCE, log_expected_improvement
from mohb_jax.searchers.base import Job, Moment, Policy, Result
from mohb_jax.searchers.lane_batches import tree_where
from mohb_jax.searchers.random import Candidates, all_candidates, num_rounds, permuted
from mohb_jax.searchers.result_memory import Launches, launched, no_launches, with_result
from mohb_jax.searchers.seen_rows import Pool, draw, is_marked, marked, new_pool
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.transfer import Prior
from mohb_jax.types import Array, Key

NUM_CANDIDATES = 512
"""Rows among which a proposal chooses: of larger tables a fresh random subset. At 64 results a proposal
spends about a third of its time each on fits, predictions and the improvement; the last two grow with it."""
SIZES = (32, 64, 96, 128)
"""Sizes of the matrices, multiples of 32; the last is the number of rows that a lane remembers."""
MOST_INITIAL = 20
"""Rows at random before the model proposes: two for every column and two more, but not more than this."""
LEAST_OBSERVED = 2
"""Results without which there is no model, however many jobs were launched."""
NUM_STEPS = 2
"""Adam steps for each proposal, of 0.1 in every logarithm; a step that does not pay is not kept."""


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
    """What a lane has seen, and the hyperparameters of its last fit, one set per model."""

    pool: Pool
    key: Key
    launches: Launches
    hyperparameters: gp.Hyperparameters
    num_chosen: Int[Array, ""]
    """Proposals so far that were the model's choice."""


@runtime_checkable
class AcquireFn(Protocol):
    def __call__(
        self,
        context: Knowledge,
        task: Int[Array, ""],
        start: gp.Hyperparameters,
        launches: Launches,
        row: Int[Array, " n"],
        key: Key,
    ) -> tuple[gp.Hyperparameters, Float[Array, " n"]]:
        """Hyperparameters of new fits that began at ``start``, and how good it would be to evaluate each row;
        a number whose differences below ``INDIFFERENCE`` mean nothing. The key is consumed."""


def believer_policy(problem: Problem, num_models: int, acquire: AcquireFn) -> Policy:
    def prepare(table: AnyTable, tasks: tuple[int, ...], seed: int, prior: Prior | None) -> Knowledge:
        del seed, prior
        return knowledge_of(problem, table, tasks)

    init = functools.partial(new_model, problem, num_models)
    return Policy(prepare, init, functools.partial(propose, problem, acquire), _observe, SIZES)


def knowledge_of(problem: Problem, table: AnyTable, tasks: tuple[int, ...]) -> Knowledge:
    """What lanes of some tasks know: rows, their configurations, and known objectives."""
    features = jnp.asarray(unit_features(table), jnp.result_type(float))
    return Knowledge(all_candidates(table, tasks), features, _known_values(table, tasks, problem.known))


def new_model(
    problem: Problem, num_models: int, context: Knowledge, task: Int[Array, ""], key: Key
) -> ModelState:
    """A lane that has seen nothing, with so many models. The key is consumed."""
    num_rows, num_columns = context.features.shape
    dtype = context.features.dtype
    mode = gp.prior_mode(num_columns, dtype)
    return ModelState(
        pool=new_pool(context.candidates, task, key, num_rows),
        key=jax.random.fold_in(key, 3),
        launches=no_launches(SIZES[-1], problem.num_objectives, dtype),
        hyperparameters=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_models, *leaf.shape)), mode),
        num_chosen=jnp.int32(0),
    )


def _known_values(
    table: AnyTable, tasks: tuple[int, ...], known: tuple[int, ...]
) -> Float[Array, "tasks rows known"]:
    """Known objectives of every row. Where a table lacks them, because the evaluation failed, the task's
    median stands in: they must not tell that it will fail."""
    parts = []
    for task in tasks:
        costs = table.final_costs(task)[:, list(known)]
        fine = np.isfinite(costs).all(axis=1)
        median = np.median(costs[fine], axis=0) if fine.any() else np.zeros(len(known))
        parts.append(np.where(fine[:, None], costs, median))
    return jnp.asarray(np.stack(parts), jnp.result_type(float))


def _observe(context: Knowledge, task: Int[Array, ""], state: ModelState, result: Result) -> ModelState:
    del context, task
    costs = result.costs.astype(state.launches.costs.dtype)
    return state._replace(launches=with_result(state.launches, result.row, costs, result.valid))


def propose(
    problem: Problem,
    acquire: AcquireFn,
    context: Knowledge,
    task: Int[Array, ""],
    state: ModelState,
    moment: Moment,
    level: int = 0,
) -> tuple[ModelState, Job]:
    """The model's choice, if it has something to go by and to choose from; else the next row at random.

    The job is at the given level of the ladder, which is the highest fidelity.
    """
    carried_key, place_key, acquire_key, noise_key = jax.random.split(state.key, 4)
    state = state._replace(key=carried_key)
    pool, drawn, found = draw(context.candidates, task, state.pool, 1)
    row, wanted = drawn[0], found[0]
    if moment.most_results > problem.num_initial:
        launches = state.launches.first(moment.most_results)
        among, unseen = _candidates(context.candidates, task, state.pool, place_key)
        start = state.hyperparameters
        hyperparameters, gain = acquire(context, task, start, launches, among, acquire_key)
        gain = gain + INDIFFERENCE * jax.random.uniform(noise_key, gain.shape, gain.dtype)
        best = among[jnp.argmax(jnp.where(unseen, gain, -jnp.inf))]
        chooses = (moment.num_launched >= problem.num_initial) & jnp.any(unseen)
        chooses &= jnp.sum(launches.observed) >= LEAST_OBSERVED
        chosen = state.pool._replace(seen=marked(state.pool.seen, best[None]))
        pool, row, wanted, fitted = tree_where(
            chooses, (chosen, best, jnp.bool_(True), hyperparameters), (pool, row, wanted, start)
        )
        state = state._replace(hyperparameters=fitted, num_chosen=state.num_chosen + chooses)
    state = state._replace(pool=pool, launches=launched(state.launches, row, wanted))
    return state, Job(row, jnp.int32(level), jnp.int32(-1), wanted)


def _candidates(
    candidates: Candidates, task: Int[Array, ""], pool: Pool, key: Key
) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """Rows among which a lane chooses, and which of them it may choose."""
    num_rows, most = candidates.num_rows[task], candidates.most
    place = jnp.arange(min(most, NUM_CANDIDATES), dtype=jnp.int32)
    valid = place < num_rows
    if most > NUM_CANDIDATES:
        round_keys = jax.random.bits(key, (num_rounds(most),), jnp.uint32)
        place = jnp.asarray(permuted(round_keys, jnp.minimum(place, num_rows - 1), num_rows, most))
    row = place if candidates.rows is None else candidates.rows[task, place]
    return row, valid & ~is_marked(pool.seen, row)


def improvement_of_cost(
    problem: Problem,
    num_steps: int,
    context: Knowledge,
    start: gp.Hyperparameters,
    launches: Launches,
    value: Float[Array, " size"],
    row: Int[Array, " n"],
) -> tuple[gp.Hyperparameters, Float[Array, " n"]]:
    """Hyperparameters of a new fit, and the logarithm of the expected improvement at some rows, of one cost.

    Args:
        problem: what the table asks for.
        num_steps: Adam steps.
        context: what lanes know.
        start: where the fit begins; one set, with the axis of models.
        launches: what was launched.
        value: cost of each slot, any number where nothing was observed.
        row: rows to judge.
    """
    place, is_pending = pending_places(launches, problem.num_workers)
    asked = jnp.concatenate([launches.row[place], row])
    process = believing_fit(num_steps, context, launches, value, jax.tree.map(lambda leaf: leaf[0], start))
    mean, variance = gp.predict(process, context.features[asked])
    least = jnp.min(jnp.where(launches.observed, value, jnp.inf))
    expected = jnp.min(jnp.where(is_pending, mean[: place.shape[0]], jnp.inf))
    mean, variance = mean[place.shape[0] :], jnp.maximum(variance[place.shape[0] :], gp.LEAST_VARIANCE)
    gain = log_expected_improvement(mean, jnp.sqrt(variance), jnp.minimum(least, expected))
    return jax.tree.map(lambda leaf: leaf[None], process.hyperparameters), gain


def observed_range(launches: Launches) -> tuple[Float[Array, " m"], Float[Array, " m"]]:
    """The least observed value of each objective, and the width of its range; 1 where that is nothing."""
    observed = launches.observed[:, None]
    low = jnp.min(jnp.where(observed, launches.costs, jnp.inf), axis=0)
    width = jnp.max(jnp.where(observed, launches.costs, -jnp.inf), axis=0) - low
    low = jnp.where(jnp.isfinite(low), low, 0)
    return low, jnp.where(jnp.isfinite(width) & (width > 0), width, 1)


def pending_places(launches: Launches, num_workers: int) -> tuple[Int[Array, " k"], Bool[Array, " k"]]:
    """Slots of the rows that are being evaluated, and which of them are that."""
    most = min(num_workers, launches.row.shape[0])
    place = members(launches.pending, most)
    size = launches.row.shape[0]
    return jnp.minimum(place, size - 1), place < size


def believing_fit(
    num_steps: int,
    context: Knowledge,
    launches: Launches,
    values: Float[Array, " size"],
    start: gp.Hyperparameters,
) -> gp.GaussianProcess:
    """A process fitted to what was observed, that believes in what it expects of pending rows."""
    features = context.features[launches.row]
    process = gp.fit(features, values, launches.observed, num_steps, start=start)
    return gp.believe(process, features, launches.pending)
