"""The searchers of BOHB and MO-BOHB against plain definitions, and what they promise.

Compilation is what these tests take their time for, so most share one table and one capacity.
"""

import functools

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Column, Objective, Table
from mohb_jax.surrogates import parzen

from mohb_jax.drivers.base import Conditions
from mohb_jax.methods import METHODS, make_plan
from mohb_jax.schedule import Bracket
from mohb_jax.searchers import bohb as bohb_module
from mohb_jax.searchers import density_ratio, lane_batches
from mohb_jax.searchers import mo_bohb as mo_bohb_module
from mohb_jax.searchers.base import Seen
from mohb_jax.searchers.bohb import bohb
from mohb_jax.searchers.mo_bohb import good_and_bad, mo_bohb
from mohb_jax.searchers.nearest_rows import STEPS, Rows
from mohb_jax.searchers.random import random_search

pytestmark = pytest.mark.wide

CAPACITY = 60
SEARCHERS = {"bohb": bohb(CAPACITY), "mo-bohb": mo_bohb(CAPACITY)}
RULES = {
    "bohb": density_ratio.Rule(
        bohb_module._sizes,
        bohb_module._fit_kernels,
        bohb_module._point_shares,
        bohb_module._propose_point,
        1 / 3,
    ),
    "mo-bohb": density_ratio.Rule(
        mo_bohb_module._sizes,
        mo_bohb_module._fit_columns,
        mo_bohb_module._column_shares,
        mo_bohb_module._propose_by_column,
        1 / 6,
    ),
}
NUM_ROWS, NUM_LEVELS = 90, 3
# An operation outside of a program is a program, too.
level_with_model = jax.jit(density_ratio.level_with_model, static_argnums=0)
mixture, log_mixture = jax.jit(parzen.mixture), jax.jit(parzen.log_mixture)


@pytest.fixture(params=SEARCHERS)
def name(request):
    return request.param


def mixed_table(seed=0, num_rows=NUM_ROWS, failed=0.0, missing=0.0):
    """All kinds of columns, two objectives that depend on them, and failed and missing rows."""
    rng = np.random.default_rng(seed)
    columns = (
        Column("rate", "log"),
        Column("kind", "categorical", levels=("a", "b", "c", "d")),
        Column("share", "continuous"),
        Column("depth", "ordinal", levels=(1, 2, 4, 8)),
    )
    configs = np.stack(
        [
            10 ** rng.uniform(-4, 0, num_rows),
            rng.integers(4, size=num_rows),
            rng.uniform(2, 3, num_rows),
            rng.integers(4, size=num_rows),
        ],
        axis=1,
    )
    rate = np.log10(configs[:, 0]) / 4 + 1
    first = (rate - 0.3) ** 2 + 0.2 * (configs[:, 1] != 2) + 0.05 * configs[:, 3]
    second = (rate - 0.6) ** 2 + 0.1 * (3 - configs[:, 3]) + (configs[:, 2] - 2.5) ** 2
    costs = np.stack([first, second], axis=1)[None, :, None] + np.zeros((2, num_rows, NUM_LEVELS, 2))
    available = rng.random((2, num_rows, NUM_LEVELS)) >= failed
    available[rng.random((2, num_rows)) < missing] = False
    available[..., -1] |= rng.random((2, num_rows)) >= missing
    return Table(
        name="mixed",
        columns=columns,
        configs=configs,
        tasks=("one", "two"),
        fidelities=(1, 3, 9),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("f", "min", "1"), Objective("g", "min", "1")),
        costs=np.where(available[..., None], costs, np.nan),
        runtime=np.cumsum(np.ones((2, num_rows, NUM_LEVELS)), axis=2),
        available=available,
    )


TABLE = mixed_table()
HOLES = mixed_table(seed=1, failed=0.3, missing=0.3)


def start(searcher, table=TABLE, num_seeds=4, seed=0):
    context = searcher.prepare(table, (0, 1), seed, None)
    task = jnp.repeat(jnp.arange(2, dtype=jnp.int32), num_seeds)
    keys = jax.random.split(jax.random.key(seed + 1), len(task))
    return context, task, jax.vmap(lambda task, key: searcher.init(context, task, key))(task, keys)


@functools.cache
def asker(searcher, num_suggestions):
    ask = functools.partial(searcher.suggest, num_suggestions=num_suggestions)
    return jax.jit(jax.vmap(ask, (None, 0, 0)))


@jax.jit
def tell(state, row, valid, costs, level):
    def lane(state, row, valid, costs):
        return density_ratio.observe(state, Seen(row, level, costs, valid, level == NUM_LEVELS - 1))

    return jax.vmap(lane)(state, row, valid, costs)


