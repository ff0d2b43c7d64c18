"""What may surprise of a study, said before it runs and on its page."""

import itertools
from collections.abc import Sequence

from mohb_jax.benchmarks.columns import listed
from mohb_jax.methods import make_plan
from mohb_jax.methods.schedules import ReductionSettings
from mohb_jax.schedule import FEW_FIDELITIES
from mohb_jax.study.alike import alike
from mohb_jax.study.units import WorkUnit
from mohb_jax.types import RUN_GROUPS


def remarks(units: Sequence[WorkUnit]) -> list[str]:
    """What may surprise of a study: what its methods make of the fidelities of its tables, and which of them
    are the same there."""
    found: dict[str, list[str]] = {}
    for (benchmark, label), group in itertools.groupby(units, lambda u: (u.spec["benchmark"], u.label)):
        own = list(group)
        for remark in (_remark(own[0], benchmark), _sharing(own, benchmark)):
            if remark:
                found.setdefault(remark, []).append(label)
    told = [remark.replace(_METHODS, listed(labels, _NAMED)) for remark, labels in found.items()]
    same = [(benchmark, group) for benchmark, groups in alike(units).items() for group in groups]
    return [
        *told,
        *(f"{', '.join(group)} are one method on {benchmark}, by construction" for benchmark, group in same),
    ]


_NAMED = 6
"""Methods that a remark names: a sweep makes hundreds."""
_METHODS = "\0"
"""Stands for the names of all methods of which a remark is true."""


def _remark(unit: WorkUnit, benchmark: str) -> str | None:
    """On one method, whose name is left open."""
    table, how = unit.table, unit.how
    assert table is not None  # it is taken away only where a unit travels
    if not isinstance(how.settings, ReductionSettings) or table.num_fidelities > FEW_FIDELITIES:
        return None
    if table.num_fidelities == 1:
        return f"{benchmark} has one fidelity: only a model tells {_METHODS} from random search there"
    used = make_plan(table, how.method, how.settings, how.conditions).levels()
    stored = range(min(used), table.num_fidelities)
    unused = ", ".join(f"{table.fidelities[level]:g}" for level in stored if level not in used)
    where = f"{table.fidelity_name} {unused} of {benchmark} (eta {how.settings.eta:g})"
    return f"no rung of {_METHODS} lies at {where}" if unused else None


def _sharing(units: Sequence[WorkUnit], benchmark: str) -> str | None:
    """On a method with so few draws of the prior that runs share some without being resampled together."""
    draws: int | None = getattr(units[0].how.settings, "draws", None)
    runs = sum(unit.spec["num_seeds"] for unit in units)
    if draws is None or runs <= draws or draws >= RUN_GROUPS:
        return None
    return (
        f"{runs:,} runs of {_METHODS} on {benchmark} share {draws} draws of the prior: their intervals are "
        f"too narrow, unless the setting draws is {RUN_GROUPS} or more"
    )
