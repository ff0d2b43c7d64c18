"""Studies from Python: the same folder as from the command line, and results at the end."""

import pytest

import mohb_jax
from mohb_jax.errors import InputError
from mohb_jax.running import run_with_progress
from mohb_jax.study import load_tables, make_study, units

pytestmark = pytest.mark.fast

TINY = {
    "name": "tiny",
    "benchmarks": ["synthetic"],
    "methods": ["random", "mo-hb"],
    "seeds": 3,
    "evaluations": 30,
}


def test_a_mapping_runs_and_gives_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = mohb_jax.run_study(TINY, progress=False)
    assert results.folder.resolve() == tmp_path / "runs" / "tiny"
    assert results.methods == ("random", "mo-hb")
    frame = results.summary(task="task-0")
    assert frame["credit"].unique(maintain_order=True).to_list() == ["full", "passed"]
    frame = frame.filter(credit="full")
    assert frame["method"].to_list() == ["random", "mo-hb"]
    assert results.compare("mo-hb", "random").height
    before = sorted((tmp_path / "runs/tiny/units").iterdir())
    again = mohb_jax.run_study(TINY, progress=False)
    assert again.summary().equals(results.summary())
    assert sorted((tmp_path / "runs/tiny/units").iterdir()) == before


def test_how_far_the_first_runs_of_each_method_came_is_said_once(tmp_path, monkeypatch):
    """Here these are all runs, so it is what the results say in the end."""
    monkeypatch.setattr(units, "LANES_PER_UNIT", 2)
    study, lines = make_study(TINY, "study"), []
    tables = load_tables(study)
    ran = run_with_progress(study, tables, tmp_path / "out", "", progress=False, say=lines.append)
    assert ran.num_run > 2
    assert [line.split(":")[0] for line in lines] == ["synthetic random", "synthetic mo-hb"]
    again = run_with_progress(study, tables, tmp_path / "out", "", progress=False, say=lines.append)
    assert again.num_kept == ran.num_run
    assert len(lines) == 2

    monkeypatch.undo()
    lines.clear()
    run_with_progress(study, tables, tmp_path / "whole", "", progress=False, say=lines.append)
    summary = mohb_jax.load_results(tmp_path / "whole").summary(credit="full", task="task-0")
    for line, mean in zip(lines, summary["hypervolume_mean"], strict=True):
        assert line.split(": ")[1] == f"{mean:.4f} of the true front's hypervolume after 3 runs"


def test_a_file_runs_into_a_folder_of_choice(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("benchmarks: [synthetic]\nmethods: [random]\nseeds: 2\nevaluations: 30\n")
    results = mohb_jax.run_study(file, out=tmp_path / "here", progress=False)
    assert results.folder == tmp_path / "here"
    assert results.summary()["num_seeds"].unique().to_list() == [2]


def test_bad_input_names_the_culprit(tmp_path):
    with pytest.raises(InputError, match=r"study: setting 'etta' is unknown .*did you mean eta"):
        mohb_jax.run_study(TINY | {"settings": {"etta": 2}}, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"study file .*none\.yaml does not exist"):
        mohb_jax.run_study(tmp_path / "none.yaml")
    assert not (tmp_path / "out").exists()
