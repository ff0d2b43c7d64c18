"""Companion of Optuna: trials that end early on several objectives, and our methods as samplers.

``docs/optuna.md`` is its tutorial. Only NumPy and Optuna are imported for the pruner: a training process
keeps its accelerator to itself. The sampler, which needs JAX, is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

try:
    import optuna  # noqa: F401  (the library, not this package)
except ImportError:
    raise ImportError("mohb_jax.optuna needs Optuna: pip install 'mohb-jax[optuna]'", name="optuna") from None

from mohb_jax.optuna.pruner import HalvingPruner

if TYPE_CHECKING:
    from mohb_jax.optuna.sampler import MohbSampler

__all__ = ["HalvingPruner", "MohbSampler"]


def __getattr__(name: str) -> Any:
    if name != "MohbSampler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mohb_jax.optuna.sampler import MohbSampler

    return MohbSampler
