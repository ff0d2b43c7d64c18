"""``--dry-run``: what is left of a study, and what it will take."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mohb_jax import store
from mohb_jax.study.entries import Study
from mohb_jax.study.estimate import SECONDS_PER_UNIT, compile_seconds
from mohb_jax.study.run import require_studies
from mohb_jax.study.units import StudyTable, work_units


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
