"""Serves one optimiser to the simulation, in a process and, if need be, a Python of its own.

Only the standard library is used: this file also runs in environments that cannot hold the package. It reads
one JSON object per line and answers each with one:

    {"op": "new", "problem": {...}, "seed": 0, "settings": {...}}    begins a run
    {"op": "ask"}                                                    "proposal": null or what to evaluate
    {"op": "tell", "number": 0, "costs": [..] or null, "seconds": 2.5}

Answers hold ``cpu``, the seconds of processor time that the optimiser took, or ``error`` and ``traceback``.
An optimiser is a class of three functions; ``Problem`` and ``Proposal`` say what it is given and gives::

    class MyOptimizer:
        def __init__(self, problem, seed, settings): ...
        def ask(self):                          # None: nothing before another result
            return {"config": {"lr": 0.1}, "handle": 7}
        def tell(self, handle, costs, seconds): ...       # costs is None where the evaluation failed
"""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Column(NamedTuple):
    """One hyperparameter.

    ``kind`` is ``continuous`` or ``log`` (from ``low`` to ``high``), ``ordinal`` or ``categorical`` (one of
    ``levels``). ``role`` says what it describes: ``hyperparameter``, ``architecture`` or ``hardware``.
    """

    name: str
    kind: str
    role: str
    levels: tuple[Any, ...]
    low: float
    high: float


class Problem(NamedTuple):
    """What an optimiser knows of a run before it starts: no values of the table.

    ``evaluations`` and ``horizon`` (simulated seconds) are None where they do not end the run. Costs come in
    the order of ``objectives`` and are all minimised.
    """

    columns: tuple[Column, ...]
    objectives: tuple[str, ...]
    fidelities: tuple[float, ...]
    workers: int
    evaluations: int | None
    horizon: float | None


class Proposal(NamedTuple):
    """What an optimiser wants evaluated; ``ask`` may also return it as a mapping.

    ``config`` has a value for each column. ``fidelity`` None stands for the highest. ``handle`` comes back
    with the result. ``resumes`` is the handle of an earlier proposal that goes on to a higher fidelity.
    """

    config: Mapping[str, Any] | None
    fidelity: float | None = None
    handle: Hashable = None
    resumes: Hashable = None


def problem_from(plain: Mapping[str, Any]) -> Problem:
    """The problem that ``plain_problem`` wrote."""
    columns = tuple(Column(**{**column, "levels": tuple(column["levels"])}) for column in plain["columns"])
    return Problem(
        columns, tuple(plain["objectives"]), tuple(plain["fidelities"]), *(plain[name] for name in _ENDS)
    )


_ENDS = ("workers", "evaluations", "horizon")


def plain_problem(problem: Problem) -> dict[str, Any]:
    """The problem as JSON can hold it."""
    return {**problem._asdict(), "columns": [column._asdict() for column in problem.columns]}


class ProposalError(Exception):
    """A proposal that is none."""


class Run:
    """An optimiser during one run: proposals are numbered, and results find back to their handles."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self._handles: list[Hashable] = []
        self._numbers: dict[Hashable, int] = {}

    def ask(self) -> dict[str, Any] | None:
        """The next proposal, its handles replaced by numbers."""
        answer = self.optimizer.ask()
        if answer is None:
            return None
        proposal = _proposal(answer)
        number = len(self._handles)
        resumes = None if proposal.resumes is None else self._earlier(proposal.resumes)
        self._handles.append(proposal.handle)
        if proposal.handle is not None:
            self._numbers[proposal.handle] = number
        return {**proposal._asdict(), "handle": None, "number": number, "resumes": resumes}

    def tell(self, number: int, costs: list[float] | None, seconds: float) -> None:
        """Hands the result of a proposal on."""
        self.optimizer.tell(self._handles[number], costs, seconds)

    def _earlier(self, handle: Hashable) -> int:
        if handle not in self._numbers:
            raise ProposalError(f"resumes {handle!r}, which is the handle of no earlier proposal")
        return self._numbers[handle]


def _proposal(answer: Any) -> Proposal:
    if isinstance(answer, Proposal):
        return answer
    if not isinstance(answer, Mapping) or not set(answer) <= set(Proposal._fields):
        shown = sorted(map(str, answer)) if isinstance(answer, Mapping) else f"a {type(answer).__name__}"
        raise ProposalError(f"proposes {shown}: accepted is a mapping with {', '.join(Proposal._fields)}")
    return Proposal(**{"config": None, **answer})


def load(path: str) -> Callable[..., Any]:
    """The class that ``path/to/file.py:Name`` or ``module:Name`` names."""
    place, _, name = path.rpartition(":")
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), name)
    file = Path(place)
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"mohb_adapter_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with contextlib.suppress(ValueError):
        sys.path.remove(str(file.parent))
    return getattr(module, name)


def serve(path: str, lines: Iterator[str], answer: Callable[[dict[str, Any]], None]) -> None:
    """Answers each line until there are no more."""
    make: Callable[..., Any] | None = None
    run: Run | None = None
    for line in lines:
        message = json.loads(line)
        began = time.process_time()
        try:
            found: dict[str, Any] = {}
            if message["op"] == "new":
                make = make or load(path)
                run = Run(make(problem_from(message["problem"]), message["seed"], message["settings"]))
            elif message["op"] == "ask":
                assert run is not None
                found = {"proposal": run.ask()}
            else:
                assert run is not None
                run.tell(message["number"], message["costs"], message["seconds"])
            answer({**found, "cpu": time.process_time() - began})
        except Exception as error:  # told to the other side, which ends the run
            answer({"error": _said(error), "traceback": traceback.format_exc()})


def _said(error: Exception) -> str:
    raised = f"raised {type(error).__name__}: "
    return raised * (not isinstance(error, ProposalError)) + " ".join(str(error).split())


def main() -> None:
    """``python server.py ADAPTER``: what the library prints goes to the error stream."""
    del sys.path[0]  # the folder of this file: its names are not those of libraries
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)

        def answer(message: dict[str, Any]) -> None:
            out.write(json.dumps(message, default=lambda value: value.item()) + "\n")
            out.flush()

        serve(sys.argv[1], iter(sys.stdin.readline, ""), answer)


if __name__ == "__main__":
    main()
