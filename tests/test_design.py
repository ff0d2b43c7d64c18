"""``mohb design``: the space, the race, the choice, and a whole study in little."""

import json

import numpy as np
import pytest
import scipy.stats
import yaml
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax import benchmarks, store
from mohb_jax.design import race as racing
from mohb_jax.design import recommend
from mohb_jax.design.choice import coded, importance, smoothed
from mohb_jax.design.explain import differing, mixed
from mohb_jax.design.factorial import _effects, cell, combinations
from mohb_jax.design.folds import folds
from mohb_jax.design.judging import interval, judge, known_as
from mohb_jax.design.page import page
from mohb_jax.design.pool import SHARES, Learnt, pool_portfolios, pooled
from mohb_jax.design.race import Race, halve, step
from mohb_jax.design.response import MOMENTS, POINTS, measure, response, shares
from mohb_jax.design.search import KINDS, Evaluated, Found, candidates, drawn_shapes, neighbours
from mohb_jax.design.space import (
    PLAIN,
    export,
    label,
    make_space,
    method_of,
    numbers_of,
    shapes_of,
    unit_numbers,
    with_unit,
)
from mohb_jax.design.spec import load_design, make_design
from mohb_jax.design.study import as_json, require_served, run_design
from mohb_jax.design.trials import FIRST_TEST_RUN, Trials, expected_programs
from mohb_jax.errors import InputError
from mohb_jax.methods import lacking, make_settings, method_named
from mohb_jax.programs import Compilation
from mohb_jax.simulation import simulate
from mohb_jax.transfer import Prior
from mohb_jax.types import RunLog
from scripts.record_golden import small_table

FILTER = {
    "schedule": "equal",
    "eta": 3,
    "R": 27,
    "searcher": "filtered",
    "sample": "uniform",
    "promotion": "hvc",
    "population": 9,
    "surrogate": "knn1",
    "algorithm": "progressive",
    "factor_first": 8.0,
    "factor_last": 2.0,
    "random_share": 0.25,
}
SCORES = np.array(
    [
        (0.20, 0.25, 0.40, 0.31),
        (0.22, 0.21, 0.45, 0.30),
        (0.18, 0.26, 0.39, 0.33),
        (0.25, 0.27, 0.50, 0.28),
        (0.19, 0.24, 0.41, 0.35),
    ]
)
ALL = np.ones(4, bool)


def test_worked_example_of_a_race():
    verdict = step(SCORES, ALL, Race(least=1))
    assert verdict.ranks.tolist() == [6, 9, 20, 15]
    assert verdict.statistic == pytest.approx(14.04)
    assert verdict.p == pytest.approx(0.00285, abs=1e-5)
    assert verdict.alive.tolist() == [True, False, False, False]
    assert step(SCORES, ALL, Race(least=2)).alive.tolist() == [True, True, False, False]
    assert step(SCORES[:4], ALL, Race(least=1)).test == "none"


def pair(differences):
    return np.stack([np.array(differences) + 0.5, np.full(len(differences), 0.5)], axis=1)


def test_worked_examples_of_two():
    both = np.ones(2, bool)
    obvious = step(pair([-0.01, -0.02, 0, -0.01, -0.03]), both, Race(least=1))
    assert (obvious.alive.tolist(), obvious.test) == ([True, False], "obvious")
    unclear = step(pair([-0.01, 0.02, -0.01, 0.01, -0.02]), both, Race(least=1))
    assert (unclear.alive.all(), unclear.test) == (True, "wilcoxon")


def test_friedman_and_laws_of_a_race():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(0, 6, (8, 5)) / 10
        scores[:, 3] = -1  # the best in all blocks is never dropped
        verdict = step(scores, np.ones(5, bool), Race(least=1))
        assert verdict.alive[3]
        assert verdict.statistic == pytest.approx(scipy.stats.friedmanchisquare(*scores.T)[0])
        order = rng.permutation(5)
        moved = step(scores[:, order] + rng.random((8, 1)), np.ones(5, bool), Race(least=1))
        assert sorted(order[moved.alive]) == np.flatnonzero(verdict.alive).tolist()
    with pytest.raises(InputError, match="block 1 of the race holds no number"):
        step(np.array([[0.0, 1.0], [np.nan, 1.0]]), np.ones(2, bool), Race())
    assert halve(SCORES, ALL, 1).alive.tolist() == [True, True, False, False]
    assert racing.Race().least == 4


