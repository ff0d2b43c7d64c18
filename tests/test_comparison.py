"""Statistics across tasks, against slow definitions, worked examples and the published one of Demsar 2006."""

import dataclasses
import itertools
import json
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mohb_jax.analysis.attainment import Attained, attained, attainment_surfaces
from mohb_jax.analysis.comparison import Comparison, comparison, rows
from mohb_jax.analysis.curves import Cell, study_cells
from mohb_jax.analysis.effects import effects, mean_responses, swept
from mohb_jax.analysis.lanes import collect
from mohb_jax.analysis.pairs import holm, least_p, run_pairs, task_pairs
from mohb_jax.analysis.profiles import gap_ratios, performance_profile
from mohb_jax.analysis.ranks import critical_difference, groups, rank_curves, ranking
from mohb_jax.errors import InputError
from tests.fake_study import make_study, make_table, make_unit

pytestmark = pytest.mark.fast

# Ranks of four variants of C4.5 on 14 data sets, Demsar 2006, table 6 (there 1 is best).
DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)


def data_of(values: np.ndarray, num_left_out: int = 0) -> Comparison:
    """Values [tasks, methods] (one run) or [tasks, methods, runs] under names m0, m1, ... and t0, t1, ..."""
    values = np.asarray(values, float)
    values = values[:, :, None] if values.ndim == 2 else values
    names = [
        tuple(f"{letter}{i}" for i in range(size)) for letter, size in zip("tm", values.shape, strict=False)
    ]
    return Comparison(names[1], names[0], values, num_left_out)


def noisy(tasks: int = 6, methods: int = 4, runs: int = 9, seed: int = 0) -> Comparison:
    generator = np.random.default_rng(seed)
    base = np.linspace(0.5, 0.7, methods)[None, :, None] + generator.uniform(0, 0.2, size=(tasks, 1, 1))
    return data_of(base + generator.normal(0, 0.05, size=(tasks, methods, runs)))


def small_cells() -> tuple[list[Cell], tuple[str, ...]]:
    table = make_table(tasks=("a", "b", "c"))
    units = [
        make_unit(table, name, skill, num_seeds=6, seed=i)
        for i, (name, skill) in enumerate([("x", 1), ("y", 2), ("z", 4)])
    ]
    study = make_study([table], units)
    return study_cells(study), study.methods


# --- input -----------------------------------------------------------------------------------------------


def test_cells_become_numbers():
    cells, methods = small_cells()
    data = comparison(cells, methods)
    assert (data.methods, data.tasks, data.num_left_out) == (("x", "y", "z"), ("toy/a", "toy/b", "toy/c"), 0)
    for cell in cells:
        own = data.values[data.tasks.index(f"toy/{cell.task}"), methods.index(cell.method)]
        np.testing.assert_array_equal(own, cell.final["hypervolume"])
    np.testing.assert_allclose(data.means, data.values.sum(axis=2) / 6)


def test_tasks_that_a_method_lacks_are_left_out_and_counted():
    cells, methods = small_cells()
    cells = [cell for cell in cells if (cell.task, cell.method) != ("b", "y")]
    data = comparison(cells, (*methods, "never ran"))
    assert (data.methods, data.tasks, data.num_left_out) == (("x", "y", "z"), ("toy/a", "toy/c"), 1)


def test_methods_that_a_whole_benchmark_lacks_are_left_out():
    cells, methods = small_cells()
    elsewhere = [dataclasses.replace(cell, benchmark="other") for cell in cells if cell.method != "y"]
    data = comparison([*cells, *elsewhere], methods)
    assert (data.methods, len(data.tasks), data.num_left_out) == (("x", "z"), 6, 0)
    only = [cell for cell in elsewhere if cell.method == "x"]
    pair = [cell for cell in cells if cell.method != "x"]
    assert comparison([*only, *pair], methods).methods == methods  # nobody ran on both


def test_only_runs_that_all_have_count():
    cells, methods = small_cells()
    late = dataclasses.replace(cells[0], runs=cells[0].runs + 2)
    data = comparison([late, *cells[1:]], methods)
    np.testing.assert_array_equal(data.values[0, 0], late.final["hypervolume"][:4])
    np.testing.assert_array_equal(data.values[1, 2], cells[5].final["hypervolume"][2:])


