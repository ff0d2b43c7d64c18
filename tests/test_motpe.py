"""MOTPE against its definition in plain Python; tables and programs are those of the other densities."""

import json

import jax
import jax.numpy as jnp
import moocore
import numpy as np
import pytest
import scipy.stats

from mohb_jax.searchers.base import Result
from mohb_jax.searchers.column_densities import best_point, compared
from mohb_jax.searchers.mo_bohb import NUM_DRAWS, good_and_bad
from mohb_jax.searchers.motpe import MOST_GOOD, densities_of, motpe
from mohb_jax.searchers.motpe_transfer import motpe_transfer, trust_in, warmed
from scripts.record_golden import PATH
from tests.test_density_ratio import TABLE, check_level, split_by_definition
from tests.test_parzen import widths_by_definition

pytestmark = pytest.mark.wide

ROWS = np.arange(5, 55)


@pytest.fixture(scope="module")
def lane():
    """A lane that knows the results of 50 rows, beside three that failed."""
    policy = motpe(2)
    context = policy.prepare(TABLE, (0, 1), 0, None)
    state = policy.init(context, jnp.int32(0), jax.random.key(0))

    def told(state, result):
        return policy.observe(context, jnp.int32(0), state, result), None

    row = np.concatenate([ROWS[:20], [60, 61, 62], ROWS[20:]])
    costs = np.where((row >= 60)[:, None], np.inf, TABLE.costs[0, row, 2])
    each = np.arange(len(row), dtype=np.int32)
    none, true = np.zeros(len(row), np.int32), np.ones(len(row), bool)
    results = Result(jnp.asarray(row, jnp.int32), *map(jnp.asarray, (none, costs, each, true)))
    state = jax.lax.scan(told, state, results)[0]
    return context, state


def weights_by_definition():
    """Of each good row the hypervolume that it alone adds to the others, over the largest."""
    costs = TABLE.costs[0, ROWS, 2]
    scaled = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    good = sorted(split_by_definition(costs, 5))
    volume = moocore.hypervolume(scaled[good], ref=1.1)
    alone = [volume - moocore.hypervolume(scaled[[i for i in good if i != own]], ref=1.1) for own in good]
    return {int(ROWS[i]): amount / max(alone) for i, amount in zip(good, alone, strict=True)}


def test_a_proposal_equals_the_definition(lane):
    context, state = lane
    results = state.results
    share = np.random.default_rng(1).uniform(size=(4, NUM_DRAWS, 3))

    @jax.jit
    def proposal(results):
        point = best_point(context, compared(*densities_of(context, results)), jnp.asarray(share))
        return point, *good_and_bad(results.costs, results.observed, jnp.int32(5), MOST_GOOD)

    found, order, is_bad = map(np.asarray, proposal(results))
    weight_of = weights_by_definition()
    good, bad = (np.asarray(results.row)[part] for part in (order[:5], is_bad))
    assert set(good.tolist()) == set(weight_of)
    assert sorted([*good, *bad]) == ROWS.tolist()  # failed ones are in neither
    weight = np.array([weight_of[int(row)] for row in good])
    assert weight.min() < weight.max() == 1
    points = np.asarray(context.point(jnp.arange(TABLE.num_rows)))
    for column in range(4):
        own = (points[good, column], weight), (points[bad, column], np.ones(len(bad)))
        if column == 1:
            masses = [levels_by_count(*part) for part in own]
        elif column == 3:
            masses = [levels_by_integral(*part) for part in own]
        else:
            np.testing.assert_allclose(found[column], best_number(own, share[column]), rtol=1e-6)
            continue
        check_level(found[column] * (3 if column == 3 else 1), masses, share[column])


def levels_by_count(values, weight):
    return np.array([(1 + weight[values == level].sum()) / (4 + weight.sum()) for level in range(4)])


def levels_by_integral(values, weight):
    parts, shares = mixture_by_definition(np.round(values * 3) / 3, weight, -1 / 6, 7 / 6)
    edges = (np.arange(5) - 0.5) / 3
    return sum(share * np.diff(part.cdf(edges)) for part, share in zip(parts, shares, strict=True))


def best_number(own, share):
    (good, weight), bad = (mixture_by_definition(*part, 0, 1) for part in own)
    part = np.searchsorted(np.cumsum(weight), share[:, 1], side="right")
    draws = np.array([good[i].ppf(u) for i, u in zip(part, share[:, 2], strict=True)])
    ratio = density(good, weight, draws) / density(*bad, draws)
    return draws[np.argmax(ratio)]


def mixture_by_definition(values, weight, low, high):
    """Truncated Gaussians and the prior, and the share of each."""
    centre = np.array([(low + high) / 2, *values])
    width = widths_by_definition(values, high - low, centre[0])
    parts = [
        scipy.stats.truncnorm((low - c) / w, (high - c) / w, c, w) for c, w in zip(centre, width, strict=True)
    ]
    return parts, np.array([1, *weight]) / (1 + sum(weight))


