"""Starts from the best configurations of similar tasks, as auto-sklearn begins (Feurer et al. 2015)."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady, Synchronous
from mohb_jax.methods.needs import DESCRIBED_UNLESS_LANDMARKS, DESCRIPTORS, at_most_objectives
from mohb_jax.methods.random_search import full_blocks
from mohb_jax.methods.schedules import TrialSettings, one_full
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.landmarks import landmarks
from mohb_jax.searchers.meta_knn import Start, meta_knn, meta_knn_process
from mohb_jax.searchers.similar_tasks import POWERS
from mohb_jax.settings import Settings, count, one_of, setting


@dataclasses.dataclass(frozen=True)
class StartSettings(Settings):
    """How the list is made with which a run begins.

    Attributes:
        neighbours_best: rows of each similar task, the best one of each first.
        initial: rows of the list at most.
        distance: of the descriptors of two tasks.
    """

    neighbours_best: int = setting(4, "best configurations of each similar task", check=count())
    initial: int = setting(25, "configurations at most with which a run begins", check=count())
    distance: str = setting("l1", "of descriptors: l1 or l2", check=one_of(tuple(POWERS)))

    @property
    def start(self) -> Start:
        """The same for searchers."""
        return Start(self.neighbours_best, self.initial, self.distance)


@dataclasses.dataclass(frozen=True)
class ProcessStartSettings(StartSettings, TrialSettings):
    """Of a start that a Gaussian process goes on from."""


@dataclasses.dataclass(frozen=True)
class LandmarkSettings(StartSettings, TrialSettings):
    """Of a start by landmarks.

    Attributes:
        descriptors: whether those of the table count beside the landmarks.
    """

    descriptors: str = setting(
        "landmarks",
        "what tasks are compared by: landmarks, or both these and the table's descriptors",
        check=one_of(("landmarks", "both")),
    )


def _lowest_and_full(
    table: AnyTable, settings: LandmarkSettings, conditions: Conditions
) -> tuple[Bracket, ...]:
    """The same one twice if there is no other."""
    del settings, conditions
    return (Bracket((1, 1), (0, table.num_fidelities - 1)),)


def _landmarks(table: AnyTable, settings: LandmarkSettings, conditions: Conditions) -> Policy:
    del table, conditions
    return landmarks(settings.start, settings.descriptors == "both")


def _process(table: AnyTable, settings: ProcessStartSettings, conditions: Conditions) -> Policy:
    return meta_knn_process(problem_of(table, conditions.workers), settings.start)


METHODS = (
    Synchronous(
        "meta-knn",
        "the best configurations of similar tasks, at full fidelity (Feurer et al. 2015)",
        settings=StartSettings,
        schedule=full_blocks,
        searcher=lambda own: meta_knn(own.start),
        transfers=True,
        requires=(DESCRIPTORS,),
    ),
    Steady(
        "meta-knn-landmarks",
        "the best configurations of tasks in which four probes at the lowest fidelity do alike",
        settings=LandmarkSettings,
        levels=_lowest_and_full,
        policy=_landmarks,
        transfers=True,
        requires=(DESCRIBED_UNLESS_LANDMARKS,),
    ),
    Steady(
        "meta-knn+gp",
        "ehvi that begins with meta-knn's configurations (Feurer et al. 2015)",
        settings=ProcessStartSettings,
        levels=one_full,
        policy=_process,
        transfers=True,
        requires=(DESCRIPTORS, at_most_objectives(3)),
        microseconds=370,
    ),
)
