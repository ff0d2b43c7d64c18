"""The searcher that learns in the run whom to trust, and the clock that tells it what is in."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.drivers.arrivals import Jobs, in_one, learnt, started
from mohb_jax.errors import InputError
from mohb_jax.kernels.clock import Layout, overlap_schedule
from mohb_jax.searchers import transfer_sources
from mohb_jax.searchers.base import Result
from mohb_jax.searchers.random import all_candidates
from mohb_jax.searchers.transfer import (
    FORGETTING,
    LOGISTIC,
    RANDOM_SHARE,
    REMEMBERED,
    foretold,
    transfer,
    weights,
)
from mohb_jax.searchers.transfer_sources import Sources, clustered, log_prior, source_uses
from mohb_jax.simulation import simulate
from mohb_jax.transfer import Prior
from tests.test_transfer_prior import certain
from tests.transfer_tables import related_tasks


def gain_of(costs, others, predicted, predicted_others):
    """By definition: logarithm of the probability given to what happened, over that of a coin."""
    total = np.zeros(predicted.shape[:2])
    for p, m in np.ndindex(*total.shape):
        (mu, sigma), (mu_other, sigma_other) = predicted[p, m], predicted_others[p, m]
        distance = (mu_other - mu) / math.hypot(sigma, sigma_other)
        first_is_better = 1 / (1 + math.exp(-LOGISTIC * distance))
        if costs[m] != others[m]:
            happened = first_is_better if costs[m] < others[m] else 1 - first_is_better
            total[p, m] = math.log(happened / 0.5)
    return total


def weights_of(uses, prior, evidence):
    """By definition: a Bayesian mixture, and a share of random rows that never vanishes."""
    likely = [math.exp(prior[k]) * math.exp((uses[k] * evidence).sum()) for k in range(len(uses))]
    share = [(1 - RANDOM_SHARE) * value / sum(likely) for value in likely]
    return [share[0] + RANDOM_SHARE, *share[1:]]


def small_sources(num_rows=40, num_predictors=3, m=2, seed=0):
    """Two tasks, made-up predictions, and lists that are permutations."""
    rng = np.random.default_rng(seed)
    table = related_tasks(num_rows=num_rows, num_tasks=2)
    uses = source_uses(num_predictors, m)
    rows = rng.permuted(np.tile(np.arange(num_rows), (2, len(uses) - 1, 4, 1)), axis=3)
    predictions = rng.normal(size=(2, num_rows, num_predictors, m, 2))
    predictions[..., 1] = np.abs(predictions[..., 1]) + 0.2
    prior = log_prior(uses, np.full((2, m), 0.7))
    return Sources(
        all_candidates(table, (0, 1)),
        jnp.asarray(rows, jnp.int32),
        jnp.asarray(predictions, jnp.float16),
        jnp.asarray(uses, jnp.float32),
        jnp.asarray(prior, jnp.float32),
        num_rows,
    )


def test_evidence_is_how_much_likelier_than_chance_what_happened_was_made():
    rng = np.random.default_rng(1)
    predicted = rng.normal(size=(4, 3, 2, 2))
    predicted[..., 1] = np.abs(predicted[..., 1]) + 0.1
    costs = np.array([[0.5, 1], [0.5, 2], [0.1, 0], [np.inf, np.inf]])
    found = foretold(costs[0], costs[1:], predicted[0].astype(np.float32), predicted[1:].astype(np.float32))
    for other in range(3):
        expected = gain_of(costs[0], costs[other + 1], predicted[0], predicted[other + 1])
        np.testing.assert_allclose(np.asarray(found)[other], expected, rtol=2e-5, atol=1e-6)
    assert not np.asarray(found)[0, :, 0].any()  # equal results say nothing


def test_results_are_compared_with_the_last_ones_at_their_fidelity():
    sources, searcher = small_sources(), transfer(4)
    rng = np.random.default_rng(2)
    state = searcher.init(sources, jnp.int32(1), jax.random.key(0))
    learn = jax.jit(searcher.learn)
    predictions = np.asarray(sources.predictions[1], np.float64)
    expected, past = np.zeros(state.evidence.shape), {}
    for row in rng.permutation(40)[:12].tolist():
        level, costs, valid = int(rng.integers(2)), rng.normal(size=2), rng.random() > 0.2
        state = learn(sources, jnp.int32(1), state, Result(row, level, costs, 0, valid))
        if valid:
            last = past.setdefault(level, [])
            gains = [gain_of(costs, other, predictions[row], predictions[old]) for old, other in last]
            expected = FORGETTING * expected + (sum(gains) / len(gains) if gains else 0)
            past[level] = [(row, costs), *last][:REMEMBERED]
    np.testing.assert_allclose(np.asarray(state.evidence), expected, rtol=1e-4, atol=1e-5)
    memory = (state.evidence, *state.memory)
    assert sum(np.asarray(part).nbytes for part in memory) < 1024


def test_sources_are_taken_by_weight_and_random_rows_never_vanish():
    sources, searcher = small_sources(), transfer(4, one_by_one=True)
    evidence = np.random.default_rng(3).normal(size=(3, 2)) * 3
    found = np.asarray(weights(sources, jnp.int32(0), jnp.asarray(evidence, jnp.float32)))
    expected = weights_of(np.asarray(sources.uses), np.asarray(sources.log_prior[0]), evidence)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    certain_of_one = jnp.zeros((3, 2)).at[1].set(200.0)
    assert float(weights(sources, jnp.int32(0), certain_of_one)[0]) == pytest.approx(RANDOM_SHARE)
    place = 1 + int(np.argmax(np.asarray(sources.uses)[1:, 1].any(axis=1)))
    first = np.asarray(sources.rows)[0, place - 1, :, 0]

    @jax.jit
    @jax.vmap
    def opened(key):
        state = searcher.init(sources, jnp.int32(0), key)
        compared = state.memory._replace(row=state.memory.row.at[0, :3].set(jnp.arange(3, dtype=jnp.int32)))
        state = state._replace(evidence=certain_of_one.astype(jnp.float32), memory=compared)
        return searcher.suggest(sources, jnp.int32(0), state, 1)[1][0]

    rows = np.asarray(opened(jax.random.split(jax.random.key(4), 1000)))
    expected_share = 1 - RANDOM_SHARE + RANDOM_SHARE * np.unique(first).size / 40
    assert np.isin(rows, first).mean() == pytest.approx(expected_share, abs=0.03)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_before_three_results_compare_proposals_are_random_rows_unless_sources_are_trusted(one_by_one):
    sources, searcher = small_sources(200), transfer(4, one_by_one)
    trusted = dataclasses.replace(
        sources,
        rows=jnp.tile(jnp.arange(16, dtype=jnp.int32), (*sources.rows.shape[:3], 1)),
        log_prior=jnp.where(jnp.arange(sources.uses.shape[0]) == 2, 0.0, -jnp.inf)[None] * jnp.ones((2, 1)),
    )

    @jax.jit
    @jax.vmap
    def from_lists(key, results, at_once):
        sources = dataclasses.replace(trusted, at_once=at_once)
        state = searcher.init(sources, jnp.int32(0), key)
        known = jnp.where(jnp.arange(3) < results, 160, -1)
        row = state.memory.row.at[1, 0].set(150).at[0, :3].set(known)
        state = state._replace(memory=state.memory._replace(row=row))
        return searcher.suggest(sources, jnp.int32(0), state, 16)[1] < 16

    keys = jax.random.split(jax.random.key(4), 600)
    chance = 16 / 200  # that a random row is one of the lists
    trusting = 1 - RANDOM_SHARE + RANDOM_SHARE * chance
    for results, at_once, expected in (
        (0, False, chance),
        (2, False, chance),
        (3, False, trusting),
        (0, True, trusting),
    ):
        share = np.asarray(from_lists(keys, jnp.full(600, results), jnp.full(600, at_once))).mean(axis=0)
        np.testing.assert_allclose(share, expected, atol=0.05)


def test_a_rung_of_proposals_holds_no_row_twice_until_the_table_is_used_up():
    sources, searcher = small_sources(), transfer(4)
    state = searcher.init(sources, jnp.int32(0), jax.random.key(5))
    suggest = jax.jit(searcher.suggest_up_to, static_argnums=3)
    taken = []
    for count in (12, 3, 12, 12, 12):
        state, row, valid = suggest(sources, jnp.int32(0), state, 12, jnp.int32(count))
        assert not np.asarray(valid)[count:].any()
        taken += np.asarray(row)[np.asarray(valid)].tolist()
    assert sorted(taken) == list(range(40))


def test_prior_weights_are_probabilities_of_what_is_believed():
    uses = source_uses(3, 2)
    assert uses.any(axis=1).tolist() == [[False, False], [False, True]] + [[True, True]] * 3
    share = np.exp(log_prior(uses, np.array([[0.6, 0.9]])))[0]
    np.testing.assert_allclose(share[0], 0.4 * 0.1)
    np.testing.assert_allclose(share[1], 0.7 * 0.4 * 0.9)
    np.testing.assert_allclose(share[2:], [0.7 * 0.54, 0.15 * 0.54, 0.15 * 0.54])


def test_tasks_that_are_alike_come_together():
    kind = np.array([0, 1, 2, 3, 0, 1, 2, 0])
    group = clustered(np.where(kind[:, None] == kind, 0.1, 1.0) * (1 - np.eye(8)), 4)
    assert len(np.unique(group)) == 4
    assert all(len(set(group[kind == k].tolist())) == 1 for k in range(4))


def test_what_a_run_is_told_is_what_has_arrived_when_a_bracket_begins():
    """Against the finished schedule, in which nobody looks ahead."""
    sizes, num_workers = ((6, 2, 1), (3, 1), (2,), (6, 2, 1), (3, 1)), 3
    shape, rng = (num_workers, 9, 3), np.random.default_rng(6)
    durations = rng.exponential(size=(5, 9)) ** 2
    first, size = np.zeros((5, 3), np.int32), np.zeros((5, 3), np.int32)
    task, state, clock, told = jnp.zeros(1, jnp.int32), jnp.zeros((1, 45), bool), None, []
    for number, own in enumerate(sizes):
        size[number, : len(own)] = own
        first[number] = 9 * number + np.concatenate([[0], np.cumsum(size[number])[:-1]])
        slots = 9 * number + np.arange(sum(own), dtype=np.int32)
        rungs = [part[None] for part in np.split(slots, np.cumsum(own)[:-1])]
        jobs = [Jobs(r, r * 0, r[..., None] * 1.0, durations.ravel()[r], r >= 0) for r in rungs]
        joined, padded = in_one(shape, own, jobs)
        clock = started(shape, joined) if clock is None else clock
        state, clock = learnt(mark, False, None, task, state, clock, np.int32(number), padded, joined)
        told.append(np.asarray(state[0]))
    used = np.concatenate([9 * n + np.arange(sum(own)) for n, own in enumerate(sizes)])
    place = np.full(45, -1)
    place[used] = np.arange(used.size)
    layout = Layout(np.where(size > 0, place[np.minimum(first, 44)], 0).astype(np.int32), size)
    done = overlap_schedule(durations.ravel()[used], np.ones(used.size, bool), layout, num_workers)
    start, end = np.asarray(done.start), np.asarray(done.end)
    for number in range(len(sizes) - 1):
        begins = start[place[9 * (number + 1)]]
        assert told[number][used].tolist() == (end <= begins).tolist()


def mark(context, task, state, result):
    """A searcher's state that is the set of rows that it was told of."""
    return state | ((jnp.arange(45) == result.row) & result.valid)


