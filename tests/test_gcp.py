"""The Gaussian process on residuals of the transfer prior, as a searcher.

Compilation is what these tests take their time for, so most share one table's shape and one fitting.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table
from mohb_jax.surrogates import gaussian_process as gp
from mohb_jax.surrogates.transform import quantile_transform
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from mohb_jax.searchers import gcp as module
from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.gcp import Fitting, gcp, gcp_prior, process_calibration
from mohb_jax.searchers.transfer_prior import transfer_prior
from mohb_jax.transfer import Prior

pytestmark = pytest.mark.wide

FITTING = Fitting(num_steps=6, capacity=24)
DRAWS = 64
NUM_ROWS, NUM_TASKS, NUM_SEEDS = 70, 2, 10
GCP_PRIOR, GCP = gcp_prior(DRAWS, FITTING), gcp(FITTING)
TABLE = synthetic(NUM_ROWS, NUM_TASKS, fidelities=(1,), num_objectives=1, seed=3)


def prior_of(table, mu, sigma) -> Prior:
    """A prior that says what a test wants."""
    shape = (table.num_tasks, table.num_objectives, table.num_rows)
    parts = (np.broadcast_to(part, shape).astype(np.float32) for part in (mu, sigma))
    return Prior(table.name, table.tasks, table.columns, table.objectives, *parts)


@functools.cache
def step(searcher, num_suggestions):
    """One proposal and its results, for all lanes; the table's values are an argument."""

    def lane(context, values, task, state):
        state, row, valid = searcher.suggest(context, task, state, num_suggestions)
        state = searcher.observe(
            state, Seen(row, jnp.int32(0), values[task, row][:, None], valid, jnp.bool_(True))
        )
        return state, row, valid

    return jax.jit(jax.vmap(lane, (None, None, 0, 0)))


def start(searcher, table, prior=None, num_seeds=1, seed=0):
    """Context, task of each lane, and states: ``num_seeds`` lanes of each task."""
    tasks = tuple(range(table.num_tasks))
    context = searcher.prepare(table, tasks, seed, prior)
    task = jnp.repeat(jnp.arange(table.num_tasks, dtype=jnp.int32), num_seeds)
    keys = jax.random.split(jax.random.key(seed + 1), len(task))
    return context, task, jax.vmap(lambda task, key: searcher.init(context, task, key))(task, keys)


def run(searcher, table, prior=None, num_steps=12, num_seeds=NUM_SEEDS, num_suggestions=1, values=None):
    """Rows of each lane and which are valid, [lanes, steps * suggestions]; and the last states."""
    context, task, state = start(searcher, table, prior, num_seeds)
    values = jnp.asarray(table.costs[:, :, -1, 0] if values is None else values)
    rows, valids = [], []
    for _ in range(num_steps):
        state, row, valid = step(searcher, num_suggestions)(context, values, task, state)
        rows.append(row)
        valids.append(valid)
    return np.concatenate(rows, axis=1), np.concatenate(valids, axis=1), state


def oracle(features, mu, sigma, row, value, hyperparameters):
    """Logarithm of the expected improvement at every row of a task: NumPy, SciPy and scikit-learn."""
    n = len(value)
    cut = 1 / (4 * n**0.25 * np.sqrt(np.pi * np.log(n)))
    share = np.array([(value < own).mean() for own in value])
    z = scipy.stats.norm.ppf(np.clip(share, cut, 1 - cut))
    residual = (z - mu[row]) / sigma[row]
    offset, deviation = residual.mean(), residual.std()
    signal = float(np.exp(hyperparameters.log_signal))
    noise = gp.LEAST_NOISE + float(np.exp(hyperparameters.log_noise)) + gp.JITTER * signal
    kernel = ConstantKernel(signal) * Matern(np.exp(hyperparameters.log_lengthscales), nu=2.5)
    inverse = np.linalg.inv(kernel(features[row]) + noise * np.eye(n))
    constant = inverse.sum(axis=0) @ ((residual - offset) / deviation) / inverse.sum()
    regressor = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    regressor.fit(features[row], (residual - offset) / deviation - constant)
    mean, std = regressor.predict(features, return_std=True)
    mean = (offset + deviation * (constant + mean)) * sigma + mu
    std = np.sqrt(np.maximum((deviation * std) ** 2, 1e-6)) * sigma
    return np.log(std) + [log_gain(u) for u in (z.min() - mean) / std]


