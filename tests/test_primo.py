"""PriMO: beliefs from other tasks, the acquisition that they draw, and the way from halving to the model."""

import functools

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
import scipy.integrate
from mohb_jax.benchmarks.columns import Column

from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, lacking, make_plan, make_settings
from mohb_jax.searchers import kriging_believer as believer
from mohb_jax.searchers import primo as module
from mohb_jax.searchers.base import Moment, Result
from mohb_jax.searchers.kriging_believer import Acquisition, Problem
from mohb_jax.searchers.primo import (
    BeliefKnowledge,
    category_probability,
    centre_rows,
    log_densities,
    log_density,
    number_log_density,
    primo,
    weight_of_belief,
)
from mohb_jax.simulation import simulate
from tests.test_gcp import log_gain
from tests.test_hyperband import entries, integer_table
from tests.test_kriging_believer import NUM_ROWS, TABLE, WORKERS, rival, use_small_memory
from tests.transfer_tables import poisoned, related_tasks

pytestmark = pytest.mark.wide

PROBLEM = Problem(3, (), 0, WORKERS)
LEVEL, NUM_COLUMNS = 3, 5


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    use_small_memory(monkeypatch)
    monkeypatch.setattr(believer, "PRECISION", jnp.float64)


@functools.cache
def policy_of(beliefs):
    return primo(PROBLEM, LEVEL, NUM_COLUMNS, beliefs)


@functools.cache
def context_of(beliefs):
    return policy_of(beliefs).prepare(TABLE, (0, 1), 0, None)


@functools.cache
def beginning(beliefs):
    """One compiled program, as for each result: one by one, their operations would be a hundred."""
    return jax.jit(lambda context, key: policy_of(beliefs).init(context, jnp.int32(1), key))


@functools.cache
def telling(beliefs):
    return jax.jit(
        lambda context, state, result: policy_of(beliefs).observe(context, jnp.int32(1), state, result)
    )


def told(beliefs, state, row, level=LEVEL, costs=None, valid=True):
    costs = TABLE.costs[1, row, 0] if costs is None else costs
    result = Result(np.int32(row), np.int32(level), costs, np.int32(0), np.bool_(valid))
    return telling(beliefs)(context_of(beliefs), state, result)


def lane(beliefs, rows, seed=0):
    """A lane that has results of some rows of task 1."""
    state = beginning(beliefs)(context_of(beliefs), jax.random.key(seed))
    for row in rows:
        state = told(beliefs, state, row)
    return state


@functools.cache
def acquisition():
    """What a lane of task 1 thinks of every row, for some keys at a time, and with which models."""

    def ask(density, weight, state, keys):
        launches, context, task = state.model.launches, context_of("none").model, jnp.int32(1)
        own = Acquisition(
            functools.partial(module._weighted_cost, state.weights),
            functools.partial(module._believed_gain, density, weight),
        )
        targets = own.targets(launches, keys[0]).astype(believer.PRECISION)
        models, shortlist = believer.up_to_date(
            context, task, state.model, targets, jnp.bool_(True), jnp.int32(5)
        )
        asked = PROBLEM, own, context, task, launches, models, shortlist, targets, shortlist.row >= 0
        gain = jax.vmap(lambda key: believer.judge(*asked, key, jnp.float64(0.25)))
        return models.hyperparameters, gain(keys).reshape(keys.shape[0], -1)

    return jax.jit(ask)


def test_weight_fades_with_the_model_s_proposals():
    number = np.arange(12)
    weight = np.asarray(weight_of_belief(jnp.asarray(number), 5))
    expected = np.exp(-(number**2) / 5)
    np.testing.assert_allclose(weight, np.where(expected < 1e-4, 0, expected))
    assert weight[0] == 1
    assert (weight[:7] > 0).all()
    assert not weight[7:].any()


@pytest.mark.parametrize("centre", [0.0, 0.3, 1.0])
def test_density_of_numbers(centre):
    def density(x):
        return float(np.exp(number_log_density(np.array([x]), centre))[0])

    assert scipy.integrate.quad(density, 0, 1)[0] == pytest.approx(1, abs=1e-6)
    grid = np.linspace(0, 1, 101)
    assert grid[number_log_density(grid, centre).argmax()] == pytest.approx(centre)
    # One deviation away it has fallen by a half in logarithms.
    other = centre + 0.25 if centre < 0.5 else centre - 0.25
    assert np.log(density(centre) / density(other)) == pytest.approx(0.5)


