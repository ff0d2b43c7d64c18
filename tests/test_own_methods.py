"""Studies with methods, rules and benchmarks from outside the package."""

import json
import sys

import pytest
import yaml
from mohb_jax.benchmarks.sources.synthetic import synthetic

import mohb_jax
from mohb_jax import cli, plugins
from mohb_jax import study as studies
from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.methods import METHODS
from mohb_jax.study.sending import received, sent
from tests.test_plugins import _elsewhere, publish  # noqa: F401

METHOD = '''
import jax.numpy as jnp
from mohb_jax import ext
from mohb_jax.benchmarks.sources.synthetic import synthetic

def last_rows(key, costs, valid, num_keep):
    """The last rows of a rung."""
    return jnp.argsort(jnp.where(valid, -jnp.arange(len(valid)), 1))[:num_keep]

def same_row(key, costs, valid, num_keep):
    return jnp.zeros(num_keep, jnp.int32)

def beyond(context, task, state, num_suggestions):
    state, row, valid = RANDOM.suggest(context, task, state, num_suggestions)
    return state, row + 1000, valid

def column(context, task, state, num_suggestions):
    state, row, valid = RANDOM.suggest(context, task, state, num_suggestions)
    return state, row[:, None], valid

def raises(context, task, state, num_suggestions):
    return {}["key"]

def first_again(context, task, state, num_suggestions):
    state, row, valid = RANDOM.suggest(context, task, state, num_suggestions)
    return state, row.at[-1].set(row[0]), valid

RANDOM = ext.random_search()
good = ext.method("mine", "Keeps the last rows", promotion=ext.failures_last(last_rows))
repeats = ext.method("repeats", "", promotion=same_row)
outside = ext.method("outside", "", searcher=RANDOM._replace(suggest=beyond))
wrong_shape = ext.method("wrong-shape", "", searcher=RANDOM._replace(suggest=column))
raising = ext.method("raising", "", searcher=RANDOM._replace(suggest=raises))
again = ext.method("again", "", searcher=RANDOM._replace(suggest=first_again))
asynchronous = ext.method("asynchronous", "", like="mo-asha", promotion=ext.failures_last(same_row))
def table(): return synthetic(27, 1, (1, 3), num_front=5, name="made")
no_method = 3
'''


@pytest.fixture
def folder(tmp_path):
    """A study file beside a module, and a small table."""
    place = tmp_path / "study"
    place.mkdir()
    (place / "mine.py").write_text(METHOD)
    synthetic(27, 1, (1, 3, 9), num_front=5, name="tiny").save(place / "tiny.npz")
    return place


def make(folder, *methods, **more):
    content = {
        "benchmarks": [str(folder / "tiny.npz")],
        "methods": list(methods),
        "seeds": 2,
        "evaluations": 12,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content | more))
    return studies.load_study(folder / "study.yaml")


def run(study, out):
    return studies.run_study(study, studies.load_tables(study), out, "test")


def test_a_method_beside_the_study_file_runs_and_an_edit_runs_it_anew(folder, tmp_path):
    study = make(folder, "random", "mine:good")
    assert [entry.label for entry in study.methods] == ["random", "mine"]
    assert studies.code_of(study) == ["mine:good"]
    out = tmp_path / "out"
    assert run(study, out) == 2
    assert run(study, out) == 0
    described = json.loads((out / "study.json").read_text())["methods"]
    assert "plugin" not in described[0]
    assert (described[1]["summary"], described[1]["plugin"]["path"]) == ("Keeps the last rows", "mine:good")
    (folder / "mine.py").write_text(METHOD.replace("-jnp.arange", "-2 * jnp.arange"))
    assert run(make(folder, "random", "mine:good"), out) == 1


def test_modules_are_imported_in_64_bits(folder):
    (folder / "mine.py").write_text(METHOD + "HALF = jnp.array(0.5)")
    make(folder, "mine:good")
    assert str(plugins.load_object("mine:HALF", folder).object.dtype) == "float64"


