"""The asynchronous oracle on examples worked out by hand."""

import math

import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.schedule import Bracket
from tests import reference_driver
from tests.reference import epsilon_net_order, pareto_rank
from tests.reference_asha import (
    Decision,
    defective_positions,
    full_order,
    newcomer_continues,
    rungs_of,
    share,
    simulate,
)

pytestmark = pytest.mark.fast

INF = math.inf


def first_objective(costs):
    return np.argsort(costs[:, 0], kind="stable")


def as_they_came(costs):
    return list(range(len(costs)))


def rung_of(*points):
    return np.array(points, float)


# Four rows, two levels: the second costs 3 s from scratch. Two workers, so that every event is a tie.
COSTS = np.array([[5, 5], [3, 3], [4, 4], [1, 1]], float)[:, :, None]
RUNTIME = np.tile([1.0, 3.0], (4, 1))


def stopping(rows=range(4), *, num_workers=2, eta=2, **settings):
    rows = list(rows)
    return simulate(
        COSTS,
        RUNTIME,
        rows,
        [0] * len(rows),
        [(0, 1)],
        order=first_objective,
        num_workers=num_workers,
        eta=eta,
        **settings,
    )


HAND_LOG = [
    (0, 0, 0.0, 1.0, 0),
    (1, 0, 0.0, 1.0, 1),
    (0, 1, 1.0, 3.0, 0),  # the first arrival goes on, whatever it is
    (1, 1, 1.0, 3.0, 1),
    (2, 0, 3.0, 4.0, 0),  # ends second of three: stopped
    (3, 0, 3.0, 4.0, 1),
    (3, 1, 4.0, 6.0, 1),
]
HAND_DECISIONS = [(0, 1, 0, True), (1, 2, 0, True), (4, 3, 1, False), (5, 4, 0, True)]


def test_two_workers_with_ties_by_hand():
    assert stopping() == (HAND_LOG, HAND_DECISIONS)


def test_retrained_fidelities_pay_the_whole():
    log, decisions = stopping(resumable=False)
    assert log == [
        (0, 0, 0.0, 1.0, 0),
        (1, 0, 0.0, 1.0, 1),
        (0, 1, 1.0, 4.0, 0),
        (1, 1, 1.0, 4.0, 1),
        (2, 0, 4.0, 5.0, 0),
        (3, 0, 4.0, 5.0, 1),
        (3, 1, 5.0, 8.0, 1),
    ]
    assert decisions == HAND_DECISIONS


@pytest.mark.parametrize(
    ("horizon", "num_entries", "num_decisions"),
    [
        (6.0, 7, 4),
        (5.0, 6, 4),  # the last job is launched and cut
        (4.0, 6, 4),  # and here never launched: time 4 is not before the horizon
        (3.5, 4, 2),  # two jobs are cut, and what they would have led to
        (1.0, 2, 2),
        (0.5, 0, 0),
    ],
)
def test_horizon_cuts_jobs(horizon, num_entries, num_decisions):
    assert stopping(horizon=horizon) == (HAND_LOG[:num_entries], HAND_DECISIONS[:num_decisions])


def test_nothing_starts_at_the_horizon():
    """Not even a job that would take no time and so end within it."""
    runtime = np.tile([1.0, 1.0], (4, 1))
    settings = {"order": first_objective, "num_workers": 1}
    for horizon, num_entries in ((1.0, 1), (1.5, 2)):
        log, _ = simulate(COSTS, runtime, [0, 1], [0, 0], [(0, 1)], horizon=horizon, **settings)
        assert log == [(0, 0, 0.0, 1.0, 0), (0, 1, 1.0, 1.0, 0)][:num_entries]


def test_launch_numbers_count_cut_jobs():
    """Of two jobs the first is cut, and the second keeps its number."""
    log, decisions = simulate(
        COSTS,
        np.array([[9.0, 10.0], [1.0, 9.0], [1.0, 2.0], [1.0, 2.0]]),
        [0, 1],
        [0, 0],
        [(0, 1)],
        order=first_objective,
        num_workers=2,
        horizon=5.0,
    )
    assert log == [(1, 0, 0.0, 1.0, 1)]
    assert decisions == [Decision(launch=1, num_results=1, position=0, continued=True)]


@pytest.mark.parametrize(("budget", "num_decisions"), [(7, 4), (6, 4), (5, 3), (3, 2), (1, 1), (0, 0)])
def test_budget_counts_launches(budget, num_decisions):
    assert stopping(budget=budget) == (HAND_LOG[:budget], HAND_DECISIONS[:num_decisions])


