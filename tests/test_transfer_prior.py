"""Proposals from lists: draws of the transfer prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks.normalise import normalisation

from mohb_jax.kernels.dominance import peel_rank
from mohb_jax.kernels.hypervolume import hypervolume
from mohb_jax.searchers.prepared_lists import LIST_LENGTH, list_order, next_list
from mohb_jax.searchers.transfer_prior import NOISE, _draw_lists, _noise_of, _sorted, transfer_prior
from mohb_jax.simulation import simulate
from mohb_jax.transfer import Prior, learn_prior, z_values
from tests import reference
from tests.transfer_tables import related_tasks

PEEL = jax.jit(peel_rank)
VOLUMES = jax.jit(jax.vmap(hypervolume, (0, None, 0)))


def certain(table):
    """A prior that knows every result."""
    mu = np.stack([z_values(table, task)[0] for task in range(table.num_tasks)]).astype(np.float32)
    return Prior(table.name, table.tasks, table.columns, table.objectives, mu, np.zeros_like(mu))


def vague(table):
    """A prior that knows nothing."""
    known = certain(table)
    zeros, ones = np.zeros_like(known.mu), np.ones_like(known.mu)
    return Prior(table.name, table.tasks, table.columns, table.objectives, zeros, ones)


def net_from(costs, opening):
    """The greedy net of one front that starts with a given row."""
    net, left = [opening], sorted(set(range(len(costs))) - {opening})
    while left:
        gaps = [min(np.sum((costs[i] - costs[j]) ** 2) for j in net) for i in left]
        net.append(left.pop(int(np.argmax(gaps))))
    return net


def test_with_certainty_proposals_are_the_table_sorted():
    table = related_tasks(fidelities=(1, 3, 9, 27), **deeper(related_tasks()))
    log = simulate(table, "mo-hb+prior", prior=certain(table), num_seeds=3, evaluations=27, draws=4)
    openings = set()
    for lane in range(log.row.shape[0]):
        z = z_values(table, int(log.task[lane]))[0].T.astype(np.float32).astype(float)
        rank, rows = reference.pareto_rank(z), log.row[lane]
        assert (np.sort(rank)[:27] == rank[rows]).all()
        front = np.flatnonzero(rank == 0)
        net = net_from(z[front], int(np.flatnonzero(front == rows[0])[0]))
        assert rows[: len(front)].tolist() == front[net].tolist()
        openings.add((int(log.task[lane]), int(rows[0])))
    assert len(openings) > table.num_tasks  # fronts open at random


def deeper(table):
    """The same results at four fidelities, the last two of them alike."""
    costs = np.concatenate([table.costs, table.costs[:, :, -1:], table.costs[:, :, -1:]], axis=2)
    return {"costs": costs, "runtime": np.tile([1.0, 3.0, 9.0, 27.0], (*costs.shape[:2], 1))}


@pytest.mark.wide
def test_with_certainty_one_by_one_starts_in_the_first_front():
    table = related_tasks()
    log = simulate(table, "random+prior", prior=certain(table), num_seeds=50, evaluations=1, draws=64)
    for task in range(table.num_tasks):
        front = np.flatnonzero(reference.pareto_rank(z_values(table, task)[0].T) == 0)
        first = log.row[log.task == task, 0]
        assert set(first.tolist()) <= set(front.tolist())
        assert len(set(first.tolist())) > 1  # not always the row with the best first objective


@pytest.mark.wide
def test_with_certainty_thompson_sampling_takes_the_best_in_turn():
    table = related_tasks()
    log = simulate(table, "cts", prior=certain(table), num_seeds=2, evaluations=10, draws=4)
    for lane in range(log.row.shape[0]):
        z = log.costs[lane, :, 0]
        best = np.sort(table.final_costs(int(log.task[lane]))[:, 0])[:10]
        assert (z <= best[-1] + 0.1).all()
        # Equal quantiles are ties: the winsorised best rows come in any order.
        ranks = np.sort(np.searchsorted(best, z))
        assert ranks.tolist() == list(range(10))


@pytest.mark.parametrize(
    "method",
    [*(pytest.param(name, marks=pytest.mark.wide) for name in ("mo-hb+prior", "random+prior")), "cts"],
)
def test_nothing_is_proposed_twice_until_all_is_proposed(method):
    table = related_tasks(num_rows=30, num_tasks=2)
    log = simulate(table, method, num_seeds=3, evaluations=100, draws=4)
    for lane in range(6):
        rows = log.row[lane][log.valid[lane] & (log.fidelity[lane] == log.fidelity[lane].max())]
        assert len(set(rows.tolist())) == len(rows)
        assert set(log.row[lane][log.valid[lane]].tolist()) == set(range(30))


@pytest.mark.wide
def test_proposals_one_by_one_do_not_depend_on_batches():
    table = related_tasks()
    searcher = transfer_prior(8, one_by_one=True)
    context = searcher.prepare(table, (0, 1, 2), 0, vague(table))
    task, suggest = np.int32(1), jax.jit(searcher.suggest, static_argnums=3)
    start = jax.jit(searcher.init)(context, task, jax.random.key(3))
    whole = suggest(context, task, start, 20)[1]
    state, rows = start, []
    for size in (8, 1, 8, 1, 1, 1):
        state, row, valid = suggest(context, task, state, size)
        assert np.asarray(valid).all()
        rows += row.tolist()
    assert rows == whole.tolist()


@pytest.mark.parametrize("draws", [130, 5])
def test_runs_share_lists_only_where_their_numbers_are_equal_modulo_64(draws):
    each = max(1, draws // 64)

    @jax.jit
    @jax.vmap
    def lists(run):
        keys, used = list_order(jax.random.fold_in(jax.random.key(0), run), draws), jnp.arange(2 * each)
        return jax.vmap(lambda place: next_list(keys, run % 64, place, draws))(used)

    found = np.asarray(lists(jnp.arange(128)))
    assert (found[:, :each] == found[:, each:]).all()  # in the same order again
    own = np.sort(found[:, :each], axis=1)
    assert (own[:64] == own[64:]).all()
    expected = np.arange(64 * each) if draws >= 64 else np.arange(64) % draws
    assert own[:64].ravel().tolist() == expected.tolist()


@pytest.mark.wide
def test_proposals_of_a_vague_prior_are_spread_evenly():
    table = related_tasks(num_rows=20, num_tasks=2)
    log = simulate(table, "cts", prior=vague(table), num_seeds=3000, evaluations=1, draws=4096)
    counts = np.bincount(log.row[log.task == 0, 0], minlength=20)
    assert counts.min() > 100  # 150 are expected
    assert counts.max() < 200


@pytest.mark.wide
def test_lists_hold_the_rows_of_their_task_alone():
    table = related_tasks()
    available = np.zeros(table.mask.shape, bool)
    for task, own in enumerate((slice(0, 30), slice(20, 60), slice(60, 80))):
        available[task, own] = True
    holes = related_tasks(costs=np.where(available[..., None], table.costs, np.nan), available=available)
    context = transfer_prior(6).prepare(holes, (2, 0), 0, vague(holes))
    for rows, own in zip(np.asarray(context.rows), (range(60, 80), range(30)), strict=True):
        for listed in rows:
            assert sorted(listed[listed >= 0]) == list(own)


@pytest.mark.wide
@pytest.mark.users_level  # much to compute
def test_rows_kept_for_sorting_are_those_that_sorting_needs():
    """Only far ends of late fronts may be missed, most where objectives disagree."""
    num_rows, listing = 3000, jax.jit(_sorted)
    rng = np.random.default_rng(0)
    for m in (2, 3):
        draws = rng.normal(size=(3, m, num_rows)).astype(np.float32)
        draws[1] += 0.8 * draws[1, :1]  # objectives that agree
        draws[2, 1] -= 0.8 * draws[2, 0]  # and that disagree
        for draw in draws:
            listed = np.asarray(listing(jax.random.key(0), draw, np.ones(num_rows, bool)))
            rank = np.asarray(PEEL(draw.T, np.ones(num_rows, bool)))
            assert (np.diff(rank[listed]) >= 0).all()  # whole fronts follow one another
            for num_first, most_missed in ((81, 0.02), (LIST_LENGTH, 0.15)):
                assert (rank[listed[:num_first]] > np.sort(rank)[num_first - 1]).mean() <= most_missed


@pytest.mark.wide
def test_large_tables_draw_a_fresh_subset():
    mu = np.zeros((2, 20_500), np.float32)
    places = np.asarray(
        _draw_lists(
            jax.random.key(0),
            np.zeros(NOISE, np.float32),
            mu,
            mu + 1,
            np.eye(2, dtype=np.float32),
            np.int32(20_400),
            np.arange(4),
        )
    )
    assert places.shape == (4, LIST_LENGTH)
    assert (places >= 0).all()
    assert places.max() < 20_400
    assert all(len(set(row)) == LIST_LENGTH for row in places.tolist())
    assert len(set(places.ravel().tolist())) > 2 * LIST_LENGTH


def test_the_noise_of_a_draw_is_normal_and_its_own():
    noise = jax.random.normal(jax.random.key(6), (NOISE,), jnp.float32)
    draws = jax.jit(jax.vmap(lambda noise, key: _noise_of(key, noise, 400), (None, 0)))
    drawn = np.asarray(draws(noise, jax.random.split(jax.random.key(7), 100)))
    assert scipy.stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(drawn) - np.eye(100)).max() < 0.25


def test_draws_of_objectives_that_share_what_they_are_off_by():
    """Off by the same, rows are in the order of one draw; off by the opposite, none dominates another."""
    key, num_rows = jax.random.key(4), 50
    noise = jax.random.normal(jax.random.key(5), (NOISE,), jnp.float32)
    drawn = _noise_of(jax.random.split(jax.random.fold_in(key, 0))[0], noise, 2 * num_rows)
    mu = np.zeros((2, num_rows), np.float32)
    order = np.argsort(np.asarray(drawn)[:num_rows])
    for sign in (1, -1):
        factor = np.array([[1, 0], [sign, 0]], np.float32)
        listed = np.asarray(_draw_lists(key, noise, mu, mu + 1, factor, np.int32(num_rows), np.arange(1)))[0]
        if sign == 1:
            assert listed.tolist() == order.tolist()
        else:
            assert set(listed[:3].tolist()) & {order[0], order[-1]}  # ends of the one front
            assert listed.tolist() != order.tolist()


@pytest.mark.wide
def test_a_rung_of_proposals_beats_random_search_where_tasks_are_alike():
    table = related_tasks(num_rows=400, shift=0.0, num_tasks=3)
    budget = {"num_seeds": 20, "evaluations": 27, "prior": learn_prior(table)}
    logs = simulate(table, "random", **budget), simulate(table, "random+prior", draws=64, **budget)
    volumes = [volumes_of(table, log) for log in logs]
    assert (volumes[1] > volumes[0]).mean() > 0.95


def volumes_of(table, log):
    """Hypervolume of each lane's highest-fidelity results."""
    scale = normalisation(table)
    full = log.valid & (log.fidelity == table.num_fidelities - 1)
    costs = np.stack([scale.apply(*lane) for lane in zip(log.costs, log.task.tolist(), strict=True)])
    return np.asarray(VOLUMES(costs, np.full(2, 1.1), full))
