"""Methods of this package propose for Optuna: from the storage alone, never a candidate twice."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.stats

from mohb_jax.arrays import hypervolume
from mohb_jax.errors import InputError

optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mohb_jax.optuna import HalvingPruner, MohbSampler  # noqa: E402
from mohb_jax.optuna.distributions import Parameters  # noqa: E402

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
MIXED = {
    "rate": FloatDistribution(1e-4, 1, log=True),
    "width": IntDistribution(1, 64, log=True),
    "depth": IntDistribution(1, 7, step=2),
    "drop": FloatDistribution(0, 0.5, step=0.25),
    "kind": CategoricalDistribution(["relu", None, True, 0.5]),
    "fixed": IntDistribution(3, 3),
}


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def study_of(sampler, **settings):
    return optuna.create_study(directions=["minimize", "minimize"], sampler=sampler, **settings)


def trade_off(trial):
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
    return x + 4 * (y - 0.5) ** 2, 1 - x + 4 * (y - 0.5) ** 2


def points(study):
    return [tuple(trial.params.values()) for trial in study.trials]


def small(method="mo-rea", **settings):
    return MohbSampler(method, SPACE, **{"candidates": 512, **settings})


def test_rows_are_parameters_and_back():
    parameters = Parameters(MIXED, 64, 0)
    assert len(parameters.space) > 50
    for row in range(len(parameters.space)):
        found = parameters.of_row(row)
        assert list(found) == list(MIXED)
        assert all(MIXED[name]._contains(MIXED[name].to_internal_repr(found[name])) for name in MIXED)
        assert parameters.row_of(found) == row
        assert {type(found[name]) for name in ("width", "depth", "fixed")} == {int}
        assert {type(found[name]) for name in ("rate", "drop")} == {float}
        near = {**found, "rate": found["rate"] * 1.0001}
        assert parameters.row_of(near) == row
    assert {parameters.of_row(row)["kind"] for row in range(50)} == {"relu", None, True, 0.5}
    assert parameters.row_of({"rate": 0.1}) is None


def test_random_rows_hang_on_the_number_alone():
    """Four threads each of two samplers that know nothing of each other, as two processes have."""
    study = study_of(small("random", candidates=128))
    study.optimize(trade_off, n_trials=50, n_jobs=4)
    study.sampler = small("random", candidates=128)
    study.optimize(trade_off, n_trials=50, n_jobs=4)
    assert len(set(points(study))) == 100
    alone = study_of(small("random", candidates=128))
    alone.optimize(trade_off, n_trials=100)
    assert points(alone) == points(study)
    assert points(alone) != points_of_seed(1)


def points_of_seed(seed):
    study = study_of(small("random", candidates=128, seed=seed))
    study.optimize(trade_off, n_trials=100)
    return points(study)


def test_another_process_goes_on_with_the_same_proposals():
    """A sampler that replays a storage does what one that was there all the time does."""
    study = study_of(small(population=4))
    study.enqueue_trial({"x": 0.123, "y": 0.5})
    study.optimize(trade_off, n_trials=12)
    assert points(study)[0] == (0.123, 0.5)
    other = optuna.load_study(
        study_name=study.study_name, storage=study._storage, sampler=pickle.loads(pickle.dumps(study.sampler))
    )
    number = study.ask().number
    own = study.trials[number]
    proposed = study.sampler.sample_relative(study, own, SPACE)
    assert other.sampler.sample_relative(other, own, SPACE) == proposed
    assert tuple(proposed.values()) not in points(study)


def test_threads_never_share_a_candidate():
    study = study_of(small(population=4))
    study.optimize(trade_off, n_trials=40, n_jobs=4)
    assert len(set(points(study))) == 40
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)


def test_when_all_candidates_were_tried_chance_goes_on():
    sampler = MohbSampler("mo-rea", {"x": IntDistribution(0, 3)}, population=4)
    study = study_of(sampler)
    study.optimize(lambda trial: (trial.suggest_int("x", 0, 3), 0.0), n_trials=6)
    assert sorted(points(study)[:4]) == [(0,), (1,), (2,), (3,)]
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)


def test_failed_and_pruned_trials_are_told_apart():
    """A failure is a bad result; a pruned trial is none, except for densities that learn from its rung."""
    study = study_of(small(population=4))

    def objective(trial):
        values = trade_off(trial)
        if trial.number % 3 == 1:
            raise optuna.TrialPruned()
        return (np.nan, 0.0) if trial.number % 3 == 2 else values

    study.optimize(objective, n_trials=12, catch=ValueError)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED", "FAIL"}
    assert study.sampler._replay._taken >= {
        study.sampler._parameters.row_of(trial.params) for trial in study.trials
    }
    members = study.sampler._replay.proposals._state.members
    complete = [study.sampler._parameters.row_of(t.params) for t in study.trials[::3]]
    assert set(np.asarray(members.row)[np.asarray(members.stands)]) <= set(complete)


def test_densities_learn_from_the_rungs_of_pruned_trials():
    pruner = HalvingPruner((1, 3, 9))
    study = study_of(MohbSampler("bohb", SPACE, candidates=512, pruner=pruner))

    def objective(trial):
        values = trade_off(trial)
        for step in range(1, 10):
            if pruner.report(trial, values, step):
                raise optuna.TrialPruned()
        return values

    study.optimize(objective, n_trials=30)
    state = study.sampler._replay.proposals._state
    ended = study.trials[:29]
    wanted = [2 if t.state.name == "COMPLETE" else pruner.last_rung(t)[0] for t in ended]
    assert sorted(np.asarray(state.level)[np.asarray(state.level) >= 0]) == sorted(wanted)
    assert set(wanted) == {0, 1, 2}


@pytest.mark.slow
def test_parego_beats_chance():
    """Mean hypervolume of 24 trials over 20 seeds, paired; the interval of the difference is above 0."""

    def reached(method, seed):
        study = study_of(small(method, seed=seed))
        study.optimize(trade_off, n_trials=24)
        return hypervolume([trial.values for trial in study.trials], [2.0, 2.0])

    difference = [reached("parego", seed) - reached("random", seed) for seed in range(20)]
    low, _ = scipy.stats.t.interval(0.95, 19, np.mean(difference), scipy.stats.sem(difference))
    assert low > 0


def test_another_range_is_told_once():
    study = study_of(small("random"))
    ask = {"x": FloatDistribution(5, 9), "z": FloatDistribution(0, 1)}
    with pytest.warns(UserWarning, match=r"'x' is asked for as FloatDistribution\(high=9.*drawn at random"):
        first = study.ask(ask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = study.ask(ask)
    for trial in (first, second):
        assert 5 <= trial.params["x"] <= 9
        assert 0 <= trial.params["z"] <= 1
    assert first.params["z"] != second.params["z"]


def test_some_parameters_may_be_fixed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        fixed = optuna.samplers.PartialFixedSampler({"x": 0.25}, small("random"))
    study = study_of(fixed)
    study.optimize(trade_off, n_trials=3)
    assert [x for x, _ in points(study)] == [0.25] * 3
    assert len(set(points(study))) == 3


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("mo-hb", {}, r"method 'mo-hb' is no sampler: accepted are random, .*halving is the pruner's part"),
        ("mo-rea", {"populatoin": 4}, r"populatoin"),
        ("random", {"seed": -1}, r"seed is -1: accepted is a whole number"),
        ("random", {"workers": 100}, r"workers is 100: accepted are 1 to 64"),
        ("random", {"candidates": 0}, r"n is 0"),
    ],
)
def test_settings_that_are_not_accepted(method, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        small(method, **settings)
    assert "\n" not in str(caught.value)


def test_spaces_that_are_not_accepted():
    with pytest.raises(InputError, match="parameter 'x' has 100,001 steps: at most 1,000 are accepted"):
        MohbSampler("random", {"x": FloatDistribution(0, 1, step=1e-5)})
    with pytest.raises(InputError, match=r"parameter 'x' has a int: accepted are FloatDistribution"):
        MohbSampler("random", {"x": 3})
    with pytest.raises(InputError, match="space without columns"):
        MohbSampler("random", {})


def test_a_method_with_a_prior_needs_one():
    with pytest.raises(InputError, match="method 'cts' needs prior=, such as learn_prior makes"):
        study_of(small("cts")).ask(SPACE)


def test_limits_of_methods_are_told():
    study = optuna.create_study(directions=["minimize"] * 4, sampler=small("ehvi"))
    with pytest.raises(InputError, match="it takes at most 3 objectives, the table has 4"):
        study.ask(SPACE)


cases = pytest.importorskip("optuna.testing.pytest_samplers", reason="Optuna before 5.0")


class TestBasic(cases.BasicSamplerTestCase):
    """Optuna's own, of which each has a space of its own: parameters are drawn by chance there."""

    @pytest.fixture
    def sampler(self):
        return lambda: MohbSampler("random", {"w": FloatDistribution(0, 1)}, candidates=16)


class TestRelative:
    """Optuna's own, for samplers with a declared space."""

    @pytest.fixture
    def sampler(self):
        space = {"x": FloatDistribution(-10, 10), "y": FloatDistribution(-10, 10)}
        return lambda: MohbSampler("random", space, candidates=16)

    test_trial_relative_params = cases.RelativeSamplerTestCase.test_trial_relative_params


class TestMultiObjective(cases.MultiObjectiveSamplerTestCase):
    """Optuna's own."""

    sampler = TestBasic.sampler
