"""NSGA-II, SH-EMOA and multi-objective regularised evolution."""

import jax
import moocore
import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table
from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem

from mohb_jax.errors import InputError
from mohb_jax.kernels import promotion
from mohb_jax.methods import METHODS, make_plan, make_settings
from mohb_jax.schedule import halved_stages
from mohb_jax.searchers import mo_rea, nsga2, sh_emoa
from mohb_jax.searchers.base import Result, Seen
from mohb_jax.searchers.mo_rea import Ring
from mohb_jax.searchers.nearest_rows import prepare_rows
from mohb_jax.searchers.population import Population, nobody
from mohb_jax.searchers.seen_rows import new_pool
from mohb_jax.searchers.sh_emoa import Emoa
from mohb_jax.simulation import simulate
from tests import reference
from tests.test_genetic_operators import ROWS
from tests.test_hyperband import entries, integer_table, suggestions, vars_of

pytestmark = pytest.mark.wide

PLACES, POPULATION = 9, 6
ALIKE = {"num_seeds": 4, "workers": 3, "population": POPULATION}
FITTEST = jax.jit(nsga2.fittest)
LEAST_USEFUL = jax.jit(sh_emoa.least_useful)
POSITIONS = jax.jit(sh_emoa.emoa_positions)
WITH_RESULT, ENTERED = jax.jit(sh_emoa.with_result), jax.jit(mo_rea.entered)
KEYS = jax.random.split(jax.random.key(0), 3000)
POOL = jax.jit(lambda task, key: new_pool(ROWS.candidates, task, key, ROWS.num_rows))


def population_of(costs, places=PLACES):
    """Members in the first places; what stands in the others is better than all of them."""
    costs = np.asarray(costs, float)
    padded = np.full((places, costs.shape[1]), -1e6)
    padded[: len(costs)] = costs
    row = np.arange(places, dtype=np.int32)
    return Population(row, padded, row < len(costs))


def seen_of(rows, costs):
    costs = np.asarray(costs, float)
    return Seen(rows, np.int32(0), costs, np.ones(len(costs), bool), np.bool_(True))


def random_costs(seed, n, m, levels):
    return np.random.default_rng(seed).integers(levels, size=(n, m)).astype(float)


# NSGA-II


class Unconstrained(Problem):
    def __init__(self, m):
        super().__init__(n_var=1, n_obj=m)


def is_cut_in_a_tie(costs, num_keep):
    """Whether the last that is kept and the first that is not are equally crowded; pymoo then draws lots."""
    order, distance = reference.crowding_order(costs), reference.crowding_distance(costs)
    rank = reference.pareto_rank(costs)
    last, next_ = order[num_keep - 1], order[num_keep]
    return rank[last] == rank[next_] and np.isclose(distance[last], distance[next_])


@pytest.mark.parametrize("m", [1, 2, 3])
def test_truncation_equals_pymoo(m):
    num_compared = 0
    for seed in range(30):
        costs = np.random.default_rng(seed).random((2 * PLACES, m))
        if is_cut_in_a_tie(costs, PLACES):
            continue
        kept = FITTEST(population_of(costs[:PLACES]), seen_of(np.arange(PLACES, 2 * PLACES), costs[PLACES:]))
        assert np.asarray(kept.stands).all()
        theirs = RankAndCrowdingSurvival().do(
            Unconstrained(m), PymooPopulation.new(F=costs, X=np.zeros((2 * PLACES, 1))), n_survive=PLACES
        )
        assert set(map(tuple, np.asarray(kept.costs).tolist())) == set(map(tuple, theirs.get("F").tolist()))
        rank = moocore.pareto_rank(costs)
        assert np.sort(rank)[:PLACES].tolist() == rank[np.asarray(kept.row)].tolist()
        num_compared += 1
    assert num_compared >= 10


def test_extreme_members_survive():
    x = np.array([0.5, 0.1, 0.9, 0.3, 0.6, 0.2, 0.8, 0.4, 0.7, 0.55, 0.0, 1.0])
    front = np.stack([x, 1 - x], axis=1)
    kept = FITTEST(population_of(front[:PLACES]), seen_of(np.arange(PLACES, 12), front[PLACES:]))
    assert set(kept.row.tolist()[:2]) == {10, 11}