def test_without_other_tasks_or_in_another_space_there_is_one_clear_line():
    alone = related_tasks(num_tasks=1)
    with pytest.raises(InputError, match="other task"):
        simulate(alone, "mo-hb+transfer", evaluations=3)
    table, other = related_tasks(), related_tasks(num_rows=30)
    with pytest.raises(InputError, match="the prior was learnt on"):
        simulate(table, "random+transfer", prior=certain(other), evaluations=3)


def test_reliability_is_one_more_success_and_one_more_failure():
    says = np.ones((4, 2), bool)
    reliable = np.full((4, 4, 2), np.nan)
    reliable[0, 1:] = [[1, 0], [1, 1], [1, np.nan]]
    nothing = np.zeros((4, 2, 5))
    alone = transfer_sources.Alone(nothing, nothing + 1, says, np.eye(4), reliable)
    table = related_tasks(num_tasks=4)
    assert transfer_sources.reliability(table, alone, 0).tolist() == [4 / 5, 2 / 4]
    assert transfer_sources.reliability(table, None, 0).tolist() == [transfer_sources.UNTESTED] * 2
    alone.reliable[0, 1:, 1] = np.nan  # the second objective is constant in every other task
    assert transfer_sources.reliability(table, alone, 0)[1] == transfer_sources.UNTESTED


def test_a_source_that_is_wrong_is_left_and_one_that_is_right_is_followed():
    table = related_tasks(num_rows=400, num_tasks=2, shift=0.0)
    right = certain(table)
    right = Prior(
        *(getattr(right, f) for f in ("name", "tasks", "columns", "objectives", "mu")), right.mu * 0 + 0.3
    )
    wrong = Prior(
        *(getattr(right, f) for f in ("name", "tasks", "columns", "objectives")), -right.mu, right.sigma
    )
    found = {}
    for name, prior in (("right", right), ("wrong", wrong)):
        log = simulate(table, "random+transfer", num_seeds=30, evaluations=60, prior=prior, draws=32)
        late = np.take_along_axis(right.mu[log.task].sum(axis=1), log.row, axis=1)[:, 20:]
        found[name] = late.mean()
    chance = right.mu.sum(axis=1).mean()
    assert found["right"] < chance - 0.5
    assert found["wrong"] == pytest.approx(chance, abs=0.2)
