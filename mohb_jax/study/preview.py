"""``--dry-run``: what is left of a study, and what it will take."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax import store
from mohb_jax.methods import make_plan
from mohb_jax.methods.schedules import ReductionSettings
from mohb_jax.schedule import FEW_FIDELITIES
from mohb_jax.study.entries import Study
from mohb_jax.study.estimate import SECONDS_PER_UNIT, compile_seconds
from mohb_jax.study.run import require_studies
from mohb_jax.study.units import StudyTable, WorkUnit, work_units


def remarks(units: Sequence[WorkUnit]) -> list[str]:
    """What the methods of a study make of the fidelities of its tables, where that may surprise."""
    found: dict[str, list[str]] = {}
    for (benchmark, label), group in itertools.groupby(units, lambda u: (u.spec["benchmark"], u.label)):
        remark = _remark(next(group), benchmark)
        if remark:
            found.setdefault(remark, []).append(label)
    return [remark.replace(_METHODS, ", ".join(labels)) for remark, labels in found.items()]


_METHODS = "\0"
"""Stands for the names of all methods of which a remark is true."""


def _remark(unit: WorkUnit, benchmark: str) -> str | None:
    """On one method, whose name is left open."""
    table, how = unit.table, unit.how
    assert table is not None  # it is taken away only where a unit travels
    if not isinstance(how.settings, ReductionSettings) or table.num_fidelities > FEW_FIDELITIES:
        return None
    if table.num_fidelities == 1:
        return f"{benchmark} has one fidelity: without a model, {_METHODS} is random search there"
    used = make_plan(table, how.method, how.settings, how.conditions).levels()
    stored = range(min(used), table.num_fidelities)
    unused = ", ".join(f"{table.fidelities[level]:g}" for level in stored if level not in used)
    where = f"{table.fidelity_name} {unused} of {benchmark} (eta {how.settings.eta:g})"
    return f"{_METHODS} never uses {where}" if unused else None


def plan_of(
    study: Study, tables: list[StudyTable], directory: Path, reuse: Sequence[Path] = ()
) -> list[dict[str, Any]]:
    """What each method takes on each benchmark: units, how many of them are done, here or in a folder to
    reuse, runs, evaluations of a run, MiB of a unit, and guesses of the seconds that are left: of running,
    and of compiling where no earlier run left the programs. A method that has finished units left them."""
    require_studies(reuse)
    rows = []
    compiled: set[tuple[str, str]] = set()
    units = work_units(study, tables)
    for (benchmark, label), group in itertools.groupby(units, lambda u: (u.spec["benchmark"], u.label)):
        own = list(group)
        folders = (directory, *reuse)
        left = [u for u in own if not any(store.unit_path(at, u.spec).is_file() for at in folders)]
        method = own[0].spec["method_name"]
        variants = {unit.num_lanes for unit in left} if len(left) == len(own) else set()
        rows.append(
            {
                "benchmark": benchmark,
                "method": label,
                "units": len(own),
                "done": len(own) - len(left),
                "runs": sum(unit.num_lanes for unit in own),
                "evaluations": own[0].size.evaluations,
                "MiB": max(unit.num_lanes * unit.size.bytes for unit in own) / 2**20,
                "seconds": sum(SECONDS_PER_UNIT + unit.num_lanes * unit.size.seconds for unit in left),
                "compiling": compile_seconds(method, len(variants), (benchmark, method) not in compiled),
            }
        )
        compiled.add((benchmark, method))
    return rows