def test_every_choice_is_a_method_that_runs():
    space, rng = make_space(), np.random.default_rng(0)
    shapes = list(shapes_of(space))
    assert len({label(shape) for shape in shapes}) == len(shapes)
    assert PLAIN in shapes
    table = small_table(num_tasks=2)
    for shape in (*shapes[::37], PLAIN):
        name, settings = method_of(with_unit(space, shape, rng.random(len(space.traced))))
        method = method_named(name)
        assert lacking(table, method, make_settings(method, **settings)) is None
        assert method.transfers == (shape.get("sample") == "prior")
    assert method_of(PLAIN)[0] == "mo-hb"
    full = {"schedule": "full", "searcher": "random", "sample": "prior", "prior_strength": 1.0}
    assert known_as(full) == "random+prior"
    assert known_as(full | {"prior_strength": 2.0}) is None
    assert known_as({"schedule": "full", "searcher": "portfolio"}) == "zero-shot"
    assert method_of(FILTER)[1]["random_share"] == 0.25


def test_shapes_are_drawn_of_all_kinds():
    space = make_space()
    every = {tuple(shape.get(name) for name in KINDS) for shape in shapes_of(space)}
    shapes = drawn_shapes(space, len(every) + 2, np.random.default_rng(1))
    kinds = [tuple(shape.get(name) for name in KINDS) for shape in shapes]
    assert (len({label(shape) for shape in shapes}), shapes[0]) == (len(every) + 2, PLAIN)
    assert set(kinds) == every
    points = candidates(space, shapes, np.random.default_rng(2))
    assert all(set(numbers_of(space, point)) <= set(point) for point in points)
    strengths = {point.get("prior_strength") for point in points if point["searcher"] == "random"}
    assert strengths == {None, 0.5, 1, 2, 4, 8}


def test_neighbours_differ_in_one_part():
    found = neighbours(make_space(), FILTER, 40, np.random.default_rng(0))
    changes = [[name for name in FILTER if name in other and other[name] != FILTER[name]] for other in found]
    assert {len(names) for names in changes} == {1}
    assert {names[0] for names in changes} == {"schedule", "eta", "R", "searcher", "sample", "promotion",
                                               "population", "surrogate", "algorithm"}  # fmt: skip
    assert all(other["factor_first"] == 8 for other in found if other["searcher"] == "filtered")


def test_the_space_is_one_of_config_space(tmp_path):
    ConfigSpace = pytest.importorskip("ConfigSpace")
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(export(make_space())))
    known = ConfigSpace.ConfigurationSpace.from_yaml(path)
    shapes = {label(shape) for shape in shapes_of(make_space())}
    for config in known.sample_configuration(20):
        names = [name for name in make_space().static if name in config]
        assert label({name: config[name] for name in names}) in shapes


ONE = {"schedule": "full", "searcher": "random", "sample": "uniform"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train": ["synthetic"]}, "test is empty"),
        ({"train": ["synthetic"], "test": ["synthetic"]}, "no test task of it is left"),
        (
            {"train": ["synthetic"], "test": ["zeus"], "space": {"etta": 3}},
            "did you mean eta",
        ),
        ({"train": ["synthetic"], "test": ["zeus"], "space": {"eta": 5}}, "eta.*5"),
        (
            {"train": ["synthetic"], "test": ["zeus"], "space": ONE},
            "one candidate is left",
        ),
        ({"train": ["synthetic"], "test": ["zeus"], "seeds": 12}, "a multiple of 8"),
        ({"train": ["synthetic"], "test": ["zeus"], "sedes": 8}, "unknown key 'sedes'.*did you mean seeds"),
        ({"train": ["synthetic"], "test": ["zeus"], "against": ["mohb"]}, "method 'mohb' is unknown"),
        ({"train": ["synthetic"], "test": ["zeus"], "fewer": {"zuse": 9}}, "did you mean 'zeus'"),
    ],
)
def test_wrong_designs_are_told_in_a_line(content, message):
    with pytest.raises(InputError, match=message) as raised:
        make_design(content)
    assert "\n" not in str(raised.value)