def test_nothing_in_common_is_no_error():
    cells, methods = small_cells()
    data = comparison([dataclasses.replace(cells[0], runs=cells[0].runs + 100), *cells[1:]], methods)
    assert data.values.shape == (0, 3, 0)
    assert data.num_left_out == 3
    found = ranking(data)
    assert (found.average_ranks, found.ci95, found.friedman) == ((), (), None)
    assert "there are 0" in found.reason
    assert task_pairs(data) == []
    assert comparison([], ()).methods == ()


# --- ranks -----------------------------------------------------------------------------------------------


def test_the_example_of_demsar_2006():
    """Section 3.2.2: average ranks, Friedman's statistic 9.28 (without his correction for ties), CD 1.25."""
    found = ranking(data_of(-DEMSAR))
    np.testing.assert_allclose(found.average_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    tied = (4**3 - 4) + 3 * (2**3 - 2)
    assert found.friedman is not None
    assert found.friedman * (1 - tied / (14 * 4 * (4**2 - 1))) == pytest.approx(9.28, abs=0.01)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, level=0.1) == pytest.approx(1.12, abs=0.005)
    assert groups(sorted(found.average_ranks), found.critical_difference) == [(0, 3)]
    # At 10 % (CD 1.12) the paper finds C4.5, last here, worse than the two best and like C4.5+cf.
    assert groups(sorted(found.average_ranks), 1.12) == [(0, 2), (2, 3)]


@pytest.mark.parametrize(
    ("num_methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)]
)
def test_quantiles_are_those_of_demsars_table(num_methods, q):
    """Table 5a of Demsar 2006: the quantile is the critical difference where k (k + 1) = 6 T."""
    scale = np.sqrt(num_methods * (num_methods + 1) / 6)
    assert critical_difference(num_methods, 1) / scale == pytest.approx(q, abs=1.1e-3)


def test_friedman_is_scipys_of_the_means():
    data = noisy()
    found = ranking(data)
    expected = scipy.stats.friedmanchisquare(*data.means.T)
    assert (found.friedman, found.friedman_p) == (expected.statistic, expected.pvalue)


def test_below_five_tasks_nothing_is_tested():
    found = ranking(noisy(tasks=4))
    assert (found.friedman, found.friedman_p, found.critical_difference) == (None, None, None)
    assert "need 5 tasks" in found.reason
    assert "there are 4" in found.reason
    assert len(found.average_ranks) == 4
    assert task_pairs(noisy(tasks=4)) == []
    assert ranking(noisy(tasks=5)).reason == ""


def test_two_methods_have_no_friedman_test_but_a_paired_one():
    found = ranking(noisy(methods=2))
    assert "3 or more methods; there are 2" in found.reason
    assert found.friedman is None
    assert len(task_pairs(noisy(methods=2))) == 1


def test_equal_methods_tie_everywhere():
    data = data_of(np.full((6, 3, 4), 0.7))
    found = ranking(data)
    assert found.average_ranks == (2.0, 2.0, 2.0)
    assert found.ci95 == ((2.0, 2.0),) * 3
    assert (found.friedman, found.friedman_p) == (0.0, 1.0)
    assert all((pair.p, pair.effect_size) == (1.0, 0.0) for pair in task_pairs(data))
    assert all((pair.p, pair.effect_size) == (1.0, 0.5) for pair in run_pairs(data, "t0"))


def test_rank_intervals_match_a_bootstrap_by_definition():
    data = noisy(tasks=3, methods=3, runs=7)
    generator = np.random.default_rng(0)  # the draws of the report
    samples = []
    for drawn in generator.integers(7, size=(2000, 7)):
        means = data.values[:, :, drawn].mean(axis=2)
        samples.append(scipy.stats.rankdata(-means, axis=1).mean(axis=0))
    beyond = scipy.stats.norm.cdf(-np.sqrt(7 / 6) * scipy.stats.t.ppf(0.975, 6))  # Hesterberg 2015
    expected = np.quantile(samples, [beyond, 1 - beyond], axis=0).T
    np.testing.assert_allclose(ranking(data).ci95, expected, atol=1e-12)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(1, 6))
