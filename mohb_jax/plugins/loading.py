"""Finds and imports what ``my_module:my_object`` names."""

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.plugins import blaming
from mohb_jax.plugins.sources import hash_of, source_files
from mohb_jax.precision import in_64_bits

SHAPE = "my_module:my_object or path/to/file.py:my_object"
"""What a name of a plug-in looks like, for people."""
OWN = __name__.partition(".")[0]
PREFIX = "mohb_plugin_"
"""Of the names of modules that were found as files."""


class Loaded(NamedTuple):
    """An object of a user, and where it is from."""

    object: Any
    path: str
    """As the user wrote it, or as its entry point says: ``my_module:my_object``."""
    file: Path | None
    """Source file of its module; None where there is none."""
    source_hash: str
    """SHA-256 of that file and of every module of the same folder or package that it imports."""
    distribution: str | None = None
    """``name version`` of the distribution that published it, if one did."""
    folder: Path | None = None
    """Folder that a worker elsewhere must have to import it; None for installed modules."""
    files: tuple[Path, ...] = ()
    """All files that the hash is of."""

    @property
    def reference(self) -> str:
        """A name that finds it from any working directory of this machine: a file stands with its whole
        path."""
        attribute = self.path.rpartition(":")[2]
        return self.path if self.folder is None else f"{self.file}:{attribute}"

    @property
    def identity(self) -> dict[str, Any]:
        """What tells versions of it apart, for a unit's hash."""
        return {"path": self.path, "distribution": self.distribution, "source": self.source_hash}


class _Module(NamedTuple):
    """An imported module of a user."""

    module: ModuleType
    file: Path | None
    root: Path | None
    """Folder from which its imports are followed; None for installed modules."""
    files: tuple[Path, ...]
    source_hash: str | None
    """As it was when the module was imported; None without a source file."""


_MODULES: dict[Path, _Module] = {}
"""Modules found as files, by absolute path."""


def is_path(name: str) -> bool:
    """True if a name is that of an object in a module: it holds a colon."""
    return ":" in name


@in_64_bits
def load_object(name: str, folder: Path | None = None, kind: str = "plug-in") -> Loaded:
    """Imports a module and takes an object from it.

    Args:
        name: ``my_module:my_object`` or ``path/to/file.py:my_object``. The module is looked for in
            ``folder``, then in the working directory, then among what is installed.
        folder: folder of the study file; None if there is none.
        kind: what it is wanted as, for messages.

    Raises:
        InputError: there is no such module or object, or no way to tell versions of it apart.
        UserCodeError: the module cannot be imported.
    """
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise InputError(f"{kind} {name!r}: accepted is {SHAPE}")
    label = f"{kind} {name!r}"
    _require_allowed(label)
    file = _file_of(module_name, folder)
    found = _from_file(file, label) if file else _installed(module_name, label, folder)
    held = _attribute(found.module, attribute, label)
    return Loaded(
        object=held,
        path=name,
        file=found.file,
        source_hash=found.source_hash or _version_hash(found.module, held, label),
        folder=found.root,
        files=found.files,
    )


