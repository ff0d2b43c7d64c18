"""A Gaussian process on quantiles of the first objective, with and without a transfer prior."""

import dataclasses

from mohb_jax.methods.base import Synchronous
from mohb_jax.methods.schedules import MAX_DRAWS, one_full_per_worker
from mohb_jax.searchers.gcp import gcp, gcp_prior
from mohb_jax.settings import Settings, count, setting


@dataclasses.dataclass(frozen=True)
class ProcessSettings(Settings):
    """The process alone has none."""


@dataclasses.dataclass(frozen=True)
class ProcessPriorSettings(Settings):
    """Of the process on a prior.

    Attributes:
        draws: joint draws from the transfer prior per task, for the first proposals; each run has a 64th.
    """

    draws: int = setting(1024, "joint draws from the transfer prior per task", check=count(MAX_DRAWS))


METHODS = (
    Synchronous(
        "gcp-prior",
        "Gaussian process on what the transfer prior leaves over (Salinas et al. 2020)",
        settings=ProcessPriorSettings,
        schedule=one_full_per_worker,
        searcher=lambda own: gcp_prior(own.draws),
        transfers=True,
        models=("prior network", "gaussian process"),
        microseconds=20000,
    ),
    Synchronous(
        "gcp",
        "Gaussian process on quantiles of the first objective, without a prior",
        settings=ProcessSettings,
        schedule=one_full_per_worker,
        searcher=lambda own: gcp(),
        microseconds=20000,
    ),
)
