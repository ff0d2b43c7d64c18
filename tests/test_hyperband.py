"""The synchronous driver against a plain Python simulation, and its promises about lanes, time and
compilation.

Compilation is what these tests take their time for. Most therefore share the shapes of ``integer_table()``
and ``ALIKE``, and ``method`` keeps together what needs the same programs.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Column, Objective, Table

import mohb_jax.drivers.synchronous as driver
from mohb_jax import simulation
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods import METHODS, make_plan, make_settings, method_named
from mohb_jax.programs import Compilation
from mohb_jax.searchers.random import permuted, random_search
from tests import reference, reference_driver

FIDELITIES = (1, 3, 9, 27)
SOME_HAVE = {"brackets", "draws", "known", "mode", "population"}
"""Settings that tests of all methods give to those that have them."""
ALIKE = {"num_seeds": 4, "brackets": 2, "workers": 3, "draws": 40, "population": 6}
"""Eight lanes; brackets of 27, 9, 3, 1 and of 12, 4, 1 configurations."""


def had_by(method, **options):
    """The options without those of ``SOME_HAVE`` that the method does not have."""
    known = METHODS[method].settings.__dataclass_fields__ if method in METHODS else SOME_HAVE
    return {name: value for name, value in options.items() if name in known or name not in SOME_HAVE}


def simulate(table, method, **options):
    """``mohb_jax.simulate`` with what the method has of the options."""
    return simulation.simulate(table, method, **had_by(method, **options))


def integer_table(
    num_rows=60, num_tasks=2, num_objectives=3, seed=0, resumable=True, fidelities=FIDELITIES, levels=50
):
    """Costs and runtimes are whole numbers, so that the oracle's arithmetic is exact; the last objective is
    known without training."""
    rng = np.random.default_rng(seed)
    shape = (num_tasks, num_rows, len(fidelities))
    return Table(
        name="integers",
        columns=(Column("x", "continuous", "architecture"),),
        configs=np.arange(num_rows, dtype=float)[:, None],
        tasks=tuple(f"task-{i}" for i in range(num_tasks)),
        fidelities=fidelities,
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=tuple(
            Objective(f"f{m}", "min", "parameters" if m == num_objectives - 1 else "1")
            for m in range(num_objectives)
        ),
        costs=rng.integers(levels, size=(*shape, num_objectives)).astype(float),
        runtime=np.cumsum(rng.integers(1, 40, size=shape), axis=2).astype(float),
        resumable=resumable,
    )


@functools.cache
def suggestions_of(num_rows):
    """Compiled once for a number of rows."""
    searcher = random_search()
    context = searcher.prepare(integer_table(num_rows), (0,), 0, None)

    @jax.jit
    def order(seed, run):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), run), 0)
        state = searcher.init(context, jnp.int32(0), key)
        return permuted(state.round_keys, jnp.arange(num_rows), num_rows, num_rows)

    return order


def suggestions(seed: int, run: int, num_rows: int) -> list[int]:
    return np.asarray(suggestions_of(num_rows)(seed, run)).tolist()


def entries(log, lane):
    fields = (log.row, log.fidelity, log.start, log.end, log.worker)
    return [tuple(field[lane, slot].item() for field in fields) for slot in np.flatnonzero(log.valid[lane])]


def net_by_definition(number, costs, num_keep):
    return reference.epsilon_net_order(costs)[:num_keep]


def best_first(number, costs, num_keep):
    return np.argsort(costs[:, 0], kind="stable")[:num_keep]


CASES = (
    *((1, True, {"seconds": 400.0}), (3, True, {"evaluations": 70})),
    *((3, False, {"seconds": 400.0}), (40, False, {"evaluations": 70})),
)
AS_USERS = ("overlap", 3, False)


@pytest.mark.parametrize(
    ("mode", "workers", "resumable", "limit"),
    [
        pytest.param(mode, *case, marks=pytest.mark.users_level if (mode, *case[:2]) == AS_USERS else ())
        for mode in ("barrier", "overlap")
        for case in CASES
    ],
)
def test_log_equals_plain_python(mode, workers, resumable, limit):
    table = integer_table(resumable=resumable, num_objectives=2)
    log = simulate(table, "mo-hb", num_seeds=3, scale="none", workers=workers, mode=mode, seed=5, **limit)
    plan = make_plan(table, method_named("mo-hb"), conditions=Conditions(workers=workers))
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


@pytest.mark.parametrize("name", ["hb", "random"])
def test_other_methods_equal_plain_python(name):
    table = integer_table(levels=10**6)
    log = simulate(table, name, seconds=500.0, mode="barrier", **ALIKE)
    plan = make_plan(table, method_named(name), make_settings(method_named(name), **had_by(name, brackets=2)))
    for lane in range(8):
        rows = suggestions(0, int(log.run[lane]), table.num_rows)
        expected = reference_driver.simulate(
            table,
            int(log.task[lane]),
            rows,
            plan.brackets,
            best_first,
            3,
            overlap=False,
            resumable=True,
            horizon=500.0,
        )
        assert entries(log, lane) == expected


def check_lane_alone(method, **settings):
    table = synthetic(num_rows=60, num_tasks=2, fidelities=FIDELITIES, num_objectives=3)
    seconds = float(table.runtime[0, :, -1].mean()) * 5
    settings = ALIKE | {"seconds": seconds, "known": (table.objectives[-1].name,)} | settings
    batch = simulate(table, method, **settings)
    alone = simulate(
        table, method, **(settings | {"num_seeds": 1, "first_run": 3, "tasks": [table.tasks[1]]})
    )
    lane = 4 + 3
    assert (alone.task[0], alone.run[0]) == (batch.task[lane], batch.run[lane])
    width = min(alone.valid.shape[1], batch.valid.shape[1])
    assert not alone.valid[:, width:].any()
    assert not batch.valid[lane, width:].any()
    for name in ("row", "fidelity", "worker", "valid", "start", "end", "costs"):
        np.testing.assert_array_equal(
            getattr(alone, name)[0, :width], getattr(batch, name)[lane, :width], name
        )


def test_lane_alone_is_the_lane_in_a_batch_that_overlaps():
    check_lane_alone("mo-hb", brackets=None, mode="overlap")


def test_single_objective_tables_give_hyperband():
    table = synthetic(num_rows=60, fidelities=FIDELITIES).select(objectives=["objective-0"])
    logs = [simulate(table, name, num_seeds=3, brackets=1, evaluations=60) for name in ("hb", "mo-hb")]
    np.testing.assert_array_equal(np.sort(logs[0].row), np.sort(logs[1].row))


def test_methods_are_paired_by_run():
    first = [
        simulate(integer_table(), name, evaluations=27, **ALIKE).row for name in ("hb", "mo-hb", "random")
    ]
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], first[2])


def test_nothing_is_read_back_inside_the_loop():
    table, fetched = integer_table(), []
    original = jax.device_get

    def count(tree):
        fetched.append(1)
        return original(tree)

    with pytest.MonkeyPatch.context() as patch, jax.transfer_guard_device_to_host("disallow"):
        patch.setattr(jax, "device_get", count)
        simulate(table, "mo-hb", evaluations=150, **ALIKE)
    assert fetched == [1]


def test_table_runs_out():
    """Every row is tried at the highest fidelity; then the run ends, whatever its budget."""
    table = integer_table(num_rows=5)
    for method in ("mo-hb", "random"):
        log = simulate(table, method, evaluations=500, **ALIKE)
        for lane in range(8):
            pairs = {(r, f) for r, f, *_ in entries(log, lane)}
            assert {row for row, level in pairs if level == 3} == set(range(5))
            assert len(pairs) == len(entries(log, lane))


@pytest.mark.wide
def test_one_configuration_and_one_fidelity():
    single = integer_table(num_rows=1)
    assert [e[:2] for e in entries(simulate(single, "mo-hb", brackets=1, evaluations=100), 0)] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
    ]
    flat = integer_table(num_rows=10, fidelities=(7,))
    logs = [simulate(flat, method, num_seeds=2, evaluations=10) for method in ("mo-hb", "random")]
    for a, b in zip(*logs, strict=True):
        np.testing.assert_array_equal(a, b)  # without fidelities Hyperband is random search


def vars_of(table):
    return {name: getattr(table, name) for name in table.__dataclass_fields__}


def test_failures_are_promoted_in_launch_order_when_nothing_else_is_left():
    table = integer_table()
    rows = suggestions(0, 0, table.num_rows)
    available = np.zeros(table.mask.shape, bool)
    available[..., -1] = True  # or else they would not be proposed
    available[:, rows[5]] = True  # the only configuration that works is launched sixth
    holes = Table(
        **{
            **vars_of(table),
            "costs": np.where(available[..., None], table.costs, np.nan),
            "available": available,
        }
    )
    log = simulate(holes, "mo-hb", tasks=["task-0"], evaluations=36, brackets=2, mode="barrier")
    assert log.row[0][27:36].tolist() == [rows[i] for i in (5, 0, 1, 2, 3, 4, 6, 7, 8)]


REFUSING = [
    name
    for name, method in METHODS.items()
    if method.transfers and "+transfer" not in name and not name.startswith("meta-knn")
]
"""Those with ``+transfer`` learn nothing of an objective where it is constant, and go on; starts from similar
tasks ask which rows are on a front, and all of them are where nothing differs."""


@pytest.mark.parametrize("method", REFUSING)
def test_methods_that_transfer_refuse_constant_objectives(method):
    with pytest.raises(InputError, match="objective 'f0' is constant in task 'task-0'"):
        simulate(integer_table(levels=1), method, evaluations=40)


def test_equal_results_throughout():
    log = simulate(integer_table(levels=1), "mo-hb", evaluations=40, **ALIKE)
    assert log.valid.all()
    assert all(len(set(zip(*lane, strict=True))) == 40 for lane in zip(log.row, log.fidelity, strict=True))


def test_horizon_before_the_first_result():
    log = simulate(integer_table(), "mo-hb", seconds=0.5, **ALIKE)
    assert not log.valid.any()
    assert (log.row == -1).all()
    assert np.isinf(log.end).all()


def test_tasks_have_horizons_of_their_own():
    table = integer_table()
    both = simulate(table, "hb", seconds={"task-0": 100.0, "task-1": 600.0}, **ALIKE)
    assert both.end[:4][both.valid[:4]].max() <= 100
    assert 100 < both.end[4:][both.valid[4:]].max() <= 600


def test_adding_seeds_and_tasks_changes_nothing():
    few, many = (
        simulate(integer_table(), "mo-hb", evaluations=60, **(ALIKE | change))
        for change in ({"num_seeds": 1, "tasks": ["task-1"]}, {})
    )
    for a, b in zip(jax.tree.leaves(few), jax.tree.leaves(many), strict=True):
        np.testing.assert_array_equal(a, b[4:5])


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
        ({"eta": 1}, "eta is 1: "),
        ({"eta": 1.001, "method": "hb"}, "at least 1.1"),
        ({"eta": float("nan")}, "eta is nan"),
        ({"workers": 10**9}, "at most 10,000"),
        ({"brackets": 0}, "brackets is 0"),
        ({"mode": "both"}, "barrier, overlap"),
        ({"scale": "log"}, "minmax, rank, none"),
        ({"seed_objective": 3}, "0 to 2"),
        ({"worker": 3}, "'worker' is unknown"),
        ({"method": "mo-hb-scalar", "weights": (1.0,)}, "weights has 1 values: 3"),
        ({"method": "mo-hb-scalar", "weights": (-1.0, 2.0)}, "weights"),
        ({"method": "mo-hb-hvc", "table": integer_table(num_objectives=5)}, "at most 4 objectives.*has 5"),
        (
            {"method": "mo-bohb", "promotion": "net", "table": integer_table(num_objectives=5)},
            "at most 4 objectives.*has 5",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate(**({"table": integer_table(), "method": "mo-hb"} | arguments))


def test_a_benchmark_may_be_named():
    named = simulate("synthetic", "random", num_seeds=1, evaluations=3)
    np.testing.assert_array_equal(named.row, simulate(synthetic(), "random", num_seeds=1, evaluations=3).row)
    with pytest.raises(InputError, match="nowhere"):
        simulate("nowhere", "random")


@pytest.mark.wide
def test_small_batches_of_lanes_change_nothing(monkeypatch):
    """Rung steps go through the lanes in batches that fit the processor's cache."""
    whole = simulate(integer_table(num_rows=59), "mo-hb", evaluations=60, **ALIKE)
    monkeypatch.setattr(driver, "CACHED_PAIRS", 3 * 27**2)  # three lanes of the widest rung at a time
    driver._rung_step.clear_cache()
    with Compilation() as compiled:
        parts = simulate(integer_table(num_rows=59), "mo-hb", evaluations=60, **ALIKE)
    driver._rung_step.clear_cache()
    assert compiled.count > 0
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lanes_that_learn_are_dealt_to_all_processors(monkeypatch):
    monkeypatch.setenv("NPROC", "2")
    for most, num_lanes, expected in ((1024, 8, 8), (1024, 700, 256), (1024, 1400, 280), (16, 9000, 16)):
        assert driver._lanes_together(most, num_lanes) == expected
    assert driver._lanes_together(1024, 10_000) == 1024
