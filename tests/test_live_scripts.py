"""The scripts of live runs, with tiny budgets."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scripts import tune_digits
from scripts.check_types import ROOT
from scripts.live import loop, page, pool, pruning, training

pytestmark = pytest.mark.wide


def test_a_plain_loop():
    frame = loop.main(40).results()
    assert frame["state"].to_list() == ["done"] * 40
    again = frame.filter(frame["fidelity"] > 1)
    assert len(again) > 5


def test_a_pool_of_processes():
    states = pool.main(40).results()["state"].to_list()
    assert len(states) == 40
    assert set(states) <= {"done", "failed"}


def test_pruning_inside_a_loop():
    verdicts = pruning.main(40).results()["verdict"].to_list()
    assert verdicts.count("stop") > verdicts.count("go on") > 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mo-asha", "mo-asha-promote"])
def test_ray_tune(method):
    """Trials stop, or pause and go on where they were."""
    pytest.importorskip("ray.tune", exc_type=ImportError)
    from scripts.live import on_ray

    frame = on_ray.main(16, method).results()
    assert frame["state"].to_list() == ["done"] * 16
    assert frame["fidelity"].max() > 1


@pytest.mark.slow
def test_real_trainings_fill_in_the_page(tmp_path):
    """A few jobs, in processes that are given their processors."""
    filled_in(tmp_path, rows=2)


def test_the_experiment_fills_in_the_page(tmp_path, monkeypatch):
    """With trainings that take no time."""

    def train(name, config, start, until, checkpoint, to):
        seconds = until * config["width"] / config["threads"]
        error = abs(np.log10(config["lr"]) + 2) + 1 / until + (name == "digits")
        return {"error": error, "seconds": seconds, "cpu_seconds": seconds * config["threads"]}

    monkeypatch.setattr(tune_digits.training, "train", train)
    monkeypatch.setattr(tune_digits, "workers", lambda: dict.fromkeys((1, 2), ThreadPoolExecutor(1)))
    filled_in(tmp_path, rows=8)


def filled_in(folder, rows):
    shutil.copy(ROOT / "docs" / "live.md", folder)
    small = ["--repeats", "1", "--jobs", "8", "--rows", f"{rows}", "--quick", "--docs", str(folder)]
    tune_digits.main(small)
    text = (folder / "live.md").read_text()
    assert text.count("| digits |") == 2 * 2  # methods and credits
    assert text.count("| breast cancer |") == 3 * 2
    assert (folder / "images" / "live.png").stat().st_size > 1000


def test_a_training_goes_on_from_its_checkpoint(tmp_path):
    """In this process; to the bit as if it had not been cut in two."""
    own = {"lr": 0.01, "width": 32, "depth": 1, "batch": 128, "precision": "float32"}
    files = [str(tmp_path / f"{n}.ckpt") for n in range(3)]
    whole = training.train("breast_cancer", own, 0, 3, None, files[0])
    first = training.train("breast_cancer", own, 0, 1, None, files[1])
    second = training.train("breast_cancer", own, 1, 3, files[1], files[2])
    assert whole["error"] == second["error"] < 0.2
    assert second["seconds"] > first["seconds"] > 0


def made_up_runs() -> dict:
    """Two repeats; the second method is better in all."""
    jobs = {"random": [[0, 81, 0.5, 10.0, 10.0, 1.0]], "mo-asha": [[1, 81, 0.1, 1.0, 1.0, 1.0]]}
    jobs["random"].append([0, 3, 0.9, 1.0, 1.0, 1.0])
    runs = [
        {"data": "digits", "method": m, "seed": s, "limit": 1, "jobs": jobs[m]} for s in (0, 1) for m in jobs
    ]
    return {"runs": runs, "job_columns": list(tune_digits.COLUMNS), "fidelities": [3, 81]}


def test_a_run_is_worth_its_share_of_the_box_around_all():
    found = page.volumes(made_up_runs())
    assert found["digits", "full", "mo-asha"] == [1.0, 1.0]
    assert found["digits", "full", "random"] == [0.0, 0.0]
    assert page.interval([1.0, 1.0]) == "1.000 [1.000, 1.000]"
    assert page.best(np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])) == [1, 0]