def test_files_of_designs(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_design(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(InputError, match="is not a mapping"):
        load_design(tmp_path / "list.yaml")


def test_spaces_that_a_benchmark_cannot_serve():
    flat = synthetic(num_rows=20, fidelities=(9,))
    with pytest.raises(InputError, match="cannot serve the space: it has one fidelity"):
        require_served(flat, make_space())
    require_served(flat, make_space({"schedule": "full"}))


def two_tables():
    one = small_table()
    return [one, small_table(num_tasks=2)]


@pytest.fixture(scope="module")
def pool():
    import dataclasses

    one, other = two_tables()
    return pooled([one, dataclasses.replace(other, name="other")], 100, 0)


def test_a_pool_holds_the_cells_of_its_tables(pool):
    table, (first, second) = pool.table, pool.parts
    one, other = two_tables()
    assert table.tasks == ("synthetic/task-0", "other/task-0", "other/task-1")
    assert table.fidelities[-1] / table.fidelities[0] == 27
    assert (first.first, second.first, table.num_rows) == (0, 100, 200)
    costs, seconds = other.task_cells(1)
    level = SHARES.index(SHARES[2])  # a ninth: 3 of 27
    np.testing.assert_array_equal(table.costs[2, 100:, level], costs[second.rows, 1])
    np.testing.assert_array_equal(table.runtime[2, 100:, -1], seconds[second.rows, -1])
    assert not table.measured(2)[:100].any()
    own = one.configs[first.rows]
    scaled = (own - one.configs.min(axis=0)) / np.ptp(one.configs, axis=0)
    np.testing.assert_allclose(table.configs[:100, : own.shape[1]], scaled)


def test_points_measure_what_a_set_of_rows_covers(pool):
    own = measure(pool.table)
    whole = np.bitwise_count(np.bitwise_or.reduce(own.covered[0], axis=0)).sum()
    assert whole == POINTS
    # Two full results, at a fifth of the time and at its end, and one below the highest fidelity.
    log = RunLog(
        *(np.array(part) for part in ([0], [0], [[3, 5, 7]], [[7, 7, 2]])),
        np.zeros((1, 3, 3)),
        np.zeros((1, 3)),
        np.array([[0.2, 1.0, 0.1]]),
        np.zeros((1, 3), int),
        np.ones((1, 3), bool),
    )
    found = shares(own, log, 7, np.array([1.0]))[0]
    first, last = (np.bitwise_count(np.bitwise_or.reduce(own.covered[0, rows], axis=0)).sum() / POINTS
                   for rows in ([3], [3, 5]))  # fmt: skip
    np.testing.assert_allclose(found, [0, 0, 0, first, first, last])
    area = (first + first + (first + last) / 2) / 5 - first / 10
    assert response(found[None])[0] == pytest.approx((area + last) / 2)
    assert MOMENTS[-1] == 1


def test_the_choice_is_no_winners_curse():
    """One noisy observation is best; prediction prefers the middle of those that are good throughout."""
    rng = np.random.default_rng(3)
    points = [dict(FILTER, random_share=round(x, 3)) for x in np.linspace(0, 1, 21)]
    truth = 1 - (np.array([point["random_share"] for point in points]) - 0.3) ** 2
    means = truth + rng.normal(0, 0.01, 21)
    means[18] = 1.1
    predicted = smoothed(points, means, np.full(21, 0.05**2))
    assert means.argmax() == 18
    assert abs(points[int(predicted.argmax())]["random_share"] - 0.3) < 0.2


@pytest.mark.wide
def test_importance_finds_the_part_that_matters():
    points = [dict(FILTER, eta=eta, surrogate=own) for eta in (2, 3, 4) for own in ("knn1", "knn7")] * 4
    means = np.array([float(point["eta"] == 2) for point in points])
    found = importance(points, means)
    assert next(iter(found)) == "eta"
    assert found["surrogate"] == pytest.approx(0, abs=0.02)
    with pytest.raises(InputError, match="nothing to choose"):
        coded([FILTER, FILTER])
    # Only what may be chosen is named: that a full run has no R says what its schedule says.
    mixed = [PLAIN, {"schedule": "full", "searcher": "random", "sample": "uniform"}] * 4
    assert set(importance(mixed, np.arange(8) % 2 * 1.0)) == {"schedule"}


def test_folds_choose_without_a_benchmark():
    """Each benchmark likes another candidate; what was tried later is none."""
    points = [dict(PLAIN, eta=eta) for eta in (3, 2, 4)]
    level = np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.8]])  # candidates by benchmarks
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 2, 4))
    evaluated = [Evaluated(point, level[k][:, None] + noise[k]) for k, point in enumerate(points)]
    later = Evaluated(FILTER | {"sample": "prior"}, np.ones((2, 4)))
    found = Found(PLAIN, 0.5, [*evaluated, later], [3], "", np.arange(4.0), 3)
    first, second = folds(found, ("one/a", "two/b"))
    assert (first.chosen["eta"], second.chosen["eta"]) == (4, 2)
    assert first.mean == pytest.approx(0.1, abs=0.02)
    assert first.high < -0.3
    assert second.best == pytest.approx(0.8, abs=0.02)
    assert found.best_alone() == points[2]


