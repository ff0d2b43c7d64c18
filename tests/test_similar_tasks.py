"""Starts from similar tasks: the worked examples, slow definitions, and what runs may not know."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks import from_frame

from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.searchers import meta_knn
from mohb_jax.searchers.base import Job, Moment
from mohb_jax.searchers.kriging_believer import problem_of
from mohb_jax.searchers.landmarks import landmarks, likeness, spread_rows
from mohb_jax.searchers.meta_knn import Start, start_lists
from mohb_jax.searchers.similar_tasks import (
    best_rows,
    by_likeness,
    differences,
    level_by_level,
    offered,
    scaled,
)
from mohb_jax.simulation import simulate
from mohb_jax.study.spec import make_study
from mohb_jax.study.units import StudyTable, work_units
from scripts.similar_tasks import PUBLISHED, at_random, portfolio, similar, trainings
from tests import reference
from tests.transfer_tables import poisoned, related_tasks

pytestmark = pytest.mark.wide

NAN = float("nan")


def described(num_rows=40, num_tasks=3, **changes):
    sizes = {"size": [1.0, 2.0, 7.0][:num_tasks], "width": [3.0, 3.0, 1.0][:num_tasks]}
    return related_tasks(num_rows=num_rows, num_tasks=num_tasks, descriptors=sizes, **changes)


def features_of(table):
    return np.array(list(table.descriptors.values())).T


def test_lists_and_regrets_of_the_embedded_trainings(monkeypatch):
    table = trainings()
    features, lists = features_of(table), start_lists(table, tuple(range(7)), PUBLISHED)
    apart = differences(features, 0)
    names = [table.tasks[task] for task in by_likeness(apart, 0)]
    assert names[:4] == ["digits-upper", "digits-noisy", "digits-parity", "patch-source"]
    assert apart[by_likeness(apart, 0)][:4].tolist() == [0, 0, 1, 1]
    assert names[4:] == ["breast-cancer", "diabetes"]
    assert lists[0].tolist() == [236, 142, 95, 15, 136, 82]
    cancer = table.task_index("breast-cancer")
    apart = differences(features, cancer)
    assert [table.tasks[task] for task in by_likeness(apart, cancer)][:2] == ["diabetes", "digits-parity"]
    assert apart[by_likeness(apart, cancer)][:2].tolist() == [0, 3]
    assert lists[cancer].tolist() == [82, 95, 15, 13, 236, 142]
    expected = [0.1516, 0.1516, 0.1360, 0.1168, 0.1168, 0.1168]
    np.testing.assert_allclose(similar(table), expected, atol=1e-4)
    expected = [0.1290, 0.1147, 0.1147, 0.1147, 0.1142, 0.1131]
    found = portfolio(table)
    np.testing.assert_allclose(found[:3], expected[:3], atol=1e-4)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # then ties of whole mistakes decide
    monkeypatch.setattr("scripts.similar_tasks.DRAWS", 400)
    np.testing.assert_allclose(at_random(table)[1:], [0.852, 0.551, 0.418, 0.344, 0.298], atol=0.06)


def test_a_task_may_lie_outside_of_what_the_others_span():
    features = np.array([[0, 0], [1, 10], [2, 5], [2, 15.0]])
    np.testing.assert_allclose(scaled(features, 3)[3], [1, 1.5])
    np.testing.assert_allclose(differences(features, 3)[:3], [2.5, 1, 1])
    assert by_likeness(differences(features, 3), 3).tolist() == [1, 2, 0]
    np.testing.assert_allclose(differences(features, 3, "l2")[:3], [3.25, 0.5, 1])
    features[3, 1] = NAN
    np.testing.assert_allclose(differences(features, 3)[:3], [1, 0.5, 0])
    assert by_likeness(differences(features, 3), 3).tolist() == [2, 1, 0]


def test_unknown_and_constant_features():
    nothing = np.full((4, 2), NAN)
    assert by_likeness(differences(nothing, 2), 2).tolist() == [0, 1, 3]
    others_unknown = np.array([[NAN, 1], [NAN, 1], [5, 3.0]])
    assert differences(others_unknown, 2).tolist() == [0, 0, 0]
    mean = np.array([[0.0], [4.0], [NAN], [1.0]])
    np.testing.assert_allclose(differences(mean, 3)[:3], [0.25, 0.75, 0.25])


def test_each_row_stands_once_and_levels_follow_each_other():
    best = np.array([[5, 1, 2], [5, 3, -1], [4, 5, 1]])
    assert level_by_level(best, 25) == [5, 4, 1, 3, 2]
    assert level_by_level(best, 3) == [5, 4, 1]


def test_best_rows_are_sorted_as_by_definition():
    table = related_tasks(num_rows=40)
    for task in range(3):
        order = reference.epsilon_net_order(reference.min_max_scaled(table.final_costs(task)))
        assert best_rows(table, task, 40).tolist() == order.tolist()
        single = table.select(objectives=["f0"])
        expected = np.argsort(table.final_costs(task)[:, 0], kind="stable")
        assert best_rows(single, task, 50).tolist() == [*expected, *[-1] * 10]


def test_rows_that_were_never_tried_give_way_to_the_nearest():
    table = related_tasks(num_rows=40)
    available = np.ones(table.mask.shape, bool)
    available[0, 20:] = False
    costs = np.where(available[..., None], table.costs, np.nan)
    holes = related_tasks(num_rows=40, costs=costs, available=available)
    for row in range(40):
        apart = ((table.configs[:20] - table.configs[row]) ** 2).sum(axis=1)
        assert offered(holes, 0, np.array([row, -1])).tolist() == [np.argmin(apart), -1]
    assert offered(holes, 1, np.array([30])).tolist() == [30]


def test_runs_begin_with_the_list_and_a_tasks_own_results_change_nothing():
    table = described()
    rows = start_lists(table, (0, 1, 2), Start(4, 25, "l1"))
    log = simulate(table, "meta-knn", num_seeds=2, evaluations=20)
    for lane, task in enumerate(log.task):
        own = rows[task][rows[task] >= 0]
        assert log.row[lane, : len(own)].tolist() == own.tolist()
        assert sorted(set(log.row[lane].tolist())) == sorted(log.row[lane].tolist())
    again = start_lists(poisoned(table), (0,), Start(4, 25, "l1"))
    assert again.tolist() == rows[:1].tolist()
    cut = start_lists(table, (0, 1, 2), Start(4, 2, "l1"))
    assert cut.tolist() == rows[:, :2].tolist()


@in_64_bits
def test_the_process_is_asked_from_the_end_of_the_list_on(monkeypatch):
    asked = []

    def model(problem, acquisition, context, task, state, moment):
        asked.append(int(moment.num_launched) >= problem.num_initial)
        return state, Job(jnp.int32(39), jnp.int32(0), jnp.int32(-1), jnp.bool_(True))

    monkeypatch.setattr(meta_knn, "propose", model)
    table, start = described(), Start(1, 25, "l1")
    policy = meta_knn.meta_knn_process.__wrapped__(problem_of(table, num_workers=1), start)
    context, task = policy.prepare(table, (0, 2), 0, None), jnp.int32(1)
    state, rows = policy.init(context, task, jax.random.key(0)), []
    for number in range(3):
        state, job = policy.propose(context, task, state, Moment(jnp.int32(number), jnp.zeros(()), 0))
        rows.append(int(job.row))
    wanted = [row for row in start_lists(table, (2,), start)[0].tolist() if row >= 0]
    assert rows == [*wanted, *[39] * (3 - len(wanted))]
    assert asked == [number >= len(wanted) for number in range(3)]
    assert state.launches.row[state.launches.pending].tolist() == wanted


def list_by_definition(table, task, probes, results, best):
    """Landmarks in plain Python: shares of the other tasks that a probe beats, scaled, L1, level by level."""
    others = [other for other in range(table.num_tasks) if other != task]
    there = {other: table.look_up(other, probes[other], 0)[0] for other in others}

    def shares(costs):
        beaten = [(there[other] < costs) + 0.5 * (there[other] == costs) for other in others]
        return np.mean(beaten, axis=0)

    values = {other: shares(there[other]) for other in others}
    low, high = (end([values[other] for other in others], axis=0) for end in (np.min, np.max))
    width = np.where(high > low, high - low, np.inf)
    apart = {other: np.sum(np.abs(values[other] - shares(results)) / width) for other in others}
    order = sorted(others, key=lambda other: (round(apart[other], 9), other))
    rows = [int(best[other][level]) for level in range(len(best[0])) for other in order]
    return list(dict.fromkeys(rows))


def test_landmarks_are_charged_and_choose_the_tasks():
    table = described()
    log = simulate(table, "meta-knn-landmarks", num_seeds=2, evaluations=20)
    probes = [spread_rows(table, task, 0) for task in range(3)]
    best = [best_rows(table, task, 4) for task in range(3)]
    for lane, task in enumerate(log.task.tolist()):
        assert log.row[lane, :4].tolist() == probes[task].tolist()
        assert log.fidelity[lane].tolist() == [0] * 4 + [1] * 16
        assert (log.start[lane, 4:] >= log.end[lane, :4].max()).all()
        results = table.look_up(task, probes[task], 0)[0]
        found = list_by_definition(table, task, probes, results, best)
        found = [row for row in found if row not in probes[task]]
        assert log.row[lane, 4 : 4 + len(found)].tolist() == found
    both = in_64_bits(landmarks(Start(4, 25, "l1"), True).prepare)(table, (1,), 0, None)
    np.testing.assert_allclose(both.known, differences(features_of(table), 1)[None])


def test_likeness_by_hand():
    costs = np.array([[[1.0]], [[2.0]], [[9.0]], [[3.0]]])
    found = in_64_bits(likeness)(costs, jnp.array([[2.0]]), jnp.array([True, True, False, True]), 1)
    # Shares of tasks 0, 1 and 3: 1/6, 3/6, 5/6, so scaled 0, .5, 1; the run ties with task 1.
    np.testing.assert_allclose(np.asarray(found)[[0, 1, 3]], [0.5, 0, 0.5], atol=1e-6)


def test_what_a_table_lacks_is_said_in_a_line():
    bare = related_tasks(num_rows=40)
    with pytest.raises(InputError, match="it needs descriptors of the tasks, and the table has none"):
        simulate(bare, "meta-knn", evaluations=5)
    with pytest.raises(InputError, match="it needs descriptors of the tasks"):
        simulate(bare, "meta-knn-landmarks", evaluations=5, descriptors="both")
    with pytest.raises(InputError, match="it learns from other tasks, the table has one task"):
        simulate(described().select(tasks=["task-0"]), "meta-knn", evaluations=5)
    with pytest.raises(InputError, match="descriptor 'size' must be 3 numbers, one for each task, not 2"):
        dataclasses.replace(bare, descriptors={"size": (1.0, 2.0)})


def test_descriptors_come_from_a_specification_and_stay_with_the_table(tmp_path):
    records = {"set": ["a", "b"], "rate": [0.1, 0.1], "loss": [1.0, 2.0]}
    spec = {"name": "own", "task": "set", "columns": {"rate": {"kind": "log"}}}
    spec |= {"objectives": {"loss": {"sense": "min"}}}
    known = {"a": {"rows": 150, "columns": 4}, "b": {"rows": 20}}
    table = from_frame(records, spec | {"descriptors": known})
    assert table.descriptors["rows"] == (150, 20)
    assert table.descriptors["columns"][0] == 4
    assert np.isnan(table.descriptors["columns"][1])
    assert table.fingerprint == from_frame(records, spec).fingerprint
    assert table.select(tasks=["b"]).descriptors["rows"] == (20,)
    with pytest.raises(InputError, match="descriptors name the task 'c', and there is none of that name"):
        from_frame(records, spec | {"descriptors": {"c": {"rows": 1}}})
    with pytest.raises(InputError, match="accepted is a mapping of tasks, such as"):
        from_frame(records, spec | {"descriptors": {"a": 5}})


def test_units_are_named_by_descriptors_of_those_who_learn_from_them():
    table = described()
    other = dataclasses.replace(table, descriptors={"size": (1.0, 2.0, 3.0)})
    content = {"benchmarks": ["related"], "methods": ["meta-knn", "zero-shot"], "seeds": 1}
    study = make_study(content, "study")
    units = [work_units(study, [StudyTable(own, own)]) for own in (table, other)]
    same = [one.spec == another.spec for one, another in zip(*units, strict=True)]
    assert same == [False, True]
