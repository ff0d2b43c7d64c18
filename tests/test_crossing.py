"""Tables crossed with the hardware catalogue: the same as the dense product, without holding it."""

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
import scipy.stats
from mohb_jax.benchmarks import hardware
from mohb_jax.benchmarks.columns import Column, Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.crossing import CrossedTable, cross_table
from mohb_jax.benchmarks.files import load_table
from mohb_jax.benchmarks.normalise import normalisation, true_front
from mohb_jax.benchmarks.prices import with_prices
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import deepar, embedded
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks
from mohb_jax.errors import InputError
from tests.real_data import need

pytestmark = pytest.mark.fast

NUM_TYPES = 37


def base_table(**changes: Any) -> Table:
    """Two tasks, 12 rows, 3 fidelities, with some cells missing, one objective maximised, one in money."""
    rng = np.random.default_rng(5)
    available = rng.random((2, 12, 3)) < 0.8
    arguments: dict[str, Any] = {
        "name": "t",
        "columns": (Column("rate", "log"), Column("kind", "categorical", "architecture", ("a", "b"))),
        "configs": np.stack([np.arange(1.0, 13), np.arange(12) % 2], axis=1),
        "tasks": ("one", "two"),
        "fidelities": (1, 3, 9),
        "fidelity_name": "epochs",
        "fidelity_unit": "epoch",
        "objectives": (
            *(Objective("score", "max", "1"), Objective("bill", "min", "USD"), Objective("took", "min", "s")),
            Objective("latency", "min", "s"),
        ),
        "runtime": np.cumsum(rng.random((2, 12, 3)) * 10 ** rng.uniform(-1, 2, (2, 12, 1)), axis=2),
        "available": available,
        "provenance": "made up",
    }
    costs = rng.normal(size=(2, 12, 3, 4))
    costs[..., 2] = arguments["runtime"]
    costs[..., 3] = np.exp(costs[..., 3])
    return Table(**{**arguments, "costs": np.where(available[..., None], costs, np.nan), **changes})


def dense(table: CrossedTable) -> Table:
    """The product written out."""
    costs, runtime = table.dense(range(table.num_fidelities))
    parts = {field: getattr(table, field) for field in ("name", "columns", "configs", "tasks", "fidelities")}
    parts |= {field: getattr(table, field) for field in ("fidelity_name", "fidelity_unit", "objectives")}
    finite = np.isfinite(costs).all(axis=-1)
    return Table(costs=costs, runtime=runtime, available=finite, resumable=table.resumable, **parts)


def record(table: AnyTable, task: int, row: int, fidelity: int) -> np.ndarray:
    """What a driver makes of values, factors and sources."""
    values, factors, sources = table.cells(range(table.num_fidelities))
    factors = np.ones((1, len(sources))) if factors is None else factors
    base_row, kind = divmod(row, len(factors))
    return values[task, base_row, fidelity, sources] * factors[kind]


def test_a_crossing_is_the_product_with_the_catalogue():
    base, table = base_table(), cross_table(base_table())
    assert (table.name, table.num_rows, table.num_tasks, table.num_fidelities) == (
        "t-cloud",
        12 * NUM_TYPES,
        2,
        3,
    )
    assert [objective.name for objective in table.objectives] == ["score", "latency", "runtime", "cost"]
    assert [objective.unit for objective in table.objectives] == ["1", "s", "s", "USD"]
    costs, runtime = table.dense([0, 1, 2])
    relative, prices = hardware.relative_times(), hardware.prices()
    for task, row, fidelity in np.ndindex(2, table.num_rows, 3):
        config, kind = divmod(row, NUM_TYPES)
        seconds = base.runtime[task, config, fidelity] * relative[kind]
        assert runtime[task, row, fidelity] == pytest.approx(seconds)
        if base.mask[task, config, fidelity]:
            score, latency = base.costs[task, config, fidelity, [0, 3]]
            expected = [score, latency, seconds, seconds * prices[kind] / 3600]
            assert costs[task, row, fidelity] == pytest.approx(expected)
        else:
            assert np.isposinf(costs[task, row, fidelity]).all()


