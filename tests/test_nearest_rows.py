"""Moves on a table: nearest unseen rows, by definition in plain Python."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.before_training import known_objectives, size_columns
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.table import Column, Objective, Table

from mohb_jax.searchers import nearest_rows
from mohb_jax.searchers.nearest_rows import (
    STEPS,
    may_be_proposed,
    nearest_unseen,
    nearest_unseen_each,
    prepare_rows,
)
from mohb_jax.searchers.seen_rows import draw, marked, new_pool

COLUMNS = (
    Column("rate", "log"),
    Column("depth", "ordinal", "architecture", (1, 2, 4)),
    Column("machine", "categorical", "hardware", ("a", "b", "c")),
    Column("width", "continuous", "architecture"),
)


def mixed_table(num_rows=50, seed=0):
    """Every kind of column; the second task offers every other row."""
    rng = np.random.default_rng(seed)
    configs = np.stack(
        [10 ** rng.uniform(-4, 0, num_rows), *rng.integers(3, size=(2, num_rows)), rng.random(num_rows) * 7],
        1,
    )
    available = np.ones((2, num_rows, 1), bool)
    available[1, ::2] = False
    costs = np.where(available[..., None], rng.random((2, num_rows, 1, 2)), np.nan)
    return Table(
        name="mixed",
        columns=COLUMNS,
        configs=configs,
        tasks=("whole", "half"),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "1"), Objective("size", "min", "parameters")),
        costs=costs,
        runtime=np.full((2, num_rows, 1), 5.0),
        available=available,
    )


TABLE = mixed_table()
ROWS = prepare_rows(TABLE, (0, 1))


def scaled():
    """Coordinates in [0, 1], as the definition has them."""
    rate, depth, machine, width = TABLE.configs.T
    rate = np.log(rate)
    unit = [(values - values.min()) / np.ptp(values) for values in (rate, width)]
    return np.stack([unit[0], depth / 2, machine, unit[1]], axis=1)


def test_points_are_the_scaled_configurations():
    points = np.asarray(ROWS.point(jnp.arange(50)))
    np.testing.assert_allclose(points, scaled(), atol=0.5 / STEPS)
    np.testing.assert_array_equal(points[:, 2], TABLE.configs[:, 2])
    np.testing.assert_array_equal(np.asarray(ROWS.point(jnp.int32(3))), points[3])


@pytest.mark.parametrize("task", [0, 1])
def test_nearest_unseen_is_the_definition(task):
    rng = np.random.default_rng(task)
    points = rng.random((20, 4)) * [1, 1, 0, 1] + [0, 0, 1, 0] * rng.integers(3, size=(20, 1))
    seen = np.unique(rng.integers(50, size=15))
    bits = marked(jnp.zeros(2, jnp.uint32), jnp.asarray(seen, jnp.int32))
    own = np.asarray(ROWS.point(jnp.arange(50)))
    snapped = np.where([True, True, False, True], np.round(points * STEPS) / STEPS, points)
    offered = np.setdiff1d(np.arange(50) if task == 0 else np.arange(1, 50, 2), seen)
    for point, exact in zip(points, snapped, strict=True):
        mismatch = own[:, 2] != exact[2]
        squared = ((own - exact)[:, [0, 1, 3]] ** 2).sum(axis=1) + mismatch
        row, found = nearest_unseen(ROWS, jnp.int32(task), bits, jnp.asarray(point))
        assert found
        assert int(row) == offered[np.argmin(squared[offered])]
    np.testing.assert_array_equal(np.flatnonzero(may_be_proposed(ROWS, jnp.int32(task), bits)), offered)


def test_equal_wishes_get_different_rows_until_none_is_left():
    wishes = jnp.tile(ROWS.point(jnp.int32(7)), (30, 1))
    seen, row, found = nearest_unseen_each(ROWS, jnp.int32(1), jnp.zeros(2, jnp.uint32), wishes)
    assert np.asarray(found).tolist() == [True] * 25 + [False] * 5
    assert sorted(np.asarray(row)[:25].tolist()) == list(range(1, 50, 2))
    assert int(row[0]) == 7
    assert not np.asarray(may_be_proposed(ROWS, jnp.int32(1), seen)).any()


def test_points_outside_are_clipped():
    low, high = (
        nearest_unseen(ROWS, jnp.int32(0), jnp.zeros(2, jnp.uint32), jnp.array(p))
        for p in ([-9.0, -1, 1, -1], [0.0, 0, 1, 0])
    )
    assert int(low[0]) == int(high[0])


def test_a_pool_gives_every_row_once():
    pool = new_pool(ROWS.candidates, jnp.int32(1), jax.random.key(0), 50)
    pool = pool._replace(seen=marked(pool.seen, jnp.array([1, 3])))
    rows = []
    for _ in range(6):
        pool, row, valid = draw(ROWS.candidates, jnp.int32(1), pool, 5)
        rows += np.asarray(row)[np.asarray(valid)].tolist()
    assert sorted(rows) == list(range(5, 50, 2))


@pytest.mark.parametrize("seed", range(3))
def test_a_crossing_is_answered_like_any_table(seed):
    """Whole blocks at a time, and still the definition: nearest, then lowest."""
    base = mixed_table(num_rows=12, seed=seed)
    columns = tuple(dataclasses.replace(column, role="architecture") for column in base.columns)
    table = cross_table(dataclasses.replace(base, columns=columns))
    rows = prepare_rows(table, (0, 1))
    plain = dataclasses.replace(rows, num_types=1, block_codes=rows.codes)
    assert rows.num_types == 37
    rng = np.random.default_rng(seed)
    points = jnp.asarray(rows.point(jnp.asarray(rng.integers(table.num_rows, size=200))))
    seen = marked(jnp.zeros(14, jnp.uint32), jnp.arange(0, 37, dtype=jnp.int32))  # a whole block, and more
    seen = marked(seen, jnp.asarray(37 + rng.choice(table.num_rows - 37, 150, replace=False), jnp.int32))
    ways = [nearest_unseen_each(own, jnp.int32(1), seen, points) for own in (rows, plain)]
    for ours, expected in zip(*ways, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert 0 < np.asarray(ways[0][2]).sum() <= 200
    ways = [
        nearest_unseen(own, jnp.int32(0), seen, points[0], jnp.arange(444) > 100) for own in (rows, plain)
    ]
    assert ways[0] == ways[1]


@pytest.mark.parametrize("num_types", [2, 32, 33, 64, 65])
def test_crossings_of_any_size_are_answered_like_any_table(num_types):
    """The bits of a block lie in up to three words; beyond 64 types a table is searched row by row."""
    levels = tuple(f"type {i}" for i in range(num_types))
    columns = (Column("x", "continuous"), Column("machine", "categorical", "hardware", levels))
    num_rows = 7 * num_types
    configs = np.stack([np.arange(num_rows) // num_types, np.arange(num_rows) % num_types], axis=1)
    costs, times = np.ones((1, num_rows, 1, 1)), np.ones((1, num_rows, 1))
    goals = (Objective("a", "min", "1"),)
    rows = prepare_rows(
        Table("t", columns, configs * 1.0, ("t",), (1,), "epochs", "epoch", goals, costs, times), (0,)
    )
    assert rows.num_types == (num_types if num_types <= 64 else 1)
    plain = dataclasses.replace(rows, num_types=1, block_codes=rows.codes)
    rng = np.random.default_rng(num_types)
    points = jnp.stack([rng.random(num_rows), rng.integers(num_types, size=num_rows)], axis=1)
    words = jnp.zeros(-(-num_rows // 32), jnp.uint32)
    seen = marked(words, jnp.asarray(rng.choice(num_rows, num_rows // 2, replace=False), jnp.int32))
    ways = [nearest_unseen_each(own, jnp.int32(0), seen, points) for own in (rows, plain)]
    for ours, expected in zip(*ways, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert np.asarray(ways[0][2]).sum() == num_rows - num_rows // 2


def test_what_a_table_says_beforehand():
    assert size_columns(TABLE) == (1, 3)  # numbers that describe the model, not the machine
    assert known_objectives(TABLE) == (1,)
    assert known_objectives(TABLE, ("error",)) == (0,)
    assert known_objectives(TABLE, ()) == ()


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_masks_are_packed_on_the_host_as_on_the_device(length):
    mask = np.random.default_rng(length).random(length) < 0.5
    np.testing.assert_array_equal(nearest_rows._packed(mask), nearest_rows._words(jnp.asarray(mask)))
