"""Imports point one way, so that every part can be read, tested and replaced without those above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("mohb_jax", "benchmarks", "surrogates")
BELOW: dict[str, set[str]] = {}
"""What each layer may import; a layer is a module or a folder right below ``mohb_jax``, or a leaf package."""


def layer(name: str, *uses: str) -> None:
    """Declares a layer that may import itself, those named, and all that they may import."""
    BELOW[name] = {name}.union(*(BELOW[used] for used in uses))


layer("benchmarks")
layer("surrogates")
layer("types")
layer("threads")
layer("programs")
layer("devices", "threads")
layer("schedule", "benchmarks")  # for InputError
layer("kernels", "types", "benchmarks")
layer("public", "kernels")
layer("transfer", "types", "surrogates", "benchmarks")
layer("searchers", "kernels", "schedule", "surrogates", "transfer", "threads")
layer("hyperband", "searchers", "devices")
layer("asha", "hyperband")
layer("steady", "hyperband", "asha", "devices")
layer("methods", "hyperband", "asha", "steady", "devices")
layer("store", "types", "benchmarks")
layer("calibration", "benchmarks")
layer("report", "store", "kernels", "calibration")
layer("export", "report")
layer("study", "methods", "store", "calibration", "programs")
layer("reproduce", "study", "report")
layer("engines", "study", "programs")
layer("bench", "methods", "public")
layer("cli", "study", "engines", "report", "export", "reproduce", "bench", "public", "programs")
layer("__init__", "methods", "public")


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def layer_of(dotted: str) -> str:
    """``mohb_jax.kernels.clock`` -> ``kernels``; ``benchmarks.table`` -> ``benchmarks``."""
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
        yield from (name for name in names if name.split(".")[0] in (*PACKAGES, "tests", "scripts"))


def is_module(dotted: str) -> bool:
    path = ROOT / dotted.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = layer_of(".".join(parts))
    assert own in BELOW, f"{own} is a new layer: say in this file what it may import"
    wrong = [name for name in imported(path) if layer_of(name) not in BELOW[own]]
    assert not wrong, f"{path.relative_to(ROOT)} may import {sorted(BELOW[own])}, not {wrong}"


def test_the_leaves_import_nothing_of_mohb_jax():
    for package in ("benchmarks", "surrogates"):
        assert BELOW[package] == {package}


def test_the_reader_of_imports_sees_all_kinds(tmp_path):
    """The tests above could pass because nothing was read."""
    source = """
import benchmarks.table
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
    wanted = ["benchmarks.table", "mohb_jax", "mohb_jax.kernels.clock", "mohb_jax.store", "mohb_jax.study"]
    assert found == wanted
    assert [layer_of(name) for name in found] == ["benchmarks", "__init__", "kernels", "store", "study"]


def test_every_package_is_shipped():
    """The list in pyproject.toml is explicit; a folder that it lacks would be missing from the wheel."""
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent.relative_to(ROOT) for path in modules()}
    assert sorted(settings["packages"]) == sorted(".".join(folder.parts) for folder in folders)