def test_mixtures_of_two_methods():
    space = make_space()
    assert differing(PLAIN, FILTER) == ["schedule", "mode", "promotion", "searcher"]
    assert mixed(PLAIN, FILTER, differing(PLAIN, FILTER), space) == FILTER
    assert mixed(PLAIN, FILTER, [], space) == PLAIN
    part = mixed(PLAIN, FILTER, ["promotion"], space)
    assert part == {name: value for name, value in PLAIN.items() if name != "scale"} | {"promotion": "hvc"}


def test_an_interval_resamples_tasks_and_runs():
    rng = np.random.default_rng(0)
    low, high = interval([rng.normal(1, 0.1, (6, 40)), rng.normal(2, 0.1, (4, 40))])
    assert low < 1.5 < high < 1.6


def trials_of(pool, path=None, **limits):
    """Calls of two blocks, so that tests share their programs."""
    return Trials(pool, 0, 3, path, 10, at_once=2, **limits)


@pytest.mark.wide
def test_candidates_side_by_side_are_what_they_are_alone(pool):
    """Lanes of one program with numbers of their own; and what the journal holds is not run again."""
    points = [FILTER, dict(FILTER, factor_first=1.0, random_share=0.9)]
    together = trials_of(pool).blocks(points, 0, 8)
    trials = trials_of(pool)
    alone = [trials.blocks([point], 0, 8)[0] for point in points]
    np.testing.assert_array_equal(together, alone)
    assert (together[0] != together[1]).any()
    assert unit_numbers(points)["factor_first"].tolist() == [8, 1]


@pytest.mark.wide
def test_trials_are_the_runs_of_simulate(pool):
    """A candidate's runs are those of the method that it is, on the pool."""
    trials = trials_of(pool)
    found = trials.blocks([FILTER], 0, 16)[0]
    name, settings = method_of(FILTER)
    seconds = dict(zip(pool.table.tasks, trials._horizon.tolist(), strict=True))
    log = simulate(pool.table, name, num_seeds=16, workers=3, seconds=seconds, **settings)
    own = response(shares(measure(pool.table), log, len(SHARES) - 1, trials._horizon[log.task]))
    np.testing.assert_allclose(found, own.reshape(3, 2, 8).mean(axis=2), atol=1e-6)


@pytest.fixture(scope="module")
def knowing():
    """A pool of one benchmark, and what its tasks say to one another; the prior knows nothing."""
    table = small_table(num_tasks=2)
    own = pooled([table], 100, 0)
    shape = (2, own.table.num_objectives, own.table.num_rows)
    prior = Prior("pool", own.table.tasks, own.table.columns, own.table.objectives,
                  np.zeros(shape, np.float32), np.ones(shape, np.float32))  # fmt: skip
    return own, Learnt(prior, pool_portfolios([table], own, 0))


@pytest.mark.wide
@pytest.mark.parametrize(
    "point",
    [
        PLAIN,
        {"schedule": "full", "searcher": "random", "sample": "uniform"},
        {"schedule": "full", "searcher": "random", "sample": "prior", "prior_strength": 2.0},
        {"schedule": "full", "searcher": "portfolio"},
        {"schedule": "asha-stop", "eta": 2, "R": 9, "searcher": "random", "sample": "uniform",
         "promotion": "net", "scale": "minmax"},
    ],
    ids=lambda point: f"{point['schedule']}-{point['searcher']}-{point.get('sample')}",
)  # fmt: skip
def test_what_goes_through_lists_is_the_method_that_it_stands_for(knowing, point):
    """Uniform rows, a prior's and a portfolio's come by one program, and are those of the methods."""
    pool, known = knowing
    trials = trials_of(pool, learnt=known)
    found = trials.blocks([point], 0, 16)[0]
    name, settings = method_of(point)
    seconds = dict(zip(pool.table.tasks, trials._horizon.tolist(), strict=True))
    log = simulate(pool.table, name, num_seeds=16, workers=3, seconds=seconds, prior=known.prior, **settings)
    own = response(shares(measure(pool.table), log, len(SHARES) - 1, trials._horizon[log.task]))
    np.testing.assert_allclose(found, own.reshape(2, 2, 8).mean(axis=2), atol=1e-6)


