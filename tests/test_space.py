"""Tables as a ConfigSpace: what its samples are, and which row is nearest to one."""

import importlib
import math
import os
from typing import Any

import numpy as np
import pytest
from mohb_jax.benchmarks import Column, Objective, Table
from mohb_jax.benchmarks.crossing import cross_table
from mohb_jax.benchmarks.sources.synthetic import synthetic
from mohb_jax.benchmarks.space import config_space, nearest_rows

from mohb_jax import benchmarks
from mohb_jax.errors import InputError

pytestmark = pytest.mark.fast

COLUMNS = (
    Column("rate", "log"),
    Column("share", "continuous"),
    Column("machine", "categorical", "hardware", ("big", "small", "odd")),
    Column("layers", "ordinal", levels=(1, 2, 4, 8)),
    Column("same", "continuous"),
)


@pytest.fixture(scope="module")
def library() -> Any:
    if not os.environ.get("CI"):
        pytest.importorskip("ConfigSpace", reason="the extra `configspace` is not installed")
    return importlib.import_module("ConfigSpace")


def make_table(num_rows: int = 40, seed: int = 0) -> Table:
    """Rows 0 and 1 are measured in one task only."""
    generator = np.random.default_rng(seed)
    parts = [
        10.0 ** generator.uniform(-5, 0, num_rows),
        generator.uniform(-1, 3, num_rows),
        generator.integers(2, size=num_rows),  # nobody has the level "odd"
        generator.integers(4, size=num_rows),
        np.full(num_rows, 7.5),
    ]
    available = np.ones((2, num_rows, 1), bool)
    available[0, 0], available[1, 1] = False, False
    return Table(
        name="mixed",
        columns=COLUMNS,
        configs=np.stack(parts, axis=1),
        tasks=("first", "second"),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "1"),),
        costs=generator.uniform(size=(2, num_rows, 1, 1)),
        runtime=np.ones((2, num_rows, 1)),
        available=available,
    )


def slow_distance(table: Table, row: int, config: dict[str, Any]) -> float:
    """The definition, one column at a time."""
    total = 0.0
    for index, column in enumerate(table.columns):
        values = table.configs[:, index].tolist()
        mine, its = values[row], config[column.name]
        if column.kind == "categorical":
            total += column.levels[int(mine)] != its
        elif column.kind == "ordinal":
            total += abs(mine - column.levels.index(its)) / (len(column.levels) - 1)
        else:
            turn = math.log if column.kind == "log" else float
            span = turn(max(values)) - turn(min(values))
            total += abs(turn(mine) - turn(its)) / (span or 1.0)
    return total


