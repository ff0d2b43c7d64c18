"""Settings and conditions of a study's methods: the study's own, the method's own, and those that vary.

A name of ``Conditions`` (``workers``, ``resumable``) may stand among settings and in a sweep: it says
under which conditions that method runs. A setting of the whole study goes to the methods that have it.
"""

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mohb_jax.drivers.base import Conditions
from mohb_jax.errors import InputError
from mohb_jax.methods import Method, make_settings, method_named
from mohb_jax.plugins import Loaded, is_path
from mohb_jax.promotions import PROMOTIONS, Promotion, promotion_named
from mohb_jax.settings import Settings, changed_settings, require_settings
from mohb_jax.simulation import make_conditions
from mohb_jax.study.entries import MethodEntry, Study, Sweep

CONDITIONS = ("workers", "resumable")
"""The conditions that may stand among settings."""


class Chosen(NamedTuple):
    """How a method of a study runs."""

    method: Method
    settings: Settings
    conditions: Conditions
    rule: Promotion | None = None
    """The promotion rule that the settings name, if it is from outside the package."""

    @property
    def shown(self) -> dict[str, Any]:
        """All settings and conditions by name, for people."""
        conditions = {name: getattr(self.conditions, name) for name in CONDITIONS}
        return dataclasses.asdict(self.settings) | conditions | self._written

    @property
    def own(self) -> dict[str, Any]:
        """The settings that differ from their defaults."""
        return changed_settings(self.settings) | self._written

    @property
    def plugins(self) -> dict[str, Any]:
        """The code from outside the package that results depend on, by what it is; empty if there is none."""
        libraries = self.method.libraries(self.settings)
        used = {"libraries": libraries} if libraries else {}
        return {name: origin.identity for name, origin in self.origins.items()} | used

    @property
    def origins(self) -> dict[str, Loaded]:
        """Where the parts from outside are from, by what they are."""
        rule = None if self.rule is None else self.rule.origin
        parts = {"plugin": self.method.origin, "promotion_plugin": rule}
        return {name: origin for name, origin in parts.items() if origin is not None}

    @property
    def _written(self) -> dict[str, Any]:
        """The promotion rule's name as the user wrote it: the settings hold a whole path."""
        origin = self.origins.get("promotion_plugin")
        return {} if origin is None else {"promotion": origin.path}


def chosen(study: Study, entry: MethodEntry) -> Chosen:
    """A method's settings and conditions; ``InputError`` names what it does not have or accept."""
    method = method_named(entry.method, study.folder)
    accepted = _accepted(method)
    require_settings(entry.settings, accepted, f"method {method.name!r}")
    values = {n: v for n, v in study.settings.items() if n in accepted} | entry.settings
    own = {name: value for name, value in values.items() if name not in CONDITIONS}
    conditions = {name: value for name, value in values.items() if name in CONDITIONS}
    rule = _rule_from_outside(own.get("promotion"), study.folder)
    if rule is not None and rule.origin is not None and is_path(str(own["promotion"])):
        own["promotion"] = rule.origin.reference  # found from any folder
    settings = make_settings(method, **own)
    return Chosen(method, settings, make_conditions(evaluations=study.evaluations, **conditions), rule)


def _rule_from_outside(name: Any, folder: Path | None) -> Promotion | None:
    if not isinstance(name, str) or name in PROMOTIONS:
        return None
    return promotion_named(name, folder)


def code_of(study: Study) -> list[str]:
    """Names of all code from outside the package that a study runs."""
    names = [
        entry.name for entry in study.benchmarks if is_path(entry.name) and not entry.name.endswith(".npz")
    ]
    for entry in study.methods:
        names += [_shown_origin(origin) for origin in chosen(study, entry).origins.values()]
    return list(dict.fromkeys(names))


def _shown_origin(origin: Loaded) -> str:
    return origin.path if origin.distribution is None else f"{origin.path} of {origin.distribution}"


def _accepted(method: Method) -> list[str]:
    return [*(field.name for field in dataclasses.fields(method.settings)), *CONDITIONS]


def require_takers(study: Study) -> None:
    """``InputError`` for a setting of the whole study, or one that it sweeps, that no method has."""
    methods = [method_named(entry.method, study.folder) for entry in study.methods]
    own = {name: None for method in methods for name in _accepted(method)}
    known = [*(name for name in own if name not in CONDITIONS), *CONDITIONS]
    swept = study.sweep if isinstance(study.sweep, dict) else [n for one in study.sweep for n in one]
    require_settings((*study.settings, *swept), known, "all methods of the study")


def spelt_out(study: Study, entry: MethodEntry) -> list[MethodEntry]:
    """One entry for each combination of swept settings, named after it; each is checked."""
    if is_path(entry.method) and entry.name is None:
        entry = entry.model_copy(update={"name": method_named(entry.method, study.folder).name})
    combinations = _combinations(entry.sweep) if entry.sweep else _of_the_study(study, entry)
    entries = []
    for values in combinations:
        name = " ".join([entry.label, *(f"{key}={_shown(value)}" for key, value in values.items())])
        one = entry.model_copy(update={"name": name, "settings": entry.settings | values, "sweep": {}})
        one = one if values else entry
        chosen(study, one)
        entries.append(one)
    return entries


def _of_the_study(study: Study, entry: MethodEntry) -> list[dict[str, Any]]:
    """Combinations that the study sweeps, of the settings that the method has."""
    accepted = _accepted(method_named(entry.method, study.folder))
    return _distinct(
        {name: value for name, value in values.items() if name in accepted}
        for values in _combinations(study.sweep)
    )


def _distinct(combinations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in combinations:
        if one not in found:
            found.append(one)
    return found


def _combinations(sweep: Sweep) -> list[dict[str, Any]]:
    if isinstance(sweep, list):
        return sweep or [{}]
    empty = next((name for name, values in sweep.items() if not values), None)
    if empty is not None:
        raise InputError(f"sweep: {empty} has no values")
    return [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]


def _shown(value: Any) -> str:
    """A value in a method's name."""
    return "/".join(map(_shown, value)) if isinstance(value, list | tuple) else str(value).lower()
