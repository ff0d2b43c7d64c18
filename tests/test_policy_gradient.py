"""MONAS and NPG: levels of a table, draws from the policy, rewards, and its steps."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Objective, Table

from mohb_jax.searchers import policy_gradient as policy
from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.column_levels import prepare_levels, shares_levels
from mohb_jax.searchers.policy_gradient import Learning, monas, npg
from mohb_jax.searchers.seen_rows import marked, new_pool
from mohb_jax.simulation import simulate

pytestmark = pytest.mark.wide

FAST = Learning(learning_rate=0.3)
NUM_ROWS = 11


@functools.cache
def holey_grid():
    """A grid of 3 x 4 levels of which row 0 x 0 is missing, in random order; level 3 of b is best, and level
    2 of a is bad."""
    rng = np.random.default_rng(0)
    grid = np.array(list(itertools.product(range(3), range(4)))[1:], float)
    configs = rng.permutation(grid)
    first = configs[:, 0] - configs[:, 1] + 10
    costs = np.stack([first, first * 2], axis=1)[None, :, None, :]
    return Table(
        name="grid",
        columns=(
            Column("a", "categorical", levels=("x", "y", "z")),
            Column("b", "ordinal", levels=(1, 2, 3, 4)),
        ),
        configs=configs,
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("f", "min", "1"), Objective("g", "min", "1")),
        costs=costs,
        runtime=np.ones((1, NUM_ROWS, 1)),
    )


def space_of(table):
    return prepare_levels(table, tuple(range(table.num_tasks)))


def table_of(values, kind, levels=()):
    """A column with given values, and one that tells rows apart."""
    values = np.asarray(values, float)
    number = np.arange(len(values), dtype=float)
    return Table(
        name="column",
        columns=(Column("x", kind, levels=levels), Column("number", "continuous")),
        configs=np.stack([values, number], axis=1),
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("f", "min", "1"),),
        costs=number[None, :, None, None],
        runtime=np.ones((1, len(values), 1)),
    )


def test_few_values_are_levels_and_many_are_cut_into_bins_of_equal_count():
    few = space_of(table_of([0.5, 3.0, 0.5, 7.0], "continuous"))
    assert few.levels[0].tolist() == [0, 1, 0, 2]
    assert few.defaults.tolist() == [0, 0]
    np.testing.assert_allclose(few.centres[0, :3], [0, 2.5 / 6.5, 1], atol=1e-3)
    values = np.random.default_rng(0).permutation(80) ** 3
    many = space_of(table_of(values, "continuous"))
    assert np.bincount(many.levels[0]).tolist() == [10] * 8
    order = np.argsort(values)
    assert np.asarray(many.levels)[0, order].tolist() == [level for level in range(8) for _ in range(10)]
    tied = space_of(table_of([0] * 50 + list(range(1, 31)), "continuous"))  # five bins are one value
    assert tied.num_levels == (4, 8)
    assert (np.asarray(tied.levels)[0, :50] == 0).all()
    names = tuple(f"type-{i}" for i in range(20))
    categories = space_of(table_of(list(range(20)) * 2, "categorical", names))
    assert categories.num_levels == (20, 8)  # neighbours in a list of names have nothing in common
    np.testing.assert_array_equal(categories.centres[0], np.arange(20))


def test_rows_that_share_decided_columns():
    table = holey_grid()
    space = space_of(table)
    for depth in range(3):
        shares = shares_levels(space, jnp.array([1, 2]), jnp.int32(depth))
        expected = (table.configs[:, :depth] == [1, 2][:depth]).all(axis=1)
        np.testing.assert_array_equal(shares, expected)


def row_shares(space, logits):
    """Probability of every row under the policy, restricted to the rows that there are."""
    share = scipy.special.softmax(np.where(space.is_level, logits, -np.inf), axis=1)
    levels = np.asarray(space.levels)
    product = share[0, levels[0]] * share[1, levels[1]]
    return product, product / product.sum()


LOGITS = np.array([[0.3, -0.7, 1.1, -1e30], [0.5, 0.0, -1.0, 0.8]])


def test_log_probability_of_rows():
    space = space_of(holey_grid())
    expected = np.log(row_shares(space, LOGITS)[0])
    np.testing.assert_allclose(policy.row_log_probabilities(space, LOGITS), expected, rtol=1e-12)
    some = jnp.array([4, 4, 0])
    np.testing.assert_allclose(policy.row_log_probabilities(space, LOGITS, some), expected[some], rtol=1e-12)


@pytest.mark.parametrize("num_seen", [0, 3])
def test_draws_have_the_probabilities_of_the_policy_among_unseen_rows(num_seen):
    space = space_of(holey_grid())
    pool = new_pool(space.rows.candidates, jnp.int32(0), jax.random.key(0), NUM_ROWS)
    pool = pool._replace(seen=marked(pool.seen, jnp.arange(num_seen)))
    draw = functools.partial(policy.drawn_rows, 2, space, jnp.int32(0), pool, jnp.asarray(LOGITS))
    sample = jax.jit(jax.vmap(lambda key: draw(key)[1]))
    rows = np.asarray(sample(jax.random.split(jax.random.key(1), 20_000)))
    share = row_shares(space, LOGITS)[1]
    share[:num_seen] = 0
    share = share / share.sum()
    counts = np.bincount(rows[:, 0], minlength=NUM_ROWS)
    assert (counts[:num_seen] == 0).all()
    assert scipy.stats.chisquare(counts[num_seen:], 20_000 * share[num_seen:]).pvalue > 1e-4
    # The second row is drawn in the same way from those that are left.
    odds = share / (1 - share)
    second = share * (odds.sum() - odds)
    counts = np.bincount(rows[:, 1], minlength=NUM_ROWS)
    assert scipy.stats.chisquare(counts[num_seen:], 20_000 * second[num_seen:]).pvalue > 1e-4


def test_draws_end_with_the_table():
    space = space_of(holey_grid())
    pool = new_pool(space.rows.candidates, jnp.int32(0), jax.random.key(0), NUM_ROWS)
    pool = pool._replace(seen=marked(pool.seen, jnp.arange(9)))
    later, row, valid = policy.drawn_rows(
        4, space, jnp.int32(0), pool, jnp.asarray(LOGITS), jax.random.key(0)
    )
    assert valid.tolist() == [True, True, False, False]
    assert sorted(row[:2].tolist()) == [9, 10]
    assert int(later.seen[0]) == 2**NUM_ROWS - 1


def test_rewards_by_hand():
    costs = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0], [np.inf] * 3, [2.0, 10.0, 5.0]])
    low, high = np.array([1.0, 10.0, 5.0]), np.array([5.0, 30.0, 5.0])
    ours = policy.rewards(costs, low, high, jnp.float64(0.25))
    expected = [
        0.25 * 1 - 0.75 * 0,
        0.25 * 0.5 - 0.75 * 0.5,
        0.25 * 0 - 0.75 * 1,
        0.25 * 0.75 - 0.75 * 0,
    ]
    np.testing.assert_allclose(ours, expected)
    alone = policy.rewards(costs[:, :1], low[:1], high[:1], jnp.float64(0.25))
    np.testing.assert_allclose(alone, [0.25, 0.125, 0, 0.1875])


def test_gradient_by_hand_and_by_differences():
    """Of a policy over two columns: the textbook's ``advantage * (chosen - probability)``."""
    levels, advantage = np.array([[0, 3], [2, 1], [1, 1]]), np.array([0.7, -0.4, 0.0])
    temperature, bonus = jnp.asarray(2.0), 0.05
    value = jax.jit(functools.partial(policy.gain, entropy_bonus=bonus))
    ours = jax.grad(value)(jnp.asarray(LOGITS), levels, advantage, temperature)
    expected = np.zeros((2, 4))
    for column, num_levels in enumerate((3, 4)):
        share = scipy.special.softmax(LOGITS[column, :num_levels] / temperature)
        entropy = -(share * np.log(share)).sum()
        for row, own in zip(levels, advantage, strict=True):
            chosen = np.arange(num_levels) == row[column]
            expected[column, :num_levels] += own * (chosen - share) / 3 / temperature
        expected[column, :num_levels] -= bonus * share * (np.log(share) + entropy) / temperature
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-15)
    step = np.zeros((2, 4))
    step[1, 2] = 1e-6
    ends = [value(jnp.asarray(LOGITS + sign * step), levels, advantage, temperature) for sign in (1, -1)]
    np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, expected[1, 2], rtol=1e-6)


