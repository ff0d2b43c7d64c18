"""Live runs whose trainings are trials of Ray Tune."""

import importlib
from typing import Any

from mohb_jax.drivers.verdicts import Verdict
from mohb_jax.errors import InputError
from mohb_jax.tuner.jobs import Job
from mohb_jax.tuner.tuner import Tuner


class Desk:
    """What both sides share: which of Ray's trials has which job.

    Args:
        tuner: who decides.
        fidelity: the reported key that says how far a training is.
    """

    def __init__(self, tuner: Tuner, fidelity: str) -> None:
        self.tuner, self.fidelity = tuner, fidelity
        self._jobs: dict[str, Job] = {}
        """Of Ray's trials that train or may do so now, by their id."""
        self._paused: dict[int, str] = {}
        """Ray's trials that wait for their next job, by the number of the tuner's trial."""
        self._resumed: list[str] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Ray keeps what it was given; a tuner is kept by its journal instead."""
        return object, ()

    def suggest(self, ray_id: str) -> dict[str, Any] | None:
        """The configuration of a new trial of Ray's; None where there is none now."""
        if len(self.tuner.out) >= self.tuner.workers:
            return None
        job = self.tuner.ask(ray_id)
        if job is None:
            return None
        if job.trial in self._paused:
            resumed = self._paused.pop(job.trial)
            self._jobs[resumed] = job
            self._resumed.append(resumed)
            return None
        self._jobs[ray_id] = job
        return job.config

    def report(self, ray_id: str, result: dict[str, Any]) -> Verdict:
        """What becomes of one of Ray's trials after a result."""
        job = self._jobs[ray_id]
        if self.fidelity not in result:
            raise InputError(f"the trial reports no {self.fidelity!r}: name the key with for_ray(fidelity=)")
        if result[self.fidelity] <= job.from_fidelity:
            return Verdict.GO_ON  # it was lost, and trains anew what was told before
        names = [objective.name for objective in self.tuner.objectives]
        values = {name: result[name] for name in names if name in result}
        verdict = self.tuner.report(job, result[self.fidelity], values)
        if verdict.ends:
            del self._jobs[ray_id]
        if verdict is Verdict.PAUSE:
            self._paused[job.trial] = ray_id
        return verdict

    def fail(self, ray_id: str, reason: str) -> None:
        """One of Ray's trials ended before its job did."""
        job = self._jobs.pop(ray_id, None)
        if job is not None:
            current = [own for own in self.tuner.pending() if own.trial == job.trial]
            self.tuner.fail(current[0], reason)

    def next_resumed(self) -> str | None:
        """A paused trial of Ray's that is to go on."""
        return self._resumed.pop(0) if self._resumed else None

    def all_paused(self) -> list[str]:
        """Trials of Ray's that never go on, once the run is finished."""
        ids, self._paused = [*self._paused.values()], {}
        return ids


def for_ray(tuner: Tuner, fidelity: str = "training_iteration") -> tuple[Any, Any]:
    """A searcher and a scheduler of Ray Tune, which together ask and tell a tuner.

    The searcher asks for configurations, the scheduler tells what trials report: all objectives by name, and
    the fidelity. A verdict stops a trial, or pauses it until the tuner wants it to go on; the trainable must
    then go on from its checkpoint. Trials that fail are failed jobs. No more than the tuner's ``workers``
    jobs are out at a time.

    Args:
        tuner: its process is that of ``ray.tune.Tuner.fit``. Where it has a journal, results are in there.
        fidelity: the reported key that says how far a training is; every fidelity at which a result is due
            must be reported.

    Returns:
        ``search_alg`` and ``scheduler`` of ``ray.tune.TuneConfig``, with ``num_samples=-1`` and neither
        metric nor mode.

    Raises:
        InputError: Ray Tune is not installed.

    Examples:
        >>> searcher, scheduler = for_ray(tuner)                                       # doctest: +SKIP
        >>> config = tune.TuneConfig(search_alg=searcher, scheduler=scheduler, num_samples=-1)
        ...                                                                            # doctest: +SKIP
        >>> tune.Tuner(trainable, tune_config=config).fit()                            # doctest: +SKIP
    """
    try:
        importlib.import_module("ray.tune")
    except ImportError as error:
        raise InputError("for_ray needs Ray Tune; install it with: pip install 'mohb-jax[ray]'") from error
    parts = importlib.import_module("mohb_jax.tuner.ray_parts")
    desk = Desk(tuner, fidelity)
    return parts.Asking(desk), parts.Telling(desk)