def test_the_embedded_table_is_the_crossing_of_what_was_recorded():
    metadata, configs, mistakes = embedded.recorded()
    finished = embedded.load_embedded()
    error = mistakes / embedded.num_validations(metadata)[:, None, None]
    recorded = Table(
        name="recorded",
        columns=finished.columns[:-1],
        configs=configs,
        tasks=finished.tasks,
        fidelities=finished.fidelities,
        fidelity_name=finished.fidelity_name,
        fidelity_unit=finished.fidelity_unit,
        objectives=finished.objectives[:1],
        costs=error[..., None],
        runtime=embedded.base_runtime(metadata, configs),
    )
    table = cross_table(recorded)
    assert (table.columns, table.objectives) == (finished.columns, finished.objectives)
    np.testing.assert_array_equal(table.configs, finished.configs)
    costs, runtime = table.dense([0, 13, 26])
    np.testing.assert_allclose(costs, finished.costs[:, :, [0, 13, 26]], rtol=1e-12)
    np.testing.assert_array_equal(runtime, finished.runtime[:, :, [0, 13, 26]])
    for task in range(3):
        np.testing.assert_array_equal(true_front(table, task), true_front(finished, task))


@pytest.mark.parametrize("make", [base_table, lambda: cross_table(base_table())])
def test_values_factors_and_sources_give_every_record(make):
    table = make()
    costs, runtime = table.dense([0, 1, 2])
    for task, row, fidelity in (
        (0, 0, 0),
        (1, 3, 2),
        (0, table.num_rows - 1, 1),
        (1, table.num_rows // 2, 2),
    ):
        expected = np.append(costs[task, row, fidelity], runtime[task, row, fidelity])
        np.testing.assert_array_equal(record(table, task, row, fidelity), expected)
    values, factors, sources = table.cells([2, 0])
    num_types = 1 if factors is None else len(factors)
    assert values.shape[:3] == (2, table.num_rows // num_types, 2)
    assert len(sources) == table.num_objectives + 1


@pytest.mark.parametrize("make", [base_table, lambda: cross_table(base_table())])
def test_final_values_are_the_cells_at_the_highest_fidelity(make):
    table = make()
    costs, runtime = table.dense([2])
    for task in range(2):
        np.testing.assert_array_equal(table.final_costs(task), costs[task, :, 0])
        np.testing.assert_array_equal(table.final_runtime(task), runtime[task, :, 0])
        np.testing.assert_array_equal(
            table.final_available(task), np.isfinite(costs[task, :, 0]).all(axis=-1)
        )
    assert not table.final_available(0).all()


def test_normalisation_and_front_are_those_of_the_dense_table():
    for base in (base_table(), synthetic(40, 2, (1, 9), correlation=0.3)):
        table = cross_table(base)
        product = dense(table)
        for lazy, full in zip(
            dataclasses.astuple(normalisation(table)),
            dataclasses.astuple(normalisation(product)),
            strict=True,
        ):
            np.testing.assert_allclose(lazy, full, rtol=1e-12)
        np.testing.assert_allclose(table.lowest_costs(), product.lowest_costs(), rtol=1e-12)
        for task in range(table.num_tasks):
            np.testing.assert_array_equal(true_front(table, task), true_front(product, task))


def test_configurations_gain_the_instance_type():
    table = cross_table(base_table())
    kinds = [kind.name for kind in hardware.instances()]
    assert table.config(0) == {"rate": 1, "kind": "a", "instance_type": kinds[0]}
    assert table.config(NUM_TYPES + 2) == {"rate": 2, "kind": "b", "instance_type": kinds[2]}
    assert [column.role for column in table.columns] == ["hyperparameter", "architecture", "hardware"]
    assert len(np.unique(table.configs, axis=0)) == table.num_rows
    with pytest.raises(ValueError, match="read-only"):
        table.configs[0, 0] = 1


def test_the_instance_that_the_runtime_belongs_to_is_a_declared_choice():
    base = base_table()
    for name in ("ml.p2.xlarge", "ml.g4dn.xlarge"):
        table = cross_table(base, base_instance=name)
        own = table.column.levels.index(name)
        np.testing.assert_allclose(table.final_runtime(0)[own::NUM_TYPES], base.runtime[0, :, -1])
        assert f"declared to be that on {name}" in table.provenance
        assert "one training script" in table.provenance
        assert table.provenance.startswith("made up")
    with pytest.raises(
        InputError, match=r"unknown instance type 'ml.p2.xlrge' \(did you mean 'ml.p2.xlarge'"
    ):
        cross_table(base, base_instance="ml.p2.xlrge")


def test_a_second_catalogue_has_other_types_and_speeds():
    base = base_table()
    table = cross_table(base, catalogue="distilbert")
    assert (table.name, table.num_types) == (f"{base.name}-cloud-distilbert", 18)
    assert "18 instance types" in table.provenance
    assert "DistilBERT" in table.provenance
    seconds, usd = table.relative_times, table.relative_times * table.prices
    best = {
        kind
        for kind, time, cost in zip(table.column.levels, seconds, usd, strict=True)
        if not ((seconds <= time) & (usd <= cost) & ((seconds < time) | (usd < cost))).any()
    }
    assert best == {f"ml.{kind}" for kind in ("p4d.24xlarge", *(f"g5.{n}xlarge" for n in (48, 12, 2, "")))}


def test_speeds_of_one_script_are_not_those_of_another():
    """What both catalogues measured is ordered alike by half only."""
    one, other = (
        {
            kind.name: time
            for kind, time in zip(hardware.instances(c), hardware.relative_times(catalogue=c), strict=True)
        }
        for c in hardware.CATALOGUES
    )
    both = sorted(one.keys() & other.keys())
    assert len(both) == 9
    found = scipy.stats.spearmanr([one[kind] for kind in both], [other[kind] for kind in both]).statistic
    assert 0.4 < found < 0.7


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"catalogue": "resnt"}, r"unknown catalogue 'resnt' \(did you mean 'resnet'"),
        (
            {"catalogue": "distilbert", "base_instance": "ml.c4.2xlarge"},
            "unknown instance type 'ml.c4.2xlarge'",
        ),
    ],
)
def test_a_catalogue_that_is_not_there_or_lacks_a_type(choice, message):
    with pytest.raises(InputError, match=message) as caught:
        cross_table(base_table(), **choice)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (synthetic(20).select(fidelities=[1]), None),
        (base_table(runtime=np.broadcast_to([1.0, 3, 9], (2, 12, 3))), "no runtime of its own"),
        (cross_table(base_table()), "its column 'instance_type' is hardware already"),
    ],
)
def test_what_can_be_crossed(table, message):
    if message is None:
        assert cross_table(table).num_rows == 20 * NUM_TYPES
        return
    with pytest.raises(InputError, match=message) as caught:
        cross_table(table)
    assert "\n" not in str(caught.value)