@pytest.mark.wide
def test_uniform_rows_and_a_prior_share_their_programs(knowing):
    """And so do ladders of an asynchronous schedule: what was compiled for one serves the other."""
    pool, known = knowing
    ladder = {"schedule": "asha-stop", "searcher": "random", "promotion": "net", "scale": "minmax"}
    with Compilation() as compilation:
        trials = trials_of(pool, learnt=known, programs=compilation)
        trials.blocks([ladder | {"eta": 3, "R": 27, "sample": "prior", "prior_strength": 1.0}], 0, 16)
        before = compilation.count
        trials.blocks([ladder | {"eta": 3, "R": 27, "sample": "uniform"}], 0, 16)
        trials.blocks([ladder | {"eta": 2, "R": 9, "sample": "uniform"}], 0, 16)
    assert compilation.count - before <= 2  # a longer run has room for more jobs


def test_a_portfolio_needs_other_tasks_with_the_same_rows(pool):
    one, other = two_tables()
    found = pool_portfolios([one, other], pool, 0)
    assert (found[0] == -1).all()
    rows = set(range(100, 200))
    assert set(found[1][found[1] >= 0].tolist()) == set(found[2][found[2] >= 0].tolist()) == rows


def test_how_many_programs_a_shape_needs():
    """As many as the likest one did; a schedule that was not seen, as the dearest."""
    full = {"schedule": "full", "searcher": "random", "sample": "uniform"}
    known = [(full, 3), (FILTER, 22), (dict(FILTER, eta=2), 15)]
    assert expected_programs(dict(full, sample="prior"), known) == 3
    assert expected_programs(dict(FILTER, eta=4), known) == 15
    assert expected_programs(PLAIN, known) == 22
    assert expected_programs(PLAIN, []) == 8


def test_combinations_of_parts():
    space = make_space({"schedule": ["full", "equal", "asha-stop"], "sample": "uniform"})
    assert combinations(space) == [
        ("full", "uniform", "net"),
        ("equal", "uniform", "net"),
        ("equal", "uniform", "crowding"),
        ("asha-stop", "uniform", "net"),
    ]
    shapes = {label(shape) for shape in shapes_of(make_space())}
    points = [cell(*names) for names in combinations(make_space())]
    assert len(points) == 12
    assert {label({k: v for k, v in point.items() if k != "prior_strength"}) for point in points} <= shapes
    level = {
        ("full", "uniform"): 0.5,
        ("equal", "uniform"): 0.2,
        ("full", "prior"): 0.9,
        ("equal", "prior"): 0.7,
    }
    blocks = {(*names, "net"): np.full((3, 4), mean) for names, mean in level.items()}
    gains = {own.name: round(own.gain, 6) for own in _effects(blocks)}
    assert gains["equal and prior beyond the sum"] == 0.1
    assert gains["equal in place of full, with a prior"] == -0.2
    assert "prior under hyperband" not in gains


@pytest.mark.wide
def test_methods_that_are_one_on_a_benchmark_are_run_once(tmp_path, monkeypatch):
    """With one fidelity nothing is promoted: who differs in that alone has the numbers of the one that ran,
    and they are those that it would have had."""
    flat = synthetic(num_rows=60, fidelities=(9,), num_tasks=2)
    monkeypatch.setattr(benchmarks, "load", lambda *how: flat)
    names = ["random", "mo-hb", "asha", "mo-asha-promote"]
    content = {"train": ["embedded"], "test": ["synthetic"], "trainings": 10, "against": names, "tests": 8}
    design = make_design(content)
    compared = judge(design, {"design": PLAIN}, tmp_path / "out", lambda line: None)
    run = {unit.spec["method"] for unit in store.read_units(tmp_path / "out" / "synthetic")}
    assert run == {"design", "asha"}
    assert {own.method for own in compared} == set(names)
    assert {own.difference for own in compared if own.method in ("random", "mo-hb")} == {0}
    seconds = dict.fromkeys(flat.tasks, 30.0)
    logs = [simulate(flat, name, num_seeds=4, seconds=seconds) for name in ("asha", "mo-asha-promote")]
    np.testing.assert_array_equal(logs[0].row, logs[1].row)
    np.testing.assert_array_equal(logs[0].end, logs[1].end)