def test_a_rule_of_ones_own_stands_among_settings(folder, tmp_path, monkeypatch):
    study = make(folder, {"method": "mo-hb", "settings": {"promotion": "mine:last_rows"}}, "mine:good")
    units = studies.work_units(study, studies.load_tables(study))
    assert units[0].spec["own"] == {"promotion": "mine:last_rows", "mode": "overlap"}
    assert units[0].spec["promotion_plugin"]["source"] == units[1].spec["plugin"]["source"]
    monkeypatch.chdir(folder)
    log = mohb_jax.simulate("tiny.npz", "mo-hb", promotion="mine:last_rows", num_seeds=2, evaluations=12)
    assert (log.row == units[1].run().row).all()
    with pytest.raises(InputError, match=r"line 7: .*mine.py has no 'last_row' \(did you mean last_rows\?\)"):
        make(folder, {"method": "mo-hb", "settings": {"promotion": "mine:last_row"}})


def test_specifications_of_our_own_methods_do_not_change(folder):
    study = make(folder, "mo-hb")
    (unit,) = studies.work_units(study, studies.load_tables(study))
    assert not {"plugin", "promotion_plugin"} & set(unit.spec)
    assert unit.how.method is METHODS["mo-hb"]


def test_a_benchmark_of_ones_own(folder):
    study = make(folder, "random", benchmarks=["mine:table"])
    (both,) = studies.load_tables(study)
    assert both.table.name == "made"
    assert studies.code_of(study) == ["mine:table"]
    with pytest.raises(InputError, match=r"benchmark 'mine:no_method' is an int .*: accepted is an AnyTable"):
        studies.load_tables(make(folder, "random", benchmarks=["mine:no_method"]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "repeats",
            r"promotion rule \(.*mine.py, line 10\) gave index 0 3 times where 3 of a rung of 9 were",
        ),
        (
            "asynchronous",
            r"promotion rule \(.*mine.py, line 10\) gave index 0 9 times where 9 of a rung of 9",
        ),
        ("again", r"suggest \(.*mine.py, line 24\) gave row \d+ twice in one call: .*level 0: fidelity 1\)"),
        ("outside", r"suggest \(.*mine.py, line 13\) gave row 10\d\d: accepted are 0 to 26"),
        ("wrong_shape", r"suggest \(.*mine.py, line 17\) returned rows of shape \(\d+, 1\)"),
        ("raising", r".*mine.py, line 22: KeyError: 'key'"),
    ],
)
def test_what_breaks_a_law_while_it_runs_is_told_and_the_rest_is_kept(folder, tmp_path, name, message):
    study = make(folder, "random", f"mine:{name}")
    with pytest.raises(UserCodeError, match=f"method 'mine:{name}': {message}") as caught:
        run(study, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert ("KeyError" in caught.value.details) == (name == "raising")
    assert run(make(folder, "random"), tmp_path / "out") == 0, "what was finished stays"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mine:godd",
            r"study.yaml, line 6: .*mine.py has no 'godd' \(did you mean good\?\)",
        ),
        ("mone:good", r"line 6: method 'mone:good': there is no module 'mone' \(did you mean mine\?\)"),
        ("mine:no_method", r"method 'mine:no_method' is an int .*: accepted is a Method"),
        ("mine:last_rows", r"method 'mine:last_rows' is a function .*: accepted is a Method"),
        ("minee", r"method 'minee' is unknown"),
    ],
)
def test_wrong_names_are_told_with_the_line_of_the_study(folder, name, message):
    with pytest.raises(InputError, match=message):
        make(folder, "random", name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("repeats", r"gave index 0 3 times where 3 of a rung of 9 were to be kept: each may come once"),
        (
            "again",
            r"gave row \d+ twice in one call: each may come once \(lane 0: task 'task-0', run 0; level",
        ),
    ],
)
def test_a_law_broken_beyond_the_budget_is_told(folder, monkeypatch, name, message):
    monkeypatch.chdir(folder)
    with pytest.raises(UserCodeError, match=f"method 'mine:{name}': .*{message}"):
        mohb_jax.simulate("tiny.npz", f"mine:{name}", evaluations=3)