@pytest.mark.parametrize("num_levels", [1, 2, 7])
def test_probability_of_categories(num_levels):
    probability = category_probability(np.arange(num_levels) == num_levels - 1, num_levels)
    assert probability.sum() == pytest.approx(1)
    assert probability[-1] == pytest.approx(1 - 0.25 * (num_levels - 1) / num_levels)
    assert (probability[:-1] == 0.25 / num_levels).all()


def test_density_of_a_row_is_the_product_over_columns():
    columns = (
        Column("a", "log"),
        Column("b", "categorical", levels=("p", "q", "r")),
        Column("c", "ordinal", levels=(1, 2, 8)),
    )
    configs = np.array([[1, 0, 0], [100, 0, 2], [10, 2, 1], [10, 1, 1.0]])
    table = related_tasks(num_rows=4, columns=columns, configs=configs)
    a, b, c = np.array([0, 1, 0.5, 0.5]), np.array([0, 0, 1, 0]), np.array([0, 1, 0.5, 0.5])
    expected = number_log_density(a, 0.5) + number_log_density(c, 0.5) + np.log(np.where(b, 5 / 6, 1 / 12))
    np.testing.assert_allclose(log_density(table, 2), expected)
    for row in range(4):
        assert log_density(table, row).argmax() == row


def centres_by_hand(costs, good):
    """Best or worst mean rank of rows that succeeded everywhere; costs: [tasks, rows, m]."""
    num_tasks, num_rows, m = costs.shape
    fine = [row for row in range(num_rows) if np.isfinite(costs[:, row]).all()]
    centres = []
    for j in range(m):
        score = {}
        for row in fine:
            score[row] = 0.0
            for task in range(num_tasks):
                own = costs[task, np.isfinite(costs[task]).all(axis=1), j]
                below, equal = (own < costs[task, row, j]).sum(), (own == costs[task, row, j]).sum()
                score[row] += (below + (equal + 1) / 2) / len(own)
        centres.append(min(fine, key=lambda row: (score[row] if good else -score[row], row)))
    return centres


def holed(table, share, seed):
    available = np.random.default_rng(seed).random(table.costs.shape[:3]) > share
    available[:, :, 0] = True
    costs = np.where(available[..., None], table.costs, np.nan)
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    return type(table)(**(fields | {"costs": costs, "available": available}))


@pytest.mark.parametrize("beliefs", ["good", "bad"])
def test_beliefs_are_centred_at_the_best_row_of_the_other_tasks(beliefs):
    table = holed(integer_table(num_tasks=4, levels=9), 0.2, seed=1)
    density = log_densities(table, (2, 0), beliefs)
    assert np.isfinite(density).all()
    for place, task in enumerate((2, 0)):
        others = np.stack([table.final_costs(other) for other in range(4) if other != task])
        centres = centres_by_hand(others, beliefs == "good")
        for j, centre in enumerate(centres):
            np.testing.assert_array_equal(density[place, j], log_density(table, centre))


def test_centre_where_no_row_succeeded_everywhere():
    ranks = [np.array([[0.5, 1.0, np.nan, np.nan]]), np.array([[np.nan, np.nan, 1.0, 0.5]])]
    assert centre_rows(ranks, "good").tolist() == [0]
    assert centre_rows(ranks, "bad").tolist() == [1]
    ranks.append(np.array([[np.nan, np.nan, 0.5, 1.0]]))
    assert centre_rows(ranks, "good").tolist() == [2]  # of equals the first


def test_a_task_s_own_results_are_not_read():
    table = related_tasks()
    policy = primo(Problem(2, (), 0, 2), 1, 2, "good")
    known, hidden = (policy.prepare(own, (0, 1), 0, None) for own in (table, poisoned(table)))
    own = [jax.tree.map(lambda leaf: leaf[0], context.log_density) for context in (known, hidden)]
    np.testing.assert_array_equal(*own)
    for left, right in zip(jax.tree.leaves(known.model), jax.tree.leaves(hidden.model), strict=True):
        np.testing.assert_array_equal(left, right)
    # Task 1 does learn from task 0.
    changed = related_tasks(costs=np.concatenate([table.costs[:1, ::-1], table.costs[1:]]))
    again = policy.prepare(changed, (0, 1), 0, None)
    np.testing.assert_array_equal(again.log_density[0], known.log_density[0])
    assert not np.array_equal(again.log_density[1], known.log_density[1])