def density(parts, shares, x):
    return sum(share * part.pdf(x) for part, share in zip(parts, shares, strict=True))


def test_a_result_of_another_task_counts_as_much_as_the_good_ones_are_alike():
    own = np.array([0.5, 0.5, 0, 0])
    others = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0.5, 0, 0.5, 0]])
    trust = trust_in(jnp.asarray(own), jnp.asarray(others))
    alike = [1, 0, 1 / 3]  # at the distances 0, 1 and 1/2
    np.testing.assert_allclose(trust, [1 - sum(alike) / 4, *(s / 4 for s in alike)])


def test_densities_of_other_tasks_are_added_by_their_weight(lane):
    policy = motpe_transfer(2, known=30)
    context = policy.prepare(TABLE, (0, 1), 3, None)

    @jax.jit
    def parts(results):
        own = densities_of(context.rows, results)
        return own, warmed(context, jnp.int32(0), own)

    own, pooled = (pair.good for pair in parts(lane[1].results))
    other = jax.tree.map(lambda leaf: leaf[1], context.parts.good)
    spread = [spread_by_definition(part, np.asarray(context.compared)) for part in (own, other)]
    trust = np.asarray(trust_in(jnp.asarray(spread[0]), jnp.asarray(spread[1])[None]))
    assert 0 < trust[1] < 0.5
    share = trust * [float(own.size), float(other.size)]
    share = share / share.sum()
    for name in ("ordinal", "categorical"):
        expected = share[0] * getattr(own, name) + share[1] * getattr(other, name)
        np.testing.assert_allclose(getattr(pooled, name), expected, rtol=1e-9)
    x = np.linspace(0, 1, 7)
    for column in (0, 1):
        each = [density_of_column(part.numbers, column, x) for part in (own, other)]
        found = density_of_column(pooled.numbers, column, x)
        np.testing.assert_allclose(found, share[0] * each[0] + share[1] * each[1], rtol=1e-9)


def density_of_column(mixtures, column, x):
    parts = [np.asarray(leaf)[column] for leaf in mixtures]
    centre, width, _, weight, low, high = parts
    real = weight > 0
    kernels = scipy.stats.truncnorm.pdf(
        x[:, None], (low - centre) / width, (high - centre) / width, centre, width
    )
    return (kernels * weight)[:, real].sum(axis=1) / weight.sum()


def spread_by_definition(part, points):
    """How the product of all columns' densities is spread over some points."""
    product = density_of_column(part.numbers, 0, points[0]) * density_of_column(part.numbers, 1, points[2])
    product = product * np.asarray(part.categorical)[0, points[1].astype(int)]
    product = product * np.asarray(part.ordinal)[0, np.round(points[3] * 3).astype(int)]
    return product / product.sum()


def test_ten_results_come_from_random_rows():
    """With three workers, twelve rows were launched when the tenth result is in."""
    recorded = json.loads(PATH.read_text(encoding="utf-8"))
    own, random = (np.array(recorded[name]["row"]) for name in ("motpe", "random"))
    np.testing.assert_array_equal(own[:, :12], random[:, :12])
    assert (own[:, 12:] != random[:, 12:]).any(axis=1).all()


def test_good_results_are_those_of_optuna():
    """Its own functions on 30 sets of results of three objectives: fronts, and of the one that is cut its
    greedy subset, with the reference that is ours."""
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    from optuna._hypervolume.hssp import _solve_hssp
    from optuna.study._multi_objective import _fast_non_domination_rank

    rng, split, cut = np.random.default_rng(0), jax.jit(good_and_bad, static_argnums=3), 0
    for _ in range(30):
        number = int(rng.integers(20, 120))
        costs = np.full((128, 3), np.inf)
        costs[:number] = rng.dirichlet(np.ones(3), number) + 0.1 * rng.uniform(size=(number, 3))
        num_good, valid = number // 10, np.arange(128) < number
        ours = np.asarray(split(costs, valid, np.int32(num_good), MOST_GOOD)[0])[:num_good]
        scaled = (costs[:number] - costs[:number].min(axis=0)) / np.ptp(costs[:number], axis=0)
        front = _fast_non_domination_rank(scaled, n_below=num_good)
        sizes = np.bincount(front[front >= 0]).cumsum()
        last = int(np.searchsorted(sizes, num_good, side="right"))
        theirs = np.flatnonzero(front < last).tolist()
        if len(theirs) < num_good:
            ties, cut = np.flatnonzero(front == last), cut + 1
            theirs += _solve_hssp(scaled[ties], ties, num_good - len(theirs), np.full(3, 1.1)).tolist()
        assert set(ours.tolist()) == set(theirs)
    assert cut > 20
