"""BULK & CUT's policy: phases, parents, moves, and the learning rate."""

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, make_plan
from mohb_jax.searchers import bulk_and_cut as policy
from mohb_jax.searchers.base import Result
from mohb_jax.searchers.bulk_and_cut import CAPACITY, CUT, FULL, Knowledge, Results, Sizes, sizes_of
from mohb_jax.searchers.nearest_rows import STEPS, prepare_rows
from mohb_jax.searchers.seen_rows import new_pool
from mohb_jax.simulation import simulate
from tests import reference
from tests.test_genetic_operators import table_of as mixed_table
from tests.test_hyperband import integer_table, vars_of

pytestmark = pytest.mark.wide

NUM_ROWS = 800
KEYS = jax.random.split(jax.random.key(0), 2000)


def table_of(num_rows=NUM_ROWS, seed=0):
    """Two sizes, one with levels, and a learning rate that is best at 0.01; large models err less."""
    rng = np.random.default_rng(seed)
    columns = (
        Column("depth", "ordinal", "architecture", (1, 2, 4, 8, 16)),
        Column("units", "log", "architecture"),
        Column("learning_rate", "log"),
        Column("kind", "categorical", "hyperparameter", ("a", "b")),
    )
    depth, kind = rng.integers(5, size=num_rows), rng.integers(2, size=num_rows)
    units, rate = 10 ** rng.uniform(1, 3, num_rows), 10 ** rng.uniform(-5, 0, num_rows)
    size = (depth + 1) * units
    error = 1 + (np.log10(rate) + 2) ** 2 - 0.2 * np.log10(size) + 0.01 * rng.random(num_rows)
    costs = np.stack([error, size], axis=1)[None, :, None] * np.ones((1, 1, 4, 1))
    return Table(
        name="models",
        columns=columns,
        configs=np.stack([depth, units, rate, kind], axis=1).astype(float),
        tasks=("t",),
        fidelities=(1, 3, 9, 27),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "1"), Objective("size", "min", "parameters")),
        costs=costs,
        runtime=np.cumsum(rng.uniform(1, 2, (1, num_rows, 4)), axis=2),
    )


TABLE = table_of()
ROWS = prepare_rows(TABLE, (0,))
SIZES = sizes_of(TABLE, (1,))
KNOWN = Knowledge(ROWS, jnp.asarray(policy._sizes(TABLE, (0,), ROWS, SIZES)))


def lane_of(rows, costs, level=FULL, was_cut=()):
    """A lane with the given results, the oldest first."""
    places = jnp.arange(CAPACITY, dtype=jnp.int32)
    rows, costs = np.asarray(rows), np.asarray(costs, float)
    padded = np.full((CAPACITY, costs.shape[1]), -1e6)
    padded[: len(costs)] = costs
    row = np.zeros(CAPACITY, np.int32)
    row[: len(rows)] = rows
    levels = jnp.asarray(np.resize(level, CAPACITY), jnp.int32)
    age = jnp.where(places < len(rows), places, -1)
    front = policy.two_fronts(jnp.asarray(padded), (age >= 0) & (levels == FULL))
    key = jax.random.key(1)
    pool = new_pool(ROWS.candidates, jnp.int32(0), key, NUM_ROWS)
    cut = jnp.zeros(CAPACITY, bool).at[jnp.asarray(was_cut, jnp.int32)].set(True)
    return Results(
        pool, key, jnp.asarray(row), jnp.asarray(padded), levels, age, front, cut, jnp.int32(len(rows))
    )


def test_sizes_and_learning_rate_of_a_table():
    assert Sizes((0, 1), 1, 2) == SIZES
    unnamed = Table(
        **{**vars_of(TABLE), "columns": (*TABLE.columns[:2], Column("eta", "log"), TABLE.columns[3])}
    )
    assert sizes_of(unnamed, ()) == Sizes((0, 1), -1, 2)
    assert sizes_of(integer_table(), (2,)) == Sizes((0,), 2, None)
    assert sizes_of(mixed_table(), ()) == Sizes(
        (0,), -1, 1
    )  # no column has the name: the first logarithmic one


