"""SMASHY: rungs of equal size, and proposals that nearest neighbours pick; oracles are plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic

from mohb_jax.errors import InputError
from mohb_jax.methods import make_plan, make_settings, method_named
from mohb_jax.schedule import Bracket, equal_batches
from mohb_jax.searchers import filtered
from mohb_jax.searchers.column_densities import densities, log_density
from mohb_jax.searchers.filtered import POOL, Numbers, picks
from mohb_jax.searchers.nearest_rows import STEPS, prepare_rows
from mohb_jax.simulation import simulate
from scripts.record_golden import case_of, small_table
from tests import reference_driver
from tests.test_hyperband import entries, integer_table, net_by_definition, suggestions

pytestmark = pytest.mark.wide

RUN = {"num_seeds": 2, "evaluations": 60, "workers": 3, "seed": 7}
"""That of the golden logs, whose programs serve."""


def numbers(first, last, per_tournament=1):
    return Numbers(np.float64(first), np.float64(last), np.float64(0), np.int32(per_tournament))


def factor(own, share):
    return own.factor_first * (own.factor_last / own.factor_first) ** share


def picks_by_definition(algorithm, values, num_wanted, own):
    """Places in ``values``, of which the least is the best, one after another."""
    pool, picked = list(range(len(values))), []
    if algorithm == "progressive":
        for number in range(num_wanted):
            size = round(num_wanted * factor(own, number / max(num_wanted - 1, 1))) - number
            allowed = pool[: max(size, 1)]
            if allowed:
                best = min(allowed, key=lambda place: values[place])
                pool.remove(best)
                picked.append(best)
        return picked
    count = -(-num_wanted // own.per_tournament)
    sizes = [round(own.per_tournament * factor(own, j / max(count - 1, 1))) for j in range(count)]
    if sum(sizes) > len(pool):
        sizes = [max(len(pool) // count, 1)] * count
    for size in sizes:
        window, pool = pool[:size], pool[size:]
        best = sorted(window, key=lambda place: values[place])[: own.per_tournament]
        picked += best[: num_wanted - len(picked)]
    return picked


def taken(algorithm, values, num_wanted, own):
    """What the kernel picks, in a pool that has room for more."""
    order = np.full(POOL, POOL, np.int32)
    order[: len(values)] = np.argsort(np.argsort(values))
    valid = np.arange(POOL) < len(values)
    found, count = picks(algorithm, jnp.array(order), jnp.array(valid), jnp.int32(num_wanted), own, 16)
    return np.asarray(found)[: int(count)].tolist()


def test_worked_examples_of_picks():
    values = (5, 1, 3, 2, 4, 0)
    assert taken("progressive", values, 2, numbers(3, 1)) == [5, 0]
    assert taken("tournament", values, 2, numbers(3, 1)) == [1, 3]


@pytest.mark.parametrize("algorithm", ["progressive", "tournament"])
def test_picks_are_those_of_plain_python(algorithm):
    rng = np.random.default_rng(0)
    for _ in range(60):
        values = rng.permutation(int(rng.integers(1, POOL)))
        # Of a tournament whose last one is cut short, and of pools that are too small.
        own = numbers(*rng.choice([1.0, 1.5, 2.0, 7.0, 30.0], 2), int(rng.integers(1, 4)))
        wanted = int(rng.integers(1, 16))
        assert taken(algorithm, values, wanted, own) == picks_by_definition(algorithm, values, wanted, own)


@pytest.mark.parametrize("neighbours", [1, 7])
def test_predictions_are_means_of_the_nearest_results(neighbours):
    table = small_table()
    rows, rng = prepare_rows(table, (0,)), np.random.default_rng(1)
    known, drawn = rng.choice(120, 40, replace=False), rng.integers(0, 120, 12).astype(np.int32)
    level = rng.integers(0, 2, 40).astype(np.int32)
    costs = rng.random((40, 3))
    state = filtered.FilterState(None, None, None, None, known.astype(np.int32), level, costs)
    found = filtered._predicted(f"knn{neighbours}", rows, jnp.array(drawn), _arrays(state), jnp.int32(1))
    codes = np.asarray(rows.codes).T.astype(int)
    for row, own in zip(drawn, np.asarray(found), strict=True):
        at_level = [place for place in range(40) if level[place] == 1]
        apart = [(int(((codes[row] - codes[known[place]]) ** 2).sum()), place) for place in at_level]
        nearest = [place for _, place in sorted(apart)[:neighbours]]
        np.testing.assert_allclose(own, costs[nearest].mean(axis=0), rtol=1e-12)
    assert STEPS == 4096


def _arrays(state):
    return state._replace(
        row=jnp.array(state.row), level=jnp.array(state.level), costs=jnp.array(state.costs)
    )


def test_rows_that_few_others_dominate_come_first():
    predicted = np.full((POOL, 2), 9.0)
    predicted[:4] = [(1, 3), (2, 4), (3, 1), (2, 4)]
    order = np.asarray(filtered._order(jnp.array(predicted), jnp.arange(POOL) < 4))
    assert order[:4].argsort().tolist() == [0, 2, 1, 3]


def test_without_a_filter_rows_are_those_of_random_search():
    logs = [simulate(small_table(), "smashy", **RUN, **own) for own in ({"random_share": 1}, RANDOM)]
    np.testing.assert_array_equal(logs[0].row, logs[1].row)
    np.testing.assert_array_equal(logs[0].end, logs[1].end)


RANDOM = {"searcher": "random"}
NET = RANDOM | {"promotion": "net", "scale": "none"}


def test_batches_of_equal_size():
    assert equal_batches((1, 3, 9), 9) == (Bracket((9, 9, 9), (0, 1, 2), (6, 6)),)
    assert equal_batches((1, 3, 9), 2)[0].kept == (1, 1, 0)
    assert equal_batches((5,), 9) == (Bracket((9,), (0,)),)
    assert Bracket((9, 3, 1), (0, 1, 2)).new == (9, 0, 0)


@pytest.mark.parametrize("resumable", [True, False])
def test_equal_batches_equal_plain_python(resumable):
    table = integer_table()
    log = simulate(table, "smashy", **RUN | {"evaluations": 70}, resumable=resumable, **NET)
    method = method_named("smashy")
    plan = make_plan(table, method, make_settings(method, **NET))
    for lane in range(4):
        expected = reference_driver.simulate(
            table,
            task=int(log.task[lane]),
            rows=suggestions(7, int(log.run[lane]), table.num_rows),
            brackets=plan.brackets,
            promote=net_by_definition,
            num_workers=3,
            overlap=False,
            resumable=resumable,
            budget=70,
        )
        assert entries(log, lane) == expected


@pytest.mark.slow
def test_the_filter_finds_what_random_search_does_not():
    """On a smooth surface; the published finding that a surrogate is what matters."""
    table = synthetic(num_rows=120, fidelities=(1, 3, 9, 27), num_objectives=3)
    found = [_mean_first(simulate(table, "smashy", **RUN | {"num_seeds": 64}, **own)) for own in ({}, RANDOM)]
    assert found[0] < found[1]


def _mean_first(log):
    full = (log.fidelity == 3) & log.valid
    return np.where(full, log.costs.sum(axis=-1), np.inf).min(axis=1).mean()


def test_settings_are_checked():
    method = method_named("smashy")
    with pytest.raises(InputError, match="random_share is 2: accepted are 0 to 1"):
        make_settings(method, random_share=2)
    with pytest.raises(InputError, match="searcher is 'forest': accepted are filtered, random"):
        make_settings(method, searcher="forest")


def test_densities_prefer_rows_that_are_likelier_among_the_good():
    """Of 40 results of one objective the best four are good, and all others bad."""
    rows, rng = prepare_rows(small_table(), (0,)), np.random.default_rng(2)
    known, drawn = rng.choice(120, 40, replace=False), rng.integers(0, 120, 12).astype(np.int32)
    costs = rng.random((40, 1))
    state = filtered.FilterState(
        None, None, None, None, known.astype(np.int32), np.zeros(40, np.int32), costs
    )
    order = known[costs[:, 0].argsort()]

    @jax.jit
    def both(rows, drawn, state):
        asked = rows.point(drawn).T
        bad, good = (
            log_density(rows, densities(rows, rows.point(jnp.array(own)).T, jnp.ones(len(own), bool)), asked)
            for own in (order[4:], order[:4])
        )
        return filtered._predicted("density", rows, drawn, state, jnp.int32(0))[:, 0], bad - good

    found, expected = both(rows, jnp.array(drawn), _arrays(state))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pools_of_the_prior():
    """Factors of 1 leave the first rows of its list, and without a filter the prior proposes that list."""
    table, _, _, prior = case_of("smashy+prior")
    run = RUN | {"tasks": table.tasks[:1], "evaluations": 9, "draws": 32, "prior": prior}
    plain = {"factor_first": 1, "factor_last": 1, "random_share": 0}
    own, listed, random = (
        simulate(table, "smashy+prior", **run, **settings)
        for settings in (plain, {"searcher": "prior"}, {"random_share": 1})
    )
    first, *others = (np.sort(log.row[:, :9]) for log in (own, listed, random))
    np.testing.assert_array_equal(first, others[0])
    assert (first != others[1]).any()