def costs_of(table, task, row, level):
    values = np.where(np.isnan(table.costs), np.inf, table.costs)
    return jnp.asarray(values[np.asarray(task)[:, None], np.asarray(row), level])


def lane_with(searcher, rows, level, table=TABLE, costs=None):
    """A context, and one lane of task 0 that has seen some rows."""
    context = searcher.prepare(table, (0, 1), 0, None)
    state = searcher.init(context, jnp.int32(0), jax.random.key(3))
    level = np.broadcast_to(level, len(rows))
    costs = table.costs[0, rows, level] if costs is None else costs
    for own in np.unique(level):
        here = level == own
        seen = Seen(
            jnp.asarray(np.asarray(rows)[here]),
            jnp.int32(own),
            jnp.asarray(np.asarray(costs)[here]),
            jnp.ones(here.sum(), bool),
            jnp.bool_(own == NUM_LEVELS - 1),
        )
        state = density_ratio.observe(state, seen)
    return context, state


# Division of the results


def test_parts_of_bohb():
    n = np.array([0, 7, 8, 40, 47, 100, 100])
    finite = np.array([0, 7, 8, 40, 47, 14, 15])
    sizes = bohb_module._sizes(n, finite, 3)
    assert np.asarray(sizes.good).tolist() == [4, 4, 4, 6, 7, 15, 15]
    assert np.asarray(sizes.bad)[1:].tolist() == [3, 4, 34, 39, 85, 85]  # of 47, one is neither
    assert np.asarray(sizes.enough).tolist() == [False, False, True, True, True, False, True]


def test_parts_of_mo_bohb():
    n = np.array([0, 7, 8, 9, 10, 29, 29, 256])
    finite = np.array([0, 7, 1, 0, 10, 1, 2, 256])
    sizes = mo_bohb_module._sizes(n, finite, 3)
    assert np.asarray(sizes.good).tolist() == [1, 1, 1, 1, 1, 2, 2, 25]  # never none
    assert np.asarray(sizes.good + sizes.bad)[1:].tolist() == n[1:].tolist()
    assert np.asarray(sizes.enough).tolist() == [False, False, True, False, True, False, True, True]


def split_by_definition(costs, num_good):
    """Whole fronts while they fit, then one by one what adds most hypervolume to those of the cut front."""
    scaled = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    rank, good = moocore.pareto_rank(costs), []
    for front in range(rank.max() + 1):
        members = np.flatnonzero(rank == front).tolist()
        if len(good) + len(members) <= num_good:
            good += members
            continue
        taken = []
        while len(good) + len(taken) < num_good:
            left = [i for i in members if i not in taken]
            volumes = [moocore.hypervolume(scaled[[*taken, i]], ref=1.1) for i in left]
            taken.append(left[int(np.argmax(volumes))])
        return set(good + taken)
    return set(good)


@pytest.mark.parametrize("num_objectives", [2, 3])
@pytest.mark.parametrize("num_good", [1, 4, 9])
def test_good_results_are_the_greedy_hypervolume_split(variant, num_objectives, num_good):
    rng = np.random.default_rng(10 * num_objectives + num_good)
    costs = rng.uniform(size=(24, num_objectives)) * [1, 1000, 0.01][:num_objectives]
    valid = rng.random(24) < 0.8
    broken = np.where((np.arange(24) % 6 == 0)[:, None], np.inf, costs)
    good, is_bad = variant(lambda *args: good_and_bad(*args, 9))(
        jnp.asarray(broken), jnp.asarray(valid), jnp.int32(num_good)
    )
    usable = np.flatnonzero(valid & np.isfinite(broken).all(axis=1))
    expected = {int(usable[i]) for i in split_by_definition(costs[usable], num_good)}
    assert set(np.asarray(good)[:num_good].tolist()) == expected
    assert set(np.flatnonzero(is_bad)) == set(np.flatnonzero(valid)) - expected


@pytest.mark.parametrize("levels", [3, 1000])
def test_one_objective_is_divided_by_order(levels):
    costs = np.random.default_rng(levels).integers(levels, size=(30, 1)).astype(float)
    good, _ = good_and_bad(jnp.asarray(costs), jnp.ones(30, bool), jnp.int32(7), 7)
    assert sorted(costs[np.asarray(good), 0]) == sorted(costs[:, 0])[:7]
    assert len(set(np.asarray(good).tolist())) == 7


