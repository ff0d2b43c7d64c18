"""Where the members of an ensemble run: a matrix of devices and models, improved one entry at a time.

A model of throughput, ours, in the place of measurements: a worker predicts batches of b examples, each of
which takes an overhead and b times the model's work over the device's speed; workers on a device share it
equally. Every member predicts every example, so the slowest member decides. An entry of the matrix is an
index into ``BATCH_SIZES``; 0 means that the model is not there.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.types import Array, Key

BATCH_SIZES = (0, 8, 16, 32, 64, 128)
NUM_NEIGHBOURS = 100
"""Changes that the bounded search looks at in a step."""
PATIENCE = 3
"""Steps without gain after which the bounded search ends."""
STEPS_PER_ONE = 10
"""Most steps of a search, for each model or each device, whichever are more: one model on 16 devices takes
17, which ten for each model would not give it."""

_SLACK = 1e-9


class Members(NamedTuple):
    """Models of an ensemble; arrays of one number each, padded where ``memory`` is infinite.

    Attributes:
        memory: what a model takes before it predicts anything, in any unit.
        activation: what each example of a batch takes besides.
        work: seconds per example on a device of speed 1.
        overhead: seconds per batch.
    """

    memory: Float[Array, "*n models"]
    activation: Float[Array, "*n models"]
    work: Float[Array, "*n models"]
    overhead: Float[Array, "*n models"]


class Devices(NamedTuple):
    """What members are placed on.

    Attributes:
        memory: of each device, in the unit of the members' memory.
        speed: 1 is the device on which work was stated.
    """

    memory: Float[Array, "*n devices"]
    speed: Float[Array, "*n devices"]


class Placement(NamedTuple):
    """A matrix and what it gives.

    Attributes:
        levels: index into the batch sizes, of each device and model.
        throughput: examples per second that all members predict.
    """

    levels: Int[np.ndarray, "devices models"]
    throughput: float


def throughput(
    levels: Int[Array, "devices models"],
    members: Members,
    devices: Devices,
    sizes: Float[Array, " levels"],
) -> Float[Array, ""]:
    """Examples per second of the whole ensemble; minus infinity where a device has too little memory or a
    model has no worker."""
    rate, fits = _on_devices(levels, members, devices, sizes)
    return _slowest(rate.sum(axis=0), jnp.all(fits), members)


def _on_devices(
    levels: Int[Array, "devices models"], members: Members, devices: Devices, sizes: Float[Array, " levels"]
) -> tuple[Float[Array, "devices models"], Bool[Array, " devices"]]:
    """``_on_device`` of each."""
    each: tuple[Array, Array] = jax.vmap(
        lambda row, memory, speed: _on_device(row, memory, speed, members, sizes)
    )(levels, devices.memory, devices.speed)
    return each


def _on_device(
    levels: Int[Array, " models"],
    memory: Float[Array, ""],
    speed: Float[Array, ""],
    members: Members,
    sizes: Float[Array, " levels"],
) -> tuple[Float[Array, " models"], Bool[Array, ""]]:
    """Rate of each model's worker on one device, 0 where it has none, and whether memory is enough."""
    batch, there = jnp.asarray(sizes)[levels], levels > 0
    base = jnp.where(jnp.isfinite(members.memory), members.memory, 0)
    used = jnp.where(there, base + members.activation * batch, 0).sum()
    seconds = jnp.where(there, members.overhead + batch * members.work / speed, 1)
    return jnp.where(there, batch / seconds, 0) / jnp.maximum(there.sum(), 1), used <= memory + _SLACK


def _slowest(rate: Float[Array, " models"], fits: Bool[Array, ""], members: Members) -> Float[Array, ""]:
    """Throughput from the models' rates; a model without a worker has none that counts."""
    real = jnp.isfinite(members.memory)
    feasible = fits & ((rate > 0) | ~real).all()
    return jnp.where(feasible, jnp.where(real, rate, jnp.inf).min(), -jnp.inf)


def worst_fit(members: Members, devices: Devices, size: float | int = 8) -> tuple[Array, Array]:
    """Worst-fit decreasing: members by falling memory, each to the device with the most free memory.

    Ties go to the lowest model and device. Where the smallest batch does not fit there, it fits nowhere.

    Args:
        members: to be placed.
        devices: on which.
        size: batch size of every worker.

    Returns:
        Level 1 where a worker is, and which models found no place: bool of [models].
    """
    real = jnp.isfinite(members.memory)
    need = jnp.where(real, members.memory + members.activation * size, 0)
    order = jnp.argsort(-jnp.where(real, members.memory, -jnp.inf), stable=True)

    def place(free: Float[Array, " devices"], model: Int[Array, ""]) -> tuple:
        device = jnp.argmax(free)
        fits = (need[model] <= free[device] + _SLACK) & real[model]
        chosen = jnp.where(fits, device, free.shape[0])
        left = jnp.asarray(free).at[chosen].add(-need[model], mode="drop")
        return left, (chosen, ~fits & real[model])

    found: tuple[Array, Array] = jax.lax.scan(place, jnp.asarray(devices.memory, float), order)[1]
    device, lacks = found
    levels = jnp.zeros((devices.memory.shape[0], need.shape[0]), jnp.int32)
    return levels.at[device, order].set(1, mode="drop"), jnp.zeros(need.shape, bool).at[order].set(lacks)


