"""Methods of this package as samplers of Optuna.

What a trial is given depends on the storage alone: on the trials that had started before it, in their order,
and on the results that were there when it started. Every process replays them, and so all take the same
decisions; nothing of a sampler is stored.
"""

import math
import threading
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import optuna
from jaxtyping import Float
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mohb_jax.benchmarks.columns import Objective
from mohb_jax.errors import InputError
from mohb_jax.methods import make_settings
from mohb_jax.optuna.distributions import Parameters, differs
from mohb_jax.optuna.halving import whole
from mohb_jax.optuna.proposals import LEARN_FROM_RUNGS, Proposal, Proposals, single_rows
from mohb_jax.optuna.pruner import HalvingPruner
from mohb_jax.transfer import Prior
from mohb_jax.tuner.candidates import Candidates

MOST_WORKERS = 64
"""Trials that run at a time, which models take into account; those beyond it are only not repeated."""


class MohbSampler(optuna.samplers.BaseSampler):
    """Proposes configurations by a method of this package, on any number of objectives.

    A finite set of candidates is spread over the space, and the method picks one for each trial; none is
    picked twice. Parameters that are not in the space are drawn at random.

    Args:
        method: one that picks single configurations: ``random``, ``random+prior``, ``cts``, ``nsga2``,
            ``mo-rea``, ``sh-emoa``, ``parego``, ``ehvi``, ``gcp``, ``bohb`` or ``mo-bohb`` (the last two are
            their densities alone: halving is the pruner's part).
        space: distribution of each parameter, as ``suggest_*`` will ask for it.
        seed: of the candidates and of all choices; every process needs the same.
        candidates: how many there are, before equal ones are left out.
        workers: trials that run at a time, at most; ``parego`` and ``ehvi`` take them into account.
        prior: what methods with a prior begin with.
        pruner: whose records of pruned trials ``bohb`` and ``mo-bohb`` learn from.
        **settings: of the method.

    Raises:
        InputError: for a value that is not accepted.

    Examples:
        >>> space = {"x": optuna.distributions.FloatDistribution(0, 1)}
        >>> sampler = MohbSampler("mo-rea", space, candidates=64)
        >>> study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
        >>> 0 <= study.ask().suggest_float("x", 0, 1) <= 1
        True
    """

    def __init__(
        self,
        method: str,
        space: Mapping[str, Any],
        *,
        seed: int = 0,
        candidates: int = 4096,
        workers: int = 8,
        prior: Prior | None = None,
        pruner: HalvingPruner | None = None,
        **settings: Any,
    ) -> None:
        make_settings(single_rows(method), **settings)
        self._method, self._settings, self._prior = method, settings, prior
        self._seed, self._workers = whole("seed", seed), whole("workers", workers)
        if not 1 <= workers <= MOST_WORKERS:
            raise InputError(f"workers is {workers}: accepted are 1 to {MOST_WORKERS}")
        self._parameters = Parameters(space, candidates, self._seed)
        self._pruner = pruner if method in LEARN_FROM_RUNGS else None
        self._lock = threading.Lock()
        self._replay: _Replay | None = None
        self._warned: set[str] = set()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The whole space, whatever trials asked for."""
        del study, trial
        return dict(self._parameters.distributions)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of a candidate; none where all were tried."""
        with self._lock:
            row = self._row(study, trial)
        found = {} if row is None else self._parameters.of_row(row)
        return {name: value for name, value in found.items() if name in search_space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value of a parameter that is not in the space, or is asked for with another range."""
        declared = self._parameters.distributions.get(param_name)
        if declared is not None and differs(param_distribution, declared) and param_name not in self._warned:
            self._warned.add(param_name)
            warnings.warn(
                f"parameter {param_name!r} is asked for as {param_distribution}, and the sampler's space has "
                f"{declared}: it is drawn at random",
                stacklevel=2,
            )
        own = zlib.crc32(f"{self._seed}/{trial.number}/{param_name}".encode())
        by_chance = optuna.samplers.RandomSampler(seed=own)
        return by_chance.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Nothing: choices depend on the storage, and are those of every process."""

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it replays the rest."""
        return {**self.__dict__, "_lock": None, "_replay": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _row(self, study: optuna.Study, trial: FrozenTrial) -> int | None:
        if self._replay is None or self._replay.study_name != study.study_name:
            self._replay = self._begun(study)
        by_number = self._replay.proposals.at(trial.number)
        if by_number is not None:
            return by_number
        if (trial.number, False) not in self._replay.done:
            events = _events(study.get_trials(deepcopy=False), trial)
            if [event.name for event in events[: len(self._replay.done)]] != list(self._replay.done):
                self._replay = self._begun(study)
            for event in events[len(self._replay.done) :]:
                self._replay.take(event)
        return self._replay.row_given(trial.number)

    def _begun(self, study: optuna.Study) -> "_Replay":
        objectives = [Objective(f"objective {place}", "min", "1") for place in range(len(study.directions))]
        num_levels = 1 if self._pruner is None else len(self._pruner.rungs)
        candidates = Candidates(self._parameters.space, objectives, range(1, num_levels + 1), "rung")
        proposals = Proposals(
            single_rows(self._method), self._settings, candidates, self._workers, self._seed, self._prior
        )
        signs = [-1.0 if d == optuna.study.StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
        return _Replay(study.study_name, proposals, self._parameters, np.array(signs), self._pruner)


class _Event(NamedTuple):
    """A trial starts, or has ended."""

    trial: FrozenTrial
    ends: bool

    @property
    def name(self) -> tuple[int, bool]:
        return self.trial.number, self.ends


def _events(trials: Sequence[FrozenTrial], last: FrozenTrial) -> list[_Event]:
    """What happened until a trial starts, in order: a start knows all ends before it."""
    until = (last.datetime_start, last.number, 0)
    events: list[tuple[Any, _Event]] = []
    for trial in trials:
        if trial.datetime_start is None:
            continue
        start = (trial.datetime_start, trial.number, 0)
        events.append((start, _Event(trial, False)))
        if trial.state.is_finished() and trial.datetime_complete is not None:
            # A trial that was added as a whole ends at the moment at which it starts.
            end = max((trial.datetime_complete, -1, trial.number), (*start[:2], 1))
            events.append((end, _Event(trial, True)))
    return [event for time, event in sorted(events, key=lambda pair: pair[0]) if time <= until]


class _Replay:
    """A run that has taken some events.

    Attributes:
        study_name: whose they are.
        proposals: the method.
        done: names of the events, in their order.
    """

    def __init__(
        self,
        study_name: str,
        proposals: Proposals,
        parameters: Parameters,
        signs: Float[np.ndarray, " m"],
        pruner: HalvingPruner | None,
    ) -> None:
        self.study_name, self.proposals = study_name, proposals
        self.done: dict[tuple[int, bool], None] = {}
        self._parameters, self._signs, self._pruner = parameters, signs, pruner
        self._given: dict[int, Proposal] = {}
        self._taken: set[int] = set()

    def row_given(self, number: int) -> int | None:
        """The row that a trial got when it started; None if there was none."""
        return self._given[number].row if number in self._given else None

    def take(self, event: _Event) -> None:
        """Proposes a row to a trial that starts, and learns from one that has ended."""
        self.done[event.name] = None
        if event.ends:
            self._end(event.trial)
            return
        while (proposal := self.proposals.ask()) is not None:
            if proposal.row not in self._taken:
                self._taken.add(proposal.row)
                self._given[event.trial.number] = proposal
                return
            self.proposals.drop(proposal)

    def _end(self, trial: FrozenTrial) -> None:
        given, tried = self._given.get(trial.number), self._parameters.row_of(trial.params)
        if tried is None or given is None:
            if given is not None:
                self.proposals.drop(given)
            return
        if tried != given.row:  # somebody else chose the parameters
            self.proposals.drop(given)
            self._taken.add(tried)
            given = Proposal(given.number, tried)
        if trial.state == TrialState.PRUNED:
            self._end_early(trial, given)
            return
        values = self._signs * np.array(trial.values or [math.inf], float)
        failed = trial.state == TrialState.FAIL or not np.isfinite(values).all()
        self.proposals.tell(given, np.full(len(self._signs), math.inf) if failed else values)

    def _end_early(self, trial: FrozenTrial, given: Proposal) -> None:
        """What a pruned trial showed at its highest rung, where there is a use for it; else nothing."""
        found = None if self._pruner is None else self._pruner.last_rung(trial)
        if found is None:
            self.proposals.drop(given)
            return
        place, costs = found
        failed = [math.inf] * len(self._signs)
        if costs is not None and len(costs) != len(failed):
            self.proposals.drop(given)
            return
        self.proposals.tell(given, np.array(costs or failed), place)