def test_failed_results_are_never_good():
    rows = np.arange(40)
    costs = np.where((rows % 4 > 0)[:, None], np.inf, TABLE.costs[0, rows, 2])  # ten succeeded
    context, state = lane_with(SEARCHERS["bohb"], rows, 2, costs=costs)
    sizes, level = level_with_model(RULES["bohb"], context, state)
    assert bool(sizes.enough)
    model = jax.jit(bohb_module._fit_kernels)(context, state, state.level == level, sizes)
    best = rows[np.argsort(costs[:, 0], kind="stable")]
    points = np.asarray(context.rows.point(jnp.asarray(best)))
    np.testing.assert_array_equal(np.asarray(model.good.points)[np.asarray(model.good.valid)], points[:6])
    np.testing.assert_array_equal(np.asarray(model.bad.points)[np.asarray(model.bad.valid)], points[6:40])
    costs = np.full((40, 2), np.inf)
    for name in SEARCHERS:
        context, state = lane_with(SEARCHERS[name], rows, 2, costs=costs)
        assert not bool(level_with_model(RULES[name], context, state)[0].enough)


def test_the_model_is_that_of_the_highest_level_with_enough_results(name):
    counts = {0: 25, 1: 12, 2: 9}  # four columns: ten are enough
    level = np.repeat(list(counts), list(counts.values()))
    context, state = lane_with(SEARCHERS[name], np.arange(46), level)
    assert int(level_with_model(RULES[name], context, state)[1]) == 1
    context, state = lane_with(SEARCHERS[name], np.arange(47), np.append(level, 2))
    assert int(level_with_model(RULES[name], context, state)[1]) == 2


# Proposals


def truncated(share, centre, width, low=0.0, high=1.0):
    return scipy.stats.truncnorm.ppf(share, (low - centre) / width, (high - centre) / width, centre, width)


def test_a_proposal_of_bohb_equals_the_definition():
    context, state = lane_with(SEARCHERS["bohb"], np.arange(5, 55), 2)
    sizes, level = level_with_model(RULES["bohb"], context, state)
    model = bohb_module._fit_kernels(context, state, state.level == level, sizes)
    share = np.random.default_rng(0).uniform(size=bohb_module._point_shares(context))
    found = np.asarray(bohb_module._propose_point(context, model, jnp.asarray(share)))
    rows = np.arange(5, 55)
    points = np.asarray(context.rows.point(jnp.asarray(rows)))[np.argsort(TABLE.costs[0, rows, 2, 0])]
    parts = []
    for part in (points[:7], points[7:49]):  # 15 and 85 % of 50
        h = 1.06 * np.std(part, axis=0) * len(part) ** (-1 / 8)
        parts.append((part, np.minimum(np.maximum(h, 1e-3), [np.inf, 0.75, np.inf, np.inf])))
    draws, scores = [], []
    good, h = parts[0]
    for own in share:
        centre = good[int(own[1] * 7)]
        draw = truncated(own[2:6], centre, 3 * h)
        draw[1] = centre[1] if own[3] < 1 - h[1] else int(own[7] * 4)
        draws.append(draw)
        densities = []
        for part, width in parts:
            kernel = scipy.stats.norm.pdf(draw, part, width)
            kernel[:, 1] = np.where(part[:, 1] == draw[1], 1 - width[1], width[1] / 3)
            densities.append(kernel.prod(axis=1).mean())
        scores.append(max(densities[1], 1e-32) / max(densities[0], 1e-32))
    np.testing.assert_allclose(found, draws[int(np.argmin(scores))], rtol=1e-9)


def test_a_proposal_of_mo_bohb_equals_the_definition():
    rows = np.arange(5, 55)
    context, state = lane_with(SEARCHERS["mo-bohb"], rows, 2)
    sizes, level = level_with_model(RULES["mo-bohb"], context, state)
    model = jax.jit(mo_bohb_module._fit_columns)(context, state, state.level == level, sizes)
    share = np.random.default_rng(1).uniform(size=mo_bohb_module._column_shares(context))
    found = np.asarray(jax.jit(mo_bohb_module._propose_by_column)(context, model, share))
    chosen = split_by_definition(TABLE.costs[0, rows, 2], 5)
    order = np.asarray(good_and_bad(state.costs, state.level == 2, jnp.int32(5), 5)[0]).tolist()
    assert set(order) == chosen
    bad = sorted(set(range(50)) - chosen)
    points = np.asarray(context.rows.point(jnp.asarray(rows)))
    for column in (0, 2):
        parts = [
            mixture(points[part, column], np.ones(len(part), bool), np.float64(0), np.float64(1))
            for part in (order, bad)
        ]
        centre, width = (np.asarray(field) for field in parts[0][:2])
        place = (share[column, :, 1] * 6).astype(int)
        draws = truncated(share[column, :, 2], centre[place], width[place])
        ratio = np.subtract(*(np.asarray(log_mixture(part, draws)) for part in parts))
        np.testing.assert_allclose(found[column], draws[np.argmax(ratio)], rtol=1e-9)
    depth = np.round(points[:, 3] * 3).astype(int)
    masses = []
    for part in (order, bad):
        own = mixture(depth[part] / 3, np.ones(len(part), bool), np.float64(-1 / 6), np.float64(7 / 6))
        masses.append(np.asarray(jax.jit(parzen.ordinal_masses, static_argnums=2)(own, np.int32(4), 4)))
    check_level(found[3] * 3, masses, share[3])
    kind = points[:, 1].astype(int)
    masses = []
    for part in (order, bad):
        kernels = [np.where(np.arange(4) == own, 0.9, 0.1 / 3) for own in kind[part]]
        masses.append(np.mean([*kernels, np.full(4, 0.25)], axis=0))
    check_level(found[1], masses, share[1])


