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
INSTALLED_AS = {
    folder: Path("mohb_jax") / ("" if folder == "mohb_jax" else folder)
    for folder in ("mohb_jax", "benchmarks", "surrogates")
}
"""Folders of the repository, and where the wheel holds them."""
SHIPPED = {
    *("mohb_jax/py.typed", "mohb_jax/__init__.pyi", "mohb_jax/study/embedded.yaml"),
    *("mohb_jax/study/compile_seconds.json", "mohb_jax/design/evidence.json"),
    *("mohb_jax/report/template.html", "mohb_jax/report/page.css", "mohb_jax/report/page.js"),
    *("mohb_jax/report/fronts.html", "mohb_jax/report/progress.html", "mohb_jax/report/reading.html"),
    *(
        f"mohb_jax/papers/{page}.html"
        for page in ("claims", "paper", "adtm", "you2023", "mohan2022", "pochelu2022")
    ),
    *("mohb_jax/ensembles/ensembles.html", "mohb_jax/watching/run.html"),
    *(f"mohb_jax/scaffold/{path.name}" for path in (ROOT / "mohb_jax/scaffold").glob("*.txt")),
    *("mohb_jax/benchmarks/data/embedded.npz", "mohb_jax/benchmarks/data/instances.csv"),
}
SCRIPT = """
import sys
import mohb_jax
from mohb_jax import benchmarks, cli, surrogates
assert all(module.__file__.startswith(sys.argv[1]) for module in (mohb_jax, benchmarks, surrogates))
log = mohb_jax.simulate(benchmarks.load("embedded"), "random", num_seeds=2, tasks=["digits"], evaluations=5)
print(log.valid.sum(axis=1).tolist())
cli.main(["list", "benchmarks"])
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
    for name in INSTALLED_AS:
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


@pytest.mark.wide
def test_the_wheel_holds_what_is_needed_and_no_more(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        (target / path.relative_to(ROOT / folder)).as_posix()
        for folder, target in INSTALLED_AS.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert names >= SHIPPED | sources
    strangers = [name for name in names - SHIPPED - sources if ".dist-info/" not in name]
    assert all(name.startswith("mohb_jax/benchmarks/data/") for name in strangers), strangers
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mohb_jax"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 5e6


def test_it_works_outside_the_repository(installed, tmp_path):
    found, listed = python(installed, tmp_path, "-c", SCRIPT, str(installed)).split("\n", 1)
    assert found == "[5, 5]"
    assert "embedded" in listed
    options = ("--benchmark", "embedded", "--task", "digits", "--method", "random", "--seeds", "2")
    shown = python(installed, tmp_path, "-m", "mohb_jax.cli", "run", *options, "--evaluations", "5")
    assert "Next: mohb report runs/embedded" in shown
    assert len(list((tmp_path / "runs" / "embedded" / "units").iterdir())) == 1


def test_the_command_is_installed(installed):
    (entry,) = installed.glob("mohb_jax-*.dist-info/entry_points.txt")
    assert "mohb = mohb_jax.cli:main" in entry.read_text()


def test_a_users_folder_of_the_same_name_is_left_alone(installed, tmp_path):
    """A script beside folders ``benchmarks`` and ``surrogates`` imports those, and ours below mohb_jax."""
    for name in ("benchmarks", "surrogates"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'user'\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import benchmarks, surrogates\n"
        "import mohb_jax\n"
        "from mohb_jax.benchmarks import load\n"
        "assert benchmarks.OWNER == surrogates.OWNER == 'user'\n"
        "print(load('embedded').num_tasks)\n"
    )
    assert python(installed, tmp_path, str(script)).strip() == "7"


def test_an_editable_installation_has_one_root_too(tmp_path):
    """The suite's own installation is editable; far from the repository it offers ``mohb_jax`` alone."""
    script = (
        "import importlib.util, mohb_jax\n"
        "from mohb_jax import benchmarks, surrogates\n"
        "names = ('benchmarks', 'surrogates')\n"
        "print([importlib.util.find_spec(name) is None for name in names], benchmarks.__name__)\n"
    )
    assert run(sys.executable, "-c", script, cwd=tmp_path).strip() == "[True, True] mohb_jax.benchmarks"
