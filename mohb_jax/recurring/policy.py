"""Zeus: batch sizes are tried one by one, then drawn by Thompson sampling, each at its best power limit.

You, Chung, Chowdhury, "Zeus: understanding and optimizing GPU energy consumption of DNN training", NSDI 2023,
with the rules of its published simulator (github.com/ml-energy/zeus, Apache-2.0). A lane is a training that
recurs; a step is one execution of it, on all lanes at once.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.recurring.training import Training
from mohb_jax.types import Array as AnyArray

MOST_TRIES = 20
"""Executions of a recurrence, of which one has to reach the target."""
SPARE_STEPS = 64
"""Executions beyond the recurrences: each batch size that fails while it is tried takes one."""
SLACK = 1e-9
"""Epochs by which a budget may fall short: that of twice n epochs holds 2 n of them, whatever is rounded. The
published simulator loses the last one there."""
ROUNDS = 2
"""In which batch sizes are tried one by one."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """Settings of Zeus; the defaults are the published ones.

    Attributes:
        weight: of energy in the cost of an execution; the rest is time at the highest limit's power.
        beta: an execution is stopped where it would cost more than so many times the cheapest recurrence.
        window: executions of each batch size that Thompson sampling looks at, the latest; 0 for all.
    """

    weight: float = 0.5
    beta: float = 2.0
    window: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError(f"weight is {self.weight}: a number from 0 to 1 is needed")
        if not self.beta > 1:
            raise InputError(f"beta is {self.beta}: a number above 1 is needed, or inf for no early stopping")
        if self.window < 0 or self.window == 1:
            raise InputError(f"window is {self.window}: 0 for all executions, or 2 or more")


ZEUS = Policy()
"""As published."""


class Executions(NamedTuple):
    """What lanes executed, in order; arrays of [lanes, steps].

    Attributes:
        batch: index of the batch size; -1 after the end.
        limit: index of the power limit.
        run: which of the measured runs it was.
        joules: energy.
        seconds: time.
        cost: as the policy weighs the two.
        reached: whether it reached the target.
        ran: False where it would have cost too much before it began, and after the end.
        recurrence: number of the recurrence, from 0.
    """

    batch: Int[AnyArray, "*lanes steps"]
    limit: Int[AnyArray, "*lanes steps"]
    run: Int[AnyArray, "*lanes steps"]
    joules: Float[AnyArray, "*lanes steps"]
    seconds: Float[AnyArray, "*lanes steps"]
    cost: Float[AnyArray, "*lanes steps"]
    reached: Bool[AnyArray, "*lanes steps"]
    ran: Bool[AnyArray, "*lanes steps"]
    recurrence: Int[AnyArray, "*lanes steps"]


class Facts(NamedTuple):
    """A training at the limits that the policy takes."""

    epochs: Float[Array, "B R"]
    num_runs: Int[Array, " B"]
    limit: Int[Array, " B"]
    joules: Float[Array, " B"]
    seconds: Float[Array, " B"]
    first_joules: Float[Array, " B"]
    """Of the first epoch with a batch size, in which all limits are tried."""
    first_seconds: Float[Array, " B"]
    max_watts: Float[Array, ""]
    max_epochs: Int[Array, ""]
    default: Int[Array, ""]
    drift: Float[Array, " recurrences"]


class State(NamedTuple):
    """A lane before an execution. Batch sizes are tried from ``start`` downwards, then upwards."""

    round: Int[Array, ""]
    going_up: Bool[Array, ""]
    cursor: Int[Array, ""]
    start: Int[Array, ""]
    best: Int[Array, ""]
    best_cost: Float[Array, ""]
    alive: Bool[Array, " B"]
    """Batch sizes of this round; afterwards those that are drawn from."""
    good: Bool[Array, " B"]
    """Those that reached the target in this round."""
    seen: Bool[Array, " B"]
    times: Int[Array, " B"]
    costs: Float[Array, "B history"]
    mean: Float[Array, " B"]
    deviation: Float[Array, " B"]
    """Of the mean."""
    least: Float[Array, ""]
    """Cost of the cheapest recurrence."""
    spent: Float[Array, ""]
    """Cost of this recurrence."""
    tries: Int[Array, ""]
    recurrence: Int[Array, ""]


@in_64_bits
def run_policy(
    training: Training,
    num_lanes: int,
    seed: int = 0,
    policy: Policy = Policy(),
    recurrences: int | None = None,
    drift: Float[np.ndarray, " recurrences"] | None = None,
) -> Executions:
    """Recurs a training under Zeus, in lanes that differ in which measured run each execution is.

    Args:
        training: on a GPU.
        num_lanes: lane i depends on the seed and i alone.
        seed: root seed.
        policy: settings.
        recurrences: of each lane; by default twice the number of pairs of batch size and power limit, as
            published.
        drift: ours, not the paper's: what the epochs to the target are multiplied by in each recurrence.

    Raises:
        InputError: the default batch size misses the target, all batch sizes do, or a recurrence does not
            reach it in 20 executions.
    """
    number = 2 * training.seconds.size if recurrences is None else recurrences
    if number < 1 or num_lanes < 1:
        raise InputError(f"{num_lanes} lanes of {number} recurrences: at least one of each is needed")
    if drift is not None and len(drift) != number:
        raise InputError(f"drift has {len(drift)} factors for {number} recurrences: each needs one")
    facts = facts_of(training, policy.weight, np.ones(number) if drift is None else drift)
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(jnp.arange(num_lanes))
    steps = number + SPARE_STEPS
    start = initial_state(len(training.batch_sizes), facts.default, policy.window or steps)
    states = jax.tree.map(lambda part: jnp.broadcast_to(part, (num_lanes, *part.shape)), start)
    return go_on(training, facts, keys, states, policy, steps)


def facts_of(training: Training, weight: float, drift: Float[np.ndarray, " recurrences"]) -> Facts:
    """What executions are made from."""
    limit, rows = training.limit(weight), np.arange(len(training.batch_sizes))
    return Facts(
        epochs=jnp.asarray(training.epochs),
        num_runs=jnp.asarray(training.num_runs),
        limit=jnp.asarray(limit),
        joules=jnp.asarray(training.joules[rows, limit]),
        seconds=jnp.asarray(training.seconds[rows, limit]),
        first_joules=jnp.asarray(np.nanmean(training.joules, axis=1)),
        first_seconds=jnp.asarray(np.nanmean(training.seconds, axis=1)),
        max_watts=jnp.asarray(training.max_watts),
        max_epochs=jnp.asarray(training.max_epochs),
        default=jnp.asarray(training.default),
        drift=jnp.asarray(drift, float),
    )


def go_on(
    training: Training, facts: Facts, keys: Array, states: State, policy: Policy, steps: int
) -> Executions:
    """What lanes execute from some states on, until all recurrences of ``facts`` are over.

    Raises:
        InputError: a lane does not come to its end.
    """
    own = jnp.asarray(policy.weight), jnp.asarray(policy.beta)
    state, found = _run(facts, keys, states, *own, steps)
    _require_end(training, state, facts.drift.shape[0])
    return Executions(*(np.asarray(part) for part in found))


def _require_end(training: Training, state: State, recurrences: int) -> None:
    """``InputError`` unless every lane came to its end."""
    where = f"{training.name} on {training.gpu}"
    short = np.asarray(state.recurrence) < recurrences
    if not short.any():
        return
    if np.isinf(np.asarray(state.least)[short]).any():
        raise InputError(f"{where}: {missed_by_default(training)}")
    if not np.asarray(state.alive)[short].any(axis=1).all():
        raise InputError(f"{where}: no batch size reaches the target in both rounds")
    raise InputError(f"{where}: a recurrence does not reach the target in {MOST_TRIES} executions")


def missed_by_default(training: Training) -> str:
    """How often the default batch size misses the target, in words."""
    size, runs = training.batch_sizes[training.default], int(training.num_runs[training.default])
    own = training.epochs[training.default, :runs]
    missed = runs - int((own <= training.max_epochs).sum())
    return f"the default batch size {size} does not reach the target ({missed} of {runs} runs miss it)"


@functools.partial(jax.jit, static_argnames="steps")
def _run(
    facts: Facts, keys: Array, states: State, weight: Array, beta: Array, steps: int
) -> tuple[State, Executions]:
    def lane(key: Array, start: State) -> tuple[State, Executions]:
        run_key, draw_key = jax.random.split(key)
        chance = jax.random.uniform(run_key, (steps,))
        normal = jax.random.normal(draw_key, (steps, facts.epochs.shape[0]))
        body = functools.partial(step, facts=facts, weight=weight, beta=beta)
        return jax.lax.scan(lambda state, drawn: body(state, *drawn), start, (chance, normal))

    return jax.vmap(lane)(keys, states)


def initial_state(num_sizes: int, default: Int[Array, ""], history: int) -> State:
    """A lane that has executed nothing and remembers so many costs of each batch size."""
    zero, none = jnp.int32(0), jnp.zeros(num_sizes)
    no, start = jnp.zeros(num_sizes, bool), default.astype(jnp.int32)
    return State(
        round=zero,
        going_up=jnp.asarray(False),
        cursor=start,
        start=start,
        best=start,
        best_cost=jnp.asarray(jnp.inf),
        alive=~no,
        good=no,
        seen=no,
        times=jnp.zeros(num_sizes, jnp.int32),
        costs=jnp.zeros((num_sizes, history)),
        mean=none,
        deviation=none,
        least=jnp.asarray(jnp.inf),
        spent=jnp.asarray(0.0),
        tries=zero,
        recurrence=zero,
    )


def step(
    state: State,
    chance: Float[Array, ""],
    normal: Float[Array, " B"],
    facts: Facts,
    weight: Float[Array, ""],
    beta: Float[Array, ""],
) -> tuple[State, Executions]:
    """One execution, unless the lane has come to its end.

    Args:
        state: before it.
        chance: which measured run it is, in [0, 1).
        normal: standard normal numbers, one for each batch size.
        facts: of the training.
        weight: see ``Policy``.
        beta: see ``Policy``.
    """
    batch = chosen(state, normal)
    run = jnp.floor(chance * facts.num_runs[batch]).astype(jnp.int32)
    done = execution(state, batch, run, facts, weight, beta)
    last = facts.drift.shape[0]
    over = (state.recurrence >= last) | (state.tries >= MOST_TRIES) | ~state.alive.any()
    over |= jnp.isinf(state.least) & (state.tries > 0)  # nothing has reached the target, the default neither
    after = _recurred(tried_out(observed(state, batch, jnp.asarray(done.cost)), batch, done), done)
    state = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)
    nothing, no = jnp.asarray(0.0), jnp.asarray(False)
    empty = done._replace(
        batch=jnp.int32(-1), joules=nothing, seconds=nothing, cost=nothing, reached=no, ran=no
    )
    return state, jax.tree.map(lambda none, own: jnp.where(over, none, own), empty, done)


def chosen(state: State, normal: Float[Array, " B"]) -> Int[Array, ""]:
    """The batch size that is tried next, or the best in a draw of what each is believed to cost."""
    drawn = jnp.where(state.alive, -state.mean + state.deviation * normal, -jnp.inf)
    return jnp.where(state.round < ROUNDS, state.cursor, jnp.argmax(drawn).astype(jnp.int32))


def execution(state: State, batch: Array, run: Array, facts: Facts, weight: Array, beta: Array) -> Executions:
    """What an execution takes. The first with a batch size spends an epoch on all limits together, in equal
    parts; one that may not even have an epoch does not run, and is held to be very dear."""
    joules, seconds = facts.joules[batch], facts.seconds[batch]
    epoch_cost = weight * joules + (1 - weight) * facts.max_watts * seconds
    affordable = jnp.floor(beta * state.least / epoch_cost + SLACK)
    free = jnp.isinf(state.least) | jnp.isinf(beta)
    allowed = jnp.where(free, facts.max_epochs, jnp.minimum(affordable, facts.max_epochs))
    needed = facts.epochs[batch, run] * facts.drift[jnp.minimum(state.recurrence, facts.drift.shape[0] - 1)]
    ran = allowed > 0
    reached = ran & (needed <= allowed)
    epochs = jnp.where(reached, needed, allowed)
    is_first = ~state.seen[batch]
    joules = jnp.where(is_first, facts.first_joules[batch] + joules * (epochs - 1), joules * epochs)
    seconds = jnp.where(is_first, facts.first_seconds[batch] + seconds * (epochs - 1), seconds * epochs)
    cost = weight * joules + (1 - weight) * facts.max_watts * seconds
    return Executions(
        batch=batch,
        limit=facts.limit[batch].astype(jnp.int32),
        run=run,
        joules=jnp.where(ran, joules, 0.0),
        seconds=jnp.where(ran, seconds, 0.0),
        cost=jnp.where(ran, cost, 100 * beta * state.least),
        reached=reached,
        ran=ran,
        recurrence=state.recurrence,
    )


def observed(state: State, batch: Array, cost: Array) -> State:
    """The state with one more cost of a batch size, and what it is believed to cost."""
    history = state.costs.shape[1]
    costs = state.costs.at[batch, state.times[batch] % history].set(cost)
    times = state.times.at[batch].add(1)
    held = jnp.minimum(times[batch], history)
    is_held = jnp.arange(history) < held
    # In two passes: costs are large and alike, so that a sum of squares would lose half of their digits.
    mean = jnp.where(is_held, costs[batch], 0).sum() / held
    variance = jnp.where(is_held, (costs[batch] - mean) ** 2, 0).sum() / held
    return state._replace(
        costs=costs,
        times=times,
        seen=state.seen.at[batch].set(True),
        mean=state.mean.at[batch].set(mean),
        deviation=state.deviation.at[batch].set(jnp.sqrt(variance / held)),
    )


def tried_out(state: State, batch: Array, done: Executions) -> State:
    """The state after a batch size was tried: the next one of the round, or the next round."""
    number = jnp.arange(state.alive.shape[0], dtype=jnp.int32)
    cheaper = done.reached & (done.cost < state.best_cost)
    good = state.good.at[batch].set(state.good[batch] | done.reached)
    best = jnp.where(cheaper, batch, state.best)
    below = jnp.max(jnp.where(state.alive & (number < batch), number, -1))
    goes_down = ~state.going_up & done.reached & (below >= 0)
    reference = jnp.where(state.going_up, batch, state.start)
    beyond = number.size
    above = jnp.min(jnp.where(state.alive & (number > reference), number, beyond))
    goes_up = ~goes_down & (above < beyond) & (done.reached | ~state.going_up)
    ends = ~goes_down & ~goes_up
    # Where a failure ends a round before anything was cheaper, the next round begins where this one did.
    tried = state._replace(
        round=state.round + ends.astype(jnp.int32),
        going_up=goes_up,
        cursor=jnp.where(goes_down, below, jnp.where(goes_up, above, best)).astype(jnp.int32),
        start=jnp.where(ends, best, state.start),
        best=best,
        best_cost=jnp.where(ends, jnp.inf, jnp.where(cheaper, done.cost, state.best_cost)),
        alive=jnp.where(ends, good, state.alive),
        good=jnp.where(ends, False, good),
    )
    return jax.tree.map(lambda old, new: jnp.where(state.round < ROUNDS, new, old), state, tried)


def _recurred(state: State, done: Executions) -> State:
    """The state with the recurrence counted, if it reached the target."""
    spent = state.spent + jnp.where(done.ran, done.cost, 0.0)
    return state._replace(
        least=jnp.where(done.reached, jnp.minimum(state.least, spent), state.least),
        spent=jnp.where(done.reached, 0.0, spent),
        tries=jnp.where(done.reached, 0, state.tries + 1),
        recurrence=state.recurrence + done.reached.astype(jnp.int32),
    )
