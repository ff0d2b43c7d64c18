"""Asynchronous successive halving for Optuna, on any number of objectives.

Optuna's own ``trial.report`` and ``trial.should_prune`` refuse studies of several objectives. What a trial
shows at a rung is therefore kept in user attributes, which every storage has: one small attribute per trial
and rung, written before the others are read. So of two trials that arrive at one moment at least one sees the
other, and all processes decide from the same storage.
"""

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection

from mohb_jax.errors import InputError
from mohb_jax.optuna.halving import Costs, Halving, whole


class HalvingPruner(optuna.pruners.BasePruner):
    """Ends a trial that is not among the best ``1 / eta`` of its rung when it arrives there.

    The decision is the one that ``mo-asha`` and its kin take in simulation. A trial that arrives at a rung is
    compared with all that arrived there before, whatever became of them; the first one goes on.

    Args:
        rungs: ascending steps at which trials are compared; at the last one a trial is done.
        eta: of n trials at a rung, a newcomer must be among the ``max(1, floor(n / eta))`` best.
        rule: how results are compared, one of ``mohb_jax.rules.NAMES``: ``net`` (fronts, then an
            epsilon-net), ``crowding``, ``hvc`` (fronts, then hypervolume; at most 4 objectives), ``scalar``
            (a weighted sum), ``single`` (the first objective) and ``random`` (a control).
        scale: on which ``net`` measures distances: ``minmax``, ``rank`` or ``none``.
        seed_objective: place of the objective whose best result opens a front of ``net``.
        weights: of ``scalar``, one per objective; None draws them from ``seed``.
        objectives: places of the study's directions that ``report`` is told, in that order; None for all.
            An objective that is known only at the end is left out here.
        seed: of drawn weights, and of ``random``; every process needs the same.
        key: what the names of user attributes begin with.

    Raises:
        InputError: for a value that is not accepted.

    References:
        Li et al., "A system for massively parallel hyperparameter tuning", 2020; Salinas et al., "A
        multi-objective perspective on jointly tuning hardware and hyperparameters", 2021.

    Examples:
        >>> pruner = HalvingPruner(rungs=(1, 3, 9), eta=3)
        >>> def objective(trial):
        ...     x = trial.suggest_float("x", 0, 1)
        ...     for epoch in range(1, 10):
        ...         if pruner.report(trial, (x / epoch, 1 - x), step=epoch):
        ...             raise optuna.TrialPruned()
        ...     return x / 9, 1 - x
    """

    def __init__(
        self,
        rungs: Sequence[int | float],
        eta: int | float = 3,
        rule: str = "net",
        *,
        scale: str = "minmax",
        seed_objective: int = 0,
        weights: Sequence[int | float] | None = None,
        objectives: Sequence[int] | None = None,
        seed: int = 0,
        key: str = "mohb",
    ) -> None:
        self._halving = Halving(rungs, eta, rule, scale, seed_objective, weights, seed)
        self._objectives = None if objectives is None else _places(objectives)
        self._key = key
        self._answers: dict[tuple[str, int], bool] = {}

    def report(self, trial: Any, values: Any, step: int | float) -> bool:
        """Records what a trial shows at a step, and decides whether it ends here.

        Args:
            trial: the argument of the objective function. One that belongs to no study (``FixedTrial``,
                ``FrozenTrial``) never ends.
            values: one per objective, in the order of the study's directions and with their senses. A trial
                with NaN or an infinite value comes after all others of its rung.
            step: whole number from 0, such as the epochs that were trained. A trial is judged at its first
                report at or after a rung; one that skips rungs counts at the highest of them.

        Returns:
            True if the trial should end: ``raise optuna.TrialPruned()``.

        Raises:
            InputError: for another number of values than directions, or settings that do not fit them.

        Examples:
            >>> study = optuna.create_study(directions=["minimize", "minimize"])
            >>> HalvingPruner(rungs=(1, 3)).report(study.ask(), (2.0, 2.0), step=1)
            False
        """
        step = whole("step", step)
        place = self._halving.place_of(step)
        study = _study_of(trial)
        if study is None:
            return False
        costs = _costs(self._directions(study), values)
        ends = place is not None and self._arrives(trial, study, place, costs, step)
        self._answers[study.study_name, trial.number] = ends
        return ends

    def should_prune(self, trial: Any) -> bool:
        """The answer to the last ``report`` of a trial in this process; False before the first one."""
        study = _study_of(trial)
        return study is not None and self._answers.get((study.study_name, trial.number), False)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which trials are compared."""
        return tuple(map(int, self._halving.rungs))

    def last_rung(self, trial: optuna.trial.FrozenTrial) -> tuple[int, Costs] | None:
        """Place of the highest rung at which ``report`` has recorded a trial, and its costs there."""
        for place in reversed(range(len(self.rungs))):
            name = self._attribute(self.rungs[place])
            if name in trial.user_attrs:
                return place, trial.user_attrs[name]["costs"]
        return None

    def _attribute(self, rung: int) -> str:
        """By the rung's own step: a study that goes on with other rungs does not mix them up."""
        return f"{self._key}:rung:{rung}"

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """What Optuna asks of ``create_study(pruner=...)``, in studies of one objective.

        There, ``trial.report(value, step)`` and ``trial.should_prune()`` work as with Optuna's own pruners,
        from the reported values alone.

        Raises:
            InputError: for a study of several objectives, of which Optuna itself never asks.
        """
        if len(study.directions) > 1:
            raise InputError(
                f"the study has {len(study.directions)} directions: call report(trial, values, step) of the "
                "pruner in place of trial.report and trial.should_prune"
            )
        directions, step = self._directions(study), trial.last_step
        if step is None:
            return False
        place = self._halving.place_of(step)
        if place is None or step != self._first_step(trial, place):
            return False
        arrived = {
            other.number: _costs(directions, [other.intermediate_values[first]])
            for other in study.get_trials(deepcopy=False)
            if (first := self._first_step(other, place)) is not None
        }
        newcomer = _costs(directions, [trial.intermediate_values[step]])
        return self._halving.ends(place, arrived, trial.number, newcomer)

    def _first_step(self, trial: optuna.trial.FrozenTrial, place: int) -> int | None:
        """The step at which a trial of one objective arrived at a rung; None if it did not."""
        low, high = self.rungs[place : place + 2]
        reported = trial.intermediate_values
        return (
            low if low in reported else min((step for step in reported if low <= step < high), default=None)
        )

    def _arrives(self, trial: Any, study: optuna.Study, place: int, costs: Costs, step: int) -> bool:
        """Records the costs of a newcomer, and decides; a trial that was there before goes on."""
        name, *higher = map(self._attribute, self.rungs[place:])
        if not trial.user_attrs.keys().isdisjoint([name, *higher]):
            return False
        trial.set_user_attr(name, {"step": step, "costs": costs})
        arrived = {
            other.number: _recorded(other, name)
            for other in study.get_trials(deepcopy=False)
            if name in other.user_attrs
        }
        return self._halving.ends(place, arrived, trial.number, costs)

    def _directions(self, study: optuna.Study) -> list[StudyDirection]:
        """Of the objectives that ``report`` is told; ``InputError`` where the settings do not fit them."""
        directions = study.directions
        if self._objectives is not None:
            if max(self._objectives) >= len(directions):
                raise InputError(
                    f"objectives is {self._objectives}: accepted are 0 to {len(directions) - 1}, places of "
                    "the study's directions"
                )
            directions = [directions[place] for place in self._objectives]
        self._halving.check_for(len(directions))
        return directions


