"""The one exception for bad input, and parts of its messages."""

import difflib
import functools
import inspect
from collections.abc import Collection
from typing import Any


class InputError(ValueError):
    """Input that cannot be used: its single-line message names the culprit and what is accepted.

    The command line prints the message and exits with code 2. Anything else that escapes is a defect.
    """


class UserCodeError(InputError):
    """An error in code that a user brought along: the message names the file and the line.

    Attributes:
        details: the traceback from the user's first line on, which the command line prints above the message.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


def did_you_mean(name: str, known: Collection[str]) -> str:
    """``(did you mean ...?)`` with a space before it, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def yaml_reason(error: Exception) -> str:
    """Why a text is no YAML, in one line that begins with the place where there is one."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    reason = getattr(error, "problem", None) or "it cannot be read"
    return f"line {mark.line + 1}, column {mark.column + 1}: {reason}"


def place_of(function: Any) -> str:
    """`` (FILE, line N)`` of a function; nothing where it has none."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f" ({code.co_filename}, line {code.co_firstlineno})"
