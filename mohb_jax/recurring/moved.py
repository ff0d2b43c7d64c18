"""What was learnt on one GPU, taken along to another.

Epochs to the target do not depend on the GPU, and what an epoch costs does: so each observation is priced
anew (You, Chung, Chowdhury, NSDI 2023, say so without code; the rules here are ours).
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.recurring.policy import (
    ROUNDS,
    SPARE_STEPS,
    ZEUS,
    Executions,
    Policy,
    State,
    facts_of,
    go_on,
    initial_state,
    run_policy,
)
from mohb_jax.recurring.training import Training


class Moved(NamedTuple):
    """What lanes executed on the one GPU and then on the other."""

    before: Executions
    after: Executions


@in_64_bits
def run_moved(
    before: Training,
    after: Training,
    num_lanes: int,
    recurrences: tuple[int, int],
    seed: int = 0,
    policy: Policy = ZEUS,
) -> Moved:
    """Recurs a training on one GPU and then on another, which begins with what is known.

    There, batch sizes that reached the target before, and that it has, are drawn from at once: none is tried
    out one by one. Each costs what its runs so far would have cost there; the first execution with it still
    spends an epoch on all power limits. Executions are stopped early by the cheapest of these. The cold start
    to compare with is ``run_policy`` on the second GPU.

    Args:
        before: the training on the first GPU.
        after: the same one on the second.
        num_lanes: lane i depends on the seed and i alone.
        recurrences: on the one and on the other.
        seed: root seed.
        policy: settings.

    Raises:
        InputError: two different trainings, no batch size in common, or what ``run_policy`` raises.
    """
    if before.name != after.name:
        raise InputError(f"{before.name} and {after.name} are two trainings: one moves between GPUs")
    if recurrences[1] < 1:
        raise InputError(f"{recurrences[1]} recurrences after the move: at least one is needed")
    first = run_policy(before, num_lanes, seed, policy, recurrences[0])
    steps = recurrences[1] + SPARE_STEPS
    history = policy.window or first.batch.shape[1] + steps
    lanes = [Executions(*(part[lane] for part in first)) for lane in range(num_lanes)]
    states = [moved_state(before, after, lane, policy.weight, history) for lane in lanes]
    facts = facts_of(after, policy.weight, np.ones(recurrences[1]))
    roots = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.arange(num_lanes))
    keys = jax.vmap(jax.random.fold_in, (0, None))(roots, 1)  # others than on the first GPU
    together = jax.tree.map(lambda *parts: jnp.stack(parts), *states)
    return Moved(first, go_on(after, facts, keys, together, policy, steps))


def moved_state(before: Training, after: Training, lane: Executions, weight: float, history: int) -> State:
    """A lane that has executed nothing on a GPU and knows what it executed on another.

    Raises:
        InputError: no batch size that reached the target is there.
    """
    num_sizes = len(after.batch_sizes)
    costs, times = np.zeros((num_sizes, history)), np.zeros(num_sizes, np.int32)
    least = np.inf
    for size, cost in priced(before, after, lane, weight):
        costs[size, times[size] % history] = cost
        times[size] += 1
        least = min(least, cost)
    if not times.any():
        raise InputError(
            f"{after.name}: no batch size that reached the target on {before.gpu} is there on {after.gpu}"
        )
    held = [own[: min(count, history)] for own, count in zip(costs, times.tolist(), strict=True)]
    mean = np.array([own.mean() if own.size else 0.0 for own in held])
    deviation = np.array([own.std() / np.sqrt(own.size) if own.size else 0.0 for own in held])
    start = initial_state(num_sizes, jnp.asarray(after.default), history)
    return start._replace(
        round=jnp.int32(ROUNDS),
        alive=jnp.asarray(times > 0),
        times=jnp.asarray(times),
        costs=jnp.asarray(costs),
        mean=jnp.asarray(mean),
        deviation=jnp.asarray(deviation),
        least=jnp.asarray(least),
    )


def priced(before: Training, after: Training, lane: Executions, weight: float) -> Iterator[tuple[int, float]]:
    """Batch size on a GPU, and what it would cost there, of each execution that reached the target."""
    places = {size: place for place, size in enumerate(after.batch_sizes.tolist())}
    epoch_cost, limit = after.epoch_cost(weight), after.limit(weight)
    for batch, run, reached in zip(lane.batch, lane.run, lane.reached, strict=True):
        place = places.get(int(before.batch_sizes[batch]))
        if reached and place is not None:
            yield place, float(before.epochs[batch, run] * epoch_cost[place, limit[place]])
