"""Imports point one way, so that every part can be read, tested and replaced without those above it."""

import ast
import functools
import graphlib
import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[1]
FOLDERS = {"mohb_jax": "mohb_jax", "benchmarks": "mohb_jax.benchmarks", "surrogates": "mohb_jax.surrogates"}
"""Folders of the repository, and the package that each is installed as."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BELOW: dict[str, set[str]] = {}
"""What each layer may import; a layer is a module or a package right below ``mohb_jax``."""


def layer(name: str, *uses: str) -> None:
    """Declares a layer that may import itself, those named, and all that they may import."""
    BELOW[name] = {name}.union(*(BELOW[used] for used in uses))


layer("errors")
layer("programs")
layer("precision", "programs")
layer("types")
layer("plugins", "errors", "precision")
layer("yaml_text")
layer("rules")
layer("benchmarks", "errors", "plugins", "yaml_text")
layer("surrogates")
layer("threads", "precision")
layer("scaffold", "errors")
layer("schedule", "errors")
layer("kernels", "types", "errors")
layer("arrays", "kernels", "precision")
layer("store", "types", "errors", "precision")
layer("networks", "store", "surrogates", "programs")
layer("transfer", "networks", "benchmarks")
layer("honest_prior", "transfer")
layer("searchers", "kernels", "schedule", "surrogates", "honest_prior", "threads")
layer("guards", "searchers")
layer("settings", "errors", "benchmarks")
layer("promotions", "guards", "plugins", "settings")
layer("drivers", "searchers", "threads", "settings")
layer("external", "drivers")
layer("methods", "drivers", "external", "promotions", "guards", "plugins")
layer("simulation", "methods")
layer("testing", "simulation")
layer("tuner", "simulation", "store")
layer("calibration", "errors")
layer("study", "simulation", "store", "calibration", "yaml_text")
layer("description", "benchmarks", "schedule")
layer("analysis", "store", "kernels", "calibration", "benchmarks", "threads", "description")
layer("report", "analysis")
layer("scheduling", "types", "errors", "precision", "benchmarks")
layer("recurring", "types", "errors", "precision", "benchmarks")
layer("ensembles", "report")
layer("watching", "tuner", "report")
layer("design", "study", "analysis", "tuner")
layer("papers", "study", "report", "scheduling", "recurring", "ensembles")
layer("results", "study", "report")
layer("running", "results", "programs")
layer("optuna", "rules", "tuner")
layer("bench", "running", "tuner", "arrays", "recurring", "optuna", "ensembles", "design")
layer("ext", "simulation")
layer("cli", "design", "running", "watching", "scaffold", "testing", "papers", "bench")
layer("__init__", "simulation", "arrays", "running", "tuner")


def modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted_name(path: Path) -> str:
    """``benchmarks/table.py`` -> ``mohb_jax.benchmarks.table``."""
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[first], *rest])


def layer_of(dotted: str) -> str:
    """``mohb_jax.kernels.clock`` -> ``kernels``; what is outside the package is its own layer."""
    first, *rest = dotted.split(".")
    if first != "mohb_jax":
        return first
    return rest[0] if rest else "__init__"


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """Dotted names of this project that a module imports, wherever in the file the import stands."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            # `from mohb_jax import store` imports the module store, not the package's public names.
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            names = sorted({name if is_module(name) else str(node.module) for name in below})
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in (*FOLDERS, "tests", "scripts"))


def is_module(dotted: str) -> bool:
    below = dotted.removeprefix("mohb_jax.")
    name = below if below.split(".")[0] in FOLDERS else dotted
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = layer_of(dotted_name(path))
    assert own in BELOW, f"{own} is a new layer: say in this file what it may import"
    wrong = [name for name in imported(path) if layer_of(name) not in BELOW[own]]
    assert not wrong, f"{path.relative_to(ROOT)} may import {sorted(BELOW[own])}, not {wrong}"


def test_the_leaves_import_nothing_else():
    assert BELOW["benchmarks"] == {"benchmarks", "errors", "plugins", "precision", "programs", "yaml_text"}
    assert BELOW["surrogates"] == {"surrogates"}


def test_the_reader_of_imports_sees_all_kinds(tmp_path):
    """The tests above could pass because nothing was read."""
    source = """
import mohb_jax.benchmarks.table
from mohb_jax import store, __version__
from mohb_jax.kernels import clock
import numpy
def late():
    from mohb_jax.study import Study
if 0:
    import mohb_jax
"""
    (tmp_path / "module.py").write_text(source)
    found = sorted(imported(tmp_path / "module.py"))
    wanted = [
        *("mohb_jax", "mohb_jax", "mohb_jax.benchmarks.table", "mohb_jax.kernels.clock", "mohb_jax.store"),
        "mohb_jax.study",
    ]
    assert found == wanted
    assert [layer_of(name) for name in found] == [
        "__init__",
        "__init__",
        "benchmarks",
        "kernels",
        "store",
        "study",
    ]