@pytest.mark.parametrize("num_observed", [5, 17])
def test_expected_improvement_and_proposal_equal_the_definition(num_observed):
    rng = np.random.default_rng(num_observed)
    mu, sigma = rng.normal(size=(2, 1, NUM_ROWS)), rng.uniform(0.3, 2, (2, 1, NUM_ROWS))
    context, _, _ = start(GCP_PRIOR, TABLE, prior_of(TABLE, mu, sigma))
    state = GCP_PRIOR.init(context, jnp.int32(1), jax.random.key(4))
    seen = rng.permutation(NUM_ROWS)[:num_observed].astype(np.int32)
    values = TABLE.costs[1, seen, 0]
    values[-1] = np.inf  # a failed evaluation is the worst
    state = jax.jit(GCP_PRIOR.observe)(
        state, Seen(seen, jnp.int32(0), values, np.ones(num_observed, bool), jnp.bool_(True))
    )
    state = state._replace(lists=state.lists._replace(seen=bits(seen)))
    hyperparameters, gain = jax.jit(
        lambda state: module._log_gain(6, FITTING.sizes, context, jnp.int32(1), state, jnp.arange(NUM_ROWS))
    )(state)
    prior = (np.float32(part[1, 0]).astype(float) for part in (mu, sigma))
    expected = oracle(unit_features(TABLE), *prior, seen, values[:, 0], hyperparameters)
    np.testing.assert_allclose(gain, expected, rtol=1e-6, atol=1e-6)
    assert len(np.unique(np.asarray(hyperparameters.log_lengthscales))) > 1  # it was fitted
    later, row, valid = jax.jit(GCP_PRIOR.suggest, static_argnums=3)(context, jnp.int32(1), state, 3)
    unseen = np.setdiff1d(np.arange(NUM_ROWS), seen)
    assert row.tolist() == unseen[np.argsort(-expected[unseen])][:3].tolist()
    assert valid.all()
    np.testing.assert_allclose(later.hyperparameters.log_signal, hyperparameters.log_signal, rtol=1e-12)


