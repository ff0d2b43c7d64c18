"""Progressive Pareto search: prefixes, the beam, exploration, and what follows the last stage."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Objective, Table

from mohb_jax.searchers import popnas as module
from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.popnas import Archive, Partial, expanded, num_proposed, popnas
from mohb_jax.simulation import simulate
from tests import reference

pytestmark = pytest.mark.wide

LEVELS = (3, 2, 4, 3)


@functools.cache
def grid(num_objectives=2):
    """A complete grid in which level 0 of the first three columns is the default."""
    configs = np.array(list(itertools.product(*map(range, LEVELS))), float)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(sum(LEVELS), num_objectives))
    one_hot = np.concatenate([configs[:, [c]] == np.arange(n) for c, n in enumerate(LEVELS)], axis=1)
    return Table(
        name="grid",
        columns=tuple(Column(f"c{c}", "categorical", levels=tuple("pqrs"[:n])) for c, n in enumerate(LEVELS)),
        configs=configs,
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=tuple(Objective(f"f{m}", "min", "1") for m in range(num_objectives)),
        costs=(one_hot @ weights)[None, :, None, :],
        runtime=np.ones((1, len(configs), 1)),
    )


def steps(table, num_steps, size=10, num_lanes=3):
    """States before and after each call, and its rows, of lane 0."""
    searcher = popnas()
    context = searcher.prepare(table, (0,), 0, None)
    costs = jnp.asarray(table.final_costs(0))

    @jax.jit
    @jax.vmap
    def step(state):
        state, row, valid = searcher.suggest(context, jnp.int32(0), state, size)
        seen = Seen(row, jnp.int32(0), costs[row], valid, jnp.bool_(True))
        return searcher.observe(state, seen), row, valid

    keys = jax.random.split(jax.random.key(0), num_lanes)
    state = jax.vmap(lambda key: searcher.init(context, jnp.int32(0), key))(keys)
    found = []
    for _ in range(num_steps):
        before, (state, row, valid) = state, step(state)
        first = jax.tree.map(lambda leaf: leaf[0], (before, state, row, valid))
        found.append(first)
    return context, found


def prefixes(state, depth):
    return [tuple(own[:depth]) for own in np.asarray(state.beam)[np.asarray(state.in_beam)].tolist()]


def test_prefixes_grow_by_one_column_and_rows_share_them():
    table = grid()
    context, found = steps(table, 4)
    parents = [()]
    for depth, (_, after, row, valid) in enumerate(found, 1):
        own = prefixes(after, depth)
        assert valid.all()
        assert len(set(own)) == len(own) == min(10, len(parents) * LEVELS[depth - 1])
        assert all(prefix[:-1] in parents for prefix in own)
        configs = table.configs[np.asarray(row)]
        shared = [tuple(config[:depth]) == prefix for config, prefix in zip(configs, own, strict=False)]
        taken = np.prod(LEVELS[depth:])
        assert np.mean(shared) == 1 or taken < 10  # a prefix with few rows may be used up
        parents = own
    assert found[0][1].archive.depth[-10:].tolist() == [1, 1, 1] + [4] * 7  # random rows fill up
    assert context.defaults.tolist() == [0, 0, 0, 0]


def test_first_stage_takes_the_default_suffix():
    table = grid()
    _, found = steps(table, 1)
    rows = np.asarray(found[0][2])[:3]
    assert sorted(table.configs[rows].tolist()) == [[0, 0, 0, 0], [1, 0, 0, 0], [2, 0, 0, 0]]


def test_candidates_are_the_beam_times_the_levels_of_the_column():
    table = grid()
    context, found = steps(table, 2)
    before = found[1][1]
    partial = expanded(context, before)
    own = {tuple(levels[:3]) for levels in np.asarray(partial.levels)[np.asarray(partial.valid)].tolist()}
    assert own == {(*prefix, level) for prefix in prefixes(before, 2) for level in range(4)}
    assert int(partial.valid.sum()) == len(own)
    assert (np.asarray(partial.levels)[np.asarray(partial.valid), 3] == 0).all()


def archive_of(rows, depth, costs):
    n, valid = len(rows), np.ones(len(rows), bool)
    return Archive(np.asarray(rows, np.int32), np.full(n, depth, np.int32), costs, valid, valid)


@pytest.mark.parametrize("num_objectives", [1, 2])
def test_the_beam_is_the_predicted_front_then_the_next_ones(num_objectives):
    """The table is linear in its levels, so that ridge regression on all its rows predicts the true order."""
    table = grid(num_objectives)
    context = popnas().prepare(table, (0,), 0, None)
    rows = np.arange(table.num_rows)
    costs = table.costs[0, :, 0]
    archive = archive_of(rows, 4, costs)
    levels = np.asarray(context.levels).T
    partial = Partial(levels, levels.astype(float), rows % 5 != 0)
    choose = jax.jit(module._chosen, static_argnums=5)
    chosen, valid = choose(jax.random.key(0), context, archive, partial, jnp.int32(4), 10)
    assert valid.all()
    offered = rows[rows % 5 != 0]
    one_hot = np.concatenate([levels[:, [c]] == np.arange(n) for c, n in enumerate(LEVELS)], axis=1) * 1.0
    scaled = (costs - costs.mean(axis=0)) / costs.std(axis=0)
    weights = np.linalg.solve(one_hot.T @ one_hot + np.eye(sum(LEVELS)), one_hot.T @ scaled)
    predicted = (one_hot @ weights)[offered]
    if num_objectives == 1:  # best first
        assert chosen[:8].tolist() == offered[np.argsort(predicted[:, 0])][:8].tolist()
    expected = offered[reference.crowding_order(predicted)[:8]]
    assert sorted(chosen[:8].tolist()) == sorted(expected.tolist())
    rank = np.array(reference.pareto_rank(predicted))
    front = set(offered[rank == 0].tolist())
    assert front <= set(chosen[:8].tolist()) or set(chosen[:8].tolist()) <= front
    assert len(set(chosen.tolist())) == 10


def test_exploration_takes_the_least_used_levels():
    observed = jnp.array([[0, 1, -1], [0, 0, 2], [1, 1, -1], [0, 2, 2]])
    proposed = jnp.array([True, True, True, False])
    candidates = jnp.array([[0, 1, 2], [2, 2, -1], [1, 0, 0]])
    count = [2 + 2 + 1, 0, 1 + 1 + 0]
    assert module.usage(3, observed, proposed, candidates).tolist() == count
    table = grid()
    context = popnas().prepare(table, (0,), 0, None)
    bad = table.configs[:, 0] == 2  # a level that was tried once, and is bad
    rows = np.concatenate([np.flatnonzero(~bad)[:30], np.flatnonzero(bad)[:1]])
    costs = np.where(table.configs[rows, :1] == 2, 100.0, np.arange(31.0)[:, None]) * np.ones((1, 2))
    levels = np.asarray(context.levels).T
    depth_one = np.array([[0, 0, 0, 0], [1, 0, 0, 0]] * 10 + [[2, 0, 0, 0]] * 2)
    partial = Partial(depth_one, depth_one.astype(float), np.ones(22, bool))
    choose = jax.jit(module._chosen, static_argnums=5)
    archive = archive_of(rows, 4, costs)
    chosen, _ = choose(jax.random.key(0), context, archive, partial, jnp.int32(1), 10)
    assert levels.shape == (table.num_rows, 4)
    assert sorted(chosen[8:].tolist()) == [20, 21]
    assert not set(chosen[:8].tolist()) & {20, 21}


def test_after_the_last_stage_full_rows_are_chosen_by_prediction():
    table = synthetic(400, fidelities=(1,), seed=1)
    _, found = steps(table, table.num_columns + 6)
    assert int(found[-1][1].archive.depth[-1]) == table.num_columns
    assert (np.asarray(found[-1][1].archive.depth[-10:]) == table.num_columns).all()
    total = table.costs[0, :, 0].sum(axis=1)
    late = np.concatenate([np.asarray(row) for _, _, row, _ in found[table.num_columns :]])
    assert total[late].mean() < total.mean() - 0.5 * total.std()


def test_results_stand_beside_their_proposals_and_the_oldest_give_way():
    searcher = popnas(capacity=12)
    table = grid()
    context = searcher.prepare(table, (0,), 0, None)
    suggest = jax.jit(searcher.suggest, static_argnums=3)
    state = searcher.init(context, jnp.int32(0), jax.random.key(0))
    costs = table.final_costs(0).copy()
    costs[::4] = np.inf
    rows = []
    for _ in range(2):
        state, row, valid = suggest(context, jnp.int32(0), state, 10)
        assert not state.archive.answered[-10:].any()
        backwards = np.asarray(row)[::-1]
        seen = Seen(backwards, jnp.int32(0), costs[backwards], valid, jnp.bool_(True))
        state = searcher.observe(state, seen)
        rows += row.tolist()
    assert state.archive.row.tolist() == rows[-12:]
    assert state.archive.answered.all()
    np.testing.assert_array_equal(state.archive.costs, costs[rows[-12:]])


def test_number_of_proposals():
    assert [num_proposed(columns) for columns in (1, 6, 10, 11, 13, 20, 40)] == [10, 10, 10, 9, 7, 5, 5]


def test_all_rows_are_proposed_once_and_then_no_more():
    table = grid()
    log = simulate(table, "popnas", num_seeds=3, evaluations=100)
    for lane in range(3):
        assert sorted(log.row[lane][log.valid[lane]].tolist()) == list(range(72))


def test_fillers_are_those_of_random_search():
    table = grid()
    log, by_chance = (simulate(table, name, num_seeds=2, evaluations=10) for name in ("popnas", "random"))
    for lane in range(2):
        stage_rows = set(log.row[lane, :3].tolist())
        expected = [row for row in by_chance.row[lane].tolist() if row not in stage_rows]
        assert log.row[lane, 3:].tolist() == expected[:7]
