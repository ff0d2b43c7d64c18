"""The networks of the transfer prior."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from mohb_jax.surrogates import prior_network as pn

KEY = jax.random.key(0)
SMALL = pn.Training(
    num_phases=2, steps_per_phase=40, steps_per_validation=20, batch_size=16, width=10, depth=2
)


def problem(num_lanes=3, num_rows=60, num_columns=4, seed=0):
    """Random features in unlike units, targets and masks."""
    rng = np.random.default_rng(seed)
    features = rng.random((num_rows, num_columns)) * [1, 100, 1e-3, 5] + [0, 1e4, 0, -3]
    targets = rng.normal(size=(num_lanes, num_rows)).astype(np.float32)
    valid = rng.random((num_lanes, num_rows)) < 0.8
    return jnp.asarray(features), jnp.asarray(targets), jnp.asarray(valid)


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def lane_of(batch, lane):
    return jax.tree.map(lambda leaf: leaf[lane], batch)


def by_numpy(network, features, keep=None):
    """The forward pass of one network, in NumPy."""
    layers = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), network.params["params"])
    hidden = (np.asarray(features) - np.asarray(network.shift)) / np.asarray(network.scale)
    for index in range(len(layers)):
        hidden = hidden @ layers[f"Dense_{index}"]["kernel"] + layers[f"Dense_{index}"]["bias"]
        if 0 < index < len(layers) - 1:
            hidden = np.maximum(hidden, 0) * (1 if keep is None else keep[index - 1])
    return hidden[:, 0], np.log1p(np.exp(hidden[:, 1])) + 1e-3


@pytest.fixture(scope="module")
def fitted():
    return pn.fit_networks(KEY, *problem(), training=SMALL)


def test_forward_pass_equals_numpy(fitted):
    features = problem()[0]
    mu, sigma = pn.predict(fitted, features)
    for lane in range(3):
        expected = by_numpy(lane_of(fitted, lane), features)
        np.testing.assert_allclose(mu[lane], expected[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(sigma[lane], expected[1], rtol=1e-3, atol=1e-4)
    assert (sigma >= pn.LEAST_SIGMA).all()


def test_default_network_is_the_published_one():
    params = pn.PriorNetwork().init(KEY, jnp.zeros((1, 7), jnp.float32))["params"]
    shapes = [params[f"Dense_{index}"]["kernel"].shape for index in range(5)]
    assert shapes == [(7, 50), (50, 50), (50, 50), (50, 50), (50, 2)]
    bounds = [np.sqrt(6 / 57), np.sqrt(6 / 100), np.sqrt(6 / 100), np.sqrt(6 / 100), np.sqrt(1 / 50)]
    for index, bound in enumerate(bounds):
        layer = params[f"Dense_{index}"]
        assert 0.85 * bound < abs(layer["kernel"]).max() <= bound
        assert 0 < abs(layer["bias"]).max() <= 1 / np.sqrt(7 if index == 0 else 50)


def test_masked_targets_cannot_change_the_fit(fitted):
    features, targets, valid = problem()
    for poison in (jnp.nan, jnp.inf, 1e30):
        assert_equal(
            fitted, pn.fit_networks(KEY, features, jnp.where(valid, targets, poison), valid, training=SMALL)
        )


def test_lane_alone_equals_lane_in_batch(fitted):
    features, targets, valid = problem()
    alone = jax.jit(pn.fit_network, static_argnames="training")(
        pn.lane_key(KEY, 1), features, targets[1], valid[1], training=SMALL
    )
    for one, other in zip(pn.predict_one(alone, features), pn.predict(fitted, features), strict=True):
        np.testing.assert_allclose(one, other[1], rtol=1e-3, atol=1e-3)


def test_lanes_of_equal_targets_are_different_members_of_an_ensemble(fitted):
    features, targets, valid = problem()
    same = pn.fit_networks(
        KEY, features, jnp.stack([targets[0]] * 3), jnp.stack([valid[0]] * 3), training=SMALL
    )
    assert_equal(lane_of(same, 0), lane_of(fitted, 0))  # whatever the other lanes hold
    mu, _ = pn.predict(same, features)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(mu[one] - mu[other]).max() > 1e-2


def test_scaling_is_of_the_training_rows_alone():
    features, targets, valid = problem()
    features = features.at[:, 3].set(jnp.where(valid[0], 2.0, 9.0))  # constant where lane 0 learns
    network = lane_of(pn.fit_networks(KEY, features, targets, valid, training=SMALL), 0)
    rows = np.asarray(features)[np.asarray(valid[0])]
    np.testing.assert_allclose(network.shift, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(network.scale[:3], rows.std(axis=0)[:3], rtol=1e-4)
    assert network.scale[3] == 7  # the range of the column over all rows


def test_units_of_the_features_are_irrelevant(fitted):
    features, targets, valid = problem()
    factors, offsets = jnp.asarray([2.0, 0.5, 1024.0, 4.0]), jnp.asarray([0.0, 64.0, 0.0, 1.0])
    other = pn.fit_networks(KEY, features * factors + offsets, targets, valid, training=SMALL)
    for one, two in zip(
        pn.predict(fitted, features), pn.predict(other, features * factors + offsets), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-2, atol=1e-2)


def learnt(noise, num_steps):
    """A linear function of three columns, the error that was reported, and what was predicted for it."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2000, 3))
    mean = features @ rng.normal(size=3)
    targets = jnp.asarray(mean + noise * rng.normal(size=2000))[None]
    training = pn.Training(
        num_phases=1, steps_per_phase=num_steps, steps_per_validation=100, dropout=0.0, width=20, depth=2
    )
    features, valid = jnp.asarray(features), jnp.ones((1, 2000), bool)
    network = pn.fit_networks(KEY, features, targets, valid, training=training)
    mu, sigma = pn.predict(network, features)
    return mean, network.validation_rmse[0], mu[0], sigma[0]


