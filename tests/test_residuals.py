"""Where a prior's means are off, by what a run's own results say: against the definition."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from mohb_jax.searchers import transfer_sources
from mohb_jax.searchers.residuals import LOGISTIC, RIDGE, Pairs, no_residuals, shift, updated
from mohb_jax.searchers.transfer import CHOICE, transfer
from mohb_jax.searchers.transfer_sources import Learning
from tests.test_transfer_prior import certain
from tests.test_transfer_searcher import small_sources
from tests.transfer_tables import related_tasks


def updated_by_definition(weight, precision, pairs):
    """One step of Newton's method on the logistic loss, feature by feature; a result's pairs count as one."""
    weight, precision = weight.copy(), precision.copy()
    count = max(1, sum(pairs.there))
    for m in range(len(weight)):
        slope, bend = np.zeros(weight.shape[1]), np.zeros(weight.shape[1])
        for better, distance, deviation, features, there in zip(*pairs, strict=True):
            if not there or better[m] == 0:
                continue
            scale = LOGISTIC / deviation[m]
            margin = better[m] * scale * (distance[m] + sum(features * weight[m]))
            right = 1 / (1 + math.exp(-margin))
            slope += (1 - right) * scale * better[m] * features / count
            bend += right * (1 - right) * scale**2 * features**2 / count
        precision[m] += bend
        weight[m] += slope / precision[m]
    return weight, precision


def test_residuals_are_a_step_of_a_logistic_regression_on_pairs():
    rng = np.random.default_rng(0)
    found, step = no_residuals(2, 3), jax.jit(updated)
    weight, precision = np.zeros((2, 3)), np.full((2, 3), RIDGE)
    for _ in range(6):
        pairs = Pairs(
            rng.integers(-1, 2, (4, 2)).astype(np.float32),
            rng.normal(size=(4, 2)),
            rng.uniform(0.3, 2, (4, 2)),
            rng.normal(size=(4, 3)),
            rng.random(4) > 0.3,
        )
        found = step(found, pairs)
        weight, precision = updated_by_definition(weight, precision, pairs)
    np.testing.assert_allclose(found.weight, weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.precision, precision, rtol=1e-4)
    features, sigma = rng.normal(size=(5, 3)), rng.uniform(0.3, 2, (5, 2))
    expected = [sum(weight[m] @ x / s[m] for m in range(2)) for x, s in zip(features, sigma, strict=True)]
    np.testing.assert_allclose(shift(found, features, sigma), expected, rtol=1e-4, atol=1e-5)


def test_of_twice_as_many_rows_those_are_taken_that_results_speak_against_least():
    sources, searcher = small_sources(), transfer(4, one_by_one=True)
    rng = np.random.default_rng(1)
    features = rng.random((40, 2)).astype(np.float32)
    sources = dataclasses.replace(sources, features=jnp.asarray(features), at_once=True)
    state = searcher.init(sources, jnp.int32(0), jax.random.key(0))
    both = 1 + int(np.argmax(np.asarray(sources.uses)[1:, 0].all(axis=1)))
    state = state._replace(
        evidence=jnp.zeros((3, 2), jnp.float32).at[0].set(100.0),
        residuals=state.residuals._replace(weight=jnp.asarray([[3.0, -1.0], [1.0, 0.5]], jnp.float32)),
    )
    sigma = np.asarray(sources.predictions)[0, :, 0, :, 1].astype(np.float32)
    worse = np.asarray(shift(state.residuals, features, sigma))
    lists = np.asarray(sources.rows)[0, both - 1, :, :CHOICE]
    wanted = {int(own[np.argmin(worse[own])]) for own in lists}
    suggest = jax.jit(lambda key: searcher.suggest(sources, jnp.int32(0), state._replace(key=key), 1)[1][0])
    rows = [int(suggest(key)) for key in jax.random.split(jax.random.key(2), 12)]
    assert sum(row in wanted for row in rows) >= 9  # a tenth is random


def test_sources_learn_from_what_is_asked_for(monkeypatch):
    table, asked = related_tasks(num_rows=40, num_tasks=2), []

    def learnt(source, seed, parts):
        asked.append((source.fidelities, parts.ensemble, parts.rescaled, parts.doubt))
        return certain(source)

    monkeypatch.setattr(transfer_sources, "learn_transfer_prior", learnt)
    for learning in (Learning(lowest=True), Learning(lowest=True), Learning(), Learning(one_network=True)):
        transfer_sources.prepared_sources(4, learning, table, (0,), 0, None)
    honest = (True, True, False)  # runs doubt the prior themselves
    assert asked == [((1,), *honest), ((1,), *honest), ((1, 3), *honest), ((1, 3), False, False, False)]
