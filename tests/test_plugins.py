"""Finding, importing and telling apart what a user brings along."""

import importlib.metadata
import pickle
import sys
from pathlib import Path

import pytest

from mohb_jax import plugins
from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.plugins import blame, entry_point, entry_points, is_path, load_object, loading, made
from mohb_jax.plugins.sources import source_files

pytestmark = pytest.mark.fast


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Works in a folder of its own, and leaves no module behind."""
    before = dict(sys.modules), list(sys.path)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield
    for name in set(sys.modules) - set(before[0]):
        if name.startswith("mohb_plugin_") or str(tmp_path) in str(
            getattr(sys.modules[name], "__file__", "")
        ):
            del sys.modules[name]
    sys.path[:] = before[1]
    loading._MODULES.clear()
    loading._INSTALLED.clear()
    loading._ROOTS.clear()
    loading._ADDED.clear()


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_names_with_a_colon_are_paths():
    assert is_path("my_module:my_method")
    assert not is_path("mo-hb")


def test_found_beside_the_study_file_before_the_working_directory(tmp_path):
    write(tmp_path / "study", mine="value = 1")
    write(tmp_path / "work", mine="value = 2", other="value = 3")
    assert load_object("mine:value", tmp_path / "study").object == 1
    assert load_object("mine:value").object == 2
    found = load_object("other:value", tmp_path / "study")
    assert (found.object, found.path, found.file) == (3, "other:value", tmp_path / "work" / "other.py")
    assert found.folder == tmp_path / "work"


def test_a_file_by_its_path(tmp_path):
    write(tmp_path / "study" / "deep", mine="value = 1")
    assert load_object("deep/mine.py:value", tmp_path / "study").object == 1
    assert load_object(f"{tmp_path}/study/deep/mine.py:value").object == 1
    with pytest.raises(InputError, match=r"'shallow/mine.py' does not exist in .*study"):
        load_object("shallow/mine.py:value", tmp_path / "study")


@pytest.mark.parametrize("name", ["random", "mohb_jax", "methods", "jax", "json"])
def test_a_module_named_like_another_works_and_hides_nothing(tmp_path, name):
    write(tmp_path / "study", **{name: "import random, json, jax\nimport mohb_jax.errors\nvalue = 1"})
    before = sys.modules.get(name)
    assert load_object(f"{name}:value", tmp_path / "study").object == 1
    assert sys.modules.get(name) is before


def test_files_of_one_name_in_two_folders_stay_apart(tmp_path):
    text = "import helper\nvalue = helper.value"
    folders = [write(tmp_path / f"study{number}", mine=text, helper=f"value = {number}") for number in (1, 2)]
    order = (0, 1, 0)
    assert [load_object("mine:value", folders[place]).object for place in order] == [1, 2, 1]


def test_a_package_and_its_modules(tmp_path):
    write(
        tmp_path / "study",
        **{
            "pack/__init__": "from pack.part import value",
            "pack/part": "from . import base\nvalue = base.value + 1",
            "pack/base": "value = 1",
        },
    )
    assert load_object("pack:value", tmp_path / "study").object == 2
    found = load_object("pack.part:value", tmp_path / "study")
    assert found.object == 2
    assert [path.name for path in found.files] == ["__init__.py", "base.py", "part.py"]


def test_an_installed_module():
    found = load_object("json.decoder:JSONDecoder")
    assert found.object.__name__ == "JSONDecoder"
    assert found.folder is None
    assert {path.name for path in found.files} == {"__init__.py", "decoder.py", "encoder.py", "scanner.py"}


def test_nothing_is_written_beside_the_study(tmp_path):
    write(tmp_path / "study", mine="import helper\nvalue = 1", helper="")
    load_object("mine:value", tmp_path / "study")
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == ["helper.py", "mine.py"]


def test_the_hash_follows_the_module_and_what_it_imports(tmp_path):
    text = "def later():\n    import helper\nvalue = 1"
    folder = write(tmp_path / "study", mine=text, helper="", stranger="")
    first = load_object("mine:value", folder)
    assert load_object("mine:value", folder).source_hash == first.source_hash
    write(folder, stranger="changed = 1")
    assert load_object("mine:value", folder).source_hash == first.source_hash
    write(folder, helper="changed = 1")
    second = load_object("mine:value", folder)
    assert second.source_hash != first.source_hash
    write(folder, mine=text.replace("1", "2"))
    third = load_object("mine:value", folder)
    assert third.object == 2, "an edited module is imported anew"
    assert third.source_hash not in (first.source_hash, second.source_hash)


def test_the_hash_does_not_know_where_the_folder_is(tmp_path):
    found = [
        load_object("mine:value", write(tmp_path / name, mine="import helper\nvalue = 1", helper=""))
        for name in ("here", "there")
    ]
    assert found[0].source_hash == found[1].source_hash


def test_an_edited_helper_is_imported_anew(tmp_path):
    folder = write(tmp_path / "study", mine="import helper\nvalue = helper.value", helper="value = 1")
    assert load_object("mine:value", folder).object == 1
    write(folder, helper="value = 2")
    assert load_object("mine:value", folder).object == 2


def test_without_a_source_file_the_version_counts(monkeypatch):
    module = type(sys)("without_source")
    module.value = 1
    monkeypatch.setitem(sys.modules, "without_source", module)
    with pytest.raises(InputError, match="cannot tell versions of without_source apart"):
        load_object("without_source:value")
    module.__version__ = "1"
    first = load_object("without_source:value").source_hash
    module.__version__ = "2"
    assert load_object("without_source:value").source_hash != first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine:", r"plug-in 'mine:': accepted is my_module:my_object"),
        (":value", r"plug-in ':value': accepted is my_module:my_object"),
        ("my mod:value", r"'my mod' names no module"),
        (
            "mone:value",
            r"no module 'mone' \(did you mean mine\?\), neither in .*study, .*work nor installed",
        ),
        ("json.nothing:value", r"there is no module 'json.nothing'"),
        ("mine:valeu", r"mine.py has no 'valeu' \(did you mean value\?\)"),
        ("mine:value.deep", r"mine.py has no 'deep'"),
    ],
)
def test_wrong_names_are_told_in_a_line(tmp_path, name, message):
    write(tmp_path / "study", mine="value = 1")
    with pytest.raises(InputError, match=message) as caught:
        load_object(name, tmp_path / "study")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value = 1\nimport not_there", "mine.py, line 2: ModuleNotFoundError: No module named 'not_there'"),
        ("value = 1\nx = (", "mine.py, line 2: SyntaxError: '\\(' was never closed"),
        ("value = 1\nx = 1 / 0", "mine.py, line 2: ZeroDivisionError: division by zero"),
        ("import helper", "helper.py, line 1: KeyError: 'x'"),
        ("import sys\nsys.exit(3)", "mine.py, line 2: SystemExit: 3"),
        ("from mohb_jax.errors import InputError\nraise InputError('eta is 0')", "mine.py, line 2: eta is 0"),
        ("raise ValueError('two\\nlines')", "mine.py, line 1: ValueError: two lines$"),
    ],
)
def test_errors_while_importing_name_file_and_line(tmp_path, text, message):
    folder = write(tmp_path / "study", mine=text, helper="{}['x']")
    with pytest.raises(UserCodeError, match=f"plug-in 'mine:value': .*{message}") as caught:
        load_object("mine:value", folder)
    assert "\n" not in str(caught.value)
    assert ("mine.py" in caught.value.details) == ("eta is 0" not in message), "our own say all in one line"
    assert "importlib" not in caught.value.details
    with pytest.raises(UserCodeError):  # a module that failed is not half there
        load_object("mine:value", folder)


def test_made_takes_the_object_or_what_a_function_returns(tmp_path):
    text = """
