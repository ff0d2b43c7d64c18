"""MO-BANANAS: positions, sampling of ranks, mutations, and the archive."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.encoding import unit_features
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Objective, Table

from mohb_jax.drivers.base import Conditions
from mohb_jax.methods import METHODS
from mohb_jax.schedule import Bracket, third
from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.mo_bananas import encoded, mo_bananas, mutated, positions, sampled_positions
from mohb_jax.searchers.nearest_rows import prepare_rows
from mohb_jax.simulation import simulate
from tests import reference

pytestmark = pytest.mark.wide


@functools.cache
def mixed_table(num_rows=40, num_levels=5):
    """One column of each kind, and two fidelities."""
    rng = np.random.default_rng(0)
    columns = (
        Column("a", "continuous"),
        Column("b", "log"),
        Column("c", "ordinal", levels=(1, 2, 4, 8)),
        Column("d", "categorical", levels=tuple("pqrst"[:num_levels])),
    )
    configs = np.stack(
        [
            rng.uniform(-3, 5, num_rows),
            10 ** rng.uniform(-4, 0, num_rows),
            rng.integers(4, size=num_rows),
            rng.integers(num_levels, size=num_rows),
        ],
        axis=1,
    )
    return Table(
        name="mixed",
        columns=columns,
        configs=configs,
        tasks=("one",),
        fidelities=(1, 3),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("f", "min", "1"), Objective("g", "min", "1")),
        costs=rng.random((1, num_rows, 2, 2)),
        runtime=np.cumsum(np.ones((1, num_rows, 2)), axis=2),
    )


def test_positions_are_the_inverse_of_the_order():
    """Three candidates whose order is not its own inverse: sorted they stand as 1, 2, 0."""
    costs = jnp.array([[3.0, 3.0], [1.0, 1.0], [2.0, 2.0]])
    assert positions(costs).tolist() == [2, 0, 1]
    rng = np.random.default_rng(0)
    for _ in range(5):
        costs = rng.integers(6, size=(9, 2)).astype(float)
        place = np.asarray(positions(costs))
        assert sorted(place) == list(range(9))
        rank = np.array(reference.pareto_rank(costs))
        assert (np.diff(rank[np.argsort(place)]) >= 0).all()


def test_sampled_positions_of_three_candidates_by_hand():
    """Five members; the first objective decides, for both are equal."""
    members = np.array([[1, 2, 3], [1, 3, 2], [2, 1, 3], [1, 2, 3], [1, 2, 3]], float)
    predictions = jnp.asarray(np.stack([members, members], axis=2))
    # Means 1.2, 2, 2.8: positions 0, 1, 2. The second member swaps the last two, the third the first two.
    deviation = np.sqrt(np.array([1, 2, 1]) / 4)
    sample = jax.jit(jax.vmap(lambda key: sampled_positions(key, predictions)))
    scores = np.asarray(sample(jax.random.split(jax.random.key(0), 4000)))
    for candidate in range(3):
        p = scipy.stats.kstest(scores[:, candidate], "norm", args=(candidate, deviation[candidate])).pvalue
        assert p > 1e-4
    correlation = np.corrcoef(scores.T)
    assert abs(correlation[0, 1]) < 0.08  # independent
    agreeing = jnp.tile(predictions[:1], (5, 1, 1))
    assert sampled_positions(jax.random.key(1), agreeing).tolist() == [0.0, 1.0, 2.0]


def test_equal_predictions_are_ordered_by_chance():
    predictions = jnp.zeros((5, 4, 2))
    sample = jax.jit(jax.vmap(lambda key: sampled_positions(key, predictions)))
    scores = np.asarray(sample(jax.random.split(jax.random.key(0), 200)))
    assert {int(first) for first in scores.argmin(axis=1)} == {0, 1, 2, 3}
    np.testing.assert_array_equal(np.sort(scores, axis=1), np.tile(np.arange(4.0), (200, 1)))


def test_networks_read_points_as_features_of_the_table():
    table = mixed_table()
    rows = prepare_rows(table, (0,))
    np.testing.assert_allclose(
        encoded(rows, rows.point(jnp.arange(table.num_rows))), unit_features(table), atol=1e-3
    )


def test_mutations_change_three_columns_by_their_distributions():
    rows = prepare_rows(mixed_table(), (0,))
    point = np.asarray(rows.point(jnp.int32(3)))
    change = jax.jit(jax.vmap(lambda key: mutated(rows, key, point)))
    changed = np.asarray(change(jax.random.split(jax.random.key(0), 3000)))
    moved = changed != point
    assert (moved[:, :3].sum(axis=1) + moved[:, 3] <= 3).all()
    share = moved[:, :3].mean(axis=0)  # three of four columns
    assert (abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 3000)).all()
    for column in range(3):
        values = changed[moved[:, column], column]
        low, high = -point[column] * 3, (1 - point[column]) * 3
        assert scipy.stats.kstest(values, "truncnorm", args=(low, high, point[column], 1 / 3)).pvalue > 1e-4
    levels, counts = np.unique(changed[moved[:, 3], 3], return_counts=True)
    assert sorted(levels) == [level for level in range(5) if level != point[3]]
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    # The category is drawn from all five levels, so that one draw in five changes nothing.
    assert abs(moved[:, 3].mean() - 0.75 * 0.8) < 5 * np.sqrt(0.6 * 0.4 / 3000)


def start(searcher, table):
    context = searcher.prepare(table, (0,), 0, None)
    return context, searcher.init(context, jnp.int32(0), jax.random.key(0))


def test_the_archive_is_sorted_and_the_last_in_order_give_way():
    searcher = mo_bananas(capacity=6)
    _, state = start(searcher, mixed_table())
    observe = jax.jit(searcher.observe)
    costs = np.array([[3, 3], [1, 4], [2, 2], [np.inf] * 2, [4, 1], [5, 5], [6, 6], [0, 9], [7, 7]], float)
    row = np.arange(9, dtype=np.int32)
    for first in range(0, 9, 3):
        part = slice(first, first + 3)
        seen = Seen(row[part], jnp.int32(1), costs[part], np.ones(3, bool), jnp.bool_(True))
        state = observe(state, seen)
        low = Seen(row[part], jnp.int32(0), costs[part] - 9, np.ones(3, bool), jnp.bool_(False))
        state = observe(state, low)  # results below the highest fidelity are not learnt from
    assert int(state.num_observed) == 6
    front = [7, 4, 1, 2]  # the ends of the front, then the more crowded inside
    assert set(state.row[:4].tolist()) == set(front)
    assert state.row[:2].tolist() == [4, 7]
    assert state.row[4:].tolist() == [0, 5]
    np.testing.assert_array_equal(state.costs, costs[state.row])


def test_all_results_at_full_fidelity_are_learnt_from():
    """The published code keeps one of three."""
    searcher = mo_bananas()
    _, state = start(searcher, mixed_table())
    seen = Seen(jnp.arange(3), jnp.int32(1), jnp.ones((3, 2)), jnp.ones(3, bool), jnp.bool_(True))
    assert int(searcher.observe(state, seen).num_observed) == 3


def test_schedule():
    method = METHODS["mo-bananas"]
    usual = method.settings(), Conditions()
    table = synthetic(20, fidelities=(1, 3, 9, 27))
    assert method.schedule(table, *usual) == (Bracket((10, 3), (2, 3)),)
    assert method.opening(table, *usual) == (Bracket((10,), (3,)),)
    assert method.schedule(synthetic(20, fidelities=(9,)), *usual) == (Bracket((10,), (0,)),)


@pytest.mark.parametrize(
    ("fidelities", "index"),
    [
        (tuple(range(5, 26)), 4),  # 9 of 25, as published
        ((1, 27), 0),
        ((7,), 0),
        ((20, 27), 0),  # none so low: the smallest
        ((0.1, 0.25, 0.5, 1.0), 1),  # shares are not rounded up
    ],
)
def test_a_third_of_the_highest_fidelity(fidelities, index):
    assert third(fidelities) == index


def test_first_configurations_are_those_of_random_search_and_all_rows_are_used():
    table = mixed_table()
    log, by_chance = (simulate(table, name, num_seeds=4, evaluations=80) for name in ("mo-bananas", "random"))
    np.testing.assert_array_equal(log.row[:, :10], by_chance.row[:, :10])
    for lane in range(4):
        own = log.row[lane][log.valid[lane]]
        assert set(own.tolist()) == set(range(40))


def test_failures_are_learnt_as_the_worst():
    """One category in five fails at the highest fidelity, which no lower one tells."""
    table = mixed_table(num_rows=400)
    available = np.ones(table.mask.shape, bool)
    available[0, table.configs[:, 3] == 0, 1] = False
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    fields |= {"costs": np.where(available[..., None], table.costs, np.nan), "available": available}
    log = simulate(Table(**fields), "mo-bananas", num_seeds=8, evaluations=100)
    failed = np.isinf(log.costs).all(axis=2)
    late = (np.arange(100) >= 50) & (log.fidelity == 1)
    assert failed[:, :10].mean() > 0.1
    assert failed[late].mean() < 0.05


def test_the_model_is_of_use():
    """On a smooth table, later proposals are better than random ones in the sum of objectives."""
    table = synthetic(500, fidelities=(9,), seed=1)
    log = simulate(table, "mo-bananas", num_seeds=8, evaluations=60)
    total = log.costs.sum(axis=2)
    assert total[:, 30:].mean() < total[:, :10].mean() - 0.3 * total[:, :10].std()