def test_selection_is_that_of_the_dense_table():
    table = cross_table(base_table())
    choice = {"tasks": ["two"], "objectives": ["cost", "score"], "fidelities": [9, 1][::-1]}
    part, full = table.select(**choice), dense(table).select(**choice)
    assert (part.tasks, part.fidelities, part.objectives) == (full.tasks, full.fidelities, full.objectives)
    for lazy, expected in zip(part.dense([0, 1]), full.dense([0, 1]), strict=True):
        np.testing.assert_array_equal(lazy, expected)
    assert table.at_maximum().fidelities == (9,)
    np.testing.assert_array_equal(table.at_maximum().final_costs(0), table.final_costs(0))
    assert table.select().fingerprint == table.fingerprint


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tasks": ["three"]}, r"task of benchmark 't-cloud': 'three'; accepted: one, two"),
        (
            {"objectives": ["took"]},
            r"objective of benchmark 't-cloud': 'took'.*accepted: score, latency, runtime",
        ),
        ({"fidelities": [2]}, r"accepted: 1, 3, 9"),
    ],
)
def test_unknown_selections_name_what_there_is(choice, message):
    with pytest.raises(InputError, match=message):
        cross_table(base_table()).select(**choice)


def test_a_saved_crossing_comes_back_the_same(tmp_path):
    table = with_prices(cross_table(base_table()), {"ml.p2.xlarge": 2.5}).select(objectives=["cost", "score"])
    table.save(tmp_path / "t.npz")
    again = benchmarks.load(tmp_path / "t.npz")
    assert isinstance(again, CrossedTable)
    assert (again.fingerprint, again.provenance) == (table.fingerprint, table.provenance)
    assert (again.columns, again.objectives) == (table.columns, table.objectives)
    np.testing.assert_array_equal(again.final_costs(1), table.final_costs(1))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "t.npz").read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged or not a table"):
        load_table(tmp_path / "cut.npz")


def test_fingerprints_differ_where_results_may():
    table = cross_table(base_table())
    others = [
        table,
        cross_table(base_table(), name="other"),
        cross_table(base_table(), base_instance="ml.g4dn.xlarge"),
        cross_table(base_table(resumable=False)),
        with_prices(table, {"ml.p2.xlarge": 2.0}),
        table.select(objectives=["score", "cost"]),
        table.at_maximum(),
    ]
    assert len({other.fingerprint for other in others}) == len(others)
    assert cross_table(base_table(provenance="x")).fingerprint == table.fingerprint


