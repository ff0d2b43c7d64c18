"""The ensemble of small networks, ridge regression on levels, and what both learn from."""

import jax
import numpy as np
import pytest
from mohb_jax.surrogates.ensemble import EnsembleTraining, Network, fit_further, new_ensemble, predict_all
from mohb_jax.surrogates.ridge import PENALTY, ridge_predictions
from mohb_jax.surrogates.transform import standardised_costs
from sklearn.linear_model import Ridge

pytestmark = pytest.mark.fast

TRAINING = EnsembleTraining(num_members=3, num_epochs=40)
N, COLUMNS, OUTPUTS = 70, 4, 2


@pytest.fixture(scope="module")
def fit():
    """Training of a new ensemble, compiled once for all tests."""

    def from_start(key, features, targets, valid):
        params = new_ensemble(key, COLUMNS, OUTPUTS, TRAINING)
        return params, fit_further(params, key, features, targets, valid, TRAINING)

    return jax.jit(from_start)


def linear_data(seed=0):
    rng = np.random.default_rng(seed)
    features = rng.random((N, COLUMNS))
    targets = features @ rng.normal(size=(COLUMNS, OUTPUTS))
    return features, (targets - targets.mean(axis=0)) / targets.std(axis=0)


def test_predictions_equal_a_forward_pass_in_numpy():
    params = new_ensemble(jax.random.key(0), COLUMNS, OUTPUTS, TRAINING)
    features = linear_data()[0]
    first, last = (params["params"][name] for name in ("Dense_0", "Dense_1"))
    expected = [
        np.maximum(features @ first["kernel"][e] + first["bias"][e], 0) @ last["kernel"][e] + last["bias"][e]
        for e in range(3)
    ]
    np.testing.assert_allclose(predict_all(params, features), expected, rtol=1e-12)
    assert first["kernel"].shape == (3, COLUMNS, 10)


def test_new_weights_are_those_that_flax_draws():
    shape, network = np.zeros((1, COLUMNS)), Network(TRAINING.width, OUTPUTS)
    keys = jax.random.split(jax.random.key(2), TRAINING.num_members)
    expected = jax.jit(jax.vmap(lambda key: network.init(key, shape)))(keys)
    found = new_ensemble(jax.random.key(2), COLUMNS, OUTPUTS, TRAINING)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_new_weights_and_biases_are_standard_normal_and_differ_between_members():
    training = EnsembleTraining(num_members=4, width=500)
    params = new_ensemble(jax.random.key(1), 20, 2, training)
    for leaf in jax.tree.leaves(params):
        flat = np.asarray(leaf).reshape(4, -1)
        assert abs(flat.mean()) < 5 / np.sqrt(flat.size)
        assert abs(flat.std() - 1) < 5 / np.sqrt(2 * flat.size)
        assert len(np.unique(flat[:, 0])) == 4


def test_learns_a_linear_function(fit):
    features, targets = linear_data()
    valid = np.arange(N) < 50
    before, after = fit(jax.random.key(0), features, targets, valid)
    errors = [
        ((predict_all(params, features) - targets) ** 2).mean(axis=(1, 2)) for params in (before, after)
    ]
    assert (errors[1] < 0.05).all()  # a constant prediction has 1
    assert (errors[0] > 1).all()
    held_out = np.asarray(predict_all(after, features))[:, 50:] - targets[50:]
    assert (held_out**2).mean() < 0.1


def test_rows_that_are_not_valid_change_nothing(fit):
    features, targets = linear_data()
    valid = np.arange(N) % 3 != 0
    clean = fit(jax.random.key(2), features, targets, valid)[1]
    dirt = np.where(valid[:, None], 0, 1e6)
    dirty = fit(jax.random.key(2), features + dirt, targets + np.where(dirt > 0, np.nan, 0), valid)[1]
    for one, other in zip(jax.tree.leaves(clean), jax.tree.leaves(dirty), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_rows_nothing_is_learnt(fit):
    features, targets = linear_data()
    before, after = fit(jax.random.key(3), features, targets, np.zeros(N, bool))
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_equals_adam_written_out():
    """One epoch over two rows is one step whose batch is all there is, in any order."""
    training = EnsembleTraining(num_members=1, num_epochs=2, width=3, most_norm=0.5)
    params = new_ensemble(jax.random.key(4), 2, 1, training)
    features, targets = np.array([[0.2, 0.9], [0.7, 0.1]]), np.array([[1.0], [-1.0]])
    fitted = fit_further(params, jax.random.key(5), features, targets, np.ones(2, bool), training)
    layers = params["params"]
    weights = [np.array(layers[a][b][0]) for a in ("Dense_0", "Dense_1") for b in ("kernel", "bias")]
    moments = [[np.zeros_like(weight) for weight in weights] for _ in range(2)]
    for step in (1, 2):
        gradients = gradients_by_hand(weights, features, targets)
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
        for i, gradient in enumerate(gradients):
            clipped = gradient * min(1, 0.5 / norm)
            moments[0][i] = 0.9 * moments[0][i] + 0.1 * clipped
            moments[1][i] = 0.999 * moments[1][i] + 0.001 * clipped**2
            mean, square = moments[0][i] / (1 - 0.9**step), moments[1][i] / (1 - 0.999**step)
            weights[i] = weights[i] - 0.1 * mean / (np.sqrt(square) + 1e-8)
    layers = fitted["params"]
    ours = [layers[a][b][0] for a in ("Dense_0", "Dense_1") for b in ("kernel", "bias")]
    for one, other in zip(ours, weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def gradients_by_hand(weights, features, targets):
    """Of the mean squared error, by the chain rule."""
    first, first_bias, last, last_bias = weights
    before = features @ first + first_bias
    hidden = np.maximum(before, 0)
    pull = 2 * (hidden @ last + last_bias - targets) / targets.size
    back = (pull @ last.T) * (before > 0)
    return [features.T @ back, back.sum(axis=0), hidden.T @ pull, pull.sum(axis=0)]


def test_ridge_equals_scikit_learn_on_one_hot_levels():
    rng = np.random.default_rng(0)
    levels, queries = rng.integers(-1, 4, (20, 3)), rng.integers(-1, 4, (9, 3))
    targets, valid = rng.normal(size=(20, 2)), np.arange(20) != 7
    one_hot = [(part[:, :, None] == np.arange(-1, 4)).reshape(len(part), -1) for part in (levels, queries)]
    model = Ridge(alpha=PENALTY, fit_intercept=False).fit(one_hot[0][valid], targets[valid])
    ours = ridge_predictions(levels, np.where(valid[:, None], targets, 1e9), valid, queries)
    np.testing.assert_allclose(ours, model.predict(one_hot[1]), rtol=1e-9, atol=1e-12)
    nothing = ridge_predictions(levels, targets, np.zeros(20, bool), queries)
    np.testing.assert_array_equal(nothing, np.zeros((9, 2)))


def test_costs_are_standardised_whatever_their_unit_and_failures_are_the_worst():
    costs = np.array([[1e-9, 5.0], [3e-9, 5.0], [np.inf, np.inf], [2e-9, 5.0], [np.nan, -1.0]])
    valid = np.array([True, True, True, True, False])
    own = np.array([1.0, 3.0, 3.0, 2.0])
    expected = np.zeros((5, 2))
    expected[:4, 0] = (own - own.mean()) / own.std()
    np.testing.assert_allclose(standardised_costs(costs, valid), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(standardised_costs(costs[2:3], valid[2:3]), np.zeros((1, 2)))