def test_groups_are_the_maximal_sets_without_a_difference(ranks, difference):
    ranks = sorted(float(rank) for rank in ranks)
    close = [
        set(range(i, j + 1))
        for i, j in itertools.combinations(range(len(ranks)), 2)
        if ranks[j] - ranks[i] < difference
    ]
    expected = [(min(one), max(one)) for one in close if not any(one < other for other in close)]
    assert groups(ranks, float(difference)) == sorted(expected)


def test_rank_curves_match_the_definition():
    cells, methods = small_cells()
    curves = rank_curves(cells, methods)
    for k in (0, 30, 70, 99):
        ranks = []
        for task in ("a", "b", "c"):
            own = [cell for cell in cells if cell.task == task]
            reached = []
            for cell in own:
                past = np.flatnonzero(cell.grid <= curves.shares[k] * cell.horizon * (1 + 1e-9))
                reached.append(cell.hypervolume[:, past[-1]].mean() if past.size else 0.0)
            ranks.append(scipy.stats.rankdata(-np.array(reached)))
        np.testing.assert_allclose(curves.ranks[:, k], np.mean(ranks, axis=0))
    assert curves.shares[-1] == 1
    np.testing.assert_allclose(curves.ranks[:, -1], ranking(comparison(cells, methods)).average_ranks)
    np.testing.assert_allclose(curves.ranks.sum(axis=0), 6)


def test_rank_curves_need_a_task():
    cells, methods = small_cells()
    with pytest.raises(InputError, match="no task has a run"):
        rank_curves([cells[0], cells[4]], methods)


# --- pairs of methods ------------------------------------------------------------------------------------


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last may not fall."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])
    assert holm(np.zeros(0)).size == 0


def test_the_least_p_value_is_that_of_one_method_ahead_everywhere():
    for num_tasks, num_methods in ((5, 2), (6, 3), (8, 5)):
        values = np.arange(num_tasks)[:, None] * 0.01 + np.linspace(0.1, 0.5, num_methods)
        pairs = task_pairs(data_of(values * (1 + np.arange(num_tasks)[:, None])))
        least = least_p(num_tasks, len(pairs))
        assert min(pair.p_holm for pair in pairs) == pytest.approx(least)
    assert least_p(5, 1) > 0.05 > least_p(6, 1)
    assert least_p(5, 100) == 1


def test_wilcoxon_by_hand():
    """Differences 1, 2, 3, 4, -5 and a tie: 20 of 32 patterns of signs have a rank sum as far from 7.5."""
    first = np.array([0.6, 0.7, 0.8, 0.9, 0.0, 0.3])
    second = np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.3])
    (pair,) = task_pairs(data_of(np.stack([first, second], axis=1)))
    sums = [sum(chosen) for n in range(6) for chosen in itertools.combinations(range(1, 6), n)]
    assert pair.p == pytest.approx(np.mean([min(total, 15 - total) <= 5 for total in sums]))
    assert pair.effect_size == pytest.approx((10 - 5) / 15)
    assert pair.difference == pytest.approx(0.5 / 6)
    assert (pair.task, pair.test, pair.num_values) == ("all", "wilcoxon", 6)


def test_all_pairs_or_those_with_the_reference():
    data = noisy()
    assert [(pair.first, pair.second) for pair in task_pairs(data)] == list(
        itertools.combinations(data.methods, 2)
    )
    found = task_pairs(data, "m1")
    assert [(pair.first, pair.second) for pair in found] == [("m0", "m1"), ("m2", "m1"), ("m3", "m1")]
    assert found[0].difference < 0 < found[1].difference
    for pair in found:
        first, second = (data.means[:, data.methods.index(name)] for name in (pair.first, pair.second))
        assert pair.p == scipy.stats.wilcoxon(first, second).pvalue
    np.testing.assert_allclose([p.p_holm for p in found], holm(np.array([p.p for p in found])))
    assert task_pairs(data, "unknown") == task_pairs(data)


