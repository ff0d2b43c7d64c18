"""Trainings that recur: which batch size and which power limit to take each time, for energy and time."""

from mohb_jax.recurring.baselines import cheapest, expectations, grid_search, savings
from mohb_jax.recurring.moved import Moved, run_moved
from mohb_jax.recurring.overlapping import Occasions, run_overlapping
from mohb_jax.recurring.policy import Executions, Policy, run_policy
from mohb_jax.recurring.training import GPUS, TRAININGS, Training, load_training

__all__ = [
    "GPUS",
    "TRAININGS",
    "Executions",
    "Moved",
    "Occasions",
    "Policy",
    "Training",
    "cheapest",
    "expectations",
    "grid_search",
    "load_training",
    "run_moved",
    "run_overlapping",
    "run_policy",
    "savings",
]
