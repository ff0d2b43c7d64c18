"""Ensembles selected from a library: worked examples, laws, and the plain definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mohb_jax.ensembles import selection
from mohb_jax.ensembles.selection import Library
from mohb_jax.kernels.hypervolume import hypervolume
from mohb_jax.precision import in_64_bits
from tests import reference_ensembles as reference

pytestmark = pytest.mark.fast

FIVE = np.array(
    [
        [0.9, 0.2, 0.8, 0.7, 0.6, 0.8],
        [0.3, 0.8, 0.6, 0.8, 0.7, 0.9],
        [0.6, 0.7, 0.7, 0.3, 0.8, 0.7],
        [0.6] * 6,
        [0.8, 0.4, 0.3, 0.9, 0.9, 0.5],
    ]
)
FIVE_COSTS = np.array([5.0, 4, 3, 1, 2])
FOUR = np.array([[0.6, 0.7, 0.8, 0.6], [0.9, 0.4, 0.4, 0.8], [0.2, 0.9, 0.7, 0.7], [0.55] * 4])
FOUR_COSTS = np.array([4.0, 3, 3, 1])
EXAMPLES, MODELS = 32, 8
"""Shapes that all libraries here are padded to, so that they share programs."""


def library_of(predictions, cost, test=None):
    """Padded with examples of which everybody is certain, and with models that are not allowed."""
    number, examples = predictions.shape
    padded = np.ones((2, EXAMPLES, MODELS))
    padded[0, :examples, :number] = predictions.T
    padded[1, :examples, :number] = (predictions if test is None else test).T
    costs = np.ones(MODELS)
    costs[:number] = cost
    return Library(*padded, costs, np.arange(MODELS) < number)


@functools.cache
def compiled():
    def lane(*parts):
        return jax.tree.map(lambda part: jnp.asarray(part)[None], parts)

    def every(library, budgets, nothing, key):
        return {
            "singles": selection.singles(library),
            "best": selection.best(library),
            "top-k": selection.top_k(library, num_steps=10),
            "caruana": selection.caruana(library, num_steps=10),
            "gradient": selection.gradient(library, num_steps=10),
            "smobf": jax.tree.map(lambda own: own[0], selection.smobf(*lane(library, budgets, nothing))),
            "nsga2": selection.nsga2(library, key, generations=20),
        }

    return jax.jit(every)


@in_64_bits
def selected(predictions, cost, budgets=None, nothing=10.0, test=None):
    """Of each way, with losses as means over the real examples."""
    library = library_of(predictions, cost, test)
    budgets = np.arange(1.0, 17) if budgets is None else budgets
    examples = predictions.shape[1]
    found = compiled()(library, jnp.asarray(budgets), nothing * examples, jax.random.key(0))
    return {
        name: selection.Ensembles(*map(np.asarray, one))._replace(
            loss=np.asarray(one.loss) / examples, test_loss=np.asarray(one.test_loss) / examples
        )
        for name, one in found.items()
    }


def members_of(weights):
    return [frozenset(np.flatnonzero(one).tolist()) for one in weights]


def sets_of_budgets(found, budgets, way=0):
    """Ensembles of one way for each budget, growing; one without any has those of the next larger."""
    shape = 2, budgets, -1
    valid, weights = found.valid.reshape(shape)[way], found.weights.reshape(*shape, MODELS)[way]
    own = [members_of(each[ok]) for ok, each in zip(valid, weights, strict=True)]
    for place in range(budgets - 2, -1, -1):
        own[place] = own[place] or own[place + 1]
    return own


@in_64_bits
def test_caruana_on_regression_is_that_of_auto_sklearn():
    truth = 5.5
    predictions = np.tile(np.arange(1.0, 20)[:, None], (1, 100))
    for model in range(1, 20):
        predictions[model - 1, 5 * model : 5 * model + 5] = 5.5 * model

    def squares(total, parts, count):
        return (((total + parts) / count - truth) ** 2).sum(axis=0)

    library = Library(predictions.T, predictions.T, np.ones(19), np.ones(19, bool))
    found = jax.jit(lambda own: selection.caruana(own, squares, 10))(library)
    wanted = [3.462297, 2.679202, 2.274863, 2.065717, 1.787456, 1.698345, 1.559451, 1.531633, 1.380195]
    np.testing.assert_allclose(np.sqrt(found.loss / 100), [*wanted, 1.355498], atol=1e-6)
    np.testing.assert_array_equal(found.weights[-1], [1, 2, 2, 1, 1, 1, 1, 1] + [0] * 11)

    def error(predictions, weights):
        return np.sqrt(np.mean((weights @ predictions / weights.sum() - truth) ** 2))

    members, losses = reference.caruana(predictions, 10, error)
    np.testing.assert_array_equal(reference.counted(members, 19), found.weights[-1])
    np.testing.assert_allclose(losses, np.sqrt(found.loss / 100))


@pytest.mark.wide
def test_five_models():
    found = selected(FIVE, FIVE_COSTS)
    alone = found["singles"]
    np.testing.assert_allclose(alone.loss[:5], [0.50476, 0.43719, 0.50133, 0.51083, 0.54121], atol=5e-6)
    walk = found["caruana"]
    assert (np.diff(walk.weights, axis=0, prepend=0).sum(axis=1) == 1).all()
    joined = np.argmax(np.diff(walk.weights, axis=0, prepend=0), axis=1)
    np.testing.assert_array_equal(joined, [1, 0, 1, 1, 0, 1, 0, 1, 1, 0])
    wanted = [0.43719, 0.40694, 0.40395, 0.40692, 0.40374, 0.40395, 0.40422, 0.40360, 0.40395, 0.40374]
    np.testing.assert_allclose(walk.loss, wanted, atol=5e-6)
    np.testing.assert_array_equal(walk.cost, [4] + [9] * 9)
    front = reference.brute(FIVE, FIVE_COSTS)
    assert [(set(one[0]), round(one[1], 5), one[2]) for one in front] == [
        ({3}, 0.51083, 1),
        ({2}, 0.50133, 3),
        ({1}, 0.43719, 4),
        ({0, 1}, 0.40694, 9),
    ]
    sets = [{3}] * 2 + [{2}] + [{1}] * 5 + [{0, 1}] * 7
    assert [own[-1] for own in sets_of_budgets(found["smobf"], 16)][:15] == sets


@pytest.mark.wide
@in_64_bits
def test_the_front_of_five_models_is_the_best_one():
    found = selected(FIVE, FIVE_COSTS)["smobf"]
    points = np.stack([found.loss.round(5), found.cost], axis=1)  # to the digits that the figure is made of
    assert float(hypervolume(points, np.array([0.7, 16.0]), found.valid)) == pytest.approx(3.94248, abs=1e-9)
    points[:, 0] = found.loss
    own = {(round(loss, 9), cost) for loss, cost in points[found.valid].tolist()}
    assert {(round(one[1], 9), one[2]) for one in reference.brute(FIVE, FIVE_COSTS)} <= own


def test_a_member_that_dominates():
    found = selected(FOUR, FOUR_COSTS)
    np.testing.assert_allclose(found["singles"].loss[:4], [0.40037, 0.54027, 0.60704, 0.59784], atol=5e-6)
    np.testing.assert_array_equal(found["caruana"].weights[5, :4], [6, 0, 0, 0])
    assert [set(one[0]) for one in reference.brute(FOUR, FOUR_COSTS)] == [{3}, {1}, {0}]
    sets = [own[-1] for own in sets_of_budgets(found["smobf"], 16)]
    assert (sets[0], sets[2], sets[3], sets[15]) == ({3}, {1}, {0}, {0})


def drawn(seed, number=7, examples=20):
    chance = np.random.default_rng(seed)
    return chance.uniform(0.05, 1, (number, examples)), np.round(chance.uniform(1, 10, number), 1)


@pytest.mark.parametrize("seed", range(4))
def test_made_libraries_agree_with_the_definition(seed):
    predictions, cost = drawn(seed)
    budgets = np.geomspace(1, 40, 16)
    found = selected(predictions, cost, budgets, nothing=0.9, test=predictions[:, ::-1])
    members, losses = reference.caruana(predictions, 10)
    np.testing.assert_allclose(found["caruana"].loss, losses, rtol=1e-12)
    np.testing.assert_array_equal(found["caruana"].weights[-1, :7], reference.counted(members, 7))
    for way, by_ratio in enumerate((False, True)):
        sets = sets_of_budgets(found["smobf"], 16, way)
        for own, budget in zip(sets, budgets, strict=True):
            wanted = reference.smobf(predictions, cost, budget, 0.9, by_ratio)
            if wanted:  # where nothing fits, the sets are those of a larger budget
                assert own == [frozenset(wanted[: size + 1]) for size in range(len(wanted))]
    for one in found.values():
        for weights, loss, test_loss, own_cost in zip(*(part[one.valid] for part in one[:4]), strict=True):
            assert loss == pytest.approx(reference.loss_of(predictions, weights[:7]))
            assert test_loss == pytest.approx(reference.loss_of(predictions[:, ::-1], weights[:7]))
            assert own_cost == pytest.approx(reference.cost_of(cost, weights[:7]))


def test_laws():
    predictions, cost = drawn(9)
    found = selected(predictions, cost)
    best = int(np.argmin([-np.mean(np.log(own)) for own in predictions]))
    for name in ("best", "top-k", "caruana", "gradient"):
        assert members_of(found[name].weights[:1]) == [{best}]
    for name in ("top-k", "caruana", "gradient"):
        assert (np.diff(found[name].cost[found[name].valid]) >= 0).all()
    ranked = np.argsort(found["singles"].loss[:7])
    assert members_of(found["top-k"].weights[:7]) == [frozenset(ranked[: k + 1].tolist()) for k in range(7)]
    assert found["top-k"].valid.sum() == 7
    assert (np.diff(found["gradient"].loss[found["gradient"].valid]) <= 0).all()
    order = np.array([3, 0, 6, 1, 5, 2, 4])
    turned = selected(predictions[order], cost[order])
    for name in ("best", "top-k", "caruana", "gradient", "smobf"):
        valid = found[name].valid
        np.testing.assert_array_equal(turned[name].valid, valid)
        np.testing.assert_allclose(turned[name].loss[valid], found[name].loss[valid], rtol=1e-12)
        np.testing.assert_array_equal(
            turned[name].weights[valid][:, :7], found[name].weights[valid][:, order]
        )


def test_the_gradient_joins_the_model_of_steepest_descent():
    predictions, cost = drawn(3)
    weights = selected(predictions, cost)["gradient"].weights[:2, :7]
    first = weights[0].astype(float)
    slopes = []
    for model in range(7):
        more = first.copy()
        more[model] += 1e-6
        slopes.append(reference.loss_of(predictions, more) - reference.loss_of(predictions, first))
    assert np.argmax(weights[1] - weights[0]) == np.argmin(slopes)


@in_64_bits
def test_fronts_beside_those_of_all_sets():
    """Of many libraries; a single one may fall far behind."""
    shares = {"smobf": [], "nsga2": [], "top-k": [], "singles": []}
    for seed in range(12):
        predictions, cost = drawn(100 + seed)
        corner = np.array([1.5, cost.sum() + 1])
        every = reference.brute(predictions, cost)
        volume = float(hypervolume(np.array([one[1:] for one in every]), corner))
        found = selected(predictions, cost, np.geomspace(cost.min(), cost.sum(), 16), nothing=1.5)
        for name, own in shares.items():
            points = np.stack([found[name].loss, found[name].cost], axis=1)
            own.append(float(hypervolume(points, corner, found[name].valid)) / volume)
    means = {name: np.mean(own) for name, own in shares.items()}
    assert max(max(own) for own in shares.values()) <= 1 + 1e-9
    assert means["smobf"] > 0.97
    assert means["nsga2"] > 0.97
    assert max(means["singles"], means["top-k"]) < means["smobf"]


@in_64_bits
def test_budgets_run_from_the_cheapest_to_the_dearest_members():
    cost = np.array([5.0, 2.0, 9.0, 1.0])
    grid = np.asarray(selection.budget_grid(cost, np.array([True, True, False, True]), 5))
    assert (grid[0], grid[-1]) == pytest.approx((1, 8))
    np.testing.assert_allclose(grid[1:] / grid[:-1], 8**0.25)


def test_a_library_without_models_gives_no_ensembles():
    library_of_none = library_of(np.full((1, 20), 0.5), np.ones(1))._replace(allowed=np.zeros(MODELS, bool))
    run = in_64_bits(lambda: compiled()(library_of_none, jnp.arange(1.0, 17), 10.0, jax.random.key(0)))
    assert not any(np.asarray(one.valid).any() for one in run().values())
