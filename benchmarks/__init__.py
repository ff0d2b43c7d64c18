"""Tabular benchmarks: a dense table per benchmark, checked, with units and provenance."""

from benchmarks.columns import Column, Objective
from benchmarks.crossing import CrossedTable, cross_table
from benchmarks.errors import InputError
from benchmarks.frames import from_frame, import_file
from benchmarks.interface import AnyTable
from benchmarks.lcbench import load_lcbench
from benchmarks.normalise import REFERENCE_POINT, Normalisation, normalisation, true_front
from benchmarks.registry import check, describe, fetch, load, names
from benchmarks.space import config_space, nearest_rows
from benchmarks.syne_tune import from_syne_tune, to_syne_tune
from benchmarks.table import Table, load_table

__all__ = [
    "REFERENCE_POINT",
    "AnyTable",
    "Column",
    "CrossedTable",
    "InputError",
    "Normalisation",
    "Objective",
    "Table",
    "check",
    "config_space",
    "cross_table",
    "describe",
    "fetch",
    "from_frame",
    "from_syne_tune",
    "import_file",
    "load",
    "load_lcbench",
    "load_table",
    "names",
    "nearest_rows",
    "normalisation",
    "to_syne_tune",
    "true_front",
]