def test_run_pairs_match_definition():
    data = data_of(np.round(noisy(runs=12).values, 2))  # with ties
    for pair in run_pairs(data, "t3", "m0"):
        first, second = (data.values[3, data.methods.index(name)] for name in (pair.first, pair.second))
        wins = [(a > b) + 0.5 * (a == b) for a in first for b in second]
        assert pair.effect_size == pytest.approx(np.mean(wins))
        assert pair.p == scipy.stats.mannwhitneyu(first, second).pvalue
        assert (pair.task, pair.num_values) == ("t3", 12)
    with pytest.raises(InputError, match="unknown task 't9'; there are t0, t1"):
        run_pairs(data, "t9")


def test_everything_is_written_as_json_without_nan():
    data = noisy(runs=1)
    items = [
        ranking(data),
        *task_pairs(data),
        *run_pairs(data, "t0"),
        *effects([{"a": 1}, {"a": 2}], np.ones((2, 1))),
    ]
    assert json.loads(json.dumps(rows(items), allow_nan=False))[0]["methods"] == list(data.methods)


# --- performance profiles --------------------------------------------------------------------------------


def test_profiles_by_hand():
    means = np.array([[0.9, 0.8, 0.6], [0.5, 0.5, 0.75], [1.0, 0.99, 1.0]])
    np.testing.assert_allclose(gap_ratios(means), [[1, 2, 4], [2, 2, 1], [1, np.inf, 1]])
    shares = performance_profile(means, np.array([1.0, 2.0, 4.0, 1e9]))
    np.testing.assert_allclose(shares, np.array([[2, 3, 3, 3], [0, 2, 2, 2], [2, 2, 3, 3]]) / 3)


# --- attainment surfaces ---------------------------------------------------------------------------------


def corners_by_definition(points: Attained, count: int) -> list[tuple[float, float]]:
    """Least points that ``count`` runs or more dominate or equal, tried on the grid of all coordinates."""
    grid = list(itertools.product(np.unique(points.costs[:, 0]), np.unique(points.costs[:, 1])))
    reached = []
    for corner in grid:
        attaining = points.run[(points.costs <= corner).all(axis=1)]
        if np.unique(attaining).size >= count:
            reached.append(corner)
    return sorted(
        one for one in reached if not any(a != one and a[0] <= one[0] and a[1] <= one[1] for a in reached)
    )


@pytest.mark.parametrize("num_runs", [1, 2, 3, 4, 7, 10, 11])
@pytest.mark.parametrize("levels", [4, 1000])  # 4 forces ties and duplicates
@pytest.mark.parametrize("empty", [0, 2])
def test_surfaces_match_the_definition(num_runs, levels, empty):
    generator = np.random.default_rng(100 * num_runs + levels)
    costs = generator.integers(levels, size=(num_runs * 4, 2)).astype(float)
    points = Attained(costs, np.repeat(np.arange(num_runs), 4), num_runs + empty)
    for share, surface in zip((25, 50, 75), attainment_surfaces(points), strict=True):
        count = int(np.ceil(share * (num_runs + empty) / 100))
        expected = corners_by_definition(points, count)
        assert [tuple(corner) for corner in surface.tolist()] == expected


def test_runs_that_found_nothing_count():
    nothing = Attained(np.zeros((0, 2)), np.zeros(0, int), 4)
    assert [len(surface) for surface in attainment_surfaces(nothing)] == [0, 0, 0]
    one_of_four = Attained(np.array([[1.0, 2.0]]), np.zeros(1, int), 4)
    assert [surface.tolist() for surface in attainment_surfaces(one_of_four)] == [[[1.0, 2.0]], [], []]


def test_attained_holds_each_runs_own_front():
    table = make_table(tasks=("a", "b"))
    units = [make_unit(table, "x", 1, num_seeds=4), make_unit(table, "y", 3, num_seeds=4, seed=1)]
    found = attained(table, collect(table, units, ("x", "y")), ("x", "y"), 2, 0)
    assert set(found) == set(itertools.product(("a", "b"), ("x", "y")))
    for (task, method), points in found.items():
        log = units["xy".index(method)].log
        assert points.num_runs == 4
        for run in range(4):
            lane = 4 * "ab".index(task) + run
            rows_seen = log.row[lane][log.valid[lane] & (log.fidelity[lane] == 2)]
            costs = np.unique(table.costs["ab".index(task), rows_seen, 0][:, [2, 0]], axis=0)
            front = [c for c in costs if not any((d <= c).all() and (d < c).any() for d in costs)]
            own = points.costs[points.run == run]
            np.testing.assert_array_equal(own, np.array(front).reshape(-1, 2))