def test_more_workers_than_rows():
    log, decisions = stopping(num_workers=6)
    assert log == [
        *((row, 0, 0.0, 1.0, row) for row in range(4)),
        (0, 1, 1.0, 3.0, 0),
        (1, 1, 1.0, 3.0, 1),
        (3, 1, 1.0, 3.0, 3),
    ]
    assert decisions == [(0, 1, 0, True), (1, 2, 0, True), (2, 3, 1, False), (3, 4, 0, True)]


def test_no_rows():
    assert stopping(rows=()) == ([], [])


def test_one_rung_is_random_search():
    """The oracle of the synchronous driver knows nothing of this one."""
    table = synthetic(num_rows=40, fidelities=(1, 3))
    costs, runtime = table.dense(range(2))
    rows = np.random.default_rng(3).permutation(40)[:25].tolist()
    settings = {"num_workers": 3, "resumable": True, "horizon": 0.6 * runtime[0, rows, 1].sum() / 3}
    log, decisions = simulate(
        costs[0], runtime[0], rows, [0] * 25, [(1,)], order=epsilon_net_order, **settings
    )
    expected = reference_driver.simulate(
        table, 0, rows, (Bracket((25,), (1,)),), promote=None, overlap=True, **settings
    )
    assert log == expected
    assert 0 < len(log) < 25
    assert decisions == []


def test_brackets_keep_rungs_of_their_own():
    """Levels 1 of both brackets are different rungs: a first arrival in each goes on."""
    costs = np.array([[1, 1, 1], [9, 9, 9], [8, 8, 8], [7, 7, 7]], float)[:, :, None]
    log, decisions = simulate(
        costs,
        np.tile([1.0, 2.0, 3.0], (4, 1)),
        [0, 1, 2, 3],
        [0, 1, 0, 1],
        [(0, 1, 2), (1, 2)],
        order=first_objective,
        num_workers=1,
        eta=3,
    )
    assert [entry[:4] for entry in log] == [
        (0, 0, 0.0, 1.0),
        (0, 1, 1.0, 2.0),
        (0, 2, 2.0, 3.0),
        (1, 1, 3.0, 5.0),
        (1, 2, 5.0, 6.0),
        (2, 0, 6.0, 7.0),
        (3, 1, 7.0, 9.0),
        (3, 2, 9.0, 10.0),
    ]
    assert decisions == [
        (0, 1, 0, True),
        (1, 1, 0, True),
        (3, 1, 0, True),
        (5, 2, 1, False),
        (6, 2, 0, True),
    ]


# --- the stopping rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("point", [(1.0, 1.0), (INF, 0.0)])
def test_first_arrival_continues(compat, point):
    assert newcomer_continues(rung_of(point), epsilon_net_order, 3, compat) == (0, True)


@pytest.mark.parametrize(
    ("arrivals", "vector", "defective", "continued"),
    [
        (((1, 1), (2, 2), (3, 3), (0, 0)), [3, 0, 1, 2], 2, False),
        (((3, 3), (1, 1), (2, 2), (0, 0)), [3, 1, 2, 0], 0, True),
    ],
)
def test_d1_arrival_of_the_worst_decides(arrivals, vector, defective, continued):
    """The newcomer dominates all."""
    costs = rung_of(*arrivals)
    assert defective_positions(costs) == vector
    assert newcomer_continues(costs, epsilon_net_order, 3, compat=True) == (defective, continued)
    assert newcomer_continues(costs, epsilon_net_order, 3) == (0, True)


@pytest.mark.parametrize(
    ("front", "order", "shipped"),
    [
        (((1, 1), (0, 2), (3, 0)), [1, 2, 0], [2, 0, 1]),
        (((1, 3), (0, 4), (4, 0), (3, 1), (2, 2)), [1, 2, 4, 0, 3], [3, 0, 1, 4, 2]),
    ],
)
def test_d2_ranks_used_as_an_order(front, order, shipped):
    costs = rung_of(*front)
    assert full_order(costs, epsilon_net_order) == order
    assert defective_positions(costs) == shipped


def test_d2_within_fronts_only():
    """A front of one before the front of the first example, and one after it."""
    costs = rung_of((9, 9), (1, 1), (0, 2), (-1, -1), (3, 0))
    assert full_order(costs, epsilon_net_order) == [3, 2, 4, 1, 0]
    assert defective_positions(costs) == [3, 4, 1, 2, 0]


def test_d5_positions_that_survive():
    """Nine results, eta 3: the default keeps 3 positions of the newcomer, the shipped threshold 4."""
    by_default, by_compat = [], []
    for place in range(9):
        chain = [*(cost for cost in range(9) if cost != place), place]
        by_default.append(newcomer_continues(np.array(chain, float)[:, None], first_objective, 3))
        # The shipped position is the arrival of the worst: put it at each place in turn.
        others = list(range(8))
        others.insert(place, 8)
        costs = np.array(others, float)[:, None].repeat(2, axis=1)
        by_compat.append(newcomer_continues(costs, epsilon_net_order, 3, compat=True))
    assert by_default == [(place, place < 3) for place in range(9)]
    assert by_compat == [(place, place < 4) for place in range(9)]