def test_a_module_without_the_name_of_its_method_is_hinted_at(folder):
    with pytest.raises(
        InputError, match=r"'mine' is unknown \(did you mean mine:NAME, a method of .*mine.py\?\)"
    ):
        make(folder, "mine")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ('method("a", "", like="mo-hp")', r"method 'mo-hp' is unknown \(did you mean mo-hb\?\)"),
        ('method("a", "", promoton=1)', r"mo-hb has no part 'promoton' \(did you mean promotion\?\)"),
        (
            'method("a", "", searcher=RANDOM._replace(observe=lambda state: state))',
            r"observe \(.*mine.py, line 39\) takes something else: accepted is observe\(state, seen\)",
        ),
    ],
)
def test_our_own_refusals_while_importing_stand_on_one_line(folder, part, message):
    (folder / "mine.py").write_text(METHOD.rstrip() + f"\n\nbad = ext.{part}\n")
    with pytest.raises(UserCodeError, match=f"mine.py, line \\d+: .*{message}") as caught:
        make(folder, "mine:good")
    assert caught.value.details == ""


def test_a_syntax_error_is_told_with_its_line(folder):
    (folder / "mine.py").write_text("x = 1\ny = (")
    with pytest.raises(UserCodeError, match=r"study.yaml, line 6: .*mine.py, line 2: SyntaxError") as caught:
        make(folder, "random", "mine:good")
    assert "y = (" in caught.value.details


def test_the_command_says_whose_code_it_runs_refuses_it_and_tells_errors(folder, tmp_path, capsys):
    make(folder, "random", "mine:raising")
    file = str(folder / "study.yaml")

    def mohb(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments])
        return ended.value.code, *capsys.readouterr()

    code, _, err = mohb("run", file, "--no-plugins", "--out", str(tmp_path / "out"))
    assert (code, "code from outside the package, which --no-plugins refuses" in err) == (2, True)
    code, out, err = mohb("run", file, "--out", str(tmp_path / "out"))
    assert (code, out.count("Runs code of mine:raising")) == (2, 1)
    lines = err.strip().splitlines()
    assert lines[-1].startswith("mohb: method 'mine:raising'")
    assert 'return {}["key"]' in err
    before = set(sys.modules)
    code, *_ = mohb("export", str(tmp_path / "out"), "--out", str(tmp_path / "runs.csv"))
    assert code == 0
    assert not [name for name in set(sys.modules) - before if name.startswith("mohb_plugin")]


def test_published_methods_are_listed_with_where_they_are_from(folder, tmp_path, monkeypatch, capsys):
    site = tmp_path / "site"
    publish(site, "my-dist", "my-method = mine:good")
    (site / "mine.py").write_text(METHOD)
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(SystemExit):
        cli.main(["list", "methods", "--json"])
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert (listed["my-method"]["from"], listed["mo-hb"]["from"]) == ("my-dist 1.0", "mohb-jax")
    assert "mine" not in sys.modules
    (folder / "mine.py").unlink()
    study = make(folder, "my-method")
    (unit,) = studies.work_units(study, studies.load_tables(study))
    assert unit.spec["plugin"] | {"source": ""} == {
        "path": "mine:good",
        "distribution": "my-dist 1.0",
        "source": "",
    }
    publish(site, "other-dist", "mo-hb = mine:good")
    with pytest.raises(SystemExit):
        cli.main(["list", "methods"])
    assert "method 'mo-hb' comes with the package and stays, but other-dist 1.0" in capsys.readouterr().err


def test_what_is_sent_to_a_worker_is_the_same_there(folder, tmp_path, monkeypatch):
    study = make(
        folder, {"method": "mo-hb", "settings": {"promotion": "mine:last_rows"}}, "mine:good", "random"
    )
    units = studies.work_units(study, studies.load_tables(study))
    for unit in units:
        there = received(sent(unit.how))
        assert there.method.name == unit.how.method.name
        assert {name: origin.source_hash for name, origin in there.origins.items()} == {
            name: origin.source_hash for name, origin in unit.how.origins.items()
        }
        assert not unit.how.origins or str(folder) not in str(there.settings)
    wrong = sent(units[1].how)
    wrong = wrong._replace(method=wrong.method._replace(source_hash="0" * 64))
    with pytest.raises(InputError, match=r"the source on this worker .* is not that of the study"):
        received(wrong)
