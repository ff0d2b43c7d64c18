"""Hyperband: rungs of successive halving in brackets, cut when all their results are in."""

import dataclasses

from mohb_jax.methods.base import Synchronous
from mohb_jax.methods.schedules import BracketSettings, PriorSettings, TransferSettings, hyperband_brackets
from mohb_jax.promotions import Promotion, PromotionSettings
from mohb_jax.promotions.smac import SMAC
from mohb_jax.searchers.transfer import transfer
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.settings import one_of, setting

MODES = ("barrier", "overlap")


@dataclasses.dataclass(frozen=True)
class HyperbandSettings(PromotionSettings, BracketSettings):
    """Of Hyperband.

    Attributes:
        mode: ``overlap`` (idle workers go on with the next bracket) or ``barrier`` (all workers wait for the
            end of a rung).
    """

    mode: str = setting(
        "overlap",
        "overlap: idle workers go on with the next bracket; barrier: all wait for the end of a rung",
        check=one_of(MODES),
        named_from="barrier",
    )


@dataclasses.dataclass(frozen=True)
class HyperbandPriorSettings(PriorSettings, HyperbandSettings):
    """Of Hyperband with configurations from the transfer prior."""


@dataclasses.dataclass(frozen=True)
class HyperbandTransferSettings(TransferSettings, HyperbandSettings):
    """Of Hyperband whose configurations come from sources that it learns to trust."""


def _plain(name: str, summary: str, promotion: str | Promotion) -> Synchronous:
    return Synchronous(
        name, summary, settings=HyperbandSettings, schedule=hyperband_brackets, promotion=promotion
    )


def _with_prior(name: str, summary: str, promotion: str) -> Synchronous:
    return Synchronous(
        name,
        summary,
        settings=HyperbandPriorSettings,
        schedule=hyperband_brackets,
        searcher=lambda own: transfer_prior(own.draws, strength=own.prior_strength),
        promotion=promotion,
        transfers=True,
        models=("prior network",),
    )


METHODS = (
    _plain("hb", "Hyperband on the first objective alone (Li et al. 2018)", "single"),
    _plain(
        "mo-hb",
        "multi-objective Hyperband: non-dominated sorting with epsilon-net (Salinas et al. 2021)",
        "net",
    ),
    _plain("mo-hb-crowding", "mo-hb with NSGA-II's crowding distance instead of the epsilon-net", "crowding"),
    _plain("mo-hb-hvc", "mo-hb with the greedy hypervolume cut instead of the epsilon-net", "hvc"),
    _plain(
        "mo-hb-scalar",
        "Hyperband on a weighted sum of the objectives, random weights per bracket unless given",
        "scalar",
    ),
    _plain(
        "mo-smac-hb", "Hyperband that cuts rungs as SMAC3 2.4 does, wrongly; right is mo-hb-crowding", SMAC
    ),
    _plain("mo-hb-random", "Hyperband that promotes at random: the control", "random"),
    _with_prior("hb+prior", "hb with configurations proposed by the transfer prior", "single"),
    _with_prior(
        "mo-hb+prior", "mo-hb with configurations proposed by the transfer prior (Salinas et al. 2021)", "net"
    ),
    Synchronous(
        "mo-hb+transfer",
        "mo-hb with configurations from other tasks as far as results bear them out: recommended",
        settings=HyperbandTransferSettings,
        schedule=hyperband_brackets,
        searcher=lambda own: transfer(own.draws, learning=own.learning),
        promotion="net",
        transfers=True,
        models=("single network", "transfer prior"),
    ),
)
