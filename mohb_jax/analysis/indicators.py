"""Hypervolume and distances of many tuning runs at once, in compiled batches of one shape."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.growth import hypervolume_growth
from mohb_jax.analysis.lanes import Lanes
from mohb_jax.analysis.thinning import improving
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import REFERENCE_POINT, Normalisation, true_front
from mohb_jax.kernels.hypervolume import hypervolume
from mohb_jax.kernels.indicators import additive_epsilon, igd_plus
from mohb_jax.precision import in_64_bits
from mohb_jax.threads import map_in_threads
from mohb_jax.types import Array

LANES_PER_CALL = 512
"""Lanes that one compiled call takes: bounds memory and lets all calls share one compilation."""
SMALLEST_BUCKET = 32
"""Fewer points than this are padded up to it."""


@dataclass(frozen=True)
class TaskScale:
    """Everything of one task that the results of all methods are measured against."""

    table: ResultTable
    task: int
    """Index into its tasks."""
    scale: Normalisation
    front: Int[np.ndarray, " front"]
    """Rows of the table's true Pareto front."""
    front_costs: Float[np.ndarray, "front objectives"]
    """Their normalised costs."""
    front_volume: float
    """Hypervolume of the true front: what 1.0 means."""
    fastest: float
    """Shortest time in seconds in which any configuration gives a result that may count."""

    def costs(self, rows: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some objectives"]:
        """Normalised costs of some rows; infinite where unavailable."""
        return self.scale.apply(self.table.costs_of(self.task, rows), self.task)


@in_64_bits
def task_scale(table: ResultTable, task: int, scale: Normalisation) -> TaskScale:
    """True front and its hypervolume of one task.

    Args:
        table: what may count.
        task: index into ``table.tasks``.
        scale: the table's own normalisation.
    """
    front = true_front(table, task)
    front_costs = scale.apply(table.costs_of(task, front), task)
    finish = table.final_runtime(task)[table.final_available(task)]
    return TaskScale(
        table=table,
        task=task,
        scale=scale,
        front=front,
        front_costs=front_costs,
        front_volume=_volume(front_costs),
        fastest=float(finish[finish > 0].min(initial=np.inf)),
    )


def _volume(front: Float[np.ndarray, "points objectives"]) -> float:
    """Hypervolume of a normalised front; its length is padded so that few shapes compile."""
    length = power_of_two(len(front), SMALLEST_BUCKET)
    batch = next(batches(np.zeros(len(front), int), front, length))
    reference = np.full(front.shape[1], REFERENCE_POINT)
    return float(_JIT_HYPERVOLUME(batch.costs[0], reference, batch.valid[0]))


class Batch(NamedTuple):
    """Groups of points padded to one shape, for one compiled call."""

    point: slice
    """Which of the flat points the batch holds."""
    group: Int[np.ndarray, " groups"]
    """The group of each row of the batch; fewer than ``padded`` in the last one."""
    place: tuple[Int[np.ndarray, " points"], Int[np.ndarray, " points"]]
    """Where in the padded arrays each flat point lies."""
    costs: Float[np.ndarray, "padded n m"]
    valid: Bool[np.ndarray, "padded n"]


def power_of_two(count: int, at_least: int = 1) -> int:
    """The smallest power of two that is no less than both."""
    return 1 << max(count - 1, at_least - 1, 0).bit_length()


def batches(
    group: Int[np.ndarray, " points"], costs: Float[np.ndarray, "points m"], n: int
) -> Iterator[Batch]:
    """Packs flat points into batches of at most ``LANES_PER_CALL`` groups of ``n`` slots each.

    Args:
        group: ascending ids, not necessarily dense; no group has more than ``n`` points.
        costs: the points.
        n: slots of every group.
    """
    names, start, counts = np.unique(group, return_index=True, return_counts=True)
    bounds = np.append(start, group.size)
    padded = min(LANES_PER_CALL, power_of_two(names.size, 8))
    slot = np.arange(group.size) - np.repeat(start, counts)
    for first in range(0, names.size, padded):
        last = min(first + padded, names.size)
        point = slice(int(bounds[first]), int(bounds[last]))
        place = np.repeat(np.arange(last - first), counts[first:last]), slot[point]
        block, valid = np.zeros((padded, n, costs.shape[1])), np.zeros((padded, n), bool)
        block[place], valid[place] = costs[point], True
        yield Batch(point, names[first:last], place, block, valid)


def _distances(
    costs: Float[Array, "lanes n m"],
    valid: Bool[Array, "lanes n"],
    front: Float[Array, "lanes z m"],
    front_valid: Bool[Array, "lanes z"],
) -> tuple[Float[Array, " lanes"], Float[Array, " lanes"]]:
    """IGD+ and additive epsilon of each lane; a few lanes at a time, for the pairwise arrays are large."""

    def one(lane: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
        costs, valid, front, front_valid = lane
        return igd_plus(costs, front, valid, front_valid), additive_epsilon(costs, front, valid, front_valid)

    return jax.lax.map(one, (costs, valid, front, front_valid), batch_size=16)


_JIT_HYPERVOLUME = jax.jit(hypervolume)
_JIT_DISTANCES = jax.jit(_distances)


@in_64_bits
def indicators(
    lanes: Lanes, scales: dict[int, TaskScale], moment: Int[np.ndarray, " events"]
) -> tuple[Float[np.ndarray, " events"], Float[np.ndarray, " lanes"], Float[np.ndarray, " lanes"]]:
    """Hypervolume at the moment of each event that changes it (0 at others); each lane's final IGD+ and
    epsilon.

    Args:
        lanes: of one benchmark.
        scales: by task.
        moment: of each event, ascending within a lane; what comes within one is seen at its end.
    """
    volume, standing = np.zeros(lanes.lane.size), np.zeros(lanes.lane.size, bool)
    for event, grown, covered in map_in_threads(lambda part: _grown(lanes, part, moment), _parts(lanes)):
        volume[event], standing[event] = grown, covered == event.size
    distance, epsilon = _nothing_found(lanes, scales)
    if standing.any():
        for group, *measured in _measured(lanes.lane[standing], lanes.costs[standing], lanes.task, scales):
            distance[group], epsilon[group] = measured
    return volume, distance, epsilon


def _parts(lanes: Lanes) -> list[slice]:
    """Events of some lanes together."""
    ends = np.searchsorted(lanes.lane, np.arange(0, lanes.run.size + LANES_PER_CALL, LANES_PER_CALL))
    return [slice(int(low), int(high)) for low, high in itertools.pairwise(ends)]


def _grown(
    lanes: Lanes, part: slice, moment: Int[np.ndarray, " events"]
) -> tuple[Int[np.ndarray, " new"], Float[np.ndarray, " new"], Int[np.ndarray, " new"]]:
    """Events that change the front of their lane, the hypervolume at their moment, and what covers them."""
    new = improving(lanes.lane[part], lanes.costs[part])
    event = new.point + part.start
    lane, costs = lanes.lane[event], lanes.costs[event]
    grown = hypervolume_growth(lane, moment[event], costs, new.covered, REFERENCE_POINT)
    return event, grown, new.covered


def _measured(
    lane: Int[np.ndarray, " points"],
    costs: Float[np.ndarray, "points m"],
    task: Int[np.ndarray, " lanes"],
    scales: dict[int, TaskScale],
) -> Iterator[tuple[Int[np.ndarray, " some"], Float[np.ndarray, " some"], Float[np.ndarray, " some"]]]:
    """Lanes with IGD+ and epsilon of the points that they end with."""
    fronts, front_valid = _fronts(scales)
    position = {task: index for index, task in enumerate(scales)}
    n = -(-int(np.bincount(lane).max()) // 16) * 16  # a power of two would double the work
    for batch in batches(lane, costs, n):
        own = np.zeros(batch.valid.shape[0], int)
        own[: batch.group.size] = [position[t] for t in task[batch.group].tolist()]
        measured = _JIT_DISTANCES(batch.costs, batch.valid, fronts[own], front_valid[own])
        distance, epsilon = (np.asarray(part)[: batch.group.size] for part in measured)
        yield batch.group, distance, epsilon


def _fronts(
    scales: dict[int, TaskScale],
) -> tuple[Float[np.ndarray, "tasks z objectives"], Bool[np.ndarray, "tasks z"]]:
    """The true fronts of all tasks, padded to one length."""
    parts = [scale.front_costs for scale in scales.values()]
    group = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    longest = power_of_two(max(len(part) for part in parts), SMALLEST_BUCKET)
    packed = [(batch.costs, batch.valid) for batch in batches(group, np.concatenate(parts), longest)]
    costs, valid = (np.concatenate(column) for column in zip(*packed, strict=True))
    return costs, valid


def _nothing_found(
    lanes: Lanes, scales: dict[int, TaskScale]
) -> tuple[Float[np.ndarray, " lanes"], Float[np.ndarray, " lanes"]]:
    """IGD+ and additive epsilon of runs without a result: those of the reference point itself."""
    distance, epsilon = np.empty(lanes.run.size), np.empty(lanes.run.size)
    for task, scale in scales.items():
        short = REFERENCE_POINT - scale.front_costs
        distance[lanes.task == task] = np.sqrt((short**2).sum(axis=1)).mean()
        epsilon[lanes.task == task] = short.max()
    return distance, epsilon