@pytest.mark.parametrize(("m", "levels"), [(1, 4), (2, 4), (3, 1000)])
def test_two_fronts_equal_the_definition(m, levels):
    """Equal results share a front: in the published code they eliminate one another (defect D10)."""
    for seed in range(10):
        costs = np.random.default_rng(seed).integers(levels, size=(12, m)).astype(float)
        rank = np.minimum(reference.pareto_rank(costs), 2)
        padded = jnp.asarray(np.concatenate([costs, np.full((3, m), -1.0)]))
        front = policy.two_fronts(padded, jnp.arange(15) < 12)
        np.testing.assert_array_equal(front, [*rank, 2, 2, 2])


FRONTS = np.array([[4.0, 1.0], [1.0, 4.0], [2.0, 2.0], [4.5, 3.0], [3.0, 4.5], [9.0, 9.0]])
"""Three on the first front, two on the second, and one behind."""


def parents(state, shrinks, keys=KEYS):
    choose = jax.jit(
        jax.vmap(lambda key: policy.chosen_parent(key, KNOWN.size[0], state, jnp.bool_(shrinks)))
    )
    place, found = (np.asarray(part) for part in choose(keys))
    return place, found


def middling_rows(num_rows):
    """Rows that can grow and shrink."""
    size = np.asarray(KNOWN.size[0])
    free = ((size > 0.2 * STEPS) & (size < 0.8 * STEPS)).all(axis=1)
    return np.flatnonzero(free)[:num_rows]


def test_parents_of_larger_models_gain_more():
    place, found = parents(lane_of(middling_rows(6), FRONTS), shrinks=False)
    assert found.all()
    counts = np.bincount(place, minlength=6) / len(KEYS)
    weight = (9 - FRONTS[:, 0]) ** 2
    expected = np.zeros(6)
    for front, share in (([0, 1, 2], 0.85), ([3, 4], 0.15)):
        expected[front] = share * weight[front] / weight[front].sum()
    np.testing.assert_allclose(counts, expected, atol=0.045)


def test_parents_of_smaller_models_are_those_not_yet_cut():
    state = lane_of(middling_rows(6), FRONTS, was_cut=[1, 3, 4])
    counts = np.bincount(parents(state, shrinks=True)[0], minlength=6) / len(KEYS)
    # Of the second front all were cut.
    np.testing.assert_allclose(counts, [0.425, 0, 0.425, 0.075, 0.075, 0], atol=0.045)


def test_parents_can_move():
    size = np.asarray(KNOWN.size[0])
    top = int(np.flatnonzero(size[:, 0] == STEPS)[0])
    rows = [*middling_rows(5), top]
    costs = FRONTS.copy()
    costs[5] = 0.5  # the largest model dominates all
    place, found = parents(lane_of(rows, costs), shrinks=False)
    assert found.all()
    assert size[top, 1] < STEPS  # its other size can grow
    assert 5 in place
    largest = KNOWN.size[0].max(axis=0)
    state = lane_of(rows, costs)
    full = KNOWN.size[0].at[top].set(largest)
    assert 5 not in jax.vmap(lambda key: policy.chosen_parent(key, full, state, jnp.bool_(False))[0])(
        KEYS[:200]
    )
    assert not parents(lane_of([], np.zeros((0, 2))), shrinks=False)[1].any()


def test_equal_errors_have_equal_odds():
    """Where none is better than the worst, all weights are 0."""
    state = lane_of(middling_rows(3), np.ones((3, 2)))
    place, found = parents(state, shrinks=False)
    assert found.all()
    np.testing.assert_allclose(np.bincount(place, minlength=3) / len(KEYS), [1 / 3] * 3, atol=0.045)


