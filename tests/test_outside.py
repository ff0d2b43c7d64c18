"""Benchmarks from outside the package: from a module of the user's, or an installed distribution."""

import json
import sys
from pathlib import Path

import pytest
from mohb_jax.benchmarks import registry, sources
from mohb_jax.benchmarks.crossing import CrossedTable
from mohb_jax.benchmarks.table import Table

from mohb_jax import benchmarks, plugins
from mohb_jax.errors import InputError, UserCodeError

pytestmark = pytest.mark.fast

MODULE = """
import numpy as np

from mohb_jax import benchmarks
from mohb_jax.benchmarks import Column, Objective, Table

def make(name="mine"):
    return Table(
        name=name,
        columns=(Column("x", "continuous"),),
        configs=np.array([[0.0], [1.0]]),
        tasks=("one",),
        fidelities=(1,),
        fidelity_name="epochs",
        fidelity_unit="epoch",
        objectives=(Objective("error", "min", "1"),),
        costs=np.array([[[[1.0]], [[2.0]]]]),
        runtime=np.array([[[1.0], [2.0]]]),
    )

my_table = make()

def crossed():
    return benchmarks.cross_table(my_table)

def raises():
    return {}["nothing"]

def refused():
    return make(name="")

def wrong():
    return 3

def asks(name):
    return make(name)

number = 3
"""


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """The folder in which one works; a study lies in another one."""
    modules, places = dict(sys.modules), list(sys.path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "work"
    sys.path[:] = places
    for name in sys.modules.keys() - modules.keys():
        if name.startswith(("mohb_plugin_", "outside_")):
            del sys.modules[name]


def publish(folder: Path, distribution: str, *lines: str) -> None:
    """A distribution as pip would leave it in a folder."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[mohb_jax.benchmarks]", *lines, ""]))


@pytest.mark.parametrize("name", ["my_tables:my_table", "my_tables:make", "my_tables.py:make"])
def test_a_table_of_a_module_or_what_its_function_returns(work, name):
    (work / "my_tables.py").write_text(MODULE)
    table = benchmarks.load(name)
    assert isinstance(table, Table)
    assert (table.name, table.num_rows) == ("mine", 2)
    assert table.fingerprint == benchmarks.load("my_tables:make").fingerprint


def test_any_kind_of_table_will_do(work):
    (work / "my_tables.py").write_text(MODULE)
    assert isinstance(benchmarks.load("my_tables:crossed"), CrossedTable)


def test_an_edited_module_gives_the_edited_table(work):
    (work / "my_tables.py").write_text(MODULE)
    before = benchmarks.load("my_tables:my_table")
    (work / "my_tables.py").write_text(MODULE.replace("[[1.0]], [[2.0]]", "[[1.0]], [[3.0]]"))
    assert benchmarks.load("my_tables:my_table").fingerprint != before.fingerprint


def test_the_folder_of_the_study_comes_before_the_working_directory(work, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "my_tables.py").write_text(MODULE.replace('name="mine"', 'name="of the study"'))
    (work / "my_tables.py").write_text(MODULE)
    assert benchmarks.load("my_tables:make", folder=tmp_path / "study").name == "of the study"
    assert benchmarks.load("my_tables:make", folder=str(tmp_path / "study")).name == "of the study"
    assert benchmarks.load("my_tables:make").name == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine:my_tabel", r"benchmark 'mine:my_tabel': .*mine.py has no .*did you mean my_table"),
        ("mien:my_table", r"benchmark 'mien:my_table': there is no module .*did you mean mine"),
        ("mine:number", r"'mine:number' is an int \(.*mine.py\): accepted is an AnyTable, or a"),
        ("mine:wrong", r"'mine:wrong' returned an int \(.*mine.py, line \d+\): accepted is an AnyTable"),
        ("mine:asks", r"'mine:asks' is a function \(.*mine.py, line \d+\): .* without arguments"),
        ("mine:Table", r"'mine:Table' is the class Table .*: accepted is an AnyTable"),
        ("mine:raises", r"'mine:raises': .*mine.py, line \d+: KeyError: 'nothing'"),
        ("mine:refused", r"'mine:refused': .*mine.py, line \d+: a table needs a name"),
        ("broken:my_table", r"'broken:my_table': .*broken.py, line 2: "),
        (":my_table", r"benchmark ':my_table': accepted is my_module:my_object"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(work, name, message):
    (work / "mine.py").write_text(MODULE)
    (work / "broken.py").write_text("x = 1\nmy_table = (\n")
    with pytest.raises(InputError, match=message) as caught:
        benchmarks.load(name)
    assert "\n" not in str(caught.value)
    if "raises" in name:
        assert isinstance(caught.value, UserCodeError)
        assert 'return {}["nothing"]' in caught.value.details


def test_installed_distributions_publish_tables_by_name(tmp_path, monkeypatch):
    site = tmp_path / "site"
    publish(site, "my-dist", "my-table = outside_tables:make")
    (site / "outside_tables.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(site))
    assert benchmarks.names() == (*registry.BENCHMARKS, "my-table")
    described = benchmarks.describe()[-1]
    assert (described["name"], described["from"], described["rows"]) == ("my-table", "my-dist 1.0", None)
    assert json.dumps(described)
    assert "outside_tables" not in sys.modules
    assert benchmarks.load("my-table").name == "mine"
    with pytest.raises(InputError, match=r"unknown benchmark 'my-tabel' \(did you mean 'my-table'\?\)"):
        benchmarks.load("my-tabel")
    assert benchmarks.fetch(["my-table"]) == []


def test_a_built_in_name_stays(tmp_path, monkeypatch):
    publish(tmp_path / "site", "my-dist", "synthetic = outside_tables:make")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert benchmarks.load("synthetic").num_rows == 2000
    message = "'synthetic' is built in, and my-dist 1.0 publishes another: use outside_tables:make"
    with pytest.raises(InputError, match=message):
        benchmarks.describe()


def test_only_names_of_code_run_code(work):
    (work / "my_tables.py").write_text("raise SystemExit(7)")
    for name in ("my_tables", "my_tables.py", "my_tables.npz"):
        with pytest.raises(InputError, match=r"unknown benchmark|does not exist"):
            benchmarks.load(name)
    with plugins.forbidden(), pytest.raises(InputError, match="--no-plugins"):
        benchmarks.load("my_tables:my_table")


def test_every_source_is_listed_once():
    folder = Path(sources.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "geoalgo", "embedded_predictions"}
    assert {module.__name__.rpartition(".")[2] for module in sources.MODULES} == files
    entries = [entry for module in sources.MODULES for entry in module.BENCHMARKS]
    assert len({entry.name for entry in entries}) == len(entries) == len(registry.BENCHMARKS)