@pytest.mark.wide
def test_a_journal_is_gone_on_from(pool, tmp_path):
    path = tmp_path / "design.jsonl"
    first = trials_of(pool, path).blocks([FILTER], 0, 8)
    other = dict(PLAIN, eta=2)
    assert not trials_of(pool, path, most_programs=1).serves(other)
    path.write_text(path.read_text() + '{"key": "cut sh')
    again = trials_of(pool, path)
    assert (again.serves(FILTER), again.serves(other), again.serves(PLAIN)) == (True, False, True)
    again._run = None  # nothing is run
    np.testing.assert_array_equal(again.blocks([FILTER], 0, 8), first)
    kinds = [next(iter(json.loads(line))) for line in path.read_text().splitlines()]
    assert kinds == ["key", "shape", "refused"]
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(InputError, match="line 1: no evaluation"):
        trials_of(pool, path)


def reached(method, mean, **settings):
    return {
        "name": method,
        "method": method,
        "settings": settings,
        "mean": mean,
        "low": round(mean - 0.1, 3),
        "high": round(mean + 0.1, 3),
    }


def traits(tasks, fidelities, correlation):
    return {
        "tasks": tasks,
        "fidelities": fidelities,
        "objectives": 3,
        "rows": 120,
        "correlation": correlation,
    }


EVIDENCE = {
    "benchmarks": {
        "flat": {"traits": traits(3, 1, None), "runs": 10, "methods": [reached("random", 0.9)]},
        "curves": {
            "traits": traits(1, 4, 0.9),
            "runs": 10,
            "methods": [reached("mo-hb", 0.5, eta=2), reached("random+prior", 0.9)],
        },
    }
}


def test_a_table_that_was_not_in_it_is_given_a_method():
    """The best that can serve it: a method that needs other tasks is none for a single task."""
    found = recommend.recommendation(small_table(), EVIDENCE)
    assert (found["like"], found["methods"][0]["method"]) == ("curves", "mo-hb")
    text = recommend.told(found)
    assert "recommended: mo-hb (eta: 2)" in text
    assert "0.500 [0.400, 0.600]" in text
    pair = recommend.recommendation(small_table(num_tasks=2), EVIDENCE)
    assert pair["methods"][0]["method"] == "random+prior"


def test_alike_benchmarks_weigh_more():
    """By hand: at unlikeness 0 and .5 weights are 1 and 1/e; what is missing to the best is averaged."""
    near, far = traits(3, 4, 0.9), traits(3, 4, 0.65)
    known = {
        "near": {"traits": near, "runs": 1, "methods": [reached("mo-hb", 0.9), reached("random", 0.8)]},
        "far": {"traits": far, "runs": 1, "methods": [reached("mo-hb", 0.5), reached("random", 0.9)]},
    }
    first, second = recommend.ordered(near, {"benchmarks": known})
    assert (first["name"], second["name"]) == ("random", "mo-hb")
    weight = np.exp(-1)
    assert first["behind"] == pytest.approx(0.1 / (1 + weight), abs=1e-4)
    assert second["behind"] == pytest.approx(0.4 * weight / (1 + weight), abs=1e-4)


def test_the_evidence_of_the_package_serves():
    found = recommend.recommendation(small_table())
    assert found["like"] in recommend.read_evidence()["benchmarks"]
    assert found["methods"][0]["behind"] <= found["methods"][-1]["behind"]