def test_results_of_cut_models_are_no_parents_and_do_not_compare():
    """At a third of the fidelity results may be better or worse for that alone."""
    level = np.full(CAPACITY, FULL)
    level[2] = CUT
    costs = FRONTS.copy()
    costs[2] = 0  # would dominate all
    place, _ = parents(lane_of(middling_rows(6), costs, level), shrinks=True)
    assert set(place.tolist()) == {0, 1, 3, 4}


def test_one_size_grows_by_a_level_and_all_shrink():
    row = int(middling_rows(1)[0])
    size = KNOWN.size[0, row]
    move = jax.vmap(lambda key, shrinks: policy.moved_size(key, KNOWN, SIZES, size, shrinks), (0, None))
    up = np.asarray(move(KEYS, jnp.bool_(False))) - np.asarray(size) / STEPS
    down = np.asarray(move(KEYS[:3], jnp.bool_(True))) - np.asarray(size) / STEPS
    grown = np.isclose(up, [0.25, 0]).all(axis=1), np.isclose(up, [0, policy.SIZE_STEP]).all(axis=1)
    assert (grown[0] | grown[1]).all()
    assert grown[0].mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(down, np.broadcast_to(-policy.SIZE_STEP, down.shape), atol=1e-9)
    top = jnp.array([STEPS, 1000], jnp.int32)
    moved = policy.moved_size(KEYS[0], KNOWN, SIZES, top, jnp.bool_(False))
    np.testing.assert_allclose(moved, [1, 1000 / STEPS + policy.SIZE_STEP])


def test_moves_are_monotone():
    row = int(middling_rows(1)[0])
    size = np.asarray(KNOWN.size[0])
    larger = np.asarray(policy.has_moved(KNOWN.size[0], jnp.int32(row), jnp.bool_(False)))
    smaller = np.asarray(policy.has_moved(KNOWN.size[0], jnp.int32(row), jnp.bool_(True)))
    np.testing.assert_array_equal(larger, [reference.dominates(size[row], other) for other in size])
    np.testing.assert_array_equal(smaller, [reference.dominates(other, size[row]) for other in size])


def test_the_learning_rate_is_near_the_best():
    rng = np.random.default_rng(0)
    tried = rng.random((40, 2))
    values = (tried[:, 0] - 0.6) ** 2 + 0.1 * tried[:, 1]
    valid = jnp.arange(40) < 30
    values[30:] = -np.inf
    rate = jax.jit(policy.best_learning_rate)(KEYS[0], jnp.asarray(tried), jnp.asarray(values), valid, 0.5)
    assert rate == pytest.approx(0.6, abs=0.1)
    # Where nothing was tried, bounds are lowest: two results close together leave the far end.
    few = jnp.array([[0.1, 0.5], [0.12, 0.5]])
    rate = policy.best_learning_rate(KEYS[0], few, jnp.array([1.0, 1.0]), jnp.ones(2, bool), jnp.array(0.5))
    assert rate > 0.9


def arrive(state, row, costs, level=FULL):
    return ARRIVE(
        state,
        Result(jnp.int32(row), jnp.int32(level), jnp.asarray(costs, float), jnp.int32(0), jnp.bool_(True)),
    )


ARRIVE = jax.jit(policy.with_result)


def test_what_is_kept_when_there_is_no_room():
    """The oldest outside the two fronts gives way; failures never enter."""
    front = np.arange(CAPACITY - 2.0)
    costs = np.stack([front, front[::-1]], axis=1)
    costs = np.concatenate([[[500.0, 500.0]], costs, [[600.0, 600.0]]])  # the first: on the second front
    state = lane_of(np.arange(CAPACITY) % NUM_ROWS, costs)
    assert np.asarray(state.front)[[0, 1, -1]].tolist() == [1, 0, 2]
    failed = arrive(state, 200, [np.inf, np.inf])
    assert 200 not in failed.row
    after = arrive(state, 200, [700.0, 700.0])
    assert after.row[-1] == 200
    assert after.age[-1] == CAPACITY
    then = arrive(after, 201, [0.0, 0.0])  # dominates all: the last was the only one outside
    assert then.row[-1] == 201
    assert np.asarray(then.front)[-1] == 0
    everyone = lane_of(
        np.arange(CAPACITY) % NUM_ROWS, np.stack([np.arange(128.0), -np.arange(128.0)], axis=1)
    )
    assert arrive(everyone, 200, [50.0, 50.0]).row[0] == 200


