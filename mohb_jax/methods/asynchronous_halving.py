"""Asynchronous successive halving: results are judged as they arrive."""

import dataclasses

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.methods.base import Asynchronous
from mohb_jax.methods.schedules import PriorSettings, ReductionSettings, TransferSettings, TrialSettings
from mohb_jax.promotions import PromotionSettings
from mohb_jax.schedule import Bracket, asha_rungs
from mohb_jax.searchers.base import Searcher
from mohb_jax.searchers.transfer import transfer
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.settings import count, one_of, setting

COMPAT = ("syne_tune_0_16",)


@dataclasses.dataclass(frozen=True)
class LadderSettings(PromotionSettings, TrialSettings, ReductionSettings):
    """Of asynchronous halving on one ladder of rungs.

    Attributes:
        grace: fidelity before which nothing is stopped; None for the smallest used.
    """

    grace: float | int | None = setting(
        None, "fidelity before which nothing is stopped; by default the smallest used"
    )


@dataclasses.dataclass(frozen=True)
class StoppingSettings(LadderSettings):
    """Of the stopping variant.

    Attributes:
        brackets: number of brackets, the most exploratory first.
        compat: ``syne_tune_0_16`` stops as that library does, wrongly; None decides as described.
    """

    brackets: int | None = setting(
        None, "brackets of ever later first decisions; by default 1", check=count()
    )
    compat: str | None = setting(
        None, "syne_tune_0_16 stops as that library does, wrongly", check=one_of(COMPAT)
    )


@dataclasses.dataclass(frozen=True)
class StoppingPriorSettings(PriorSettings, StoppingSettings):
    """Of the stopping variant with configurations from the transfer prior."""


@dataclasses.dataclass(frozen=True)
class StoppingTransferSettings(TransferSettings, StoppingSettings):
    """Of the stopping variant whose configurations come from sources that it learns to trust."""


@dataclasses.dataclass(frozen=True)
class LadderPriorSettings(PriorSettings, LadderSettings):
    """Of the promotion variant with configurations from the transfer prior."""


@dataclasses.dataclass(frozen=True)
class LadderTransferSettings(TransferSettings, LadderSettings):
    """Of the promotion variant whose configurations come from sources that it learns to trust."""


def ladder(table: AnyTable, settings: LadderSettings, conditions: Conditions) -> tuple[Bracket, ...]:
    """Rungs as brackets, for an asynchronous rung has no size; trials of one ladder belong to no bracket."""
    del conditions
    grace = settings.smallest(table) if settings.grace is None else settings.grace
    rungs = asha_rungs(table.fidelities, settings.eta, grace, getattr(settings, "brackets", None) or 1)
    return tuple(Bracket((1,) * len(levels), levels) for levels in rungs)


def _prior(settings: PriorSettings) -> Searcher:
    return transfer_prior(settings.draws, one_by_one=True, strength=settings.prior_strength)


def _weighted_sources(settings: TransferSettings) -> Searcher:
    return transfer(settings.draws, one_by_one=True, learning=settings.learning)


def _stopping(name: str, summary: str, promotion: str = "single") -> Asynchronous:
    return Asynchronous(name, summary, settings=StoppingSettings, schedule=ladder, promotion=promotion)


def _stopping_with_prior(name: str, summary: str, promotion: str = "single") -> Asynchronous:
    return Asynchronous(
        name,
        summary,
        settings=StoppingPriorSettings,
        schedule=ladder,
        searcher=_prior,
        promotion=promotion,
        transfers=True,
        models=("prior network",),
    )


PROMOTE = Asynchronous(
    "mo-asha-promote",
    "multi-objective asynchronous halving, promotion: idle workers take the best trial that waits",
    settings=LadderSettings,
    schedule=ladder,
    promotion="net",
    promotes=True,
)

METHODS = (
    _stopping("asha", "asynchronous successive halving on the first objective alone (Li et al. 2020)"),
    _stopping(
        "mo-asha",
        "multi-objective asynchronous halving, stopping: non-dominated sorting with epsilon-net",
        "net",
    ),
    _stopping("mo-asha-random", "asynchronous halving that stops at random: the control", "random"),
    _stopping_with_prior("asha+prior", "asha with configurations proposed by the transfer prior"),
    _stopping_with_prior(
        "mo-asha+prior", "mo-asha with configurations proposed by the transfer prior", promotion="net"
    ),
    Asynchronous(
        "mo-asha+transfer",
        "mo-asha with configurations from other tasks as far as results bear them out",
        settings=StoppingTransferSettings,
        schedule=ladder,
        searcher=_weighted_sources,
        promotion="net",
        transfers=True,
        models=("single network", "transfer prior"),
    ),
    PROMOTE,
    Asynchronous(
        "mo-asha-promote+prior",
        "mo-asha-promote with configurations proposed by the transfer prior",
        settings=LadderPriorSettings,
        schedule=ladder,
        searcher=_prior,
        promotion="net",
        promotes=True,
        transfers=True,
        models=("prior network",),
    ),
    Asynchronous(
        "mo-asha-promote+transfer",
        "mo-asha-promote with configurations from other tasks as far as results bear them out",
        settings=LadderTransferSettings,
        schedule=ladder,
        searcher=_weighted_sources,
        promotion="net",
        promotes=True,
        transfers=True,
        models=("single network", "transfer prior"),
    ),
)
