"""Studies from Python: the same folder as from the command line, and results at the end."""

import pytest

import mohb_jax
from mohb_jax.errors import InputError

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