def test_failures_never_enter_and_leave_room():
    costs = np.array([[1.0, 2.0], [np.inf, np.inf], [2.0, 1.0], [np.inf, np.inf]])
    kept = FITTEST(population_of(np.zeros((0, 2))), seen_of(np.arange(4), costs))
    assert kept.stands.tolist() == [True] * 2 + [False] * (PLACES - 2)
    assert set(kept.row.tolist()[:2]) == {0, 2}


def test_one_objective_is_truncated_by_value():
    costs = np.random.default_rng(1).permutation(2 * PLACES)[:, None].astype(float)
    kept = FITTEST(population_of(costs[:PLACES]), seen_of(np.arange(PLACES, 2 * PLACES), costs[PLACES:]))
    left = np.asarray(kept.costs)[:, 0]
    np.testing.assert_array_equal(np.sort(left), np.arange(PLACES))
    np.testing.assert_array_equal(left, np.arange(PLACES))  # one front each: best first


def test_the_first_generation_is_that_of_random_search():
    table = integer_table()
    log = simulate(table, "nsga2", evaluations=30, seed=2, **ALIKE)
    for lane in range(8):
        rows = suggestions(2, int(log.run[lane]), table.num_rows)
        assert log.row[lane, :POPULATION].tolist() == rows[:POPULATION]
        assert log.row[lane, POPULATION:].tolist() != rows[POPULATION:30]
        # A generation waits for the one before it.
        for start in range(POPULATION, 30, POPULATION):
            now = slice(start, start + POPULATION)
            assert log.start[lane, now].min() >= log.end[lane, :start].max()


def test_children_are_near_their_parents():
    """With one column that decides all, the search closes in on its best value."""
    table = integer_table()
    costs = np.abs(np.arange(60.0) - 41)[None, :, None, None] * np.ones_like(table.costs)
    line = Table(**{**vars_of(table), "costs": costs})
    log = simulate(line, "nsga2", evaluations=30, **ALIKE)
    random = simulate(line, "random", evaluations=30, num_seeds=4)
    assert log.costs[:, 12:, 0].mean() < 0.6 * random.costs[:, 12:, 0].mean()


def test_a_generation_that_failed_is_followed_by_a_random_one():
    table = integer_table()
    good = suggestions(0, 0, 60)[POPULATION:]
    available = np.ones(table.mask.shape, bool)
    available[:, [r for r in range(60) if r not in good], -1] = False
    costs = np.where(available[..., None], table.costs, np.nan)
    holes = Table(**{**vars_of(table), "costs": costs, "available": available})
    log = simulate(holes, "nsga2", evaluations=30, **ALIKE)
    assert np.isinf(log.costs[0, :POPULATION]).all()
    assert log.row[0, : 2 * POPULATION].tolist() == suggestions(0, 0, 60)[: 2 * POPULATION]


# SH-EMOA


def least_useful_by_definition(costs):
    """Last front; its smallest contribution, by removing each in turn."""
    rank = reference.pareto_rank(costs)
    last = np.flatnonzero(rank == rank.max())
    scaled = reference.min_max_scaled(costs)[last]
    shares = reference.hypervolume_contributions(scaled, np.full(costs.shape[1], promotion.REFERENCE))
    return last[np.argmin(np.round(shares, 9))]


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("levels", [4, 10**6])
def test_who_leaves_equals_brute_force(m, levels):
    for seed in range(12):
        costs = random_costs(seed, PLACES, m, levels)
        assert LEAST_USEFUL(population_of(costs)) == least_useful_by_definition(costs)