def test_without_beliefs_it_is_expected_improvement_of_the_weighted_cost():
    rows = np.random.default_rng(2).permutation(NUM_ROWS)[:10]
    state = lane("none", rows)
    fitted, ours = acquisition()(None, jnp.float64(1), state, jax.random.split(jax.random.key(0), 2))
    np.testing.assert_array_equal(ours[0], ours[1])
    values = TABLE.costs[1, :, 0]
    low, high = values[rows].min(axis=0), values[rows].max(axis=0)
    value = (values - low) / (high - low) @ np.asarray(state.weights)
    mean, std = rival(rows, value[rows], jax.tree.map(lambda leaf: leaf[0], fitted))
    std = np.sqrt(np.maximum(std**2, 1e-6))
    expected = np.log(std) + [log_gain(u) for u in (value[rows].min() - mean) / std]
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5, atol=1e-5)


def test_a_belief_is_added_for_three_proposals_of_four():
    """Within 4 standard errors of 400 proposals."""
    state = lane("none", range(0, NUM_ROWS, 6))
    keys, density = jax.random.split(jax.random.key(0), 400), np.asarray(context_of("good").log_density)
    weight = np.float64(0.5)
    plain = np.asarray(acquisition()(None, weight, state, keys[:2])[1])[0]
    drawn = np.asarray(acquisition()(density, weight, state, keys)[1]) - plain
    own = np.concatenate([0 * density[1, :1], 0.5 * density[1]])
    distance = np.abs(drawn[:, None] - own[None]).max(axis=2)
    assert (distance.min(axis=1) < 1e-9).all()
    count = np.bincount(distance.argmin(axis=1), minlength=4)
    assert (np.abs(count - 100) < 4 * (400 * 0.25 * 0.75) ** 0.5).all()
    dropped = acquisition()(density, np.float64(0), state, keys)[1]
    np.testing.assert_allclose(dropped, np.broadcast_to(plain, dropped.shape), atol=1e-12)


