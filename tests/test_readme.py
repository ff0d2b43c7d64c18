"""The README's Python runs and says what comes out; its commands exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from mohb_jax.benchmarks.spec import read_spec

from mohb_jax import cli
from mohb_jax.results import Results
from mohb_jax.study import make_study

pytestmark = pytest.mark.fast

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_python_examples_give_the_values_beside_them():
    names: dict = {}
    checked = 0
    for block in blocks("python"):
        exec(block, names)
        for code, value in re.findall(r"^(mohb_jax\S.*?)  # (array\(.*?\)|[\d.]+)", block, re.MULTILINE):
            result = eval(code, names)
            expected = value.removeprefix("array(").removesuffix(")")
            assert np.asarray(result).tolist() == pytest.approx(yaml.safe_load(expected))
            checked += 1
    assert checked == 3


def test_the_method_is_that_of_the_page_which_a_test_runs():
    (file,) = re.findall(r'```python title="my_rule.py"\n(.*?)```', README, re.DOTALL)
    page = Path(__file__).parents[1].joinpath("docs/howto/promotion.md").read_text(encoding="utf-8")
    assert file in page


def test_what_is_asked_of_results_is_there():
    asked = re.findall(r"^results\.(\w+)", README, re.MULTILINE)
    assert len(asked) >= 3
    assert all(hasattr(Results, name) for name in asked)


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_yaml_examples_are_valid():
    spec, study = (yaml.safe_load(block) for block in blocks("yaml"))
    read_spec(spec)
    assert make_study(study, "README").reference == "random"


def test_commands_exist(capsys):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("mohb ")]
    assert len(commands) >= 3
    for command in commands:
        words = [word for word in command[1:3] if re.fullmatch(r"[a-z]+", word)]
        with pytest.raises(SystemExit) as stop:
            cli.main([*words[: 2 if words[0] == "data" else 1], "--help"])
        assert stop.value.code == 0
        page = capsys.readouterr().out
        for option in (word for word in command if word.startswith("--")):
            assert option in page