@pytest.fixture(scope="module")
def log():
    return simulate(TABLE, "bulk-and-cut", evaluations=100, num_seeds=12, workers=1)


def test_phases_have_their_shares(log):
    random = simulate(TABLE, "random", evaluations=100, num_seeds=12, workers=1)
    np.testing.assert_array_equal(log.row[:, :35], random.row[:, :35])
    assert (log.fidelity[:, :75] == 3).all()
    assert np.mean(log.fidelity[:, 75:] == 2) > 0.9  # 9 of 27 epochs
    assert (log.row[:, 35:75] != random.row[:, 35:75]).mean() > 0.9


def test_children_in_a_run_are_larger_then_smaller(log):
    """Each has a possible parent on the fronts of what was seen before it; a few are random, where the parent
    that was drawn had no candidate left."""
    size, has_parent = np.asarray(KNOWN.size[0]), []
    for lane in range(12):
        for slot in range(35, 100):
            before = [s for s in range(slot) if log.fidelity[lane, s] == 3]
            rank = moocore.pareto_rank(log.costs[lane, before])
            on_fronts = size[log.row[lane, np.array(before)[rank < 2]]]
            own = size[log.row[lane, slot]]
            if slot < 75:
                has_parent.append(any(reference.dominates(other, own) for other in on_fronts))
            elif log.fidelity[lane, slot] == 2:
                assert any(reference.dominates(own, other) for other in on_fronts)
    assert np.mean(has_parent) > 0.9


def test_learning_rates_of_children_are_near_the_best(log):
    rate = np.log10(TABLE.configs[log.row, 2])
    assert np.abs(rate[:, 55:75] + 2).mean() < 0.7 * np.abs(rate[:, :35] + 2).mean()


def test_a_known_objective_is_the_size_where_no_column_is():
    columns = tuple(Column(c.name, c.kind, "hyperparameter", c.levels) for c in TABLE.columns)
    plain = Table(**{**vars_of(TABLE), "columns": columns})
    sizes = sizes_of(plain, (1,))
    assert sizes == Sizes((), 1, 2)
    known = policy._sizes(plain, (0,), ROWS, sizes)[0, :, 0]
    np.testing.assert_array_equal(np.argsort(known, kind="stable"), np.argsort(plain.costs[0, :, -1, 1]))
    assert (known.min(), known.max()) == (0, STEPS)
    log = simulate(plain, "bulk-and-cut", evaluations=60, num_seeds=4)
    assert log.valid.all()
    assert (log.fidelity == 2).any(axis=1).all()


def test_needs_are_named():
    flat = synthetic(num_rows=20, fidelities=(1,))
    assert simulate(flat, "bulk-and-cut", evaluations=8).valid.all()  # slim-down in full
    columns = tuple(Column(c.name, c.kind, "hyperparameter", c.levels) for c in TABLE.columns)
    objectives = tuple(Objective(o.name, "min", "1") for o in TABLE.objectives)
    nameless = Table(**{**vars_of(TABLE), "columns": columns, "objectives": objectives})
    with pytest.raises(InputError, match="how large a model is"):
        simulate(nameless, "bulk-and-cut", evaluations=3)


@pytest.mark.parametrize(
    ("fidelities", "expected"), [((1, 3, 9, 27), (2, 3)), ((25, 27), (0, 1)), (tuple(range(1, 26)), (7, 24))]
)
def test_cut_models_are_trained_for_a_third(fidelities, expected):
    """The paper: 8 of 25 epochs."""
    table = integer_table(fidelities=fidelities, num_rows=4)
    plan = make_plan(table, METHODS["bulk-and-cut"])
    assert plan.brackets[0].levels == expected