def test_recommendations_hold_on_benchmarks_that_were_left_out():
    """Each benchmark of the evidence is asked for with the others alone: the recommended method stays nearer
    to the best there than random search and the plain method, on average."""
    known = recommend.read_evidence()["benchmarks"]
    behind = {"recommended": [], "random": [], "mo-hb": []}
    for name, found in known.items():
        rest = {"benchmarks": {other: own for other, own in known.items() if other != name}}
        means = {own["name"]: own["mean"] for own in found["methods"]}
        order = recommend.ordered(found["traits"], rest)
        chosen = next(own["name"] for own in order if own["name"] in means)
        for kind, method in (("recommended", chosen), ("random", "random"), ("mo-hb", "mo-hb")):
            behind[kind].append(max(means.values()) - means.get(method, min(means.values())))
    average = {kind: np.mean(own) for kind, own in behind.items()}
    assert average["recommended"] < min(average["random"], average["mo-hb"])


@pytest.mark.slow
def test_a_whole_study_is_gone_on_from(tmp_path):
    """Searched, tested and explained; the same command again runs nothing and finds the same."""
    design = make_design(
        {
            "train": ["synthetic"],
            "test": [{"name": "embedded", "tasks": ["digits"]}],
            "space": {
                "schedule": ["hyperband", "equal"],
                "searcher": ["random", "filtered"],
                "sample": "uniform",
                "eta": 3,
                "R": 27,
                "promotion": "net",
                "scale": "minmax",
                "mode": "overlap",
                "population": 9,
                "algorithm": "progressive",
                "surrogate": "knn1",
            },
            "trainings": 10,
            "rows": 100,
            "shapes": 4,
            "seeds": 8,
            "neighbours": 2,
            "refined": 1,
            "refinements": 1,
            "runs": 500,
            "searches": 2,
            "explained": 16,
            "against": ["random", "mo-hb"],
            "tests": 4,
        }
    )
    first = as_json(run_design(design, tmp_path, lambda line: None))
    journal = (tmp_path / "design.jsonl").read_text()
    again = as_json(run_design(design, tmp_path, lambda line: None))
    assert (tmp_path / "design.jsonl").read_text() == journal
    for name in ("searches", "compared", "explanation", "importance", "num_runs", "num_tests"):
        assert again[name] == first[name]
    # No run of a search is one of the explanation, and none of either is on a test task.
    lines = [json.loads(line) for line in journal.splitlines()]
    runs = [int(line["key"].split("+")[0]) for line in lines if "key" in line]
    assert {first_run >= FIRST_TEST_RUN for first_run in runs} == {True, False}
    assert not {task for task in first["tasks"] if task.startswith("embedded")}
    assert page(first)
    with pytest.raises(InputError, match="another design study"):
        run_design(design.model_copy(update={"seed": 1}), tmp_path, lambda line: None)


def test_a_page_shows_what_was_found():
    step = {"changed": ["searcher"], "point": FILTER, "mean": 0.5, "gain": 0.1, "low": 0.05, "high": 0.2,
            "matters": True}  # fmt: skip
    result = {
        "design": {"name": "<b>", "test": [{"name": "zeus"}], "trainings": 5, "workers": 4},
        "tasks": ["synthetic/task-0"],
        "num_runs": 10,
        "num_tests": 20,
        "programs": 3,
        "test_programs": 4,
        "seconds": 120.0,
        "peak_gib": 2.5,
        "factorial": {"cells": {"full uniform net": 0.5},
                      "effects": [{"name": "prior under full", "gain": 0.1, "low": 0.05, "high": 0.15}]},
        "folds": [{"benchmark": "zeus", "chosen": FILTER, "mean": 0.5, "plain": 0.4, "low": 0.05,
                   "high": 0.15, "best": 0.6}],
        "searches": [{"winner": FILTER, "method": "smashy", "settings": {"eta": 3}, "predicted": 0.5,
                      "evaluated": [], "alive": [9, 4]}],
        "compared": [{"method": "mo-hb", "difference": 0.1, "low": 0.05, "high": 0.15, "wins": 3, "tasks": 4,
                      "own": 0.9, "other": 0.8, "benchmarks": 2, "p_holm": 0.0001}],
        "explanation": {"forward": [step], "backward": [step], "alone": [step], "without": [step],
                        "pairs": []},
        "importance": {"searcher": 0.4},
    }  # fmt: skip
    text = page(json.loads(json.dumps(result)))
    assert "&lt;b&gt;" in text
    assert "ahead of 1 of 1 methods" in text
    assert "It beats all of them" in text
    assert "searcher" in text
    assert "prior under full" in text
    assert "2 minutes and 2.5 GiB" in text
