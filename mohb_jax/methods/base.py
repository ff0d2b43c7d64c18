"""What a method is: a schedule, a searcher and a promotion rule, or a policy, under a name.

Three kinds of runs, three classes. A family of methods is a file of this folder: it says which settings they
have, and what of it makes the parts.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.asynchronous import AsynchronousPlan
from mohb_jax.drivers.base import Conditions, Plan
from mohb_jax.drivers.opening import Opening
from mohb_jax.drivers.steady import SteadyPlan
from mohb_jax.drivers.synchronous import SynchronousPlan
from mohb_jax.errors import InputError
from mohb_jax.methods.needs import OTHER_TASKS, Need, at_most_objectives
from mohb_jax.plugins import Loaded, telling
from mohb_jax.precision import in_64_bits
from mohb_jax.promotions import Promotion, promotion_named
from mohb_jax.schedule import Bracket
from mohb_jax.searchers.base import Policy, Searcher
from mohb_jax.searchers.random import random_search
from mohb_jax.settings import Settings, make

Schedule = Callable[[AnyTable, Any, Conditions], tuple[Bracket, ...]]
"""Brackets of a pass, from the table, the method's settings and the conditions of the run."""

_RANDOM = random_search()


def at_random(settings: Any) -> Searcher:
    """Random search without replacement: the searcher of methods that name no other."""
    del settings
    return _RANDOM


@dataclasses.dataclass(frozen=True)
class Method(abc.ABC):
    """A tuning method: what all kinds have.

    Attributes:
        name: what users type.
        summary: one line.
        settings: the class of its settings.
        requires: what it asks of a table.
        transfers: whether it may learn from the other tasks of a table.
        others: what it asks of these, if it does.
        models: what it predicts with, for the report's calibration.
        microseconds: of an evaluation of a run among many, on two processors (docs/performance.md), to
            estimate studies; None where the driver takes most of the time.
        origin: where it is from, if it does not come with the package.
    """

    name: str
    summary: str
    _: dataclasses.KW_ONLY
    settings: type[Settings] = Settings
    requires: tuple[Need, ...] = ()
    transfers: bool = False
    others: Need = OTHER_TASKS
    models: tuple[str, ...] = ()
    microseconds: float | int | None = None
    origin: Loaded | None = None

    @abc.abstractmethod
    def plan(self, table: AnyTable, settings: Any, conditions: Conditions) -> Plan:
        """The static description of its runs on a table; see ``make_plan``, which checks first."""

    def needs_with(self, settings: Any) -> tuple[Need, ...]:
        """All that it asks of a table under these settings; None stands for the defaults."""
        del settings
        return (*((self.others,) if self.transfers else ()), *self.requires)

    def libraries(self, settings: Any) -> dict[str, str]:
        """Versions of libraries of which its results depend, by name; empty for our own methods."""
        del settings
        return {}

    @property
    def label(self) -> str:
        """The method in messages: by the path under which its code is found, where there is one."""
        name = self.name if self.origin is None else self.origin.path
        return f"method {name!r}"

    @property
    def needs(self) -> str:
        """What a table must have, for people."""
        return ", ".join(need.text for need in dict.fromkeys(self.needs_with(None))) or "any table"


@dataclasses.dataclass(frozen=True)
class _Promoting(Method):
    """A method that compares the results of a rung.

    Attributes:
        schedule: the brackets.
        searcher: proposes configurations, from the settings.
        promotion: the rule by which results are compared: a name, or a rule of one's own.
    """

    _: dataclasses.KW_ONLY
    schedule: Schedule
    searcher: Callable[[Any], Searcher] = at_random
    promotion: str | Promotion = "single"

    def rule(self, settings: Any) -> Promotion:
        """The promotion rule: the setting ``promotion`` goes before the method's own."""
        chosen = getattr(settings, "promotion", None) or self.promotion
        return chosen if isinstance(chosen, Promotion) else promotion_named(chosen)

    def needs_with(self, settings: Any) -> tuple[Need, ...]:
        """See ``Method``; a promotion rule may have a limit."""
        first = (self.others,) if self.transfers else ()
        most = self.rule(settings).max_objectives
        return (*first, *((at_most_objectives(most),) if most else ()), *self.requires)


@dataclasses.dataclass(frozen=True)
class Synchronous(_Promoting):
    """Rungs are cut when all their results are in.

    Attributes:
        opening: brackets that come once, before the others.
    """

    _: dataclasses.KW_ONLY
    opening: Schedule | None = None

    def plan(self, table: AnyTable, settings: Any, conditions: Conditions) -> SynchronousPlan:
        """See ``Method``."""
        searcher = self.searcher(settings)
        overlaps = getattr(settings, "mode", "barrier") == "overlap"
        return SynchronousPlan(
            brackets=self.schedule(table, settings, conditions),
            searcher=searcher,
            promotion=self.rule(settings).rule(settings),
            num_workers=conditions.workers,
            # What observes each rung waits for its results: idle workers cannot go on without them.
            overlap=overlaps and (not searcher.learns or searcher.learn is not None),
            budget=conditions.evaluations,
            opening=() if self.opening is None else self.opening(table, settings, conditions),
        )


