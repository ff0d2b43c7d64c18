"""SMASHY: equal batches or brackets, whose configurations a surrogate picks out of random ones."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods.base import Synchronous, at_random
from mohb_jax.methods.schedules import BracketSettings, PriorSettings, hyperband_brackets, waiting_brackets
from mohb_jax.promotions import PromotionSettings
from mohb_jax.schedule import Bracket, equal_batches, full_fidelity
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.bohb import bohb
from mohb_jax.searchers.filtered import ALGORITHMS, SURROGATES, filtered
from mohb_jax.searchers.mo_bohb import mo_bohb
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.settings import Check, at_least, count, one_of, setting

SCHEDULES = ("equal", "hyperband", "full")
FILTERS = ("surrogate", "algorithm", "factor_first", "factor_last", "random_share", "per_tournament")
SEARCHERS = ("filtered", "random", "bohb", "mo-bohb")


def within(least: float | int, most: float | int) -> Check:
    """A number from ``least`` to ``most``."""
    below = at_least(least)

    def check(name: str, value: float | int) -> None:
        below(name, value)
        if value > most:
            raise InputError(f"{name} is {value!r}: accepted are {least} to {most}")

    return check


@dataclasses.dataclass(frozen=True)
class FilterSettings(PromotionSettings, BracketSettings):
    """Of schedules whose configurations are filtered.

    Attributes:
        schedule: ``equal`` (rungs of equal size, filled up with new configurations), ``hyperband`` (of which
            ``brackets`` may be fewer) or ``full`` (batches at the highest fidelity).
        population: configurations of each rung of ``equal`` and of each batch of ``full``.
        searcher: ``filtered``, or what proposes without a filter: ``random``, ``bohb`` or ``mo-bohb``.
        surrogate: what predicts: 1 or 7 nearest neighbours, or densities of good and of bad results.
        algorithm: how the pool is searched; see ``searchers.filtered``.
        factor_first: rows to choose from for each one wanted, at the first pick of a bracket.
        factor_last: the same at the last.
        random_share: share of configurations that are not filtered.
        per_tournament: rows taken of each tournament.
    """

    schedule: str = setting("equal", "equal, hyperband or full", check=one_of(SCHEDULES))
    population: int = setting(9, "configurations of each rung of equal, and of each batch of full",
                              check=count(1024))  # fmt: skip
    searcher: str = setting("filtered", "filtered, random, bohb or mo-bohb", check=one_of(SEARCHERS))
    surrogate: str = setting("knn7", "what predicts: knn1, knn7 (nearest neighbours) or density",
                             check=one_of(SURROGATES))  # fmt: skip
    algorithm: str = setting("progressive", "progressive or tournament", check=one_of(ALGORITHMS))
    factor_first: float | int = setting(8, "rows to choose from for each one wanted, at the first pick",
                                        check=within(1, 256))  # fmt: skip
    factor_last: float | int = setting(8, "the same at the last pick", check=within(1, 256))
    random_share: float | int = setting(0.2, "share of configurations that no surrogate picks",
                                        check=within(0, 1))  # fmt: skip
    per_tournament: int = setting(1, "rows taken of each tournament", check=count(256))


@dataclasses.dataclass(frozen=True)
class FilterPriorSettings(PriorSettings, FilterSettings):
    """Of these schedules with configurations from the transfer prior.

    Attributes:
        searcher: ``filtered``, or ``prior`` for what the prior proposes without a filter.
    """

    searcher: str = setting("filtered", "filtered or prior", check=one_of(("filtered", "prior")))


def _schedule(table: AnyTable, settings: FilterSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    if settings.schedule == "full":
        return full_fidelity(table.fidelities, settings.population)
    if settings.schedule == "equal":
        smallest = settings.smallest(table)
        return equal_batches(table.fidelities, settings.population, settings.eta, smallest)
    learns = settings.searcher not in ("random", "prior")
    return (waiting_brackets if learns else hyperband_brackets)(table, settings, conditions)


def _searcher(settings: FilterSettings) -> Searcher:
    if settings.searcher == "filtered":
        return filtered(*(getattr(settings, name) for name in FILTERS))
    return {"random": at_random(settings), "bohb": bohb(), "mo-bohb": mo_bohb()}[settings.searcher]


def _prior_searcher(settings: FilterPriorSettings) -> Searcher:
    own = settings.draws, settings.prior_strength
    if settings.searcher == "filtered":
        return filtered(*(getattr(settings, name) for name in FILTERS), own)
    return transfer_prior(settings.draws, strength=settings.prior_strength)


METHODS = (
    Synchronous(
        "smashy",
        "equal batches with configurations picked by nearest neighbours (Moosbauer et al. 2022)",
        settings=FilterSettings,
        schedule=_schedule,
        searcher=_searcher,
        promotion="hvc",
        microseconds=25,
    ),
    Synchronous(
        "smashy+prior",
        "smashy with configurations picked out of what the transfer prior proposes",
        settings=FilterPriorSettings,
        schedule=_schedule,
        searcher=_prior_searcher,
        promotion="hvc",
        transfers=True,
        models=("prior network",),
        microseconds=25,
    ),
)
