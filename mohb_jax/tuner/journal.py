"""A journal: one line of JSON per operation, which any process may append and all replay.

The file is the truth. A process takes the lock, replays what others have appended, acts, appends and lets go;
the operating system lets go of the lock when a process dies. A line that a crash has cut short never counted.
"""

import contextlib
import json
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import filelock

from mohb_jax.errors import InputError

LOCK_SECONDS = 300
"""How long an operation waits for those of others; the first of each process compiles programs meanwhile."""


class Line(NamedTuple):
    """An operation, and the number of its line, from 1."""

    number: int
    content: dict[str, Any]


class Journal(Protocol):
    """Lines that somebody keeps."""

    def locked(self) -> contextlib.AbstractContextManager[Any]:
        """Keeps all others out."""

    def new_lines(self) -> list[Line]:
        """What was appended by others since the last call; only while locked."""

    def append(self, contents: Sequence[dict[str, Any]]) -> None:
        """Adds lines, all or none of them; only while locked, with no new lines."""

    def rewind(self) -> None:
        """``new_lines`` begins at the first line again."""


class MemoryJournal:
    """Of a run that ends with its process."""

    def __init__(self) -> None:
        self._contents: list[dict[str, Any]] = []
        self._num_read = 0
        self._lock = threading.RLock()

    def locked(self) -> contextlib.AbstractContextManager[Any]:
        """See ``Journal``."""
        return self._lock

    @property
    def num_lines(self) -> int:
        """Lines that were read or written."""
        return self._num_read

    def new_lines(self) -> list[Line]:
        """See ``Journal``."""
        lines = [Line(n, c) for n, c in enumerate(self._contents[self._num_read :], self._num_read + 1)]
        self._num_read = len(self._contents)
        return lines

    def append(self, contents: Sequence[dict[str, Any]]) -> None:
        """See ``Journal``."""
        self._contents += contents
        self._num_read = len(self._contents)

    def rewind(self) -> None:
        """See ``Journal``."""
        self._num_read = 0


class FileJournal:
    """Lines of a file, for one process or many.

    Args:
        path: of the file.
        soft_lock: lock by a file that is there or not, where the file system has no locks (some NFS); a
            process that dies then leaves it, and somebody must take it away.
    """

    def __init__(self, path: Path, soft_lock: bool = False) -> None:
        self.path = path
        self._offset = self.num_lines = 0
        self._lock = threading.RLock()
        kind = filelock.SoftFileLock if soft_lock else filelock.FileLock
        self._file_lock = kind(f"{path}.lock", timeout=LOCK_SECONDS)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """See ``Journal``.

        Raises:
            InputError: somebody holds the lock for too long.
        """
        with self._lock:
            try:
                self._file_lock.acquire()
            except filelock.Timeout:
                held = f"is locked by another process for {LOCK_SECONDS} s"
                raise InputError(f"journal {self.path} {held}") from None
            try:
                yield
            finally:
                self._file_lock.release()

    def new_lines(self) -> list[Line]:
        """See ``Journal``. What a crash has left of a last line is cut off.

        Raises:
            InputError: a line is no operation, or the file has become shorter.
        """
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                raise InputError(f"journal {self.path} has become shorter: it was edited while it was in use")
            file.seek(self._offset)
            text = file.read()
        *lines, rest = text.split(b"\n")
        if lines and not rest and _content(lines[-1]) is None:
            rest = lines.pop() + b"\n"
        found = [self._line(number, line) for number, line in enumerate(lines, self.num_lines + 1)]
        if rest:
            self._cut(self._offset + len(text) - len(rest), self.num_lines + len(lines) + 1)
        self._offset += len(text) - len(rest)
        self.num_lines += len(lines)
        return found

    def _line(self, number: int, line: bytes) -> Line:
        content = _content(line)
        if content is None:
            raise InputError(f"journal {self.path}, line {number}: not a JSON object; was it edited by hand?")
        return Line(number, content)

    def _cut(self, size: int, number: int) -> None:
        """A last line without its end was never acknowledged to anybody."""
        warnings.warn(
            f"journal {self.path}, line {number}: cut short by a crash, and taken away", stacklevel=2
        )
        os.truncate(self.path, size)

    def append(self, contents: Sequence[dict[str, Any]]) -> None:
        """See ``Journal``.

        Raises:
            InputError: the disk is full, or the file cannot be written; it is then as before.
        """
        text = "".join(json.dumps(content, allow_nan=False) + "\n" for content in contents).encode()
        if not text:
            return
        try:
            with self.path.open("ab", buffering=0) as file:
                if file.write(text) != len(text):
                    raise OSError(None, "no space left")
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._offset)
            raise InputError(
                f"journal {self.path} cannot be written: {error.strerror or error}; nothing was recorded"
            ) from error
        self._offset += len(text)
        self.num_lines += len(contents)

    def rewind(self) -> None:
        """See ``Journal``."""
        self._offset = self.num_lines = 0


def head_of(path: Path) -> dict[str, Any]:
    """What the first line of a file says.

    Raises:
        InputError: there is no such file, or no such line.
    """
    begins = f"Tuner(..., journal={str(path)!r}) begins one"
    if not path.is_file():
        raise InputError(f"journal {path} does not exist: {begins}")
    with path.open("rb") as file:
        line = file.readline()
    if not line.endswith(b"\n"):
        raise InputError(f"journal {path} is empty: {begins}")
    content = _content(line)
    if content is None:
        raise InputError(f"journal {path}, line 1: not a JSON object; was it edited by hand?")
    return content


def peek(path: Path) -> list[Line]:
    """The whole lines of a file, for those who only look: nothing is locked, cut off or judged.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise InputError(f"journal {path} does not exist: a Tuner with journal= writes one")
    *lines, _ = path.read_bytes().split(b"\n")
    found = [Line(number, content) for number, line in enumerate(lines, 1) if (content := _content(line))]
    if not found or "mohb" not in found[0].content:
        raise InputError(f"{path} is no journal of a live run: its first line should say what is run")
    return found


def _content(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None if that is no JSON object."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