def some_configs(num_configs: int, seed: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    return [
        {
            "rate": float(10 ** generator.uniform(-6, 1)),
            "share": float(generator.uniform(-2, 4)),
            "machine": ("big", "small", "odd")[generator.integers(3)],
            "layers": (1, 2, 4, 8)[generator.integers(4)],
            "same": float(generator.uniform(7, 8)),
        }
        for _ in range(num_configs)
    ]


@pytest.mark.parametrize("task", [None, "first", "second"])
def test_the_nearest_row_is_that_of_the_definition(task):
    table, configs = make_table(), some_configs(200, 1)
    allowed = [r for r in range(40) if task is None or table.measured(table.task_index(task))[r]]
    wanted = [min(allowed, key=lambda row: slow_distance(table, row, config)) for config in configs]
    found = nearest_rows(table, configs, task)
    assert found.tolist() == wanted
    assert len(set(wanted)) > 20


def test_a_row_is_nearest_to_itself():
    table = make_table()
    assert nearest_rows(table, [table.config(row) for row in range(40)]).tolist() == list(range(40))
    second = nearest_rows(table, [table.config(row) for row in range(40)], "second").tolist()
    assert second[1] != 1
    assert second[2:] == list(range(2, 40))


def test_of_equally_near_rows_the_first_is_taken():
    table = make_table()
    config = table.config(3) | {"machine": "odd"}
    twin = np.array(table.configs)
    twin[9] = twin[3]
    twin[9, 2] = 1 - twin[3, 2]  # the other machine, all else equal
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    assert nearest_rows(Table(**fields | {"configs": twin}), [config]).tolist() == [3]


def test_no_configurations_have_no_rows():
    assert nearest_rows(make_table(), []).tolist() == []


def test_every_row_is_legal_in_the_space(library):
    for table in (make_table(), cross_table(synthetic(20, 1, (1, 3), name="tiny", num_objectives=2))):
        space = config_space(table)
        assert set(space.keys()) == {column.name for column in table.columns}
        for row in range(table.num_rows):
            library.Configuration(space, values=table.config(row))  # raises where a value is not legal


@pytest.mark.parametrize("name", ["embedded", "synthetic", "synthetic-cloud"])
def test_benchmarks_that_ship_can_be_sampled(library, name):
    table = benchmarks.load(name)
    configs = config_space(table, seed=1).sample_configuration(20)
    rows = nearest_rows(table, [dict(config) for config in configs])
    assert len(set(rows.tolist())) > 5


def test_samples_stay_among_the_rows_and_levels(library):
    table = make_table()
    samples = [dict(config) for config in config_space(table, seed=3).sample_configuration(200)]
    for index, column in enumerate(table.columns):
        found = [sample[column.name] for sample in samples]
        if column.has_levels:
            assert set(found) == set(column.levels)
        else:
            low, high = table.configs[:, index].min(), table.configs[:, index].max()
            assert low - 1e-12 <= min(found) <= max(found) <= high + 1e-12
    assert np.median([sample["rate"] for sample in samples]) < 0.05  # sampled by its logarithm


def test_a_space_says_what_it_is(library):
    space = config_space(make_table())
    kinds = {name: type(space[name]).__name__ for name in space}
    assert kinds == {
        "rate": "UniformFloatHyperparameter",
        "share": "UniformFloatHyperparameter",
        "machine": "CategoricalHyperparameter",
        "layers": "OrdinalHyperparameter",
        "same": "Constant",
    }
    assert space["rate"].log
    assert not space["share"].log
    assert space.name == "mixed"


def test_the_seed_decides_what_is_sampled(library):
    table = make_table()
    first, again, other = ([*config_space(table, seed).sample_configuration(5)] for seed in (1, 1, 2))
    assert list(map(dict, first)) == list(map(dict, again))
    assert list(map(dict, first)) != list(map(dict, other))


def test_values_that_a_space_would_round_away_are_refused(library):
    fields = {name: getattr(make_table(), name) for name in Table.__dataclass_fields__}
    configs = np.array(fields["configs"])
    configs[4, 0] = 1e-15
    with pytest.raises(InputError, match="column 'rate' holds 1e-15"):
        config_space(Table(**fields | {"configs": configs}))


def test_configspace_is_optional(monkeypatch):
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'mohb-jax\[configspace\]'"):
        config_space(make_table())


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"machine": "huge"}, ("configuration 1", "'machine'", "'huge'", "big, small, odd")),
        ({"layers": "1"}, ("'layers'", "'1'", "1, 2, 4, 8")),
        ({"layers": [1, 2]}, ("'layers'", "[1, 2]")),
        ({"rate": 0.0}, ("'rate'", "0.0", "above 0")),
        ({"share": "half"}, ("'share'", "'half'", "not a number")),
        ({"share": math.nan}, ("'share'", "nan")),
    ],
)
def test_a_value_that_is_none_is_named(change, parts):
    table = make_table()
    with pytest.raises(InputError) as caught:
        nearest_rows(table, [table.config(0), table.config(1) | change])
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_column_and_an_unknown_task_are_named():
    table = make_table()
    with pytest.raises(InputError, match="configuration 0, column 'rate': a value is missing"):
        nearest_rows(table, [{"share": 1.0}])
    with pytest.raises(InputError, match=r"unknown task .* 'third'.*accepted: first, second"):
        nearest_rows(table, [table.config(0)], "third")