@pytest.mark.parametrize(
    "make", [lambda: cross_table(base_table()), lambda: dense(cross_table(base_table()))]
)
def test_prices_change_cost_and_nothing_else(make):
    table = make()
    index = table.columns[-1].levels.index("ml.p2.xlarge")
    here = table.configs[:, -1] == index
    dear = with_prices(table, {"ml.p2.xlarge": 3 * hardware.prices()[index]})
    for task in range(2):
        before, after = table.final_costs(task), dear.final_costs(task)
        np.testing.assert_array_equal(before[:, :3], after[:, :3])
        np.testing.assert_array_equal(before[~here], after[~here])
        np.testing.assert_allclose(after[here, 3], 3 * before[here, 3])
        np.testing.assert_array_equal(table.final_runtime(task), dear.final_runtime(task))
    again = with_prices(dear, {"ml.p2.xlarge": float(hardware.prices()[index])})
    np.testing.assert_allclose(again.final_costs(0), table.final_costs(0))


@pytest.mark.parametrize(
    "make", [lambda: cross_table(base_table()), lambda: dense(cross_table(base_table()))]
)
@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"ml.p2.xlrge": 1.0}, r"'ml.p2.xlrge' \(did you mean 'ml.p2.xlarge'\?\)"),
        ({"ml.p2.xlarge": 0}, r"price of 'ml.p2.xlarge' is 0: a number of USD per hour above 0"),
        ({"ml.p2.xlarge": float("nan")}, r"is nan"),
        ({"ml.p2.xlarge": float("inf")}, r"is inf"),
    ],
)
def test_bad_prices_are_refused(make, prices, message):
    with pytest.raises(InputError, match=message) as caught:
        with_prices(make(), prices)
    assert "\n" not in str(caught.value)


def test_prices_need_costs_that_follow_from_one():
    with pytest.raises(InputError, match="no categorical hardware column"):
        with_prices(base_table(), {"ml.p2.xlarge": 1.0})
    product = dense(cross_table(base_table()))
    with pytest.raises(InputError, match="no objective in USD"):
        with_prices(product.select(objectives=["score"]), {"ml.p2.xlarge": 1.0})
    costs = product.costs + 1.0  # a start-up fee
    with pytest.raises(InputError, match="'cost' is not runtime x one price for instance_type"):
        with_prices(dataclasses.replace(product, costs=costs), {"ml.p2.xlarge": 1.0})


def test_a_crossing_is_not_held_dense():
    """2,000 configurations x 34 tasks x 5 fidelities: seconds, and little more memory than the base."""
    base = synthetic(2000, 34, (1, 3, 9, 27, 81))
    start = time.perf_counter()
    table = cross_table(base)
    assert table.fingerprint
    normalisation(table)
    assert true_front(table, 0).size > 0
    assert time.perf_counter() - start < 20
    held = sum(part.nbytes for part in vars(table).values() if isinstance(part, np.ndarray))
    held += sum(part.nbytes for part in (table.table.costs, table.table.runtime, table.table.configs))
    assert held < 2 * (base.costs.nbytes + base.runtime.nbytes)
    with pytest.raises(InputError, match=r"75,480,000 numbers .* at most 67,108,864 .* select fewer"):
        table.dense([0, 1, 2, 3, 4, 4])


@pytest.mark.parametrize("name", ["synthetic-cloud", "deepar-cloud"])
def test_registered_crossings_are_as_described(name):
    if name == "deepar-cloud":
        need(deepar.FILE)
    table, entry = benchmarks.load(name), BENCHMARKS[name]
    assert isinstance(table, CrossedTable)
    assert (table.name, table.tasks, table.num_rows) == (entry.name, entry.tasks, entry.rows)
    assert table.fidelities == entry.fidelities
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
    assert {column.name for column in table.columns if column.role == "hardware"} == {"instance_type"}


def test_best_and_mean_instances_are_as_far_apart_as_published():
    """Mean over best of the catalogue: 7.1 in time and 10.9 in cost, whatever the table."""
    table = cross_table(base_table())
    row = np.flatnonzero(table.final_available(0))[0] // NUM_TYPES * NUM_TYPES
    seconds, dollars = table.final_costs(0)[row : row + NUM_TYPES, 2:].T
    assert seconds.mean() / seconds.min() == pytest.approx(7.1, abs=0.05)
    assert dollars.mean() / dollars.min() == pytest.approx(10.9, abs=0.05)
