"""Hypervolume and distances of many tuning runs at once."""

import itertools
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from mohb_jax.analysis.distances import distances
from mohb_jax.analysis.growth import hypervolume_growth
from mohb_jax.analysis.lanes import Lanes
from mohb_jax.analysis.thinning import improving
from mohb_jax.benchmarks.contract import ResultTable
from mohb_jax.benchmarks.normalise import REFERENCE_POINT, Normalisation, true_front
from mohb_jax.kernels.hypervolume import hypervolume
from mohb_jax.precision import in_64_bits
from mohb_jax.threads import map_in_threads

LANES_PER_CALL = 512
"""Lanes whose fronts grow together: bounds memory."""
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
    length = max(SMALLEST_BUCKET, 1 << (len(front) - 1).bit_length())
    costs, valid = np.zeros((length, front.shape[1])), np.arange(length) < len(front)
    costs[: len(front)] = front
    return float(_JIT_HYPERVOLUME(costs, np.full(front.shape[1], REFERENCE_POINT), valid))


_JIT_HYPERVOLUME = jax.jit(hypervolume)


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
    ends = map_in_threads(lambda own: _distances(lanes, scales, *own), _ended_with(lanes, standing))
    for lane, *measured in ends:
        distance[lane], epsilon[lane] = measured
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


def _ended_with(
    lanes: Lanes, standing: Bool[np.ndarray, " events"]
) -> list[tuple[int, Int[np.ndarray, " some"]]]:
    """Each task with the events of its lanes that stand on a front at the end."""
    event = np.flatnonzero(standing)
    task = lanes.task[lanes.lane[event]]
    return [(own, event[task == own]) for own in np.unique(task).tolist()]


def _distances(
    lanes: Lanes, scales: dict[int, TaskScale], task: int, event: Int[np.ndarray, " some"]
) -> tuple[Int[np.ndarray, " own"], Float[np.ndarray, " own"], Float[np.ndarray, " own"]]:
    """Lanes of a task, and IGD+ and epsilon of what they end with."""
    return distances(lanes.lane[event], lanes.costs[event], scales[task].front_costs)


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
