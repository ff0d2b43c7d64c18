"""Optimisers of other libraries in the simulation: same tables, workers, clock and log as our own methods."""

from mohb_jax.external.plan import Adapter, ExternalPlan

__all__ = ["Adapter", "ExternalPlan"]