def _study_of(trial: Any) -> optuna.Study | None:
    """Where a trial is run; None for those that stand for themselves.

    Raises:
        InputError: the trial hides its study, as a wrapper may.
    """
    if isinstance(trial, optuna.trial.FixedTrial | optuna.trial.FrozenTrial):
        return None
    study = getattr(trial, "study", None)
    if study is None:
        raise InputError(
            f"a {type(trial).__name__} has no study: accepted is the trial that the objective function gets"
        )
    return study


def _costs(directions: Sequence[StudyDirection], values: Any) -> Costs:
    """Values of a report as minimised."""
    told = list(values) if hasattr(values, "__len__") else [values]
    if len(told) != len(directions):
        raise InputError(f"report was told {len(told)} values: {len(directions)} objectives need one each")
    try:
        known = [float(value) for value in told]
    except (TypeError, ValueError):
        raise InputError(f"report was told {told}: accepted are numbers") from None
    if not all(map(math.isfinite, known)):
        return None
    senses = zip(directions, known, strict=True)
    return [-value if direction == StudyDirection.MAXIMIZE else value for direction, value in senses]


def _recorded(trial: optuna.trial.FrozenTrial, name: str) -> Costs:
    """Costs in a user attribute, which other programs may have written."""
    try:
        return trial.user_attrs[name]["costs"]
    except (TypeError, KeyError):
        raise InputError(
            f"user attribute {name!r} of trial {trial.number} is {trial.user_attrs[name]!r}, which no pruner "
            "wrote: give this one another key"
        ) from None


def _places(objectives: Sequence[int]) -> list[int]:
    places = [whole("an objective", place) for place in objectives]
    if not places or len(set(places)) < len(places):
        raise InputError(f"objectives is {list(objectives)}: accepted are places of directions, each once")
    return places