one = 1
def make(): return 2
def of(settings): return settings
def wrong(): return "2"
def raises(): raise KeyError("x")
"""
    folder = write(tmp_path / "study", mine=text)

    def result(name, *settings):
        return made(load_object(f"mine:{name}", folder), int, "number", settings)

    assert result("one") == 1
    assert result("make") == 2
    assert result("of", 3) == 3
    accepted = "accepted is an int, or a function without arguments that returns one"
    with pytest.raises(InputError, match=rf"'mine:wrong' returned a str \(.*mine.py, line 5\): {accepted}"):
        result("wrong")
    with pytest.raises(InputError, match=rf"'mine:of' is a function \(.*mine.py, line 4\): {accepted}"):
        result("of")
    with pytest.raises(UserCodeError, match=r"number 'mine:raises': .*mine.py, line 6: KeyError: 'x'"):
        result("raises")


def test_blame_finds_the_deepest_of_the_users_lines(tmp_path):
    text = "def outer(f):\n    return inner(f)\ndef inner(f):\n    return f()\n"
    outer = load_object("mine:outer", write(tmp_path / "study", mine=text)).object
    with pytest.raises(ZeroDivisionError) as caught:
        outer(lambda: 1 / 0)
    assert plugins.is_users(caught.value)
    found = blame(caught.value, "method 'mine:outer'")
    assert str(found).endswith("mine.py, line 4: ZeroDivisionError: division by zero")
    assert found.details.count("mine.py") == 2
    again = pickle.loads(pickle.dumps(found))
    assert (str(again), again.details) == (str(found), found.details)
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert not plugins.is_users(caught.value)


def publish(folder: Path, distribution: str, *lines: str) -> None:
    """A distribution as pip would leave it in a folder."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[mohb_jax.methods]", *lines, ""]))


