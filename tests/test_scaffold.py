"""The folder that ``mohb new-method`` writes."""

import ast
import tomllib

import pytest
import yaml

from mohb_jax import cli
from mohb_jax.errors import InputError
from mohb_jax.scaffold import write_method


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
