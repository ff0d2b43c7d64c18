"""Concrete relaxation: samples, what they cost, what is fixed when, and runs on a table of known answers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.table import Objective, Table

from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.searchers import concrete, relaxation
from mohb_jax.searchers.column_levels import prepare_levels
from mohb_jax.searchers.relaxation import Choices, Fixed, Goal, Relaxation
from mohb_jax.simulation import simulate
from mohb_jax.testing.fixtures import tables
from tests import reference_relaxation as slow

pytestmark = pytest.mark.wide

COLUMNS = ((3, False, None), (4, True, 1), (2, True, None))
"""Levels, whether they have gates, and the level that says that there is no edge."""
OPERATIONS = ("none", "skip", "conv", "pool")
LOSS = np.array([[3, 1, 0, 2], [0, 3, 2, 1], [1, 3, 2, 0], [2, 0, 1, 3.0]])
"""What each operation adds on each of four edges."""
PARAMETERS = np.array([0, 0, 900, 100])


def choices_like(columns):
    most = max(n for n, _, _ in columns)
    is_absent = [[level == absent for level in range(most)] for _, _, absent in columns]
    return Choices(
        jnp.array([np.arange(most) < n for n, _, _ in columns]),
        jnp.array([gated for _, gated, _ in columns]),
        jnp.array(is_absent),
    )


def plain_choices(num_columns, num_levels):
    return choices_like(((num_levels, False, None),) * num_columns)


@functools.cache
def edges_table():
    """All 256 ways to put four operations on four edges; both objectives are sums over edges."""
    configs = np.array(list(itertools.product(range(4), repeat=4)), float)
    taken = configs.astype(int)
    loss = LOSS[np.arange(4), taken].sum(axis=1)
    costs = np.stack([loss, PARAMETERS[taken].sum(axis=1) + 50], axis=1)[None, :, None]
    return Table(
        name="edges",
        columns=tuple(Column(f"edge_{d}", "categorical", "architecture", OPERATIONS) for d in range(4)),
        configs=configs,
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("loss", "min", "1"), Objective("size", "min", "parameters")),
        costs=costs,
        runtime=np.ones((1, 256, 1)),
    )


@pytest.mark.parametrize("sample", ["concrete", "softmax"])
def test_cost_and_gradient_are_those_of_the_definition(sample):
    """Gates, absent edges and columns of fewer levels included; the gradient by central differences."""
    choices = choices_like(COLUMNS)
    rng = np.random.default_rng(0)
    logits, layer = rng.normal(size=(3, 4)), rng.normal(size=(12, 5))
    out, resource = rng.normal(size=(5, 2)), rng.uniform(0, 30, (3, 4))
    weights, temperature, key = np.array([0.3, 0.7]), 0.6, jax.random.key(1)
    goal = Goal(jnp.asarray(temperature), jnp.asarray(weights), jnp.asarray(resource[None]))

    def predict(samples):
        return jnp.tanh(samples.reshape(samples.shape[0], -1) @ layer) @ out

    def predict_one(sample):
        padded = np.stack([np.pad(own, (0, 4 - len(own))) for own in sample])
        return np.tanh(padded.reshape(-1) @ layer) @ out

    chosen = Relaxation(sample=sample, resource_weight=0.2)
    ours = jax.jit(
        jax.value_and_grad(
            lambda logits: relaxation.expected_cost(
                key, logits, choices.is_level, choices, goal, predict, chosen
            )
        )
    )
    noise = np.zeros((1, 3, 4))
    if sample == "concrete":
        noise = np.asarray(relaxation.noise_of(key, choices, relaxation.NUM_SAMPLES, jnp.float64))

    def definition(logits):
        return slow.expected_cost(logits, noise, COLUMNS, temperature, predict_one, weights, resource, 0.2)

    value, gradient = ours(jnp.asarray(logits))
    np.testing.assert_allclose(value, definition(logits), rtol=1e-12)
    expected = scipy.optimize.approx_fprime(logits.ravel(), lambda x: definition(x.reshape(3, 4)), 1e-7)
    np.testing.assert_allclose(gradient, expected.reshape(3, 4), atol=2e-6)


def test_cold_samples_are_levels_drawn_by_their_shares():
    """Logits log 1, log 2, log 3: a sixth, a third, a half."""
    logits, choices = jnp.log(jnp.array([[1.0, 2.0, 3.0]])), plain_choices(1, 3)
    noise = relaxation.noise_of(jax.random.key(0), choices, 6000, jnp.float64)
    cold = relaxation.relaxed(choices, logits, choices.is_level, noise, jnp.asarray(1e-3), "concrete")
    assert float(jnp.mean(jnp.max(cold, axis=-1) > 0.999)) > 0.99
    shares = np.array([1, 2, 3]) / 6
    error = np.sqrt(shares * (1 - shares) / 6000)
    assert (np.abs(np.mean(cold[:, 0], axis=0) - shares) < 3 * error).all()
    warm = [
        relaxation.relaxed(choices, logits, choices.is_level, noise, jnp.asarray(0.5), sample)
        for sample in ("straight", "concrete")
    ]
    np.testing.assert_array_equal(warm[0].argmax(-1), warm[1].argmax(-1))
    np.testing.assert_allclose(warm[0].max(-1), 1)


def test_samples_have_the_density_of_the_concrete_distribution():
    """Its factorial is 2! for three levels; one code of SNAS has that of eight levels, 7!, for all."""
    weights, temperature, steps = np.array([1.0, 2.0, 3.0]), 1.0, 100
    centres = (np.arange(steps) + 0.5) / steps
    # The simplex as a square: (u, v) -> (u, (1 - u) v, (1 - u) (1 - v)), which shrinks areas by 1 - u.
    mass, above = 0.0, 0.0
    for u, v in itertools.product(centres, centres):
        own = slow.density(np.array([u, (1 - u) * v, (1 - u) * (1 - v)]), weights, temperature)
        mass += own * (1 - u) / steps**2
        above += own * (1 - u) / steps**2 * (u > 0.5)
    np.testing.assert_allclose(mass, 1, atol=5e-3)
    choices = plain_choices(1, 3)
    noise = relaxation.noise_of(jax.random.key(3), choices, 6000, jnp.float64)
    sample = relaxation.relaxed(
        choices, jnp.log(weights)[None], choices.is_level, noise, jnp.asarray(temperature), "concrete"
    )
    assert abs(float(jnp.mean(sample[:, 0, 0] > 0.5)) - above) < 3 * np.sqrt(above * (1 - above) / 6000)


def test_resource_by_hand():
    """Two columns that cost (1, 10) and (1, 100) in equal shares: log 5.5 + log 50.5."""
    costs, choices = jnp.array([[[1.0, 10.0], [1.0, 100.0]]]), plain_choices(2, 2)

    def term(logits):
        share = jnp.exp(relaxation.log_shares(choices, logits, choices.is_level))
        return relaxation.resource_term(share, costs)

    value, gradient = jax.jit(jax.value_and_grad(term))(np.zeros((2, 2)))
    np.testing.assert_allclose(value, 1.7047 + 3.9220, atol=1e-4)
    np.testing.assert_allclose(gradient[0], [-0.4091, 0.4091], atol=1e-4)
    assert (
        float(relaxation.resource_term(jnp.full((2, 2), 0.5), costs / 1000)) == 0
    )  # less than 1 counts as 1


def test_what_levels_add_is_found_where_an_objective_is_a_sum_and_its_share_where_it_is_not():
    space = prepare_levels(edges_table(), (0,))
    levels, values = np.asarray(space.levels), edges_table().final_costs(0)[:, 1]
    costs, share = relaxation.additive_costs(levels, space.num_levels, values)
    np.testing.assert_allclose(costs, np.tile(PARAMETERS, (4, 1)), atol=1e-6)
    np.testing.assert_allclose(share, 1)
    product = values * (1 + levels[0])
    assert 0.5 < relaxation.additive_costs(levels, space.num_levels, product)[1] < 0.99
    costs, share = relaxation.additive_costs(levels, space.num_levels, np.full(256, 7.0))
    assert share == 1
    np.testing.assert_allclose(costs, 0, atol=1e-9)


def steps_down(values, temperature, sample="softmax"):
    """Shares after the steps of a batch, where each level of two columns costs what ``values`` says."""
    choices = plain_choices(*values.shape)
    goal = Goal(jnp.asarray(temperature), jnp.ones(1), jnp.zeros((0, *values.shape)))

    def cost(logits, key):
        predict = lambda samples: jnp.sum(samples * values, axis=(1, 2))[:, None]  # noqa: E731
        return relaxation.expected_cost(
            key, logits, choices.is_level, choices, goal, predict, Relaxation(sample=sample)
        )

    start = jnp.zeros(values.shape)
    moments = concrete.OPTIMISER.init(start)
    logits, _ = jax.jit(
        lambda key: relaxation.descended(cost, start, moments, key, concrete.OPTIMISER, concrete.STEPS)
    )(jax.random.key(0))
    return jax.nn.softmax(logits)


def test_a_batch_of_steps_finds_clear_levels_and_the_temperature_moves_no_optimum_of_a_sum():
    """A sum over columns is linear in relaxed choices: its optimum is at levels whatever the temperature."""
    values = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 3.0]])
    for temperature, sample in ((1.0, "softmax"), (0.3, "softmax"), (1.0, "concrete")):
        share = steps_down(values, temperature, sample)
        np.testing.assert_array_equal(share.argmax(axis=1), [1, 0])
        assert (share.max(axis=1) > 0.5).all()


def test_confidence_fixes_the_column_of_least_entropy():
    """Entropies .6 and .2: the second comes first, at its likelier level; not if it is fixed already."""
    odds = [
        scipy.optimize.brentq(lambda p, wanted=wanted: scipy.stats.entropy([p, 1 - p]) - wanted, 1e-6, 0.5)
        for wanted in (0.6, 0.2)
    ]
    shares = jnp.log(jnp.array([[1 - odds[0], odds[0]], [odds[1], 1 - odds[1]]]))
    np.testing.assert_allclose(relaxation.entropies(shares), [0.6, 0.2], atol=1e-9)
    column, level = relaxation.most_confident(shares, jnp.array([True, True]))
    assert (int(column), int(level)) == (1, 1)
    assert int(relaxation.most_confident(shares, jnp.array([True, False]))[0]) == 0


def test_perturbation_finds_the_level_that_matters_where_its_logit_does_not_say_so():
    """Levels 0 and 1 are alike but for a large logit of 0; without level 2 the cost rises most."""
    values, choices = jnp.array([[5.0, 5.0, 0.0]]), plain_choices(1, 3)
    logits = jnp.array([[2.0, 0.0, 0.5]])

    def cost(allowed):
        return jnp.sum(jnp.exp(relaxation.log_shares(choices, logits, allowed)) * values)

    free = jnp.array([True])
    assert int(relaxation.most_confident(jax.nn.log_softmax(logits), free)[1]) == 0
    column, level = relaxation.most_missed(jax.random.key(0), cost, choices.is_level, free)
    assert (int(column), int(level)) == (0, 2)


def test_an_edge_of_equal_shares_is_absent_as_often_as_any_operation():
    choices = concrete.choices_of(edges_table(), prepare_levels(edges_table(), (0,)), "sigmoid")
    assert np.asarray(choices.is_absent).tolist() == [[True, False, False, False]] * 4
    logits = relaxation.first_logits(choices)
    shares = jnp.exp(relaxation.log_shares(choices, logits, choices.is_level))
    np.testing.assert_allclose(shares, 0.25)
    more = jnp.exp(relaxation.log_shares(choices, logits.at[0, 0].set(1.0), choices.is_level))
    np.testing.assert_allclose(more[0], [1 / (1 + np.exp(-1))] + [1 / (1 + np.exp(1)) / 3] * 3)
    without = choices.is_level.at[0, 0].set(False)
    np.testing.assert_allclose(
        jnp.exp(relaxation.log_shares(choices, logits, without))[0], [0, 1 / 3, 1 / 3, 1 / 3], atol=1e-12
    )


def test_the_last_fixed_columns_are_freed_where_too_few_rows_are_left():
    """Three columns of two levels: with the first two fixed two rows agree, with the first four."""
    levels = jnp.array(list(itertools.product(range(2), repeat=3))).T
    fixed = Fixed(jnp.array([1, 0, 3]), jnp.array([1, 0, 0]))  # the second was fixed before the first
    np.testing.assert_array_equal(relaxation.first_disagreement(levels, fixed), [1, 1, 0, 0, 3, 3, 0, 0])
    all_free = jnp.ones(8, bool)
    orders = [relaxation.with_room(fixed, levels, all_free, n).order.tolist() for n in (2, 3, 4, 5, 9)]
    assert orders == [[1, 0, 3], [3, 0, 3], [3, 0, 3], [3, 3, 3], [3, 3, 3]]
    seen = relaxation.with_room(fixed, levels, all_free.at[4].set(False), 2)
    assert seen.order.tolist() == [3, 0, 3]


def best_loss(log, table):
    return table.costs[0, :, 0, 0][log.row].min(axis=1)


def test_runs_on_a_table_of_operations():
    """It begins as random search does, takes no row twice, and finds better operations in 60 of 256 rows."""
    table = edges_table()
    ours, by_chance = (simulate(table, name, num_seeds=20, evaluations=60) for name in ("concrete", "random"))
    np.testing.assert_array_equal(ours.row[:, :10], by_chance.row[:, :10])
    assert all(len(set(row)) == 60 for row in ours.row.tolist())
    gain = best_loss(by_chance, table) - best_loss(ours, table)
    assert scipy.stats.t.interval(0.95, 19, gain.mean(), scipy.stats.sem(gain))[0] > 0


def test_known_parameters_fall_where_they_weigh_much():
    table = edges_table()
    log = simulate(table, "concrete", num_seeds=8, evaluations=40, resource_weight=100)
    size = table.costs[0, :, 0, 1][log.row].reshape(8, 4, 10).mean(axis=(0, 2))
    assert (size[1:] < size[0] / 2).all()  # of 256 rows few are small, so that it cannot fall for long


def test_columns_are_fixed_on_the_way_and_a_small_table_is_used_up():
    """Gates, straight samples and columns that are fixed early, until no row is left."""
    table = edges_table()
    options = {"sample": "straight", "edges": "sigmoid", "discretise": "perturbation", "annealing": 50}
    log = simulate(table, "concrete", num_seeds=2, evaluations=256, **options)
    assert (np.sort(log.row, axis=1) == np.arange(256)).all()
    levels = table.configs[log.row].astype(int)
    distinct = [[len(np.unique(own[:, d])) for d in range(4)] for own in levels[:, 40:50]]
    assert min(map(min, distinct)) == 1


def test_what_it_cannot_serve_is_said():
    method = method_named("concrete")
    with pytest.raises(InputError, match="edges sigmoid needs columns that name operations"):
        make_plan(tables()["mixed"], method, make_settings(method, edges="sigmoid"))
    with pytest.raises(InputError, match="accepted are concrete, straight, softmax"):
        make_settings(method, sample="gumbel")
    assert "columns of operations" in method.needs
