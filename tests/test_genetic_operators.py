"""Crossover and mutation of points, against their formulas and pymoo's operators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.table import Column, Objective, Table
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM

from mohb_jax.searchers import genetic_operators as operators
from mohb_jax.searchers.lane_batches import if_any
from mohb_jax.searchers.nearest_rows import prepare_rows
from mohb_jax.searchers.seen_rows import new_pool

pytestmark = pytest.mark.fast

NUM_DRAWS = 4000
COLUMNS = (
    Column("width", "ordinal", "architecture", (16, 32, 64, 128, 256)),
    Column("rate", "log"),
    Column("kind", "categorical", "hyperparameter", ("a", "b", "c")),
    Column("only", "ordinal", "hyperparameter", (7,)),
    Column("decay", "continuous"),
)


def table_of(columns=COLUMNS, num_rows=40, seed=0):
    """A table of random configurations with the extremes of each column among them."""
    rng = np.random.default_rng(seed)
    parts = []
    for column in columns:
        if column.levels:
            values = rng.integers(len(column.levels), size=num_rows).astype(float)
            values[:2] = 0, len(column.levels) - 1
        else:
            values = rng.uniform(0.1, 1, num_rows)
            values[:2] = 0.1, 1
        parts.append(values)
    costs = rng.random((1, num_rows, 1, 2))
    return Table(
        "mixed", columns, np.stack(parts, axis=1), ("t",), (1,), "epochs", "epoch",
        (Objective("a", "min", "1"), Objective("b", "min", "1")), costs, np.ones((1, num_rows, 1)),
    )  # fmt: skip


def numeric_rows(num_columns=1):
    columns = tuple(Column(f"x{i}", "continuous") for i in range(num_columns))
    return prepare_rows(table_of(columns), (0,))


ROWS, NUMERIC = prepare_rows(table_of(), (0,)), numeric_rows(2)
KEYS = jax.random.split(jax.random.key(0), NUM_DRAWS)


def many(function, rows, *args):
    """The operator under many keys; the children of a pair one after another."""
    found = jax.jit(jax.vmap(lambda key: function(rows, key, *args)))(KEYS)
    return np.stack(found, axis=1) if isinstance(found, tuple) else np.asarray(found)


def crossed(rows, key, first, second):
    return operators.crossed(rows, jax.random.uniform(key, (3 * rows.num_columns + 1,)), first, second)


def mutated(rows, key, point):
    return operators.mutated(rows, jax.random.uniform(key, (3 * rows.num_columns,)), point)


class Unit(Problem):
    def __init__(self, num_columns):
        super().__init__(n_var=num_columns, n_obj=1, xl=0.0, xu=1.0)


def pymoo_pairs(first, second):
    """Pairs of children by pymoo's operator, each pair and column crossed with the same probabilities."""
    operator = SBX(prob=operators.CROSSOVER_SHARE, prob_var=0.5, eta=operators.CROSSOVER_INDEX)
    population = Population.create(*(Individual(X=np.array(x)) for x in (first, second)))
    parents = [[population[0], population[1]]] * NUM_DRAWS
    children = operator(Unit(len(first)), parents, random_state=np.random.default_rng(1))
    return children.get("X").reshape(2, NUM_DRAWS, len(first)).transpose(1, 0, 2)


@pytest.mark.parametrize(("low", "high"), [(0.45, 0.5), (0.02, 0.9), (0.0, 1.0)])
def test_crossover_has_the_distribution_of_pymoo(low, high):
    """Two columns, parents the other way round in the second; of 12 comparisons each has a
    false-alarm rate of 1e-4."""
    ours = many(crossed, NUMERIC, jnp.array([low, high]), jnp.array([high, low]))
    theirs = pymoo_pairs([low, high], [high, low])
    assert (ours >= 0).all()
    assert (ours <= 1).all()
    for column in range(2):
        a, b = (np.sort(pairs[:, :, column], axis=1) for pairs in (ours, theirs))
        moved = [np.mean(np.abs(c - [low, high]).max(axis=1) > 1e-12) for c in (a, b)]
        assert moved[0] == pytest.approx(moved[1], abs=0.05)
        for side in range(2):
            assert scipy.stats.ks_2samp(a[:, side], b[:, side]).pvalue > 1e-4
    share = operators.CROSSOVER_SHARE / 2
    is_low = np.mean(
        ours[:, 0] == ours.min(axis=1), axis=0
    )  # either child may be the lower of a crossed pair
    np.testing.assert_allclose(is_low, [1 - share / 2, share / 2], atol=0.03)


def test_crossover_keeps_the_mean_away_from_bounds():
    """Far from the bounds the two factors are equal, so that children lie as their parents do."""
    children = many(crossed, NUMERIC, jnp.array([0.45, 0.5]), jnp.array([0.5, 0.45]))
    np.testing.assert_allclose(children.sum(axis=1), 0.95, atol=1e-6)


def test_equal_parents_have_equal_children():
    point = jnp.array([0.5, 0.25, 2.0, 0.0, 0.75])
    np.testing.assert_array_equal(
        many(crossed, ROWS, point, point), np.broadcast_to(point, (NUM_DRAWS, 2, 5))
    )


