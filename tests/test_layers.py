"""Imports point one way, so that every part can be read, tested and replaced without those above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"mohb_jax": "mohb_jax", "benchmarks": "mohb_jax.benchmarks", "surrogates": "mohb_jax.surrogates"}
"""Folders of the repository, and the package that each is installed as."""
BELOW: dict[str, set[str]] = {}
"""What each layer may import; a layer is a module or a package right below ``mohb_jax``."""


def layer(name: str, *uses: str) -> None:
    """Declares a layer that may import itself, those named, and all that they may import."""
    BELOW[name] = {name}.union(*(BELOW[used] for used in uses))


layer("errors")
layer("types")
layer("benchmarks", "errors")
layer("surrogates")
layer("threads")
layer("programs")
layer("scaffold", "errors")
layer("plugins", "errors")
layer("schedule", "errors")
layer("kernels", "types", "errors")
layer("arrays", "kernels")
layer("transfer", "types", "surrogates", "benchmarks")
layer("searchers", "kernels", "schedule", "surrogates", "transfer", "threads")
layer("guards", "searchers")
layer("drivers", "searchers", "threads")
layer("methods", "drivers", "guards", "plugins")
layer("testing", "methods", "programs")
layer("store", "types", "errors")
layer("calibration", "errors")
layer("study", "methods", "store", "calibration", "programs")
layer("analysis", "store", "kernels", "calibration", "benchmarks")
layer("report", "analysis")
layer("papers", "study", "report")
layer("engines", "study", "programs")
layer("bench", "methods", "arrays")
layer("cli", "scaffold", "study", "engines", "report", "papers", "bench", "arrays", "programs")
layer("__init__", "methods", "arrays")


def modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


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


def imported(path: Path) -> Iterator[str]:
    """Dotted names of this project that a module imports, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            # `from mohb_jax import store` imports the module store, not the package's public names.
            submodules = [alias.name for alias in node.names if is_module(f"{node.module}.{alias.name}")]
            names = [f"{node.module}.{name}" for name in submodules] or [str(node.module)]
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
    assert BELOW["benchmarks"] == {"benchmarks", "errors"}
    assert BELOW["surrogates"] == {"surrogates"}


def test_the_reader_of_imports_sees_all_kinds(tmp_path):
    """The tests above could pass because nothing was read."""
    source = """
import mohb_jax.benchmarks.table
from mohb_jax import store, simulate
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
        *("mohb_jax", "mohb_jax.benchmarks.table", "mohb_jax.kernels.clock", "mohb_jax.store"),
        "mohb_jax.study",
    ]
    assert found == wanted
    assert [layer_of(name) for name in found] == ["__init__", "benchmarks", "kernels", "store", "study"]


def test_every_package_is_shipped():
    """The list in pyproject.toml is explicit; a folder that it lacks would be missing from the wheel."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {dotted_name(path).rpartition(".")[0] for path in modules()}
    assert sorted(settings["packages"]) == sorted(packages)
