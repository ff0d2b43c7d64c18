"""The two sides that Ray Tune sees of a tuner: one asks, the other tells."""

from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from mohb_jax.drivers.verdicts import Verdict
from mohb_jax.errors import InputError
from mohb_jax.tuner.on_ray import Desk

ACTIONS = {
    Verdict.GO_ON: TrialScheduler.CONTINUE,
    Verdict.PAUSE: TrialScheduler.PAUSE,
    Verdict.STOP: TrialScheduler.STOP,
}


class Asking(Searcher):
    """A searcher that asks a tuner."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        """What is tuned is said by the tuner alone."""
        del spec
        if metric or mode or config:
            raise InputError("metric, mode and param_space are the tuner's: give Ray none of them")
        return True

    def suggest(self, trial_id: str) -> Any:
        """See ``ray.tune.search.Searcher``."""
        return self.FINISHED if self._desk.tuner.finished else self._desk.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """See ``ray.tune.search.Searcher``: whoever ends before a result was due has failed."""
        del result
        self._desk.fail(trial_id, "an error in Ray Tune" if error else "it ended before its result was due")

    def save(self, checkpoint_path: str) -> None:
        """The tuner's journal is what a run goes on from."""
        Path(checkpoint_path).write_text("{}")

    def restore(self, checkpoint_path: str) -> None:
        """Not from Ray's files."""
        raise InputError("Ray cannot restore a tuner: Tuner.open(journal) goes on from its journal")


class Telling(FIFOScheduler):
    """A scheduler that tells a tuner, and does with trials what it says."""

    _supports_buffered_results = False

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """See ``ray.tune.schedulers.TrialScheduler``."""
        return str(ACTIONS[self._desk.report(trial.trial_id, result)])

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A trial that is to go on, else a new one; those that never go on are ended."""
        trials = {trial.trial_id: trial for trial in tune_controller.get_trials()}
        resumed = self._desk.next_resumed()
        if resumed is not None:
            return trials[resumed]
        if self._desk.tuner.finished:
            for name in self._desk.all_paused():
                tune_controller.stop_trial(trials[name])
        return next((trial for trial in trials.values() if trial.status == Trial.PENDING), None)

    def debug_string(self) -> str:
        """See ``ray.tune.schedulers.TrialScheduler``."""
        return f"mohb_jax: {len(self._desk.tuner.results())} jobs"
