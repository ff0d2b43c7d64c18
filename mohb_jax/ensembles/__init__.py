"""Ensembles: their members selected from a library of models under a cost, and placed on devices."""

from mohb_jax.ensembles.placement import Devices, Members, Placement, place
from mohb_jax.ensembles.selection import (
    Ensembles,
    Library,
    best,
    budget_grid,
    caruana,
    gradient,
    nsga2,
    singles,
    smobf,
    top_k,
)

__all__ = [
    "Devices",
    "Ensembles",
    "Library",
    "Members",
    "Placement",
    "best",
    "budget_grid",
    "caruana",
    "gradient",
    "nsga2",
    "place",
    "singles",
    "smobf",
    "top_k",
]