def test_a_single_dominated_member_leaves():
    costs = [[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [1.0, 1.0], [9.0, 9.0], [0.5, 2.0]]
    assert LEAST_USEFUL(population_of(costs, 6)) == 4


def test_of_duplicates_one_leaves():
    costs = [[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.5, 2.0], [2.0, 0.5]]
    members = population_of(costs, 6)
    assert LEAST_USEFUL(members) == 2
    left = members._replace(stands=members.stands & (np.arange(6) != 2))
    assert LEAST_USEFUL(left) != 3  # alone it counts again


@pytest.mark.parametrize("m", [1, 2, 3])
def test_positions_follow_the_definition(m):
    for seed in range(8):
        costs = random_costs(seed, PLACES - 2, m, 6)
        rank, share = reference.pareto_rank(costs), np.zeros(len(costs))
        for front in range(rank.max() + 1):
            own = rank == front
            scaled = reference.min_max_scaled(costs)[own]
            share[own] = reference.hypervolume_contributions(scaled, np.full(m, promotion.REFERENCE))
        order = np.lexsort((-np.round(share, 9), rank))
        position = np.asarray(POSITIONS(population_of(costs)))
        assert np.argsort(position)[: len(costs)].tolist() == order.tolist()
        assert position[len(costs) :].tolist() == [PLACES - 2, PLACES - 1]


def winners(members):
    return np.asarray(jax.jit(jax.vmap(sh_emoa.tournament_winner, (0, None)))(KEYS, members))


def test_tournaments_are_won_by_the_best_of_three():
    """Of seven members the k-th best wins where the two others are among the 7 - k behind it."""
    members = population_of(np.arange(7.0)[[3, 1, 5, 0, 4, 2, 6], None])
    counts = np.bincount(members.costs[winners(members), 0].astype(int), minlength=7) / len(KEYS)
    np.testing.assert_allclose(counts, np.array([15, 10, 6, 3, 1, 0, 0]) / 35, atol=0.035)
    few = population_of([[2.0], [1.0]])
    assert (winners(few) == 1).all()


def emoa_of(costs, **changes):
    key, places = jax.random.key(1), PLACES
    none, zero = np.zeros(places, bool), np.int32(0)
    pool = POOL(zero, key)
    members, level = population_of(costs, places), np.zeros(places, np.int32)
    return Emoa(pool, key, members, level, none, none, zero, zero, zero)._replace(**changes)


def result_of(row, costs, level=0, valid=True):
    return Result(np.int32(row), np.int32(level), np.asarray(costs, float), np.int32(0), np.bool_(valid))


def test_the_population_keeps_its_size():
    costs = random_costs(3, 40, 2, 1000)
    state = emoa_of(np.zeros((0, 2)))
    kept: list[int] = []
    for row, cost in enumerate(costs):
        state = WITH_RESULT(state, result_of(row, cost))
        kept.append(row)
        if len(kept) == PLACES:
            members = np.array(state.members.row)[np.array(state.members.stands)]
            (gone,) = set(kept) - set(members.tolist())
            # The places of the buffer decide ties only, and there are none.
            assert gone == kept[least_useful_by_definition(costs[kept])]
            kept.remove(gone)
        assert np.asarray(state.members.stands).sum() == len(kept)


def test_late_and_failed_results_do_not_join():
    state = emoa_of([[1.0, 2.0]], stage=np.int32(1))
    late = WITH_RESULT(state, result_of(20, [0.0, 0.0], level=0))
    failed = WITH_RESULT(state, result_of(20, [np.inf, np.inf], level=1))
    nothing = WITH_RESULT(state, result_of(20, [0.0, 0.0], level=1, valid=False))
    for after, num_results in ((late, 1), (failed, 1), (nothing, 0)):
        assert np.flatnonzero(after.members.stands).tolist() == [0]
        assert int(after.num_results) == num_results


def test_members_under_way_have_a_place():
    """A child that comes in before them makes one leave, so that none of them loses its place."""
    is_out = np.arange(PLACES) >= PLACES - 2
    state = emoa_of(random_costs(0, PLACES - 3, 2, 100), is_out=is_out)
    state = WITH_RESULT(state, result_of(30, [1e6, 1e6]))
    assert np.asarray(state.members.stands).sum() == PLACES - 3
    assert not (np.asarray(state.members.row)[np.asarray(state.members.stands)] == 30).any()
    again = WITH_RESULT(state, result_of(PLACES - 1, [5.0, 5.0]))
    assert np.asarray(again.members.stands)[PLACES - 1]
    assert np.asarray(again.is_out).sum() == 1


@pytest.mark.parametrize(
    ("fidelities", "eta", "smallest", "expected"),
    [
        (range(1, 26), 2, 5, (7, 13, 25)),  # the paper's
        (range(1, 28), 2, 27 / 5, (7, 14, 27)),
        (range(1, 28), 2, 1, (2, 4, 7, 14, 27)),
        (range(1, 10), 2, 1, (2, 3, 5, 9)),
        ((1, 3, 9, 27), 2, 5, (9, 27)),
        ((0.1, 0.25, 0.5, 1.0), 2, 0.2, (0.25, 0.5, 1.0)),
        ((7,), 2, 7 / 5, (7,)),
        (range(1, 26), 2, 25, (25,)),
    ],
)
def test_stages(fidelities, eta, smallest, expected):
    fidelities = tuple(fidelities)
    assert tuple(fidelities[level] for level in halved_stages(fidelities, eta, smallest)) == expected
    if all(isinstance(value, int) for value in fidelities) and len(fidelities) == fidelities[-1]:
        budget, by_hand = fidelities[-1], []
        while budget > smallest:  # as published
            by_hand.append(budget)
            budget = -(-budget // eta)
        assert tuple(reversed(by_hand or [fidelities[-1]])) == expected


@pytest.mark.parametrize(("eta", "smallest", "message"), [(1, 1, "eta is 1"), (2, 0, "0"), (2, 30, "30")])
def test_bad_stages_are_named(eta, smallest, message):
    with pytest.raises(InputError, match=message):
        halved_stages((1, 3, 9, 27), eta, smallest)


def test_settings_say_how_low_stages_go():
    table = integer_table()

    def levels(**settings):
        return (
            make_plan(table, METHODS["sh-emoa"], make_settings(METHODS["sh-emoa"], **settings))
            .brackets[0]
            .levels
        )

    assert levels() == (2, 3)
    assert levels(min_fidelity=1) == levels(R=27) == (1, 2, 3)
    with pytest.raises(InputError, match="at most 4 objectives"):
        simulate(integer_table(num_objectives=5), "sh-emoa")


def check_stages(log, lane, levels, budget):
    """Fidelities rise; each new one begins with members of the last, in shares of the run."""
    fidelity, rows = log.fidelity[lane], log.row[lane]
    assert (np.diff(fidelity) >= 0).all()
    assert sorted(set(fidelity.tolist())) == levels
    for number, level in enumerate(levels):
        first = int(np.argmax(fidelity == level))
        assert first == -(-number * budget // len(levels))
        again = [row in rows[:first] for row in rows[fidelity == level]]
        assert sum(again) == (0 if number == 0 else POPULATION)
        assert all(again[: sum(again)])


@pytest.mark.parametrize("workers", [1, 3])
def test_stages_of_a_run(workers):
    table = integer_table(num_rows=90, levels=10**6)
    log = simulate(
        table, "sh-emoa", evaluations=60, min_fidelity=1, **(ALIKE | {"workers": workers, "seed": 5})
    )
    for lane in range(8):
        check_stages(log, lane, [1, 2, 3], 60)
        rows = suggestions(5, int(log.run[lane]), table.num_rows)
        assert log.row[lane, :POPULATION].tolist() == rows[:POPULATION]
        if workers == 1:  # nothing is late: those that go on are those that the definition keeps
            kept: list[int] = []
            for slot in range(20):
                kept.append(slot)
                if len(kept) > POPULATION:
                    kept.pop(least_useful_by_definition(log.costs[lane, kept]))
            again = log.row[lane, 20 : 20 + POPULATION]
            assert sorted(again.tolist()) == sorted(log.row[lane, kept].tolist())


def test_no_worker_waits():
    log = simulate(integer_table(num_rows=90), "sh-emoa", evaluations=60, min_fidelity=1, **ALIKE)
    for lane in range(8):
        for worker in range(3):
            mine = log.worker[lane] == worker
            np.testing.assert_array_equal(log.start[lane][mine][1:], log.end[lane][mine][:-1])


def test_stages_go_on_when_rows_run_out():
    table = integer_table(num_rows=10)
    log = simulate(table, "sh-emoa", evaluations=500, min_fidelity=1, **ALIKE)
    for lane in range(8):
        levels = [entry[1] for entry in entries(log, lane)]
        assert [levels.count(level) for level in (1, 2, 3)] == [10, 10, 10]


def test_one_fidelity_is_steady_state():
    flat = synthetic(num_rows=200, num_tasks=2, fidelities=(1,), num_objectives=2, seed=1)
    log = simulate(flat, "sh-emoa", evaluations=60, num_seeds=20)
    random = simulate(flat, "random", evaluations=60, num_seeds=20)
    assert log.valid.all()
    for task in range(2):
        front = reference.pareto_rank(flat.costs[task, :, -1]) == 0
        found = [front[runs.row[runs.task == task]].sum() for runs in (log, random)]
        assert found[0] > 1.3 * found[1]


# Regularised evolution


def ring_of(places=4, m=2):
    key = jax.random.key(1)
    return Ring(POOL(np.int32(0), key), key, nobody(places, m), np.int32(0))


def test_the_oldest_leaves_whatever_it_is_worth():
    state = ring_of()
    costs = random_costs(0, 11, 2, 100)
    costs[2], costs[5] = 0, np.inf  # the best of all, and a failure
    ring: list[int] = []
    for row, cost in enumerate(costs):
        state = ENTERED(state, result_of(row, cost))
        ring = (ring + [row] * (row != 5))[-4:]
        assert sorted(np.asarray(state.members.row)[np.asarray(state.members.stands)].tolist()) == ring
    assert int(state.num_entered) == 10
    assert int(ENTERED(state, result_of(20, [0.0, 0.0], valid=False)).num_entered) == 10


def test_parents_win_a_sample_drawn_with_replacement():
    order = np.array([3, 1, 5, 0, 4, 2])
    place = np.asarray(jax.jit(jax.vmap(mo_rea.best_of_sample, (0, None)))(KEYS, order))
    counts = np.bincount(place, minlength=6)[order] / len(KEYS)
    left = (np.arange(6, -1, -1) / 6) ** 3  # a sample of three of six: half the population
    np.testing.assert_allclose(counts, left[:-1] - left[1:], atol=0.035)


def test_the_best_member_wins_where_the_published_code_takes_another():
    """Defect D3: with these members Syne Tune 0.16 gives (2, 2) the best score."""
    costs = np.array([[3.0, 3.0], [1.0, 1.0], [2.0, 2.0], [5.0, 5.0], [4.0, 4.0]])
    rule = jax.jit(lambda *rung: promotion.epsilon_net()(*rung, 5))
    order = rule(jax.random.key(0), costs, np.ones(5, bool))
    assert order.tolist() == [1, 2, 0, 4, 3]
    published = np.argsort(costs[:, 0])  # the order, where a score of each member belongs
    assert np.argmin(published) == 2


def test_one_column_changes():
    point = np.array([0.5, 0.25, 2.0, 0.0, 0.75])
    change = jax.jit(jax.vmap(lambda key, point: mo_rea.one_column_changed(ROWS, key, point), (0, None)))
    children = np.asarray(change(KEYS, point))
    changed = children != point
    assert (changed.sum(axis=1) == 1).all()
    assert changed.mean(axis=0) == pytest.approx([0.25, 0.25, 0.25, 0, 0.25], abs=0.035)


def in_the_ring(log, lane):
    """Each slot, and those whose results are in the ring when it is launched."""
    for slot in range(len(log.row[lane])):
        done = np.flatnonzero(log.end[lane] <= log.start[lane, slot])
        done = done[done < slot]
        order = done[np.lexsort((log.worker[lane, done], log.end[lane, done]))]
        yield slot, order[-POPULATION:]


def test_children_have_parents_in_the_ring():
    """With one objective it is regularised evolution: parents are the best of three of the last six."""
    table = synthetic(num_rows=300, num_tasks=1, fidelities=(1,), num_objectives=1, seed=4)
    rows = prepare_rows(table, (0,))
    codes = np.asarray(rows.codes)
    log = simulate(table, "mo-rea", evaluations=80, num_seeds=8, workers=1, population=POPULATION)
    changed, shares = [], []
    for lane in range(8):
        assert log.row[lane, :POPULATION].tolist() == suggestions_of(table, lane)[:POPULATION]
        for slot, ring in list(in_the_ring(log, lane))[POPULATION:]:
            apart = np.abs(codes[:, log.row[lane, ring]] - codes[:, log.row[lane, slot]][:, None])
            others = np.sort(apart, axis=0)[:-1].max(axis=0)  # all columns but the one that changed most
            changed.append(others.min() < 4096 // 4)
            best = np.argsort(log.costs[lane, ring, 0])
            shares.append(np.argmin(others[best]))
    assert np.mean(changed) > 0.95
    assert np.mean(np.array(shares) <= 2) > 0.7  # half of the ring, were parents drawn at random
    assert log.costs[:, 40:].mean() < log.costs[:, :POPULATION].mean()


def suggestions_of(table, run):
    return simulate(table, "random", evaluations=POPULATION, first_run=run).row[0].tolist()


def test_children_come_when_the_ring_is_full():
    table = synthetic(num_rows=90, fidelities=(1,), num_objectives=3)
    log = simulate(table, "mo-rea", evaluations=40, **ALIKE)
    random = simulate(table, "random", evaluations=40, num_seeds=4, workers=3)
    for lane in range(4):
        early = [slot for slot, ring in in_the_ring(log, lane) if len(ring) < POPULATION]
        assert early == list(range(POPULATION + 2))  # two are under way when the sixth result is in
        np.testing.assert_array_equal(log.row[lane, early], random.row[lane, early])
        assert log.row[lane].tolist() != random.row[lane].tolist()
