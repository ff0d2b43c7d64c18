"""The synchronous driver against a plain Python simulation, and its promises about lanes, time and
compilation."""

import jax
import numpy as np
import pytest

import mohb_jax.hyperband as driver
from benchmarks.errors import InputError
from benchmarks.synthetic import synthetic
from benchmarks.table import Column, Objective, Table
from mohb_jax.kernels import promotion
from mohb_jax.methods import METHODS, make_plan, make_settings, method_named, simulate
from mohb_jax.searchers.random import _init, permuted
from tests import reference, reference_driver

FIDELITIES = (1, 3, 9, 27)
SETTINGS = {"workers": 3}


def integer_table(
    num_rows=60, num_tasks=2, num_objectives=2, seed=0, resumable=True, fidelities=FIDELITIES, levels=50
):
    """Costs and runtimes are whole numbers, so that the oracle's arithmetic is exact."""
    rng = np.random.default_rng(seed)
    shape = (num_tasks, num_rows, len(fidelities))
    return Table(
        name="integers",
        columns=(Column("x", "continuous"),),
        configs=np.arange(num_rows, dtype=float)[:, None],
        tasks=tuple(f"task-{i}" for i in range(num_tasks)),
        fidelities=fidelities,
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=tuple(Objective(f"f{m}", "min", "1") for m in range(num_objectives)),
        costs=rng.integers(levels, size=(*shape, num_objectives)).astype(float),
        runtime=np.cumsum(rng.integers(1, 40, size=shape), axis=2).astype(float),
        resumable=resumable,
    )


def suggestions(seed: int, run: int, num_rows: int) -> list[int]:
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), run), 0)
    state = _init(key, num_rows)
    return np.asarray(permuted(state.round_keys, np.arange(num_rows), num_rows)).tolist()


def entries(log, lane):
    fields = (log.row, log.fidelity, log.start, log.end, log.worker)
    return [tuple(field[lane, slot].item() for field in fields) for slot in np.flatnonzero(log.valid[lane])]


def net_by_definition(number, costs, num_keep):
    return reference.epsilon_net_order(costs)[:num_keep]


def best_first(number, costs, num_keep):
    return np.argsort(costs[:, 0], kind="stable")[:num_keep]


@pytest.mark.parametrize("mode", ["barrier", "overlap"])
@pytest.mark.parametrize(
    ("workers", "resumable", "limit"),
    [
        (1, True, {"seconds": 400.0}),
        (3, True, {"evaluations": 70}),
        (3, False, {"seconds": 400.0}),
        (40, False, {"evaluations": 70}),
    ],
)
def test_log_equals_plain_python(mode, workers, resumable, limit):
    table = integer_table(resumable=resumable)
    log = simulate(table, "mo-hb", num_seeds=3, scale="none", workers=workers, mode=mode, seed=5, **limit)
    plan = make_plan(table, method_named("mo-hb"), make_settings(workers=workers), None)
    for lane in range(6):
        expected = reference_driver.simulate(
            table,
            task=int(log.task[lane]),
            rows=suggestions(5, int(log.run[lane]), table.num_rows),
            brackets=plan.brackets,
            promote=net_by_definition,
            num_workers=workers,
            overlap=mode == "overlap",
            resumable=resumable,
            horizon=limit.get("seconds", np.inf),
            budget=limit.get("evaluations"),
        )
        assert entries(log, lane) == expected


