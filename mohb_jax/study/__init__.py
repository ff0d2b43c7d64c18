"""Studies: methods x benchmarks x tasks x seeds, cut into work units that run, stay, and are found again."""

from mohb_jax.study.entries import BenchmarkEntry, EngineEntry, MethodEntry, Study
from mohb_jax.study.preview import plan_of
from mohb_jax.study.remarks import remarks
from mohb_jax.study.run import (
    Engine,
    in_this_process,
    replaces_another,
    require_folder,
    run_study,
)
from mohb_jax.study.spec import EMBEDDED, load_study, make_study
from mohb_jax.study.sweep import code_of
from mohb_jax.study.units import StudyTable, WorkUnit, load_tables, work_units

__all__ = [
    "EMBEDDED",
    "BenchmarkEntry",
    "Engine",
    "EngineEntry",
    "MethodEntry",
    "Study",
    "StudyTable",
    "WorkUnit",
    "code_of",
    "in_this_process",
    "load_study",
    "load_tables",
    "make_study",
    "plan_of",
    "remarks",
    "replaces_another",
    "require_folder",
    "run_study",
    "work_units",
]
