"""The folder that ``mohb new-method`` writes: a method outside the package, with its tests and a study."""

import keyword
import sys
from pathlib import Path
from string import Template

from mohb_jax.errors import InputError

TEMPLATES = Path(__file__).parent
OWN = __name__.partition(".")[0]


def write_method(name: str, out: Path) -> list[Path]:
    """Writes the folder of a new method.

    Args:
        name: of the method, such as ``my-method``: letters, digits, ``-`` and ``_``. The module is called the
            same with ``_`` for ``-``, in small letters.
        out: the folder; it must not exist or be empty.

    Returns:
        The files, in the order in which one reads them.

    Raises:
        InputError: the name cannot be that of a module, or the folder holds something.
    """
    module = _module(name)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: --out needs a folder")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: --out needs a new or an empty folder")
    targets = {
        "README.md": out / "README.md",
        "package.py": out / module / "__init__.py",
        "study.yaml": out / "study.yaml",
        "test.py": out / "tests" / f"test_{module}.py",
        "pyproject.toml": out / "pyproject.toml",
    }
    for template, target in targets.items():
        text = Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.substitute(name=name, module=module), encoding="utf-8")
    return list(targets.values())


def _module(name: str) -> str:
    """The module's name; ``InputError`` if there is none, or it would hide another module."""
    module = name.lower().replace("-", "_")
    is_ascii = module.isascii() and module.isidentifier() and module.strip("_") == module
    if not is_ascii or keyword.iskeyword(module):
        raise InputError(
            f"name {name!r} cannot be that of a module: accepted are letters, digits, - and _, "
            "a letter first, such as my-method"
        )
    if module in sys.stdlib_module_names or module in (OWN, "tests"):
        raise InputError(f"name {name!r} is that of a module that is there already: give another")
    return module
