"""For authors of methods: everything that a method outside the package is made of.

A method is a known one with some of its parts exchanged::

    # my_module.py
    import jax.numpy as jnp
    from mohb_jax import ext

    def fewest_better(key, costs, valid, num_keep):           # a promotion rule
        better = (costs[None] < costs[:, None]) & valid[None, :, None]
        num_better = jnp.sum(better, axis=(1, 2))
        return jnp.argsort(jnp.where(valid, num_better, better.size))[:num_keep]

    my_method = ext.method(
        "my-method", "Hyperband that keeps what fewest others beat",
        like="mo-hb", promotion=ext.failures_last(fewest_better, "ties"),
    )

A study beside this file names it ``my_module:my_method``: in its list of methods, after ``--method``, in
``mohb_jax.simulate``, and for ``mohb check``. ``mohb new-method NAME`` writes a folder to begin with.

Parts, and what makes them:

``searcher``
    A ``Searcher``: four pure functions of one lane, which ``jax.vmap`` takes to all lanes. ``prepare`` reads
    the table, ``init`` makes a lane's state, ``suggest`` proposes rows that the lane has not had, ``observe``
    learns from results (``ignore`` learns nothing). For methods with a schedule: all but steady ones.
``promotion``
    A promotion rule, ``rule(key, costs, valid, num_keep) -> indices, best first``. ``failures_last`` takes
    care of evaluations that failed.
``schedule``
    ``(table, settings, conditions) -> tuple[Bracket, ...]``: ``hyperband``, ``asha_rungs`` and
    ``full_fidelity`` make brackets.
``policy``
    A ``Policy``, for methods like ``mo-rea`` and ``ehvi``: ``propose`` gives each worker that becomes free a
    ``Job``, ``observe`` takes a ``Result``.

``searcher`` and ``promotion`` may be given as they are, or as a function of nothing or of the settings;
``schedule``, ``opening``, ``levels`` and ``policy`` as a function of (table, settings, conditions), (table,
settings), of the settings or of nothing. What such a function makes is kept: equal settings compile once.

Own settings are a frozen dataclass that extends those of the method it is like::

    @dataclasses.dataclass(frozen=True)
    class Mine(ext.settings_of("mo-hb")):
        temperature: float = ext.setting(1.0, "above 1 it draws more evenly", check=ext.positive)

    my_method = ext.method("my-method", "...", like="mo-hb", settings=Mine, searcher=lambda own: ...)

``mohb_jax.testing`` (``mohb check my_module:my_method``) checks the laws that every method keeps; those of
shapes and rows are also watched while a study runs.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from mohb_jax.benchmarks.contract import AnyTable
from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError, did_you_mean
from mohb_jax.guards import require_signatures
from mohb_jax.kernels.promotion import PromotionRule, failures_last
from mohb_jax.methods import METHODS, Asynchronous, Method, Need, Steady, Synchronous, method_named
from mohb_jax.promotions import Promotion
from mohb_jax.promotions.outside import given, of_settings, promotion_of, takes
from mohb_jax.schedule import Bracket, asha_rungs, full_fidelity, hyperband
from mohb_jax.searchers.base import (
    InitFn,
    Job,
    Moment,
    ObserveFn,
    ObserveResultFn,
    Policy,
    PrepareFn,
    ProposeFn,
    Result,
    Searcher,
    Seen,
    SuggestFn,
    ignore,
)
from mohb_jax.searchers.nearest_rows import Rows, nearest_unseen, nearest_unseen_each, prepare_rows
from mohb_jax.searchers.random import Candidates, all_candidates, random_search
from mohb_jax.searchers.seen_rows import Pool, draw, is_marked, marked, new_pool
from mohb_jax.settings import Settings, at_least, count, one_of, positive, setting
from mohb_jax.transfer import Prior
from mohb_jax.types import Key

__all__ = [
    "AnyTable",
    "Asynchronous",
    "Bracket",
    "Candidates",
    "Conditions",
    "InitFn",
    "InputError",
    "Job",
    "Key",
    "Method",
    "Moment",
    "Need",
    "ObserveFn",
    "ObserveResultFn",
    "Policy",
    "Pool",
    "PrepareFn",
    "Prior",
    "Promotion",
    "PromotionRule",
    "ProposeFn",
    "Result",
    "Rows",
    "Searcher",
    "Seen",
    "Settings",
    "Steady",
    "SuggestFn",
    "Synchronous",
    "all_candidates",
    "asha_rungs",
    "at_least",
    "count",
    "draw",
    "failures_last",
    "full_fidelity",
    "hyperband",
    "ignore",
    "is_marked",
    "marked",
    "method",
    "nearest_unseen",
    "nearest_unseen_each",
    "new_pool",
    "one_of",
    "positive",
    "prepare_rows",
    "promotion",
    "random_search",
    "setting",
    "settings_of",
]

_SITUATION = ("schedule", "opening", "levels", "policy")
"""Parts that are made from the table, the settings and the conditions of a run."""


def method(
    name: str,
    summary: str,
    *,
    like: str | Method = "mo-hb",
    settings: type[Settings] | None = None,
    **changed: Any,
) -> Method:
    """A known method with some of its parts exchanged, under a name of its own.

    Args:
        name: to show in results; not that of a method of the package.
        summary: one line, for lists and pages.
        like: the method that it is like, or its name.
        settings: the class of its settings, which extends that of ``like``; None for that one.
        **changed: parts, as the head of this module describes them, or other fields of the method:
            ``requires``, ``transfers``, ``models``, ``microseconds``, and ``promotes`` or ``halving``.

    Raises:
        InputError: naming what cannot be used.
    """
    base = method_named(like) if isinstance(like, str) else like
    if not isinstance(name, str) or not name.strip() or ":" in name or name in METHODS:
        taken = "comes with the package" if name in METHODS else "is no name: letters without a colon are"
        raise InputError(f"method {name!r} {taken}: give it another")
    label = f"method {name!r}"
    fixed = ("name", "summary", "settings", "origin")
    accepted = [field.name for field in dataclasses.fields(base) if field.name not in fixed]
    for part in changed:
        if part not in accepted:
            raise InputError(
                f"{label}: {base.name} has no part {part!r}{did_you_mean(part, accepted)}: "
                f"accepted are {', '.join(accepted)}"
            )
    made = {part: _part(name, part, value) for part, value in changed.items()}
    own = base.settings if settings is None else _own_settings(label, settings, base)
    return dataclasses.replace(base, name=name, summary=summary, settings=own, origin=None, **made)


def _part(name: str, part: str, value: Any) -> Any:
    label = f"method {name!r}"
    if part == "promotion":
        return value if isinstance(value, str) else promotion_of(value, name)
    if part == "searcher":
        return _searcher(label, value)
    if part in _SITUATION and value is not None:
        return _of_situation(label, part, value)
    return value


def _searcher(label: str, value: Any) -> Callable[[Any], Searcher]:
    accepted = "accepted is a Searcher, or a function of nothing or of settings that returns one"
    if isinstance(value, Searcher):
        require_signatures(value, label)
        return functools.partial(given, value)
    if not callable(value):
        raise InputError(f"{label}: searcher is of type {type(value).__name__}: {accepted}")
    factory = of_settings(value, f"{label}: searcher", accepted)

    @functools.wraps(value)
    def make(settings: Any) -> Searcher:
        made = factory(settings)
        if not isinstance(made, Searcher):
            raise InputError(f"{label}: searcher returned a value of type {type(made).__name__}: {accepted}")
        require_signatures(made, label)
        return made

    return make


def _of_situation(label: str, part: str, value: Any) -> Callable[..., Any]:
    """A part as a function of table, settings and conditions, whichever of them it takes."""
    accepted = (
        "accepted is a function of (table, settings, conditions), (table, settings), settings or nothing"
    )
    if isinstance(value, Policy):
        require_signatures(value, label)
        return functools.partial(given, value)
    count_taken = next((number for number in range(4) if callable(value) and takes(value, number)), None)
    if count_taken is None:
        raise InputError(f"{label}: {part} is of type {type(value).__name__}: {accepted}")

    @functools.wraps(value)
    def make(table: AnyTable, settings: Any, conditions: Conditions) -> Any:
        handed = {3: (table, settings, conditions), 2: (table, settings), 1: (settings,), 0: ()}
        made = value(*handed[count_taken])
        if part == "policy":
            policy = _checked(label, part, made, isinstance(made, Policy), "Policy")
            require_signatures(policy, label)
            return policy
        brackets = isinstance(made, tuple) and bool(made) and all(isinstance(item, Bracket) for item in made)
        return _checked(label, part, made, brackets, "tuple of Brackets")

    return make if part != "policy" else _kept(make)


def _kept(make: Callable[..., Any]) -> Callable[..., Any]:
    """Keeps what was made of the same table, equal settings and equal conditions."""
    return functools.wraps(make)(functools.lru_cache(maxsize=64)(make))


def _checked(label: str, part: str, made: Any, is_right: bool, wanted: str) -> Any:
    if not is_right:
        raise InputError(
            f"{label}: {part} returned a value of type {type(made).__name__}: a {wanted} is needed"
        )
    return made


def _own_settings(label: str, settings: Any, base: Method) -> type[Settings]:
    needed = (
        f"a frozen dataclass that extends {base.settings.__name__}, that is ext.settings_of({base.name!r})"
    )
    if not isinstance(settings, type) or not issubclass(settings, base.settings):
        name = getattr(settings, "__name__", type(settings).__name__)
        raise InputError(f"{label}: settings is {name}: {needed} is needed")
    if "__dataclass_params__" not in vars(settings) or not vars(settings)["__dataclass_params__"].frozen:
        raise InputError(
            f"{label}: settings {settings.__name__} lacks @dataclasses.dataclass(frozen=True): "
            f"{needed} is needed"
        )
    return settings


def settings_of(like: str | Method) -> Any:
    """The class of a method's settings, for own ones to extend."""
    return (method_named(like) if isinstance(like, str) else like).settings


def promotion(
    name: str,
    summary: str,
    rule: Any,
    *,
    on_arrival: Callable[[Any], Any] | None = None,
    max_objectives: int | None = None,
) -> Promotion:
    """A promotion rule under a name, for the setting ``promotion`` of any method that promotes.

    Args:
        name: to show.
        summary: one line.
        rule: the rule, or a function of nothing or of the method's settings that returns one.
        on_arrival: the same for results that are judged as they arrive; without it asynchronous methods sort
            the rung by ``rule``, exactly and slowly.
        max_objectives: the most that it takes; None for any number.

    Raises:
        InputError: ``rule`` is no such thing.
    """
    made = promotion_of(rule, name, summary, max_objectives)
    return made if on_arrival is None else dataclasses.replace(made, on_arrival=on_arrival)
