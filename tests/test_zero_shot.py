"""Zero-shot portfolio and bounding box against slow Python."""

import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.columns import Column
from mohb_jax.benchmarks.normalise import true_front

from mohb_jax.errors import InputError
from mohb_jax.searchers.bounding_box import box_distance
from mohb_jax.searchers.zero_shot import portfolio_order
from mohb_jax.simulation import simulate
from tests import reference
from tests.transfer_tables import related_tasks

pytestmark = pytest.mark.fast


def by_definition(losses, num_select):
    """Greedy portfolio on losses without ties: mean rank, cut at the rank of what was chosen."""
    left, chosen = list(range(losses.shape[1])), []
    rank = None
    while left and len(chosen) < num_select:
        if rank is None or all(len({task[i] for i in left}) == 1 for task in rank):
            rank = [{i: sum(task[j] <= task[i] for j in left) for i in left} for task in losses]
        pick = min(left, key=lambda i: (sum(task[i] for task in rank), i))
        rank = [{i: min(task[i], task[pick]) for i in left} for task in rank]
        left.remove(pick)
        chosen.append(pick)
    return chosen


def positions(losses):
    return jnp.asarray(np.argsort(np.argsort(losses, axis=1), axis=1), jnp.int32)


def test_the_published_example():
    losses = np.array([[5, 1, 3, 4, 2], [4, 2, 1, 5, 3]])
    order = portfolio_order(positions(losses), jnp.ones(2, bool), 4)
    assert [0.1 * (row + 1) for row in order.tolist()] == pytest.approx([0.2, 0.3, 0.5, 0.1])


@pytest.mark.parametrize(("num_tasks", "num_rows"), [(1, 6), (2, 9), (4, 30)])
def test_order_equals_the_definition(num_tasks, num_rows):
    rng = np.random.default_rng(num_rows)
    for _ in range(5):
        losses = rng.random((num_tasks + 1, num_rows))
        use = jnp.arange(num_tasks + 1) < num_tasks
        order = portfolio_order(positions(losses), use, num_rows)
        assert order.tolist() == by_definition(losses[:num_tasks], num_rows)


def test_zero_shot_goes_through_the_portfolio_of_the_other_tasks():
    table = related_tasks(num_rows=40)
    log = simulate(table, "zero-shot", num_seeds=2, evaluations=40)
    for lane in range(6):
        others = [task for task in range(3) if task != log.task[lane]]
        position = []
        for task in others:
            order = reference.epsilon_net_order(reference.min_max_scaled(table.final_costs(task)))
            position.append(np.argsort(order))
        assert log.row[lane].tolist() == by_definition(np.array(position), 40)


def test_zero_shot_needs_the_same_rows_everywhere():
    table = related_tasks(num_rows=40)
    available = np.ones(table.mask.shape, bool)
    available[2, :5] = False
    holes = related_tasks(
        num_rows=40, costs=np.where(available[..., None], table.costs, np.nan), available=available
    )
    with pytest.raises(InputError, match="'related' has 40 in 'task-0', and 35 of these in 'task-2'"):
        simulate(holes, "zero-shot", evaluations=5)


def test_the_box_comes_first_and_then_what_is_near():
    table = related_tasks(num_rows=60)
    log = simulate(table, "bounding-box", num_seeds=3, evaluations=60)
    for lane in range(9):
        task = int(log.task[lane])
        best = np.unique(np.concatenate([true_front(table, t) for t in range(3) if t != task]))
        distance = box_distance(table, best)
        assert set(best.tolist()) <= set(np.flatnonzero(distance == 0).tolist())
        assert 0 < (distance == 0).sum() < 60
        assert (np.diff(distance[log.row[lane]]) >= 0).all()
        assert sorted(log.row[lane].tolist()) == list(range(60))
    assert len({tuple(rows) for rows in log.row.tolist()}) == 9  # inside, the order is random


def test_distance_to_a_box():
    columns = (
        Column("a", "continuous"),
        Column("b", "log"),
        Column("c", "categorical", levels=("p", "q", "r")),
    )
    configs = np.array([[0, 1, 0], [4, 10, 1], [10, 100, 0], [5, 1, 2.0]])
    table = related_tasks(num_rows=4, columns=columns, configs=configs)
    np.testing.assert_allclose(
        box_distance(table, np.array([0, 1])), [0, 0, np.hypot(0.6, 0.5), np.hypot(0.1, 1)]
    )