def test_d1_share_of_dominating_newcomers_that_stop():
    """Published as 59 % after 20 uniform points. The bounds are four standard errors of 200 rungs away."""
    rng = np.random.default_rng(0)
    stopped = []
    for _ in range(200):
        costs = np.vstack([rng.uniform(size=(20, 2)), [-1, -1]])
        stopped.append(not newcomer_continues(costs, epsilon_net_order, 3, compat=True)[1])
        assert newcomer_continues(costs, epsilon_net_order, 3)[1]
    assert abs(np.mean(stopped) - 0.59) < 4 * math.sqrt(0.59 * 0.41 / 200)


def test_dominated_newcomer_always_stops():
    rng = np.random.default_rng(1)
    for num_points in (2, 3, 9):
        costs = np.vstack([rng.uniform(size=(num_points, 2)), [2, 2]])
        for compat in (False, True):
            assert newcomer_continues(costs, epsilon_net_order, 3, compat) == (num_points, False)


def test_defective_position_is_the_number_of_the_last():
    """Whatever the ties, positions are a permutation, and fronts stay in their order."""
    rng = np.random.default_rng(2)
    for levels in (2, 5, 1000):
        costs = rng.integers(levels, size=(15, 2)).astype(float)
        positions = defective_positions(costs)
        assert sorted(positions) == list(range(15))
        rank = pareto_rank(costs)[positions]
        assert (np.diff(rank) >= 0).all()


def test_failures_come_last_as_they_arrived():
    costs = rung_of((INF, 0), (2, 2), (0, INF), (1, 1))
    assert full_order(costs, epsilon_net_order) == [3, 1, 0, 2]
    assert defective_positions(costs) == [3, 1, 0, 2]
    assert full_order(costs[[0, 2]], epsilon_net_order) == [0, 1]
    assert newcomer_continues(costs, epsilon_net_order, 3) == (0, True)
    assert newcomer_continues(costs[[1, 0]], epsilon_net_order, 3) == (1, False)


@pytest.mark.parametrize(
    ("num_results", "eta", "expected"),
    [(2, 3, 0), (3, 3, 1), (8, 3, 2), (9, 3, 3), (5, 2.5, 2), (33, 1.1, 30), (21, 4.2, 5), (63, 2.1, 30)],
)
def test_share_is_exact(num_results, eta, expected):
    assert share(num_results, eta) == expected


# --- promotion ---------------------------------------------------------------------------------------------


def promoting(costs, runtime, rungs, **settings):
    rows = list(range(len(costs)))
    log, decisions = simulate(
        np.array(costs, float)[:, :, None],
        np.array(runtime, float),
        rows,
        [0] * len(rows),
        [rungs],
        variant="promote",
        **{"order": first_objective, "eta": 2, **settings},
    )
    assert decisions == []
    return log


def test_promotion_by_hand():
    """One worker, three rungs: a promoted trial stays in its rung's sort, and high rungs come first."""
    costs = [[4, 4, 4], [3, 3, 3], [9, 9, 9], [2, 2, 2], [1, 1, 1]]
    log = promoting(costs, np.tile([1.0, 2.0, 4.0], (5, 1)), (0, 1, 2), num_workers=1)
    assert log == [
        (0, 0, 0.0, 1.0, 0),
        (1, 0, 1.0, 2.0, 0),
        (1, 1, 2.0, 3.0, 0),  # best of two
        (2, 0, 3.0, 4.0, 0),  # three results: still one place, and row 1 has it
        (3, 0, 4.0, 5.0, 0),
        (3, 1, 5.0, 6.0, 0),  # four results: rows 3 and 1
        (3, 2, 6.0, 8.0, 0),  # best of two in the second rung
        (4, 0, 8.0, 9.0, 0),
        (4, 1, 9.0, 10.0, 0),  # five results: rows 4 and 3; row 1 has left the best, and keeps its promotion
        (4, 2, 10.0, 12.0, 0),  # three results in the second rung: row 4
    ]


def test_idle_workers_ask_again():
    """The fourth result makes two trials worth promoting; the second goes to the worker that was idle."""

    def late_surprise(costs):
        return [2, 3, 0, 1] if len(costs) == 4 else list(range(len(costs)))

    runtime = np.tile([1.0, 2.0], (4, 1))
    log = promoting(np.zeros((4, 2)), runtime, (0, 1), num_workers=2, order=late_surprise)
    assert log == [
        (0, 0, 0.0, 1.0, 0),
        (1, 0, 0.0, 1.0, 1),
        (2, 0, 1.0, 2.0, 0),
        (0, 1, 1.0, 2.0, 1),
        (3, 0, 2.0, 3.0, 0),
        (2, 1, 3.0, 4.0, 0),
        (3, 1, 3.0, 4.0, 1),
    ]


