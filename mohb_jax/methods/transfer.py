"""Search at full fidelity in which knowledge of other tasks replaces chance."""

from mohb_jax.methods.base import Steady, Synchronous
from mohb_jax.methods.random_search import RandomSettings, full_blocks
from mohb_jax.methods.schedules import PriorSettings, TransferSettings, TrialSettings, one_full
from mohb_jax.searchers.bounding_box import bounding_box
from mohb_jax.searchers.rgpe import rgpe
from mohb_jax.searchers.transfer import transfer_policy
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.searchers.two_step import two_step
from mohb_jax.searchers.zero_shot import zero_shot
from mohb_jax.searchers.zero_shot_mixed import zero_shot_mixed

METHODS = (
    Steady(
        "random+transfer",
        "configurations from other tasks as far as results bear them out, at full fidelity",
        settings=TransferSettings,
        levels=one_full,
        policy=lambda table, own, conditions: transfer_policy(own.draws, own.learning),
        transfers=True,
        models=("single network", "transfer prior"),
    ),
    Synchronous(
        "random+prior",
        "draws from the transfer prior, one by one, at full fidelity",
        settings=PriorSettings,
        schedule=full_blocks,
        searcher=lambda own: transfer_prior(own.draws, one_by_one=True, strength=own.prior_strength),
        transfers=True,
        models=("prior network",),
    ),
    Synchronous(
        "cts",
        "copula Thompson sampling: the prior on the first objective alone (Salinas et al. 2020)",
        settings=PriorSettings,
        schedule=full_blocks,
        searcher=lambda own: transfer_prior(own.draws, True, 0, own.prior_strength),
        transfers=True,
        models=("prior network",),
    ),
    Synchronous(
        "zero-shot",
        "a portfolio that does well on the other tasks, at full fidelity (Winkelmolen et al. 2020)",
        settings=RandomSettings,
        schedule=full_blocks,
        searcher=lambda own: zero_shot(),
        transfers=True,
    ),
    Synchronous(
        "bounding-box",
        "random search in a box around the other tasks' fronts (Perrone et al. 2019)",
        settings=RandomSettings,
        schedule=full_blocks,
        searcher=lambda own: bounding_box(),
        transfers=True,
    ),
    Steady(
        "zero-shot-mixed",
        "zero-shot's portfolio and random search in turns, at full fidelity",
        settings=TrialSettings,
        levels=one_full,
        policy=lambda table, own, conditions: zero_shot_mixed(),
        transfers=True,
    ),
    Steady(
        "rgpe",
        "ranking-weighted ensemble of the tasks' Gaussian processes (Feurer et al. 2018)",
        settings=TrialSettings,
        levels=one_full,
        policy=lambda table, own, conditions: rgpe(),
        transfers=True,
        microseconds=3100,
    ),
    Steady(
        "tst-r",
        "two-step transfer, tasks weighted by likeness of ranks (Wistuba et al. 2016)",
        settings=TrialSettings,
        levels=one_full,
        policy=lambda table, own, conditions: two_step(),
        transfers=True,
        microseconds=1300,
    ),
)