def test_entry_points_are_found_by_name_without_importing(tmp_path, monkeypatch):
    site = write(tmp_path / "site", published_one="value = 1")
    publish(site, "my-dist", "my-method = published_one:value", "broken = published_one:nothing")
    monkeypatch.syspath_prepend(str(site))
    assert sorted(entry_points("mohb_jax.methods")) == ["broken", "my-method"]
    assert "published_one" not in sys.modules
    found = entry_point("mohb_jax.methods", "my-method", "method")
    assert (found.object, found.distribution, found.path) == (1, "my-dist 1.0", "published_one:value")
    assert entry_point("mohb_jax.methods", "other") is None
    with pytest.raises(InputError, match=r"'broken' of my-dist 1.0: .*published_one.py has no 'nothing'"):
        entry_point("mohb_jax.methods", "broken", "method")


def test_one_name_of_two_distributions_is_refused(tmp_path, monkeypatch):
    site = tmp_path / "site"
    publish(site, "first-dist", "my-method = first:value")
    publish(site, "second-dist", "my-method = second:value")
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(InputError, match=r"published twice, by .*first-dist 1.0.*: use") as caught:
        entry_points("mohb_jax.methods")
    assert "second-dist 1.0" in str(caught.value)
    assert importlib.metadata.entry_points(group="mohb_jax.methods")


def test_source_files_end_at_the_package(tmp_path):
    pack = {"pack/__init__": "", "pack/one": "import neighbour, pack.two", "pack/two": "", "neighbour": ""}
    write(tmp_path, **pack)
    file = tmp_path / "pack" / "one.py"
    names = [path.name for path in source_files(file, tmp_path, only="pack")]
    assert names == ["__init__.py", "one.py", "two.py"]
    assert "neighbour.py" in [path.name for path in source_files(file, tmp_path)]


def test_a_shipment_is_the_same_code_elsewhere(tmp_path):
    text = "from pack import base\nvalue = base.value"
    folder = write(tmp_path / "study", **{"pack/__init__": "", "pack/part": text, "pack/base": "value = 1"})
    sent = plugins.packed(load_object("pack.part:value", folder))
    assert sorted(sent.files) == ["pack/__init__.py", "pack/base.py", "pack/part.py"]
    got = plugins.unpacked(sent, tmp_path / "worker")
    assert got.object == 1
    assert got.source_hash == sent.source_hash
    assert tmp_path / "worker" in got.file.parents
    with pytest.raises(InputError, match=r"the source on this worker .* is not that of the study"):
        plugins.unpacked(sent._replace(source_hash="0" * 64), tmp_path / "worker")
    installed = plugins.packed(load_object("json:loads"))
    assert (installed.files, plugins.unpacked(installed, tmp_path).path) == ({}, "json:loads")


def test_a_reference_is_found_from_anywhere(tmp_path, monkeypatch):
    text = "from . import base as value"
    folder = write(tmp_path / "study", **{"pack/__init__": "", "pack/part": text, "pack/base": ""})
    found = load_object("pack.part:value", folder)
    monkeypatch.chdir(tmp_path)
    again = load_object(found.reference)
    assert again.object is found.object
    assert (again.source_hash, again.reference) == (found.source_hash, found.reference)


def test_nothing_is_imported_where_that_is_forbidden(tmp_path):
    folder = write(tmp_path / "study", mine="raise RuntimeError")
    message = r"'mine:value' is code from outside .*--no-plugins"
    with plugins.forbidden(), pytest.raises(InputError, match=message):
        load_object("mine:value", folder)
    write(folder, mine="value = 1")
    assert load_object("mine:value", folder).object == 1