def test_without_moocore_the_reason_is_clear(monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(InputError, match=r"need the library moocore: pip install 'mohb-jax\[report\]'"):
        attainment_surfaces(Attained(np.ones((1, 2)), np.zeros(1, int), 1))


# --- sensitivity to settings -----------------------------------------------------------------------------


def test_levels_are_text_in_order():
    settings = [{"eta": 4, "mode": "wait"}, {"eta": 2.0, "mode": "go"}, {"eta": 2, "on": True}, {"eta": 3}]
    assert swept(settings) == {
        "eta": ("2", "3", "4"),
        "mode": ("wait", "go", "default"),
        "on": ("default", "true"),
    }
    assert swept([{"a": 1}, {"a": 1.0}]) == {}


def full_design() -> tuple[list[dict[str, int]], np.ndarray]:
    """y = 10 a + b + 3 a b for a in 0, 1 and b in 0, 1, 2, plus the run's own noise."""
    settings = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1, 2)]
    means = np.array([10.0 * s["a"] + s["b"] + 3 * s["a"] * s["b"] for s in settings])
    return settings, means[:, None] + np.array([-0.5, 0.0, 0.5])


def test_main_effects_by_hand():
    found = effects(*full_design())
    assert [(e.settings, e.levels) for e in found] == [
        *[(("a",), (level,)) for level in "01"],
        *[(("b",), (level,)) for level in "012"],
    ]
    np.testing.assert_allclose([e.mean for e in found], [1, 14, 5, 7.5, 10])
    np.testing.assert_allclose([e.effect for e in found], [-6.5, 6.5, -2.5, 0, 2.5])
    assert [e.num_blocks for e in found] == [3, 3, 2, 2, 2]
    for e in found:  # the noise is the run's own: it widens the mean and cancels from the effect
        assert e.ci95 is not None
        np.testing.assert_allclose(e.ci95, [e.mean - 0.5, e.mean + 0.5])
        np.testing.assert_allclose(e.effect_ci95, e.effect, atol=1e-12)


def test_interactions_by_hand():
    """3 a b, centred over both: a - 1/2 times b - 1 times 3."""
    found = effects(*full_design(), order=2)
    assert [e.levels for e in found] == list(itertools.product("01", "012"))
    np.testing.assert_allclose([e.mean for e in found], [0, 1, 2, 10, 14, 18])
    np.testing.assert_allclose([e.effect for e in found], [1.5, 0, -1.5, -1.5, 0, 1.5], atol=1e-12)
    assert {e.num_blocks for e in found} == {1}


def test_only_complete_blocks_count():
    """Without (a=1, b=2) the level a=0 must not be charged with b=2, where a=1 was never tried."""
    settings, responses = full_design()
    found = effects(settings[:-1], responses[:-1])
    np.testing.assert_allclose([e.mean for e in found], [0.5, 12, 0, 1, 2])
    assert [e.num_blocks for e in found] == [2, 2, 1, 1, 1]
    assert effects(settings[:-1], responses[:-1], order=2) == []


def test_one_setting_at_a_time_is_compared_at_the_baseline():
    settings = [{}, {"a": 2}, {"b": 5}]
    found = effects(settings, np.array([[1.0], [3.0], [0.5]]))
    assert [(e.settings, e.levels, e.mean, e.ci95) for e in found] == [
        (("a",), ("2",), 3.0, None),
        (("a",), ("default",), 1.0, None),
        (("b",), ("5",), 0.5, None),
        (("b",), ("default",), 1.0, None),
    ]


def test_equal_variants_are_averaged():
    found = effects([{"a": 1}, {"a": 2}, {"a": 2.0}], np.array([[0.0], [1.0], [3.0]]))
    assert [e.mean for e in found] == [0.0, 2.0]


def test_settings_and_responses_must_agree():
    with pytest.raises(InputError, match="settings of 1 variants, responses of 2"):
        effects([{}], np.ones((2, 3)))


def test_responses_are_means_over_tasks():
    data = noisy(tasks=2, methods=3, runs=4)
    np.testing.assert_allclose(mean_responses(data), (data.values[0] + data.values[1]) / 2)