def start(searcher, table, seed=0):
    context = searcher.prepare(table, (0,), 0, None)
    return context, searcher.init(context, jnp.int32(0), jax.random.key(seed))


def test_a_step_equals_the_definition():
    """Two batches, of which the second is compared with the average so far; one result failed."""
    table = synthetic(60, fidelities=(1,), num_objectives=2)
    searcher = monas.__wrapped__(alpha=0.3, learning=Learning(0.1, 0.01, 0.9))
    context, state = start(searcher, table)
    suggest, observe = jax.jit(searcher.suggest, static_argnums=3), jax.jit(searcher.observe)
    slope = jax.jit(jax.grad(functools.partial(policy.gain, entropy_bonus=0.01)))
    optimiser = optax.adam(0.1)
    logits, baseline, seen_costs = np.array(state.logits), None, np.zeros((0, 2))
    moments = optimiser.init(jnp.asarray(logits))
    for number in range(2):
        state, row, valid = suggest(context, jnp.int32(0), state, 10)
        assert valid.all()
        costs = table.costs[0, np.asarray(row), 0].copy()
        costs[4] = np.inf if number == 0 else costs[4]
        state = observe(state, Seen(row, jnp.int32(0), costs, valid, jnp.bool_(True)))
        seen_costs = np.concatenate([seen_costs, costs[np.isfinite(costs).all(axis=1)]])
        low, high = seen_costs.min(axis=0), seen_costs.max(axis=0)
        scaled = np.where(np.isfinite(costs), (costs - low) / (high - low), 1)
        reward = 0.3 * (1 - scaled[:, 0]) - 0.7 * scaled[:, 1]
        baseline = reward.mean() if baseline is None else baseline
        levels = np.asarray(context.levels)[:, np.asarray(row)].T
        upwards = np.asarray(slope(logits, levels, reward - baseline, np.float64(1)))
        updates, moments = jax.jit(optimiser.update)(-upwards, moments)
        logits = logits + np.asarray(updates)
        baseline = 0.9 * baseline + 0.1 * reward.mean()
    state, _, _ = suggest(context, jnp.int32(0), state, 10)
    np.testing.assert_allclose(state.logits, logits, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(state.baseline, baseline, rtol=1e-12)


def test_nothing_is_learnt_from_no_results():
    table = synthetic(60, fidelities=(1,), num_objectives=2)
    searcher = monas()
    context, state = start(searcher, table)
    suggest = jax.jit(searcher.suggest, static_argnums=3)
    for _ in range(2):
        state, row, _ = suggest(context, jnp.int32(0), state, 10)
        nothing = Seen(row, jnp.int32(0), jnp.full((10, 2), jnp.nan), jnp.zeros(10, bool), jnp.bool_(True))
        state = searcher.observe(state, nothing)
    np.testing.assert_array_equal(state.logits, start(searcher, table)[1].logits)
    more = Seen(jnp.arange(11), jnp.int32(0), jnp.zeros((11, 2)), jnp.ones(11, bool), jnp.bool_(True))
    with pytest.raises(ValueError, match="at most 10"):
        searcher.observe(state, more)


def run(searcher, table, num_batches, size=10, num_lanes=6):
    """Rows of some lanes, [lanes, batches, size]."""
    context = searcher.prepare(table, (0,), 0, None)
    costs = jnp.asarray(table.final_costs(0))

    @jax.jit
    @jax.vmap
    def step(state):
        state, row, valid = searcher.suggest(context, jnp.int32(0), state, size)
        seen = Seen(row, jnp.int32(0), costs[row], valid, jnp.bool_(True))
        return searcher.observe(state, seen), jnp.where(valid, row, -1)

    state = jax.vmap(lambda key: searcher.init(context, jnp.int32(0), key))(
        jax.random.split(jax.random.key(3), num_lanes)
    )
    rows = []
    for _ in range(num_batches):
        state, row = step(state)
        rows.append(np.asarray(row))
    return np.stack(rows, axis=1), state


def test_npg_with_fixed_weights_at_temperature_1_is_monas():
    table = synthetic(300, fidelities=(1,), num_objectives=2, seed=2)
    fixed = run(npg(weights=(0.4, 0.4), temperatures=(1.0, 1.0), learning=FAST), table, 8)
    plain = run(monas(0.4, FAST), table, 8)
    np.testing.assert_array_equal(fixed[0], plain[0])
    np.testing.assert_allclose(fixed[1].logits, plain[1].logits)
    for other in (npg((0.2, 0.6), (1.0, 1.0), learning=FAST), npg((0.4, 0.4), (5.0, 1.0), learning=FAST)):
        assert (run(other, table, 8)[0] != plain[0]).any()  # both parts have an effect


def test_course_of_npg(monkeypatch):
    courses = []
    monkeypatch.setattr(policy, "_policy_searcher", lambda course, _: courses.append(course) or monas())
    npg.__wrapped__(period=5)
    moods = [courses[0](jnp.int32(number)) for number in range(7)]
    np.testing.assert_allclose([mood.weight for mood in moods], [0, 0.25, 0.5, 0.75, 1, 0, 0.25])
    falls = [1 + 2 * (1 + np.cos(np.pi * (number % 5) / 5)) for number in range(7)]
    np.testing.assert_allclose([mood.temperature for mood in moods], falls)
    assert float(moods[0].temperature) == 5
    npg.__wrapped__(period=1)
    assert np.isfinite(courses[1](jnp.int32(3)).weight)


def test_the_policy_finds_good_levels():
    """With a rate at which a hundred results teach something; rows of a table of 8 x 8 levels."""
    configs = np.array(list(itertools.product(range(8), range(8), range(8))), float)
    best = np.abs(configs - [2, 5, 6]).sum(axis=1)
    table = Table(
        name="bowl",
        columns=tuple(Column(name, "ordinal", levels=tuple(range(8))) for name in "abc"),
        configs=configs,
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("f", "min", "1"),),
        costs=best[None, :, None, None],
        runtime=np.ones((1, 512, 1)),
    )
    rows, _ = run(monas(learning=FAST), table, 20)
    value = best[rows]
    assert value[:, :2].mean() > 6.5
    assert value[:, 8:].mean() < 5.5


@pytest.mark.parametrize("method", ["monas", "npg"])
def test_first_configurations_are_those_of_random_search_and_an_incomplete_grid_runs_out(method):
    table = holey_grid()
    log, by_chance = (simulate(table, name, num_seeds=3, evaluations=30) for name in (method, "random"))
    np.testing.assert_array_equal(log.row[:, :10], by_chance.row[:, :10])
    for lane in range(3):
        assert sorted(log.row[lane][log.valid[lane]].tolist()) == list(range(NUM_ROWS))
