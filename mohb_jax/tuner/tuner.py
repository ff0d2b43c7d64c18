"""Live tuning: ask for jobs, train them anywhere, tell results."""

import concurrent.futures
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mohb_jax.benchmarks.columns import Objective
from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.benchmarks.table import Table
from mohb_jax.drivers.verdicts import Verdict
from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.transfer import Prior
from mohb_jax.tuner import outcome
from mohb_jax.tuner.jobs import Job
from mohb_jax.tuner.journal import head_of
from mohb_jax.tuner.ledger import Entry, Ledger
from mohb_jax.tuner.record import Record
from mohb_jax.tuner.setup import Setup, make_setup, read_setup
from mohb_jax.tuner.space import Space
from mohb_jax.types import RunLog

SAME_FIDELITY = 1e-9


class Tuner:
    """One live run of a method: the decisions of a simulated run, about trainings of your own.

    Args:
        space: what may be tried.
        objectives: ``{"error": "min", "accuracy": "max fraction", "cost": "min USD"}``: a sense, and a unit
            where one is known; or ``Objective``s. Single-objective methods minimise the first.
        method: a name (``mohb list methods``) or ``my_module:my_method``.
        fidelities: amounts of training at which results are told, increasing; the last is a full training.
            ``rungs(1, 81)`` makes some.
        fidelity: what they count.
        workers: trainings at a time, for methods that ask how many there are.
        evaluations: jobs that are handed out at most.
        seconds: after which nothing is handed out.
        seed: root seed.
        run: index of the run; runs of one seed differ as those of ``simulate`` do.
        prior: of ``learn_prior``, for methods that take one.
        sources: a table with the same rows, whose tasks methods that transfer learn from.
        task: what the task is called.
        journal: a file that keeps every operation: runs go on from it, and many processes share it. None
            forgets with the process.
        retries: attempts that a failed job gets beside its first.
        clock: seconds, for ``seconds`` and the log.
        soft_lock: lock the journal by a file that is there or not, where the file system has no locks (some
            NFS); a process that dies then leaves it, and somebody must take it away.
        **settings: the method's own.

    Raises:
        InputError: naming the argument at fault; or the journal is of another run.

    Examples:
        >>> space = Space.grid({"depth": [1, 2, 3, 4]})
        >>> tuner = Tuner(space, {"error": "min"}, "random", evaluations=2)
        >>> while (job := tuner.ask()) is not None:
        ...     verdict = tuner.tell(job, {"error": 1 / job.config["depth"]})
        >>> len(tuner.results())
        2
    """

    def __init__(
        self,
        space: Space,
        objectives: Mapping[str, str] | Sequence[Objective],
        method: str = "mo-asha",
        *,
        fidelities: Sequence[float | int] = (1,),
        fidelity: str = "epoch",
        workers: int = 1,
        evaluations: int | None = None,
        seconds: float | int | None = None,
        seed: int = 0,
        run: int = 0,
        prior: Prior | None = None,
        sources: AnyTable | None = None,
        task: str = "live",
        journal: str | os.PathLike[str] | None = None,
        retries: int = 0,
        clock: Callable[[], float | int] = time.time,
        soft_lock: bool = False,
        **settings: Any,
    ) -> None:
        setup = make_setup(
            space,
            objectives,
            method,
            settings,
            fidelities,
            fidelity=fidelity,
            workers=workers,
            evaluations=evaluations,
            seconds=seconds,
            seed=seed,
            run=run,
            task=task,
            retries=retries,
            prior=prior,
            sources=sources,
        )
        self._begin(setup, None if journal is None else Path(journal), clock, soft_lock)

    @classmethod
    def open(
        cls,
        journal: str | os.PathLike[str],
        clock: Callable[[], float | int] = time.time,
        soft_lock: bool = False,
    ) -> "Tuner":
        """Goes on with, or joins, the run of a journal.

        Args:
            journal: the file.
            clock: seconds.
            soft_lock: as whoever began it.

        Raises:
            InputError: the file is missing, is none, or is of a newer version.
        """
        path = Path(journal)
        tuner = cls.__new__(cls)
        tuner._begin(read_setup(head_of(path), path), path, clock, soft_lock)
        return tuner

    def _begin(
        self, setup: Setup, path: Path | None, clock: Callable[[], float | int], soft_lock: bool
    ) -> None:
        self._setup, self._path, self._clock = setup, path, clock
        self._record = Record(setup, path, clock, soft_lock)
        self._record.do(lambda ledger: None)

    def __repr__(self) -> str:
        where = "" if self._path is None else f", journal {self._path}"
        return f"Tuner({self._setup.method!r}, {len(self._setup.space)} configurations{where})"

    def ask(self, worker: str | None = None) -> Job | None:
        """The next job; None if there is none before another result, or (``finished``) ever.

        Args:
            worker: who asks. Where trials go on at once (asynchronous halving), the same worker gets its
                trial back; without names the trial is first in line.

        Raises:
            InputError: as many jobs are out as the method can remember.
        """

        def act(ledger: Ledger) -> Job | None:
            return self._asked(ledger, worker)

        return self._record.do(act)

    def _asked(self, ledger: Ledger, worker: str | None) -> Job | None:
        now = self._clock()
        if not ledger.may_ask(worker, now):
            return None
        entry = ledger.ask(worker, now)
        found = {} if entry is None else self._record.handed(entry)
        self._record.write(op="ask", t=now, worker=worker, **found)
        return None if entry is None else self._job(entry)

    def tell(
        self,
        job: Job | int,
        values: Any,
        *,
        seconds: float | int | None = None,
        checkpoint: str | None = None,
        note: str | None = None,
    ) -> Verdict:
        """A result.

        Args:
            job: or its ``id``.
            values: mapping of all objectives to numbers, as published; NaN or infinity stand for a failure.
            seconds: that the training took; by default the time since it was handed out.
            checkpoint: where the training can go on from, for the trial's next job.
            note: for people.

        Returns:
            What becomes of the trial: ``go on`` (ask again: this worker gets its next job), ``pause`` (keep
            its checkpoint) or ``stop`` (it never goes on).

        Raises:
            InputError: objectives are missing or unknown, or the job is not out.
        """
        costs = self._costs(values)

        def act(ledger: Ledger) -> Verdict:
            entry = ledger.require_out(*_named(job))
            return self._told(ledger, entry, costs, seconds, checkpoint, note)

        return self._record.do(act)

    def _told(
        self,
        ledger: Ledger,
        entry: Entry,
        costs: tuple[float, ...],
        seconds: float | int | None,
        checkpoint: str | None,
        note: str | None,
    ) -> Verdict:
        now = self._clock()
        more: dict[str, Any] = {"seconds": seconds, "checkpoint": checkpoint, "note": note}
        line = self._record.next_line
        verdict = ledger.tell(entry.number, costs, now, **more, line=line)
        given = {name: value for name, value in more.items() if value is not None}
        self._record.write(op="tell", t=now, id=entry.number, costs=[cost.hex() for cost in costs], **given)
        return verdict

    def report(
        self, job: Job, fidelity: float | int, values: Mapping[str, Any], *, checkpoint: str | None = None
    ) -> Verdict:
        """A result from within a training, which then goes on, pauses or stops.

        At ``job.to_fidelity`` it is ``tell``, and, where the trial goes on, ``ask``: later reports of the
        same job reach up to the next such fidelity, and so on. In between nothing is decided.

        Args:
            job: as it was asked for.
            fidelity: amount of training so far.
            values: of all objectives.
            checkpoint: where the training can go on from.

        Raises:
            InputError: fidelities do not rise, or one at which a result is due was left out.
        """
        costs = self._costs(values)

        def act(ledger: Ledger) -> Verdict:
            entry = ledger.current(job.trial)
            if entry is None or entry.number == job.id:
                entry = ledger.require_out(job.id, job.attempt)
            due = self._fidelity(entry.launch.level)
            before = entry.reported or self._fidelity(entry.launch.from_level)
            if not before < fidelity <= due * (1 + SAME_FIDELITY):
                raise InputError(
                    f"job {job.id} reports at {self._setup.fidelity} {fidelity}: the next report is above "
                    f"{before} and at most {due}, where a result is due"
                )
            if fidelity < due * (1 - SAME_FIDELITY):
                ledger.report(entry.number, fidelity)
                self._record.write(
                    op="report",
                    t=self._clock(),
                    id=entry.number,
                    fidelity=fidelity,
                    costs=[cost.hex() for cost in costs],
                )
                return Verdict.GO_ON
            verdict = self._told(ledger, entry, costs, None, checkpoint, None)
            if verdict is Verdict.GO_ON and self._asked(ledger, entry.worker) is None:
                return Verdict.PAUSE
            return verdict

        return self._record.do(act)

    def fail(self, job: Job | int, reason: str = "") -> Verdict:
        """A training that gave no result: it is handed out again where ``retries`` allow it, and otherwise
        counts as the worst result there is.

        Args:
            job: or its ``id``.
            reason: for people.

        Returns:
            ``go on`` for another attempt.

        Raises:
            InputError: the job is not out.
        """

        def act(ledger: Ledger) -> Verdict:
            entry, now = ledger.require_out(*_named(job)), self._clock()
            line = self._record.next_line
            verdict = ledger.fail(entry.number, reason, now, line)
            self._record.write(op="fail", t=now, id=entry.number, reason=reason)
            return verdict

        return self._record.do(act)

    def release(self, job: Job | int) -> None:
        """The worker of a job is lost: it is handed out again, to whoever asks first.

        Args:
            job: or its ``id``. Of a trial that was told to go on, any worker may take it up.

        Raises:
            InputError: the job is not out.
        """

        def act(ledger: Ledger) -> None:
            number, attempt = _named(job)
            if not ledger.goes_on(number):
                ledger.require_out(number, attempt)
            ledger.release(number)
            self._record.write(op="release", t=self._clock(), id=number)

        self._record.do(act)

    def pending(self, older_than: float | int = 0) -> list[Job]:
        """Jobs that are with a worker, or whose trial was told to go on and did not yet.

        Args:
            older_than: seconds since they were handed out.
        """

        def act(ledger: Ledger) -> list[Job]:
            until = self._clock() - older_than
            return [self._job(entry) for entry in ledger.pending if entry.asked <= until]

        return self._record.do(act)

    @property
    def out(self) -> list[int]:
        """Jobs that are with a worker, by ``id``."""
        return self._record.do(lambda ledger: [e.number for e in ledger.pending if e.state == "out"])

    def droppable(self) -> list[str]:
        """Checkpoints that nobody goes on from any more, in the order in which they were told: of trials that
        stopped or were left behind in their rung, and those that a later job of the trial has replaced."""
        return self._record.do(lambda ledger: ledger.droppable())

    @property
    def finished(self) -> bool:
        """Whether no job will be handed out any more, unless one that is out is released."""
        return self._record.do(lambda ledger: ledger.is_finished(self._clock()))

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is told."""
        return self._setup.objectives

    @property
    def workers(self) -> int:
        """Trainings at a time."""
        return self._setup.workers

    @property
    def space(self) -> Space:
        """What may be tried."""
        return self._setup.space

    def results(self) -> pl.DataFrame:
        """All jobs as a tidy table, one row each.

        Its columns are job, trial, row, ``config:NAME``, fidelity, ``objective:NAME`` as published, start,
        end and seconds of the training, worker, attempt, state (out, waiting, done, failed), verdict,
        checkpoint and note.
        """
        return self._record.do(lambda ledger: outcome.results(self._record, ledger.entries))

    def front(self, credit: str = "full") -> pl.DataFrame:
        """The rows of ``results`` that no other beats in all objectives, best in the first one first.

        Args:
            credit: what counts: ``full``, results at the highest fidelity; ``logged``, those at every one.

        Raises:
            InputError: another credit.
        """
        return self._record.do(lambda ledger: outcome.front(self._record, ledger.entries, credit))

    def log(self) -> RunLog:
        """The run as a simulated one would be logged: one lane, jobs in launch order."""
        return self._record.do(lambda ledger: outcome.log(self._record, ledger.entries))

    def table(self, name: str) -> Table:
        """What was measured, as a benchmark of one task; cells that were not are missing.

        Args:
            name: of the table.

        Raises:
            InputError: there is no result yet.
        """
        return self._record.do(lambda ledger: outcome.table(self._record, ledger.entries, name))

    def run(
        self,
        function: Callable[[Job], Mapping[str, Any]],
        executor: concurrent.futures.Executor | None = None,
    ) -> None:
        """Trains until the run is finished, ``workers`` at a time; a raised exception fails the job.

        Args:
            function: trains a job and returns values of all objectives; where processes call it, a function
                of a module.
            executor: of ``concurrent.futures``, with as many places as ``workers``; None calls it here.
        """
        if executor is None:
            while (job := self.ask()) is not None:
                self._settle(job, _called(function, job))
            return
        running: dict[concurrent.futures.Future[Any], Job] = {}
        while not self.finished or running:
            while len(running) < self._setup.workers and (job := self.ask()) is not None:
                running[executor.submit(function, job)] = job
            if not running:
                return
            for future in concurrent.futures.wait(running, return_when="FIRST_COMPLETED").done:
                self._settle(running.pop(future), future)

    def _settle(self, job: Job, future: concurrent.futures.Future[Any]) -> None:
        error = future.exception()
        if error is None:
            self.tell(job, future.result())
        else:
            self.fail(job, repr(error))

    def _fidelity(self, level: int) -> float | int:
        return self._record.fidelities[level] if level >= 0 else 0

    def _job(self, entry: Entry) -> Job:
        launch = entry.launch
        return Job(
            id=entry.number,
            trial=launch.trial,
            config=self._setup.space.config(launch.row),
            from_fidelity=self._fidelity(launch.from_level),
            to_fidelity=self._fidelity(launch.level),
            checkpoint=entry.given,
            worker=entry.worker,
            attempt=entry.attempt,
            started=entry.asked,
            row=launch.row,
            level=self._record.used[launch.level],
        )

    def _costs(self, values: Any) -> tuple[float, ...]:
        """Values of all objectives as minimised."""
        names = [objective.name for objective in self._setup.objectives]
        if not isinstance(values, Mapping):
            raise InputError(
                f"values is {values!r}: a value for each of {', '.join(names)} is needed, by name"
            )
        for name in values:
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise InputError(f"objective {name!r} is unknown{hint}: accepted are {', '.join(names)}")
        for name in names:
            value = values.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number | np.ndarray):
                raise InputError(f"objective {name!r} is {value!r}: a number is needed")
        return tuple(float(o.to_cost(float(values[o.name]))) for o in self._setup.objectives)


def _named(job: Job | int) -> tuple[int, int | None]:
    """Number and attempt of a job."""
    if isinstance(job, Job):
        return job.id, job.attempt
    if isinstance(job, bool) or not isinstance(job, int | np.integer):
        raise InputError(f"job is {job!r}: a Job or its id is needed")
    return int(job), None


def _called(function: Callable[[Job], Mapping[str, Any]], job: Job) -> concurrent.futures.Future[Any]:
    """What the function gave or raised."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    try:
        future.set_result(function(job))
    except Exception as error:  # whatever a training raises fails its job alone
        future.set_exception(error)
    return future
