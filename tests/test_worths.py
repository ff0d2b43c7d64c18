"""Worths of methods and trees of them, on cases with known answers and the published results of AMLB 2019."""

import csv

import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.download import RemoteFile, locate

from mohb_jax.analysis.comparison import Comparison
from mohb_jax.analysis.statistics import resample_counts
from mohb_jax.analysis.worth_tree import decorrelated, p_value, scores, statistic, worth_tree
from mohb_jax.analysis.worths import NUM_RESAMPLES, fitted, log_likelihood, wins, worths, worths_over_runs
from tests.real_data import need

pytestmark = pytest.mark.fast

_FOLDER = "https://raw.githubusercontent.com/openml/automlbenchmark/dfe8d21871e2dec2b7cab6c9fbfe3575ce4dadc6/reports/old"
DERIVED = RemoteFile(
    "amlb/derived_task_means_1h_constantpredictor.csv",
    f"{_FOLDER}/tables/1h/all_results.csv",
    "7c553629c7122438d317cc5599927337b4e167649fa806562a3433525fd62568",
    5814,
    "MIT",
)
FRAMEWORKS = ("autosklearn", "autoweka", "h2oautoml", "randomforest", "tpot", "tunedrandomforest")


def published():
    """Values of the frameworks and descriptors of 35 tasks."""
    need(DERIVED)
    with locate(DERIVED).open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    values = np.array([[float(row[name]) for name in FRAMEWORKS] for row in rows])
    numbers = ("nrows", "nfeatures", "nclasses", "class_imbalance")
    described = {"type": [row["type"] for row in rows]}
    return values, described | {name: np.array([float(row[name]) for row in rows]) for name in numbers}


def made():
    """Twenty tasks: up to the tenth A is mostly before B before C, beyond it the other way round."""
    orders = ["ABC"] * 10 + ["CBA"] * 10
    for task, order in ((2, "BAC"), (7, "BAC"), (5, "ACB"), (13, "CAB"), (18, "CAB"), (16, "BCA")):
        orders[task - 1] = order
    values = np.array([[-order.index(name) for name in "ABC"] for order in orders], float)
    x = np.arange(1.0, 21)
    return values, {"x": x, "noise": 7 * x % 20}


def test_worths_of_the_published_results():
    values, _ = published()
    found = worths(FRAMEWORKS, values)
    np.testing.assert_allclose(
        found.worths, [0.17290, 0.00635, 0.59508, 0.05786, 0.08708, 0.08074], atol=5e-6
    )
    assert found.log_likelihood == pytest.approx(-227.3261, abs=5e-5)
    assert not found.made_finite
    against_last = np.log(np.array(found.worths[:5]) / found.worths[5])
    np.testing.assert_allclose(against_last, [0.76146, -2.54296, 1.99744, -0.33322, 0.07552], atol=2e-5)
    for (low, high), worth in zip(found.ci95, found.worths, strict=True):
        assert low < worth < high
    assert wins(values).sum(axis=0)[2].tolist() == [27, 35, 0, 33, 28, 32]
    ranks = scipy.stats.rankdata(-values, axis=1).mean(axis=0)
    np.testing.assert_allclose(ranks, [2.7143, 5.7143, 1.5714, 3.9429, 3.4857, 3.5714], atol=5e-5)


def test_the_tree_of_the_published_results_is_its_root():
    values, described = published()
    found = worth_tree(FRAMEWORKS, values, described, least=5)
    expected = {"type": 5.2351, "nrows": 9.8832, "nfeatures": 15.9551, "nclasses": 5.2351}
    for name, value in (expected | {"class_imbalance": 5.0423}).items():
        assert found.statistics[name] == pytest.approx(value, abs=5e-5), name
    assert found.children == ()
    assert found.leaves == (found,)
    assert 0.12 < found.p_values["nfeatures"] < 0.22  # .033 before the factor of five descriptors


def test_a_tree_finds_where_the_order_turns():
    values, described = made()
    whole = worths("ABC", values)
    np.testing.assert_allclose(whole.worths, 1 / 3, atol=1e-9)
    assert whole.log_likelihood == pytest.approx(-41.58883, abs=5e-6)
    found = worth_tree("ABC", values, described, least=5)
    assert found.statistics["x"] == pytest.approx(18.7826, abs=5e-5)
    assert found.statistics["noise"] == pytest.approx(2.6268, abs=5e-5)
    assert found.p_values["x"] < 2 * 0.002
    assert found.p_values["noise"] == 1
    assert found.split is not None
    assert (found.split.descriptor, found.split.at_most) == ("x", 10)
    first, second = found.leaves
    np.testing.assert_allclose(first.worths.worths, [0.80623, 0.17809, 0.01568], atol=5e-6)
    np.testing.assert_allclose(second.worths.worths, [0.01756, 0.07950, 0.90294], atol=5e-6)
    together = first.worths.log_likelihood + second.worths.log_likelihood
    assert together == pytest.approx(-16.9647, abs=5e-5)


