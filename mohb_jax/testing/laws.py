"""A check: a law, to which methods it applies, and the function that looks for a breach."""

import dataclasses
import traceback
from collections.abc import Callable
from pathlib import Path

from mohb_jax.errors import InputError
from mohb_jax.plugins import said
from mohb_jax.testing.case import BrokenLawError, Case


def _always(case: Case) -> str | None:
    del case
    return None


@dataclasses.dataclass(frozen=True)
class Check:
    """One law.

    Attributes:
        name: as people write it.
        law: what must hold, in one line.
        judge: raises ``BrokenLawError`` if it does not.
        applies: why the law does not concern a method, in words; None if it does.
    """

    name: str
    law: str
    judge: Callable[[Case], str | None]
    applies: Callable[[Case], str | None] = _always

    def concern(self, case: Case) -> str | None:
        """Why the law does not concern a method; None if it does, or if that cannot be told."""
        try:
            return self.applies(case)
        except Exception:  # of the author's code: ``breach`` tells
            return None

    def breach(self, case: Case) -> tuple[str | None, str]:
        """What is wrong with a method, in one or two lines, or None; and what the check measured."""
        try:
            return None, self.judge(case) or ""
        except BrokenLawError as error:
            return f"{self.law}. {error}", ""
        except InputError as error:  # a law of shapes: it names function, file and line
            return f"{self.law}. {error}", ""
        except Exception as error:  # whatever a stranger's code raises is a finding of this check
            return f"{self.law}. It raised {type(error).__name__}{place(error)}: {text_of(error)}", ""


def law(
    name: str, text: str, applies: Callable[[Case], str | None] = _always
) -> Callable[[Callable[[Case], str | None]], Check]:
    """Makes a check of a function."""
    return lambda judge: Check(name, text, judge, applies)


def text_of(error: Exception) -> str:
    """The message of an exception on one line."""
    return said(error).removeprefix(type(error).__name__).removeprefix(": ") or "no message"


def place(error: Exception) -> str:
    """File and line of the author's code, the last that is not of a library."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and f"{Path(__file__).parent}" not in frame.filename
    ]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