@dataclasses.dataclass(frozen=True)
class Asynchronous(_Promoting):
    """Results are judged as they arrive.

    Attributes:
        promotes: True if idle workers promote any trial that deserves it, False if a trial that is not good
            enough on arrival ends.
    """

    _: dataclasses.KW_ONLY
    promotes: bool = False

    def plan(self, table: AnyTable, settings: Any, conditions: Conditions) -> AsynchronousPlan:
        """See ``Method``."""
        return AsynchronousPlan(
            brackets=self.schedule(table, settings, conditions),
            searcher=self.searcher(settings),
            arrival=self.rule(settings).arrival_rule(settings),
            promotes=self.promotes,
            eta=settings.eta,
            num_workers=conditions.workers,
            budget=conditions.evaluations,
            num_trials=settings.trials,
        )


@dataclasses.dataclass(frozen=True)
class Steady(Method):
    """A policy chooses the job of each worker that becomes free.

    Attributes:
        levels: the one bracket whose levels jobs may have.
        policy: chooses the jobs.
        halving: a method of asynchronous halving: how a run begins before the policy takes over.
    """

    _: dataclasses.KW_ONLY
    levels: Schedule
    policy: Callable[[AnyTable, Any, Conditions], Policy]
    halving: Asynchronous | None = None

    def plan(self, table: AnyTable, settings: Any, conditions: Conditions) -> SteadyPlan:
        """See ``Method``."""
        return SteadyPlan(
            brackets=self.levels(table, settings, conditions),
            policy=self.policy(table, settings, conditions),
            num_workers=conditions.workers,
            budget=conditions.evaluations,
            num_trials=getattr(settings, "trials", None),
            opening=None if self.halving is None else _opening(table, self.halving, settings, conditions),
        )


def _opening(table: AnyTable, halving: Asynchronous, settings: Any, conditions: Conditions) -> Opening:
    """Halving until as many full trainings were paid for as there are columns."""
    levels = halving.schedule(table, settings, conditions)[0].levels
    shares = tuple(table.fidelities[level] / table.fidelities[-1] for level in levels)
    # Enough cheap jobs for the trainings, and then a whole ladder for the first full one.
    ladder = sum(settings.eta**rung for rung in range(len(levels)))
    most = math.ceil(table.num_columns / shares[0] + ladder) + conditions.workers
    budget = min(most, conditions.evaluations or most)
    require_served(table, halving, settings)
    plan = halving.plan(table, settings, dataclasses.replace(conditions, evaluations=budget))
    return Opening(plan, table.num_columns, shares)


def make_settings(method: Method, **values: Any) -> Any:
    """Settings of a method from keyword arguments.

    Raises:
        InputError: naming a setting that the method does not have, with those that it has and the nearest, or
            a value that is not accepted.

    Examples:
        >>> make_settings(method_named("mo-hb"), eta=2).eta
        2
    """
    settings = make(method.settings, values, f"method {method.name!r}")
    if getattr(settings, "promotion", None) is not None:
        promotion_named(settings.promotion)  # type: ignore[attr-defined]
    return settings


def lacking(table: AnyTable, method: Method, settings: Any = None) -> str | None:
    """What a table lacks for a method with these settings, in words; None if it can be served."""
    settings = method.settings() if settings is None else settings
    found = (need.missing(table, settings) for need in method.needs_with(settings))
    return next((text for text in found if text is not None), None)


def require_served(table: AnyTable, method: Method, settings: Any) -> None:
    """``InputError`` if a table lacks what a method needs, or the settings do not fit it."""
    missing = lacking(table, method, settings)
    if missing is not None:
        raise InputError(f"method {method.name!r} cannot serve table {table.name!r}: {missing}")
    settings.check_for(table.num_objectives)


@in_64_bits
def make_plan(
    table: AnyTable, method: Method, settings: Any = None, conditions: Conditions | None = None
) -> Plan:
    """The static description of a run of a method on a table; by default with the defaults of both.

    Raises:
        InputError: the table lacks what the method needs, or the settings do not fit it.
    """
    settings = method.settings() if settings is None else settings
    conditions = Conditions() if conditions is None else conditions
    require_served(table, method, settings)
    with telling(method.label):
        return method.plan(table, settings, conditions)
