"""Companion of Optuna: trials that end early on several objectives. ``docs/optuna.md`` is its tutorial.

Only NumPy and Optuna are imported for the pruner: a training process keeps its accelerator to itself.
"""

try:
    import optuna  # noqa: F401  (the library, not this package)
except ImportError:
    raise ImportError("mohb_jax.optuna needs Optuna: pip install 'mohb-jax[optuna]'", name="optuna") from None

from mohb_jax.optuna.pruner import HalvingPruner

__all__ = ["HalvingPruner"]