KNOWN_CIRCLES: set[tuple[str, str]] = set()
"""Imports that close a circle, (who, whom): to be taken away one by one, never to be added to."""

KNOWN_LONG_MODULES: set[str] = set()
"""Modules of more than ``MOST_LINES``, likewise."""

KNOWN_LONG_FUNCTIONS: set[str] = set()
"""Functions of more than ``MOST_OWN_LINES``, wherever they are, likewise."""

MOST_LINES = 500
MOST_OWN_LINES = 50


def import_graph() -> dict[str, set[str]]:
    """The modules that each module names in an import, at its top, inside a function or for types only."""
    files = {dotted_name(path): path for path in modules()}

    def file_of(name: str) -> str:
        return name if name in files else f"{name}.__init__"

    return {name: {file_of(other) for other in imported(path)} & files.keys() for name, path in files.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of which each imports the next, the first one again at the end; empty where nothing does."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))  # which holds each module after the one that it imports
    return []


def test_no_modules_import_each_other():
    """Inside a package, too: each module can be read after those that it names, wherever it names them."""
    graph = import_graph()
    stale = [edge for edge in KNOWN_CIRCLES if edge[1] not in graph.get(edge[0], ())]
    assert not stale, f"take {stale} out of KNOWN_CIRCLES"
    for who, whom in KNOWN_CIRCLES:
        graph[who].remove(whom)
    found = circle(graph)
    assert not found, f"a circle of imports: {' -> '.join(found)}"
    for who, whom in KNOWN_CIRCLES:
        assert circle({**graph, who: {*graph[who], whom}}), f"take {who, whom} out of KNOWN_CIRCLES"


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"a"}}) == ["a", "a"]
    found = circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert len(found) == 4
    assert found[0] == found[-1]
    assert all(whom == {"a": "b", "b": "c", "c": "a"}[who] for who, whom in itertools.pairwise(found))


def test_a_study_starts_without_what_loads_slowly():
    slow = ("matplotlib", "scipy.cluster", "scipy.optimize", "scipy.stats")
    script = f"import sys, mohb_jax.running, mohb_jax.study; print([n for n in {slow} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_no_module_is_too_long():
    lines = {dotted_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    long = {name for name, count in lines.items() if count > MOST_LINES}
    assert not long - KNOWN_LONG_MODULES, f"at most {MOST_LINES} lines: {sorted(long - KNOWN_LONG_MODULES)}"
    assert not KNOWN_LONG_MODULES - long, "take those that are short by now out of KNOWN_LONG_MODULES"


def own_lines(function: ast.AST) -> int:
    """Lines of a function from its ``def`` on, without its docstring and functions that are defined in it."""
    assert isinstance(function, FUNCTIONS)
    told = function.body[:1] if ast.get_docstring(function) else []
    inner = [node for node in ast.walk(function) if isinstance(node, FUNCTIONS) and node is not function]
    spans = [range(first_line(node), end_line(node) + 1) for node in inner]
    spans += [range(node.lineno, end_line(node) + 1) for node in told]
    return len(set(range(function.lineno, end_line(function) + 1)).difference(*spans))


def first_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def end_line(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno


def test_no_function_is_too_long():
    long = {
        node.name: f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {own_lines(node)} lines"
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, FUNCTIONS) and own_lines(node) > MOST_OWN_LINES
    }
    new = [says for name, says in long.items() if name not in KNOWN_LONG_FUNCTIONS]
    assert not new, f"at most {MOST_OWN_LINES} lines, not counting functions inside: {new}"
    assert long.keys() >= KNOWN_LONG_FUNCTIONS, "take those that are short by now out of KNOWN_LONG_FUNCTIONS"


def test_own_lines_leave_out_inner_functions():
    source = """
def outer():
    first = 1
    @decorator
    def inner():
        return 2
    return first
"""
    outer, inner = [node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)]
    assert (own_lines(outer), own_lines(inner)) == (3, 2)


def test_every_package_is_shipped():
    """The list in pyproject.toml is explicit; a folder that it lacks would be missing from the wheel."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {dotted_name(path).rpartition(".")[0] for path in modules()}
    assert sorted(settings["packages"]) == sorted(packages)


def test_plans_are_told_apart_by_drivers_alone():
    """All others call the members of ``Plan``, so that a new driver changes no other room."""
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        if path.parent.name != "drivers"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
        if any(isinstance(part, ast.Name) and part.id.endswith("Plan") for part in ast.walk(node))
    ]
    assert not asked, f"isinstance on a plan: {asked}"
