"""Multi-objective Hyperband with hardware choice, simulated thousands of runs at once.

The public names are fetched at their first use, so that ``import mohb_jax`` and ``mohb --help`` come at once.
``__init__.pyi`` lists them, for type checkers and for this file.
"""

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_IMPORTS = (
    node
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
)
_HOME = {alias.name: str(node.module) for node in _IMPORTS for alias in node.names}
"""The module of every public name."""

__all__ = sorted(_HOME)


class _Package(ModuleType):
    """A package whose public names are not hidden by modules: ``mohb_jax.simulate`` is the function, even
    after the import of the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


sys.modules[__name__].__class__ = _Package
