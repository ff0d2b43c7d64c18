"""Published data files: found in a folder that already holds them, or downloaded once into the user's cache.

A file is used only if its SHA-256 is the expected one, wherever it comes from. A download goes to a temporary
name and is renamed when it is whole and right, so an interrupted or wrong download leaves nothing behind.
"""

import contextlib
import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pooch

from mohb_jax.errors import InputError

VARIABLE = "MOHB_DATA"
"""Environment variable naming a folder that already holds the data files."""


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        path: where it lies below a data folder or the cache.
        url: where it is published.
        sha256: hexadecimal digest of its content.
        num_bytes: its size.
        licence: SPDX name.
    """

    path: str
    url: str
    sha256: str
    num_bytes: int
    licence: str


def data_folder(data: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder given, or else the one named by ``MOHB_DATA``, or None: then files come from the cache.

    Raises:
        InputError: if there is no such folder.
    """
    given = os.fspath(data) if data is not None else os.environ.get(VARIABLE, "")
    if not given:
        return None
    if not Path(given).is_dir():
        origin = "given for data" if data is not None else f"named by {VARIABLE}"
        raise InputError(f"the folder {given!r} {origin} does not exist")
    return Path(given)


def cache_folder() -> Path:
    """Where downloads are kept: the operating system's cache folder of the user."""
    return Path(pooch.os_cache("mohb"))


def locate(file: RemoteFile, data: str | os.PathLike[str] | None = None) -> Path:
    """Path of a local copy with the right content, downloading it if there is neither data folder nor cached
    copy.

    Args:
        file: what is wanted.
        data: folder that holds it as ``file.path``; default: ``MOHB_DATA`` if set, otherwise the cache.

    Raises:
        InputError: if the data folder lacks the file, its content is wrong, or it cannot be downloaded.
    """
    folder = data_folder(data)
    return _download(file) if folder is None else _given(file, folder)


def state(file: RemoteFile, data: str | os.PathLike[str] | None = None) -> str:
    """``ok``, ``missing`` or ``wrong content``, without downloading anything."""
    path = (data_folder(data) or cache_folder()) / file.path
    if not path.is_file():
        return "missing"
    return "ok" if digest(path) == file.sha256 else "wrong content"


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _given(file: RemoteFile, folder: Path) -> Path:
    path = folder / file.path
    if not path.is_file():
        raise InputError(
            f"{os.fspath(path)!r} does not exist; the data folder must hold {file.path} as published"
        )
    found = digest(path)
    if found != file.sha256:
        digests = f"SHA-256 {found[:12]}..., expected {file.sha256[:12]}..."
        raise InputError(f"{os.fspath(path)!r} is not the published file: {digests}")
    return path


def _download(file: RemoteFile) -> Path:
    target = cache_folder() / file.path
    otherwise = f"or give a folder that holds {file.path} (--data or {VARIABLE})"
    try:
        with _quiet():
            pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=target.name, path=target.parent)
    except ValueError as error:
        raise InputError(
            f"the download of {file.url} has the wrong content and was not kept; try again, {otherwise}"
        ) from error
    except OSError as error:  # requests' errors are of this kind, as are those of a full disk
        raise InputError(
            f"cannot download {file.url} ({type(error).__name__}); connect to the network, {otherwise}"
        ) from error
    return target


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Pooch logs each download; the command line reports what was fetched in its own words."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