def entry_points(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """What installed distributions publish in a group, by name; nothing is imported.

    Raises:
        InputError: two distributions publish one name.
    """
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for point in importlib.metadata.entry_points(group=group):
        if point.name in found and found[point.name] != point:
            both = f"{distribution_of(found[point.name])} and {distribution_of(point)}"
            raise InputError(f"{point.name!r} of {group} is published twice, by {both}: use {point.value}")
        found[point.name] = point
    return found


@in_64_bits
def entry_point(group: str, name: str, kind: str = "plug-in") -> Loaded | None:
    """The object that an installed distribution publishes under a name; None if none does.

    Raises:
        InputError: two do, or what is named cannot be had (``load_object``).
    """
    point = entry_points(group).get(name)
    if point is None:
        return None
    label = f"{kind} {name!r} of {distribution_of(point)}"
    _require_allowed(label)
    if not point.attr:
        raise InputError(f"{label}: its entry point is {point.value!r}: accepted is my_module:my_object")
    found = _installed(point.module, label)
    held = _attribute(found.module, point.attr, label)
    source = found.source_hash or _version_hash(found.module, held, label)
    distribution = distribution_of(point)
    return Loaded(held, point.value, found.file, source, distribution, files=found.files)


def distribution_of(point: importlib.metadata.EntryPoint) -> str:
    """``name version`` of the distribution that publishes an entry point."""
    return "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


_FORBIDDEN: list[bool] = []


@contextlib.contextmanager
def forbidden() -> Iterator[None]:
    """Within it nothing from outside the package is imported: to ask for it is an ``InputError``."""
    _FORBIDDEN.append(True)
    try:
        yield
    finally:
        _FORBIDDEN.pop()


def _require_allowed(label: str) -> None:
    if _FORBIDDEN:
        raise InputError(f"{label} is code from outside the package, which --no-plugins refuses to run")


Wanted = TypeVar("Wanted")


@in_64_bits
def made(loaded: Loaded, wanted: type[Wanted], kind: str, settings: tuple[Any, ...] = ()) -> Wanted:
    """The object itself if it is one of ``wanted``, else what it returns when called with ``settings``.

    Raises:
        InputError: it is neither.
        UserCodeError: it raised.
    """
    if isinstance(loaded.object, wanted):
        return loaded.object
    label = f"{kind} {loaded.path!r}"
    name = wanted.__name__
    accepted = f"accepted is {_a(name)} {name}, or a function without arguments that returns one"
    if not callable(loaded.object) or isinstance(loaded.object, type) or not _takes(loaded.object, settings):
        raise InputError(f"{label} is {_article(loaded.object)}{_origin(loaded)}: {accepted}")
    try:
        result = loaded.object(*settings)
    except Exception as error:
        raise blaming.blame(error, label, loaded.files) from error
    if not isinstance(result, wanted):
        raise InputError(f"{label} returned {_article(result)}{_origin(loaded)}: {accepted}")
    return result


def _article(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{_a(name)} {name}"


def _a(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _origin(loaded: Loaded) -> str:
    """The file of a user's object, and the line where it is a function's."""
    code = getattr(loaded.object, "__code__", None)
    if code is not None:
        return f" ({code.co_filename}, line {code.co_firstlineno})"
    return "" if loaded.file is None else f" ({loaded.file})"


def _takes(function: Any, arguments: tuple[Any, ...]) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


def _file_of(module_name: str, folder: Path | None) -> Path | None:
    """The file of a module beside the study file or in the working directory; None if it must be an installed
    one."""
    places = [place.resolve() for place in (folder, Path.cwd()) if place is not None]
    if module_name.endswith(".py"):
        files = [place / Path(module_name).expanduser() for place in places]
        found = next((file.resolve() for file in files if file.is_file()), None)
        if found is None:
            tried = " or ".join(dict.fromkeys(str(file.parent) for file in files))
            raise InputError(f"{module_name!r} does not exist in {tried}")
        return found
    parts = module_name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise InputError(f"{module_name!r} names no module: accepted is {SHAPE}")
    for place in places:
        base = place.joinpath(*parts)
        for file in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if file.is_file() and not _is_ours(file):
                return file
    return None


def _is_ours(file: Path) -> bool:
    return Path(__file__).parent in file.parents


def _from_file(file: Path, label: str) -> _Module:
    """The module of a file; imported anew if it, or what it imports, has changed since."""
    known, root = _MODULES.get(file), _root_of(file)
    _prefer(root)
    if known is not None and hash_of(known.files, root) == known.source_hash:
        return known
    files = source_files(file, root)
    # Before it is imported: a file that changes meanwhile must not stand under the newer hash.
    source_hash = hash_of(files, root)
    for other in known.files if known else ():
        _forget(other)
    importlib.invalidate_caches()
    blaming.USER_FILES.update(files)
    _MODULES[file] = _Module(_executed(file, root, files, label), file, root, files, source_hash)
    return _MODULES[file]


def _root_of(file: Path) -> Path:
    """The folder in which the names of modules begin: the first above a file that is no package."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _executed(file: Path, root: Path, files: tuple[Path, ...], label: str) -> ModuleType:
    """Runs a file as a module, under a name of its own: files of one name in two folders stay apart, and none
    hides an installed module."""
    first, *rest = file.relative_to(root).with_suffix("").parts
    rest = rest[:-1] if file.name == "__init__.py" else rest
    top = root / first / "__init__.py" if file.parent != root else file
    name = _hashed(top, first)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a study's folder stays as it is
    try:
        module = sys.modules[name] if rest and name in sys.modules else _execute(name, top)
        return importlib.import_module(".".join([name, *rest])) if rest else module
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may even call sys.exit
        raise blaming.blame(error, label, files) from error
    finally:
        sys.dont_write_bytecode = written


def _hashed(file: Path, name: str) -> str:
    return f"{PREFIX}{hashlib.sha256(str(file).encode()).hexdigest()[:12]}_{name}"


def _execute(name: str, file: Path) -> ModuleType:
    places = [str(file.parent)] if file.name == "__init__.py" else None
    loader = _FreshLoader(name, str(file))
    spec = importlib.util.spec_from_file_location(
        name, file, loader=loader, submodule_search_locations=places
    )
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source as it is: compiled files are told apart by seconds and size alone."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _forget(file: Path) -> None:
    """Makes the next import of a file run it again."""
    for name in _names(file):
        del sys.modules[name]


def _forget_plain(file: Path) -> None:
    """The same for its plain name alone: those of our making belong to one folder."""
    for name in _names(file):
        if not name.startswith(PREFIX):
            del sys.modules[name]


def _names(file: Path) -> list[str]:
    """Names under which a file was imported."""
    return [name for name, module in sys.modules.items() if getattr(module, "__file__", None) == str(file)]


_ROOTS: list[Path] = []
"""Folder whose modules import each other by name: the one of the last module that was asked for."""
_ADDED: list[str] = []
"""What stands in ``sys.path`` because of that."""


def _prefer(root: Path) -> None:
    """Lets modules of a folder import their neighbours. It comes last: a neighbour named like an installed
    module must not hide that from everybody else."""
    if [root] == _ROOTS:
        return
    for old in _ROOTS:
        # A neighbour of the same name in the other folder is another module.
        for file in {file for known in _MODULES.values() if known.root == old for file in known.files}:
            _forget_plain(file)
    sys.path[:] = [place for place in sys.path if place not in _ADDED]
    _ADDED[:] = [] if str(root) in sys.path else [str(root)]
    sys.path += _ADDED
    _ROOTS[:] = [root]


_INSTALLED: dict[str, _Module] = {}
"""Installed modules that were imported here, by name."""


def _installed(module_name: str, label: str, folder: Path | None = None) -> _Module:
    """Imports an installed module; ``folder`` is where else it was looked for."""
    if module_name in _INSTALLED:
        return _INSTALLED[module_name]
    spec = _spec(module_name, label, folder)
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    file = file if file is not None and file.is_file() else None
    files: tuple[Path, ...] = ()
    source = None
    if file is not None and module_name.partition(".")[0] != OWN:
        root = _root_of(file)
        files = source_files(file, root, only=module_name.partition(".")[0])
        source = hash_of(files, root)
    blaming.USER_FILES.update(files)
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise blaming.blame(error, label, files) from error
    _INSTALLED[module_name] = _Module(module, file, None, files, source)
    return _INSTALLED[module_name]


def _spec(module_name: str, label: str, folder: Path | None) -> importlib.machinery.ModuleSpec:
    spec = None
    try:
        spec = importlib.util.find_spec(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise blaming.blame(error, label) from error
    except ValueError:  # a module without a spec, such as __main__
        spec = importlib.machinery.ModuleSpec(module_name, None)
    except Exception as error:  # its package could not be imported
        raise blaming.blame(error, label) from error
    if spec is None:
        places = list(dict.fromkeys([*([] if folder is None else [folder.resolve()]), Path.cwd()]))
        near = did_you_mean(module_name, [path.stem for place in places for path in place.glob("*.py")])
        tried = ", ".join(map(str, places))
        raise InputError(
            f"{label}: there is no module {module_name!r}{near}, neither in {tried} nor installed"
        )
    return spec


def _attribute(module: ModuleType, attribute: str, label: str) -> Any:
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            known = (
                [name for name in vars(value) if not name.startswith("_")]
                if hasattr(value, "__dict__")
                else []
            )
            file = getattr(module, "__file__", None) or module.__name__
            raise InputError(f"{label}: {file} has no {part!r}{did_you_mean(part, known)}")
        value = getattr(value, part)
    return value


def _version_hash(module: ModuleType, held: Any, label: str) -> str:
    """Where a module has no source file: its version, else the source of the object."""
    version = getattr(module, "__version__", None)
    if isinstance(version, str):
        return hashlib.sha256(f"version {version}".encode()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(held).encode()).hexdigest()
    except (OSError, TypeError):
        raise InputError(
            f"{label}: cannot tell versions of {module.__name__} apart, its source is not there: give it a "
            "__version__"
        ) from None


def of_functions(name: str, functions: Collection[Any], label: str) -> Loaded:
    """What tells versions of an object apart that was put together in this process.

    Args:
        name: of the object.
        functions: of a user, which it consists of.
        label: of the object, for messages.

    Raises:
        InputError: the source of a function is not there and its module has no ``__version__``.
    """
    digest = hashlib.sha256(name.encode())
    for function in functions:
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        path = Path(file) if file is not None and file.endswith(".py") else None
        if path is not None and path.is_file():
            root = _root_of(path)
            first = path.relative_to(root).parts[0].removesuffix(".py")
            is_alone = root == path.parent and "site-packages" not in path.parts
            digest.update(hash_of(source_files(path, root, None if is_alone else first), root).encode())
        else:
            digest.update(_version_hash(module or sys, function, label).encode())
    return Loaded(None, name, None, digest.hexdigest())