def test_categorical_columns_are_exchanged():
    first, second = jnp.array([0.0, 0.0, 0.0, 0.0, 0.0]), jnp.array([1.0, 1.0, 2.0, 0.0, 1.0])
    kinds = many(crossed, ROWS, first, second)[:, :, 2]
    np.testing.assert_array_equal(np.sort(kinds, axis=1), np.broadcast_to([0, 2], kinds.shape))
    share = operators.CROSSOVER_SHARE / 2
    assert np.mean(kinds[:, 0] == 2) == pytest.approx(share, abs=4 * (share * (1 - share) / NUM_DRAWS) ** 0.5)


@pytest.mark.parametrize("value", [0.0, 0.3, 0.98])
def test_mutation_has_the_distribution_of_pymoo(value):
    rows = numeric_rows(1)  # probability 1/columns: always
    ours = many(mutated, rows, jnp.array([value]))[:, 0]
    population = Population.new(X=np.full((NUM_DRAWS, 1), value))
    operator = PM(prob=1.0, prob_var=1.0, eta=operators.MUTATION_INDEX)
    theirs = operator(Unit(1), population, random_state=np.random.default_rng(2)).get("X")[:, 0]
    assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-4
    assert ((ours >= 0) & (ours <= 1)).all()


def test_mutation_changes_one_column_on_average():
    point = jnp.array([0.5, 0.25, 2.0, 0.0, 0.75])
    changed = many(mutated, ROWS, point) != np.asarray(point)
    share = changed.mean(axis=0)
    assert share[[0, 1, 4]] == pytest.approx([0.2] * 3, abs=0.03)
    assert share[2] == pytest.approx(0.2 * 2 / 3, abs=0.03)  # one level of three is the old one


def test_random_points_are_uniform():
    points = many(operators.random_point, ROWS)
    for column, levels in ((0, np.arange(5) / 4), (2, np.arange(3.0)), (3, np.zeros(1))):
        found, counts = np.unique(points[:, column], return_counts=True)
        np.testing.assert_allclose(found, levels)
        assert len(levels) == 1 or scipy.stats.chisquare(counts).pvalue > 1e-4
    for column in (1, 4):
        assert scipy.stats.kstest(points[:, column], "uniform").pvalue > 1e-4


def test_different_points_differ():
    point = jnp.array([0.5, 0.25, 2.0, 0.0, 0.75])
    points = many(operators.different_point, ROWS, point)
    for column, others in ((0, [0, 0.25, 0.75, 1]), (2, [0.0, 1.0])):
        found, counts = np.unique(points[:, column], return_counts=True)
        np.testing.assert_allclose(found, others)
        assert scipy.stats.chisquare(counts).pvalue > 1e-4
    assert (points[:, 3] == 0).all()  # the only level
    assert (points[:, [1, 4]] != np.asarray(point)[[1, 4]]).all()


def test_ordinal_columns_go_to_their_levels():
    point = jnp.array([[0.6, 0.33, 1.0, 0.0, 0.41], [0.66, 0.0, 0.0, 0.0, 1.0]])
    expected = [[0.5, 0.33, 1.0, 0.0, 0.41], [0.75, 0.0, 0.0, 0.0, 1.0]]
    np.testing.assert_allclose(operators.on_levels(ROWS, point), expected)
    every = ROWS.point(jnp.arange(ROWS.num_rows))
    np.testing.assert_allclose(operators.on_levels(ROWS, every), every, atol=1e-12)


def test_some_columns_are_as_many_as_asked():
    chosen = np.asarray(jax.vmap(lambda key: operators.some_columns(key, 6, 2))(KEYS))
    assert (chosen.sum(axis=1) == 2).all()
    assert chosen.mean(axis=0) == pytest.approx([1 / 3] * 6, abs=0.04)


def given(points):
    return points


def test_what_no_lane_wants_is_not_computed():
    """Of a batch; and lanes that do not want it keep what they have."""
    calls = []

    def doubled(x):
        jax.debug.callback(lambda _: calls.append(1), x)
        return 2 * x

    batch = jax.jit(jax.vmap(lambda wants, x: if_any(wants, doubled, (x,), x)))
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(batch(jnp.zeros(3, bool), x), x)
    jax.effects_barrier()
    assert not calls
    np.testing.assert_array_equal(batch(jnp.array([True, False, True]), x), [0, 1, 4])
    jax.effects_barrier()
    assert calls


def test_rows_near_points_and_random_rows_in_their_place():
    task, pool = jnp.int32(0), new_pool(ROWS.candidates, jnp.int32(0), jax.random.key(3), ROWS.num_rows)
    points = ROWS.point(jnp.array([5, 5, 9]))
    near, row, valid = operators.nearest_or_random(ROWS, task, pool, 3, given, points, jnp.bool_(True))
    assert valid.all()
    assert (row[0], row[2]) == (5, 9)
    assert len(set(row.tolist())) == 3  # row 5 is given once
    _, random, valid = operators.nearest_or_random(ROWS, task, pool, 3, given, points, jnp.bool_(False))
    assert valid.all()
    assert random.tolist() != row.tolist()
    # After rows near points, random ones are those that random search would give, less what was seen.
    _, rest, valid = operators.nearest_or_random(
        ROWS,
        task,
        near,
        ROWS.num_rows,
        given,
        ROWS.point(jnp.zeros(ROWS.num_rows, jnp.int32)),
        jnp.bool_(False),
    )
    assert valid.sum() == ROWS.num_rows - 3
    assert set(rest[valid].tolist()).isdisjoint(row.tolist())
    order = [r for r in rest[valid].tolist() if r in random.tolist()]
    assert order == [r for r in random.tolist() if r not in row.tolist()]