def test_words_are_split_into_two_groups():
    values, described = made()
    words = np.array(["small", "tiny"])[(described["x"] % 2).astype(int)]
    words[10:] = "large"
    found = worth_tree("ABC", values, {"size": words.tolist()}, least=5)
    assert found.split is not None
    assert found.split.words == ("large",)
    assert found.split.at_most is None


def test_statistics_do_not_depend_on_names_orders_or_scales():
    values, described = made()
    column = described["x"]
    own = statistic(decorrelated(scores(wins(values))), column, 5)
    turned = statistic(decorrelated(scores(wins(values[:, [2, 0, 1]]))), np.log(column), 5)
    assert turned == pytest.approx(own, rel=1e-9)
    first, renamed = (wins(own).sum(axis=0) for own in (values[:10], values[:10, [2, 0, 1]]))
    np.testing.assert_allclose(fitted(first)[[2, 0, 1]], fitted(renamed))


def test_ties_everywhere_and_a_method_that_always_wins():
    assert worths("AB", np.zeros((4, 2))).worths == pytest.approx((0.5, 0.5))
    found = worths("ABC", np.tile([3.0, 2.0, 1.0], (6, 1)))
    assert found.made_finite
    assert np.isfinite(found.worths).all()
    assert found.worths[0] > found.worths[1] > found.worths[2] > 0
    assert worths("AB", np.array([[1.0, 0.0]])).ci95 == ()


def test_worths_are_those_of_another_library():
    choix = pytest.importorskip("choix", reason="choix, of the extra test, is the oracle")
    values, _ = made()
    won = wins(values[:10] + 0.1 * np.arange(3)).sum(axis=0)  # somebody wins more than in a tie
    logs = choix.ilsr_pairwise_dense(won)
    np.testing.assert_allclose(fitted(won), np.exp(logs) / np.exp(logs).sum(), atol=1e-5)


def test_intervals_over_runs():
    """Two methods, whose worths are shares of wins, in plain loops; two tasks of four runs."""
    values = np.array([[[0.9, 0.1, 0.5, 0.5], [0.6, 0.3, 0.4, 0.5]], [[0.1, 0.6, 0.2, 0.3], [0.3] * 4]])
    found = worths_over_runs(Comparison(("a", "b"), ("toy/t0", "toy/t1"), values, 0))
    shares = []
    for counts in resample_counts(4, NUM_RESAMPLES):
        drawn = np.repeat(np.arange(4), counts.astype(int))
        means = [(float(np.mean(a[drawn])), float(np.mean(b[drawn]))) for a, b in values]
        won = sum(0.5 if abs(a - b) < 1e-12 else float(a > b) for a, b in means)
        shares.append((won + 0.1) / 2.2 if won in (0, 2) else won / 2)
    beyond = scipy.stats.norm.sf(np.sqrt(4 / 3) * scipy.stats.t.isf(0.025, 3))
    ends = np.quantile(shares, [beyond, 1 - beyond])
    np.testing.assert_allclose(found.runs_ci95[0], ends, atol=1e-3)
    np.testing.assert_allclose(found.runs_ci95[1], 1 - ends[::-1], atol=1e-3)
    assert found.worths == pytest.approx((0.75, 0.25))
    assert found.ci95 == worths("ab", values.mean(axis=2)).ci95
    one = Comparison(("a", "b"), ("toy/t0", "toy/t1"), values[..., :1], 0)
    assert worths_over_runs(one).runs_ci95 == ()


def test_worths_are_the_likeliest():
    values = np.random.default_rng(1).normal([0.5, 0.0, -0.3, 0.2], size=(12, 4))
    won = wins(values).sum(axis=0)
    best = fitted(won)
    for seed in range(20):
        other = best * np.exp(0.05 * np.random.default_rng(seed).normal(size=4))
        assert log_likelihood(won, other / other.sum()) <= log_likelihood(won, best) + 1e-12


def test_p_values_are_uniform_where_descriptors_say_nothing(monkeypatch):
    monkeypatch.setattr("mohb_jax.analysis.worth_tree.NUM_PERMUTATIONS", 199)
    values, described = made()
    pull, chance = decorrelated(scores(wins(values))), np.random.default_rng(0)
    found = []
    for _ in range(100):
        column = chance.permutation(described["x"])
        found.append(p_value(pull, column, 5, statistic(pull, column, 5)))
    assert scipy.stats.kstest(found, "uniform").pvalue > 0.01