@pytest.mark.parametrize("method", ["hb", "random"])
def test_other_methods_equal_plain_python(method):
    table = integer_table(levels=10**6)
    log = simulate(table, method, num_seeds=2, workers=4, seconds=500.0)
    plan = make_plan(table, method_named(method), make_settings(), None)
    for lane in range(4):
        rows = suggestions(0, int(log.run[lane]), table.num_rows)
        expected = reference_driver.simulate(
            table,
            int(log.task[lane]),
            rows,
            plan.brackets,
            best_first,
            4,
            overlap=False,
            resumable=True,
            horizon=500.0,
        )
        assert entries(log, lane) == expected


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_contract(method):
    table = integer_table(num_objectives=3)
    log = simulate(table, method, num_seeds=4, evaluations=60, **SETTINGS)
    assert log.valid.all(axis=1).all()
    for lane in range(8):
        pairs = list(zip(log.row[lane].tolist(), log.fidelity[lane].tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)  # nothing is evaluated twice at one fidelity
        expected = table.costs[log.task[lane], log.row[lane], log.fidelity[lane]]
        np.testing.assert_array_equal(log.costs[lane], expected)
        assert (log.end[lane] > log.start[lane]).all()
        for worker in range(3):
            mine = log.worker[lane] == worker
            assert (log.start[lane][mine][1:] >= log.end[lane][mine][:-1]).all()


@pytest.mark.parametrize(
    ("method", "mode"), [(method, "barrier") for method in METHODS] + [("mo-hb", "overlap")]
)
def test_lane_alone_is_the_lane_in_a_batch(method, mode):
    table = synthetic(num_rows=80, num_tasks=2, fidelities=FIDELITIES, num_objectives=3)
    limit = {"seconds": float(table.runtime[0, :, -1].mean()) * 8}
    batch = simulate(table, method, num_seeds=5, mode=mode, **limit, **SETTINGS)
    alone = simulate(
        table, method, num_seeds=1, first_run=3, tasks=[table.tasks[1]], mode=mode, **limit, **SETTINGS
    )
    lane = 5 + 3
    assert (alone.task[0], alone.run[0]) == (batch.task[lane], batch.run[lane])
    width = min(alone.valid.shape[1], batch.valid.shape[1])
    assert not alone.valid[:, width:].any()
    assert not batch.valid[lane, width:].any()
    for name in ("row", "fidelity", "worker", "valid", "start", "end", "costs"):
        np.testing.assert_array_equal(
            getattr(alone, name)[0, :width], getattr(batch, name)[lane, :width], name
        )


def test_single_objective_tables_give_hyperband():
    table = synthetic(num_rows=80, fidelities=FIDELITIES).select(objectives=["objective-0"])
    logs = [simulate(table, method, num_seeds=3, evaluations=60) for method in ("hb", "mo-hb")]
    np.testing.assert_array_equal(np.sort(logs[0].row), np.sort(logs[1].row))


def test_methods_are_paired_by_run():
    table = synthetic(num_rows=80, fidelities=FIDELITIES)
    first = [simulate(table, method, num_seeds=3, evaluations=27).row for method in ("hb", "mo-hb", "random")]
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], first[2])


def test_second_study_of_the_same_shapes_traces_nothing(monkeypatch):
    table = synthetic(num_rows=90, fidelities=FIDELITIES)
    simulate(table, "mo-hb", num_seeds=2, evaluations=60)
    traced = []
    for module, name in (
        (promotion, "pareto_rank"),
        (promotion, "epsilon_net_order"),
        (driver, "list_schedule"),
    ):
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, kernel=kernel: traced.append(1) or kernel(*a))
    other = synthetic(num_rows=90, fidelities=FIDELITIES, seed=1)
    simulate(other, "mo-hb", num_seeds=2, first_run=2, evaluations=60, seed=9)
    assert not traced
    simulate(synthetic(num_rows=91, fidelities=FIDELITIES), "mo-hb", num_seeds=3, evaluations=27)
    assert traced  # the counters do count


def test_nothing_is_read_back_inside_the_loop():
    table = synthetic(num_rows=80, fidelities=FIDELITIES)
    fetched = []
    original = jax.device_get

    def count(tree):
        fetched.append(1)
        return original(tree)

    with pytest.MonkeyPatch.context() as patch, jax.transfer_guard_device_to_host("disallow"):
        patch.setattr(jax, "device_get", count)
        simulate(table, "mo-hb", num_seeds=2, evaluations=150)
    assert fetched == [1]


def test_table_runs_out():
    """Every row is tried once; then the run ends, whatever its budget."""
    table = integer_table(num_rows=5)
    for method in ("mo-hb", "random"):
        log = simulate(table, method, num_seeds=2, evaluations=500)
        for lane in range(4):
            pairs = {(r, f) for r, f, *_ in entries(log, lane)}
            assert {row for row, _ in pairs} == set(range(5))
            assert len(pairs) == len(entries(log, lane))


