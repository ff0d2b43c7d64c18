"""Who has which job, and what became of it: a pure function of the operations of a live run."""

import collections
import dataclasses
import math
from typing import NoReturn

import numpy as np

from mohb_jax.drivers.verdicts import Launch, LiveRun, Verdict
from mohb_jax.errors import InputError


@dataclasses.dataclass
class Entry:
    """A job of the ledger.

    Attributes:
        number: in launch order.
        launch: what is trained.
        place: of the worker, counted from 0.
        worker: its name, if it has one.
        asked: when the last attempt was handed out.
        given: the checkpoint of the trial's last job.
        attempt: from 1.
        state: ``out`` with a worker, ``waiting`` to be handed out again, or ``ended``.
        failures: attempts that failed.
        told: when it ended.
        costs: objectives as minimised; infinite where it failed.
        verdict: what became of the trial.
        seconds: that the training took, if that was told.
        checkpoint: what was told of it.
        note: what was told of it, or why it failed.
        line: of the journal, where it ended.
        reported: the last fidelity that was reported in it.
    """

    number: int
    launch: Launch
    place: int
    worker: str | None
    asked: float | int
    given: str | None
    attempt: int = 1
    state: str = "out"
    failures: int = 0
    told: float | int = math.inf
    costs: tuple[float, ...] = ()
    verdict: Verdict | None = None
    seconds: float | int | None = None
    checkpoint: str | None = None
    note: str | None = None
    line: int | None = None
    reported: float | int = 0

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a result."""
        return self.state == "ended" and not all(map(math.isfinite, self.costs))


class Ledger:
    """The state of a live run; every change is one of five operations, which a journal repeats.

    Args:
        run: what decides.
        num_objectives: of a result.
        evaluations: jobs that are launched at most; None for any number.
        seconds: after which nothing is launched; infinite for never.
        began: when the run began.
        retries: attempts that a failed job gets beside its first.
    """

    def __init__(
        self,
        run: LiveRun,
        num_objectives: int,
        evaluations: int | None,
        seconds: float,
        began: float | int,
        retries: int,
    ) -> None:
        self._run, self._num_objectives = run, num_objectives
        self._evaluations, self._seconds = evaluations, seconds
        self._began, self._retries = began, retries
        self.entries: list[Entry] = []
        self._waiting: collections.deque[int] = collections.deque()
        self._going_on: dict[int, str | None] = {}
        """The worker for which the trial of an ended job goes on, by its number."""
        self._released: set[int] = set()
        """Those of them that anybody may take."""
        self._places: dict[str, int] = {}
        self._out: set[int] = set()
        self._checkpoints: dict[int, str | None] = {}
        """The last one of each trial."""
        self._is_dry = False
        """Whether there is nothing new before another result."""

    @property
    def num_out(self) -> int:
        """Jobs that are with a worker."""
        return len(self._out)

    @property
    def pending(self) -> list[Entry]:
        """Jobs that are with a worker, and those whose trial was told to go on and did not yet."""
        return [self.entries[number] for number in sorted(self._out | self._going_on.keys())]

    def is_over(self, now: float | int) -> bool:
        """Whether nothing new is launched any more, whatever is told."""
        spent = self._evaluations is not None and len(self.entries) >= self._evaluations
        return spent or now - self._began >= self._seconds

    def is_finished(self, now: float | int) -> bool:
        """Whether no job will be handed out any more, unless one that is out comes back."""
        if self._waiting or (self._retries and self.num_out):
            return False
        return self.is_over(now) or (self._is_dry and not self.num_out and not self._going_on)

    def may_ask(self, worker: str | None, now: float | int) -> bool:
        """Whether ``ask`` has something to hand out, or must find out.

        Raises:
            InputError: as many jobs are out as the method can remember.
        """
        if self._waiting:
            return True
        if self.is_over(now) or (self._is_dry and self._own(worker) is None):
            return False
        most, out = self._run.most_out, self.num_out
        if most is not None and out >= most:
            raise InputError(
                f"{out} jobs are out: this method remembers those of workers={most}; tell, fail or release "
                "one"
            )
        return True

    def ask(self, worker: str | None, now: float | int) -> Entry | None:
        """Hands a job out; None if there is none before another result. Only where ``may_ask``."""
        place = self._place(worker)
        going_on = None if self.is_over(now) else self._own(worker)
        if self._waiting and going_on is None:
            entry = self.entries[self._waiting.popleft()]
            entry.place, entry.worker, entry.asked, entry.state = place, worker, now, "out"
            entry.attempt += 1
            entry.reported = 0
            self._out.add(entry.number)
            return entry
        launch = self._run.ask(place, now - self._began, going_on)
        if launch is None:
            self._is_dry = True
            return None
        if going_on is not None:
            del self._going_on[going_on]
            self._released.discard(going_on)
        given = self._checkpoints.get(launch.trial)
        self.entries.append(Entry(len(self.entries), launch, place, worker, now, given))
        self._out.add(len(self.entries) - 1)
        return self.entries[-1]

    def _own(self, worker: str | None) -> int | None:
        """The ended job whose trial goes on with this worker, the first of several."""
        return next(
            (number for number, own in self._going_on.items() if own == worker or number in self._released),
            None,
        )

    def _place(self, worker: str | None) -> int:
        """A number for a worker: that of its name, or the first that nobody has."""
        if worker is not None and worker in self._places:
            return self._places[worker]
        taken = {self.entries[number].place for number in self._out} | {*self._places.values()}
        place = next(number for number in range(len(taken) + 1) if number not in taken)
        if worker is not None:
            self._places[worker] = place
        return place

    def tell(
        self,
        number: int,
        costs: tuple[float, ...],
        now: float | int,
        seconds: float | int | None = None,
        checkpoint: str | None = None,
        note: str | None = None,
        line: int | None = None,
    ) -> Verdict:
        """A result. Only of a job that is ``out``."""
        entry = self.entries[number]
        finite = all(map(math.isfinite, costs))
        costs = costs if finite else (math.inf,) * self._num_objectives
        verdict = self._run.tell(number, np.array(costs, np.float64))
        self._is_dry = False
        self._out.discard(number)
        self._checkpoints[entry.launch.trial] = checkpoint
        if verdict is Verdict.GO_ON:
            if self.is_over(now):
                verdict = Verdict.PAUSE
            else:
                self._going_on[number] = entry.worker
        entry.state, entry.told, entry.costs, entry.verdict, entry.line = "ended", now, costs, verdict, line
        entry.seconds, entry.checkpoint, entry.note = seconds, checkpoint, note
        return verdict

    def fail(self, number: int, reason: str, now: float | int, line: int | None = None) -> Verdict:
        """A training that gave no result: tried again where it may be, else the worst result there is.

        Returns:
            What becomes of its trial; ``go on`` for another attempt.
        """
        entry = self.entries[number]
        entry.failures += 1
        if entry.failures <= self._retries:
            self._offer(entry)
            return Verdict.GO_ON
        return self.tell(number, (math.inf,) * self._num_objectives, now, note=reason, line=line)

    def release(self, number: int) -> None:
        """A job whose worker is lost is handed out again; anybody may take up a trial that was to go on."""
        if number in self._going_on:
            self._released.add(number)
        else:
            self._offer(self.entries[number])

    def report(self, number: int, fidelity: float | int) -> None:
        """A result between two jobs of a trial, which decides nothing."""
        self.entries[number].reported = fidelity

    def _offer(self, entry: Entry) -> None:
        entry.state = "waiting"
        self._out.discard(entry.number)
        self._waiting.append(entry.number)

    def droppable(self) -> list[str]:
        """Checkpoints that nobody goes on from any more."""
        told = [entry for entry in self.entries if entry.state == "ended"]
        ended = {entry.launch.trial for entry in told if entry.verdict is Verdict.STOP} | self._run.left
        needed = {point for trial, point in self._checkpoints.items() if trial not in ended}
        needed |= {entry.given for entry in self.entries if entry.state != "ended"}
        points = dict.fromkeys(entry.checkpoint for entry in told)
        return [point for point in points if point is not None and point not in needed]

    def goes_on(self, number: int) -> bool:
        """Whether the trial of a job was told to go on, and nobody has taken it up."""
        return number in self._going_on

    def current(self, trial: int) -> Entry | None:
        """The job of a trial that is out."""
        out = (self.entries[number] for number in self._out)
        return next((entry for entry in out if entry.launch.trial == trial), None)

    def require_out(self, number: int, attempt: int | None = None) -> Entry:
        """The job of that number, which is out.

        Args:
            number: of the job.
            attempt: which the caller has; None for the latest.

        Raises:
            InputError: there is none, it ended, or somebody else has it by now.
        """
        if not 0 <= number < len(self.entries):
            raise InputError(f"job {number} is unknown: {len(self.entries)} jobs were handed out")
        entry = self.entries[number]
        if entry.state == "ended":
            self._refuse_ended(entry)
        if entry.state == "waiting" or (attempt is not None and attempt != entry.attempt):
            have = entry.attempt if attempt is None else attempt
            raise InputError(f"attempt {have} of job {number} failed or was released: it is handed out anew")
        return entry

    def _refuse_ended(self, entry: Entry) -> NoReturn:
        what = "failed" if entry.has_failed else "told"
        place = "before" if entry.line is None else f"at line {entry.line}"
        raise InputError(f"job {entry.number} was {what} {place}")
