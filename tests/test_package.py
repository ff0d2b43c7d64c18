"""The wheel: what users install works far from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = {
    *("mohb_jax/py.typed", "mohb_jax/embedded.yaml"),
    *("mohb_jax/report/template.html", "mohb_jax/report/page.css", "mohb_jax/report/page.js"),
    *("mohb_jax/report/fronts.html", "mohb_jax/report/progress.html", "mohb_jax/report/reading.html"),
    *("mohb_jax/reproduce/claims.html", "mohb_jax/reproduce/adtm.html"),
    *("benchmarks/data/embedded.npz", "benchmarks/data/instances.csv"),
}
SCRIPT = """
import os, sys
import mohb_jax, benchmarks, surrogates
assert all(module.__file__.startswith(sys.argv[1]) for module in (mohb_jax, benchmarks, surrogates))
log = mohb_jax.simulate(benchmarks.load("embedded"), "random", num_seeds=2, tasks=["digits"], evaluations=5)
print(log.valid.sum(axis=1).tolist())
"""


def run(*command: str, **options: object) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the repository stays clean and old build folders cannot help."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("mohb_jax", "benchmarks", "surrogates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder / "dist"), str(folder))
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


def python(installed: Path, folder: Path, *arguments: str) -> str:
    """Python with the wheel and its dependencies; -S leaves out an editable installation."""
    paths = dict.fromkeys([str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_COMPILATION_CACHE_DIR": cache}
    return run(sys.executable, "-S", *arguments, cwd=folder, env=environment)


def test_the_wheel_holds_what_is_needed_and_no_more(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("mohb_jax", "benchmarks", "surrogates")
        for path in (ROOT / package).rglob("*.py")
    }
    assert names >= SHIPPED | sources
    strangers = [name for name in names - SHIPPED - sources if ".dist-info/" not in name]
    assert all(name.startswith("benchmarks/data/") for name in strangers), strangers
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 5e6


def test_it_works_outside_the_repository(installed, tmp_path):
    assert python(installed, tmp_path, "-c", SCRIPT, str(installed)).strip() == "[5, 5]"
    listed = python(installed, tmp_path, "-m", "mohb_jax.cli", "list", "benchmarks")
    assert "embedded" in listed
    options = ("--benchmark", "embedded", "--task", "digits", "--method", "random", "--seeds", "2")
    shown = python(installed, tmp_path, "-m", "mohb_jax.cli", "run", *options, "--evaluations", "5")
    assert "Next: mohb report runs/embedded" in shown
    assert len(list((tmp_path / "runs" / "embedded" / "units").iterdir())) == 1


def test_the_command_is_installed(installed):
    (entry,) = installed.glob("mohb_jax-*.dist-info/entry_points.txt")
    assert "mohb = mohb_jax.cli:main" in entry.read_text()
