"""Ensembles of the tasks' models, weighted by how well each orders the run's results (RGPE)."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from mohb_jax.searchers.base import Policy
from mohb_jax.searchers.task_models import Evidence, ensemble_policy
from mohb_jax.types import Array, Key

NUM_SAMPLES = 32
"""Draws of every model at the run's results."""
JUDGED = 32
"""Results that models are judged by, of those that are remembered."""
LEAST_RESULTS = 3
"""Results below which all other tasks weigh the same."""


@functools.cache
def rgpe() -> Policy:
    """Proposes from a ranking-weighted ensemble of Gaussian processes, one per task and objective.

    The weight of a model is the share of draws in which it misorders fewest pairs of the run's results; the
    run's own model is judged by what it expects without the result in question. A model whose median loss is
    above the 95th percentile of the own model's has no weight, so that many poor models cannot dilute it.
    Each objective has weights of its own.

    References:
        Feurer, Letham, Bakshy, "Scalable meta-learning for Bayesian optimization using ranking-weighted
        Gaussian process ensembles", 2018. Departures: several objectives, and independent draws at the
        results (docs/departures.md).
    """
    return ensemble_policy(ranking_weights)


def ranking_weights(key: Key, evidence: Evidence) -> tuple[Float[Array, " models"], Float[Array, " models"]]:
    """See ``WeighFn``; variances are weighted by the squares."""
    mu, sigma = evidence.mu[:, :JUDGED], evidence.sigma[:, :JUDGED]
    noise = jax.random.normal(key, (NUM_SAMPLES, *mu.shape), mu.dtype)
    loss = ranking_losses(mu + sigma * noise, evidence.z[:JUDGED], evidence.valid[:JUDGED])
    others = jnp.asarray(evidence.usable).at[-1].set(False)
    evenly = others / jnp.sum(others)
    enough = jnp.sum(evidence.valid) >= LEAST_RESULTS
    weight = jnp.where(enough, least_often(loss, evidence.usable), evenly).astype(mu.dtype)
    return weight, weight**2


def ranking_losses(
    draws: Float[Array, "samples models n"], z: Float[Array, " n"], valid: Bool[Array, " n"]
) -> Float[Array, "samples models"]:
    """How many ordered pairs of results each draw of each model misorders.

    Both results of a pair are drawn, but of the last model, which has seen the second one, that is taken as
    it is.
    """
    both = valid[:, None] & valid[None, :] & ~jnp.eye(z.shape[0], dtype=bool)
    truth = z[:, None] < z[None, :]

    def of_sample(drawn: Float[Array, "models n"]) -> Int[Array, " models"]:
        second = jnp.asarray(drawn).at[-1].set(z)
        return jnp.sum(((drawn[:, :, None] < second[:, None, :]) != truth) & both, axis=(1, 2))

    # One by one: the compiler would draw each number anew for every pair that it is part of.
    return jax.lax.map(of_sample, draws).astype(draws.dtype)


def least_often(
    loss: Float[Array, "samples models"], usable: Bool[Array, " models"]
) -> Float[Array, " models"]:
    """The share of samples in which each model has the least loss; the last one has ties that it is part of,
    others share theirs."""
    dilutes = jnp.median(loss, axis=0) > jnp.percentile(loss[:, -1], 95)
    loss = jnp.where(usable & ~dilutes.at[-1].set(False), loss, jnp.inf)
    least = loss == jnp.min(loss, axis=1, keepdims=True)
    own = jnp.zeros_like(least).at[:, -1].set(True)
    least = jnp.where(least[:, -1:], own, least)
    return jnp.mean(least / jnp.sum(least, axis=1, keepdims=True), axis=0)
