"""The Pollux table against its files: the rule of the simulator, epochs as fidelities, whole nodes."""

import csv
import math

import numpy as np
import pytest
from mohb_jax.benchmarks.download import locate
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import pollux
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks
from tests.real_data import need

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def table() -> Table:
    need(*BENCHMARKS["pollux"].files)
    return benchmarks.load("pollux")


def records(task, name):
    with locate(pollux.FILES[task][name]).open(newline="") as file:
        return list(csv.DictReader(file))


def row_of(table, factor, placement):
    wanted = {"batch_factor": factor, "placement": placement}
    return next(row for row in range(table.num_rows) if wanted.items() <= table.config(row).items())


def test_shape_and_registry_agree(table):
    entry = BENCHMARKS["pollux"]
    assert (table.tasks, table.num_rows, table.fidelities) == (entry.tasks, entry.rows, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
    np.testing.assert_array_equal(table.costs[..., 1][table.mask], table.runtime[table.mask])


@pytest.mark.parametrize(
    ("task", "rows", "hours", "usd", "error"),
    [
        ("bert", 472, (0.371, 6.96), (3.63, 54.5), (0.1139, 0.1192)),
        ("cifar10", 492, (0.125, 2.06), (1.26, 21.5), (0.0534, 0.0588)),
        ("deepspeech2", 387, (0.584, 8.03), (5.41, 47.1), (0.2291, 0.2452)),
        ("imagenet", 725, (12.242, 237.1), (164.1, 1052.9), (0.2442, 0.2507)),
        ("ncf", 805, (0.008, 1.68), (0.03, 26.3), (0.3041, 0.3129)),
        ("yolov3", 528, (1.857, 21.94), (12.04, 184.7), (11.75, 12.61)),
    ],
)
def test_numbers_of_full_trainings(table, task, rows, hours, usd, error):
    """Rows, hours and metrics as the files have them by the rule of the authors' simulator."""
    own = table.task_index(task)
    assert table.mask[own, :, -1].sum() == rows
    final = table.costs[own, table.mask[own, :, -1], -1]
    for objective, (low, high), scale in ((0, error, 1), (1, hours, 3600), (2, usd, 1)):
        found = final[:, objective].min() / scale, final[:, objective].max() / scale
        np.testing.assert_allclose(found, (low, high), rtol=6e-3, atol=6e-4)


def seconds_by_definition(task, placement, batch):
    """The rule in plain Python; None where there is no row."""
    own = sorted(
        (int(r["local_bsz"]), float(r["step_time"]), float(r["sync_time"]))
        for r in records(task, "placements")
        if r["placement"] == placement
    )
    local = math.ceil(batch / sum(int(digit) for digit in placement))
    passes = max(0, math.ceil(local / own[-1][0]) - 1)
    atomic = math.ceil(local / (passes + 1))
    if atomic < own[0][0]:
        return None
    for (low, *before), (high, *after) in zip(own, own[1:] or own, strict=False):
        if low <= atomic <= high:
            share = (atomic - low) / (high - low) if high > low else 0.0
            step, sync = (b + share * (a - b) for b, a in zip(before, after, strict=True))
            return step + passes * (step - sync)
    raise AssertionError(placement)


@pytest.mark.parametrize(
    ("task", "factor", "placement"),
    [
        ("cifar10", 1, "1"),
        ("cifar10", 32, "1"),  # gradients are accumulated
        ("cifar10", 8, "124"),
        ("imagenet", 16, "4444"),
        ("ncf", 128, "13"),
        ("bert", 1, "4444"),  # shares are too small
        ("yolov3", 4, "22"),
    ],
)
def test_a_row_is_what_the_rule_makes_of_the_files(table, task, factor, placement):
    batch = pollux.TASKS[task].smallest_batch * factor
    epochs = records(task, f"validation-{batch}")
    seconds = seconds_by_definition(task, placement, batch)
    own, row = table.task_index(task), row_of(table, factor, placement)
    assert table.mask[own, row].tolist() == [seconds is not None] * 4
    for level, fidelity in enumerate(table.fidelities) if seconds else ():
        epoch = epochs[math.ceil(len(epochs) * fidelity / 27) - 1]
        expected = int(epoch["iteration"]) * seconds
        assert table.runtime[own, row, level] == pytest.approx(expected, rel=1e-12)
        cost = expected * len(placement) * 3.912 / 3600
        assert table.costs[own, row, level, 2] == pytest.approx(cost, rel=1e-12)
        metric = float(epoch["metric"])
        error = {"yolov3": metric, "bert": 1 - metric / 100}.get(task, 1 - metric)
        assert table.costs[own, row, level, 0] == pytest.approx(error, rel=1e-12)


def test_machines_are_described_by_their_placement(table):
    config = table.config(row_of(table, 4, "124"))
    assert config == {"batch_factor": 4, "placement": "124", "gpus": 7.0, "nodes": 3.0}
    assert {column.role for column in table.columns[1:]} == {"hardware"}
