"""What a piece of code consists of: the files that a module imports from its own folder or package.

Imports are read from the text, so the answer depends neither on what else was imported in this process nor on
whether a function that imports has been called.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

OWN = __name__.partition(".")[0]


def source_files(file: Path, root: Path, only: str | None = None) -> tuple[Path, ...]:
    """A module's file and those of all modules below ``root`` that it imports, directly or not; sorted.

    Args:
        file: the module's file; what is not Python has no imports.
        root: folder in which names of modules begin.
        only: top-level name of the modules that count; None for all below ``root``.
    """
    found: set[Path] = set()
    waiting = [file, *_packages(file, root)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imports(path, root):
            first = name.split(".")[0]
            if first != OWN and (only is None or first == only):
                waiting += _files(name, root)
    return tuple(sorted(found))


def hash_of(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over names below ``root`` and contents; a file that has gone counts as such."""
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes() if path.is_file() else b"\0gone"
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _packages(file: Path, root: Path) -> list[Path]:
    """The ``__init__.py`` of the packages that a file lies in: they run before it."""
    inside = [folder for folder in file.parents if root in folder.parents]
    return [folder / "__init__.py" for folder in inside if (folder / "__init__.py").is_file()]


def _imports(path: Path, root: Path) -> Iterator[str]:
    """Dotted names that a file imports, or might: ``from a import b`` may mean a module b or a name in a."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    package = path.parent.relative_to(root).parts if path.is_relative_to(root) else ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (name for name in (base, *(f"{base}.{a.name}".strip(".") for a in node.names)) if name)


def _files(name: str, root: Path) -> list[Path]:
    """Files below ``root`` that run when a dotted name is imported."""
    parts = name.split(".")
    bases = [root.joinpath(*parts[: end + 1]) for end in range(len(parts))]
    names = [file for base in bases for file in (base / "__init__.py", base.with_name(f"{base.name}.py"))]
    return [file for file in names if file.is_file()]
