"""What to tell of an exception that code from outside the package raised."""

import contextlib
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

from mohb_jax.errors import InputError, UserCodeError

USER_FILES: set[Path] = set()
"""Source files of all modules that were imported for a user."""


def blame(error: BaseException, label: str, files: Collection[Path] = ()) -> UserCodeError:
    """What to tell of an exception that a user's code raised.

    Args:
        error: what was caught.
        label: what was at work, such as ``method 'my_module:my_method'``.
        files: source files of the user's code; those of all modules imported so far, if empty.

    Returns:
        An error that names the deepest of the user's lines, with the traceback from the first of them on; an
        ``InputError`` says all in its message and needs none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    known = {str(path) for path in files or USER_FILES}
    own = [number for number, frame in enumerate(frames) if frame.filename in known]
    where = _place(error, frames[own[-1]] if own else None)
    message = f"{label}: {where}{said(error)}"
    if isinstance(error, InputError):
        return UserCodeError(message)
    shown = frames[own[0] :] if own else [] if isinstance(error, SyntaxError) else frames
    head = ["Traceback (from your code on):\n", *traceback.format_list(shown)] if shown else []
    tail = traceback.format_exception_only(error)
    tail = tail if isinstance(error, SyntaxError) else tail[:1]  # without the notes that others add
    return UserCodeError(message, "".join([*head, *tail]).rstrip("\n"))


def is_users(error: BaseException, files: Collection[Path] = ()) -> bool:
    """True if an exception came from, or went through, a user's code."""
    known = {str(path) for path in files or USER_FILES}
    return any(frame.filename in known for frame in traceback.extract_tb(error.__traceback__))


def _place(error: BaseException, frame: traceback.FrameSummary | None) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}: "
    return "" if frame is None else f"{frame.filename}, line {frame.lineno}: "


def said(error: BaseException) -> str:
    """The exception on one line. Those of JAX teach in many: their first says what happened."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if isinstance(error, InputError):
        return text
    if type(error).__module__.startswith("jax"):
        text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def telling(label: str) -> Iterator[None]:
    """Turns what a user's code raises within it into ``blame``; all else passes."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not is_users(error):
            raise
        raise blame(error, label) from error
