"""Multi-objective Bayesian optimisation at full fidelity: expected hypervolume improvement and ParEGO."""

import dataclasses

from mohb_jax.benchmarks.before_training import known_objectives
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Steady
from mohb_jax.methods.needs import KNOWN_OBJECTIVE, TIMED_IF_COOL, at_most_objectives, training_times
from mohb_jax.methods.schedules import TrialSettings, one_full
from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.cooling import cooled_hypervolume
from mohb_jax.searchers.ehvi import expected_hypervolume
from mohb_jax.searchers.ehvi_log import log_expected_hypervolume
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.parego import parego
from mohb_jax.settings import setting


@dataclasses.dataclass(frozen=True)
class KnownSettings(TrialSettings):
    """Of a method that makes use of what is known without training.

    Attributes:
        known: names of objectives that are known without training; None for those that count parameters or
            operations.
    """

    known: tuple[str, ...] | None = setting(
        None, "objectives known without training; by default those that count parameters or operations"
    )


@dataclasses.dataclass(frozen=True)
class CoolingSettings(TrialSettings):
    """Of a method that may prefer cheap configurations at first.

    Attributes:
        cool: whether improvement is divided by a power of the expected training time, which falls from 1 at
            the beginning of the run to 0 at its end.
    """

    cool: bool = setting(False, "improvement per second of training at first, improvement alone in the end")


def _ehvi(table: AnyTable, settings: CoolingSettings, conditions: Conditions) -> Policy:
    problem = problem_of(table, conditions.workers)
    if not settings.cool:
        return expected_hypervolume(problem)
    return cooled_hypervolume(problem, training_times(table)[0])


def _ehvi_log(table: AnyTable, settings: TrialSettings, conditions: Conditions) -> Policy:
    del settings
    return log_expected_hypervolume(problem_of(table, conditions.workers))


def _informed(table: AnyTable, settings: KnownSettings, conditions: Conditions) -> Policy:
    known = known_objectives(table, settings.known)
    return expected_hypervolume(problem_of(table, conditions.workers, known))


def _parego(table: AnyTable, settings: TrialSettings, conditions: Conditions) -> Policy:
    del settings
    return parego(problem_of(table, conditions.workers))


METHODS = (
    Steady(
        "ehvi",
        "Gaussian processes and exact expected hypervolume improvement (Emmerich et al. 2006)",
        settings=CoolingSettings,
        levels=one_full,
        policy=_ehvi,
        requires=(at_most_objectives(3), TIMED_IF_COOL),
        microseconds=370,
    ),
    Steady(
        "ehvi-log",
        "ehvi on fronts without noise, in logarithms (Daulton et al. 2021, Ament et al. 2023)",
        settings=TrialSettings,
        levels=one_full,
        policy=_ehvi_log,
        requires=(at_most_objectives(3),),
        microseconds=1000,
    ),
    Steady(
        "ms-ehvi",
        "ehvi that knows the size of a model without training it (Guerrero-Viu et al. 2021)",
        settings=KnownSettings,
        levels=one_full,
        policy=_informed,
        requires=(KNOWN_OBJECTIVE, at_most_objectives(3)),
        microseconds=270,
    ),
    Steady(
        "parego",
        "Gaussian process on a cost of random weights, new for every proposal (Knowles 2006)",
        settings=TrialSettings,
        levels=one_full,
        policy=_parego,
        microseconds=150,
    ),
)
