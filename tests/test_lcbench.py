"""The LCBench table: the surrogate's published answers, the repair of time, the draw and the cache."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mohb_jax.benchmarks import download
from mohb_jax.benchmarks.download import locate
from mohb_jax.benchmarks.registry import BENCHMARKS
from mohb_jax.benchmarks.sources import lcbench

from mohb_jax.errors import InputError
from tests.real_data import need

pytestmark = pytest.mark.fast

NUM_CONFIGS = 20
EPOCHS = (1, 2, 3, 5, 9, 17, 27, 40, 52)
FIRST = (91, 0.0031622777, 0.545, 0.050005, 3, 256, 0.5)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache; the published files are where they were."""
    paths = {file: locate_needed(file) for file in lcbench.FILES}
    monkeypatch.setattr(lcbench, "locate", lambda file, data: paths[file])
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def locate_needed(file: download.RemoteFile) -> Path:
    need(file)
    return locate(file)


@pytest.fixture(scope="module")
def session() -> Any:
    if not os.environ.get("CI"):
        pytest.importorskip("onnxruntime")
    return lcbench.open_session(locate_needed(lcbench.MODEL))


def code(task: str) -> int:
    return json.loads(locate_needed(lcbench.ENCODING).read_text())["OpenML_task_id"][task]


@pytest.mark.parametrize(
    ("task", "epoch", "config", "expected"),
    [
        ("3945", 52, FIRST, (165.6897, 93.39881, 0.380098, 0.684497, 0.541495, 0.670152)),
        (
            *("126026", 10, (64, 0.01, 0.9, 0.001, 2, 128, 0.2)),
            (35.4532, 95.04096, 0.149151, 0.949437, 0.371975, 0.944797),
        ),
        (
            *("189906", 26, (256, 0.001, 0.5, 0.01, 4, 512, 0.7)),
            (120.2774, 25.98597, 1.846867, 0.250285, 1.958071, 0.247191),
        ),
    ],
)
def test_worked_examples(session, task, epoch, config, expected):
    output = lcbench.predict(session, code(task), np.array([config], np.float64), (epoch,))
    np.testing.assert_allclose(output, np.reshape(expected, (1, 1, 6)), rtol=1e-3)


def test_worked_example_along_the_epochs(session):
    output = lcbench.predict(session, code("3945"), np.array([FIRST], np.float64), EPOCHS)[0]
    time = (15.92, 23.02, 32.15, 48.70, 65.29, 84.12, 104.55, 133.72, 165.69)
    accuracy = (38.20, 76.44, 85.07, 88.71, 90.48, 91.67, 92.41, 93.12, 93.40)
    np.testing.assert_allclose(output[:, :2], np.stack([time, accuracy], axis=1), rtol=1e-3)


def test_the_table_holds_what_the_surrogate_says(cache, session):
    table = lcbench.load_lcbench(num_configs=NUM_CONFIGS)
    entry = BENCHMARKS["lcbench"]
    assert (table.tasks, table.fidelities) == (entry.tasks, entry.fidelities)
    assert tuple(objective.name for objective in table.objectives) == entry.objectives
    assert (table.num_rows, entry.rows) == (NUM_CONFIGS, 2000)
    assert table.mask.all()
    for task, row in (("3945", 0), ("7593", 7), ("189909", NUM_CONFIGS - 1)):
        config = np.array([list(table.config(row).values())], np.float64)
        time, accuracy = lcbench.predict(session, code(task), config)[0, :, :2].T
        costs = table.costs[table.task_index(task), row]
        np.testing.assert_allclose(costs[:, 0], 100 - accuracy, atol=0.01)
        assert costs[-1, 1] == pytest.approx(time[-1], rel=1e-3)
    np.testing.assert_array_equal(table.runtime, table.costs[..., 1])
    assert (np.diff(table.runtime, axis=2) >= 0).all()


def test_time_of_the_surrogate_falls_where_the_guide_says(cache, session):
    """So the repair is needed: half of the curves of task 146212 fall somewhere, almost none of 7593."""
    configs = lcbench.sample_configs(locate(lcbench.SPACE), 60, seed=3)
    falls = [
        (np.diff(lcbench.predict(session, code(task), configs)[..., 0], axis=1) < 0).any(axis=1).mean()
        for task in ("146212", "7593")
    ]
    assert falls[0] > 0.3
    assert falls[1] < 0.15


