"""The folder that ``mohb new-method`` writes."""

import ast
import subprocess
import sys
import tomllib

import pytest
import yaml
from mohb_jax.benchmarks.sources.synthetic import synthetic

import mohb_jax
from mohb_jax import cli
from mohb_jax import study as studies
from mohb_jax.errors import InputError
from mohb_jax.methods import method_named
from mohb_jax.scaffold import write_method

pytestmark = pytest.mark.fast


def test_the_folder_of_a_new_method(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["new-method", "My-method"])
    assert ended.value.code == 0
    assert "Next: cd My-method && mohb run study.yaml" in capsys.readouterr().out
    folder = tmp_path / "My-method"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == [
        *("README.md", "my_method/__init__.py", "pyproject.toml", "study.yaml", "tests/test_my_method.py")
    ]
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        assert "$" not in text
        assert all(len(line) <= 110 for line in text.splitlines())
        if name.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["mohb_jax.methods"] == {"My-method": "my_method:my_method"}
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    assert study["methods"][-1] == {"method": "my_method:my_method", "name": "My-method"}


@pytest.mark.parametrize("name", ["", "1st", "a b", "../x", "class", "a.b", "ü", "-x"])
def test_names_that_no_module_can_have_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be that of a module: accepted are letters"):
        write_method(name, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "mohb-jax", "tests", "Random"])
def test_names_of_modules_that_are_there_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="that of a module that is there already"):
        write_method(name, tmp_path / "out")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(InputError, match="is not empty"):
        write_method("mine", tmp_path)
    with pytest.raises(InputError, match="is a file"):
        write_method("mine", tmp_path / "mine.txt")


def test_it_runs_as_it_is(tmp_path):
    """The study file names the embedded benchmark, which takes longer to compile than a test should."""
    folder = tmp_path / "new"
    write_method("my-method", folder)
    study = studies.load_study(folder / "study.yaml")
    assert [entry.label for entry in study.methods] == ["random", "mo-hb", "my-method"]
    method = method_named("my_method:my_method", folder)
    log = mohb_jax.simulate(synthetic(27, 1, (1, 3, 9), num_front=5), method, num_seeds=2, evaluations=12)
    assert log.valid.all()


def test_it_installs_and_publishes_its_name(tmp_path, monkeypatch):
    pytest.importorskip("setuptools", minversion="70.1")
    folder, site = tmp_path / "new", tmp_path / "site"
    write_method("my-method", folder)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run([*pip, "--target", str(site), str(folder)], capture_output=True, text=True)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip")
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(str(site))
    found = method_named("my-method", tmp_path)
    assert (found.name, found.origin.distribution) == ("my-method", "my-method 0.1.0")
