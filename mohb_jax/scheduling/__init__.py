"""Scheduling of training jobs on a cluster whose processors and memory they need to different degrees."""

from mohb_jax.scheduling.allocation import MODES, Placement, allocate
from mohb_jax.scheduling.jobs import Jobs, generated_jobs, jobs_of
from mohb_jax.scheduling.optimum import BestShares, best_shares
from mohb_jax.scheduling.profiles import MODELS, Model
from mohb_jax.scheduling.rounds import POLICIES, Outcome, simulate_rounds

__all__ = [
    "MODELS",
    "MODES",
    "POLICIES",
    "BestShares",
    "Jobs",
    "Model",
    "Outcome",
    "Placement",
    "allocate",
    "best_shares",
    "generated_jobs",
    "jobs_of",
    "simulate_rounds",
]
