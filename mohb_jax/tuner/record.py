"""A live run and its journal: every operation is written down before it counts, and can be repeated."""

import importlib.metadata
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mohb_jax.drivers.repetition import Repeated, Repeats, UnforeseenError, are_many
from mohb_jax.errors import InputError
from mohb_jax.precision import in_64_bits
from mohb_jax.tuner.journal import FileJournal, Line, MemoryJournal
from mohb_jax.tuner.ledger import Entry, Ledger
from mohb_jax.tuner.recorded import calls_of
from mohb_jax.tuner.setup import Setup, require_same_run, save_parts, start

Done = TypeVar("Done")
HANDED = ("id", "trial", "row", "level", "attempt")
"""What a line says of a job that is handed out."""


class Record:
    """The state of a live run, which is what its journal makes of it.

    Attributes:
        setup: what the run is.
        began: when, by the tuner's clock.
        used: index into the fidelities of each level of the run.
        fidelities: of its levels.
    """

    def __init__(
        self, setup: Setup, path: Path | None, clock: Callable[[], float | int], soft_lock: bool = False
    ) -> None:
        self.setup, self._path, self._clock = setup, path, clock
        self.began, self._version = math.nan, ""
        self.used: tuple[int, ...] = ()
        self.fidelities: tuple[float | int, ...] = ()
        self._journal = MemoryJournal() if path is None else FileJournal(path, soft_lock)
        self._ledger: Ledger | None = None
        self._lines: list[dict[str, Any]] = []

    @property
    def next_line(self) -> int:
        """Number of the line that is written next."""
        return self._journal.num_lines + len(self._lines) + 1

    def do(self, act: Callable[[Ledger], Done]) -> Done:
        """What ``act`` does with the run, kept from all others and written down before it counts.

        What went wrong half-way is forgotten: the state is made anew from the journal.
        """
        with self._journal.locked():
            self._lines = []
            try:
                ledger = self._current()
                done = act(ledger)
                self._journal.append(self._lines)
            except BaseException as error:
                if self._lines or not isinstance(error, InputError):
                    self._ledger = None
                raise
            return done

    def write(self, **content: Any) -> None:
        """An operation of what is being done."""
        self._lines.append(content)

    def _current(self) -> Ledger:
        """The state, with what others have appended; the journal is begun where there is none."""
        if self._ledger is None:
            self._journal.rewind()
        lines = self._journal.new_lines()
        try:
            if self._ledger is None:
                head, *lines = lines or self._headed()
                return self._opened(head, lines)
            self._replay(self._ledger, lines)
        except BaseException:
            self._ledger = None
            raise
        return self._ledger

    @in_64_bits
    def _opened(self, head: Line, lines: list[Line]) -> Ledger:
        """The state that a whole journal makes; where it is long, its decisions are made many at a time."""
        self._ledger = self._started(head, lines)
        try:
            self._replay(self._ledger, lines)
        except UnforeseenError:
            self._ledger = self._started(head, [])
            self._replay(self._ledger, lines)
        return self._ledger

    def _headed(self) -> list[Line]:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            save_parts(self.setup, self._path)
        head = self.setup.head(float(self._clock()), importlib.metadata.version("mohb-jax"))
        self._journal.append([head])
        return [Line(1, head)]

    def _started(self, head: Line, lines: list[Line]) -> Ledger:
        if self._path is not None:
            require_same_run(head.content, self.setup, self._path)
        self.began, self._version = float(head.content["began"]), str(head.content.get("version"))
        setup = self.setup
        run, self.used = start(setup)
        self.fidelities = tuple(setup.fidelities[index] for index in self.used)
        if isinstance(run, Repeats):
            calls = calls_of(lines, self.used, setup, self.began, run.goes_on)
            run = Repeated(run, calls) if are_many(calls) else run
        return Ledger(run, len(setup.objectives), setup.evaluations, setup.horizon, self.began, setup.retries)

    def _replay(self, ledger: Ledger, lines: list[Line]) -> None:
        for line in lines:
            try:
                self._repeat(ledger, line)
            except InputError as error:
                raise InputError(f"journal {self._path}, line {line.number}: {error}") from None
            except (KeyError, TypeError, ValueError, IndexError) as error:
                what = f"no operation of a live run ({error!r}); {line.content}"
                raise InputError(f"journal {self._path}, line {line.number}: {what}") from error

    def _repeat(self, ledger: Ledger, line: Line) -> None:
        content = line.content
        operation, now = content["op"], float(content["t"])
        if operation == "ask":
            self._repeat_ask(ledger, content, now)
            return
        number = content["id"]
        if operation == "tell":
            ledger.require_out(number)
            costs = tuple(float.fromhex(cost) for cost in content["costs"])
            more = {name: content.get(name) for name in ("seconds", "checkpoint", "note")}
            ledger.tell(number, costs, now, **more, line=line.number)
        elif operation == "fail":
            ledger.require_out(number)
            ledger.fail(number, content["reason"], now, line.number)
        elif operation == "release":
            ledger.release(number)
        elif operation == "report":
            ledger.report(number, content["fidelity"])
        else:
            raise InputError(f"operation {operation!r} is unknown")

    def _repeat_ask(self, ledger: Ledger, content: Mapping[str, Any], now: float) -> None:
        """Asks again, and compares: the same decisions must come out."""
        entry = ledger.ask(content["worker"], now) if ledger.may_ask(content["worker"], now) else None
        found = {} if entry is None else self.handed(entry)
        recorded = {name: content[name] for name in HANDED if name in content}
        if found != recorded:
            here = importlib.metadata.version("mohb-jax")
            raise InputError(
                f"{recorded} was handed out by mohb-jax {self._version}, and {here} would hand out {found}: "
                "finish with that version, or begin a new journal"
            )

    def handed(self, entry: Entry) -> dict[str, int]:
        """What a line says of a job that is handed out."""
        launch = entry.launch
        return {
            "id": entry.number,
            "trial": launch.trial,
            "row": launch.row,
            "level": self.used[launch.level],
            "attempt": entry.attempt,
        }