def check_level(found, masses, share):
    draws = np.searchsorted(np.cumsum(masses[0]), share[:, 1], side="right")
    ratio = np.log(masses[0][draws]) - np.log(masses[1][draws])
    assert ratio[draws == round(float(found))].max() == pytest.approx(ratio.max())
    assert float(found) == pytest.approx(round(float(found)))


@pytest.mark.parametrize(
    ("name", "kinds", "levels"),
    [
        ("bohb", (True, True, True), (1, 2, 3)),
        ("mo-bohb", (True, True, True), (1, 2, 3)),
        ("mo-bohb", (False, False, False), (0, 2, 1)),
        ("mo-bohb", (False, False, False), (0, 0, 0)),
    ],
)
def test_columns_of_every_kind_have_a_place(name, kinds, levels):
    """Tables without numbers, without levels, and with a column of one level."""
    choices = tuple(n if kind else 0 for n, kind in zip(levels, kinds, strict=True))
    codes = np.zeros((3, 8), np.int32)
    codes[1] = np.arange(8) % 2 * (1 if kinds[1] else STEPS)
    candidates = random_search().prepare(synthetic(8), (0,), 0, None)
    rows = Rows(
        candidates, jnp.asarray(codes), jnp.asarray(codes), jnp.full((1, 1), 255, jnp.uint32), kinds, levels
    )
    space, rule = density_ratio.Space(rows, 1, 2, choices), RULES[name]
    state = SEARCHERS[name].init(space, jnp.int32(0), jax.random.key(0))
    state = state._replace(
        row=jnp.arange(CAPACITY, dtype=jnp.int32) % 8,
        level=jnp.where(jnp.arange(CAPACITY) < 20, 0, -1).astype(jnp.int32),
        costs=jnp.asarray(np.random.default_rng(0).uniform(size=state.costs.shape)),
    )

    @jax.jit
    def propose(state, share):
        sizes, level = density_ratio.level_with_model(rule, space, state)
        return rule.propose(space, rule.fit(space, state, state.level == level, sizes), share)

    point = np.asarray(propose(state, density_ratio._uniform(jax.random.key(1), rule.num_shares(space))))
    assert np.isfinite(point).all()
    assert ((point >= 0) & (point <= np.maximum(np.array(choices) - 1, 1))).all()
    if 1 in levels:
        assert point[levels.index(1)] == 0


# Whole searchers


def simulate_rungs(name, table, num_steps, num_suggestions, num_seeds=4, level=2):
    """Rows of each lane, which are valid, and the last states; all results at one level."""
    searcher = SEARCHERS[name]
    context, task, state = start(searcher, table, num_seeds)
    rows, valids = [], []
    for _ in range(num_steps):
        state, row, valid = asker(searcher, num_suggestions)(context, task, state)
        state = tell(state, row, valid, costs_of(table, task, row, level), jnp.int32(level))
        rows.append(np.asarray(row))
        valids.append(np.asarray(valid))
    return np.concatenate(rows, axis=1), np.concatenate(valids, axis=1), state