@given(time=arrays.arrays(np.float64, (2, 6), elements=st.floats(-1, 1e5)))
def test_repaired_time_never_falls_and_keeps_the_end(time):
    fixed = lcbench.repaired(time)
    assert (np.diff(fixed, axis=-1) >= 0).all()
    np.testing.assert_array_equal(fixed[:, -1], np.maximum(time[:, -1], 0))
    assert (fixed <= np.maximum(time, 0)).all()
    np.testing.assert_array_equal(lcbench.repaired(fixed), fixed)


def test_a_high_first_epoch_does_not_spread():
    np.testing.assert_array_equal(lcbench.repaired(np.array([80.0, 20, 30, 25, 50])), [20, 20, 25, 25, 50])


def test_the_draw_covers_the_space(cache):
    configs = lcbench.sample_configs(locate(lcbench.SPACE), 4000, seed=0)
    low, high = configs.min(axis=0), configs.max(axis=0)
    bounds = ((16, 512), (1e-4, 0.1), (0.1, 0.99), (1e-5, 0.1), (1, 5), (64, 1024), (0, 1))
    for column, (least, most) in enumerate(bounds):
        assert least <= low[column] < least + 0.01 * (most - least)
        assert most - 0.01 * (most - least) < high[column] <= most * (1 + 1e-9)
    for whole in (0, 4, 5):
        np.testing.assert_array_equal(configs[:, whole], np.rint(configs[:, whole]))
    # Half of a logarithmic column lies below the geometric mean of its bounds, else below the middle.
    middles = (90.5, 10**-2.5, 0.545, 0.050005, 3, 256, 0.5)
    below = (configs < middles).mean(axis=0) + 0.5 * (configs == middles).mean(axis=0)
    np.testing.assert_allclose(below, 0.5, atol=0.03)
    np.testing.assert_allclose([(configs[:, 4] == n).mean() for n in range(1, 6)], 0.2, atol=0.03)


def test_a_smaller_table_holds_the_first_rows_of_a_larger_one(cache):
    large = lcbench.sample_configs(locate(lcbench.SPACE), 50, seed=0)
    np.testing.assert_array_equal(lcbench.sample_configs(locate(lcbench.SPACE), 20, seed=0), large[:20])
    assert (lcbench.sample_configs(locate(lcbench.SPACE), 50, seed=1) != large).any()


def fake_answers(
    paths: dict[download.RemoteFile, Path], configs: np.ndarray, asked: list[int]
) -> lcbench.Answers:
    """Stands in for the surrogate, and notes for how many configurations it was asked."""
    asked.append(len(configs))
    shape = (len(lcbench.TASKS), len(configs), len(lcbench.EPOCHS))
    time = np.broadcast_to(np.arange(1, 53, dtype=np.float32), shape).copy()
    return lcbench.Answers(time, np.full(shape, 90, np.float32))


@pytest.fixture
def asked(cache, monkeypatch) -> list[int]:
    """The sizes for which the surrogate, replaced by ``fake_answers``, was asked."""
    sizes: list[int] = []
    monkeypatch.setattr(lcbench, "_ask", lambda paths, configs: fake_answers(paths, configs, sizes))
    return sizes


def test_the_surrogate_is_asked_once(cache, asked):
    first = lcbench.load_lcbench(num_configs=3)
    assert lcbench.load_lcbench(num_configs=3).fingerprint == first.fingerprint
    assert asked == [3]
    lcbench.load_lcbench(num_configs=4)
    lcbench.load_lcbench(num_configs=3, seed=1)
    assert asked == [3, 4, 3]
    assert len(list(cache.iterdir())) == 3


def test_a_damaged_cache_is_made_again(cache, asked):
    first = lcbench.load_lcbench(num_configs=3)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text"):
        kept.write_bytes(content)
        assert lcbench.load_lcbench(num_configs=3).fingerprint == first.fingerprint
        assert kept.read_bytes() == whole
    assert asked == [3] * 4


def test_nothing_is_cached_half(cache, asked, monkeypatch, caplog):
    def broken(file: Any, **parts: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", broken)
    assert lcbench.load_lcbench(num_configs=3).num_rows == 3
    assert list(cache.iterdir()) == []
    assert "lcbench is not cached" in caplog.text


def test_a_missing_extra_is_one_line(cache, monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'mohb-jax\[yahpo\]'") as caught:
        lcbench.load_lcbench(num_configs=3)
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_no_configurations_is_an_error():
    with pytest.raises(InputError, match="num_configs is 0"):
        lcbench.load_lcbench(num_configs=0)
