"""Runs the type checker on the package as it is installed, and on the scripts.

``benchmarks`` and ``surrogates`` lie beside ``mohb_jax`` and are installed below it. mypy does not follow
that by itself, so it is shown a folder of links in which each file stands where Python finds it:
    python scripts/check_types.py
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREE = ROOT / ".mypy_cache" / "tree"
INSTALLED_BELOW = ("benchmarks", "surrogates")


def link(target: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def make_tree(tree: Path = TREE) -> None:
    """Links to the package's own files and folders, and to the folders that are installed below it."""
    package = tree / "mohb_jax"
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        old.unlink()
    for path in (*(ROOT / "mohb_jax").iterdir(), *(ROOT / name for name in INSTALLED_BELOW)):
        link(path, package / path.name)
    for name in ("scripts", "tests"):
        link(ROOT / name, tree / name)


def main() -> int:
    make_tree()
    options = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"))
    command = (sys.executable, "-m", "mypy", *options, "-p", "mohb_jax", "-p", "scripts")
    return subprocess.run(command, cwd=TREE).returncode


if __name__ == "__main__":
    sys.exit(main())