def test_every_row_once_and_then_nothing(name):
    """At a level at which three in ten fail."""
    rows, valid, state = simulate_rungs(name, HOLES, 13, 8, level=1)
    for lane, (own, real) in enumerate(zip(rows, valid, strict=True)):
        offered = np.flatnonzero(HOLES.measured(lane // 4))
        assert sorted(own[real]) == offered.tolist()
        assert real[: len(offered)].all()  # the end of the table leaves no hole
    assert np.isinf(np.asarray(state.costs)).any()
    assert not np.isnan(np.asarray(state.costs)).any()


def test_first_proposals_are_those_of_random_search(name):
    rows, _, _ = simulate_rungs(name, HOLES, 1, 8)
    searcher = random_search()
    context, task, state = start(searcher, HOLES)
    _, expected, _ = jax.vmap(lambda task, state: searcher.suggest(context, task, state, 8))(task, state)
    np.testing.assert_array_equal(rows, expected)


def test_as_many_proposals_are_random_as_should_be(name):
    """4,000 proposals: a false alarm has a chance below 1e-5. Few random rows were seen and passed over."""
    table = mixed_table(num_rows=2000)
    searcher, num_seeds = SEARCHERS[name], 200
    context, task, state = start(searcher, table, num_seeds)
    state, row, valid = asker(searcher, 10)(context, task, state)
    state = tell(state, row, valid, costs_of(table, task, row, 2), jnp.int32(2))
    taken = state.pool.random.num_taken
    assert (np.asarray(taken) == 10).all()
    later, _, _ = asker(searcher, 10)(context, task, state)
    share = float(jnp.mean(later.pool.random.num_taken - taken)) / 10
    expected = RULES[name].random_share
    assert abs(share - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 4000)


def test_finds_better_rows_than_chance(name):
    """Mean rank of the proposals with a model, by the first objective or by the sum of both; chance has a
    standard error of 0.026."""
    rows, valid, _ = simulate_rungs(name, HOLES, 4, 8)
    assert valid.all()
    for lane, own in enumerate(rows):
        final = HOLES.final_costs(lane // 4)
        value = final[:, 0] if name == "bohb" else final.sum(axis=1)
        offered = np.flatnonzero(HOLES.measured(lane // 4))
        rows[lane] = [np.sum(value[offered] < value[row]) * 1000 // len(offered) for row in own]
    assert rows[:, 16:].mean() < 420
    assert rows[:, :8].mean() == pytest.approx(500, abs=100)


def test_a_lane_in_batches_is_the_lane_among_all(monkeypatch, name):
    """One lane alone is tested with all methods."""
    whole, _, _ = simulate_rungs(name, HOLES, 4, 8)
    searcher = {"bohb": bohb, "mo-bohb": mo_bohb}[name].__wrapped__(CAPACITY)
    monkeypatch.setattr(lane_batches, "NUMBERS_AT_A_TIME", 3 * CAPACITY**2)  # eight lanes in batches of three
    monkeypatch.setitem(SEARCHERS, name, searcher)
    parts, _, _ = simulate_rungs(name, HOLES, 4, 8)
    np.testing.assert_array_equal(whole, parts)


def test_a_full_memory_loses_the_lowest_level_first_and_there_the_oldest():
    searcher = bohb(6)
    context = searcher.prepare(TABLE, (0, 1), 0, None)
    state = searcher.init(context, jnp.int32(0), jax.random.key(0))
    observe = jax.jit(density_ratio.observe)
    for number, level in enumerate((0, 1, 0, 2, 1)):
        row = jnp.arange(3, dtype=jnp.int32) + 3 * number
        valid = jnp.arange(3) != 1  # the middle one was never run
        seen = Seen(
            row, jnp.int32(level), jnp.asarray(TABLE.costs[0, row, level]), valid, jnp.bool_(level == 2)
        )
        state = observe(state, seen)
        if number == 1:
            assert state.row[:4].tolist() == [0, 2, 3, 5]
            assert state.level.tolist() == [0, 0, 1, 1, -1, -1]
    assert state.row.tolist() == [3, 5, 9, 11, 12, 14]  # 0, 2, 6, 8 were of the lowest level
    assert state.level.tolist() == [1, 1, 2, 2, 1, 1]
    np.testing.assert_array_equal(state.costs[:, 0], TABLE.costs[0, state.row, state.level, 0])
    state = observe(state, seen._replace(row=seen.row + 3))
    assert state.row.tolist() == [9, 11, 12, 14, 15, 17]  # of level 1, the oldest


# Methods


def test_a_bracket_of_one_rung_keeps_all_workers_busy():
    plan = make_plan(TABLE, METHODS["bohb"], conditions=Conditions(workers=20))
    assert [bracket.sizes for bracket in plan.brackets] == [(9, 3, 1), (3, 1), (20,)]
    assert plan.opening == ()
    flat = synthetic(50, fidelities=(1,))
    for name in SEARCHERS:
        assert make_plan(flat, METHODS[name]).brackets == (Bracket((4,), (0,)),)


def test_mo_bohb_opens_with_ten_random_rows_at_the_highest_fidelity():
    plan = make_plan(TABLE, METHODS["mo-bohb"])
    assert plan.opening == (Bracket((10,), (2,)),)