def bits(rows):
    """The mask of seen rows."""
    mask = np.zeros(-(-NUM_ROWS // 32), np.uint32)
    for row in rows:
        mask[row // 32] |= np.uint32(1 << (row % 32))
    return jnp.asarray(mask)


def test_logarithm_of_expected_improvement_keeps_its_digits():
    u = np.array([3.0, 0.0, -1.0, -5.0, -11.9, -12.1, -20.0, -40.0, -3000.0])
    for deviation in (1.0, 0.01):
        mean = jnp.asarray(-u * deviation)
        ours = module.log_expected_improvement(mean, jnp.full(9, deviation), jnp.zeros(()))
        expected = [np.log(deviation) + log_gain(own) for own in u]
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-7)


def log_gain(u):
    """Logarithm of E[max(0, u + noise)], by numerical integration with the density at u taken out."""
    end = 20.0 if u >= -2 else 60 / -u
    area, _ = scipy.integrate.quad(lambda t: t * np.exp(u * t - t * t / 2), 0, end, epsabs=0, epsrel=1e-11)
    return scipy.stats.norm.logpdf(u) + np.log(area)


@pytest.mark.parametrize(("searcher", "num_suggestions"), [(GCP_PRIOR, 1), (GCP, 1), (GCP_PRIOR, 4)])
def test_no_row_twice_and_an_exhausted_table_ends(searcher, num_suggestions):
    num_steps = NUM_ROWS // num_suggestions + 2
    prior = prior_of(TABLE, 0.0, 1.0)
    rows, valid, state = run(searcher, TABLE, prior, num_steps, num_suggestions=num_suggestions)
    for own, real in zip(rows, valid, strict=True):
        assert sorted(own[real]) == list(range(NUM_ROWS))
        assert real[:NUM_ROWS].all()
        assert not real[NUM_ROWS:].any()
    assert (np.asarray(state.num_observed) == FITTING.capacity).all()


def test_rows_that_a_task_lacks_are_never_proposed():
    available = np.random.default_rng(0).random((NUM_TASKS, NUM_ROWS, 1)) < 0.5
    table = Table(**{**fields(TABLE), "available": available})
    rows, valid, _ = run(GCP, table, num_steps=45)
    for own, real, mask in zip(rows, valid, np.repeat(available[..., 0], NUM_SEEDS, axis=0), strict=True):
        assert sorted(own[real]) == np.flatnonzero(mask).tolist()


def fields(table):
    return {name: getattr(table, name) for name in table.__dataclass_fields__}


def test_first_proposals_are_those_of_thompson_sampling_whatever_the_task_holds():
    rng = np.random.default_rng(1)
    prior = prior_of(TABLE, rng.normal(size=(2, 1, NUM_ROWS)), 0.3)
    poisoned = Table(**fields(TABLE))
    object.__setattr__(poisoned, "costs", np.full_like(TABLE.costs, np.nan))
    values = np.full((NUM_TASKS, NUM_ROWS), np.nan)
    for one, other in zip(
        start(GCP_PRIOR, poisoned, prior)[0][1:], start(GCP_PRIOR, TABLE, prior)[0][1:], strict=True
    ):
        np.testing.assert_array_equal(one, other)
    rows, valid, _ = run(GCP_PRIOR, poisoned, prior, num_steps=5, values=values)
    assert valid.all()
    clean, _, _ = run(GCP_PRIOR, TABLE, prior, num_steps=5)
    np.testing.assert_array_equal(rows, clean)
    cts = transfer_prior(DRAWS, one_by_one=True, objective=0)
    context, task, state = start(cts, TABLE, prior, NUM_SEEDS)
    _, expected, _ = jax.vmap(lambda task, state: cts.suggest(context, task, state, 5))(task, state)
    np.testing.assert_array_equal(rows, expected)


def test_a_prior_that_says_nothing_is_no_prior():
    prior = prior_of(TABLE, 0.0, 1.0)
    with_prior, without = (start(searcher, TABLE, prior)[0] for searcher in (GCP_PRIOR, GCP))
    for one, other in zip(with_prior[1:], without[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    seen = np.arange(0, 60, 6, dtype=np.int32)
    seen = Seen(seen, jnp.int32(0), TABLE.costs[0, seen, 0], np.ones(10, bool), jnp.bool_(True))
    proposals = []
    for searcher, context in ((GCP_PRIOR, with_prior), (GCP, without)):
        own = searcher.init(context, jnp.int32(0), jax.random.key(0))
        own = searcher.observe(own, seen)
        own = own._replace(lists=own.lists._replace(seen=bits(seen.row)))
        proposals.append(
            jax.jit(searcher.suggest, static_argnums=3)(context, jnp.int32(0), own, 3)[1].tolist()
        )
    assert proposals[0] == proposals[1]


def test_finds_the_optimum_sooner_than_chance_and_a_good_prior_sooner_still():
    """Over 20 runs; by chance a run would find the best of 70 rows in 24 proposals with probability 0.34."""
    best = TABLE.costs[:, :, 0, 0].argmin(axis=1)
    z = np.asarray(quantile_transform(jnp.asarray(TABLE.costs[0, :, 0, 0]), jnp.ones(NUM_ROWS, bool)))
    other = np.asarray(quantile_transform(jnp.asarray(TABLE.costs[1, :, 0, 0]), jnp.ones(NUM_ROWS, bool)))
    related = prior_of(TABLE, np.stack([other, z])[:, None], 0.5)  # each task predicted by the other

    def num_needed(searcher, prior):
        rows, _, _ = run(searcher, TABLE, prior, num_steps=24)
        hit = rows == np.repeat(best, NUM_SEEDS)[:, None]
        return np.where(hit.any(axis=1), hit.argmax(axis=1), NUM_ROWS)

    with_prior, without = num_needed(GCP_PRIOR, related), num_needed(GCP, None)
    assert (without < 24).sum() >= 17
    assert (with_prior < 24).sum() >= 17
    assert np.median(with_prior) <= np.median(without) <= 20


def test_equally_promising_rows_are_chosen_by_chance():
    """With one column that says nothing, all unseen rows at equal distance are alike."""
    row = jnp.arange(NUM_ROWS, dtype=jnp.int32)
    context, _, _ = start(GCP, TABLE)
    context = context._replace(features=jnp.zeros_like(context.features))
    chosen = set()
    for seed in range(6):
        state = GCP.init(context, jnp.int32(0), jax.random.key(seed))
        state = GCP.observe(
            state, Seen(row[:6], jnp.int32(0), TABLE.costs[0, :6, 0], np.ones(6, bool), jnp.bool_(True))
        )
        chosen.add(int(jax.jit(GCP.suggest, static_argnums=3)(context, jnp.int32(0), state, 3)[1][0]))
    assert len(chosen) >= 4


def test_a_full_memory_keeps_the_newest_and_the_best():
    searcher = gcp(Fitting(num_steps=1, capacity=6))
    context, _, _ = start(searcher, TABLE)
    state = searcher.init(context, jnp.int32(0), jax.random.key(0))
    values = np.array([5.0, 1.0, 7.0, np.inf, 4.0, 6.0, 3.0, 2.0, 8.0, 9.0, 5.5, np.inf])
    observe = jax.jit(searcher.observe)
    for first in range(0, 12, 3):
        row = np.arange(first, first + 3, dtype=np.int32)
        valid = np.array([True, first != 6, True])  # row 7 was never run
        state = observe(state, Seen(row, jnp.int32(0), values[row][:, None], valid, jnp.bool_(True)))
    assert state.row.tolist() == [1, 6, 8, 9, 10, 11]
    assert state.value.tolist() == [1.0, 3.0, 8.0, 9.0, 5.5, np.inf]
    assert int(state.num_observed) == 6


def test_a_fit_takes_the_smallest_size_that_holds_the_observations():
    assert Fitting(capacity=128).sizes == (32, 64, 128)
    assert Fitting(capacity=100).sizes == (32, 64, 100)
    assert Fitting(capacity=300).sizes == (32, 64, 128, 300)
    assert Fitting(capacity=24).sizes == (24,)


def test_a_large_table_is_seen_through_some_of_its_rows_and_still_exhausted(monkeypatch):
    monkeypatch.setattr(module, "NUM_FRESH", 4)
    searcher = gcp.__wrapped__(FITTING)
    _, _, state = start(searcher, TABLE)
    assert state.kept.shape == (NUM_TASKS, 64)
    found, valid, state = run(searcher, TABLE, num_steps=72)
    assert (np.asarray(state.kept) >= 0).any()
    for own, real in zip(found, valid, strict=True):
        assert sorted(own[real]) == list(range(NUM_ROWS))


def test_hyperparameters_are_searched_for_when_results_are_a_fifth_more():
    context, _, _ = start(GCP, TABLE)
    suggest, observe = jax.jit(GCP.suggest, static_argnums=3), jax.jit(GCP.observe)
    state, counts = GCP.init(context, jnp.int32(0), jax.random.key(0)), []
    for number in range(30):
        before = state.hyperparameters
        state, row, valid = suggest(context, jnp.int32(0), state, 1)
        if not np.array_equal(before.log_lengthscales, state.hyperparameters.log_lengthscales):
            counts.append(number)
        seen = Seen(row, jnp.int32(0), TABLE.costs[0, row, 0], valid, jnp.bool_(True))
        state = observe(state, seen)
    assert counts == [5, 6, 8, 10, 12, 15, 18, 22, 27]


def test_calibration_of_honest_processes_and_the_worth_of_a_good_prior():
    table = synthetic(400, 2, fidelities=(1,), num_objectives=1, seed=8)
    z = np.stack([module.placed(costs, costs) for costs in table.costs[:, :, 0, 0]])[:, None]
    without, informed = (
        process_calibration(table, prior, 0) for prior in (prior_of(table, 0.0, 1.0), prior_of(table, z, 0.3))
    )
    assert [row["task"] for row in without] == list(table.tasks)
    for row, better in zip(without, informed, strict=True):
        assert row["model"] == "gaussian process"
        assert row["objective"] == "objective-0"
        assert row["num_values"] == 350
        assert 0.8 < row["coverage"]["0.95"] < 1
        assert better["negative_log_likelihood"] < row["negative_log_likelihood"] < 1.0


def test_calibration_leaves_half_of_a_small_task_to_predict_and_counts_failures_as_the_worst():
    available = np.ones((NUM_TASKS, NUM_ROWS, 2), bool)
    available[0, ::3, 1] = False  # failed at the last fidelity
    available[1, 20:] = False
    table = synthetic(NUM_ROWS, NUM_TASKS, fidelities=(1, 3), num_objectives=1, seed=3)
    table = Table(**{**fields(table), "available": available})
    rows = process_calibration(table, prior_of(table, 0.0, 1.0), 0)
    assert [row["num_values"] for row in rows] == [35, 10]
    assert np.isfinite([row["negative_log_likelihood"] for row in rows]).all()


def test_placed_values_extend_the_transform_of_the_sample():
    sample = np.array([3.0, 1.0, 4.0, 1.0, np.inf, 9.0, 2.0])
    expected = quantile_transform(jnp.asarray(sample), jnp.ones(7, bool))
    np.testing.assert_allclose(module.placed(sample, sample), expected, rtol=1e-12)
    inside = module.placed(np.array([0.5, 1.5, 3.5, 100.0, np.inf]), sample)
    assert (np.diff(inside) >= 0).all()
    assert inside[0] == inside.min() == expected.min()
    np.testing.assert_allclose(inside[2], scipy.stats.norm.ppf(4 / 7))
