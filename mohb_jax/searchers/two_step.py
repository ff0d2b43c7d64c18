"""Two-step transfer: the tasks' models, weighted by how alike they and the run's results order rows."""

import functools

import jax.numpy as jnp
from jaxtyping import Bool, Float

from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.task_models import Evidence, ensemble_policy
from mohb_jax.types import Array, Key

BANDWIDTH = 0.5
"""Share of discordant pairs from which on a task has no weight: that of chance."""


@functools.cache
def two_step() -> Policy:
    """Proposes from two-step transfer with ranks (TST-R), one Gaussian process per task and objective.

    First each task has a model of its own. Then the mean at a row is the kernel average of all means, where
    the distance of a task is the share of pairs of the run's results that its model orders the other way, and
    that of the run's own model 0. The deviation is that of the run's own model. Each objective has distances
    of its own.

    References:
        Wistuba, Schilling, Schmidt-Thieme, "Two-stage transfer surrogate model for automatic hyperparameter
        optimization", 2016 (TST-R). Departures: several objectives and the bandwidth (docs/departures.md).
    """
    return ensemble_policy(kernel_weights)


def kernel_weights(key: Key, evidence: Evidence) -> tuple[Float[Array, " models"], Float[Array, " models"]]:
    """See ``WeighFn``."""
    del key
    distance = jnp.asarray(discordant_share(evidence.mu, evidence.z, evidence.valid)).at[-1].set(0)
    weight = jnp.where(evidence.usable, epanechnikov(distance / BANDWIDTH), 0)
    return weight / jnp.sum(weight), jnp.zeros_like(weight).at[-1].set(1)


def discordant_share(
    mu: Float[Array, "models n"], z: Float[Array, " n"], valid: Bool[Array, " n"]
) -> Float[Array, " models"]:
    """The share of pairs of results that each model orders the other way; 0 without a pair."""
    pair = valid[:, None] & valid[None, :] & ~jnp.eye(z.shape[0], dtype=bool)
    wrong = (mu[:, :, None] < mu[:, None, :]) != (z[:, None] < z[None, :])
    return jnp.sum(wrong & pair, axis=(1, 2)) / jnp.maximum(jnp.sum(pair), 1).astype(mu.dtype)


def epanechnikov(distance: Float[Array, " n"]) -> Float[Array, " n"]:
    """Epanechnikov's kernel: 0 from distance 1 on."""
    return 0.75 * jnp.maximum(1 - distance**2, 0)