def test_high_rungs_come_first():
    """Row 3 waits in the lowest rung when row 0 becomes worth promoting in the next."""

    def late_surprise(costs):
        return [2, 3, 0, 1] if len(costs) == 4 else list(range(len(costs)))

    runtime = np.tile([1.0, 2.0, 3.0], (4, 1))
    log = promoting(np.zeros((4, 3)), runtime, (0, 1, 2), num_workers=1, order=late_surprise)
    assert [entry[:2] for entry in log] == [
        *[(0, 0), (1, 0), (0, 1), (2, 0), (3, 0)],
        *[(2, 1), (0, 2), (3, 1)],
    ]


def test_busy_results_do_not_count():
    """Worker 0 finds one result in the rung and no rows: it waits, and worker 1 promotes its own trial."""
    log = promoting([[2, 2], [1, 1]], [[1, 2], [3, 4]], (0, 1), num_workers=2)
    assert log == [(0, 0, 0.0, 1.0, 0), (1, 0, 0.0, 3.0, 1), (1, 1, 3.0, 4.0, 1)]


def test_promotion_retrains_and_is_cut():
    costs, runtime = [[2, 2], [1, 1]], [[1, 2], [3, 4]]
    log = promoting(costs, runtime, (0, 1), num_workers=2, resumable=False)
    assert log[-1] == (1, 1, 3.0, 7.0, 1)
    assert len(promoting(costs, runtime, (0, 1), num_workers=2, resumable=False, horizon=6.5)) == 2
    assert len(promoting(costs, runtime, (0, 1), num_workers=2, budget=1)) == 1


def test_promotion_has_one_bracket():
    with pytest.raises(ValueError, match="one bracket"):
        simulate(
            COSTS,
            RUNTIME,
            [0, 1],
            [0, 1],
            [(0, 1), (1,)],
            order=first_objective,
            num_workers=1,
            variant="promote",
        )


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("eta", [2, 3])
def test_promoted_are_the_best_not_yet_promoted(num_workers, eta):
    """Replays a random log: at each promotion, the best floor(n / eta) of what had ended by then."""
    rng = np.random.default_rng(10 * num_workers + eta)
    costs = rng.permutation(40 * 3).reshape(40, 3)
    runtime = np.cumsum(rng.uniform(1, 5, size=(40, 3)), axis=1)
    log = promoting(costs, runtime, (0, 1, 2), num_workers=num_workers, eta=eta)
    assert len({entry[:2] for entry in log}) == len(log)
    num_promoted = 0
    for number, (row, level, start, _, _) in enumerate(log):
        top, promoted = {}, {}
        for rung in range(2):
            ended = [e.row for e in log if e.level == rung and e.end <= start]
            top[rung] = sorted(ended, key=lambda r: costs[r, rung])[: len(ended) // eta]
            promoted[rung] = {e.row for e in log[:number] if e.level == rung + 1}
        # With continuous times no two results tie, so what had ended is what was known.
        waiting = [(r, rung + 1) for rung in (1, 0) for r in top[rung] if r not in promoted[rung]]
        num_promoted += level > 0
        assert (row, level) == (waiting[0] if waiting else (row, 0))
    assert num_promoted > 40 // eta // 2


# --- rungs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fidelities", "eta", "grace", "bracket", "expected"),
    [
        (range(1, 244), 3, 1, 0, (1, 3, 9, 27, 81, 243)),  # a floating logarithm gives five
        (range(1, 1001), 10, 1, 0, (1, 10, 100, 1000)),  # and here three
        (range(1, 244), 3, 1, 2, (9, 27, 81, 243)),
        (range(1, 101), 3, 1, 0, (1, 3, 9, 27, 81, 100)),
        (range(1, 101), 3, 4, 1, (12, 36, 100)),
        (range(1, 101), 3, 100, 0, (100,)),
        (range(1, 101), 3, 1, 5, (100,)),
        ((1, 2, 7, 22, 66, 200), 3, 1, 0, (1, 7, 22, 66, 200)),
        ((10, 20), 3, 1, 0, (10, 20)),
        ((0.1, 0.3, 0.9), 3, 0.1, 0, (0.1, 0.3, 0.9)),
        (range(1, 11), 2.5, 1, 0, (1, 3, 7, 10)),
        ((5,), 3, 1, 0, (5,)),
    ],
)
def test_rungs(fidelities, eta, grace, bracket, expected):
    levels = rungs_of(fidelities, eta, grace, bracket)
    assert tuple(list(fidelities)[level] for level in levels) == expected
