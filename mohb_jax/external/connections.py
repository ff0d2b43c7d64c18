"""Ways to an optimiser: in this process, or in one of its own.

Both number proposals, and both say how much processor time the optimiser took.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from mohb_jax.errors import InputError, UserCodeError
from mohb_jax.external import server

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Each process of an optimiser takes one core: as many run as there are."""

ALWAYS_THE_SAME = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
"""Libraries go through sets of names, whose order is another in each process unless hashes have a seed."""


class Wish(NamedTuple):
    """What an optimiser wants evaluated, with the number under which it knows it."""

    number: int
    config: Mapping[str, Any] | None
    fidelity: float | None
    resumes: int | None


@runtime_checkable
class Connection(Protocol):
    """One optimiser during one run after another."""

    cpu: float
    """Seconds of processor time that it took in this run."""

    def begin(self, problem: server.Problem, seed: int, settings: Mapping[str, Any]) -> None:
        """Begins a run."""

    def ask(self) -> Wish | None:
        """What it wants next; None: nothing before another result."""

    def tell(self, number: int, costs: list[float] | None, seconds: float) -> None:
        """Hands a result on; ``costs`` is None where the evaluation failed."""


class Direct:
    """An optimiser in this process: for tests, and to debug one of your own.

    Args:
        make: its class.
    """

    def __init__(self, make: Any) -> None:
        self._make = make
        self.cpu = 0.0

    def begin(self, problem: server.Problem, seed: int, settings: Mapping[str, Any]) -> None:
        """See ``Connection``."""
        self.cpu = 0.0
        self._run = server.Run(self._make(problem, seed, settings))

    def ask(self) -> Wish | None:
        """See ``Connection``."""
        began = time.process_time()
        try:
            answer = self._run.ask()
        except server.ProposalError as error:
            raise InputError(f"its optimiser {error}") from None
        self.cpu += time.process_time() - began
        return _wish(answer)

    def tell(self, number: int, costs: list[float] | None, seconds: float) -> None:
        """See ``Connection``."""
        began = time.process_time()
        self._run.tell(number, costs, seconds)
        self.cpu += time.process_time() - began


class Served:
    """An optimiser in a process of its own, for as many runs as wanted; leaving the context ends it.

    Args:
        path: ``path/to/file.py:Name`` or ``module:Name`` of its class.
        label: what it is, for messages: ``method 'optuna-tpe'``.
        python: the interpreter, of another environment where a library cannot share this one.
        timeout: seconds that an answer may take.

    Raises:
        InputError: there is no such interpreter.
        UserCodeError: from any call, where the optimiser raised, died or did not answer in time.
    """

    def __init__(self, path: str, label: str, python: str | None = None, timeout: float = 600.0) -> None:
        self.cpu = 0.0
        self._label, self._timeout = label, timeout
        self._waiting, self._unread = 0, b""
        self._open = contextlib.ExitStack()
        self._errors = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        command = [python or sys.executable, str(Path(server.__file__)), path]
        environment = {**os.environ, **ONE_THREAD, **ALWAYS_THE_SAME, "JAX_PLATFORMS": "cpu"}
        try:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._errors, env=environment
            )
        except OSError as error:
            raise InputError(f"{label}: python {command[0]!r} cannot be run: {error.strerror}") from error

    def __enter__(self) -> "Served":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._open, self._process:
            pass  # closes what it reads and writes, and waits for its end

    def begin(self, problem: server.Problem, seed: int, settings: Mapping[str, Any]) -> None:
        """See ``Connection``."""
        plain = server.plain_problem(problem)
        self._send({"op": "new", "problem": plain, "seed": seed, "settings": dict(settings)})
        self._answer()
        self.cpu = 0.0

    def ask(self) -> Wish | None:
        """See ``Connection``."""
        self._send({"op": "ask"})
        return _wish(self._answer()["proposal"])

    def tell(self, number: int, costs: list[float] | None, seconds: float) -> None:
        """See ``Connection``; what it answers is read with the next proposal."""
        self._send({"op": "tell", "number": number, "costs": costs, "seconds": seconds})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._waiting += 1
        try:
            os.write(self._process.stdin.fileno(), json.dumps(message).encode() + b"\n")
        except OSError:
            self._failed(f"died ({self._last_words()})")

    def _answer(self) -> dict[str, Any]:
        """The answer to the last message; those to earlier ones are read on the way."""
        answer: dict[str, Any] = {}
        while self._waiting:
            answer = json.loads(self._line())
            self._waiting -= 1
            if "error" in answer:
                self._failed(answer["error"], answer["traceback"])
            self.cpu += answer["cpu"]
        return answer

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        end = time.monotonic() + self._timeout
        while b"\n" not in self._unread:
            ready, _, _ = select.select([stream], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self._failed(f"gave no answer in {self._timeout:g} s")
            found = os.read(stream, 1 << 16)
            if not found:
                self._failed(f"died ({self._last_words()})")
            self._unread += found
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        self._process.wait(timeout=10)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def _failed(self, how: str, details: str = "") -> None:
        raise UserCodeError(f"{self._label}: its optimiser {how}", details)


def _wish(answer: Mapping[str, Any] | None) -> Wish | None:
    if answer is None:
        return None
    return Wish(answer["number"], answer["config"], answer["fidelity"], answer["resumes"])