@pytest.mark.wide
def test_linear_target_is_learnt_in_200_steps():
    mean, rmse, mu, _ = learnt(noise=0.01, num_steps=200)
    assert np.abs(mu - mean).mean() < 0.3
    assert rmse < 0.5


@pytest.mark.wide
def test_constant_noise_is_learnt():
    _, rmse, _, sigma = learnt(noise=0.5, num_steps=1000)
    assert sigma.mean() == pytest.approx(0.5, abs=0.05)
    assert rmse == pytest.approx(0.5, abs=0.1)


def split_of(num_rows, num_valid, training=SMALL):
    valid = jnp.asarray(np.random.default_rng(num_rows).permutation(num_rows) < num_valid)
    return valid, pn._split(KEY, valid, training)


@pytest.mark.parametrize(
    ("num_valid", "num_validation"), [(0, 0), (1, 1), (2, 1), (9, 1), (10, 1), (20, 2), (95, 9)]
)
def test_split_keeps_a_tenth_and_never_overlaps(num_valid, num_validation):
    valid, split = split_of(100, num_valid)
    assert split.num_validation == num_validation
    assert sorted(split.order[:num_valid]) == list(np.flatnonzero(valid))
    if num_valid > 1:
        assert split.first_training == num_validation
    assert split_of(100, num_valid, dataclasses.replace(SMALL, max_validation_rows=5))[1].num_validation <= 5


def test_validation_rows_are_not_trained_on_and_the_best_snapshot_is_kept():
    """Targets that differ between the two parts: the longer the training, the worse the validation."""
    features, _, _ = problem()
    valid = jnp.ones((3, 60), bool)
    key = pn.lane_key(KEY, 0)
    split = pn._split(jax.random.fold_in(key, pn._SPLIT), valid[0], SMALL)
    targets = jnp.full((3, 60), -4.0, jnp.float32).at[0, split.order[: split.num_validation]].set(4.0)
    network = pn.fit_networks(KEY, features, targets, valid, training=SMALL)
    start = pn.PriorNetwork(10, 2).init(jax.random.fold_in(key, pn._START), jnp.zeros((1, 4), jnp.float32))
    assert_equal(lane_of(network.params, 0), start)
    rows = split.order[: split.num_validation]
    rmse = jnp.sqrt(jnp.mean((pn.predict(network, features[rows])[0][0] - 4) ** 2))
    assert float(network.validation_rmse[0]) == pytest.approx(float(rmse), rel=1e-4)


def test_snapshot_of_least_error_is_kept():
    nothing = jnp.float32(0)
    carry = pn._Carry({"weight": nothing}, (), {"weight": nothing}, jnp.float32(jnp.inf))
    kept = []
    for index, error in enumerate([5.0, 3.0, 4.0, jnp.nan, 3.0, 2.5, 9.0]):
        carry = pn._keep_best(carry._replace(params={"weight": jnp.float32(index)}), jnp.float32(error))
        kept.append((int(carry.best["weight"]), float(carry.least_error)))
    assert kept == [(0, 5.0), (1, 3.0), (1, 3.0), (1, 3.0), (1, 3.0), (5, 2.5), (5, 2.5)]
    assert carry.params["weight"] == 6


def test_too_few_rows():
    features, targets, _ = problem()
    counts = jnp.arange(3)[:, None]
    valid = jnp.arange(60)[None] < counts
    network = pn.fit_networks(KEY, features, jnp.where(valid, targets, jnp.nan), valid, training=SMALL)
    for part in pn.predict(network, features):
        assert np.isfinite(part).all()
    start_key = jax.random.fold_in(pn.lane_key(KEY, 0), pn._START)
    start = pn.PriorNetwork(10, 2).init(start_key, jnp.zeros((1, 4), jnp.float32))
    assert_equal(lane_of(network.params, 0), start)