def test_one_configuration_and_one_fidelity():
    single = integer_table(num_rows=1)
    assert [e[:2] for e in entries(simulate(single, "mo-hb", evaluations=100), 0)] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
    ]
    flat = integer_table(num_rows=10, fidelities=(7,))
    logs = [simulate(flat, method, num_seeds=2, evaluations=10) for method in ("mo-hb", "random")]
    for a, b in zip(*logs, strict=True):
        np.testing.assert_array_equal(a, b)  # without fidelities Hyperband is random search


def test_failed_evaluations_are_never_promoted_while_others_are_left():
    rng = np.random.default_rng(0)
    table = integer_table(num_rows=40)
    available = rng.random(table.mask.shape) < 0.5
    costs = np.where(available[..., None], table.costs, np.nan)
    holes = Table(**{**vars_of(table), "costs": costs, "available": available})
    for method in METHODS:
        if method == "random":
            continue
        log = simulate(holes, method, num_seeds=3, evaluations=27 + 9, brackets=1, eta=3)
        for lane in range(6):
            finite = np.isfinite(log.costs[lane]).all(axis=1)
            promoted = set(log.row[lane][27:].tolist())
            good = set(log.row[lane][:27][finite[:27]].tolist())
            assert len(promoted & good) == min(9, len(good))


def vars_of(table):
    return {name: getattr(table, name) for name in table.__dataclass_fields__}


def test_failures_are_promoted_in_launch_order_when_nothing_else_is_left():
    table = integer_table(num_rows=40, num_tasks=1)
    rows = suggestions(0, 0, 40)
    available = np.zeros(table.mask.shape, bool)
    available[:, rows[5]] = True  # the only configuration that works is launched sixth
    holes = Table(
        **{
            **vars_of(table),
            "costs": np.where(available[..., None], table.costs, np.nan),
            "available": available,
        }
    )
    log = simulate(holes, "mo-hb", evaluations=36, brackets=1)
    assert log.row[0][27:36].tolist() == [rows[i] for i in (5, 0, 1, 2, 3, 4, 6, 7, 8)]


def test_constant_and_equal_objectives():
    table = integer_table(num_rows=40, levels=1)
    for method in METHODS:
        log = simulate(table, method, num_seeds=2, evaluations=40)
        assert log.valid.all()


def test_horizon_before_the_first_result():
    log = simulate(integer_table(), "mo-hb", num_seeds=2, seconds=0.5)
    assert not log.valid.any()
    assert (log.row == -1).all()
    assert np.isinf(log.end).all()


def test_tasks_have_horizons_of_their_own():
    table = integer_table()
    both = simulate(table, "hb", num_seeds=2, seconds={"task-0": 100.0, "task-1": 600.0})
    assert both.end[:2][both.valid[:2]].max() <= 100
    assert 100 < both.end[2:][both.valid[2:]].max() <= 600


def test_adding_seeds_changes_nothing():
    table = integer_table()
    few, many = (simulate(table, "mo-hb", num_seeds=n, tasks=["task-1"], evaluations=60) for n in (2, 5))
    for a, b in zip(few, many, strict=True):
        np.testing.assert_array_equal(a, b[:2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mohb"}, "did you mean mo-hb"),
        ({"num_seeds": 0}, "num_seeds is 0"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"seconds": -1.0}, "positive"),
        ({"seconds": float("nan")}, "positive"),
        ({"seconds": {"task-0": 1.0}}, "no entry for task 'task-1'"),
        ({"tasks": ["nowhere"]}, "nowhere.*task-0"),
        ({"tasks": []}, "tasks is empty"),
        ({"workers": 0}, "workers is 0"),
        ({"workers": True}, "workers is True"),
        ({"eta": 1}, "eta is 1"),
        ({"brackets": 0}, "brackets is 0"),
        ({"mode": "both"}, "barrier, overlap"),
        ({"scale": "log"}, "minmax, rank, none"),
        ({"seed_objective": 2}, "0 to 1"),
        ({"worker": 3}, "'worker' is unknown"),
        ({"method": "mo-hb-scalar", "weights": (1.0,)}, "weights has 1 values: 2"),
        ({"method": "mo-hb-scalar", "weights": (-1.0, 2.0)}, "weights"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate(integer_table(), **({"method": "mo-hb"} | arguments))
