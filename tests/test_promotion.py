"""Promotion rules against slow definitions, and what the random ones promise.

Statistical tests use fixed keys. A test at level ``ALARM`` would fail once in 10,000 other choices of keys.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mohb_jax import rules
from mohb_jax.errors import InputError
from mohb_jax.kernels import promotion
from tests import reference

pytestmark = pytest.mark.fast
AS_USERS = pytest.mark.users_level

ALARM = 1e-4
NUM_ROWS = 12
WEIGHTS = (1.0, 2.0, 0.5)


def net(costs, num_keep):
    return reference.epsilon_net_order(reference.min_max_scaled(costs))


def net_in_raw_units(costs, num_keep):
    return reference.epsilon_net_order(costs, seed_objective=costs.shape[1] - 1)


def by_crowding(costs, num_keep):
    return reference.crowding_order(costs)


def as_smac(costs, num_keep):
    """Whole fronts until there are enough rows, then all of these by crowding distance."""
    rank = reference.pareto_rank(costs)
    selected = [i for front in range(max(rank, default=-1) + 1) for i in np.flatnonzero(rank == front)]
    if len(selected) > num_keep:
        selected = [i for i in selected if rank[i] <= rank[selected[num_keep - 1]]]
    if len(selected) > num_keep:
        among = sorted(selected)
        crowding = reference.crowding_distance(costs[among], np.zeros(len(among), int))
        distance = dict(zip(among, crowding, strict=True))
        selected = sorted(selected, key=lambda i: -distance[i])
    return np.array(selected, int)


def by_weighted_sum(costs, num_keep):
    return np.argsort(reference.min_max_scaled(costs) @ np.array(WEIGHTS[: costs.shape[1]]), kind="stable")


def by_last_objective(costs, num_keep):
    return np.argsort(costs[:, -1], kind="stable")


RULES = {
    "epsilon-net": (lambda m: promotion.epsilon_net(), net),
    "epsilon-net, raw": (lambda m: promotion.epsilon_net("none", m - 1), net_in_raw_units),
    "crowding": (lambda m: promotion.crowding(), by_crowding),
    "as SMAC": (lambda m: promotion.crowding_of_all_fronts(), as_smac),
    "hypervolume cut": (lambda m: promotion.hypervolume_cut(), reference.hypervolume_cut),
    "scalarised": (lambda m: promotion.scalarised(WEIGHTS[:m]), by_weighted_sum),
    "single": (lambda m: promotion.single(m - 1), by_last_objective),
}
"""Kernel for m objectives, and the same as a definition on finite rows."""
IN_NUMPY = {
    "epsilon-net": lambda m: rules.net(),
    "epsilon-net, raw": lambda m: rules.net("none", m - 1),
    "crowding": lambda m: rules.crowding(),
    "hypervolume cut": lambda m: rules.hvc(),
    "scalarised": lambda m: rules.scalar(WEIGHTS[:m]),
    "single": lambda m: rules.single(m - 1),
}
"""The same without JAX."""


def rungs(m, num_random=24):
    """Rungs of whole-number costs with ties, failed rows and padding anywhere; the last four are special."""
    rng = np.random.default_rng(m)
    shape = (num_random + 4, NUM_ROWS, m)
    costs = rng.integers(rng.choice([2, 5, 1000], size=(len(range(shape[0])), 1, 1)), size=shape).astype(
        float
    )
    costs[::3, :, -1] = 7.0  # a constant objective
    costs[rng.random(shape) < 0.1] = np.inf
    costs[rng.random(shape) < 0.03] = np.nan
    valid = rng.random(shape[:2]) < rng.choice([0.4, 0.8, 1.0], size=(shape[0], 1))
    costs[-4], valid[-4] = 3.0, True  # all equal
    costs[-3], valid[-3] = np.inf, True  # all failed
    valid[-2] = False  # nothing but padding
    costs[-1], valid[-1] = np.arange(NUM_ROWS)[::-1, None], True  # a chain
    return costs, valid


def survivors(rule, costs, valid, num_keep):
    """Orders of a batch of rungs under one key."""
    lane = functools.partial(rule, jax.random.key(0), num_keep=num_keep)
    return np.asarray(jax.jit(jax.vmap(lane))(jnp.asarray(costs), jnp.asarray(valid)))


@pytest.mark.parametrize(
    ("num_keep", "m"),
    [
        (NUM_ROWS, 1),
        (NUM_ROWS, 2),
        pytest.param(5, 2, marks=pytest.mark.slow),
        pytest.param(5, 3, marks=(AS_USERS, pytest.mark.wide)),
    ],
)
@pytest.mark.parametrize("name", RULES)
def test_survivors_match_definition(name, num_keep, m):
    make, definition = RULES[name]
    costs, valid = rungs(m)
    orders = survivors(make(m), costs, valid, num_keep)
    assert orders.shape == (len(costs), num_keep)
    assert ((orders >= 0) & (orders < NUM_ROWS)).all()  # more survivors than rows: in range, whatever it is
    for rung, order in enumerate(orders):
        expected = reference.failures_last(definition, costs[rung], valid[rung], num_keep)
        np.testing.assert_array_equal(order[: valid[rung].sum()], expected, err_msg=f"{rung=}")
        real = np.flatnonzero(valid[rung])
        if name not in IN_NUMPY:
            continue
        in_numpy = real[rules.order(IN_NUMPY[name](m), costs[rung][real], num_keep)]
        if name == "hypervolume cut":  # whole fronts come in any order
            in_numpy, expected = np.sort(in_numpy), np.sort(expected)
        np.testing.assert_array_equal(in_numpy, expected, err_msg=f"{rung=}")


@pytest.mark.parametrize("name", RULES)
def test_the_examples_tell_rules_apart(name):
    """Were two definitions equal on all examples, the comparison above would not show which one ran."""
    costs, valid = rungs(3)

    def orders(definition):
        results = (reference.failures_last(definition, *rung, 5) for rung in zip(costs, valid, strict=True))
        return [order.tolist() for order in results]

    mine = orders(RULES[name][1])
    assert all(orders(other) != mine for key, (_, other) in RULES.items() if key != name)


def test_rules_run_in_every_variant(variant):
    costs, valid = (batch[1] for batch in rungs(2))
    order = variant(functools.partial(promotion.epsilon_net(), jax.random.key(0), num_keep=5))(costs, valid)
    expected = reference.failures_last(net, costs, valid, 5)
    np.testing.assert_array_equal(order[: valid.sum()], expected)


def test_one_objective_makes_the_epsilon_net_hyperband():
    costs = np.random.default_rng(0).random((20, 27, 1))
    valid = np.ones((20, 27), bool)
    nets, sorts = (survivors(rule, costs, valid, 9) for rule in (promotion.epsilon_net(), promotion.single()))
    np.testing.assert_array_equal(nets, sorts)
    np.testing.assert_array_equal(nets, np.argsort(costs[..., 0], axis=1)[:, :9])


RANDOM_RULES = {"random weights": promotion.scalarised(), "random order": promotion.random_order()}


@pytest.mark.parametrize("name", RANDOM_RULES)
def test_random_rules_keep_distinct_rows_and_put_failures_last(name):
    costs, valid = rungs(3)
    for rung, order in enumerate(survivors(RANDOM_RULES[name], costs, valid, NUM_ROWS)):
        finite = valid[rung] & np.isfinite(costs[rung]).all(axis=1)
        assert sorted(order[: finite.sum()]) == np.flatnonzero(finite).tolist()
        failed = np.flatnonzero(valid[rung] & ~finite)
        np.testing.assert_array_equal(order[finite.sum() : valid[rung].sum()], failed)


def keys_of(seed, num_keys):
    return jax.random.split(jax.random.key(seed), num_keys)


def over_keys(rule, costs, valid, num_keep, keys):
    """One rung under many keys."""
    return np.asarray(jax.jit(jax.vmap(lambda key: rule(key, costs, valid, num_keep)))(keys))


def test_random_order_is_a_uniform_sample():
    costs, valid = np.zeros((7, 2)), np.arange(7) != 3
    costs[5] = np.inf
    orders = over_keys(promotion.random_order(), costs, valid, 2, keys_of(1, 4000))
    pairs, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(pairs) == 5 * 4  # ordered pairs of the five rows that are neither padding nor failed
    assert not np.isin(pairs, [3, 5]).any()
    assert scipy.stats.chisquare(counts).pvalue > ALARM


def test_random_order_draws_anew_for_every_rung():
    """Generators give equal first values for unequal lengths: without care, rungs would agree."""
    keys = keys_of(2, 1000)
    large, small = (
        over_keys(promotion.random_order(), np.zeros((n, 1)), np.ones(n, bool), n, keys) for n in (10, 9)
    )
    same = (large[large < 9].reshape(1000, 9)[:, 0] == small[:, 0]).sum()
    assert scipy.stats.binomtest(same, 1000, 1 / 9).pvalue > ALARM


# A convex front on which the weight w of the first objective decides: corner i has the smallest weighted sum
# where w lies between 0.8 - 0.2 * i and 1.0 - 0.2 * i.
STEPS = np.array([[1 - w, -w] for w in (0.8, 0.6, 0.4, 0.2)])
CORNERS = np.array([0.0, 2.0]) + np.concatenate([np.zeros((1, 2)), np.cumsum(STEPS, axis=0)])


def test_random_weights_are_uniform_on_the_simplex():
    winners = over_keys(promotion.scalarised(), CORNERS, np.ones(5, bool), 1, keys_of(3, 2000))
    counts = np.bincount(winners[:, 0], minlength=5)
    assert scipy.stats.chisquare(counts).pvalue > ALARM


def test_random_weights_stay_for_all_rungs_of_a_bracket():
    angles = np.sort(np.random.default_rng(0).random(25)) * np.pi / 2
    front = np.concatenate([[[0.0, 1]], 1 - np.stack([np.cos(angles), np.sin(angles)], 1)[::-1], [[1.0, 0]]])
    kept = np.array([0, 4, 9, 12, 13, 15, 20, 23, 26])  # with both ends, so with the same scale
    keys = keys_of(4, 50)
    first, second = (
        over_keys(promotion.scalarised(), rung, np.ones(len(rung), bool), len(rung), keys)
        for rung in (front, front[kept])
    )
    for order, suborder in zip(first, second, strict=True):
        np.testing.assert_array_equal(order[np.isin(order, kept)], kept[suborder])
    assert len({tuple(order) for order in first}) > 25  # another bracket, other weights


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0)])
def test_wrong_number_of_weights_is_refused(weights):
    with pytest.raises(InputError, match=rf"weights has {len(weights)} values: 2 objectives need one each"):
        promotion.scalarised(weights)(jax.random.key(0), jnp.zeros((4, 2)), jnp.ones(4, bool), 2)


def test_equal_settings_give_the_same_function():
    """A new function would be compiled anew."""
    assert promotion.epsilon_net() is promotion.epsilon_net("minmax", seed_objective=0)
    assert promotion.single() is promotion.single(0) is promotion.single(objective=0)
    assert promotion.scalarised((1.0, 2.0)) is promotion.scalarised(weights=(1.0, 2.0))
    assert promotion.scalarised() is promotion.scalarised(None)
    assert promotion.crowding() is promotion.crowding()
    assert promotion.hypervolume_cut() is promotion.hypervolume_cut()
    assert promotion.random_order() is promotion.random_order()
    different = [
        promotion.epsilon_net("none"),
        promotion.epsilon_net("rank"),
        promotion.epsilon_net("rank", 1),
    ]
    different += [promotion.scalarised((1.0, 2.0)), promotion.scalarised((2.0, 1.0)), promotion.single(1)]
    assert len(set(different)) == 6


# A published library takes the order for a list of priorities: position i for item i. What it compares with
# 1 / eta is then the index of the item that is sorted last, whatever the newcomer is worth.


@pytest.mark.parametrize(("earlier", "defective"), [([1, 2, 3], False), ([3, 1, 2], True)])
def test_a_newcomer_that_dominates_all_is_kept(earlier, defective):
    points = np.array([[value, value] for value in (*earlier, 0)], float)
    order = survivors(promotion.epsilon_net("none"), points[None], np.ones((1, 4), bool), 4)[0].tolist()
    assert order.index(3) == 0
    assert (order[-1] / 4 <= 1 / 3) == defective  # the defect's answer hangs on the place of the worst point


@pytest.mark.wide
@AS_USERS  # much to compute
def test_stream_of_newcomers_keeps_the_good_ones():
    """200 uniform points pass one rung one after another, eta 3, for 30 seeds.

    Means of f1 + f2 over the kept points: 0.62 with the order, 0.99 with the defect, 1.0 for random keeping.
    Over these seeds their standard errors are below 0.01; the tolerance is 0.04.
    """
    eta, num_points, num_seeds = 3, 200, 30
    points = np.random.default_rng(0).random((num_seeds, num_points, 2))
    arrived = np.tril(np.ones((num_points, num_points), bool))
    rule = functools.partial(promotion.epsilon_net("none"), jax.random.key(0), num_keep=num_points)
    by_prefix = jax.vmap(rule, in_axes=(None, 0))
    orders = np.asarray(jax.jit(lambda p: jax.lax.map(lambda one: by_prefix(one, arrived), p))(points))
    kept: list[float] = []
    kept_by_defect: list[float] = []
    for seed in range(num_seeds):
        for newcomer in range(num_points):
            num_seen = newcomer + 1
            order, value = orders[seed, newcomer, :num_seen].tolist(), points[seed, newcomer].sum()
            if order.index(newcomer) < max(1, num_seen // eta):
                kept.append(value)
            if order[-1] / num_seen <= 1 / eta:
                kept_by_defect.append(value)
    assert np.mean(kept) == pytest.approx(0.62, abs=0.04)
    assert np.mean(kept_by_defect) == pytest.approx(0.99, abs=0.04)


def test_smac_keeps_dominated_rows_and_loses_one_of_the_first_front():
    """Two dominated rows stay of four, and (2, 2) goes, though the first front would have fitted."""
    costs = np.array([(2, 2), (2.1, 1.9), (1.9, 2.1), (1.95, 9), (9, 1.95), (5, 5)])
    published = survivors(promotion.crowding_of_all_fronts(), costs[None], np.ones((1, 6), bool), 4)
    assert sorted(published[0].tolist()) == [1, 2, 3, 4]
    right = survivors(promotion.crowding(), costs[None], np.ones((1, 6), bool), 4)
    assert set(right[0].tolist()) >= {0, 1, 2}


def test_a_rung_is_cut_as_smac_cuts_it():
    """On rungs without ties, against the functions of the library, if it is there."""
    pareto = pytest.importorskip("smac.utils.pareto_front")
    costs = np.random.default_rng(0).uniform(size=(30, NUM_ROWS, 2))
    found = survivors(promotion.crowding_of_all_fronts(), costs, np.ones(costs.shape[:2], bool), 5)
    for rung, order in zip(costs, found, strict=True):
        history = types.SimpleNamespace(average_cost=lambda row, keys, normalize, own=rung: own[row])
        left, selected = list(range(NUM_ROWS)), []
        while len(selected) < 5:
            front = pareto.calculate_pareto_front(history, left, [None] * len(left))
            left, selected = [row for row in left if row not in front], selected + front
        if len(selected) > 5:
            selected = pareto.sort_by_crowding_distance(history, selected, [None] * len(selected))[:5]
        assert sorted(order.tolist()) == sorted(selected)