def test_learning_rate_is_divided_after_each_phase():
    def sizes(training):
        """Length of each Adam step under a constant gradient, which is the learning rate."""
        optimiser = pn._optimiser(training)
        params = jnp.zeros(1)
        state, steps = optimiser.init(params), []
        for _ in range(training.num_steps):
            update, state = optimiser.update(jnp.ones(1), state, params)
            params = optax.apply_updates(params, update)
            steps.append(-float(update[0]))
        return steps

    training = pn.Training(num_phases=3, steps_per_phase=4, steps_per_validation=4)
    np.testing.assert_allclose(sizes(training), np.repeat([1e-2, 2e-3, 4e-4], 4), rtol=1e-5)
    np.testing.assert_allclose(sizes(dataclasses.replace(training, decay=False)), 1e-2, rtol=1e-5)


def test_dropout_drops_its_share_independently():
    salts = jax.random.bits(KEY, (400, 2), jnp.uint32)
    kept = np.asarray(jax.vmap(lambda salt: pn._kept(salt, (3, 16, 10), 0.1))(salts)).reshape(400, -1)
    np.testing.assert_allclose(np.unique(kept), [0, 1 / 0.9], rtol=1e-6)
    dropped = kept == 0
    # 192,000 draws; four standard errors. Per unit over 400 steps and per step over 480 units: five.
    assert abs(dropped.mean() - 0.1) < 4 * 0.3 / dropped.size**0.5
    assert abs(dropped.mean(axis=0) - 0.1).max() < 5 * 0.3 / 400**0.5
    assert abs(dropped.mean(axis=1) - 0.1).max() < 5 * 0.3 / 480**0.5
    centred = (dropped - 0.1) / 0.3
    between_units = centred.T @ centred / 400
    between_steps = centred @ centred.T / 480
    for correlation, count in ((between_units, 400), (between_steps, 480)):
        off_diagonal = correlation[~np.eye(len(correlation), dtype=bool)]
        assert abs(off_diagonal.mean()) < 1e-3
        assert off_diagonal.std() == pytest.approx(1 / count**0.5, rel=0.05)


def test_dropped_units_are_silent(fitted):
    features, network = problem()[0], lane_of(fitted, 0)
    keep = np.asarray(pn._kept(jnp.asarray([5, 6], jnp.uint32), (2, 60, 10), 0.3))
    scaled = ((features - network.shift) / network.scale).astype(jnp.float32)
    heads = pn._apply(pn.PriorNetwork(10, 2), network.params, scaled, jnp.asarray(keep))
    for one, other in zip(heads, by_numpy(network, features, keep), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_only_training_drops_units(dropout, monkeypatch):
    """Traced, not run: which passes of the network are given a mask, and of which size."""
    passes, original = [], pn._apply

    def spy(network, params, features, keep=None):
        passes.append((len(features), keep is not None and keep.shape))
        return original(network, params, features, keep)

    monkeypatch.setattr(pn, "_apply", spy)
    features, targets, valid = problem(num_lanes=1)
    training = dataclasses.replace(SMALL, dropout=dropout)
    jax.eval_shape(lambda: pn.fit_network(KEY, features, targets[0], valid[0], training))
    assert set(passes) == {(6, False), (16, dropout > 0 and (2, 16, 10))}


def test_leave_one_out_masks_the_held_out_task():
    task = jnp.asarray([0, 1, 2, 1, 0])
    targets = jnp.asarray([[1.0, 2, 3, 4, 5], [6.0, 7, jnp.nan, 9, 10]])
    lanes, valid = pn.leave_one_out(targets, task, 3)
    assert lanes.shape == valid.shape == (6, 5)
    np.testing.assert_array_equal(valid[2], [True, False, True, False, True])  # task 1, objective 0
    np.testing.assert_array_equal(valid[3], [True, False, False, False, True])  # task 1, objective 1
    np.testing.assert_array_equal(lanes[3], [6, 0, 0, 0, 10])
    poisoned, _ = pn.leave_one_out(jnp.where(task[None] == 1, jnp.nan, targets), task, 3)
    np.testing.assert_array_equal(poisoned[2:4], lanes[2:4])


def test_pool_has_the_moments_of_the_mixture():
    rng = np.random.default_rng(2)
    mu, sigma = rng.normal(size=(5, 2)), rng.uniform(0.2, 1, (5, 2))
    draws = rng.normal(mu, sigma, (100_000, 5, 2)).reshape(-1, 2)
    mean, deviation = pn.pool(jnp.asarray(mu), jnp.asarray(sigma))
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(deviation, draws.std(axis=0), atol=0.01)


def test_second_fit_of_equal_shapes_compiles_nothing(fitted, monkeypatch):
    traced = []
    original = pn._train
    monkeypatch.setattr(pn, "_train", lambda *args: traced.append(1) or original(*args))
    pn.fit_networks(jax.random.key(1), *problem(seed=3), training=dataclasses.replace(SMALL))
    assert traced == []


@pytest.mark.parametrize(
    ("change", "named"),
    [({"steps_per_validation": 30}, "steps_per_validation"), ({"dropout": 1.0}, "dropout")],
)
def test_settings_that_cannot_be(change, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(SMALL, **change)