@functools.partial(jax.jit, static_argnames=("sizes", "num_steps", "num_neighbours"))
def improved(
    levels: Int[Array, "devices models"],
    members: Members,
    devices: Devices,
    key: Key | None = None,
    sizes: tuple[int, ...] = BATCH_SIZES,
    num_steps: int | None = None,
    num_neighbours: int | None = None,
) -> tuple[Int[Array, "devices models"], Float[Array, ""], Int[Array, ""]]:
    """Greedy improvement: each step changes the one entry that raises the throughput most.

    Ties, to nine digits, go to the lowest entry, then to the lowest level. It ends where no change raises it,
    or after ``num_steps``. A worker slows its neighbours, and of two members that are equally slow one may
    become faster in vain: where several changes are needed of which none alone is a gain, it stays.

    Args:
        levels: a feasible matrix.
        members: of the ensemble.
        devices: on which.
        key: for the bounded search.
        sizes: batch sizes, 0 first.
        num_steps: at most; None for ``STEPS_PER_ONE`` times the models, or devices if they are more.
        num_neighbours: the bounded search looks at so many random changes in each step, and ends after
            ``PATIENCE`` steps without gain; None looks at all.

    Returns:
        The matrix, its throughput, and the number of changes.
    """
    num_devices, num_models = levels.shape
    steps = STEPS_PER_ONE * max(levels.shape) if num_steps is None else num_steps
    real_sizes = jnp.asarray(sizes, float)
    every = num_devices * num_models * len(sizes)

    def changed(levels: Int[Array, "devices models"], place: Int[Array, ""]) -> Int[Array, "devices models"]:
        entry, level = place // len(sizes), place % len(sizes)
        return jnp.asarray(levels).at[entry // num_models, entry % num_models].set(level.astype(levels.dtype))

    def scores(
        levels: Int[Array, "devices models"], places: Int[Array, " places"]
    ) -> Float[Array, " places"]:
        """Of the changed matrices: a change concerns the workers of one device alone."""
        rate, fits = _on_devices(levels, members, devices, real_sizes)
        others = rate.sum(axis=0) - rate, fits.sum() - fits

        def score(place: Int[Array, ""]) -> Float[Array, ""]:
            device = place // len(sizes) // num_models
            row = changed(levels, place)[device]
            memory, speed = (jnp.asarray(part)[device] for part in devices)
            own, own_fits = _on_device(row, memory, speed, members, real_sizes)
            fit = own_fits & (others[1][device] == num_devices - 1)
            return _slowest(jnp.where(others[0][device] > _SLACK, others[0][device], 0) + own, fit, members)

        return jax.vmap(score)(places)

    def looked_at(step: Int[Array, ""]) -> Int[Array, " places"]:
        if num_neighbours is None:
            return jnp.arange(every)
        assert key is not None, "the bounded search needs a key"
        chance = jax.random.uniform(jax.random.fold_in(key, step), (every,))
        return jnp.sort(jnp.argsort(chance)[:num_neighbours])

    def is_searching(carry: tuple) -> Array:
        _, _, step, _, failures = carry
        return (step < steps) & (failures < (1 if num_neighbours is None else PATIENCE))

    def search(carry: tuple) -> tuple:
        levels, now, step, changes, failures = carry
        places = looked_at(step)
        # An entry set to the level that it has gives the same throughput, which is no gain.
        found = scores(levels, places)
        best = jnp.argmax(found >= found.max() * (1 - _SLACK))  # sums in another order are the same
        gains = found[best] > now * (1 + _SLACK)
        levels = jnp.where(gains, changed(levels, places[best]), levels)
        failures = jnp.where(gains, 0, failures + 1)
        return levels, jnp.where(gains, found[best], now), step + 1, changes + gains, failures

    now = throughput(levels, members, devices, real_sizes)
    start = levels, now, jnp.int32(0), jnp.int32(0), jnp.int32(0)
    levels, now, _, changes, _ = jax.lax.while_loop(is_searching, search, start)
    return levels, now, changes


def best_batches(
    levels: Int[np.ndarray, "devices models"],
    members: Members,
    devices: Devices,
    sizes: tuple[int, ...] = BATCH_SIZES,
) -> Int[np.ndarray, "devices models"]:
    """The best batch size of each worker where it is: the largest throughput that memory permits.

    Exact where each model has one worker: for a throughput, each worker takes the smallest batch that reaches
    it, and the largest throughput is found for which all of these fit.
    """
    device, model = np.nonzero(np.asarray(levels))
    batch = np.array(sizes[1:], float)[:, None]
    seconds = np.asarray(members.overhead)[model] + batch * (
        np.asarray(members.work)[model] / np.asarray(devices.speed)[device]
    )
    rate = batch / seconds / np.bincount(device)[device]  # [levels, workers], rising with the level
    for wanted in sorted(set(rate.ravel().tolist()), reverse=True):
        enough = rate >= wanted * (1 - _SLACK)
        if not enough.any(axis=0).all():
            continue
        chosen = enough.argmax(axis=0)
        memory, activation = (np.asarray(part)[model] for part in (members.memory, members.activation))
        used = memory + activation * batch[chosen, 0]
        if (np.bincount(device, used, len(levels)) <= np.asarray(devices.memory) + _SLACK).all():
            best = np.zeros_like(levels)
            best[device, model] = chosen + 1
            return best
    return np.asarray(levels)


def spread_out(
    members: Members, devices: Devices, sizes: tuple[int, ...] = BATCH_SIZES
) -> Int[np.ndarray, "devices models"] | None:
    """Every model on every device, with the largest common batch size that fits; None where none does."""
    for level in range(len(sizes) - 1, 0, -1):
        used = (members.memory + members.activation * sizes[level]).sum()
        if (used <= np.asarray(devices.memory) + _SLACK).all():
            return np.full((len(devices.memory), len(members.memory)), level, np.int32)
    return None


@in_64_bits
def place(
    members: Members,
    devices: Devices,
    sizes: tuple[int, ...] = BATCH_SIZES,
    names: Sequence[str] | None = None,
) -> Placement:
    """Places an ensemble: worst-fit for memory, then greedy improvement for throughput.

    Args:
        members: of the ensemble, one number of each kind per model.
        devices: what there is.
        sizes: batch sizes, 0 first.
        names: of the models, for messages.

    Raises:
        InputError: numbers that cannot be, or a model that fits on no device.

    References:
        Pochelu, Petiton and Conche, "An efficient and flexible inference system for serving heterogeneous
        ensembles of deep neural networks", 2022 (abstract; the model of throughput is ours).

    Example:
        >>> members = Members(*np.array([[3.0, 2], [0.1, 0.1], [0.004, 0.002], [0.008, 0.008]]))
        >>> place(members, Devices(np.array([8.0, 6]), np.ones(2))).levels.shape
        (2, 2)
    """
    members, devices = _checked(members, devices)
    levels, lacks = worst_fit(members, devices, sizes[1])
    if np.asarray(lacks).any():
        raise InputError(_no_room(members, devices, np.flatnonzero(lacks).tolist(), sizes[1], names))
    levels, rate, _ = improved(levels, members, devices, sizes=sizes)
    return Placement(np.asarray(levels), float(rate))


def _checked(members: Members, devices: Devices) -> tuple[Members, Devices]:
    """Arrays of one length each, of numbers that can be."""
    members = Members(*(np.asarray(part, np.float64) for part in members))
    devices = Devices(*(np.asarray(part, np.float64) for part in devices))
    for kind, parts in (("members", members), ("devices", devices)):
        sizes = {part.shape for part in parts}
        if len(sizes) != 1 or len(next(iter(sizes))) != 1 or 0 in next(iter(sizes)):
            raise InputError(f"{kind}: one number of each kind is needed for each, and at least one of them")
        for name, part in zip(parts._fields, parts, strict=True):
            least = 0.0 if name in ("activation", "overhead") else np.finfo(float).tiny
            if not (np.isfinite(part) & (part >= least)).all():
                raise InputError(f"{kind}: {name} is {part.tolist()}: accepted are finite positive numbers")
    return members, devices


def _no_room(
    members: Members, devices: Devices, lacking: Sequence[int], size: int, names: Sequence[str] | None
) -> str:
    """Which model found no place, and what there is."""
    model = int(lacking[0])
    name = f"model {model}" if names is None else f"model {names[model]!r}"
    need = float(members.memory[model] + members.activation[model] * size)
    most = float(np.max(devices.memory))
    if need > most:
        return f"{name} fits on no device: it needs {need:g} of memory, the largest device has {most:g}"
    return (
        f"{name} finds no place: it needs {need:g} of memory where the others leave less on every device; "
        "give larger or more devices, or a smaller ensemble"
    )