def test_weights_are_normalised_uniforms_that_stay():
    keys = jax.random.split(jax.random.key(1), 3000)
    begin = jax.jit(jax.vmap(beginning("none"), (None, 0)))
    weights = np.asarray(begin(context_of("none"), keys).weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    uniform = np.random.default_rng(0).random((200_000, 3))
    expected = (uniform / uniform.sum(axis=1, keepdims=True))[:, 0]
    assert weights[:, 0].mean() == pytest.approx(1 / 3, abs=0.01)
    assert weights[:, 0].std() == pytest.approx(expected.std(), rel=0.05)
    state = lane("none", range(6))
    assert np.array_equal(proposed("none", state)[0].weights, state.weights)


@functools.cache
def question(beliefs):
    def ask(context, state):
        return policy_of(beliefs).propose(
            context, jnp.int32(1), state, Moment(jnp.int32(9), jnp.float64(0.1), 0)
        )

    return jax.jit(ask)


def proposed(beliefs, state):
    return question(beliefs)(context_of(beliefs), state)


def test_a_row_may_be_told_several_times():
    state = lane("none", ())
    unknown = np.full(3, np.inf)
    state = told("none", state, 40, level=0)
    state = told("none", state, 40, level=1)
    state = told("none", state, 41, level=0, costs=unknown)  # it still runs
    state = told("none", state, 42, costs=unknown)  # it failed
    state = told("none", state, 43, valid=False)
    assert not np.asarray(state.model.launches.observed).any()
    seen = np.asarray(state.model.pool.seen)
    assert [row for row in range(NUM_ROWS) if seen[row // 32] >> (row % 32) & 1] == [40, 41, 42]
    for row in (40, 41):
        state = told("none", state, row)
    np.testing.assert_array_equal(state.model.pool.seen, seen)
    assert sorted(np.asarray(state.model.launches.row)[np.asarray(state.model.launches.observed)]) == [40, 41]


def test_random_rows_until_two_results_are_in():
    one, two = lane("none", [5]), lane("none", [5, 6])
    after, job = proposed("none", one)
    assert int(after.model.num_chosen) == 0
    _, other = proposed("none", one._replace(weights=np.asarray(one.weights)[::-1]))
    assert int(other.row) == int(job.row) != 5
    assert (int(job.level), int(job.from_level), bool(job.wanted)) == (LEVEL, -1, True)
    after, job = proposed("none", two)
    assert int(after.model.num_chosen) == 1
    assert np.asarray(after.model.launches.pending).sum() == 1
    assert np.asarray(told("none", after, int(job.row)).model.launches.observed).sum() == 3


def test_first_proposals_lie_where_the_belief_is_and_later_ones_need_not():
    """With a belief so strong that it decides alone."""
    rows = range(0, NUM_ROWS, 6)
    believed = np.asarray(context_of("good").log_density)
    strong = BeliefKnowledge(context_of("good").model, 1e6 * believed)
    density = strong.log_density[1].copy()
    density[:, list(rows)] = -np.inf
    centres = set(density.argmax(axis=1).tolist())
    near = [
        int(question("good")(strong, state)[1].row) in centres
        for state in (lane("good", rows, seed=seed) for seed in range(40))
    ]
    assert 0.75 - 4 * (0.75 * 0.25 / 40) ** 0.5 < np.mean(near) <= 0.75 + 4 * (0.75 * 0.25 / 40) ** 0.5
    state = lane("good", rows)
    late = state._replace(model=state.model._replace(num_chosen=jnp.int32(7)))
    plain = question("good")(BeliefKnowledge(strong.model, 0 * believed), late)[1]
    assert int(question("good")(strong, late)[1].row) == int(plain.row)


def test_halving_comes_first_and_no_row_of_it_is_taken_up_again():
    table = integer_table()
    runs = {"num_seeds": 4, "workers": 3, "evaluations": 60}
    log, alone = simulate(table, "primo", **runs), simulate(table, "mo-asha-promote", **runs)
    for number in range(8):
        jobs, first = entries(log, number), entries(alone, number)
        ends = sorted((end, fidelity) for _, fidelity, _, end, _ in first)
        trained = np.cumsum([table.fidelities[fidelity] / 27 for _, fidelity in ends])
        full = np.cumsum([fidelity == 3 for _, fidelity in ends])
        time = ends[np.flatnonzero((trained >= 1 - 1e-9) & (full >= 1))[0]][0]
        before = [job for job in jobs if job[2] < time]
        assert before == [job for job in first if job[2] < time]
        after = [job for job in jobs if job[2] >= time]
        rows = [job[0] for job in after]
        assert len(after) >= 10
        assert {job[1] for job in after} == {3}
        assert len(set(rows)) == len(rows)
        assert not set(rows) & {job[0] for job in before}


def test_settings_and_needs():
    alone = integer_table(num_tasks=1)
    assert "other tasks" in lacking(alone, METHODS["primo"])
    assert lacking(alone, METHODS["primo"], make_settings(METHODS["primo"], beliefs="none")) is None
    assert lacking(integer_table(), METHODS["primo"]) is None
    flat = integer_table(fidelities=(1,))
    assert "several fidelities" in lacking(flat, METHODS["primo"])
    with pytest.raises(InputError, match="beliefs is 'best': accepted are good, bad, none"):
        make_settings(METHODS["primo"], beliefs="best")
    plan = make_plan(
        alone, METHODS["primo"], make_settings(METHODS["primo"], beliefs="none"), Conditions(evaluations=10)
    )
    assert plan.opening.trainings == alone.num_columns


@pytest.mark.parametrize(
    "between", [pytest.param((), id="bad"), pytest.param(("none",), id="none", marks=pytest.mark.slow)]
)
def test_good_beliefs_beat_bad_ones_where_tasks_are_alike(between):
    """By hypervolume of the full evaluations; runs with one seed share their halving and their weights."""
    table = related_tasks(num_rows=400, shift=0.02, seed=1)
    volume = {}
    for beliefs in ("good", *between, "bad"):
        log = simulate(table, "primo", num_seeds=16, workers=1, evaluations=14, beliefs=beliefs)
        fronts = [costs[own == 1] - 1 for costs, own in zip(log.costs, log.fidelity, strict=True)]
        volume[beliefs] = np.array([moocore.hypervolume(front, ref=np.ones(2)) for front in fronts])
    gained = volume["good"] - volume["bad"]
    assert gained.mean() > 3 * gained.std() / len(gained) ** 0.5
    means = [of.mean() for of in volume.values()]
    assert means == sorted(means, reverse=True)
