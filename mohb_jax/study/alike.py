"""Methods of a study whose runs are the same by construction, whatever they find."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from mohb_jax.methods import make_plan
from mohb_jax.promotions import PROMOTIONS
from mohb_jax.searchers.random import random_search
from mohb_jax.study.units import WorkUnit


def alike(units: Sequence[WorkUnit]) -> dict[str, list[list[str]]]:
    """By benchmark the methods that plan the same there, group by group; those that stand alone are left out.

    Runs of one index share their random numbers, so methods of equal plans have equal runs. Plans are equal,
    too, where they differ in what does nothing: rules of promotion that order by one objective, of which a
    table has no second, and rules, brackets or etas where nothing is promoted.
    """
    found: dict[str, list[tuple[Any, list[str]]]] = {}
    for (benchmark, label), group in itertools.groupby(units, lambda u: (u.spec["benchmark"], u.label)):
        plan = _essence(next(group))
        groups = found.setdefault(benchmark, [])
        same = next((names for other, names in groups if other == plan), None)
        groups.append((plan, [label])) if same is None else same.append(label)
    several = {name: [names for _, names in groups if len(names) > 1] for name, groups in found.items()}
    return {name: groups for name, groups in several.items() if groups}


def _essence(unit: WorkUnit) -> Any:
    """The unit's plan without what does nothing there, and what else its runs depend on."""
    table, how = unit.table, unit.how
    assert table is not None  # it is taken away only where a unit travels
    plan = make_plan(table, how.method, how.settings, how.conditions)
    parts = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}  # type: ignore[arg-type]
    if table.num_objectives == 1 and _orders_by_value(how):
        parts |= dict.fromkeys(parts.keys() & {"promotion", "arrival"})
    has_rungs = any(len(bracket.levels) > 1 for bracket in plan.brackets)
    if "arrival" in parts and not has_rungs:
        parts |= {"arrival": None, "promotes": False, "eta": None}
    if "promotion" in parts and not has_rungs:
        parts["promotion"] = None
        if parts["searcher"] == random_search() and not parts["opening"]:
            # Nobody waits for anything: row after row, in whatever brackets they come.
            parts |= {"brackets": (), "overlap": False}
    return type(plan), parts, how.conditions.resumable, unit.seconds


def _orders_by_value(how: Any) -> bool:
    """Whether the method promotes by a rule of the package that leaves nothing to chance."""
    if not hasattr(how.method, "rule") or how.rule is not None:
        return False
    name = how.method.rule(how.settings).name
    return name in PROMOTIONS and name != "random"
